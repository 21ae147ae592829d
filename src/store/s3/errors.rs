//! From the SDK's errors to the store's: one table decides the kind, one the advice.
//!
//! S3's own code decides where there is one; an answer to a HEAD has no body, so the status
//! alone must do. Of an answer nothing is kept but S3's code and words, without any key in them:
//! some answers repeat the request (`CanonicalRequest`), keys among its headers. What the SDK has
//! for a source where no answer came is kept.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::encryption::{CustomerKey, Fault, Refusal};
use crate::aws::{CredentialsFault, Interrupted, Unreachable, unreachable};
use crate::store::{ErrorKind, Operation, StoreError};

/// What a caller can do about an answer with this status and S3 code.
#[must_use]
pub fn classify(status: u16, code: Option<&str>, operation: Operation) -> ErrorKind {
    code.and_then(|code| classify_code(code, operation))
        .unwrap_or_else(|| classify_status(status, operation))
}

/// By S3's code ("Error responses" in the S3 API reference, and MinIO's own). `None` where the
/// code says no more than the status.
fn classify_code(code: &str, operation: Operation) -> Option<ErrorKind> {
    Some(match code {
        // A condition on an object that is not there: S3 says that the key is missing.
        "NoSuchKey"
            if matches!(
                operation,
                Operation::PutObject | Operation::CompleteMultipartUpload
            ) =>
        {
            ErrorKind::Precondition
        }
        "NoSuchKey" | "NoSuchVersion" | "NoSuchUpload" => ErrorKind::NotFound,
        "PreconditionFailed" => ErrorKind::Precondition,
        "ConditionalRequestConflict" | "OperationAborted" => ErrorKind::Conflict,
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests" => ErrorKind::Throttled,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "UnauthorizedAccess" => ErrorKind::Denied,
        // Broken on the way up, or the server waited too long for the rest: sending again helps.
        "BadDigest"
        | "IncompleteBody"
        | "RequestTimeout"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "InternalError"
        | "ServiceUnavailable" => ErrorKind::Unavailable,
        "NoSuchBucket"
        | "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidObjectState"
        | "InvalidRange"
        | "NotImplemented" => ErrorKind::Invalid,
        // KMS speaks through S3: `KMS.DisabledException`, MinIO's `kms:KeyNotFound`.
        other => return Fault::of(other, "", None).map(|fault| fault.kind),
    })
}

fn classify_status(status: u16, operation: Operation) -> ErrorKind {
    let of_one_object = !matches!(
        operation,
        Operation::ListObjects
            | Operation::ListMultipartUploads
            | Operation::GetBucketVersioning
            | Operation::GetBucketEncryption
            | Operation::PutBucketEncryption
            | Operation::GetBucketPolicy
            | Operation::PutBucketPolicy
    );
    match status {
        404 if of_one_object => ErrorKind::NotFound,
        401 | 403 => ErrorKind::Denied,
        409 => ErrorKind::Conflict,
        412 => ErrorKind::Precondition,
        429 => ErrorKind::Throttled,
        307 | 408 | 500 | 502.. => ErrorKind::Unavailable,
        300..=501 => ErrorKind::Invalid,
        _ => ErrorKind::Corrupt,
    }
}

/// What a person can do about S3's code, as the end of a sentence.
#[must_use]
pub(super) fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "InvalidAccessKeyId" => {
            "check AWS_ACCESS_KEY_ID or the profile, and that it belongs to this endpoint"
        }
        "SignatureDoesNotMatch" => {
            "the secret key is not the one of this access key: check AWS_SECRET_ACCESS_KEY or the profile"
        }
        "AccessDenied" | "AllAccessDisabled" | "UnauthorizedAccess" => {
            "the policies of these credentials or of the bucket do not allow it"
        }
        "ExpiredToken" | "TokenRefreshRequired" | "RequestExpired" => {
            "the credentials have expired: renew them (for SSO with `aws sso login`)"
        }
        "InvalidToken" => "check AWS_SESSION_TOKEN or the profile",
        "RequestTimeTooSkewed" => {
            "this machine's clock is too far from the server's: set it, for example with NTP"
        }
        "NoSuchBucket" => "check the bucket's name and the endpoint",
        "InvalidObjectState" => "the object is archived: restore it first",
        _ => return None,
    })
}

/// What a request had to do with encryption, for what its failure means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    /// The key of KMS that it asked for.
    pub kms_key: Option<&'a str>,
    /// Whether it brought a customer's key to read with.
    pub sent_key: bool,
    /// The customer's keys that it may have brought, which no words may repeat.
    pub keys: [Option<&'a CustomerKey>; 2],
}

impl Asked<'_> {
    fn without_keys(&self, words: &str) -> String {
        let keys = self.keys.iter().flatten();
        keys.fold(words.to_owned(), |words, key| {
            words.replace(key.expose_base64(), "(the key)")
        })
    }
}

/// A failed request, and whether a customer's key may be why.
#[derive(Debug)]
pub(super) struct Failed {
    pub error: StoreError,
    pub refusal: Option<Refusal>,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            refusal: None,
        }
    }
}

/// Turns a failed request into the store's error.
pub(super) fn from_sdk<E>(
    operation: Operation,
    object: &str,
    error: SdkError<E, HttpResponse>,
) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    failed(operation, object, Asked::default(), error).error
}

/// The same for a request on which encryption bears.
pub(super) fn failed<E>(
    operation: Operation,
    object: &str,
    asked: Asked<'_>,
    error: SdkError<E, HttpResponse>,
) -> Failed
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let refusal = match &error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let meta = service.err();
            let code = sent_code(meta.code());
            Refusal::of(status, code, meta.message(), asked.sent_key)
        }
        _ => None,
    };
    let error = to_store(operation, object, asked, error);
    Failed { error, refusal }
}

fn to_store<E>(
    operation: Operation,
    object: &str,
    asked: Asked<'_>,
    error: SdkError<E, HttpResponse>,
) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let failed = match &error {
        SdkError::ServiceError(service) => {
            let meta = service.err();
            from_answer(
                operation,
                object,
                asked,
                service.raw(),
                meta.code(),
                meta.message(),
            )
        }
        SdkError::ResponseError(response) if response.raw().status().as_u16() >= 300 => {
            from_answer(operation, object, asked, response.raw(), None, None)
        }
        SdkError::ResponseError(_) => match unreachable::find::<Interrupted>(&error) {
            Some(reason) => StoreError::new(
                ErrorKind::Unavailable,
                operation,
                object,
                reason.to_string(),
            ),
            None => StoreError::new(
                ErrorKind::Corrupt,
                operation,
                object,
                "the answer is not one that S3 gives: check that the endpoint is an S3 endpoint",
            ),
        },
        _ => without_answer(operation, object, &error),
    };
    match error {
        SdkError::ServiceError(_) => failed,
        // Without the answer that it could not read.
        error => match error.into_source() {
            Ok(source) => failed.with_source(source),
            Err(_) => failed,
        },
    }
}

fn from_answer(
    operation: Operation,
    object: &str,
    asked: Asked<'_>,
    raw: &HttpResponse,
    code: Option<&str>,
    message: Option<&str>,
) -> StoreError {
    let status = raw.status().as_u16();
    let code = sent_code(code);
    let message = message.map(|message| asked.without_keys(message));
    let message = message.as_deref();
    let fault = code.and_then(|code| Fault::of(code, message.unwrap_or_default(), asked.kms_key));
    let kind = match &fault {
        Some(fault) => fault.kind,
        None => classify(status, code, operation),
    };
    let mut words = match message {
        Some(message) => message.trim_end_matches('.').to_owned(),
        None => format!("the server answered {}", status_words(status)),
    };
    // A HEAD has no body to be in S3's form.
    if status == 400 && code.is_none() && operation != Operation::HeadObject {
        words += ", not in the form of S3: check --endpoint-url, and whether it should begin with https://";
    }
    if let Some(region) = bucket_region(raw, message).filter(|_| is_wrong_region(status, code)) {
        words = format!(
            "the bucket is in the region {region}: give --region {region} or set AWS_REGION"
        );
    } else if let Some(fault) = &fault {
        words = format!("{words}: {}", fault.advice);
    } else if let Some(advice) = code.and_then(advice) {
        words = format!("{words}: {advice}");
    }
    let mut failed = StoreError::new(kind, operation, object, words);
    if fault.is_some_and(|fault| fault.lasts()) {
        failed = failed.about_encryption();
    }
    match code {
        Some(code) => failed.with_code(code),
        None => failed,
    }
}

/// The SDK gives a bare status of a HEAD the code `NotFound`, which S3 never sent.
fn sent_code(code: Option<&str>) -> Option<&str> {
    code.filter(|code| *code != "NotFound")
}

fn is_wrong_region(status: u16, code: Option<&str>) -> bool {
    matches!(
        code,
        Some(
            "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException"
        )
    ) || (code.is_none() && matches!(status, 301 | 400))
}

/// The region that an answer to a request in a wrong region names, in its header or its words
/// (`the region 'us-east-1' is wrong; expecting 'eu-west-1'`).
fn bucket_region(raw: &HttpResponse, message: Option<&str>) -> Option<String> {
    if let Some(region) = raw.headers().get("x-amz-bucket-region") {
        return Some(region.to_owned());
    }
    let expecting = message?.split_once("expecting '")?.1;
    Some(expecting.split_once('\'')?.0.to_owned())
}

fn status_words(status: u16) -> String {
    http::StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |s| s.to_string())
}

/// No HTTP answer: the connection, the credentials, or the request itself.
fn without_answer(operation: Operation, object: &str, error: &(dyn Error + 'static)) -> StoreError {
    if let Some(reason) = unreachable::find::<Unreachable>(error) {
        return StoreError::new(
            ErrorKind::Unavailable,
            operation,
            object,
            reason.to_string(),
        );
    }
    if let Some(reason) = unreachable::find::<CredentialsError>(error) {
        let fault = CredentialsFault::of(reason);
        let kind = match fault {
            CredentialsFault::Missing | CredentialsFault::Misconfigured(_) => ErrorKind::Denied,
            CredentialsFault::Failed(_) => ErrorKind::Unavailable,
        };
        return StoreError::new(kind, operation, object, fault.to_string());
    }
    let reason = unreachable::chain(error)
        .last()
        .map_or_else(String::new, ToString::to_string);
    StoreError::new(
        ErrorKind::Invalid,
        operation,
        object,
        format!("the request could not be made: {reason}"),
    )
}

#[cfg(test)]
mod tests;
