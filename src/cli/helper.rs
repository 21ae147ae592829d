//! The helpers that mount(8) and umount(8) start: this program, called by another name.
//!
//! `mount.fuse.cloakfs SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]` and
//! `umount.fuse.cloakfs DIR [-flnrv] [-N NAMESPACE] [-t TYPE]`, as mount(8) and umount(8)
//! describe in "External helpers". libmount passes on the exit code, so it is one of theirs:
//! 1 the call or an option is wrong, 32 it failed.
//!
//! What libmount does on the way (util-linux 2.38):
//! - It has decoded the escapes of fstab(5) (`\040`), and starts the helper with the rights of
//!   whoever called mount(8), and for an ordinary user with hardly any environment.
//! - It keeps the option `encryption=` for itself, a relic of encrypted loop devices, and does
//!   not pass it on. So that nobody's data is then stored otherwise than the line says, every line
//!   must name a mode by the other name, `encryption_mode=`.
//! - umount(8) takes any FUSE mount for one of type `fuse`, and finds this helper only where
//!   mount(8) has noted something about the mount in `/run/mount/utab`, as it does for `_netdev`,
//!   or with `-l` and `-f`. Else it unmounts by itself, which fails while files are open; what an
//!   earlier close could not store, the daemon then tries to store before it ends.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;

use super::arguments::{Arguments, Command, UsageError};
use super::config::MountConfig;
use super::option_list::Unknown;
use super::{ask, is_usage, mount, output};
use crate::mount::mountinfo::FS_TYPE;
use crate::mount::mounting::Way;
use crate::mount::namespace;

/// MOUNT_EX_USAGE of libmount.
const EXIT_USAGE: u8 = 1;
/// MOUNT_EX_FAIL.
const EXIT_FAILED: u8 = 32;
/// Types that a line of fstab may have; what is mounted is always a [`FS_TYPE`].
const TYPES: [&str; 2] = [FS_TYPE, "cloakfs"];

/// Which helper this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helper {
    Mount,
    Umount,
}

/// Mounts for mount(8); not meant to be called by people.
#[derive(Debug, Parser)]
#[command(name = "mount.fuse.cloakfs", version, args_override_self = true)]
struct MountCall {
    /// s3://BUCKET[/PREFIX], or dir:PATH
    source: OsString,
    /// Where to mount it
    mountpoint: PathBuf,
    /// Ignore options that are not known
    #[arg(short = 's')]
    sloppy: bool,
    /// Check what can be checked, and do not mount
    #[arg(short = 'f')]
    fake: bool,
    /// Do not write /etc/mtab, which is never written
    #[arg(short = 'n')]
    _no_mtab: bool,
    /// Say what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// In the mount namespace of this process or file
    #[arg(short = 'N', value_name = "NAMESPACE")]
    namespace: Option<OsString>,
    /// As in fstab(5); see: cloakfs mount --help
    #[arg(short = 'o', value_name = "LIST", action = clap::ArgAction::Append)]
    options: Vec<String>,
    /// The type as the caller has it
    #[arg(short = 't', value_name = "TYPE", value_parser = TYPES)]
    _fs_type: Option<String>,
}

/// Unmounts for umount(8); not meant to be called by people.
#[derive(Debug, Parser)]
#[command(name = "umount.fuse.cloakfs", version, args_override_self = true)]
struct UmountCall {
    /// Where it is mounted
    mountpoint: PathBuf,
    /// Break off what is under way: it fails, and so does every file that is open
    #[arg(short = 'f')]
    force: bool,
    /// Unmount at once, whoever uses it; nothing is waited for
    #[arg(short = 'l')]
    lazy: bool,
    /// Do not write /etc/mtab, which is never written
    #[arg(short = 'n')]
    _no_mtab: bool,
    /// Where it cannot be unmounted, mount it read-only: not possible here
    #[arg(short = 'r')]
    read_only: bool,
    /// Say what was done
    #[arg(short = 'v')]
    verbose: bool,
    /// In the mount namespace of this process or file
    #[arg(short = 'N', value_name = "NAMESPACE")]
    namespace: Option<OsString>,
    /// The type as the caller has it
    #[arg(short = 't', value_name = "TYPE", value_parser = TYPES)]
    _fs_type: Option<String>,
}

impl Helper {
    /// By the name that this program was called by.
    pub(super) fn named(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
        let (helper, fs_type) = match name.strip_prefix("mount.") {
            Some(fs_type) => (Self::Mount, fs_type),
            None => (Self::Umount, name.strip_prefix("umount.")?),
        };
        TYPES.contains(&fs_type).then_some(helper)
    }

    /// Does what `typed` (the program's name first) asks for.
    pub(super) fn run(self, typed: &[OsString]) -> ExitCode {
        let done = match self {
            Self::Mount => MountCall::try_parse_from(typed)
                .map_err(UsageError::from)
                .and_then(|call| mount_for_others(&call)),
            Self::Umount => UmountCall::try_parse_from(typed)
                .map_err(UsageError::from)
                .map(|call| unmount_for_others(&call)),
        };
        match done {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(error)) => {
                output::complain(&output::sentence(&error));
                ExitCode::from(if is_usage(&error) || error.is::<NoMode>() {
                    EXIT_USAGE
                } else {
                    EXIT_FAILED
                })
            }
            Err(UsageError::Clap(error)) if !error.use_stderr() => {
                let _nowhere_to_print = error.print();
                ExitCode::SUCCESS
            }
            Err(UsageError::Clap(error)) => {
                output::complain(&first_paragraph(&error.to_string()));
                ExitCode::from(EXIT_USAGE)
            }
            Err(UsageError::OptionList(error)) => {
                output::complain(&error.to_string());
                ExitCode::from(EXIT_USAGE)
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "no encryption_mode was given, and mount(8) keeps an option encryption= for itself; write encryption_mode=sse-s3 (or sse-kms, sse-c, cse-kms, cse-c), or encryption_mode=none to leave it to the bucket's default, or a local directory in clear"
)]
struct NoMode;

fn mount_for_others(call: &MountCall) -> Result<anyhow::Result<()>, UsageError> {
    if let Err(error) = enter(call.namespace.as_deref()) {
        return Ok(Err(error));
    }
    let unknown = if call.sloppy {
        Unknown::Ignored
    } else {
        Unknown::Refused
    };
    let (arguments, ignored) = Arguments::read_with(&typed_for_people(call), unknown)?;
    if !ignored.is_empty() {
        output::note(&format!(
            "options that are not known are ignored (-s): {}",
            ignored.join(", ")
        ));
    }
    let Command::Mount(arguments) = arguments.command else {
        unreachable!("it was made with the command `mount`");
    };
    if arguments.encryption.is_none() {
        // Before what else is wrong: options of a mode look wrong where mount(8) kept the mode.
        return Ok(Err(NoMode.into()));
    }
    Ok(match MountConfig::from_arguments(&arguments) {
        Err(error) => Err(error.into()),
        Ok(config) => perform(&config, call.fake, call.verbose),
    })
}

fn perform(config: &MountConfig, fake: bool, verbose: bool) -> anyhow::Result<()> {
    if fake {
        mount::check(config)?;
    } else {
        mount::mount(config)?;
    }
    if verbose {
        output::note(&format!(
            "{} {} at {} as {FS_TYPE}",
            config.store.describe(),
            if fake {
                "could be mounted"
            } else {
                "is mounted"
            },
            config.mountpoint.display()
        ));
    }
    Ok(())
}

/// The same as a command line of `cloakfs`.
fn typed_for_people(call: &MountCall) -> Vec<OsString> {
    let mut typed: Vec<OsString> = vec!["cloakfs".into(), "mount".into()];
    for list in &call.options {
        typed.extend(["-o".into(), list.into()]);
    }
    typed.extend([
        "--".into(),
        call.source.clone(),
        call.mountpoint.clone().into(),
    ]);
    typed
}

fn unmount_for_others(call: &UmountCall) -> anyhow::Result<()> {
    enter(call.namespace.as_deref())?;
    let done = match (call.force, call.lazy) {
        (false, false) => ask::unmount(&call.mountpoint),
        (false, true) => ask::take_away(&call.mountpoint, Way::Lazily),
        (true, false) => ask::take_away(&call.mountpoint, Way::ByForce),
        (true, true) => ask::take_away(&call.mountpoint, Way::ByForceLazily),
    };
    match done {
        Err(error) if call.read_only => bail!(
            "{}; it stays as it is, since -r (read-only instead) is not possible here",
            output::sentence(&error)
        ),
        Ok(()) if call.verbose => {
            output::note(&format!("{} is unmounted", call.mountpoint.display()));
            Ok(())
        }
        done => done,
    }
}

fn enter(name: Option<&OsStr>) -> anyhow::Result<()> {
    name.map_or(Ok(()), |name| Ok(namespace::enter(name)?))
}

/// What clap says before its usage and its tips, in one line: mount(8)'s output is no place for
/// more.
fn first_paragraph(words: &str) -> String {
    let lines = words.lines().map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let text = paragraph.join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_calls_are_consistent() {
        MountCall::command().debug_assert();
        UmountCall::command().debug_assert();
    }

    #[test]
    fn the_name_decides() {
        for (name, helper) in [
            ("/sbin/mount.fuse.cloakfs", Some(Helper::Mount)),
            ("mount.cloakfs", Some(Helper::Mount)),
            ("/usr/sbin/umount.fuse.cloakfs", Some(Helper::Umount)),
            ("umount.cloakfs", Some(Helper::Umount)),
            ("cloakfs", None),
            ("mount.fuse", None),
            ("mount.fuse.other", None),
            ("", None),
        ] {
            assert_eq!(Helper::named(OsStr::new(name)), helper, "{name}");
        }
    }

    /// The order in which libmount's exec_helper gives them.
    #[test]
    fn what_libmount_gives_is_read() {
        let line = "mount.fuse.cloakfs s3://b/p /mnt/x -s -f -n -v -o rw,noexec -t cloakfs -N /proc/1/fd/3";
        let call = MountCall::try_parse_from(line.split(' ')).unwrap();
        assert!(call.sloppy && call.fake && call.verbose);
        assert_eq!(call.namespace, Some("/proc/1/fd/3".into()));
        assert_eq!(
            typed_for_people(&call),
            [
                "cloakfs",
                "mount",
                "-o",
                "rw,noexec",
                "--",
                "s3://b/p",
                "/mnt/x"
            ]
        );
        let line = "umount.fuse.cloakfs /mnt/x -n -l -f -v -r -t fuse.cloakfs -N 7";
        let call = UmountCall::try_parse_from(line.split(' ')).unwrap();
        assert!(call.lazy && call.verbose && call.read_only);
        assert_eq!(call.mountpoint, Path::new("/mnt/x"));
        let call = MountCall::try_parse_from(["m", "-sfnv", "dir:/s", "/m", "-oro"]).unwrap();
        assert!(call.sloppy && call.fake && call.verbose);
        assert_eq!(call.options, ["ro"]);
        assert!(MountCall::try_parse_from(["m", "dir:/s", "/m", "-t", "fuse.sshfs"]).is_err());
    }

    #[test]
    fn claps_words_become_one_line() {
        let words =
            Arguments::read(&["cloakfs", "mount", "a", "b", "--encryption=x"].map(Into::into));
        let Err(UsageError::Clap(error)) = words else {
            panic!("{words:?}");
        };
        assert_eq!(
            first_paragraph(&error.to_string()),
            "invalid value 'x' for '--encryption <MODE>' [possible values: none, sse-s3, sse-kms, sse-c, cse-kms, cse-c]"
        );
    }
}
