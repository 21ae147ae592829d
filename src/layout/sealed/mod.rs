//! The client-side format, version 1: everything between a path with attributes and content, and
//! an object with metadata and a body that tells nothing of them. docs/FORMAT.md is the
//! normative text; section numbers below are its.
//!
//! ```text
//! metadata  wrapped data key ──opens──▶ record: content key, body id, attributes
//! body      segment* xattrs? manifest? footer ◀──opens── content key, content id, body id
//!                                      footer ──pins──▶ manifest ──pins──▶ segments
//! ```
//!
//! [`metadata`] and [`record`] are the metadata (5), [`writer`] and [`map`] a body (6), made of
//! [`footer`], [`manifest`], [`pin`] and [`xattrs`]; [`volume`] is the volume record (8),
//! [`names`] are names (9), [`object`] is a whole object at once.
//!
//! Assumed of what is decoded: nothing. Every decoder gives a value, or one of the errors of
//! [`error`]; it never panics, never guesses, and allocates no more than a small multiple of
//! what it was given. What authenticated is still checked in full, because a faulty writer has
//! the key too.

mod attributes;
mod cursor;
pub mod error;
pub mod footer;
pub mod id;
pub mod manifest;
pub mod map;
pub mod metadata;
pub mod names;
pub mod object;
pub mod pin;
pub mod record;
pub mod volume;
pub mod writer;
pub mod xattrs;

pub use attributes::{AttributeVersion, XattrPlace};
pub use error::ObjectError;
pub use footer::{FOOTER_STORED_BYTES, Footer, Segments};
pub use id::{BodyId, ContentId, FileId, VolumeId};
pub use map::{BodyMap, Piece, Tail};
pub use metadata::{SealedMetadata, WrappedKey};
pub use names::{Names, StoredKey, StoredPath};
pub use pin::{Pin, SegmentIndex};
pub use record::{Content, Record};
pub use writer::BodyWriter;

/// The version of the format.
pub const FORMAT_VERSION: u32 = 1;

/// Plaintext bytes between the beginnings of two neighbouring segments.
pub const SEGMENT_BYTES: u64 = 8 << 20;

#[cfg(test)]
mod tests;
