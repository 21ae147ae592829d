//! What may be found after the daemon was ended at any moment: the state that the acknowledged
//! steps made durable, or that state with the step in flight done too. Nothing between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use super::script::{How, Step};

/// What `mkdir` and `open` give under the performer's umask, 022.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    Directory { mode: u32 },
    File { content: Vec<u8>, mode: u32 },
    Link { target: String },
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { mode } => write!(formatter, "directory {mode:o}"),
            Self::Link { target } => write!(formatter, "link to {target}"),
            Self::File { content, mode } => {
                let sum = content.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
                    (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
                });
                write!(formatter, "file {mode:o}, {} B, {sum:016x}", content.len())
            }
        }
    }
}

/// Everything below the root, by path.
pub type Tree = BTreeMap<String, Node>;

/// What is below `root` now.
pub fn look(root: &Path) -> Tree {
    let mut tree = Tree::new();
    look_below(root, "", &mut tree);
    tree
}

fn look_below(root: &Path, below: &str, tree: &mut Tree) {
    let entries = fs::read_dir(root.join(below)).expect("listing");
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = format!("{below}{name}");
        let metadata = entry.metadata().expect("stat");
        let kind = metadata.file_type();
        let mode = metadata.permissions().mode() & 0o7777;
        let node = if kind.is_dir() {
            look_below(root, &format!("{path}/"), tree);
            Node::Directory { mode }
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("reading a link");
            let target = target.into_os_string().into_string();
            Node::Link {
                target: target.expect("a target in UTF-8"),
            }
        } else {
            assert!(!kind.is_fifo() && !kind.is_socket(), "{path}");
            let content = fs::read(entry.path());
            Node::File {
                content: content.unwrap_or_else(|error| panic!("reading {path}: {error}")),
                mode,
            }
        };
        tree.insert(path, node);
    }
}

/// An open file.
#[derive(Clone, Debug)]
struct Handle {
    /// None, once the name is gone.
    path: Option<&'static str>,
    /// With what was written and is not synced yet.
    content: Vec<u8>,
    position: usize,
    appends: bool,
    /// It has something that is not stored.
    dirty: bool,
}

/// The state that a mount has promised to keep.
#[derive(Clone, Debug, Default)]
pub struct Model {
    tree: Tree,
    handles: BTreeMap<&'static str, Handle>,
}

impl Model {
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// A step was acknowledged. What may be found while it is in flight, besides the state before
    /// it and the state after it.
    pub fn acknowledge(&mut self, step: &Step) -> Option<Tree> {
        match *step {
            Step::Mkdir(path) => self.put(
                path,
                Node::Directory {
                    mode: DIRECTORY_MODE,
                },
            ),
            Step::Symlink { target, path } => self.put(
                path,
                Node::Link {
                    target: target.to_owned(),
                },
            ),
            Step::Open { handle, path, how } => self.open(handle, path, how),
            Step::Write {
                handle,
                offset,
                content,
            } => self.write(handle, offset, &content.bytes()),
            Step::Fsync(handle) => self.store(handle),
            Step::Close(handle) => {
                self.store(handle);
                self.handles.remove(handle);
            }
            Step::Truncate { path, size } => self.file(path).0.resize(size, 0),
            Step::Chmod { path, mode } => match self.tree.get_mut(path) {
                Some(Node::Directory { mode: old } | Node::File { mode: old, .. }) => *old = mode,
                other => panic!("chmod of {other:?}"),
            },
            Step::Unlink(path) | Step::Rmdir(path) => {
                self.tree.remove(path).expect("what is deleted is there");
                self.forget_name(path);
            }
            Step::Rename { from, to } => return self.rename(from, to),
        }
        None
    }

    fn put(&mut self, path: &str, node: Node) {
        let before = self.tree.insert(path.to_owned(), node);
        assert!(before.is_none(), "{path} is new");
    }

    fn file(&mut self, path: &str) -> (&mut Vec<u8>, u32) {
        match self.tree.get_mut(path) {
            Some(Node::File { content, mode }) => (content, *mode),
            other => panic!("{path} is {other:?}"),
        }
    }

    fn open(&mut self, handle: &'static str, path: &'static str, how: How) {
        let is_new = !self.tree.contains_key(path);
        if how == How::CreateNew {
            // Who made it is decided at once, for every machine.
            self.put(
                path,
                Node::File {
                    content: Vec::new(),
                    mode: FILE_MODE,
                },
            );
        }
        let content = match how {
            How::Create | How::CreateNew => Vec::new(),
            How::Read | How::Write | How::Append => self.file(path).0.clone(),
        };
        let opened = Handle {
            path: Some(path),
            content,
            position: 0,
            appends: how == How::Append,
            // What was there stays until something else is stored.
            dirty: how == How::Create,
        };
        assert!(
            is_new || how != How::CreateNew,
            "{path} is made twice in the script"
        );
        self.handles.insert(handle, opened);
    }

    fn handle(&mut self, handle: &str) -> &mut Handle {
        self.handles.get_mut(handle).expect("an open handle")
    }

    fn write(&mut self, handle: &str, offset: Option<usize>, bytes: &[u8]) {
        let handle = self.handle(handle);
        let at = match offset {
            Some(offset) => offset,
            None if handle.appends => handle.content.len(),
            None => handle.position,
        };
        let end = at + bytes.len();
        if handle.content.len() < end {
            handle.content.resize(end, 0);
        }
        handle.content[at..end].copy_from_slice(bytes);
        if offset.is_none() {
            handle.position = end;
        }
        handle.dirty = true;
    }

    /// What close and fsync promise.
    fn store(&mut self, handle: &str) {
        let handle = self.handle(handle);
        if !std::mem::take(&mut handle.dirty) {
            return;
        }
        let (path, stored) = (handle.path, handle.content.clone());
        let Some(path) = path else { return };
        let node = self.tree.entry(path.to_owned()).or_insert(Node::File {
            content: Vec::new(),
            mode: FILE_MODE,
        });
        let Node::File { content, .. } = node else {
            panic!("{path} is {node:?}")
        };
        *content = stored;
    }

    fn forget_name(&mut self, path: &str) {
        for handle in self.handles.values_mut() {
            if handle.path == Some(path) {
                handle.path = None;
            }
        }
    }

    /// rename(2): "when overwriting there will probably be a window in which both oldpath and
    /// newpath refer to the file being renamed". A directory's is done or not.
    fn rename(&mut self, from: &'static str, to: &'static str) -> Option<Tree> {
        self.forget_name(to);
        assert!(
            self.handles.values().all(|it| it.path != Some(from)),
            "{from} is renamed while it is open, which the script does not do"
        );
        let node = self.tree.get(from).expect("what is renamed is there");
        let window = (!matches!(node, Node::Directory { .. })).then(|| {
            let mut tree = self.tree.clone();
            tree.insert(to.to_owned(), node.clone());
            tree
        });
        let below = format!("{from}/");
        let moved: Vec<_> = self
            .tree
            .extract_if(.., |path, _| path == from || path.starts_with(&below))
            .collect();
        for (path, node) in moved {
            self.tree
                .insert(format!("{to}{}", &path[from.len()..]), node);
        }
        window
    }
}

/// Whether the tree is one that may be found after these steps were acknowledged and no other.
///
/// # Errors
/// If it is not, what differs.
pub fn judge(found: &Tree, steps: &[Step], acknowledged: usize) -> Result<(), String> {
    let mut model = Model::default();
    for step in &steps[..acknowledged] {
        model.acknowledge(step);
    }
    let mut allowed = vec![("before it", model.tree().clone())];
    let in_flight = steps.get(acknowledged);
    if let Some(step) = in_flight {
        let window = model.acknowledge(step);
        allowed.extend(window.map(|tree| ("in its window", tree)));
        allowed.push(("after it", model.tree().clone()));
    }
    if allowed.iter().any(|(_, tree)| tree == found) {
        return Ok(());
    }
    let mut told = format!("{acknowledged} steps were acknowledged, then came {in_flight:?}\n");
    for (name, tree) in &allowed {
        writeln!(told, "what differs from the state {name}:").expect("a string");
        let paths: BTreeSet<_> = tree.keys().chain(found.keys()).collect();
        for path in paths {
            let (may_be, is) = (tree.get(path), found.get(path));
            if may_be != is {
                writeln!(told, "  {path}: may be {may_be:?}, is {is:?}").expect("a string");
            }
        }
    }
    Err(told)
}

#[cfg(test)]
mod tests {
    use super::super::script::script;
    use super::*;

    /// The number of steps up to the one that is looked for, and the state before it.
    fn up_to(is_it: impl Fn(&Step) -> bool) -> (Vec<Step>, usize, Tree) {
        let steps = script();
        let acknowledged = steps.iter().position(is_it).expect("such a step");
        let mut model = Model::default();
        for step in &steps[..acknowledged] {
            model.acknowledge(step);
        }
        (steps, acknowledged, model.tree)
    }

    #[test]
    fn what_was_acknowledged_may_not_be_missing_and_nothing_else_may_be_there() {
        let (steps, acknowledged, tree) = up_to(|step| *step == Step::Unlink("dir/exclusive"));
        assert_eq!(judge(&tree, &steps, acknowledged), Ok(()));
        for path in tree.keys() {
            let mut found = tree.clone();
            found.remove(path);
            // The one in flight alone.
            let allowed = path == "dir/exclusive";
            assert_eq!(
                judge(&found, &steps, acknowledged).is_ok(),
                allowed,
                "{path}"
            );
        }
        let mut found = tree.clone();
        let copy = tree["dir/log"].clone();
        found.insert("dir/log.conflict-host-time".to_owned(), copy);
        assert!(judge(&found, &steps, acknowledged).is_err());
    }

    /// Neither old nor new, at every byte that a change in flight touches.
    #[test]
    fn a_file_may_not_be_torn() {
        let (steps, acknowledged, tree) = up_to(|step| *step == Step::Close("large"));
        let mut model = Model::default();
        for step in &steps[..=acknowledged] {
            model.acknowledge(step);
        }
        assert_eq!(judge(model.tree(), &steps, acknowledged), Ok(()));
        let mut found = model.tree().clone();
        let Some(Node::File { content, .. }) = found.get_mut("large") else {
            panic!("there is no large file: {tree:?}")
        };
        let half = content.len() / 2;
        content[half] ^= 1;
        let told = judge(&found, &steps, acknowledged).expect_err("a byte differs");
        assert!(told.contains("large: may be"), "{told}");
    }

    #[test]
    fn both_names_are_there_only_while_a_rename_is_in_flight() {
        let renames = |step: &Step| matches!(step, Step::Rename { from: "log", .. });
        let (steps, acknowledged, mut tree) = up_to(renames);
        tree.insert("dir/log".to_owned(), tree["log"].clone());
        assert_eq!(judge(&tree, &steps, acknowledged), Ok(()));
        assert!(judge(&tree, &steps, acknowledged + 1).is_err());
    }
}
