//! What whoever mounts must be allowed, and nothing else.
//!
//! Every kind of request has its permission here ([`permission`]); a policy has those of the
//! requests that a mount sends ([`Use::requests`]). So a new kind of request cannot be sent
//! without a decision about its permission, and none is allowed that nothing needs.

use super::kms_key::{self, Purpose};
use super::text::escaped;
use super::{Effect, Mode, Place, Policy, Sid, Statement};
use crate::base::limits::RESERVED_PREFIX;
use crate::store::Operation;

/// What a mount is allowed to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    pub read_only: bool,
    /// The bucket keeps old versions, so that a file that is deleted while it is open is read on
    /// by its version.
    pub versioned: bool,
}

/// What a request needs, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Of the bucket, for keys that begin with a prefix.
    List,
    /// Of objects.
    Object(&'static str),
    /// Of the bucket; AWS does not confine it to a prefix.
    Bucket(&'static str),
}

/// From the S3 user guide, "Required permissions for Amazon S3 API operations".
#[must_use]
pub const fn permission(request: Operation) -> Permission {
    use Permission::{Bucket, List, Object};
    match request {
        Operation::GetObject | Operation::HeadObject => Object("s3:GetObject"),
        // The source of a copy is read as by a GET.
        Operation::PutObject
        | Operation::CreateMultipartUpload
        | Operation::UploadPart
        | Operation::UploadPartCopy
        | Operation::CompleteMultipartUpload
        | Operation::CopyObject => Object("s3:PutObject"),
        Operation::AbortMultipartUpload => Object("s3:AbortMultipartUpload"),
        Operation::DeleteObject => Object("s3:DeleteObject"),
        Operation::ListObjects => List,
        Operation::ListMultipartUploads => Bucket("s3:ListBucketMultipartUploads"),
        Operation::GetBucketVersioning => Bucket("s3:GetBucketVersioning"),
        Operation::GetBucketEncryption => Bucket("s3:GetEncryptionConfiguration"),
        Operation::PutBucketEncryption => Bucket("s3:PutEncryptionConfiguration"),
        Operation::GetBucketPolicy => Bucket("s3:GetBucketPolicy"),
        Operation::PutBucketPolicy => Bucket("s3:PutBucketPolicy"),
    }
}

impl Use {
    /// The requests that a mount sends.
    #[must_use]
    pub fn requests(self, mode: &Mode) -> Vec<Operation> {
        let mut all = vec![
            Operation::ListObjects,
            Operation::GetObject,
            Operation::HeadObject,
        ];
        if self.read_only {
            return all;
        }
        all.extend([
            Operation::PutObject,
            Operation::CopyObject,
            Operation::CreateMultipartUpload,
            Operation::UploadPart,
            Operation::UploadPartCopy,
            Operation::CompleteMultipartUpload,
            Operation::AbortMultipartUpload,
            Operation::DeleteObject,
            // To find what a mount that was killed has begun.
            Operation::ListMultipartUploads,
        ]);
        if *mode == Mode::SseC {
            // To tell a bucket that blocks SSE-C from a missing permission.
            all.push(Operation::GetBucketEncryption);
        }
        all
    }
}

/// The policy to attach to the user or role that mounts.
#[must_use]
pub fn policy(place: &Place, mode: &Mode, how: Use) -> Policy {
    let mut permissions: Vec<Permission> = how.requests(mode).into_iter().map(permission).collect();
    if how.versioned {
        permissions.push(Permission::Object("s3:GetObjectVersion"));
    }
    permissions.sort_unstable();
    permissions.dedup();
    let sid = |what| Sid::new(what, &place.prefix);
    let mut objects = vec![];
    let mut bucket = vec![];
    for permission in permissions {
        match permission {
            Permission::List => {}
            Permission::Object(action) => objects.push(action),
            Permission::Bucket(action) => bucket.push(action),
        }
    }
    let mut list = Statement::new(
        sid("List"),
        Effect::Allow,
        &["s3:ListBucket"],
        vec![place.bucket_arn()],
    );
    let listed = listed_prefixes(&place.prefix);
    if !listed.is_empty() {
        list = list.with("StringLike", "s3:prefix", listed);
    }
    let mut statements = vec![
        list,
        Statement::new(
            sid("Objects"),
            Effect::Allow,
            &objects,
            vec![place.objects_arn()],
        ),
    ];
    if !bucket.is_empty() {
        statements.push(Statement::new(
            sid("Bucket"),
            Effect::Allow,
            &bucket,
            vec![place.bucket_arn()],
        ));
    }
    statements.extend(kms_key::use_of(
        place,
        mode,
        how.read_only,
        &Purpose::Identity,
    ));
    Policy::new(statements)
}

/// What is listed: everything below the prefix, and above it whether a client-side volume is in
/// the way, which a mount refuses to be inside of. Empty for a whole bucket: all of it.
///
/// Whether a GET of what is not there is answered with 404 or 403 hangs on `s3:ListBucket` too,
/// with the object's key for `s3:prefix`: below the prefix it is 404, which a mount needs.
fn listed_prefixes(prefix: &str) -> Vec<String> {
    if prefix.is_empty() {
        return vec![];
    }
    let mut listed = vec![format!("{}*", escaped(prefix))];
    let cuts = prefix.match_indices('/').map(|(at, _)| at + 1);
    let above = std::iter::once(0)
        .chain(cuts)
        .filter(|at| *at < prefix.len());
    listed.extend(above.map(|at| format!("{}{RESERVED_PREFIX}volume-", escaped(&prefix[..at]))));
    listed
}
