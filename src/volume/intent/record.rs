//! What an intent says, and how it is stored: as JSON, in a client-side volume sealed like the
//! content of any file.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::path::VolumePath;
use crate::store::{ErrorKind, GetOptions, PutOptions, commit};
use crate::volume::{
    Condition, ObjectMeta, ObjectRef, Result, Version, Volume, VolumeError, journal::Owner,
};

/// Of what this says; a reader leaves others alone.
const FORMAT: u32 = 1;

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IntentRecord {
    format: u32,
    pub from: String,
    pub to: String,
    pub owner: Owner,
    term_seconds: u64,
    /// Grows with each renewal.
    pub renewals: u64,
}

/// An intent as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub record: IntentRecord,
    pub version: Version,
}

impl IntentRecord {
    pub fn new(from: &VolumePath, to: &VolumePath, owner: Owner, term: Duration) -> Self {
        Self {
            format: FORMAT,
            from: from.as_str().to_owned(),
            to: to.as_str().to_owned(),
            owner,
            term_seconds: term.as_secs(),
            renewals: 0,
        }
    }

    /// How long it holds without being renewed.
    pub const fn term(&self) -> Duration {
        Duration::from_secs(self.term_seconds)
    }

    /// # Errors
    /// Why it is nothing that could be finished.
    pub fn decode(body: &[u8]) -> std::result::Result<Self, String> {
        let record: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if record.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", record.format));
        }
        let (from, to) = record.paths()?;
        if from.is_root() || to.is_root() || to.starts_with(&from) || from.starts_with(&to) {
            return Err(format!("{from:?} cannot become {to:?}"));
        }
        Ok(record)
    }

    /// From where and to where.
    pub fn paths(&self) -> std::result::Result<(VolumePath, VolumePath), String> {
        let path = |text: &str| {
            text.parse::<VolumePath>()
                .map_err(|error| error.to_string())
        };
        Ok((path(&self.from)?, path(&self.to)?))
    }
}

impl Volume {
    pub(super) async fn put_intent(
        &self,
        name: &str,
        record: &IntentRecord,
        condition: &Condition,
    ) -> Result<Version> {
        let key = self.private_key(name);
        let body = Bytes::from(serde_json::to_vec(record).expect("strings and numbers"));
        let meta = intent_meta();
        if self.is_sealed() {
            let put = Box::pin(self.put_sealed(&key, key.clone(), &meta, body, condition));
            return Ok(put.await?.version);
        }
        let options = PutOptions {
            attributes: self.encode(&key, &meta)?,
            condition: condition.to_store(),
        };
        let id = CommitId::random();
        let put = commit::put(self.store.as_ref(), &key, body, options, id).await;
        let written = put.map_err(|error| VolumeError::store(&key, error))?;
        Ok(written.into())
    }

    /// The intent of a name; `None` where it is gone by now.
    pub(super) async fn read_intent(&self, name: &str) -> Result<Option<Found>> {
        let key = self.private_key(name);
        let (body, version) = if self.is_sealed() {
            let Some((opened, info)) = self.look_sealed(&key, None).await? else {
                return Ok(None);
            };
            let version = Version::new(info.etag, info.version);
            let object = ObjectRef::Private(name.to_owned());
            let whole = ByteRange::new(0, opened.footer.length);
            (self.read(&object, &version, whole).await?, version)
        } else {
            match self.store.get(&key, GetOptions::default()).await {
                Ok(object) => {
                    let version = Version::new(object.info.etag, object.info.version);
                    (object.body, version)
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(VolumeError::store(&key, error)),
            }
        };
        let record = IntentRecord::decode(&body)
            .map_err(|why| VolumeError::other(&key, ErrorKind::Corrupt, &why))?;
        Ok(Some(Found { record, version }))
    }
}

fn intent_meta() -> ObjectMeta {
    let now = Timestamp::now();
    ObjectMeta::new(Attributes {
        kind: FileKind::File,
        perm: 0o600,
        uid: 0,
        gid: 0,
        rdev: 0,
        atime: now,
        mtime: now,
        ctime: now,
        xattrs: Xattrs::new(),
    })
}
