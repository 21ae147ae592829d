//! The way to a bucket, judged by one listing: a pure function.
//!
//! The stages lie behind each other. A request that fails at one has passed those before it, and
//! tells nothing of those after it.

use std::time::{Duration, SystemTime};

use super::Finding;
use crate::aws::{Unreachable, unreachable};
use crate::store::s3::{Clocks, Contact};
use crate::store::{ErrorKind, StoreError};

/// Further apart than this S3 refuses requests.
const SKEW_REFUSED: Duration = Duration::from_mins(15);
/// From here on it is worth telling. Well above a slow answer and a clock of whole seconds.
const SKEW_NOTED: Duration = Duration::from_mins(1);

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub bucket: &'a str,
    pub prefix: &'a str,
    /// As a person calls the server.
    pub server: &'a str,
    pub region: &'a str,
    pub is_tls: bool,
    pub is_loopback: bool,
    /// The store's own words for the failure.
    pub explained: Option<&'a str>,
}

/// Where a request can fail, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Endpoint,
    Tls,
    Clock,
    Credentials,
    Bucket,
    Region,
    List,
}

const STAGES: [Stage; 7] = [
    Stage::Endpoint,
    Stage::Tls,
    Stage::Clock,
    Stage::Credentials,
    Stage::Bucket,
    Stage::Region,
    Stage::List,
];

impl Stage {
    const fn check(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Tls => "TLS",
            Self::Clock => "clock",
            Self::Credentials => "signature",
            Self::Bucket => "bucket",
            Self::Region => "region",
            Self::List => "s3:ListBucket",
        }
    }
}

/// Whether a listing was answered, so that objects can be asked about.
#[must_use]
pub fn is_open(contact: &Contact) -> bool {
    match &contact.listed {
        Ok(_) => true,
        Err(error) => failed_at(contact, error) == Stage::List,
    }
}

#[must_use]
pub fn judge(contact: &Contact, asked: Asked<'_>) -> Vec<Finding> {
    let failed = contact
        .listed
        .as_ref()
        .err()
        .map(|error| failed_at(contact, error));
    STAGES
        .into_iter()
        .map(|stage| match failed {
            Some(failed) if stage == failed => {
                let why = asked.explained.unwrap_or("the request failed");
                match (stage, &contact.clocks) {
                    (Stage::Clock, Some(clocks)) => clock(*clocks, true),
                    (Stage::List, _) => Finding::fail(stage.check(), listing_denied(asked, why)),
                    _ => Finding::fail(stage.check(), why),
                }
            }
            Some(failed) if stage > failed => Finding::skipped(
                stage.check(),
                format!("not known until this is right: {}", failed.check()),
            ),
            Some(Stage::List) if stage == Stage::Bucket => Finding::skipped(
                stage.check(),
                format!(
                    "{:?} is there or not: where a listing is denied, some servers do not tell",
                    asked.bucket
                ),
            ),
            _ => passed(stage, contact, asked),
        })
        .collect()
}

fn passed(stage: Stage, contact: &Contact, asked: Asked<'_>) -> Finding {
    let check = stage.check();
    match stage {
        Stage::Endpoint => Finding::ok(check, format!("{} answers", asked.server)),
        Stage::Tls if asked.is_tls => Finding::ok(check, "the server's certificate is trusted"),
        Stage::Tls if asked.is_loopback => Finding::ok(check, "plain http, to this machine"),
        Stage::Tls => Finding::warn(
            check,
            "plain http: whoever is between here and the server reads and changes what is sent; give an endpoint with https://",
        ),
        Stage::Clock => match contact.clocks {
            Some(clocks) => clock(clocks, false),
            None => Finding::skipped(check, "the server does not tell its time"),
        },
        Stage::Credentials => Finding::ok(check, "the server takes the credentials"),
        Stage::Bucket => Finding::ok(check, format!("{:?} is there", asked.bucket)),
        Stage::Region => match &contact.bucket_region {
            Some(region) if region != asked.region => Finding::warn(
                check,
                format!(
                    "the bucket is in {region}, and {} is configured: give --region {region} or set AWS_REGION",
                    asked.region
                ),
            ),
            _ => Finding::ok(check, asked.region),
        },
        Stage::List => Finding::ok(
            check,
            match contact.listed {
                Ok(true) => "allowed; there are objects",
                _ => "allowed; there is nothing yet",
            },
        ),
    }
}

fn listing_denied(asked: Asked<'_>, why: &str) -> String {
    let below = match asked.prefix {
        "" => String::new(),
        prefix => format!(" for the prefix {prefix:?}"),
    };
    format!("{why}; `cloakfs policy iam` prints what is needed{below}")
}

fn failed_at(contact: &Contact, error: &StoreError) -> Stage {
    if let Some(reason) = unreachable::find::<Unreachable>(error) {
        return if reason.is_about_tls() {
            Stage::Tls
        } else {
            Stage::Endpoint
        };
    }
    if contact.status.is_none() {
        // Nothing was sent: for want of credentials, or since the request makes no sense.
        return match error.kind() {
            ErrorKind::Denied => Stage::Credentials,
            _ => Stage::Endpoint,
        };
    }
    match error.code() {
        Some("RequestTimeTooSkewed") => Stage::Clock,
        Some("NoSuchBucket") => Stage::Bucket,
        Some(
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => Stage::Region,
        Some("AccessDenied" | "AllAccessDisabled" | "UnauthorizedAccess") => Stage::List,
        _ if error.kind() == ErrorKind::Denied => Stage::Credentials,
        _ => Stage::Endpoint,
    }
}

fn clock(clocks: Clocks, refused: bool) -> Finding {
    let check = Stage::Clock.check();
    let Clocks { server, here } = clocks;
    let apart = |one: SystemTime, other: SystemTime| one.duration_since(other).ok();
    let (skew, direction) = match apart(here, server) {
        Some(ahead) => (ahead, "ahead of"),
        None => (apart(server, here).unwrap_or_default(), "behind"),
    };
    let skew_words = words(skew);
    if refused || skew >= SKEW_REFUSED {
        return Finding::fail(
            check,
            format!(
                "this machine's clock is {skew_words} {direction} the server's, and S3 refuses requests that are 15 minutes off: set it, for example with NTP"
            ),
        );
    }
    if skew >= SKEW_NOTED {
        return Finding::warn(
            check,
            format!(
                "this machine's clock is {skew_words} {direction} the server's; 15 minutes are too many: set it, for example with NTP"
            ),
        );
    }
    Finding::ok(check, "as the server's")
}

fn words(skew: Duration) -> String {
    let secs = skew.as_secs();
    let in_whole = |unit: u64| (secs + unit / 2) / unit;
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} minutes", in_whole(60)),
        _ => format!("{} hours", in_whole(3600)),
    }
}

#[cfg(test)]
mod tests;
