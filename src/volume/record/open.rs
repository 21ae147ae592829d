//! The key check, and the copies made one again.

use std::num::NonZeroU64;

use bytes::Bytes;

use super::{Copy, Found, RecordError, VolumeRecord};
use crate::base::id::CommitId;
use crate::crypto::DataKey;
use crate::keys::kms::{KmsError, KmsErrorKind};
use crate::keys::root::Root;
use crate::layout::sealed::volume::{SealedVolume, Settings, VolumeError, VolumeHeader};
use crate::layout::sealed::{Names, VolumeId, WrappedKey};
use crate::store::{PutOptions, Store, WriteCondition, commit};
use crate::volume::{ClientSide, S3ecReading};

/// A volume whose key is right.
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct OpenVolume {
    pub id: VolumeId,
    pub names: Names,
    pub root: Root,
    /// The record's data key as the root wraps it: another root has another.
    pub key: WrappedKey,
    /// Tells people whether two mounts have the same key; public. See [`key_check`].
    pub key_check: Option<String>,
    /// What the user should know: sentences.
    pub notes: Vec<String>,
    /// Copies of the record that are not as the one that was taken: `notes` tell of them, too.
    pub damaged: Vec<DamagedCopy>,
}

/// A copy of the record that is missing, broken or old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedCopy {
    pub key: String,
    /// What follows "the copy" in a sentence.
    pub state: String,
    pub restoring: Restoring,
}

/// What became of writing it anew from the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restoring {
    Done,
    /// Whoever may write can do it.
    Possible,
    /// It was tried; why it is as it was.
    Failed(String),
    /// It is of a newer program, and stays.
    Refused,
}

impl OpenVolume {
    /// `records_per_data_key` is at most 2^32.
    #[must_use]
    pub fn client_side(self, records_per_data_key: NonZeroU64) -> ClientSide {
        ClientSide {
            id: self.id,
            names: self.names,
            root: self.root,
            records_per_data_key,
            s3ec: S3ecReading::default(),
        }
    }
}

impl VolumeRecord {
    /// The key check. Afterwards a copy that is missing, broken or old is written anew, unless
    /// `read_only`; where that fails, it is noted.
    ///
    /// # Errors
    /// When the key is wrong, or right and the record was changed.
    pub async fn open(&self, root: Root, read_only: bool) -> Result<OpenVolume, RecordError> {
        if !self.has_mode(root.mode()) {
            return Err(RecordError::OtherMode {
                is: self.mode(),
                asked: root.mode(),
                volume: self.volume.clone(),
            });
        }
        let opened = self.open_copies(&root).await?;
        let (settings, best) = self.best(&root, opened)?;
        let damaged = self.mend(best.bytes, settings.sequence, read_only).await;
        Ok(OpenVolume {
            id: best.header.id,
            names: settings.names,
            key_check: key_check(&best.header.key),
            key: best.header.key.clone(),
            root,
            notes: damaged.iter().map(DamagedCopy::note).collect(),
            damaged,
        })
    }

    /// Of each copy whose wrapped key is one of the root what its settings are.
    pub(super) async fn open_copies(&self, root: &Root) -> Result<Vec<Opened<'_>>, RecordError> {
        let mut opened = Vec::new();
        let mut refused = None;
        // Both have the same data key, in general.
        let mut known: Option<(&VolumeHeader, DataKey)> = None;
        for copy in &self.copies {
            let Found::Sealed(_, bytes, sealed) = &copy.found else {
                continue;
            };
            let header = sealed.header();
            let is_known =
                |(same, _): &(&VolumeHeader, _)| same.id == header.id && same.key == header.key;
            if !known.as_ref().is_some_and(is_known) {
                known = match unwrap(sealed, root).await {
                    Ok(key) => key.map(|key| (header, key)),
                    // A damaged copy names another volume in its context, which a policy may
                    // deny.
                    Err(error) if error.kind() == KmsErrorKind::Denied => {
                        refused = Some(error);
                        None
                    }
                    Err(error) => return Err(error.into()),
                };
            }
            if let Some((_, key)) = &known {
                let settings = sealed.open(key);
                opened.push((settings, Copied { header, bytes }));
            }
        }
        match refused {
            Some(error) if opened.is_empty() => Err(error.into()),
            _ => Ok(opened),
        }
    }

    pub(super) fn best<'a>(
        &self,
        root: &Root,
        opened: Vec<Opened<'a>>,
    ) -> Result<(Settings, Copied<'a>), RecordError> {
        let mut best: Option<(Settings, Copied<'a>)> = None;
        let mut failed = None;
        for (settings, copy) in opened {
            match (settings, &best) {
                (Ok(_), Some((_, one))) if one.header.id != copy.header.id => {
                    return Err(RecordError::TwoVolumes {
                        volume: self.volume.clone(),
                        ids: [one.header.id, copy.header.id],
                    });
                }
                (Ok(older), Some((best, _))) if older.sequence <= best.sequence => {}
                (Ok(settings), _) => best = Some((settings, copy)),
                // Whoever wrote it had the key, and knew more than this program.
                (Err(error @ (VolumeError::UnknownFeature(_) | VolumeError::Malformed(_))), _) => {
                    return Err(RecordError::record(&self.volume, error));
                }
                (Err(error), _) => failed = Some(error),
            }
        }
        match (best, failed) {
            (Some(best), _) => Ok(best),
            (None, Some(error)) => Err(RecordError::record(&self.volume, error)),
            (None, None) => Err(self.wrong_key(root)),
        }
    }

    fn wrong_key(&self, root: &Root) -> RecordError {
        match root {
            Root::Master(_) => RecordError::record(&self.volume, VolumeError::WrongKey),
            Root::Kms(kms) => RecordError::WrongKmsKey {
                volume: self.volume.clone(),
                key: kms.key().to_owned(),
                made_with: self.header().kms_key_name.clone(),
            },
        }
    }

    async fn mend(&self, best: &Bytes, sequence: u64, read_only: bool) -> Vec<DamagedCopy> {
        let mut damaged = Vec::new();
        for copy in &self.copies {
            let (condition, state) = match &copy.found {
                Found::Sealed(_, bytes, _) if bytes == best => continue,
                Found::Sealed(etag, ..) => (
                    WriteCondition::IfMatch(etag.clone()),
                    "is not authentic or older than the other".to_owned(),
                ),
                Found::Broken(_, error @ VolumeError::UnknownVersion(_)) => {
                    damaged.push(DamagedCopy {
                        key: copy.key.to_string(),
                        state: error.to_string(),
                        restoring: Restoring::Refused,
                    });
                    continue;
                }
                Found::Broken(etag, error) => {
                    (WriteCondition::IfMatch(etag.clone()), error.to_string())
                }
                Found::Missing => (WriteCondition::IfAbsent, "is missing".to_owned()),
            };
            let key = copy.key.to_string();
            let restoring = if read_only {
                Restoring::Possible
            } else {
                tracing::warn!(
                    "the copy {key:?} of the volume record {state}; restoring it from the other (sequence {sequence})"
                );
                match put(self.store.as_ref(), copy, best, condition).await {
                    Ok(()) => Restoring::Done,
                    Err(error) => Restoring::Failed(error.to_string()),
                }
            };
            damaged.push(DamagedCopy {
                key,
                state,
                restoring,
            });
        }
        damaged
    }
}

impl DamagedCopy {
    /// For whoever mounts.
    fn note(&self) -> String {
        let Self { key, state, .. } = self;
        let what = format!("the copy {key:?} of the volume record {state}");
        match &self.restoring {
            Restoring::Done => format!("{what}; it was restored from the other"),
            Restoring::Possible => {
                format!("{what}; a mount that may write restores it from the other")
            }
            Restoring::Failed(error) => format!("{what}, and it could not be restored: {error}"),
            Restoring::Refused => {
                format!("{what}; it is left as it is, and the other was taken")
            }
        }
    }
}

/// A copy whose wrapped key is one of the root.
#[derive(Clone, Copy)]
pub(super) struct Copied<'a> {
    pub header: &'a VolumeHeader,
    pub bytes: &'a Bytes,
}

pub(super) type Opened<'a> = (Result<Settings, VolumeError>, Copied<'a>);

/// `None` where it was wrapped under another root.
pub(super) async fn unwrap(
    sealed: &SealedVolume,
    root: &Root,
) -> Result<Option<DataKey>, KmsError> {
    match (root, &sealed.header().key) {
        (Root::Master(master), _) => Ok(sealed.unwrap(master).ok()),
        (Root::Kms(kms), WrappedKey::Kms(blob)) => {
            match kms.unwrap(sealed.header().id.as_bytes(), blob).await {
                Ok(key) => Ok(Some(key)),
                Err(error) if error.kind() == KmsErrorKind::NotWrapped => Ok(None),
                Err(error) => Err(error),
            }
        }
        (Root::Kms(_), WrappedKey::Master(_)) => Ok(None),
    }
}

pub(super) async fn put(
    store: &dyn Store,
    copy: &Copy,
    bytes: &Bytes,
    condition: WriteCondition,
) -> crate::store::Result<()> {
    let options = PutOptions {
        condition,
        ..PutOptions::default()
    };
    commit::put(store, &copy.key, bytes.clone(), options, CommitId::random()).await?;
    Ok(())
}

/// The first bytes of the commitment of the record's wrapped data key: a public value that
/// another key does not have. Nothing is derived from the master key for it.
pub(super) fn key_check(key: &WrappedKey) -> Option<String> {
    /// Where the commitment begins in a message (docs/FORMAT.md, section 2).
    const COMMITMENT: usize = crate::crypto::SALT_BYTES;
    match key {
        WrappedKey::Kms(_) => None,
        WrappedKey::Master(wrapped) => {
            let (shown, _) = wrapped[COMMITMENT..].split_first_chunk()?;
            Some(format!("{:016x}", u64::from_be_bytes(*shown)))
        }
    }
}
