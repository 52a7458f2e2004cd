//! A noise vocoder: of each of a few bands of sound only how loud it is survives, smoothed so far
//! that the voice's pitch is gone; noise of the same band is played that loud. No sample, no phase
//! and no pitch of the original is in what comes out, and speech is still understood.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

/// Bands; of 16 and fewer, speakers are hard to tell, and of 8 and more, words are understood.
pub const BANDS: usize = 12;
/// Lowest edge of the bands, in hertz.
const LOW: f64 = 120.0;
/// Highest edge, in hertz, if the sound goes that far.
const HIGH: f64 = 7000.0;
/// Loudness is smoothed below this, in hertz: no voice is as low.
const SMOOTH: f64 = 22.0;

/// A filter of second order.
#[derive(Debug, Clone, Copy, Default)]
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    z: [f64; 2],
}

impl Biquad {
    fn band(rate: f64, centre: f64, q: f64) -> Self {
        let w = std::f64::consts::TAU * centre / rate;
        let alpha = w.sin() / (2.0 * q);
        let norm = 1.0 + alpha;
        Self {
            b: [alpha / norm, 0.0, -alpha / norm],
            a: [-2.0 * w.cos() / norm, (1.0 - alpha) / norm],
            z: [0.0; 2],
        }
    }

    fn low(rate: f64, corner: f64) -> Self {
        let w = std::f64::consts::TAU * corner / rate;
        let alpha = w.sin() / std::f64::consts::SQRT_2;
        let (norm, c) = (1.0 + alpha, 1.0 - w.cos());
        Self {
            b: [c / 2.0 / norm, c / norm, c / 2.0 / norm],
            a: [-2.0 * w.cos() / norm, (1.0 - alpha) / norm],
            z: [0.0; 2],
        }
    }

    fn next(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.z[0];
        self.z[0] = self.b[1] * x - self.a[0] * y + self.z[1];
        self.z[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

#[derive(Debug)]
struct Band {
    voice: [Biquad; 2],
    noise: [Biquad; 2],
    loudness: [Biquad; 2],
    gain: f64,
}

/// Disguises one track, all its channels as one.
#[derive(Debug)]
pub struct Vocoder {
    bands: Vec<Band>,
    noise: ChaCha20Rng,
}

impl Vocoder {
    /// For `rate` samples a second. `seed`: 32 bytes that nobody can guess.
    #[must_use]
    pub fn new(rate: u32, seed: [u8; 32]) -> Self {
        let rate = f64::from(rate.max(1000));
        let high = HIGH.min(rate * 0.45);
        let edge = |i: usize| LOW * (high / LOW).powf(i as f64 / BANDS as f64);
        let mut noise = ChaCha20Rng::from_seed(seed);
        let bands = (0..BANDS)
            .map(|i| {
                let (from, to) = (edge(i), edge(i + 1));
                let filter =
                    Biquad::band(rate, (from * to).sqrt(), (from * to).sqrt() / (to - from));
                let mut band = Band {
                    voice: [filter; 2],
                    noise: [filter; 2],
                    loudness: [Biquad::low(rate, SMOOTH); 2],
                    gain: 1.0,
                };
                // So that noise of this band is as loud as its loudness says.
                let mut sum = 0.0;
                let count = rate as usize;
                for _ in 0..count {
                    let x = band.hiss(white(&mut noise));
                    sum += x * x;
                }
                // Mean of |x| to root of mean x² for a voice's band: about 1.11.
                band.gain = 1.11 / (sum / count as f64).sqrt().max(1e-9);
                band
            })
            .collect();
        Self { bands, noise }
    }

    /// One sample, −1 to 1.
    pub fn next(&mut self, x: f64) -> f64 {
        let mut out = 0.0;
        for band in &mut self.bands {
            let voice = band.voice.iter_mut().fold(x, |x, f| f.next(x)).abs();
            let loudness = band
                .loudness
                .iter_mut()
                .fold(voice, |x, f| f.next(x))
                .max(0.0);
            let hiss = band.hiss(white(&mut self.noise));
            out += hiss * band.gain * loudness;
        }
        out.clamp(-1.0, 1.0)
    }
}

impl Band {
    fn hiss(&mut self, x: f64) -> f64 {
        self.noise.iter_mut().fold(x, |x, f| f.next(x))
    }
}

fn white(noise: &mut ChaCha20Rng) -> f64 {
    f64::from(noise.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0
}
