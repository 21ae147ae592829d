//! Everyday programs: git, tar, rsync, cp, sqlite3, an editor, and fsx.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::fsx;
use crate::process::{run, sh};
use crate::stage::{Ground, Workload, on_every_stage};
use crate::tree::{bytes, plant};

on_every_stage!(
    git_clone: GIT_CLONE,
    tar_extract: TAR_EXTRACT,
    rsync_twice: RSYNC_TWICE,
    copy_archive: COPY_ARCHIVE,
    sqlite_inserts: SQLITE_INSERTS,
    editor_save: EDITOR_SAVE,
    fsx_random_operations: fsx::ON_FIVE_FILES,
);

/// `git` that reads nobody's configuration.
fn git(directory: &Path, arguments: &[&str]) -> String {
    run(Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A Tester")
        .env("GIT_AUTHOR_EMAIL", "tester@example.org")
        .env("GIT_COMMITTER_NAME", "A Tester")
        .env("GIT_COMMITTER_EMAIL", "tester@example.org"))
}

/// A clone of a repository of 2,000 files over file://, checked by git itself.
const GIT_CLONE: Workload = Workload {
    perform: |Ground { root, aside }| {
        let origin = aside.join("origin");
        plant(&origin, 2_000);
        git(&origin, &["init", "--quiet", "--initial-branch=main"]);
        git(&origin, &["add", "."]);
        git(&origin, &["commit", "--quiet", "--message=All of it"]);
        git(
            root,
            &[
                "clone",
                "--quiet",
                &format!("file://{}", origin.display()),
                "clone",
            ],
        );
    },
    verify: |Ground { root, aside }| {
        let clone = root.join("clone");
        git(&clone, &["fsck", "--full", "--strict"]);
        assert_eq!(
            git(&clone, &["status", "--porcelain"]),
            "",
            "git sees changes in the clone"
        );
        // git keeps no empty directory.
        sh(
            root,
            "diff -r --no-dereference -x .git -x empty $1 clone",
            &[&aside.join("origin")],
        );
    },
};

/// An archive unpacked, compared by tar itself: contents, modes, owners, times, symlinks.
const TAR_EXTRACT: Workload = Workload {
    perform: |Ground { root, aside }| {
        plant(&aside.join("tree"), 1_000);
        sh(aside, "tar cf tree.tar tree", &[]);
        sh(root, "tar xpf $1", &[&aside.join("tree.tar")]);
    },
    verify: |Ground { root, aside }| {
        let differences = sh(root, "tar df $1", &[&aside.join("tree.tar")]);
        assert_eq!(differences, "", "tar sees differences");
    },
};

/// A second rsync finds nothing to copy, neither by time and size nor by checksum.
const RSYNC_TWICE: Workload = Workload {
    perform: |Ground { root, aside }| {
        plant(&aside.join("tree"), 500);
        sh(root, "rsync -a $1/ copy/", &[&aside.join("tree")]);
    },
    verify: |Ground { root, aside }| {
        let tree = aside.join("tree");
        let copied = sh(root, "rsync -a --itemize-changes $1/ copy/", &[&tree]);
        assert_eq!(copied, "", "the second rsync copied something");
        let script = "rsync -a --checksum --dry-run --itemize-changes $1/ copy/";
        assert_eq!(sh(root, script, &[&tree]), "", "the checksums differ");
    },
};

/// `cp -a`, compared by content and by everything that `find` can print.
const COPY_ARCHIVE: Workload = Workload {
    perform: |Ground { root, aside }| {
        plant(&aside.join("tree"), 500);
        sh(root, "cp -a $1 tree", &[&aside.join("tree")]);
    },
    verify: |Ground { root, aside }| {
        sh(
            root,
            "diff -r --no-dereference $1 tree",
            &[&aside.join("tree")],
        );
        assert_eq!(
            attributes(&root.join("tree")),
            attributes(&aside.join("tree"))
        );
    },
};

/// Path, type, mode, owner, time of change of content, target, and the size of files.
fn attributes(tree: &Path) -> Vec<String> {
    let script = r"find . -type f -printf '%P %s %m %U %G %T@\n' , \
        -not -type f -printf '%P %y %m %U %G %T@ %l\n' | sort";
    sh(tree, script, &[]).lines().map(String::from).collect()
}

/// 1,000 inserts, each a transaction of its own: a journal made, synced and deleted each time.
const SQLITE_INSERTS: Workload = Workload {
    perform: |Ground { root, aside }| {
        let inserts = (0..1_000).fold(String::new(), |script, n| {
            script + &format!("insert into lines values ({n}, 'line number {n}');\n")
        });
        let script = aside.join("inserts.sql");
        fs::write(
            &script,
            format!("create table lines (n integer, words text);\n{inserts}"),
        )
        .expect("writing the script");
        sh(root, "sqlite3 -bail lines.db \".read $1\"", &[&script]);
    },
    verify: |Ground { root, .. }| {
        let script = "sqlite3 -bail lines.db 'pragma integrity_check; \
            select count(*), sum(n), count(distinct words) from lines;'";
        assert_eq!(sh(root, script, &[]), "ok\n1000|499500|1000\n");
        assert!(
            !root.join("lines.db-journal").exists(),
            "sqlite left its journal"
        );
    },
};

/// The two ways in which editors save: a new file renamed over the old one, and the old one moved
/// away first.
const EDITOR_SAVE: Workload = Workload {
    perform: |Ground { root, .. }| {
        let replaced = root.join("replaced.txt");
        let moved = root.join("moved.txt");
        for save in 0..20 {
            let fresh = root.join(".replaced.txt.swp");
            write_synced(&fresh, &page(save));
            fs::rename(&fresh, &replaced).expect("renaming over the old file");
            File::open(root)
                .and_then(|directory| directory.sync_all())
                .expect("a directory's sync");

            let backup = root.join("moved.txt~");
            if save > 0 {
                fs::rename(&moved, &backup).expect("moving the old file away");
            }
            write_synced(&moved, &page(save));
            if save > 0 {
                fs::remove_file(&backup).expect("removing the backup");
            }
            assert_eq!(
                fs::read(&replaced).expect("reading what was saved"),
                page(save)
            );
            assert_eq!(
                fs::read(&moved).expect("reading what was saved"),
                page(save)
            );
        }
    },
    verify: |Ground { root, .. }| {
        let mut names: Vec<_> = fs::read_dir(root)
            .expect("listing")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["moved.txt", "replaced.txt"]);
        for name in names {
            assert_eq!(fs::read(root.join(name)).expect("reading"), page(19));
        }
    },
};

fn page(save: u64) -> Vec<u8> {
    bytes(
        save,
        10_000 + usize::try_from(save).expect("a small number") * 100,
    )
}

fn write_synced(path: &Path, content: &[u8]) {
    let mut file = File::create(path).expect("a new file");
    file.write_all(content).expect("writing");
    file.sync_all().expect("fsync");
}
