//! SOURCE: `s3://BUCKET[/PREFIX]` or `dir:PATH`. Pure.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::base::limits::{KEY_BYTES_MAX, RESERVED_PREFIX};

/// What is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    S3(S3Location),
    /// As given, perhaps relative to the working directory.
    Dir(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct S3Location {
    pub bucket: String,
    /// Empty, or ends in `/`.
    pub prefix: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceError {
    #[error(
        "\"{0}\" is not a source: write s3://BUCKET or s3://BUCKET/PREFIX for a bucket, or dir:PATH for a local directory"
    )]
    Form(String),
    #[error("\"{0}\" names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX")]
    NoBucket(String),
    #[error(
        "\"{bucket}\" is not the name of a bucket: it has 3 to 63 letters, digits, dots, hyphens and underscores"
    )]
    Bucket { bucket: String },
    #[error("\"{0}\" names no directory: write dir:PATH")]
    NoPath(String),
    #[error(
        "the prefix \"{prefix}\" has a part \"{part}\", which no path below the mountpoint could name; write it without empty parts, \".\" and \"..\""
    )]
    Part { prefix: String, part: String },
    #[error(
        "the prefix \"{prefix}\" is inside of {RESERVED_PREFIX}, which cloakfs keeps for itself"
    )]
    Reserved { prefix: String },
    #[error(
        "the prefix is {bytes} bytes long, and an S3 key has at most {KEY_BYTES_MAX} in all; mount a shorter one"
    )]
    TooLong { bytes: usize },
}

impl Source {
    pub(super) fn parse(text: &OsStr) -> Result<Self, SourceError> {
        let shown = || text.to_string_lossy().into_owned();
        if let Some(path) = text.as_bytes().strip_prefix(b"dir:") {
            if path.is_empty() {
                return Err(SourceError::NoPath(shown()));
            }
            return Ok(Self::Dir(PathBuf::from(OsStr::from_bytes(path))));
        }
        let text = text.to_str().ok_or_else(|| SourceError::Form(shown()))?;
        let location = text
            .strip_prefix("s3://")
            .ok_or_else(|| SourceError::Form(shown()))?;
        let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
        if bucket.is_empty() {
            return Err(SourceError::NoBucket(shown()));
        }
        Ok(Self::S3(S3Location {
            bucket: parse_bucket(bucket)?,
            prefix: parse_prefix(prefix)?,
        }))
    }
}

/// Amazon's rule for new buckets is narrower, but older buckets and other servers have upper
/// case and underscores.
fn parse_bucket(bucket: &str) -> Result<String, SourceError> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-' || byte == b'_';
    if (3..=63).contains(&bucket.len()) && bucket.bytes().all(is_plain) {
        Ok(bucket.to_owned())
    } else {
        Err(SourceError::Bucket {
            bucket: bucket.to_owned(),
        })
    }
}

fn parse_prefix(prefix: &str) -> Result<String, SourceError> {
    let bare = prefix.strip_suffix('/').unwrap_or(prefix);
    if bare.is_empty() && prefix.is_empty() {
        return Ok(String::new());
    }
    let shown = || prefix.to_owned();
    for part in bare.split('/') {
        if matches!(part, "" | "." | "..") {
            return Err(SourceError::Part {
                prefix: shown(),
                part: part.to_owned(),
            });
        }
        if part == RESERVED_PREFIX.trim_end_matches('/') {
            return Err(SourceError::Reserved { prefix: shown() });
        }
    }
    let normal = format!("{bare}/");
    if normal.len() >= KEY_BYTES_MAX {
        return Err(SourceError::TooLong {
            bytes: normal.len(),
        });
    }
    Ok(normal)
}

/// As it appears in the mount table and in status.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(location) if location.prefix.is_empty() => {
                write!(f, "s3://{}", location.bucket)
            }
            Self::S3(location) => write!(
                f,
                "s3://{}/{}",
                location.bucket,
                location.prefix.trim_end_matches('/')
            ),
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Source, SourceError> {
        Source::parse(OsStr::new(text))
    }

    fn s3(bucket: &str, prefix: &str) -> Source {
        Source::S3(S3Location {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    #[test]
    fn sources_are_read() {
        assert_eq!(parse("s3://bucket"), Ok(s3("bucket", "")));
        assert_eq!(parse("s3://bucket/"), Ok(s3("bucket", "")));
        assert_eq!(parse("s3://bucket/a/b"), Ok(s3("bucket", "a/b/")));
        assert_eq!(parse("s3://bucket/a b/"), Ok(s3("bucket", "a b/")));
        assert_eq!(parse("dir:/srv/x"), Ok(Source::Dir("/srv/x".into())));
        assert_eq!(parse("dir:x"), Ok(Source::Dir("x".into())));
        assert_eq!(
            parse("s3://bucket/a/").unwrap().to_string(),
            "s3://bucket/a"
        );
    }

    #[test]
    fn what_is_no_source_is_said_with_what_to_write() {
        let sentence = |text| parse(text).unwrap_err().to_string();
        assert_eq!(
            sentence("bucket/x"),
            "\"bucket/x\" is not a source: write s3://BUCKET or s3://BUCKET/PREFIX for a bucket, or dir:PATH for a local directory"
        );
        assert_eq!(
            sentence("s3:///x"),
            "\"s3:///x\" names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX"
        );
        assert_eq!(
            sentence("s3://a_b c"),
            "\"a_b c\" is not the name of a bucket: it has 3 to 63 letters, digits, dots, hyphens and underscores"
        );
        assert_eq!(
            sentence("dir:"),
            "\"dir:\" names no directory: write dir:PATH"
        );
        for wrong in [
            "s3://bucket//",
            "s3://bucket//a",
            "s3://bucket/a//b",
            "s3://bucket/a//",
        ] {
            assert!(sentence(wrong).contains("has a part \"\""), "{wrong}");
        }
        assert!(sentence("s3://bucket/a/../b").contains("has a part \"..\""));
        assert!(sentence("s3://bucket/./b").contains("has a part \".\""));
        assert!(sentence("s3://bucket/a/.cloakfs/b").contains("inside of .cloakfs/"));
        let long = format!("s3://bucket/{}", "a".repeat(1024));
        assert!(sentence(&long).starts_with("the prefix is 1025 bytes long"));
    }

    proptest! {
        #[test]
        fn a_source_is_read_back_from_how_it_is_shown(text in "s3://[a-z]{3,5}(/[a-z. ]{0,3}){0,4}") {
            if let Ok(source) = parse(&text) {
                prop_assert_eq!(parse(&source.to_string()), Ok(source));
            }
        }
    }
}
