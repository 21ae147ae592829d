//! Each byte of an object's body and metadata, changed one at a time and read through a volume:
//! never as data, and never as if it were not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use cloakfs::base::range::ByteRange;
use cloakfs::base::secret::{Secret, fill_random};
use cloakfs::base::time::Timestamp;
use cloakfs::crypto::{DataKey, MasterKey};
use cloakfs::keys::root::Root;
use cloakfs::layout::attributes::{Attributes, FileKind, Xattrs};
use cloakfs::layout::path::VolumePath;
use cloakfs::layout::plain::Defaults;
use cloakfs::layout::sealed::object::{FileData, Place, StoredObject, encode_object};
use cloakfs::layout::sealed::{
    AttributeVersion, BodyId, Content, FileId, Names, Record, SEGMENT_BYTES, StoredKey, VolumeId,
    WrappedKey, XattrPlace,
};
use cloakfs::store::mem::MemStore;
use cloakfs::store::s3::encryption::ExpectedEncryption;
use cloakfs::store::{ErrorKind, ObjectAttributes, ObjectKey, PutOptions, Store};
use cloakfs::volume::{ClientSide, ObjectRef, S3ecReading, Volume, VolumeError, VolumeOptions};
use tempfile::TempDir;

const NAME: &str = "file";
const CONTENT: &[u8] = b"what must not be read when it was changed";
/// A hole of a segment, then the content.
const LENGTH: u64 = SEGMENT_BYTES + CONTENT.len() as u64;

/// A volume's keys, and a bucket with one object that has a message of each kind.
struct Fixture {
    volume: VolumeId,
    master: [u8; 32],
    object: StoredObject,
    journals: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (mut master, mut data) = ([0; 32], [0; 32]);
        fill_random(&mut master);
        fill_random(&mut data);
        let volume = VolumeId::random();
        let key = DataKey::from_secret(Secret::take(&mut data));
        let root = MasterKey::from_secret(Secret::take(&mut master.clone()));
        let wrapped = WrappedKey::Master(root.wrap(volume.as_bytes(), &key));
        let attributes = AttributeVersion {
            sequence: 1,
            attributes: Attributes {
                kind: FileKind::File,
                perm: 0o600,
                uid: 1000,
                gid: 1000,
                rdev: 0,
                atime: Timestamp::new(1, 0).unwrap(),
                mtime: Timestamp::new(2, 0).unwrap(),
                ctime: Timestamp::new(3, 0).unwrap(),
                xattrs: Xattrs::new(),
            },
            xattrs: XattrPlace::Body,
        };
        let data = FileData {
            length: LENGTH,
            segments: BTreeMap::from([(1, CONTENT)]),
            attributes: &attributes,
            body_xattrs: &Xattrs::from([("user.colour".to_owned(), b"blue".to_vec())]),
        };
        let record = Record {
            file: FileId::random(),
            content: Content::random(),
            body: BodyId::random(),
            generation: 1,
            attributes: attributes.clone(),
        };
        let place = Place {
            key: &key,
            volume,
            at: &StoredKey::below("", NAME).expect("a key"),
        };
        Self {
            volume,
            master,
            object: encode_object(&place, &wrapped, &record, &data),
            journals: tempfile::tempdir().expect("a directory"),
        }
    }

    /// What a mount that has just been made reads of the object.
    async fn read(&self, object: &StoredObject) -> Result<Bytes, VolumeError> {
        let store: Arc<dyn Store> = Arc::new(MemStore::new());
        let options = PutOptions {
            attributes: ObjectAttributes {
                metadata: object.metadata.clone(),
                content_type: None,
            },
            ..PutOptions::default()
        };
        let key = ObjectKey::new(NAME).expect("a key");
        let body = Bytes::from(object.body.clone());
        store.put(&key, body, options).await.expect("putting");
        let options = VolumeOptions {
            read_only: true,
            alone: false,
            defaults: Defaults {
                uid: 0,
                gid: 0,
                umask: 0,
            },
            trust_listing: false,
            server: String::new(),
            encryption: ExpectedEncryption::default(),
            journal_dir: self.journals.path().join("journal"),
        };
        let client_side = ClientSide {
            id: self.volume,
            names: Names::Plain,
            root: Root::Master(MasterKey::from_secret(Secret::take(
                &mut self.master.clone(),
            ))),
            records_per_data_key: std::num::NonZeroU64::MIN,
            s3ec: S3ecReading::default(),
        };
        let volume = Volume::open_client_side(store, "", options, client_side).await?;
        let path: VolumePath = NAME.parse().expect("a path");
        let stat = volume.stat(&path).await?.expect("it is there");
        let all = ByteRange::new(0, stat.size);
        let version = stat.version.expect("an object");
        let content = volume.read(&ObjectRef::Path(path), &version, all).await?;
        assert_eq!(stat.meta.attributes.perm, 0o600);
        Ok(content)
    }

    async fn assert_refused(&self, what: &str, object: &StoredObject) {
        match self.read(object).await {
            Ok(_) => panic!("{what} is read as if nothing had been changed"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}"),
        }
    }
}

#[tokio::test]
async fn no_byte_of_a_body_can_be_changed_unseen() {
    let fixture = Fixture::new();
    let content = fixture.read(&fixture.object).await;
    let content = content.unwrap_or_else(|error| panic!("{error}"));
    let (hole, end) = content.split_at(usize::try_from(SEGMENT_BYTES).expect("8 MiB"));
    assert!(hole.iter().all(|byte| *byte == 0) && end == CONTENT);

    for at in 0..fixture.object.body.len() {
        for flipped in [0x01, 0x80, 0xff] {
            let mut object = fixture.object.clone();
            object.body[at] ^= flipped;
            let what = format!("byte {at} of the body XOR {flipped:#04x}");
            fixture.assert_refused(&what, &object).await;
        }
    }
    for length in 0..fixture.object.body.len() {
        let mut object = fixture.object.clone();
        object.body.truncate(length);
        let what = format!("the body cut to {length} bytes");
        fixture.assert_refused(&what, &object).await;
    }
}

#[tokio::test]
async fn no_byte_of_a_record_or_of_a_wrapped_key_can_be_changed_unseen() {
    let fixture = Fixture::new();
    for field in ["cloakfs-record", "cloakfs-key"] {
        let bytes = URL_SAFE_NO_PAD.decode(&fixture.object.metadata[field]);
        let bytes = bytes.expect("base64url");
        assert!(bytes.len() > 100, "{field}");
        for at in 0..bytes.len() {
            for flipped in [0x01, 0x80, 0xff] {
                let mut object = fixture.object.clone();
                let mut changed = bytes.clone();
                changed[at] ^= flipped;
                let text = URL_SAFE_NO_PAD.encode(changed);
                object.metadata.insert(field.to_owned(), text);
                let what = format!("byte {at} of {field} XOR {flipped:#04x}");
                fixture.assert_refused(&what, &object).await;
            }
        }
    }
}

/// The text, not only what it stands for.
#[tokio::test]
async fn no_character_of_the_metadata_can_be_changed_unseen() {
    let fixture = Fixture::new();
    for (field, text) in &fixture.object.metadata {
        for at in 0..text.len() {
            for other in ["A", "B", "-", "=", "+", ""] {
                if text[at..].starts_with(other) && !other.is_empty() {
                    continue;
                }
                let mut object = fixture.object.clone();
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                let what = format!("{other:?} in place of character {at} of {field}");
                object.metadata.insert(field.clone(), changed);
                fixture.assert_refused(&what, &object).await;
            }
        }
    }
}
