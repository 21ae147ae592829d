//! Rank 1: how this process speaks to AWS, or to a server that speaks its protocols.
//!
//! The way to a service is the same for S3 and KMS: the standard chain for region and
//! credentials ([`Aws::find`]), one HTTP client for all ([`Transport`]), the certificates that
//! are trusted ([`trust`]), and the words for a server that cannot be reached
//! ([`Unreachable`]). The services' own SDKs are used elsewhere.

mod chain;
mod credentials;
mod endpoint;
mod transport;
mod trust;
pub mod unreachable;

pub use chain::{Aws, AwsConfig, AwsError, configured_region};
pub use credentials::CredentialsFault;
pub use endpoint::Endpoint;
pub use transport::Transport;
pub use trust::CaBundleError;
pub use unreachable::{Interrupted, Unreachable};
