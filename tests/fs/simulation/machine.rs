//! A machine that mounts the bucket, and can lose its power at any request.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloakfs::base::jitter::Jitter;
use cloakfs::fs::CommitMode;
use cloakfs::store::Store;
use cloakfs::store::fault::{Effect, Fault, Rule};
use cloakfs::store::retry::{Retry, RetryPolicy};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::plan::Trouble;
use crate::crashes::journals;
use crate::harness::{Bucket, Mount};

/// Far above every wait of the filesystem; the clock is the simulation's.
const FOR_EVER: Duration = Duration::from_hours(24);

/// The machine, with what lives until it dies. Its tasks run only while it does something, so
/// what happens depends on the plan alone.
pub struct Machine {
    pub mount: Mount,
    fault: Arc<Fault>,
    runtime: Runtime,
    /// Requests that fail are made again for a while, as every mount of a server does. Without
    /// that each failure is told to the filesystem, as one is that outlasts the deadline.
    retries: bool,
    mode: CommitMode,
}

impl Machine {
    pub fn new(bucket: &Bucket, retries: bool, mode: CommitMode) -> Self {
        Self::with_state(bucket, retries, mode, bucket.new_state())
    }

    fn with_state(bucket: &Bucket, retries: bool, mode: CommitMode, state: TempDir) -> Self {
        let runtime = runtime();
        let fault = Arc::new(Fault::new(Arc::clone(&bucket.mem) as Arc<dyn Store>));
        let store = Arc::clone(&fault) as Arc<dyn Store>;
        let store: Arc<dyn Store> = if retries {
            Arc::new(Retry::new(store, RetryPolicy::default(), Jitter::seeded(0)))
        } else {
            store
        };
        let mount = runtime.block_on(bucket.start_over(store, state, mode));
        Self {
            mount,
            fault,
            runtime,
            retries,
            mode,
        }
    }

    /// Of a mount with nothing to upload: no journal but its own is left, or, where there may
    /// be such, one that cannot be replayed.
    pub fn keeps_no_journal(&self, may_keep: bool) -> Result<(), String> {
        let unreplayed = self.mount.fs.status().unreplayed;
        let own = usize::from(self.mode == CommitMode::WriteBack);
        let found = journals(self.mount.state.path());
        let left = if may_keep { unreplayed.len() } else { 0 };
        if found == own + left {
            return Ok(());
        }
        Err(format!("{found} journals are left: {unreplayed:?}"))
    }

    /// Does something in trouble or without; `None` when the machine died of it.
    pub fn run<T>(
        &self,
        trouble: Option<Trouble>,
        work: impl AsyncFnOnce(&Mount) -> T,
    ) -> Option<T> {
        match trouble {
            None => {}
            Some(Trouble::Fails {
                after,
                effect,
                times,
            }) => {
                let rule = Rule::new(effect).after(after);
                self.fault.inject(match times {
                    Some(times) => rule.times(times),
                    None => rule,
                });
            }
            Some(Trouble::Dies { after, carried_out }) => {
                if carried_out {
                    let last = Rule::new(Effect::HangAfter).after(after).times(1);
                    self.fault.inject(last);
                }
                self.fault
                    .inject(Rule::new(Effect::HangBefore).after(after));
            }
        }
        let work = work(&self.mount);
        let done = self
            .runtime
            .block_on(async { tokio::time::timeout(FOR_EVER, work).await });
        let dead = matches!(trouble, Some(Trouble::Dies { .. }));
        if !dead {
            self.fault.clear();
        }
        // Without a death something hangs, which is for whoever asked to say.
        done.ok().filter(|_| !dead)
    }

    /// The power fails: what is on its disk is all that the next life knows.
    pub fn dies(self, bucket: &Bucket) -> Self {
        let disk = bucket.new_state();
        copy_all(self.mount.state.path(), disk.path());
        // What ends in an orderly way from here on does so on a disk that is gone, and reaches no
        // bucket.
        self.fault.clear();
        self.fault.inject(Rule::new(Effect::HangBefore));
        let Self {
            mount,
            runtime,
            retries,
            mode,
            ..
        } = self;
        let entered = runtime.enter();
        drop(mount);
        drop(entered);
        drop(runtime);
        Self::with_state(bucket, retries, mode, disk)
    }

    /// An orderly end, and a new mount. The first error of what was to be saved.
    pub fn remount(self, bucket: &Bucket) -> (Self, crate::harness::Result<()>) {
        let Self {
            mount,
            runtime,
            retries,
            mode,
            ..
        } = self;
        let Mount { fs, state: disk } = mount;
        let saved = runtime.block_on(async {
            fs.refuse_changes().await;
            let saved = fs.sync_all(|_| {}).await;
            fs.shut_down().await;
            drop(fs);
            saved
        });
        drop(runtime);
        (Self::with_state(bucket, retries, mode, disk), saved)
    }
}

pub fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    builder.build().unwrap()
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            let permissions = entry.metadata().unwrap().permissions();
            fs::set_permissions(&target, permissions).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
