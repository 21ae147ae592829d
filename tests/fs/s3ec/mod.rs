//! Objects of the Amazon S3 Encryption Client in a client-side volume: read when all of them is
//! authentic, refused with the reason else, and rewritten as the volume's own by any change.

mod exporting;
mod lying;
mod objects;
mod rewriting;

use cloakfs::fs::FileKind;
use cloakfs::store::Operation::{GetObject, HeadObject};
use cloakfs::store::mem::MemStore;

use crate::harness::{Bucket, Mount, errno};
use crate::layouts::{Keys, Layout};
use objects::{With, Written, new_rsa_key, of_vector, v1, v2, v2_aes_wrap, v3};

const PIECE: usize = 256 << 10;

/// A bucket whose volume has this master key.
fn bucket(master: [u8; 32]) -> Bucket {
    bucket_with(master, |_| {})
}

fn bucket_with(master: [u8; 32], choose: impl FnOnce(&mut Keys)) -> Bucket {
    let mut keys = Keys::of(Layout::Sealed);
    keys.master = master;
    choose(&mut keys);
    Bucket::over(MemStore::new(), keys)
}

async fn put(bucket: &Bucket, key: &str, written: &Written) {
    let metadata = written.metadata.iter();
    let metadata: Vec<_> = metadata.map(|(name, value)| (&**name, &**value)).collect();
    bucket.put_with(key, &written.body, &metadata).await;
}

/// Bytes that no mistake in places leaves as they are.
fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) & 0xff).unwrap())
        .collect()
}

/// The sentence with which a file is not read.
async fn refusal(mount: &Mount, path: &str) -> String {
    let refused = mount.read_file(path).await.unwrap_err();
    assert_eq!(refused.errno(), libc::EIO, "{refused}");
    refused.to_string()
}

async fn told(mount: &Mount, path: &str, name: &str) -> Option<String> {
    let ino = mount.walk(path).await.unwrap().attr.ino;
    let all = mount.xattrs(ino).await.unwrap();
    let name = format!("user.cloakfs.{name}");
    all.into_iter()
        .find_map(|(found, value)| (found == name).then_some(value))
}

#[tokio::test]
async fn the_vector_is_read_beside_a_file_of_the_volumes_own() {
    let (written, master, plain) = of_vector();
    let bucket = bucket(master);
    put(&bucket, "d/theirs", &written).await;
    bucket.put("d/ours", b"ours").await;
    let mount = bucket.mount().await;
    assert_eq!(mount.read_file("d/theirs").await.unwrap(), plain);
    assert_eq!(mount.read_file("d/ours").await.unwrap(), b"ours");
    let attr = mount.attr("d/theirs").await.unwrap();
    assert_eq!((attr.kind, attr.size), (FileKind::File, 1000));
    assert_eq!((attr.perm, attr.uid), (0o644, 1000), "the mount's defaults");
    for (name, value) in [
        ("mode", "s3ec"),
        ("format", "s3ec-v3"),
        ("wrapping", "AES/GCM"),
    ] {
        let found = told(&mount, "d/theirs", name).await;
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }
    let ours = told(&mount, "d/ours", "mode").await;
    assert_eq!(ours.as_deref(), Some("cse-c"));
}

/// Neither its key nor its content is asked for by a look.
#[tokio::test]
async fn it_is_checked_once_in_the_life_of_a_mount() {
    let master = [3; 32];
    let bucket = bucket(master);
    let plain = pattern(9 << 20);
    put(&bucket, "f", &v3(&With::Aes(master), &plain)).await;
    let mount = bucket.mount().await;
    let (attr, calls) = bucket.calls(mount.attr("f")).await;
    assert_eq!(attr.unwrap().size, 9 << 20);
    assert_eq!(calls.of(GetObject), 1, "its end");
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    let (read, calls) = bucket.calls(mount.fs.read(handle, 5 << 20, 4096)).await;
    assert_eq!(read.unwrap(), plain[5 << 20..][..4096]);
    assert!(calls.of(GetObject) >= 4, "{calls:?}");
    let (read, calls) = bucket.calls(mount.fs.read(handle, 1 << 20, 4096)).await;
    assert_eq!(read.unwrap(), plain[1 << 20..][..4096]);
    assert!(calls.of(GetObject) <= 2, "not all of it again: {calls:?}");
    mount.fs.release(handle).await;
    let (read, calls) = bucket.calls(mount.read_file("f")).await;
    assert_eq!(read.unwrap(), plain);
    assert_eq!(calls.of(HeadObject), 0, "{calls:?}");
}

#[tokio::test]
async fn every_length_around_a_piece_is_read() {
    let master = [4; 32];
    let bucket = bucket(master);
    let mount = bucket.mount().await;
    let fetch = 4 << 20;
    for len in [
        0,
        1,
        15,
        16,
        17,
        PIECE - 1,
        PIECE,
        PIECE + 1,
        fetch,
        fetch + 5,
    ] {
        let plain = pattern(len);
        for (version, written) in [
            ("s3ec-v3", v3(&With::Aes(master), &plain)),
            ("s3ec-v2", v2(&With::Aes(master), &plain)),
        ] {
            put(&bucket, "f", &written).await;
            let read = mount.read_file("f").await.unwrap();
            assert!(read == plain, "{version} of {len} bytes");
            let format = told(&mount, "f", "format").await;
            assert_eq!(format.as_deref(), Some(version));
        }
    }
}

#[tokio::test]
async fn every_flip_is_refused_and_nothing_is_served() {
    let (written, master, _) = of_vector();
    let bucket = bucket(master);
    let mount = bucket.mount().await;
    for at in 0..written.body.len() {
        let mut changed = written.clone();
        changed.body[at] ^= 0x10;
        put(&bucket, "f", &changed).await;
        let refused = refusal(&mount, "f").await;
        assert_eq!(
            refused,
            "\"f\" is of the Amazon S3 Encryption Client, and is not authentic under the keys \
             of this mount: it was changed, or encrypted with another key; restore an older \
             version of the object, or mount with its key",
            "byte {at}"
        );
    }
    for (name, value) in &written.metadata {
        for at in 0..value.len() {
            let mut changed = written.clone();
            let mut bytes = value.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).unwrap();
            changed.metadata.insert(name.clone(), text);
            put(&bucket, "f", &changed).await;
            assert_eq!(errno(mount.read_file("f").await), libc::EIO, "{name} {at}");
        }
        let mut cut = written.clone();
        cut.metadata.remove(name);
        put(&bucket, "f", &cut).await;
        assert_eq!(errno(mount.read_file("f").await), libc::EIO, "no {name}");
    }
    for len in [0, 15, 16, 500, 1015] {
        let mut cut = written.clone();
        cut.body.truncate(len);
        put(&bucket, "f", &cut).await;
        assert_eq!(errno(mount.read_file("f").await), libc::EIO, "{len} bytes");
    }
}

/// Its first read begins at its beginning, whatever is wanted of it.
#[tokio::test]
async fn a_flip_at_the_end_is_seen_before_the_beginning_is_served() {
    let master = [5; 32];
    let bucket = bucket(master);
    let mut written = v3(&With::Aes(master), &pattern(6 << 20));
    let last = written.body.len() - 17;
    written.body[last] ^= 1;
    put(&bucket, "f", &written).await;
    let mount = bucket.mount().await;
    let (_, handle) = mount.open("f", libc::O_RDONLY).await.unwrap();
    assert_eq!(errno(mount.fs.read(handle, 0, 16).await), libc::EIO);
    // It is known from then on.
    let (again, calls) = bucket.calls(mount.fs.read(handle, 0, 16)).await;
    assert_eq!(errno(again), libc::EIO);
    assert_eq!(calls.of(GetObject), 0);
    mount.fs.release(handle).await;
}

#[tokio::test]
async fn another_master_key_opens_nothing() {
    let bucket = bucket([6; 32]);
    put(&bucket, "f", &v3(&With::Aes([7; 32]), b"secret")).await;
    put(&bucket, "g", &v2(&With::Aes([7; 32]), b"secret")).await;
    let mount = bucket.mount().await;
    for name in ["f", "g"] {
        let refused = refusal(&mount, name).await;
        assert!(
            refused.contains("is not authentic under the keys"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn rsa_needs_its_key() {
    let der = new_rsa_key();
    let master = [8; 32];
    let without = bucket(master);
    let written = v3(&With::Rsa(&der), b"for the holder");
    put(&without, "f", &written).await;
    let mount = without.mount().await;
    assert_eq!(
        refusal(&mount, "f").await,
        "\"f\" is of the Amazon S3 Encryption Client, and its data key is wrapped with an RSA \
         key: give its private half with --s3ec-rsa-key"
    );
    let bucket = bucket_with(master, |keys| keys.rsa_key = Some(der.clone()));
    put(&bucket, "f", &written).await;
    put(&bucket, "old", &v2(&With::Rsa(&der), b"older")).await;
    put(&bucket, "other", &v3(&With::Rsa(&new_rsa_key()), b"no")).await;
    let mount = bucket.mount().await;
    assert_eq!(mount.read_file("f").await.unwrap(), b"for the holder");
    assert_eq!(mount.read_file("old").await.unwrap(), b"older");
    assert_eq!(
        told(&mount, "f", "wrapping").await.as_deref(),
        Some("RSA-OAEP-SHA1")
    );
    let refused = refusal(&mount, "other").await;
    assert!(refused.contains("is not authentic"), "{refused}");
}

#[tokio::test]
async fn legacy_is_read_on_request_only() {
    let master = [9; 32];
    let big = pattern(PIECE + 100);
    let objects = [
        (
            "wrapped",
            v2_aes_wrap(&master, b"wrapped"),
            b"wrapped".to_vec(),
        ),
        ("cbc", v1(&master, b"cbc"), b"cbc".to_vec()),
        ("block", v1(&master, &[1; 16]), vec![1; 16]),
        ("empty", v1(&master, b""), Vec::new()),
        ("big", v1(&master, &big), big.clone()),
    ];
    let (without, with) = (
        bucket(master),
        bucket_with(master, |keys| keys.allow_legacy = true),
    );
    for (name, written, _) in &objects {
        put(&without, name, written).await;
        put(&with, name, written).await;
    }
    let mount = without.mount().await;
    assert_eq!(
        refusal(&mount, "cbc").await,
        "\"cbc\" is of an old version of the Amazon S3 Encryption Client (its content is \
         AES-CBC), which does not authenticate what this relies on: read it with \
         --allow-legacy, only where you trust the bucket, and store it again"
    );
    let refused = refusal(&mount, "wrapped").await;
    assert!(refused.contains("wrapped as AESWrap"), "{refused}");
    let mount = with.mount().await;
    for (name, _, plain) in &objects {
        let attr = mount.attr(name).await.unwrap();
        assert_eq!(attr.size, plain.len() as u64, "{name}");
        assert_eq!(&mount.read_file(name).await.unwrap(), plain, "{name}");
    }
    let (_, handle) = mount.open("big", libc::O_RDONLY).await.unwrap();
    let end = mount.fs.read(handle, PIECE as u64 + 7, 50).await.unwrap();
    assert_eq!(end, big[PIECE + 7..][..50]);
    mount.fs.release(handle).await;
}

#[tokio::test]
async fn instruction_files_hold_what_the_object_does_not() {
    let master = [10; 32];
    let bucket = bucket(master);
    let json = |map| serde_json::to_vec(&map).unwrap();
    let marked = [("x-amz-crypto-instr-file", "")];
    let old = v2(&With::Aes(master), b"the older one");
    bucket.put_with("old", &old.body, &[]).await;
    let file = json(old.metadata.clone());
    bucket.put_with("old.instruction", &file, &marked).await;
    let new = v3(&With::Aes(master), b"the newer one");
    let (mut on_object, mut in_file) = (new.clone(), new.metadata.clone());
    let stays = ["x-amz-c", "x-amz-d", "x-amz-i"];
    on_object
        .metadata
        .retain(|name, _| stays.contains(&name.as_str()));
    in_file.retain(|name, _| !stays.contains(&name.as_str()));
    put(&bucket, "new", &on_object).await;
    let mount = bucket.mount().await;
    assert_eq!(
        refusal(&mount, "new").await,
        "\"new\" is of the Amazon S3 Encryption Client, and its instruction file is missing: \
         restore the object of the same name with .instruction at its end"
    );
    let file = json(in_file);
    bucket.put_with("new.instruction", &file, &marked).await;
    assert_eq!(mount.read_file("old").await.unwrap(), b"the older one");
    assert_eq!(mount.read_file("new").await.unwrap(), b"the newer one");
    for name in ["old", "new"] {
        let is_told = told(&mount, name, "instruction-file").await;
        assert_eq!(is_told.as_deref(), Some("true"), "{name}");
    }
    let refused = refusal(&mount, "old.instruction").await;
    assert!(refused.contains("is an instruction file"), "{refused}");
    // What is in the file is another object's, or nothing.
    for file in [&b"{}"[..], b"no JSON", &json(old.metadata)] {
        bucket.put_with("new.instruction", file, &marked).await;
        let again = bucket.mount().await;
        assert_eq!(errno(again.read_file("new").await), libc::EIO);
    }
}

/// THREATS: never a fallback for a broken object of the volume's own.
#[tokio::test]
async fn whatever_has_metadata_of_cloakfs_is_cloakfss() {
    let (written, master, _) = of_vector();
    let bucket = bucket(master);
    let mount = bucket.mount().await;
    let ours = [
        ("cloakfs-format", "1"),
        ("cloakfs-key", "Ag"),
        ("cloakfs-record", "AA"),
    ];
    for (name, value) in ours {
        let mut both = written.clone();
        both.metadata.insert(name.to_owned(), value.to_owned());
        put(&bucket, "f", &both).await;
        let refused = refusal(&mount, "f").await;
        assert!(
            refused.contains("has cloakfs metadata that was changed"),
            "{refused}"
        );
    }
    // Theirs in the place of a directory's marker is no directory's.
    put(&bucket, "d/", &written).await;
    bucket.put("d/f", b"x").await;
    assert_eq!(mount.attr("d").await.unwrap().kind, FileKind::Directory);
}

#[tokio::test]
async fn two_versions_on_one_object_are_none() {
    let master = [11; 32];
    let bucket = bucket(master);
    let mount = bucket.mount().await;
    let (old, new) = (v2(&With::Aes(master), b"x"), v3(&With::Aes(master), b"x"));
    for (mut own, other) in [(old.clone(), new.clone()), (new, old)] {
        own.metadata.extend(other.metadata);
        put(&bucket, "f", &own).await;
        let refused = refusal(&mount, "f").await;
        assert!(refused.contains("more than one version"), "{refused}");
    }
}

/// No other program gives its objects names of such a volume.
#[tokio::test]
async fn where_names_are_encrypted_there_are_none() {
    let (written, master, _) = of_vector();
    let mut keys = Keys::of(Layout::SealedNames);
    keys.master = master;
    let bucket = Bucket::over(MemStore::new(), keys);
    let key = bucket.key("f").as_str().to_owned();
    put(&bucket, &key, &written).await;
    let mount = bucket.mount().await;
    let refused = refusal(&mount, "f").await;
    assert!(refused.contains("was not written by cloakfs"), "{refused}");
}
