//! Which of the keys at hand opens an object.
//!
//! S3 does not say what an object is under until it is asked with the right key. A mount has a
//! key to write with (or none) and keys to read with, and a prefix may hold objects of every
//! mode, so that reads try: the likeliest first, the next when the answer is one that a wrong,
//! missing or unneeded key gives. Each is tried once, and the attempt without a key is always
//! among them: its answer tells an object under an unknown key (400) from one that the
//! credentials may not read (403).

use std::collections::VecDeque;

use super::{CustomerKey, RequestedEncryption};
use crate::store::ServerEncryption;

/// What a request on an object brings to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// No key: the server has its own, or the object is under none.
    NoKey,
    Key(CustomerKey),
}

impl Opener {
    #[must_use]
    pub const fn key(&self) -> Option<&CustomerKey> {
        match self {
            Self::NoKey => None,
            Self::Key(key) => Some(key),
        }
    }
}

/// The customer's keys of a mount.
#[derive(Clone, Debug)]
pub struct KeyRing {
    own: Opener,
    /// The key to write with, if there is one, then those to read with; each once.
    keys: Vec<CustomerKey>,
}

impl KeyRing {
    #[must_use]
    pub fn new(requested: &RequestedEncryption, read_keys: Vec<CustomerKey>) -> Self {
        let own = match requested {
            RequestedEncryption::SseC(key) => Opener::Key(key.clone()),
            _ => Opener::NoKey,
        };
        let mut keys: Vec<CustomerKey> = own.key().cloned().into_iter().collect();
        for key in read_keys {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Self { own, keys }
    }

    /// What opens the objects that the mount writes.
    #[must_use]
    pub const fn own(&self) -> &Opener {
        &self.own
    }

    #[must_use]
    pub fn keys(&self) -> &[CustomerKey] {
        &self.keys
    }

    /// What opened an object, after an answer to a request with `used`. A server may take a key
    /// that it does not need; the mode that it names tells.
    #[must_use]
    pub fn opener_of(&self, answered: &ServerEncryption, used: &Opener) -> Opener {
        match answered {
            ServerEncryption::None | ServerEncryption::SseC { .. } => used.clone(),
            ServerEncryption::SseS3
            | ServerEncryption::SseKms { .. }
            | ServerEncryption::Other(_) => Opener::NoKey,
        }
    }

    /// All that can be tried: the guesses first, then the key to write with, the others in
    /// order, and no key.
    #[must_use]
    pub fn search(&self, guesses: impl IntoIterator<Item = Opener>) -> Search {
        let keys = self.keys.iter().cloned().map(Opener::Key);
        let mut left = VecDeque::with_capacity(self.keys.len() + 1);
        for opener in guesses.into_iter().chain(keys).chain([Opener::NoKey]) {
            if !left.contains(&opener) {
                left.push_back(opener);
            }
        }
        let current = left.pop_front().expect("no key is always among them");
        Search {
            current,
            left,
            without_key: None,
        }
    }
}

/// An answer that a wrong, missing or unneeded key gives, though other things may, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key was sent, and the object needs one.
    KeyNeeded,
    /// A key was sent, and the object is under none.
    KeyUnneeded,
    /// 403: a wrong key, or no permission.
    Forbidden,
    /// A bare 400: a key that is missing or not needed, or credentials that have expired.
    Unclear,
}

impl Refusal {
    /// Reads an answer to a request that brought a customer's key or not. The words are
    /// Amazon's, and MinIO's and LocalStack's; MinIO says the first to an unneeded key, too.
    #[must_use]
    pub fn of(
        status: u16,
        code: Option<&str>,
        message: Option<&str>,
        sent_key: bool,
    ) -> Option<Self> {
        match (status, code) {
            (403, None | Some("AccessDenied")) => Some(Self::Forbidden),
            (400, None) => Some(Self::Unclear),
            (400, Some("InvalidRequest")) => {
                let words = message?;
                let about_keys = words.contains("stored using a form of Server Side Encryption")
                    || words.contains("encryption parameters are not applicable");
                about_keys.then_some(if sent_key {
                    Self::KeyUnneeded
                } else {
                    Self::KeyNeeded
                })
            }
            // MinIO, to a copy: the source is under SSE-S3 or SSE-KMS; it is an empty object
            // under a customer's key.
            (400, Some("InvalidArgument")) => {
                let words = message?;
                if sent_key && words.contains("incompatible with the encryption method specified") {
                    Some(Self::KeyUnneeded)
                } else if !sent_key && words.contains("must provide a valid encryption algorithm") {
                    Some(Self::KeyNeeded)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

/// One object's attempts. Ends after as many as there are openers.
#[derive(Clone, Debug)]
pub struct Search {
    current: Opener,
    left: VecDeque<Opener>,
    without_key: Option<Refusal>,
}

impl Search {
    /// What to try now.
    #[must_use]
    pub const fn current(&self) -> &Opener {
        &self.current
    }

    /// Takes note that the current one was refused, and goes on to the next.
    ///
    /// # Errors
    /// When nothing is left: the refusal of the attempt without a key, which says why.
    pub fn refused(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        match self.current {
            Opener::NoKey => self.without_key = Some(refusal),
            // Most likely the object needs no key, so that is next.
            Opener::Key(_) if matches!(refusal, Refusal::KeyUnneeded | Refusal::Unclear) => {
                let no_key = self.left.iter().position(|left| *left == Opener::NoKey);
                if let Some(no_key) = no_key.and_then(|at| self.left.remove(at)) {
                    self.left.push_front(no_key);
                }
            }
            Opener::Key(_) => {}
        }
        match self.left.pop_front() {
            Some(next) => {
                self.current = next;
                Ok(())
            }
            None => Err(self.without_key.expect("no key was among them")),
        }
    }
}

#[cfg(test)]
mod tests;
