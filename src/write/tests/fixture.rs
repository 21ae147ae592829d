//! A mount's writing side over a store in memory that can fail and counts.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use crate::base::limits::SEGMENT_BYTES;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::crypto::MasterKey;
use crate::keys::root::Root;
use crate::layout::attributes::{Attributes, FileKind, Xattrs};
use crate::layout::path::{PlainName, VolumePath};
use crate::layout::plain::Defaults;
use crate::layout::sealed::{Names, VolumeId};
use crate::store::Limits;
use crate::store::fault::Fault;
use crate::store::mem::MemStore;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::volume::{
    ClientSide, Condition, ObjectMeta, ObjectRef, S3ecReading, Volume, VolumeError, VolumeOptions,
};
use crate::write::grid::Grid;
use crate::write::planner::PlanLimits;
use crate::write::{Base, BaseReader, DirtyFile, WriteConfig, WriteEngine};

/// Length of a cell and of the first parts in the plain layout.
pub const CELL: u64 = 64;

/// What a volume's objects are. Everything that holds of one holds of the other; a cell of a
/// client-side file is a segment, so there a test is the same test with longer bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Plain,
    Sealed,
}

impl Layout {
    pub const BOTH: [Self; 2] = [Self::Plain, Self::Sealed];

    /// How many bytes stand for one of a plain cell's.
    pub const fn unit(self) -> u64 {
        match self {
            Self::Plain => 1,
            Self::Sealed => SEGMENT_BYTES / CELL,
        }
    }

    pub const fn cell(self) -> u64 {
        CELL * self.unit()
    }

    /// Parts of one cell, then of two, of four: three of each.
    pub fn limits(self) -> PlanLimits {
        let cell = self.cell();
        PlanLimits {
            put_bytes_max: cell,
            copy_bytes_max: 5 * cell,
            part_bytes_min: match self {
                Self::Plain => CELL,
                Self::Sealed => PlanLimits::S3.part_bytes_min,
            },
            object_bytes_max: 40 * cell,
            grid: Grid::tiny(cell, 3),
            ..PlanLimits::S3
        }
    }

    fn store(self) -> MemStore {
        MemStore::new().with_limits(self.store_limits())
    }

    fn store_limits(self) -> Limits {
        match self {
            Self::Plain => Limits {
                part_bytes_min: CELL,
                ..Limits::S3
            },
            Self::Sealed => Limits::S3,
        }
    }

    /// Staging for as many cells; each takes whole pages of the disk.
    fn staging(self, plain_bytes: u64) -> u64 {
        const PAGE: u64 = 4096;
        match self {
            Self::Plain => plain_bytes,
            Self::Sealed => plain_bytes / PAGE * (SEGMENT_BYTES + 8 * PAGE),
        }
    }

    /// Parts that an upload has besides those of its content.
    pub const fn tails(self) -> u64 {
        match self {
            Self::Plain => 0,
            Self::Sealed => 1,
        }
    }

    /// Bytes of so many cells, at most, as they are sent with their tails.
    pub const fn sent(self, cells: u64) -> u64 {
        match self {
            Self::Plain => cells * CELL,
            Self::Sealed => (cells * CELL + 1) * self.unit(),
        }
    }

    /// The `len` bytes from `start` on of a plain test, as this layout has them: each is a run
    /// that begins with a stamp of its place.
    pub fn pattern(self, seed: u64, start: u64, len: usize) -> Vec<u8> {
        let bytes = pattern(seed, start, len);
        if self == Self::Plain {
            return bytes;
        }
        let unit = index(self.unit());
        let mut long = Vec::with_capacity(len * unit);
        for (at, byte) in (start..).zip(bytes) {
            long.extend_from_slice(&seed.to_le_bytes());
            long.extend_from_slice(&at.to_le_bytes());
            long.resize(long.len() + unit - 16, byte);
        }
        long
    }
}

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
    pub async fn tiny(layout: Layout) -> Self {
        Self::tiny_with(layout, 0, 128 << 10).await
    }

    /// Memory for every file of a test: nothing spills, nothing streams.
    pub async fn roomy(layout: Layout) -> Self {
        Self::tiny_with(layout, 256 * layout.cell(), 0).await
    }

    /// The same in the plain layout, over a store with other limits.
    pub async fn roomy_with(limits: Limits) -> Self {
        let layout = Layout::Plain;
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
        let mem = MemStore::new().with_limits(limits);
        Self::new(layout, mem, config, layout.limits(), layout.cell()).await
    }

    /// `staging_bytes` as the plain layout needs them.
    pub async fn tiny_with(layout: Layout, memory_bytes: u64, staging_bytes: u64) -> Self {
        Self::tiny_streaming(layout, memory_bytes, staging_bytes, u64::MAX).await
    }

    pub async fn tiny_streaming(
        layout: Layout,
        memory_bytes: u64,
        staging_bytes: u64,
        after_bytes: u64,
    ) -> Self {
        let config = WriteConfig {
            memory_bytes,
            staging_bytes: layout.staging(staging_bytes),
            stream_after_bytes: after_bytes,
            parallel_uploads: 3,
            ..WriteConfig::default()
        };
        Self::new(
            layout,
            layout.store(),
            config,
            layout.limits(),
            layout.cell(),
        )
        .await
    }

    /// As [`Self::tiny_with`], over a store that completes an upload at any key.
    pub async fn publishing(
        layout: Layout,
        memory_bytes: u64,
        staging_bytes: u64,
        after_bytes: u64,
    ) -> Self {
        let config = WriteConfig {
            memory_bytes,
            staging_bytes: layout.staging(staging_bytes),
            stream_after_bytes: after_bytes,
            parallel_uploads: 3,
            ..WriteConfig::default()
        };
        let mem = MemStore::new().with_limits(Limits {
            completes_elsewhere: true,
            ..layout.store_limits()
        });
        Self::new(layout, mem, config, layout.limits(), layout.cell()).await
    }

    /// As a mount has it.
    pub async fn real(layout: Layout, config: WriteConfig) -> Self {
        let limits = PlanLimits::S3;
        Self::new(layout, MemStore::new(), config, limits, SEGMENT_BYTES).await
    }

    async fn new(
        layout: Layout,
        mem: MemStore,
        config: WriteConfig,
        limits: PlanLimits,
        cell: u64,
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let mem = Arc::new(mem);
        let fault = Arc::new(Fault::new(Arc::clone(&mem) as _));
        let options = VolumeOptions {
            server: String::new(),
            read_only: false,
            alone: false,
            defaults: Defaults {
                uid: 0,
                gid: 0,
                umask: 0o022,
            },
            trust_listing: false,
            encryption: ExpectedEncryption::default(),
            journal_dir: dir.path().join("journal"),
        };
        let store = Arc::clone(&fault) as _;
        let volume = match layout {
            Layout::Plain => Volume::open(store, "", options).await,
            Layout::Sealed => {
                let client_side = ClientSide {
                    id: VolumeId::random(),
                    names: Names::Plain,
                    root: Root::Master(MasterKey::random()),
                    records_per_data_key: NonZeroU64::new(1 << 20).unwrap(),
                    s3ec: S3ecReading::default(),
                };
                Volume::open_client_side(store, "", options, client_side).await
            }
        };
        let volume = volume.unwrap();
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
        let found = self.volume.stat_file(&path(name)).await.unwrap().unwrap();
        let (object, whole) = (ObjectRef::Path(path(name)), ByteRange::new(0, found.size));
        let version = found.version.unwrap();
        self.volume.read(&object, &version, whole).await.unwrap()
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

/// Says where they differ: they are too long to be printed.
pub fn assert_same(found: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
    let (found, expected) = (found.as_ref(), expected.as_ref());
    if found != expected {
        let differs = found.iter().zip(expected).position(|(a, b)| a != b);
        let (found, expected) = (found.len(), expected.len());
        panic!("{found} bytes, {expected} expected, the first other one at {differs:?}");
    }
}

pub fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
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
