//! The encryption that a mount asks of the server: what each request carries and what each
//! answer must say.
//!
//! This is the one place that knows the header names. [`headers`] is a pure function from the
//! mode and the kind of request to plain data; [`verify`] compares an answer with what was
//! asked. S3's rules are those of the user guide, "Protecting data with server-side
//! encryption": the mode goes on every request that creates an object (a copy is one too), on
//! the request that begins a multipart upload, and never on its parts, completion or on reads.
//!
//! Invariant: an object is never left under another mode than the one asked for without an
//! error that names both.

mod customer_key;
mod expected;

use std::fmt;

pub use customer_key::CustomerKey;
pub use expected::ExpectedEncryption;

use crate::base::context::EncryptionContext;
use crate::store::ServerEncryption;

/// The server-side encryption of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestedEncryption {
    /// Nothing is asked for: the bucket's default encryption applies.
    #[default]
    None,
    /// SSE-S3: AES-256 under keys that S3 owns.
    SseS3,
    /// SSE-KMS: under a key that KMS keeps.
    SseKms(KmsRequest),
    /// SSE-C: under a key that goes with every request.
    SseC(CustomerKey),
}

/// What SSE-KMS may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KmsRequest {
    /// An id or, better, the ARN, which policies compare; never an alias, which S3 would not
    /// resolve everywhere. `None`: the AWS managed key of S3.
    pub key: Option<String>,
    /// S3 adds the object's or the bucket's own ARN by itself.
    pub context: Option<EncryptionContext>,
    /// Fewer calls to KMS: S3 derives the objects' keys from one for the bucket.
    pub bucket_key: bool,
    /// `aws:kms:dsse`: two layers of encryption. Not together with a bucket key.
    pub dsse: bool,
}

impl fmt::Display for RequestedEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::SseS3 => f.write_str("sse-s3 (AES256)"),
            Self::SseKms(kms) => {
                f.write_str(if kms.dsse {
                    "sse-kms (dsse)"
                } else {
                    "sse-kms"
                })?;
                match &kms.key {
                    Some(key) => write!(f, " under key {key}"),
                    None => f.write_str(" under the AWS managed key"),
                }
            }
            Self::SseC(key) => write!(f, "sse-c under the key with MD5 {}", key.md5()),
        }
    }
}

/// The requests that differ in their encryption headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    Get,
    Head,
    Put,
    CreateMultipart,
    UploadPart,
    CopyPart,
    CompleteMultipart,
    Copy,
}

/// The encryption headers of one request: names and values as they are sent.
pub type EncryptionHeaders = Vec<(&'static str, String)>;

/// What a request of this kind must carry.
#[must_use]
pub fn headers(requested: &RequestedEncryption, kind: RequestKind) -> EncryptionHeaders {
    let decides = matches!(
        kind,
        RequestKind::Put | RequestKind::CreateMultipart | RequestKind::Copy
    );
    match requested {
        RequestedEncryption::SseS3 if decides => {
            vec![("x-amz-server-side-encryption", "AES256".to_owned())]
        }
        RequestedEncryption::SseKms(kms) if decides => {
            let mode = if kms.dsse { "aws:kms:dsse" } else { "aws:kms" };
            let mut headers = vec![("x-amz-server-side-encryption", mode.to_owned())];
            if let Some(key) = &kms.key {
                headers.push(("x-amz-server-side-encryption-aws-kms-key-id", key.clone()));
            }
            headers
        }
        RequestedEncryption::SseC(key) => vec![
            (
                "x-amz-server-side-encryption-customer-key",
                key.expose_base64().to_owned(),
            ),
            (
                "x-amz-server-side-encryption-customer-key-md5",
                key.md5().to_owned(),
            ),
        ],
        _ => vec![],
    }
}

/// The encryption fields of an answer, as the server sent them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnsweredHeaders<'a> {
    pub server_side_encryption: Option<&'a str>,
    pub kms_key_id: Option<&'a str>,
    pub bucket_key: Option<bool>,
    pub customer_key_md5: Option<&'a str>,
}

impl AnsweredHeaders<'_> {
    /// What they mean.
    #[must_use]
    pub fn parse(self) -> ServerEncryption {
        let sse_kms = |dsse| ServerEncryption::SseKms {
            key_id: self.kms_key_id.map(str::to_owned),
            bucket_key: self.bucket_key.unwrap_or(false),
            dsse,
        };
        match (self.server_side_encryption, self.customer_key_md5) {
            (Some("AES256"), None) => ServerEncryption::SseS3,
            (Some("aws:kms"), None) => sse_kms(false),
            (Some("aws:kms:dsse"), None) => sse_kms(true),
            (Some(other), _) => ServerEncryption::Other(other.to_owned()),
            (None, Some(key_md5)) => ServerEncryption::SseC {
                key_md5: key_md5.to_owned(),
            },
            (None, None) => ServerEncryption::None,
        }
    }
}

/// An answer that names another encryption than the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "asked for {requested}, but the server answered with {}: the bucket's default encryption or something between this host and the bucket overrides it; use that mode, or correct the bucket",
    Answered(.answered)
)]
pub struct EncryptionMismatch {
    requested: RequestedEncryption,
    answered: ServerEncryption,
}

/// Checks the answer to a request of this kind.
///
/// Reads are never refused: an object of another mode in the bucket stays readable, and
/// [`crate::store::ObjectInfo::encryption`] tells. MinIO says nothing about the mode of
/// copies and where an upload begins or ends: what is said there must be right, and silence
/// about a finished object is settled by a HEAD.
///
/// # Errors
/// When the answer names another mode, or none where every server names one.
pub fn verify(
    requested: &RequestedEncryption,
    kind: RequestKind,
    answered: &ServerEncryption,
) -> Result<(), EncryptionMismatch> {
    let reads = matches!(kind, RequestKind::Get | RequestKind::Head);
    let may_be_silent = matches!(
        kind,
        RequestKind::CreateMultipart
            | RequestKind::CopyPart
            | RequestKind::CompleteMultipart
            | RequestKind::Copy
    );
    let is_it = match requested {
        RequestedEncryption::None => true,
        RequestedEncryption::SseS3 => *answered == ServerEncryption::SseS3,
        RequestedEncryption::SseKms(_) => matches!(answered, ServerEncryption::SseKms { .. }),
        RequestedEncryption::SseC(key) => {
            matches!(answered, ServerEncryption::SseC { key_md5 } if key_md5 == key.md5())
        }
    };
    let right = reads || is_it || may_be_silent && *answered == ServerEncryption::None;
    if right {
        Ok(())
    } else {
        Err(EncryptionMismatch {
            requested: requested.clone(),
            answered: answered.clone(),
        })
    }
}

/// The words for an answered encryption.
struct Answered<'a>(&'a ServerEncryption);

impl fmt::Display for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ServerEncryption::None => f.write_str("no encryption"),
            ServerEncryption::SseS3 => f.write_str("sse-s3 (AES256)"),
            ServerEncryption::SseKms { key_id, dsse, .. } => {
                f.write_str(if *dsse { "sse-kms (dsse)" } else { "sse-kms" })?;
                match key_id {
                    Some(key_id) => write!(f, " under key {key_id}"),
                    None => Ok(()),
                }
            }
            ServerEncryption::SseC { key_md5 } => {
                write!(f, "sse-c under the key with MD5 {key_md5}")
            }
            ServerEncryption::Other(other) => write!(f, "{other:?}, which cloakfs does not know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_kind() -> impl Strategy<Value = RequestKind> {
        prop_oneof![
            Just(RequestKind::Get),
            Just(RequestKind::Head),
            Just(RequestKind::Put),
            Just(RequestKind::CreateMultipart),
            Just(RequestKind::UploadPart),
            Just(RequestKind::CopyPart),
            Just(RequestKind::CompleteMultipart),
            Just(RequestKind::Copy),
        ]
    }

    fn any_mode() -> impl Strategy<Value = RequestedEncryption> {
        prop_oneof![
            Just(RequestedEncryption::None),
            Just(RequestedEncryption::SseS3),
        ]
    }

    fn any_answer() -> impl Strategy<Value = ServerEncryption> {
        prop_oneof![
            Just(ServerEncryption::None),
            Just(ServerEncryption::SseS3),
            (any::<Option<String>>(), any::<bool>(), any::<bool>()).prop_map(
                |(key_id, bucket_key, dsse)| ServerEncryption::SseKms {
                    key_id,
                    bucket_key,
                    dsse
                }
            ),
            any::<String>().prop_map(|key_md5| ServerEncryption::SseC { key_md5 }),
            any::<String>().prop_map(ServerEncryption::Other),
        ]
    }

    /// Whether S3 makes an object, or the beginning of one, in answer to the request.
    fn decides_the_mode(kind: RequestKind) -> bool {
        matches!(
            kind,
            RequestKind::Put | RequestKind::CreateMultipart | RequestKind::Copy
        )
    }

    proptest! {
        #[test]
        fn the_mode_is_asked_for_exactly_where_it_is_decided(mode in any_mode(), kind in any_kind()) {
            let sent = headers(&mode, kind);
            if mode == RequestedEncryption::SseS3 && decides_the_mode(kind) {
                prop_assert_eq!(
                    sent,
                    [("x-amz-server-side-encryption", "AES256".to_owned())]
                );
            } else {
                prop_assert_eq!(sent, vec![]);
            }
        }

        #[test]
        fn an_answer_that_names_another_mode_fails_every_write(
            kind in any_kind(),
            answered in any_answer(),
        ) {
            let verdict = verify(&RequestedEncryption::SseS3, kind, &answered);
            let reads = matches!(kind, RequestKind::Get | RequestKind::Head);
            let silent = answered == ServerEncryption::None
                && matches!(
                    kind,
                    RequestKind::CreateMultipart
                        | RequestKind::Copy
                        | RequestKind::CopyPart
                        | RequestKind::CompleteMultipart
                );
            prop_assert_eq!(
                verdict.is_ok(),
                reads || silent || answered == ServerEncryption::SseS3
            );
        }

        #[test]
        fn nothing_asked_accepts_the_bucket_default(kind in any_kind(), answered in any_answer()) {
            prop_assert!(verify(&RequestedEncryption::None, kind, &answered).is_ok());
        }
    }

    #[test]
    fn a_mismatch_names_both_modes() {
        let answered = AnsweredHeaders {
            server_side_encryption: Some("aws:kms"),
            kms_key_id: Some("arn:aws:kms:my-key"),
            ..AnsweredHeaders::default()
        }
        .parse();
        let error = verify(&RequestedEncryption::SseS3, RequestKind::Put, &answered).unwrap_err();
        assert_eq!(
            error.to_string(),
            "asked for sse-s3 (AES256), but the server answered with sse-kms under key \
             arn:aws:kms:my-key: the bucket's default encryption or something between this host \
             and the bucket overrides it; use that mode, or correct the bucket"
        );
    }

    #[test]
    fn every_header_value_is_read() {
        let parse = |value| {
            AnsweredHeaders {
                server_side_encryption: value,
                ..AnsweredHeaders::default()
            }
            .parse()
        };
        assert_eq!(parse(None), ServerEncryption::None);
        assert_eq!(parse(Some("AES256")), ServerEncryption::SseS3);
        assert!(matches!(
            parse(Some("aws:kms:dsse")),
            ServerEncryption::SseKms { dsse: true, .. }
        ));
        assert_eq!(
            parse(Some("rot13")),
            ServerEncryption::Other("rot13".to_owned())
        );
        let customer = AnsweredHeaders {
            customer_key_md5: Some("abc="),
            ..AnsweredHeaders::default()
        };
        assert_eq!(
            customer.parse(),
            ServerEncryption::SseC {
                key_md5: "abc=".to_owned()
            }
        );
    }
}
