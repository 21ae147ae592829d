//! What a mount shows of a tree, to be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::process::sh;

/// What a user sees of a file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    /// Seconds and nanoseconds.
    mtime: (i64, i64),
    /// Not of directories and links: reading them may set it.
    atime: Option<(i64, i64)>,
    /// Of a file; a link's target.
    pub content: Vec<u8>,
    /// As getfattr prints them in base64.
    xattrs: String,
}

/// Everything below `root` by its path.
pub fn look(root: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("listing") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below the root");
            let seen = fs::symlink_metadata(&path).expect("lstat");
            let kind = seen.file_type();
            let (kind, content) = if kind.is_dir() {
                directories.push(path.clone());
                ("directory", Vec::new())
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).expect("readlink");
                ("link", target.into_os_string().into_encoded_bytes())
            } else if kind.is_fifo() {
                ("pipe", Vec::new())
            } else {
                let content = fs::read(&path).expect("reading");
                assert_eq!(content.len() as u64, seen.len(), "{}", path.display());
                ("file", content)
            };
            let script = "getfattr --no-dereference --absolute-names --match=^user --dump \
                --encoding=base64 \"$1\" | grep -Ev '^(#|user[.]cloakfs[.])' | LC_ALL=C sort || true";
            // s3fs keeps none of links, nor does the kernel let users set any.
            let xattrs = match kind {
                "file" | "directory" => sh(root, script, &[&path]).trim().to_owned(),
                _ => String::new(),
            };
            found.insert(
                name.to_str().expect("UTF-8").to_owned(),
                Entry {
                    kind,
                    mode: if kind == "link" {
                        0
                    } else {
                        seen.mode() & 0o7777
                    },
                    owner: (seen.uid(), seen.gid()),
                    mtime: (seen.mtime(), seen.mtime_nsec()),
                    atime: (kind == "file").then(|| (seen.atime(), seen.atime_nsec())),
                    content,
                    xattrs,
                },
            );
        }
    }
    found
}

/// Where two contents differ, if they do.
fn difference(seen: &[u8], expected: &[u8]) -> Option<String> {
    let (seen_length, length) = (seen.len(), expected.len());
    if seen_length != length {
        return Some(format!("{seen_length} bytes instead of {length}"));
    }
    let differ = |at: &usize| seen[*at] != expected[*at];
    let first = (0..length).find(differ)?;
    let last = (0..length).rfind(differ)?;
    let zeros = (first..=last).filter(|at| seen[*at] == 0).count();
    Some(format!(
        "bytes {first} to {last} of {length}, of which {zeros} are zeros"
    ))
}

#[track_caller]
pub fn assert_same(seen: &BTreeMap<String, Entry>, expected: &BTreeMap<String, Entry>, by: &str) {
    let names = |entries: &BTreeMap<String, Entry>| entries.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(seen), names(expected), "the names that {by} lists");
    for (name, expected) in expected {
        let seen = &seen[name];
        if let Some(difference) = difference(&seen.content, &expected.content) {
            panic!("{by}: the content of {name:?} differs: {difference}");
        }
        let attributes = |entry: &Entry| Entry {
            content: Vec::new(),
            ..entry.clone()
        };
        assert_eq!(attributes(seen), attributes(expected), "{by}: {name:?}");
    }
}
