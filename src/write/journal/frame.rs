//! Frames: sealed, each for its one place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::FRAME_DATA_BYTES_MAX;
use super::event::Head;
use crate::crypto::{Context, InputKey, OpenError, Purpose, open, seal};

/// Of the length before a sealed message, and of that before a head.
const LENGTH_BYTES: usize = 4;
/// Longer is no frame: the data, and a head with the extents of a much divided file.
const MESSAGE_BYTES_MAX: usize = FRAME_DATA_BYTES_MAX + (16 << 20);

/// What the frames of one journal are sealed with and for.
#[derive(Clone, Copy)]
pub(super) struct Seal<'a> {
    pub key: &'a InputKey,
    pub source: &'a str,
    pub journal: &'a str,
}

/// What comes next in a log.
pub(super) enum Next {
    /// A frame: its message, and its length.
    Frame(Vec<u8>, u64),
    /// Nothing.
    End,
    /// Less than a frame.
    Torn,
}

impl Seal<'_> {
    fn context(&self, log: u64, number: u64) -> Context {
        Context::new(Purpose::Journal)
            .bytes(self.source.as_bytes())
            .bytes(self.journal.as_bytes())
            .number(log)
            .number(number)
    }

    /// A frame with its length.
    ///
    /// # Panics
    /// When there is more data than a frame may have.
    pub(super) fn frame(&self, log: u64, number: u64, head: &Head, data: &[u8]) -> Vec<u8> {
        assert!(data.len() <= FRAME_DATA_BYTES_MAX, "data of one frame");
        let json = head.to_json();
        let mut plain = Vec::with_capacity(LENGTH_BYTES + json.len() + data.len());
        plain.extend_from_slice(&length(json.len()));
        plain.extend_from_slice(&json);
        plain.extend_from_slice(data);
        let message = seal(self.key, &self.context(log, number), &plain);
        let mut frame = Vec::with_capacity(LENGTH_BYTES + message.len());
        frame.extend_from_slice(&length(message.len()));
        frame.extend_from_slice(&message);
        frame
    }

    /// The head and the data of a message; no head where it is none of this release.
    pub(super) fn open(
        &self,
        log: u64,
        number: u64,
        message: &[u8],
    ) -> Result<(Option<Head>, Vec<u8>), OpenError> {
        let mut plain = open(self.key, &self.context(log, number), message)?;
        let head_len = plain
            .first_chunk()
            .map(|length| u32::from_le_bytes(*length) as usize);
        let end = head_len.and_then(|len| len.checked_add(LENGTH_BYTES));
        let Some(json) = end.and_then(|end| plain.get(LENGTH_BYTES..end)) else {
            return Ok((None, Vec::new()));
        };
        let head = Head::from_json(json);
        let data = LENGTH_BYTES + json.len();
        plain.drain(..data);
        Ok((head, plain))
    }
}

/// What is at `at` in a log of `end` bytes.
pub(super) fn next(log: &File, at: u64, end: u64) -> io::Result<Next> {
    let Some(left) = end.checked_sub(at).filter(|left| *left > 0) else {
        return Ok(Next::End);
    };
    let mut len = [0; LENGTH_BYTES];
    let Some(left) = left.checked_sub(LENGTH_BYTES as u64) else {
        return Ok(Next::Torn);
    };
    log.read_exact_at(&mut len, at)?;
    let len = u32::from_le_bytes(len) as usize;
    if len == 0 || len > MESSAGE_BYTES_MAX || len as u64 > left {
        return Ok(Next::Torn);
    }
    let mut message = vec![0; len];
    log.read_exact_at(&mut message, at + LENGTH_BYTES as u64)?;
    Ok(Next::Frame(message, (LENGTH_BYTES + len) as u64))
}

fn length(len: usize) -> [u8; LENGTH_BYTES] {
    let len = u32::try_from(len).expect("a frame is far below 4 GiB");
    len.to_le_bytes()
}
