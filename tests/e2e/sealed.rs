//! Client-side volumes of tests: how each is made and mounted, and what its objects hold, as a
//! program finds that has the key and docs/FORMAT.md and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::customer_key::CustomerKey;
use crate::independent;
use crate::localstack::{KmsKey, LocalStack};
use crate::minio::Minio;
use crate::mount::{Mount, Source};
use crate::proofs;
use crate::raw_objects::{RawObject, RawObjects};
use crate::traces::hex;

/// What is below it is cloakfs's own.
const RESERVED: &str = ".cloakfs/";
pub const RECORDS: [&str; 2] = [".cloakfs/volume-a", ".cloakfs/volume-b"];
/// The pairs that a mount with a KMS is given.
pub const CONTEXT: [(&str, &str); 2] = [("tenant", "the east"), ("purpose", "one=\"two\", three")];

/// Where a volume's objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Directory,
    Minio,
    LocalStack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The mode `cse-c`.
    MasterKey,
    /// The mode `cse-kms`, with [`CONTEXT`].
    Kms,
}

#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub place: Place,
    pub root: Root,
    /// `plain` or `encrypted`.
    pub names: &'static str,
}

impl Row {
    pub const fn new(place: Place, root: Root, names: &'static str) -> Self {
        Self { place, root, names }
    }

    /// With a master key, and names that tests can find.
    pub const fn plain_names(place: Place) -> Self {
        Self::new(place, Root::MasterKey, "plain")
    }
}

/// What everything in a volume hangs on.
#[derive(Debug)]
enum Key {
    Master(CustomerKey),
    Kms(KmsKey),
}

/// A volume, and a directory for what belongs to it.
#[derive(Debug)]
pub struct Sealed {
    pub objects: RawObjects,
    key: Key,
    /// Of a mount that opens it, less those of its place.
    options: Vec<String>,
    row: Row,
    directory: TempDir,
}

impl Sealed {
    /// Of which nothing is there yet but its keys. The name is part of a bucket's.
    pub fn new(row: Row, name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // A bucket's name has at most 63 characters.
        let name = &name[..name.len().min(40)];
        let objects = match row.place {
            Place::Directory => RawObjects::directory(&directory.path().join("store")),
            Place::Minio => RawObjects::Bucket(Minio::shared().bucket(name)),
            Place::LocalStack => RawObjects::Bucket(LocalStack::shared().bucket(name)),
        };
        let key = match row.root {
            Root::MasterKey => Key::Master(CustomerKey::new(40)),
            Root::Kms => {
                let bucket = LocalStack::shared().bucket("probe");
                proofs::localstack_checks_kms_keys(&bucket.client);
                Key::Kms(LocalStack::kms().create())
            }
        };
        let options = match &key {
            Key::Master(key) => cse_c(&key.file(directory.path())),
            Key::Kms(key) => cse_kms(&key.arn, &CONTEXT),
        };
        Self {
            objects,
            key,
            options,
            row,
            directory,
        }
    }

    /// Made where it is not there yet.
    pub fn mount(&self) -> Mount {
        Mount::new(&self.source(), &["--create", "--names", self.row.names])
    }

    /// With the options that open it.
    pub fn source(&self) -> Source {
        self.source_with(&self.options)
    }

    /// With other options than its own.
    pub fn source_with(&self, options: &[String]) -> Source {
        let mut source = self.objects.source();
        source.options.extend(options.iter().cloned());
        if let Key::Kms(_) = self.key {
            let server = LocalStack::shared();
            let endpoint = server.kms_endpoint.clone().expect("a KMS");
            source
                .options
                .extend(["--kms-endpoint-url".into(), endpoint]);
            if let RawObjects::Directory { .. } = self.objects {
                let ca = server.ca.clone().expect("a certificate");
                let ca = ca.display().to_string();
                let more = ["--region", "us-east-1", "--ca-bundle", &ca];
                source.options.extend(more.map(String::from));
                source.environment.extend(server.environment());
            }
        }
        source
    }

    pub const fn row(&self) -> Row {
        self.row
    }

    pub const fn place(&self) -> Place {
        self.row.place
    }

    /// For files of the test.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn kms_key(&self) -> &KmsKey {
        match &self.key {
            Key::Kms(key) => key,
            Key::Master(_) => panic!("it has a master key"),
        }
    }

    /// Of the mode `cse-c`.
    pub fn master_key(&self) -> &[u8; 32] {
        match &self.key {
            Key::Master(key) => key.bytes(),
            Key::Kms(_) => panic!("it has a KMS key"),
        }
    }

    /// The keys of files, directories and links.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = self.objects.keys();
        // The root of a bucket has no key of its own.
        keys.retain(|key| !key.starts_with(RESERVED));
        keys
    }

    pub fn read(&self, key: &str) -> RawObject {
        self.objects.read(key)
    }

    pub fn write(&self, key: &str, object: &RawObject) {
        self.objects.write(key, object);
    }

    /// Puts something else in an object's place.
    pub fn change(&self, key: &str, change: impl FnOnce(&mut RawObject)) {
        let mut object = self.read(key);
        let before = object.clone();
        change(&mut object);
        assert_ne!(object, before, "{key} is as it was");
        self.write(key, &object);
    }

    /// What each object holds by its path, as decrypt.py finds it.
    pub fn decrypted(&self) -> BTreeMap<String, Value> {
        self.decrypted_at(self.keys())
    }

    fn decrypted_at(&self, keys: Vec<String>) -> BTreeMap<String, Value> {
        let record = self.read(RECORDS[0]).body;
        let objects: Vec<(String, RawObject)> = keys
            .into_iter()
            .map(|key| {
                let object = self.read(&key);
                (key, object)
            })
            .collect();
        let root = self.root(&record, objects.iter().map(|(_, object)| object));
        let lines = objects.iter().map(|(key, object)| {
            let line = json!({
                "record": hex(&record),
                "root": root,
                "key": key,
                "metadata": object.metadata,
            });
            (line, object.body.as_slice())
        });
        let answers = independent::decrypt(lines);
        objects
            .iter()
            .zip(answers)
            .map(|((key, _), answer)| {
                let path = answer["path"].as_str();
                let path = path.unwrap_or_else(|| panic!("{key} is not decrypted: {answer}"));
                (path.to_owned(), answer)
            })
            .collect()
    }

    /// The path that a key is the stored form of.
    pub fn path_of(&self, key: &str) -> String {
        let found = self.decrypted_at(vec![key.to_owned()]);
        found.into_keys().next().expect("one object")
    }

    /// In lower-case hexadecimal digits.
    pub fn volume_id(&self) -> String {
        hex(&self.read(RECORDS[0]).body[9..25])
    }

    /// The root as decrypt.py takes it: with a KMS key, what KMS says of every wrapped key that
    /// is there.
    fn root<'a>(&self, record: &[u8], objects: impl Iterator<Item = &'a RawObject>) -> Value {
        let key = match &self.key {
            Key::Master(key) => return json!({ "master": hex(key.bytes()) }),
            Key::Kms(key) => key,
        };
        let volume = hex(&record[9..25]);
        let context = [&CONTEXT[..], &[("cloakfs:volume", &*volume)]].concat();
        let kms = LocalStack::kms();
        let mut blobs: HashMap<String, Value> = HashMap::new();
        let wrapped = objects.map(|object| {
            let text = &object.metadata["cloakfs-key"];
            URL_SAFE_NO_PAD.decode(text).expect("base64url")
        });
        for wrapped in wrapped.chain([record_key(record).to_vec()]) {
            assert_eq!(wrapped[0], 1, "it is of a KMS");
            blobs
                .entry(hex(&wrapped[1..]))
                .or_insert_with(|| hex(&kms.decrypt(key, &context, &wrapped[1..])).into());
        }
        json!({ "kms": blobs })
    }
}

/// The wrapped key of a volume record (docs/FORMAT.md, section 8).
pub fn record_key(record: &[u8]) -> &[u8] {
    let (_, rest) = field(&record[25..]);
    field(rest).0
}

/// A field after its length, and what follows it.
fn field(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    bytes[2..].split_at(length)
}

pub fn cse_c(key_file: &Path) -> Vec<String> {
    let file = key_file.display().to_string();
    ["--encryption", "cse-c", "--key-file", &file]
        .map(String::from)
        .into()
}

pub fn cse_kms(key: &str, context: &[(&str, &str)]) -> Vec<String> {
    let mut options: Vec<String> = ["--encryption", "cse-kms", "--kms-key", key]
        .map(String::from)
        .into();
    for (name, value) in context {
        options.extend(["--kms-context".into(), format!("{name}={value}")]);
    }
    options
}
