//! What makes S3 write an object anew, or copy it: each of these has to ask for the mode again.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use crate::process::sh;
use crate::stage::{Ground, Workload, on_every_stage};
use crate::tree::{bytes, time};

on_every_stage!(rewritten_in_every_way: REWRITTEN_IN_EVERY_WAY);

const MIB: usize = 1 << 20;
/// Large enough for parts that are copied beside parts that are sent.
const LARGE: usize = 20 * MIB;
const PATCH_AT: usize = 9 * MIB + 17;
const PATCH: usize = 4 << 10;

/// Renames, changes of attributes, sizes and content, of small, large and empty files, directories
/// and links.
const REWRITTEN_IN_EVERY_WAY: Workload = Workload {
    perform: |Ground { root, .. }| {
        let path = |name: &str| root.join(name);
        for (name, seed, length) in FILES {
            fs::write(path(name), bytes(seed, length)).expect("writing");
        }
        fs::rename(path("renamed-from"), path("renamed")).expect("renaming a file");
        fs::rename(path("large-renamed-from"), path("large-renamed")).expect("renaming");
        fs::create_dir_all(path("directory-from/inner/empty")).expect("mkdir");
        fs::write(path("directory-from/inner/file"), bytes(20, 5_000)).expect("writing");
        symlink("inner/file", path("directory-from/link")).expect("symlink");
        fs::rename(path("directory-from"), path("directory")).expect("renaming a directory");

        for name in [
            "attributes",
            "large-attributes",
            "empty-attributes",
            "directory",
        ] {
            change_attributes(&path(name));
        }
        symlink("attributes", path("link")).expect("symlink");
        fs::rename(path("link"), path("link-renamed")).expect("renaming a link");

        let lengths = [
            ("longer", 9_000),
            ("shorter", 100),
            ("large-shorter", 7 * MIB),
        ];
        for (name, length) in lengths {
            open(&path(name))
                .set_len(length as u64)
                .expect("truncating");
        }
        open(&path("emptied")).set_len(0).expect("truncating");
        append(&path("appended"));
        append(&path("large-appended"));
        open(&path("large-patched"))
            .write_all_at(&bytes(30, PATCH), PATCH_AT as u64)
            .expect("overwriting in the middle");
        fs::write(path("overwritten"), bytes(31, 4_000)).expect("overwriting");
        fs::write(path("temporary"), bytes(32, 3_000)).expect("writing");
        fs::rename(path("temporary"), path("replaced")).expect("renaming over a file");
        sh(root, "cp --reflink=never large-appended large-copied", &[]);
    },
    verify: |Ground { root, .. }| {
        let assert_holds = |name: &str, expected: &[u8]| {
            let seen = fs::read(root.join(name)).expect("reading");
            assert!(seen == expected, "{name} differs");
        };
        let resized = |name: &str, length| {
            let mut content = original(name);
            content.resize(length, 0);
            content
        };
        let with_end = |name: &str| [original(name), END.to_vec()].concat();
        assert_holds("renamed", &original("renamed-from"));
        assert_holds("large-renamed", &original("large-renamed-from"));
        assert_holds("directory/inner/file", &bytes(20, 5_000));
        assert_holds("directory/link", &bytes(20, 5_000));
        assert!(root.join("directory/inner/empty").is_dir());
        for name in ["attributes", "large-attributes", "empty-attributes"] {
            assert_holds(name, &original(name));
            assert_attributes(&root.join(name));
        }
        assert_attributes(&root.join("directory"));
        assert_holds("link-renamed", &original("attributes"));
        assert_holds("longer", &resized("longer", 9_000));
        assert_holds("shorter", &resized("shorter", 100));
        assert_holds("large-shorter", &resized("large-shorter", 7 * MIB));
        assert_holds("emptied", b"");
        assert_holds("appended", &with_end("appended"));
        assert_holds("large-appended", &with_end("large-appended"));
        assert_holds("large-copied", &with_end("large-appended"));
        let mut patched = original("large-patched");
        patched[PATCH_AT..PATCH_AT + PATCH].copy_from_slice(&bytes(30, PATCH));
        assert_holds("large-patched", &patched);
        assert_holds("overwritten", &bytes(31, 4_000));
        assert_holds("replaced", &bytes(32, 3_000));
    },
};

/// Name, seed and length at first.
const FILES: [(&str, u64, usize); 14] = [
    ("renamed-from", 1, 3_000),
    ("large-renamed-from", 2, 9 * MIB),
    ("attributes", 3, 2_000),
    ("large-attributes", 4, 9 * MIB),
    ("empty-attributes", 5, 0),
    ("longer", 6, 1_000),
    ("shorter", 7, 1_000),
    ("large-shorter", 8, 9 * MIB),
    ("emptied", 9, 1_000),
    ("appended", 10, 1_000),
    ("large-appended", 11, LARGE),
    ("large-patched", 12, LARGE),
    ("overwritten", 13, 1_000),
    ("replaced", 14, 1_000),
];

const END: &[u8] = b"appended at the end";

/// What a file of the table held at first.
fn original(name: &str) -> Vec<u8> {
    let (_, seed, length) = FILES
        .into_iter()
        .find(|(file, ..)| *file == name)
        .expect("a file of the table");
    bytes(seed, length)
}

fn open(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).expect("opening")
}

fn append(path: &Path) {
    let mut file = OpenOptions::new().append(true).open(path).expect("opening");
    file.write_all(END).expect("appending");
}

fn change_attributes(path: &Path) {
    fs::set_permissions(path, PermissionsExt::from_mode(0o2710)).expect("chmod");
    let directory = path.parent().expect("a parent");
    sh(directory, "setfattr -n user.colour -v blue $1", &[path]);
    let times = FileTimes::new().set_accessed(time(5)).set_modified(time(6));
    File::open(path)
        .and_then(|file| file.set_times(times))
        .expect("times");
}

fn assert_attributes(path: &Path) {
    let shown = path.display();
    let seen = fs::metadata(path).expect("stat");
    assert_eq!(seen.permissions().mode() & 0o7777, 0o2710, "{shown}");
    assert_eq!(seen.modified().expect("a time"), time(6), "{shown}");
    let directory = path.parent().expect("a parent");
    let script = "getfattr --only-values -n user.colour $1";
    assert_eq!(sh(directory, script, &[path]), "blue", "{shown}");
}
