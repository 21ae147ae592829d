//! Key material and randomness for it.
//!
//! A secret has no `Debug`, no `Clone` and no `Display`. It is kept in memory that is locked
//! where the system allows it, is in no core dump, and is wiped when the secret is dropped.
//! Random bytes come from the operating system only; [`super::jitter`] is the other, seedable
//! source and is never used for keys.
//!
//! What is wiped and locked is the secret itself. What uses it (a cipher's key schedule, a
//! header on its way to the server) makes copies of its own.

mod arena;
mod bytes;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use arena::Locking;
use arena::{SLOT_BYTES, Slot};
pub use bytes::SecretBytes;

/// `N` secret bytes, at most 64, wiped on drop.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct Secret<const N: usize>(Slot);

// A slot wipes itself.
impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

impl<const N: usize> Secret<N> {
    /// Fresh random bytes from the operating system.
    #[must_use]
    pub fn random() -> Self {
        let mut secret = Self::zeros();
        fill_random(secret.bytes_mut());
        secret
    }

    /// Moves `bytes` in; the caller's copy is wiped.
    #[must_use]
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let mut secret = Self::zeros();
        secret.bytes_mut().copy_from_slice(bytes);
        bytes.zeroize();
        secret
    }

    /// The bytes. Every caller is a place where key material is used: keep them few.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        self.0.bytes().first_chunk().expect("N fits a slot")
    }

    fn zeros() -> Self {
        const { assert!(N <= SLOT_BYTES, "a secret is at most as long as a slot") };
        Self(Slot::take())
    }

    fn bytes_mut(&mut self) -> &mut [u8; N] {
        self.0.bytes_mut().first_chunk_mut().expect("N fits a slot")
    }
}

/// Whether the secrets that there were so far are locked in memory.
#[must_use]
pub fn locking() -> Locking {
    arena::locking()
}

/// Fills `bytes` from getrandom(2).
///
/// # Panics
/// When the operating system has no randomness to give: nothing can be done safely then.
pub fn fill_random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and length describe `rest`, which is writable for that length.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        if let Ok(got) = usize::try_from(got) {
            filled += got;
        } else {
            let error = std::io::Error::last_os_error();
            assert!(
                error.kind() == std::io::ErrorKind::Interrupted,
                "getrandom failed: {error}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_in_is_wiped_where_it_was() {
        let mut bytes = [7; 44];
        let secret = Secret::take(&mut bytes);
        assert_eq!(secret.expose(), &[7; 44]);
        assert_eq!(bytes, [0; 44]);
    }

    #[test]
    fn secrets_of_many_threads_are_their_own() {
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                scope.spawn(move || {
                    for round in 0..50_u8 {
                        let secrets: Vec<Secret<32>> = (0..100)
                            .map(|_| Secret::take(&mut [thread ^ round; 32]))
                            .collect();
                        let _random = Secret::<64>::random();
                        assert!(
                            secrets
                                .iter()
                                .all(|secret| *secret.expose() == [thread ^ round; 32])
                        );
                    }
                });
            }
        });
    }

    #[test]
    fn random_secrets_differ() {
        assert_ne!(
            Secret::<16>::random().expose(),
            Secret::<16>::random().expose()
        );
        assert_ne!(locking(), Locking::Unused);
    }
}
