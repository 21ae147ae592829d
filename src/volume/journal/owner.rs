//! Whose something in the bucket is, and whether that mount is known to be dead.

use std::fmt;
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Journal;
use crate::base::id::CommitId;

/// A mount, as others name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::volume) struct Owner {
    /// The machine's name.
    host: String,
    /// Names the directory of its journal, since machines can share a name.
    state: String,
    mount: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mount {:?} on {:?}", self.mount, self.host)
    }
}

impl Journal {
    /// This mount.
    pub(in crate::volume) fn owner(&self) -> Owner {
        self.owner.clone()
    }

    /// A mount of this machine and this state directory whose journal nobody holds has ended,
    /// however. Of others nothing is known.
    pub(in crate::volume) fn is_dead(&self, owner: &Owner) -> bool {
        let is_near = owner.host == self.owner.host && owner.state == self.owner.state;
        // Part of a file's name, and anybody may have written it.
        let is_id =
            owner.mount.len() == 16 && (owner.mount.bytes()).all(|byte| byte.is_ascii_hexdigit());
        if !is_near || !is_id {
            return false;
        }
        let path = self.path.with_file_name(format!("{}.uploads", owner.mount));
        match OpenOptions::new().read(true).open(path) {
            Ok(file) => !matches!(
                file.try_lock(),
                Err(TryLockError::WouldBlock | TryLockError::Error(_))
            ),
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

impl Owner {
    /// The mount with this id, whose journal is in `dir`.
    pub(super) fn new(dir: &Path, mount: &str) -> std::io::Result<Self> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Self {
            host: host.trim_end().to_owned(),
            state: state_id(dir)?,
            mount: mount.to_owned(),
        })
    }
}

/// What a state directory is called; made once.
fn state_id(dir: &Path) -> std::io::Result<String> {
    let path = dir.join("id");
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    // Whole from the beginning, and the first of several wins.
    let id = CommitId::random().to_string();
    let draft: PathBuf = dir.join(format!("{id}.id"));
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(id.as_bytes())?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => fs::read_to_string(&path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_dead_is_dead() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let open = |dir: &Path, mount: &str| Journal::open(dir, "s", mount).unwrap().0;
        let ours = open(here.path(), "00000000000000aa");
        let living = open(here.path(), "00000000000000bb");
        let ended = open(here.path(), "00000000000000cc");
        let far = open(elsewhere.path(), "00000000000000dd");
        let dead = ended.owner();
        drop(ended);
        assert!(ours.is_dead(&dead), "its journal is gone");
        assert!(!ours.is_dead(&living.owner()));
        assert!(!ours.is_dead(&ours.owner()));
        let far_owner = far.owner();
        drop(far);
        assert!(!ours.is_dead(&far_owner), "another state directory");
        let path = here.path().join("00000000000000ee.uploads");
        fs::write(&path, "").unwrap();
        let killed = Owner {
            mount: "00000000000000ee".to_owned(),
            ..dead.clone()
        };
        assert!(
            ours.is_dead(&killed),
            "its journal is there, and nobody holds it"
        );
        let elsewhere = Owner {
            host: "another machine".to_owned(),
            ..dead.clone()
        };
        assert!(!ours.is_dead(&elsewhere));
        let odd = Owner {
            mount: "../../etc/passwd".to_owned(),
            ..dead
        };
        assert!(!ours.is_dead(&odd));
    }
}
