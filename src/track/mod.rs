//! Faces over time: what is seen in some frames → what is covered in every frame.
//!
//! Knows rectangles and times, no pixels but small grey copies for the [`camera`]. Nobody is
//! recognised: a face is the same one if it is where it was to be expected.
//!
//! | step | file |
//! |---|---|
//! | how the camera moved | [`camera`] |
//! | sightings that belong together, faint ones where a clear one leads to them | [`link`] |
//! | every frame in between, before and behind | [`path`] |

pub mod camera;
pub mod link;
pub mod path;

use crate::{face::Face, geometry::Rect};
pub use camera::{Camera, Motion};
pub use path::{Covered, Tracks};

/// How faces are followed. Times in seconds, factors without unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// A track goes on if it is seen again within this time.
    pub gap: f32,
    /// A track is held so long before its first and behind its last sighting.
    pub hold: f32,
    /// Least overlap (IoU, of boxes enlarged by half) with where a face is expected.
    pub overlap: f32,
    /// A box grows by this factor a second away from the nearest sighting.
    pub growth: f32,
    /// Boxes grow by at most this factor.
    pub most_growth: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gap: 1.5,
            hold: 0.7,
            overlap: 0.15,
            growth: 0.4,
            most_growth: 1.6,
        }
    }
}

/// One frame as the tracker knows it.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When it is shown, in seconds.
    pub time: f64,
    /// How far the camera has moved the content since the scene began, in pixels.
    pub shift: (f32, f32),
    /// Scenes are counted from 0.
    pub scene: u32,
    /// What was found, if it was searched.
    pub sightings: Option<Vec<Sighting>>,
}

/// One box in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// Where, in pixels of the frame.
    pub rect: Rect,
    /// The detector's score.
    pub score: f32,
    /// The score as a share of what a box of this size needs to begin a track. From 1 on it begins
    /// one; below, it can only continue one.
    pub strength: f32,
}

impl Sighting {
    /// From the detector. `threshold`: the score that begins a track.
    #[must_use]
    pub fn new(face: &Face, threshold: f32) -> Self {
        Self {
            rect: face.rect,
            score: face.score,
            strength: face.score / threshold.max(1e-6),
        }
    }

    /// Whether it begins a track.
    #[must_use]
    pub fn sure(&self) -> bool {
        self.strength >= 1.0
    }
}

/// Gathers the frames of a video, in order.
#[derive(Debug)]
pub struct Tracker {
    options: Options,
    size: (u32, u32),
    moments: Vec<Moment>,
}

impl Tracker {
    /// For frames of this size in pixels.
    #[must_use]
    pub const fn new(options: Options, size: (u32, u32)) -> Self {
        Self {
            options,
            size,
            moments: Vec::new(),
        }
    }

    /// The next frame. `motion`: since the one before, `None` for the first.
    pub fn push(&mut self, time: f64, motion: Option<Motion>, sightings: Option<Vec<Sighting>>) {
        let (shift, scene) = match (self.moments.last(), motion) {
            (Some(last), Some(m)) if !m.cut => {
                ((last.shift.0 + m.dx, last.shift.1 + m.dy), last.scene)
            }
            (Some(last), _) => ((0.0, 0.0), last.scene + 1),
            (None, _) => ((0.0, 0.0), 0),
        };
        self.moments.push(Moment {
            time,
            shift,
            scene,
            sightings,
        });
    }

    /// Frames so far.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.moments.len()
    }

    /// Links everything.
    #[must_use]
    pub fn finish(self) -> Tracks {
        let chains = link::link(&self.moments, &self.options);
        Tracks::new(self.moments, chains, self.size, self.options)
    }
}
