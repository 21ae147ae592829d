//! A step, as a program on the mount takes it.

use std::time::Duration;

use bytes::Bytes;
use cloakfs::fs::{HandleId, SetAttr};

use super::model::Taken;
use super::plan::{Act, Step, bytes};
use crate::harness::{Mount, Result, me};

/// The handle that a mount keeps open.
#[derive(Clone, Debug)]
pub struct Slot {
    /// `None` when it has no name any more.
    pub path: Option<String>,
    pub handle: HandleId,
    /// What it was opened on or last stored.
    pub base: Bytes,
    /// It was written to since it was opened or last saved through it: what else of the file
    /// waits, its close does not answer for.
    pub wrote: bool,
}

impl Slot {
    /// After a step of its mount: what it is on now, where that is stored.
    pub fn follow(&mut self, taken: &Taken<'_>) {
        let is_ok = taken.done.is_some_and(|done| done.result.is_ok());
        match &taken.step.act {
            Act::WriteOpen { .. } => self.wrote = true,
            Act::Fsync if is_ok => self.wrote = false,
            _ => {}
        }
        let Some(path) = &self.path else {
            return;
        };
        let is_new = taken.slot.is_none();
        let (was, is) = (taken.before.get(path), taken.after.get(path));
        if let Some(is) = is
            && (is_new || was != Some(is))
        {
            self.base = is.clone();
        }
    }
}

/// How far a step came that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    Nothing,
    /// All is written, and perhaps not stored.
    Written,
}

#[derive(Debug)]
pub struct Done {
    /// What was read, if anything.
    pub result: Result<Vec<u8>>,
    pub reached: Reached,
    /// The handle that was opened to be kept.
    pub opened: Option<HandleId>,
}

/// A thousandth of a length, so often.
pub const fn share(len: usize, at: usize) -> usize {
    len * at / 1000
}

pub async fn perform(mount: &Mount, step: &Step, slot: Option<Slot>) -> Done {
    let mut done = Done {
        result: Ok(Vec::new()),
        reached: Reached::Nothing,
        opened: None,
    };
    done.result = act(mount, step, slot, &mut done.reached, &mut done.opened).await;
    done
}

async fn act(
    mount: &Mount,
    step: &Step,
    slot: Option<Slot>,
    reached: &mut Reached,
    opened: &mut Option<HandleId>,
) -> Result<Vec<u8>> {
    let handle = slot.map(|slot| slot.handle);
    match (&step.act, handle) {
        (Act::Write { path, len }, _) => {
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
            let (_, handle) = mount.open(path, flags).await?;
            write_and_close(mount, handle, 0, &bytes(step.number, *len), reached).await?;
        }
        (Act::Append { path, len }, _) => {
            let (ino, handle) = mount.open(path, libc::O_WRONLY).await?;
            let at = size(mount, ino, handle).await?;
            write_and_close(mount, handle, at, &bytes(step.number, *len), reached).await?;
        }
        (Act::Change { path, at, len }, _) => {
            let (ino, handle) = mount.open(path, libc::O_RDWR).await?;
            let whole = usize::try_from(size(mount, ino, handle).await?).unwrap();
            let at = share(whole, *at) as u64;
            write_and_close(mount, handle, at, &bytes(step.number, *len), reached).await?;
        }
        (Act::Truncate { path, at }, _) => {
            let entry = mount.walk(path).await?;
            let whole = usize::try_from(entry.attr.size).unwrap();
            let set = SetAttr {
                size: Some(share(whole, *at) as u64),
                ..SetAttr::default()
            };
            mount.fs.setattr(me(), entry.attr.ino, set, None).await?;
        }
        (Act::Open { path }, None) => {
            let (_, handle) = mount.open(path, libc::O_RDWR | libc::O_CREAT).await?;
            *opened = Some(handle);
        }
        (Act::WriteOpen { len }, Some(handle)) => {
            mount.write_at(handle, 0, &bytes(step.number, *len)).await?;
            *reached = Reached::Written;
        }
        (Act::Fsync, Some(handle)) => mount.fs.fsync(handle, false).await?,
        (Act::Close, Some(handle)) => mount.close(handle).await?,
        (Act::Open { .. } | Act::WriteOpen { .. } | Act::Fsync | Act::Close, _) => {}
        (Act::Unlink { path }, _) => mount.unlink(path).await?,
        (Act::Rename { from, to } | Act::RenameDirectory { from, to }, _) => {
            mount.rename(from, to).await?;
        }
        (Act::Chmod { path, mode }, _) => {
            let set = SetAttr {
                mode: Some(*mode),
                ..SetAttr::default()
            };
            let attr = mount.set(path, set).await?;
            assert_eq!(u32::from(attr.perm), *mode);
        }
        (Act::Mkdir { path }, _) => drop(mount.mkdir(path).await?),
        (Act::Rmdir { path }, _) => mount.rmdir(path).await?,
        (Act::Read { path }, _) => return mount.read_file(path).await,
        (Act::Wait, _) => tokio::time::sleep(Duration::from_secs(2)).await,
        (Act::SyncAll, _) => mount.fs.sync_all(|_| {}).await?,
        (Act::Remount, _) => unreachable!("the machine does that"),
    }
    Ok(Vec::new())
}

/// The length of an open file; where that fails the handle is closed.
async fn size(mount: &Mount, ino: u64, handle: HandleId) -> Result<u64> {
    match mount.fs.getattr(ino, Some(handle)).await {
        Ok((attr, _)) => Ok(attr.size),
        Err(error) => {
            mount.fs.release(handle).await;
            Err(error)
        }
    }
}

async fn write_and_close(
    mount: &Mount,
    handle: HandleId,
    at: u64,
    data: &[u8],
    reached: &mut Reached,
) -> Result<()> {
    if !data.is_empty()
        && let Err(error) = mount.write_at(handle, at, data).await
    {
        mount.fs.release(handle).await;
        return Err(error);
    }
    *reached = Reached::Written;
    mount.close(handle).await
}
