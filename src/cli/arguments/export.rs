//! `export`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument, KeyArguments};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArguments {
    /// s3://BUCKET[/PREFIX], or dir:PATH, with the options that it is mounted with
    pub source: OsString,
    /// s3://BUCKET[/PREFIX], or dir:PATH: where the objects go, each under the path of its file
    pub target: OsString,
    /// What the objects are
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: FormatArgument,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,

    /// Wrap the data keys with this key of KMS
    #[arg(long, value_name = "KEY", help_heading = "Target", group = "wrapping")]
    pub to_kms_key: Option<String>,
    /// A pair of their encryption context, which readers must give too; may be repeated
    #[arg(
        long,
        value_name = "NAME=VALUE",
        help_heading = "Target",
        requires = "to_kms_key"
    )]
    pub to_kms_context: Vec<String>,
    /// Wrap the data keys with the AES key in this file
    #[arg(long, value_name = "FILE", help_heading = "Target", group = "wrapping")]
    pub to_key_file: Option<PathBuf>,
    /// Wrap the data keys with this RSA key, as PEM: its public half is enough
    #[arg(long, value_name = "PEM", help_heading = "Target", group = "wrapping")]
    pub to_rsa_key: Option<PathBuf>,

    /// As it is mounted
    #[arg(
        long,
        visible_alias = "encryption-mode",
        value_enum,
        value_name = "MODE",
        help_heading = "Encryption"
    )]
    pub encryption: Option<EncryptionArgument>,
    #[command(flatten)]
    pub keys: KeyArguments,
    /// Older keys (SSE-C)
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub read_key_file: Vec<PathBuf>,
    /// cse-...: as it is mounted
    #[arg(long, value_name = "PEM", help_heading = "Encryption")]
    pub s3ec_rsa_key: Option<PathBuf>,
    /// cse-...: as it is mounted
    #[arg(long, help_heading = "Encryption")]
    pub allow_legacy: bool,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FormatArgument {
    /// The Amazon S3 Encryption Client's version 3
    S3ec,
}
