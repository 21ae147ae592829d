//! What the options of encryption mean together. Pure but for the working directory.
//!
//! A mode holds exactly what belongs to it, so an option of another mode has no place to go and
//! is refused.

use std::path::{Path, PathBuf};

use super::arguments::{EncryptionArgument, KeyArguments, MountArguments};
use crate::aws::Endpoint;
use crate::base::context::{ContextError, EncryptionContext};

/// What the server is asked to do, and what it takes to read what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encryption {
    pub mode: ServerSide,
    /// Keys (SSE-C) that older objects may be under.
    pub read_key_files: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerSide {
    BucketDefault,
    SseS3,
    SseKms(SseKms),
    SseC { key_file: PathBuf },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SseKms {
    /// `None`: the AWS managed key of S3.
    pub key: Option<KmsKey>,
    pub context: Option<EncryptionContext>,
    pub layers: Layers,
}

/// S3 has no bucket keys for two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layers {
    One { bucket_key: bool },
    Two,
}

/// How a key of KMS is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KmsKey {
    /// `alias/NAME` or its ARN, which only KMS can turn into a key.
    Alias(String),
    /// An id or an ARN.
    Itself(String),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EncryptionError {
    #[error(
        "{option} is for --encryption {modes}, and {given}; {}leave {option} out", modes.advice()
    )]
    OtherMode {
        option: &'static str,
        modes: Modes,
        given: Given,
    },
    #[error(
        "--read-key-file has keys that the server reads older objects with (SSE-C), and {0}; leave it out"
    )]
    ServersKeys(Given),
    #[error(
        "--encryption sse-c needs your key: give --key-file FILE; a new one is made with: cloakfs keys generate FILE"
    )]
    NoKeyFile,
    #[error(
        "--bucket-key and --dsse exclude each other: S3 has no bucket keys for two layers of encryption; leave one of them out"
    )]
    BucketKeyForTwoLayers,
    #[error("--kms-context: {0}")]
    Context(#[from] ContextError),
    #[error(
        "--kms-key \"{0}\" is not the name of a key: write its id, its ARN, alias/NAME or an alias's ARN"
    )]
    Key(String),
    #[error(
        "{option} makes S3 demand an encrypted connection, and {endpoint} is plain http; give an endpoint with https://"
    )]
    PlainHttp {
        option: &'static str,
        endpoint: String,
    },
    #[error(
        "--kms-endpoint-url {0} is plain http, where others could answer with a key of theirs; give an endpoint with https://, or one on this machine"
    )]
    KmsOverHttp(String),
    #[error(
        "{option} sends a key with requests, and {endpoint} is plain http, where others could read it; give an endpoint with https://"
    )]
    KeyOverHttp {
        option: &'static str,
        endpoint: String,
    },
}

/// The mode that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given(Option<EncryptionArgument>);

impl std::fmt::Display for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("no mode was given"),
            Some(mode) => write!(f, "the mode is {}", mode.name()),
        }
    }
}

/// The modes that an option is for; there may be none here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Modes(Vec<EncryptionArgument>);

impl Modes {
    fn advice(&self) -> String {
        match self.0.as_slice() {
            [] => String::new(),
            [mode] => format!("give --encryption {}, or ", mode.name()),
            _ => "give one of them, or ".to_owned(),
        }
    }
}

impl std::fmt::Display for Modes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.0.iter().map(|mode| mode.name()).collect();
        match names.as_slice() {
            [] => f.write_str("sse-kms"),
            names => f.write_str(&names.join(" and ")),
        }
    }
}

impl Encryption {
    /// Nothing is asked of the server.
    pub(super) const NONE: Self = Self {
        mode: ServerSide::BucketDefault,
        read_key_files: Vec::new(),
    };

    /// `absolute` is applied to every path.
    pub(super) fn new<E: From<EncryptionError>>(
        arguments: &MountArguments,
        absolute: impl Fn(&Path) -> Result<PathBuf, E>,
    ) -> Result<Self, E> {
        refuse_what_is_of_another_mode(arguments, false)?;
        refuse_plain_http(arguments)?;
        let mode = match arguments.encryption {
            // What is sealed here needs nothing of the server.
            None
            | Some(
                EncryptionArgument::None | EncryptionArgument::CseKms | EncryptionArgument::CseC,
            ) => ServerSide::BucketDefault,
            Some(EncryptionArgument::SseS3) => ServerSide::SseS3,
            Some(EncryptionArgument::SseKms) => ServerSide::SseKms(SseKms::new(arguments)?),
            Some(EncryptionArgument::SseC) => ServerSide::SseC {
                key_file: absolute(
                    arguments
                        .keys
                        .key_file
                        .as_deref()
                        .ok_or(EncryptionError::NoKeyFile)?,
                )?,
            },
        };
        let read_key_files = arguments.read_key_file.iter().map(|path| absolute(path));
        Ok(Self {
            mode,
            read_key_files: read_key_files.collect::<Result<_, _>>()?,
        })
    }

    /// Every file that the mount reads keys from.
    pub(super) fn key_files(&self) -> impl Iterator<Item = &Path> {
        let own = match &self.mode {
            ServerSide::SseC { key_file } => Some(key_file),
            _ => None,
        };
        own.into_iter()
            .chain(&self.read_key_files)
            .map(PathBuf::as_path)
    }
}

impl SseKms {
    fn new(arguments: &MountArguments) -> Result<Self, EncryptionError> {
        let layers = match (arguments.bucket_key, arguments.dsse) {
            (true, true) => return Err(EncryptionError::BucketKeyForTwoLayers),
            (bucket_key, false) => Layers::One { bucket_key },
            (false, true) => Layers::Two,
        };
        let context = EncryptionContext::parse(&arguments.keys.kms_context)?;
        Ok(Self {
            key: arguments
                .keys
                .kms_key
                .as_deref()
                .map(KmsKey::parse)
                .transpose()?,
            context: Some(context).filter(|context| !context.is_empty()),
            layers,
        })
    }
}

impl KmsKey {
    pub(super) fn parse(text: &str) -> Result<Self, EncryptionError> {
        // A header must hold it, and a volume record.
        if text.is_empty() || text.len() > 2048 || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(EncryptionError::Key(text.to_owned()));
        }
        // arn:PARTITION:kms:REGION:ACCOUNT:alias/NAME
        let resource = match text.strip_prefix("arn:") {
            Some(rest) => rest.splitn(5, ':').nth(4).unwrap_or_default(),
            None => text,
        };
        Ok(match resource.strip_prefix("alias/") {
            Some("") => return Err(EncryptionError::Key(text.to_owned())),
            Some(_) => Self::Alias(text.to_owned()),
            None => Self::Itself(text.to_owned()),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Alias(name) | Self::Itself(name) => name,
        }
    }
}

/// What of the arguments is for some modes alone. A store that is a directory has no modes of a
/// server.
pub(super) fn refuse_what_is_of_another_mode(
    arguments: &MountArguments,
    is_dir: bool,
) -> Result<(), EncryptionError> {
    use EncryptionArgument::{CseC, CseKms, None as Plain, SseC, SseKms, SseS3};
    const SERVER: &[EncryptionArgument] = &[Plain, SseS3, SseKms, SseC];
    let keys = &arguments.keys;
    let given = arguments.encryption;
    let options: [(_, &'static [_], _); 12] = [
        ("--kms-key", &[SseKms, CseKms], keys.kms_key.is_some()),
        (
            "--kms-context",
            &[SseKms, CseKms],
            !keys.kms_context.is_empty(),
        ),
        ("--bucket-key", &[SseKms], arguments.bucket_key),
        ("--dsse", &[SseKms], arguments.dsse),
        (
            "--kms-endpoint-url",
            &[SseKms, CseKms],
            keys.kms_endpoint_url.is_some(),
        ),
        ("--key-file", &[SseC, CseC], keys.key_file.is_some()),
        // A volume's own mode is taken where none is given.
        (
            "--passphrase-fd",
            &[CseC],
            keys.passphrase_fd.is_some() && given.is_some(),
        ),
        ("--create", &[CseKms, CseC], arguments.create),
        ("--names", &[CseKms, CseC], arguments.names.is_some()),
        (
            "--data-key-reuse",
            &[CseKms, CseC],
            arguments.data_key_reuse.is_some(),
        ),
        (
            "--s3ec-rsa-key",
            &[CseKms, CseC],
            arguments.s3ec_rsa_key.is_some(),
        ),
        ("--allow-legacy", &[CseKms, CseC], arguments.allow_legacy),
    ];
    let is_right = |modes: &[_]| given.is_some_and(|given| modes.contains(&given));
    let wrong = options
        .iter()
        .find(|(_, modes, is_given)| *is_given && !is_right(modes));
    if let Some((option, modes, _)) = wrong {
        let possible = |mode: &&EncryptionArgument| !is_dir || mode.is_client_side();
        return Err(EncryptionError::OtherMode {
            option,
            modes: Modes(modes.iter().filter(possible).copied().collect()),
            given: Given(given),
        });
    }
    if !arguments.read_key_file.is_empty() && given.is_some_and(|mode| !SERVER.contains(&mode)) {
        return Err(EncryptionError::ServersKeys(Given(given)));
    }
    Ok(())
}

/// Early, where the endpoint is on the command line; wherever it comes from, the store and
/// `keys::kms` refuse too, before a key leaves the process or is asked for.
fn refuse_plain_http(arguments: &MountArguments) -> Result<(), EncryptionError> {
    refuse_kms_over_http(&arguments.keys)?;
    let endpoint = arguments.connection.endpoint_url.as_ref();
    let Some(endpoint) = endpoint.filter(|url| is_http(url)).cloned() else {
        return Ok(());
    };
    match arguments.encryption {
        Some(EncryptionArgument::SseC) => Err(EncryptionError::KeyOverHttp {
            option: "--encryption sse-c",
            endpoint,
        }),
        Some(EncryptionArgument::SseKms) => Err(EncryptionError::PlainHttp {
            option: "--encryption sse-kms",
            endpoint,
        }),
        _ if !arguments.read_key_file.is_empty() => Err(EncryptionError::KeyOverHttp {
            option: "--read-key-file",
            endpoint,
        }),
        _ => Ok(()),
    }
}

pub(super) fn refuse_kms_over_http(keys: &KeyArguments) -> Result<(), EncryptionError> {
    let is_near = |url: &str| {
        let kms = Endpoint {
            url: Some(url.to_owned()),
            region: String::new(),
        };
        kms.is_loopback()
    };
    match &keys.kms_endpoint_url {
        Some(url) if is_http(url) && !is_near(url) => {
            Err(EncryptionError::KmsOverHttp(url.clone()))
        }
        _ => Ok(()),
    }
}

fn is_http(url: &str) -> bool {
    url.get(..7)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
}

#[cfg(test)]
mod tests;
