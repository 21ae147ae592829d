//! The two sides of a move, as the record of the volume tells: what is there, what is made, and
//! what becomes of the record in the end.
//!
//! The record outlasts what is sealed: it is made before the first object is, and removed after
//! the last. Where the root is replaced, it is there under both meanwhile
//! ([`crate::volume::record::reroot`]), and the key of either opens all of it that this needs: the
//! volume's id and the key of its names are the same under both.

use std::sync::Arc;

use bytes::Bytes;

use crate::crypto::NameKey;
use crate::keys::root::Root;
use crate::layout::sealed::{Names, VolumeId};
use crate::store::Store;
use crate::volume::record::create::{self, NewVolume};
use crate::volume::record::{self, RecordError, VolumeRecord, place, reroot};
use crate::volume::{ClientSide, S3ecReading};

/// Records that one data key seals.
const RECORDS_PER_DATA_KEY: std::num::NonZeroU64 = std::num::NonZeroU64::new(1_000_000).unwrap();

/// What a client-side volume is to have.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Wanted {
    pub root: Root,
    /// `None`: as it has them, or encrypted in a new volume.
    pub encrypt_names: Option<bool>,
    /// Content keys are to be new, too.
    pub new_content_keys: bool,
}

/// See the module's text.
#[expect(missing_debug_implementations, reason = "it holds keys")]
pub struct Sides {
    /// `None` in the plain layout.
    pub old: Option<ClientSide>,
    pub new: Option<ClientSide>,
    pub ending: Ending,
    /// Sentences for the user.
    pub notes: Vec<String>,
}

/// What becomes of the record once all objects are moved.
#[derive(Debug)]
pub enum Ending {
    /// It stays as it is, or there is none.
    Nothing,
    /// Both copies are these.
    Settle(Bytes),
    /// The volume ends.
    Remove,
}

#[derive(Debug, thiserror::Error)]
pub enum SidesError {
    #[error(transparent)]
    Record(Box<RecordError>),
    #[error(
        "{volume} is a client-side volume ({is}): say so with --encryption {is} and its key, or it would be taken for plain objects"
    )]
    NotPlain { volume: String, is: &'static str },
    #[error(
        "{volume} was made with {} names, and how names are stored does not change in place: leave --to-names out",
        if *encrypted { "encrypted" } else { "plain" }
    )]
    OtherNames { volume: String, encrypted: bool },
    #[error(
        "--content gives every file a new content key under another key of the volume's, and the key that was given with --to is the one that {0} has: give another"
    )]
    SameKey(String),
}

impl From<RecordError> for SidesError {
    fn from(error: RecordError) -> Self {
        Self::Record(Box::new(error))
    }
}

impl Sides {
    /// Finds out what is there, and makes what has to be there before the first object is moved.
    /// `rehearses`: makes nothing. `described` is the source for people.
    ///
    /// # Errors
    /// When the keys do not open the volume, or what is asked for cannot be.
    pub async fn prepare(
        store: &Arc<dyn Store>,
        prefix: &str,
        described: &str,
        old: Option<Root>,
        new: Option<Wanted>,
        rehearses: bool,
    ) -> Result<Self, SidesError> {
        place::refuse_inside(store.as_ref(), prefix).await?;
        let found = record::find(store, prefix).await?;
        match (old, new, found) {
            (None, None, None) => Ok(Self::of(None, None, Ending::Nothing)),
            (None, None, Some(record)) => Err(SidesError::NotPlain {
                volume: described.to_owned(),
                is: record.mode(),
            }),
            (None, Some(wanted), found) => {
                let new = to_sealed(store, prefix, described, wanted, found, rehearses).await?;
                Ok(Self::of(None, Some(new), Ending::Nothing))
            }
            (Some(_), None, None) => {
                place::refuse_sealed(store.as_ref(), prefix).await?;
                Ok(Self::of(None, None, Ending::Nothing))
            }
            (Some(root), None, Some(record)) => {
                let opened = record.open(root, true).await?;
                let old = opened.client_side(RECORDS_PER_DATA_KEY);
                Ok(Self::of(Some(old), None, Ending::Remove))
            }
            (Some(_), Some(_), None) => {
                place::refuse_sealed(store.as_ref(), prefix).await?;
                Err(RecordError::Vanished {
                    volume: described.to_owned(),
                }
                .into())
            }
            (Some(old), Some(wanted), Some(record)) => {
                rerooted(&record, described, old, wanted, rehearses).await
            }
        }
    }

    fn of(old: Option<ClientSide>, new: Option<ClientSide>, ending: Ending) -> Self {
        Self {
            old,
            new,
            ending,
            notes: Vec::new(),
        }
    }
}

impl Ending {
    /// Does it. Only after a walk that found nothing left to do, and without any other mount.
    ///
    /// # Errors
    /// When somebody else changes the record, or the store does not do it.
    pub async fn carry_out(self, store: &Arc<dyn Store>, prefix: &str) -> Result<(), RecordError> {
        match self {
            Self::Nothing => Ok(()),
            Self::Settle(record) => reroot::settle(store, prefix, &record).await,
            Self::Remove => reroot::remove(store.as_ref(), prefix).await,
        }
    }
}

/// The volume that plain objects become.
async fn to_sealed(
    store: &Arc<dyn Store>,
    prefix: &str,
    described: &str,
    wanted: Wanted,
    found: Option<VolumeRecord>,
    rehearses: bool,
) -> Result<ClientSide, SidesError> {
    let encrypt_names = wanted.encrypt_names.unwrap_or(true);
    match found {
        Some(record) => {
            let opened = record.open(wanted.root, rehearses).await?;
            refuse_other_names(described, &opened.names, wanted.encrypt_names)?;
            Ok(opened.client_side(RECORDS_PER_DATA_KEY))
        }
        None if rehearses => Ok(ClientSide {
            id: VolumeId::random(),
            names: if encrypt_names {
                Names::Encrypted(Box::new(NameKey::random()))
            } else {
                Names::Plain
            },
            root: wanted.root,
            records_per_data_key: RECORDS_PER_DATA_KEY,
            s3ec: S3ecReading::default(),
        }),
        None => {
            let new = NewVolume {
                id: VolumeId::random(),
                root: wanted.root,
                lock: None,
                encrypt_names,
            };
            let created = create::create_around(store, prefix, new).await?;
            Ok(created.volume.client_side(RECORDS_PER_DATA_KEY))
        }
    }
}

/// The same volume under two roots.
async fn rerooted(
    record: &VolumeRecord,
    described: &str,
    old: Root,
    wanted: Wanted,
    rehearses: bool,
) -> Result<Sides, SidesError> {
    let new = wanted.root;
    let under_new = record.bytes_under(&new).await?;
    let under_old = record.bytes_under(&old).await?;
    if wanted.new_content_keys && under_new.is_some() && under_new == under_old {
        return Err(SidesError::SameKey(described.to_owned()));
    }
    if under_new.is_none() && under_old.is_none() {
        // It says why.
        record.open(old, true).await?;
        return Err(SidesError::SameKey(described.to_owned()));
    }
    // Each side has names of its own; whichever root opens the record tells them.
    let opens_under_old = under_old.is_some();
    let (opener, other) = if opens_under_old {
        (old, new)
    } else {
        (new, old)
    };
    let once = record.open(opener, true).await?;
    refuse_other_names(described, &once.names, wanted.encrypt_names)?;
    let again = record.open(once.root, true).await?;
    let (id, opener_names, other_names) = (again.id, again.names, once.names);
    let (old, old_names, new, new_names) = if opens_under_old {
        (again.root, opener_names, other, other_names)
    } else {
        (other, other_names, again.root, opener_names)
    };
    // All that can be refused is by now.
    let ending = if under_new.is_some() {
        record.renewed(&new).await?
    } else {
        let rerooted = record.under(&old, &new).await?;
        if !rehearses {
            record.write_second(&rerooted.meanwhile).await?;
        }
        rerooted.end
    };
    let side = |root, names| ClientSide {
        id,
        names,
        root,
        records_per_data_key: RECORDS_PER_DATA_KEY,
        s3ec: S3ecReading::default(),
    };
    let sides = (side(old, old_names), side(new, new_names));
    let mut sides = Sides::of(Some(sides.0), Some(sides.1), Ending::Settle(ending));
    if record.has_passphrase() {
        sides.notes.push(format!(
            "{described} has a passphrase, which opens the old key alone and ends with it; give the new key one, once this is done, with `cloakfs keys passphrase` and its --key-file"
        ));
    }
    Ok(sides)
}

fn refuse_other_names(
    described: &str,
    names: &Names,
    encrypt: Option<bool>,
) -> Result<(), SidesError> {
    let encrypted = matches!(names, Names::Encrypted(_));
    if encrypt.is_some_and(|encrypt| encrypt != encrypted) {
        return Err(SidesError::OtherNames {
            volume: described.to_owned(),
            encrypted,
        });
    }
    Ok(())
}
