//! The layouts that a bucket can have, and tests that run over all of them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use cloakfs::base::secret::{Secret, fill_random};
use cloakfs::crypto::s3ec::RsaPrivateKey;
use cloakfs::crypto::{DataKey, MasterKey, NameKey};
use cloakfs::keys::root::Root;
use cloakfs::layout::attributes::{Attributes, Xattrs};
use cloakfs::layout::path::KeyMapper;
use cloakfs::layout::sealed::object::{FileData, Place, StoredObject, encode_object};
use cloakfs::layout::sealed::{
    AttributeVersion, BodyId, Content, FileId, Names, Record, SealedMetadata, StoredKey, VolumeId,
    WrappedKey, XattrPlace,
};
use cloakfs::store::{HeadOptions, ObjectKey, Store};
use cloakfs::volume::{ClientSide, S3ecReading, Volume, VolumeOptions};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Plain,
    /// Client-side, with names as they are.
    Sealed,
    /// Client-side, with encrypted names.
    SealedNames,
}

/// What a bucket is opened with, any number of times.
pub struct Keys {
    pub layout: Layout,
    pub id: VolumeId,
    pub master: [u8; 32],
    names: [u8; 64],
    /// PKCS#8, for objects of the Amazon S3 Encryption Client.
    pub rsa_key: Option<Vec<u8>>,
    pub allow_legacy: bool,
}

impl Keys {
    pub fn of(layout: Layout) -> Self {
        let (mut master, mut names) = ([0; 32], [0; 64]);
        fill_random(&mut master);
        fill_random(&mut names);
        Self {
            layout,
            id: VolumeId::random(),
            master,
            names,
            rsa_key: None,
            allow_legacy: false,
        }
    }

    pub async fn open(&self, store: Arc<dyn Store>, options: VolumeOptions) -> Arc<Volume> {
        if self.layout == Layout::Plain {
            return Volume::open(store, "", options).await.unwrap();
        }
        let client_side = ClientSide {
            id: self.id,
            names: self.names(),
            root: Root::Master(self.master()),
            records_per_data_key: NonZeroU64::new(1 << 20).unwrap(),
            s3ec: S3ecReading {
                rsa_key: self
                    .rsa_key
                    .as_ref()
                    .map(|der| RsaPrivateKey::from_pkcs8(der).unwrap()),
                allow_legacy: self.allow_legacy,
            },
        };
        let volume = Volume::open_client_side(store, "", options, client_side);
        volume.await.unwrap()
    }

    /// A file of a given length, of which these segments are stored.
    pub fn seal(
        &self,
        key: &ObjectKey,
        attributes: Attributes,
        length: u64,
        segments: BTreeMap<u32, &[u8]>,
    ) -> StoredObject {
        let data_key = DataKey::random();
        let wrapped = self.master().wrap(self.id.as_bytes(), &data_key);
        let attributes = AttributeVersion {
            sequence: 1,
            attributes,
            xattrs: XattrPlace::None,
        };
        let record = Record {
            file: FileId::random(),
            content: Content::random(),
            body: BodyId::random(),
            generation: 1,
            attributes: attributes.clone(),
        };
        let place = Place {
            key: &data_key,
            volume: self.id,
            at: &StoredKey::below("", key.as_str()).unwrap(),
        };
        let data = FileData {
            length,
            segments,
            attributes: &attributes,
            body_xattrs: &Xattrs::new(),
        };
        encode_object(&place, &WrappedKey::Master(wrapped), &record, &data)
    }

    /// What the object of a file says that it is.
    pub async fn record(&self, store: &dyn Store, path: &str) -> Record {
        let key = self.mapper().file_key(&path.parse().unwrap()).unwrap();
        let at = StoredKey::below("", &key).unwrap();
        let key = ObjectKey::new(key).unwrap();
        let info = store.head(&key, HeadOptions::default()).await.unwrap();
        let sealed = SealedMetadata::decode(&info.attributes.metadata).unwrap();
        let WrappedKey::Master(wrapped) = &sealed.key else {
            panic!("not wrapped with the master key");
        };
        let data_key = self.master().unwrap(self.id.as_bytes(), wrapped);
        let record = Record::open(&data_key.ok().unwrap(), self.id, &at, &sealed.record);
        record.ok().unwrap()
    }

    fn master(&self) -> MasterKey {
        MasterKey::from_secret(Secret::take(&mut self.master.clone()))
    }

    pub fn mapper(&self) -> KeyMapper {
        KeyMapper::with_names("", self.names()).unwrap()
    }

    fn names(&self) -> Names {
        match self.layout {
            Layout::Plain | Layout::Sealed => Names::Plain,
            Layout::SealedNames => {
                let key = NameKey::from_secret(Secret::take(&mut self.names.clone()));
                Names::Encrypted(Box::new(key))
            }
        }
    }
}

/// Runs each of these functions, which take the [`Layout`], as a test in every layout.
macro_rules! in_every_layout {
    ($($test:ident),+ $(,)?) => {
        mod plain {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::layouts::Layout::Plain).await;
            })+
        }
        $crate::layouts::in_client_side_layouts!($($test),+);
    };
}

/// The same where only client-side layouts have it.
macro_rules! in_client_side_layouts {
    ($($test:ident),+ $(,)?) => {
        mod sealed {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::layouts::Layout::Sealed).await;
            })+
        }

        mod sealed_names {
            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::layouts::Layout::SealedNames).await;
            })+
        }
    };
}

pub(crate) use {in_client_side_layouts, in_every_layout};
