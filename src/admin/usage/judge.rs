//! Whether one object is under the key.

use super::{InVolume, Usage};
use crate::admin::inspect::{Client, Looked, Native, RootKind, S3ecVersion, kms_key_of};
use crate::admin::own::Own;
use crate::base::limits::RESERVED_PREFIX;
use crate::keys::kms::KmsErrorKind;
use crate::layout::s3ec::{Described, Wrapping};
use crate::layout::sealed::ObjectError;
use crate::layout::sealed::volume::OBJECTS;
use crate::store::{Metadata, ServerEncryption};

/// What an object is to the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Used,
    Not,
    /// Why it cannot be told: a sentence, which may go on with `it`.
    Unknown(String),
    /// It was deleted since it was listed.
    Gone,
}

impl From<bool> for Verdict {
    fn from(is_used: bool) -> Self {
        if is_used { Self::Used } else { Self::Not }
    }
}

impl Usage {
    pub(super) fn by_server(&self, encryption: &ServerEncryption) -> Verdict {
        match encryption {
            ServerEncryption::SseKms {
                key_id: Some(key), ..
            } => self.is_named(key).into(),
            ServerEncryption::SseKms { key_id: None, .. } => {
                Verdict::Unknown("the server does not tell its key of KMS".to_owned())
            }
            ServerEncryption::Other(name) => {
                Verdict::Unknown(format!("its encryption {name:?} is not one that is known"))
            }
            ServerEncryption::None | ServerEncryption::SseS3 | ServerEncryption::SseC { .. } => {
                Verdict::Not
            }
        }
    }

    pub(super) async fn by_client(&self, key: &str, own: Option<&Own>, looked: &Looked) -> Verdict {
        match &looked.client {
            Client::None if own == Some(&Own::VolumeRecord) => self.of_record(),
            Client::None if own.is_none() && is_record(key) => Verdict::Unknown(
                "it is the record of a volume inside: look at that as a source of its own".to_owned(),
            ),
            Client::None => Verdict::Not,
            Client::Native(native) => self.of_native(key, native, &looked.info.attributes.metadata).await,
            Client::S3ec(s3ec) if s3ec.version == S3ecVersion::Instruction || s3ec.instruction_file => {
                Verdict::Unknown("its wrapped key is in an instruction file of the Amazon S3 Encryption Client, which is not read".to_owned())
            }
            Client::S3ec(_) => self.of_s3ec(&looked.info.attributes.metadata),
            Client::Unknown(why) => Verdict::Unknown(format!("it {why}")),
        }
    }

    fn of_record(&self) -> Verdict {
        match &self.volume {
            InVolume::Opened(_) => Verdict::Used,
            // Of the mode cse-c, or of nobody's.
            InVolume::Absent | InVolume::OfAnotherKey => Verdict::Not,
            InVolume::Closed(why) => Verdict::Unknown(why.clone()),
        }
    }

    async fn of_native(&self, key: &str, native: &Native, metadata: &Metadata) -> Verdict {
        match (native.root, &native.kms_key) {
            (RootKind::Master, _) => return Verdict::Not,
            (RootKind::Unknown, _) => {
                let version = native.format.number();
                return Verdict::Unknown(format!(
                    "it has format version {version}, which this cloakfs does not know"
                ));
            }
            (RootKind::Kms, Some(id)) => return self.is_named(id).into(),
            (RootKind::Kms, None) => {}
        }
        match &self.volume {
            InVolume::OfAnotherKey => Verdict::Not,
            InVolume::Closed(why) => Verdict::Unknown(why.clone()),
            InVolume::Absent => Verdict::Unknown(
                "it is of a client-side volume that does not begin at the source: give that volume as the source".to_owned(),
            ),
            InVolume::Opened(reader) => match reader.open_key(key, metadata).await {
                Ok(()) => Verdict::Used,
                // Of a volume inside, or put here from elsewhere: the context is another one, and
                // KMS does not tell that from another key.
                Err(error)
                    if error.kms_error() == Some(KmsErrorKind::NotWrapped)
                        || error.object_error() == Some(ObjectError::NotAuthentic) =>
                {
                    Verdict::Unknown("its data key does not open as one of the volume: it is of another volume or key".to_owned())
                }
                Err(error) => Verdict::Unknown(format!("its data key cannot be had: {error}")),
            },
        }
    }

    fn of_s3ec(&self, metadata: &Metadata) -> Verdict {
        match Described::decode(metadata) {
            Ok(Described::Whole(envelope)) => match envelope.wrapping {
                Wrapping::KmsContext | Wrapping::Kms => match kms_key_of(&envelope.wrapped_key) {
                    Some(id) => self.is_named(id).into(),
                    None => Verdict::Unknown(
                        "the Amazon S3 Encryption Client wrapped its key with KMS, and does not say under which key".to_owned(),
                    ),
                },
                Wrapping::AesGcm
                | Wrapping::RsaOaepSha1
                | Wrapping::AesKeyWrap
                | Wrapping::AesEcb => Verdict::Not,
            },
            Ok(Described::Nothing | Described::ContentOnly(_)) => {
                Verdict::Unknown("it has no wrapped key".to_owned())
            }
            Err(error) => Verdict::Unknown(format!("its metadata cannot be read: {error}")),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        name == self.key.arn || name == self.key.id
    }
}

/// Of a volume that is not the one at the prefix.
fn is_record(key: &str) -> bool {
    let mut names = OBJECTS.iter();
    names.any(|name| {
        let above = key
            .strip_suffix(name)
            .and_then(|key| key.strip_suffix(RESERVED_PREFIX));
        above.is_some_and(|above| above.is_empty() || above.ends_with('/'))
    })
}
