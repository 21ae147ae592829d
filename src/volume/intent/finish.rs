//! Finishing the directory renames that dead mounts left half done, always forward: what is not
//! at the new name yet is copied there, what is there is deleted at the old one.
//!
//! Who is dead: a mount of this machine whose journal nobody holds, at once; another machine's, when
//! its intent has not changed for twice its term, unless this mount has the volume to itself: then
//! whoever left an intent is dead by the argument of the lease ([`crate::volume::lease`]), and it is
//! finished before anything is served. That matters most there, since such a mount believes what it
//! has seen until it ends.
//!
//! Each step is found out anew from what the bucket holds, and each delete is conditional, so it
//! does not matter where the dead mount stopped, nor how often this is done. What was changed at
//! both names since stays at both.

use std::fmt::Debug;
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

/// Times that an intent which changes under one's hands is looked at again.
const TRIES: usize = 3;

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

/// What came of trying to finish a rename.
enum Finished {
    Done,
    /// The intent changed meanwhile: somebody else works at it, or has ended it.
    Taken,
    /// Why it is half done still.
    Failed(String),
}

/// Whoever is to hear of names that change in the bucket without its doing.
pub trait RenameObserver: Debug + Send + Sync {
    /// What was at and below `from` is at `to` now.
    fn renamed_elsewhere(&self, from: &VolumePath, to: &VolumePath);
}

impl Volume {
    /// Tells who hears of renames that are finished here while the volume is used; once.
    pub fn set_observer(&self, observer: Weak<dyn RenameObserver>) {
        let first = self.observer.set(observer);
        debug_assert!(first.is_ok(), "a volume serves one filesystem");
    }

    /// Finishes the renames of mounts that are dead, and watches those that may be living unless
    /// this mount has the volume `alone`: what does not change for twice its term is finished too. What cannot be finished now is told, a
    /// sentence each, and left to the next mount.
    pub(in crate::volume) async fn finish_renames(self: &Arc<Self>, alone: bool) -> Vec<String> {
        let names = match self.intents().await {
            Ok(names) => names,
            Err(error) => {
                return vec![format!(
                    "whether an earlier mount left a directory half renamed is not known, so one \
                     may be seen at two names: {error}"
                )];
            }
        };
        let mut half_renamed = Vec::new();
        for name in names {
            half_renamed.extend(self.settle_intent(&name, alone).await);
        }
        half_renamed
    }

    /// Finishes one, or leaves it to its owner; what is to be told, if anything.
    async fn settle_intent(self: &Arc<Self>, name: &str, alone: bool) -> Option<String> {
        let mut left_to = None;
        for _ in 0..TRIES {
            let found = match self.read_intent(name).await {
                Ok(None) => return None,
                Ok(Some(found)) => found,
                Err(error) => {
                    return Some(format!(
                        "a directory may be half renamed by an earlier mount, and is left as it \
                         is: {error}"
                    ));
                }
            };
            if !alone && !self.journal.is_dead(&found.record.owner) {
                tracing::info!(
                    "{:?} is being renamed to {:?} by {}, which is left to it",
                    found.record.from,
                    found.record.to,
                    found.record.owner
                );
                let suspect = Suspect {
                    name: name.to_owned(),
                    version: found.version,
                    since: Instant::now(),
                };
                tokio::spawn(watch(Arc::downgrade(self), suspect));
                return None;
            }
            left_to = Some(found.record.clone());
            match self.finish_rename(name, found).await {
                Finished::Done => return None,
                Finished::Failed(why) => return Some(why),
                // The last word of its dead owner may have come late. Who it is now is looked at
                // again.
                Finished::Taken => {}
            }
        }
        left_to.map(|record| {
            format!(
                "{:?} is being renamed to {:?} by {}, although nobody else may be at work here: \
                 what is seen of the two may be wrong until this is mounted again",
                record.from, record.to, record.owner
            )
        })
    }

    pub(super) async fn intents(&self) -> Result<Vec<String>> {
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

    async fn finish_rename(self: &Arc<Self>, name: &str, found: Found) -> Finished {
        let (from, to) = (found.record.from.clone(), found.record.to.clone());
        match self.take_over_and_finish(name, found).await {
            Ok(Some((moved, 0))) => {
                tracing::info!(
                    "finished the rename of {from:?} to {to:?} that an earlier mount did not \
                     finish: {moved} objects"
                );
                Finished::Done
            }
            Ok(Some((moved, kept))) => {
                tracing::warn!(
                    "finished the rename of {from:?} to {to:?} that an earlier mount did not \
                     finish: {moved} objects; {kept} were changed since and stay at {from:?}, too"
                );
                Finished::Done
            }
            Ok(None) => {
                tracing::info!("another mount finishes the rename of {from:?} to {to:?}");
                Finished::Taken
            }
            Err(error) => Finished::Failed(format!(
                "an earlier mount died while it renamed {from:?} to {to:?}, and this could not be \
                 finished, so its files are at either name or at both until the next mount tries \
                 again: {error}"
            )),
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
        let done = self.roll_forward(&from, &to, &intent).await;
        if let Some(observer) = self.observer.get().and_then(Weak::upgrade) {
            // Also where it failed: a part of it was done.
            observer.renamed_elsewhere(&from, &to);
        }
        let done = done?;
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
                if let Finished::Failed(why) = volume.finish_rename(&suspect.name, found).await {
                    tracing::warn!("{why}");
                }
                return;
            }
            Ok(Some(_)) => {}
            Err(error) => tracing::debug!("a rename of another mount is not looked at: {error}"),
        }
    }
}
