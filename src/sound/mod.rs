//! Samples of sound → samples that may be published: kept, silenced in places, or disguised.
//!
//! Knows numbers, no files. Voices identify people, so sound is dropped unless a person asks for
//! it.

pub mod vocoder;

use std::str::FromStr;

use vocoder::Vocoder;

/// What becomes of the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Audio {
    /// Nothing of it is written.
    #[default]
    Drop,
    /// It is kept, encoded anew.
    Keep,
    /// Noise that is as loud as it was, band by band.
    Disguise,
}

impl FromStr for Audio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "drop" => Ok(Self::Drop),
            "keep" => Ok(Self::Keep),
            "disguise" => Ok(Self::Disguise),
            _ => Err("use drop, keep or disguise".into()),
        }
    }
}

impl Audio {
    /// What a person is told of a video with so many tracks of sound.
    #[must_use]
    pub const fn told(self, _tracks: usize) -> &'static str {
        match self {
            Self::Drop => "dropped",
            Self::Keep => "kept",
            Self::Disguise => "disguised",
        }
    }
}

/// One track of sound on its way.
#[derive(Debug)]
pub struct Sound {
    channels: usize,
    /// Stretches without sound, in samples.
    mute: Vec<(i64, i64)>,
    disguise: Option<Vocoder>,
}

/// The system gives no random numbers; nothing can be disguised safely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandom;

impl Sound {
    /// For `rate` samples a second of `channels` channels; `mute` in seconds.
    ///
    /// # Errors
    /// When the system gives no random numbers for a disguise.
    pub fn new(
        audio: Audio,
        rate: u32,
        channels: u32,
        mute: &[(f64, f64)],
    ) -> Result<Self, NoRandom> {
        let at = |t: f64| (t * f64::from(rate)).round() as i64;
        let mute = mute.iter().map(|&(from, to)| (at(from), at(to))).collect();
        let mut seed = [0; 32];
        let disguise = if audio == Audio::Disguise {
            getrandom::fill(&mut seed).map_err(|_| NoRandom)?;
            Some(Vocoder::new(rate, seed))
        } else {
            None
        };
        Ok(Self {
            channels: channels.max(1) as usize,
            mute,
            disguise,
        })
    }

    /// Changes samples that are heard from `pts` on, counted in samples: 16 bits, interleaved, low
    /// byte first.
    pub fn change(&mut self, pts: i64, data: &mut [u8]) {
        for (i, sample) in data.chunks_exact_mut(2 * self.channels).enumerate() {
            let at = pts.saturating_add(i as i64);
            if self.mute.iter().any(|&(from, to)| (from..to).contains(&at)) {
                sample.fill(0);
            }
            if let Some(vocoder) = &mut self.disguise {
                let sum: f64 = sample
                    .chunks_exact(2)
                    .map(|s| f64::from(i16::from_le_bytes([s[0], s[1]])))
                    .sum();
                let out = vocoder.next(sum / self.channels as f64 / 32768.0);
                let out = ((out * 32767.0).round() as i16).to_le_bytes();
                sample
                    .chunks_exact_mut(2)
                    .for_each(|s| s.copy_from_slice(&out));
            }
        }
    }
}
