//! A KMS that wraps and unwraps, with a client-side volume in one bucket beside it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use cloakfs::base::context::EncryptionContext;
use cloakfs::base::range::ByteRange;
use cloakfs::base::time::Timestamp;
use cloakfs::keys::root::Root;
use cloakfs::layout::attributes::{Attributes, FileKind, Xattrs};
use cloakfs::layout::path::VolumePath;
use cloakfs::layout::plain::Defaults;
use cloakfs::layout::sealed::VolumeId;
use cloakfs::store::Store;
use cloakfs::store::mem::MemStore;
use cloakfs::store::s3::encryption::ExpectedEncryption;
use cloakfs::volume::record::create::{NewVolume, create};
use cloakfs::volume::record::find;
use cloakfs::volume::{Condition, ObjectMeta, ObjectRef, Volume, VolumeError, VolumeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake::FakeKms;
use crate::fake_http::Request;
use crate::{config, kms};

const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
pub const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// Long enough for an answer of this machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// For what is not answered.
pub const SHORT: Duration = Duration::from_millis(300);

/// What somebody does to KMS's answers, by operation; `None` lets it answer.
type Meddle = dyn Fn(&str, &Value) -> Option<String> + Send + Sync;

/// A KMS that wraps and unwraps, with one bucket beside it.
pub struct World {
    pub kms: FakeKms,
    meddle: Arc<Mutex<Box<Meddle>>>,
    pub store: Arc<dyn Store>,
    pub volume: VolumeId,
    state: TempDir,
    /// As it is named.
    key: String,
}

/// Plaintext, key and context of everything that was wrapped, by the wrapped form.
type Wrapped = Mutex<HashMap<String, (String, String, Value)>>;

pub fn answer(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn error(code: &str, message: &str) -> String {
    answer(
        "400 Bad Request",
        &json!({"__type": code, "message": message}),
    )
}

pub fn operation(request: &Request) -> String {
    let target = request.header("x-amz-target").unwrap();
    target.rsplit('.').next().unwrap().to_owned()
}

pub fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn answer_as_kms(wrapped: &Wrapped, operation: &str, asked: &Value) -> String {
    let mut wrapped = wrapped.lock().unwrap();
    match operation {
        "DescribeKey" => answer(
            "200 OK",
            &json!({"KeyMetadata": {
                "KeyId": ID, "Arn": ARN, "Enabled": true, "KeyState": "Enabled",
                "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT",
            }}),
        ),
        "GenerateDataKey" => {
            assert_eq!(asked["KeySpec"], "AES_256");
            let plain = BASE64.encode([u8::try_from(wrapped.len() % 251).unwrap(); 32]);
            let blob = BASE64.encode(format!("blob {}", wrapped.len()));
            let entry = (
                plain.clone(),
                asked["KeyId"].as_str().unwrap().to_owned(),
                asked["EncryptionContext"].clone(),
            );
            wrapped.insert(blob.clone(), entry);
            answer(
                "200 OK",
                &json!({"KeyId": ARN, "Plaintext": plain, "CiphertextBlob": blob}),
            )
        }
        "Decrypt" => match wrapped.get(asked["CiphertextBlob"].as_str().unwrap()) {
            Some((_, key, _)) if asked["KeyId"] != **key => error(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ),
            Some((plain, _, context)) if asked["EncryptionContext"] == *context => answer(
                "200 OK",
                &json!({"KeyId": ARN, "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
            ),
            _ => error("InvalidCiphertextException", ""),
        },
        other => panic!("{other}"),
    }
}

impl World {
    pub async fn new() -> Self {
        let wrapped = Arc::new(Wrapped::default());
        let meddle: Arc<Mutex<Box<Meddle>>> = Arc::new(Mutex::new(Box::new(|_, _| None)));
        let meddling = Arc::clone(&meddle);
        let fake = FakeKms::start(move |request| {
            let (operation, asked) = (operation(request), body(request));
            let meddled = meddling.lock().unwrap()(&operation, &asked);
            meddled.unwrap_or_else(|| answer_as_kms(&wrapped, &operation, &asked))
        })
        .await;
        Self::of(fake, meddle, ID.to_owned()).await
    }

    /// The same beside a KMS of the caller's, which has a key of this ARN.
    pub async fn on(fake: FakeKms, arn: String) -> Self {
        let meddle: Arc<Mutex<Box<Meddle>>> = Arc::new(Mutex::new(Box::new(|_, _| None)));
        Self::of(fake, meddle, arn).await
    }

    async fn of(kms: FakeKms, meddle: Arc<Mutex<Box<Meddle>>>, key: String) -> Self {
        let mut world = Self {
            kms,
            meddle,
            store: Arc::new(MemStore::new()),
            volume: VolumeId::random(),
            state: tempfile::tempdir().unwrap(),
            key,
        };
        let new = NewVolume {
            id: world.volume,
            root: world.root(&world.key, TIMEOUT).await,
            lock: None,
            encrypt_names: true,
        };
        let created = create(&world.store, "", new).await.ok().unwrap();
        world.volume = created.volume.id;
        world
    }

    pub fn meddle(&self, how: impl Fn(&str, &Value) -> Option<String> + Send + Sync + 'static) {
        *self.meddle.lock().unwrap() = Box::new(how);
    }

    pub async fn root(&self, key: &str, timeout: Duration) -> Root {
        let context = EncryptionContext::parse(["tenant=a"]).unwrap();
        let kms = kms(&config(&self.kms.endpoint)).await;
        let (root, notes) = kms.root(key, context, timeout).await.unwrap();
        assert_eq!(notes, [""; 0]);
        Root::Kms(Box::new(root))
    }

    pub async fn mount(&self, reuse: u64, timeout: Duration) -> Arc<Volume> {
        let record = find(&self.store, "").await.unwrap().unwrap();
        let root = self.root(&self.key, timeout).await;
        let volume = record.open(root, true).await.ok().unwrap();
        assert_eq!(volume.notes, [""; 0]);
        let state = tempfile::tempdir_in(self.state.path()).unwrap();
        let options = VolumeOptions {
            read_only: true,
            alone: false,
            defaults: Defaults {
                uid: 1000,
                gid: 1000,
                umask: 0o022,
            },
            trust_listing: false,
            server: String::new(),
            encryption: ExpectedEncryption::default(),
            journal_dir: state.keep(),
        };
        let client_side = volume.client_side(reuse.try_into().unwrap());
        Volume::open_client_side(Arc::clone(&self.store), "", options, client_side)
            .await
            .unwrap()
    }

    /// The requests that `work` makes, by operation.
    pub async fn calls<T>(&self, work: impl Future<Output = T>) -> (T, BTreeMap<String, usize>) {
        let before = self.kms.requests().len();
        let done = work.await;
        let mut calls = BTreeMap::new();
        for request in &self.kms.requests()[before..] {
            *calls.entry(operation(request)).or_default() += 1;
        }
        (done, calls)
    }
}

pub fn calls<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected
        .map(|(operation, count)| (operation.to_owned(), count))
        .into()
}

fn path(index: usize) -> VolumePath {
    format!("file{index}").parse().unwrap()
}

/// Of a new object.
pub fn meta(kind: FileKind) -> ObjectMeta {
    let now = Timestamp::EPOCH;
    ObjectMeta::new(Attributes {
        kind,
        perm: 0o644,
        uid: 1000,
        gid: 1000,
        rdev: 0,
        atime: now,
        mtime: now,
        ctime: now,
        xattrs: Xattrs::new(),
    })
}

pub async fn write(volume: &Volume, index: usize) -> Result<(), VolumeError> {
    let meta = meta(FileKind::File);
    let body = Bytes::from(format!("content {index}"));
    let condition = Condition::IfAbsent;
    volume.put(&path(index), &meta, body, &condition).await?;
    Ok(())
}

pub async fn read(volume: &Volume, index: usize) -> Result<(), VolumeError> {
    let stat = volume
        .stat_file(&path(index))
        .await?
        .expect("it was written");
    let version = stat.version.expect("a file has one");
    let object = ObjectRef::Path(path(index));
    let expected = format!("content {index}");
    let range = ByteRange::new(0, expected.len() as u64);
    let content = volume.read(&object, &version, range).await?;
    assert_eq!(content, expected);
    Ok(())
}
