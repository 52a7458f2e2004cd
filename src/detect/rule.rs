//! Which of the network's boxes count as a face to cover.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How readily a box is taken for a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// Fewest false covers; misses more faces.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Covers more, faces and other things.
    High,
    /// Covers whatever might be a face.
    Max,
}

impl FromStr for Sensitivity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "low" => Ok(Self::Low),
            "normal" => Ok(Self::Normal),
            "high" => Ok(Self::High),
            "max" => Ok(Self::Max),
            _ => Err("use low, normal, high or max".into()),
        }
    }
}

/// Keeps a box of height h (pixels of the copy searched) if its score is at least
/// `min(cap, base · max(1, h / 32)^slope)`.
///
/// Most of what is covered for nothing comes from a few large false boxes, so large boxes must
/// be surer; but a missed large face is the most identifiable one, so not surer than `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Rule {
    /// The score that a small box needs, 0 to 1.
    pub base: f32,
    /// How fast that grows with the height, no unit.
    pub slope: f32,
    /// The score that is always enough, 0 to 1.
    pub cap: f32,
}

impl Rule {
    /// The same score for every size.
    #[must_use]
    pub const fn flat(score: f32) -> Self {
        Self {
            base: score,
            slope: 0.0,
            cap: 1.0,
        }
    }

    /// The same with every score times `by`, as far as networks give such scores: none is raised beyond .5.
    #[must_use]
    pub fn times(&self, by: f32) -> Self {
        let times = |score: f32| (score * by).min(score.max(REACHED));
        Self {
            base: times(self.base),
            cap: times(self.cap),
            ..*self
        }
    }

    /// The score that a box of this height needs.
    #[must_use]
    pub fn threshold(&self, height: f32) -> f32 {
        // Most boxes are small, and a power costs more than the rest of the test.
        if height <= SMALL || self.slope == 0.0 {
            return self.base.min(self.cap);
        }
        (self.base * (height / SMALL).powf(self.slope)).min(self.cap)
    }
}

/// A score that most faces reach that are seen at all well.
const REACHED: f32 = 0.5;
/// Up to this height, in pixels, the base score is enough.
const SMALL: f32 = 32.0;
