use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use proptest::prelude::*;
use tempfile::TempDir;

use super::area::Backing;
use super::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn staging(limit: u64) -> (TempDir, Staging) {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::open(&dir.path().join("staging"), ByteSize(limit)).unwrap();
    (dir, staging)
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

fn backing(file: &StagingFile) -> Arc<Backing> {
    file.0.backing().unwrap()
}

/// Every byte that the staging file holds on disk.
fn on_disk(file: &StagingFile) -> Vec<u8> {
    let file = &backing(file).file;
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn allocated_bytes(file: &StagingFile) -> u64 {
    let file = &backing(file).file;
    file.sync_all().unwrap();
    file.metadata().unwrap().blocks() * 512
}

#[test]
fn what_was_stored_is_loaded() {
    let (_dir, staging) = staging(100 * MIB);
    let file = staging.file("notes.txt");
    let batch = BATCH_CHUNKS * CHUNK_BYTES;
    let lens = [
        0,
        1,
        CHUNK_BYTES,
        batch - 1,
        batch,
        batch + 1,
        3 * batch + 5,
    ];
    let slots: Vec<_> = lens
        .iter()
        .map(|&len| file.store(len as u64, &plaintext(len)).unwrap())
        .collect();
    for (slot, &len) in slots.iter().zip(&lens) {
        assert_eq!(slot.len(), len as u64);
        assert!(slot.load().unwrap() == plaintext(len), "{len} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_range_is_loaded(a in 0_usize..300_000, b in 0_usize..300_000) {
        let (_dir, staging) = staging(MIB);
        let slot = staging.file("f").store(0, &plaintext(300_000)).unwrap();
        let (start, end) = (a.min(b), a.max(b));
        let loaded = slot.load_range(ByteRange::new(start as u64, end as u64)).unwrap();
        prop_assert!(loaded == plaintext(300_000)[start..end]);
    }
}

#[test]
fn the_disk_never_sees_the_plaintext() {
    let (dir, staging) = staging(MIB);
    let file = staging.file("diary");
    let marker = b"a marker that nobody else writes";
    let slot = file.store(7, &marker.repeat(1000)).unwrap();
    let disk = on_disk(&file);
    assert!(disk.len() > 32_000);
    assert!(!disk.windows(marker.len()).any(|window| window == marker));
    // Nor is there a name that a crash could leave behind.
    assert_eq!(fs::read_dir(dir.path().join("staging")).unwrap().count(), 0);
    assert!(slot.load().unwrap().starts_with(marker));
}

#[test]
fn another_mount_has_another_key() {
    let (_dir, one) = staging(MIB);
    let (_other_dir, other) = staging(MIB);
    let (file, other_file) = (one.file("f"), other.file("f"));
    let slot = file.store(0, b"ours").unwrap();
    let theirs = other_file.store(0, b"their").unwrap();
    // The same ids and the same place, and yet it does not open.
    assert_eq!(slot.context, theirs.context);
    backing(&file)
        .file
        .write_all_at(&on_disk(&other_file), 0)
        .unwrap();
    assert!(matches!(
        slot.load(),
        Err(StagingError::NotAuthentic { .. })
    ));
}

#[test]
fn changed_bytes_are_an_error_that_names_the_file() {
    let (dir, staging) = staging(MIB);
    let file = staging.file("books/accounts.db");
    let slot = file.store(1, &plaintext(40_000)).unwrap();
    let stored = slot.length.stored();
    for at in [0, 30, 56, 56 + 16_400, stored - 1] {
        let mut byte = [0];
        backing(&file).file.read_exact_at(&mut byte, at).unwrap();
        backing(&file)
            .file
            .write_all_at(&[byte[0] ^ 1], at)
            .unwrap();
        let dir = dir.path().join("staging").canonicalize().unwrap();
        assert_eq!(
            slot.load().unwrap_err().to_string(),
            format!(
                "the staged data of \"books/accounts.db\" in {} cannot be used: it is not \
                 authentic: it was changed, or sealed with another key or for another place; the \
                 disk is failing or another program wrote to it",
                dir.display()
            )
        );
        backing(&file).file.write_all_at(&byte, at).unwrap();
    }
    assert!(slot.load().unwrap() == plaintext(40_000));
}

/// Messages of one staging file that trade places, or come back from an earlier write of the
/// same slot.
#[test]
fn messages_do_not_open_in_the_place_of_another() {
    let (_dir, staging) = staging(MIB);
    let file = staging.file("f");
    let old = file.store(1, b"old").unwrap();
    let new = file.store(1, b"new").unwrap();
    let other = file.store(2, b"two").unwrap();
    let message_of = |slot: &StagedSlot| {
        let mut bytes = vec![0; usize::try_from(slot.length.stored()).unwrap()];
        slot.extent.read(&mut bytes, 0).unwrap();
        bytes
    };
    let original = message_of(&new);
    for elsewhere in [&old, &other] {
        new.extent.write(&message_of(elsewhere), 0).unwrap();
        assert!(matches!(new.load(), Err(StagingError::NotAuthentic { .. })));
    }
    new.extent.write(&original, 0).unwrap();
    assert_eq!(new.load().unwrap(), b"new");
    assert_eq!(old.load().unwrap(), b"old");
}

#[test]
fn a_dropped_slot_frees_its_room() {
    let (_dir, staging) = staging(10 * MIB);
    let file = staging.file("f");
    let len = usize::try_from(MIB).unwrap();
    let slots: Vec<_> = (0..4)
        .map(|id| file.store(id, &plaintext(len)).unwrap())
        .collect();
    let (used, size) = (
        staging.in_use().0,
        backing(&file).file.metadata().unwrap().len(),
    );
    assert!((4 * MIB..=4 * MIB + 64 * KIB).contains(&used), "{used}");
    assert!(allocated_bytes(&file) >= 4 * MIB);
    drop(slots);
    assert_eq!(staging.in_use(), ByteSize(0));
    assert_eq!(allocated_bytes(&file), 0);
    // And the room is used again: the file grows no further.
    for id in 0..20 {
        file.store(id, &plaintext(len)).unwrap();
    }
    assert_eq!(backing(&file).file.metadata().unwrap().len(), size);
}

#[test]
fn a_full_area_says_so_and_keeps_what_it_has() {
    let (_dir, staging) = staging(64 * KIB);
    let file = staging.file("f");
    let slot = file.store(0, &plaintext(40_000)).unwrap();
    let error = file.store(1, &plaintext(40_000)).unwrap_err();
    assert!(matches!(error, StagingError::Full { .. }));
    assert_eq!(
        error.to_string(),
        "the staging area holds 40 KiB of the 64 KiB that it may, too much for 40 KiB more: wait \
         until files are uploaded, or mount with a larger --staging-size"
    );
    assert!(slot.load().unwrap() == plaintext(40_000));
    assert_eq!(staging.in_use(), ByteSize(40 * KIB));
    drop(slot);
    file.store(1, &plaintext(40_000)).unwrap();
}

#[test]
fn a_disk_near_its_end_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let nearly_full = |_: &File| {
        Ok(DiskSpace {
            total: 20 * MIB,
            free: 1536 * KIB,
        })
    };
    let staging =
        Staging::open_on(&dir.path().join("s"), ByteSize(100 * MIB), nearly_full).unwrap();
    let file = staging.file("f");
    file.store(0, &plaintext(480_000)).unwrap();
    let error = file.store(1, &plaintext(540_000)).unwrap_err();
    assert!(matches!(error, StagingError::DiskFull { .. }));
    let path = dir.path().join("s").canonicalize().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "the disk of the staging area {} has 1.5 MiB free, of which 1 MiB stay free: make \
             room there, or set CLOAKFS_STATE_DIR to a directory on a larger disk",
            path.display()
        )
    );
    assert_eq!(staging.in_use(), ByteSize(0));
}

#[test]
fn running_out_of_disk_in_a_write_is_a_full_disk() {
    let (_dir, staging) = staging(MIB);
    for code in [libc::ENOSPC, libc::EDQUOT] {
        let error = staging
            .0
            .failed("write to", io::Error::from_raw_os_error(code));
        assert!(matches!(error, StagingError::DiskFull { .. }));
    }
    let error = staging
        .0
        .failed("write to", io::Error::from_raw_os_error(libc::EIO));
    let text = error.to_string();
    assert!(
        text.starts_with("cannot write to the staging area /"),
        "{text}"
    );
    assert!(text.ends_with("Input/output error (os error 5)"), "{text}");
}

#[test]
fn the_directory_is_private() {
    let (dir, staging) = staging(MIB);
    let path = dir.path().join("staging").canonicalize().unwrap();
    let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
    assert_eq!(mode(), 0o700);
    drop(staging);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    let error = Staging::open(&path, ByteSize(MIB)).unwrap_err().to_string();
    let user = fs::metadata(&path).unwrap().uid();
    assert_eq!(
        error,
        format!(
            "the staging area {} belongs to user {user} with mode 750, but has to be private to \
             user {user}: give it to that user with chown and chmod 700, or remove it",
            path.display()
        )
    );
    assert_eq!(mode(), 0o750);
    fs::write(dir.path().join("file"), "").unwrap();
    let error = Staging::open(&dir.path().join("file"), ByteSize(MIB)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot make the staging area /"),
        "{error}"
    );
}

#[test]
fn opening_sweeps_what_a_crash_left() {
    let (dir, staging) = staging(MIB);
    drop(staging);
    let path = dir.path().join("staging");
    fs::write(path.join("staged-0123"), "").unwrap();
    fs::write(path.join("not ours"), "").unwrap();
    Staging::open(&path, ByteSize(MIB)).unwrap();
    let left: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["not ours"]);
}

#[test]
fn threads_share_one_file() {
    let (_dir, staging) = staging(100 * MIB);
    let file = staging.file("f");
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let file = file.clone();
            scope.spawn(move || {
                for round in 0..20_u64 {
                    let bytes = vec![thread; 30_000 + usize::try_from(round).unwrap() * 5000];
                    let slot = file.store(round, &bytes).unwrap();
                    assert!(slot.load().unwrap() == bytes);
                }
            });
        }
    });
    assert_eq!(staging.in_use(), ByteSize(0));
}
