//! What is known of a request and its answer.

use std::fmt;

use super::message::Message;

/// A request that came to the proxy, and its answer.
#[derive(Clone)]
pub struct Exchange {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// A copy on the server, whose request has no content.
    pub copies: bool,
    /// Bytes of the request's body.
    pub up: u64,
    /// Bytes of the answer's body.
    pub down: u64,
    /// None, where the answer has not come or was not waited for.
    pub status: Option<u16>,
}

impl Exchange {
    pub(super) fn of(request: &Message) -> Self {
        Self {
            method: request.method().to_owned(),
            target: request.target().to_owned(),
            copies: request.header("x-amz-copy-source").is_some(),
            up: request.body.len() as u64,
            down: 0,
            status: None,
        }
    }

    /// The object's, in a bucket whose keys are written in a path as they are.
    pub fn key(&self, bucket: &str) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        assert!(!path.contains('%'), "{path} has to be decoded");
        let key = path.strip_prefix(&format!("/{bucket}/"));
        key.unwrap_or_else(|| panic!("{path} is not of {bucket}"))
    }

    /// As S3 calls it.
    pub fn operation(&self) -> &'static str {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let asks = |name: &str| {
            let mut pairs = query.split('&');
            pairs.any(|pair| pair.split('=').next() == Some(name))
        };
        let of_bucket = path.trim_matches('/').split('/').count() < 2;
        match self.method.as_str() {
            "PUT" if asks("partNumber") && self.copies => "UploadPartCopy",
            "PUT" if asks("partNumber") => "UploadPart",
            "PUT" if self.copies => "CopyObject",
            "PUT" => "PutObject",
            "POST" if asks("uploads") => "CreateMultipartUpload",
            "POST" if asks("uploadId") => "CompleteMultipartUpload",
            "DELETE" if asks("uploadId") => "AbortMultipartUpload",
            "DELETE" => "DeleteObject",
            "HEAD" => "HeadObject",
            "GET" if asks("uploads") => "ListMultipartUploads",
            "GET" if of_bucket => "ListObjects",
            "GET" => "GetObject",
            _ => "another request",
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map_or("no answer".into(), |it| it.to_string());
        let (operation, target) = (self.operation(), &self.target);
        let (up, down) = (self.up, self.down);
        write!(
            formatter,
            "{operation} {target}: {up} up, {down} down, {status}"
        )
    }
}
