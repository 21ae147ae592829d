//! `keys`.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::parse_duration;
use super::reencrypt::{ROTATE_NOTES, RotateArguments};
use super::shared::ConnectionArguments;

const IMPORT_NOTES: &str = "\
The same command again goes on where an earlier one ended, renews the expiry, and brings back
material that expired or was deleted: KMS takes only the same 32 bytes for a key.

A key that is on another machine or in an HSM:
  cloakfs keys import --wrap-only --alias alias/mine            here: makes the key, and writes
                                                                WrappingPublicKey.bin and ImportToken.bin
  cloakfs keys import --wrap-only --wrapping-key WrappingPublicKey.bin --key-file KEY
                                                                there: writes EncryptedKeyMaterial.bin
  cloakfs keys import --wrapped EncryptedKeyMaterial.bin --token ImportToken.bin --alias alias/mine
                                                                here, within 24 hours";

#[derive(Debug, Args)]
pub(in crate::cli) struct KeysArguments {
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeysCommand {
    /// Make a key of 32 random bytes, in a file that only you can read.
    ///
    /// Prints its check value, and never the key.
    Generate(GenerateArguments),
    /// Bring a key of your own into KMS: as the material of a key there.
    ///
    /// The key in KMS is made, or found by its alias; your key is wrapped with RSA-OAEP on the
    /// way; afterwards the key is seen to encrypt and decrypt.
    #[command(after_help = IMPORT_NOTES)]
    Import(Box<ImportArguments>),
    /// Take imported material out of a key of KMS, so that it encrypts and decrypts nothing.
    ///
    /// Importing the same material again undoes it.
    DeleteMaterial(DeleteMaterialArguments),
    /// Show a key of KMS: its state, origin, expiry, rotation and aliases, and what is under it.
    Show(Box<ShowArguments>),
    /// Change the passphrase of a client-side volume, or give it one.
    ///
    /// Only the volume's record is written anew; no file is touched.
    Passphrase(PassphraseArguments),
    /// Bring a client-side volume under another key of yours or of KMS.
    ///
    /// The records of all objects are sealed again; content stays as it is.
    #[command(after_help = ROTATE_NOTES)]
    Rotate(Box<RotateArguments>),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct GenerateArguments {
    /// The file, which must not be there yet
    pub file: PathBuf,
    /// How the key is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "raw")]
    pub form: FormArgument,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FormArgument {
    /// 32 bytes as they are, as openssl and the AWS command line take them
    Raw,
    /// 64 hexadecimal digits
    Hex,
    /// 44 characters
    Base64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArguments {
    /// Your key, 32 bytes as they are, in hexadecimal or in base64
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The alias of the key in KMS; where there is none yet, key and alias are made
    #[arg(long, value_name = "alias/NAME")]
    pub alias: Option<String>,
    /// The key in KMS, which was made with the origin EXTERNAL; with --alias it gets that alias
    #[arg(long, value_name = "KEY")]
    pub kms_key: Option<String>,
    /// When KMS forgets the material by itself, at most 365 days ahead: YYYY-MM-DD or a time as
    /// in 2026-12-31T18:00:00Z [default: never]
    #[arg(long, value_name = "DATE")]
    pub expires: Option<String>,
    /// How the key is wrapped on its way [default: RSAES_OAEP_SHA_256]
    #[arg(long, value_enum, value_name = "ALGORITHM")]
    pub algorithm: Option<AlgorithmArgument>,
    /// The wrapping key that KMS is asked for [default: RSA_4096]
    #[arg(long, value_enum, value_name = "SPEC")]
    pub wrapping_key_spec: Option<WrappingKeySpecArgument>,
    /// Import nothing: write what is needed to wrap the key elsewhere; or, with --wrapping-key,
    /// wrap it
    #[arg(long, help_heading = "A key that is elsewhere")]
    pub wrap_only: bool,
    /// With --wrap-only: wrap for this public key, WrappingPublicKey.bin as KMS gave it
    #[arg(long, value_name = "FILE", help_heading = "A key that is elsewhere")]
    pub wrapping_key: Option<PathBuf>,
    /// With --wrap-only: the directory to write into [default: the working directory]
    #[arg(long, value_name = "DIR", help_heading = "A key that is elsewhere")]
    pub output: Option<PathBuf>,
    /// Import what was wrapped elsewhere
    #[arg(long, value_name = "FILE", help_heading = "A key that is elsewhere")]
    pub wrapped: Option<PathBuf>,
    /// With --wrapped: the import token that came with the wrapping key
    #[arg(long, value_name = "FILE", help_heading = "A key that is elsewhere")]
    pub token: Option<PathBuf>,
    #[command(flatten)]
    pub kms: KmsArguments,
}

/// As KMS names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum AlgorithmArgument {
    #[value(name = "RSAES_OAEP_SHA_256")]
    Sha256,
    #[value(name = "RSAES_OAEP_SHA_1")]
    Sha1,
}

/// As KMS names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum WrappingKeySpecArgument {
    #[value(name = "RSA_2048")]
    Rsa2048,
    #[value(name = "RSA_3072")]
    Rsa3072,
    #[value(name = "RSA_4096")]
    Rsa4096,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DeleteMaterialArguments {
    /// The key, by id, ARN, alias/NAME or an alias's ARN
    pub key: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub kms: KmsArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    /// The key, by id, ARN, alias/NAME or an alias's ARN
    pub key: String,
    /// Print everything as JSON
    #[arg(long)]
    pub json: bool,
    /// Tell which objects of s3://BUCKET[/PREFIX] or dir:PATH are under the key: it lists them
    /// all, and asks for the metadata of each
    #[arg(long, value_name = "SOURCE", help_heading = "Use")]
    pub used_in: Option<OsString>,
    /// A pair of the encryption context that a client-side volume there was made with; may be
    /// repeated
    #[arg(
        long,
        value_name = "NAME=VALUE",
        help_heading = "Use",
        requires = "used_in"
    )]
    pub kms_context: Vec<String>,
    /// Put the bucket's name into the path of requests, not into the host's name
    #[arg(long, help_heading = "Use", requires = "used_in")]
    pub path_style: bool,
    #[command(flatten)]
    pub kms: KmsArguments,
}

/// The way to KMS.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct KmsArguments {
    /// KMS, if it is not Amazon's: https://HOST[:PORT]
    #[arg(long, value_name = "URL", help_heading = "KMS")]
    pub kms_endpoint_url: Option<String>,
    /// The same, where S3 and KMS have one endpoint
    #[arg(long, value_name = "URL", help_heading = "KMS")]
    pub endpoint_url: Option<String>,
    /// The key's region, unless its ARN names one
    #[arg(long, value_name = "R", help_heading = "KMS")]
    pub region: Option<String>,
    /// A profile of the AWS configuration files
    #[arg(long, value_name = "P", help_heading = "KMS")]
    pub profile: Option<String>,
    /// Certificates to trust besides the system's, as PEM
    #[arg(long, value_name = "FILE", help_heading = "KMS")]
    pub ca_bundle: Option<PathBuf>,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PassphraseArguments {
    /// s3://BUCKET[/PREFIX], or dir:PATH for a local directory
    pub source: OsString,
    /// The volume's key, in place of its passphrase
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub key_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor, rather than asking for it on the
    /// terminal
    #[arg(
        long,
        value_name = "N",
        help_heading = "Encryption",
        value_parser = clap::value_parser!(i32).range(0..)
    )]
    pub passphrase_fd: Option<RawFd>,
    /// Read the new passphrase from this open file descriptor, rather than asking for it twice
    /// on the terminal
    #[arg(
        long,
        value_name = "N",
        help_heading = "Encryption",
        value_parser = clap::value_parser!(i32).range(0..)
    )]
    pub new_passphrase_fd: Option<RawFd>,
    /// Write a copy of the volume's new record into this file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}
