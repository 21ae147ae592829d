//! What an audit counts: by mode and key, in bounded memory.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Finding, Flaw};
use crate::admin::inspect::{Inspected, Seen};

/// Pairs of mode and key that are counted apart; what comes after them is counted by its mode.
const PAIRS_MAX: usize = 1_000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Objects that were there, cloakfs's own among them.
    pub objects: u64,
    /// What they take in the bucket, in bytes.
    pub bytes: u64,
    /// Of those, how many are cloakfs's own.
    pub own_objects: u64,
    /// Bytes of content that a deep audit has read.
    pub bytes_read: u64,
    pub modes: Vec<ModeCount>,
    /// How many of each.
    pub findings: BTreeMap<Flaw, u64>,
    /// What was not or could not be looked at: sentences.
    pub notes: Vec<String>,
    /// The bucket keeps versions of objects.
    #[serde(skip)]
    pub has_versions: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModeCount {
    pub mode: String,
    /// Where it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub objects: u64,
    pub bytes: u64,
}

impl Summary {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Takes a finding into the count.
    pub fn found(&mut self, finding: &Finding) {
        *self.findings.entry(finding.finding).or_default() += 1;
    }

    pub(super) fn count(&mut self, inspected: &Inspected, bytes_read: u64) {
        let (mode, key) = match &inspected.seen {
            Seen::Gone => return,
            Seen::Looked(looked) => {
                self.has_versions |= looked.info.version.is_some();
                (looked.mode(), looked.key())
            }
            Seen::Closed(error) if error.lacks_customer_key() => ("sse-c".into(), None),
            Seen::Closed(_) => ("unknown".into(), None),
        };
        let bytes = inspected.listed.size;
        self.objects += 1;
        self.bytes += bytes;
        self.bytes_read += bytes_read;
        if inspected.own.is_some() {
            self.own_objects += 1;
            return;
        }
        let is_same = |count: &ModeCount, key: Option<&str>| {
            count.mode == mode && count.key.as_deref() == key
        };
        let at = |modes: &[ModeCount], key| modes.iter().position(|count| is_same(count, key));
        let known = at(&self.modes, key).or_else(|| {
            (self.modes.len() >= PAIRS_MAX)
                .then(|| at(&self.modes, None))
                .flatten()
        });
        let known = known.unwrap_or_else(|| {
            let key = key.filter(|_| self.modes.len() < PAIRS_MAX);
            self.modes.push(ModeCount {
                mode: mode.clone().into_owned(),
                key: key.map(str::to_owned),
                objects: 0,
                bytes: 0,
            });
            self.modes.len() - 1
        });
        self.modes[known].objects += 1;
        self.modes[known].bytes += bytes;
    }
}
