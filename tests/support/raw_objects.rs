//! The objects of a store as they are, read and written by something that is not the mount: an S3
//! client in a bucket, and in a local directory the format that the directory keeps them in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cloakfs::store::dir::DirStore;
use cloakfs::store::{
    DeleteOptions, GetOptions, ListOptions, Object, ObjectAttributes, ObjectKey, PutOptions, Store,
};
use tokio::runtime::Runtime;

use super::customer_key::Headers;
use super::mount::Source;
use super::s3_server::Bucket;

/// An object, whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawObject {
    pub metadata: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// Where objects are.
#[derive(Debug)]
pub enum RawObjects {
    Directory { path: PathBuf, runtime: Runtime },
    Bucket(Bucket),
}

impl RawObjects {
    /// Of the local store at `path`, which is made.
    pub fn directory(path: &Path) -> Self {
        std::fs::create_dir(path).expect("a store");
        Self::Directory {
            path: path.to_owned(),
            runtime: Runtime::new().expect("a runtime"),
        }
    }

    /// To mount it.
    pub fn source(&self) -> Source {
        match self {
            Self::Directory { path, .. } => Source::dir(path),
            Self::Bucket(bucket) => bucket.source(),
        }
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        match self {
            Self::Directory { runtime, .. } => runtime.block_on(async {
                let (store, mut keys, mut token) = (self.store(), Vec::new(), None);
                loop {
                    let options = ListOptions {
                        token,
                        ..ListOptions::default()
                    };
                    let page = store.list(options).await.expect("listing");
                    keys.extend(page.objects.into_iter().map(|object| object.key));
                    token = page.next;
                    if token.is_none() {
                        return keys;
                    }
                }
            }),
            Self::Bucket(bucket) => bucket.client.keys(""),
        }
    }

    #[track_caller]
    pub fn read(&self, key: &str) -> RawObject {
        match self {
            Self::Directory { runtime, .. } => {
                let got = self.store();
                let got = runtime.block_on(got.get(&named(key), GetOptions::default()));
                let Object { info, body, .. } = got.unwrap_or_else(|error| panic!("{error}"));
                RawObject {
                    metadata: info.attributes.metadata,
                    body: body.to_vec(),
                }
            }
            Self::Bucket(bucket) => RawObject {
                metadata: bucket.client.head(key).metadata.into_iter().collect(),
                body: bucket.client.read(key),
            },
        }
    }

    #[track_caller]
    pub fn write(&self, key: &str, object: &RawObject) {
        match self {
            Self::Directory { runtime, .. } => {
                let options = PutOptions {
                    attributes: ObjectAttributes {
                        metadata: object.metadata.clone(),
                        content_type: None,
                    },
                    ..PutOptions::default()
                };
                let body = Bytes::from(object.body.clone());
                let written = runtime.block_on(self.store().put(&named(key), body, options));
                written.unwrap_or_else(|error| panic!("{error}"));
            }
            Self::Bucket(bucket) => {
                let headers: Headers = object
                    .metadata
                    .iter()
                    .map(|(name, value)| (header(name), value.clone()))
                    .collect();
                let written = bucket.client.with(headers).put(key, object.body.clone());
                written.unwrap_or_else(|refused| panic!("putting {key:?}: {refused:?}"));
            }
        }
    }

    #[track_caller]
    pub fn delete(&self, key: &str) {
        match self {
            Self::Directory { runtime, .. } => {
                let deleted = self.store();
                let deleted =
                    runtime.block_on(deleted.delete(&named(key), DeleteOptions::default()));
                deleted.unwrap_or_else(|error| panic!("{error}"));
            }
            Self::Bucket(bucket) => bucket.client.delete(key),
        }
    }

    fn store(&self) -> DirStore {
        let Self::Directory { path, .. } = self else {
            unreachable!("a bucket is no directory")
        };
        DirStore::open(path).expect("the store")
    }
}

fn named(key: &str) -> ObjectKey {
    ObjectKey::new(key).expect("a key")
}

/// The header of a name of metadata: requests are given names that are known beforehand.
fn header(name: &str) -> &'static str {
    const HEADERS: [&str; 22] = [
        "x-amz-meta-cloakfs-format",
        "x-amz-meta-cloakfs-key",
        "x-amz-meta-cloakfs-record",
        "x-amz-meta-cloakfs-commit",
        "x-amz-meta-mode",
        "x-amz-meta-uid",
        "x-amz-meta-gid",
        "x-amz-meta-mtime",
        "x-amz-meta-xattr",
        "x-amz-meta-x-amz-iv",
        "x-amz-meta-x-amz-key-v2",
        "x-amz-meta-x-amz-cek-alg",
        "x-amz-meta-x-amz-wrap-alg",
        "x-amz-meta-x-amz-3",
        "x-amz-meta-x-amz-d",
        "x-amz-meta-x-amz-i",
        "x-amz-meta-x-amz-c",
        "x-amz-meta-x-amz-m",
        "x-amz-meta-x-amz-t",
        "x-amz-meta-x-amz-w",
        "x-amz-meta-x-amz-matdesc",
        "x-amz-meta-x-amz-tag-len",
    ];
    HEADERS
        .into_iter()
        .find(|header| header.strip_prefix("x-amz-meta-") == Some(name))
        .unwrap_or_else(|| panic!("{name} is not among the headers of the tests"))
}
