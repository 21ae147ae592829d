//! One sentence for the person who mounts: what failed, why, what to do.

use super::S3Store;
use super::errors::advice;
use crate::aws::{Unreachable, unreachable};
use crate::store::{ErrorKind, StoreError};

/// The words of a place that was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub bucket: &'a str,
    pub endpoint: &'a str,
}

impl S3Store {
    /// Words a failed request for the person who mounts.
    #[must_use]
    pub fn explain(&self, error: &StoreError) -> String {
        explain(
            error,
            Place {
                bucket: &self.bucket,
                endpoint: &self.endpoint.describe("S3"),
            },
        )
    }
}

pub(super) fn explain(error: &StoreError, place: Place<'_>) -> String {
    let Place { bucket, endpoint } = place;
    // A decorator may have wrapped the error that says why.
    let causes =
        || unreachable::chain(error).filter_map(|cause| cause.downcast_ref::<StoreError>());
    let cause = causes()
        .filter(|cause| cause.concerns_encryption())
        .last()
        .or(causes().last())
        .unwrap_or(error);
    if let Some(reason) = unreachable::find::<Unreachable>(cause) {
        return format!("cannot reach the bucket {bucket:?}: {reason}");
    }
    let code = cause.code().unwrap_or_default();
    let advice = advice(code).unwrap_or_default();
    match (cause.kind(), code) {
        (_, "NoSuchBucket") => format!(
            "there is no bucket {bucket:?} at {endpoint} (NoSuchBucket): check the bucket's name and --endpoint-url, or make the bucket first"
        ),
        (_, "InvalidAccessKeyId") => {
            format!("{endpoint} does not know the access key (InvalidAccessKeyId): {advice}")
        }
        (_, "SignatureDoesNotMatch") => format!(
            "{endpoint} refused the signature of the request (SignatureDoesNotMatch): {advice}"
        ),
        (_, "AccessDenied" | "AllAccessDisabled" | "UnauthorizedAccess")
            if !cause.concerns_encryption() =>
        {
            format!(
                "{endpoint} denied access to the bucket {bucket:?} ({code}): the credentials need s3:ListBucket on it, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it"
            )
        }
        _ if cause.concerns_encryption() => format!(
            "{endpoint} does not do the encryption that was asked for: {code}{}{}",
            if code.is_empty() { "" } else { ": " },
            cause.message()
        ),
        (ErrorKind::Denied, _) if !advice.is_empty() => {
            format!("{endpoint} refused the credentials ({code}): {advice}")
        }
        (ErrorKind::Corrupt, _) => format!(
            "{endpoint} does not answer as S3 does: check --endpoint-url ({})",
            cause.message()
        ),
        _ => format!(
            "the bucket {bucket:?} at {endpoint} cannot be used: {}{}{}",
            code,
            if code.is_empty() { "" } else { ": " },
            cause.message()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Operation;

    fn said(kind: ErrorKind, code: &str, message: &str) -> String {
        let mut error = StoreError::new(kind, Operation::ListObjects, "p/", message);
        if !code.is_empty() {
            error = error.with_code(code);
        }
        explain(
            &error,
            Place {
                bucket: "b",
                endpoint: "https://h:1",
            },
        )
    }

    #[test]
    fn each_failure_has_its_sentence() {
        for (kind, code, message, sentence) in [
            (
                ErrorKind::Invalid,
                "NoSuchBucket",
                "",
                "there is no bucket \"b\" at https://h:1 (NoSuchBucket): check the bucket's name and --endpoint-url, or make the bucket first",
            ),
            (
                ErrorKind::Denied,
                "InvalidAccessKeyId",
                "",
                "https://h:1 does not know the access key (InvalidAccessKeyId): check AWS_ACCESS_KEY_ID or the profile, and that it belongs to this endpoint",
            ),
            (
                ErrorKind::Denied,
                "SignatureDoesNotMatch",
                "",
                "https://h:1 refused the signature of the request (SignatureDoesNotMatch): the secret key is not the one of this access key: check AWS_SECRET_ACCESS_KEY or the profile",
            ),
            (
                ErrorKind::Denied,
                "AccessDenied",
                "",
                "https://h:1 denied access to the bucket \"b\" (AccessDenied): the credentials need s3:ListBucket on it, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it",
            ),
            (
                ErrorKind::Denied,
                "ExpiredToken",
                "",
                "https://h:1 refused the credentials (ExpiredToken): the credentials have expired: renew them (for SSO with `aws sso login`)",
            ),
            (
                ErrorKind::Invalid,
                "PermanentRedirect",
                "the bucket is in the region eu-west-1: give --region eu-west-1 or set AWS_REGION",
                "the bucket \"b\" at https://h:1 cannot be used: PermanentRedirect: the bucket is in the region eu-west-1: give --region eu-west-1 or set AWS_REGION",
            ),
            (
                ErrorKind::Corrupt,
                "",
                "the answer is no XML",
                "https://h:1 does not answer as S3 does: check --endpoint-url (the answer is no XML)",
            ),
        ] {
            assert_eq!(said(kind, code, message), sentence);
        }
    }

    #[test]
    fn what_concerns_encryption_is_not_taken_for_a_missing_permission() {
        let inner = StoreError::new(ErrorKind::Denied, Operation::PutObject, "k", "no: try yes")
            .with_code("AccessDenied")
            .about_encryption();
        let outer = StoreError::new(ErrorKind::TimedOut, Operation::PutObject, "k", "gave up")
            .with_source(inner);
        let place = Place {
            bucket: "b",
            endpoint: "https://h:1",
        };
        assert_eq!(
            explain(&outer, place),
            "https://h:1 does not do the encryption that was asked for: AccessDenied: no: try yes"
        );
    }

    #[test]
    fn the_cause_below_a_decorator_is_the_one_explained() {
        let inner = StoreError::new(
            ErrorKind::Unavailable,
            Operation::ListObjects,
            "",
            "connection refused",
        )
        .with_source(Unreachable::Refused {
            host: "h:1".to_owned(),
        });
        let outer = StoreError::new(ErrorKind::TimedOut, Operation::ListObjects, "", "gave up")
            .with_source(inner);
        let place = Place {
            bucket: "b",
            endpoint: "https://h:1",
        };
        assert_eq!(
            explain(&outer, place),
            "cannot reach the bucket \"b\": h:1 refused the connection: check that the server is running and that the endpoint's host and port are right"
        );
    }
}
