//! What a mounted tree shows of each of its files, in the words of decrypt.py.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::process::sh;
use crate::traces::hex;

/// Everything below a mountpoint by its path. Times of reading are left out: a mount keeps none.
pub fn below(root: &Path) -> BTreeMap<String, Value> {
    let xattrs = xattrs_below(root);
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("listing") {
            let path = entry.expect("an entry").path();
            if fs::symlink_metadata(&path).expect("lstat").is_dir() {
                directories.push(path.clone());
            }
            let name = path.strip_prefix(root).expect("a path below");
            let name = name.to_str().expect("UTF-8").to_owned();
            let mut shown = look(&path);
            shown["path"] = json!(name);
            shown["xattrs"] = json!(xattrs.get(&name).cloned().unwrap_or_default());
            found.insert(name, shown);
        }
    }
    found
}

fn look(path: &Path) -> Value {
    let seen = fs::symlink_metadata(path).expect("lstat");
    let kind = seen.file_type();
    let content = if kind.is_file() {
        fs::read(path).expect("reading")
    } else if kind.is_symlink() {
        let target = fs::read_link(path).expect("readlink");
        target.as_os_str().as_bytes().to_vec()
    } else {
        Vec::new()
    };
    let is_device = kind.is_block_device() || kind.is_char_device();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
    json!({
        "length": content.len(),
        "sha256": hex(digest.as_ref()),
        "attributes": {
            "mode": seen.mode(),
            "uid": seen.uid(),
            "gid": seen.gid(),
            "rdev": if is_device { seen.rdev() } else { 0 },
            "times": [seen.mtime(), seen.mtime_nsec(), seen.ctime(), seen.ctime_nsec()],
        },
    })
}

/// What decrypt.py says, with what [`below`] leaves out left out.
pub fn reduced(mut decrypted: Value) -> Value {
    let attributes = decrypted["attributes"].as_object_mut().expect("attributes");
    attributes.remove("sequence");
    let times = attributes["times"].as_array_mut().expect("times");
    times.drain(..2);
    decrypted
}

/// In hexadecimal digits by path and name; cloakfs's own, which are stored nowhere, left out.
fn xattrs_below(root: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let script = "getfattr -R -P -h -d -e hex -m - . || test $? = 1";
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut file = String::new();
    for line in sh(root, script, &[]).lines() {
        if let Some(name) = line.strip_prefix("# file: ") {
            file = unescaped(name);
        } else if let Some((name, value)) = line.split_once("=0x") {
            let name = unescaped(name);
            if !name.starts_with("user.cloakfs.") {
                let of_file = found.entry(file.clone()).or_default();
                of_file.insert(name, value.to_owned());
            }
        }
    }
    found
}

/// getfattr writes odd bytes as a backslash and three octal digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'\\' {
            let digits = std::str::from_utf8(&rest[..3]).expect("octal digits");
            bytes.push(u8::from_str_radix(digits, 8).expect("octal digits"));
            rest = &rest[3..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
