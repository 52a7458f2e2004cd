//! One photo, in a straight line.

use std::path::Path;

use image::DynamicImage;

use super::{Doubt, Faces, Film, Outcome, Progress, Shop, Task, input::named_as_video};
use crate::{
    caution::Caution,
    decode::{self, DecodeError, Dropped, Photo},
    detect::{self, again::Looks},
    discover::{Job, Output, named_as_media},
    encode,
    error::Error,
    face::Face,
    ffmpeg::StreamError,
    format::Format,
    frame::Frame,
    geometry::Rect,
    redact::{self, Redacted},
    report::{Motion, Page, Reason, Status, VideoFacts, names},
    verify, write,
};

/// A file that nothing recognises and that has the name of a video is called one.
fn unknown_video(job: &Job, error: Error) -> Error {
    match error {
        Error::Decode {
            path,
            source: DecodeError::NotMedia,
        } if named_as_video(&job.source) => Error::Video {
            path,
            source: StreamError::Failed(
                "has the name of a video and is of an unknown kind; make an MP4 of it first, as with `ffmpeg -i VIDEO NEW.mp4`".into(),
            ),
        },
        error => error,
    }
}

/// Most times that a covered picture is searched again: a face that was hidden by nothing but a bad
/// look at it is found at once, and covers can make a second one look like a face.
const ROUNDS: usize = 2;
/// Overlap (IoU) from which two looks are in doubt about the same place.
const SAME: f32 = 0.35;
/// Boxes of this share of the least score that is named still count towards the rectangle of a surer one.
const FLOOR: f32 = 0.5;

/// What came of the steps before writing.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) size: Option<(u32, u32)>,
    pub(super) faces: Vec<Face>,
    pub(super) pages: Vec<Page>,
    pub(super) places: Vec<Rect>,
    pub(super) again: usize,
    pub(super) uncertain: Vec<Face>,
    pub(super) dropped: Vec<Dropped>,
    pub(super) damage: Option<String>,
    pub(super) cautions: Vec<Caution>,
    pub(super) motion: Option<Motion>,
    /// Of an animation.
    pub(super) video: Option<VideoFacts>,
    pub(super) film: Option<Film>,
    /// The EXIF orientation that was applied to each page.
    pub(super) orientations: Vec<u8>,
}

impl Seen {
    /// Faces on a page, counted from 0.
    fn faces_of(&mut self, page: usize) -> &mut Vec<Face> {
        match page.checked_sub(1).and_then(|i| self.pages.get_mut(i)) {
            Some(page) => &mut page.faces,
            None => &mut self.faces,
        }
    }

    fn rects(&mut self, page: usize) -> Vec<Rect> {
        self.faces_of(page).iter().map(|f| f.rect).collect()
    }
}

impl Shop<'_> {
    /// Does one job by its kind; never panics, whatever is in the file.
    pub(super) fn dispatch(
        &self,
        index: usize,
        job: &Job,
        progress: &dyn Progress,
    ) -> Option<Outcome> {
        if self.settings.request.sequence {
            return self.sequence(index, job, progress);
        }
        if let Some(input) = self.piped(job) {
            return self.stream(index, job, input, progress);
        }
        if let Some(demuxer) = super::video::demuxer_of(&job.source) {
            return self.video(index, job, demuxer, progress);
        }
        let mut seen = Seen::default();
        let result = self.steps(index, job, progress, &mut seen);
        Some(match result {
            Ok(()) => self.outcome(job, Status::Done, seen),
            Err(Error::Interrupted) => return None,
            Err(Error::Decode { source, .. })
                if !job.named
                    && job.format.is_none()
                    && not_media(&source)
                    && !named_as_video(&job.source) =>
            {
                let mut outcome = self.outcome(job, Status::PassedOver, Seen::default());
                outcome.record.reason = Some(match source {
                    _ if !named_as_media(job.source.path()) => Reason::Other,
                    DecodeError::Empty => Reason::Empty,
                    _ => Reason::Unrecognised,
                });
                outcome
            }
            Err(error) => {
                let mut outcome = self.outcome(job, Status::Failed, seen);
                outcome.fail(unknown_video(job, error));
                outcome
            }
        })
    }

    pub(super) fn outcome(&self, job: &Job, status: Status, seen: Seen) -> Outcome {
        let mut outcome = Outcome::new(job.source.clone(), status);
        let record = &mut outcome.record;
        record.output = shown_output(job);
        if let Some((width, height)) = seen.size {
            (record.width, record.height) = (Some(width), Some(height));
        }
        record.faces = seen.faces;
        record.places = seen.places;
        record.again = seen.again;
        record.uncertain = seen.uncertain;
        record.pages = seen.pages;
        record.dropped = seen.dropped;
        record.damage = seen.damage;
        record.cautions = seen.cautions;
        record.motion = seen.motion;
        record.video = seen.video;
        outcome.film = seen.film;
        outcome.orientations = seen.orientations;
        outcome
    }

    /// Decodes a photo, in the cage where there is one.
    pub(super) fn decoded(&self, source: &Path, bytes: &[u8]) -> Result<Photo, Error> {
        let options = &self.settings.decode;
        let decoded = match self.settings.cage {
            Some(cage) => cage.photo(bytes, options).map_err(|e| Error::Cage {
                path: source.into(),
                source: e,
            })?,
            None => decode::photo(bytes, options),
        };
        decoded.map_err(|e| Error::Decode {
            path: source.into(),
            source: e,
        })
    }

    fn steps(
        &self,
        index: usize,
        job: &Job,
        progress: &dyn Progress,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        let source = job.source.path();
        let bytes = self.read(job, progress)?;
        if decode::animation::animated(&bytes) {
            return self.animation(index, job, bytes, progress, seen);
        }
        let photo = self.decoded(source, &bytes)?;
        let Photo {
            frame,
            further,
            format,
            lossless,
            dropped,
            motion,
            damage,
            cautions,
        } = photo;
        let clip = self.clip(job, &bytes, motion)?;
        drop(bytes);
        seen.size = Some((frame.width(), frame.height()));
        (seen.dropped, seen.damage, seen.cautions) = (dropped, damage, cautions);
        go_on(progress)?;
        // A pipe or a file that changed since the plan was made: its own format then.
        let format = job.format.unwrap_or(format);
        let several = !further.is_empty();
        if several && format != Format::Tiff && matches!(self.settings.task, Task::Cover { .. }) {
            return Err(Error::Encode {
                path: source.into(),
                source: encode::EncodeError::Pages(1 + further.len(), format),
            });
        }
        let pages = std::iter::once(&frame).chain(&further);
        seen.orientations = pages.map(Frame::orientation).collect();
        seen.faces = self.faces(source, several.then_some(1), &frame)?;
        for (i, page) in further.iter().enumerate() {
            go_on(progress)?;
            seen.pages.push(Page {
                width: page.width(),
                height: page.height(),
                faces: self.faces(source, Some(i + 2), page)?,
            });
        }
        go_on(progress)?;
        let Task::Cover {
            quality, places, ..
        } = &self.settings.task
        else {
            return Ok(());
        };
        seen.places.clone_from(places);
        let pages = std::iter::once(frame).chain(further);
        let covered = self.covered(index, source, pages, progress, seen)?;
        let target = self.target(job)?;
        let options = encode::Options {
            quality: *quality,
            lossless,
        };
        let encoded =
            encode::encode_pages(&covered, format, &options).map_err(|source| Error::Encode {
                path: target.shown.into(),
                source,
            })?;
        let sizes: Vec<_> = covered.iter().map(|c| (c.width(), c.height())).collect();
        drop(covered);
        go_on(progress)?;
        // Before the still: where the clip fails, nothing of this input is written.
        if let Some(clip) = clip {
            seen.motion = self.motion(index, job, clip, progress, seen)?;
        }
        self.put(&target, &encoded, |written| {
            verify::check_pages(written, format, &sizes)
        })
    }

    /// Faces that another look shows, down to less than may be one.
    fn looked(
        &self,
        source: &Path,
        pixels: &DynamicImage,
        doubt: &Doubt,
        looks: Looks,
    ) -> Result<Vec<Face>, Error> {
        let Faces::Search(detector, search) = &self.settings.faces else {
            return Ok(Vec::new());
        };
        let look = detect::Options {
            rule: detect::rule::Rule::flat(doubt.uncertain.base * FLOOR),
            ..*search
        };
        let found = detector.again(pixels, &look, looks);
        found.map_err(|e| Error::Detect {
            path: source.into(),
            source: e,
        })
    }

    /// Adds what a look at an enlarged copy shows to the faces that are known, and gives what may be a face.
    fn look_closer(
        &self,
        source: &Path,
        frame: &Frame,
        known: &mut Vec<Face>,
        doubt: &Doubt,
    ) -> Result<Vec<Face>, Error> {
        let Faces::Search(_, search) = &self.settings.faces else {
            return Ok(Vec::new());
        };
        let found = self.looked(source, frame.pixels(), doubt, Looks::Large)?;
        let (sure, unsure) = doubt.parted(found);
        // What was found is never made smaller: merged once more, boxes would go that their neighbours outweigh. A box that says
        // less about a place than one that is known there adds nothing.
        for face in sure {
            let same = |k: &&mut Face| k.rect.iou(&face.rect) > search.merge;
            match known.iter_mut().find(same) {
                Some(known) if face.score >= search.weak * known.score => {
                    known.rect = known.rect.hull(&face.rect);
                }
                Some(_) => {}
                None => known.push(face),
            }
        }
        Ok(unsure)
    }

    /// Searches the covered picture again, covers what is found, adds what may be a face to what is in doubt.
    ///
    /// The pixels are those that are encoded next: what a decoder makes of them differs by less than
    /// what separates a face from none.
    fn recheck(
        &self,
        source: &Path,
        covered: &mut Redacted,
        doubt: &Doubt,
        uncertain: &mut Vec<Face>,
        mut cover: impl FnMut(&mut Redacted, &[Rect]) -> Result<(), Error>,
    ) -> Result<Vec<Face>, Error> {
        let mut again = Vec::new();
        for _ in 0..ROUNDS {
            let mut found = self.looked(source, covered.pixels(), doubt, Looks::Small)?;
            found.retain(|f| covered.is_open(&f.rect));
            let (sure, unsure) = doubt.parted(found);
            for face in unsure {
                if uncertain.iter().all(|u| u.rect.iou(&face.rect) < SAME) {
                    uncertain.push(face);
                }
            }
            if sure.is_empty() {
                break;
            }
            let rects: Vec<Rect> = sure.iter().map(|f| f.rect).collect();
            cover(covered, &rects)?;
            again.extend(sure);
        }
        // What covers hide is not in doubt.
        uncertain.retain(|f| covered.is_open(&f.rect));
        Ok(again)
    }

    /// Covers what was seen on each page.
    fn covered(
        &self,
        index: usize,
        source: &Path,
        pages: impl Iterator<Item = Frame>,
        progress: &dyn Progress,
        seen: &mut Seen,
    ) -> Result<Vec<Redacted>, Error> {
        let Task::Cover {
            redact,
            places,
            preview,
            recheck,
            scramble,
            ..
        } = &self.settings.task
        else {
            return Ok(Vec::new());
        };
        let failed = |e| Error::Redact {
            path: source.into(),
            source: e,
        };
        let mut noise = self.noise(index).map_err(failed)?;
        let mut all = Vec::new();
        for (number, frame) in pages.enumerate() {
            let mut uncertain = Vec::new();
            if let Some(doubt) = recheck.as_ref().and_then(|r| r.before.as_ref()) {
                let known = seen.faces_of(number);
                let before = known.len();
                uncertain = self.look_closer(source, &frame, known, doubt)?;
                let added = known.len() - before;
                seen.again += added;
                go_on(progress)?;
            }
            let rects = seen.rects(number);
            let mut page =
                redact::cover(frame, &rects, places, redact, &mut noise).map_err(failed)?;
            if let Some(recheck) = recheck {
                let cover = |page: &mut Redacted, rects: &[Rect]| {
                    page.more(rects, redact, &mut noise).map_err(failed)
                };
                let again =
                    self.recheck(source, &mut page, &recheck.covered, &mut uncertain, cover)?;
                seen.again += again.len();
                seen.faces_of(number).extend(again);
                seen.uncertain.extend(uncertain);
                go_on(progress)?;
            }
            if *preview {
                let numbered: Vec<_> = (1..).zip(seen.rects(number)).collect();
                page.outline(&numbered);
            }
            if *scramble {
                page.scramble(&mut noise);
            }
            all.push(page);
        }
        Ok(all)
    }

    pub(super) const fn writing(&self, replace: bool) -> write::Options {
        write::Options {
            overwrite: replace,
            timeless: self.settings.request.neutral,
        }
    }

    /// An input that was no photo when the names were settled, and is one now.
    pub(super) fn no_output(&self, source: &Path) -> Error {
        let what = "it changed while the run began, or is a pipe; use - for a pipe, or run again";
        Error::Read {
            path: source.into(),
            source: std::io::Error::other(what),
        }
    }

    /// Faces in a picture, or on a page of it, counted from 1.
    fn faces(&self, source: &Path, page: Option<usize>, frame: &Frame) -> Result<Vec<Face>, Error> {
        let failed = |e| Error::Detect {
            path: source.into(),
            source: e,
        };
        match &self.settings.faces {
            Faces::Search(detector, options) => detector.faces(frame, options).map_err(failed),
            Faces::Raw(detector, raw) => detector.raw(frame, raw).map_err(failed),
            Faces::Given(boxes) => boxes
                .of(
                    source,
                    page,
                    (frame.width(), frame.height()),
                    frame.orientation(),
                )
                .map_err(|e| Error::Boxes {
                    path: source.into(),
                    source: e,
                }),
        }
    }
}

const fn not_media(error: &DecodeError) -> bool {
    matches!(error, DecodeError::NotMedia | DecodeError::Empty)
}

/// The output as the report names it.
pub(super) fn shown_output(job: &Job) -> Option<String> {
    match &job.output {
        Some(Output::File(path)) => Some(names(path).0),
        Some(Output::Stdout) => Some("-".into()),
        None => None,
    }
}

pub(super) fn go_on(progress: &dyn Progress) -> Result<(), Error> {
    if progress.stop() {
        Err(Error::Interrupted)
    } else {
        Ok(())
    }
}
