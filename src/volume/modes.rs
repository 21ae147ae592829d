//! What is known of the encryption of the objects that were met: those of other modes or keys
//! than the mount's, and those that did not open for lack of their key.
//!
//! An object counts once, however often it is met, and no longer once it is deleted or written
//! under the mount's own mode. Memory is bounded: beyond [`REMEMBERED`] objects the figures are
//! lower bounds, and say so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::store::s3::encryption::ExpectedEncryption;
use crate::store::{ObjectKey, Operation, ServerEncryption, StoreError};

/// Objects that are remembered by their keys.
const REMEMBERED: usize = 10_000;
/// Keys that a report names.
const EXAMPLES: usize = 10;

/// Objects of one mode and key that is not the mount's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherMode {
    /// As `--encryption` names it, or what the server called it.
    pub mode: String,
    /// SSE-KMS: the key as the server names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// SSE-C: the check value of the key, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_md5: Option<String>,
    pub objects: u64,
}

/// What [`super::Volume::modes_seen`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModesSeen {
    pub other_modes: Vec<OtherMode>,
    /// Objects that could not be looked at or read for lack of their key.
    pub without_key: u64,
    /// Some of them, relative to the volume.
    pub without_key_examples: Vec<String>,
    /// There were more than are remembered, so the figures are lower bounds.
    pub at_least: bool,
}

/// See the module's text. Pure but for its lock.
#[derive(Debug)]
pub(super) struct Modes {
    expected: ExpectedEncryption,
    prefix: String,
    met: Mutex<Met>,
}

#[derive(Debug, Default)]
struct Met {
    objects: BTreeMap<String, Strange>,
    overflowed: bool,
}

/// What is strange about an object; never nothing.
#[derive(Debug, Default)]
struct Strange {
    mode: Option<ServerEncryption>,
    /// What failed for lack of its key.
    closed_to: Option<Refusal>,
}

/// A request that failed for lack of a key, and the server's code for why.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    operation: Operation,
    code: Option<String>,
}

impl Modes {
    pub fn new(expected: ExpectedEncryption, prefix: &str) -> Self {
        Self {
            expected,
            prefix: prefix.to_owned(),
            met: Mutex::default(),
        }
    }

    /// A HEAD or a GET told about an object. Where KMS keeps the key, only a GET shows that it
    /// can be used; and then the outage may be over for all that did not open for the same
    /// reason and are not known to be under another key: they count again when they are refused
    /// again.
    pub fn told(&self, key: &ObjectKey, by: Operation, encryption: &ServerEncryption) {
        let own = self.expected.matches(encryption);
        let mut met = self.met();
        if own && met.objects.is_empty() {
            return;
        }
        let mut opened = None;
        self.change(&mut met, key, |strange| {
            strange.mode = (!own).then(|| encryption.clone());
            let refused = strange.closed_to.as_ref();
            if refused.is_some_and(|refused| by == Operation::GetObject || refused.operation == by)
            {
                opened = strange.closed_to.take();
            }
        });
        if let Some(refusal) = opened.filter(|opened| opened.operation == Operation::GetObject) {
            met.objects.retain(|_, strange| {
                let same_key = may_share_key(encryption, own, strange.mode.as_ref());
                strange
                    .closed_to
                    .take_if(|other| same_key && *other == refusal);
                strange.mode.is_some() || strange.closed_to.is_some()
            });
        }
    }

    /// A HEAD or a GET of an object failed.
    pub fn refused(&self, key: &ObjectKey, error: &StoreError) {
        if error.concerns_encryption() {
            self.change(&mut self.met(), key, |strange| {
                strange.closed_to = Some(Refusal {
                    operation: error.operation(),
                    code: error.code().map(str::to_owned),
                });
            });
        }
    }

    /// The object is gone, or was written anew by this mount, which the store checks.
    pub fn settled(&self, key: &ObjectKey) {
        let mut met = self.met();
        if !met.objects.is_empty() {
            met.objects.remove(self.name(key));
        }
    }

    pub fn seen(&self) -> ModesSeen {
        let met = self.met();
        let mut other: BTreeMap<_, u64> = BTreeMap::new();
        for mode in met.objects.values().filter_map(|met| met.mode.as_ref()) {
            let (key_id, key_md5) = match mode {
                ServerEncryption::SseKms { key_id, .. } => (key_id.clone(), None),
                ServerEncryption::SseC { key_md5 } => (None, Some(key_md5.clone())),
                _ => (None, None),
            };
            *other
                .entry((mode.mode().to_owned(), key_id, key_md5))
                .or_default() += 1;
        }
        let closed = || {
            let closed = met.objects.iter();
            closed.filter(|(_, strange)| strange.closed_to.is_some())
        };
        ModesSeen {
            other_modes: other
                .into_iter()
                .map(|((mode, key_id, key_md5), objects)| OtherMode {
                    mode,
                    key_id,
                    key_md5,
                    objects,
                })
                .collect(),
            without_key: closed().count() as u64,
            without_key_examples: closed()
                .take(EXAMPLES)
                .map(|(name, _)| name.clone())
                .collect(),
            at_least: met.overflowed,
        }
    }

    fn change(&self, met: &mut Met, key: &ObjectKey, change: impl FnOnce(&mut Strange)) {
        let name = self.name(key);
        let known = met.objects.remove(name);
        let was_known = known.is_some();
        let mut strange = known.unwrap_or_default();
        change(&mut strange);
        if strange.mode.is_none() && strange.closed_to.is_none() {
            return;
        }
        if !was_known && met.objects.len() == REMEMBERED {
            met.overflowed = true;
            return;
        }
        met.objects.insert(name.to_owned(), strange);
    }

    fn name<'a>(&self, key: &'a ObjectKey) -> &'a str {
        let key = key.as_str();
        key.strip_prefix(&self.prefix).unwrap_or(key)
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another object may be under the key of one that opened; `own` is that of the mount.
fn may_share_key(opened: &ServerEncryption, own: bool, other: Option<&ServerEncryption>) -> bool {
    use ServerEncryption::SseKms;
    match (opened, other) {
        (
            SseKms {
                key_id: Some(opened),
                ..
            },
            Some(SseKms {
                key_id: Some(other),
                ..
            }),
        ) => opened == other,
        // Nothing is noted of what is under the mount's own.
        (SseKms { .. }, None) => own,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ErrorKind;

    use Operation::{GetObject, HeadObject};

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(format!("p/{name}")).unwrap()
    }

    fn modes() -> Modes {
        Modes::new(ExpectedEncryption::SseS3, "p/")
    }

    fn sse_c(key_md5: &str) -> ServerEncryption {
        ServerEncryption::SseC {
            key_md5: key_md5.to_owned(),
        }
    }

    fn no_key(operation: Operation) -> StoreError {
        StoreError::new(ErrorKind::Denied, operation, "x", "no key").about_encryption()
    }

    /// Mode, key and number of each.
    fn other(modes: &Modes) -> Vec<(String, Option<String>, u64)> {
        let seen = modes.seen().other_modes.into_iter();
        seen.map(|other| (other.mode, other.key_md5, other.objects))
            .collect()
    }

    #[test]
    fn an_object_counts_once_and_under_what_it_was_last() {
        let modes = modes();
        modes.told(&key("own"), HeadObject, &ServerEncryption::SseS3);
        for _ in 0..3 {
            modes.told(&key("a"), HeadObject, &ServerEncryption::None);
            modes.told(&key("b"), GetObject, &sse_c("m"));
        }
        assert_eq!(
            other(&modes),
            [
                ("none".to_owned(), None, 1),
                ("sse-c".to_owned(), Some("m".to_owned()), 1)
            ]
        );
        modes.told(&key("a"), HeadObject, &sse_c("m"));
        assert_eq!(
            other(&modes),
            [("sse-c".to_owned(), Some("m".to_owned()), 2)]
        );
        modes.settled(&key("a"));
        modes.told(&key("b"), HeadObject, &ServerEncryption::SseS3);
        assert_eq!(modes.seen(), ModesSeen::default());
    }

    #[test]
    fn what_did_not_open_is_named_until_the_same_request_succeeds() {
        let modes = modes();
        let other_trouble = StoreError::new(ErrorKind::Denied, HeadObject, "x", "no permission");
        modes.refused(&key("z"), &other_trouble);
        modes.refused(&key("d/a"), &no_key(HeadObject));
        modes.refused(&key("b"), &no_key(GetObject));
        let seen = modes.seen();
        assert_eq!(seen.without_key, 2);
        assert_eq!(seen.without_key_examples, ["b", "d/a"]);
        modes.told(&key("d/a"), HeadObject, &ServerEncryption::SseS3);
        // Its key is kept by KMS: that it can be looked at does not show that it can be read.
        modes.told(&key("b"), HeadObject, &ServerEncryption::SseS3);
        assert_eq!(modes.seen().without_key_examples, ["b"]);
        modes.told(&key("b"), GetObject, &ServerEncryption::SseS3);
        assert_eq!(modes.seen(), ModesSeen::default());
    }

    #[test]
    fn when_one_opens_those_that_were_closed_for_the_same_reason_may_be_open_too() {
        let modes = modes();
        let disabled = || no_key(GetObject).with_code("KMS.DisabledException");
        modes.refused(&key("a"), &disabled());
        modes.refused(&key("b"), &disabled());
        modes.refused(&key("deleted"), &no_key(GetObject).with_code("KMS.Gone"));
        modes.refused(&key("other-key"), &no_key(HeadObject));
        modes.told(&key("b"), HeadObject, &sse_c("m"));
        modes.told(&key("never-closed"), GetObject, &ServerEncryption::SseS3);
        assert_eq!(modes.seen().without_key, 4);
        modes.told(&key("a"), GetObject, &ServerEncryption::SseS3);
        let seen = modes.seen();
        assert_eq!(seen.without_key_examples, ["deleted", "other-key"]);
        assert_eq!(seen.other_modes.len(), 1, "their modes are as they were");
        modes.refused(&key("b"), &disabled());
        assert_eq!(modes.seen().without_key, 3);
    }

    #[test]
    fn that_one_key_can_be_used_again_says_nothing_of_another() {
        let modes = Modes::new(
            ExpectedEncryption::SseKms {
                key: Some("own".to_owned()),
                dsse: false,
            },
            "p/",
        );
        let disabled = || no_key(GetObject).with_code("KMS.DisabledException");
        let under = |key_id: &str| ServerEncryption::SseKms {
            key_id: Some(key_id.to_owned()),
            bucket_key: false,
            dsse: false,
        };
        let objects = [("a", "own"), ("b", "own"), ("c", "other"), ("d", "other")];
        let close = || {
            for (name, key_id) in objects {
                modes.told(&key(name), HeadObject, &under(key_id));
                modes.refused(&key(name), &disabled());
            }
        };
        close();
        modes.told(&key("c"), GetObject, &under("other"));
        assert_eq!(modes.seen().without_key_examples, ["a", "b"]);
        close();
        modes.told(&key("a"), GetObject, &under("own"));
        assert_eq!(modes.seen().without_key_examples, ["c", "d"]);
    }

    #[test]
    fn beyond_the_bound_the_figures_are_lower_bounds() {
        let modes = modes();
        for index in 0..=REMEMBERED {
            modes.told(
                &key(&index.to_string()),
                HeadObject,
                &ServerEncryption::None,
            );
        }
        let seen = modes.seen();
        assert_eq!(seen.other_modes[0].objects, REMEMBERED as u64);
        assert!(seen.at_least);
    }
}
