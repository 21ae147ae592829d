//! What an attacker who can write to the bucket does to the objects of a client-side volume.
//!
//! Everything is done to real objects in a real store, a local directory and MinIO, and looked at
//! through a mount that is made afterwards: what was changed is EIO, with a line in the log that
//! names it and says why, and is never read as data; what stands beside it is not hidden. The
//! bytes that no sample here meets are changed one by one in `tests/format/flips.rs`.

mod attributes;
mod bytes;
mod keys;
mod kms;
mod names;
mod objects;
mod pieces;
mod rollback;

use std::fs;
use std::io;
use std::path::Path;

use crate::sealed::Sealed;

/// Makes each test on a directory and on MinIO.
macro_rules! on_both_places {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use crate::sealed::{Place, Row, Sealed};

            #[test]
            fn on_a_directory() {
                super::$name(&Sealed::new(Row::plain_names(Place::Directory), "threats"));
            }

            #[test]
            fn on_minio() {
                super::$name(&Sealed::new(Row::plain_names(Place::Minio), "threats"));
            }
        }
    )*};
}
use on_both_places;

/// What everything is that does not open under its keys, whichever check failed.
const NOT_AUTHENTIC: &str = "is not authentic";
const BROKEN: &str = "has cloakfs metadata that was changed or cut";

/// Nobody touches it.
const NEIGHBOUR: &str = "untouched";

/// What a file holds of which nothing must be read once it was changed.
const CONTENT: &[u8] = b"what must not be read when it was changed";

/// Writes files through a mount of its own.
fn write(volume: &Sealed, files: &[(&str, &[u8])]) {
    let mount = volume.mount();
    for (name, content) in files {
        let path = mount.path().join(name);
        let above = path.parent().expect("a directory");
        fs::create_dir_all(above).expect("mkdir");
        fs::write(&path, content).unwrap_or_else(|error| panic!("writing {name}: {error}"));
    }
}

#[track_caller]
fn assert_eio<T>(what: &str, outcome: io::Result<T>) {
    match outcome {
        Ok(_) => panic!("{what} was read as if nothing had been changed"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EIO), "{what}: {error}"),
    }
}

/// Asserts of each file that a fresh mount refuses it for this reason, when its name is looked up
/// and when it was listed before; that a file beside it is listed and read; and that it can be
/// deleted.
#[track_caller]
fn assert_refused(volume: &Sealed, tampered: &[(&str, &str)]) {
    assert!(!tampered.is_empty(), "nothing was changed");
    let mount = volume.mount();
    let root = mount.path();
    fs::write(root.join(NEIGHBOUR), NEIGHBOUR).expect("writing beside it");
    let look = |root: &Path| {
        for (name, reason) in tampered {
            assert_eio(name, fs::read(root.join(name)));
            let log = mount.log();
            let is_told = |line: &str| line.contains(&format!("{name:?}")) && line.contains(reason);
            assert!(
                log.lines().any(is_told),
                "the log has no line that names {name:?} and says that it {reason}:\n{log}"
            );
        }
    };
    look(&root);
    let listed: Vec<String> = fs::read_dir(&root)
        .expect("listing")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    for name in tampered.iter().map(|(name, _)| *name).chain([NEIGHBOUR]) {
        let first = name.split('/').next().expect("a component");
        assert!(
            listed.iter().any(|entry| entry == first),
            "{name}: {listed:?}"
        );
    }
    look(&root);
    let neighbour = fs::read_to_string(root.join(NEIGHBOUR)).expect("reading beside it");
    assert_eq!(neighbour, NEIGHBOUR);
    for (name, _) in tampered {
        let path = root.join(name);
        fs::remove_file(&path).unwrap_or_else(|error| panic!("removing {name}: {error}"));
        let gone = fs::symlink_metadata(&path).expect_err("it is gone");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound, "{name}");
    }
}

/// What n bytes are as one message (docs/FORMAT.md, section 2).
const fn stored(n: usize) -> usize {
    56 + n + 16 * (n / CHUNK + 1)
}

const CHUNK: usize = 16_384;
const STORED_CHUNK: usize = CHUNK + 16;
/// Before a message's first chunk.
const HEADER: usize = 56;
/// The last bytes of every object.
const FOOTER: usize = 205;
const SEGMENT: usize = 8 << 20;

/// Where chunk k of a message is.
fn chunk(k: usize) -> std::ops::Range<usize> {
    let start = HEADER + k * STORED_CHUNK;
    start..start + STORED_CHUNK
}
