//! Finishing the directory renames that dead mounts left half done, always forward: what is not
//! at the new name yet is copied there, what is there is deleted at the old one.
//!
//! Each step is found out anew from what the bucket holds, and each delete is conditional, so it
//! does not matter where the dead mount stopped, nor how often this is done. What was changed at
//! both names since stays at both.

use std::sync::{Arc, Weak};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::compare::Compared;
use super::record::Found;
use super::{RENEWAL, RenameIntent};
use crate::layout::path::VolumePath;
use crate::store::{ErrorKind, ListOptions, ListedObject};
use crate::volume::change::PARALLEL_OBJECTS;
use crate::volume::{Condition, Result, Version, Volume, VolumeError};

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Moved,
    /// It was gone before.
    Nothing,
    /// It is at both names, and not the same.
    Kept,
}

/// An intent that nobody may be working at.
struct Suspect {
    name: String,
    version: Version,
    /// Since when it has been the same.
    since: Instant,
}

impl Volume {
    /// Finishes the renames of mounts that are dead, and watches those that may be living: what
    /// does not change for twice its term is finished too. What cannot be finished now is said,
    /// and left to the next mount.
    pub(in crate::volume) async fn finish_renames(self: &Arc<Self>) {
        let names = match self.intents().await {
            Ok(names) => names,
            Err(error) => {
                tracing::warn!("whether a rename is to be finished is not known: {error}");
                return;
            }
        };
        for name in names {
            match self.read_intent(&name).await {
                Ok(None) => {}
                Ok(Some(found)) if self.journal.is_dead(&found.record.owner) => {
                    self.finish_rename(&name, found).await;
                }
                Ok(Some(found)) => {
                    tracing::info!(
                        "{:?} is being renamed to {:?} by {}, which is left to it",
                        found.record.from,
                        found.record.to,
                        found.record.owner
                    );
                    let suspect = Suspect {
                        name,
                        version: found.version,
                        since: Instant::now(),
                    };
                    tokio::spawn(watch(Arc::downgrade(self), suspect));
                }
                Err(error) => {
                    tracing::warn!("a rename that may be half done is left as it is: {error}");
                }
            }
        }
    }

    async fn intents(&self) -> Result<Vec<String>> {
        let prefix = self.keys.reserved("intents/");
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let options = ListOptions {
                prefix: prefix.clone(),
                token,
                ..ListOptions::default()
            };
            let page = self.store.list(options).await;
            let page = page.map_err(|error| VolumeError::store(&prefix, error))?;
            let found = page.objects.iter();
            names.extend(found.filter_map(|object| {
                let id = object.key.strip_prefix(&prefix)?;
                let is_ours = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_ours.then(|| format!("intents/{id}"))
            }));
            token = page.next;
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    async fn finish_rename(self: &Arc<Self>, name: &str, found: Found) {
        let (from, to) = (found.record.from.clone(), found.record.to.clone());
        match self.take_over_and_finish(name, found).await {
            Ok(Some((moved, 0))) => {
                tracing::info!(
                    "finished the rename of {from:?} to {to:?} that an earlier mount did not \
                     finish: {moved} objects"
                );
            }
            Ok(Some((moved, kept))) => tracing::warn!(
                "finished the rename of {from:?} to {to:?} that an earlier mount did not finish: \
                 {moved} objects; {kept} were changed since and stay at {from:?}, too"
            ),
            Ok(None) => tracing::info!("another mount finishes the rename of {from:?} to {to:?}"),
            Err(error) => tracing::warn!(
                "the rename of {from:?} to {to:?} is half done and left to the next mount: {error}"
            ),
        }
    }

    /// `None` where another mount was faster.
    async fn take_over_and_finish(
        self: &Arc<Self>,
        name: &str,
        found: Found,
    ) -> Result<Option<(usize, usize)>> {
        let mut record = found.record;
        record.owner = self.journal.owner();
        record.renewals += 1;
        let paths = record.paths();
        let (from, to) = paths.map_err(|why| VolumeError::invalid(name, &why))?;
        let unchanged = Condition::IfVersion(found.version);
        let intent = match self.hold_intent(name.to_owned(), record, &unchanged).await {
            Ok(intent) => intent,
            Err(error) if super::is_lost(error.kind()) => return Ok(None),
            Err(error) => return Err(error),
        };
        let done = self.roll_forward(&from, &to, &intent).await?;
        intent.ended().await?;
        Ok(Some(done))
    }

    /// How many objects were moved, and how many stay at both names.
    async fn roll_forward(
        self: &Arc<Self>,
        from: &VolumePath,
        to: &VolumePath,
        intent: &RenameIntent,
    ) -> Result<(usize, usize)> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.walk(from, token).await?;
            objects.extend(page);
            token = next;
            if token.is_none() {
                break;
            }
        }
        // The old marker goes last: without it the rename had ended.
        let Some(at) = objects.iter().position(|(rest, _)| rest.is_empty()) else {
            return Ok((0, 0));
        };
        let marker = objects.swap_remove(at);
        let steps = objects.into_iter().map(|(rest, listed)| async move {
            self.move_below(from, to, &rest, &listed, intent).await
        });
        let done: Vec<_> = stream::iter(steps)
            .buffer_unordered(PARALLEL_OBJECTS)
            .try_collect()
            .await?;
        let count = |what: Done| done.iter().filter(|done| **done == what).count();
        let (mut moved, kept) = (count(Done::Moved), count(Done::Kept));
        if kept == 0 {
            let (rest, listed) = &marker;
            self.move_below(from, to, rest, listed, intent).await?;
            moved += 1;
        }
        Ok((moved, kept))
    }

    async fn move_below(
        self: &Arc<Self>,
        from: &VolumePath,
        to: &VolumePath,
        rest: &str,
        listed: &ListedObject,
        intent: &RenameIntent,
    ) -> Result<Done> {
        let (source, target) = (self.key_below(from, rest)?, self.key_below(to, rest)?);
        let compared = self.compare(&source, &target).await?;
        intent.check()?;
        let copied = match compared {
            Compared::Gone => return Ok(Done::Nothing),
            Compared::Other => {
                tracing::warn!("{from}/{rest} was changed since it was copied, so both stay");
                return Ok(Done::Kept);
            }
            Compared::Copied { source, .. } => source,
            Compared::Missing => match self.copy_below(from, to, rest, listed).await {
                Ok(moved) => moved.source,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Done::Nothing),
                Err(error) => return Err(error),
            },
        };
        intent.check()?;
        match self.delete_below(from, rest, Some(&copied)).await {
            Ok(()) => Ok(Done::Moved),
            Err(error) if error.kind() == ErrorKind::Precondition => Ok(Done::Kept),
            Err(error) => Err(error),
        }
    }
}

/// Looks at an intent until it is gone, or has not changed for twice its term.
async fn watch(volume: Weak<Volume>, mut suspect: Suspect) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let Some(volume) = volume.upgrade() else {
            return;
        };
        let asked = Instant::now();
        match volume.read_intent(&suspect.name).await {
            Ok(None) => return,
            Ok(Some(found)) if found.version != suspect.version => {
                suspect.version = found.version;
                suspect.since = asked;
            }
            Ok(Some(found)) if suspect.since.elapsed() >= 2 * found.record.term() => {
                return volume.finish_rename(&suspect.name, found).await;
            }
            Ok(Some(_)) => {}
            Err(error) => tracing::debug!("a rename of another mount is not looked at: {error}"),
        }
    }
}
