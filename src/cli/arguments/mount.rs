//! `mount`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use super::parse_duration;
use super::shared::{ConnectionArguments, EncryptionArgument, KeyArguments, NamesArgument};
use super::{Arguments, Command};
use crate::base::size::ByteSize;

#[derive(Debug, Args)]
pub(in crate::cli) struct MountArguments {
    /// s3://BUCKET[/PREFIX], or dir:PATH for a local directory
    pub source: OsString,
    /// An empty directory
    pub mountpoint: PathBuf,

    /// How what is stored is encrypted: by the server (none leaves it to the bucket's default), or
    /// here (cse-...), so that the bucket holds ciphertext alone [default: none, or what the
    /// volume was made with]
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
    /// sse-kms: fewer calls to KMS, by a key of the bucket between KMS's and the objects'
    #[arg(long, help_heading = "Encryption")]
    pub bucket_key: bool,
    /// sse-kms: two layers of encryption, where the server has them
    #[arg(long, help_heading = "Encryption")]
    pub dsse: bool,
    /// Older keys (SSE-C), to read what was written under them; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub read_key_file: Vec<PathBuf>,
    /// cse-...: make the volume where there is none yet
    #[arg(long, help_heading = "Encryption")]
    pub create: bool,
    /// cse-..., with --create: how names are stored [default: encrypted]
    #[arg(long, value_enum, value_name = "WHICH", help_heading = "Encryption")]
    pub names: Option<NamesArgument>,
    /// cse-...: how many records (files written, renamed or changed) one data key seals at most;
    /// 1 is a key for each [default: 1000000]
    #[arg(
        long,
        value_name = "N",
        help_heading = "Encryption",
        value_parser = clap::value_parser!(u64).range(1..=1 << 32)
    )]
    pub data_key_reuse: Option<u64>,

    /// cse-...: the private RSA key, PKCS#8 as PEM, that unwraps the data keys of objects of the
    /// Amazon S3 Encryption Client
    #[arg(long, value_name = "PEM", help_heading = "Encryption")]
    pub s3ec_rsa_key: Option<PathBuf>,
    /// cse-...: read also those objects of the Amazon S3 Encryption Client that its version 1 or
    /// its old key wrapping made, which do not authenticate what they hold
    #[arg(long, help_heading = "Encryption")]
    pub allow_legacy: bool,

    #[command(flatten)]
    pub connection: ConnectionArguments,

    /// Who else changes the source: shared looks at what is opened; exclusive refuses other
    /// mounts and trusts what it knows until it is unmounted
    #[arg(
        long,
        value_enum,
        value_name = "WHICH",
        default_value = "shared",
        help_heading = "Between mounts"
    )]
    pub consistency: ConsistencyArgument,
    /// What a mount does not renew for twice as long counts as gone [default: 180, or three
    /// times the timeout]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = "Between mounts")]
    pub lease_term: Option<Duration>,
    /// Wait until whoever has the source goes, or counts as gone, instead of failing
    #[arg(long, help_heading = "Between mounts")]
    pub wait_for_lease: bool,

    /// The longest time without progress before an operation fails
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = parse_duration)]
    pub timeout: Duration,
    /// What close waits for: the upload (on-close), or an encrypted journal on the local disk, whose
    /// uploads follow in the background and by the next mount after a crash (write-back)
    #[arg(long, value_enum, value_name = "WHEN", default_value = "on-close")]
    pub commit: CommitArgument,
    /// Memory for cached blocks and for data being written
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub memory: ByteSize,
    /// Local disk for data being written and for the journal of --commit write-back, encrypted
    #[arg(long, value_name = "SIZE", default_value = "4G")]
    pub staging_size: ByteSize,
    /// Where attributes come from: full reads each object's metadata; s3 takes size and time
    /// from listings, quicker for buckets of plain data
    #[arg(long, value_enum, value_name = "WHICH", default_value = "full")]
    pub attributes: AttributesArgument,
    /// Append the log to this file
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Owner of objects that name none [default: you]
    #[arg(long, value_name = "ID")]
    pub uid: Option<u32>,
    /// Group of objects that name none [default: yours]
    #[arg(long, value_name = "ID")]
    pub gid: Option<u32>,
    /// Permissions that objects without any do not get, in octal
    #[arg(long, value_name = "MASK", default_value = "022", value_parser = parse_umask)]
    pub umask: u32,
    /// Let other users in, as far as permissions allow
    #[arg(long)]
    pub allow_other: bool,
    /// Mount read-only
    #[arg(long)]
    pub read_only: bool,
    /// Stay in the foreground and log to standard error
    #[arg(long)]
    pub foreground: bool,

    /// Comma-separated options in the style of mount(8) and fstab(5)
    #[arg(short = 'o', value_name = "LIST", action = clap::ArgAction::Append)]
    pub options: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum AttributesArgument {
    Full,
    S3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CommitArgument {
    OnClose,
    WriteBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ConsistencyArgument {
    Shared,
    Exclusive,
}

impl MountArguments {
    /// What `cloakfs mount SOURCE /` with nothing else means.
    pub(in crate::cli) fn of_source(source: &OsStr) -> Option<Self> {
        let typed = ["cloakfs".as_ref(), "mount".as_ref(), source, "/".as_ref()];
        match Arguments::try_parse_from(typed).ok()?.command {
            Command::Mount(arguments) => Some(*arguments),
            _ => None,
        }
    }
}

pub(super) fn parse_umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| "write an octal number up to 777, as in 022".to_owned())
}
