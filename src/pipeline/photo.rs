//! One photo, in a straight line.

use std::path::Path;

use super::{Faces, Outcome, Progress, Shop, Task};
use crate::{
    decode::{self, DecodeError, Dropped, Photo},
    discover::{Job, Output},
    encode,
    error::Error,
    face::Face,
    frame::Frame,
    geometry::Rect,
    redact::{self, Noise},
    report::{Status, names},
    verify, write,
};

/// What came of the steps before writing.
#[derive(Default)]
struct Seen {
    size: Option<(u32, u32)>,
    faces: Vec<Face>,
    places: Vec<Rect>,
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
        let decoded = match self.settings.cage {
            Some(cage) => cage
                .photo(&bytes, &self.settings.decode)
                .map_err(|e| Error::Cage {
                    path: source.into(),
                    source: e,
                })?,
            None => decode::photo(&bytes, &self.settings.decode),
        };
        let photo = decoded.map_err(|e| Error::Decode {
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
        };
        let mut covered =
            redact::cover(frame, &rects, places, redact, &mut noise).map_err(failed)?;
        if *preview {
            covered.outline(&rects);
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
