//! `recover`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument, KeyArguments};

#[derive(Debug, Args)]
pub(in crate::cli) struct RecoverArguments {
    /// s3://BUCKET[/PREFIX], or dir:PATH, with the options that it was mounted with; without it
    /// the journals of all sources are listed, but not what is in them
    pub source: Option<OsString>,
    /// Only this journal
    #[arg(long, value_name = "ID", requires = "source")]
    pub journal: Option<String>,
    /// Write the journal's files into this directory, which must be empty or not there
    #[arg(long, value_name = "DIR", requires = "journal")]
    pub to: Option<PathBuf>,
    /// Forget the journal, which was brought out with --to, now or before
    #[arg(long, requires = "journal")]
    pub discard: bool,
    /// As it was mounted
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
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}
