//! A mount's writing side over a store in memory that can fail and counts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use crate::base::limits::SEGMENT_BYTES;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::path::{PlainName, VolumePath};
use crate::layout::plain::Defaults;
use crate::store::Limits;
use crate::store::fault::Fault;
use crate::store::mem::MemStore;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::volume::{Condition, ObjectMeta, ObjectRef, Volume, VolumeError, VolumeOptions};
use crate::write::grid::Grid;
use crate::write::planner::PlanLimits;
use crate::write::{Base, BaseReader, DirtyFile, WriteConfig, WriteEngine};

/// Length of a cell and of the first parts.
pub const CELL: u64 = 64;

/// Parts of one cell, then of two, of four: three of each.
pub const TINY: PlanLimits = PlanLimits {
    put_bytes_max: CELL,
    copy_bytes_max: 5 * CELL,
    object_bytes_max: 40 * CELL,
    grid: Grid::tiny(CELL, 3),
};

pub struct Fixture {
    pub mem: Arc<MemStore>,
    pub fault: Arc<Fault>,
    pub volume: Arc<Volume>,
    pub engine: Arc<WriteEngine>,
    /// Holds journal and staging.
    _dir: TempDir,
}

impl Fixture {
    /// Memory for four cells, which a file streams into when it has more than two, and staging
    /// for some thirty.
    pub async fn tiny() -> Self {
        Self::tiny_with(0, 128 << 10).await
    }

    /// Memory for every file of a test: nothing spills, nothing streams.
    pub async fn roomy() -> Self {
        Self::tiny_with(256 * CELL, 0).await
    }

    /// The same over a store with other limits.
    pub async fn roomy_with(limits: Limits) -> Self {
        let config = WriteConfig {
            memory_bytes: 256 * CELL,
            staging_bytes: 0,
            parallel_uploads: 3,
            ..WriteConfig::default()
        };
        let limits = Limits {
            part_bytes_min: CELL,
            ..limits
        };
        Self::new(MemStore::new().with_limits(limits), config, TINY, CELL).await
    }

    pub async fn tiny_with(memory_bytes: u64, staging_bytes: u64) -> Self {
        Self::tiny_streaming(memory_bytes, staging_bytes, u64::MAX).await
    }

    pub async fn tiny_streaming(memory_bytes: u64, staging_bytes: u64, after_bytes: u64) -> Self {
        let limits = Limits {
            part_bytes_min: CELL,
            ..Limits::S3
        };
        let config = WriteConfig {
            memory_bytes,
            staging_bytes,
            stream_after_bytes: after_bytes,
            parallel_uploads: 3,
            ..WriteConfig::default()
        };
        Self::new(MemStore::new().with_limits(limits), config, TINY, CELL).await
    }

    /// As a mount has it.
    pub async fn real(config: WriteConfig) -> Self {
        Self::new(MemStore::new(), config, PlanLimits::S3, SEGMENT_BYTES).await
    }

    async fn new(mem: MemStore, config: WriteConfig, limits: PlanLimits, cell: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let mem = Arc::new(mem);
        let fault = Arc::new(Fault::new(Arc::clone(&mem) as _));
        let options = VolumeOptions {
            server: String::new(),
            read_only: false,
            defaults: Defaults {
                uid: 0,
                gid: 0,
                umask: 0o022,
            },
            trust_listing: false,
            encryption: ExpectedEncryption::default(),
            journal_dir: dir.path().join("journal"),
        };
        let volume = Volume::open(Arc::clone(&fault) as _, "", options)
            .await
            .unwrap();
        let config = WriteConfig {
            staging_dir: dir.path().join("staging"),
            ..config
        };
        let engine = WriteEngine::with_grid(Arc::clone(&volume), config, limits, cell).unwrap();
        Self {
            mem,
            fault,
            volume,
            engine,
            _dir: dir,
        }
    }

    pub fn file(&self) -> Arc<DirtyFile> {
        DirtyFile::new(Arc::clone(&self.engine), None)
    }

    /// An object with this content, and a file based on it.
    pub async fn existing(&self, name: &str, content: &[u8]) -> Arc<DirtyFile> {
        let body = Bytes::copy_from_slice(content);
        let put = self
            .volume
            .put(&path(name), &meta(), body, &Condition::None)
            .await
            .unwrap();
        let base = Base {
            object: ObjectRef::Path(path(name)),
            version: put.version,
            size: content.len() as u64,
        };
        DirtyFile::new(Arc::clone(&self.engine), Some(base))
    }

    /// What the bucket holds under a name.
    pub async fn stored(&self, name: &str) -> Bytes {
        self.volume.read_whole(&path(name)).await.unwrap()
    }

    pub async fn read(&self, file: &DirtyFile, start: u64, end: u64) -> Bytes {
        let reader = Uncached(Arc::clone(&self.volume));
        file.read(ByteRange::new(start, end), &reader)
            .await
            .unwrap()
    }

    pub async fn read_all(&self, file: &DirtyFile) -> Bytes {
        self.read(file, 0, file.size()).await
    }

    /// Nothing but the files themselves is left in the bucket.
    pub async fn assert_clean(&self) {
        self.engine.settle().await;
        let keys = self.mem.keys();
        let private: Vec<_> = keys
            .iter()
            .filter(|key| key.starts_with(".cloakfs/"))
            .collect();
        assert!(private.is_empty(), "left behind: {private:?}");
        let uploads = crate::store::Store::list_multipart(&*self.mem, "")
            .await
            .unwrap();
        assert!(uploads.is_empty(), "left behind: {uploads:?}");
    }
}

/// Reads the base without a cache.
pub struct Uncached(pub Arc<Volume>);

#[async_trait]
impl BaseReader for Uncached {
    async fn read_base(&self, base: &Base, range: ByteRange) -> Result<Bytes, Arc<VolumeError>> {
        self.0
            .read(&base.object, &base.version, range)
            .await
            .map_err(Arc::new)
    }
}

pub fn path(name: &str) -> VolumePath {
    VolumePath::root().join(&PlainName::new(name.as_ref()).unwrap())
}

pub fn meta() -> ObjectMeta {
    ObjectMeta::new(Attributes {
        kind: FileKind::File,
        perm: 0o644,
        uid: 7,
        gid: 8,
        rdev: 0,
        atime: Timestamp::EPOCH,
        mtime: Timestamp::EPOCH,
        ctime: Timestamp::EPOCH,
        xattrs: Xattrs::new(),
    })
}

/// Bytes that differ from place to place.
pub fn pattern(seed: u64, start: u64, len: usize) -> Vec<u8> {
    let byte = |at: u64| (at.wrapping_mul(0x9e37_79b9).wrapping_add(seed) >> 5).to_le_bytes()[0];
    (start..).take(len).map(byte).collect()
}

/// Waits until `done`, which other tasks bring about.
pub async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !done() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "never happened: {what}");
}
