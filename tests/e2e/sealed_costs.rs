//! What a client-side mount asks of the server, by the server's own count.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::TempDir;

use crate::customer_key::CustomerKey;
use crate::minio::PrivateMinio;
use crate::mount::Mount;
use crate::request_counts::RequestCounts;
use crate::sealed::cse_c;
use crate::tree::bytes;

const MIB: u64 = 1 << 20;

/// A bucket that nobody else uses, on a server of its own, mounted.
struct Stage {
    mount: Mount,
    minio: PrivateMinio,
    _keys: TempDir,
}

impl Stage {
    fn new(names: &str) -> Self {
        let minio = PrivateMinio::start();
        let keys = tempfile::tempdir().expect("a directory");
        let mut source = minio.reach().bucket("costs").source();
        let key = CustomerKey::new(50).file(keys.path());
        source.options.extend(cse_c(&key));
        Self {
            mount: Mount::new(&source, &["--create", "--names", names]),
            minio,
            _keys: keys,
        }
    }

    /// What `work` costs a mount that knows nothing yet.
    fn cost<T>(&mut self, work: impl FnOnce(&Path) -> T) -> (T, RequestCounts) {
        self.mount.remount();
        let root = self.mount.path();
        RequestCounts::during(&self.minio, || work(&root))
    }
}

/// That the count works: what is read and written is in it.
#[test]
fn the_server_counts_what_is_transferred() {
    let mut stage = Stage::new("encrypted");
    let content = bytes(1, 20 << 20);
    let ((), written) = stage.cost(|root| {
        fs::write(root.join("large"), &content).expect("writing");
    });
    assert!(written.bytes > 20 * MIB, "{written:?}");
    assert!(written.of("PutObjectPart") >= 2, "{written:?}");
    let (read, counts) = stage.cost(|root| fs::read(root.join("large")).expect("reading"));
    assert!(read == content);
    assert!(counts.bytes > 20 * MIB, "{counts:?}");
    assert!(counts.of("GetObject") >= 2, "{counts:?}");
}

#[test]
fn rename_and_chmod_of_a_large_file_transfer_no_content() {
    let mut stage = Stage::new("encrypted");
    let content = bytes(2, 40 << 20);
    fs::write(stage.mount.path().join("large"), &content).expect("writing");
    let ((), counts) = stage.cost(|root| {
        fs::rename(root.join("large"), root.join("renamed")).expect("renaming");
        let path = root.join("renamed");
        fs::set_permissions(path, Permissions::from_mode(0o4750)).expect("chmod");
    });
    assert!(counts.bytes < MIB / 4, "{counts:?}");
    assert_eq!(
        counts.of("PutObject") + counts.of("PutObjectPart"),
        0,
        "{counts:?}"
    );
    assert!(counts.of("CopyObject") >= 2, "{counts:?}");
    stage.mount.remount();
    let path = stage.mount.path().join("renamed");
    let seen = fs::metadata(&path).expect("stat");
    assert_eq!(seen.permissions().mode() & 0o7777, 0o4750);
    assert!(fs::read(path).expect("reading") == content);
}

/// One segment and the tail, also of a file with more.
#[test]
fn a_change_of_4_kib_uploads_one_segment() {
    let mut stage = Stage::new("plain");
    let mut content = bytes(3, 40 << 20);
    fs::write(stage.mount.path().join("large"), &content).expect("writing");
    let change = bytes(4, 4 << 10);
    let ((), counts) = stage.cost(|root| {
        let file = File::options().write(true).open(root.join("large"));
        let file = file.expect("opening");
        file.write_all_at(&change, 17 * MIB).expect("writing");
        file.sync_all().expect("fsync");
    });
    // The segment is read, changed, and written.
    assert!(counts.bytes < 18 * MIB, "{counts:?}");
    content[17 << 20..][..change.len()].copy_from_slice(&change);
    stage.mount.remount();
    let path = stage.mount.path().join("large");
    assert!(fs::read(path).expect("reading") == content);
}

/// A small file arrives whole with its attributes: the listing's look is the only one.
#[test]
fn a_thousand_small_files_are_listed_and_read_with_a_get_each() {
    const FILES: u64 = 1_000;
    for names in ["plain", "encrypted"] {
        let mut stage = Stage::new(names);
        let root = stage.mount.path();
        for number in 0..FILES {
            let path = root.join(format!("file-{number}"));
            fs::write(path, bytes(number, 4 << 10)).expect("writing");
        }
        let ((), counts) = stage.cost(|root| {
            let entries: Vec<_> = fs::read_dir(root)
                .expect("listing")
                .map(|entry| entry.expect("an entry").path())
                .collect();
            assert_eq!(entries.len() as u64, FILES);
            for path in entries {
                assert_eq!(fs::metadata(&path).expect("stat").size(), 4 << 10);
                assert_eq!(fs::read(&path).expect("reading").len(), 4 << 10);
            }
        });
        // The mountpoint is looked at too, which has no object.
        assert!(counts.answered("GetObject") <= FILES, "{names}: {counts:?}");
        // A page has 1,000 keys, and cloakfs has a prefix of its own beside the files.
        assert!(counts.of("ListObjectsV2") <= 2, "{names}: {counts:?}");
        // What the listing told is confirmed where it is older than a moment.
        assert!(counts.of("HeadObject") <= FILES, "{names}: {counts:?}");
        assert!(counts.bytes < FILES * (8 << 10), "{names}: {counts:?}");
    }
}

/// What a listing shows is looked at when it is asked for, and once.
#[test]
fn a_file_that_is_looked_up_and_read_is_one_get() {
    let mut stage = Stage::new("encrypted");
    let content = bytes(5, 20_000);
    fs::write(stage.mount.path().join("file"), &content).expect("writing");
    let (read, counts) = stage.cost(|root| fs::read(root.join("file")).expect("reading"));
    assert_eq!(read, content);
    assert!(counts.of("GetObject") <= 1, "{counts:?}");
}
