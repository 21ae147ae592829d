use std::time::Duration;

use super::*;
use crate::layout::attributes::{Attributes, Xattrs};
use crate::store::{ETag, ServerEncryption};

fn stat(etag: &str) -> Stat {
    let now = Timestamp::default();
    let meta = ObjectMeta::new(Attributes {
        kind: FileKind::File,
        perm: 0o644,
        uid: 0,
        gid: 0,
        rdev: 0,
        atime: now,
        mtime: now,
        ctime: now,
        xattrs: Xattrs::new(),
    });
    Stat {
        meta,
        size: 1,
        version: Some(Version {
            etag: ETag::new(etag),
            version: None,
        }),
        commit: None,
        last_modified: now,
        encryption: Some(ServerEncryption::None),
        s3ec: None,
        hides_object: false,
    }
}

fn etag(inode: &Inode) -> (ETag, ETag) {
    let told = inode.state().told.clone().unwrap().object.unwrap();
    let content = inode.content().snapshot().version.unwrap();
    (told.version.etag, content.etag)
}

#[test]
fn an_answer_that_comes_after_that_of_a_later_question_changes_nothing() {
    let first = Instant::now();
    let later = |seconds| first + Duration::from_secs(seconds);
    let place = Place::At {
        parent: ROOT,
        name: PlainName::new("f".as_ref()).unwrap(),
    };
    let inode = Inode::from_stat(2, place, stat("1"), first);
    inode.refresh(stat("3"), later(3));
    let open = inode.content();
    inode.refresh(stat("2"), later(2));
    assert_eq!(etag(&inode), (ETag::new("3"), ETag::new("3")));
    assert!(!open.is_stale(), "who has the newest open goes on");
    // What this mount changed is newer than what it is told, which is told all the same.
    inode.state().changed = Some(later(5));
    inode.refresh(stat("4"), later(4));
    assert_eq!(etag(&inode), (ETag::new("4"), ETag::new("3")));
}
