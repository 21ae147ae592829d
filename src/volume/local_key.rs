//! The key of what this machine keeps for a volume beyond the life of a mount.
//!
//! It is never stored in clear where the volume has a better place for it: in a client-side volume
//! it is a data key, wrapped by the volume's root; with SSE-C it is random and wrapped under the
//! customer's key. What remains has no key of its own, and there it is a file beside what it
//! protects: that helps against a disk that is given away without its state directory, or a copy
//! of single files, and against nobody who can read the directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::sealed::new_data_key;
use super::{Result, Volume, VolumeError};
use crate::base::id::CommitId;
use crate::base::secret::Secret;
use crate::crypto::keys::{WRAPPED_KEY_BYTES, unwrap_local, wrap_local};
use crate::crypto::{DataKey, InputKey};
use crate::layout::sealed::WrappedKey;
use crate::store::ErrorKind;
use crate::store::s3::CustomerKey;

/// Such a key.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub enum LocalKey {
    Volume(Arc<DataKey>),
    Own(InputKey),
}

/// How it is got again. Not secret; what it names is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum LocalKeySource {
    /// Wrapped by the root of the client-side volume.
    Volume { wrapped: String },
    /// Wrapped under the customer's key of SSE-C.
    CustomerKey { wrapped: String },
    /// The file beside it.
    Machine,
}

/// Where keys are that no volume has.
#[derive(Clone, Debug)]
pub struct LocalKeys {
    /// Made when it is needed first.
    pub file: PathBuf,
    /// What the mount writes with, then those that it only reads with.
    pub customer: Vec<CustomerKey>,
}

impl LocalKey {
    #[must_use]
    pub fn input(&self) -> &InputKey {
        match self {
            Self::Volume(key) => key.input(),
            Self::Own(key) => key,
        }
    }
}

impl LocalKeySource {
    /// What a person has to bring for it.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Volume { .. } => "the key of the client-side volume",
            Self::CustomerKey { .. } => "the customer's key (SSE-C)",
            Self::Machine => "the file local.key in the state directory",
        }
    }
}

impl Volume {
    /// A key for something new.
    ///
    /// # Errors
    /// When KMS gives none, or the file cannot be made.
    pub async fn new_local_key(&self, keys: &LocalKeys) -> Result<(LocalKey, LocalKeySource)> {
        if let Some(sealed) = &self.sealed {
            let made = new_data_key(sealed.keys.root(), sealed.id).await;
            let (key, wrapped) =
                made.map_err(|error| VolumeError::data_key(self.describe(), error.into()))?;
            let wrapped = BASE64.encode(wrapped.encode());
            let key = LocalKey::Volume(Arc::new(key));
            return Ok((key, LocalKeySource::Volume { wrapped }));
        }
        if let Some(customer) = keys.customer.first() {
            let key = InputKey::random();
            let wrapped = BASE64.encode(wrap_local(&customer.input_key(), &key));
            return Ok((LocalKey::Own(key), LocalKeySource::CustomerKey { wrapped }));
        }
        let key = machine_key(&keys.file).map_err(|error| unusable(&keys.file, &error))?;
        Ok((LocalKey::Own(key), LocalKeySource::Machine))
    }

    /// The key of something that is there.
    ///
    /// # Errors
    /// When it is not this volume's, or what opens it is gone.
    pub async fn local_key(&self, source: &LocalKeySource, keys: &LocalKeys) -> Result<LocalKey> {
        let foreign = |what: &str| {
            let message = format!("it was sealed with {what}, which does not open it");
            VolumeError::other(self.describe(), ErrorKind::Invalid, &message)
        };
        match source {
            LocalKeySource::Volume { wrapped } => {
                let wrapped = BASE64.decode(wrapped).ok();
                let wrapped = wrapped.and_then(|bytes| WrappedKey::decode(&bytes));
                let (Some(wrapped), Some(sealed)) = (wrapped, &self.sealed) else {
                    return Err(foreign(source.describe()));
                };
                let key = sealed.keys.to_open(&wrapped).await;
                let key = key.map_err(|error| VolumeError::data_key(self.describe(), error))?;
                Ok(LocalKey::Volume(key))
            }
            LocalKeySource::CustomerKey { wrapped } => {
                let wrapped = BASE64.decode(wrapped).unwrap_or_default();
                let mut opened = keys
                    .customer
                    .iter()
                    .filter_map(|customer| unwrap_local(&customer.input_key(), &wrapped).ok());
                let key = opened.next().ok_or_else(|| foreign(source.describe()))?;
                Ok(LocalKey::Own(key))
            }
            LocalKeySource::Machine => {
                let key = read(&keys.file).map_err(|error| unusable(&keys.file, &error))?;
                Ok(LocalKey::Own(key))
            }
        }
    }
}

fn unusable(file: &Path, error: &io::Error) -> VolumeError {
    let message = format!(
        "the key of this machine's journals cannot be used: {error}; bring the file back from a \
         backup, or make its directory writable"
    );
    VolumeError::other(file.display(), ErrorKind::Invalid, &message)
}

/// The key in `file`, made if there is none. Whoever comes second uses the first one's: a file
/// gets its name only when it is whole.
fn machine_key(file: &Path) -> io::Result<InputKey> {
    match read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let mut draft = file.as_os_str().to_owned();
    draft.push(format!(".{}", CommitId::random()));
    let draft = PathBuf::from(draft);
    let made = make(&draft, file);
    let _only_a_draft = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => read(file),
    }
}

fn make(draft: &Path, file: &Path) -> io::Result<()> {
    let key = Secret::<32>::random();
    let mut made = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(draft)?;
    made.write_all(key.expose())?;
    made.sync_all()?;
    fs::hard_link(draft, file)?;
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

fn read(file: &Path) -> io::Result<InputKey> {
    let mut key = [0; 32];
    let mut file = File::open(file)?;
    file.read_exact(&mut key)?;
    Ok(InputKey::from_secret(Secret::take(&mut key)))
}

const _: () = assert!(WRAPPED_KEY_BYTES == 104, "docs/FORMAT.md, section 4");

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::crypto::{Context, Purpose, open, seal};

    /// All get the same key, however many make it at once, and nothing else is left.
    #[test]
    fn a_machine_has_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("local.key");
        let context = Context::new(Purpose::Journal);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| machine_key(&file).unwrap()))
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let sealed = seal(&keys[0], &context, b"bytes");
        for key in keys.iter().chain([&read(&file).unwrap()]) {
            assert_eq!(open(key, &context, &sealed).unwrap(), b"bytes");
        }
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 1);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_short_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("local.key");
        fs::write(&file, b"short").unwrap();
        assert!(machine_key(&file).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"short");
    }

    #[test]
    fn a_wrapped_key_opens_with_its_customer_key_only() {
        let customer = |byte: u8| CustomerKey::new(&Secret::take(&mut [byte; 32]));
        let key = InputKey::random();
        let wrapped = wrap_local(&customer(1).input_key(), &key);
        let context = Context::new(Purpose::Journal);
        let sealed = seal(&key, &context, b"bytes");
        let again = unwrap_local(&customer(1).input_key(), &wrapped)
            .ok()
            .unwrap();
        assert_eq!(open(&again, &context, &sealed).unwrap(), b"bytes");
        assert!(unwrap_local(&customer(2).input_key(), &wrapped).is_err());
    }
}
