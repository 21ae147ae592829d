//! `audit` and `check`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::MountArguments;
use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument, KeyArguments};

pub(super) const AUDIT_NOTES: &str = "\
It writes nothing. It lists all objects (one request for 1,000) and asks for the metadata of each (one
HEAD, in a client-side mode a second for objects that are not encrypted), and where cse-kms is asked
for it has KMS unwrap a data key for each mount that wrote. --deep also reads every byte.

Of the client-side modes the key opens each object's metadata, so that it is shown to be of this
volume, key and context and in its place; only --deep shows that its content is authentic. Of sse-kms
the server tells the key, and nobody the encryption context of an object.

Exit codes: 0 everything is as it must be; 1 something is not, or the audit failed, for the reason
on standard error; 2 the command line is wrong.";

pub(super) const CHECK_NOTES: &str = "\
Each finding is one of:
  repairable  --repair does it, by the same steps as the next mount
  needs you   only a person can tell what is right; --repair leaves it
  in use      a mount that lives, or may live, is using it: no flaw

It lists all objects (one request for 1,000) and reads a few of cloakfs's own; the content of files
is not looked at: that is what cloakfs audit does. Without --repair nothing is written but a file in
the state directory.

--repair takes the source for itself where no other mount may live, and lets none in meanwhile; else
it does what is of dead mounts of this machine alone. It deletes nothing but what cloakfs made for
itself and no living mount has: no file, and no conflict copy.

Exit codes: 0 nothing is left to do; 1 something is, or the check failed, for the reason on standard
error; 2 the command line is wrong.";

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
