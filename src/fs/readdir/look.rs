//! Finding out what listed names are.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Kind, Listed, Looked};
use crate::fs::inode::Inode;
use crate::fs::{FileSystem, FsError, Result};
use crate::layout::path::{PlainName, VolumePath};
use crate::store::ListedObject;

/// Attributes that one directory asks for at once.
const PARALLEL_STATS: usize = 64;

impl FileSystem {
    /// Finds out what entries are, many at once: those whose type the listing does not tell, and
    /// with `plus` all. By their place in `entries`; what has gone meanwhile is not there.
    pub(super) async fn look_at(
        &self,
        dir: &Arc<Inode>,
        path: &VolumePath,
        entries: &mut [Listed],
        plus: bool,
    ) -> Result<HashMap<usize, Looked>> {
        let mut looks = Vec::new();
        for (index, listed) in entries.iter().enumerate() {
            let (object, asked) = match &listed.kind {
                Kind::Small(object, asked) => (Some(object.clone()), *asked),
                Kind::Large(object, asked) if plus => (Some(object.clone()), *asked),
                Kind::Known(_) if plus => (None, Instant::now()),
                Kind::Known(_) | Kind::Large(..) => continue,
            };
            looks.push((index, listed.name.clone(), object, asked));
        }
        let looked = stream::iter(looks.into_iter().map(
            |(index, name, object, asked)| async move {
                let path = path.join(&name);
                let looked = self
                    .look_at_one(dir, &name, path, object.as_ref(), asked)
                    .await?;
                Ok::<_, FsError>((index, looked))
            },
        ))
        .buffer_unordered(PARALLEL_STATS)
        .try_filter_map(|(index, looked)| ready(Ok(looked.map(|looked| (index, looked)))))
        .try_collect::<HashMap<_, _>>()
        .await?;
        for (index, looked) in &looked {
            if !plus {
                entries[*index].kind = Kind::Known(looked.kind());
            }
        }
        Ok(looked)
    }

    /// What an entry is; `None` when it has gone meanwhile.
    async fn look_at_one(
        &self,
        dir: &Inode,
        name: &PlainName,
        path: VolumePath,
        object: Option<&ListedObject>,
        asked: Instant,
    ) -> Result<Option<Looked>> {
        if let Some(inode) = self.table.child(dir.ino, name)
            && (inode.is_uncommitted() || self.is_fresh(&inode))
        {
            return Ok(Some(Looked::Inode(inode)));
        }
        if let Some((stat, asked)) = self.stats.fresh(&path) {
            return Ok(Some(Looked::Stat(Box::new(stat), asked)));
        }
        let (stat, asked) = match object {
            Some(object) if self.volume.trusts_listing() => {
                (Some(self.volume.stat_from_listing(object)), asked)
            }
            Some(object) => {
                if let Some(stat) = self.stats.vouched(&path, object, asked) {
                    (Some(stat), asked)
                } else {
                    let asked = Instant::now();
                    (self.volume.stat_file(&path).await?, asked)
                }
            }
            None => {
                let asked = Instant::now();
                (self.volume.stat(&path).await?, asked)
            }
        };
        let Some(stat) = stat else { return Ok(None) };
        self.stats.note(path, stat.clone(), asked);
        Ok(Some(Looked::Stat(Box::new(stat), asked)))
    }
}
