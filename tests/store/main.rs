//! The store conformance suite, run on every back end.

mod dir;
mod localstack;
mod mem;
mod minio;
#[path = "../support/servers.rs"]
mod servers;
mod suite;
