//! What S3 decides about a request, as pure functions.
//!
//! The back ends that answer requests themselves ([`super::mem`], [`super::dir`]) decide by
//! these rules, so that they cannot differ from each other; [`super::s3`] uses those that can
//! be checked before sending. Sources: the S3 API reference (PutObject, GetObject,
//! CompleteMultipartUpload, UploadPartCopy) and RFC 9110 (ranges, header fields).

use super::{
    CopyAttributes, CopySource, ETag, ErrorKind, GetRange, Limits, ObjectAttributes, ObjectKey,
    Operation, PartReceipt, Result, StoreError, VersionId, WriteCondition,
};
use crate::base::range::ByteRange;

/// Longest content type that is kept, in bytes.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;

/// A request that is wrong in itself, with S3's code for it.
#[must_use]
pub fn invalid(
    operation: Operation,
    key: &ObjectKey,
    code: &str,
    message: impl Into<String>,
) -> StoreError {
    StoreError::new(ErrorKind::Invalid, operation, key.as_str(), message).with_code(code)
}

/// Only what a header carries unchanged may be metadata: lower-case token names, values of
/// printable ASCII without spaces at either end, all of it within the limit.
pub fn check_attributes(
    operation: Operation,
    key: &ObjectKey,
    attributes: &ObjectAttributes,
    limits: &Limits,
) -> Result<()> {
    let mut bytes = 0;
    for (name, value) in &attributes.metadata {
        bytes += name.len() + value.len();
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(invalid(
                operation,
                key,
                "InvalidArgument",
                format!(
                    "the metadata name {name:?} is not one: lower-case letters, digits and -_.!#$&'*+^`|~ make a name"
                ),
            ));
        }
        if !is_header_value(value) {
            return Err(invalid(
                operation,
                key,
                "InvalidArgument",
                format!(
                    "the metadata {name:?} holds what a header cannot carry: only printable ASCII without spaces at its ends is kept"
                ),
            ));
        }
    }
    if bytes > limits.metadata_bytes_max {
        return Err(invalid(
            operation,
            key,
            "MetadataTooLarge",
            format!(
                "the metadata has {bytes} bytes, and at most {} are kept",
                limits.metadata_bytes_max
            ),
        ));
    }
    match &attributes.content_type {
        Some(text) if text.len() > CONTENT_TYPE_BYTES_MAX || !is_header_value(text) => {
            Err(invalid(
                operation,
                key,
                "InvalidArgument",
                format!(
                    "the content type is not one of at most {CONTENT_TYPE_BYTES_MAX} bytes of printable ASCII"
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"-_.!#$&'*+^`|~".contains(&byte)
}

fn is_header_value(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim_matches(' ') == text
}

/// Which bytes of an object of `size` bytes a GET gives.
pub fn resolve_range(key: &ObjectKey, wanted: Option<GetRange>, size: u64) -> Result<ByteRange> {
    let outside = || {
        invalid(
            Operation::GetObject,
            key,
            "InvalidRange",
            format!("none of the bytes asked for are in the object, which has {size}"),
        )
    };
    match wanted {
        None => Ok(ByteRange::new(0, size)),
        Some(GetRange::Bytes(range)) => {
            if range.is_empty() || range.start() >= size {
                return Err(outside());
            }
            Ok(ByteRange::new(range.start(), range.end().min(size)))
        }
        Some(GetRange::Suffix(len)) => {
            if len == 0 || size == 0 {
                return Err(outside());
            }
            Ok(ByteRange::new(size.saturating_sub(len), size))
        }
    }
}

/// Which bytes of its source a copied part takes. Unlike a GET's range, it must lie inside.
pub fn resolve_copy_range(
    key: &ObjectKey,
    source: &ObjectKey,
    wanted: Option<ByteRange>,
    size: u64,
    limits: &Limits,
) -> Result<ByteRange> {
    let range = wanted.unwrap_or(ByteRange::new(0, size));
    if wanted.is_some_and(ByteRange::is_empty) || range.end() > size {
        return Err(invalid(
            Operation::UploadPartCopy,
            key,
            "InvalidRange",
            format!("{range} is not inside the source {source:?}, which has {size} bytes"),
        ));
    }
    check_length(
        Operation::UploadPartCopy,
        key,
        range.len(),
        limits.part_bytes_max,
    )?;
    Ok(range)
}

/// A body, part or copy of `bytes` bytes fits into one request.
pub fn check_length(operation: Operation, key: &ObjectKey, bytes: u64, max: u64) -> Result<()> {
    if bytes > max {
        return Err(invalid(
            operation,
            key,
            "EntityTooLarge",
            format!("{bytes} bytes are too many for one request: {max} is the most"),
        ));
    }
    Ok(())
}

/// What is wrong with a copy before its source is looked at.
pub fn check_copy(
    key: &ObjectKey,
    source: &CopySource,
    attributes: &CopyAttributes,
    limits: &Limits,
) -> Result<()> {
    let operation = Operation::CopyObject;
    if source.range.is_some() {
        return Err(invalid(
            operation,
            key,
            "InvalidArgument",
            "only a part can be copied from a range",
        ));
    }
    match attributes {
        CopyAttributes::Keep if source.key == *key => Err(invalid(
            operation,
            key,
            "InvalidRequest",
            "a copy of an object to itself must change its attributes",
        )),
        CopyAttributes::Keep => Ok(()),
        CopyAttributes::Replace(attributes) => check_attributes(operation, key, attributes, limits),
    }
}

/// The condition of a write against the object that is there.
///
/// # Errors
/// `IfMatch` of a missing object is [`ErrorKind::NotFound`], as S3 answers.
pub fn check_condition(
    operation: Operation,
    key: &ObjectKey,
    condition: &WriteCondition,
    current: Option<&ETag>,
) -> Result<()> {
    match (condition, current) {
        (WriteCondition::IfMatch(_), None) => Err(StoreError::not_found(operation, key)),
        (WriteCondition::IfMatch(wanted), Some(current)) => {
            check_if_match(operation, key, Some(wanted), current)
        }
        (WriteCondition::IfAbsent, Some(_)) => Err(StoreError::precondition(operation, key)),
        (WriteCondition::None, _) | (WriteCondition::IfAbsent, None) => Ok(()),
    }
}

/// `if_match` of a read, a copy's source or a delete.
pub fn check_if_match(
    operation: Operation,
    key: &ObjectKey,
    if_match: Option<&ETag>,
    current: &ETag,
) -> Result<()> {
    match if_match {
        Some(wanted) if wanted != current => Err(StoreError::precondition(operation, key)),
        _ => Ok(()),
    }
}

/// Without versioning an object has the one version `null`.
pub fn check_unversioned(
    operation: Operation,
    key: &ObjectKey,
    version: Option<&VersionId>,
) -> Result<()> {
    match version {
        Some(version) if version.as_str() != "null" => Err(StoreError::new(
            ErrorKind::NotFound,
            operation,
            key.as_str(),
            format!("there is no version {version}: this store keeps only the newest"),
        )
        .with_code("NoSuchVersion")),
        _ => Ok(()),
    }
}

/// There is no such upload of this key.
#[must_use]
pub fn no_such_upload(operation: Operation, key: &ObjectKey) -> StoreError {
    StoreError::new(
        ErrorKind::NotFound,
        operation,
        key.as_str(),
        "there is no such multipart upload: it was completed, aborted or never begun",
    )
    .with_code("NoSuchUpload")
}

/// An upload of this store becomes the object that it was begun for, and no other.
#[must_use]
pub fn completes_where_it_began(key: &ObjectKey) -> StoreError {
    let operation = Operation::CompleteMultipartUpload;
    let message = "this store completes an upload only at the key where it was begun";
    StoreError::new(ErrorKind::Invalid, operation, key.as_str(), message)
}

/// The parts named by a complete against those that are there; `stored` gives a part's ETag
/// and length. Answers the length of the object in bytes.
pub fn check_parts(
    key: &ObjectKey,
    listed: &[PartReceipt],
    stored: impl Fn(&PartReceipt) -> Option<(ETag, u64)>,
    limits: &Limits,
) -> Result<u64> {
    let refuse = |code: &str, message: String| {
        Err(invalid(
            Operation::CompleteMultipartUpload,
            key,
            code,
            message,
        ))
    };
    if listed.is_empty() {
        return refuse("MalformedXML", "a complete needs at least one part".into());
    }
    if !listed.is_sorted_by(|a, b| a.number < b.number) {
        return refuse(
            "InvalidPartOrder",
            "the parts are not in ascending order".into(),
        );
    }
    let mut total = 0;
    for (at, part) in listed.iter().enumerate() {
        let number = part.number.value();
        match stored(part) {
            Some((etag, bytes)) if etag == part.etag => {
                if at + 1 < listed.len() && bytes < limits.part_bytes_min {
                    return refuse(
                        "EntityTooSmall",
                        format!(
                            "part {number} has {bytes} bytes: every part but the last has at least {}",
                            limits.part_bytes_min
                        ),
                    );
                }
                total += bytes;
            }
            _ => {
                return refuse(
                    "InvalidPart",
                    format!("part {number} with ETag {} is not there", part.etag),
                );
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> ObjectKey {
        ObjectKey::new("k").unwrap()
    }

    #[test]
    fn a_header_that_would_not_survive_the_way_is_refused_by_name() {
        let with = |name: &str, value: &str| {
            let attributes = ObjectAttributes {
                metadata: [(name.to_owned(), value.to_owned())].into(),
                content_type: None,
            };
            check_attributes(Operation::PutObject, &key(), &attributes, &Limits::S3)
        };
        for (name, value) in [
            ("n", "ä"),
            ("n", " x"),
            ("n", "a\nb"),
            ("N", "x"),
            ("", "x"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
        assert!(with("n", &"x".repeat(2047)).is_ok());
        let error = with("n", &"x".repeat(2048)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PutObject of \"k\" failed: MetadataTooLarge: the metadata has 2049 bytes, and at most 2048 are kept"
        );
    }

    proptest! {
        #[test]
        fn a_resolved_range_lies_inside_the_object(
            size in 0u64..100, start in 0u64..120, len in 0u64..120, suffix: bool
        ) {
            let wanted = if suffix {
                GetRange::Suffix(len)
            } else {
                GetRange::Bytes(ByteRange::new(start, start + len))
            };
            match resolve_range(&key(), Some(wanted), size) {
                Ok(range) => {
                    prop_assert!(range.end() <= size && !range.is_empty());
                    prop_assert!(range.len() <= len);
                    match wanted {
                        GetRange::Suffix(_) => prop_assert_eq!(range.end(), size),
                        GetRange::Bytes(_) => prop_assert_eq!(range.start(), start),
                    }
                }
                Err(error) => {
                    prop_assert_eq!(error.code(), Some("InvalidRange"));
                    prop_assert!(len == 0 || size == 0 || (!suffix && start >= size));
                }
            }
        }
    }
}
