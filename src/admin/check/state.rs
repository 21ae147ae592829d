//! cloakfs's own objects, uploads under way, and what this machine remembers of its mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::StreamExt;

use super::{Class, Finding, Trouble};
use crate::admin::inspect::Inspector;
use crate::admin::own::{Own, Private, Purpose};
use crate::admin::uploads;
use crate::base::limits::RESERVED_PREFIX;
use crate::base::size::ByteSize;
use crate::base::time::Timestamp;
use crate::store::{PendingUpload, Store, StoreError};
use crate::volume::lease::{LeaseError, Life, Tenant};
use crate::volume::record::{DamagedCopy, Restoring};
use crate::volume::{DeadMount, MountState, Volume, VolumeError};
use crate::write::journal::{self, Found, JournalError};

/// An upload of somebody's that is older than this is not looked after any more.
const UPLOAD_SECONDS_MAX: u64 = 24 * 60 * 60;

/// Who else may be using the volume.
#[derive(Clone, Debug, Default)]
pub struct Others {
    pub tenants: Vec<Tenant>,
    /// This process has the volume to itself, so nobody is.
    pub alone: bool,
}

impl Others {
    #[must_use]
    pub fn may_live(&self) -> bool {
        !self.alone && self.tenants.iter().any(Tenant::may_live)
    }
}

/// Why the state of a volume is not known.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(
        "the lease of this process ended before all was repaired, so that another mount may have the source by now: run it again"
    )]
    Ended,
}

/// Everything but the names of files. `write_back` is where this machine keeps the journals of
/// closed files. Memory is bounded by the mounts that left something and the uploads under way.
///
/// # Errors
/// When something could not be looked at.
pub async fn survey(
    store: &Arc<dyn Store>,
    prefix: &str,
    volume: &Volume,
    others: &Others,
    write_back: &Path,
) -> Result<Vec<Finding>, StateError> {
    let mut findings: Vec<_> = others.tenants.iter().map(of_tenant).collect();
    let dead = volume.dead_mounts()?;
    findings.extend(dead.iter().map(of_dead_mount));
    findings.extend(renames(volume, others).await?);
    findings.extend(own_objects(store, prefix, volume, others).await?);
    let accounted: BTreeSet<_> = dead.iter().flat_map(|dead| &dead.uploads).collect();
    for pending in uploads::pending(store.as_ref(), prefix).await? {
        if !accounted.contains(&pending.upload) {
            findings.push(of_upload(prefix, &pending, volume, others));
        }
    }
    findings.extend(unsent(volume, write_back)?);
    Ok(findings)
}

/// What is wrong with the copies of a volume's record.
#[must_use]
pub fn of_record(damaged: &[DamagedCopy]) -> Vec<Finding> {
    damaged.iter().map(of_copy).collect()
}

fn of_copy(copy: &DamagedCopy) -> Finding {
    let (class, remedy) = match &copy.restoring {
        Restoring::Done | Restoring::Possible => (
            Class::Repairable,
            "it is written anew from the other, which is authentic".to_owned(),
        ),
        Restoring::Failed(error) => (
            Class::NeedsYou,
            format!("it could not be written anew from the other: {error}"),
        ),
        Restoring::Refused => (
            Class::NeedsYou,
            "check it with the newer cloakfs that wrote it: it is left as it is".to_owned(),
        ),
    };
    let text = format!("this copy of the volume record {}", copy.state);
    Finding {
        repaired: copy.restoring == Restoring::Done,
        ..Finding::new(Trouble::VolumeRecord, class, &copy.key, text, remedy)
    }
}

fn of_tenant(tenant: &Tenant) -> Finding {
    let (finding, what) = if tenant.is_lease {
        (Trouble::Lease, "has the volume to itself")
    } else {
        (Trouble::Registration, "shares the volume")
    };
    let who = &tenant.who;
    let (class, text, remedy) = match tenant.life {
        Life::Dead => (
            Class::Repairable,
            format!("{who} {what} no more: it is dead, and has not taken this away"),
            "it is deleted, unless it changes before".to_owned(),
        ),
        Life::Lives => (
            Class::InUse,
            format!("{who} {what}, and lives"),
            "nothing that it may be using is touched".to_owned(),
        ),
        Life::MayLive(patience) => (
            Class::InUse,
            format!("{who} {what}, as far as can be told at once"),
            format!(
                "nothing that it may be using is touched; if it is gone, give --wait: what does not change for {} s is of a dead mount",
                patience.as_secs()
            ),
        ),
    };
    Finding::new(finding, class, tenant.key.as_str(), text, remedy)
}

fn of_dead_mount(dead: &DeadMount) -> Finding {
    let DeadMount {
        mount,
        uploads,
        begun,
        renames,
    } = dead;
    let text = format!(
        "mount {mount} of this machine ended without clearing away: {} uploads under way, {begun} that may be, {renames} renames of files between copy and delete, and what it kept for itself",
        uploads.len()
    );
    let remedy = "as the next mount does: its uploads are aborted (one that another living mount may have begun stays), its renames finished where the copy is the file's, its own objects deleted";
    Finding::new(Trouble::DeadMount, Class::Repairable, mount, text, remedy)
}

async fn renames(volume: &Volume, others: &Others) -> Result<Vec<Finding>, StateError> {
    let renames = volume.unfinished_renames().await?.into_iter();
    Ok(renames
        .map(|rename| match rename.told {
            Ok(told) => {
                let (from, to, by) = (&told.from, &told.to, &told.by);
                let text = format!("{from:?} is half renamed to {to:?} by {by}");
                let (class, remedy) = if told.is_dead || !others.may_live() {
                    (
                        Class::Repairable,
                        "it is finished, as the next mount does: what is at the new name already goes from the old one, the rest is moved",
                    )
                } else {
                    (Class::InUse, "it is left to its mount, which may live")
                };
                Finding::new(Trouble::UnfinishedRename, class, rename.name, text, remedy)
            }
            Err(why) => Finding::new(
                Trouble::UnfinishedRename,
                Class::NeedsYou,
                rename.name,
                format!("a directory may be half renamed, and the intent that says so cannot be read: {why}"),
                "a newer cloakfs may be able to; otherwise look which directory is at two names, and delete the intent with an S3 tool",
            ),
        })
        .collect())
}

/// Objects below the reserved prefix, by what they are.
async fn own_objects(
    store: &Arc<dyn Store>,
    prefix: &str,
    volume: &Volume,
    others: &Others,
) -> Result<Vec<Finding>, StateError> {
    let mut folders: BTreeMap<Private, (u64, u64)> = BTreeMap::new();
    let mut findings = Vec::new();
    let reserved = format!("{prefix}{RESERVED_PREFIX}");
    let mut listed = Inspector::new(Arc::clone(store), &reserved).listed();
    while let Some(object) = listed.next().await {
        let object = object?;
        match Own::of(prefix, &object.key) {
            Some(Own::Private(folder)) => {
                let (objects, bytes) = folders.entry(folder).or_default();
                *objects += 1;
                *bytes += object.size;
            }
            Some(Own::Probe) => findings.push(of_probe(&object.key, others)),
            Some(Own::Unknown) | None => findings.push(Finding::new(
                Trouble::UnknownObject,
                Class::NeedsYou,
                object.key,
                "it lies below .cloakfs/, and is nothing that this cloakfs puts there: no mount shows it",
                "if it is yours, move it away with an S3 tool; if it is of a newer cloakfs, leave it",
            )),
            // Told by others, or in its place.
            Some(
                Own::VolumeRecord | Own::Root | Own::Lease | Own::Registration | Own::Intent,
            ) => {}
        }
    }
    findings.extend(folders.into_iter().map(|(folder, (objects, bytes))| {
        let class = class_of(&folder.mount, volume, others);
        let kept = match folder.purpose {
            Purpose::Open => "the content of files that were deleted while they were open",
            Purpose::Staging => "large files that were on their way in and were never complete",
        };
        let text = format!(
            "{objects} objects ({}) that mount {} kept for itself: {kept}",
            ByteSize(bytes),
            folder.mount
        );
        let remedy = match class {
            Class::InUse => "that mount lives, or may: they are left to it",
            _ => "they are deleted: they are of a mount that is dead, and no file's",
        };
        let object = format!("{prefix}{}", folder.folder());
        Finding::new(Trouble::OrphanedContent, class, object, text, remedy)
    }));
    Ok(findings)
}

/// Whether what a mount made for itself can go.
fn class_of(mount: &str, volume: &Volume, others: &Others) -> Class {
    match volume.state_of(mount) {
        MountState::Dead => Class::Repairable,
        MountState::Unknown if !others.may_live() => Class::Repairable,
        MountState::Living | MountState::Unknown => Class::InUse,
    }
}

fn of_probe(key: &str, others: &Others) -> Finding {
    let (class, remedy) = if others.may_live() {
        (Class::InUse, "it is left: a mount may be beginning")
    } else {
        (Class::Repairable, "it is deleted")
    };
    let text = "a mount that did not come up left it when it found out what the server can do";
    Finding::new(Trouble::Probe, class, key, text, remedy)
}

fn of_upload(prefix: &str, pending: &PendingUpload, volume: &Volume, others: &Others) -> Finding {
    let age = Timestamp::now().secs().abs_diff(pending.initiated.secs());
    let text = format!(
        "an upload ({}) was begun {} minutes ago and neither completed nor aborted; its parts are stored, and seen by nobody",
        pending.upload,
        age / 60
    );
    if let Some(Own::Private(folder)) = Own::of(prefix, &pending.key) {
        let class = class_of(&folder.mount, volume, others);
        let remedy = match class {
            Class::InUse => "its mount lives, or may: it is left to it",
            _ => "it is aborted: its mount is dead, and nobody else uploads there",
        };
        return Finding::new(Trouble::OrphanedUpload, class, &pending.key, text, remedy);
    }
    let (class, remedy) = if others.may_live() && age < UPLOAD_SECONDS_MAX {
        (Class::InUse, "a mount may be at it: it is left".to_owned())
    } else {
        (
            Class::NeedsYou,
            format!(
                "any program may be at it, so it is not touched: if none is, abort it (aws s3api abort-multipart-upload --upload-id {}), or let a lifecycle rule do so",
                pending.upload
            ),
        )
    };
    Finding::new(Trouble::UnfinishedUpload, class, &pending.key, text, remedy)
}

/// Journals of closed files that no mount has.
fn unsent(volume: &Volume, write_back: &Path) -> Result<Vec<Finding>, StateError> {
    let source = volume.source();
    let found = journal::find(write_back)?.into_iter();
    Ok(found
        .filter_map(|found| match found {
            Found::Unclaimed(unclaimed) if unclaimed.header.source == source => {
                Some(Finding::new(
                    Trouble::UnsentFiles,
                    Class::NeedsYou,
                    unclaimed.header.mount,
                    "files that a mount of write-back mode on this machine has closed are in its journal, and may not be in the bucket",
                    "mount the source here again: it uploads them; `cloakfs recover` lists them and brings them out",
                ))
            }
            Found::Unreadable(error) => Some(Finding::new(
                Trouble::UnsentFiles,
                Class::NeedsYou,
                journal_of(&error),
                format!("files that were closed on this machine may be in a journal that cannot be read, of this source or another: {error}"),
                "read it with the release of cloakfs that wrote it: `cloakfs recover` lists what is in it and brings it out",
            )),
            Found::Unclaimed(_) | Found::Held(_) => None,
        })
        .collect())
}

fn journal_of(error: &JournalError) -> String {
    match error {
        JournalError::Io { path, .. }
        | JournalError::Damaged { path, .. }
        | JournalError::Header { path, .. } => path.display().to_string(),
        JournalError::Full(_) | JournalError::Broken(_) => String::new(),
    }
}
