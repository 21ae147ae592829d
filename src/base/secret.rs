//! Key material and randomness for it.
//!
//! A secret has no `Debug`, no `Clone` and no `Display`, and is wiped when dropped. Random
//! bytes come from the operating system only; [`super::jitter`] is the other, seedable source
//! and is never used for keys.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes, wiped on drop.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Fresh random bytes from the operating system.
    #[must_use]
    pub fn random() -> Self {
        let mut secret = Self(Box::new([0; N]));
        fill_random(&mut secret.0[..]);
        secret
    }

    /// Moves `bytes` in; the caller's copy is wiped.
    #[must_use]
    pub fn take(bytes: &mut [u8; N]) -> Self {
        let mut secret = Self(Box::new([0; N]));
        secret.0.copy_from_slice(bytes);
        bytes.zeroize();
        secret
    }

    /// The bytes. Every caller is a place where key material is used: keep them few.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
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
