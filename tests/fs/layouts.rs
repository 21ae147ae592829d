//! The layouts that a bucket can have, and tests that run over all of them.

use std::num::NonZeroU64;
use std::sync::Arc;

use cloakfs::base::secret::{Secret, fill_random};
use cloakfs::crypto::{MasterKey, NameKey};
use cloakfs::keys::root::Root;
use cloakfs::layout::path::KeyMapper;
use cloakfs::layout::sealed::{Names, VolumeId};
use cloakfs::store::Store;
use cloakfs::volume::{ClientSide, Volume, VolumeOptions};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Plain,
    /// Client-side, with names as they are.
    Sealed,
    /// Client-side, with encrypted names.
    SealedNames,
}

impl Layout {
    pub fn is_sealed(self) -> bool {
        self != Self::Plain
    }
}

/// What a bucket is opened with, any number of times.
pub struct Keys {
    pub layout: Layout,
    id: VolumeId,
    master: [u8; 32],
    names: [u8; 64],
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
        }
    }

    pub async fn open(&self, store: Arc<dyn Store>, options: VolumeOptions) -> Arc<Volume> {
        if self.layout == Layout::Plain {
            return Volume::open(store, "", options).await.unwrap();
        }
        let client_side = ClientSide {
            id: self.id,
            names: self.names(),
            root: Root::Master(MasterKey::from_secret(Secret::take(
                &mut self.master.clone(),
            ))),
            records_per_data_key: NonZeroU64::new(1 << 20).unwrap(),
        };
        let volume = Volume::open_client_side(store, "", options, client_side);
        volume.await.unwrap()
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
