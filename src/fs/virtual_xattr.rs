//! `user.cloakfs.*`: what the server says of the object that has a file's name. Pure.
//!
//! | name | value | of |
//! |---|---|---|
//! | `user.cloakfs.mode` | `none`, `sse-s3`, `sse-kms`, `sse-kms-dsse`, `sse-c` | every object |
//! | `user.cloakfs.key-id` | the KMS key, as the server names it | SSE-KMS |
//! | `user.cloakfs.bucket-key` | `true` or `false` | SSE-KMS |
//! | `user.cloakfs.key-md5` | the check value of the customer's key, in base64 | SSE-C |
//! | `user.cloakfs.etag` | without its quotes; no MD5 | every object |
//! | `user.cloakfs.version` | the version's id | versioned buckets |
//!
//! They tell of the object that is in the bucket, not of what the mount would write: while
//! changes of a file wait for their upload, of the object that they will replace. What the
//! bucket does not have has none: a file that was never uploaded, a directory without a marker,
//! a file that was deleted while it is open. Links, fifos, sockets and devices have none either:
//! the kernel allows `user.` attributes only of files and directories.
//!
//! They cannot be set: EOPNOTSUPP, which `cp -a` and `mv` take for a filesystem that does not
//! keep such attributes and pass over. Removing one does nothing and is no error: `rsync -X`
//! removes from its target what its source does not have, and would fail for every file. What
//! other tools stored under these names in an object's metadata stays there, unseen.

use std::time::Instant;

use crate::store::ServerEncryption;
use crate::volume::{Stat, Version};

/// Begins the names.
const NAMESPACE: &str = "user.cloakfs.";

/// What a HEAD told of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectFacts {
    pub version: Version,
    pub encryption: ServerEncryption,
}

/// What was told, and when it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub asked: Instant,
    /// `None` where there was no object.
    pub object: Option<ObjectFacts>,
}

impl Told {
    /// What an answer tells of the object itself. A listing tells nothing of its encryption.
    pub fn of(stat: &Stat, asked: Instant) -> Option<Self> {
        let object = match (&stat.version, &stat.encryption) {
            (Some(version), Some(encryption)) => Some(ObjectFacts {
                version: version.clone(),
                encryption: encryption.clone(),
            }),
            (Some(_), None) => return None,
            (None, _) => None,
        };
        Some(Self { asked, object })
    }
}

/// Whether a name is one of these, there or not.
pub(super) fn is_virtual(name: &str) -> bool {
    name.starts_with(NAMESPACE)
}

impl ObjectFacts {
    /// Names and values.
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("user.cloakfs.mode", self.encryption.mode().to_owned())];
        match &self.encryption {
            ServerEncryption::SseKms {
                key_id, bucket_key, ..
            } => {
                if let Some(key_id) = key_id {
                    all.push(("user.cloakfs.key-id", key_id.clone()));
                }
                all.push(("user.cloakfs.bucket-key", bucket_key.to_string()));
            }
            ServerEncryption::SseC { key_md5 } => {
                all.push(("user.cloakfs.key-md5", key_md5.clone()));
            }
            ServerEncryption::None | ServerEncryption::SseS3 | ServerEncryption::Other(_) => {}
        }
        let etag = self.version.etag.as_str().trim_matches('"');
        all.push(("user.cloakfs.etag", etag.to_owned()));
        if let Some(version) = &self.version.version {
            all.push(("user.cloakfs.version", version.as_str().to_owned()));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ETag, VersionId};

    fn facts(encryption: ServerEncryption, version: Option<&str>) -> Vec<(&'static str, String)> {
        let version = Version {
            etag: ETag::new("\"abc-2\""),
            version: version.map(VersionId::new),
        };
        let facts = ObjectFacts {
            version,
            encryption,
        };
        facts.attributes()
    }

    fn pairs(of: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let pairs = of.iter();
        pairs
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    }

    #[test]
    fn each_mode_shows_its_own_and_all_are_of_the_namespace() {
        assert_eq!(
            facts(ServerEncryption::None, None),
            pairs(&[
                ("user.cloakfs.mode", "none"),
                ("user.cloakfs.etag", "abc-2")
            ])
        );
        let kms = ServerEncryption::SseKms {
            key_id: Some("arn:aws:kms:k".to_owned()),
            bucket_key: false,
            dsse: true,
        };
        assert_eq!(
            facts(kms, Some("v1")),
            pairs(&[
                ("user.cloakfs.mode", "sse-kms-dsse"),
                ("user.cloakfs.key-id", "arn:aws:kms:k"),
                ("user.cloakfs.bucket-key", "false"),
                ("user.cloakfs.etag", "abc-2"),
                ("user.cloakfs.version", "v1"),
            ])
        );
        let customer = ServerEncryption::SseC {
            key_md5: "m==".to_owned(),
        };
        let customer = facts(customer, None);
        assert_eq!(customer[1], ("user.cloakfs.key-md5", "m==".to_owned()));
        assert!(customer.iter().all(|(name, _)| is_virtual(name)));
    }
}
