//! `audit` and `check`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::MountArguments;
use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument, KeyArguments};

/// A source as it is mounted, for commands that look at all of it.
#[derive(Debug, Args)]
pub(in crate::cli) struct SourceArguments {
    /// s3://BUCKET[/PREFIX], or dir:PATH, with the options that it is mounted with
    pub source: OsString,
    /// As it is mounted [default: none, or what the volume was made with]
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
    /// sse-kms: as it is mounted
    #[arg(long, help_heading = "Encryption")]
    pub bucket_key: bool,
    /// sse-kms: two layers of encryption
    #[arg(long, help_heading = "Encryption")]
    pub dsse: bool,
    /// Older keys (SSE-C); may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub read_key_file: Vec<PathBuf>,
    #[command(flatten)]
    pub connection: ConnectionArguments,
    /// The longest time without an answer
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
}

impl SourceArguments {
    /// What a mount with these options is; `None` where the source is none.
    pub(in crate::cli) fn as_mount(&self) -> Option<MountArguments> {
        let mut mount = MountArguments::of_source(&self.source)?;
        mount.encryption = self.encryption;
        mount.keys = self.keys.clone();
        mount.bucket_key = self.bucket_key;
        mount.dsse = self.dsse;
        mount.read_key_file.clone_from(&self.read_key_file);
        mount.connection = self.connection.clone();
        mount.timeout = self.timeout;
        Some(mount)
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArguments {
    #[command(flatten)]
    pub source: SourceArguments,
    /// Do what is safe, as the next mount would, and say what was done
    #[arg(long)]
    pub repair: bool,
    /// Watch mounts that may live for as long as it takes to be sure (twice their term: six
    /// minutes); what they left can be told, and repaired, then
    #[arg(long)]
    pub wait: bool,
    /// A JSON object in a line for each finding, and one for the summary
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditArguments {
    #[command(flatten)]
    pub source: SourceArguments,
    /// Read everything, too: what does not authenticate any more, or cannot be read, is found
    #[arg(long)]
    pub deep: bool,
    /// A JSON object in a line for each finding, and one for the summary
    #[arg(long)]
    pub json: bool,
}
