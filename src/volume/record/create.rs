//! A new volume.

use std::sync::Arc;

use bytes::Bytes;

use super::open::{OpenVolume, key_check};
use super::{RecordError, describe, find, key, place};
use crate::base::id::CommitId;
use crate::crypto::NameKey;
use crate::crypto::passphrase::Lock;
use crate::keys::root::Root;
use crate::layout::sealed::volume::{OBJECTS, Settings, VolumeHeader};
use crate::layout::sealed::{Names, VolumeId};
use crate::store::{ErrorKind, GetOptions, PutOptions, Store, WriteCondition, commit};
use crate::volume::sealed::new_data_key;

/// What a volume is to be.
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct NewVolume {
    pub id: VolumeId,
    pub root: Root,
    /// The master key under a passphrase, for this id.
    pub lock: Option<Lock>,
    pub encrypt_names: bool,
}

/// A volume that was just made, and its record as it can be kept elsewhere.
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct Created {
    pub volume: OpenVolume,
    pub record: Bytes,
}

/// Makes a volume at `prefix` (empty, or ending in `/`), where there is nothing yet.
///
/// # Errors
/// When there is a volume at, above or below it, or anything else. [`RecordError::Exists`] also
/// where somebody else makes one at the same time.
pub async fn create(
    store: &Arc<dyn Store>,
    prefix: &str,
    new: NewVolume,
) -> Result<Created, RecordError> {
    refuse(store, prefix).await?;
    make(store, prefix, new).await
}

/// The same where there are plain objects already, which are to become the volume's.
///
/// # Errors
/// When there is a volume at, above or below it, or somebody else makes one at the same time.
pub async fn create_around(
    store: &Arc<dyn Store>,
    prefix: &str,
    new: NewVolume,
) -> Result<Created, RecordError> {
    if find(store, prefix).await?.is_some() {
        return Err(exists(store.as_ref(), prefix));
    }
    place::refuse_inside(store.as_ref(), prefix).await?;
    place::refuse_around(store.as_ref(), prefix).await?;
    make(store, prefix, new).await
}

async fn make(
    store: &Arc<dyn Store>,
    prefix: &str,
    new: NewVolume,
) -> Result<Created, RecordError> {
    let NewVolume {
        id,
        root,
        lock,
        encrypt_names,
    } = new;
    let (data_key, wrapped) = new_data_key(&root, id).await?;
    let key_check = key_check(&wrapped);
    let settings = Settings {
        sequence: 1,
        names: if encrypt_names {
            Names::Encrypted(Box::new(NameKey::random()))
        } else {
            Names::Plain
        },
    };
    let header = VolumeHeader {
        id,
        kms_key_name: root.kms_key().unwrap_or_default().to_owned(),
        key: wrapped,
        lock,
    };
    let record = Bytes::from(header.seal(&data_key, &settings));
    let key = header.key;
    write(store.as_ref(), prefix, &record).await?;
    Ok(Created {
        volume: OpenVolume {
            id,
            names: settings.names,
            root,
            key,
            key_check,
            notes: Vec::new(),
            damaged: Vec::new(),
        },
        record,
    })
}

/// Refuses a place that has no room for a new volume.
///
/// # Errors
/// As [`create`].
pub async fn refuse(store: &Arc<dyn Store>, prefix: &str) -> Result<(), RecordError> {
    if find(store, prefix).await?.is_some() {
        return Err(exists(store.as_ref(), prefix));
    }
    place::refuse_inside(store.as_ref(), prefix).await?;
    place::refuse_occupied(store.as_ref(), prefix).await
}

async fn write(store: &dyn Store, prefix: &str, record: &Bytes) -> Result<(), RecordError> {
    let [a, b] = OBJECTS;
    // Whoever makes the first makes the volume; the second is only ever written by them.
    match put(store, prefix, a, record, WriteCondition::IfAbsent).await {
        Err(RecordError::Store(error))
            if matches!(error.kind(), ErrorKind::Precondition | ErrorKind::Conflict) =>
        {
            return Err(exists(store, prefix));
        }
        written => written?,
    }
    put(store, prefix, b, record, WriteCondition::None).await?;
    // A server that knows no conditions lets the last one win.
    for name in OBJECTS {
        let there = store
            .get(&key(prefix, name)?, GetOptions::default())
            .await?;
        if there.body != record {
            return Err(exists(store, prefix));
        }
    }
    Ok(())
}

async fn put(
    store: &dyn Store,
    prefix: &str,
    name: &str,
    record: &Bytes,
    condition: WriteCondition,
) -> Result<(), RecordError> {
    let options = PutOptions {
        condition,
        ..PutOptions::default()
    };
    let key = key(prefix, name)?;
    commit::put(store, &key, record.clone(), options, CommitId::random()).await?;
    Ok(())
}

fn exists(store: &dyn Store, prefix: &str) -> RecordError {
    RecordError::Exists {
        volume: describe(store, prefix),
    }
}
