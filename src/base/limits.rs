//! Limits of S3 and of POSIX names, from the S3 user guide ("Amazon S3 multipart upload
//! limits", "Naming Amazon S3 objects") and `limits.h`.

/// Longest object key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest file name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest symlink target: `PATH_MAX` less its terminator.
pub const SYMLINK_TARGET_BYTES_MAX: usize = 4095;
/// Sum of the bytes of all names and values of user metadata.
pub const METADATA_BYTES_MAX: usize = 2048;
/// Smallest part of a multipart upload, but for the last.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Largest part, largest single PUT and largest single server-side copy.
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// Highest part number; parts are counted from 1.
pub const PARTS_MAX: u32 = 10_000;
/// Largest object.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// Most keys in one answer to a listing.
pub const LIST_PAGE_KEYS: u32 = 1000;
/// Keys under this prefix of a volume are cloakfs's own and never shown.
pub const RESERVED_PREFIX: &str = ".cloakfs/";
/// Grid on which dirty data is kept, sealed and uploaded.
pub const SEGMENT_BYTES: u64 = 8 << 20;
