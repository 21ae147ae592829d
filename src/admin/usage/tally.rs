//! What was counted, in bounded memory.

use serde::Serialize;

use super::judge::Verdict;
use crate::store::ListedObject;

/// Names that are kept of each kind.
pub const FIRST: usize = 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All that were there, whatever they are under.
    pub objects: u64,
    /// What they take in the bucket.
    pub bytes: u64,
    /// Under the key.
    pub used: Count,
    /// It could not be told.
    pub not_known: Count,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub objects: u64,
    pub bytes: u64,
    /// In the order of the keys; [`FIRST`] at most.
    pub first: Vec<Named>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The object's key.
    pub object: String,
    /// As a mount calls it, where that is known to be something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of what is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Tally {
    pub(super) fn count(&mut self, listed: &ListedObject, path: Option<String>, verdict: Verdict) {
        let (count, why) = match verdict {
            Verdict::Gone => return,
            Verdict::Not => (None, None),
            Verdict::Used => (Some(&mut self.used), None),
            Verdict::Unknown(why) => (Some(&mut self.not_known), Some(why)),
        };
        self.objects += 1;
        self.bytes += listed.size;
        let Some(count) = count else { return };
        count.objects += 1;
        count.bytes += listed.size;
        if count.first.len() < FIRST {
            let object = listed.key.clone();
            count.first.push(Named {
                path: path.filter(|path| *path != object),
                object,
                why,
            });
        }
    }
}
