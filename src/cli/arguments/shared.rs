//! Options that several commands have.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct ConnectionArguments {
    /// The server, if it is not Amazon's: https://HOST[:PORT]
    #[arg(long, value_name = "URL", help_heading = "S3")]
    pub endpoint_url: Option<String>,
    /// The bucket's region
    #[arg(long, value_name = "R", help_heading = "S3")]
    pub region: Option<String>,
    /// A profile of the AWS configuration files
    #[arg(long, value_name = "P", help_heading = "S3")]
    pub profile: Option<String>,
    /// Put the bucket's name into the path of requests, not into the host's name
    #[arg(long, help_heading = "S3")]
    pub path_style: bool,
    /// Certificates to trust besides the system's, as PEM
    #[arg(long, value_name = "FILE", help_heading = "S3")]
    pub ca_bundle: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct KeyArguments {
    /// ...-kms: the key, by id, ARN, alias/NAME or an alias's ARN [default with sse-kms: S3's
    /// own, aws/s3]
    #[arg(long, value_name = "KEY", help_heading = "Encryption")]
    pub kms_key: Option<String>,
    /// ...-kms: a pair of the encryption context, which is not secret; may be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Encryption")]
    pub kms_context: Vec<String>,
    /// KMS, if it is not Amazon's: it is asked about keys, and resolves aliases
    #[arg(long, value_name = "URL", help_heading = "Encryption")]
    pub kms_endpoint_url: Option<String>,
    /// ...-c: the key, 32 bytes as they are, in hexadecimal or in base64
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub key_file: Option<PathBuf>,
    /// cse-c: read the volume's passphrase from this open file descriptor, rather than asking
    /// for it on the terminal
    #[arg(
        long,
        value_name = "N",
        help_heading = "Encryption",
        value_parser = clap::value_parser!(i32).range(0..)
    )]
    pub passphrase_fd: Option<RawFd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum EncryptionArgument {
    /// Nothing is asked for; the bucket's default applies
    None,
    /// SSE-S3: AES-256 with the server's keys
    SseS3,
    /// SSE-KMS: under a key that KMS keeps
    SseKms,
    /// SSE-C: under your key, which goes with every request and which the server forgets
    SseC,
    /// CSE-KMS: encrypted here, under keys that KMS wraps
    CseKms,
    /// CSE-C: encrypted here, under your key or passphrase, which never leave this machine
    CseC,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum NamesArgument {
    /// Names and directories as they are
    Plain,
    /// Names encrypted; the tree's form is seen
    Encrypted,
}

impl EncryptionArgument {
    /// As it is typed.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SseS3 => "sse-s3",
            Self::SseKms => "sse-kms",
            Self::SseC => "sse-c",
            Self::CseKms => "cse-kms",
            Self::CseC => "cse-c",
        }
    }

    pub(in crate::cli) const fn is_client_side(self) -> bool {
        matches!(self, Self::CseKms | Self::CseC)
    }
}
