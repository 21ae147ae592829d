use super::*;

#[test]
fn codes_decide_before_the_status() {
    use ErrorKind::*;
    use Operation::*;
    for (status, code, operation, kind) in [
        (404, Some("NoSuchKey"), Operation::GetObject, NotFound),
        (404, Some("NoSuchKey"), PutObject, Precondition),
        (
            404,
            Some("NoSuchKey"),
            CompleteMultipartUpload,
            Precondition,
        ),
        (404, Some("NoSuchUpload"), CompleteMultipartUpload, NotFound),
        (404, Some("NoSuchBucket"), GetObject, Invalid),
        (404, Some("NoSuchBucket"), ListObjects, Invalid),
        (404, Some("kms:KeyNotFound"), PutObject, Denied),
        (400, Some("KMS.DisabledException"), GetObject, Denied),
        (400, Some("ExpiredToken"), GetObject, Denied),
        (403, Some("RequestTimeTooSkewed"), PutObject, Denied),
        (403, Some("InvalidObjectState"), GetObject, Invalid),
        (409, Some("ConditionalRequestConflict"), PutObject, Conflict),
        (412, Some("PreconditionFailed"), CopyObject, Precondition),
        (503, Some("SlowDown"), GetObject, Throttled),
        (503, Some("SlowDownWrite"), PutObject, Throttled),
        (503, Some("ServiceUnavailable"), GetObject, Unavailable),
        (400, Some("RequestTimeout"), UploadPart, Unavailable),
        (400, Some("BadDigest"), UploadPart, Unavailable),
        (
            400,
            Some("XAmzContentChecksumMismatch"),
            UploadPart,
            Unavailable,
        ),
        (500, Some("InternalError"), CopyObject, Unavailable),
        (501, Some("NotImplemented"), DeleteObject, Invalid),
        (416, Some("InvalidRange"), GetObject, Invalid),
        (
            400,
            Some("EntityTooSmall"),
            CompleteMultipartUpload,
            Invalid,
        ),
        (301, Some("PermanentRedirect"), ListObjects, Invalid),
        (503, Some("SomethingNew"), GetObject, Unavailable),
    ] {
        assert_eq!(
            classify(status, code, operation),
            kind,
            "{status} {code:?} {operation}"
        );
    }
}

#[test]
fn a_bare_status_is_all_that_a_head_gives() {
    for (status, kind) in [
        (301, ErrorKind::Invalid),
        (307, ErrorKind::Unavailable),
        (400, ErrorKind::Invalid),
        (401, ErrorKind::Denied),
        (403, ErrorKind::Denied),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Invalid),
        (408, ErrorKind::Unavailable),
        (409, ErrorKind::Conflict),
        (412, ErrorKind::Precondition),
        (429, ErrorKind::Throttled),
        (500, ErrorKind::Unavailable),
        (501, ErrorKind::Invalid),
        (502, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
        (504, ErrorKind::Unavailable),
    ] {
        assert_eq!(
            classify(status, None, Operation::HeadObject),
            kind,
            "{status}"
        );
    }
    assert_eq!(
        classify(404, None, Operation::ListObjects),
        ErrorKind::Invalid
    );
}

#[test]
fn every_refusal_of_credentials_says_what_to_do() {
    for code in [
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AccessDenied",
        "ExpiredToken",
        "InvalidToken",
        "RequestTimeTooSkewed",
    ] {
        assert!(advice(code).is_some(), "{code}");
        assert_eq!(
            classify(400, Some(code), Operation::ListObjects),
            ErrorKind::Denied,
            "{code}"
        );
    }
}
