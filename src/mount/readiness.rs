//! Whether this system can mount at all, looked at without mounting.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::fusermount::{FORBIDDEN_WORDS, HELPER};
use super::mounting::{DEVICE, MountError};

/// Where fusermount3 reads what ordinary users may.
const FUSE_CONF: &str = "/etc/fuse.conf";
/// Set-user-id: the helper runs as root.
const SET_USER_ID: u32 = 0o4000;
const EXECUTABLE: u32 = 0o111;

/// Whether the device can be opened.
///
/// # Errors
/// Why it cannot.
pub fn device() -> Result<(), MountError> {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Err(MountError::DeviceNotPermitted),
            _ => Err(MountError::NoDevice),
        },
    }
}

/// Whether the process may mount by itself, without the helper.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The set-user-id helper that mounts for ordinary users, as `path` (`PATH`'s value) leads to it.
///
/// # Errors
/// When there is none, or it cannot do its work.
pub fn helper(path: &OsStr) -> Result<PathBuf, MountError> {
    let mut places = std::env::split_paths(path).map(|directory| directory.join(HELPER));
    let is_program = |place: &PathBuf| {
        let metadata = place.metadata();
        metadata.is_ok_and(|it| it.is_file() && it.mode() & EXECUTABLE != 0)
    };
    let found = places.find(is_program).ok_or(MountError::NoHelper)?;
    let metadata = found.metadata().map_err(|_gone| MountError::NoHelper)?;
    if metadata.mode() & SET_USER_ID == 0 || metadata.uid() != 0 {
        return Err(MountError::HelperPowerless { helper: found });
    }
    Ok(found)
}

/// Whether ordinary users may let others into what they mount.
///
/// # Errors
/// When they may not.
pub fn others_let_in() -> Result<(), MountError> {
    others_let_in_by(Path::new(FUSE_CONF))
}

fn others_let_in_by(conf: &Path) -> Result<(), MountError> {
    let text = std::fs::read_to_string(conf).unwrap_or_default();
    if text.lines().any(|line| line.trim() == FORBIDDEN_WORDS) {
        Ok(())
    } else {
        Err(MountError::AllowOtherNotPermitted)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_helper_that_is_missing_and_one_without_its_right_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().as_os_str();
        assert!(matches!(helper(path), Err(MountError::NoHelper)));
        let file = dir.path().join(HELPER);
        fs::write(&file, "").unwrap();
        assert!(matches!(helper(path), Err(MountError::NoHelper)));
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            helper(path).unwrap_err().to_string(),
            format!(
                "the helper {} is not root's with the set-user-id bit, so it cannot mount for ordinary users; install the package fuse3 again, or mount as root",
                file.display()
            )
        );
    }

    #[test]
    fn others_are_let_in_by_a_line_that_is_no_comment() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("fuse.conf");
        assert!(others_let_in_by(&conf).is_err());
        fs::write(&conf, "# user_allow_other\nmount_max = 1\n").unwrap();
        assert!(others_let_in_by(&conf).is_err());
        fs::write(&conf, "mount_max = 1\n  user_allow_other \n").unwrap();
        assert!(others_let_in_by(&conf).is_ok());
    }
}
