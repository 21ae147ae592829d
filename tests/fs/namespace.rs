//! Names that go, move and replace others.

use cloakfs::fs::FileKind;

use crate::harness::{Bucket, Layout, errno};
use crate::layouts::in_every_layout;

in_every_layout! {
    a_file_replaced_by_a_rename_lives_until_it_is_closed,
    a_file_can_be_renamed_while_it_is_written,
    a_new_file_renamed_over_another_replaces_it_when_it_is_committed,
    a_directory_moves_with_all_below_it_and_with_open_files,
    renames_keep_posix_rules,
    a_directory_is_removed_only_when_it_is_empty,
    an_implicit_directory_outlives_its_last_entry,
}

async fn a_file_replaced_by_a_rename_lives_until_it_is_closed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("old", b"old content").await.unwrap();
    mount.write_file("new", b"new content").await.unwrap();
    let (_, handle) = mount.open("old", libc::O_RDONLY).await.unwrap();
    mount.rename("new", "old").await.unwrap();
    assert_eq!(mount.read_file("old").await.unwrap(), b"new content");
    assert_eq!(mount.read_all(handle).await.unwrap(), b"old content");
    mount.fs.release(handle).await;
    assert_eq!(bucket.keys(), ["old"]);
    assert!(bucket.private_keys().is_empty());
}

async fn a_file_can_be_renamed_while_it_is_written(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    let (_, handle) = mount.open("a", libc::O_RDWR | libc::O_CREAT).await.unwrap();
    mount.write_at(handle, 0, b"first").await.unwrap();
    mount.rename("a", "b").await.unwrap();
    mount.write_at(handle, 5, b" second").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.keys(), ["b"]);
    assert_eq!(bucket.body("b").await.unwrap(), b"first second");
    // And once more with a file that the bucket has.
    let (_, handle) = mount.open("b", libc::O_RDWR).await.unwrap();
    mount.write_at(handle, 0, b"FIRST").await.unwrap();
    mount.rename("b", "c").await.unwrap();
    assert_eq!(mount.read_all(handle).await.unwrap(), b"FIRST second");
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.keys(), ["c"]);
    assert_eq!(bucket.body("c").await.unwrap(), b"FIRST second");
}

async fn a_new_file_renamed_over_another_replaces_it_when_it_is_committed(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.write_file("target", b"old").await.unwrap();
    let (_, handle) = mount
        .open("temp", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    mount.write_at(handle, 0, b"new").await.unwrap();
    mount.rename("temp", "target").await.unwrap();
    mount.close(handle).await.unwrap();
    assert_eq!(bucket.body("target").await.unwrap(), b"new");
    assert_eq!(bucket.keys(), ["target"]);
}

async fn a_directory_moves_with_all_below_it_and_with_open_files(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("a").await.unwrap();
    mount.mkdir("a/b").await.unwrap();
    mount.write_file("a/b/one", b"1").await.unwrap();
    mount.write_file("a/two", b"2").await.unwrap();
    let (_, reader) = mount.open("a/b/one", libc::O_RDONLY).await.unwrap();
    let (_, writer) = mount.open("a/two", libc::O_RDWR).await.unwrap();
    mount.write_at(writer, 1, b"+").await.unwrap();
    let (_, fresh) = mount
        .open("a/three", libc::O_RDWR | libc::O_CREAT)
        .await
        .unwrap();
    mount.write_at(fresh, 0, b"3").await.unwrap();
    mount.rename("a", "z").await.unwrap();
    assert_eq!(mount.read_all(reader).await.unwrap(), b"1");
    mount.close(writer).await.unwrap();
    mount.close(fresh).await.unwrap();
    mount.fs.release(reader).await;
    assert_eq!(bucket.keys(), ["z/", "z/b/", "z/b/one", "z/three", "z/two"]);
    assert_eq!(bucket.body("z/two").await.unwrap(), b"2+");
    assert_eq!(bucket.body("z/three").await.unwrap(), b"3");
    assert_eq!(errno(mount.attr("a").await), libc::ENOENT);
}

async fn renames_keep_posix_rules(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    mount.mkdir("full").await.unwrap();
    mount.mkdir("empty").await.unwrap();
    mount.write_file("full/x", b"x").await.unwrap();
    mount.write_file("f", b"f").await.unwrap();
    mount.write_file("g", b"g").await.unwrap();
    assert_eq!(errno(mount.rename("d", "f").await), libc::ENOTDIR);
    assert_eq!(errno(mount.rename("f", "d").await), libc::EISDIR);
    assert_eq!(errno(mount.rename("d", "full").await), libc::ENOTEMPTY);
    assert_eq!(errno(mount.rename("d", "d/e").await), libc::EINVAL);
    assert_eq!(errno(mount.rename("nothing", "e").await), libc::ENOENT);
    assert_eq!(
        errno(mount.rename_with("f", "g", libc::RENAME_NOREPLACE).await),
        libc::EEXIST
    );
    assert_eq!(
        errno(mount.rename_with("f", "g", libc::RENAME_EXCHANGE).await),
        libc::EINVAL
    );
    mount.rename("full", "empty").await.unwrap();
    assert_eq!(bucket.keys(), ["d/", "empty/", "empty/x", "f", "g"]);
}

async fn a_directory_is_removed_only_when_it_is_empty(layout: Layout) {
    let bucket = Bucket::of(layout);
    let mount = bucket.mount().await;
    mount.mkdir("d").await.unwrap();
    let (_, handle) = mount
        .open("d/f", libc::O_WRONLY | libc::O_CREAT)
        .await
        .unwrap();
    assert_eq!(
        errno(mount.rmdir("d").await),
        libc::ENOTEMPTY,
        "an open new file is in it"
    );
    mount.close(handle).await.unwrap();
    assert_eq!(errno(mount.rmdir("d").await), libc::ENOTEMPTY);
    assert_eq!(errno(mount.unlink("d").await), libc::EISDIR);
    mount.unlink("d/f").await.unwrap();
    mount.rmdir("d").await.unwrap();
    assert!(bucket.keys().is_empty());
}

async fn an_implicit_directory_outlives_its_last_entry(layout: Layout) {
    let bucket = Bucket::of(layout);
    bucket.put("made/by/others", b"x").await;
    let mount = bucket.mount().await;
    assert_eq!(
        mount.attr("made/by").await.unwrap().kind,
        FileKind::Directory
    );
    mount.unlink("made/by/others").await.unwrap();
    assert_eq!(mount.list("made/by").await.unwrap(), []);
    assert_eq!(
        mount.attr("made/by").await.unwrap().kind,
        FileKind::Directory
    );
    mount.rmdir("made/by").await.unwrap();
    assert_eq!(
        mount.list("").await.unwrap(),
        [("made".to_owned(), FileKind::Directory)]
    );
}
