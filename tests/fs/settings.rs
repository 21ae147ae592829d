//! What a mount of these tests is made with.

use std::time::Duration;

use cloakfs::fs::{Consistency, FsConfig};
use cloakfs::layout::plain::Defaults;
use cloakfs::store::s3::encryption::ExpectedEncryption;
use cloakfs::volume::VolumeOptions;
use tempfile::TempDir;

/// Of a mount that keeps its staging in this state.
pub fn config(state: &TempDir, ttl: Duration) -> FsConfig {
    FsConfig {
        read_only: false,
        memory_bytes: 128 << 20,
        staging_bytes: 1 << 30,
        staging_dir: state.path().join("staging"),
        consistency: Consistency::Shared,
        ttl,
        timeout: Duration::from_mins(1),
        host: "testhost".to_owned(),
    }
}

/// Of a volume whose journal is in this state.
pub fn options(state: &TempDir) -> VolumeOptions {
    VolumeOptions {
        server: String::new(),
        read_only: false,
        alone: false,
        defaults: Defaults {
            uid: 1000,
            gid: 1000,
            umask: 0o022,
        },
        trust_listing: false,
        encryption: ExpectedEncryption::default(),
        journal_dir: state.path().join("journal"),
    }
}
