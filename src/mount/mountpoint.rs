//! Where to mount: resolved without touching what is mounted there, then examined once.
//!
//! A path lookup that ends at a hung mount would hang with it. So only the parent directory is
//! canonicalised; the last component is read as a symbolic link at most, which the kernel
//! answers from its own memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::mountinfo::{self, MountEntry};

/// As many symbolic links are followed at the end of a path; the kernel has the same limit.
const LINKS_MAX: usize = 40;

/// An absolute path without symbolic links, as the kernel's mount table would show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mountpoint(PathBuf);

/// What [`Mountpoint::examine`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// An ordinary directory, to be mounted on.
    Directory,
    /// A mount of ours whose daemon died; to be removed first.
    Dead(MountEntry),
}

#[derive(Debug, thiserror::Error)]
pub enum MountpointError {
    #[error("the mountpoint {path} does not exist; make it with: mkdir -p {path}")]
    Missing { path: PathBuf },
    #[error("the mountpoint {path} is not a directory; name a directory")]
    NotADirectory { path: PathBuf },
    #[error(
        "the mountpoint {path} is not empty, and mounting would hide what is in it; choose an empty directory, or give -o nonempty"
    )]
    NotEmpty { path: PathBuf },
    #[error("{path} is already mounted: {entry}; unmount it first with: cloakfs umount {path}")]
    AlreadyMounted {
        path: PathBuf,
        entry: Box<MountEntry>,
    },
    #[error(
        "at {path} there is a dead mount of another program: {entry}; remove it with: umount --lazy {path}"
    )]
    DeadForeign {
        path: PathBuf,
        entry: Box<MountEntry>,
    },
    #[error("the mountpoint {path} cannot be used: {source}")]
    Unusable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Mountpoint {
    /// Finds the place that `path` means, relative to the working directory.
    pub fn resolve(path: &Path) -> Result<Self, MountpointError> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Some(name) = path.file_name() else {
                // `/`, or a path that ends in `..`: nothing to keep hands off.
                return fs::canonicalize(&path)
                    .map(Self)
                    .map_err(|source| failed(&path, source));
            };
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            let parent = fs::canonicalize(parent).map_err(|source| failed(&path, source))?;
            let resolved = parent.join(name);
            match fs::read_link(&resolved) {
                Ok(target) => path = parent.join(target),
                // It exists and is no symbolic link. A dead mount may answer as such.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::EINVAL | libc::ENOTCONN | libc::EACCES)
                    ) =>
                {
                    return Ok(Self(resolved));
                }
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(failed(&path, io::Error::from_raw_os_error(libc::ELOOP)))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether what is mounted here has lost its daemon. Touches the mount: only where no daemon
    /// of ours is known to live.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        fs::metadata(&self.0).is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
    }

    /// Looks whether it can be mounted on. To be called only when no daemon of ours serves it
    /// (see [`super::claim`]): a daemon that is stopped would let this wait for it.
    pub fn examine(&self, may_hide_files: bool) -> Result<Found, MountpointError> {
        let path = || self.0.clone();
        let entry = mountinfo::mounted_at(&self.0).map_err(|source| failed(&self.0, source))?;
        let metadata = fs::metadata(&self.0);
        if let Some(entry) = entry.filter(|entry| entry.fs_type.starts_with("fuse")) {
            let dead = metadata
                .as_ref()
                .is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN));
            if !dead {
                return Err(MountpointError::AlreadyMounted {
                    path: path(),
                    entry: Box::new(entry),
                });
            }
            return if entry.fs_type == mountinfo::FS_TYPE {
                Ok(Found::Dead(entry))
            } else {
                Err(MountpointError::DeadForeign {
                    path: path(),
                    entry: Box::new(entry),
                })
            };
        }
        if !metadata.map_err(|source| failed(&self.0, source))?.is_dir() {
            return Err(MountpointError::NotADirectory { path: path() });
        }
        if !may_hide_files {
            let mut names = fs::read_dir(&self.0).map_err(|source| failed(&self.0, source))?;
            if names.next().is_some() {
                return Err(MountpointError::NotEmpty { path: path() });
            }
        }
        Ok(Found::Directory)
    }
}

fn failed(path: &Path, source: io::Error) -> MountpointError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => MountpointError::Missing { path },
        io::ErrorKind::NotADirectory => MountpointError::NotADirectory { path },
        _ => MountpointError::Unusable { path, source },
    }
}

impl std::fmt::Display for Mountpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn symbolic_links_are_followed_to_the_end() {
        let dir = tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        symlink("real/deep", root.join("link")).unwrap();
        symlink(root.join("link"), root.join("link-to-link")).unwrap();
        for way in [
            "real/deep",
            "link",
            "link-to-link",
            "real/deep/",
            "real/../link/.",
        ] {
            let resolved = Mountpoint::resolve(&root.join(way)).unwrap();
            assert_eq!(resolved.path(), root.join("real/deep"), "{way}");
        }
        symlink("loop", root.join("loop")).unwrap();
        assert!(Mountpoint::resolve(&root.join("loop")).is_err());
    }

    fn sentence(path: &Path) -> String {
        Mountpoint::resolve(path)
            .and_then(|mountpoint| mountpoint.examine(false))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_cannot_be_mounted_on_is_said_with_what_to_do() {
        let dir = tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let at = |name: &str| root.join(name).display().to_string();
        fs::write(root.join("file"), "").unwrap();
        fs::create_dir_all(root.join("full/of")).unwrap();
        assert_eq!(
            sentence(&root.join("none")),
            format!(
                "the mountpoint {0} does not exist; make it with: mkdir -p {0}",
                at("none")
            )
        );
        assert_eq!(
            sentence(&root.join("file")),
            format!(
                "the mountpoint {} is not a directory; name a directory",
                at("file")
            )
        );
        assert_eq!(
            sentence(&root.join("full")),
            format!(
                "the mountpoint {} is not empty, and mounting would hide what is in it; choose an empty directory, or give -o nonempty",
                at("full")
            )
        );
        let full = Mountpoint::resolve(&root.join("full")).unwrap();
        assert_eq!(full.examine(true).unwrap(), Found::Directory);
    }
}
