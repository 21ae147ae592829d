//! Why there are no credentials, in words.

use std::fmt;

use aws_credential_types::provider::error::CredentialsError;

use super::unreachable;

pub(super) const NONE: &str = "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with --profile or AWS_PROFILE, or attach a role to this machine";

/// What is wrong with the source of the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsFault {
    /// There is none.
    Missing,
    /// A person must correct it.
    Misconfigured(String),
    /// It may work later.
    Failed(String),
}

impl CredentialsFault {
    #[must_use]
    pub fn of(error: &CredentialsError) -> Self {
        let reason = unreachable::chain(error)
            .last()
            .map_or_else(String::new, ToString::to_string);
        // A credential process that says nothing leaves this behind.
        let reason = reason.trim().trim_end_matches("Stderr:").trim_end();
        match error {
            CredentialsError::CredentialsNotLoaded(_) => Self::Missing,
            CredentialsError::InvalidConfiguration(_) => Self::Misconfigured(reason.to_owned()),
            _ => Self::Failed(reason.to_owned()),
        }
    }
}

impl fmt::Display for CredentialsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(NONE),
            Self::Misconfigured(reason) => {
                write!(f, "the AWS credentials are configured wrongly: {reason}")
            }
            Self::Failed(reason) => {
                write!(f, "the source of the AWS credentials failed: {reason}")
            }
        }
    }
}
