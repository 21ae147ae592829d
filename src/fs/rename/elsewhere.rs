//! Directories that get another name without an operation of this mount: the renames of dead
//! mounts, which are finished in the background. What was known of either name is asked for again.

use crate::fs::FileSystem;
use crate::layout::path::VolumePath;
use crate::volume::RenameObserver;

impl RenameObserver for FileSystem {
    fn renamed_elsewhere(&self, from: &VolumePath, to: &VolumePath) {
        self.stats.all_changed();
        for inode in self.table.all() {
            let path = self.table.path(&inode);
            if path.is_some_and(|path| path.starts_with(from) || path.starts_with(to)) {
                inode.state().checked = None;
            }
        }
    }
}
