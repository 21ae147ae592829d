//! GET and HEAD.

use std::error::Error;

use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;

use super::encryption::{Opener, RequestKind};
use super::errors::{Asked, Failed};
use super::opening::Opened;
use super::{S3Store, answers, carried, corrupt, errors, invalid, requests};
use crate::aws::{Interrupted, unreachable};
use crate::base::range::ByteRange;
use crate::store::{
    ErrorKind, GetOptions, GetRange, HeadOptions, Object, ObjectInfo, ObjectKey, Operation, Result,
    StoreError, VersionId,
};

/// Most memory that is set aside before any byte has come.
const PROMISED_BYTES_MAX: usize = 64 << 20;

impl S3Store {
    pub(super) async fn get_object(&self, key: &ObjectKey, options: GetOptions) -> Result<Object> {
        let asked = options.range;
        let range = match asked {
            Some(range) => Some(requests::range_header(range).ok_or_else(|| {
                invalid(Operation::GetObject, key.as_str())(
                    "a range of no bytes cannot be read".to_owned(),
                )
            })?),
            None => None,
        };
        let attempt = |opener| self.get_with(key, &options, range.clone(), opener);
        let opened = self
            .open(
                Operation::GetObject,
                (key, options.if_match.as_ref()),
                attempt,
            )
            .await;
        match opened {
            Ok(object) => Ok(object),
            Err(Failed { error, .. })
                if matches!(asked, Some(GetRange::Suffix(_)))
                    && error.code() == Some("InvalidRange") =>
            {
                self.suffix_of_nothing(key, options, error).await
            }
            Err(Failed { error, .. }) => Err(error),
        }
    }

    pub(super) async fn get_with(
        &self,
        key: &ObjectKey,
        options: &GetOptions,
        range: Option<String>,
        opener: Opener,
    ) -> std::result::Result<Opened<Object>, Failed> {
        let asked = options.range;
        // What the server keeps is of the whole object, and checks nothing but all of it.
        let checked = range.is_none().then_some(ChecksumMode::Enabled);
        let mut output = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .set_range(range)
            .set_checksum_mode(checked)
            .set_if_match(options.if_match.as_ref().map(ToString::to_string))
            .set_version_id(options.version.as_ref().map(ToString::to_string))
            .customize()
            .mutate_request(self.encrypt(RequestKind::Get, &opener))
            .send()
            .await
            .map_err(|error| {
                let asked = reading(&opener);
                errors::failed(Operation::GetObject, key.as_str(), asked, error)
            })?;
        let corrupt = corrupt(Operation::GetObject, key.as_str());
        let length = answers::size(output.content_length).map_err(&corrupt)?;
        let extent = answers::answered_extent(asked, output.content_range.as_deref(), Some(length))
            .map_err(&corrupt)?;
        let properties = carried::properties!(output);
        let info =
            answers::object_info(answers::object_fields!(output), extent.size).map_err(&corrupt)?;
        if options
            .if_match
            .as_ref()
            .is_some_and(|etag| *etag != info.etag)
        {
            let words = format!(
                "the answer is of the version {}, which is not the one asked for",
                info.etag
            );
            return Err(corrupt(words).into());
        }
        self.carried.note(key, &info.etag, properties);
        let body = collect(key, output.body, extent.range.len()).await?;
        Ok(Opened {
            etag: info.etag.clone(),
            encryption: info.encryption.clone(),
            output: Object {
                info,
                range: extent.range,
                body,
            },
        })
    }

    /// A suffix of an empty object: S3 refuses the range, where the store gives the whole.
    async fn suffix_of_nothing(
        &self,
        key: &ObjectKey,
        options: GetOptions,
        refused: StoreError,
    ) -> Result<Object> {
        let version = options.version;
        let info = self.head_object(key, HeadOptions { version }).await?;
        if options.if_match.is_some_and(|etag| etag != info.etag) {
            return Err(StoreError::precondition(Operation::GetObject, key));
        }
        if info.size > 0 {
            return Err(refused);
        }
        Ok(Object {
            info,
            range: ByteRange::new(0, 0),
            body: Bytes::new(),
        })
    }

    pub(super) async fn head_object(
        &self,
        key: &ObjectKey,
        options: HeadOptions,
    ) -> Result<ObjectInfo> {
        let version = options.version.as_ref();
        let attempt = |opener| self.head_with(key, version, opener);
        let opened = self.open(Operation::HeadObject, (key, None), attempt).await;
        match opened {
            Ok(info) => Ok(info),
            Err(Failed {
                error,
                refusal: None,
            }) => Err(error),
            Err(Failed { error, .. }) => Err(self.reason(key, version, error).await),
        }
    }

    async fn head_with(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        opener: Opener,
    ) -> std::result::Result<Opened<ObjectInfo>, Failed> {
        let mut output = self
            .client
            .head_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .set_version_id(version.map(VersionId::to_string))
            .customize()
            .mutate_request(self.encrypt(RequestKind::Head, &opener))
            .send()
            .await
            .map_err(|error| {
                let asked = reading(&opener);
                errors::failed(Operation::HeadObject, key.as_str(), asked, error)
            })?;
        let corrupt = corrupt(Operation::HeadObject, key.as_str());
        let size = answers::size(output.content_length).map_err(&corrupt)?;
        let properties = carried::properties!(output);
        let info = answers::object_info(answers::object_fields!(output), size).map_err(&corrupt)?;
        let info = self.with_true_etag(key, version, opener, info).await?;
        self.carried.note(key, &info.etag, properties);
        Ok(Opened {
            etag: info.etag.clone(),
            encryption: info.encryption.clone(),
            output: info,
        })
    }
}

/// What is there is under a key of its own, not the one that the mount asks for.
fn reading(opener: &Opener) -> Asked<'_> {
    Asked {
        kms_key: None,
        sent_key: *opener != Opener::NoKey,
        keys: [opener.key(), None],
    }
}

/// Reads a body of exactly `len` bytes.
async fn collect(key: &ObjectKey, mut stream: ByteStream, len: u64) -> Result<Bytes> {
    let wrong_length = || {
        corrupt(Operation::GetObject, key.as_str())(
            "the answer's body is not as long as its head says".to_owned(),
        )
    };
    let len = usize::try_from(len).map_err(|_| wrong_length())?;
    // What the head promises is not believed beyond what anyone asks for at once.
    let mut body = Vec::with_capacity(len.min(PROMISED_BYTES_MAX));
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| {
            if let Some(words) = mismatch(&error) {
                return corrupt(Operation::GetObject, key.as_str())(words);
            }
            let words = unreachable::find::<Interrupted>(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            StoreError::new(
                ErrorKind::Unavailable,
                Operation::GetObject,
                key.as_str(),
                words,
            )
            .with_source(error)
        })?;
        if piece.len() > len - body.len() {
            return Err(wrong_length());
        }
        body.extend_from_slice(&piece);
    }
    if body.len() == len {
        Ok(Bytes::from(body))
    } else {
        Err(wrong_length())
    }
}

/// The words of the SDK for a body that is not what the server's checksum is of.
fn mismatch(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if words.contains("checksum mismatch") {
            return Some(words);
        }
        cause = error.source();
    }
    None
}
