//! The pure modules of cloakfs, compiled by their paths: without the SDKs, which a fuzzer would
//! only instrument and never reach.

#[path = "../../src/base/mod.rs"]
pub mod base;
#[path = "../../src/crypto/mod.rs"]
pub mod crypto;
#[path = "../../src/layout/mod.rs"]
pub mod layout;
