//! Changes under way of where stored bytes are.
//!
//! A rename, a metadata copy and the preservation of an unlinked file change an object's key or
//! version a moment before this mount notes it. A read that fails in between is not to be told
//! that somebody else replaced the file: it waits until the change is noted, and looks again.
//! A read holds no path for that, lest a commit or a directory rename wait for it. Whoever is in
//! flux never waits for a reader, so waiting for it ends. What a directory rename moves is in flux
//! as a whole ([`super::tree::Tree::settled`]).

use tokio::sync::watch;

/// Counts the changes under way of one thing.
#[derive(Debug)]
pub(super) struct Flux(watch::Sender<u32>);

/// One change, until dropped.
#[derive(Debug)]
pub(super) struct Change<'a>(&'a Flux);

impl Flux {
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub fn begin(&self) -> Change<'_> {
        self.0.send_modify(|changes| *changes += 1);
        Change(self)
    }

    /// Waits until nothing changes. Tells whether there was something to wait for.
    pub async fn settled(&self) -> bool {
        let mut changes = self.0.subscribe();
        if *changes.borrow_and_update() == 0 {
            return false;
        }
        // The sender is part of `self`, so this ends with the last change.
        let _settled = changes.wait_for(|changes| *changes == 0).await;
        true
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|changes| *changes -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_last_change() {
        let flux = Flux::new();
        assert!(!flux.settled().await);
        let (first, second) = (flux.begin(), flux.begin());
        let waited = async {
            tokio::task::yield_now().await;
            drop(first);
            tokio::task::yield_now().await;
            drop(second);
        };
        let (waited_for_something, ()) = tokio::join!(flux.settled(), waited);
        assert!(waited_for_something);
    }
}
