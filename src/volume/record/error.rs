//! Why there is no volume: sentences for whoever mounts.

use crate::crypto::passphrase::PassphraseError;
use crate::keys::kms::KmsError;
use crate::layout::sealed::VolumeId;
use crate::layout::sealed::volume::VolumeError;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Kms(#[from] KmsError),
    #[error("the passphrase does not open {volume}: it is another one")]
    WrongPassphrase { volume: String },
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    #[error("the volume record of {volume} {error}")]
    Record {
        volume: String,
        #[source]
        error: VolumeError,
    },
    #[error(
        "{volume} has two volume records, of the volumes {} and {}: one was put there from elsewhere; delete that one of .cloakfs/volume-a and .cloakfs/volume-b with an S3 tool",
        ids[0], ids[1]
    )]
    TwoVolumes { volume: String, ids: [VolumeId; 2] },
    #[error(
        "{volume} does not open with the KMS key {key} and the encryption context that was given: its record was made with the key {made_with:?}; check --kms-key and --kms-context"
    )]
    WrongKmsKey {
        volume: String,
        key: String,
        /// As the bucket says it.
        made_with: String,
    },
    #[error(
        "{volume} was made with --encryption {is}, and {asked} was asked for: mount it with {is}"
    )]
    OtherMode {
        volume: String,
        is: &'static str,
        asked: &'static str,
    },
    #[error("{volume} has no passphrase: give its key with --key-file")]
    NoPassphrase { volume: String },
    #[error(
        "the two copies of the volume record of {volume} are not the same, and could not be made so: nothing was changed; look at the notes above, or mount it once"
    )]
    Unequal { volume: String },
    #[error(
        "somebody else changed the volume record of {volume} at the same time: look which passphrase opens it, and try again"
    )]
    Changed { volume: String },
    #[error(
        "whether the new passphrase opens {volume} already is not known, and the old one still does: do the same again ({error})"
    )]
    ChangedOrNot {
        volume: String,
        #[source]
        error: StoreError,
    },
    #[error(
        "the first copy of the volume record of {volume} has the new passphrase and the second could not be written: either of the passphrases opens it until the next mount that may write mends the second; do the same again ({error})"
    )]
    HalfChanged {
        volume: String,
        #[source]
        error: StoreError,
    },
    #[error("{volume} is a client-side volume already, and a volume is made once: mount it")]
    Exists { volume: String },
    #[error(
        "{volume} lies in the client-side volume {above}, whose names and objects mean something only from its root: mount {above}"
    )]
    Inside { volume: String, above: String },
    #[error(
        "{volume} cannot become a volume, because the volume {below} lies in it: choose another prefix"
    )]
    Around { volume: String, below: String },
    #[error(
        "{volume} cannot become a client-side volume, because it is not empty: there is {object:?}; choose an empty prefix, and copy files in through the mount"
    )]
    NotEmpty { volume: String, object: String },
    #[error(
        "whether {volume} is a client-side volume is not known, and one must not be taken for plain: {error}"
    )]
    Unknown {
        volume: String,
        #[source]
        error: StoreError,
    },
    #[error(
        "{volume} has no volume record, but {object:?} in it is sealed by cloakfs: the record was removed or is hidden, and a plain mount would write in clear; restore .cloakfs/volume-a from the volume's export (that of `cloakfs init --export`), a backup or an older version, and mount it with its own --encryption"
    )]
    Lost { volume: String, object: String },
    #[error("{volume} lost its volume record while it was looked at: try again")]
    Vanished { volume: String },
    #[error("the prefix {0:?} leaves no room for a volume's keys: choose a shorter one")]
    Prefix(String),
}

impl RecordError {
    pub(super) fn record(volume: &str, error: VolumeError) -> Self {
        Self::Record {
            volume: volume.to_owned(),
            error,
        }
    }
}
