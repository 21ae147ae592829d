//! Whether a step may have left what it left, and whether what it was told is true.

use bytes::Bytes;
use cloakfs::fs::{CommitMode, FsError};

use super::model::{Taken, Verdict, View};
use super::plan::Act;

impl View<'_> {
    /// What the step may leave at a path: for each, whether the change is allowed.
    fn may_become(&self, path: &str, found: Option<&Bytes>) -> bool {
        let is_any = |of: &[Bytes]| found.is_some_and(|found| of.contains(found));
        let pending = self.mine.get(path);
        let was = self.taken.before.get(path);
        // A version that this mount has not seen is not its to replace, but by a rename; and to
        // delete only where it is empty, which is nothing to lose.
        let may_go = match &self.taken.step.act {
            Act::Rename { to, .. } => to == path,
            Act::Unlink { path: at } => at == path && was.is_some_and(Bytes::is_empty),
            _ => false,
        };
        let mut unfinished = self.unfinished.iter();
        if unfinished.any(|(from, to)| self.may_be_finished(path, found, from, to)) {
            return true;
        }
        if self.lost_in_background(path) && self.concerns(path) {
            // Which the call then found.
            return true;
        }
        if !may_go && pending.is_some_and(|pending| !pending.may_replace(was)) {
            return false;
        }
        if let (Some(pending), Some(found)) = (pending, found)
            && pending.may_store(found)
        {
            return true;
        }
        match &self.taken.step.act {
            Act::Write { path: at, .. } if at == path && is_any(&[Bytes::new()]) => true,
            Act::Unlink { path: at } if at == path => found.is_none(),
            Act::Rename { from, .. } if from == path => found.is_none(),
            Act::Rename { from, to } if to == path => {
                is_any(&self.seen(from)) || found == self.taken.before.get(from)
            }
            Act::Mkdir { path: at } if below(at) == path => found.is_some(),
            Act::Rmdir { path: at } if below(at) == path => found.is_none(),
            Act::RenameDirectory { from, to } if self.taken.before.contains_key(&below(from)) => {
                // Undone where it failed, but for what somebody else made.
                path == below(to) && found.is_some() || self.may_be_moved(path, found, from, to)
            }
            _ => self
                .written()
                .is_some_and(|(at, written)| at == path && is_any(&written)),
        }
    }

    /// What is left at the old name goes when it is at the new one; a rename that failed after its
    /// first delete is finished by the next mount.
    fn may_be_moved(&self, path: &str, found: Option<&Bytes>, from: &str, to: &str) -> bool {
        path == below(from) && found.is_none() && self.taken.after.contains_key(&below(to))
    }

    /// The same by the next mount, whatever was done at the two names since.
    fn may_be_finished(&self, path: &str, found: Option<&Bytes>, from: &str, to: &str) -> bool {
        let is_made = path == below(to) && self.taken.before.contains_key(&below(from));
        self.may_be_moved(path, found, from, to) || is_made && found.is_some()
    }

    /// While the step was taken an upload in the background found somebody else's version.
    fn lost_in_background(&self, path: &str) -> bool {
        let kept = format!("{path}.conflict-");
        let mut now = self.taken.after.keys();
        self.mode == CommitMode::WriteBack
            && now.any(|now| now.starts_with(&kept) && !self.taken.before.contains_key(now))
    }

    fn concerns(&self, path: &str) -> bool {
        let slot = self.taken.slot.and_then(|slot| slot.path.as_deref());
        match &self.taken.step.act {
            Act::Write { path: at, .. }
            | Act::Append { path: at, .. }
            | Act::Change { path: at, .. }
            | Act::Truncate { path: at, .. }
            | Act::Unlink { path: at }
            | Act::Rename { from: at, .. } => at == path,
            Act::WriteOpen { .. } | Act::Fsync | Act::Close => slot == Some(path),
            _ => false,
        }
    }

    pub fn every_change_has_a_reason(&self, alone: bool) -> Verdict {
        let Taken { before, after, .. } = self.taken;
        let paths = before.keys().chain(after.keys());
        for path in paths {
            let (was, is) = (before.get(path), after.get(path));
            if was == is || self.may_become(path, is) {
                continue;
            }
            let is_copy = path.contains(".conflict-") && was.is_none() && !alone;
            if is_copy && is.is_some_and(|is| self.may_be_kept(is)) {
                continue;
            }
            return Err(format!("{path} was {} and is {}", shown(was), shown(is)));
        }
        Ok(())
    }

    /// Whether a conflict copy may hold this: what the mount wrote, now or before.
    fn may_be_kept(&self, found: &Bytes) -> bool {
        let mut pending = self.mine.values();
        pending.any(|pending| pending.may_store(found))
            || self
                .written()
                .is_some_and(|(_, written)| written.contains(found))
            || found.is_empty()
    }

    fn is_stored(&self, path: &str, possible: &[Bytes]) -> bool {
        let found = self.taken.after.get(path);
        found.is_some_and(|found| possible.contains(found))
    }

    /// What was written and waited is stored, waits still, or was given up in words.
    pub fn nothing_written_is_dropped(&self, alone: bool) -> Verdict {
        let Some(done) = self.taken.done else {
            return Ok(());
        };
        for (path, pending) in self.mine {
            let mut possible = pending.possible.clone();
            if let Some((_, written)) = self.written().filter(|(at, _)| at == path) {
                possible.extend(written);
            }
            let given_up = match &self.taken.step.act {
                Act::Unlink { path: at } | Act::Rename { from: at, .. } if at == path => true,
                Act::Rename { to, .. } if to == path => true,
                _ => false,
            };
            let is_stored = self.is_stored(path, &possible);
            // A version that lost is beside the other, but where it cannot be put together.
            let mut copies = self.taken.after.iter();
            let is_kept =
                copies.any(|(path, found)| path.contains(".conflict-") && possible.contains(found));
            // Where the call itself failed of something else, the handle's later ones are told; of
            // an upload in the background, the log and status.
            let troubled = self.taken.step.trouble.is_some();
            // A reader's close stores what waits and has nobody to tell: the writer's handle is told
            // (`conflicts::what_is_given_up_while_another_reads_is_told_to_who_wrote_it`).
            let by_a_reader = matches!(&self.taken.step.act, Act::Read { path: at } if at == path);
            let lost = by_a_reader
                || done
                    .result
                    .as_ref()
                    .is_err_and(|error| is_stale(error) || troubled)
                || self.mode == CommitMode::WriteBack;
            let lost = (lost && !alone) || pending.may_be_deleted;
            let is_kept = (is_kept && !alone) || (lost && pending.may_lack_the_rest());
            let is_nothing = possible.iter().all(Bytes::is_empty);
            if is_nothing {
                continue;
            }
            if !self.taken.uncommitted.contains(path) && !given_up && !is_stored && !is_kept {
                return Err(format!(
                    "what was written to {path} is neither stored nor kept"
                ));
            }
        }
        Ok(())
    }

    /// What was closed into a journal is in the bucket when the next mount has replayed it.
    pub fn nothing_closed_died(&self, alone: bool) -> Verdict {
        if self.taken.done.is_some() {
            return Ok(());
        }
        let written = self.written();
        for (path, pending) in self.mine {
            let Some(closed) = &pending.closed else {
                continue;
            };
            let mut possible = [closed.clone(), pending.possible.clone()].concat();
            if let Some((_, written)) = written.as_ref().filter(|(at, _)| at == path) {
                possible.extend(written.iter().cloned());
            }
            let (moved, given_up) = match &self.taken.step.act {
                Act::Unlink { path: at } if at == path => (None, true),
                Act::Rename { from, to } if from == path => (Some(to), false),
                Act::Rename { to, .. } if to == path => (None, true),
                // It lost to another's version, and is as empty as what it was written to.
                Act::Write { path: at, len: 0 } if at == path && !alone => (None, true),
                // Emptied, and not yet written.
                Act::Write { path: at, .. } if at == path => {
                    possible.push(Bytes::new());
                    (None, false)
                }
                _ => (None, false),
            };
            if pending.may_be_deleted && !self.taken.after.contains_key(path) {
                continue;
            }
            let is_moved = moved.is_some_and(|to| self.is_stored(to, &possible));
            let mut others = self.taken.after.iter();
            let is_beside =
                others.any(|(path, found)| path.contains(".conflict-") && possible.contains(found));
            // Else it is in the journal, for people.
            let lost = (!alone || pending.may_be_deleted) && pending.may_lack_the_rest();
            let is_kept = lost || (is_beside && !alone);
            if !given_up && !is_moved && !is_kept && !self.is_stored(path, &possible) {
                let found = shown(self.taken.after.get(path));
                return Err(format!(
                    "{path} was closed before the death, and is {found}"
                ));
            }
        }
        Ok(())
    }

    pub fn what_was_told_is_true(&self, read: &[u8]) -> Verdict {
        let after = self.taken.after;
        let holds = |holds: bool, words: String| if holds { Ok(()) } else { Err(words) };
        let slot_path = self.taken.slot.and_then(|slot| slot.path.as_deref());
        match &self.taken.step.act {
            Act::Write { path, .. }
            | Act::Append { path, .. }
            | Act::Change { path, .. }
            | Act::Truncate { path, .. } => {
                let written = self
                    .written()
                    .map(|(_, written)| written)
                    .unwrap_or_default();
                self.closed_or_stored(path, &written)
            }
            Act::Close if self.taken.slot.is_some_and(|slot| !slot.wrote) => Ok(()),
            Act::Close => match slot_path.and_then(|path| self.mine.get_key_value(path)) {
                Some((path, pending)) => self.closed_or_stored(path, &pending.possible),
                None => Ok(()),
            },
            Act::Fsync => match slot_path.and_then(|path| self.mine.get_key_value(path)) {
                Some((path, pending)) => self.acknowledged(path, &pending.possible),
                None => Ok(()),
            },
            Act::SyncAll | Act::Remount => self
                .mine
                .iter()
                .try_for_each(|(path, pending)| self.acknowledged(path, &pending.possible)),
            Act::Unlink { path } => {
                // Of a file that was never stored only this mount knew.
                let unseen = self
                    .mine
                    .get(path)
                    .is_some_and(|pending| pending.bases.contains(&None));
                holds(
                    unseen || !after.contains_key(path),
                    format!("{path} is still there"),
                )
            }
            Act::Rename { from, to } => {
                let local = self.taken.uncommitted.contains(to);
                let mut seen = self.seen(from);
                if self.lost_in_background(from) {
                    // Kept beside it; at the name was somebody else's then.
                    seen.extend(self.taken.before.get(from).cloned());
                }
                let is_there = local || self.is_stored(to, &seen);
                holds(is_there, format!("{from} is not at {to}"))?;
                let gone = !after.contains_key(from) || local;
                holds(gone, format!("{from} is there and at {to}"))
            }
            Act::RenameDirectory { from, to } => {
                holds(
                    after.contains_key(&below(to)),
                    format!("{from} is not at {to}"),
                )?;
                holds(
                    !after.contains_key(&below(from)),
                    format!("{from} is there and at {to}"),
                )
            }
            Act::Mkdir { path } => holds(
                after.contains_key(&below(path)),
                format!("no directory {path}"),
            ),
            Act::Rmdir { path } => holds(
                !after.contains_key(&below(path)),
                format!("{path} is there"),
            ),
            Act::Read { path } => {
                let seen = self.seen(path);
                let known = seen.iter().any(|seen| seen == read);
                holds(
                    known,
                    format!("{path} reads as {}", shown(Some(&read.to_vec().into()))),
                )
            }
            Act::Open { .. } | Act::WriteOpen { .. } | Act::Chmod { .. } | Act::Wait => Ok(()),
        }
    }

    /// The same where the journal's word is enough: what it is worth a death shows.
    fn closed_or_stored(&self, path: &str, written: &[Bytes]) -> Verdict {
        let waits = self.taken.uncommitted.iter().any(|it| it == path);
        if self.mode == CommitMode::WriteBack && waits {
            return Ok(());
        }
        self.acknowledged(path, written)
    }

    /// What a program was told is safe, is: when it is told so, it is in the bucket.
    fn acknowledged(&self, path: &str, written: &[Bytes]) -> Verdict {
        if self.is_stored(path, written) && !self.taken.uncommitted.iter().any(|it| it == path) {
            return Ok(());
        }
        // A conflict that an upload in the background finds is told by the log and by status.
        let mut kept = self.taken.after.iter().filter(|(kept, _)| {
            kept.contains(".conflict-") && !self.taken.before.contains_key(*kept)
        });
        let in_background =
            self.mode == CommitMode::WriteBack && !matches!(self.taken.step.act, Act::Fsync);
        if in_background && kept.any(|(_, kept)| written.contains(kept)) {
            return Ok(());
        }
        let found = shown(self.taken.after.get(path));
        Err(format!("{path} was acknowledged and is {found}"))
    }

    /// Whether the step may fail in this way.
    pub fn may_fail(&self, errno: i32, words: &str, alone: bool) -> Verdict {
        let is_missing = |path: &str| self.seen(path).is_empty();
        let before = self.taken.before;
        let expected = match &self.taken.step.act {
            Act::Append { path, .. }
            | Act::Change { path, .. }
            | Act::Truncate { path, .. }
            | Act::Unlink { path }
            | Act::Chmod { path, .. }
            | Act::Read { path }
            | Act::Rename { from: path, .. }
                if is_missing(path) =>
            {
                Some(libc::ENOENT)
            }
            Act::Rmdir { path } | Act::RenameDirectory { from: path, .. }
                if !before.contains_key(&below(path)) =>
            {
                Some(libc::ENOENT)
            }
            Act::Mkdir { path } if before.contains_key(&below(path)) => Some(libc::EEXIST),
            _ => None,
        };
        let lost = !alone && matches!(errno, libc::ESTALE | libc::ENOENT);
        let troubled = self.taken.step.trouble.is_some() && errno != libc::ESTALE;
        if expected == Some(errno) || lost || troubled {
            return Ok(());
        }
        Err(format!("failed without a reason: {words}"))
    }
}

/// The path of a directory as a tree has it.
fn below(directory: &str) -> String {
    format!("{directory}/")
}

fn is_stale(error: &FsError) -> bool {
    error.errno() == libc::ESTALE
}

fn shown(content: Option<&Bytes>) -> String {
    match content {
        None => "not there".to_owned(),
        Some(content) => {
            let start = String::from_utf8_lossy(&content[..content.len().min(24)]);
            format!("{} bytes from {start:?}", content.len())
        }
    }
}
