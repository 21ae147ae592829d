//! cloakfs mounts an S3 bucket, or a local directory that acts as one, as a POSIX directory,
//! with the encryption mode chosen per mount.
//!
//! The modules are layers. A module uses only modules of lower rank, never one of its own
//! rank; `tests/tidy` enforces the table in `docs/ARCHITECTURE.md`.

pub mod admin;
pub mod aws;
pub mod base;
pub mod cache;
pub mod cli;
pub mod crypto;
pub mod fs;
pub mod keys;
pub mod layout;
pub mod mount;
pub mod store;
pub mod telemetry;
pub mod volume;
pub mod write;
