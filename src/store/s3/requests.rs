//! What goes into requests, as pure functions: ranges, copy sources, metadata, checksums.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::base::range::ByteRange;
use crate::store::{CopySource, GetRange, Metadata};

/// All but RFC 3986's unreserved characters and the separator of components.
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The value of a `Range` header; `None` for a range without bytes, which has none.
pub(super) fn range_header(range: GetRange) -> Option<String> {
    match range {
        GetRange::Bytes(range) => byte_range(range),
        GetRange::Suffix(0) => None,
        GetRange::Suffix(len) => Some(format!("bytes=-{len}")),
    }
}

/// `bytes=FIRST-LAST`, both inclusive.
pub(super) fn byte_range(range: ByteRange) -> Option<String> {
    (!range.is_empty()).then(|| format!("bytes={}-{}", range.start(), range.end() - 1))
}

/// The value of `x-amz-copy-source`.
pub(super) fn copy_source(bucket: &str, source: &CopySource) -> String {
    let key = utf8_percent_encode(source.key.as_str(), COPY_SOURCE);
    match &source.version {
        Some(version) => {
            let version = utf8_percent_encode(version.as_str(), COPY_SOURCE);
            format!("{bucket}/{key}?versionId={version}")
        }
        None => format!("{bucket}/{key}"),
    }
}

/// Metadata as headers can carry it. Names become lower case.
///
/// # Errors
/// The words for a name or value that would not come back as it was sent.
pub(super) fn metadata_headers(metadata: &Metadata) -> Result<HashMap<String, String>, String> {
    metadata
        .iter()
        .map(|(name, value)| {
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(format!(
                    "the metadata name {name:?} cannot be sent: only ASCII letters, digits and -_.!#$&'*+^`|~ are allowed"
                ));
            }
            if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
                || value.trim_matches(' ').len() != value.len()
            {
                return Err(format!(
                    "the value of the metadata {name:?} cannot be sent: it must be printable ASCII without spaces at its ends"
                ));
            }
            Ok((name.to_ascii_lowercase(), value.clone()))
        })
        .collect()
}

/// A character of a header's name (RFC 9110, `tchar`), `%` excepted: some servers decode it.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!#$&'*+^`|~".contains(&byte)
}

/// The checksum that goes with every body: CRC-32C, which processors have an instruction for,
/// big-endian in base64 as `x-amz-checksum-crc32c` wants it.
pub(super) fn checksum(body: &[u8]) -> String {
    BASE64.encode(crc_fast::crc32_iscsi(body).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::store::{ObjectKey, VersionId};

    fn source(key: &str) -> CopySource {
        CopySource {
            key: ObjectKey::new(key).unwrap(),
            if_match: None,
            version: None,
            range: None,
        }
    }

    proptest! {
        #[test]
        fn a_copy_source_is_ascii_and_decodes_to_its_key(key in ".{1,80}") {
            let header = copy_source("b", &source(&key));
            prop_assert!(header.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!header.contains(['?', '+', '#']));
            let decoded = percent_decode_str(header.strip_prefix("b/").unwrap())
                .decode_utf8()
                .unwrap();
            prop_assert_eq!(decoded, key);
        }

        #[test]
        fn metadata_that_is_accepted_is_sent_unchanged(name in "[a-z0-9_-]{1,20}", value in "[!-~]([ -~]{0,20}[!-~])?") {
            let metadata = Metadata::from([(name.clone(), value.clone())]);
            let headers = metadata_headers(&metadata).unwrap();
            prop_assert_eq!(headers.get(&name), Some(&value));
        }

        #[test]
        fn metadata_that_a_header_cannot_carry_is_refused(value in ".*[^ -~].*") {
            let metadata = Metadata::from([("name".to_owned(), value)]);
            prop_assert!(metadata_headers(&metadata).is_err());
        }
    }

    #[test]
    fn ranges_are_inclusive_on_the_wire() {
        assert_eq!(
            range_header(GetRange::Bytes(ByteRange::new(5, 10))).unwrap(),
            "bytes=5-9"
        );
        assert_eq!(range_header(GetRange::Suffix(7)).unwrap(), "bytes=-7");
        assert_eq!(range_header(GetRange::Bytes(ByteRange::new(5, 5))), None);
        assert_eq!(range_header(GetRange::Suffix(0)), None);
    }

    #[test]
    fn a_copy_source_names_its_version() {
        let mut source = source("a b/c+d%");
        source.version = Some(VersionId::new("x/y=="));
        assert_eq!(
            copy_source("bucket", &source),
            "bucket/a%20b/c%2Bd%25?versionId=x/y%3D%3D"
        );
    }

    #[test]
    fn names_are_sent_in_lower_case_and_odd_ones_are_refused() {
        let upper = Metadata::from([("Name".to_owned(), String::new())]);
        assert!(metadata_headers(&upper).unwrap().contains_key("name"));
        for name in ["", "a b", "ä", "a:b", "a\n"] {
            let metadata = Metadata::from([(name.to_owned(), "v".to_owned())]);
            assert!(
                metadata_headers(&metadata)
                    .unwrap_err()
                    .starts_with("the metadata name "),
                "{name:?}"
            );
        }
        let padded = Metadata::from([("name".to_owned(), " v".to_owned())]);
        assert_eq!(
            metadata_headers(&padded).unwrap_err(),
            "the value of the metadata \"name\" cannot be sent: it must be printable ASCII without spaces at its ends"
        );
    }

    #[test]
    fn the_checksum_is_crc32c() {
        // RFC 3720, appendix B.4: 32 bytes of zeroes give aa 36 91 8a, least significant first.
        assert_eq!(
            BASE64.decode(checksum(&[0; 32])).unwrap(),
            [0x8a, 0x91, 0x36, 0xaa]
        );
    }
}
