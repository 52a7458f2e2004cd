//! Frames that are pictures of their own: those of an animation, or of a folder. Every one is
//! searched as a photo is, and the faces are followed as in a video.

use std::path::Path;

use rayon::prelude::*;

use super::{Faces, Film, Progress, Shop, follow::faint, photo::go_on};
use crate::{
    detect,
    error::Error,
    ffmpeg::StreamError,
    frame::Frame,
    geometry::Rect,
    redact::clip::Spot,
    report::{Boxes, Moving},
    track::{self, Camera, Covered, Motion, Sighting, Tracker, Tracks},
};

/// What is to be covered in one frame: faces and the places that a person named.
pub(super) fn spots(seen: &[Covered], places: &[Rect]) -> Vec<Spot> {
    let faces = seen.iter().map(|c| Spot {
        track: c.track,
        rect: c.rect,
        exact: false,
    });
    let places = places.iter().enumerate().map(|(i, r)| Spot {
        track: u32::MAX - i as u32,
        rect: *r,
        exact: true,
    });
    faces.chain(places).collect()
}

/// Faces of one frame with the numbers of their tracks.
pub(super) fn numbered(seen: &[Covered]) -> Vec<(u32, Rect)> {
    seen.iter().map(|c| (c.track, c.rect)).collect()
}

/// Boxes that a person gave for frames of this size in pixels, shown at these times.
pub(super) fn given(
    boxes: &Boxes,
    source: &Path,
    size: (u32, u32),
    times: &[f64],
    orientations: &[u8],
) -> Result<Tracks, Error> {
    let moving = Moving {
        size,
        frames: Some(times.len()),
        orientations,
    };
    let given = boxes.over_time(source, moving);
    let given = given.map_err(|e| Error::Boxes {
        path: source.into(),
        source: e,
    })?;
    Ok(Tracks::given(times, given, size))
}

/// Takes the frames of the first pass, in order.
pub(super) struct Follower<'a> {
    shop: &'a Shop<'a>,
    source: &'a Path,
    size: (u32, u32),
    /// `None` where a person gave the boxes.
    search: Option<(&'a detect::Detector, detect::Options)>,
    tracker: Tracker,
    camera: Camera,
    times: Vec<f64>,
    orientations: Vec<u8>,
    waiting: Vec<(Frame, Option<Motion>)>,
    /// Frames that are searched at the same time.
    batch: usize,
    faces: usize,
}

impl<'a> Follower<'a> {
    /// `size`: of every frame in pixels. `bytes`: what one takes in memory.
    pub(super) fn new(
        shop: &'a Shop<'a>,
        source: &'a Path,
        size: (u32, u32),
        bytes: u64,
    ) -> Result<Self, Error> {
        let search = match &shop.settings.faces {
            Faces::Search(detector, options) => Some((*detector, *options)),
            Faces::Given(_) => None,
            Faces::Raw(..) => {
                return Err(Error::Video {
                    path: source.into(),
                    source: StreamError::Failed(
                        "holds several pictures, and --raw is for photos; leave --raw out".into(),
                    ),
                });
            }
        };
        let options = track::Options {
            alone: true,
            ..track::Options::default()
        };
        // A quarter of what one picture alone may take.
        let most = shop.settings.decode.max_memory / 4 / bytes.max(1);
        Ok(Self {
            shop,
            source,
            size,
            search,
            tracker: Tracker::new(options, size),
            camera: Camera::default(),
            times: Vec::new(),
            orientations: Vec::new(),
            waiting: Vec::new(),
            batch: (most as usize).clamp(1, 2 * shop.settings.workers.max(1)),
            faces: 0,
        })
    }

    /// Frames so far.
    pub(super) const fn frames(&self) -> usize {
        self.times.len()
    }

    /// Faces seen so far, summed over the frames.
    pub(super) const fn faces(&self) -> usize {
        self.faces
    }

    /// The next frame, shown at `time` (in seconds, later than the one before).
    pub(super) fn push(
        &mut self,
        frame: Frame,
        time: f64,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        self.times.push(time);
        self.orientations.push(frame.orientation());
        if self.search.is_none() {
            return go_on(progress);
        }
        let motion = self.camera.next(&frame.pixels().to_luma8());
        self.waiting.push((frame, motion));
        if self.waiting.len() >= self.batch {
            self.flush(progress)?;
        }
        Ok(())
    }

    fn flush(&mut self, progress: &dyn Progress) -> Result<(), Error> {
        let Some((detector, options)) = self.search else {
            return Ok(());
        };
        let faint = faint(&options);
        let found: Result<Vec<_>, _> = self
            .waiting
            .par_iter()
            .map(|(frame, _)| detector.faces(frame, &faint))
            .collect();
        let found = found.map_err(|e| Error::Detect {
            path: self.source.into(),
            source: e,
        })?;
        let first = self.times.len() - self.waiting.len();
        for (i, ((_, motion), faces)) in self.waiting.drain(..).zip(found).enumerate() {
            // A picture may be shown once only: what a photo's rule takes for a face is one here.
            let sightings: Vec<Sighting> = faces
                .iter()
                .map(|f| Sighting::new(f, options.rule.threshold(f.rect.height())))
                .collect();
            self.faces += sightings.iter().filter(|s| s.sure()).count();
            self.tracker
                .push(self.times[first + i], motion, Some(sightings));
        }
        go_on(progress)
    }

    /// Links everything.
    pub(super) fn finish(mut self, progress: &dyn Progress) -> Result<Film, Error> {
        self.flush(progress)?;
        let tracks = match &self.shop.settings.faces {
            Faces::Given(boxes) => given(
                boxes,
                self.source,
                self.size,
                &self.times,
                &self.orientations,
            )?,
            _ => self.tracker.finish(),
        };
        Ok(Film::new(tracks, (1.0, 1.0), self.times).turned(self.orientations))
    }
}
