//! The staging area: dirty bytes that do not fit memory, sealed, on the local disk.
//!
//! Each file that is being changed has at most one staging file, in which each stored slot is
//! one sealed message. The key is random for every [`Staging`] and never leaves memory, and
//! staging files have no name: what a crash leaves behind is free disk space.
//!
//! Invariants: no plaintext on disk; a slot gives back the bytes that were stored or an error
//! (its context is the file, the slot and a count of writes, so messages cannot trade places);
//! at most the limit is in use, and the disk keeps a reserve of 5 % or 1 GiB, whichever is
//! less; what a dropped slot took is free again, on the disk too.
//!
//! Failing: a full area or disk refuses a store and everything stored before stays ([`Full`],
//! [`DiskFull`]); changed bytes are [`NotAuthentic`].
//!
//! Everything here blocks on the disk, dropping a slot included (one call that frees its
//! room): asynchronous callers move it off their threads.
//!
//! [`Full`]: StagingError::Full
//! [`DiskFull`]: StagingError::DiskFull
//! [`NotAuthentic`]: StagingError::NotAuthentic

mod area;
mod disk;
mod error;
mod space;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::area::{Area, Extent, Shared};
use self::disk::DiskSpace;
use crate::base::range::ByteRange;
use crate::base::size::ByteSize;
use crate::crypto::{
    CHUNK_BYTES, Context, HEADER_BYTES, MessageLength, Opener, Purpose, STORED_CHUNK_BYTES, Sealer,
};

pub use self::error::StagingError;

/// Plaintext that is sealed and written at a time, so that a slot is not in memory twice.
const BATCH_CHUNKS: usize = 64;

/// The staging area of one mount. Clones share it.
#[derive(Clone, Debug)]
pub struct Staging(Arc<Area>);

/// The staged bytes of one file. Clones share it.
#[derive(Clone, Debug)]
pub struct StagingFile(Arc<Shared>);

/// Room of the area that something else takes: it counts towards the limit until it is given back
/// or dropped.
#[derive(Debug)]
pub struct Room {
    area: Arc<Area>,
    bytes: u64,
}

/// Bytes in the staging area; dropping it frees their room.
#[derive(Debug)]
pub struct StagedSlot {
    extent: Extent,
    length: MessageLength,
    context: Context,
}

impl Staging {
    /// Opens the staging area in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made or is not private to this user.
    pub fn open(dir: &Path, limit: ByteSize) -> Result<Self, StagingError> {
        Self::open_on(dir, limit, DiskSpace::of)
    }

    /// A file to stage bytes of; `name` is what errors call it.
    #[must_use]
    pub fn file(&self, name: impl Into<String>) -> StagingFile {
        StagingFile(Arc::new(Shared::new(&self.0, name.into())))
    }

    /// Room for what is not staged, none to begin with.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            area: Arc::clone(&self.0),
            bytes: 0,
        }
    }

    /// Disk that staged bytes take now.
    #[must_use]
    pub fn in_use(&self) -> ByteSize {
        ByteSize(self.0.in_use())
    }

    #[must_use]
    pub fn limit(&self) -> ByteSize {
        ByteSize(self.0.limit())
    }

    fn open_on(
        dir: &Path,
        limit: ByteSize,
        disk_space: fn(&File) -> io::Result<DiskSpace>,
    ) -> Result<Self, StagingError> {
        Ok(Self(Arc::new(Area::open(dir, limit.0, disk_space)?)))
    }
}

impl Room {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// [`StagingError::Full`] and [`StagingError::DiskFull`]; it has what it had then.
    pub fn grow(&mut self, bytes: u64) -> Result<(), StagingError> {
        self.area.reserve(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives so many bytes back.
    ///
    /// # Panics
    /// When it does not have them.
    pub fn shrink(&mut self, bytes: u64) {
        assert!(
            bytes <= self.bytes,
            "room was given back that was not taken"
        );
        self.bytes -= bytes;
        self.area.give_back(bytes);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.area.give_back(self.bytes);
    }
}

impl StagingFile {
    /// Seals `plaintext` into the area. `slot` is any number of the caller's; storing a slot
    /// again leaves what was stored before as it is.
    ///
    /// # Errors
    /// [`StagingError::Full`] and [`StagingError::DiskFull`] when there is no room, and what
    /// the disk says. Nothing is in use then.
    pub fn store(&self, slot: u64, plaintext: &[u8]) -> Result<StagedSlot, StagingError> {
        let length = MessageLength::of_plain(plaintext.len() as u64)
            .expect("what is in memory is below 4 PiB");
        let extent = Extent::take(&self.0, space::room_for(length.stored()))?;
        let context = Context::new(Purpose::Staging)
            .number(self.0.id())
            .number(slot)
            .number(self.0.next_write());
        let staged = StagedSlot {
            extent,
            length,
            context,
        };
        staged.write(plaintext)?;
        Ok(staged)
    }
}

impl StagedSlot {
    /// Number of bytes that were stored.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.length.plain()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that were stored.
    ///
    /// # Errors
    /// [`StagingError::NotAuthentic`] when they were changed, and what the disk says.
    pub fn load(&self) -> Result<Vec<u8>, StagingError> {
        self.load_range(ByteRange::new(0, self.len()))
    }

    /// Some of the bytes that were stored, without reading all.
    ///
    /// # Errors
    /// As [`Self::load`].
    ///
    /// # Panics
    /// When `range` ends after what was stored.
    pub fn load_range(&self, range: ByteRange) -> Result<Vec<u8>, StagingError> {
        let span = self.length.span(range).stored();
        let mut header = [0; HEADER_BYTES];
        self.extent.read(&mut header, 0)?;
        let len = usize::try_from(span.len()).expect("it was in memory when it was stored");
        let mut stored = vec![0; len];
        self.extent.read(&mut stored, span.start())?;
        Opener::new(
            self.extent.key(),
            &self.context,
            &header,
            self.length.stored(),
        )
        .and_then(|opener| opener.open_range(range, &stored))
        .map_err(|source| self.extent.not_authentic(source))
    }

    fn write(&self, plaintext: &[u8]) -> Result<(), StagingError> {
        let (mut sealer, header) = Sealer::new(self.extent.key(), &self.context);
        let mut sealed = Vec::with_capacity(HEADER_BYTES + BATCH_CHUNKS * STORED_CHUNK_BYTES);
        sealed.extend_from_slice(&header);
        let (mut rest, mut at) = (plaintext, 0);
        while let Some((batch, after)) = rest.split_at_checked(BATCH_CHUNKS * CHUNK_BYTES) {
            sealer.chunks(batch, &mut sealed);
            self.extent.write(&sealed, at)?;
            at += sealed.len() as u64;
            sealed.clear();
            rest = after;
        }
        sealer.finish(rest, &mut sealed);
        self.extent.write(&sealed, at)
    }
}

#[cfg(test)]
mod tests;
