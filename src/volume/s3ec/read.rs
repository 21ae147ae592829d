//! Reading ranges of an object that was found authentic.

use std::sync::Arc;

use bytes::Bytes;

use super::key::Opener;
use super::verify::PIECE_BYTES;
use super::{Place, S3ecObject};
use crate::base::range::ByteRange;
use crate::layout::s3ec::S3ecError;
use crate::store::{ErrorKind, GetOptions, GetRange};
use crate::volume::{Result, Volume, VolumeError};

/// A block of AES.
const BLOCK_BYTES: u64 = 16;

impl Volume {
    /// As [`Volume::read`].
    pub(in crate::volume) async fn read_s3ec(
        &self,
        at: &Place,
        object: &Arc<S3ecObject>,
        range: ByteRange,
    ) -> Result<Bytes> {
        if range.end() > object.size {
            let message = format!("asked for {range} of a file of {} bytes", object.size);
            return Err(VolumeError::other(&at.name, ErrorKind::Corrupt, &message));
        }
        if range.is_empty() {
            // Of an empty file nothing was served; it is to be authentic all the same.
            self.s3ec_pieces(at, object).await?;
            return Ok(Bytes::new());
        }
        let pieces = self.s3ec_pieces(at, object).await?;
        let start = range.start() / PIECE_BYTES * PIECE_BYTES;
        let end = range.end().div_ceil(PIECE_BYTES) * PIECE_BYTES;
        let wanted = ByteRange::new(start, end.min(object.ciphertext_bytes));
        // CBC needs the block before.
        let lead = if object.is_legacy_content() && start > 0 {
            BLOCK_BYTES
        } else {
            0
        };
        let (before, ciphertext) = if let Some(whole) = pieces.whole() {
            (Bytes::new(), whole.clone())
        } else {
            let stored = ByteRange::new(start - lead, wanted.end());
            let mut before = self.s3ec_stored(at, stored).await?;
            let ciphertext = before.split_off(index(lead));
            if !pieces.are(start, &ciphertext) {
                let error = S3ecError::NotAuthentic;
                return Err(VolumeError::object(&at.name, error.into()));
            }
            (before, ciphertext)
        };
        let object = Arc::clone(object);
        let decrypt = move || {
            let mut plain = ciphertext.to_vec();
            match object.opener.get() {
                Some(Opener::Gcm(key)) => key.decrypt_at(start, &mut plain),
                Some(Opener::Cbc(key, iv)) => {
                    key.decrypt(before.first_chunk().unwrap_or(iv), &mut plain);
                }
                None => unreachable!("what is authentic was opened"),
            }
            Bytes::from(plain)
        };
        let plain = computing(decrypt).await;
        Ok(plain.slice(index(range.start() - start)..index(range.end() - start)))
    }

    /// These bytes of a version's body.
    pub(super) async fn s3ec_stored(&self, at: &Place, range: ByteRange) -> Result<Bytes> {
        let options = GetOptions {
            range: Some(GetRange::Bytes(range)),
            if_match: Some(at.etag.clone()),
            version: at.version.clone(),
        };
        let answer = self.store.get(&at.key, options).await;
        let answer = answer.map_err(|error| VolumeError::store(&at.name, error))?;
        if answer.range != range || answer.body.len() as u64 != range.len() {
            let message = format!("asked for {range}, the store answered {}", answer.range);
            return Err(VolumeError::other(&at.name, ErrorKind::Corrupt, &message));
        }
        Ok(answer.body)
    }
}

/// On a thread that may be busy for a while.
pub(super) async fn computing<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(died) => match died.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory has a length that fits usize")
}
