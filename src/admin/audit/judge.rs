//! Whether an object is encrypted as it must be, by what a look at it tells: pure.

use super::finding::{Finding, Flaw};
use crate::admin::inspect::{Client, FormatVersion, Looked, Native, RootKind};
use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::{ServerEncryption, StoreError};

/// How everything must be encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Required {
    /// `none`: nothing was asked for, so as the bucket's default says. `None` where that is not
    /// known: then anything that a default can be.
    Default(Option<ServerEncryption>),
    /// By the server, in this way.
    Server(ExpectedEncryption),
    /// In a client-side volume.
    Client { root: RootKind },
}

impl Required {
    /// As `--encryption` names it.
    #[must_use]
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Default(_) | Self::Server(ExpectedEncryption::BucketDefault) => "none",
            Self::Server(ExpectedEncryption::SseS3) => "sse-s3",
            Self::Server(ExpectedEncryption::SseKms { dsse: false, .. }) => "sse-kms",
            Self::Server(ExpectedEncryption::SseKms { dsse: true, .. }) => "sse-kms-dsse",
            Self::Server(ExpectedEncryption::SseC { .. }) => "sse-c",
            Self::Client { root } => root.mode(),
        }
    }

    /// Whether it is of a volume as it is required, so that the volume's key is to open it.
    pub(super) fn is_own_sealed(&self, looked: &Looked) -> bool {
        match (self, &looked.client) {
            (Self::Client { root }, Client::Native(native)) => {
                native.root == *root && native.format == FormatVersion::Known
            }
            _ => false,
        }
    }

    /// What is wrong with an object, if anything.
    pub(in crate::admin) fn judge(&self, object: &str, looked: &Looked) -> Option<Finding> {
        let (flaw, text) = match &looked.client {
            Client::Unknown(why) => (Flaw::BrokenMetadata, format!("it {why}")),
            Client::Native(native) => self.of_native(native)?,
            Client::S3ec(_) if matches!(self, Self::Client { .. }) => (
                Flaw::ForeignFormat,
                format!(
                    "it was encrypted by the Amazon S3 Encryption Client ({}), not by cloakfs, so that neither its key nor its place is checked here; written anew through a mount it becomes the volume's own",
                    looked.mode()
                ),
            ),
            // What the server does is done to the ciphertext as to anything else.
            Client::S3ec(_) | Client::None => self.of_server(&looked.info.encryption)?,
        };
        Some(Finding::of(flaw, object, looked, text))
    }

    fn of_native(&self, native: &Native) -> Option<(Flaw, String)> {
        let Self::Client { root } = self else {
            let text = format!(
                "it is an object of a client-side volume ({}), and {} is required: audit the volume with its own mode",
                native.root.mode(),
                self.mode()
            );
            return Some((Flaw::OtherMode, text));
        };
        if let FormatVersion::Other(version) = native.format {
            let text = format!(
                "it has format version {version}, and this cloakfs knows version 1: use a newer one"
            );
            return Some((Flaw::OtherFormat, text));
        }
        (native.root != *root).then(|| {
            let text = format!(
                "it is {}, and {} is required: it is of another volume",
                native.root.mode(),
                root.mode()
            );
            (Flaw::OtherMode, text)
        })
    }

    fn of_server(&self, is: &ServerEncryption) -> Option<(Flaw, String)> {
        let (matches, required) = match self {
            Self::Default(None) => (ExpectedEncryption::BucketDefault.matches(is), "none".into()),
            Self::Default(Some(default)) => (
                is_default(default, is),
                format!("what the bucket's default gives ({})", told(default)),
            ),
            Self::Server(expected) => (expected.matches(is), described(expected)),
            Self::Client { root } => (false, root.mode().to_owned()),
        };
        if matches {
            return None;
        }
        let flaw = match is {
            ServerEncryption::None => Flaw::NotEncrypted,
            is if is.mode() == self.server_mode() => Flaw::OtherKey,
            _ => Flaw::OtherMode,
        };
        let advice = match self {
            Self::Client { .. } => "copy it in through a mount, and delete it here",
            _ => "what a mount of that mode writes, renames or changes anew is under it",
        };
        let what = match flaw {
            Flaw::NotEncrypted => "it is not encrypted".to_owned(),
            _ => format!("it is {}", told(is)),
        };
        Some((
            flaw,
            format!("{what}, and required is {required}: {advice}"),
        ))
    }

    /// The mode of the server that the objects have.
    fn server_mode(&self) -> &str {
        match self {
            Self::Default(Some(default)) => default.mode(),
            required => required.mode(),
        }
    }

    /// What to say of an object that could not be looked at.
    pub(super) fn closed(&self, object: &str, error: &StoreError) -> Finding {
        if !error.lacks_customer_key() {
            let text = format!("it cannot be looked at: {error}");
            return Finding::new(Flaw::CannotLook, object, text);
        }
        let flaw = match self {
            Self::Server(ExpectedEncryption::SseC { .. }) => Flaw::OtherKey,
            _ => Flaw::OtherMode,
        };
        let text = format!(
            "it is under a customer's key (SSE-C) that is none of those given, and required is {}: give its key with --read-key-file to see more of it",
            self.describe()
        );
        Finding {
            mode: Some("sse-c".to_owned()),
            ..Finding::new(flaw, object, text)
        }
    }

    /// For a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Default(_) => "none".to_owned(),
            Self::Server(expected) => described(expected),
            Self::Client { root } => root.mode().to_owned(),
        }
    }
}

fn is_default(default: &ServerEncryption, is: &ServerEncryption) -> bool {
    let expected = match default {
        ServerEncryption::SseS3 => ExpectedEncryption::SseS3,
        ServerEncryption::SseKms { key_id, dsse, .. } => ExpectedEncryption::SseKms {
            key: key_id.clone(),
            dsse: *dsse,
        },
        other => return is == other,
    };
    expected.matches(is)
}

fn described(expected: &ExpectedEncryption) -> String {
    match expected {
        ExpectedEncryption::BucketDefault => "none".to_owned(),
        ExpectedEncryption::SseS3 => "sse-s3".to_owned(),
        ExpectedEncryption::SseKms { key, dsse } => {
            let mode = if *dsse { "sse-kms-dsse" } else { "sse-kms" };
            match key {
                Some(key) => format!("{mode} under the key {key}"),
                None => mode.to_owned(),
            }
        }
        ExpectedEncryption::SseC { key_md5 } => {
            format!("sse-c under the key with MD5 {key_md5}")
        }
    }
}

fn told(is: &ServerEncryption) -> String {
    match is {
        ServerEncryption::SseKms {
            key_id: Some(key), ..
        } => format!("{} under the key {key}", is.mode()),
        ServerEncryption::SseC { key_md5 } => format!("sse-c under the key with MD5 {key_md5}"),
        _ => is.mode().to_owned(),
    }
}
