//! Where the objects are, and the way there.

use std::path::PathBuf;

use super::{ConfigError, absolute};
use crate::cli::arguments::{
    ConnectionArguments, EncryptionArgument, KeyArguments, MountArguments,
};
use crate::cli::encryption::{self, Encryption};
use crate::cli::source::{S3Location, Source};

#[derive(Clone, Debug)]
pub(in crate::cli) enum StoreConfig {
    /// It knows no server-side encryption.
    Dir(DirSettings),
    S3(Box<S3Settings>),
}

#[derive(Clone, Debug)]
pub(in crate::cli) struct DirSettings {
    /// Absolute.
    pub path: PathBuf,
    /// The way to KMS, which has nothing to do with the store.
    pub kms: Connection,
}

/// What is given about the way to AWS.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Connection {
    pub endpoint_url: Option<String>,
    pub kms_endpoint_url: Option<String>,
    pub region: Option<String>,
    pub profile: Option<String>,
    pub ca_bundle: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(in crate::cli) struct S3Settings {
    pub location: S3Location,
    pub encryption: Encryption,
    pub connection: Connection,
    pub path_style: bool,
}

impl StoreConfig {
    pub(in crate::cli) fn for_mount(
        source: Source,
        arguments: &MountArguments,
    ) -> Result<Self, ConfigError> {
        match source {
            Source::S3(location) => {
                let encryption = Encryption::new(arguments, absolute)?;
                let (connection, keys) = (&arguments.connection, &arguments.keys);
                Self::s3(location, encryption, connection, keys)
            }
            Source::Dir(path) => {
                let store = || Source::Dir(path.clone()).to_string();
                if let Some(mode) = arguments.encryption
                    && mode != EncryptionArgument::None
                    && !mode.is_client_side()
                {
                    return Err(ConfigError::ServerSideOnDir {
                        mode: mode.name(),
                        store: store(),
                    });
                }
                encryption::refuse_what_is_of_another_mode(arguments, true)?;
                if !arguments.read_key_file.is_empty() {
                    return Err(ConfigError::S3OptionOnDir {
                        option: "--read-key-file",
                        store: store(),
                    });
                }
                let asks_kms = arguments.encryption == Some(EncryptionArgument::CseKms);
                Self::dir(path, asks_kms, &arguments.connection, &arguments.keys)
            }
        }
    }

    /// For what is sealed here, if anything is.
    pub(in crate::cli) fn for_client_side(
        source: Source,
        asks_kms: bool,
        connection: &ConnectionArguments,
        keys: &KeyArguments,
    ) -> Result<Self, ConfigError> {
        match source {
            Source::S3(location) => Self::s3(location, Encryption::NONE, connection, keys),
            Source::Dir(path) => Self::dir(path, asks_kms, connection, keys),
        }
    }

    fn s3(
        location: S3Location,
        encryption: Encryption,
        connection: &ConnectionArguments,
        keys: &KeyArguments,
    ) -> Result<Self, ConfigError> {
        Ok(Self::S3(Box::new(S3Settings {
            location,
            encryption,
            connection: Connection::new(connection, keys)?,
            path_style: connection.path_style,
        })))
    }

    fn dir(
        path: PathBuf,
        asks_kms: bool,
        connection: &ConnectionArguments,
        keys: &KeyArguments,
    ) -> Result<Self, ConfigError> {
        // A directory has no server, but KMS is one.
        let s3_options = [
            ("--endpoint-url", connection.endpoint_url.is_some()),
            ("--path-style", connection.path_style),
            ("--region", !asks_kms && connection.region.is_some()),
            ("--profile", !asks_kms && connection.profile.is_some()),
            ("--ca-bundle", !asks_kms && connection.ca_bundle.is_some()),
        ];
        if let Some((option, _)) = s3_options.iter().find(|(_, given)| *given) {
            return Err(ConfigError::S3OptionOnDir {
                option,
                store: Source::Dir(path).to_string(),
            });
        }
        encryption::refuse_kms_over_http(keys)?;
        Ok(Self::Dir(DirSettings {
            path: absolute(&path)?,
            kms: Connection::new(connection, keys)?,
        }))
    }

    pub(in crate::cli) fn connection(&self) -> &Connection {
        match self {
            Self::Dir(settings) => &settings.kms,
            Self::S3(settings) => &settings.connection,
        }
    }

    /// As it appears in the mount table and in status.
    pub(in crate::cli) fn describe(&self) -> String {
        match self {
            Self::Dir(settings) => Source::Dir(settings.path.clone()).to_string(),
            Self::S3(settings) => Source::S3(settings.location.clone()).to_string(),
        }
    }
}

impl Connection {
    fn new(connection: &ConnectionArguments, keys: &KeyArguments) -> Result<Self, ConfigError> {
        Ok(Self {
            endpoint_url: connection.endpoint_url.clone(),
            kms_endpoint_url: keys.kms_endpoint_url.clone(),
            region: connection.region.clone(),
            profile: connection.profile.clone(),
            ca_bundle: connection.ca_bundle.as_deref().map(absolute).transpose()?,
        })
    }
}
