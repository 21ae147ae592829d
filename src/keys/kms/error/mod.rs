//! From the SDK's errors to sentences: [`answer`] decides the kind and the advice, [`operation`]
//! says what was wanted.

mod answer;
mod operation;

use std::error::Error;
use std::time::Duration;

pub(super) use answer::from_sdk;
pub(super) use operation::Operation;

use super::key_name::KeyName;
use crate::aws::Endpoint;

/// What callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KmsErrorKind {
    /// There is no such key.
    NotFound,
    /// The policies of the credentials or of the key do not allow it.
    Denied,
    /// The credentials are wrong, expired or missing.
    Credentials,
    /// The key cannot be used in its state; it may be later.
    State,
    /// The key is of a kind or in a place that cannot be used, or the name is none.
    Unsuitable,
    /// What was to be unwrapped was not wrapped under this key with this encryption context.
    NotWrapped,
    /// What is to be made has a name that is taken.
    Exists,
    /// The material is not that of the key.
    OtherMaterial,
    /// Asked again until the deadline.
    Throttled,
    /// A fault of the server; asked again until the deadline.
    ServerFault,
    /// No encrypted connection, or no answer that KMS would give.
    Unreachable,
    /// The connection was refused or broke; asked again until the deadline.
    Disconnected,
    /// No answer until the deadline.
    TimedOut,
}

impl KmsErrorKind {
    /// Whether the same request may be answered a moment later.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::ServerFault | Self::Disconnected
        )
    }
}

/// A request to KMS that failed, or a key that cannot be used: a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct KmsError {
    kind: KmsErrorKind,
    message: String,
    #[source]
    source: Option<SdkWords>,
}

/// What the SDK says of a failure, behind a sentence that is whole without it: for whoever
/// looks for a cause, and not for people.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SdkWords(Box<dyn Error + Send + Sync>);

/// What a failed request was about.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub operation: Operation,
    pub key: &'a KeyName,
    pub endpoint: Endpoint,
}

impl Subject<'_> {
    fn server(&self) -> String {
        match &self.endpoint.url {
            Some(url) => format!("KMS at {url}"),
            None => format!("Amazon KMS in {}", self.endpoint.region),
        }
    }
}

impl KmsError {
    pub(super) fn new(kind: KmsErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    #[must_use]
    pub const fn kind(&self) -> KmsErrorKind {
        self.kind
    }

    /// An answer that cannot be one of KMS about this key.
    pub(super) fn bad_answer(subject: &Subject<'_>, reason: &str) -> Self {
        Self::new(
            KmsErrorKind::Unsuitable,
            format!(
                "{} {}: {reason}; check --kms-endpoint-url, since KMS does not answer so",
                subject.key,
                subject.operation.failed()
            ),
        )
    }

    pub(super) fn plain_http(endpoint: &Endpoint) -> Self {
        Self::new(
            KmsErrorKind::Unreachable,
            format!(
                "KMS would be asked over plain http at {}, where others could answer with a key of theirs: give an https:// endpoint with --kms-endpoint-url or AWS_ENDPOINT_URL_KMS",
                endpoint.describe("KMS")
            ),
        )
    }

    /// `last` is why it was still being asked.
    pub(super) fn timed_out(subject: &Subject<'_>, timeout: Duration, last: Option<Self>) -> Self {
        let (server, seconds) = (subject.server(), timeout.as_secs_f64());
        let Some(last) = last else {
            return Self::new(
                KmsErrorKind::TimedOut,
                format!(
                    "{server} did not answer about {} within {seconds} s: check the endpoint of KMS and this machine's network",
                    subject.key
                ),
            );
        };
        Self {
            message: format!("{} (asked again for {seconds} s)", last.message),
            ..last
        }
    }

    fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Some(SdkWords(Box::new(source))),
            ..self
        }
    }
}
