//! Attributes in the user metadata of objects whose body is the plain content, under the names
//! that s3fs uses (its `metaheader.cpp` and `string_util.cpp`), so that either can mount what
//! the other wrote.
//!
//! | name | value |
//! |---|---|
//! | `mode` | decimal, with type bits |
//! | `uid`, `gid` | decimal |
//! | `mtime`, `ctime`, `atime` | seconds, `.`, nanoseconds in nine digits |
//! | `xattr` | percent-encoded JSON object of names to values in base64 |
//! | `cloakfs-rdev` | decimal device number of a device node (s3fs keeps none) |
//!
//! Assumes nothing of what it decodes: any tool may have written it. What is missing or cannot
//! be read becomes a default, and what is not an attribute is kept as `foreign`, so that a
//! rewrite loses nothing of others. A type is believed only of an object whose size allows it
//! (a directory or device has no bytes, a link target at most 4,095): content stays readable
//! whatever the metadata says. Encoding fails only when S3 would refuse the size.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::attributes::{Attributes, FileKind, Xattrs};
use crate::base::id::CommitId;
use crate::base::limits::{METADATA_BYTES_MAX, SYMLINK_TARGET_BYTES_MAX};
use crate::base::time::Timestamp;

const MODE: &str = "mode";
const UID: &str = "uid";
const GID: &str = "gid";
const MTIME: &str = "mtime";
const CTIME: &str = "ctime";
const ATIME: &str = "atime";
const XATTR: &str = "xattr";
const RDEV: &str = "cloakfs-rdev";

/// Names that are written anew from [`Attributes`] each time, or by the volume.
const OWN_NAMES: [&str; 8] = [
    MODE,
    UID,
    GID,
    MTIME,
    CTIME,
    ATIME,
    RDEV,
    CommitId::METADATA_NAME,
];

/// The HTTP header prefix of every name. Amazon does not count it against the limit, but
/// `MinIO` does.
const HEADER_PREFIX_BYTES: usize = "x-amz-meta-".len();
/// What the volume adds: a commit id in hex.
const COMMIT_BYTES: usize = HEADER_PREFIX_BYTES + CommitId::METADATA_NAME.len() + 32;

/// What s3fs leaves as it is in a percent-encoded value, besides letters and digits.
const XATTR_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// User metadata: names in lower case without the `x-amz-meta-` prefix.
type Metadata = BTreeMap<String, String>;

/// What a listing or HEAD tells of an object besides its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Length in bytes.
    pub size: u64,
    pub last_modified: Timestamp,
    /// Its key ends in `/`.
    pub is_marker: bool,
}

/// Attributes of objects that have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub uid: u32,
    pub gid: u32,
    /// Permission bits to leave out.
    pub umask: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub attributes: Attributes,
    /// Metadata of other tools, to be given to [`encode`] when the object is rewritten.
    pub foreign: BTreeMap<String, String>,
}

/// More metadata than S3 keeps with an object (`ENOSPC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the object's metadata would have {bytes} bytes, and S3 keeps at most {METADATA_BYTES_MAX} with an object; remove extended attributes or make them shorter"
)]
pub struct MetadataTooLarge {
    /// With header names and room for the commit id.
    pub bytes: usize,
}

/// The metadata of an object with these attributes. `foreign` is kept but for the names used
/// here; the volume adds its commit id, for which room is left.
pub fn encode(
    attributes: &Attributes,
    foreign: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, MetadataTooLarge> {
    let mut metadata: Metadata = foreign
        .iter()
        .filter(|(name, _)| !OWN_NAMES.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut add = |name: &str, value: String| metadata.insert(name.to_owned(), value);
    add(MODE, attributes.mode().to_string());
    add(UID, attributes.uid.to_string());
    add(GID, attributes.gid.to_string());
    add(MTIME, attributes.mtime.to_string());
    add(CTIME, attributes.ctime.to_string());
    add(ATIME, attributes.atime.to_string());
    if attributes.rdev != 0 {
        add(RDEV, attributes.rdev.to_string());
    }
    if !attributes.xattrs.is_empty() {
        add(XATTR, encode_xattrs(&attributes.xattrs));
    }
    match metadata_bytes(&metadata) {
        bytes if bytes > METADATA_BYTES_MAX => Err(MetadataTooLarge { bytes }),
        _ => Ok(metadata),
    }
}

/// The attributes that an object's metadata gives, or defaults.
#[must_use]
pub fn decode(
    metadata: &BTreeMap<String, String>,
    content_type: Option<&str>,
    facts: ObjectFacts,
    defaults: &Defaults,
) -> Decoded {
    let text = |name: &str| metadata.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|value| value.parse::<u32>().ok());
    let time = |name: &str| text(name).and_then(parse_time);
    let xattrs = text(XATTR).and_then(decode_xattrs);

    let mode = number(MODE);
    let kind = kind_of(mode, content_type, facts);
    let mtime = time(MTIME).unwrap_or(facts.last_modified);
    let attributes = Attributes {
        kind,
        perm: mode
            .filter(|&mode| FileKind::from_mode(mode).is_none_or(|named| named == kind))
            .map_or_else(|| default_perm(kind, defaults), permission_bits),
        uid: number(UID).unwrap_or(defaults.uid),
        gid: number(GID).unwrap_or(defaults.gid),
        rdev: match kind {
            FileKind::CharDevice | FileKind::BlockDevice => number(RDEV).unwrap_or(0),
            _ => 0,
        },
        atime: time(ATIME).unwrap_or(mtime),
        mtime,
        ctime: time(CTIME).unwrap_or(facts.last_modified),
        xattrs: xattrs.clone().unwrap_or_default(),
    };
    let foreign = metadata
        .iter()
        .filter(|(name, _)| !OWN_NAMES.contains(&name.as_str()))
        // An `xattr` that is not s3fs's stays until the user sets attributes of the file.
        .filter(|(name, _)| name.as_str() != XATTR || xattrs.is_none())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Decoded {
        attributes,
        foreign,
    }
}

/// The content type of new objects, as s3fs sets it for directories and links.
#[must_use]
pub const fn content_type(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "application/x-directory",
        _ => "application/octet-stream",
    }
}

fn kind_of(mode: Option<u32>, content_type: Option<&str>, facts: ObjectFacts) -> FileKind {
    if facts.is_marker {
        return FileKind::Directory;
    }
    match mode.and_then(FileKind::from_mode) {
        Some(FileKind::Symlink) if facts.size <= SYMLINK_TARGET_BYTES_MAX as u64 => {
            FileKind::Symlink
        }
        Some(FileKind::Symlink) => FileKind::File,
        Some(kind) if facts.size == 0 => kind,
        None if facts.size == 0 && content_type.is_some_and(is_directory_type) => {
            FileKind::Directory
        }
        Some(_) | None => FileKind::File,
    }
}

/// The types that s3fs, other S3 tools and Nextcloud give to directory objects.
fn is_directory_type(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["application/x-directory", "httpd/unix-directory"]
        .iter()
        .any(|directory| media_type.eq_ignore_ascii_case(directory))
}

fn default_perm(kind: FileKind, defaults: &Defaults) -> u16 {
    let perm = match kind {
        FileKind::Directory | FileKind::Symlink => 0o777,
        _ => 0o666,
    };
    permission_bits(perm & !defaults.umask)
}

fn permission_bits(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).expect("twelve bits fit into sixteen")
}

/// Seconds with an optional fraction. s3fs and cloakfs write nine digits of it; rclone leaves
/// out trailing zeros. The fraction counts upwards in a negative time, too, as in a `timespec`.
fn parse_time(text: &str) -> Option<Timestamp> {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Timestamp::new(secs.parse().ok()?, nanos)
}

fn encode_xattrs(xattrs: &Xattrs) -> String {
    let values: BTreeMap<&str, String> = xattrs
        .iter()
        .map(|(name, value)| (name.as_str(), BASE64.encode(value)))
        .collect();
    let json = serde_json::to_string(&values).expect("a map of strings is JSON");
    utf8_percent_encode(&json, XATTR_ESCAPED).to_string()
}

/// `None` when any of it cannot be read: half of somebody's attributes would replace the whole
/// when the object is rewritten.
fn decode_xattrs(text: &str) -> Option<Xattrs> {
    let json = percent_decode_str(text).decode_utf8().ok()?;
    let values: BTreeMap<String, String> = serde_json::from_str(&json).ok()?;
    values
        .into_iter()
        .map(|(name, value)| Some((name, BASE64.decode(value).ok()?)))
        .collect()
}

/// As a server may count them: with header names and the commit id to come.
fn metadata_bytes(metadata: &Metadata) -> usize {
    metadata
        .iter()
        .map(|(name, value)| HEADER_PREFIX_BYTES + name.len() + value.len())
        .sum::<usize>()
        + COMMIT_BYTES
}

#[cfg(test)]
mod tests;
