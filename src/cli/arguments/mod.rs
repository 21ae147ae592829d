//! What may be typed. This is the one table of options: help comes from it, and so does what
//! `-o` accepts.

mod admin;
mod client_side;
mod doctor;
mod export;
mod keys;
mod policy;
mod recover;
mod reencrypt;
mod shared;
mod texts;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use admin::{AuditArguments, CheckArguments, SourceArguments};
pub(super) use client_side::{DecryptArguments, InitArguments};
pub(super) use doctor::DoctorArguments;
pub(super) use export::{ExportArguments, FormatArgument};
pub(super) use keys::{
    AlgorithmArgument, FormArgument, GenerateArguments, ImportArguments, KeysArguments,
    KeysCommand, KmsArguments, PassphraseArguments, WrappingKeySpecArgument,
};
pub(super) use policy::{
    BucketPolicyArguments, DefaultEncryptionArguments, IamPolicyArguments, KeyPolicyArguments,
    PolicyCommand, PutArguments, RequireArgument, SubjectArguments,
};
pub(super) use recover::RecoverArguments;
pub(super) use reencrypt::{MoveArguments, NewKeyArguments, ReencryptArguments, RotateArguments};
pub(super) use shared::{ConnectionArguments, EncryptionArgument, KeyArguments, NamesArgument};

use texts::{EXAMPLES, MOUNT_NOTES};

use super::option_list::{self, OptionListError, Unknown};
use crate::base::size::ByteSize;

/// Mount an S3 bucket, or a local directory that acts as one, as a directory.
#[derive(Debug, Parser)]
#[command(name = "cloakfs", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Mount SOURCE at MOUNTPOINT.
    ///
    /// Returns when the mount is usable, or says why it is not.
    #[command(after_help = MOUNT_NOTES, args_override_self = true)]
    Mount(Box<MountArguments>),
    /// Make a client-side volume: what is mounted with --encryption cse-kms or cse-c.
    ///
    /// The source must be empty. With cse-c and no key the volume has a passphrase, which is asked
    /// for on the terminal.
    Init(Box<InitArguments>),
    /// Decrypt one object of a client-side volume, without mounting it.
    ///
    /// Everything of it is authenticated before the exit code says success.
    Decrypt(Box<DecryptArguments>),
    /// List what is not encrypted as it must be.
    ///
    /// The options are those of a mount, and say how everything must be encrypted.
    #[command(after_help = admin::AUDIT_NOTES)]
    Audit(Box<AuditArguments>),
    /// Bring everything under another key or another encryption, where it is.
    ///
    /// The options are those of a mount; those that begin with --to- say what it is to be.
    #[command(after_help = reencrypt::NOTES)]
    Reencrypt(Box<ReencryptArguments>),
    /// List what is not consistent: what mounts that died left, and names that cannot be.
    ///
    /// The options are those of a mount.
    #[command(after_help = admin::CHECK_NOTES)]
    Check(Box<CheckArguments>),
    /// Write the files of a source as objects of the Amazon S3 Encryption Client.
    ///
    /// Its version 3, under a key of KMS, an AES key or an RSA key: for people who read with AWS's
    /// clients. Only content is exported. What is there already is not replaced.
    Export(Box<ExportArguments>),
    /// List what mounts of write-back mode left on this machine, and bring it out.
    ///
    /// A mount replays the journals of its source by itself. This is for those that it could not
    /// replay.
    Recover(Box<RecoverArguments>),
    /// Make, import and look after keys.
    Keys(KeysArguments),
    /// Print the policies that AWS needs for a mode, put them, and show that they are enforced.
    #[command(subcommand)]
    Policy(Box<PolicyCommand>),
    /// Look at everything that a mount of SOURCE needs, and say what to do about what is missing.
    ///
    /// One line for each check; the exit code is 0 only where nothing failed. Nothing stays in the
    /// bucket.
    Doctor(Box<DoctorArguments>),
    /// Upload everything, then unmount.
    #[command(visible_alias = "unmount")]
    Umount(MountpointArguments),
    /// Upload everything that is not in the bucket yet.
    Sync(MountpointArguments),
    /// Show what is mounted and how it is.
    Status(StatusArguments),
}

#[derive(Debug, Args)]
pub(super) struct MountpointArguments {
    /// Where it is mounted
    pub mountpoint: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Where it is mounted
    pub mountpoint: PathBuf,
    /// Print everything as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct MountArguments {
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
pub(super) enum AttributesArgument {
    Full,
    S3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CommitArgument {
    OnClose,
    WriteBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ConsistencyArgument {
    Shared,
    Exclusive,
}

#[derive(Debug)]
pub(super) enum UsageError {
    Clap(clap::Error),
    OptionList(OptionListError),
}

impl From<clap::Error> for UsageError {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

impl MountArguments {
    /// What `cloakfs mount SOURCE /` with nothing else means.
    pub(super) fn of_source(source: &std::ffi::OsStr) -> Option<Self> {
        let typed = ["cloakfs".as_ref(), "mount".as_ref(), source, "/".as_ref()];
        match Arguments::try_parse_from(typed).ok()?.command {
            Command::Mount(arguments) => Some(*arguments),
            _ => None,
        }
    }
}

impl Arguments {
    /// Reads the command line (the program's name first). What `-o` spells as `name=value` is
    /// read once more as if it had been typed as a long option, before those that were.
    pub(super) fn read(typed: &[OsString]) -> Result<Self, UsageError> {
        Self::read_with(typed, Unknown::Refused).map(|(arguments, _none)| arguments)
    }

    /// The same, and the names in `-o` that were ignored because they are not known.
    pub(super) fn read_with(
        typed: &[OsString],
        unknown: Unknown,
    ) -> Result<(Self, Vec<String>), UsageError> {
        let mut arguments = Self::try_parse_from(typed)?;
        let Command::Mount(mount) = &mut arguments.command else {
            return Ok((arguments, vec![]));
        };
        let lists = std::mem::take(&mut mount.options);
        if lists.is_empty() {
            return Ok((arguments, vec![]));
        }
        let list = option_list::read(&lists, unknown).map_err(UsageError::OptionList)?;
        // The program and `mount`, which come first: there are no options before it.
        let (head, rest) = typed.split_at(2);
        let all = head
            .iter()
            .cloned()
            .chain(list.long_options.into_iter().map(OsString::from))
            .chain(rest.iter().cloned());
        let mut arguments = Self::try_parse_from(all)?;
        if let Command::Mount(mount) = &mut arguments.command {
            mount.options = list.words;
        }
        Ok((arguments, list.ignored))
    }
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let unit_secs = match &text[digits..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    text[..digits]
        .parse::<u32>()
        .ok()
        .map(|number| u64::from(number) * unit_secs)
        .filter(|secs| *secs > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| {
            "write a whole number of seconds, at least 1, or one with s, m or h, as in 90s"
                .to_owned()
        })
}

fn parse_umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| "write an octal number up to 777, as in 022".to_owned())
}

#[cfg(test)]
mod tests;
