//! Rank 3: the objects of one mount as the filesystem wants them: stat, ranged read, listing,
//! conditional write, copy. No inodes, no handles, no caches.
//!
//! A volume is a prefix of a bucket in one layout; here the plain layout, in which the body is
//! the content and attributes are s3fs's user metadata. Paths go in and out, keys stay inside.
//!
//! Invariants:
//! 1. Every content write and every metadata copy carries a fresh commit id, and a lost answer
//!    is told from a conflict by it.
//! 2. A write that fails leaves the object as it was.
//! 3. Where a file `a` and objects below `a/` are both there, `a` is the directory and the file
//!    is hidden: a subtree must not become unreachable because of one object.
//! 4. Keys below [`crate::base::limits::RESERVED_PREFIX`] are never shown; what a mount keeps
//!    there is below a random id of its own, so mounts never touch each other's.

mod change;
mod closed;
mod content;
mod doubt;
mod error;
mod intent;
mod journal;
pub mod lease;
mod list;
mod local_key;
mod modes;
mod moving;
pub mod record;
mod s3ec;
mod sealed;
pub mod single;
mod stat;
mod types;
mod upload;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

pub use change::{Moved, PARALLEL_OBJECTS};
pub use content::PrivatePurpose;
pub use error::VolumeError;
pub use intent::{RenameIntent, RenameObserver, ToldRename, UnfinishedRename};
pub use journal::{DeadMount, MountState};
pub use list::{DirPage, ListedEntry, ListedKind};
pub use local_key::{LocalKey, LocalKeySource, LocalKeys};
pub use modes::{ModesSeen, OtherMode};
pub use s3ec::{S3ecReading, S3ecType};
pub use sealed::{ClientSide, SealedPart, StoredSegments};
pub use types::{
    Committed, Condition, Lineage, ObjectMeta, ObjectRef, SealedAs, Stat, UploadTarget, Version,
};
pub use upload::{Part, Upload};

use types::CopyWay;

use crate::base::secret::fill_random;
use crate::keys::kms::Calls;
use crate::keys::root::Root;
use crate::layout::path::{Directory, HiddenReason, KeyMapper, VolumePath};
use crate::layout::plain::Defaults;
use crate::layout::sealed::Names;
use crate::store::probe::Capabilities;
use crate::store::{ObjectKey, Store};

use crate::store::s3::encryption::ExpectedEncryption;
use doubt::Doubtful;
use journal::Journal;
use modes::Modes;
use sealed::Sealed;

/// Shorthand for the answer to a volume's operation.
pub type Result<T> = std::result::Result<T, VolumeError>;

/// What a volume is opened with.
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// Nothing is written, not even the probe of the server's capabilities.
    pub read_only: bool,
    /// This mount has the volume to itself ([`lease`]): whoever left something there is dead.
    pub alone: bool,
    /// Attributes of objects that carry none.
    pub defaults: Defaults,
    /// Attributes come from listings and HEADs are saved; objects are plain data.
    pub trust_listing: bool,
    /// Which server the store is on: a bucket of the same name elsewhere is another one.
    pub server: String,
    /// How the objects that this mount writes come back, to tell others apart.
    pub encryption: ExpectedEncryption,
    /// Where this machine remembers its unfinished uploads; made when missing.
    pub journal_dir: PathBuf,
}

/// See the module's text.
#[derive(Debug)]
pub struct Volume {
    store: Arc<dyn Store>,
    keys: KeyMapper,
    options: VolumeOptions,
    capabilities: Capabilities,
    /// Names this mount among all: the directory of its private objects.
    mount_id: String,
    journal: Journal,
    modes: Modes,
    /// `None` in the plain layout.
    sealed: Option<Sealed>,
    doubtful: Doubtful,
    half_renamed: OnceLock<Vec<String>>,
    observer: OnceLock<Weak<dyn RenameObserver>>,
}

impl Volume {
    /// Opens the volume at `prefix` (empty, or ending in `/`) of `store`: probes what the server
    /// can do, clears away what dead mounts of this machine left behind, and finishes the
    /// renames that dead mounts left half done.
    ///
    /// # Errors
    /// When the journal's directory cannot be used, or the store does not answer.
    pub async fn open(
        store: Arc<dyn Store>,
        prefix: &str,
        options: VolumeOptions,
    ) -> Result<Arc<Self>> {
        Self::open_in(store, prefix, options, None, Clearing::Begins).await
    }

    /// Opens a client-side volume at `prefix`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_client_side(
        store: Arc<dyn Store>,
        prefix: &str,
        options: VolumeOptions,
        client_side: ClientSide,
    ) -> Result<Arc<Self>> {
        Self::open_in(store, prefix, options, Some(client_side), Clearing::Begins).await
    }

    /// Opens a volume of either layout as it is: what dead mounts left behind stays until
    /// [`Self::clear_after_the_dead`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_as_it_is(
        store: Arc<dyn Store>,
        prefix: &str,
        options: VolumeOptions,
        client_side: Option<ClientSide>,
    ) -> Result<Arc<Self>> {
        Self::open_in(store, prefix, options, client_side, Clearing::Waits).await
    }

    async fn open_in(
        store: Arc<dyn Store>,
        prefix: &str,
        options: VolumeOptions,
        client_side: Option<ClientSide>,
        clearing: Clearing,
    ) -> Result<Arc<Self>> {
        let (names, sealed) = match client_side {
            Some(client_side) => {
                let (names, sealed) = Sealed::new(client_side);
                (names, Some(sealed))
            }
            None => (Names::Plain, None),
        };
        let keys = KeyMapper::with_names(prefix, names)
            .map_err(|error| VolumeError::invalid(prefix, &error.to_string()))?;
        let mut id = [0; 8];
        fill_random(&mut id);
        let mount_id = format!("{:016x}", u64::from_be_bytes(id));
        let source = source_of(&options.server, store.as_ref(), prefix);
        let (journal, left_behind) = Journal::open(&options.journal_dir, &source, &mount_id)?;
        let capabilities = if options.read_only {
            Capabilities::unknown()
        } else {
            crate::store::probe::probe(store.as_ref(), prefix).await
        };
        let volume = Arc::new(Self {
            modes: Modes::new(options.encryption.clone(), prefix),
            store,
            keys,
            options,
            capabilities,
            mount_id,
            journal,
            sealed,
            doubtful: Doubtful::default(),
            half_renamed: OnceLock::new(),
            observer: OnceLock::new(),
        });
        if clearing == Clearing::Begins && !volume.options.read_only {
            for dead in left_behind {
                volume.clear_away(dead, true).await;
            }
            let half_renamed = Box::pin(volume.finish_renames(volume.options.alone)).await;
            for why in &half_renamed {
                tracing::warn!("{why}");
            }
            volume
                .half_renamed
                .set(half_renamed)
                .expect("it is opened once");
        }
        Ok(volume)
    }

    /// Tells it from every other: the server, the bucket and the prefix. What this machine keeps
    /// for it is found by this.
    #[must_use]
    pub fn source(&self) -> String {
        let server = &self.options.server;
        source_of(server, self.store.as_ref(), self.keys.prefix())
    }

    /// Names this mount among all.
    #[must_use]
    pub fn mount_id(&self) -> &str {
        &self.mount_id
    }

    /// What a person calls it: `s3://bucket/prefix/`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.keys.prefix() {
            "" => self.store.describe(),
            prefix => format!("{}/{prefix}", self.store.describe()),
        }
    }

    /// What the server can do, as found when the volume was opened.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The renames of dead mounts that could not be finished when the volume was opened: a
    /// sentence each.
    #[must_use]
    pub fn half_renamed(&self) -> &[String] {
        self.half_renamed.get().map_or(&[], Vec::as_slice)
    }

    /// Attributes of objects that carry none.
    #[must_use]
    pub const fn defaults(&self) -> &Defaults {
        &self.options.defaults
    }

    /// Attributes are taken from listings alone. Those of a client-side volume are sealed, and
    /// no listing tells them.
    #[must_use]
    pub const fn trusts_listing(&self) -> bool {
        self.options.trust_listing && self.sealed.is_none()
    }

    /// Whether this is a client-side volume: what the bucket holds is sealed here.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// Requests for data keys so far, in a volume whose root is a key of KMS.
    #[must_use]
    pub fn kms_calls(&self) -> Option<Calls> {
        match self.sealed.as_ref()?.keys.root() {
            Root::Kms(kms) => Some(kms.calls()),
            Root::Master(_) => None,
        }
    }

    /// The objects met so far that are not of this mount's mode and key.
    #[must_use]
    pub fn modes_seen(&self) -> ModesSeen {
        self.modes.seen()
    }

    /// The path is one of cloakfs's own below the reserved prefix.
    #[must_use]
    pub fn is_reserved(&self, path: &VolumePath) -> bool {
        self.keys.is_reserved(path)
    }

    /// Longest name that a file can have.
    #[must_use]
    pub const fn name_bytes_max(&self) -> usize {
        self.keys.name_bytes_max()
    }

    /// Checks that a new file at this path can be stored, and looked up: a look asks for a
    /// directory there, too, whose key is longer.
    ///
    /// # Errors
    /// As [`VolumeError::name_error`] tells.
    pub fn check_new(&self, path: &VolumePath) -> Result<()> {
        self.marker_key(path).map(drop)
    }

    /// What a mount calls the object at a key of the volume; of a directory's marker it ends in
    /// `/`.
    ///
    /// # Errors
    /// Why no path names it.
    pub fn path_of(&self, key: &str) -> std::result::Result<String, HiddenReason> {
        self.keys.path_of(key)
    }

    /// A directory, to tell what listed keys are in it.
    fn directory(&self, path: &VolumePath) -> Result<Directory<'_>> {
        self.keys
            .directory(path)
            .map_err(|name| VolumeError::name(path, name))
    }

    fn file_key(&self, path: &VolumePath) -> Result<ObjectKey> {
        let key = self
            .keys
            .file_key(path)
            .map_err(|name| VolumeError::name(path, name))?;
        ObjectKey::new(key).map_err(|error| VolumeError::invalid(path, &error.to_string()))
    }

    /// The key of a directory's marker. The root of a whole bucket has no key of its own.
    fn marker_key(&self, path: &VolumePath) -> Result<ObjectKey> {
        let key = if path.is_root() && self.keys.prefix().is_empty() {
            self.keys.reserved("root/")
        } else {
            self.keys
                .dir_key(path)
                .map_err(|name| VolumeError::name(path, name))?
        };
        ObjectKey::new(key).map_err(|error| VolumeError::invalid(path, &error.to_string()))
    }

    fn private_key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(self.keys.reserved(name)).unwrap_or_else(|error| {
            unreachable!("names below the reserved prefix are short: {error}")
        })
    }

    fn object_key(&self, object: &ObjectRef) -> Result<ObjectKey> {
        match object {
            ObjectRef::Path(path) | ObjectRef::PastVersion(path) => self.file_key(path),
            ObjectRef::Directory(path) => self.marker_key(path),
            ObjectRef::Private(name) => Ok(self.private_key(name)),
        }
    }
}

/// When what dead mounts left is cleared away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clearing {
    Begins,
    Waits,
}

fn source_of(server: &str, store: &dyn Store, prefix: &str) -> String {
    format!("{server} {}/{prefix}", store.describe())
}
