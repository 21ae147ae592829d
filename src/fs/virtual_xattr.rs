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
//! In a client-side volume they tell how the object is sealed, and of the server what it adds:
//!
//! | name | value | of |
//! |---|---|---|
//! | `user.cloakfs.mode` | `cse-kms`, `cse-c` | every object |
//! | `user.cloakfs.key-id` | the KMS key, as the mount names it | `cse-kms` |
//! | `user.cloakfs.volume` | the volume's id, whose keys open the object | every object |
//! | `user.cloakfs.format` | the version of the format | every object |
//! | `user.cloakfs.server-mode` | `sse-s3` and so on | what the server encrypts once more |
//! | `user.cloakfs.etag`, `user.cloakfs.version` | as above | |
//!
//! An object of the Amazon S3 Encryption Client in such a volume:
//!
//! | name | value | of |
//! |---|---|---|
//! | `user.cloakfs.mode` | `s3ec` | every object |
//! | `user.cloakfs.format` | `s3ec-v1`, `s3ec-v2`, `s3ec-v3` | every object |
//! | `user.cloakfs.wrapping` | what wraps its data key, in the client's words | every object |
//! | `user.cloakfs.key-id` | the KMS key, as the mount names it | KMS |
//! | `user.cloakfs.instruction-file` | `true` | whose data key is in one |
//! | `user.cloakfs.server-mode`, `user.cloakfs.etag`, `user.cloakfs.version` | as above | |
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
use crate::volume::{S3ecType, SealedAs, Stat, Version};

/// Begins the names.
const NAMESPACE: &str = "user.cloakfs.";

/// What a HEAD told of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectFacts {
    pub version: Version,
    pub encryption: ServerEncryption,
    /// What it is where it is of the Amazon S3 Encryption Client.
    pub s3ec: Option<S3ecType>,
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
                s3ec: stat.s3ec,
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
    pub fn attributes(&self, sealed: Option<&SealedAs>) -> Vec<(&'static str, String)> {
        let mut all = match sealed {
            Some(sealed) => match self.s3ec {
                None => self.sealed(sealed),
                Some(found) => self.s3ec(sealed, found),
            },
            None => self.server_side(),
        };
        let etag = self.version.etag.as_str().trim_matches('"');
        all.push(("user.cloakfs.etag", etag.to_owned()));
        if let Some(version) = &self.version.version {
            all.push(("user.cloakfs.version", version.as_str().to_owned()));
        }
        all
    }

    fn sealed(&self, sealed: &SealedAs) -> Vec<(&'static str, String)> {
        let mut all = vec![("user.cloakfs.mode", sealed.mode.to_owned())];
        if let Some(key) = &sealed.kms_key {
            all.push(("user.cloakfs.key-id", key.clone()));
        }
        all.push(("user.cloakfs.volume", sealed.volume.to_string()));
        all.push(("user.cloakfs.format", sealed.format.to_string()));
        self.push_server_mode(&mut all);
        all
    }

    fn s3ec(&self, sealed: &SealedAs, found: S3ecType) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("user.cloakfs.mode", "s3ec".to_owned()),
            ("user.cloakfs.format", found.version.name().to_owned()),
            ("user.cloakfs.wrapping", found.wrapping.name().to_owned()),
        ];
        if let Some(key) = sealed.kms_key.as_ref().filter(|_| found.wrapping.is_kms()) {
            all.push(("user.cloakfs.key-id", key.clone()));
        }
        if found.has_instruction_file {
            all.push(("user.cloakfs.instruction-file", "true".to_owned()));
        }
        self.push_server_mode(&mut all);
        all
    }

    /// What the server encrypts once more.
    fn push_server_mode(&self, all: &mut Vec<(&'static str, String)>) {
        if self.encryption != ServerEncryption::None {
            let mode = self.encryption.mode().to_owned();
            all.push(("user.cloakfs.server-mode", mode));
        }
    }

    fn server_side(&self) -> Vec<(&'static str, String)> {
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
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::sealed::VolumeId;
    use crate::store::{ETag, VersionId};

    fn facts(encryption: ServerEncryption, version: Option<&str>) -> Vec<(&'static str, String)> {
        let version = Version {
            etag: ETag::new("\"abc-2\""),
            version: version.map(VersionId::new),
        };
        let facts = ObjectFacts {
            version,
            encryption,
            s3ec: None,
        };
        facts.attributes(None)
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
        let facts_sealed = |kms_key: Option<&str>, encryption| {
            let sealed = SealedAs {
                mode: if kms_key.is_some() {
                    "cse-kms"
                } else {
                    "cse-c"
                },
                kms_key: kms_key.map(str::to_owned),
                volume: VolumeId::from_bytes([0xab; 16]),
                format: 1,
            };
            let version = Version {
                etag: ETag::new("\"abc\""),
                version: None,
            };
            let facts = ObjectFacts {
                version,
                encryption,
                s3ec: None,
            };
            facts.attributes(Some(&sealed))
        };
        let volume = "ab".repeat(16);
        assert_eq!(
            facts_sealed(None, ServerEncryption::None),
            pairs(&[
                ("user.cloakfs.mode", "cse-c"),
                ("user.cloakfs.volume", &volume),
                ("user.cloakfs.format", "1"),
                ("user.cloakfs.etag", "abc"),
            ])
        );
        assert_eq!(
            facts_sealed(Some("arn:aws:kms:k"), ServerEncryption::SseS3),
            pairs(&[
                ("user.cloakfs.mode", "cse-kms"),
                ("user.cloakfs.key-id", "arn:aws:kms:k"),
                ("user.cloakfs.volume", &volume),
                ("user.cloakfs.format", "1"),
                ("user.cloakfs.server-mode", "sse-s3"),
                ("user.cloakfs.etag", "abc"),
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
