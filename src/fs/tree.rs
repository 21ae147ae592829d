//! Which paths are used, and which a directory rename has for itself.
//!
//! Whatever uses a path holds it while it does ([`Tree::hold`]). A directory rename takes what is
//! at and below its two names ([`Tree::take`]); everywhere else the mount goes on meanwhile.
//!
//! What holds:
//! 1. What is held and what is taken do not overlap, and neither do two takes.
//! 2. A path that is held names the same file or directory until it is let go, but for a rename
//!    of that very file. It is looked up again once it is held: a directory on the way may have
//!    got another name just before.
//! 3. Nobody waits behind somebody who waits. A take that cannot be had yet keeps nobody out, so
//!    that no operation waits for the slowest upload, and who holds a path may hold another.
//!    What can be put off makes way by itself ([`Tree::is_wanted`]).

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::layout::path::VolumePath;

/// What of the tree somebody uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// What is at a path.
    At(VolumePath),
    /// The names in a directory, all of them.
    Names(VolumePath),
}

/// The two names of a directory rename.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from: VolumePath,
    pub to: VolumePath,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tree {
    state: Mutex<State>,
    /// Something was let go, while somebody wanted it for himself.
    let_go: Notify,
    /// A take ended, or what moved has moved.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    held: Vec<(u64, Vec<Use>)>,
    wanted: Vec<(u64, Span)>,
    taken: Vec<Taken>,
}

#[derive(Debug)]
struct Taken {
    id: u64,
    span: Span,
    /// Objects change their keys.
    moving: bool,
}

/// What is used, until dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    tree: &'a Tree,
    id: u64,
    uses: Vec<Use>,
}

/// Two subtrees that a directory rename has for itself, until dropped.
#[derive(Debug)]
pub(super) struct Alone<'a> {
    tree: &'a Tree,
    id: u64,
}

/// Somebody waits for two subtrees, until dropped.
#[derive(Debug)]
struct Wanting<'a> {
    tree: &'a Tree,
    id: u64,
}

impl Use {
    const fn path(&self) -> &VolumePath {
        match self {
            Self::At(path) | Self::Names(path) => path,
        }
    }
}

impl Span {
    fn covers(&self, path: &VolumePath) -> bool {
        path.starts_with(&self.from) || path.starts_with(&self.to)
    }

    fn overlaps_use(&self, used: &Use) -> bool {
        let path = used.path();
        let changes_names = |name: &VolumePath| name.parent().as_ref() == Some(path);
        self.covers(path)
            || matches!(used, Use::Names(_))
                && (changes_names(&self.from) || changes_names(&self.to))
    }

    fn overlaps(&self, other: &Self) -> bool {
        [&self.from, &self.to].into_iter().any(|mine| {
            [&other.from, &other.to]
                .into_iter()
                .any(|theirs| mine.starts_with(theirs) || theirs.starts_with(mine))
        })
    }
}

impl Tree {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds what `uses` finds, as soon as no directory rename has it.
    ///
    /// # Errors
    /// Those of `uses`.
    pub async fn hold<E>(&self, uses: impl Fn() -> Result<Vec<Use>, E>) -> Result<Held<'_>, E> {
        loop {
            // Before it is looked at, or what is freed in between would not be heard of.
            let freed = self.freed.notified();
            let found = uses()?;
            let held = self.state().hold(found.clone());
            let Some(id) = held else {
                freed.await;
                continue;
            };
            let held = Held {
                tree: self,
                id,
                uses: found,
            };
            if uses()? == held.uses {
                return Ok(held);
            }
        }
    }

    /// Takes what `names` finds for a rename, as soon as nobody uses it.
    ///
    /// # Errors
    /// Those of `names`.
    pub async fn take<E>(&self, names: impl Fn() -> Result<Span, E>) -> Result<Alone<'_>, E> {
        let wanting = Wanting {
            tree: self,
            id: self.state().id(),
        };
        loop {
            let (let_go, freed) = (self.let_go.notified(), self.freed.notified());
            let span = names()?;
            if !self.state().take(wanting.id, &span) {
                tokio::select! {
                    () = let_go => {}
                    () = freed => {}
                }
                continue;
            }
            let alone = Alone {
                tree: self,
                id: wanting.id,
            };
            if names()? == span {
                return Ok(alone);
            }
        }
    }

    /// A rename has what is at a path, or waits for it: what can be put off makes way.
    pub fn is_wanted(&self, path: &VolumePath) -> bool {
        let state = self.state();
        state.wanted.iter().any(|(_, span)| span.covers(path))
            || state.taken.iter().any(|taken| taken.span.covers(path))
    }

    /// Another rename has some of what this one is to have for itself.
    pub fn is_taken_by_another(&self, span: &Span) -> bool {
        let state = self.state();
        state.taken.iter().any(|taken| taken.span.overlaps(span))
    }

    /// A rename has something below a directory for itself: it is there as long as that, whatever
    /// the bucket says.
    pub fn has_taken_below(&self, directory: &VolumePath) -> bool {
        let names = |taken: &Taken| [taken.span.from.clone(), taken.span.to.clone()];
        let state = self.state();
        let mut taken = state.taken.iter().flat_map(names);
        taken.any(|name| name.starts_with(directory))
    }

    /// Waits until nothing moves what is at a path. Tells whether there was something to wait
    /// for. Whoever moves it waits for no reader, so this ends.
    pub async fn settled(&self, path: &VolumePath) -> bool {
        let mut waited = false;
        loop {
            let freed = self.freed.notified();
            let moves = |taken: &Taken| taken.moving && taken.span.covers(path);
            if !self.state().taken.iter().any(moves) {
                return waited;
            }
            waited = true;
            freed.await;
        }
    }
}

impl State {
    const fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Its number; `None` where a rename has some of it.
    fn hold(&mut self, uses: Vec<Use>) -> Option<u64> {
        let is_taken = |used: &Use| self.taken.iter().any(|taken| taken.span.overlaps_use(used));
        if uses.iter().any(is_taken) {
            return None;
        }
        let id = self.id();
        self.held.push((id, uses));
        Some(id)
    }

    /// Whether it could be taken; else it is wanted.
    fn take(&mut self, id: u64, span: &Span) -> bool {
        let used = self.held.iter().flat_map(|(_, uses)| uses);
        let in_use = used.into_iter().any(|used| span.overlaps_use(used))
            || self.taken.iter().any(|taken| taken.span.overlaps(span));
        self.wanted.retain(|(wanting, _)| *wanting != id);
        if in_use {
            self.wanted.push((id, span.clone()));
        } else {
            self.taken.push(Taken {
                id,
                span: span.clone(),
                moving: false,
            });
        }
        !in_use
    }
}

impl Held<'_> {
    /// Whether it is what is at this path that is held.
    pub fn is_at(&self, path: &VolumePath) -> bool {
        self.uses.iter().any(|used| used.path() == path)
    }
}

impl Alone<'_> {
    /// From here on objects below change their keys. No reader is waited for any more.
    pub fn begin_moving(&self) {
        let mut state = self.tree.state();
        if let Some(taken) = state.taken.iter_mut().find(|taken| taken.id == self.id) {
            taken.moving = true;
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.tree.state();
        if let Some(at) = state.held.iter().position(|(id, _)| *id == self.id) {
            state.held.swap_remove(at);
        }
        if !state.wanted.is_empty() {
            self.tree.let_go.notify_waiters();
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.tree.state().taken.retain(|taken| taken.id != self.id);
        self.tree.freed.notify_waiters();
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.tree.state().wanted.retain(|(id, _)| *id != self.id);
        // What made way goes on.
        self.tree.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
