//! No path that the daemon itself uses may lie under the mountpoint, nor the mountpoint under
//! one: the daemon would wait for its own answer, or the store would contain its own mount.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A path that the daemon reads or writes, under the name that the user knows it by.
#[derive(Clone, Copy, Debug)]
pub struct OwnPath<'a> {
    /// `the log file`, `the state directory`.
    pub what: &'static str,
    pub path: &'a Path,
}

#[derive(Debug, thiserror::Error)]
pub enum OverlapError {
    #[error(
        "{what} {path} lies under the mountpoint {mountpoint}, so cloakfs would wait for itself; choose a place outside of the mountpoint"
    )]
    Under {
        what: &'static str,
        path: PathBuf,
        mountpoint: PathBuf,
    },
    #[error(
        "the mountpoint {mountpoint} lies under {what} {path}, which would then contain its own mount; choose a mountpoint outside of it"
    )]
    Contains {
        what: &'static str,
        path: PathBuf,
        mountpoint: PathBuf,
    },
    #[error("{what} {path} cannot be used: {source}")]
    Unusable {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Checks paths that may not exist yet against a mountpoint that is absolute and without
/// symbolic links.
pub fn refuse_overlaps(mountpoint: &Path, own: &[OwnPath<'_>]) -> Result<(), OverlapError> {
    for OwnPath { what, path } in own {
        let resolved =
            canonical_as_far_as_it_exists(path).map_err(|source| OverlapError::Unusable {
                what,
                path: path.to_path_buf(),
                source,
            })?;
        refuse_overlap(mountpoint, what, &resolved)?;
    }
    Ok(())
}

/// The rule, on canonical paths.
pub fn refuse_overlap(
    mountpoint: &Path,
    what: &'static str,
    path: &Path,
) -> Result<(), OverlapError> {
    let (path, mountpoint) = (path.to_owned(), mountpoint.to_owned());
    if path.starts_with(&mountpoint) {
        Err(OverlapError::Under {
            what,
            path,
            mountpoint,
        })
    } else if mountpoint.starts_with(&path) {
        Err(OverlapError::Contains {
            what,
            path,
            mountpoint,
        })
    } else {
        Ok(())
    }
}

/// Canonicalises the longest part of `path` that exists and appends the rest.
fn canonical_as_far_as_it_exists(path: &Path) -> io::Result<PathBuf> {
    let mut existing = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    loop {
        match fs::canonicalize(&existing) {
            Ok(canonical) => {
                return Ok(missing
                    .iter()
                    .rev()
                    .fold(canonical, |path, name| path.join(name)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match existing.components().next_back() {
                    Some(Component::Normal(name)) => missing.push(name.to_owned()),
                    // `..` after something that does not exist.
                    _ => return Err(error),
                }
                existing.pop();
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn paths_on_either_side_of_the_mountpoint_are_refused() {
        let check = |path| refuse_overlap(Path::new("/mnt/a"), "the log file", Path::new(path));
        assert_eq!(
            check("/mnt/a/log").unwrap_err().to_string(),
            "the log file /mnt/a/log lies under the mountpoint /mnt/a, so cloakfs would wait for itself; choose a place outside of the mountpoint"
        );
        assert_eq!(
            check("/mnt").unwrap_err().to_string(),
            "the mountpoint /mnt/a lies under the log file /mnt, which would then contain its own mount; choose a mountpoint outside of it"
        );
        assert!(check("/mnt/a").is_err());
        assert!(check("/mnt/ab").is_ok());
        assert!(check("/mnt/b").is_ok());
    }

    #[test]
    fn a_symbolic_link_and_a_missing_end_do_not_hide_an_overlap() {
        let dir = tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("mnt")).unwrap();
        std::os::unix::fs::symlink(root.join("mnt"), root.join("link")).unwrap();
        let path = root.join("link/not/yet");
        let own = [OwnPath {
            what: "the state directory",
            path: &path,
        }];
        assert!(refuse_overlaps(&root.join("mnt"), &own).is_err());
        assert!(refuse_overlaps(&root.join("other"), &own).is_ok());
    }

    proptest! {
        #[test]
        fn the_rule_is_symmetric(a in "(/[ab]){1,4}", b in "(/[ab]){1,4}") {
            let one = refuse_overlap(Path::new(&a), "x", Path::new(&b)).is_err();
            let other = refuse_overlap(Path::new(&b), "x", Path::new(&a)).is_err();
            prop_assert_eq!(one, other);
            let related = format!("{a}/").starts_with(&format!("{b}/"))
                || format!("{b}/").starts_with(&format!("{a}/"));
            prop_assert_eq!(one, related);
        }
    }
}
