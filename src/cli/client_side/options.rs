//! What the options of the client-side modes mean together. Looks at the terminal and at
//! descriptors, which must be taken before the process opens others, and at nothing else.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use crate::base::context::{ContextError, EncryptionContext};
use crate::cli::arguments::{EncryptionArgument, KeyArguments, MountArguments, NamesArgument};
use crate::cli::encryption::{EncryptionError, KmsKey};
use crate::keys::passphrase::{Input, PassphraseError};

/// Records that one data key seals where nobody says otherwise: a mount then makes a handful,
/// and a key that got lost opens no more.
const RECORDS_PER_DATA_KEY: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();

/// What a mount was told of sealing.
#[derive(Clone, Debug)]
pub(in crate::cli) enum ClientSide {
    /// Another mode, in which a client-side volume is not mounted.
    No(EncryptionArgument),
    /// Nothing: the volume's own mode, if it is one that a passphrase opens.
    Unstated(Input),
    Yes(Options),
}

#[derive(Clone, Debug)]
pub(in crate::cli) struct Options {
    pub root: RootSource,
    pub create: bool,
    /// Of a new volume; one that is there must have been made so.
    pub names: Option<NamesArgument>,
    pub records_per_data_key: NonZeroU64,
    /// The private key of objects of the Amazon S3 Encryption Client.
    pub s3ec_rsa_key: Option<PathBuf>,
    pub allow_legacy: bool,
}

/// Where the root comes from.
#[derive(Clone, Debug)]
pub(in crate::cli) enum RootSource {
    Kms {
        key: KmsKey,
        context: EncryptionContext,
    },
    KeyFile(PathBuf),
    Passphrase(Input),
}

#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientSideError {
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    #[error("--kms-context: {0}")]
    Context(#[from] ContextError),
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    #[error(
        "--encryption cse-kms needs a key of KMS: give --kms-key with its id, its ARN, alias/NAME or an alias's ARN"
    )]
    NoKmsKey,
    #[error(
        "--key-file and --passphrase-fd exclude each other: either of them opens the volume; leave one of them out"
    )]
    TwoKeys,
    #[error(
        "--key-file and --generate-key exclude each other: the one is a key that you have, the other a file for a new one"
    )]
    TwoKeyFiles,
    #[error(
        "--encryption {0} needs no volume: mount the source with it; a volume is made for cse-kms and cse-c"
    )]
    NothingToMake(&'static str),
    #[error("{option} is for {mode}, and {given}; leave {option} out")]
    OtherRoot {
        option: &'static str,
        mode: &'static str,
        given: &'static str,
    },
}

impl ClientSideError {
    /// Refuses keys that a root of `mode` has no use for. `generates` a key file; `given` is
    /// where the mode comes from, in a sentence.
    pub(in crate::cli) fn refuse_other_keys(
        mode: EncryptionArgument,
        keys: &KeyArguments,
        generates: bool,
        given: &'static str,
    ) -> Result<(), Self> {
        let is_kms = mode == EncryptionArgument::CseKms;
        let options = [
            ("--kms-key", true, keys.kms_key.is_some()),
            ("--kms-context", true, !keys.kms_context.is_empty()),
            ("--kms-endpoint-url", true, keys.kms_endpoint_url.is_some()),
            ("--key-file", false, keys.key_file.is_some()),
            ("--passphrase-fd", false, keys.passphrase_fd.is_some()),
            ("--generate-key", false, generates),
        ];
        let wrong = options
            .iter()
            .find(|(_, for_kms, is_given)| *is_given && *for_kms != is_kms);
        match wrong {
            None => Ok(()),
            Some((option, for_kms, _)) => Err(Self::OtherRoot {
                option,
                mode: if *for_kms { "cse-kms" } else { "cse-c" },
                given,
            }),
        }
    }
}

impl ClientSide {
    /// `absolute` is applied to every path.
    pub(in crate::cli) fn for_mount<E: From<ClientSideError>>(
        arguments: &MountArguments,
        absolute: impl Fn(&Path) -> Result<PathBuf, E>,
    ) -> Result<Self, E> {
        let mode = match arguments.encryption {
            Some(mode) if mode.is_client_side() => mode,
            Some(mode) => return Ok(Self::No(mode)),
            None => {
                let input = Input::take(arguments.keys.passphrase_fd);
                return Ok(Self::Unstated(input.map_err(ClientSideError::from)?));
            }
        };
        let asked = arguments.data_key_reuse.and_then(NonZeroU64::new);
        Ok(Self::Yes(Options {
            root: RootSource::new(mode, &arguments.keys, &absolute)?,
            create: arguments.create,
            names: arguments.names,
            records_per_data_key: asked.unwrap_or(RECORDS_PER_DATA_KEY),
            s3ec_rsa_key: arguments
                .s3ec_rsa_key
                .as_deref()
                .map(absolute)
                .transpose()?,
            allow_legacy: arguments.allow_legacy,
        }))
    }

    /// The files that keys are read from.
    pub(in crate::cli) fn key_files(&self) -> impl Iterator<Item = &Path> {
        let options = match self {
            Self::Yes(options) => Some(options),
            Self::No(_) | Self::Unstated(_) => None,
        };
        let root = options.and_then(|options| options.root.key_file());
        let rsa = options.and_then(|options| options.s3ec_rsa_key.as_deref());
        root.into_iter().chain(rsa)
    }
}

impl Options {
    /// Of a volume whose own mode is taken.
    pub(super) fn of_own_mode(input: &Input) -> Self {
        Self {
            root: RootSource::Passphrase(input.clone()),
            create: false,
            names: None,
            records_per_data_key: RECORDS_PER_DATA_KEY,
            s3ec_rsa_key: None,
            allow_legacy: false,
        }
    }
}

impl RootSource {
    /// `mode` is one of the client-side ones.
    pub(in crate::cli) fn new<E: From<ClientSideError>>(
        mode: EncryptionArgument,
        keys: &KeyArguments,
        absolute: impl Fn(&Path) -> Result<PathBuf, E>,
    ) -> Result<Self, E> {
        if mode == EncryptionArgument::CseKms {
            return Ok(Self::kms(keys)?);
        }
        match (&keys.key_file, keys.passphrase_fd) {
            (Some(_), Some(_)) => Err(ClientSideError::TwoKeys.into()),
            (Some(path), None) => Ok(Self::KeyFile(absolute(path)?)),
            (None, descriptor) => {
                let input = Input::take(descriptor).map_err(ClientSideError::from)?;
                Ok(Self::Passphrase(input))
            }
        }
    }

    fn kms(keys: &KeyArguments) -> Result<Self, ClientSideError> {
        let key = keys.kms_key.as_deref().ok_or(ClientSideError::NoKmsKey)?;
        let context = EncryptionContext::parse(&keys.kms_context)?;
        // That there is room for the volume's id.
        context.for_volume(&[0; 16])?;
        Ok(Self::Kms {
            key: KmsKey::parse(key)?,
            context,
        })
    }

    /// As `--encryption` names it.
    pub(in crate::cli) const fn mode(&self) -> &'static str {
        match self {
            Self::Kms { .. } => "cse-kms",
            Self::KeyFile(_) | Self::Passphrase(_) => "cse-c",
        }
    }

    pub(in crate::cli) fn key_file(&self) -> Option<&Path> {
        match self {
            Self::KeyFile(path) => Some(path),
            Self::Kms { .. } | Self::Passphrase(_) => None,
        }
    }
}
