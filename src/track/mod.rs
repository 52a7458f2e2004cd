//! Faces over time: what is seen in some frames → what is covered in every frame.
//!
//! Knows rectangles and times, no pixels but small grey copies for the [`camera`]. Nobody is
//! recognised: a face is the same one if it is where it was to be expected.
//!
//! | step | file |
//! |---|---|
//! | how the camera moved | [`camera`] |
//! | what a frame shows that others do not | [`change`] |
//! | sightings that belong together, faint ones where a clear one leads to them | [`link`] |
//! | what of a box's place and size is jitter | `steady` |
//! | every frame in between, before and behind | [`path`] |

pub mod camera;
pub mod change;
pub mod link;
pub mod path;
mod steady;

use std::collections::HashMap;

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
    /// Before its first and behind its last sighting a face is also covered for so long where it was in the
    /// picture, whatever the camera does.
    pub still: f32,
    /// In a scene with few looks (see [`Options::MANY`]) a sighting counts so many times more: there is not
    /// another one to come.
    pub few: f32,
    /// Each frame may be like no other, as in a series of photos: what others say of a face's size and place there
    /// widens its box, and never moves it.
    pub alone: bool,
}

impl Options {
    /// With fewer looks than this a scene is one of few.
    pub const MANY: usize = 4;
    /// So is one whose looks are further apart than this, in seconds: each may show a person whom no other shows.
    pub const SELDOM: f64 = 0.5;
}

/// Seconds from which two frames are photos of their own: in between anything may happen.
const APART: f64 = 0.9;

/// Whether two frames, by their times in seconds, are too far apart for one to say anything of the other.
#[must_use]
pub fn apart(before: f64, time: f64) -> bool {
    time - before >= APART
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gap: 1.5,
            hold: 0.7,
            overlap: 0.15,
            growth: 0.4,
            most_growth: 1.6,
            still: 0.2,
            few: 1.0,
            alone: false,
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
    /// Only windows around some faces were searched.
    pub glimpse: bool,
}

impl Moment {
    /// Whether the whole picture was searched.
    #[must_use]
    pub const fn searched(&self) -> bool {
        self.all_over().is_some()
    }

    /// What was found, if the whole picture was searched.
    #[must_use]
    pub const fn all_over(&self) -> Option<&Vec<Sighting>> {
        if self.glimpse {
            None
        } else {
            self.sightings.as_ref()
        }
    }
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
        self.add(time, motion, sightings, false);
    }

    /// The next frame, of which only windows around some faces were searched: it tells where these are, and
    /// of nobody that he is not there.
    pub fn push_glimpse(&mut self, time: f64, motion: Option<Motion>, sightings: Vec<Sighting>) {
        self.add(time, motion, Some(sightings), true);
    }

    fn add(
        &mut self,
        time: f64,
        motion: Option<Motion>,
        sightings: Option<Vec<Sighting>>,
        glimpse: bool,
    ) {
        let (shift, scene) = match (self.moments.last(), motion) {
            (Some(last), Some(m)) if !m.cut && !apart(last.time, time) => {
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
            glimpse,
        });
    }

    /// Frames so far.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.moments.len()
    }

    /// Strengthens the sightings of scenes with few looks.
    fn weigh_few(&mut self) {
        // Of each scene: looks, the first one's time and the last one's.
        let mut looks: HashMap<u32, (usize, f64, f64)> = HashMap::new();
        for m in self.moments.iter().filter(|m| m.searched()) {
            let (count, _, last) = looks.entry(m.scene).or_insert((0, m.time, m.time));
            *count += 1;
            *last = m.time;
        }
        for m in &mut self.moments {
            let few = looks.get(&m.scene).is_some_and(|&(count, first, last)| {
                count < Options::MANY || last - first > Options::SELDOM * (count - 1) as f64
            });
            for s in m.sightings.iter_mut().flatten().filter(|_| few) {
                s.strength *= self.options.few;
            }
        }
    }

    /// Links everything.
    #[must_use]
    pub fn finish(mut self) -> Tracks {
        self.weigh_few();
        let mut chains = link::link(&self.moments, &self.options);
        steady::steady(&mut chains, &self.moments, self.size, self.options.alone);
        Tracks::new(self.moments, chains, self.size, self.options)
    }
}
