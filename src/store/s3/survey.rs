//! What one request tells about the way to a bucket, for `cloakfs doctor`: whether the server
//! answers, what time it is there, and in which region the bucket is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::EncodingType;

use super::{S3Store, errors};
use crate::store::{Operation, Result};

/// A listing of one key, and what its answer had beside it.
#[derive(Debug)]
pub struct Contact {
    /// Whether there is any object below the prefix, or why that is not known.
    pub listed: Result<bool>,
    /// The status of the answer; `None` where none came.
    pub status: Option<u16>,
    /// The server's clock, in whole seconds, and this machine's in the middle of the request.
    pub clocks: Option<Clocks>,
    /// The region that the server says the bucket is in. Amazon's does.
    pub bucket_region: Option<String>,
}

/// The same moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    pub server: SystemTime,
    pub here: SystemTime,
}

impl S3Store {
    /// Asks for one key below `prefix`, as a mount does first of all.
    pub async fn contact(&self, prefix: &str) -> Contact {
        let head = Head::default();
        let began = SystemTime::now();
        let answer = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .max_keys(1)
            .encoding_type(EncodingType::Url)
            .customize()
            .interceptor(head.clone())
            .send()
            .await;
        let took = began.elapsed().unwrap_or_default();
        let seen = head.take();
        Contact {
            listed: answer
                .map(|page| page.key_count.unwrap_or_default() > 0)
                .map_err(|error| errors::from_sdk(Operation::ListObjects, prefix, error)),
            status: seen.status,
            clocks: seen.date.map(|server| Clocks {
                server,
                here: began + took / 2,
            }),
            bucket_region: seen.region,
        }
    }
}

/// Keeps what is of interest in the head of the last answer.
#[derive(Clone, Debug, Default)]
struct Head(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    status: Option<u16>,
    date: Option<SystemTime>,
    region: Option<String>,
}

impl Head {
    fn take(&self) -> Seen {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Head {
    fn name(&self) -> &'static str {
        "head of the answer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let response = context.response();
        let date = response.headers().get("date");
        let region = response.headers().get("x-amz-bucket-region");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
            status: Some(response.status().as_u16()),
            date: date.and_then(|date| httpdate::parse_http_date(date).ok()),
            region: region.map(str::to_owned),
        };
        Ok(())
    }
}
