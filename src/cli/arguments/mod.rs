//! What may be typed. This is the one table of options: help comes from it, and so does what
//! `-o` accepts.

mod admin;
mod client_side;
mod doctor;
mod export;
mod keys;
mod mount;
mod policy;
mod recover;
mod reencrypt;
mod shared;
mod texts;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(super) use admin::{AuditArguments, CheckArguments, SourceArguments};
pub(super) use client_side::{DecryptArguments, InitArguments};
pub(super) use doctor::DoctorArguments;
pub(super) use export::{ExportArguments, FormatArgument};
pub(super) use keys::{
    AlgorithmArgument, FormArgument, GenerateArguments, ImportArguments, KeysArguments,
    KeysCommand, KmsArguments, PassphraseArguments, ShowArguments, WrappingKeySpecArgument,
};
pub(super) use mount::{AttributesArgument, CommitArgument, ConsistencyArgument, MountArguments};
pub(super) use policy::{
    BucketPolicyArguments, DefaultEncryptionArguments, IamPolicyArguments, KeyPolicyArguments,
    PolicyCommand, PutArguments, RequireArgument, SubjectArguments,
};
pub(super) use recover::RecoverArguments;
pub(super) use reencrypt::{MoveArguments, NewKeyArguments, ReencryptArguments, RotateArguments};
pub(super) use shared::{ConnectionArguments, EncryptionArgument, KeyArguments, NamesArgument};

use texts::{EXAMPLES, MOUNT_NOTES};

use super::option_list::{self, OptionListError, Unknown};

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

#[cfg(test)]
mod tests;
