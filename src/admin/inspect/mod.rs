//! What the objects below a prefix are, one after the other.
//!
//! An [`Inspector`] lists a prefix page by page and looks at each object with a HEAD, several at
//! a time, and [`Inspector::objects`] gives them in the order of their keys: [`Inspected`] is the
//! object as it was listed and what was [`Seen`] of it. So whoever goes through all objects can
//! stop after any of them and go on there later ([`Inspector::starting_after`]).
//!
//! A [`Looked`] has everything that the HEAD told, and how the object is encrypted: by the server
//! ([`crate::store::ServerEncryption`]), on its way there ([`Client`]), or both.
//! [`Looked::mode`] and [`Looked::key`] are the two in the words of `--encryption`. No key is
//! needed for that and nothing is authenticated: what is told is what the object says of itself.
//!
//! Costs one request for each 1,000 objects, and one for each object; where the object is under a
//! customer's key that is none of those given, two or three. Memory is bounded by a page of the
//! listing and the answers of the looks under way, however many objects there are.
//!
//! An error of the stream is one of the listing: nothing comes after it. What keeps one object
//! from being looked at is with that object ([`Seen::Closed`]), and the walk goes on; the store
//! has tried long enough by then.

mod client;
mod s3ec;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

pub(super) use client::kms_key_of;
pub use client::{Client, FormatVersion, Native, RootKind};
pub use s3ec::{S3ec, S3ecVersion};

use super::own::Own;
use crate::store::{
    ErrorKind, HeadOptions, ListOptions, ListToken, ListedObject, ObjectInfo, ObjectKey, Operation,
    Result, ServerEncryption, Store, StoreError,
};

/// Objects that are looked at at once, unless told otherwise.
pub const PARALLEL: usize = 32;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Inspector {
    store: Arc<dyn Store>,
    prefix: String,
    parallel: usize,
    start_after: Option<String>,
    instruction_files: bool,
}

/// An object of the listing, and what was seen of it.
#[derive(Debug)]
pub struct Inspected {
    pub listed: ListedObject,
    /// Which of cloakfs's own objects it is.
    pub own: Option<Own>,
    pub seen: Seen,
}

#[derive(Debug)]
pub enum Seen {
    Looked(Box<Looked>),
    /// It cannot be looked at, and why.
    Closed(StoreError),
    /// It was deleted since it was listed.
    Gone,
}

/// What there is to tell of an object that was looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What the server told, its own encryption among it.
    pub info: ObjectInfo,
    pub client: Client,
}

impl Inspector {
    /// Of the objects below `prefix`, which is empty or ends in `/`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, prefix: &str) -> Self {
        Self {
            store,
            prefix: prefix.to_owned(),
            parallel: PARALLEL,
            start_after: None,
            instruction_files: false,
        }
    }

    /// Looks at so many objects at once.
    #[must_use]
    pub fn parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel.max(1);
        self
    }

    /// Begins behind this key, which need not be there.
    #[must_use]
    pub fn starting_after(mut self, key: impl Into<String>) -> Self {
        self.start_after = Some(key.into());
        self
    }

    /// Asks for the instruction file of each object that says nothing of an encryption: one
    /// request more for each. Without it such an object of the Amazon S3 Encryption Client is one
    /// that is not encrypted.
    #[must_use]
    pub fn with_instruction_files(mut self) -> Self {
        self.instruction_files = true;
        self
    }

    /// Every object, in the order of the keys' bytes.
    #[must_use]
    pub fn objects(self) -> BoxStream<'static, Result<Inspected>> {
        let parallel = self.parallel;
        let inspector = Arc::new(self);
        inspector
            .listed()
            .map(move |listed| {
                let inspector = Arc::clone(&inspector);
                async move {
                    match listed {
                        Ok(listed) => Ok(inspector.look(listed).await),
                        Err(error) => Err(error),
                    }
                }
            })
            .buffered(parallel)
            .boxed()
    }

    /// The same without a look at any: as the listing shows them.
    #[must_use]
    pub fn listed(&self) -> BoxStream<'static, Result<ListedObject>> {
        let (store, prefix) = (Arc::clone(&self.store), self.prefix.clone());
        let start_after = self.start_after.clone();
        let pages = stream::try_unfold(Page::First, move |page| {
            let (store, prefix) = (Arc::clone(&store), prefix.clone());
            let start_after = start_after.clone();
            async move {
                let token = match page {
                    Page::First => None,
                    Page::Next(token) => Some(token),
                    Page::None => return Ok(None),
                };
                let page = store.list(ListOptions {
                    prefix,
                    start_after,
                    token,
                    ..ListOptions::default()
                });
                let page = page.await?;
                let next = page.next.map_or(Page::None, Page::Next);
                Ok(Some((page.objects, next)))
            }
        });
        pages
            .map_ok(|objects| stream::iter(objects.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    /// One object, as it was listed.
    pub async fn look(&self, listed: ListedObject) -> Inspected {
        let own = Own::of(&self.prefix, &listed.key);
        let seen = match self.see(&listed.key).await {
            Ok(looked) => Seen::Looked(Box::new(looked)),
            Err(error) if error.kind() == ErrorKind::NotFound => Seen::Gone,
            Err(error) => Seen::Closed(error),
        };
        Inspected { listed, own, seen }
    }

    async fn see(&self, key: &str) -> Result<Looked> {
        let key = ObjectKey::new(key).map_err(|error| {
            let (kind, operation) = (ErrorKind::Invalid, Operation::HeadObject);
            StoreError::new(kind, operation, key, error.to_string())
        })?;
        let info = self.store.head(&key, HeadOptions::default()).await?;
        let mut client = Client::of(&info.attributes.metadata);
        if self.instruction_files
            && client == Client::None
            && let Some(found) = s3ec::instruction_of(self.store.as_ref(), &key).await?
        {
            client = Client::S3ec(found);
        }
        Ok(Looked { info, client })
    }
}

enum Page {
    First,
    Next(ListToken),
    None,
}

impl Looked {
    /// The mode as `--encryption` names it; `s3ec-v1` and its like for the Amazon S3 Encryption
    /// Client, `unknown` for what cannot be told. What was encrypted before it was sent is of
    /// that mode, whatever the server did to it besides.
    #[must_use]
    pub fn mode(&self) -> Cow<'_, str> {
        match &self.client {
            Client::None => self.info.encryption.mode().into(),
            Client::Native(native) => native.root.mode().into(),
            Client::S3ec(s3ec) => s3ec.version.name().into(),
            Client::Unknown(_) => "unknown".into(),
        }
    }

    /// The key, where it can be told: the ARN or id of one of KMS, the check value (MD5) of a
    /// customer's.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match (&self.client, &self.info.encryption) {
            (Client::Native(native), _) => native.kms_key.as_deref(),
            (Client::None, ServerEncryption::SseKms { key_id, .. }) => key_id.as_deref(),
            (Client::None, ServerEncryption::SseC { key_md5 }) => Some(key_md5),
            _ => None,
        }
    }
}
