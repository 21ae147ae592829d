//! What a server-side copy must say again, or S3 forgets it.
//!
//! A copy puts its target into the standard storage class unless it names another one, and a
//! copy that replaces the metadata also replaces `Cache-Control` and its kind. Callers copy an
//! object that they have just looked at, so the answers to GET, HEAD and listings are
//! remembered here, but only those that are out of the ordinary: in most buckets none.
//!
//! Bounded; an entry counts only while the object has the ETag that it was seen with. What has
//! been forgotten is lost at the copy, as it is with every tool that copies without looking.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use aws_sdk_s3::types::StorageClass;
use aws_smithy_types::DateTime;
use lru::LruCache;

use crate::store::{ETag, ObjectKey};

const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The properties of one object that a copy would lose; `None` where S3's default holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub storage_class: Option<StorageClass>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires: Option<DateTime>,
    pub website_redirect: Option<String>,
}

/// Takes [`Properties`] out of the SDK's answer to a GET or a HEAD.
macro_rules! properties {
    ($output:expr) => {
        $crate::store::s3::carried::Properties {
            storage_class: $output.storage_class.take(),
            cache_control: $output.cache_control.take(),
            content_disposition: $output.content_disposition.take(),
            content_encoding: $output.content_encoding.take(),
            content_language: $output.content_language.take(),
            expires: $output.expires_string.take().and_then(|date| {
                aws_smithy_types::DateTime::from_str(
                    &date,
                    aws_smithy_types::date_time::Format::HttpDate,
                )
                .ok()
            }),
            website_redirect: $output.website_redirect_location.take(),
        }
    };
}
pub(super) use properties;

/// The objects with extraordinary properties that were seen lately.
#[derive(Debug)]
pub(super) struct Carried(Mutex<LruCache<ObjectKey, (ETag, Properties)>>);

impl Carried {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }

    /// Takes note of what an answer says about an object.
    pub(super) fn note(&self, key: &ObjectKey, etag: &ETag, mut properties: Properties) {
        if properties.storage_class == Some(StorageClass::Standard) {
            properties.storage_class = None;
        }
        let mut seen = self.lock();
        if properties == Properties::default() {
            seen.pop(key);
        } else {
            seen.put(key.clone(), (etag.clone(), properties));
        }
    }

    /// The properties of an object, if they are extraordinary and it is still the one that was
    /// seen. `None` for `etag` is whatever is there.
    pub(super) fn of(&self, key: &ObjectKey, etag: Option<&ETag>) -> Properties {
        match self.lock().get(key) {
            Some((seen, properties)) if etag.is_none_or(|etag| etag == seen) => properties.clone(),
            _ => Properties::default(),
        }
    }

    /// Whether there is a note of this version of the object.
    pub(super) fn knows(&self, key: &ObjectKey, etag: &ETag) -> bool {
        self.lock().peek(key).is_some_and(|(seen, _)| seen == etag)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<ObjectKey, (ETag, Properties)>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_extraordinary_is_remembered_and_only_for_its_version() {
        let carried = Carried::new();
        let key = ObjectKey::new("k").unwrap();
        let (one, two) = (ETag::new("\"1\""), ETag::new("\"2\""));
        let archived = Properties {
            storage_class: Some(StorageClass::IntelligentTiering),
            ..Properties::default()
        };
        carried.note(&key, &one, archived.clone());
        assert_eq!(carried.of(&key, Some(&one)), archived);
        assert_eq!(carried.of(&key, None), archived);
        assert_eq!(carried.of(&key, Some(&two)), Properties::default());

        let standard = Properties {
            storage_class: Some(StorageClass::Standard),
            ..Properties::default()
        };
        carried.note(&key, &two, standard);
        assert_eq!(carried.of(&key, None), Properties::default());
        assert_eq!(carried.lock().len(), 0);
    }
}
