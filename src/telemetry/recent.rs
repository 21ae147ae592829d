//! The last errors that were logged, for `cloakfs status`.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Kept at most; older ones are dropped and only counted.
const ERRORS_KEPT: usize = 20;
/// A message is cut after this many bytes, so that the ring is bounded in memory.
const MESSAGE_BYTES_MAX: usize = 2048;

/// One logged error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedError {
    /// Seconds since the Unix epoch.
    pub at_secs: u64,
    pub message: String,
}

/// A bounded ring of the last errors; clones share it. It is a layer of the subscriber and
/// takes events of level ERROR.
#[derive(Clone, Debug, Default)]
pub struct RecentErrors(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    total: u64,
    last: VecDeque<LoggedError>,
}

impl RecentErrors {
    /// The last errors, oldest first.
    #[must_use]
    pub fn last(&self) -> Vec<LoggedError> {
        self.ring().last.iter().cloned().collect()
    }

    /// How many there were since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ring().total
    }

    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, message: String) {
        let at_secs = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut ring = self.ring();
        ring.total += 1;
        if ring.last.len() == ERRORS_KEPT {
            ring.last.pop_front();
        }
        ring.last.push_back(LoggedError { at_secs, message });
    }
}

impl<S: Subscriber> Layer<S> for RecentErrors {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut text = EventText::default();
            event.record(&mut text);
            self.push(text.finish());
        }
    }
}

/// The message, then `name=value` for the other fields.
#[derive(Default)]
struct EventText {
    message: String,
    fields: String,
}

impl EventText {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        let mut end = self.message.len().min(MESSAGE_BYTES_MAX);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        self.message.truncate(end);
        self.message
    }

    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a String cannot fail. The `log.` fields are where a record of the log
        // crate came from.
        let _infallible = match field.name() {
            "message" => self.message.write_fmt(value),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

impl Visit for EventText {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format_args!("{value:?}"));
    }
}
