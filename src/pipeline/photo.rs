//! One photo, in a straight line.

use std::path::Path;

use super::{Faces, Outcome, Progress, Recheck, Shop, Task};
use crate::{
    decode::{self, DecodeError, Dropped, Photo},
    detect,
    discover::{Job, Output},
    encode,
    error::Error,
    face::Face,
    frame::Frame,
    geometry::Rect,
    redact::{self, Noise, Redacted},
    report::{Status, names},
    verify, write,
};

/// Most times that a covered picture is searched again: a face that was hidden by nothing but a bad
/// look at it is found at once, and covers can make a second one look like a face.
const ROUNDS: usize = 2;
/// A box of which more is covered is no face that was missed: what lies round a cover, a shoulder, the cover's
/// own edge, is taken for faces often. On 288 held-out photos of WIDER FACE this took two thirds of
/// what would have been covered for nothing, and none of the faces found.
const CLEAR: f32 = 0.05;
/// A look may see a face with this share of the mean score that counts.
const FLOOR: f32 = 0.5;

/// What came of the steps before writing.
#[derive(Default)]
struct Seen {
    size: Option<(u32, u32)>,
    faces: Vec<Face>,
    places: Vec<Rect>,
    again: usize,
    uncertain: Vec<Face>,
    dropped: Vec<Dropped>,
    damage: Option<String>,
}

impl Shop<'_> {
    /// Does one job; never panics, whatever is in the file.
    pub(super) fn work(
        &self,
        (index, job): (usize, &Job),
        progress: &dyn Progress,
    ) -> Option<Outcome> {
        if job.skip {
            return Some(self.outcome(job, Status::Skipped, Seen::default()));
        }
        if let Some(demuxer) = super::video::demuxer_of(&job.source) {
            return self.video(index, job, demuxer, progress);
        }
        let mut seen = Seen::default();
        let result = self.steps(index, job, progress, &mut seen);
        Some(match result {
            Ok(()) => self.outcome(job, Status::Done, seen),
            Err(Error::Interrupted) => return None,
            Err(Error::Decode {
                source: DecodeError::NotMedia | DecodeError::Empty,
                ..
            }) if !job.named => self.outcome(job, Status::PassedOver, Seen::default()),
            Err(error) => {
                let mut outcome = self.outcome(job, Status::Failed, seen);
                outcome.record.error = Some(error.to_string());
                outcome.error = Some(error);
                outcome
            }
        })
    }

    fn outcome(&self, job: &Job, status: Status, seen: Seen) -> Outcome {
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
        record.dropped = seen.dropped;
        record.damage = seen.damage;
        outcome
    }

    fn steps(
        &self,
        index: usize,
        job: &Job,
        progress: &dyn Progress,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        let source = job.source.path();
        let bytes = self.read(job)?;
        let photo = decode::photo(&bytes, &self.settings.decode).map_err(|e| Error::Decode {
            path: source.into(),
            source: e,
        })?;
        drop(bytes);
        let Photo {
            frame,
            format,
            lossless,
            dropped,
            damage,
        } = photo;
        seen.size = Some((frame.width(), frame.height()));
        (seen.dropped, seen.damage) = (dropped, damage);
        go_on(progress)?;
        seen.faces = self.faces(source, &frame)?;
        go_on(progress)?;
        let Task::Cover {
            redact,
            quality,
            places,
            preview,
            seed,
            noise: strength,
            recheck,
            scramble,
            ..
        } = &self.settings.task
        else {
            return Ok(());
        };
        seen.places.clone_from(places);
        let rects: Vec<Rect> = seen.faces.iter().map(|f| f.rect).collect();
        let failed = |source| Error::Redact {
            path: job.source.path().into(),
            source,
        };
        let mut noise = match seed {
            // Each picture its own noise, whichever worker takes it.
            Some(seed) => Noise::from_seed(seed.wrapping_add(index as u64)),
            None => Noise::new().map_err(failed)?,
        }
        .weakened(*strength);
        let mut covered =
            redact::cover(frame, &rects, places, redact, &mut noise).map_err(failed)?;
        if let Some(recheck) = recheck {
            self.recheck(source, &mut covered, redact, &mut noise, recheck, seen)?;
            go_on(progress)?;
        }
        if *preview {
            let rects: Vec<Rect> = seen.faces.iter().map(|f| f.rect).collect();
            covered.outline(&rects);
        }
        if *scramble {
            covered.scramble(&mut noise);
        }
        // A pipe or a file that changed since the plan was made: its own format then.
        let format = job.format.unwrap_or(format);
        let (target, shown) = match &job.output {
            Some(Output::File(path)) => (Some(path.as_path()), path.as_path()),
            Some(Output::Stdout) => (None, Path::new("standard output")),
            None => return Err(self.no_output(source)),
        };
        let options = encode::Options {
            quality: *quality,
            lossless,
        };
        let encoded =
            encode::encode(&covered, format, &options).map_err(|source| Error::Encode {
                path: shown.into(),
                source,
            })?;
        let (width, height) = (covered.width(), covered.height());
        drop(covered);
        go_on(progress)?;
        let check = |written: &[u8]| verify::check(written, format, width, height);
        match target {
            Some(path) => {
                self.sweep(write::folder_of(path));
                let options = write::Options {
                    overwrite: self.settings.request.overwrite && self.settings.list.is_none(),
                    timeless: self.settings.request.neutral,
                };
                write::commit(path, &encoded, options, check)
            }
            None => write::standard_output(&encoded, check),
        }
        .map_err(|source| Error::Write {
            path: shown.into(),
            source,
        })
    }

    /// Searches the covered picture again, covers what is found, names what may be a face.
    ///
    /// The pixels are those that are encoded next: what a decoder makes of them differs by less than
    /// what separates a face from none.
    fn recheck(
        &self,
        source: &Path,
        covered: &mut Redacted,
        options: &redact::Options,
        noise: &mut Noise,
        how: &Recheck,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        let Faces::Search(detector, search) = &self.settings.faces else {
            return Ok(());
        };
        for _ in 0..ROUNDS {
            let look = detect::Options {
                rule: detect::rule::Rule::flat(how.uncertain.base * FLOOR),
                ..*search
            };
            let found = detector.again(covered.pixels(), &look, how.looks);
            let mut open = found.map_err(|e| Error::Detect {
                path: source.into(),
                source: e,
            })?;
            open.retain(|f| {
                f.score >= how.uncertain.threshold(f.rect.height())
                    && covered.share(&f.rect) <= CLEAR
            });
            let (sure, unsure): (Vec<Face>, Vec<Face>) = open
                .into_iter()
                .partition(|f| f.score >= how.rule.threshold(f.rect.height()));
            seen.uncertain = unsure;
            if sure.is_empty() {
                break;
            }
            let rects: Vec<Rect> = sure.iter().map(|f| f.rect).collect();
            covered
                .more(&rects, options, noise)
                .map_err(|e| Error::Redact {
                    path: source.into(),
                    source: e,
                })?;
            seen.again += sure.len();
            seen.faces.extend(sure);
            // What the new covers hide is no longer in doubt.
            seen.uncertain.retain(|f| covered.share(&f.rect) <= CLEAR);
        }
        Ok(())
    }

    /// An input that was no photo when the names were settled, and is one now.
    fn no_output(&self, source: &Path) -> Error {
        let what = "it changed while the run began, or is a pipe; use - for a pipe, or run again";
        Error::Read {
            path: source.into(),
            source: std::io::Error::other(what),
        }
    }

    fn faces(&self, source: &Path, frame: &Frame) -> Result<Vec<Face>, Error> {
        let failed = |e| Error::Detect {
            path: source.into(),
            source: e,
        };
        match &self.settings.faces {
            Faces::Search(detector, options) => detector.faces(frame, options).map_err(failed),
            Faces::Raw(detector, raw) => detector.raw(frame, raw).map_err(failed),
            Faces::Given(boxes) => boxes
                .of(source, frame.width(), frame.height())
                .map_err(|e| Error::Boxes {
                    path: source.into(),
                    source: e,
                }),
        }
    }
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
