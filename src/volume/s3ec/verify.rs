//! The pass over an object that says whether it is authentic.
//!
//! It reads the body from its beginning to its end, of one version, and keeps of each piece what
//! tells it from any other. A body that was found changed stays so for the life of the mount: to
//! read it again would give the same.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::key::Opener;
use super::{Place, S3ecObject, read};
use crate::base::range::ByteRange;
use crate::crypto::s3ec::digest;
use crate::layout::s3ec::S3ecError;
use crate::volume::{Result, Volume, VolumeError};

/// Passes at once.
pub const PASSES: usize = 2;
/// What is read of an object when some of it is wanted: each has a digest of 16 bytes, so the
/// longest object takes 4 MiB.
pub const PIECE_BYTES: u64 = 256 << 10;
/// What a pass asks for at a time, a number of pieces.
const FETCH_BYTES: u64 = 4 << 20;
/// Answers that are waited for at once: a pass holds 16 MiB.
const AHEAD: usize = 4;

/// What a pass found.
pub enum Verdict {
    Authentic(Pieces),
    Refused(S3ecError),
}

/// What of an object was authentic.
pub struct Pieces {
    digests: Vec<[u8; 16]>,
    /// All of its ciphertext, where that is one piece.
    whole: Option<Bytes>,
}

impl Verdict {
    pub fn kept_bytes(&self) -> u64 {
        match self {
            Self::Authentic(pieces) => {
                let whole = pieces.whole.as_ref().map_or(0, Bytes::len);
                (16 * pieces.digests.len() + whole) as u64
            }
            Self::Refused(_) => 0,
        }
    }
}

impl Pieces {
    /// All of the ciphertext, if it was kept.
    pub const fn whole(&self) -> Option<&Bytes> {
        self.whole.as_ref()
    }

    /// Whether these bytes, which begin with a piece, are those that were authentic.
    pub fn are(&self, start: u64, ciphertext: &[u8]) -> bool {
        let first = index(start / PIECE_BYTES);
        let mut found = ciphertext.chunks(index(PIECE_BYTES));
        found.by_ref().enumerate().all(|(at, piece)| {
            let known = self.digests.get(first + at);
            known.is_some_and(|known| *known == digest(piece))
        })
    }
}

impl Volume {
    /// What of a version was authentic: after a pass over all of it, the first time.
    pub(super) async fn s3ec_pieces<'a>(
        &self,
        at: &Place,
        object: &'a S3ecObject,
    ) -> Result<&'a Pieces> {
        let pass = || async {
            let verdict = self.s3ec_pass(at, object).await?;
            if let Verdict::Refused(error) = &verdict {
                tracing::error!(object = at.name, "{:?} {error}", at.name);
            }
            Ok::<_, VolumeError>(verdict)
        };
        let is_new = !object.verdict.initialized();
        let verdict = object.verdict.get_or_try_init(pass).await?;
        if is_new {
            self.sealed().s3ec.kept.make_room();
        }
        match verdict {
            Verdict::Authentic(pieces) => Ok(pieces),
            Verdict::Refused(error) => Err(VolumeError::object(&at.name, (*error).into())),
        }
    }

    async fn s3ec_pass(&self, at: &Place, object: &S3ecObject) -> Result<Verdict> {
        let sealed = self.sealed();
        let turn = sealed.s3ec.passes.acquire().await;
        let _turn = turn.expect("the semaphore is never closed");
        let opener = self.s3ec_opener(&at.key, object).await;
        let opener = opener.map_err(|error| error.named(&at.name))?;
        let mut checking = match opener {
            Opener::Gcm(key) => Some(key.check()),
            Opener::Cbc(..) => None,
        };
        let size = object.ciphertext_bytes;
        let ranges = (0..size.div_ceil(FETCH_BYTES)).map(|at| {
            let start = at * FETCH_BYTES;
            ByteRange::new(start, size.min(start + FETCH_BYTES))
        });
        // The tag comes with the last of them, or alone.
        let tag_bytes = object.stored_bytes - size;
        let ranges = ranges.map(|range| {
            let end = range.end();
            let tag = if end == size { tag_bytes } else { 0 };
            ByteRange::new(range.start(), end + tag)
        });
        let alone = (size == 0).then(|| ByteRange::new(0, tag_bytes));
        let mut fetched = stream::iter(ranges.chain(alone))
            .map(|range| self.s3ec_stored(at, range))
            .buffered(AHEAD);
        let mut digests = Vec::with_capacity(index(size.div_ceil(PIECE_BYTES)));
        let mut whole = None;
        let mut tag = Bytes::new();
        let mut seen = 0;
        while let Some(stored) = fetched.next().await {
            let mut ciphertext = stored?;
            tag = ciphertext.split_off(ciphertext.len().min(index(size - seen)));
            seen += ciphertext.len() as u64;
            if size <= PIECE_BYTES && size > 0 {
                whole = Some(ciphertext.clone());
            }
            let of_piece = move || {
                if let Some(checking) = &mut checking {
                    checking.update(&ciphertext);
                }
                let pieces = ciphertext.chunks(index(PIECE_BYTES));
                let digests: Vec<_> = pieces.map(digest).collect();
                (checking, digests)
            };
            let (updated, of_piece) = read::computing(of_piece).await;
            checking = updated;
            digests.extend(of_piece);
        }
        let authentic = checking.is_none_or(|checking| checking.finish(&tag).is_ok());
        Ok(if authentic {
            Verdict::Authentic(Pieces { digests, whole })
        } else {
            Verdict::Refused(S3ecError::NotAuthentic)
        })
    }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory has a length that fits usize")
}
