//! Two writers, one name: both versions are kept.

use std::sync::Arc;

use super::commit::base_lost;
use super::inode::{Content, Inode, Snapshot};
use super::{FileSystem, FsError, Result};
use crate::base::time::Timestamp;
use crate::layout::path::{PlainName, VolumePath};
use crate::store::ErrorKind;
use crate::volume::{Committed, Condition, Lineage, ObjectMeta, ObjectRef};
use crate::write::{DirtyFile, WriteError};

impl FileSystem {
    /// Keeps this mount's version beside the one that won, and lets the name be what it is in
    /// the bucket. Always an error: the caller's write did not get the name.
    pub(super) async fn resolve_conflict(
        self: &Arc<Self>,
        inode: &Arc<Inode>,
        content: &Arc<Content>,
        path: &VolumePath,
        dirty: &Arc<DirtyFile>,
    ) -> Result<()> {
        // From here on nobody writes to it: what came later would be in no copy.
        content.mark_stale();
        let meta = inode.state().meta.clone();
        let kept = self.keep_beside(path, &meta, dirty).await;
        let (kept, done) = kept.map_err(|error| match &error {
            NotKept::Failed(failed) => match base_lost(failed) {
                Some(lost) => self.give_up(inode, content, path, dirty, lost),
                None => error.into_error(path),
            },
            NotKept::NoRoom => error.into_error(path),
        })?;
        // Handles that are open go on reading what was written through them.
        let size = dirty.base().map_or(0, |base| base.size);
        content.update(|snapshot| {
            snapshot.committed(done.version, done.commit, size);
            snapshot.elsewhere = Some(ObjectRef::Path(kept.clone()));
        });
        self.stats.changed(path);
        self.stats.changed(&kept);
        self.forget_pending(inode);
        {
            let mut state = inode.state();
            state.meta_dirty = false;
            state.meta_set_here = false;
            state.changed = None;
            state.checked = None;
        }
        match self.volume.stat_file(path).await {
            Ok(Some(theirs))
                if theirs.meta.attributes.kind == inode.kind && !self.is_exclusive() =>
            {
                let mut state = inode.state();
                state.content = Arc::new(Content::new(Snapshot::of(&theirs)));
                state.meta = theirs.meta;
            }
            // Deleted, or something else by now, or the kernel would believe its own size of it: the
            // name is looked up anew.
            Ok(_) => self.table.unlink(inode),
            Err(error) => {
                tracing::warn!("after a conflict: {error}");
                self.table.unlink(inode);
            }
        }
        self.settled(inode);
        let error = FsError::conflict(path, &kept);
        self.notices.note_conflict(path, &kept);
        Err(error)
    }

    /// Commits to a name beside `path` that nobody has.
    pub(super) async fn keep_beside(
        &self,
        path: &VolumePath,
        meta: &ObjectMeta,
        dirty: &DirtyFile,
    ) -> std::result::Result<(VolumePath, Committed), NotKept> {
        // The name's file stays where it is: what is kept beside it is another.
        let meta = ObjectMeta {
            lineage: Lineage::new(),
            commit: None,
            ..meta.clone()
        };
        let now = Timestamp::now();
        let mut attempt = 0;
        let mut room = self.volume.name_bytes_max();
        loop {
            let host = &self.config.host;
            let fits = |kept: &VolumePath| self.volume.check_new(kept).is_ok();
            let (kept, bytes) =
                conflict_path(path, host, now, attempt, room, fits).ok_or(NotKept::NoRoom)?;
            match dirty.commit(&kept, &meta, &Condition::IfAbsent).await {
                Ok(done) => return Ok((kept, done)),
                Err(error) if error.kind() == Some(ErrorKind::Precondition) && attempt < 100 => {
                    attempt += 1;
                }
                Err(WriteError::Volume(error)) if error.is_name_too_long() => room = bytes - 1,
                Err(error) => return Err(NotKept::Failed(error)),
            }
        }
    }
}

/// Why there is no conflict copy.
pub(super) enum NotKept {
    NoRoom,
    Failed(WriteError),
}

impl NotKept {
    pub(super) fn into_error(self, path: &VolumePath) -> FsError {
        match self {
            Self::NoRoom => no_room(path),
            Self::Failed(error) => error.into(),
        }
    }
}

/// No name is short enough for a copy. What was written stays here as long as the mount does.
fn no_room(path: &VolumePath) -> FsError {
    FsError::refused(
        libc::ESTALE,
        format!(
            "ESTALE: {:?} was changed by somebody else since it was opened, and its path is too \
             long for a copy of yours beside it: what is open of it can still be read here, so \
             copy it from there before the mount ends",
            path.as_str()
        ),
    )
}

/// `NAME.conflict-HOST-TIME` beside `path`, with NAME shortened until the whole has at most
/// `room` bytes and `fits`; a number follows where two conflicts fall into one second. With the
/// bytes of its name. `None` for a path so deep that nothing fits.
fn conflict_path(
    path: &VolumePath,
    host: &str,
    time: Timestamp,
    attempt: u32,
    room: usize,
    fits: impl Fn(&VolumePath) -> bool,
) -> Option<(VolumePath, usize)> {
    let name = path.name()?;
    let parent = path.parent()?;
    let host: String = host
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let host = &host[..host.len().min(64)];
    let mut suffix = format!(".conflict-{host}-{}", time.compact_utc());
    if attempt > 0 {
        suffix = format!("{suffix}-{attempt}");
    }
    let room = name.len().min(room.checked_sub(suffix.len())?);
    let cuts = (0..=room).rev().filter(|cut| name.is_char_boundary(*cut));
    let mut paths = cuts.filter_map(|cut| {
        let kept = format!("{}{suffix}", &name[..cut]);
        let kept = PlainName::new(kept.as_ref()).ok()?;
        Some((parent.join(&kept), kept.as_str().len()))
    });
    paths.find(|(kept, _)| fits(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> VolumePath {
        VolumePath::root().join(&PlainName::new(name.as_ref()).unwrap())
    }

    fn conflict_name(path: &VolumePath, host: &str, time: Timestamp, attempt: u32) -> String {
        let kept = conflict_path(path, host, time, attempt, 255, |_| true).unwrap();
        kept.0.as_str().to_owned()
    }

    #[test]
    fn the_name_tells_where_and_when() {
        let time = Timestamp::new(1_763_712_000, 0).unwrap();
        let name = conflict_name(&path("a.txt"), "host.example", time, 0);
        assert_eq!(name, "a.txt.conflict-host_example-20251121T080000Z");
        let again = conflict_name(&path("a.txt"), "h", time, 2);
        assert_eq!(again, "a.txt.conflict-h-20251121T080000Z-2");
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let time = Timestamp::new(0, 0).unwrap();
        let name = conflict_name(&path(&"ä".repeat(127)), "h", time, 0);
        assert!(name.len() <= 255);
        assert!(name.ends_with("ä.conflict-h-19700101T000000Z"));
    }

    #[test]
    fn it_is_cut_until_its_key_fits_as_well() {
        let time = Timestamp::new(0, 0).unwrap();
        let file = path("dir").join(&PlainName::new("name".as_ref()).unwrap());
        let kept = |fitting: usize| {
            let fits = |kept: &VolumePath| kept.as_str().len() <= fitting;
            conflict_path(&file, "h", time, 0, 255, fits)
        };
        let suffix = ".conflict-h-19700101T000000Z";
        let (cut, bytes) = kept("dir/na".len() + suffix.len()).unwrap();
        assert_eq!(cut.as_str(), format!("dir/na{suffix}"));
        assert_eq!(bytes, "na".len() + suffix.len());
        assert!(kept("dir/".len() + suffix.len() - 1).is_none());
    }
}
