//! What to fetch before it is asked for, decided for each handle from the reads it has seen.
//!
//! A read that begins where an earlier one ended makes a *stream*. A stream has a window that
//! starts small and doubles with each prefetch; a prefetch is due when less than half of the
//! window is left in front of the reader, so that requests are long and the reader never
//! arrives at their end. Two streams are followed at once: two readers of one descriptor, or
//! one that looks into the file's index now and then.
//!
//! Pure. Assumes nothing of the order of reads: the kernel sends the parts of one sequential
//! read at the same time, and they arrive in any order, so an established stream takes reads
//! within [`SLACK_BYTES`] of where it is. Invariants: nothing at or beyond the end of the file
//! is asked for, a stream asks for no byte twice, and a read that continues none asks for
//! nothing.

use crate::base::range::ByteRange;
use crate::cache::{BLOCK_BYTES, RUN_BYTES_MAX};

/// Window of a stream that begins, in bytes.
const WINDOW_BYTES_MIN: u64 = 256 << 10;
/// Window of a stream that goes on, in bytes.
const WINDOW_BYTES_MAX: u64 = 32 << 20;
/// How far from its stream a reordered read may be: two of the kernel's largest requests.
const SLACK_BYTES: u64 = 2 << 20;
const STREAMS: usize = 2;

/// Sizes of the window in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAheadLimits {
    pub window_bytes_min: u64,
    pub window_bytes_max: u64,
}

/// The reads of one handle.
#[derive(Debug)]
pub struct ReadAhead {
    limits: ReadAheadLimits,
    /// The one that was read last is first.
    streams: [Option<Stream>; STREAMS],
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    /// Where the next sequential read begins.
    next: u64,
    /// 0 until a second read has made it a stream.
    window: u64,
    /// Everything before it was read or asked for.
    fetched_to: u64,
}

impl Default for ReadAheadLimits {
    fn default() -> Self {
        Self {
            window_bytes_min: WINDOW_BYTES_MIN,
            window_bytes_max: WINDOW_BYTES_MAX,
        }
    }
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self::new(ReadAheadLimits::default())
    }
}

impl ReadAhead {
    #[must_use]
    pub const fn new(limits: ReadAheadLimits) -> Self {
        Self {
            limits,
            streams: [None; STREAMS],
        }
    }

    /// Takes note of a read of `len` bytes at `offset`; answers what to prefetch, if anything.
    pub fn on_read(&mut self, offset: u64, len: u64, file_len: u64) -> Option<ByteRange> {
        let end = offset.saturating_add(len).min(file_len);
        if offset >= end {
            return None;
        }
        let known = self
            .streams
            .iter()
            .position(|stream| stream.is_some_and(|stream| stream.takes(offset)));
        let mut stream = match known.and_then(|at| self.streams[at].take()) {
            Some(stream) => stream.advanced(end),
            None => Stream::starting(end),
        };
        if known.is_some() {
            self.absorb(&mut stream);
        }
        let ahead = known.and_then(|_| stream.prefetch(self.limits, file_len));
        self.remember(stream, known.unwrap_or(STREAMS - 1));
        ahead
    }

    /// A sequential read whose parts were reordered before it was known as one leaves two
    /// streams: the one behind takes over the one in front when it reaches it.
    fn absorb(&mut self, stream: &mut Stream) {
        for other in &mut self.streams {
            if other.is_some_and(|other| stream.reaches(&other)) {
                let other = other.take().expect("it was just there");
                stream.next = stream.next.max(other.next);
                stream.window = stream.window.max(other.window);
                stream.fetched_to = stream.fetched_to.max(other.fetched_to);
            }
        }
    }

    /// Puts `stream` first, into the place that was freed at `at`.
    fn remember(&mut self, stream: Stream, at: usize) {
        self.streams[..=at].rotate_right(1);
        self.streams[0] = Some(stream);
    }
}

impl Stream {
    const fn starting(end: u64) -> Self {
        Self {
            next: end,
            window: 0,
            fetched_to: end,
        }
    }

    fn takes(&self, offset: u64) -> bool {
        if self.window == 0 {
            return offset == self.next;
        }
        let front = self.next.max(self.fetched_to);
        offset >= self.next.saturating_sub(SLACK_BYTES)
            && offset <= front.saturating_add(SLACK_BYTES)
    }

    fn advanced(self, end: u64) -> Self {
        Self {
            next: self.next.max(end),
            fetched_to: self.fetched_to.max(end),
            ..self
        }
    }

    /// Whether `other` is the same stream, seen further on.
    fn reaches(&self, other: &Self) -> bool {
        let front = self.next.max(self.fetched_to);
        (self.next..=front.saturating_add(SLACK_BYTES)).contains(&other.next)
    }

    /// Widens the window and answers what is to be asked for now.
    fn prefetch(&mut self, limits: ReadAheadLimits, file_len: u64) -> Option<ByteRange> {
        if self.window == 0 {
            self.window = limits.window_bytes_min.min(limits.window_bytes_max);
        }
        if self.fetched_to - self.next > self.window / 2 || self.fetched_to >= file_len {
            return None;
        }
        let from = self.fetched_to;
        let to = round_to_requests(self.next.saturating_add(self.window), self.window);
        let to = to.min(file_len);
        self.window = self.window.saturating_mul(2).min(limits.window_bytes_max);
        if from >= to {
            return None;
        }
        self.fetched_to = to;
        Some(ByteRange::new(from, to))
    }
}

/// Where a prefetch ends: on the cache's grid, and with large windows where its requests end,
/// so that all of them have full length.
fn round_to_requests(to: u64, window: u64) -> u64 {
    let grid = if window >= 2 * RUN_BYTES_MAX {
        RUN_BYTES_MAX
    } else {
        BLOCK_BYTES
    };
    to - to % grid
}

#[cfg(test)]
mod tests;
