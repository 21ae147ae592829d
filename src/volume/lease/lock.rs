//! A file in the state directory that is locked (flock) while a mount lives: so another mount
//! with the same state directory can tell that it is dead without waiting.
//!
//! It is told by the random name of the mount, by the file's inode (a copy of the directory has
//! another) and by the machine: the same start of it, or the same name after a restart.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::record::{Origin, Record};

const EXTENSION: &str = "lock";

/// Held for the life of a mount.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    _locked: File,
    pub inode: u64,
    stays: bool,
}

impl LockFile {
    /// `object` is where the mount is recorded: [`of_the_dead`] gives it back.
    pub(super) fn hold(dir: &Path, mount: &str, object: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = path(dir, mount);
        let mut options = OpenOptions::new();
        let file = options
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        // Before there is anything in it: who finds it empty does not know what it is of.
        file.lock()?;
        fs::write(&path, object)?;
        let inode = file.metadata()?.ino();
        Ok(Self {
            path,
            _locked: file,
            inode,
            stays: false,
        })
    }

    /// From now on there may be an object that it is of: whatever ends the mount leaves it.
    pub(super) fn stays(&mut self) {
        self.stays = true;
    }

    /// The object is gone for sure.
    pub(super) fn remove(mut self) {
        self.stays = false;
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if !self.stays {
            let _found_free_by_the_next = fs::remove_file(&self.path);
        }
    }
}

fn path(dir: &Path, mount: &str) -> PathBuf {
    dir.join(format!("{mount}.{EXTENSION}"))
}

/// The lock of a mount that has ended without taking it away.
fn of_a_dead(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

/// Whether the mount of a record is dead for sure.
pub(super) fn is_dead(dir: &Path, record: &Record, here: &Origin) -> bool {
    let same_machine = record.boot == here.boot || record.host == here.host;
    let is_name = record.mount.bytes().all(|byte| byte.is_ascii_hexdigit());
    same_machine
        && is_name
        && of_a_dead(&path(dir, &record.mount))
            .and_then(|file| file.metadata().ok())
            .is_some_and(|metadata| metadata.ino() == record.lock)
}

/// Whether the mount of a record lives for sure: on this machine somebody holds its lock.
pub(super) fn is_held(dir: &Path, record: &Record, here: &Origin) -> bool {
    let is_name = record.mount.bytes().all(|byte| byte.is_ascii_hexdigit());
    if record.boot != here.boot || !is_name {
        return false;
    }
    let Ok(file) = File::open(path(dir, &record.mount)) else {
        return false;
    };
    let is_its_own = file
        .metadata()
        .is_ok_and(|metadata| metadata.ino() == record.lock);
    is_its_own && matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
}

/// What a dead mount's lock is needed for has been done.
pub(super) fn forget(dir: &Path, mount: &str) {
    let _tried_again = fs::remove_file(path(dir, mount));
}

/// The mounts of `dir` that have died with a record at one of the objects that begin with
/// `objects`; their names.
pub(super) fn of_the_dead(dir: &Path, objects: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| path.extension().is_some_and(|is| is == EXTENSION))
        .filter(|path| {
            of_a_dead(path).is_some()
                && fs::read_to_string(path).is_ok_and(|object| object.starts_with(objects))
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn only_the_lock_of_this_very_mount_that_nobody_holds_tells_of_death() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("leases");
        let here = Origin {
            host: "h".to_owned(),
            boot: "b".to_owned(),
            pid: 1,
            since: 0,
            moves: false,
        };
        let mut record = record("h");
        record.mount = "ab".to_owned();
        assert!(!is_dead(&dir, &record, &here), "no lock, no proof");
        let mut held = LockFile::hold(&dir, "ab", "store .cloakfs/lease").unwrap();
        assert!(!is_held(&dir, &record, &here), "of another mount");
        record.lock = held.inode;
        assert!(!is_dead(&dir, &record, &here), "it lives");
        assert!(is_held(&dir, &record, &here));
        assert!(of_the_dead(&dir, "store ").is_empty());
        held.stays();
        drop(held);
        assert!(is_dead(&dir, &record, &here));
        assert!(!is_held(&dir, &record, &here));
        assert_eq!(of_the_dead(&dir, "store "), ["ab"]);
        assert!(of_the_dead(&dir, "other ").is_empty());
        let after_a_restart = Origin {
            boot: "c".to_owned(),
            ..here.clone()
        };
        assert!(is_dead(&dir, &record, &after_a_restart));
        let elsewhere = Origin {
            host: "i".to_owned(),
            ..after_a_restart
        };
        assert!(!is_dead(&dir, &record, &elsewhere));
        record.lock += 1;
        assert!(!is_dead(&dir, &record, &here), "a copy of the directory");
        forget(&dir, "ab");
        assert!(of_the_dead(&dir, "store ").is_empty());
        let mut held = LockFile::hold(&dir, "ab", "store x").unwrap();
        held.stays();
        held.remove();
        assert!(of_the_dead(&dir, "store ").is_empty());
    }
}
