//! Samples of sound → samples that may be published: kept, silenced in places, or disguised.
//!
//! Knows numbers, no files. Voices identify people, so sound is dropped unless a person asks for
//! it.

use std::str::FromStr;

/// What becomes of the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Audio {
    /// Nothing of it is written.
    #[default]
    Drop,
    /// It is kept, encoded anew.
    Keep,
}

impl FromStr for Audio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "drop" => Ok(Self::Drop),
            "keep" => Ok(Self::Keep),
            _ => Err("use drop or keep".into()),
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
        }
    }
}

/// One track of sound on its way.
#[derive(Debug)]
pub struct Sound {
    rate: u32,
    channels: usize,
    /// Stretches without sound, in samples.
    mute: Vec<(i64, i64)>,
}

/// When some samples are heard, and the samples: 16 bits, interleaved, low byte first.
pub type Samples = (i64, Vec<u8>);

impl Sound {
    /// For `rate` samples a second of `channels` channels; `mute` in seconds.
    #[must_use]
    pub fn new(_audio: Audio, rate: u32, channels: u32, mute: &[(f64, f64)]) -> Self {
        let at = |t: f64| (t * f64::from(rate)).round() as i64;
        let mute = mute.iter().map(|&(from, to)| (at(from), at(to))).collect();
        Self { rate, channels: channels.max(1) as usize, mute }
    }

    /// Takes samples that are heard from `pts` on, counted in samples; gives those that are done.
    pub fn next(&mut self, pts: i64, data: &[u8]) -> Vec<Samples> {
        let mut data = data.to_vec();
        for (i, sample) in data.chunks_exact_mut(2 * self.channels).enumerate() {
            let at = pts + i as i64;
            if self.mute.iter().any(|&(from, to)| (from..to).contains(&at)) {
                sample.fill(0);
            }
        }
        let _ = self.rate;
        vec![(pts, data)]
    }

    /// What is left at the end.
    pub fn end(&mut self) -> Vec<Samples> {
        Vec::new()
    }
}
