//! Random numbers that nobody can guess, so that nobody can subtract them.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

use super::RedactError;

/// Bytes drawn at a time.
const GRAINS: usize = 4096;

/// A stream of ChaCha20, and bytes of it that are yet to be used.
pub struct Noise(ChaCha20Rng, Vec<u8>);

impl std::fmt::Debug for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Noise(..)")
    }
}

impl Noise {
    /// Seeded by the system, 256 bits.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn new() -> Result<Self, RedactError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| RedactError::Random(e.to_string()))?;
        Ok(Self(ChaCha20Rng::from_seed(seed), Vec::new()))
    }

    /// The same numbers for the same seed. For tests: whoever knows the seed can subtract the noise.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed), Vec::new())
    }

    /// A number from -1 to 1, in 256 steps: enough for what is a few levels high.
    pub(super) fn grain(&mut self) -> f32 {
        if self.1.is_empty() {
            self.1.resize(GRAINS, 0);
            self.0.fill_bytes(&mut self.1);
        }
        f32::from(self.1.pop().unwrap_or(0)) / 127.5 - 1.0
    }

    /// A number from 0 to 1, 1 excluded.
    pub(super) fn unit(&mut self) -> f32 {
        // 24 bits are what an f32 holds exactly.
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }
}
