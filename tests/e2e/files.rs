//! What programs expect of files: redirection, appending, holes, attributes, unlinked files,
//! renamed directories.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};

use crate::process::sh;
use crate::stage::{Ground, Workload, on_every_stage};
use crate::tree::{bytes, time};

on_every_stage!(
    shell_redirection: SHELL_REDIRECTION,
    copied_times: COPIED_TIMES,
    attributes_kept: ATTRIBUTES_KEPT,
    sizes_changed: SIZES_CHANGED,
    written_anywhere: WRITTEN_ANYWHERE,
    unlinked_while_open: UNLINKED_WHILE_OPEN,
    renamed_directories: RENAMED_DIRECTORIES,
    listed_types: LISTED_TYPES,
    exclusive_creation: EXCLUSIVE_CREATION,
);

const MIB: usize = 1 << 20;

/// One descriptor written by several processes, each of which flushes it when it ends.
const SHELL_REDIRECTION: Workload = Workload {
    perform: |Ground { root, .. }| {
        let script = "(echo a; /bin/echo b; sh -c 'echo c'; cat /dev/null; echo d) > all
            for word in e f; do /bin/echo $word >> all; done
            seq 1 100000 | tee numbers > copy
            : > empty
            /bin/true > never-written";
        sh(root, script, &[]);
    },
    verify: |Ground { root, .. }| {
        let read = |name| fs::read_to_string(root.join(name)).expect("reading");
        assert_eq!(read("all"), "a\nb\nc\nd\ne\nf\n");
        assert_eq!(read("empty"), "");
        assert_eq!(read("never-written"), "");
        assert_eq!(read("numbers").lines().count(), 100_000);
        assert!(read("numbers") == read("copy"), "tee's two outputs differ");
    },
};

/// `cp -p` sets times and mode while the copy is still open.
const COPIED_TIMES: Workload = Workload {
    perform: |Ground { root, aside }| {
        for (name, length) in [("small", 10), ("large", 9 * MIB), ("none", 0)] {
            let path = aside.join(name);
            fs::write(&path, bytes(1, length)).expect("writing");
            fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("a mode");
            let times = FileTimes::new().set_accessed(time(1)).set_modified(time(2));
            File::open(&path)
                .and_then(|file| file.set_times(times))
                .expect("times");
            sh(root, "cp -p $1 .", &[&path]);
        }
    },
    verify: |Ground { root, aside }| {
        for name in ["small", "large", "none"] {
            let (ours, theirs) = (root.join(name), aside.join(name));
            let (ours_meta, theirs_meta) = (
                fs::metadata(&ours).expect("stat"),
                fs::metadata(&theirs).expect("stat"),
            );
            assert_eq!(
                ours_meta.modified().unwrap(),
                theirs_meta.modified().unwrap(),
                "{name}"
            );
            assert_eq!(ours_meta.mode(), theirs_meta.mode(), "{name}");
            assert!(
                fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(),
                "{name} differs"
            );
        }
    },
};

/// Modes, times, extended attributes and symlinks, of files and directories.
const ATTRIBUTES_KEPT: Workload = Workload {
    perform: |Ground { root, .. }| {
        fs::write(root.join("file"), "content").expect("writing");
        fs::create_dir(root.join("directory")).expect("mkdir");
        symlink("file", root.join("link")).expect("symlink");
        symlink("no/such/target ☃", root.join("dangling")).expect("symlink");
        for (name, mode) in [("file", 0o4751), ("directory", 0o1700)] {
            let path = root.join(name);
            sh(root, "setfattr -n user.colour -v 'deep blue' $1", &[&path]);
            sh(
                root,
                "setfattr -n user.removed -v x $1; setfattr -x user.removed $1",
                &[&path],
            );
            let times = FileTimes::new().set_accessed(time(3)).set_modified(time(4));
            File::open(&path)
                .and_then(|file| file.set_times(times))
                .expect("times");
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("a mode");
        }
    },
    verify: |Ground { root, .. }| {
        for (name, mode) in [("file", 0o4751), ("directory", 0o1700)] {
            let path = root.join(name);
            let seen = fs::metadata(&path).expect("stat");
            assert_eq!(seen.mode() & 0o7777, mode, "{name}");
            assert_eq!(seen.modified().expect("a time"), time(4), "{name}");
            let xattrs = sh(root, "getfattr --only-values -n user.colour $1", &[&path]);
            assert_eq!(xattrs, "deep blue", "{name}");
            let names = sh(
                root,
                "getfattr --absolute-names -m '^user[.][cr]o' $1",
                &[&path],
            );
            assert!(!names.contains("user.removed"), "{name}: {names}");
        }
        let target = |name| fs::read_link(root.join(name)).expect("readlink");
        assert_eq!(target("link").to_str(), Some("file"));
        assert_eq!(target("dangling").to_str(), Some("no/such/target ☃"));
        assert_eq!(
            fs::read_to_string(root.join("link")).expect("through the link"),
            "content"
        );
        let link = fs::symlink_metadata(root.join("dangling")).expect("lstat");
        assert_eq!(link.len(), "no/such/target ☃".len() as u64);
    },
};

/// Truncated up and down, before and after a close, across the size of one part.
const SIZES_CHANGED: Workload = Workload {
    perform: |Ground { root, .. }| {
        let sparse = File::create(root.join("sparse")).expect("create");
        sparse.set_len(20 * MIB as u64).expect("truncating up");
        sparse
            .write_all_at(b"middle", 10 * MIB as u64)
            .expect("writing into the hole");
        drop(sparse);

        fs::write(root.join("cut"), bytes(5, 12 * MIB)).expect("writing");
        let cut = OpenOptions::new()
            .write(true)
            .open(root.join("cut"))
            .expect("opening");
        cut.set_len(9 * MIB as u64).expect("truncating down");
        cut.set_len(100).expect("truncating down");
        cut.set_len(200).expect("truncating up");
        drop(cut);

        fs::write(root.join("emptied"), bytes(6, 1_000)).expect("writing");
        File::create(root.join("emptied")).expect("opening with O_TRUNC");
        fs::write(root.join("replaced"), bytes(7, 5_000)).expect("writing");
        fs::write(root.join("replaced"), b"shorter").expect("writing again");
        sh(root, "truncate -s 3 replaced", &[]);
    },
    verify: |Ground { root, .. }| {
        let read = |name| fs::read(root.join(name)).expect("reading");
        let mut expected = vec![0; 20 * MIB];
        expected[10 * MIB..10 * MIB + 6].copy_from_slice(b"middle");
        assert!(read("sparse") == expected, "the file with the hole differs");
        let mut expected = bytes(5, 100);
        expected.resize(200, 0);
        assert_eq!(read("cut"), expected);
        assert_eq!(read("emptied"), b"");
        assert_eq!(read("replaced"), b"sho");
    },
};

/// Written backwards, over what is there, and at the end; read back through the same handle.
const WRITTEN_ANYWHERE: Workload = Workload {
    perform: |Ground { root, .. }| {
        let content = bytes(8, 10 * MIB);
        let mut backwards = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(root.join("backwards"))
            .expect("create");
        let mut end = content.len();
        while end > 0 {
            let start = end.saturating_sub(700_001);
            backwards
                .write_all_at(&content[start..end], start as u64)
                .expect("writing");
            end = start;
        }
        let mut seen = Vec::new();
        backwards.seek(SeekFrom::Start(0)).expect("seeking");
        backwards
            .read_to_end(&mut seen)
            .expect("reading what is not closed yet");
        assert!(seen == content, "the open file reads differently");
        drop(backwards);

        fs::write(root.join("patched"), &content).expect("writing");
        let patched = OpenOptions::new()
            .write(true)
            .open(root.join("patched"))
            .expect("opening");
        patched
            .write_all_at(b"PATCH", 9 * MIB as u64 - 2)
            .expect("writing");
        patched.sync_all().expect("fsync");
        patched.write_all_at(b"AGAIN", 0).expect("writing");
        drop(patched);

        for line in 0..10 {
            let mut log = OpenOptions::new()
                .append(true)
                .create(true)
                .open(root.join("log"))
                .expect("opening to append");
            writeln!(log, "line {line}").expect("appending");
        }
    },
    verify: |Ground { root, .. }| {
        let read = |name| fs::read(root.join(name)).expect("reading");
        let mut content = bytes(8, 10 * MIB);
        assert!(
            read("backwards") == content,
            "the file written backwards differs"
        );
        content[9 * MIB - 2..9 * MIB + 3].copy_from_slice(b"PATCH");
        content[..5].copy_from_slice(b"AGAIN");
        assert!(read("patched") == content, "the patched file differs");
        let log = String::from_utf8(read("log")).expect("lines");
        assert!(
            log.lines().eq((0..10).map(|line| format!("line {line}"))),
            "{log}"
        );
    },
};

/// A file that is removed or replaced while open stays readable and writable through its handle.
const UNLINKED_WHILE_OPEN: Workload = Workload {
    perform: |Ground { root, .. }| {
        let path = root.join("unlinked");
        fs::write(&path, bytes(9, 300_000)).expect("writing");
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .expect("opening");
        fs::remove_file(&path).expect("unlinking an open file");
        assert_eq!(
            fs::metadata(&path).expect_err("it is gone").kind(),
            ErrorKind::NotFound
        );
        let mut seen = vec![0; 300_000];
        open.read_exact_at(&mut seen, 0)
            .expect("reading an unlinked file");
        assert!(
            seen == bytes(9, 300_000),
            "the unlinked file reads differently"
        );
        open.write_all_at(b"still writable", 10)
            .expect("writing to an unlinked file");
        open.read_exact_at(&mut seen[..14], 10)
            .expect("reading it back");
        assert_eq!(&seen[..14], b"still writable");
        drop(open);

        let path = root.join("replaced");
        fs::write(&path, "the old one").expect("writing");
        let mut old = File::open(&path).expect("opening");
        fs::write(root.join("fresh"), "the new one").expect("writing");
        fs::rename(root.join("fresh"), &path).expect("renaming over an open file");
        let mut seen = String::new();
        old.read_to_string(&mut seen)
            .expect("reading the replaced file");
        assert_eq!(seen, "the old one");
    },
    verify: |Ground { root, .. }| {
        assert!(!root.join("unlinked").exists(), "the unlinked file is back");
        assert_eq!(
            fs::read_to_string(root.join("replaced")).expect("reading"),
            "the new one"
        );
        assert_eq!(fs::read_dir(root).expect("listing").count(), 1);
    },
};

/// Directories with content are renamed, also over an empty one, and never over a full one.
const RENAMED_DIRECTORIES: Workload = Workload {
    perform: |Ground { root, .. }| {
        fs::create_dir_all(root.join("old/deep/deeper")).expect("mkdir");
        for number in 0..30 {
            fs::write(
                root.join(format!("old/deep/file-{number}")),
                bytes(number, 100),
            )
            .expect("writing");
        }
        fs::write(root.join("old/deep/deeper/leaf"), "leaf").expect("writing");
        fs::create_dir(root.join("full")).expect("mkdir");
        fs::write(root.join("full/something"), "").expect("writing");
        let over_a_full_one =
            fs::rename(root.join("old"), root.join("full")).expect_err("it is not empty");
        assert_eq!(over_a_full_one.kind(), ErrorKind::DirectoryNotEmpty);

        fs::create_dir(root.join("empty")).expect("mkdir");
        fs::rename(root.join("old"), root.join("empty")).expect("renaming over an empty one");
        fs::rename(root.join("empty/deep"), root.join("moved")).expect("renaming");
        let into_itself = fs::rename(root.join("moved"), root.join("moved/deeper/inside"));
        assert_eq!(
            into_itself.expect_err("into itself").kind(),
            ErrorKind::InvalidInput
        );
    },
    verify: |Ground { root, .. }| {
        let seen = sh(root, "find . | LC_ALL=C sort", &[]);
        let mut expected: Vec<String> = (0..30).map(|n| format!("./moved/file-{n}")).collect();
        expected.extend(
            [
                ".",
                "./empty",
                "./full",
                "./full/something",
                "./moved",
                "./moved/deeper",
            ]
            .map(String::from),
        );
        expected.push("./moved/deeper/leaf".into());
        expected.sort();
        assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
        for number in 0..30 {
            let path = root.join(format!("moved/file-{number}"));
            assert_eq!(fs::read(path).expect("reading"), bytes(number, 100));
        }
    },
};

/// A listing tells the true type of every entry, and rmdir refuses what is not empty.
const LISTED_TYPES: Workload = Workload {
    perform: |Ground { root, .. }| {
        fs::write(root.join("file"), "x").expect("writing");
        fs::write(root.join("large"), bytes(1, 100_000)).expect("writing");
        fs::create_dir(root.join("directory")).expect("mkdir");
        fs::write(root.join("directory/inside"), "x").expect("writing");
        symlink("file", root.join("link")).expect("symlink");
        sh(root, "mkfifo pipe", &[]);
        let refused = fs::remove_dir(root.join("directory")).expect_err("it is not empty");
        assert_eq!(refused.kind(), ErrorKind::DirectoryNotEmpty);
    },
    verify: |Ground { root, .. }| {
        // `%y` of find is the type that the listing told, without a stat, under -maxdepth 1.
        let listed: BTreeMap<String, String> = fs::read_dir(root)
            .expect("listing")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let kind = format!("{:?}", entry.file_type().expect("a type"));
                (entry.file_name().into_string().expect("UTF-8"), kind)
            })
            .collect();
        for (name, kind) in &listed {
            let stat = fs::symlink_metadata(root.join(name))
                .expect("lstat")
                .file_type();
            assert_eq!(*kind, format!("{stat:?}"), "the listed type of {name}");
        }
        let names: Vec<_> = listed.keys().map(String::as_str).collect();
        assert_eq!(names, ["directory", "file", "large", "link", "pipe"]);
    },
};

/// O_EXCL and mkdir refuse what is there; `.` and `..` are what they are everywhere.
const EXCLUSIVE_CREATION: Workload = Workload {
    perform: |Ground { root, .. }| {
        let create = || {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(root.join("lock"))
        };
        create().expect("the first one");
        assert_eq!(
            create().expect_err("the second one").kind(),
            ErrorKind::AlreadyExists
        );
        fs::create_dir(root.join("directory")).expect("mkdir");
        let again = fs::create_dir(root.join("directory")).expect_err("it is there");
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        sh(
            root,
            "cd directory && test -e ../lock && test . -ef ../directory",
            &[],
        );
    },
    verify: |Ground { root, .. }| {
        assert_eq!(
            fs::metadata(root.join("lock")).expect("stat").mode() & 0o7777,
            0o600
        );
        assert!(root.join("directory").is_dir());
    },
};

/// Owners and other users.
pub mod as_root {
    use super::*;

    on_every_stage!(
        written_by_another_user: WRITTEN_BY_ANOTHER_USER,
        owners_kept: OWNERS_KEPT,
    );

    /// As `sudo -u nobody program > file` does: the descriptor is root's, the writer is not.
    const WRITTEN_BY_ANOTHER_USER: Workload = Workload {
        perform: |Ground { root, .. }| {
            let script = "setpriv --reuid=65534 --regid=65534 --clear-groups \
                    sh -c 'echo one; echo two' > first
                (echo ours; setpriv --reuid=65534 --regid=65534 --clear-groups echo theirs) > mixed
                setpriv --reuid=65534 --regid=65534 --clear-groups echo more >> first";
            sh(root, script, &[]);
        },
        verify: |Ground { root, .. }| {
            let read = |name| fs::read_to_string(root.join(name)).expect("reading");
            assert_eq!(read("first"), "one\ntwo\nmore\n");
            assert_eq!(read("mixed"), "ours\ntheirs\n");
            assert_eq!(fs::metadata(root.join("first")).expect("stat").uid(), 0);
        },
    };

    /// Owners of files, directories and symlinks.
    const OWNERS_KEPT: Workload = Workload {
        perform: |Ground { root, .. }| {
            let script = "echo x > file; mkdir directory; ln -s file link
                chown 1234:5678 file; chown 1:2 directory; chown -h 3:4 link";
            sh(root, script, &[]);
        },
        verify: |Ground { root, .. }| {
            let owners = sh(root, "stat -c '%n %u %g' file directory link", &[]);
            assert_eq!(owners, "file 1234 5678\ndirectory 1 2\nlink 3 4\n");
        },
    };
}
