//! Sealing and opening messages: C2SP chunked-encryption with AES-256-GCM and HKDF-SHA512,
//! "Cobblestone-256".
//!
//! ```text
//! message = salt (24) ‖ commitment (32) ‖ chunk*
//! key (32) ‖ base nonce (12) ‖ commitment (32) = HKDF-Expand-SHA512(input key,
//!     "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM" ‖ 00 ‖ salt ‖ context)
//! chunk k = AES-256-GCM(key, base nonce XOR k, up to 16 KiB of plaintext), the last one short
//! ```
//! Source: <https://c2sp.org/chunked-encryption>.
//!
//! Invariants: a salt is drawn from the operating system for every message and cannot be
//! given; a nonce comes only from [`Nonces`], which owns the counter, and is used once; the
//! commitment is compared before any chunk is opened; no byte of a chunk is given out before
//! its tag matched. A [`Sealer`] is used up by its last chunk.
//!
//! One input key may seal 2^45 messages of 1 GiB with a chance of 2^-32 of anything repeating.

use zeroize::Zeroizing;

use super::backend::{
    Active, Backend, ContentCipher, KEY_BYTES, NONCE_BYTES, Nonce, TAG_BYTES, TagMismatch,
};
use super::context::Context;
use super::length::{
    CHUNK_BYTES, CHUNKS_MAX, HEADER_BYTES, MessageLength, STORED_CHUNK_BYTES, Span,
};
use crate::base::range::ByteRange;
use crate::base::secret::{Secret, fill_random};

/// The random bytes that a message begins with.
pub const SALT_BYTES: usize = 24;
const COMMITMENT_BYTES: usize = 32;
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// A key that messages are sealed under; each message has a key of its own derived from it.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct InputKey(Secret<KEY_BYTES>);

/// The message is not what was sealed under this key for this context. Deliberately says no
/// more: which check failed is nothing that an attacker should learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not authentic: it was changed, or sealed with another key or for another place")]
pub struct OpenError;

/// Seals one message, chunk after chunk.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Sealer<B: Backend = Active> {
    cipher: B::Cipher,
    nonces: Nonces,
}

/// Opens any chunks of one message.
#[expect(missing_debug_implementations, reason = "it holds a key")]
pub struct Opener<B: Backend = Active> {
    cipher: B::Cipher,
    nonces: Nonces,
    length: MessageLength,
}

/// Seals `plaintext` as one message.
///
/// # Panics
/// From 4 PiB on.
#[must_use]
pub fn seal(key: &InputKey, context: &Context, plaintext: &[u8]) -> Vec<u8> {
    // Allocated as zeros: for long messages that is no work, unlike growing.
    let mut message = vec![0; HEADER_BYTES + sealed_body_bytes(plaintext.len())];
    seal_into(key, context, plaintext, &mut message);
    message
}

/// Seals `plaintext` into `message`, every byte of which is written.
///
/// # Panics
/// When `message` is not as long as [`MessageLength`] says; from 4 PiB on.
pub fn seal_into(key: &InputKey, context: &Context, plaintext: &[u8], message: &mut [u8]) {
    let (sealer, header) = Sealer::new(key, context);
    let (start, body) = message.split_at_mut(HEADER_BYTES);
    start.copy_from_slice(&header);
    sealer.fill_last(plaintext, body);
}

/// Opens a whole message.
///
/// # Errors
/// When it is not what was sealed with this key and context.
pub fn open(key: &InputKey, context: &Context, message: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (header, body) = message.split_first_chunk().ok_or(OpenError)?;
    Opener::new(key, context, header, message.len() as u64)?.open_chunks(0, body)
}

impl InputKey {
    /// A fresh key from the operating system.
    #[must_use]
    pub fn random() -> Self {
        Self(Secret::random())
    }

    /// `secret` is to be uniformly random, never a passphrase.
    #[must_use]
    pub const fn from_secret(secret: Secret<KEY_BYTES>) -> Self {
        Self(secret)
    }

    /// The bytes, to be sealed under another key.
    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }
}

impl Sealer {
    /// Begins a message under a fresh salt; gives the header that it begins with.
    #[must_use]
    pub fn new(key: &InputKey, context: &Context) -> (Self, [u8; HEADER_BYTES]) {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt);
        Self::with_salt(key, context, salt)
    }
}

impl<B: Backend> Sealer<B> {
    /// Seals any number of whole chunks and appends them to `sealed`.
    ///
    /// # Panics
    /// When `plaintext` is not a multiple of [`CHUNK_BYTES`], or the message passes 4 PiB.
    pub fn chunks(&mut self, plaintext: &[u8], sealed: &mut Vec<u8>) {
        let (chunks, rest) = plaintext.as_chunks::<CHUNK_BYTES>();
        assert!(rest.is_empty(), "only the last chunk of a message is short");
        let at = sealed.len();
        sealed.resize(at + chunks.len() * STORED_CHUNK_BYTES, 0);
        self.fill(chunks, &mut sealed[at..]);
    }

    /// Seals what is left of the message, of any length, and appends it to `sealed`.
    ///
    /// # Panics
    /// When the message passes 4 PiB.
    pub fn finish(self, rest: &[u8], sealed: &mut Vec<u8>) {
        let at = sealed.len();
        sealed.resize(at + sealed_body_bytes(rest.len()), 0);
        self.fill_last(rest, &mut sealed[at..]);
    }

    fn fill(&mut self, chunks: &[[u8; CHUNK_BYTES]], sealed: &mut [u8]) {
        let room = sealed.chunks_exact_mut(STORED_CHUNK_BYTES);
        assert_eq!(room.len(), chunks.len(), "room for the chunks");
        for (chunk, sealed) in chunks.iter().zip(room) {
            self.cipher.seal(self.nonces.next(), chunk, sealed);
        }
    }

    fn fill_last(mut self, rest: &[u8], sealed: &mut [u8]) {
        let (chunks, last) = rest.as_chunks();
        let (whole, end) = sealed.split_at_mut(chunks.len() * STORED_CHUNK_BYTES);
        self.fill(chunks, whole);
        self.cipher.seal(self.nonces.last(), last, end);
    }

    fn with_salt(
        key: &InputKey,
        context: &Context,
        salt: [u8; SALT_BYTES],
    ) -> (Self, [u8; HEADER_BYTES]) {
        let derived = Derived::new::<B>(key, context, &salt);
        let mut header = [0; HEADER_BYTES];
        header[..SALT_BYTES].copy_from_slice(&salt);
        header[SALT_BYTES..].copy_from_slice(derived.commitment());
        let sealer = Self {
            cipher: B::Cipher::new(derived.cipher_key()),
            nonces: derived.nonces(),
        };
        (sealer, header)
    }
}

impl Opener {
    /// Checks the header of a message that is `stored_len` bytes long.
    ///
    /// `stored_len` is proven right only by opening the last chunk: where it comes from an
    /// untrusted place and matters, open that one too.
    ///
    /// # Errors
    /// When the header was not made with this key and context, or no message has this length.
    pub fn new(
        key: &InputKey,
        context: &Context,
        header: &[u8; HEADER_BYTES],
        stored_len: u64,
    ) -> Result<Self, OpenError> {
        Self::with_header(key, context, header, stored_len)
    }

    /// For any chunks of the message with this salt and length, both from an authentic place:
    /// such a message needs no header, because what named its salt has committed to its key.
    #[must_use]
    pub fn pinned(
        key: &InputKey,
        context: &Context,
        salt: &[u8; SALT_BYTES],
        length: MessageLength,
    ) -> Self {
        Self::derived(&Derived::new::<Active>(key, context, salt), length)
    }
}

impl<B: Backend> Opener<B> {
    fn with_header(
        key: &InputKey,
        context: &Context,
        header: &[u8; HEADER_BYTES],
        stored_len: u64,
    ) -> Result<Self, OpenError> {
        let (salt, commitment) = header.split_first_chunk().expect("56 bytes begin with 24");
        let derived = Derived::new::<B>(key, context, salt);
        if !B::constant_time_eq(derived.commitment(), commitment) {
            return Err(OpenError);
        }
        let length = MessageLength::of_stored(stored_len).map_err(|_| OpenError)?;
        Ok(Self::derived(&derived, length))
    }

    fn derived(derived: &Derived, length: MessageLength) -> Self {
        Self {
            cipher: B::Cipher::new(derived.cipher_key()),
            nonces: derived.nonces(),
            length,
        }
    }

    #[must_use]
    pub const fn length(&self) -> MessageLength {
        self.length
    }

    /// Opens neighbouring chunks, the first of which has the index `first_chunk`. `stored` is
    /// those chunks as they are in the message and nothing else.
    ///
    /// # Errors
    /// When one of them is not authentic, or they do not end where chunks of the message do, or
    /// there are none.
    pub fn open_chunks(&self, first_chunk: u64, stored: &[u8]) -> Result<Vec<u8>, OpenError> {
        let span = self.span(first_chunk, stored)?;
        let mut plaintext = vec![0; index(span.plain().len())];
        self.open_chunks_into(first_chunk, stored, &mut plaintext)?;
        Ok(plaintext)
    }

    /// As [`Self::open_chunks`], into room of the caller's; after an error it holds zeros.
    ///
    /// # Errors
    /// As [`Self::open_chunks`].
    ///
    /// # Panics
    /// When `plaintext` is not as long as those chunks' plaintext.
    pub fn open_chunks_into(
        &self,
        first_chunk: u64,
        stored: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), OpenError> {
        let span = self.span(first_chunk, stored)?;
        assert_eq!(plaintext.len() as u64, span.plain().len(), "room to open");
        let room = plaintext.chunks_mut(CHUNK_BYTES).chain([&mut [][..]]);
        let opened = (first_chunk..)
            .zip(stored.chunks(STORED_CHUNK_BYTES).zip(room))
            .try_for_each(|(chunk, (sealed, plain))| {
                self.cipher.open(self.nonces.at(chunk), sealed, plain)
            });
        opened.map_err(|TagMismatch| {
            plaintext.fill(0);
            OpenError
        })
    }

    /// The chunks from `first_chunk` on that `stored` is as long as.
    fn span(&self, first_chunk: u64, stored: &[u8]) -> Result<Span, OpenError> {
        let count = stored.len().div_ceil(STORED_CHUNK_BYTES) as u64;
        let span = self
            .length
            .chunk_span(first_chunk, count)
            .ok_or(OpenError)?;
        if stored.len() as u64 == span.stored().len() {
            Ok(span)
        } else {
            Err(OpenError)
        }
    }

    /// Opens the bytes of `wanted` from `stored`, the bytes of [`Span::stored`] for that range.
    ///
    /// # Errors
    /// As [`Self::open_chunks`]; also when `stored` is not as long as that.
    ///
    /// # Panics
    /// When `wanted` ends after the message.
    pub fn open_range(&self, wanted: ByteRange, stored: &[u8]) -> Result<Vec<u8>, OpenError> {
        let span: Span = self.length.span(wanted);
        if stored.len() as u64 != span.stored().len() {
            return Err(OpenError);
        }
        let mut plaintext = self.open_chunks(span.first_chunk(), stored)?;
        let skip = wanted.start() - span.plain().start();
        plaintext.truncate(index(skip + wanted.len()));
        plaintext.drain(..index(skip));
        Ok(plaintext)
    }
}

/// What HKDF makes of an input key, a salt and a context.
struct Derived(Zeroizing<[u8; KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES]>);

impl Derived {
    fn new<B: Backend>(key: &InputKey, context: &Context, salt: &[u8; SALT_BYTES]) -> Self {
        let mut derived = Self(Zeroizing::new([0; _]));
        B::expand_sha512(
            key.0.expose(),
            &[LABEL, salt, context.as_bytes()],
            derived.0.as_mut_slice(),
        );
        derived
    }

    fn cipher_key(&self) -> &[u8; KEY_BYTES] {
        self.0.first_chunk().expect("it begins with the key")
    }

    fn nonces(&self) -> Nonces {
        let base = &self.0[KEY_BYTES..KEY_BYTES + NONCE_BYTES];
        Nonces {
            base: base.try_into().expect("the range is as long as a nonce"),
            next: 0,
        }
    }

    fn commitment(&self) -> &[u8] {
        &self.0[KEY_BYTES + NONCE_BYTES..]
    }
}

/// The nonces of one message. That a chunk is the last one is told by its being short, so the
/// last nonce differs from others only in that none can follow it.
struct Nonces {
    base: [u8; NONCE_BYTES],
    next: u64,
}

impl Nonces {
    /// For sealing the next whole chunk.
    fn next(&mut self) -> Nonce {
        assert!(self.next < CHUNKS_MAX, "a message has at most 2^38 chunks");
        let nonce = self.at(self.next);
        self.next += 1;
        nonce
    }

    /// For sealing the last chunk.
    fn last(mut self) -> Nonce {
        self.next()
    }

    /// For opening chunk `index`.
    fn at(&self, index: u64) -> Nonce {
        let mut nonce = self.base;
        for (byte, counter) in nonce[NONCE_BYTES - 8..].iter_mut().zip(index.to_be_bytes()) {
            *byte ^= counter;
        }
        Nonce(nonce)
    }
}

fn sealed_body_bytes(plain: usize) -> usize {
    plain + TAG_BYTES * (plain / CHUNK_BYTES + 1)
}

/// A length within a buffer that is in memory.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory has a length that fits usize")
}

#[cfg(test)]
mod tests;
