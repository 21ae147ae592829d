//! A file becomes a clone: its content is that of another object, copied on the server.

use std::panic::resume_unwind;

use super::file::DirtyFile;
use super::{Base, Result};
use crate::layout::path::VolumePath;
use crate::volume::{Committed, Condition, ObjectMeta, ObjectRef};

impl DirtyFile {
    /// Makes the object at `target` a copy of `source` with these attributes, if the condition
    /// holds. What was written before is replaced, and writes wait meanwhile; afterwards nothing
    /// is dirty and the base is the new version.
    ///
    /// # Errors
    /// What the bucket answered. The file is as before then.
    pub async fn commit_clone(
        &self,
        source: &Base,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let (file, source) = (self.shared(), source.clone());
        let (target, meta, condition) = (target.clone(), meta.clone(), condition.clone());
        // As a commit: a caller who goes away leaves nothing half done.
        let task = tokio::spawn(async move {
            let _alone = file.gate.write().await;
            file.pause_stream().await;
            let done = file.clone_alone(&source, &target, &meta, &condition).await;
            file.resume();
            done
        });
        task.await
            .unwrap_or_else(|died| resume_unwind(died.into_panic()))
    }

    async fn clone_alone(
        &self,
        source: &Base,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let (object, version, size) = (&source.object, &source.version, source.size);
        let volume = &self.engine.volume;
        let committed = volume
            .clone_to(object, version, size, target, meta, condition)
            .await?;
        let base = Base {
            object: ObjectRef::Path(target.clone()),
            version: committed.version.clone(),
            size,
        };
        let mut state = self.state();
        let gone = state.table.replaced(base);
        self.forget(&state, gone);
        let (stream, private) = (state.stream.take(), state.private.take());
        drop(state);
        self.clear_away(stream, private);
        Ok(committed)
    }

    /// Takes back some of a cut of this file, so that it is the first `size` bytes of its base.
    /// `false`, and nothing is changed, where something was written since.
    pub async fn uncut(&self, size: u64) -> bool {
        let _alone = self.gate.write().await;
        self.state().table.uncut(size)
    }
}
