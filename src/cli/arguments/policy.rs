//! `policy`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    /// The bucket's policy: what is not encrypted as the mode asks, or comes over plain http, is
    /// denied
    Bucket(BucketPolicyArguments),
    /// The IAM policy of whoever mounts: what a mount of the mode needs, and nothing else
    Iam(IamPolicyArguments),
    /// The policy of the KMS key
    KmsKey(KeyPolicyArguments),
    /// The bucket's default encryption
    DefaultEncryption(DefaultEncryptionArguments),
}

/// What is mounted, as far as policies are about it.
#[derive(Debug, Args)]
pub(in crate::cli) struct SubjectArguments {
    /// s3://BUCKET[/PREFIX]
    pub source: OsString,
    /// The mode that it is mounted with
    #[arg(
        long,
        visible_alias = "encryption-mode",
        value_enum,
        value_name = "MODE",
        help_heading = "Encryption"
    )]
    pub encryption: EncryptionArgument,
    /// ...-kms: the key, best by its ARN; KMS is asked for the ARN of an id or an alias
    #[arg(long, value_name = "KEY", help_heading = "Encryption")]
    pub kms_key: Option<String>,
    /// ...-kms: a pair of the encryption context; may be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Encryption")]
    pub kms_context: Vec<String>,
    /// KMS, if it is not Amazon's
    #[arg(long, value_name = "URL", help_heading = "Encryption")]
    pub kms_endpoint_url: Option<String>,
    /// sse-kms: it is mounted with --bucket-key, or bucket keys are the bucket's default
    #[arg(long, help_heading = "Encryption")]
    pub bucket_key: bool,
    /// sse-kms: it is mounted with --dsse
    #[arg(long, help_heading = "Encryption")]
    pub dsse: bool,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// Putting it, and showing what it does.
#[derive(Debug, Args)]
pub(in crate::cli) struct PutArguments {
    /// Put it into the bucket, after showing what changes and asking
    #[arg(long)]
    pub apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    pub yes: bool,
    /// Show by uploads that the bucket enforces it: what is wrong must be denied, what is right
    /// accepted; with --apply, after that
    #[arg(long)]
    pub verify: bool,
    /// Print what was done and found as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BucketPolicyArguments {
    #[command(flatten)]
    pub subject: SubjectArguments,
    /// What is required, separated by commas [default: all that the mode satisfies]
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub require: Vec<RequireArgument>,
    #[command(flatten)]
    pub put: PutArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DefaultEncryptionArguments {
    #[command(flatten)]
    pub subject: SubjectArguments,
    #[command(flatten)]
    pub put: PutArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct IamPolicyArguments {
    #[command(flatten)]
    pub subject: SubjectArguments,
    /// Of a mount with --read-only
    #[arg(long)]
    pub read_only: bool,
    /// The bucket keeps old versions
    #[arg(long)]
    pub versioned: bool,
    /// cse-kms: of this volume alone, by its id as `cloakfs status` shows it
    #[arg(long, value_name = "ID")]
    pub volume: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyPolicyArguments {
    #[command(flatten)]
    pub subject: SubjectArguments,
    /// The user or role that mounts, by its ARN; may be repeated
    #[arg(long, value_name = "ARN", required = true)]
    pub principal: Vec<String>,
    /// They mount with --read-only
    #[arg(long)]
    pub read_only: bool,
    /// cse-kms: for this volume alone, by its id as `cloakfs status` shows it
    #[arg(long, value_name = "ID")]
    pub volume: Option<String>,
    /// Put what is about its use into the key's policy, after showing what changes and asking
    #[arg(long)]
    pub apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    pub yes: bool,
    /// Print what was done as JSON
    #[arg(long, requires = "apply")]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RequireArgument {
    /// No request over plain http
    Tls,
    /// Every upload asks for SSE-S3
    SseS3,
    /// Every upload asks for SSE-KMS
    SseKms,
    /// Every upload names the key given with --kms-key
    KmsKey,
    /// Every upload brings a key of the client's
    SseC,
    /// Every upload asks for some encryption
    Encrypted,
}

impl RequireArgument {
    /// As it is typed.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::SseS3 => "sse-s3",
            Self::SseKms => "sse-kms",
            Self::KmsKey => "kms-key",
            Self::SseC => "sse-c",
            Self::Encrypted => "encrypted",
        }
    }
}
