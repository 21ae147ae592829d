//! Finding the customer's key that an object is under, by asking.
//!
//! [`encryption::Search`] decides what is tried; here the requests are made and what opened an
//! object is remembered, so that a bucket whose objects are all under one mode costs no request
//! more than it must, and another costs one more for each object that is new to the mount. What
//! is remembered is a guess and no more: an object may have been replaced meanwhile.

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use lru::LruCache;

use super::encryption::{self, KeyRing, Opener, Refusal, RequestKind, Search};
use super::errors::Failed;
use super::{S3Store, errors};
use crate::store::{
    CopySource, ETag, ErrorKind, HeadOptions, ObjectKey, Operation, Result, ServerEncryption,
    StoreError, VersionId,
};

const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The keys of the mount, and what they opened lately.
#[derive(Debug)]
pub(super) struct Openers {
    ring: KeyRing,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    seen: LruCache<ObjectKey, (ETag, Opener)>,
    /// What opened an object that was not known, last.
    last: Opener,
}

impl Openers {
    pub(super) fn new(ring: KeyRing) -> Self {
        let memory = Mutex::new(Memory {
            seen: LruCache::new(REMEMBERED),
            last: ring.own().clone(),
        });
        Self { ring, memory }
    }

    pub(super) fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The attempts for an object; `None` for `etag` is whatever is there.
    pub(super) fn search(&self, key: &ObjectKey, etag: Option<&ETag>) -> Search {
        if self.ring.keys().is_empty() {
            return self.ring.search([]);
        }
        let mut memory = self.lock();
        let known = match memory.seen.get(key) {
            Some((seen, opener)) if etag.is_none_or(|etag| etag == seen) => Some(opener.clone()),
            _ => None,
        };
        let guesses = known.into_iter().chain([memory.last.clone()]);
        self.ring.search(guesses)
    }

    /// Takes note of what opened an object, as the answer to a request with `used` tells.
    fn note(&self, key: &ObjectKey, etag: &ETag, answered: &ServerEncryption, used: &Opener) {
        if self.ring.keys().is_empty() {
            return;
        }
        let opener = self.ring.opener_of(answered, used);
        let mut memory = self.lock();
        let before = memory.seen.put(key.clone(), (etag.clone(), opener.clone()));
        // An object that is read again and again does not speak for those around it.
        if before.is_none() {
            memory.last = opener;
        }
    }

    /// Takes note of an object that the mount has written.
    pub(super) fn note_written(&self, key: &ObjectKey, etag: &ETag) {
        if !self.ring.keys().is_empty() {
            let own = self.ring.own().clone();
            self.lock().seen.put(key.clone(), (etag.clone(), own));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory
            .lock()
            .expect("nothing panics while it holds the lock")
    }

    /// The error for an object that none of the keys opens.
    fn locked(&self, operation: Operation, key: &ObjectKey, refused: StoreError) -> StoreError {
        let given = if self.ring.keys().is_empty() {
            ""
        } else {
            " that is none of those given"
        };
        let words = format!(
            "\"{key}\" is encrypted under a customer's key (SSE-C){given}: give its key with --read-key-file"
        );
        let locked =
            StoreError::new(ErrorKind::Denied, operation, key.as_str(), words).about_customer_key();
        match refused.code() {
            Some(code) => {
                let code = code.to_owned();
                locked.with_code(code)
            }
            None => locked,
        }
        .with_source(Locked(refused))
    }
}

/// The cause of an error: an object that none of the keys at hand opens.
#[derive(Debug, thiserror::Error)]
#[error("no key that was given opens it")]
pub(super) struct Locked(#[source] StoreError);

impl Locked {
    pub(super) fn is_cause_of(error: &StoreError) -> bool {
        error
            .source()
            .is_some_and(|source| source.downcast_ref::<Self>().is_some())
    }
}

/// What an attempt to read an object gives: what is kept of the answer, and what it says of the
/// object.
pub(super) struct Opened<T> {
    pub output: T,
    pub etag: ETag,
    pub encryption: ServerEncryption,
}

impl S3Store {
    /// Reads with one opener after another, until one opens the object.
    pub(super) async fn open<T, F>(
        &self,
        operation: Operation,
        (key, etag): (&ObjectKey, Option<&ETag>),
        attempt: impl Fn(Opener) -> F,
    ) -> std::result::Result<T, Failed>
    where
        F: Future<Output = std::result::Result<Opened<T>, Failed>>,
    {
        let mut search = self.openers.search(key, etag);
        let mut without_key = None;
        loop {
            let opener = search.current().clone();
            let Failed { error, refusal } = match attempt(opener.clone()).await {
                Ok(opened) => {
                    self.openers
                        .note(key, &opened.etag, &opened.encryption, &opener);
                    return Ok(opened.output);
                }
                Err(failed) => failed,
            };
            let Some(refusal) = refusal else {
                return Err(error.into());
            };
            if opener == Opener::NoKey {
                without_key = Some(error);
            }
            if let Err(refusal) = search.refused(refusal) {
                let error = without_key.expect("the attempt without a key is one of them");
                let error = match refusal {
                    Refusal::KeyNeeded => self.openers.locked(operation, key, error),
                    _ => error,
                };
                return Err(Failed {
                    error,
                    refusal: Some(refusal),
                });
            }
        }
    }

    /// Why a HEAD was refused: its answer has no body to say so, that of a GET does.
    pub(super) async fn reason(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        refused: StoreError,
    ) -> StoreError {
        let mut range = Some("bytes=0-0".to_owned());
        let Failed { error, refusal } = loop {
            let answer = self
                .client
                .get_object()
                .bucket(&self.bucket)
                .key(key.as_str())
                .set_range(range.clone())
                .set_version_id(version.map(ToString::to_string))
                .send()
                .await;
            let error = match answer {
                // MinIO gives what is empty without a key, and says that it has one.
                Ok(output) if output.sse_customer_algorithm.is_some() => {
                    return self.openers.locked(Operation::HeadObject, key, refused);
                }
                Ok(_) => return refused,
                Err(error) => error,
            };
            let asked = errors::Asked::default();
            let failed = errors::failed(Operation::GetObject, key.as_str(), asked, error);
            // An empty object has no first byte, and no body that would come in its place.
            if failed.error.code() != Some("InvalidRange") || range.take().is_none() {
                break failed;
            }
        };
        if refusal == Some(Refusal::KeyNeeded) {
            return self.openers.locked(Operation::HeadObject, key, error);
        }
        match error.kind() {
            kind if passes(kind) => refused,
            _ => error.of(Operation::HeadObject),
        }
    }

    /// Copies from an object with the opener that it is most likely under, and if that is
    /// refused once more with the one that a HEAD finds. A copy that is refused has changed
    /// nothing.
    pub(super) async fn copy_from<T, F>(
        &self,
        operation: Operation,
        source: &CopySource,
        attempt: impl Fn(Opener) -> F,
    ) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, Failed>>,
    {
        let search = self.openers.search(&source.key, source.if_match.as_ref());
        let guess = search.current().clone();
        let Failed { error, refusal } = match attempt(guess.clone()).await {
            Ok(output) => return Ok(output),
            Err(failed) => failed,
        };
        let a_key_may_help = !self.openers.ring().keys().is_empty();
        match refusal {
            None => return Err(error),
            Some(Refusal::KeyNeeded) if !a_key_may_help => {
                return Err(self.openers.locked(operation, &source.key, error));
            }
            Some(_) if !a_key_may_help => return Err(error),
            Some(_) => {}
        }
        let version = source.version.clone();
        match self.head_object(&source.key, HeadOptions { version }).await {
            Ok(found) => {
                let search = self.openers.search(&source.key, Some(&found.etag));
                if *search.current() == guess {
                    return Err(error);
                }
                let again = attempt(search.current().clone()).await;
                again.map_err(|failed| failed.error)
            }
            Err(locked) if locked.concerns_encryption() => Err(locked.of(operation)),
            // Nobody knows then whether another key would have done.
            Err(head) if passes(head.kind()) => Err(head.of(operation)),
            Err(_) => Err(error),
        }
    }

    /// Puts the headers of the mount's mode, and of the key that reads, on a request.
    pub(super) fn encrypt(
        &self,
        kind: RequestKind,
        opener: &Opener,
    ) -> impl Fn(&mut aws_smithy_runtime_api::client::orchestrator::HttpRequest) + Send + Sync + use<>
    {
        self.encrypt_part(kind, opener, false)
    }

    /// The same for what goes on with an upload, where that may have to carry the mode.
    pub(super) fn encrypt_part(
        &self,
        kind: RequestKind,
        opener: &Opener,
        with_mode: bool,
    ) -> impl Fn(&mut aws_smithy_runtime_api::client::orchestrator::HttpRequest) + Send + Sync + use<>
    {
        let headers = encryption::headers(&self.encryption, kind, opener.key(), with_mode);
        move |request| {
            for (name, value) in &headers {
                // The SDK's own `Debug` leaves out the values of keys' headers.
                let value = value.expose().to_owned();
                request.headers_mut().insert(*name, value);
            }
        }
    }

    /// What a request that writes has to do with encryption; `opener` is its source's.
    pub(super) fn asked<'a>(&'a self, opener: &'a Opener) -> errors::Asked<'a> {
        errors::Asked {
            kms_key: self.encryption.kms_key(),
            sent_key: *opener != Opener::NoKey,
            keys: [self.openers.ring().own().key(), opener.key()],
        }
    }
}

/// Whether the same request may do better a moment later.
pub(super) const fn passes(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TimedOut | ErrorKind::Throttled | ErrorKind::Unavailable
    )
}
