//! What the bucket may hold after a step.
//!
//! Steps follow one another, so before each the content of the bucket is known, whatever went
//! wrong until then: the model needs no histories. It knows besides what each mount has written
//! and not stored. After a step, each change of the bucket must have a reason: that step, or
//! something that its mount had still to store; and what the step was told must be true.

use std::collections::BTreeMap;

use bytes::Bytes;
use cloakfs::base::limits::SEGMENT_BYTES;
use cloakfs::fs::CommitMode;

use super::perform::{Done, Reached, Slot, share};
use super::plan::{Act, Step, bytes};

/// What is in the bucket by path: the bytes of a file; of a directory, whose path ends in `/`,
/// none.
pub type Tree = BTreeMap<String, Bytes>;

/// What a mount has written to a file and not stored.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What the bucket had when it was begun, and what it got from this mount since, where an
    /// answer was lost.
    pub bases: Vec<Option<Bytes>>,
    /// What it may be: more than one where a call failed in its middle.
    pub possible: Vec<Bytes>,
    /// In write-back mode: what was closed last, which the journal has; one of these.
    pub closed: Option<Vec<Bytes>>,
    /// The same by the close of somebody who only read it, which answers for nothing.
    pub closed_by_readers: Vec<Bytes>,
    /// It was changed in part through a handle that had been synced: what was not changed is in
    /// the bucket alone, also of a small file (docs/ROADMAP.md).
    pub in_part: bool,
    /// A delete of its object by this mount failed, perhaps after it was carried out.
    pub may_be_deleted: bool,
}

impl Pending {
    pub fn may_store(&self, found: &Bytes) -> bool {
        let closed = self.closed.iter().flatten();
        let mut closed = closed.chain(&self.closed_by_readers);
        self.possible.contains(found) || closed.any(|closed| closed == found)
    }

    /// What was not changed of it may be in the bucket alone: should somebody else replace that,
    /// nobody can put the file together.
    pub fn may_lack_the_rest(&self) -> bool {
        let in_parts = |content: &Bytes| content.len() as u64 > SEGMENT_BYTES;
        let bases = self.bases.iter().flatten();
        self.in_part || bases.chain(&self.possible).any(in_parts)
    }

    /// The bucket has what this was begun on, or this itself: an answer was lost.
    pub fn may_replace(&self, found: Option<&Bytes>) -> bool {
        self.bases.iter().any(|base| found == base.as_ref())
            || found.is_some_and(|found| self.may_store(found))
    }
}

pub struct Model {
    mode: CommitMode,
    /// Directory renames that failed in their middle: the next mount finishes them.
    unfinished: Vec<(String, String)>,
    /// A file that was changed in part may have been deleted by a call that failed: what was
    /// changed of it may stay in a journal.
    deleted_in_part: bool,
    /// By mount.
    pending: Vec<BTreeMap<String, Pending>>,
}

/// One step and what came of it.
pub struct Taken<'a> {
    pub step: &'a Step,
    /// `None` when the machine died.
    pub done: Option<&'a Done>,
    /// What the mount had open before.
    pub slot: Option<&'a Slot>,
    pub before: &'a Tree,
    pub after: &'a Tree,
    /// What the mount says that it has not stored.
    pub uncommitted: &'a [String],
}

pub type Verdict = Result<(), String>;

impl Model {
    pub fn new(mounts: usize, mode: CommitMode) -> Self {
        Self {
            mode,
            unfinished: Vec::new(),
            deleted_in_part: false,
            pending: vec![BTreeMap::new(); mounts],
        }
    }

    fn is_alone(&self) -> bool {
        self.pending.len() == 1
    }

    /// Whether a journal may be left that cannot be replayed.
    pub fn may_keep_a_journal(&self) -> bool {
        !self.is_alone() || self.deleted_in_part
    }

    pub fn take(&mut self, taken: &Taken<'_>) -> Verdict {
        let mine = &self.pending[taken.step.mount];
        let view = View {
            taken,
            mine,
            mode: self.mode,
            unfinished: &self.unfinished,
        };
        view.every_change_has_a_reason(self.is_alone())?;
        view.nothing_written_is_dropped(self.is_alone())?;
        view.nothing_closed_died(self.is_alone())?;
        if let Some(done) = taken.done {
            match &done.result {
                Ok(read) => view.what_was_told_is_true(read)?,
                Err(error) => view.may_fail(error.errno(), &error.to_string(), self.is_alone())?,
            }
        }
        let next = view.next()?;
        self.deleted_in_part |= next
            .values()
            .any(|pending| pending.may_be_deleted && pending.may_lack_the_rest());
        if let (Act::RenameDirectory { from, to }, Some(Err(_))) =
            (&taken.step.act, taken.done.map(|done| &done.result))
        {
            self.unfinished.push((from.clone(), to.clone()));
        }
        self.pending[taken.step.mount] = next;
        Ok(())
    }
}

/// A step as it is for the mount that took it.
pub struct View<'a> {
    pub taken: &'a Taken<'a>,
    pub mine: &'a BTreeMap<String, Pending>,
    pub mode: CommitMode,
    pub unfinished: &'a [(String, String)],
}

impl View<'_> {
    /// What the mount shows at a path.
    pub fn seen(&self, path: &str) -> Vec<Bytes> {
        if let Some(pending) = self.mine.get(path) {
            return pending.possible.clone();
        }
        self.taken.before.get(path).cloned().into_iter().collect()
    }

    /// The file that the step writes to, and what it may make of it.
    pub fn written(&self) -> Option<(&str, Vec<Bytes>)> {
        let number = self.taken.step.number;
        let change = |seen: Vec<Bytes>, change: &dyn Fn(&mut Vec<u8>)| -> Vec<Bytes> {
            let changed = seen.into_iter().map(|seen| {
                let mut seen = seen.to_vec();
                change(&mut seen);
                Bytes::from(seen)
            });
            changed.collect()
        };
        match &self.taken.step.act {
            Act::Write { path, len } => Some((path, vec![bytes(number, *len).into()])),
            Act::Append { path, len } => {
                let data = bytes(number, *len);
                let append = |file: &mut Vec<u8>| file.extend_from_slice(&data);
                Some((path, change(self.seen(path), &append)))
            }
            Act::Change { path, at, len } => {
                let data = bytes(number, *len);
                let put = |file: &mut Vec<u8>| overwrite(file, share(file.len(), *at), &data);
                Some((path, change(self.seen(path), &put)))
            }
            Act::Truncate { path, at } => {
                let cut = |file: &mut Vec<u8>| file.truncate(share(file.len(), *at));
                Some((path, change(self.seen(path), &cut)))
            }
            Act::WriteOpen { len } => {
                let slot = self.taken.slot?;
                let path = slot.path.as_deref()?;
                let data = bytes(number, *len);
                let put = |file: &mut Vec<u8>| overwrite(file, 0, &data);
                let seen = match self.mine.get(path) {
                    Some(pending) => pending.possible.clone(),
                    None => vec![slot.base.clone()],
                };
                Some((path, change(seen, &put)))
            }
            Act::Open { path } if self.taken.slot.is_none() => Some((path, self.opened(path))),
            _ => None,
        }
    }

    /// What the journal has of a file after the step, of which these may be in memory.
    fn closed(&self, path: &str, possible: &[Bytes]) -> Option<Vec<Bytes>> {
        let is_ok = self.taken.done.is_some_and(|done| done.result.is_ok());
        let of = |path: &str| self.mine.get(path)?.closed.clone();
        if self.mode == CommitMode::OnClose {
            return None;
        }
        match (&self.taken.step.act, self.taken.slot) {
            (Act::Rename { from, to }, _) if to == path && is_ok => of(from),
            (
                Act::Write { path: at, .. }
                | Act::Append { path: at, .. }
                | Act::Change { path: at, .. }
                | Act::Truncate { path: at, .. },
                _,
            ) if at == path && is_ok => Some(possible.to_vec()),
            (Act::Close, Some(slot))
                if slot.wrote && slot.path.as_deref() == Some(path) && is_ok =>
            {
                Some(possible.to_vec())
            }
            _ => of(path),
        }
    }

    fn opened(&self, path: &str) -> Vec<Bytes> {
        let seen = self.seen(path);
        if seen.is_empty() {
            vec![Bytes::new()]
        } else {
            seen
        }
    }

    /// What the mount has yet to store after the step.
    fn next(&self) -> Result<BTreeMap<String, Pending>, String> {
        let Taken {
            step,
            done,
            before,
            after,
            ..
        } = self.taken;
        let Some(done) = done else {
            return Ok(BTreeMap::new());
        };
        let mut next = BTreeMap::new();
        for path in self.taken.uncommitted {
            let old = self.mine.get(path);
            let written = self.written().filter(|(at, _)| at == path);
            let renamed = match &step.act {
                Act::Rename { from, to } if to == path && done.result.is_ok() => {
                    self.mine.get(from)
                }
                _ => None,
            };
            let stored_unheard = before.get(path) != after.get(path);
            let mut bases = match (&renamed, old, self.taken.slot) {
                (Some(_), ..) => vec![after.get(path).cloned()],
                (None, Some(old), _) => old.bases.clone(),
                (None, None, Some(slot))
                    if matches!(step.act, Act::WriteOpen { .. }) && before.contains_key(path) =>
                {
                    vec![Some(slot.base.clone())]
                }
                (None, None, _) => vec![before.get(path).cloned()],
            };
            let may_be_deleted = match &step.act {
                Act::Unlink { path: at } | Act::Rename { from: at, .. } => {
                    at == path && done.result.is_err()
                }
                _ => false,
            };
            let may_be_deleted = may_be_deleted || old.is_some_and(|old| old.may_be_deleted);
            if may_be_deleted {
                bases.push(None);
            }
            if stored_unheard {
                bases.push(after.get(path).cloned());
            }
            let closed_anew = done.result.is_ok()
                && written.is_some()
                && !matches!(step.act, Act::Open { .. } | Act::WriteOpen { .. });
            let possible = match (&renamed, written, old) {
                (Some(moved), ..) => moved.possible.clone(),
                (None, Some((_, written)), _) if done.reached == Reached::Written => written,
                (None, Some((_, written)), _) => {
                    let mut possible = [written, self.seen(path)].concat();
                    if matches!(step.act, Act::Write { .. }) {
                        possible.push(Bytes::new());
                    }
                    possible
                }
                (None, None, Some(old)) => old.possible.clone(),
                (None, None, None) => return Err(format!("{path} waits, and nobody wrote to it")),
            };
            let synced = self.taken.slot.filter(|slot| !slot.base.is_empty());
            // It may have been stored in the background since it was loaded whole.
            let again = self.mode == CommitMode::WriteBack
                && matches!(
                    step.act,
                    Act::Append { .. } | Act::Change { .. } | Act::WriteOpen { .. }
                );
            let is_open = |slot: &Slot| slot.path.as_ref() == Some(path);
            let is_known = old.is_some() || self.taken.slot.is_some_and(is_open);
            let in_part = match (old, renamed, &step.act) {
                _ if again && is_known => true,
                (Some(pending), ..) | (_, Some(pending), _) => pending.in_part,
                (_, _, Act::WriteOpen { .. }) => synced.is_some(),
                // While a handle stays open, what it stored is not loaded whole again.
                (_, _, Act::Append { .. } | Act::Change { .. }) => is_known && synced.is_some(),
                _ => false,
            };
            let mut closed_by_readers = match (old, renamed) {
                (Some(pending), _) | (_, Some(pending)) => pending.closed_by_readers.clone(),
                (None, None) => Vec::new(),
            };
            if matches!(&step.act, Act::Read { path: at } if at == path) {
                closed_by_readers.extend(possible.iter().cloned());
            }
            let pending = Pending {
                bases,
                closed_by_readers,
                closed: self.closed(path, &possible),
                possible,
                in_part,
                may_be_deleted: may_be_deleted && (in_part || !closed_anew),
            };
            next.insert(path.clone(), pending);
        }
        Ok(next)
    }
}

fn overwrite(file: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(data);
}
