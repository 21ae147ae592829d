//! What answers must say, as pure functions: whatever cannot be right is an error in words,
//! which the caller turns into [`crate::store::ErrorKind::Corrupt`].

use std::collections::HashMap;

use aws_smithy_types::DateTime;
use percent_encoding::percent_decode_str;

use super::encryption::AnsweredHeaders;
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::store::{ETag, GetRange, ObjectAttributes, ObjectInfo, ServerEncryption, VersionId};

/// The fields that the answers to GET and HEAD share.
#[derive(Debug, Default)]
pub(super) struct ObjectFields {
    pub e_tag: Option<String>,
    pub last_modified: Option<DateTime>,
    pub version: Option<String>,
    pub content_type: Option<String>,
    pub metadata: Option<HashMap<String, String>>,
    pub encryption: ServerEncryption,
}

/// Takes [`ObjectFields`] out of the SDK's answer to a GET or a HEAD.
macro_rules! object_fields {
    ($output:expr) => {
        $crate::store::s3::answers::ObjectFields {
            encryption: $crate::store::s3::answers::answered_encryption!($output)
                .with_customer_key($output.sse_customer_key_md5.as_deref())
                .parse(),
            e_tag: $output.e_tag.take(),
            last_modified: $output.last_modified.take(),
            version: $output.version_id.take(),
            content_type: $output.content_type.take(),
            metadata: $output.metadata.take(),
        }
    };
}
pub(super) use object_fields;

/// The encryption fields that all of the SDK's answers to reads and writes have.
macro_rules! answered_encryption {
    ($output:expr) => {
        $crate::store::s3::encryption::AnsweredHeaders {
            server_side_encryption: $output.server_side_encryption.as_ref().map(|v| v.as_str()),
            kms_key_id: $output.ssekms_key_id.as_deref(),
            kms_context: None,
            bucket_key: $output.bucket_key_enabled,
            customer_key_md5: None,
        }
    };
}
pub(super) use answered_encryption;

impl<'a> AnsweredHeaders<'a> {
    pub(super) fn with_customer_key(mut self, md5: Option<&'a str>) -> Self {
        self.customer_key_md5 = md5;
        self
    }

    pub(super) fn with_context(mut self, context: Option<&'a str>) -> Self {
        self.kms_context = context;
        self
    }
}

/// # Errors
/// When the answer lacks what every object has.
pub(super) fn object_info(fields: ObjectFields, size: u64) -> Result<ObjectInfo, String> {
    Ok(ObjectInfo {
        size,
        etag: etag(fields.e_tag)?,
        last_modified: timestamp(fields.last_modified)?,
        version: version(fields.version),
        attributes: ObjectAttributes {
            metadata: fields.metadata.unwrap_or_default().into_iter().collect(),
            content_type: fields.content_type,
        },
        encryption: fields.encryption,
    })
}

/// An ETag in quotes, whether or not the server put it there.
///
/// # Errors
/// When the answer has none.
pub(super) fn etag(e_tag: Option<String>) -> Result<ETag, String> {
    match e_tag {
        Some(e_tag) if !e_tag.trim_matches('"').is_empty() => {
            Ok(ETag::new(if e_tag.contains('"') {
                e_tag
            } else {
                format!("\"{e_tag}\"")
            }))
        }
        _ => Err("the answer has no ETag".to_owned()),
    }
}

/// # Errors
/// When the answer has no date.
pub(super) fn timestamp(date: Option<DateTime>) -> Result<Timestamp, String> {
    date.and_then(|date| Timestamp::new(date.secs(), date.subsec_nanos()))
        .ok_or_else(|| "the answer has no Last-Modified date".to_owned())
}

/// A version id; that of an unversioned object, `null`, is none.
pub(super) fn version(id: Option<String>) -> Option<VersionId> {
    id.filter(|id| id != "null" && !id.is_empty())
        .map(VersionId::new)
}

/// Bytes of an object and the size of the whole of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub range: ByteRange,
    pub size: u64,
}

/// Which bytes an answer brings, from its `Content-Range` and `Content-Length`.
///
/// # Errors
/// When they are not those that were asked for.
pub(super) fn answered_extent(
    asked: Option<GetRange>,
    content_range: Option<&str>,
    content_length: Option<u64>,
) -> Result<Extent, String> {
    let extent = if let Some(header) = content_range {
        parse_content_range(header)
            .ok_or_else(|| format!("the answer has the Content-Range {header:?}"))?
    } else {
        let size = content_length.ok_or("the answer has no Content-Length")?;
        Extent {
            range: ByteRange::new(0, size),
            size,
        }
    };
    let expected = match asked {
        None => Some(ByteRange::new(0, extent.size)),
        Some(GetRange::Suffix(len)) => {
            Some(ByteRange::new(extent.size.saturating_sub(len), extent.size))
        }
        Some(GetRange::Bytes(range)) => range.intersection(ByteRange::new(0, extent.size)),
    };
    let length_agrees = content_length.is_none_or(|length| length == extent.range.len());
    if expected == Some(extent.range) && length_agrees {
        Ok(extent)
    } else {
        Err(format!(
            "the answer brings {} of {} bytes, which is not what was asked for",
            extent.range, extent.size
        ))
    }
}

/// `bytes FIRST-LAST/SIZE`
fn parse_content_range(header: &str) -> Option<Extent> {
    // MinIO's answer to a suffix of an empty object, where S3 refuses the range.
    if header == "bytes 0--1/0" {
        return Some(Extent {
            range: ByteRange::new(0, 0),
            size: 0,
        });
    }
    let (range, size) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    let end = last.checked_add(1)?;
    (first <= last && end <= size).then(|| Extent {
        range: ByteRange::new(first, end),
        size,
    })
}

/// A key or prefix of a listing with `encoding-type=url`, which encodes as forms do: a space
/// may come as `+`.
///
/// # Errors
/// When it does not decode to UTF-8.
pub(super) fn listed_key(encoded: &str) -> Result<String, String> {
    percent_decode_str(&encoded.replace('+', " "))
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("the listing has the key {encoded:?}, which is no UTF-8"))
}

/// A size or length that the SDK types as signed.
///
/// # Errors
/// When it is missing or negative.
pub(super) fn size(value: Option<i64>) -> Result<u64, String> {
    value
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| "the answer has no size".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A server that does as RFC 9110 says is believed, whatever is asked of it.
        #[test]
        fn a_right_answer_is_taken(size in 1..1000_u64, start in 0..1000_u64, len in 1..1000_u64, suffix: bool) {
            let (asked, range) = if suffix {
                (GetRange::Suffix(len), ByteRange::new(size.saturating_sub(len), size))
            } else {
                let wanted = ByteRange::at(start, len).unwrap();
                match wanted.intersection(ByteRange::new(0, size)) {
                    Some(range) => (GetRange::Bytes(wanted), range),
                    None => return Ok(()),
                }
            };
            let header = format!("bytes {}-{}/{size}", range.start(), range.end() - 1);
            prop_assert_eq!(
                answered_extent(Some(asked), Some(&header), Some(range.len())),
                Ok(Extent { range, size })
            );
        }

        /// Any other range than the asked one is refused.
        #[test]
        fn a_shifted_answer_is_refused(start in 0..500_u64, len in 1..100_u64, shift in 1..50_u64) {
            let asked = GetRange::Bytes(ByteRange::at(start, len).unwrap());
            let header = format!("bytes {}-{}/1000", start + shift, start + shift + len - 1);
            prop_assert!(answered_extent(Some(asked), Some(&header), Some(len)).is_err());
        }

        #[test]
        fn no_content_range_makes_it_panic(header in ".*") {
            let _words_or_extent = answered_extent(None, Some(&header), None);
        }

        #[test]
        fn a_key_encoded_as_a_form_decodes_to_itself(key in ".{0,60}") {
            let form: String = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
                .replace("%20", "+");
            prop_assert_eq!(listed_key(&form), Ok(key));
        }
    }

    #[test]
    fn an_answer_of_the_whole_object_to_a_range_is_refused() {
        let asked = GetRange::Bytes(ByteRange::new(2, 4));
        assert_eq!(
            answered_extent(Some(asked), None, Some(10)),
            Err(
                "the answer brings bytes 0..10 of 10 bytes, which is not what was asked for"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_suffix_of_an_empty_object_is_empty() {
        let asked = GetRange::Suffix(5);
        let empty = answered_extent(Some(asked), Some("bytes 0--1/0"), Some(0));
        assert_eq!(
            empty.map(|extent| (extent.range.len(), extent.size)),
            Ok((0, 0))
        );
        let contradiction = answered_extent(Some(asked), Some("bytes 0--1/0"), Some(5));
        assert!(contradiction.is_err());
    }

    #[test]
    fn a_length_that_contradicts_the_range_is_refused() {
        let asked = GetRange::Bytes(ByteRange::new(2, 4));
        assert!(answered_extent(Some(asked), Some("bytes 2-3/10"), Some(3)).is_err());
        assert!(answered_extent(Some(asked), Some("bytes 3-2/10"), None).is_err());
        assert!(answered_extent(Some(asked), Some("bytes 2-3/3"), None).is_err());
    }

    #[test]
    fn etags_are_quoted_and_never_missing() {
        assert_eq!(etag(Some("abc".to_owned())), Ok(ETag::new("\"abc\"")));
        assert_eq!(
            etag(Some("\"abc-2\"".to_owned())),
            Ok(ETag::new("\"abc-2\""))
        );
        assert_eq!(etag(None), Err("the answer has no ETag".to_owned()));
        assert!(etag(Some("\"\"".to_owned())).is_err());
    }

    #[test]
    fn the_null_version_is_none() {
        assert_eq!(version(Some("null".to_owned())), None);
        assert_eq!(version(Some("v1".to_owned())), Some(VersionId::new("v1")));
    }
}
