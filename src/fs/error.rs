//! What an operation answers when it fails, and the one table from causes to errno.

use std::fmt;

use super::closed::WhyClosed;
use crate::layout::path::NameError;
use crate::store::ErrorKind;
use crate::volume::VolumeError;
use crate::write::WriteError;

/// A failed filesystem operation. Whatever becomes EIO, EACCES, ESTALE or ETIMEDOUT because
/// of the store has been logged with its object and cause when this is made.
#[derive(Clone, Debug)]
pub struct FsError {
    errno: i32,
    message: String,
    /// The object is closed to this mount, and is shown as far as a listing shows it.
    closed: bool,
    /// What was written is in no file, nor will it be.
    lost: bool,
}

impl FsError {
    #[must_use]
    pub const fn errno(&self) -> i32 {
        self.errno
    }

    /// An answer that POSIX prescribes; no log line.
    pub(super) fn posix(errno: i32) -> Self {
        Self {
            errno,
            message: std::io::Error::from_raw_os_error(errno).to_string(),
            closed: false,
            lost: false,
        }
    }

    /// A refusal whose words the log has already.
    pub(super) const fn quietly(errno: i32, message: String) -> Self {
        Self {
            errno,
            message,
            closed: false,
            lost: false,
        }
    }

    /// A refusal that needs words; the words are logged.
    pub(super) fn refused(errno: i32, message: String) -> Self {
        tracing::warn!("{message}");
        Self::quietly(errno, message)
    }

    /// The same of what nobody stores any more.
    pub(super) fn of_what_is_lost(self) -> Self {
        Self { lost: true, ..self }
    }

    /// Whether no other attempt stores what was written, and no copy has it.
    pub(super) const fn is_of_what_is_lost(&self) -> bool {
        self.lost
    }

    /// The same before there is an answer; nothing is logged.
    pub(super) fn why_volume_closed(error: &VolumeError) -> Option<WhyClosed> {
        is_closed(error).then(|| WhyClosed {
            errno: errno_of(error.kind(), None),
            reason: error.to_string(),
        })
    }

    /// Why the object that was looked at is closed to this mount, if that is the trouble.
    pub(super) fn why_closed(&self) -> Option<WhyClosed> {
        self.closed.then(|| WhyClosed {
            errno: self.errno,
            reason: self.message.clone(),
        })
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FsError {}

impl From<NameError> for FsError {
    fn from(error: NameError) -> Self {
        let errno = match error {
            NameError::TooLong => libc::ENAMETOOLONG,
            NameError::NotUtf8 => libc::EILSEQ,
            NameError::Invalid => libc::EINVAL,
        };
        Self::quietly(errno, error.to_string())
    }
}

impl From<VolumeError> for FsError {
    fn from(error: VolumeError) -> Self {
        Self::of(&error)
    }
}

impl FsError {
    /// The errno of a volume's error, with its log line.
    pub(super) fn of(error: &VolumeError) -> Self {
        if let Some(name) = error.name_error() {
            return (*name).into();
        }
        let message = error.to_string();
        if error.is_metadata_too_large() {
            return Self::refused(libc::ENOSPC, message);
        }
        let code = error.store_error().and_then(|error| error.code());
        let errno = errno_of(error.kind(), code);
        let explains = error.concerns_encryption() || error.object_error().is_some();
        log(errno, &message, error, explains);
        Self {
            errno,
            message,
            closed: is_closed(error),
            lost: false,
        }
    }
}

impl From<WriteError> for FsError {
    fn from(error: WriteError) -> Self {
        let errno = match &error {
            WriteError::Volume(error) => return Self::of(error),
            WriteError::NoSpace { .. } => libc::ENOSPC,
            WriteError::TooLarge(_) => libc::EFBIG,
            WriteError::BaseLost(_) => libc::ESTALE,
            WriteError::Staging(_) | WriteError::UploadLost(_) => libc::EIO,
        };
        let message = error.to_string();
        log(errno, &message, &error, false);
        Self::quietly(errno, message)
    }
}

/// Whether a look failed at an object that is there, but is not to be had: for lack of its key or
/// of the right to it, or because it does not open.
fn is_closed(error: &VolumeError) -> bool {
    error.kind() == ErrorKind::Denied || error.object_error().is_some()
}

/// The table. A precondition that reaches here is a version that somebody else replaced.
fn errno_of(kind: ErrorKind, code: Option<&str>) -> i32 {
    match kind {
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::Precondition | ErrorKind::Conflict => libc::ESTALE,
        ErrorKind::Denied => libc::EACCES,
        ErrorKind::Invalid if code == Some("EntityTooLarge") => libc::EFBIG,
        ErrorKind::Invalid
            if matches!(code, Some("KeyTooLongError" | "XMinioInvalidObjectName")) =>
        {
            libc::ENAMETOOLONG
        }
        ErrorKind::Invalid if matches!(code, Some("ENOSPC" | "QuotaExceeded")) => libc::ENOSPC,
        ErrorKind::Throttled
        | ErrorKind::TimedOut
        | ErrorKind::Unavailable
        | ErrorKind::Corrupt
        | ErrorKind::Invalid => libc::EIO,
    }
}

fn log(errno: i32, message: &str, error: &dyn std::error::Error, explains: bool) {
    if errno != libc::ENOENT {
        tracing::error!("{}", log_line(errno, message, error, explains));
    }
}

/// Where the error `explains` itself, as those do that the encryption is the cause of, its own
/// sentence says what to do.
fn log_line(errno: i32, message: &str, error: &dyn std::error::Error, explains: bool) -> String {
    let advice = if explains { "" } else { advice(errno) };
    let mut causes = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !message.contains(&text) {
            causes.push_str(": ");
            causes.push_str(&text);
        }
        next = cause.source();
    }
    let name = match errno {
        libc::EIO => "EIO",
        libc::EACCES => "EACCES",
        libc::ESTALE => "ESTALE",
        libc::ENOSPC => "ENOSPC",
        libc::EFBIG => "EFBIG",
        _ => "refused",
    };
    format!("{name}: {message}{causes}{advice}")
}

/// What to do about it.
const fn advice(errno: i32) -> &'static str {
    match errno {
        libc::EIO => "; the operation can be repeated once the cause is gone",
        libc::EACCES => "; check the credentials and the bucket's permissions",
        libc::ESTALE => "; the object was changed by somebody else: open the file again",
        libc::ENOSPC => "; free some space, or raise --staging-size",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_errno_that_the_design_names() {
        let table = [
            (ErrorKind::NotFound, libc::ENOENT),
            (ErrorKind::Precondition, libc::ESTALE),
            (ErrorKind::Conflict, libc::ESTALE),
            (ErrorKind::Denied, libc::EACCES),
            (ErrorKind::Throttled, libc::EIO),
            (ErrorKind::TimedOut, libc::EIO),
            (ErrorKind::Unavailable, libc::EIO),
            (ErrorKind::Corrupt, libc::EIO),
            (ErrorKind::Invalid, libc::EIO),
        ];
        for (kind, errno) in table {
            assert_eq!(errno_of(kind, None), errno, "{kind:?}");
        }
        assert_eq!(
            errno_of(ErrorKind::Invalid, Some("EntityTooLarge")),
            libc::EFBIG
        );
    }

    #[test]
    fn where_the_encryption_is_why_its_own_sentence_is_the_advice() {
        let error = |encryption: bool| {
            let error = crate::store::StoreError::new(
                ErrorKind::Denied,
                crate::store::Operation::GetObject,
                "f",
                "the key is disabled; enable it",
            );
            let error = if encryption {
                error.about_encryption()
            } else {
                error
            };
            log_line(libc::EACCES, &error.to_string(), &error, encryption)
        };
        assert_eq!(
            error(true),
            "EACCES: GetObject of \"f\" failed: the key is disabled; enable it"
        );
        assert_eq!(
            error(false),
            "EACCES: GetObject of \"f\" failed: the key is disabled; enable it; check the \
             credentials and the bucket's permissions"
        );
    }
}
