//! What a store must do for cloakfs, as checks against `&dyn Store`.
//!
//! A server plugs in by a [`Server`]. Where one is known to differ, the difference is in its
//! table and is asserted instead of the usual expectation, so that a server that was mended is
//! noticed. Every check has keys of its own below the server's prefix; all checks run, and the
//! failures are told together, each with the server and the check.

mod copies;
mod keys;
mod listing;
mod lost;
mod metadata;
mod multipart;
mod reads;
mod writes;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use cloakfs::store::{
    ErrorKind, GetOptions, HeadOptions, ListOptions, ListPage, ObjectInfo, ObjectKey, PutOptions,
    Result, Store, Written,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// A store under test.
#[derive(Debug)]
pub struct Server {
    pub name: &'static str,
    pub store: Arc<dyn Store>,
    /// Below it there is nothing yet; ends in `/`.
    pub prefix: String,
    pub differences: &'static [Difference],
}

/// How a server is known to differ from S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A delete with `if_match` deletes whatever is there.
    ConditionalDeleteIgnored,
    /// A delete with `if_match` is `Invalid`.
    ConditionalDeleteRefused,
    /// A copy with a condition of its target is made whatever is there.
    ConditionalCopyIgnored,
    /// `a//b` is `Invalid`.
    EmptyComponentsRefused,
    /// `.` and `..` as components are `Invalid`.
    DotComponentsRefused,
    /// Components of more than 255 bytes are `Invalid`.
    LongComponentsRefused,
    /// `a/b` beside an object `a` is readable but not listed.
    ChildBesideObjectUnlisted,
    /// Metadata of exactly the limit is refused, 1,900 bytes are not.
    MetadataLimitLower,
    /// Metadata beyond the limit is accepted.
    MetadataLimitUnenforced,
    /// Uploads under way are listed for the exact key but not for a prefix of it.
    UploadsUnlistedByPrefix,
}

impl Server {
    pub fn differs(&self, difference: Difference) -> bool {
        self.differences.contains(&difference)
    }

    pub fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(format!("{}{name}", self.prefix)).unwrap()
    }

    pub async fn put(&self, name: &str, body: impl Into<Bytes>) -> Written {
        let options = PutOptions::default();
        let put = self.store.put(&self.key(name), body.into(), options).await;
        put.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn head(&self, name: &str) -> Result<ObjectInfo> {
        let key = self.key(name);
        self.store.head(&key, HeadOptions::default()).await
    }

    pub async fn body(&self, name: &str) -> Bytes {
        let got = self.store.get(&self.key(name), GetOptions::default()).await;
        got.unwrap_or_else(|error| panic!("{error}")).body
    }

    /// All pages of a listing.
    pub async fn pages(&self, options: ListOptions) -> Vec<ListPage> {
        let mut pages: Vec<ListPage> = vec![];
        loop {
            let token = pages.last().and_then(|page| page.next.clone());
            let options = ListOptions {
                token,
                ..options.clone()
            };
            let page = self.store.list(options).await;
            let page = page.unwrap_or_else(|error| panic!("{error}"));
            let end = page.next.is_none();
            pages.push(page);
            if end {
                return pages;
            }
        }
    }

    /// The keys below `folder`, without the server's prefix and the folder.
    pub async fn names(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{}{folder}", self.prefix);
        let options = ListOptions {
            prefix: prefix.clone(),
            ..ListOptions::default()
        };
        let pages = self.pages(options).await;
        let objects = pages.into_iter().flat_map(|page| page.objects);
        objects
            .map(|object| object.key[prefix.len()..].to_owned())
            .collect()
    }
}

/// The answer failed, and in this way.
#[track_caller]
pub fn assert_fails<T: std::fmt::Debug>(answer: Result<T>, kinds: &[ErrorKind], what: &str) {
    match answer {
        Ok(answer) => panic!("{what} succeeded: {answer:?}"),
        Err(error) => assert!(
            kinds.contains(&error.kind()),
            "{what} should fail with one of {kinds:?}, but was {:?}: {error}",
            error.kind()
        ),
    }
}

/// Bytes that repeat nowhere at part boundaries.
pub fn pattern(len: usize, seed: usize) -> Bytes {
    let byte = |at: usize| u8::try_from((at * 31 + at / 251 + seed * 17) % 256).unwrap();
    (0..len).map(byte).collect::<Vec<_>>().into()
}

type Check = fn(Arc<Server>) -> BoxFuture<'static, ()>;

macro_rules! checks {
    ($($file:ident: $($check:ident),+;)+) => {
        &[$($((
            concat!(stringify!($file), "::", stringify!($check)),
            (|server| async move { $file::$check(&server).await }.boxed()) as Check,
        )),+),+]
    };
}

const CHECKS: &[(&str, Check)] = checks! {
    reads: whole_and_empty_objects, ranges_and_suffixes, a_read_of_one_version;
    writes: an_overwrite_is_a_new_version, a_put_if_absent, a_put_if_match,
        one_of_many_creators_wins, deletes, a_conditional_delete;
    multipart: parts_become_an_object, a_part_is_replaced, small_parts_are_refused,
        an_upload_is_completed_elsewhere_or_refused,
        parts_are_copied_from_objects, a_conditional_complete, a_complete_is_not_repeated,
        an_abort_ends_an_upload, wrong_parts_are_refused, uploads_under_way_are_listed;
    copies: a_copy_keeps_everything, a_copy_replaces_attributes, a_copy_onto_itself,
        a_copy_of_one_version, a_copy_if_absent;
    listing: twelve_thousand_keys, pages_do_not_repeat_prefixes, a_prefix_need_not_end_in_a_slash,
        a_listing_agrees_with_head;
    keys: odd_keys_round_trip, an_object_beside_what_is_below_it, markers_of_directories;
    metadata: metadata_up_to_the_limit, what_a_header_cannot_carry, content_type_is_kept;
    lost: a_lost_put_is_recognised, a_lost_complete_is_recognised, a_lost_copy_is_recognised,
        everything_arrives_through_faults;
};

/// Runs every check; panics with the names of those that failed.
pub async fn run(server: Server) {
    let server = Arc::new(server);
    let mut failed = vec![];
    for (name, check) in CHECKS {
        let outcome = AssertUnwindSafe(check(server.clone())).catch_unwind().await;
        if let Err(panic) = outcome {
            let words = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("panicked without words");
            failed.push(format!("{}: {name}: {words}", server.name));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} checks failed\n{}",
        failed.len(),
        CHECKS.len(),
        failed.join("\n")
    );
}
