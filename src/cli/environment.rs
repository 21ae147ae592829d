//! What the environment lacks or would come to mean something else. All of it before the process
//! has a second thread.

use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;

const HOME: &str = "HOME";
/// Paths in the environment that the AWS chain reads, perhaps again while mounted.
const PATH_VARIABLES: [&str; 4] = [
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// The working directory is about to be `/`.
pub(super) fn make_paths_absolute() {
    for name in PATH_VARIABLES {
        if let Some(value) = std::env::var_os(name)
            && !value.is_empty()
            && let Ok(path) = std::path::absolute(PathBuf::from(&value))
        {
            // SAFETY: the process has one thread (the module's rule).
            unsafe { std::env::set_var(name, path) };
        }
    }
}

/// Where HOME is not set, as under systemd and in the helpers that mount(8) starts for ordinary
/// users, it is what the password database says: the AWS chain looks for `~/.aws`, and an
/// ordinary user's state is below it.
pub(super) fn find_home() {
    if std::env::var_os(HOME).is_none_or(|home| home.is_empty())
        && let Some(home) = home_of_user()
    {
        // SAFETY: the process has one thread (the module's rule).
        unsafe { std::env::set_var(HOME, home) };
    }
}

fn home_of_user() -> Option<PathBuf> {
    /// The largest that a directory service is known to need is far below.
    const BUFFER_BYTES: usize = 64 << 10;
    let mut buffer: Vec<libc::c_char> = vec![0; BUFFER_BYTES];
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found: *mut libc::passwd = ptr::null_mut();
    // SAFETY: geteuid has no preconditions; the pointers and the length describe `entry`,
    // `buffer` and `found`, which outlive the call.
    let result = unsafe {
        libc::getpwuid_r(
            libc::geteuid(),
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut found,
        )
    };
    if result != 0 || found.is_null() {
        return None;
    }
    // SAFETY: getpwuid_r succeeded, so `found` points to `entry`, whose strings are in `buffer`.
    let home = unsafe { (*found).pw_dir };
    if home.is_null() {
        return None;
    }
    // SAFETY: a NUL-terminated string in `buffer`.
    let home = unsafe { CStr::from_ptr(home) }.to_bytes();
    home.starts_with(b"/")
        .then(|| PathBuf::from(OsStr::from_bytes(home)))
}

/// This machine's name; `localhost` where it has none.
pub(super) fn host_name() -> String {
    let mut buffer = [0_u8; 256];
    // SAFETY: the pointer and length describe `buffer`; one byte is left for the terminator.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    let len = buffer.iter().position(|byte| *byte == 0).unwrap_or(0);
    if result != 0 || len == 0 {
        return "localhost".to_owned();
    }
    OsStr::from_bytes(&buffer[..len])
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_database_knows_a_home() {
        let table = std::fs::read_to_string("/etc/passwd").unwrap();
        // SAFETY: geteuid has no preconditions and cannot fail.
        let user = unsafe { libc::geteuid() }.to_string();
        let line = table
            .lines()
            .find(|line| line.split(':').nth(2) == Some(&user));
        let expected = line
            .and_then(|line| line.split(':').nth(5))
            .map(PathBuf::from);
        assert_eq!(home_of_user(), expected);
    }
}
