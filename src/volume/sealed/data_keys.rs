//! Data keys: what seals the records that this mount writes, and opens those that it meets.
//!
//! A data key seals a bounded number of records of one mount ([`ClientSide`]'s
//! `records_per_data_key`); its wrapped form is beside each of them. It is made when the first
//! record is sealed, so a mount that only reads makes none. Unwrapped keys of other mounts are
//! kept, so that reading many files that one mount wrote unwraps once.
//!
//! KMS takes its time, and may be asked until a deadline. Whoever needs the same key meanwhile
//! waits for the same answer, be it a failure, which is not remembered; whoever needs another
//! does not wait. A request goes on where all who waited have gone.
//!
//! [`ClientSide`]: super::ClientSide

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio::sync::watch;

use super::wrap::new_data_key;
use crate::crypto::DataKey;
use crate::keys::kms::{BLOB_BYTES_MAX, KmsError, KmsErrorKind};
use crate::keys::root::Root;
use crate::layout::sealed::metadata::KMS_BLOB_BYTES_MAX;
use crate::layout::sealed::{ObjectError, VolumeId, WrappedKey};

/// Unwrapped data keys that are kept: one for each mount that wrote, in general.
const KEPT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
const _: () = assert!(BLOB_BYTES_MAX <= KMS_BLOB_BYTES_MAX);

/// Why there is no data key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DataKeyError {
    /// The wrapped key is not one of this volume's root.
    #[error(transparent)]
    Object(ObjectError),
    #[error(transparent)]
    Kms(Arc<KmsError>),
    /// Nothing became of the request.
    #[error("the request for its data key was given up: try again")]
    Lost,
}

type Result<T> = std::result::Result<T, DataKeyError>;

/// See the module's text.
pub struct DataKeys(Arc<Inner>);

struct Inner {
    root: Root,
    volume: VolumeId,
    records_per_key: NonZeroU64,
    sealing: Mutex<Sealing>,
    unwrapped: Mutex<LruCache<WrappedKey, Unwrapped>>,
}

/// A data key of this mount with its wrapped form.
pub struct SealingKey {
    pub key: Arc<DataKey>,
    pub wrapped: WrappedKey,
}

#[derive(Default)]
struct Sealing {
    /// With the records that it may still seal.
    current: Option<(Arc<SealingKey>, u64)>,
    /// The next one, while it is made.
    flight: Option<Flight<()>>,
}

enum Unwrapped {
    Key(Arc<DataKey>),
    /// While it is unwrapped.
    Flight(Flight<Arc<DataKey>>),
}

/// A request that several wait for: its answer, once it is there.
type Flight<T> = watch::Receiver<Option<Result<T>>>;

impl DataKeys {
    pub fn new(root: Root, volume: VolumeId, records_per_key: NonZeroU64) -> Self {
        Self(Arc::new(Inner {
            root,
            volume,
            records_per_key,
            sealing: Mutex::default(),
            unwrapped: Mutex::new(LruCache::new(KEPT)),
        }))
    }

    pub fn root(&self) -> &Root {
        &self.0.root
    }

    /// A key to seal one record with.
    pub async fn to_seal(&self) -> Result<Arc<SealingKey>> {
        if self.0.records_per_key.get() == 1 {
            // There is nothing to share.
            return self.0.generate().await;
        }
        loop {
            let flight = {
                let mut sealing = lock(&self.0.sealing);
                if let Some(key) = sealing.take() {
                    return Ok(key);
                }
                match sealing.flight.as_ref().filter(|flight| is_alive(flight)) {
                    Some(flight) => flight.clone(),
                    None => sealing.flight.insert(self.0.start_generating()).clone(),
                }
            };
            answer(flight).await?;
        }
    }

    /// The key that sealed what lies beside `wrapped`.
    pub async fn to_open(&self, wrapped: &WrappedKey) -> Result<Arc<DataKey>> {
        let flight = {
            let mut unwrapped = lock(&self.0.unwrapped);
            match unwrapped.get(wrapped) {
                Some(Unwrapped::Key(key)) => return Ok(Arc::clone(key)),
                Some(Unwrapped::Flight(flight)) if is_alive(flight) => flight.clone(),
                _ => match (&self.0.root, wrapped) {
                    (Root::Master(master), WrappedKey::Master(sealed)) => {
                        let key = master.unwrap(self.0.volume.as_bytes(), sealed);
                        let key = key.map_err(|error| DataKeyError::Object(error.into()))?;
                        let key = Arc::new(key);
                        unwrapped.put(wrapped.clone(), Unwrapped::Key(Arc::clone(&key)));
                        return Ok(key);
                    }
                    (Root::Kms(_), WrappedKey::Kms(blob)) => {
                        let flight = self.0.start_unwrapping(blob.clone());
                        unwrapped.put(wrapped.clone(), Unwrapped::Flight(flight.clone()));
                        flight
                    }
                    (Root::Master(_), WrappedKey::Kms(_))
                    | (Root::Kms(_), WrappedKey::Master(_)) => {
                        return Err(DataKeyError::Object(ObjectError::NotAuthentic));
                    }
                },
            }
        };
        answer(flight).await
    }
}

impl Inner {
    async fn generate(&self) -> Result<Arc<SealingKey>> {
        let (key, wrapped) = new_data_key(&self.root, self.volume).await?;
        let key = Arc::new(key);
        // What this mount has written it will read.
        lock(&self.unwrapped).put(wrapped.clone(), Unwrapped::Key(Arc::clone(&key)));
        Ok(Arc::new(SealingKey { key, wrapped }))
    }

    fn start_generating(self: &Arc<Self>) -> Flight<()> {
        let (sender, flight) = watch::channel(None);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let generated = this.generate().await;
            let mut sealing = lock(&this.sealing);
            sealing.flight = None;
            let answer = generated.map(|key| {
                sealing.current = Some((key, this.records_per_key.get()));
            });
            drop(sealing);
            sender.send_replace(Some(answer));
        });
        flight
    }

    fn start_unwrapping(self: &Arc<Self>, blob: Vec<u8>) -> Flight<Arc<DataKey>> {
        let (sender, flight) = watch::channel(None);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let Root::Kms(kms) = &this.root else { return };
            let key = kms.unwrap(this.volume.as_bytes(), &blob).await;
            let answer = key.map(Arc::new).map_err(DataKeyError::from);
            let wrapped = WrappedKey::Kms(blob);
            let mut unwrapped = lock(&this.unwrapped);
            match &answer {
                Ok(key) => unwrapped.put(wrapped, Unwrapped::Key(Arc::clone(key))),
                Err(_) => unwrapped.pop(&wrapped),
            };
            drop(unwrapped);
            sender.send_replace(Some(answer));
        });
        flight
    }
}

impl Sealing {
    fn take(&mut self) -> Option<Arc<SealingKey>> {
        let (key, left) = self.current.as_mut()?;
        *left = left.checked_sub(1)?;
        Some(Arc::clone(key))
    }
}

/// What another's wrapping is to an object: not this volume's.
impl From<KmsError> for DataKeyError {
    fn from(error: KmsError) -> Self {
        match error.kind() {
            KmsErrorKind::NotWrapped => Self::Object(ObjectError::NotAuthentic),
            _ => Self::Kms(Arc::new(error)),
        }
    }
}

/// One whose task has died is not waited for.
fn is_alive<T>(flight: &Flight<T>) -> bool {
    flight.has_changed().is_ok()
}

async fn answer<T: Clone>(mut flight: Flight<T>) -> Result<T> {
    match flight.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone().unwrap_or(Err(DataKeyError::Lost)),
        Err(_died) => Err(DataKeyError::Lost),
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
