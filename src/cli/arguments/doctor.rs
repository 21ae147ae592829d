//! `doctor`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument, KeyArguments};

/// The options of `mount` on which something can be looked at.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArguments {
    /// s3://BUCKET[/PREFIX], or dir:PATH for a local directory
    pub source: OsString,
    /// The mode that it is to be mounted with [default: none]
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
    /// sse-kms: it is to be mounted with --bucket-key
    #[arg(long, help_heading = "Encryption")]
    pub bucket_key: bool,
    /// sse-kms: it is to be mounted with --dsse
    #[arg(long, help_heading = "Encryption")]
    pub dsse: bool,
    /// Older keys (SSE-C), to read what was written under them; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub read_key_file: Vec<PathBuf>,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// It is to be mounted with --allow-other
    #[arg(long)]
    pub allow_other: bool,
    /// It is to be mounted with --read-only: nothing is written, and what only writing shows is
    /// not looked at
    #[arg(long)]
    pub read_only: bool,
    /// The longest time for one check
    #[arg(long, value_name = "DURATION", default_value = "15", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}
