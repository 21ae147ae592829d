//! What is at a key: an object of the volume's own, or one of the Amazon S3 Encryption Client.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::key::Opener;
use super::{Place, S3ecObject, verify};
use crate::base::range::ByteRange;
use crate::base::time::Timestamp;
use crate::keys::root::Root;
use crate::layout::plain::{self, ObjectFacts};
use crate::layout::s3ec::{
    Described, Envelope, INSTRUCTION_BYTES_MAX, INSTRUCTION_SUFFIX, S3ecError, Wrapping,
};
use crate::layout::sealed::ObjectError;
use crate::store::{ErrorKind, GetOptions, GetRange, Metadata, ObjectInfo, ObjectKey};
use crate::volume::content::past_version;
use crate::volume::sealed::Opened;
use crate::volume::stat::is_absent;
use crate::volume::{Lineage, ObjectMeta, ObjectRef, Result, Version, Volume, VolumeError};

/// The content of a version.
pub enum Body {
    Native(Arc<Opened>),
    S3ec(Arc<S3ecObject>),
}

impl Volume {
    /// What an object is that has none of cloakfs's metadata. `None` where it is no object of
    /// the Amazon S3 Encryption Client either.
    ///
    /// # Errors
    /// When it is one and cannot be read by this mount.
    pub(in crate::volume) async fn find_s3ec(
        &self,
        key: &ObjectKey,
        info: &ObjectInfo,
    ) -> Result<Option<Arc<S3ecObject>>> {
        let refused = |error: S3ecError| VolumeError::object(key, error.into());
        let s3ec = &self.sealed().s3ec;
        let known = s3ec.kept.get(key, &info.etag);
        let described = Described::decode(&info.attributes.metadata).map_err(refused)?;
        let envelope = match described {
            Described::Whole(envelope) => envelope,
            // The key was good for this body; whoever wraps it anew does not change it.
            _ if known.as_ref().is_some_and(|known| known.is_authentic()) => {
                return Ok(known);
            }
            described => match self.instruction_file(key, info, &described).await? {
                Some(envelope) => envelope,
                None => return Ok(None),
            },
        };
        if let Some(known) = known
            && known.envelope == envelope
            && known.stored_bytes == info.size
        {
            return Ok(Some(known));
        }
        if let Some(legacy) = envelope.legacy()
            && !s3ec.reading.allow_legacy
        {
            return Err(refused(S3ecError::Legacy(legacy)));
        }
        self.check_has_key(envelope.wrapping).map_err(refused)?;
        let content = envelope.content;
        let bytes = content.ciphertext_bytes(info.size).map_err(refused)?;
        let mut object = S3ecObject {
            envelope,
            etag: info.etag.clone(),
            stored_bytes: info.size,
            ciphertext_bytes: bytes,
            size: bytes,
            opener: OnceCell::new(),
            verdict: OnceCell::new(),
        };
        if object.is_legacy_content() {
            object.size = self.cbc_length(key, &object).await?;
        }
        let object = Arc::new(object);
        if object.size == 0 {
            // Nothing of an empty file is read, so that nothing would find out.
            let at = Place {
                key: key.clone(),
                name: key.to_string(),
                etag: info.etag.clone(),
                version: None,
            };
            self.s3ec_pieces(&at, &object).await?;
        }
        s3ec.kept.put(key, &object);
        Ok(Some(object))
    }

    /// The rest of what an object says of itself, from the file beside it.
    async fn instruction_file(
        &self,
        key: &ObjectKey,
        info: &ObjectInfo,
        described: &Described,
    ) -> Result<Option<Envelope>> {
        let missing = || {
            if *described == Described::Nothing {
                return Ok(None);
            }
            let error = S3ecError::NoInstructionFile;
            Err(VolumeError::object(key, error.into()))
        };
        let is_beside = key.as_str().ends_with(INSTRUCTION_SUFFIX);
        if *described == Described::Nothing && (is_beside || info.size == 0) {
            return Ok(None);
        }
        let Ok(beside) = ObjectKey::new(format!("{key}{INSTRUCTION_SUFFIX}")) else {
            return missing();
        };
        let options = GetOptions {
            range: Some(GetRange::Bytes(ByteRange::new(0, INSTRUCTION_BYTES_MAX))),
            ..GetOptions::default()
        };
        let file = match self.store.get(&beside, options).await {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return missing(),
            Err(error) if error.kind() == ErrorKind::Invalid => return missing(),
            Err(error) => return Err(VolumeError::store(&beside, error)),
        };
        let broken = |error: S3ecError| VolumeError::object(key, error.into());
        if file.info.size > INSTRUCTION_BYTES_MAX {
            let what = "the instruction file is longer than any is";
            return Err(broken(S3ecError::Broken(what)));
        }
        let envelope = described.with_instruction_file(&file.body);
        envelope.map(Some).map_err(broken)
    }

    fn check_has_key(&self, wrapping: Wrapping) -> std::result::Result<(), S3ecError> {
        let sealed = self.sealed();
        let has_rsa = sealed.s3ec.reading.rsa_key.is_some();
        let has_kms = matches!(sealed.keys.root(), Root::Kms(_));
        match wrapping {
            Wrapping::RsaOaepSha1 if !has_rsa => Err(S3ecError::NeedsRsaKey),
            Wrapping::Kms | Wrapping::KmsContext if !has_kms => Err(S3ecError::NeedsKms),
            Wrapping::AesGcm | Wrapping::AesKeyWrap | Wrapping::AesEcb if has_kms => {
                Err(S3ecError::NeedsAesKey)
            }
            _ => Ok(()),
        }
    }

    /// The length of the file that AES-CBC pads: what the end of its last block says.
    async fn cbc_length(&self, key: &ObjectKey, object: &S3ecObject) -> Result<u64> {
        let refused = || VolumeError::object(key, S3ecError::NotAuthentic.into());
        let Opener::Cbc(cipher, iv) = self.s3ec_opener(key, object).await? else {
            unreachable!("its content is AES-CBC");
        };
        let size = object.stored_bytes;
        let start = size.saturating_sub(32);
        let options = GetOptions {
            range: Some(GetRange::Bytes(ByteRange::new(start, size))),
            if_match: Some(object.etag.clone()),
            version: None,
        };
        let end = self.store.get(key, options).await;
        let end = end.map_err(|error| VolumeError::store(key, error))?.body;
        let (before, last) = match end.len() {
            16 => (*iv, end.last_chunk::<16>()),
            32 => (*end.first_chunk().ok_or_else(refused)?, end.last_chunk()),
            _ => return Err(refused()),
        };
        let padding = cipher.padding(&before, last.ok_or_else(refused)?);
        Ok(size - padding.map_err(|_| refused())?)
    }

    /// Attributes that objects without any have: what such an object says of itself is not
    /// authentic.
    pub(in crate::volume) fn meta_of_s3ec(
        &self,
        key: &ObjectKey,
        found: &S3ecObject,
        last_modified: Timestamp,
    ) -> ObjectMeta {
        let facts = ObjectFacts {
            size: found.size,
            last_modified,
            is_marker: false,
        };
        let decoded = plain::decode(&Metadata::new(), None, facts, &self.options.defaults);
        ObjectMeta {
            lineage: Lineage::from_parts(found.file_id(key), 0, 0),
            ..ObjectMeta::new(decoded.attributes)
        }
    }

    /// Where a version is.
    pub(in crate::volume) fn place_of(
        &self,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Place> {
        Ok(Place {
            key: self.object_key(object)?,
            name: object.name().to_owned(),
            etag: version.etag.clone(),
            version: past_version(object, version),
        })
    }

    /// The content of a version; without a request where it was met lately.
    pub(in crate::volume) async fn body_of(
        &self,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Body> {
        let key = self.object_key(object)?;
        let sealed = self.sealed();
        if let Some(opened) = sealed.opened.get(&key, &version.etag) {
            return Ok(Body::Native(opened));
        }
        if let Some(found) = sealed.s3ec.kept.get(&key, &version.etag) {
            return Ok(Body::S3ec(found));
        }
        Box::pin(self.open_body(&key, object, version)).await
    }

    async fn open_body(
        &self,
        key: &ObjectKey,
        object: &ObjectRef,
        version: &Version,
    ) -> Result<Body> {
        let end = self.end_of_version(key, object, version).await?;
        let info = end.info.clone();
        let found = match self.open_end(key, end).await {
            Ok(opened) => return Ok(Body::Native(opened)),
            Err(error) => self.s3ec_instead(key, &info, error).await,
        };
        found
            .map(Body::S3ec)
            .map_err(|error| error.named(object.name()))
    }

    /// The object of the other format that was found where none of the volume's own is.
    pub(in crate::volume) async fn s3ec_instead(
        &self,
        key: &ObjectKey,
        info: &ObjectInfo,
        error: VolumeError,
    ) -> Result<Arc<S3ecObject>> {
        let is_theirs = error.object_error() == Some(ObjectError::NotOurs);
        if !is_theirs || !self.sealed().s3ec.names_are_plain {
            return Err(error);
        }
        Box::pin(self.find_s3ec(key, info)).await?.ok_or(error)
    }
}

impl S3ecObject {
    fn is_authentic(&self) -> bool {
        matches!(self.verdict.get(), Some(verify::Verdict::Authentic(_)))
    }
}
