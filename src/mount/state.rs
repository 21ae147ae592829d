//! The state directory: staging, journals, and the locks and sockets of running mounts in its `run/`.
//!
//! `$CLOAKFS_STATE_DIR`, else `/var/lib/cloakfs` for root, else `$XDG_STATE_HOME/cloakfs`, else
//! `~/.local/state/cloakfs`. It is private to its user: mode 0700, and refused when it belongs
//! to someone else.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::mountpoint::Mountpoint;

/// The variable that says where it is.
pub const VARIABLE: &str = "CLOAKFS_STATE_DIR";

/// The directory, which [`Self::open`] makes.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "there is no place to keep state: neither {VARIABLE} nor XDG_STATE_HOME nor HOME is set; set {VARIABLE} to a directory"
    )]
    NoPlace,
    #[error(
        "the state directory {path} cannot be used: {source}; set {VARIABLE} to a directory that you may write"
    )]
    Unusable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the state directory {path} belongs to user {owner}, so what is in it cannot be trusted; set {VARIABLE} to a directory of your own"
    )]
    NotOurs { path: PathBuf, owner: u32 },
}

impl StateDir {
    /// Where it is to be, whether or not it exists.
    pub fn locate() -> Result<PathBuf, StateError> {
        // SAFETY: geteuid has no preconditions and cannot fail.
        let is_root = unsafe { libc::geteuid() } == 0;
        place(is_root, |name| {
            env::var_os(name).filter(|value| !value.is_empty())
        })
        .ok_or(StateError::NoPlace)
    }

    /// To look for what is in it; nothing is created.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Creates what is missing of it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let dir = Self(path.to_owned());
        make_private(path)?;
        make_private(&dir.run_dir())?;
        Ok(dir)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Held by the daemon that serves `mountpoint` for as long as it lives.
    #[must_use]
    pub fn lock_file(&self, mountpoint: &Mountpoint) -> PathBuf {
        self.run_dir().join(format!("{}.lock", id(mountpoint)))
    }

    /// Where that daemon listens.
    #[must_use]
    pub fn socket(&self, mountpoint: &Mountpoint) -> PathBuf {
        self.run_dir().join(format!("{}.sock", id(mountpoint)))
    }

    /// For the data that this mountpoint's daemon stages; made by whoever uses it.
    #[must_use]
    pub fn staging_dir(&self, mountpoint: &Mountpoint) -> PathBuf {
        self.0.join("staging").join(id(mountpoint))
    }

    /// The journals of closed files of all mounts.
    #[must_use]
    pub fn write_back_dir(&self) -> PathBuf {
        self.0.join("write-back")
    }

    /// The key of what is kept for volumes that have none.
    #[must_use]
    pub fn local_key(&self) -> PathBuf {
        self.0.join("local.key")
    }

    fn run_dir(&self) -> PathBuf {
        self.0.join("run")
    }
}

/// The rule, with the environment as a function.
fn place(is_root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(path) = variable(VARIABLE) {
        return Some(path.into());
    }
    if is_root {
        return Some("/var/lib/cloakfs".into());
    }
    variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .map(|base| base.join("cloakfs"))
}

fn make_private(path: &Path) -> Result<(), StateError> {
    let unusable = |source| StateError::Unusable {
        path: path.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(unusable)?;
    let metadata = fs::metadata(path).map_err(unusable)?;
    // SAFETY: geteuid has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    if metadata.uid() != user {
        return Err(StateError::NotOurs {
            path: path.to_owned(),
            owner: metadata.uid(),
        });
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
    }
    Ok(())
}

/// A short name for a mountpoint: 64-bit FNV-1a of its path. A collision shows as another
/// mountpoint's name in the answer, which the client checks.
fn id(mountpoint: &Mountpoint) -> String {
    use std::os::unix::ffi::OsStrExt;
    let hash = mountpoint
        .path()
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn the_place_follows_the_environment() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| OsString::from(value))
            }
        };
        let all = with(&[
            (VARIABLE, "/s"),
            ("XDG_STATE_HOME", "/x"),
            ("HOME", "/home/u"),
        ]);
        assert_eq!(place(true, all), Some("/s".into()));
        assert_eq!(
            place(true, with(&[("HOME", "/root")])),
            Some("/var/lib/cloakfs".into())
        );
        assert_eq!(
            place(
                false,
                with(&[("XDG_STATE_HOME", "/x"), ("HOME", "/home/u")])
            ),
            Some("/x/cloakfs".into())
        );
        assert_eq!(
            place(false, with(&[("HOME", "/home/u")])),
            Some("/home/u/.local/state/cloakfs".into())
        );
        assert_eq!(place(false, with(&[])), None);
    }

    #[test]
    fn it_is_made_private_also_when_it_was_open() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("deep/state");
        StateDir::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::open(&path).unwrap();
        for path in [path.clone(), path.join("run")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
        }
    }
}
