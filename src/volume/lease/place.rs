//! The objects by which the mounts of a volume know of each other, and the requests for them.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::LeaseError;
use super::record::Record;
use crate::base::limits::RESERVED_PREFIX;
use crate::store::{
    DeleteOptions, ETag, ErrorKind, GetOptions, ListOptions, ListedObject, ObjectKey, PutOptions,
    Result, Store, WriteCondition,
};

/// Where the records of a volume's mounts are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The bucket, with retries but without a [`super::Fence`].
    pub store: Arc<dyn Store>,
    /// Of the volume: empty, or ends in `/`.
    pub prefix: String,
    /// Which server the store is on: a bucket of the same name elsewhere is another one.
    pub server: String,
    /// What a person calls the volume.
    pub source: String,
    /// Where this machine keeps the locks of its mounts; made when missing.
    pub locks: PathBuf,
}

/// A record as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// `None` when it cannot be read as one.
    pub record: Option<Record>,
    pub etag: ETag,
}

impl Found {
    pub(super) fn is_of(&self, mount: &str) -> Option<&Record> {
        self.record.as_ref().filter(|record| record.mount == mount)
    }

    pub(super) fn who(&self) -> String {
        who(self.record.as_ref())
    }
}

/// A mount, for a person.
pub(super) fn who(record: Option<&Record>) -> String {
    record.map_or_else(
        || "a mount of another release of cloakfs".to_owned(),
        |record| format!("host {record}"),
    )
}

impl Place {
    /// The lease of the one that has the volume to itself.
    pub(super) fn lease(&self) -> std::result::Result<ObjectKey, LeaseError> {
        self.key("lease")
    }

    /// The registration of a mount that shares it.
    pub(super) fn registration(&self, mount: &str) -> std::result::Result<ObjectKey, LeaseError> {
        self.key(&format!("mounts/{mount}"))
    }

    fn key(&self, name: &str) -> std::result::Result<ObjectKey, LeaseError> {
        let key = format!("{}{RESERVED_PREFIX}{name}", self.prefix);
        ObjectKey::new(key).map_err(LeaseError::Key)
    }

    /// An object among all that this machine's mounts have, wherever.
    pub(super) fn described(&self, key: &str) -> String {
        format!("{} {}/{key}", self.server, self.store.describe())
    }

    /// [`Self::described`] of every registration here begins with it.
    pub(super) fn registrations(&self) -> String {
        self.described(&format!("{}{RESERVED_PREFIX}mounts/", self.prefix))
    }

    pub(super) async fn read(&self, key: &ObjectKey) -> Result<Option<Found>> {
        match self.store.get(key, GetOptions::default()).await {
            Ok(object) => Ok(Some(Found {
                record: Record::decode(&object.body),
                etag: object.info.etag,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn write(
        &self,
        key: &ObjectKey,
        record: &Record,
        condition: WriteCondition,
    ) -> Result<ETag> {
        let options = PutOptions {
            condition,
            ..PutOptions::default()
        };
        let body = Bytes::from(record.encode());
        Ok(self.store.put(key, body, options).await?.etag)
    }

    /// Deletes what is there whatever it is.
    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.store.delete(key, DeleteOptions::default()).await
    }

    /// Every registration that is there.
    pub(super) async fn registered(&self) -> Result<Vec<ListedObject>> {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let options = ListOptions {
                prefix: format!("{}{RESERVED_PREFIX}mounts/", self.prefix),
                token,
                ..ListOptions::default()
            };
            let page = self.store.list(options).await?;
            all.extend(page.objects);
            token = page.next;
            if token.is_none() {
                return Ok(all);
            }
        }
    }
}
