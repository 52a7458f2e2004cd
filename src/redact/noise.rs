//! Random numbers that nobody can guess, so that nobody can subtract them.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

use super::RedactError;

/// Bytes drawn at a time.
const GRAINS: usize = 4096;

/// A stream of ChaCha20.
pub struct Noise {
    rng: ChaCha20Rng,
    /// Bytes of the stream that are yet to be used.
    grains: Vec<u8>,
    strength: f32,
}

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
        Ok(Self::of(ChaCha20Rng::from_seed(seed)))
    }

    /// The same numbers for the same seed. For tests: whoever knows the seed can subtract the noise.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::of(ChaCha20Rng::seed_from_u64(seed))
    }

    fn of(rng: ChaCha20Rng) -> Self {
        Self {
            rng,
            grains: Vec::new(),
            strength: 1.0,
        }
    }

    /// Noise that hides less of what blur and pixelate keep: `share` of it, 0 to 1. Weak: for people who
    /// want the look, and for measuring what the noise is worth.
    #[must_use]
    pub const fn weakened(mut self, share: f32) -> Self {
        self.strength = share.clamp(0.0, 1.0);
        self
    }

    /// A number from -1 to 1, in 256 steps: enough for what is a few levels high.
    pub(super) fn grain(&mut self) -> f32 {
        if self.grains.is_empty() {
            self.grains.resize(GRAINS, 0);
            self.rng.fill_bytes(&mut self.grains);
        }
        f32::from(self.grains.pop().unwrap_or(0)) / 127.5 - 1.0
    }

    /// A number from `-most` to `most`, as strong as the noise is.
    pub(super) fn sway(&mut self, most: f32) -> f32 {
        self.even(most) * self.strength
    }

    /// A number from `-most` to `most`.
    pub(super) fn even(&mut self, most: f32) -> f32 {
        (2.0 * self.unit() - 1.0) * most
    }

    /// A number from 0 to 1, 1 excluded.
    fn unit(&mut self) -> f32 {
        // 24 bits are what an f32 holds exactly.
        (self.rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }
}
