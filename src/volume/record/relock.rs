//! The master key under another passphrase: the record written anew, and nothing else.
//!
//! The new record has the next sequence number and the same data key, names and volume id. It is
//! written to the first copy and then to the second, each only in place of the one that was read;
//! so at any moment at least one whole copy is there, and two people who do this at the same time
//! do not undo each other's. Where it ends between the two, the old passphrase opens the second
//! copy and the new one the first, until whoever opens the volume next mends the second.

use bytes::Bytes;

use super::open::{put, unwrap};
use super::{Copy, Found, RecordError, VolumeRecord};
use crate::crypto::passphrase::Lock;
use crate::keys::root::Root;
use crate::layout::sealed::volume::{Settings, VolumeError, VolumeHeader};
use crate::store::{ErrorKind, GetOptions, WriteCondition};

impl VolumeRecord {
    /// Writes both copies anew, with `lock` for the master key that is `root`. Returns the record
    /// as it can be kept elsewhere.
    ///
    /// # Errors
    /// [`RecordError::Unequal`] when the copies are not whole and equal, as after
    /// [`VolumeRecord::open`]; [`RecordError::Changed`] when somebody else writes them;
    /// [`RecordError::HalfChanged`] when the first copy is written and the second is not.
    pub async fn relock(&self, root: &Root, lock: Lock) -> Result<Bytes, RecordError> {
        let volume = || self.volume.clone();
        let [a, b] = &self.copies;
        let (Found::Sealed(etag_a, bytes, _), Found::Sealed(etag_b, same, _)) =
            (&a.found, &b.found)
        else {
            return Err(RecordError::Unequal { volume: volume() });
        };
        if bytes != same {
            return Err(RecordError::Unequal { volume: volume() });
        }
        let (settings, best) = self.best(root, self.open_copies(root).await?)?;
        let Some(key) = unwrap(&self.shown, root).await? else {
            return Err(RecordError::record(&self.volume, VolumeError::WrongKey));
        };
        let header = VolumeHeader {
            lock: Some(lock),
            ..best.header.clone()
        };
        let settings = Settings {
            sequence: settings.sequence + 1,
            names: settings.names,
        };
        let record = Bytes::from(header.seal(&key, &settings));
        let in_place_of = |etag: &crate::store::ETag| WriteCondition::IfMatch(etag.clone());
        match put(self.store.as_ref(), a, &record, in_place_of(etag_a)).await {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Precondition | ErrorKind::Conflict | ErrorKind::NotFound
                ) =>
            {
                return Err(RecordError::Changed { volume: volume() });
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::TimedOut | ErrorKind::Unavailable | ErrorKind::Corrupt
                ) =>
            {
                let volume = volume();
                return Err(RecordError::ChangedOrNot { volume, error });
            }
            Err(error) => return Err(error.into()),
        }
        let second = put(self.store.as_ref(), b, &record, in_place_of(etag_b)).await;
        // Somebody who opened the volume in between has mended it already. And a server that
        // knows no conditions lets the last one win.
        for copy in [a, b] {
            let there = self.body(copy).await;
            if there.as_ref().is_ok_and(|there| *there == record) {
                continue;
            }
            return Err(match (second, there) {
                (Err(error), _) | (Ok(()), Err(error)) => RecordError::HalfChanged {
                    volume: volume(),
                    error,
                },
                (Ok(()), Ok(_other)) => RecordError::Changed { volume: volume() },
            });
        }
        Ok(record)
    }

    async fn body(&self, copy: &Copy) -> crate::store::Result<Bytes> {
        let object = self.store.get(&copy.key, GetOptions::default()).await?;
        Ok(object.body)
    }
}

#[cfg(test)]
mod tests;
