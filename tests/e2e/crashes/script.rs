//! What is done to a mount while its daemon is ended: system calls, one after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::tree::bytes;

/// Larger than what is stored in one request, so that it takes a multipart upload.
const LARGE: usize = 20 << 20;

/// Bytes to write, the same for the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    pub seed: u64,
    pub length: usize,
}

impl Content {
    pub fn bytes(self) -> Arc<[u8]> {
        static MADE: Mutex<BTreeMap<Content, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let content = made.entry(self);
        Arc::clone(content.or_insert_with(|| bytes(self.seed, self.length).into()))
    }

    /// Of the file that hands it to the performer.
    pub fn file_name(self) -> String {
        format!("content-{}-{}", self.seed, self.length)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Read,
    Write,
    Append,
    /// `O_CREAT | O_TRUNC`.
    Create,
    /// `O_CREAT | O_EXCL`.
    CreateNew,
}

/// One system call. Paths are below the mountpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Mkdir(&'static str),
    Rmdir(&'static str),
    Open {
        handle: &'static str,
        path: &'static str,
        how: How,
    },
    Write {
        handle: &'static str,
        /// Where the handle stands, if `None`.
        offset: Option<usize>,
        content: Content,
    },
    Fsync(&'static str),
    Close(&'static str),
    Truncate {
        path: &'static str,
        size: usize,
    },
    Chmod {
        path: &'static str,
        mode: u32,
    },
    Rename {
        from: &'static str,
        to: &'static str,
    },
    Unlink(&'static str),
    Symlink {
        target: &'static str,
        path: &'static str,
    },
}

impl Step {
    /// For the performer.
    pub fn to_json(self) -> Value {
        match self {
            Self::Mkdir(path) => json!(["mkdir", path]),
            Self::Rmdir(path) => json!(["rmdir", path]),
            Self::Open { handle, path, how } => json!(["open", handle, path, format!("{how:?}")]),
            Self::Write {
                handle,
                offset,
                content,
            } => json!(["write", handle, offset, content.file_name()]),
            Self::Fsync(handle) => json!(["fsync", handle]),
            Self::Close(handle) => json!(["close", handle]),
            Self::Truncate { path, size } => json!(["truncate", path, size]),
            Self::Chmod { path, mode } => json!(["chmod", path, mode]),
            Self::Rename { from, to } => json!(["rename", from, to]),
            Self::Unlink(path) => json!(["unlink", path]),
            Self::Symlink { target, path } => json!(["symlink", target, path]),
        }
    }
}

/// A script in the making.
#[derive(Debug, Default)]
struct Script {
    steps: Vec<Step>,
    contents: u64,
}

impl Script {
    fn then(&mut self, step: Step) -> &mut Self {
        self.steps.push(step);
        self
    }

    fn open(&mut self, path: &'static str, how: How) -> &mut Self {
        // A handle for each path: none is open twice.
        self.then(Step::Open {
            handle: path,
            path,
            how,
        })
    }

    fn write(&mut self, handle: &'static str, offset: Option<usize>, length: usize) -> &mut Self {
        self.contents += 1;
        let content = Content {
            seed: self.contents,
            length,
        };
        self.then(Step::Write {
            handle,
            offset,
            content,
        })
    }

    /// Opens, writes and closes.
    fn store(&mut self, path: &'static str, how: How, length: usize) -> &mut Self {
        self.open(path, how)
            .write(path, None, length)
            .then(Step::Close(path))
    }

    fn rename(&mut self, from: &'static str, to: &'static str) -> &mut Self {
        self.then(Step::Rename { from, to })
    }
}

/// The whole of it.
pub fn script() -> Vec<Step> {
    use How::{Append, Create, CreateNew, Read, Write};
    let mut script = Script::default();
    script
        .then(Step::Mkdir("dir"))
        .store("small", Create, 3_000)
        .store("dir/exclusive", CreateNew, 100)
        // Overwritten, appended to, cut short.
        .store("small", Create, 5_000)
        .store("small", Append, 1_000)
        .then(Step::Truncate {
            path: "small",
            size: 10,
        })
        // Synced while it is written.
        .open("log", Create)
        .write("log", None, 20_000)
        .then(Step::Fsync("log"))
        .write("log", None, 7_000)
        .then(Step::Fsync("log"))
        .write("log", Some(0), 100)
        .then(Step::Close("log"))
        // Large: written in one go, changed in its middle, appended to, cut short.
        .store("large", Create, LARGE)
        .open("large", Write)
        .write("large", Some(9 << 20), 4 << 10)
        .then(Step::Fsync("large"))
        .write("large", Some(17 << 20), 4 << 10)
        .then(Step::Close("large"))
        .then(Step::Chmod {
            path: "large",
            mode: 0o600,
        })
        .store("large", Append, 1 << 20)
        .then(Step::Truncate {
            path: "large",
            size: 10 << 20,
        })
        .rename("large", "dir/large")
        // Names: new ones, taken ones, one of a file that is open.
        .then(Step::Symlink {
            target: "dir/large",
            path: "link",
        })
        .rename("log", "dir/log")
        .rename("small", "dir/log")
        .store("one", Create, 2_000)
        .store("two", Create, 2_500)
        .open("two", Read)
        .rename("one", "two")
        .then(Step::Close("two"))
        .open("two", Write)
        .then(Step::Unlink("two"))
        .write("two", Some(0), 500)
        .then(Step::Fsync("two"))
        .then(Step::Close("two"))
        .then(Step::Unlink("dir/exclusive"))
        .then(Step::Chmod {
            path: "dir",
            mode: 0o700,
        })
        .then(Step::Mkdir("tree"))
        .store("tree/one", Create, 1_000)
        .store("tree/two", Create, 2_000)
        .store("tree/three", Create, 3_000)
        .rename("tree", "dir/tree")
        .then(Step::Mkdir("empty"))
        .then(Step::Rmdir("empty"))
        .store("last", Create, 4_000);
    script.steps
}
