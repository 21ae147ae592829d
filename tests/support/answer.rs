//! What a server answered, as it was on the wire: the SDK's own types leave some of it out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::ConfigBag;
use aws_sdk_s3::config::Intercept;
use aws_sdk_s3::config::RuntimeComponents;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};

/// What an answer tells about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub size_bytes: u64,
    pub etag: Option<String>,
    /// `x-amz-server-side-encryption`.
    pub encryption: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`.
    pub kms_key: Option<String>,
    /// `x-amz-server-side-encryption-context`, base64 of JSON. MinIO tells it with objects; S3 only
    /// when it writes them.
    pub kms_context: Option<String>,
    /// `x-amz-server-side-encryption-bucket-key-enabled`.
    pub bucket_key: bool,
    /// `x-amz-server-side-encryption-customer-key-md5`.
    pub key_md5: Option<String>,
    /// Without the prefix of its names.
    pub metadata: HashMap<String, String>,
}

/// A request that the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    /// Empty where the answer has none, as that to a HEAD.
    pub code: String,
}

/// Keeps the last answer's status and headers.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Option<Answer>>>);

/// Its status, and its headers in lower case.
type Answer = (u16, HashMap<String, String>);

impl Recorder {
    /// The outcome of a request that was sent with this recorder.
    ///
    /// # Panics
    /// When there was no answer: then there is nothing to judge.
    pub fn judge<T, E>(&self, result: Result<T, SdkError<E>>) -> Result<(T, Seen), Refused>
    where
        E: ProvideErrorMetadata + std::fmt::Debug,
    {
        let answer = self.0.lock().expect("no test thread died").take();
        match (result, answer) {
            (Ok(output), Some((_, headers))) => Ok((output, Seen::of(headers))),
            (Err(error), Some((status, _))) => Err(Refused {
                status,
                code: error.code().unwrap_or_default().to_owned(),
            }),
            (result, None) => panic!("there was no answer: {:?}", result.err()),
        }
    }
}

impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let answer = (response.status().as_u16(), headers.collect());
        *self.0.lock().expect("no test thread died") = Some(answer);
        Ok(())
    }
}

impl Seen {
    fn of(mut headers: HashMap<String, String>) -> Self {
        let mut take = |name: &str| headers.remove(name);
        let encryption = "x-amz-server-side-encryption";
        Self {
            size_bytes: take("content-length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0),
            etag: take("etag"),
            encryption: take(encryption),
            kms_key: take(&format!("{encryption}-aws-kms-key-id")),
            kms_context: take(&format!("{encryption}-context")),
            bucket_key: take(&format!("{encryption}-bucket-key-enabled")).as_deref()
                == Some("true"),
            key_md5: take(&format!("{encryption}-customer-key-md5")),
            metadata: headers
                .into_iter()
                .filter_map(|(name, value)| {
                    Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value))
                })
                .collect(),
        }
    }
}
