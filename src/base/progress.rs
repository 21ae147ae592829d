//! "Without progress" made measurable: a counter that the transfer of bytes touches and the
//! deadline watches.
//!
//! The store that moves bytes calls [`touch`] whenever some moved; whoever runs the request
//! inside [`Progress::scope`] can ask [`Progress::idle`] how long nothing has. Outside of a
//! scope `touch` does nothing.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// See [`moves`].
static MOVES: AtomicU64 = AtomicU64::new(0);

/// How often anything moved in this process, whatever it was for: while it grows, something of a
/// work that is spread over many requests and tasks is getting on.
#[must_use]
pub fn moves() -> u64 {
    MOVES.load(Ordering::Relaxed)
}

tokio::task_local! {
    static CURRENT: Progress;
}

/// When something last moved. Cheap to clone; clones share the clock.
#[derive(Clone, Debug)]
pub struct Progress {
    origin: Instant,
    last_nanos: Arc<AtomicU64>,
}

impl Progress {
    /// Counts from now. Uses tokio's clock, so that tests can pause it.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
            last_nanos: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Something moved now.
    pub fn touch(&self) {
        MOVES.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// When something last moved.
    #[must_use]
    pub fn last(&self) -> Instant {
        self.origin + Duration::from_nanos(self.last_nanos.load(Ordering::Relaxed))
    }

    /// Time since something last moved.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.last().elapsed()
    }

    /// Runs `future`; [`touch`] within it counts here.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        CURRENT.scope(self.clone(), future).await
    }

    /// The progress of the surrounding [`Progress::scope`], to carry into another task.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }
}

/// Reports progress to the surrounding [`Progress::scope`], if there is one.
pub fn touch() {
    let _outside_of_a_scope = CURRENT.try_with(Progress::touch);
}
