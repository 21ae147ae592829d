//! What MinIO does with an encrypted object whose key ends in `/`.
//!
//! A HEAD of one gives its ETag as it is kept, encrypted and three times as long, where the PUT,
//! a GET and a listing give the ETag itself; and no condition on it as the source of a copy
//! holds (seen with the version of February 2026, under SSE-S3, SSE-KMS and SSE-C). Without the two detours
//! below the attributes of a directory could never be changed there.

use super::S3Store;
use super::encryption::Opener;
use super::errors::Failed;
use crate::store::{
    CopySource, ETag, ErrorKind, GetOptions, HeadOptions, ObjectInfo, ObjectKey, StoreError,
    VersionId,
};

/// S3's ETags have 32 hexadecimal digits, or those and the number of parts, in quotes.
const ETAG_BYTES_MAX: usize = 64;

impl S3Store {
    /// The facts of an object whose HEAD gave an encrypted ETag, from a GET: it is empty.
    pub(super) async fn with_true_etag(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        opener: Opener,
        info: ObjectInfo,
    ) -> std::result::Result<ObjectInfo, Failed> {
        let is_encrypted = is_encrypted(&info.etag);
        if !is_marker(key) || !is_encrypted || info.size > 0 || self.endpoint.is_amazon() {
            return Ok(info);
        }
        let options = GetOptions {
            version: version.cloned(),
            ..GetOptions::default()
        };
        // The ETag of the HEAD would hold in no condition.
        let opened = self.get_with(key, &options, None, opener).await?;
        Ok(ObjectInfo {
            etag: opened.etag,
            ..info
        })
    }

    /// The source without its condition, where the server says that the condition does not hold
    /// although the object has that very ETag. A change between the two requests is lost, which
    /// can only be one of a directory's attributes.
    pub(super) async fn without_false_condition(
        &self,
        source: &CopySource,
        refused: &StoreError,
    ) -> Option<CopySource> {
        let may_be_false = refused.kind() == ErrorKind::Precondition
            && is_marker(&source.key)
            && !self.endpoint.is_amazon();
        if !may_be_false {
            return None;
        }
        let asked: &ETag = source.if_match.as_ref()?;
        let version = source.version.clone();
        let found = self
            .head_object(&source.key, HeadOptions { version })
            .await
            .ok()?;
        (found.etag == *asked && found.size == 0).then(|| CopySource {
            if_match: None,
            ..source.clone()
        })
    }
}

/// Whether it is an ETag as MinIO keeps it for itself.
pub(super) fn is_encrypted(etag: &ETag) -> bool {
    etag.as_str().len() > ETAG_BYTES_MAX
}

fn is_marker(key: &ObjectKey) -> bool {
    key.as_str().ends_with('/')
}
