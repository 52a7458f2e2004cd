//! What a search of moving pictures comes to.

use std::collections::HashSet;

use crate::{
    report::{VideoFacts, VideoKind},
    track::{self, Tracks},
};

/// Faces of a video over time, in pixels of its upright pictures.
#[derive(Debug)]
pub struct Film {
    tracks: Tracks,
    scale: (f32, f32),
    times: Vec<f64>,
    orientations: Vec<u8>,
}

impl Film {
    /// `scale`: pixels of the upright pictures to one of the tracks'. `times`: of each frame.
    pub(super) const fn new(tracks: Tracks, scale: (f32, f32), times: Vec<f64>) -> Self {
        Self {
            tracks,
            scale,
            times,
            orientations: Vec::new(),
        }
    }

    /// The same with the EXIF orientation that was applied to each frame.
    pub(super) fn turned(self, orientations: Vec<u8>) -> Self {
        Self {
            orientations,
            ..self
        }
    }

    /// The EXIF orientation, 1 to 8, that was applied to a frame; none where a video's pixels are
    /// searched as `ffmpeg` gives them.
    #[must_use]
    pub fn orientation(&self, frame: usize) -> Option<u8> {
        self.orientations.get(frame).copied()
    }

    /// Tracks.
    pub(super) const fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    /// When each frame is shown, in seconds.
    pub(super) fn times(&self) -> &[f64] {
        &self.times
    }

    /// Frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.times.len()
    }

    /// What the report says of it. `seconds`: how long it lasts.
    pub(super) fn facts(&self, kind: VideoKind, seconds: f64) -> VideoFacts {
        VideoFacts {
            kind,
            frames: self.frames(),
            tracks: self.tracks.len(),
            people_frames: (0..self.frames()).map(|f| people(&self.tracks.at(f))).sum(),
            bridged: self.tracks.bridged(),
            seconds,
            ..VideoFacts::default()
        }
    }

    /// When a frame is shown, in seconds.
    #[must_use]
    pub fn time(&self, frame: usize) -> f64 {
        self.times.get(frame).copied().unwrap_or(0.0)
    }

    /// What is covered in a frame.
    #[must_use]
    pub fn at(&self, frame: usize) -> Vec<track::Covered> {
        let (sx, sy) = self.scale;
        self.tracks
            .at(frame)
            .into_iter()
            .map(|c| track::Covered {
                rect: c.rect.scaled(sx, sy),
                ..c
            })
            .collect()
    }
}

/// How many of what is covered in a frame belong to different tracks.
pub(super) fn people(covered: &[track::Covered]) -> usize {
    let tracks: HashSet<u32> = covered.iter().map(|c| c.track).collect();
    tracks.len()
}
