//! What the options of `keys import` mean together, and the way to KMS. Pure but for the working
//! directory and the clock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::admin::import::{AliasError, Target};
use crate::base::time::Timestamp;
use crate::cli::arguments::{
    AlgorithmArgument, ImportArguments, KeyArguments, KmsArguments, WrappingKeySpecArgument,
};
use crate::cli::config::{ConfigError, Connection, absolute};
use crate::cli::encryption::{self, EncryptionError, KmsKey};
use crate::crypto::wrapping::OaepHash;
use crate::keys::kms::{Expiry, ExpiryError, Wrapping, WrappingBits};

/// How KMS is reached.
#[derive(Clone, Debug)]
pub(super) struct KmsWay {
    pub connection: Connection,
    pub timeout: Duration,
}

/// An import, or a part of one.
#[derive(Debug)]
pub(super) enum ImportConfig {
    /// A key that is here.
    Key {
        kms: KmsWay,
        target: Target,
        key_file: PathBuf,
        wrapping: Wrapping,
        expiry: Expiry,
    },
    /// What was wrapped elsewhere.
    Wrapped {
        kms: KmsWay,
        target: Target,
        wrapped: PathBuf,
        token: PathBuf,
        expiry: Expiry,
    },
    /// What it takes to wrap a key elsewhere.
    Prepare {
        kms: KmsWay,
        target: Target,
        wrapping: Wrapping,
        directory: PathBuf,
    },
    /// Wrapping here what is imported elsewhere; KMS is not asked.
    Wrap {
        wrapping_key: PathBuf,
        key_file: PathBuf,
        hash: OaepHash,
        timeout: Duration,
        directory: PathBuf,
    },
}

#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum KeysError {
    #[error("--expires {0}")]
    Expires(#[from] ExpiryError),
    #[error("--alias {0}")]
    Alias(#[from] AliasError),
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    #[error(
        "the key in KMS is not named: give --alias alias/NAME, for which one is made where there is none, or --kms-key"
    )]
    NoTarget,
    #[error(
        "there is nothing to import: give your key with --key-file, or what was wrapped elsewhere with --wrapped and --token"
    )]
    NoMaterial,
    #[error("{given} needs {missing}: the wrapped key and the import token belong together")]
    HalfWrapped {
        given: &'static str,
        missing: &'static str,
    },
    #[error(
        "--wrap-only with --wrapping-key wraps your key: give the file that holds it with --key-file"
    )]
    NothingToWrap,
    #[error("{option} is not for this: {reason}; leave {option} out")]
    OutOfPlace {
        option: &'static str,
        reason: &'static str,
    },
    #[error(
        "--passphrase-fd and --new-passphrase-fd are the same descriptor: give each passphrase on one of its own"
    )]
    SameDescriptor,
    #[error(
        "the new passphrase cannot be asked for, since there is no terminal: give it with --new-passphrase-fd"
    )]
    NoNewPassphrase,
}

impl KmsWay {
    pub(super) fn from_arguments(arguments: &KmsArguments) -> Result<Self, ConfigError> {
        let keys = KeyArguments {
            kms_endpoint_url: arguments.kms_endpoint_url.clone(),
            ..KeyArguments::default()
        };
        encryption::refuse_kms_over_http(&keys)?;
        let endpoint = arguments.endpoint_url.clone();
        let kms = arguments.kms_endpoint_url.clone().or(endpoint.clone());
        Ok(Self {
            connection: Connection {
                endpoint_url: endpoint,
                kms_endpoint_url: kms,
                region: arguments.region.clone(),
                profile: arguments.profile.clone(),
                ca_bundle: arguments.ca_bundle.as_deref().map(absolute).transpose()?,
            },
            timeout: arguments.timeout,
        })
    }
}

impl ImportConfig {
    pub(super) fn from_arguments(arguments: &ImportArguments) -> Result<Self, ConfigError> {
        Self::at(arguments, Timestamp::now())
    }

    fn at(arguments: &ImportArguments, now: Timestamp) -> Result<Self, ConfigError> {
        let given = Given(arguments);
        let hash = match arguments.algorithm {
            Some(AlgorithmArgument::Sha1) => OaepHash::Sha1,
            Some(AlgorithmArgument::Sha256) | None => OaepHash::Sha256,
        };
        if arguments.wrap_only && arguments.wrapping_key.is_some() {
            return given.wrap(hash);
        }
        if arguments.wrapping_key.is_some() {
            return Err(out_of_place(
                "--wrapping-key",
                "KMS is asked for a wrapping key, and with --wrap-only no key of yours is imported",
            ));
        }
        let wrapping = Wrapping {
            hash,
            bits: match arguments.wrapping_key_spec {
                Some(WrappingKeySpecArgument::Rsa2048) => WrappingBits::Rsa2048,
                Some(WrappingKeySpecArgument::Rsa3072) => WrappingBits::Rsa3072,
                Some(WrappingKeySpecArgument::Rsa4096) | None => WrappingBits::Rsa4096,
            },
        };
        if arguments.wrap_only {
            return given.prepare(wrapping);
        }
        given.refuse(
            &[("--output", arguments.output.is_some())],
            "only --wrap-only writes files",
        )?;
        let expiry = match &arguments.expires {
            None => Expiry::Never,
            Some(text) => Expiry::parse(text, now).map_err(KeysError::from)?,
        };
        match (&arguments.wrapped, &arguments.token) {
            (Some(wrapped), Some(token)) => given.wrapped(wrapped, token, expiry),
            (Some(_), None) => Err(half("--wrapped", "--token")),
            (None, Some(_)) => Err(half("--token", "--wrapped")),
            (None, None) => given.key(wrapping, expiry),
        }
    }
}

/// What was typed.
struct Given<'a>(&'a ImportArguments);

impl Given<'_> {
    fn key(&self, wrapping: Wrapping, expiry: Expiry) -> Result<ImportConfig, ConfigError> {
        let key_file = self.0.key_file.as_deref().ok_or(KeysError::NoMaterial)?;
        Ok(ImportConfig::Key {
            target: self.target()?,
            kms: KmsWay::from_arguments(&self.0.kms)?,
            key_file: absolute(key_file)?,
            wrapping,
            expiry,
        })
    }

    fn wrapped(
        &self,
        wrapped: &Path,
        token: &Path,
        expiry: Expiry,
    ) -> Result<ImportConfig, ConfigError> {
        self.refuse(
            &[
                ("--key-file", self.0.key_file.is_some()),
                ("--algorithm", self.0.algorithm.is_some()),
                ("--wrapping-key-spec", self.0.wrapping_key_spec.is_some()),
            ],
            "with --wrapped the key was wrapped before, as the token says",
        )?;
        Ok(ImportConfig::Wrapped {
            target: self.target()?,
            kms: KmsWay::from_arguments(&self.0.kms)?,
            wrapped: absolute(wrapped)?,
            token: absolute(token)?,
            expiry,
        })
    }

    fn prepare(&self, wrapping: Wrapping) -> Result<ImportConfig, ConfigError> {
        self.refuse(
            &[("--key-file", self.0.key_file.is_some())],
            "--wrap-only without --wrapping-key writes what is needed to wrap a key elsewhere",
        )?;
        self.refuse_what_imports()?;
        Ok(ImportConfig::Prepare {
            target: self.target()?,
            kms: KmsWay::from_arguments(&self.0.kms)?,
            wrapping,
            directory: self.directory()?,
        })
    }

    fn wrap(&self, hash: OaepHash) -> Result<ImportConfig, ConfigError> {
        let wrapping_key = self.0.wrapping_key.as_deref();
        self.refuse(
            &[
                ("--alias", self.0.alias.is_some()),
                ("--kms-key", self.0.kms_key.is_some()),
                ("--wrapping-key-spec", self.0.wrapping_key_spec.is_some()),
            ],
            "--wrap-only with --wrapping-key wraps for that key and asks no KMS",
        )?;
        self.refuse_what_imports()?;
        let key_file = self.0.key_file.as_deref().ok_or(KeysError::NothingToWrap)?;
        Ok(ImportConfig::Wrap {
            wrapping_key: absolute(wrapping_key.unwrap_or_else(|| Path::new("")))?,
            key_file: absolute(key_file)?,
            hash,
            timeout: self.0.kms.timeout,
            directory: self.directory()?,
        })
    }

    fn refuse_what_imports(&self) -> Result<(), ConfigError> {
        self.refuse(
            &[
                ("--wrapped", self.0.wrapped.is_some()),
                ("--token", self.0.token.is_some()),
                ("--expires", self.0.expires.is_some()),
            ],
            "--wrap-only imports nothing",
        )
    }

    /// `options` with whether they were given.
    fn refuse(
        &self,
        options: &[(&'static str, bool)],
        reason: &'static str,
    ) -> Result<(), ConfigError> {
        match options.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err(out_of_place(option, reason)),
        }
    }

    fn target(&self) -> Result<Target, ConfigError> {
        let key = self.0.kms_key.as_deref().map(KmsKey::parse).transpose()?;
        let key = key.map(|key| key.as_str().to_owned());
        match (&self.0.alias, key) {
            (Some(alias), key) => Ok(Target::alias(alias.clone(), key).map_err(KeysError::from)?),
            (None, Some(key)) => Ok(Target::key(key)),
            (None, None) => Err(KeysError::NoTarget.into()),
        }
    }

    fn directory(&self) -> Result<PathBuf, ConfigError> {
        absolute(self.0.output.as_deref().unwrap_or_else(|| Path::new(".")))
    }
}

fn out_of_place(option: &'static str, reason: &'static str) -> ConfigError {
    KeysError::OutOfPlace { option, reason }.into()
}

fn half(given: &'static str, missing: &'static str) -> ConfigError {
    KeysError::HalfWrapped { given, missing }.into()
}
