//! What these credentials may do with objects, found out by doing it below
//! `<prefix>.cloakfs/probe/`, and what the server can do beyond what every one can.

use bytes::Bytes;

use super::Finding;
use crate::base::id::CommitId;
use crate::base::limits::RESERVED_PREFIX;
use crate::store::probe::{Access, Capabilities, probe};
use crate::store::{
    CopyAttributes, CopySource, DeleteOptions, ErrorKind, GetOptions, ObjectAttributes, ObjectKey,
    PartNumber, Result, Store, UploadId, WriteCondition,
};

const CONTENT: &[u8] = b"cloakfs looks at what these credentials may do";

/// The checks that need a write.
const WRITING: [&str; 9] = [
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "conditional writes",
    "conditional copies",
    "conditional deletes",
    "multipart uploads",
    "s3:AbortMultipartUpload",
    "s3:ListBucketMultipartUploads",
];

/// Everything is tried; `encryption` is what uploads ask for, as a person calls it; `None` where
/// that is nothing.
pub async fn writing(store: &dyn Store, prefix: &str, encryption: Option<&str>) -> Vec<Finding> {
    let can = probe(store, prefix).await;
    let mut found = vec![written(&can, encryption)];
    if !can.write.is_allowed() {
        let skipped = WRITING[1..].iter();
        found.extend(
            skipped.map(|check| {
                Finding::skipped(check, "not known until this is right: s3:PutObject")
            }),
        );
        return found;
    }
    found.push(access(
        "s3:GetObject",
        &can.read,
        "what is written can be read",
    ));
    found.push(access(
        "s3:DeleteObject",
        &can.delete,
        "the object of the check is deleted again",
    ));
    found.extend(conditions(&can));
    found.extend(multipart(store, prefix).await);
    found
}

/// Nothing is written: a GET of what is not there tells whether a GET is allowed.
pub async fn reading(store: &dyn Store, prefix: &str) -> Vec<Finding> {
    let check = "s3:GetObject";
    let Some(key) = fresh(prefix) else {
        return vec![too_long(check)];
    };
    let finding = match store.get(&key, GetOptions::default()).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Finding::ok(check, "allowed"),
        // Nobody else could have made it.
        Ok(_) => Finding::warn(check, "the server answers with an object that is not there"),
        Err(error) => Finding::fail(check, error.to_string()),
    };
    let mut found = vec![finding];
    let skipped = WRITING.iter().filter(|other| **other != check);
    found.extend(
        skipped.map(|check| Finding::skipped(check, "nothing is written with --read-only")),
    );
    found
}

fn written(can: &Capabilities, encryption: Option<&str>) -> Finding {
    let check = "s3:PutObject";
    match (&can.write, encryption) {
        (Access::Encryption(why), Some(encryption)) => Finding::fail(
            check,
            format!(
                "what is written cannot be encrypted as asked for, which is {encryption}: {why}"
            ),
        ),
        (other, Some(encryption)) => access(
            check,
            other,
            &format!("what is written is encrypted as asked for: {encryption}"),
        ),
        (other, None) => access(check, other, "what is written is accepted"),
    }
}

fn access(check: &'static str, access: &Access, well: &str) -> Finding {
    match access {
        Access::Allowed => Finding::ok(check, well),
        Access::Denied(why) => Finding::fail(
            check,
            format!("{why}; `cloakfs policy iam` prints what is needed"),
        ),
        Access::Encryption(why) | Access::Failed(why) => Finding::fail(check, why),
        Access::NotTried => Finding::skipped(check, "not tried"),
    }
}

fn conditions(can: &Capabilities) -> [Finding; 3] {
    let all = can.conditions();
    let (puts, copies, deletes) = (&all[..2], &all[2..4], &all[4..]);
    let judge = |check, conditions: &[(bool, &str)], well: &str| {
        let lacking: Vec<&str> = conditions
            .iter()
            .filter(|(works, _)| !works)
            .map(|(_, sentence)| *sentence)
            .collect();
        if lacking.is_empty() {
            Finding::ok(check, well)
        } else {
            Finding::warn(check, lacking.join("; "))
        }
    };
    [
        judge(
            "conditional writes",
            puts,
            "a change by another machine is never overwritten unseen",
        ),
        judge(
            "conditional copies",
            copies,
            "nor is one by a rename or a change of attributes",
        ),
        judge("conditional deletes", deletes, "nor is one by a delete"),
    ]
}

/// Uploads in parts, one of them copied, and what else belongs to it.
async fn multipart(store: &dyn Store, prefix: &str) -> Vec<Finding> {
    let [Some(key), Some(copy), Some(given_up)] = [(); 3].map(|()| fresh(prefix)) else {
        return vec![too_long("multipart uploads")];
    };
    let uploaded = upload(store, &key, &copy).await;
    let mut found = vec![match &uploaded {
        Ok(_) => Finding::ok(
            "multipart uploads",
            "parts are uploaded, copied on the server and put together",
        ),
        Err(error) => Finding::fail("multipart uploads", error.to_string()),
    }];
    if let Ok(Some(version)) = uploaded {
        found.push(version);
    }
    found.extend(give_up(store, &given_up).await);
    for key in [&key, &copy] {
        if let Err(error) = store.delete(key, DeleteOptions::default()).await {
            let words = format!(
                "remove {:?}, which the check could not: {error}",
                key.as_str()
            );
            found.push(Finding::warn("left behind", words));
        }
    }
    found
}

/// Makes `key` of one part, and `copy` of that, by a copied part and then by a copy; in a bucket
/// that keeps versions, whether an older one can be read.
async fn upload(store: &dyn Store, key: &ObjectKey, copy: &ObjectKey) -> Result<Option<Finding>> {
    let number = PartNumber::new(1).expect("1 is a part's number");
    let attributes = ObjectAttributes::default;
    let begun = store.create_multipart(key, attributes()).await?;
    let body = Bytes::from_static(CONTENT);
    let part = store.upload_part(key, &begun, number, body).await;
    let part = or_abort(store, key, &begun, part).await?;
    let parts = [part];
    let done = store.complete_multipart(key, &begun, &parts, WriteCondition::None);
    let done = done.await;
    let written = or_abort(store, key, &begun, done).await?;

    let source = || CopySource {
        key: key.clone(),
        if_match: Some(written.etag.clone()),
        version: None,
        range: None,
    };
    let begun = store.create_multipart(copy, attributes()).await?;
    let part = store.copy_part(copy, &begun, number, source()).await;
    let part = or_abort(store, copy, &begun, part).await?;
    let parts = [part];
    let done = store.complete_multipart(copy, &begun, &parts, WriteCondition::None);
    let done = done.await;
    or_abort(store, copy, &begun, done).await?;
    let replaced = CopyAttributes::Replace(attributes());
    store
        .copy(copy, source(), replaced, WriteCondition::None)
        .await?;

    let version = written.version.filter(|version| version.as_str() != "null");
    let Some(version) = version else {
        return Ok(None);
    };
    let options = GetOptions {
        version: Some(version),
        ..GetOptions::default()
    };
    let check = "s3:GetObjectVersion";
    Ok(Some(match store.get(key, options).await {
        Ok(_) => Finding::ok(check, "the bucket keeps versions, and they can be read"),
        Err(error) => Finding::fail(
            check,
            format!(
                "the bucket keeps versions, and a file that is deleted while it is open cannot be read on: {error}"
            ),
        ),
    }))
}

/// Where a step of an upload failed, drops the upload.
async fn or_abort<T>(
    store: &dyn Store,
    key: &ObjectKey,
    upload: &UploadId,
    step: Result<T>,
) -> Result<T> {
    if step.is_err()
        && let Err(error) = store.abort_multipart(key, upload).await
    {
        tracing::debug!(object = %key, "the check leaves an upload behind: {error}");
    }
    step
}

/// Begins an upload, looks for it and drops it.
async fn give_up(store: &dyn Store, key: &ObjectKey) -> [Finding; 2] {
    let (abort, list) = ("s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads");
    let attributes = ObjectAttributes::default();
    let upload = match store.create_multipart(key, attributes).await {
        Ok(upload) => upload,
        Err(_told_above) => {
            return [abort, list].map(|check| {
                Finding::skipped(check, "not known until this is right: multipart uploads")
            });
        }
    };
    let listed = match store.list_multipart(key.as_str()).await {
        Ok(_) => Finding::ok(list, "allowed"),
        Err(error) => Finding::warn(
            list,
            format!(
                "what a mount that was killed had begun to upload is not cleared away: {error}"
            ),
        ),
    };
    let aborted = match store.abort_multipart(key, &upload).await {
        Ok(()) => Finding::ok(abort, "allowed"),
        Err(error) => Finding::fail(
            abort,
            format!("parts of uploads that are given up stay in the bucket, and cost: {error}"),
        ),
    };
    [aborted, listed]
}

fn fresh(prefix: &str) -> Option<ObjectKey> {
    let name = format!("{prefix}{RESERVED_PREFIX}probe/{}", CommitId::random());
    ObjectKey::new(name).ok()
}

fn too_long(check: &'static str) -> Finding {
    Finding::fail(
        check,
        "the prefix is too long for an object's key below it: mount a shorter one",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Status;
    use super::*;
    use crate::store::fault::{Effect, Fault, Rule};
    use crate::store::mem::MemStore;
    use crate::store::{ListOptions, Operation};

    #[tokio::test]
    async fn a_store_that_can_everything_passes_and_is_left_as_it_was() {
        let store = MemStore::new();
        let found = writing(&store, "p/", None).await;
        assert!(
            found.iter().all(|finding| finding.status == Status::Ok),
            "{found:?}"
        );
        let checks: Vec<_> = found.iter().map(|finding| finding.check).collect();
        assert_eq!(checks, WRITING);
        let left = store.list(ListOptions::default()).await.unwrap();
        assert_eq!(left.objects, []);
        assert_eq!(store.list_multipart("").await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_cannot_be_deleted_again_is_named() {
        let mem = Arc::new(MemStore::new());
        let store = Fault::new(Arc::clone(&mem) as _);
        let keeps = Rule::new(Effect::FailBefore(ErrorKind::Denied));
        store.inject(keeps.on(Operation::DeleteObject));
        let found = writing(&store, "p/", None).await;
        let told: String = found.iter().map(|finding| &*finding.message).collect();
        let left = mem.keys();
        assert!(!left.is_empty());
        for key in left {
            assert!(told.contains(&key), "{key}: {found:?}");
        }
    }

    #[tokio::test]
    async fn a_read_only_look_writes_nothing_and_says_what_it_did_not_see() {
        let store = MemStore::new();
        let found = reading(&store, "p/").await;
        assert_eq!(found[0], Finding::ok("s3:GetObject", "allowed"));
        assert_eq!(found.len(), WRITING.len());
        let rest = &found[1..];
        assert!(rest.iter().all(|finding| finding.status == Status::Skipped));
    }
}
