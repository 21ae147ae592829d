//! One table from what KMS answers, or does not answer, to a kind and a sentence.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::operation::Operation;
use super::{KmsError, KmsErrorKind, Subject};
use crate::aws::{CredentialsFault, Interrupted, Unreachable, unreachable};
use crate::keys::kms::key_name::KeyName;

/// Turns a failed request into a sentence.
pub(in crate::keys::kms) fn from_sdk<E>(
    subject: &Subject<'_>,
    error: SdkError<E, HttpResponse>,
) -> KmsError
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
    let special = of_import(subject, code, &words)
        .or_else(|| of_making(subject, code, &words))
        .or_else(|| of_policy(subject, code, &words));
    if let Some((kind, message)) = special {
        return KmsError::new(kind, message);
    }
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
        Some("KMSInvalidStateException") => (
            KmsErrorKind::State,
            format!(
                "{key} {failed}, since its state does not allow it ({words}): look at it with `aws kms describe-key`, cancel its deletion, import its material or connect its key store"
            ),
        ),
        Some("KeyUnavailableException") => (
            KmsErrorKind::State,
            format!(
                "{key} {failed}, since it is not available at the moment ({words}): try again, and connect its key store if it is in one of yours"
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
                "{key} {failed}, since {server} denies it ({words}): allow kms:{} to these credentials{}",
                subject.operation.name(),
                if subject.operation.has_a_key() {
                    ", in the key's policy too"
                } else {
                    ""
                }
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
        // What a server does not know it does not know later.
        _ if status == 501 => (
            KmsErrorKind::Unsuitable,
            about(
                subject,
                &format!("{server} does not know this request ({words})"),
            ),
        ),
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

/// What only the requests of an import are answered ("Importing key material").
fn of_import(
    subject: &Subject<'_>,
    code: Option<&str>,
    words: &str,
) -> Option<(KmsErrorKind, String)> {
    let (key, failed) = (subject.key, subject.operation.failed());
    let again = "get both anew with `cloakfs keys import --wrap-only`, and wrap the material again for them";
    Some(match (code?, subject.operation) {
        ("IncorrectKeyMaterialException", _) => (
            KmsErrorKind::OtherMaterial,
            format!(
                "{key} takes no other material than it had ({words}): give the same 32 bytes that were imported into it first, and for others make another key"
            ),
        ),
        ("ExpiredImportTokenException", _) => (
            KmsErrorKind::Unsuitable,
            format!(
                "{key} {failed}, since the import token has expired ({words}): it is good for 24 hours, as is the wrapping key that came with it; {again}"
            ),
        ),
        ("InvalidImportTokenException", _) => (
            KmsErrorKind::Unsuitable,
            format!(
                "{key} {failed}, since the import token is damaged or another key's ({words}): give the token and what was wrapped with the key that came with it, or {again}"
            ),
        ),
        ("InvalidCiphertextException", Operation::ImportKeyMaterial) => (
            KmsErrorKind::NotWrapped,
            format!(
                "{key} {failed}, since the wrapped material does not open ({words}): it was wrapped with another wrapping key than the one that came with the token, or with another algorithm (openssl's own choice is OAEP with SHA-1); wrap it again"
            ),
        ),
        ("UnsupportedOperationException", operation) if operation.is_about_material() => (
            KmsErrorKind::Unsuitable,
            format!(
                "{key} {failed}, since its material is not imported ({words}): that is for keys that were made for it, with the origin EXTERNAL"
            ),
        ),
        ("UnsupportedOperationException", _) => (
            KmsErrorKind::Unsuitable,
            format!("{key} {failed}, since keys of its kind do not have that ({words})"),
        ),
        _ => return None,
    })
}

/// What only the requests that make something are answered.
fn of_making(
    subject: &Subject<'_>,
    code: Option<&str>,
    words: &str,
) -> Option<(KmsErrorKind, String)> {
    let (key, failed) = (subject.key, subject.operation.failed());
    if !matches!(
        subject.operation,
        Operation::CreateKey | Operation::CreateAlias
    ) {
        return None;
    }
    Some(match code? {
        "LimitExceededException" => (
            KmsErrorKind::Unsuitable,
            format!(
                "{key} {failed}, since this account has as many as its quota allows ({words}): raise the quota, or delete what nobody needs"
            ),
        ),
        "AlreadyExistsException" => (
            KmsErrorKind::Exists,
            format!("{key} {failed}, since there is one of that name ({words})"),
        ),
        "InvalidAliasNameException" => unnamed(key, words),
        _ => return None,
    })
}

/// What only a new policy is answered ("PutKeyPolicy").
fn of_policy(
    subject: &Subject<'_>,
    code: Option<&str>,
    words: &str,
) -> Option<(KmsErrorKind, String)> {
    if subject.operation != Operation::PutKeyPolicy {
        return None;
    }
    let (key, failed) = (subject.key, subject.operation.failed());
    let advice = match code? {
        "MalformedPolicyDocumentException" => {
            "each --principal must be there, and these credentials must be able to change the policy afterwards, too"
        }
        "LimitExceededException" => "a key's policy has at most 32 KiB: take out what nobody needs",
        _ => return None,
    };
    let sentence =
        format!("{key} {failed}, since KMS does not take the new one ({words}): {advice}");
    Some((KmsErrorKind::Unsuitable, sentence))
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
