//! Entering another mount namespace, as mount(8) with `--namespace` tells its helpers to:
//! setns(2).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[error(
    "the mount namespace {path} cannot be entered: {source}; name a process, or a file as in /proc/PID/ns/mnt, and be root"
)]
pub struct NamespaceError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Enters the namespace of the process `name`, or that of a file. Paths mean what they mean
/// there from then on, and the working directory is its root. Only while the process has one
/// thread.
pub fn enter(name: &OsStr) -> Result<(), NamespaceError> {
    let path = file_of(name);
    let failed = |source| NamespaceError {
        path: path.clone(),
        source,
    };
    let file = File::open(&path).map_err(failed)?;
    // SAFETY: the descriptor is open for the length of the call.
    match unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNS) } {
        0 => Ok(()),
        _ => Err(failed(io::Error::last_os_error())),
    }
}

fn file_of(name: &OsStr) -> PathBuf {
    let pid = name.to_str().filter(|text| !text.is_empty());
    match pid {
        Some(pid) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
            PathBuf::from(format!("/proc/{pid}/ns/mnt"))
        }
        _ => Path::new(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_process_and_anything_else_a_file() {
        assert_eq!(file_of(OsStr::new("42")), Path::new("/proc/42/ns/mnt"));
        assert_eq!(file_of(OsStr::new("/run/ns")), Path::new("/run/ns"));
        assert_eq!(file_of(OsStr::new("4b")), Path::new("4b"));
    }

    #[test]
    fn what_is_no_namespace_is_told() {
        let error = enter(OsStr::new("/no/such")).unwrap_err().to_string();
        assert_eq!(
            error,
            "the mount namespace /no/such cannot be entered: No such file or directory (os error 2); name a process, or a file as in /proc/PID/ns/mnt, and be root"
        );
        let error = enter(OsStr::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("Invalid argument"), "{error}");
    }
}
