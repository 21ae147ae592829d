mod damage;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::directory::{self, log_path};
use super::*;
use crate::base::id::CommitId;
use crate::base::range::ByteRange;
use crate::base::secret::Secret;
use crate::base::size::ByteSize;
use crate::base::time::Timestamp;
use crate::crypto::InputKey;
use crate::layout::attributes::{Attributes, FileKind};
use crate::store::ETag;
use crate::volume::{LocalKey, LocalKeySource, ObjectMeta, Version};
use crate::write::staging::Staging;

struct Rig {
    dir: TempDir,
}

fn key() -> LocalKey {
    LocalKey::Own(InputKey::from_secret(Secret::take(&mut [7; 32])))
}

fn header(mount: &str) -> Header {
    let (source, host) = ("dir:/s/", "host");
    Header::new(
        source.to_owned(),
        mount.to_owned(),
        host.to_owned(),
        0,
        LocalKeySource::Machine,
    )
}

impl Rig {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("write-back")
    }

    fn journal(&self, mount: &str) -> Arc<Journal> {
        self.limited(mount, 1 << 30)
    }

    fn limited(&self, mount: &str, limit: u64) -> Arc<Journal> {
        let staging = Staging::open(&self.dir.path().join("staging"), ByteSize(limit)).unwrap();
        Journal::create(&self.root(), header(mount), key(), &staging).unwrap()
    }

    /// As after a crash: what is on the disk, read by another process.
    fn read(&self) -> Dead {
        let mut found = find(&self.root()).unwrap();
        match found.pop() {
            Some(Found::Unclaimed(unclaimed)) => unclaimed.read(key()).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

fn meta() -> ObjectMeta {
    ObjectMeta::new(Attributes {
        kind: FileKind::File,
        perm: 0o644,
        uid: 1,
        gid: 2,
        rdev: 0,
        atime: Timestamp::new(-5, 6).unwrap(),
        mtime: Timestamp::new(7, 999_999_999).unwrap(),
        ctime: Timestamp::EPOCH,
        xattrs: BTreeMap::from([("user.a".to_owned(), vec![0, 255])]),
    })
}

fn place(path: &str) -> Place {
    let version = |etag: &str| Version {
        etag: ETag::new(etag),
        version: None,
    };
    Place {
        path: path.parse().unwrap(),
        base: Some((version("\"e\""), 9, Some("c".to_owned()))),
        replaces: Some(version("\"r\"")),
    }
}

fn closed(path: &str, extents: &[(u64, u64)]) -> Closed {
    let extents = extents
        .iter()
        .map(|(start, end)| ByteRange::new(*start, *end));
    let extents: Vec<_> = extents.filter(|extent| !extent.is_empty()).collect();
    Closed {
        place: place(path),
        valid: 3,
        size: extents.last().map_or(0, |extent| extent.end()) + 1,
        meta: meta(),
        meta_set_here: true,
        extents,
    }
}

fn close(journal: &Journal, file: FileNumber, path: &str, data: &[u8]) -> Position {
    let content = Event::Content {
        file,
        closed: Box::new(closed(path, &[(0, data.len() as u64)])),
        commit: CommitId::random(),
    };
    journal
        .append(journal.next_entry(), vec![content], data)
        .unwrap()
}

/// What is pending, with its data as it would be written into a file.
fn pending(dead: &Dead) -> BTreeMap<FileNumber, (Pending, Vec<u8>)> {
    let files = dead.pending().map(|(file, pending)| {
        let mut content = vec![0; usize::try_from(pending.closed.size).unwrap()];
        for index in 0..dead.pieces(pending) {
            for (at, bytes) in dead.piece(pending, index).unwrap() {
                let at = usize::try_from(at).unwrap();
                content[at..at + bytes.len()].copy_from_slice(&bytes);
            }
        }
        (file, (pending.clone(), content))
    });
    files.collect()
}

#[test]
fn what_was_closed_is_read_again() {
    let rig = Rig::new();
    let journal = rig.journal("m");
    let (entry, file) = (journal.next_entry(), journal.next_file());
    // Another file's entry comes between the pieces of this one.
    journal.append(entry, vec![], b"abc").unwrap();
    close(&journal, 7, "other", b"x");
    let first = closed("dir/a", &[(2, 4), (6, 10)]);
    let (commit, moved) = (CommitId::random(), CommitId::random());
    let content = Event::Content {
        file,
        closed: Box::new(first.clone()),
        commit,
    };
    journal.append(entry, vec![content], b"def").unwrap();
    let to = place("b");
    let renamed = Event::Moved {
        file,
        place: to.clone(),
        commit: moved,
    };
    journal
        .note(vec![renamed, Event::Dropped { file: 7 }])
        .unwrap();
    drop(journal);
    let dead = rig.read();
    assert!(dead.damage().is_none() && dead.torn_bytes() == 0);
    let files = pending(&dead);
    assert_eq!(files.keys().copied().collect::<Vec<_>>(), [file]);
    let (found, content) = &files[&file];
    assert_eq!(found.closed, Closed { place: to, ..first });
    assert_eq!(found.commits, [commit, moved]);
    assert_eq!(content, b"\0\0ab\0\0cdef\0");
    dead.done(file).unwrap();
    drop(dead);
    assert!(pending(&rig.read()).is_empty());
    rig.read().remove().unwrap();
    assert_eq!(fs::read_dir(rig.root()).unwrap().count(), 0);
}

#[test]
fn a_living_mounts_journal_is_not_to_be_had_and_an_empty_one_leaves_nothing() {
    let rig = Rig::new();
    let journal = rig.journal("m");
    close(&journal, 1, "a", b"data");
    let found = find(&rig.root()).unwrap();
    assert!(matches!(&found[..], [Found::Held(header)] if header.mount == "m"));
    journal.note(vec![Event::Done { file: 1 }]).unwrap();
    drop(journal);
    assert_eq!(fs::read_dir(rig.root()).unwrap().count(), 0);
    assert!(find(&rig.dir.path().join("nowhere")).unwrap().is_empty());
}

#[tokio::test]
async fn closers_that_wait_together_share_one_sync() {
    let rig = Rig::new();
    let journal = rig.journal("m");
    let positions: Vec<_> = (1..=20)
        .map(|file| close(&journal, file, &format!("f{file}"), b"data"))
        .collect();
    let waiting = positions.iter().map(|position| journal.sync(*position));
    for synced in futures_util::future::join_all(waiting).await {
        synced.unwrap();
    }
    assert_eq!(journal.syncs(), 1);
    journal.sync(positions[3]).await.unwrap();
    assert_eq!(journal.syncs(), 1);
}

/// Logs go in their order, so what ended a file is there as long as the file.
#[test]
fn a_log_goes_after_all_earlier_ones() {
    let rig = Rig::new();
    let journal = rig.journal("m");
    let megabyte = vec![1; FRAME_DATA_BYTES_MAX];
    let fill = |file| {
        for _ in 0..=LOG_BYTES_MAX >> 20 {
            close(&journal, file, "big", &megabyte);
        }
    };
    let logs = || directory::logs(&rig.root().join("m")).unwrap();
    close(&journal, 1, "kept", b"data");
    fill(2);
    fill(3);
    assert_eq!(logs(), [1, 2, 3]);
    journal.note(vec![Event::Done { file: 3 }]).unwrap();
    journal.note(vec![Event::Done { file: 2 }]).unwrap();
    assert_eq!(logs(), [1, 2, 3]);
    journal.note(vec![Event::Done { file: 1 }]).unwrap();
    assert_eq!(logs(), [3]);
    assert!(journal.bytes() < 8 << 20);
    assert_eq!(journal.pending(), 0);
}

#[test]
fn the_journal_and_staging_share_one_limit() {
    let rig = Rig::new();
    let journal = rig.limited("m", 3 << 20);
    let megabyte = vec![1; FRAME_DATA_BYTES_MAX];
    close(&journal, 1, "a", &megabyte);
    close(&journal, 2, "b", &megabyte);
    let refused = journal.append(journal.next_entry(), vec![], &megabyte);
    let sentence = refused.unwrap_err().to_string();
    assert!(
        sentence.starts_with("the journal of closed files has no room: "),
        "{sentence}"
    );
    // Small things still go, and nothing is lost.
    close(&journal, 3, "c", b"data");
    drop(journal);
    assert_eq!(pending(&rig.read()).len(), 3);
}

/// Another journal's frames, and those of another log, do not open.
#[test]
fn a_frame_has_one_place() {
    let rig = Rig::new();
    for mount in ["m", "n"] {
        let journal = rig.journal(mount);
        close(&journal, 1, mount, b"data");
        close(&journal, 2, mount, b"data");
    }
    let logs = ["m", "n"].map(|mount| log_path(&rig.root().join(mount), 1));
    fs::copy(&logs[0], &logs[1]).unwrap();
    let dead = rig.read();
    let damage = dead.damage().unwrap().to_string();
    assert!(
        damage.contains("log 1: frame 0 is not authentic; nothing of it was replayed"),
        "{damage}"
    );
    assert!(pending(&dead).is_empty());
    drop(dead);
    fs::remove_dir_all(rig.root().join("n")).unwrap();
    fs::copy(&logs[0], log_path(&rig.root().join("m"), 2)).unwrap();
    let damage = rig.read().damage().unwrap().to_string();
    assert!(
        damage.contains("log 2: frame 0 is not authentic"),
        "{damage}"
    );
    fs::rename(
        log_path(&rig.root().join("m"), 2),
        log_path(&rig.root().join("m"), 3),
    )
    .unwrap();
    let damage = rig.read().damage().unwrap().to_string();
    assert!(
        damage.contains("log 3: the log before it is missing"),
        "{damage}"
    );
}

#[test]
fn another_key_opens_nothing() {
    let rig = Rig::new();
    close(&rig.journal("m"), 1, "a", b"data");
    let Some(Found::Unclaimed(found)) = find(&rig.root()).unwrap().pop() else {
        panic!("it is there");
    };
    let dead = found.read(LocalKey::Own(InputKey::random())).unwrap();
    // One frame alone could be torn as well: nothing of it was read.
    assert!(dead.damage().is_some() || dead.torn_bytes() > 0);
    assert!(pending(&dead).is_empty());
}

#[test]
fn what_a_journal_has_is_brought_out_as_files() {
    let rig = Rig::new();
    let journal = rig.journal("m");
    close(&journal, 1, "dir/whole", b"data");
    let part = Closed {
        valid: 9,
        size: 12,
        ..closed("part", &[(2, 4)])
    };
    let content = Event::Content {
        file: 2,
        closed: Box::new(part),
        commit: CommitId::random(),
    };
    journal
        .append(journal.next_entry(), vec![content], b"xy")
        .unwrap();
    close(&journal, 3, "part", b"another");
    drop(journal);
    let to = rig.dir.path().join("out");
    let dead = rig.read();
    assert!(!Dead::is_exported(dead.path()));
    let exported = dead.export(&to).unwrap();
    let told: Vec<_> = exported
        .iter()
        .map(|it| {
            (
                it.path.as_str(),
                it.written_as.to_str().unwrap(),
                it.is_part,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("dir/whole", "files/dir/whole", false),
            ("part", "files/part", true),
            ("part", "files.3/part", false),
        ]
    );
    let read = |name: &str| fs::read(to.join(name)).unwrap();
    assert_eq!(read("files/dir/whole"), b"data\0");
    assert_eq!(read("files/part"), b"\0\0xy\0\0\0\0\0\0\0\0");
    assert_eq!(read("files.3/part"), b"another\0");
    let list = String::from_utf8(read("recovered.json")).unwrap();
    assert!(
        list.contains("\"is_part\": true") && list.contains("\\\"e\\\""),
        "{list}"
    );
    assert!(Dead::is_exported(dead.path()));
    let again = dead.export(&to).unwrap_err().to_string();
    assert!(
        again.contains("the directory for it is not empty: name another"),
        "{again}"
    );
}
