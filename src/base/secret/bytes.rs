//! A secret of any length.

use std::ptr::NonNull;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::arena;

/// Secret bytes whose number is known when they are made, in pages of their own, as those of
/// [`super::Secret`]; wiped on drop. For few and short-lived ones: each takes a page.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct SecretBytes {
    region: NonNull<u8>,
    mapped: usize,
    len: usize,
}

// SAFETY: nothing else refers to the region, which belongs to no thread.
unsafe impl Send for SecretBytes {}
// SAFETY: a shared one gives out shared references only.
unsafe impl Sync for SecretBytes {}

impl ZeroizeOnDrop for SecretBytes {}

impl SecretBytes {
    /// The caller wipes its own.
    #[must_use]
    pub fn copy(bytes: &[u8]) -> Self {
        let (region, mapped) = arena::pages(bytes.len().max(1));
        // SAFETY: the region is new, and at least as long as `bytes`.
        unsafe {
            region
                .as_ptr()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        };
        Self {
            region,
            mapped,
            len: bytes.len(),
        }
    }

    /// Every caller is a place where a secret is used: keep them few.
    #[must_use]
    pub const fn expose(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped and initialised, and written to by nobody while `self`
        // is borrowed.
        unsafe { std::slice::from_raw_parts(self.region.as_ptr(), self.len) }
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        // SAFETY: as above, and `self` is borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.region.as_ptr(), self.len) }.zeroize();
        // SAFETY: the mapping is this value's own, and gone with it. Unlocks it too.
        unsafe { libc::munmap(self.region.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::SecretBytes;

    #[test]
    fn bytes_come_back() {
        for len in [0, 1, 4096, 4097] {
            let bytes: Vec<u8> = (0..len).map(|at: u32| at.to_le_bytes()[0]).collect();
            assert!(SecretBytes::copy(&bytes).expose() == bytes);
        }
    }
}
