//! One JSON object a line. The client sends one [`Request`] and reads [`Event`]s until one that
//! is final; after `Done` to an unmount the daemon closes the connection when it ends.
//!
//! Both sides may be of different releases: a daemon lives as long as its mount. An unknown
//! version is refused by number, unknown fields are ignored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::telemetry::recent::LoggedError;

/// Grows when an old side would misunderstand a new one.
pub const VERSION: u32 = 1;
/// Longest request line, in bytes.
pub(super) const REQUEST_BYTES_MAX: u64 = 64 << 10;
/// Longest line of an answer, in bytes: a status names files, but not all.
pub(super) const EVENT_BYTES_MAX: usize = 16 << 20;
/// While it works, the daemon says how far it is at least this often, in seconds.
pub(super) const HEARTBEAT_SECS: u64 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub version: u32,
    /// Which mount is meant, as in the kernel's table.
    pub mountpoint: PathBuf,
    pub command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Answered with `Status`.
    Status,
    /// Uploads everything that is not yet; `Progress` until `Done` or `Failed`.
    Sync,
    /// The same, then unmounts; `Done` when nothing of the mount is left.
    Unmount,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    Status(Box<Status>),
    Progress(Progress),
    Done,
    Failed { reason: String },
}

/// How far a sync is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub files_done: u64,
    pub files: u64,
    pub bytes_done: u64,
    pub bytes: u64,
    /// Grows whenever bytes move, also within a file.
    #[serde(default)]
    pub moves: u64,
}

/// What `cloakfs status` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's release.
    pub release: String,
    pub pid: u32,
    pub source: String,
    #[serde(flatten)]
    pub encryption: Encryption,
    pub mountpoint: PathBuf,
    #[serde(default)]
    pub consistency: Consistency,
    pub read_only: bool,
    pub uptime_secs: u64,
    /// What the store cannot do and what that costs, a sentence each.
    pub notes: Vec<String>,
    /// What is not as it should be at the moment, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    pub operations: BTreeMap<String, OperationCount>,
    /// The filesystem's own figures.
    pub filesystem: serde_json::Value,
    /// The store's own figures: requests, retries.
    pub store: serde_json::Value,
    pub errors: u64,
    pub last_errors: Vec<LoggedError>,
}

/// Who else may change what is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// `shared` or `exclusive`.
    pub mode: String,
    /// What is not renewed for twice as long counts as gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_secs: Option<u64>,
    /// Since the lease or the registration was last renewed; none where there is neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_secs: Option<u64>,
    /// Why nothing may be changed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

/// How what is written is encrypted. Nothing of it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `none`, `sse-s3`, `sse-kms`, `sse-kms-dsse`, `sse-c`, `cse-kms` or `cse-c`.
    pub mode: String,
    /// The key of KMS as requests name it; none is S3's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// What KMS binds to each object besides its ARN.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kms_context: BTreeMap<String, String>,
    /// Where the mode can have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_key: Option<bool>,
    /// The check value of a customer's key, in base64 as S3 answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_md5: Option<String>,
    /// The id of a client-side volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// How it stores names: `plain` or `encrypted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
    /// The check value of its master key, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_check: Option<String>,
}

impl Encryption {
    /// Of a mode that has nothing but its name.
    #[must_use]
    pub fn of_mode(mode: &str) -> Self {
        Self {
            mode: mode.to_owned(),
            ..Self::default()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationCount {
    pub all: u64,
    /// Those that could not be answered from memory at once.
    pub waited: u64,
}
