//! Two writers, one name: both versions are kept.

use std::sync::Arc;

use super::commit::base_lost;
use super::inode::{Content, Inode, Snapshot};
use super::{FileSystem, FsError, Result};
use crate::base::limits::{KEY_BYTES_MAX, NAME_BYTES_MAX};
use crate::base::time::Timestamp;
use crate::layout::path::{PlainName, VolumePath};
use crate::store::ErrorKind;
use crate::volume::{Condition, Lineage, ObjectRef};
use crate::write::DirtyFile;

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
        // The name's file stays where it is: what is kept beside it is another.
        let mut meta = inode.state().meta.clone();
        meta.lineage = Lineage::new();
        let now = Timestamp::now();
        let mut attempt = 0;
        let (kept, done) = loop {
            let name = conflict_name(path, &self.config.host, now, attempt)
                .ok_or_else(|| FsError::posix(libc::ESTALE))?;
            let kept = path.parent().unwrap_or_else(VolumePath::root).join(&name);
            match dirty.commit(&kept, &meta, &Condition::IfAbsent).await {
                Ok(done) => break (kept, done),
                Err(error) if error.kind() == Some(ErrorKind::Precondition) && attempt < 100 => {
                    attempt += 1;
                }
                Err(error) => {
                    return Err(match base_lost(&error) {
                        Some(error) => self.give_up(inode, content, path, dirty, error),
                        None => error.into(),
                    });
                }
            }
        };
        // Handles that are open go on reading what was written through them.
        let size = dirty.base().map_or(0, |base| base.size);
        content.update(|snapshot| {
            snapshot.committed(done.version, done.commit, size);
            snapshot.elsewhere = Some(ObjectRef::Path(kept.clone()));
        });
        content.drop_clean();
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
            Ok(Some(theirs)) if theirs.meta.attributes.kind == inode.kind => {
                let mut state = inode.state();
                state.content = Arc::new(Content::new(Snapshot::of(&theirs)));
                state.meta = theirs.meta;
            }
            // Deleted, or something else by now: the name is looked up anew.
            Ok(_) => self.table.unlink(inode),
            Err(error) => {
                tracing::warn!("after a conflict: {error}");
                self.table.unlink(inode);
            }
        }
        let error = FsError::conflict(path, &kept);
        self.notices.note_conflict(path, &kept);
        Err(error)
    }
}

/// `NAME.conflict-HOST-TIME`, with NAME shortened to what fits; a number follows where two
/// conflicts fall into one second. `None` for a path so deep that nothing fits.
fn conflict_name(
    path: &VolumePath,
    host: &str,
    time: Timestamp,
    attempt: u32,
) -> Option<PlainName> {
    let name = path.name()?;
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
    let parent = path.as_str().len() - name.len();
    let room = NAME_BYTES_MAX
        .min(KEY_BYTES_MAX.checked_sub(parent)?)
        .checked_sub(suffix.len())?;
    let mut cut = name.len().min(room);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    PlainName::new(format!("{}{suffix}", &name[..cut]).as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> VolumePath {
        VolumePath::root().join(&PlainName::new(name.as_ref()).unwrap())
    }

    #[test]
    fn the_name_tells_where_and_when() {
        let time = Timestamp::new(1_763_712_000, 0).unwrap();
        let name = conflict_name(&path("a.txt"), "host.example", time, 0).unwrap();
        assert_eq!(
            name.as_str(),
            "a.txt.conflict-host_example-20251121T080000Z"
        );
        let again = conflict_name(&path("a.txt"), "h", time, 2).unwrap();
        assert_eq!(again.as_str(), "a.txt.conflict-h-20251121T080000Z-2");
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let time = Timestamp::new(0, 0).unwrap();
        let name = conflict_name(&path(&"ä".repeat(127)), "h", time, 0).unwrap();
        assert!(name.as_str().len() <= NAME_BYTES_MAX);
        assert!(name.as_str().ends_with(".conflict-h-19700101T000000Z"));
    }
}
