//! The volume that a mount is of: opened, made, or refused.

use std::sync::Arc;

use anyhow::bail;

use super::keys::{self, Kms, Material};
use super::options::{ClientSide, Options};
use crate::cli::arguments::NamesArgument;
use crate::crypto::MasterKey;
use crate::crypto::passphrase::{Cost, Lock};
use crate::keys::passphrase::{Asked, Input};
use crate::keys::root::Root;
use crate::layout::sealed::{Names, VolumeId, WrappedKey};
use crate::mount::control::protocol;
use crate::store::Store;
use crate::volume::ClientSide as SealedVolume;
use crate::volume::record::create::{self, Created, NewVolume};
use crate::volume::record::{self, DamagedCopy, OpenVolume, RecordError, VolumeRecord, place};

/// Where the volume is, or is to be.
pub(in crate::cli) struct Place<'a> {
    pub store: &'a Arc<dyn Store>,
    /// Empty, or ends in `/`.
    pub prefix: &'a str,
    /// As a person calls it.
    pub described: String,
    pub read_only: bool,
}

/// A client-side volume that is to be mounted.
pub(in crate::cli) struct Mounted {
    pub volume: SealedVolume,
    /// The data key of the record that was opened.
    pub key: WrappedKey,
    /// As `--encryption` names it.
    pub mode: &'static str,
    /// For status.
    pub encryption: protocol::Encryption,
    pub notes: Vec<String>,
    /// Copies of the record that are not as they should be.
    pub damaged: Vec<DamagedCopy>,
}

/// The volume to mount; `None` where the layout is the plain one. `material` is what the files
/// of a client-side mode held.
pub(in crate::cli) async fn for_mount(
    place: &Place<'_>,
    asked: &ClientSide,
    material: Option<Material>,
    kms: &Kms<'_>,
) -> anyhow::Result<Option<Mounted>> {
    let described = &place.described;
    match (asked, material) {
        (ClientSide::Yes(options), Some(material)) => {
            Box::pin(for_client_side(place, options, material, kms))
                .await
                .map(Some)
        }
        (ClientSide::Yes(_), None) => unreachable!("the files of a client-side mode were read"),
        (ClientSide::No(mode), _) => {
            let Some(found) = look(place).await? else {
                return Ok(None);
            };
            // In this mode it may not even be readable.
            let own = found
                .as_ref()
                .map_or("cse-c or cse-kms", |record| record.mode());
            bail!(
                "{described} is a client-side volume, and with --encryption {} its objects would be taken for plain ones: mount it with --encryption {own}",
                mode.name(),
            )
        }
        (ClientSide::Unstated(input), _) => {
            let Some(found) = look(place).await? else {
                refuse_unneeded(input)?;
                return Ok(None);
            };
            let record = found?;
            let material = own_mode(&record, input, described)?;
            let options = Options::of_own_mode(input);
            let opening = open(place, &options, record, material, kms);
            Box::pin(opening).await.map(Some)
        }
    }
}

/// Looks again, once nobody can be in the way any more: between the key check and that moment the
/// source may have been brought under another key, or become a client-side volume or ceased to be
/// one, and whatever was written then would open under no key that anybody has.
pub(in crate::cli) async fn refuse_moved(
    store: &Arc<dyn Store>,
    prefix: &str,
    described: &str,
    mounted: Option<&Mounted>,
) -> anyhow::Result<()> {
    let is_same = match mounted {
        None => !place::is_volume(store.as_ref(), prefix).await?,
        Some(mounted) => {
            let found = record::find(store, prefix).await?;
            found.is_some_and(|found| found.has_key(&mounted.key))
        }
    };
    if !is_same {
        bail!(
            "{described} was brought under another key or encryption while this mount began: mount it again, with that"
        );
    }
    Ok(())
}

/// The record of the volume that is there; `None` only where nothing speaks for a volume. So
/// nothing that goes wrong on the way makes a plain mount of one.
async fn look(place: &Place<'_>) -> Result<Option<Result<VolumeRecord, RecordError>>, RecordError> {
    let (store, prefix) = (place.store.as_ref(), place.prefix);
    place::refuse_inside(store, prefix).await?;
    if !place::is_volume(store, prefix).await? {
        place::refuse_sealed(store, prefix).await?;
        return Ok(None);
    }
    let found = record::find(place.store, prefix).await;
    Ok(Some(found.and_then(|record| {
        record.ok_or_else(|| RecordError::Vanished {
            volume: place.described.clone(),
        })
    })))
}

fn refuse_unneeded(input: &Input) -> anyhow::Result<()> {
    match input {
        Input::Terminal(_) => Ok(()),
        Input::Descriptor(..) => bail!(
            "--passphrase-fd is for a client-side volume, and there is none here: make one with `cloakfs init`, or with --encryption cse-c --create; or leave --passphrase-fd out"
        ),
    }
}

/// What opens a volume of which no mode was given.
fn own_mode(record: &VolumeRecord, input: &Input, described: &str) -> anyhow::Result<Material> {
    if record.mode() == "cse-kms" {
        let key = &record.header().kms_key_name;
        bail!(
            "{described} is a client-side volume: give --encryption cse-kms and the key with --kms-key, and the pairs that it was made with with --kms-context (its record names the key {key:?}, which is to be checked)"
        );
    }
    if !record.has_passphrase() || !input.is_there() {
        bail!(
            "{described} is a client-side volume: give --encryption cse-c and its key with --key-file{}",
            if record.has_passphrase() {
                ", or its passphrase with --passphrase-fd"
            } else {
                ""
            }
        );
    }
    Ok(Material::Passphrase(input.clone()))
}

async fn for_client_side(
    place: &Place<'_>,
    options: &Options,
    material: Material,
    kms: &Kms<'_>,
) -> anyhow::Result<Mounted> {
    if let Some(record) = record::find(place.store, place.prefix).await? {
        return Box::pin(open(place, options, record, material, kms)).await;
    }
    place::refuse_inside(place.store.as_ref(), place.prefix).await?;
    place::refuse_sealed(place.store.as_ref(), place.prefix).await?;
    let (described, mode) = (&place.described, material.mode());
    if !options.create {
        bail!(
            "{described} is no client-side volume yet: make it with `cloakfs init {described} --encryption {mode}` and its key, or mount it with --create"
        );
    }
    if place.read_only {
        bail!(
            "{described} is no client-side volume yet, and a read-only mount makes none: leave --read-only out, or --create"
        );
    }
    create::refuse(place.store, place.prefix).await?;
    let mut notes = Vec::new();
    let wanted = Wanted {
        material,
        passphrase: None,
        encrypt_names: options.names != Some(NamesArgument::Plain),
    };
    let Created { volume, .. } = wanted.make(place, kms, &mut notes).await?;
    tracing::info!("made the volume {} at {described}", volume.id);
    Ok(mounted(volume, options, notes))
}

/// A volume that is to be made.
pub(in crate::cli) struct Wanted {
    pub material: Material,
    /// That opens it as well as the master key; a volume of a passphrase alone has that as its
    /// material.
    pub passphrase: Option<Input>,
    pub encrypt_names: bool,
}

impl Wanted {
    pub(in crate::cli) async fn make(
        self,
        place: &Place<'_>,
        kms: &Kms<'_>,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Created> {
        let id = VolumeId::random();
        let (root, lock) = match (self.material, self.passphrase) {
            (Material::Kms { key, context }, _) => (kms.root(&key, context, notes).await?, None),
            (Material::Master(key), None) => (Root::Master(key), None),
            (Material::Master(key), Some(input)) => lock(place, input, key, id, kms).await?,
            (Material::Passphrase(input), _) => {
                lock(place, input, MasterKey::random(), id, kms).await?
            }
        };
        let new = NewVolume {
            id,
            root,
            lock,
            encrypt_names: self.encrypt_names,
        };
        Ok(create::create(place.store, place.prefix, new).await?)
    }
}

/// The master key under a new passphrase.
async fn lock(
    place: &Place<'_>,
    input: Input,
    master: MasterKey,
    id: VolumeId,
    kms: &Kms<'_>,
) -> anyhow::Result<(Root, Option<Lock>)> {
    let prompt = format!("New passphrase of {}", place.described);
    let passphrase = keys::ask(input, prompt, Asked::Twice, kms.timeout).await?;
    let locking = tokio::task::spawn_blocking(move || {
        Lock::new(
            passphrase.expose(),
            Cost::RECOMMENDED,
            id.as_bytes(),
            &master,
        )
        .map(|lock| (Root::Master(master), Some(lock)))
    });
    Ok(locking.await??)
}

async fn open(
    place: &Place<'_>,
    options: &Options,
    record: VolumeRecord,
    material: Material,
    kms: &Kms<'_>,
) -> anyhow::Result<Mounted> {
    let mut notes = Vec::new();
    if !record.has_mode(material.mode()) {
        bail!(RecordError::OtherMode {
            volume: place.described.clone(),
            is: record.mode(),
            asked: material.mode(),
        });
    }
    let volume = open_record(place, record, material, kms, &mut notes).await?;
    let is_plain = matches!(volume.names, Names::Plain);
    if let Some(names) = options.names
        && (names == NamesArgument::Plain) != is_plain
    {
        let how = if is_plain { "plain" } else { "encrypted" };
        bail!(
            "{} was made with --names {how}, and how names are stored does not change: leave --names out",
            place.described
        );
    }
    Ok(mounted(volume, options, notes))
}

pub(in crate::cli) async fn open_record(
    place: &Place<'_>,
    record: VolumeRecord,
    material: Material,
    kms: &Kms<'_>,
    notes: &mut Vec<String>,
) -> anyhow::Result<OpenVolume> {
    let record = Arc::new(record);
    let root = material
        .root_of(&record, &place.described, kms, notes)
        .await?;
    Ok(record.open(root, place.read_only).await?)
}

fn mounted(mut volume: OpenVolume, options: &Options, mut notes: Vec<String>) -> Mounted {
    notes.extend(volume.notes.iter().cloned());
    Mounted {
        damaged: std::mem::take(&mut volume.damaged),
        mode: volume.root.mode(),
        encryption: describe(&volume),
        key: volume.key.clone(),
        volume: volume.client_side(options.records_per_data_key),
        notes,
    }
}

/// For status.
fn describe(volume: &OpenVolume) -> protocol::Encryption {
    let names = match volume.names {
        Names::Plain => "plain",
        Names::Encrypted(_) => "encrypted",
    };
    let mut encryption = protocol::Encryption {
        volume: Some(volume.id.to_string()),
        names: Some(names.to_owned()),
        key_check: volume.key_check.clone(),
        ..protocol::Encryption::of_mode(volume.root.mode())
    };
    if let Root::Kms(kms) = &volume.root {
        encryption.kms_key = Some(kms.key().to_owned());
        encryption.kms_context = kms.context().pairs().clone();
    }
    encryption
}
