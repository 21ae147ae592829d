use super::super::Status;
use super::*;
use crate::store::Operation;

const ASKED: Asked<'_> = Asked {
    bucket: "b",
    prefix: "p/",
    server: "https://h",
    region: "us-east-1",
    is_tls: true,
    is_loopback: false,
    explained: Some("WHY"),
};

fn seconds(secs: i64) -> SystemTime {
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    if secs < 0 {
        noon - Duration::from_secs(secs.unsigned_abs())
    } else {
        noon + Duration::from_secs(secs.unsigned_abs())
    }
}

/// An answer of a server whose clock is so many seconds before this machine's.
fn answered(listed: Result<bool, StoreError>, behind: i64) -> Contact {
    Contact {
        status: Some(listed.as_ref().map_or(403, |_| 200)),
        listed,
        clocks: Some(Clocks {
            server: seconds(0),
            here: seconds(behind),
        }),
        bucket_region: None,
    }
}

fn error(kind: ErrorKind, code: &str) -> StoreError {
    StoreError::new(kind, Operation::ListObjects, "p/", "x").with_code(code)
}

/// The first letter of each status, in the order of the stages: the failure is the one F.
fn statuses(contact: &Contact) -> String {
    let letter = |finding: &Finding| match finding.status {
        Status::Ok => 'o',
        Status::Warn => 'w',
        Status::Fail => 'F',
        Status::Skipped => '-',
    };
    judge(contact, ASKED).iter().map(letter).collect()
}

#[test]
fn a_failure_is_at_its_stage_and_what_lies_behind_is_not_known() {
    for (code, expected) in [
        ("RequestTimeTooSkewed", "ooF----"),
        ("InvalidAccessKeyId", "oooF---"),
        ("SignatureDoesNotMatch", "oooF---"),
        ("ExpiredToken", "oooF---"),
        ("NoSuchBucket", "ooooF--"),
        ("PermanentRedirect", "oooooF-"),
        // Whether the bucket is there is not known.
        ("AccessDenied", "oooo-oF"),
    ] {
        let kind = match code {
            "NoSuchBucket" | "PermanentRedirect" => ErrorKind::Invalid,
            _ => ErrorKind::Denied,
        };
        let contact = answered(Err(error(kind, code)), 0);
        assert_eq!(statuses(&contact), expected, "{code}");
        assert_eq!(is_open(&contact), code == "AccessDenied");
    }
    let contact = answered(Err(error(ErrorKind::Unavailable, "InternalError")), 0);
    assert_eq!(statuses(&contact), "F------");
    let contact = answered(Ok(true), 0);
    assert_eq!(statuses(&contact), "ooooooo");
    assert!(is_open(&contact));
}

#[test]
fn who_is_not_reached_and_who_is_not_trusted_are_told_apart() {
    let unreached = |reason: Unreachable| {
        let error = StoreError::new(ErrorKind::Unavailable, Operation::ListObjects, "", "x");
        Contact {
            listed: Err(error.with_source(reason)),
            status: None,
            clocks: None,
            bucket_region: None,
        }
    };
    let host = || "h".to_owned();
    let refused = unreached(Unreachable::Refused { host: host() });
    assert_eq!(statuses(&refused), "F------");
    let untrusted = unreached(Unreachable::Untrusted {
        host: host(),
        reason: "r".to_owned(),
    });
    assert_eq!(statuses(&untrusted), "oF-----");
    let found = judge(&untrusted, ASKED);
    assert_eq!(found[1], Finding::fail("TLS", "WHY"));
    assert_eq!(
        found[2],
        Finding::skipped("clock", "not known until this is right: TLS")
    );
}

#[test]
fn a_clock_that_is_off_is_told_with_the_direction() {
    let message = |behind| {
        let found = judge(&answered(Ok(false), behind), ASKED).remove(2);
        (found.status, found.message)
    };
    assert_eq!(message(5), (Status::Ok, "as the server's".to_owned()));
    assert_eq!(
        message(90),
        (
            Status::Warn,
            "this machine's clock is 90 s ahead of the server's; 15 minutes are too many: set it, for example with NTP".to_owned()
        )
    );
    assert_eq!(
        message(-1800),
        (
            Status::Fail,
            "this machine's clock is 30 minutes behind the server's, and S3 refuses requests that are 15 minutes off: set it, for example with NTP".to_owned()
        )
    );
    assert!(message(7300).1.contains("is 2 hours ahead of"));
}

#[test]
fn http_a_region_and_a_denied_listing_have_their_advice() {
    let far = Asked {
        is_tls: false,
        ..ASKED
    };
    assert_eq!(judge(&answered(Ok(true), 0), far)[1].status, Status::Warn);
    let near = Asked {
        is_loopback: true,
        ..far
    };
    assert_eq!(judge(&answered(Ok(true), 0), near)[1].status, Status::Ok);
    let elsewhere = Contact {
        bucket_region: Some("eu-west-1".to_owned()),
        ..answered(Ok(true), 0)
    };
    assert_eq!(
        judge(&elsewhere, ASKED)[5],
        Finding::warn(
            "region",
            "the bucket is in eu-west-1, and us-east-1 is configured: give --region eu-west-1 or set AWS_REGION"
        )
    );
    let denied = answered(Err(error(ErrorKind::Denied, "AccessDenied")), 0);
    assert_eq!(
        judge(&denied, ASKED)[6],
        Finding::fail(
            "s3:ListBucket",
            "WHY; `cloakfs policy iam` prints what is needed for the prefix \"p/\""
        )
    );
}
