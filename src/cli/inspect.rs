//! A source as its objects are inspected: whatever is there, and whether or not it can be read.
//!
//! A mount refuses a key that opens nothing, a volume of another mode, a record that is gone.
//! Whoever wants to know what is there is told of them as of everything else that is not as it
//! must be.

use std::sync::Arc;

use super::client_side::{self, ClientSide, Kms, Material, Place};
use super::config::MountConfig;
use super::open::{self, About, Opened};
use crate::admin::audit::{Finding, Flaw, Required};
use crate::admin::inspect::RootKind;
use crate::store::Store;
use crate::store::s3::encryption::ExpectedEncryption;
use crate::volume::record::{self, RecordError, VolumeRecord, place};
use crate::volume::single::Reader;

/// See the module's text.
pub(super) struct Inspected {
    pub store: Arc<dyn Store>,
    /// Empty, or ends in `/`.
    pub prefix: String,
    pub required: Required,
    /// What opens the objects of the client-side volume at the prefix.
    pub reader: Option<Reader>,
    /// What is wrong with the volume itself.
    pub findings: Vec<Finding>,
    pub notes: Vec<String>,
}

/// Opens a source, with the options that it is mounted with. Nothing is written.
pub(super) async fn open(config: &MountConfig) -> anyhow::Result<Inspected> {
    let timeout = config.timeout;
    let material = match &config.client_side {
        ClientSide::Yes(options) => Some(Material::read(&options.root, timeout).await?),
        ClientSide::No(_) | ClientSide::Unstated(_) => None,
    };
    let Opened { store, about, .. } = open::store_to_inspect(&config.store, timeout).await?;
    let mut inspected = Inspected {
        required: by_server(&about),
        prefix: about.prefix.clone(),
        reader: None,
        findings: Vec::new(),
        notes: about.notes,
        store,
    };
    let kms = Kms {
        store: &config.store,
        aws: about.aws,
        timeout,
    };
    let described = config.store.describe();
    match (&config.client_side, material) {
        (ClientSide::Yes(_), Some(material)) => {
            inspected.of_volume(&described, material, &kms).await?;
        }
        (ClientSide::Unstated(input), _) => {
            let Some(record) = inspected.record(&described).await? else {
                return Ok(inspected);
            };
            inspected.required = Required::Client {
                root: root_of(record.mode()),
            };
            if record.has_passphrase() && input.is_there() {
                let material = Material::Passphrase(input.clone());
                inspected.open(&described, record, material, &kms).await?;
            } else {
                inspected.notes.push(format!(
                    "{described} is a client-side volume, and without its key nothing of it is authenticated: give --encryption {} and the key",
                    record.mode()
                ));
            }
        }
        (ClientSide::No(_) | ClientSide::Yes(_), _) => {}
    }
    Ok(inspected)
}

/// What a mode of the server asks for.
pub(super) fn by_server(about: &About) -> Required {
    match &about.expected {
        ExpectedEncryption::BucketDefault => Required::Default(about.bucket_default.clone()),
        expected => Required::Server(expected.clone()),
    }
}

fn root_of(mode: &str) -> RootKind {
    if mode == "cse-kms" {
        RootKind::Kms
    } else {
        RootKind::Master
    }
}

impl Inspected {
    async fn of_volume(
        &mut self,
        described: &str,
        material: Material,
        kms: &Kms<'_>,
    ) -> anyhow::Result<()> {
        let mode = material.mode();
        self.required = Required::Client {
            root: root_of(mode),
        };
        place::refuse_inside(self.store.as_ref(), &self.prefix).await?;
        let Some(record) = self.record(described).await? else {
            if self.findings.is_empty() {
                self.lacks_volume(format!(
                    "{described} is no client-side volume: nothing that it holds can be one of its objects"
                ));
            }
            return Ok(());
        };
        if !record.has_mode(mode) {
            self.lacks_volume(format!(
                "{described} is a volume of --encryption {}, and {mode} is required",
                record.mode()
            ));
            return Ok(());
        }
        self.open(described, record, material, kms).await
    }

    /// The record, if there is one that can be read.
    async fn record(&mut self, described: &str) -> anyhow::Result<Option<VolumeRecord>> {
        match record::find(&self.store, &self.prefix).await {
            Ok(found) => Ok(found),
            Err(error @ RecordError::Record { .. }) => {
                tracing::debug!("the record of {described}: {error}");
                self.lacks_volume(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn open(
        &mut self,
        described: &str,
        record: VolumeRecord,
        material: Material,
        kms: &Kms<'_>,
    ) -> anyhow::Result<()> {
        let place = Place {
            store: &self.store,
            prefix: &self.prefix,
            described: described.to_owned(),
            read_only: true,
        };
        let opened = client_side::open_record(&place, record, material, kms, &mut self.notes).await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => match error.downcast::<RecordError>() {
                Ok(error) if is_told(&error) => {
                    self.lacks_volume(error.to_string());
                    return Ok(());
                }
                Ok(error) => return Err(error.into()),
                Err(error) => return Err(error),
            },
        };
        self.notes.extend(opened.notes.iter().cloned());
        let (store, prefix) = (Arc::clone(&self.store), self.prefix.clone());
        self.reader = Some(Reader::new(store, prefix, opened));
        Ok(())
    }

    fn lacks_volume(&mut self, text: String) {
        let finding = Finding::new(Flaw::NoVolume, self.prefix.clone(), text);
        self.findings.push(finding);
    }
}

/// What is wrong is wrong with the record or the key, and not with the way to them.
const fn is_told(error: &RecordError) -> bool {
    matches!(
        error,
        RecordError::Record { .. }
            | RecordError::TwoVolumes { .. }
            | RecordError::WrongKmsKey { .. }
            | RecordError::WrongPassphrase { .. }
            | RecordError::OtherMode { .. }
            | RecordError::NoPassphrase { .. }
    )
}
