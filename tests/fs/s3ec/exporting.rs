//! What an export leaves behind when something is in its way.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakfs::admin::export::{Export, Progress, Told, Wrap};
use cloakfs::base::secret::Secret;
use cloakfs::crypto::s3ec::wrapping::AesKey;
use cloakfs::layout::s3ec::CONTENT_BYTES_MAX;
use cloakfs::store::fault::{Effect, Fault, Rule};
use cloakfs::store::mem::MemStore;
use cloakfs::store::{ErrorKind, GetOptions, ListOptions, ObjectKey, Operation, Store};

use super::objects::{With, v3};
use super::{bucket, pattern, put};
use crate::harness::Bucket;

/// Exports a bucket's volume to `out/` of a target; what was told, a sentence each, and how many
/// files were done.
async fn export(from: &Bucket, to: &Arc<Fault>, key: [u8; 32]) -> (Vec<String>, u64) {
    let volume = from.open(Arc::clone(&from.fault) as Arc<dyn Store>).await;
    let export = Export {
        volume,
        target: Arc::clone(to) as Arc<dyn Store>,
        prefix: "out/".to_owned(),
        wrap: Wrap::Aes(AesKey::from_secret(Secret::take(&mut key.clone()))),
        force: false,
    };
    let progress = Progress::default();
    let mut told = Vec::new();
    let mut tell = |what: Told| {
        told.push(match what {
            Told::Failed { path, error } => format!("{path} {error}"),
            Told::Skipped { path, what } => format!("{path}: {what}"),
            Told::Hidden { key, reason } => format!("{key}: {reason}"),
        });
    };
    export.run(&progress, &mut tell).await.unwrap();
    told.sort();
    (told, progress.files.into_inner())
}

fn target() -> Arc<Fault> {
    Arc::new(Fault::new(Arc::new(MemStore::new())))
}

async fn keys(store: &Fault) -> Vec<String> {
    let page = store.list(ListOptions::default()).await.unwrap();
    page.objects.into_iter().map(|object| object.key).collect()
}

#[tokio::test]
async fn a_file_that_the_format_has_no_room_for_is_told_and_the_others_are_exported() {
    let from = bucket([30; 32]);
    from.seal("long", CONTENT_BYTES_MAX + 1, BTreeMap::new())
        .await;
    from.put("a", b"a").await;
    from.put("d/b", b"b").await;
    let to = target();
    let (told, files) = export(&from, &to, [1; 32]).await;
    assert_eq!(
        told,
        [
            "long has 68719476705 bytes, and an object of the Amazon S3 Encryption Client has at \
          most 68719476704"
        ]
    );
    assert_eq!(
        (files, keys(&to).await),
        (2, vec!["out/a".into(), "out/d/b".into()])
    );
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing_and_the_next_export_does_it() {
    let from = bucket([31; 32]);
    let content = pattern(17 << 20);
    from.put("large", &content).await;
    let to = target();
    let rule = Rule::new(Effect::FailBefore(ErrorKind::Denied));
    to.inject(rule.on(Operation::UploadPart).after(1).times(1));
    let (told, files) = export(&from, &to, [2; 32]).await;
    assert_eq!((told.len(), files), (1, 0), "{told:?}");
    assert!(told[0].starts_with("large "), "{told:?}");
    assert!(keys(&to).await.is_empty());
    assert!(to.list_multipart("").await.unwrap().is_empty());
    assert_eq!(export(&from, &to, [2; 32]).await, (vec![], 1));
    // A completion whose answer is lost is one all the same.
    let to = target();
    let rule = Rule::new(Effect::FailAfter(ErrorKind::TimedOut));
    to.inject(rule.on(Operation::CompleteMultipartUpload).times(1));
    assert_eq!(export(&from, &to, [2; 32]).await, (vec![], 1));
    // What is there, in this volume and that client's format, is what it was.
    let back = bucket([2; 32]);
    let key = ObjectKey::new("out/large").unwrap();
    let found = to.get(&key, GetOptions::default()).await.unwrap();
    let metadata = found.info.attributes.metadata.iter();
    let metadata: Vec<_> = metadata.map(|(name, value)| (&**name, &**value)).collect();
    back.put_with("f", &found.body, &metadata).await;
    let mount = back.mount().await;
    assert!(mount.read_file("f").await.unwrap() == content);
}

/// Also on a server that knows no conditions: then looking is all there is.
#[tokio::test]
async fn what_is_there_is_told_before_anything_is_read_or_sent() {
    let from = bucket([33; 32]);
    from.put("a", b"a").await;
    from.put("large", &pattern(9 << 20)).await;
    let to = target();
    assert_eq!(export(&from, &to, [4; 32]).await, (vec![], 2));
    let (read, sent) = (from.fault.calls(), to.calls());
    let (told, files) = export(&from, &to, [4; 32]).await;
    let words = "is there already, and is not replaced: delete it, or give --force";
    assert_eq!(told, [format!("a {words}"), format!("large {words}")]);
    assert_eq!(files, 0);
    let sent = to.calls().since(&sent);
    assert_eq!(sent.total(), 2, "a look at each: {sent}");
    let read = from.fault.calls().since(&read);
    let large = read.of(Operation::GetObject);
    assert!(large <= 6, "the record and the end of each: {read}");
}

/// Who may write alone is told by the write.
#[tokio::test]
async fn a_target_that_may_not_be_looked_at_is_written_to_and_not_replaced() {
    let from = bucket([34; 32]);
    from.put("a", b"a").await;
    let to = target();
    to.inject(Rule::new(Effect::FailBefore(ErrorKind::Denied)).on(Operation::HeadObject));
    assert_eq!(export(&from, &to, [5; 32]).await, (vec![], 1));
    let (told, files) = export(&from, &to, [5; 32]).await;
    assert_eq!(files, 0);
    assert!(told[0].starts_with("a is there already"), "{told:?}");
}

/// Also what is no object of the volume's own is wrapped anew; what is not authentic is not.
#[tokio::test]
async fn objects_of_the_client_are_exported_under_the_new_key() {
    let master = [32; 32];
    let from = bucket(master);
    let written = v3(&With::Aes(master), b"theirs");
    put(&from, "theirs", &written).await;
    let mut changed = written.clone();
    changed.body[2] ^= 1;
    put(&from, "changed", &changed).await;
    let to = target();
    let (told, files) = export(&from, &to, [3; 32]).await;
    assert_eq!((told.len(), files), (1, 1));
    assert!(told[0].contains("is not authentic"), "{told:?}");
    assert_eq!(keys(&to).await, ["out/theirs"]);
}
