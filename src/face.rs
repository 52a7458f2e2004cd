//! A face as the detector reports it.

use serde::{Deserialize, Serialize};

use crate::geometry::Rect;

/// One face in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// Where it is, in pixels of the upright picture.
    #[serde(flatten)]
    pub rect: Rect,
    /// How sure the detector is, 0 to 1. Not a probability.
    pub score: f32,
}
