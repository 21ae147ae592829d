//! Where a volume is in the way of another, or of a mount that would not know what it sees.

use std::path::Path;

use futures_util::future::try_join_all;

use super::{RecordError, describe};
use crate::base::limits::RESERVED_PREFIX;
use crate::layout::sealed::metadata::FORMAT;
use crate::layout::sealed::volume::OBJECTS;
use crate::store::dir::DirStore;
use crate::store::{ErrorKind, HeadOptions, ListOptions, ObjectKey, Store, StoreError};

/// Objects that are looked at where there is no record.
const SAMPLES: usize = 4;

/// The prefix of the volume that `prefix` lies in, itself excluded.
///
/// One prefix after another is asked about, the shortest first, and none below a volume: the
/// names there are for nobody to see who only has the store.
///
/// # Errors
/// When the store does not answer. What these credentials may not look at is taken for no
/// volume: they may be confined to the prefix.
pub async fn above(store: &dyn Store, prefix: &str) -> Result<Option<String>, RecordError> {
    for ancestor in ancestors(prefix) {
        match listed(store, ancestor).await {
            Ok(true) => return Ok(Some(ancestor.to_owned())),
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::Denied => {
                tracing::debug!("whether there is a volume at {ancestor:?} is not known: {error}");
            }
            Err(error) => return Err(unknown(store, ancestor, error)),
        }
    }
    Ok(None)
}

/// Refuses a prefix that lies in a volume.
///
/// # Errors
/// [`RecordError::Inside`], or as [`above`].
pub async fn refuse_inside(store: &dyn Store, prefix: &str) -> Result<(), RecordError> {
    match above(store, prefix).await? {
        None => Ok(()),
        Some(root) => Err(RecordError::Inside {
            volume: describe(store, prefix),
            above: describe(store, &root),
        }),
    }
}

/// Refuses a local directory that lies in one that is a volume. A store sees nothing above its
/// own directory, so this is not [`refuse_inside`]. What cannot be looked at is taken for no
/// volume, as there. Blocks.
///
/// # Errors
/// [`RecordError::Inside`].
pub fn refuse_inside_directory(path: &Path) -> Result<(), RecordError> {
    let Ok(path) = path.canonicalize() else {
        // Whoever opens it says why.
        return Ok(());
    };
    let is_volume = |directory: &&Path| {
        let mut records = OBJECTS
            .map(|name| format!("{RESERVED_PREFIX}{name}"))
            .into_iter();
        records.any(|key| DirStore::has(directory, &key))
    };
    match path.ancestors().skip(1).find(is_volume) {
        None => Ok(()),
        Some(above) => Err(RecordError::Inside {
            volume: format!("dir:{}", path.display()),
            above: format!("dir:{}", above.display()),
        }),
    }
}

/// Whether there is a copy of a volume record.
///
/// # Errors
/// Whenever that is not known: what is no volume is written to in clear.
pub async fn is_volume(store: &dyn Store, prefix: &str) -> Result<bool, RecordError> {
    let listed = listed(store, prefix).await;
    listed.map_err(|error| unknown(store, prefix, error))
}

/// By a listing: no encryption by the server stands in its way, as it does in that of a HEAD.
async fn listed(store: &dyn Store, prefix: &str) -> Result<bool, StoreError> {
    let reserved = format!("{prefix}{RESERVED_PREFIX}");
    let page = store.list(ListOptions {
        prefix: format!("{reserved}volume-"),
        ..ListOptions::default()
    });
    let objects = page.await?.objects;
    let mut names = objects
        .iter()
        .filter_map(|object| object.key.strip_prefix(&reserved));
    Ok(names.any(|name| OBJECTS.contains(&name)))
}

fn unknown(store: &dyn Store, prefix: &str, error: StoreError) -> RecordError {
    RecordError::Unknown {
        volume: describe(store, prefix),
        error,
    }
}

/// Refuses a prefix without a record that has sealed objects all the same: a volume's whose
/// record was removed or is hidden. A few of the root's own objects and directories are looked
/// at, no more; one that cannot be looked at counts for nothing.
///
/// # Errors
/// [`RecordError::Lost`], or when the store does not list.
pub async fn refuse_sealed(store: &dyn Store, prefix: &str) -> Result<(), RecordError> {
    let page = store.list(ListOptions {
        prefix: prefix.to_owned(),
        delimiter: true,
        ..ListOptions::default()
    });
    let page = page.await.map_err(|error| unknown(store, prefix, error))?;
    let reserved = format!("{prefix}{RESERVED_PREFIX}");
    let objects = page.objects.into_iter().map(|object| object.key);
    let keys: Vec<String> = objects
        .chain(page.common_prefixes)
        .filter(|key| *key != reserved)
        .collect();
    let step = keys.len().div_ceil(SAMPLES).max(1);
    let samples = keys.into_iter().step_by(step);
    // Where the prefix is empty, the root's attributes.
    let samples = samples.chain([format!("{reserved}root/")]);
    let sealed = try_join_all(samples.map(|key| sealed(store, prefix, key))).await?;
    match sealed.into_iter().flatten().next() {
        None => Ok(()),
        Some(object) => Err(RecordError::Lost {
            volume: describe(store, prefix),
            object,
        }),
    }
}

/// The key, if its object is sealed and not the root of another volume.
async fn sealed(
    store: &dyn Store,
    prefix: &str,
    key: String,
) -> Result<Option<String>, RecordError> {
    let Ok(object) = ObjectKey::new(key.clone()) else {
        return Ok(None);
    };
    let is_sealed = match store.head(&object, HeadOptions::default()).await {
        Ok(info) => info.attributes.metadata.contains_key(FORMAT),
        Err(error) => {
            tracing::debug!("whether {key:?} is sealed is not known: {error}");
            false
        }
    };
    let is_root_below = is_sealed
        && key != prefix
        && key.ends_with('/')
        && listed(store, &key).await.unwrap_or(false);
    Ok((is_sealed && !is_root_below).then_some(key))
}

/// Refuses a prefix with anything in it but what mounts leave under the reserved prefix. So no
/// volume lies below a new one, and no plain object in it.
pub(super) async fn refuse_occupied(store: &dyn Store, prefix: &str) -> Result<(), RecordError> {
    let reserved = format!("{prefix}{RESERVED_PREFIX}");
    // In a whole bucket mounted plainly, the root's attributes.
    let root = format!("{reserved}root/");
    let mut options = ListOptions {
        prefix: prefix.to_owned(),
        ..ListOptions::default()
    };
    loop {
        let page = store.list(options.clone()).await?;
        let mut keys = page.objects.iter().map(|object| &object.key);
        if let Some(key) = keys.find(|key| !key.starts_with(&reserved) || **key == root) {
            return Err(occupied(store, prefix, key));
        }
        match page.next {
            None => return Ok(()),
            next => options.token = next,
        }
    }
}

/// Refuses a prefix that another volume lies below, whatever else is there.
pub(super) async fn refuse_around(store: &dyn Store, prefix: &str) -> Result<(), RecordError> {
    let mut options = ListOptions {
        prefix: prefix.to_owned(),
        ..ListOptions::default()
    };
    loop {
        let page = store.list(options.clone()).await?;
        for object in &page.objects {
            if let error @ RecordError::Around { .. } = occupied(store, prefix, &object.key) {
                return Err(error);
            }
        }
        match page.next {
            None => return Ok(()),
            next => options.token = next,
        }
    }
}

fn occupied(store: &dyn Store, prefix: &str, key: &str) -> RecordError {
    let volume = describe(store, prefix);
    let below = OBJECTS.iter().find_map(|name| {
        let record = format!("/{RESERVED_PREFIX}{name}");
        key.strip_suffix(&record)
    });
    match below {
        Some(below) => RecordError::Around {
            volume,
            below: describe(store, below),
        },
        None => RecordError::NotEmpty {
            volume,
            object: key.to_owned(),
        },
    }
}

/// The prefixes that `prefix` lies below, the shortest first.
fn ancestors(prefix: &str) -> impl Iterator<Item = &str> {
    let own = prefix.trim_end_matches('/');
    let top = (!own.is_empty()).then_some("");
    top.into_iter()
        .chain(own.match_indices('/').map(|(at, _)| &prefix[..=at]))
}

#[cfg(test)]
mod tests;
