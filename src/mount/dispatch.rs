//! How one operation is run: tried at once on the thread that read the request, and handed to
//! the runtime only when it has to wait.
//!
//! What is answered from memory (attributes, names, cached blocks, a write into the buffer)
//! finishes at the first poll and never pays for a task or a switch of threads. An operation
//! that has to wait is spawned as it is, half done: futures may be polled with another waker at
//! any time, and the runtime polls it again at once, so no wake-up is lost.
//!
//! Assumes that operations do not block the thread. A panic in one becomes EIO and a log line
//! (the hook in [`crate::telemetry::log`] adds the place); the reply of one that is dropped when
//! the runtime ends is sent by fuser, as EIO.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll, Waker};

use fuser::Errno;
use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::fs::FsError;
use crate::telemetry::counter::Counter;

/// Which operation, for logs and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Operation {
    Lookup,
    GetAttr,
    SetAttr,
    ReadLink,
    MkNod,
    MkDir,
    Symlink,
    Unlink,
    RmDir,
    Rename,
    Open,
    Create,
    Read,
    Write,
    CopyFileRange,
    Flush,
    Fsync,
    Release,
    OpenDir,
    ReadDir,
    ReadDirPlus,
    FsyncDir,
    StatFs,
    SetXattr,
    GetXattr,
    ListXattr,
    RemoveXattr,
}

const NAMES: [&str; 27] = [
    "lookup",
    "getattr",
    "setattr",
    "readlink",
    "mknod",
    "mkdir",
    "symlink",
    "unlink",
    "rmdir",
    "rename",
    "open",
    "create",
    "read",
    "write",
    "copy_file_range",
    "flush",
    "fsync",
    "release",
    "opendir",
    "readdir",
    "readdirplus",
    "fsyncdir",
    "statfs",
    "setxattr",
    "getxattr",
    "listxattr",
    "removexattr",
];
const _: () = assert!(NAMES.len() == Operation::RemoveXattr as usize + 1);

impl Operation {
    const fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// How many operations of each kind there were, and how many had to wait.
#[derive(Debug, Default)]
pub struct OperationCounts([Count; NAMES.len()]);

#[derive(Debug, Default)]
struct Count {
    at_once: Counter,
    waited: Counter,
}

impl OperationCounts {
    /// For each kind that occurred: its name, all of them, and those that had to wait.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<&'static str, (u64, u64)> {
        NAMES
            .iter()
            .zip(&self.0)
            .map(|(name, count)| {
                let waited = count.waited.count();
                (*name, (count.at_once.count() + waited, waited))
            })
            .filter(|(_, (all, _))| *all > 0)
            .collect()
    }
}

/// Runs `operation` and gives what becomes of it to `answer`, exactly once, on this thread or
/// on the runtime's.
pub(super) fn run<T, F, A>(
    runtime: &Handle,
    counts: &OperationCounts,
    operation: Operation,
    future: F,
    answer: A,
) where
    T: Send + 'static,
    F: Future<Output = Result<T, FsError>> + Send + 'static,
    A: FnOnce(Result<T, Errno>) + Send + 'static,
{
    let mut guarded = Box::pin(AssertUnwindSafe(future).catch_unwind());
    let count = &counts.0[operation as usize];
    let first = {
        let _entered = runtime.enter();
        guarded
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    };
    match first {
        Poll::Ready(outcome) => {
            count.at_once.increment();
            answer(settle(operation, outcome));
        }
        Poll::Pending => {
            count.waited.increment();
            runtime.spawn(async move { answer(settle(operation, guarded.await)) });
        }
    }
}

fn settle<T>(
    operation: Operation,
    outcome: std::thread::Result<Result<T, FsError>>,
) -> Result<T, Errno> {
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::debug!("{} failed: {error}", operation.name());
            Err(Errno::from_i32(error.errno()))
        }
        Err(_panic) => {
            tracing::error!(
                "{} failed with EIO because of an internal error; other operations go on",
                operation.name()
            );
            Err(Errno::EIO)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use tokio::runtime::Runtime;

    use super::*;

    fn run_and_wait<T: Send + 'static>(
        future: impl Future<Output = Result<T, FsError>> + Send + 'static,
    ) -> (Result<T, Errno>, thread::ThreadId, (u64, u64)) {
        let runtime = Runtime::new().unwrap();
        let counts = OperationCounts::default();
        let (sender, receiver) = mpsc::channel();
        run(
            runtime.handle(),
            &counts,
            Operation::Lookup,
            future,
            move |answer| sender.send((answer, thread::current().id())).unwrap(),
        );
        let (answer, answered_on) = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        (answer, answered_on, counts.snapshot()["lookup"])
    }

    #[test]
    fn what_is_ready_is_answered_on_the_same_thread() {
        let (answer, answered_on, counts) = run_and_wait(async { Ok(7) });
        assert_eq!(answer.unwrap(), 7);
        assert_eq!(answered_on, thread::current().id());
        assert_eq!(counts, (1, 0));
    }

    #[test]
    fn what_has_to_wait_goes_on_in_the_runtime_where_it_stopped() {
        let (answer, answered_on, counts) = run_and_wait(async move {
            let polled_on = thread::current().id();
            // Never done when it is first asked, however fast another thread is.
            tokio::task::yield_now().await;
            Ok(polled_on)
        });
        assert_eq!(answer.unwrap(), thread::current().id());
        assert_ne!(answered_on, thread::current().id());
        assert_eq!(counts, (1, 1));
    }

    #[test]
    fn a_panic_is_eio_whether_at_once_or_later() {
        let (answer, ..) = run_and_wait::<()>(async { panic!("at once") });
        assert_eq!(i32::from(answer.unwrap_err()), libc::EIO);
        let (answer, ..) = run_and_wait::<()>(async {
            tokio::task::yield_now().await;
            panic!("later")
        });
        assert_eq!(i32::from(answer.unwrap_err()), libc::EIO);
    }
}
