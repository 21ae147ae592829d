//! Seedable randomness for delays and identifiers that are not secret.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A SplitMix64 generator (Steele, Lea and Flood, 2014). Never for key material.
#[derive(Debug)]
pub struct Jitter(AtomicU64);

impl Jitter {
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Seeded from the operating system.
    #[must_use]
    pub fn from_os() -> Self {
        let mut seed = [0; 8];
        super::secret::fill_random(&mut seed);
        Self::seeded(u64::from_le_bytes(seed))
    }

    pub fn next_u64(&self) -> u64 {
        let mut z = self
            .0
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..=limit` ("full jitter").
    pub fn up_to(&self, limit: Duration) -> Duration {
        let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let drawn = (u128::from(self.next_u64()) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }
}
