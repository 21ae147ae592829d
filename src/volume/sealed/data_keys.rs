//! Data keys: what seals the records that this mount writes, and opens those that it meets.
//!
//! A data key seals a bounded number of records of one mount ([`ClientSide`]'s
//! `records_per_data_key`); its wrapped form is beside each of them. Unwrapped keys of other
//! mounts are kept, so that reading many files that one mount wrote unwraps once; several that
//! ask for the same one at the same time wait for one answer.
//!
//! [`ClientSide`]: super::ClientSide

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use lru::LruCache;
use tokio::sync::Mutex;

use crate::crypto::DataKey;
use crate::keys::root::Root;
use crate::layout::sealed::{ObjectError, VolumeId, WrappedKey};

/// Unwrapped data keys that are kept: one for each mount that wrote, in general.
const KEPT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Why there is no data key.
#[derive(Debug)]
pub enum DataKeyError {
    /// The wrapped key is not one of this volume's root.
    Object(ObjectError),
}

/// See the module's text.
pub struct DataKeys {
    root: Root,
    volume: VolumeId,
    records_per_key: NonZeroU64,
    /// With the records that it may still seal.
    current: Mutex<Option<(Arc<SealingKey>, u64)>>,
    unwrapped: Mutex<LruCache<WrappedKey, Arc<DataKey>>>,
}

/// A data key of this mount with its wrapped form.
pub struct SealingKey {
    pub key: DataKey,
    pub wrapped: WrappedKey,
}

impl DataKeys {
    pub fn new(root: Root, volume: VolumeId, records_per_key: NonZeroU64) -> Self {
        Self {
            root,
            volume,
            records_per_key,
            current: Mutex::default(),
            unwrapped: Mutex::new(LruCache::new(KEPT)),
        }
    }

    /// A key to seal one record with.
    pub async fn to_seal(&self) -> Result<Arc<SealingKey>, DataKeyError> {
        let mut current = self.current.lock().await;
        if let Some((key, left)) = &mut *current
            && *left > 0
        {
            *left -= 1;
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.generate());
        *current = Some((Arc::clone(&key), self.records_per_key.get() - 1));
        Ok(key)
    }

    fn generate(&self) -> SealingKey {
        match &self.root {
            Root::Master(master) => {
                let key = DataKey::random();
                let wrapped = WrappedKey::Master(master.wrap(self.volume.as_bytes(), &key));
                SealingKey { key, wrapped }
            }
        }
    }

    /// The key that sealed what lies beside `wrapped`.
    pub async fn to_open(&self, wrapped: &WrappedKey) -> Result<Arc<DataKey>, DataKeyError> {
        let mut unwrapped = self.unwrapped.lock().await;
        if let Some(key) = unwrapped.get(wrapped) {
            return Ok(Arc::clone(key));
        }
        let (Root::Master(master), WrappedKey::Master(sealed)) = (&self.root, wrapped) else {
            return Err(DataKeyError::Object(ObjectError::NotAuthentic));
        };
        let key = master
            .unwrap(self.volume.as_bytes(), sealed)
            .map_err(|error| DataKeyError::Object(error.into()))?;
        let key = Arc::new(key);
        unwrapped.put(wrapped.clone(), Arc::clone(&key));
        Ok(key)
    }
}
