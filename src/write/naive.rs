use crate::base::range::ByteRange;
use crate::layout::path::VolumePath;
use crate::volume::*;
use async_trait::async_trait;
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
pub type Result<T> = std::result::Result<T, WriteError>;
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Volume(#[from] Arc<VolumeError>),
    #[error("nospace")]
    NoSpace {},
    #[error("staging")]
    Staging(Arc<super::staging::StagingError>),
    #[error("too large")]
    TooLarge(super::planner::PlanError),
}
impl From<VolumeError> for WriteError {
    fn from(e: VolumeError) -> Self {
        Self::Volume(Arc::new(e))
    }
}
impl WriteError {
    pub fn kind(&self) -> Option<crate::store::ErrorKind> {
        match self {
            Self::Volume(e) => Some(e.kind()),
            _ => None,
        }
    }
    pub fn is_conflict(&self) -> bool {
        self.kind() == Some(crate::store::ErrorKind::Precondition)
    }
}
#[derive(Clone, Debug)]
pub struct WriteConfig {
    pub memory_bytes: u64,
    pub staging_bytes: u64,
    pub staging_dir: PathBuf,
    pub parallel_uploads: usize,
    pub stream_after_bytes: u64,
}
impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 0,
            staging_bytes: 0,
            staging_dir: PathBuf::new(),
            parallel_uploads: 8,
            stream_after_bytes: 64 << 20,
        }
    }
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub object: ObjectRef,
    pub version: Version,
    pub size: u64,
}
#[async_trait]
pub trait BaseReader: Send + Sync {
    async fn read_base(
        &self,
        base: &Base,
        range: ByteRange,
    ) -> std::result::Result<Bytes, Arc<VolumeError>>;
}
#[derive(Debug)]
pub struct WriteEngine {
    volume: Arc<Volume>,
}
impl WriteEngine {
    pub fn new(volume: Arc<Volume>, _c: WriteConfig) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { volume }))
    }
}
#[derive(Debug)]
pub struct DirtyFile {
    engine: Arc<WriteEngine>,
    lock: tokio::sync::Mutex<()>,
    s: Mutex<S>,
}
#[derive(Debug)]
struct S {
    base: Option<Base>,
    data: Option<Vec<u8>>,
    dirty: bool,
}
impl DirtyFile {
    pub fn new(engine: Arc<WriteEngine>, base: Option<Base>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            lock: tokio::sync::Mutex::new(()),
            s: Mutex::new(S {
                data: if base.is_none() { Some(vec![]) } else { None },
                base,
                dirty: false,
            }),
        })
    }
    async fn load(&self) -> Result<()> {
        let (b, need) = {
            let s = self.s.lock().unwrap();
            (s.base.clone(), s.data.is_none())
        };
        if need {
            let b = b.unwrap();
            let d = self
                .engine
                .volume
                .read(&b.object, &b.version, ByteRange::new(0, b.size))
                .await?;
            self.s.lock().unwrap().data = Some(d.to_vec());
        }
        Ok(())
    }
    pub fn size(&self) -> u64 {
        let s = self.s.lock().unwrap();
        s.data
            .as_ref()
            .map_or_else(|| s.base.as_ref().unwrap().size, |d| d.len() as u64)
    }
    pub fn is_dirty(&self) -> bool {
        self.s.lock().unwrap().dirty
    }
    pub fn dirty_bytes(&self) -> u64 {
        self.size()
    }
    pub async fn append(&self, data: Bytes) -> Result<u64> {
        let _l = self.lock.lock().await;
        self.load().await?;
        let mut s = self.s.lock().unwrap();
        s.dirty = true;
        let d = s.data.as_mut().unwrap();
        let at = d.len() as u64;
        d.extend_from_slice(&data);
        Ok(at)
    }
    pub async fn write(&self, offset: u64, data: Bytes) -> Result<()> {
        let _l = self.lock.lock().await;
        self.load().await?;
        let mut s = self.s.lock().unwrap();
        s.dirty = true;
        let d = s.data.as_mut().unwrap();
        let o = offset as usize;
        if d.len() < o + data.len() {
            d.resize(o + data.len(), 0);
        }
        d[o..o + data.len()].copy_from_slice(&data);
        Ok(())
    }
    pub async fn truncate(&self, size: u64) -> Result<()> {
        let _l = self.lock.lock().await;
        if size == 0 {
            self.s.lock().unwrap().data = Some(vec![]);
        } else {
            self.load().await?;
        }
        let mut s = self.s.lock().unwrap();
        s.dirty = true;
        s.data.as_mut().unwrap().resize(size as usize, 0);
        Ok(())
    }
    pub async fn read(&self, range: ByteRange, _r: &dyn BaseReader) -> Result<Bytes> {
        let _l = self.lock.lock().await;
        self.load().await?;
        let s = self.s.lock().unwrap();
        Ok(Bytes::copy_from_slice(
            &s.data.as_ref().unwrap()[range.start() as usize..range.end() as usize],
        ))
    }
    pub async fn commit(
        &self,
        target: &VolumePath,
        meta: &ObjectMeta,
        condition: &Condition,
    ) -> Result<Committed> {
        let _l = self.lock.lock().await;
        self.load().await?;
        let d = self.s.lock().unwrap().data.clone().unwrap();
        let size = d.len() as u64;
        let c = self
            .engine
            .volume
            .put(target, meta, d.into(), condition)
            .await?;
        let mut s = self.s.lock().unwrap();
        s.dirty = false;
        s.base = Some(Base {
            object: ObjectRef::Path(target.clone()),
            version: c.version.clone(),
            size,
        });
        Ok(c)
    }
    pub fn base(&self) -> Option<Base> {
        self.s.lock().unwrap().base.clone()
    }
    pub fn set_base(&self, base: Base) {
        self.s.lock().unwrap().base = Some(base);
    }
    pub fn discard(&self) {
        let mut s = self.s.lock().unwrap();
        s.dirty = false;
    }
}
