//! What the arguments of `policy` mean.

use std::time::Duration;

use super::super::arguments::{
    BucketPolicyArguments, DefaultEncryptionArguments, EncryptionArgument, IamPolicyArguments,
    KeyPolicyArguments, MountArguments, PolicyCommand, PutArguments, RequireArgument,
    SubjectArguments,
};
use super::super::client_side::ClientSideError;
use super::super::config::{ConfigError, Connection, absolute};
use super::super::encryption::{
    EncryptionError, KmsKey, refuse_kms_over_http, refuse_what_is_of_another_mode,
};
use super::super::source::{S3Location, Source};
use crate::admin::policy::bucket::Requirement;
use crate::admin::policy::iam::Use;
use crate::base::context::EncryptionContext;

/// A policy that is asked for.
#[derive(Debug)]
pub(in crate::cli) struct PolicyConfig {
    pub subject: Subject,
    pub kind: Kind,
}

#[derive(Debug)]
pub(in crate::cli) enum Kind {
    Bucket {
        /// `None`: all that the mode satisfies.
        require: Option<Vec<Requirement>>,
        put: Put,
    },
    DefaultEncryption {
        put: Put,
    },
    Iam {
        how: Use,
    },
    KmsKey {
        principals: Vec<String>,
        read_only: bool,
        put: Put,
    },
}

impl Kind {
    /// Whether something is put into the bucket or tried there.
    pub(super) const fn asks_the_bucket(&self) -> bool {
        match self {
            Self::Bucket { put, .. } | Self::DefaultEncryption { put } => put.apply || put.verify,
            Self::Iam { .. } | Self::KmsKey { .. } => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Put {
    pub apply: bool,
    pub yes: bool,
    pub verify: bool,
    pub json: bool,
}

/// What is mounted.
#[derive(Debug)]
pub(in crate::cli) struct Subject {
    pub location: S3Location,
    pub mode: EncryptionArgument,
    pub key: Option<KmsKey>,
    pub context: EncryptionContext,
    pub bucket_key: bool,
    pub dsse: bool,
    pub volume: Option<String>,
    pub connection: Connection,
    pub path_style: bool,
    pub timeout: Duration,
}

/// What makes no sense in a policy. Each is a sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum PolicyError {
    #[error("policies are of buckets, and {0} is a local directory: write s3://BUCKET[/PREFIX]")]
    Directory(String),
    #[error(
        "--require {require} would deny every upload of a mount with --encryption {mode}: leave it out, or name the mode that is mounted"
    )]
    DeniesTheMode {
        require: &'static str,
        mode: &'static str,
    },
    #[error("--require kms-key needs the key: give --kms-key with its ARN")]
    NoKeyToRequire,
    #[error(
        "the policy of a KMS key is for --encryption sse-kms and cse-kms, with the key in --kms-key"
    )]
    NoKey,
    #[error(
        "--volume {0:?} is not the id of a volume, which has 32 hexadecimal digits: `cloakfs status` shows it"
    )]
    Volume(String),
    #[error("--volume is for --encryption cse-kms; leave it out")]
    VolumeOfOtherMode,
    #[error(
        "--principal {0:?} is not the ARN of a user or role: write arn:aws:iam::ACCOUNT:user/NAME or arn:aws:iam::ACCOUNT:role/NAME"
    )]
    Principal(String),
}

impl PolicyConfig {
    pub(in crate::cli) fn from_command(command: &PolicyCommand) -> Result<Self, ConfigError> {
        match command {
            PolicyCommand::Bucket(arguments) => Self::bucket(arguments),
            PolicyCommand::Iam(arguments) => Self::iam(arguments),
            PolicyCommand::KmsKey(arguments) => Self::kms_key(arguments),
            PolicyCommand::DefaultEncryption(DefaultEncryptionArguments { subject, put }) => {
                Ok(Self {
                    subject: Subject::new(subject, None)?,
                    kind: Kind::DefaultEncryption { put: put.into() },
                })
            }
        }
    }

    fn bucket(arguments: &BucketPolicyArguments) -> Result<Self, ConfigError> {
        let subject = Subject::new(&arguments.subject, None)?;
        let require = &arguments.require;
        let wanted: Result<Vec<_>, _> = require
            .iter()
            .map(|require| requirement(*require, &subject))
            .collect();
        let require = Some(wanted?).filter(|wanted| !wanted.is_empty());
        let put = (&arguments.put).into();
        let kind = Kind::Bucket { require, put };
        Ok(Self { subject, kind })
    }

    fn iam(arguments: &IamPolicyArguments) -> Result<Self, ConfigError> {
        let subject = Subject::new(&arguments.subject, arguments.volume.as_deref())?;
        if subject.mode == EncryptionArgument::CseKms && subject.key.is_none() {
            return Err(ClientSideError::NoKmsKey.into());
        }
        let how = Use {
            read_only: arguments.read_only,
            versioned: arguments.versioned,
        };
        let kind = Kind::Iam { how };
        Ok(Self { subject, kind })
    }

    fn kms_key(arguments: &KeyPolicyArguments) -> Result<Self, ConfigError> {
        let subject = Subject::new(&arguments.subject, arguments.volume.as_deref())?;
        if subject.key.is_none() {
            return Err(PolicyError::NoKey.into());
        }
        let principals = arguments.principal.clone();
        if let Some(wrong) = principals.iter().find(|arn| !is_principal(arn)) {
            return Err(PolicyError::Principal(wrong.clone()).into());
        }
        let kind = Kind::KmsKey {
            principals,
            read_only: arguments.read_only,
            put: Put {
                apply: arguments.apply,
                yes: arguments.yes,
                verify: false,
                json: arguments.json,
            },
        };
        Ok(Self { subject, kind })
    }
}

impl Subject {
    fn new(arguments: &SubjectArguments, volume: Option<&str>) -> Result<Self, ConfigError> {
        let location = match Source::parse(&arguments.source)? {
            Source::S3(location) => location,
            directory @ Source::Dir(_) => {
                return Err(PolicyError::Directory(directory.to_string()).into());
            }
        };
        let mount = as_mounted(arguments);
        refuse_what_is_of_another_mode(&mount, false)?;
        refuse_kms_over_http(&mount.keys)?;
        if arguments.bucket_key && arguments.dsse {
            return Err(EncryptionError::BucketKeyForTwoLayers.into());
        }
        let connection = &arguments.connection;
        let mode = arguments.encryption;
        let volume = volume.map(|id| match mode {
            EncryptionArgument::CseKms if is_volume(id) => Ok(id.to_ascii_lowercase()),
            EncryptionArgument::CseKms => Err(PolicyError::Volume(id.to_owned())),
            _ => Err(PolicyError::VolumeOfOtherMode),
        });
        Ok(Self {
            location,
            mode,
            key: arguments
                .kms_key
                .as_deref()
                .map(KmsKey::parse)
                .transpose()?,
            context: EncryptionContext::parse(&arguments.kms_context)
                .map_err(EncryptionError::from)?,
            bucket_key: arguments.bucket_key,
            dsse: arguments.dsse,
            volume: volume.transpose()?,
            connection: Connection {
                endpoint_url: connection.endpoint_url.clone(),
                kms_endpoint_url: arguments.kms_endpoint_url.clone(),
                region: connection.region.clone(),
                profile: connection.profile.clone(),
                ca_bundle: connection.ca_bundle.as_deref().map(absolute).transpose()?,
            },
            path_style: connection.path_style,
            timeout: arguments.timeout,
        })
    }
}

/// The same as options of a mount, for the rules that they have in common.
fn as_mounted(arguments: &SubjectArguments) -> MountArguments {
    let mut mount =
        MountArguments::of_source(&arguments.source).expect("a source alone can be mounted");
    mount.encryption = Some(arguments.encryption);
    mount.keys.kms_key.clone_from(&arguments.kms_key);
    mount.keys.kms_context.clone_from(&arguments.kms_context);
    let endpoint = &arguments.kms_endpoint_url;
    mount.keys.kms_endpoint_url.clone_from(endpoint);
    mount.bucket_key = arguments.bucket_key;
    mount.dsse = arguments.dsse;
    mount
}

/// What is required must be what a mount of the mode does.
fn requirement(require: RequireArgument, subject: &Subject) -> Result<Requirement, PolicyError> {
    use EncryptionArgument as Mode;
    let mode = subject.mode;
    let of_modes = |modes: &[Mode], requirement| {
        if modes.contains(&mode) {
            return Ok(requirement);
        }
        Err(PolicyError::DeniesTheMode {
            require: require.name(),
            mode: mode.name(),
        })
    };
    match require {
        RequireArgument::Tls => Ok(Requirement::Tls),
        RequireArgument::SseS3 => of_modes(&[Mode::SseS3], Requirement::Mode),
        RequireArgument::SseKms => of_modes(&[Mode::SseKms], Requirement::Mode),
        RequireArgument::SseC => of_modes(&[Mode::SseC], Requirement::Mode),
        RequireArgument::KmsKey => {
            let required = of_modes(&[Mode::SseKms], Requirement::Key)?;
            match subject.key {
                Some(_) => Ok(required),
                None => Err(PolicyError::NoKeyToRequire),
            }
        }
        RequireArgument::Encrypted => of_modes(
            &[Mode::SseS3, Mode::SseKms, Mode::SseC],
            Requirement::Encrypted,
        ),
    }
}

fn is_volume(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `arn:PARTITION:iam::ACCOUNT:user/NAME` or `…:role/NAME`.
fn is_principal(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, "iam", "", account, resource] => {
            let named = |kind: &str| {
                let name = resource.strip_prefix(kind);
                name.is_some_and(|name| !name.is_empty())
            };
            let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            is_account && (named("user/") || named("role/"))
        }
        _ => false,
    }
}

impl From<&PutArguments> for Put {
    fn from(arguments: &PutArguments) -> Self {
        let PutArguments {
            apply,
            yes,
            verify,
            json,
        } = *arguments;
        Self {
            apply,
            yes,
            verify,
            json,
        }
    }
}
