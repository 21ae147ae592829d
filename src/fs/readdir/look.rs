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
            if plus || matches!(listed.kind, Kind::Small(..)) {
                looks.push((index, listed.clone()));
            }
        }
        let looked = stream::iter(looks.into_iter().map(|(index, listed)| async move {
            let path = path.join(&listed.name);
            let looked = self
                .look_at_one(dir, &listed.name, path, &listed.kind)
                .await?;
            Ok::<_, FsError>((index, looked))
        }))
        .buffer_unordered(PARALLEL_STATS)
        .try_filter_map(|(index, looked)| ready(Ok(looked.map(|looked| (index, looked)))))
        .try_collect::<HashMap<_, _>>()
        .await?;
        let closed = looked
            .values()
            .filter(|looked| matches!(looked, Looked::Closed(..)));
        let closed = closed.count();
        if closed > 0 {
            tracing::warn!(
                "{closed} of the objects in {:?} are listed, but cannot be looked at: they can be \
                 deleted and replaced, and nothing else; opening one says why, and `cloakfs status` names those whose key is missing",
                path.as_str()
            );
        }
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
        kind: &Kind,
    ) -> Result<Option<Looked>> {
        let (object, asked) = match kind {
            Kind::Small(object, asked) | Kind::Large(object, asked) => (Some(object), *asked),
            Kind::Known(_) => (None, Instant::now()),
        };
        if let Some(inode) = self.table.child(dir.ino, name)
            && (inode.is_uncommitted() || self.is_fresh(&inode))
        {
            return Ok(Some(Looked::Inode(inode)));
        }
        if let Some((stat, asked)) = self.stats.fresh(&path) {
            return Ok(Some(Looked::Stat(Box::new(stat), asked)));
        }
        let listed = match object {
            Some(object) if self.volume.trusts_listing() => {
                Some(self.volume.stat_from_listing(object))
            }
            Some(object) => self.stats.vouched(&path, object, asked),
            None => None,
        };
        let (stat, asked) = if let Some(stat) = listed {
            (stat, asked)
        } else {
            let looked = Instant::now();
            let stat = match object {
                Some(object) => self.volume.stat_listed(&path, object).await,
                None => self.volume.stat(&path).await,
            };
            match stat {
                Ok(Some(stat)) => (stat, looked),
                Ok(None) => return Ok(None),
                // One object that is closed to this mount does not hide its neighbours.
                Err(error) => {
                    let Some(why) = FsError::why_volume_closed(&error) else {
                        return Err(error.into());
                    };
                    let listed = match object {
                        Some(object) => Some(self.volume.stat_from_listing(object)),
                        None => self.volume.stat_closed(&path).await?,
                    };
                    return Ok(listed.map(|stat| Looked::Closed(Box::new(stat), asked, why)));
                }
            }
        };
        self.stats.note(path, stat.clone(), asked);
        Ok(Some(Looked::Stat(Box::new(stat), asked)))
    }
}
