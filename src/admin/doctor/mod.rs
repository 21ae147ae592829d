//! What a mount needs, looked at piece by piece, each with a finding of its own.
//!
//! [`way`] judges what one request told of the way to the bucket; [`permissions`] tries what a
//! mount does there; [`settings`] looks at what the bucket itself says of encryption. What needs
//! no store (keys, KMS, FUSE) is looked at by whoever has it at hand.
//!
//! A finding never stops another: what cannot be known because something before it failed is
//! [`Status::Skipped`], and says what that is.

pub mod permissions;
pub mod settings;
pub mod way;

use std::time::Duration;

use serde::Serialize;

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// A mount works, but not as well as it could, or not for long.
    Warn,
    /// A mount does not work, or not all of it.
    Fail,
    /// Not looked at.
    Skipped,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; a permission by its name.
    pub check: &'static str,
    pub status: Status,
    /// What was found and, where it is not well, what to do.
    pub message: String,
}

impl Finding {
    pub fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, message)
    }

    pub fn warn(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Warn, message)
    }

    pub fn fail(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Fail, message)
    }

    pub fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Skipped, message)
    }

    fn new(check: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self {
            check,
            status,
            message: message.into(),
        }
    }
}

/// Looks for as long as `timeout`; silence until then is a finding of `check`. What was begun by
/// then may go on being answered, but nobody waits for it.
pub async fn bounded(
    check: &'static str,
    timeout: Duration,
    looking: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    match tokio::time::timeout(timeout, looking).await {
        Ok(found) => found,
        Err(_elapsed) => vec![Finding::fail(
            check,
            format!(
                "no answer within {} s: check the endpoint and the network, or give it longer with --timeout",
                timeout.as_secs()
            ),
        )],
    }
}
