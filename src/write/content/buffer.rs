//! The bytes in memory of one cell: one run that covers all of the cell's dirty bytes.
//!
//! Which bytes of the run are dirty is known outside; the others are left-overs or zeros and
//! are never read. The run grows by doubling, to either side, so that a small file costs little
//! and a sequential writer copies each byte at most twice.

use bytes::Bytes;

use crate::base::range::ByteRange;
use crate::write::pool::Lease;

/// Smallest allocation, in bytes: a page.
const CAPACITY_MIN: u64 = 4096;

/// See the module's text. Offsets are of the file.
#[derive(Debug)]
pub(crate) struct Buffer {
    start: u64,
    bytes: Vec<u8>,
    /// Pays for the capacity.
    lease: Lease,
}

/// Where a buffer has to begin and how much it has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub start: u64,
    pub capacity: u64,
}

impl Shape {
    /// The shape of a new buffer for `hull` in `cell`. A run that begins a cell after the
    /// file's first is taken for the start of a long sequential write.
    pub(super) fn of(hull: ByteRange, cell: ByteRange) -> Self {
        debug_assert!(cell.contains_range(hull), "a buffer stays inside its cell");
        let room = cell.end() - hull.start();
        if hull.start() == cell.start() && cell.start() > 0 {
            return Self {
                start: hull.start(),
                capacity: room,
            };
        }
        let wanted = hull.len().max(CAPACITY_MIN).next_power_of_two();
        Self {
            start: hull.start(),
            capacity: wanted.min(room),
        }
    }
}

impl Buffer {
    /// An empty buffer; `lease` pays for exactly the capacity.
    pub(super) fn new(shape: Shape, lease: Lease) -> Self {
        debug_assert_eq!(
            lease.bytes(),
            shape.capacity,
            "the budget pays for the capacity"
        );
        Self {
            start: shape.start,
            bytes: Vec::with_capacity(index(shape.capacity)),
            lease,
        }
    }

    /// The bytes it covers.
    pub(crate) fn hull(&self) -> ByteRange {
        ByteRange::new(self.start, self.start + self.bytes.len() as u64)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The shape it must get for `piece` to fit; `None` when it fits as it is.
    pub(super) fn reshape(&self, piece: ByteRange, cell: ByteRange) -> Option<Shape> {
        let hull = union(self.hull(), piece);
        let fits = hull.start() == self.start && hull.len() <= self.lease.bytes();
        (!fits).then(|| Shape::of(hull, cell))
    }

    /// A copy with another shape.
    pub(super) fn reshaped(&self, shape: Shape, lease: Lease) -> Self {
        let mut buffer = Self::new(shape, lease);
        buffer.put(self.start, &self.bytes);
        buffer
    }

    /// Writes `data` at `offset`, which fits.
    pub(super) fn put(&mut self, offset: u64, data: &[u8]) {
        let at = index(offset - self.start);
        let end = at + data.len();
        debug_assert!(
            end as u64 <= self.lease.bytes(),
            "unpaid growth of a buffer"
        );
        if at >= self.bytes.len() {
            self.bytes.resize(at, 0);
            self.bytes.extend_from_slice(data);
            return;
        }
        let overlap = data.len().min(self.bytes.len() - at);
        self.bytes[at..at + overlap].copy_from_slice(&data[..overlap]);
        self.bytes.extend_from_slice(&data[overlap..]);
    }

    /// The bytes of `range`, which it covers.
    pub(super) fn slice(&self, range: ByteRange) -> &[u8] {
        let at = index(range.start() - self.start);
        &self.bytes[at..at + index(range.len())]
    }
}

/// Lets a request's body be the buffer itself.
pub(crate) struct Shared(pub std::sync::Arc<Buffer>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl From<Shared> for Bytes {
    fn from(shared: Shared) -> Self {
        Self::from_owner(shared)
    }
}

/// The smallest range with both in it.
pub(super) fn union(a: ByteRange, b: ByteRange) -> ByteRange {
    if a.is_empty() {
        return b;
    }
    ByteRange::new(a.start().min(b.start()), a.end().max(b.end()))
}

/// An offset within one buffer as an index.
pub(crate) fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a buffer fits into memory")
}
