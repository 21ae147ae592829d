//! What a commit sends: a pure function of what the object was, what is dirty and how long the
//! file is now.
//!
//! A file up to the threshold goes up whole in one PUT. A longer one is a multipart upload, in
//! which what is clean is copied on the server and what changed is uploaded:
//! - at the target's key, for this commit alone, segment by segment ([`free`]);
//! - of a private object that parts went to while the program was still writing, on the
//!   [`Grid`]: a part has the same number whatever else changes, so that one that was uploaded
//!   stays valid for as long as its bytes and its range do. A part without a dirty byte that the
//!   base still holds is copied, neighbours of the kind in one request.
//!
//! Invariants: the steps cover every byte of the file once, in ascending order and with
//! ascending numbers; S3's limits hold; nothing is uploaded but parts with a byte that the base
//! does not have, unless there would be too many parts. A plan only makes a multipart upload, so any prefix of it leaves the old
//! object as it was; what makes the new one visible is the completion, which is not a step.

pub mod free;
pub mod sealed;

use super::extents::ExtentSet;
pub use super::grid::{Grid, PartIndex};
use crate::base::limits;
use crate::base::range::ByteRange;
use crate::store::PartNumber;
use crate::volume::Volume;

/// The object that the file was opened as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    size: u64,
    valid: u64,
}

/// What bounds a plan, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanLimits {
    /// Longest file that goes up in one PUT.
    pub put_bytes_max: u64,
    /// Longest range of one part copy; a part of the grid is copied whole, however long it is.
    pub copy_bytes_max: u64,
    /// The same where there would be too many parts.
    pub copy_bytes_limit: u64,
    /// Shortest copy that other parts may follow.
    pub part_bytes_min: u64,
    /// Longest upload that several segments are joined to where there would be too many parts.
    pub upload_bytes_max: u64,
    /// Most parts, without what follows the segments of a client-side file.
    pub parts_max: u32,
    /// Longest file.
    pub object_bytes_max: u64,
    pub grid: Grid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The object is as the file is; there is nothing to send.
    Nothing,
    /// One PUT of so many bytes, the whole file.
    Put { size: u64 },
    /// A multipart upload of these parts; at least one.
    Multipart(Vec<PartStep>),
}

/// One part of a multipart upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartStep {
    pub number: PartNumber,
    /// The bytes of the file that it is.
    pub range: ByteRange,
    pub how: PartSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartSource {
    /// Sent by us, put together as [`sources`] says.
    Upload,
    /// Copied on the server from the same range of the base.
    Copy,
}

/// Where bytes of the file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In memory or staging.
    Dirty(ByteRange),
    /// In the base object, at the same range.
    Base(ByteRange),
    /// Nowhere: they are zeros.
    Zeros(ByteRange),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("a file of {size} bytes is longer than an object can be ({max} bytes)")]
    TooLarge { size: u64, max: u64 },
}

impl Base {
    /// An object of `size` bytes, all of which the file still has.
    #[must_use]
    pub const fn whole(size: u64) -> Self {
        Self { size, valid: size }
    }

    /// The file was cut to `size` bytes; what it grows to later is zeros.
    #[must_use]
    pub fn truncated(self, size: u64) -> Self {
        Self {
            valid: self.valid.min(size),
            ..self
        }
    }

    /// Length of the object.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// So many of its first bytes are still the file's where they are not dirty: the least size
    /// that the file had since.
    #[must_use]
    pub const fn valid(self) -> u64 {
        self.valid
    }
}

impl PlanLimits {
    pub const S3: Self = Self {
        put_bytes_max: limits::SEGMENT_BYTES,
        copy_bytes_max: limits::PART_BYTES_MAX,
        copy_bytes_limit: limits::PART_BYTES_MAX,
        part_bytes_min: limits::PART_BYTES_MIN,
        // What is stored of it in a client-side volume is a little longer.
        upload_bytes_max: 512 * limits::SEGMENT_BYTES,
        // One for what follows the segments.
        parts_max: limits::PARTS_MAX - 1,
        object_bytes_max: limits::OBJECT_BYTES_MAX,
        grid: Grid::S3,
    };

    /// Those of a volume's files.
    #[must_use]
    pub fn of(volume: &Volume) -> Self {
        let object_bytes_max = if volume.is_sealed() {
            sealed::file_bytes_max()
        } else {
            limits::OBJECT_BYTES_MAX
        };
        Self {
            object_bytes_max,
            ..Self::S3
        }
    }
}

/// Plans an upload on the grid of a file of `size` bytes; `base` is `None` for a new file.
///
/// # Errors
/// When the file is longer than an object can be.
///
/// # Panics
/// When there are dirty bytes after the end of the file.
pub fn plan(
    base: Option<Base>,
    dirty: &ExtentSet,
    size: u64,
    limits: &PlanLimits,
) -> Result<Plan, PlanError> {
    if let Some(plan) = whole_plan(base, dirty, size, limits)? {
        return Ok(plan);
    }
    let valid = base.map_or(0, Base::valid);
    let mut steps: Vec<PartStep> = Vec::new();
    for (part, range) in limits.grid.cut(size) {
        let clean = range.end() <= valid && !dirty.intersects(range);
        match steps.last_mut() {
            Some(last) if clean && last.is_copy_that_takes(range, limits) => {
                last.range = ByteRange::new(last.range.start(), range.end());
            }
            _ => steps.push(PartStep {
                number: part.number(),
                range,
                how: if clean {
                    PartSource::Copy
                } else {
                    PartSource::Upload
                },
            }),
        }
    }
    Ok(Plan::Multipart(steps))
}

/// The plan of a file that is not sent in parts.
fn whole_plan(
    base: Option<Base>,
    dirty: &ExtentSet,
    size: u64,
    limits: &PlanLimits,
) -> Result<Option<Plan>, PlanError> {
    assert!(
        dirty.end() <= size,
        "dirty to {} in a file of {size} bytes",
        dirty.end()
    );
    if size > limits.object_bytes_max {
        let max = limits.object_bytes_max;
        return Err(PlanError::TooLarge { size, max });
    }
    if base == Some(Base::whole(size)) && dirty.is_empty() {
        return Ok(Some(Plan::Nothing));
    }
    if size <= limits.put_bytes_max {
        return Ok(Some(Plan::Put { size }));
    }
    Ok(None)
}

/// A whole object in part copies of at most `piece` bytes.
pub(super) fn copies(size: u64, piece: u64) -> Vec<PartStep> {
    let steps = (0..size.div_ceil(piece))
        .zip(1..)
        .map(|(index, number)| PartStep {
            number: PartNumber::new(number).expect("10,000 copies are more than any object"),
            range: ByteRange::new(index * piece, size.min((index + 1) * piece)),
            how: PartSource::Copy,
        });
    steps.collect()
}

/// Where the bytes of `range` are, ascending and without gaps.
pub fn sources(
    base: Option<Base>,
    dirty: &ExtentSet,
    range: ByteRange,
) -> impl Iterator<Item = Source> {
    let valid = ByteRange::new(0, base.map_or(0, Base::valid));
    let beyond = ByteRange::new(valid.end(), u64::MAX);
    let mut sources: Vec<Source> = dirty.within(range).map(Source::Dirty).collect();
    for gap in dirty.gaps(range) {
        sources.extend(gap.intersection(valid).map(Source::Base));
        sources.extend(gap.intersection(beyond).map(Source::Zeros));
    }
    sources.sort_unstable_by_key(|source| source.range().start());
    sources.into_iter()
}

impl PartStep {
    fn is_copy_that_takes(&self, next: ByteRange, limits: &PlanLimits) -> bool {
        let longer = self.range.len() + next.len();
        self.how == PartSource::Copy && longer <= limits.copy_bytes_max
    }
}

impl Source {
    #[must_use]
    pub const fn range(self) -> ByteRange {
        match self {
            Self::Dirty(range) | Self::Base(range) | Self::Zeros(range) => range,
        }
    }
}

#[cfg(test)]
mod tests;
