//! What the arguments of `mount` mean, in types that cannot hold a combination that makes no
//! sense. Pure but for the working directory and the user's ids.

mod store;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use store::{Connection, DirSettings, S3Settings, StoreConfig};

use super::arguments::{AttributesArgument, CommitArgument, MountArguments};
use super::client_side::{ClientSide, ClientSideError};
use super::consistency::Consistency;
use super::encryption::EncryptionError;
use super::keys::KeysError;
use super::option_list::NONEMPTY;
use super::policy::PolicyError;
use super::source::{Source, SourceError};
use crate::base::size::ByteSize;
use crate::fs::CommitMode;
use crate::mount::flags::MountFlags;
use crate::mount::mounting::KernelOptions;
use crate::volume::lease::TermTooShort;

/// Below this the block cache and the writers' buffers do not hold what one file needs.
const MEMORY_MIN: ByteSize = ByteSize(64 << 20);
/// The same for staging: a few segments.
const STAGING_MIN: ByteSize = ByteSize(64 << 20);

/// A mount, ready to be made.
#[derive(Clone, Debug)]
pub(super) struct MountConfig {
    pub store: StoreConfig,
    /// As given; resolved later, since that looks at the disk.
    pub mountpoint: PathBuf,
    pub kernel: KernelOptions,
    /// What is in the mountpoint may be hidden.
    pub nonempty: bool,
    pub timeout: Duration,
    pub consistency: Consistency,
    pub memory: ByteSize,
    pub staging: ByteSize,
    pub commit: CommitMode,
    /// Attributes come from listings.
    pub trust_listing: bool,
    pub log_file: Option<PathBuf>,
    pub owner: Owner,
    pub foreground: bool,
    pub client_side: ClientSide,
}

/// Owner and permissions of objects that name none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub uid: u32,
    pub gid: u32,
    pub umask: u32,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    #[error(transparent)]
    ClientSide(#[from] ClientSideError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(
        "an object of the Amazon S3 Encryption Client needs a key that wraps its own: give --to-kms-key, --to-key-file or --to-rsa-key"
    )]
    NothingToWrapWith,
    #[error(
        "--encryption {mode} is done by an S3 server, and {store} is a local directory; mount it without --encryption"
    )]
    ServerSideOnDir { mode: &'static str, store: String },
    #[error("{option} is for s3:// sources, and {store} is a local directory; leave it out")]
    S3OptionOnDir { option: &'static str, store: String },
    #[error(
        "--attributes s3 takes attributes from listings, and with --encryption {mode} they are sealed in the objects; leave it out"
    )]
    ListedAttributes { mode: &'static str },
    #[error(
        "{0:?} is no object of a client-side volume: write s3://BUCKET/KEY or dir:PATH, with the path of a file as it is below the mountpoint behind the volume's own, or the object's key"
    )]
    NoVolume(String),
    #[error(transparent)]
    Term(#[from] TermTooShort),
    #[error(
        "--consistency exclusive keeps a lease in the bucket, and a read-only mount writes nothing; leave one of them out"
    )]
    ExclusiveReadOnly,
    #[error("{option} {size} is too small; give at least {minimum}")]
    TooSmall {
        option: &'static str,
        size: ByteSize,
        minimum: ByteSize,
    },
    #[error(
        "-o {name} is for root: objects of the bucket would get rights that nobody here has given; leave it out, or mount as root"
    )]
    RootOnly { name: &'static str },
    #[error("the path {path} cannot be made absolute: {source}")]
    NoWorkingDirectory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl MountConfig {
    pub(super) fn from_arguments(arguments: &MountArguments) -> Result<Self, ConfigError> {
        let source = Source::parse(&arguments.source)?;
        let store = StoreConfig::for_mount(source, arguments)?;
        let trust_listing = arguments.attributes == AttributesArgument::S3;
        if let Some(mode) = arguments.encryption
            && mode.is_client_side()
            && trust_listing
        {
            return Err(ConfigError::ListedAttributes { mode: mode.name() });
        }
        at_least("--memory", arguments.memory, MEMORY_MIN)?;
        at_least("--staging-size", arguments.staging_size, STAGING_MIN)?;
        let mut flags = MountFlags::DEFAULT;
        let mut nonempty = false;
        for word in &arguments.options {
            if word == NONEMPTY {
                nonempty = true;
            } else {
                flags.set(word);
            }
        }
        if arguments.read_only {
            flags.set("ro");
        }
        // SAFETY: geteuid and getegid have no preconditions and cannot fail.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        only_root_lifts_protections(flags, user)?;
        Ok(Self {
            store,
            mountpoint: absolute(&arguments.mountpoint)?,
            kernel: KernelOptions {
                flags,
                allow_other: arguments.allow_other,
            },
            nonempty,
            timeout: arguments.timeout,
            consistency: Consistency::new(arguments, flags.is_read_only())?,
            memory: arguments.memory,
            staging: arguments.staging_size,
            commit: match arguments.commit {
                CommitArgument::OnClose => CommitMode::OnClose,
                CommitArgument::WriteBack => CommitMode::WriteBack,
            },
            trust_listing,
            log_file: arguments.log_file.as_deref().map(absolute).transpose()?,
            owner: Owner {
                uid: arguments.uid.unwrap_or(user),
                gid: arguments.gid.unwrap_or(group),
                umask: arguments.umask,
            },
            foreground: arguments.foreground,
            client_side: ClientSide::for_mount(arguments, absolute)?,
        })
    }

    /// Nobody said how a bucket's objects are to be encrypted.
    pub(super) fn is_bucket_default(&self) -> bool {
        matches!(self.client_side, ClientSide::Unstated(_))
            && matches!(self.store, StoreConfig::S3(_))
    }

    /// Every file that the mount reads keys from.
    pub(super) fn key_files(&self) -> impl Iterator<Item = &Path> {
        let servers = match &self.store {
            StoreConfig::S3(settings) => Some(settings.encryption.key_files()),
            StoreConfig::Dir(_) => None,
        };
        servers
            .into_iter()
            .flatten()
            .chain(self.client_side.key_files())
    }
}

fn at_least(option: &'static str, size: ByteSize, minimum: ByteSize) -> Result<(), ConfigError> {
    if size < minimum {
        return Err(ConfigError::TooSmall {
            option,
            size,
            minimum,
        });
    }
    Ok(())
}

fn only_root_lifts_protections(flags: MountFlags, user: u32) -> Result<(), ConfigError> {
    match flags.lifted_protection() {
        Some(name) if user != 0 => Err(ConfigError::RootOnly { name }),
        _ => Ok(()),
    }
}

/// The daemon's working directory is `/`, so relative paths must not survive.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::NoWorkingDirectory {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{Arguments, Command};
    use super::*;

    fn config(options: &str) -> Result<MountConfig, String> {
        let typed: Vec<_> = format!("cloakfs mount {options}")
            .split(' ')
            .map(Into::into)
            .collect();
        match Arguments::read(&typed).unwrap().command {
            Command::Mount(arguments) => {
                MountConfig::from_arguments(&arguments).map_err(|error| error.to_string())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_of_one_kind_of_store_are_refused_with_the_other() {
        assert_eq!(
            config("dir:/s /m --encryption sse-s3").unwrap_err(),
            "--encryption sse-s3 is done by an S3 server, and dir:/s is a local directory; mount it without --encryption"
        );
        assert_eq!(
            config("dir:/s /m --endpoint-url http://h").unwrap_err(),
            "--endpoint-url is for s3:// sources, and dir:/s is a local directory; leave it out"
        );
        assert!(
            config("dir:/s /m -o path_style")
                .unwrap_err()
                .starts_with("--path-style is for")
        );
        for mode in ["sse-kms", "sse-c"] {
            assert!(
                config(&format!("dir:/s /m --encryption {mode} --key-file k"))
                    .unwrap_err()
                    .starts_with(&format!("--encryption {mode} is done by an S3 server"))
            );
        }
        for (option, mode) in [
            ("--kms-key k", "cse-kms"),
            ("--kms-context a=b", "cse-kms"),
            ("--kms-endpoint-url https://h", "cse-kms"),
            ("--key-file k", "cse-c"),
        ] {
            let name = option.split(' ').next().unwrap();
            assert_eq!(
                config(&format!("dir:/s /m {option}")).unwrap_err(),
                format!(
                    "{name} is for --encryption {mode}, and no mode was given; give --encryption {mode}, or leave {name} out"
                )
            );
        }
        for option in ["--bucket-key", "--dsse"] {
            assert_eq!(
                config(&format!("dir:/s /m {option}")).unwrap_err(),
                format!(
                    "{option} is for --encryption sse-kms, and no mode was given; leave {option} out"
                )
            );
        }
        assert_eq!(
            config("dir:/s /m --read-key-file k").unwrap_err(),
            "--read-key-file is for s3:// sources, and dir:/s is a local directory; leave it out"
        );
        assert!(config("dir:/s /m --encryption none").is_ok());
        assert!(config("s3://bucket /m --encryption sse-s3 --path-style").is_ok());
        // KMS is a server, wherever the store is.
        let kms = "dir:/s /m --encryption cse-kms --kms-key k --region r --profile p --ca-bundle c";
        assert!(config(kms).is_ok());
        assert_eq!(
            config("dir:/s /m --encryption cse-c --key-file k --region r").unwrap_err(),
            "--region is for s3:// sources, and dir:/s is a local directory; leave it out"
        );
    }

    #[test]
    fn relative_paths_do_not_survive() {
        let config = config("dir:s m --log-file l").unwrap();
        let here = std::env::current_dir().unwrap();
        assert!(
            matches!(config.store, StoreConfig::Dir(settings) if settings.path == here.join("s"))
        );
        assert_eq!(config.mountpoint, here.join("m"));
        assert_eq!(config.log_file, Some(here.join("l")));
    }

    #[test]
    fn a_size_that_cannot_work_is_refused() {
        assert_eq!(
            config("dir:/s /m --memory 1M").unwrap_err(),
            "--memory 1 MiB is too small; give at least 64 MiB"
        );
    }

    #[test]
    fn set_user_id_programs_and_devices_are_for_root() {
        let mut flags = MountFlags::DEFAULT;
        assert!(only_root_lifts_protections(flags, 1000).is_ok());
        flags.set("dev");
        assert!(only_root_lifts_protections(flags, 0).is_ok());
        assert_eq!(
            only_root_lifts_protections(flags, 1000)
                .unwrap_err()
                .to_string(),
            "-o dev is for root: objects of the bucket would get rights that nobody here has given; leave it out, or mount as root"
        );
    }

    #[test]
    fn a_mount_that_wants_to_be_alone_has_a_term_and_writes() {
        let plain = config("dir:/s /m").unwrap().consistency;
        assert!(!plain.exclusive && !plain.waits);
        assert_eq!(plain.term.term, Duration::from_mins(3));
        let alone = "dir:/s /m -o consistency=exclusive,wait_for_lease,lease_term=10,timeout=5";
        let alone = config(alone).unwrap().consistency;
        assert!(alone.exclusive && alone.waits);
        assert_eq!(alone.term.term, Duration::from_secs(10));
        assert_eq!(
            config("dir:/s /m --lease-term 100").unwrap_err(),
            "--lease-term 100 is too short for --timeout 60: a mount sends nothing for the last 60 s of a term; give a term of at least 120 s"
        );
        assert_eq!(
            config("dir:/s /m --consistency exclusive -o ro").unwrap_err(),
            "--consistency exclusive keeps a lease in the bucket, and a read-only mount writes nothing; leave one of them out"
        );
    }

    #[test]
    fn read_only_can_be_said_in_each_way() {
        for way in ["-o ro", "--read-only", "-o read_only", "-o rw,ro"] {
            let config = config(&format!("dir:/s /m {way}")).unwrap();
            assert!(config.kernel.flags.is_read_only(), "{way}");
        }
    }
}
