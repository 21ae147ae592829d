//! The record of a volume whose root is replaced, and of one that ends.
//!
//! A volume that moves to another root has its record under both meanwhile: `volume-b` is written
//! under the new one before the first object is, and `volume-a` after the last. So a mount with
//! either key opens the volume at any time, and reads what is under its key. A mount that writes
//! may take the copy that it cannot open for a damaged one and mend it: then only the other key
//! opens the volume, until the move goes on, and no object is the worse for it, since both copies
//! say the same.

use std::sync::Arc;

use bytes::Bytes;

use super::open::unwrap;
use super::{Found, RecordError, VolumeRecord, find, key};
use crate::base::id::CommitId;
use crate::keys::root::Root;
use crate::layout::sealed::volume::{OBJECTS, SealedVolume, Settings, VolumeError, VolumeHeader};
use crate::store::{DeleteOptions, ErrorKind, PutOptions, Store, WriteCondition, commit};
use crate::volume::sealed::new_data_key;

/// A record under another root.
#[derive(Debug)]
pub struct Rerooted {
    /// For the second copy, from before the first object is moved.
    pub meanwhile: Bytes,
    /// For both, after the last. Other bytes, so that a mount that has read the two copies before
    /// cannot mend either of them any more: what it would write there opens under the old root,
    /// and so would all that it writes afterwards.
    pub end: Bytes,
}

/// What is written next.
fn after(settings: Settings) -> Settings {
    Settings {
        sequence: settings.sequence.saturating_add(1),
        names: settings.names,
    }
}

impl VolumeRecord {
    /// The best copy that is under this root; `None` where none is.
    ///
    /// # Errors
    /// When KMS does not tell, or a copy that the root opens is not authentic.
    pub async fn bytes_under(&self, root: &Root) -> Result<Option<Bytes>, RecordError> {
        if !self.has_mode(root.mode()) {
            return Ok(None);
        }
        let opened = self.open_copies(root).await?;
        if opened.is_empty() {
            return Ok(None);
        }
        let (_, best) = self.best(root, opened)?;
        Ok(Some(best.bytes.clone()))
    }

    /// The same volume's record under another root. A passphrase stays behind.
    ///
    /// # Errors
    /// When it does not open under `old`, or KMS gives no data key.
    pub async fn under(&self, old: &Root, new: &Root) -> Result<Rerooted, RecordError> {
        let opened = self.open_copies(old).await?;
        let (settings, best) = self.best(old, opened)?;
        let id = best.header.id;
        let (data_key, wrapped) = new_data_key(new, id).await?;
        let header = VolumeHeader {
            id,
            kms_key_name: new.kms_key().unwrap_or_default().to_owned(),
            key: wrapped,
            lock: None,
        };
        let meanwhile = after(settings);
        let sealed = header.seal(&data_key, &meanwhile).into();
        Ok(Rerooted {
            meanwhile: sealed,
            end: header.seal(&data_key, &after(meanwhile)).into(),
        })
    }

    /// The record under this root once more, which says the same: [`Rerooted::end`] of one that
    /// was begun before.
    ///
    /// # Errors
    /// When it does not open under `root`.
    pub async fn renewed(&self, root: &Root) -> Result<Bytes, RecordError> {
        let opened = self.open_copies(root).await?;
        let (settings, best) = self.best(root, opened)?;
        let wrong = |error| RecordError::record(&self.volume, error);
        let sealed = SealedVolume::decode(best.bytes).map_err(wrong)?;
        let key = unwrap(&sealed, root).await?;
        let key = key.ok_or_else(|| wrong(VolumeError::WrongKey))?;
        Ok(best.header.seal(&key, &after(settings)).into())
    }

    /// Writes the second copy, so that the volume opens under the root of `record` too.
    ///
    /// # Errors
    /// When somebody else changes it at the same time, or the store does not take it.
    pub async fn write_second(&self, record: &Bytes) -> Result<(), RecordError> {
        let [_, b] = &self.copies;
        self.write(b, record).await
    }

    /// Writes both copies: those that are not so yet.
    ///
    /// # Errors
    /// As [`Self::write_second`].
    pub async fn write_both(&self, record: &Bytes) -> Result<(), RecordError> {
        for copy in &self.copies {
            self.write(copy, record).await?;
        }
        Ok(())
    }

    async fn write(&self, copy: &super::Copy, record: &Bytes) -> Result<(), RecordError> {
        let condition = match &copy.found {
            Found::Sealed(_, bytes, _) if bytes == record => return Ok(()),
            Found::Sealed(etag, ..) | Found::Broken(etag, _) => {
                WriteCondition::IfMatch(etag.clone())
            }
            Found::Missing => WriteCondition::IfAbsent,
        };
        let options = PutOptions {
            condition,
            ..PutOptions::default()
        };
        let (store, id) = (self.store.as_ref(), CommitId::random());
        commit::put(store, &copy.key, record.clone(), options, id).await?;
        Ok(())
    }
}

/// Makes this the record of the volume at `prefix`, in both copies.
///
/// # Errors
/// When somebody else changes them at the same time, or the store does not take them.
pub async fn settle(
    store: &Arc<dyn Store>,
    prefix: &str,
    record: &Bytes,
) -> Result<(), RecordError> {
    match find(store, prefix).await? {
        Some(found) => found.write_both(record).await,
        None => Err(RecordError::Vanished {
            volume: super::describe(store.as_ref(), prefix),
        }),
    }
}

/// Ends the volume at `prefix`, in which no sealed object is left: deletes both copies of its
/// record. Nothing that is sealed can be read afterwards.
///
/// # Errors
/// When the store does not do it.
pub async fn remove(store: &dyn Store, prefix: &str) -> Result<(), RecordError> {
    for name in OBJECTS {
        match store
            .delete(&key(prefix, name)?, DeleteOptions::default())
            .await
        {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
