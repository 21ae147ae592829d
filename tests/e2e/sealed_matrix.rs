//! All file operations in the client-side modes: the same workloads as in the modes of the server.
//!
//! What the bucket holds then is decrypted by a program that knows docs/FORMAT.md alone, and must
//! be what the mount shows: paths, content, attributes. Nothing in it is plaintext.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::matrix::work;
use crate::process::sh;
use crate::sealed::{Place, Root, Row, Sealed};
use crate::stage::Workload;
use crate::traces::Traces;
use crate::{files, programs, rewrites, shown};

/// In content, in names where these are encrypted, in a link's target and in attributes.
const MARKER: &[u8; 32] = b"what a user has written in clear";

/// Makes the tests of each row.
macro_rules! rows {
    ($($name:ident: $row:expr),* $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn files() {
                let workloads = [files::WORKLOADS, rewrites::WORKLOADS].concat();
                play(stringify!($name), $row, &workloads);
            }

            mod as_root {
                use super::*;

                #[test]
                fn owners() {
                    play(stringify!($name), $row, files::as_root::WORKLOADS);
                }
            }
        }
    )*};
}

rows!(
    dir_cse_c: Row::new(Place::Directory, Root::MasterKey, "encrypted"),
    minio_cse_c: Row::new(Place::Minio, Root::MasterKey, "plain"),
    localstack_cse_kms_in_a_context: Row::new(Place::LocalStack, Root::Kms, "encrypted"),
    dir_cse_kms_in_a_context: Row::new(Place::Directory, Root::Kms, "plain"),
);

#[test]
fn programs_on_a_directory_with_cse_c() {
    let row = Row::new(Place::Directory, Root::MasterKey, "encrypted");
    play("programs", row, programs::WORKLOADS);
}

/// statfs(2) tells how long a name may be, and that is how long it may be.
#[test]
fn names_may_be_as_long_as_statfs_tells() {
    for (names, limit) in [("encrypted", 175), ("plain", 255)] {
        let volume = Sealed::new(Row::new(Place::Directory, Root::MasterKey, names), "");
        let mut mount = volume.mount();
        let told = sh(&mount.path(), "stat -f -c %l .", &[]);
        assert_eq!(told.trim(), limit.to_string(), "{names}");
        // Bytes count, not characters.
        let longest = format!("{}é", "n".repeat(limit - 2));
        fs::write(mount.path().join(&longest), "content").expect("writing");
        let path = mount.path().join(format!("{longest}n"));
        for refused in [
            fs::write(&path, "content"),
            fs::create_dir(&path),
            symlink("target", &path),
            fs::rename(mount.path().join(&longest), &path),
        ] {
            let refused = refused.expect_err("it is too long");
            assert_eq!(refused.raw_os_error(), Some(libc::ENAMETOOLONG), "{names}");
        }
        mount.remount();
        let seen = fs::read_to_string(mount.path().join(&longest));
        assert_eq!(seen.expect("reading"), "content");
        drop(mount);
        assert!(volume.decrypted().contains_key(&longest), "{names}");
    }
}

/// Nothing is bound to the place of a volume: whoever copies the store has the volume.
#[test]
fn a_copy_of_a_store_opens_with_the_same_key() {
    let row = Row::new(Place::Directory, Root::MasterKey, "encrypted");
    let (volume, copy) = (Sealed::new(row, ""), Sealed::new(row, ""));
    let mut mount = volume.mount();
    plant_markers(&mount.path(), true);
    // What is shown then is what is stored.
    mount.remount();
    let shown = shown::below(&mount.path());
    drop(mount);
    let store = |of: &Sealed| of.directory().join("store");
    let script = "rmdir \"$2\" && cp -a \"$1\" \"$2\"";
    sh(Path::new("/"), script, &[&store(&volume), &store(&copy)]);
    let mount = copy.mount();
    assert_eq!(shown::below(&mount.path()), shown);
}

fn play(name: &str, row: Row, workloads: &[(&str, Workload)]) {
    let volume = Sealed::new(row, name);
    let mount = volume.mount();
    plant_markers(&mount.path(), row.names == "encrypted");
    work(mount, volume.directory(), workloads);

    let mount = volume.mount();
    let shown = shown::below(&mount.path());
    drop(mount);
    assert!(shown.len() > workloads.len(), "{shown:?}");
    let decrypted: BTreeMap<String, Value> = volume
        .decrypted()
        .into_iter()
        // The mountpoint, which is nobody's entry.
        .filter(|(path, _)| !path.is_empty())
        .map(|(path, found)| (path, shown::reduced(found)))
        .collect();
    for (path, seen) in &shown {
        assert_eq!(decrypted.get(path), Some(seen), "{path}");
    }
    assert!(
        decrypted.keys().eq(shown.keys()),
        "there is more than shown"
    );
    assert_no_plaintext(&volume, &Traces::of(MARKER));
}

fn plant_markers(root: &Path, in_names: bool) {
    let marker = std::str::from_utf8(MARKER).expect("ASCII");
    let name = if in_names { marker } else { "marked" };
    fs::create_dir(root.join("markers")).expect("mkdir");
    let path = |more: &str| root.join("markers").join(format!("{name}{more}"));
    fs::create_dir(path(" directory")).expect("mkdir");
    fs::write(path(""), MARKER.repeat(3_000)).expect("writing");
    fs::write(path(" large"), MARKER.repeat(300_000)).expect("writing");
    symlink(marker, path(" link")).expect("symlink");
    for more in ["", " directory"] {
        let script = format!("setfattr -n user.marker -v '{marker}' \"$1\"");
        sh(root, &script, &[&path(more)]);
    }
}

/// In no key, metadata or body.
pub fn assert_no_plaintext(volume: &Sealed, traces: &Traces) {
    let keys = volume.objects.keys();
    assert!(!keys.is_empty(), "nothing is there");
    for key in keys {
        assert_eq!(traces.find(key.as_bytes()), None, "in the key {key:?}");
        let object = volume.read(&key);
        for (name, value) in &object.metadata {
            assert_eq!(traces.find(value.as_bytes()), None, "in {name} of {key:?}");
        }
        assert_eq!(traces.find(&object.body), None, "in the body of {key:?}");
    }
}
