//! From the SDK's errors to sentences: one table decides the kind, one the advice.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::key_name::KeyName;
use crate::aws::{CredentialsFault, Endpoint, Interrupted, Unreachable, unreachable};

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
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What is asked of KMS; the name of the permission that it needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    DescribeKey,
    GenerateDataKey,
    Decrypt,
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::DescribeKey => "DescribeKey",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::Decrypt => "Decrypt",
        }
    }

    /// What is wrong with such a request is wrong with the key's name.
    const fn is_about_name_alone(self) -> bool {
        matches!(self, Self::DescribeKey)
    }

    /// What follows the key's name in a sentence.
    const fn failed(self) -> &'static str {
        match self {
            Self::DescribeKey => "cannot be looked at",
            Self::GenerateDataKey => "gives no data key",
            Self::Decrypt => "does not unwrap the data key",
        }
    }
}

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
            source: Some(Box::new(source)),
            ..self
        }
    }
}

/// Turns a failed request into a sentence.
pub(super) fn from_sdk<E>(subject: &Subject<'_>, error: SdkError<E, HttpResponse>) -> KmsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let failed = match &error {
        SdkError::ServiceError(service) => {
            let meta = service.err();
            let status = service.raw().status().as_u16();
            from_answer(subject, status, meta.code(), meta.message())
        }
        SdkError::ResponseError(response) => match unreachable::find::<Interrupted>(&error) {
            Some(broken) => KmsError::new(
                KmsErrorKind::Disconnected,
                about(subject, &broken.to_string()),
            ),
            None => from_answer(subject, response.raw().status().as_u16(), None, None),
        },
        _ => without_answer(subject, &error),
    };
    failed.with_source(error)
}

/// By KMS's own code where there is one ("Common errors" in its API reference).
fn from_answer(
    subject: &Subject<'_>,
    status: u16,
    code: Option<&str>,
    words: Option<&str>,
) -> KmsError {
    let (key, server) = (subject.key, subject.server());
    let failed = subject.operation.failed();
    let words = words.map_or_else(
        || format!("the answer was {status}"),
        |words| words.trim_end_matches('.').to_owned(),
    );
    let (kind, message) = match code {
        Some("NotFoundException") => {
            let advice = match () {
                () if key.is_alias() => "check the alias and its region",
                () if key.arn().is_some() || key.looks_like_id() => {
                    "check the key, its account and its region"
                }
                () => "check its id, and write an alias as alias/NAME",
            };
            (
                KmsErrorKind::NotFound,
                format!("{key} is not known to {server}: {advice}"),
            )
        }
        Some("DisabledException") => (
            KmsErrorKind::State,
            format!("{key} is disabled: enable it with `aws kms enable-key`"),
        ),
        Some("KMSInvalidStateException" | "KeyUnavailableException") => (
            KmsErrorKind::State,
            format!(
                "{key} {failed}, since its state does not allow it ({words}): look at it with `aws kms describe-key`, cancel its deletion, import its material or connect its key store"
            ),
        ),
        Some("InvalidKeyUsageException") => (
            KmsErrorKind::Unsuitable,
            format!("{key} {failed}, since it is of another kind ({words}): give a symmetric key"),
        ),
        Some("IncorrectKeyException") => (
            KmsErrorKind::NotWrapped,
            format!("{key} {failed}: it was wrapped under another key"),
        ),
        Some("InvalidCiphertextException") => (
            KmsErrorKind::NotWrapped,
            format!(
                "{key} {failed}: it was wrapped with another encryption context, or is none of KMS"
            ),
        ),
        // Of a request with anything but the key's name in it, that need not be what is wrong.
        Some("InvalidArnException") => unnamed(key, &words),
        Some("ValidationException") if subject.operation.is_about_name_alone() => {
            unnamed(key, &words)
        }
        Some("AccessDeniedException" | "AccessDenied") => (
            KmsErrorKind::Denied,
            format!(
                "{key} {failed}, since {server} denies it ({words}): allow kms:{} to these credentials, in the key's policy too",
                subject.operation.name()
            ),
        ),
        Some(code) if credentials_advice(code).is_some() => (
            KmsErrorKind::Credentials,
            format!(
                "{server} does not accept the AWS credentials ({words}): {}",
                credentials_advice(code).unwrap_or_default()
            ),
        ),
        Some(
            "ThrottlingException"
            | "Throttling"
            | "LimitExceededException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "SlowDown",
        ) => throttled(subject, &words),
        _ if status == 429 => throttled(subject, &words),
        Some("DependencyTimeoutException" | "KMSInternalException" | "InternalFailure") => {
            server_fault(subject, &words)
        }
        _ if status >= 500 => server_fault(subject, &words),
        code => {
            let reason = match code {
                Some(code) => format!("{server} answered {code}: {words}"),
                None => format!("{server} gives no answer of KMS ({words})"),
            };
            let reason = format!("{reason}; check the endpoint that --kms-endpoint-url names");
            (KmsErrorKind::Unreachable, about(subject, &reason))
        }
    };
    KmsError::new(kind, message)
}

fn unnamed(key: &KeyName, words: &str) -> (KmsErrorKind, String) {
    let sentence = format!(
        "{key} is not a name that KMS takes ({words}): give a key's id or ARN, or an alias as alias/NAME"
    );
    (KmsErrorKind::Unsuitable, sentence)
}

fn throttled(subject: &Subject<'_>, words: &str) -> (KmsErrorKind, String) {
    let reason = format!(
        "{} throttles this account's requests ({words}): try again later, or raise its quota of requests",
        subject.server()
    );
    (KmsErrorKind::Throttled, about(subject, &reason))
}

fn server_fault(subject: &Subject<'_>, words: &str) -> (KmsErrorKind, String) {
    let reason = format!("{} has a fault of its own ({words})", subject.server());
    (KmsErrorKind::ServerFault, about(subject, &reason))
}

fn credentials_advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "UnrecognizedClientException" | "InvalidClientTokenId" => {
            "check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN or the profile, and that they belong to this endpoint"
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            "check AWS_SECRET_ACCESS_KEY or the profile, and this machine's clock"
        }
        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
            "renew them (for SSO with `aws sso login`), and check this machine's clock"
        }
        "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => {
            "check the profile, and that the endpoint is one of KMS"
        }
        "OptInRequired" => "this account must be enabled for KMS in this region",
        _ => return None,
    })
}

/// No HTTP answer: the connection, the credentials, or the request itself.
fn without_answer(subject: &Subject<'_>, error: &(dyn Error + 'static)) -> KmsError {
    if let Some(reason) = unreachable::find::<Unreachable>(error) {
        // At mount, a wrong endpoint is to be told at once.
        let is_wrong = subject.operation.is_about_name_alone()
            && matches!(
                reason,
                Unreachable::Refused { .. } | Unreachable::Name { .. }
            );
        let kind = if is_wrong || reason.is_about_tls() {
            KmsErrorKind::Unreachable
        } else {
            KmsErrorKind::Disconnected
        };
        let reason = format!("KMS cannot be asked: {reason}");
        return KmsError::new(kind, about(subject, &reason));
    }
    if let Some(reason) = unreachable::find::<CredentialsError>(error) {
        let reason = CredentialsFault::of(reason).to_string();
        return KmsError::new(KmsErrorKind::Credentials, about(subject, &reason));
    }
    let reason = unreachable::chain(error)
        .last()
        .map_or_else(String::new, ToString::to_string);
    let reason = format!("the request to KMS could not be made: {reason}");
    KmsError::new(KmsErrorKind::Unreachable, about(subject, &reason))
}

/// For reasons that do not name the key themselves.
fn about(subject: &Subject<'_>, reason: &str) -> String {
    format!("{} {}: {reason}", subject.key, subject.operation.failed())
}
