//! A folder of numbered frames, in two passes as a video: every frame is a photo of its own, and
//! faces are followed from one to the next.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{
    Film, Outcome, Pass, Progress, Shop, Task,
    moving::{Follower, numbered, spots},
    photo::go_on,
};
use crate::{
    decode::{self, DecodeError, Kind, Photo},
    discover::{Job, Output, sequence},
    encode,
    error::Error,
    ffmpeg::StreamError,
    redact::{RedactError, frames::FramesCover},
    report::{Status, VideoKind},
    verify, write,
};

/// Frames by their numbers.
type Numbered<'a> = &'a [(PathBuf, crate::Format)];

/// The SHA-256 of a frame's file, once it was read.
type Sum = Option<[u8; 32]>;

/// Frames a second where nothing is said.
const RATE: f64 = 25.0;

impl Shop<'_> {
    /// Does one folder.
    pub(super) fn sequence(
        &self,
        index: usize,
        job: &Job,
        progress: &dyn Progress,
    ) -> Option<Outcome> {
        let mut outcome = Outcome::new(job.source.clone(), Status::Done);
        outcome.record.output = super::photo::shown_output(job);
        let mut written = Vec::new();
        match self.numbered(index, job, progress, &mut outcome, &mut written) {
            Ok(()) => return Some(outcome),
            Err(Error::Interrupted) => {
                write::take_back(&written);
                return None;
            }
            Err(error) => {
                // A part of a sequence would pass for all of it.
                write::take_back(&written);
                outcome.fail(error);
            }
        }
        Some(outcome)
    }

    fn numbered(
        &self,
        index: usize,
        job: &Job,
        progress: &dyn Progress,
        outcome: &mut Outcome,
        written: &mut Vec<PathBuf>,
    ) -> Result<(), Error> {
        let folder = job.source.path();
        let frames = frames(folder)?;
        let outputs = self.places(job, &frames)?;
        let (film, mut sums) = self.followed(folder, &frames, progress, outcome)?;
        let seconds = film.frames() as f64 / self.rate();
        outcome.record.video = Some(film.facts(VideoKind::Sequence, seconds));
        if matches!(self.settings.task, Task::Cover { .. }) {
            outcome.record.places = self.named();
            let frames = (folder, frames.as_slice(), sums.as_mut_slice());
            self.cover_frames(index, frames, &outputs, &film, progress, written)?;
        }
        outcome.film = Some(film);
        Ok(())
    }

    fn rate(&self) -> f64 {
        let rate = self.settings.request.rate;
        if rate > 0.0 { rate } else { RATE }
    }

    fn named(&self) -> Vec<crate::Rect> {
        match &self.settings.task {
            Task::Cover { places, .. } => places.clone(),
            Task::Detect => Vec::new(),
        }
    }

    /// The outputs, none of which is there already or named twice.
    fn places(
        &self,
        job: &Job,
        frames: &[(PathBuf, crate::Format)],
    ) -> Result<Vec<(PathBuf, crate::Format)>, Error> {
        let Some(Output::File(folder)) = &job.output else {
            return Ok(Vec::new());
        };
        let mut outputs: Vec<(PathBuf, crate::Format)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        for (frame, format) in frames {
            let format = self.settings.request.format.unwrap_or(*format);
            let output = sequence::output(folder, frame, format);
            if !self.settings.request.overwrite && std::fs::symlink_metadata(&output).is_ok() {
                return Err(crate::discover::DiscoverError::Exists(output.as_path().into()).into());
            }
            if !names.insert(output.clone()) {
                return Err(refused(
                    &output,
                    "two frames would get this name; give them different numbers",
                ));
            }
            outputs.push((output, format));
        }
        Ok(outputs)
    }

    /// One frame; `size`: that of those before it. `sum`: of the file when it was read first.
    fn frame(
        &self,
        path: &Path,
        size: &mut Option<(u32, u32)>,
        sum: &mut Sum,
    ) -> Result<Photo, Error> {
        let bytes = self.read_file(path)?;
        let now: [u8; 32] = Sha256::digest(&bytes).into();
        if *sum.get_or_insert(now) != now {
            return Err(Error::Video {
                path: path.into(),
                source: StreamError::Changed,
            });
        }
        if decode::animation::animated(&bytes) {
            return Err(refused(
                path,
                "is an animation and no frame; take it out of the folder",
            ));
        }
        let photo = self.decoded(path, &bytes)?;
        if !photo.further.is_empty() {
            return Err(refused(
                path,
                "has several pages and is no frame; give it without --sequence",
            ));
        }
        let is = (photo.frame.width(), photo.frame.height());
        let due = *size.get_or_insert(is);
        if is != due {
            return Err(refused(
                path,
                &format!(
                    "has {} × {} pixels and the frames before it have {} × {}; put frames of one size into a folder",
                    is.0, is.1, due.0, due.1
                ),
            ));
        }
        Ok(photo)
    }

    /// The first pass.
    fn followed(
        &self,
        folder: &Path,
        frames: &[(PathBuf, crate::Format)],
        progress: &dyn Progress,
        outcome: &mut Outcome,
    ) -> Result<(Film, Vec<Sum>), Error> {
        let (mut size, mut sums) = (None, vec![None; frames.len()]);
        let mut follower = None;
        for (number, (path, _)) in frames.iter().enumerate() {
            let photo = self.frame(path, &mut size, &mut sums[number])?;
            let (w, h) = (photo.frame.width(), photo.frame.height());
            (outcome.record.width, outcome.record.height) = (Some(w), Some(h));
            for dropped in photo.dropped {
                match (outcome.record.dropped.iter_mut()).find(|d| d.kind == dropped.kind) {
                    Some(same) => same.bytes += dropped.bytes,
                    None => outcome.record.dropped.push(dropped),
                }
            }
            if let Some(damage) = photo.damage {
                let what = format!("{}: {damage}", crate::ShownPath(path.clone()));
                outcome.record.damage.get_or_insert(what);
            }
            let bytes = photo.frame.pixels().as_bytes().len() as u64;
            let follower = match &mut follower {
                Some(follower) => follower,
                None => follower.insert(Follower::new(self, folder, (w, h), bytes)?),
            };
            let time = number as f64 / self.rate();
            follower.push(photo.frame, time, progress)?;
            progress.frames(
                folder,
                Pass::Search,
                number + 1,
                Some(frames.len()),
                follower.faces(),
            );
        }
        match follower {
            Some(follower) => Ok((follower.finish(progress)?, sums)),
            None => Err(refused(folder, "holds no frames; name another folder")),
        }
    }

    /// The second pass.
    fn cover_frames(
        &self,
        index: usize,
        (folder, frames, sums): (&Path, Numbered<'_>, &mut [Sum]),
        outputs: &[(PathBuf, crate::Format)],
        film: &Film,
        progress: &dyn Progress,
        written: &mut Vec<PathBuf>,
    ) -> Result<(), Error> {
        let Task::Cover {
            redact,
            quality,
            places,
            preview,
            ..
        } = &self.settings.task
        else {
            return Ok(());
        };
        let covered = |e: RedactError| Error::Redact {
            path: folder.into(),
            source: e,
        };
        let noise = self.moving_noise(index).map_err(covered)?;
        let mut cover = FramesCover::new(redact, noise).map_err(covered)?;
        let mut size = None;
        for (number, ((path, _), (output, format))) in frames.iter().zip(outputs).enumerate() {
            let Photo {
                frame, lossless, ..
            } = self.frame(path, &mut size, &mut sums[number])?;
            let seen = film.at(number);
            let mut frame = cover.cover(frame, &spots(&seen, places)).map_err(covered)?;
            if *preview {
                frame.outline(&numbered(&seen));
            }
            let options = encode::Options {
                quality: *quality,
                lossless,
            };
            let bytes =
                encode::encode(&frame, *format, &options).map_err(|source| Error::Encode {
                    path: output.as_path().into(),
                    source,
                })?;
            go_on(progress)?;
            self.sweep(write::folder_of(output));
            let check = |b: &[u8]| verify::check(b, *format, frame.width(), frame.height());
            write::commit(
                output,
                &bytes,
                self.writing(self.settings.request.overwrite),
                check,
            )
            .map_err(|source| Error::Write {
                path: output.as_path().into(),
                source,
            })?;
            written.push(output.clone());
            progress.frames(
                folder,
                Pass::Cover,
                number + 1,
                Some(frames.len()),
                film.tracks().len(),
            );
        }
        Ok(())
    }
}

fn refused(path: &Path, what: &str) -> Error {
    Error::Video {
        path: path.into(),
        source: StreamError::Failed(what.into()),
    }
}

/// The frames of a folder in order, and what they are. What is no picture is passed over; a
/// picture that is no frame must not stay uncovered without a word.
fn frames(folder: &Path) -> Result<Vec<(PathBuf, crate::Format)>, Error> {
    let files = sequence::frames(folder).map_err(|source| Error::Read {
        path: folder.into(),
        source,
    })?;
    let mut frames = Vec::new();
    for path in files {
        let source = crate::discover::Source::File(path.clone());
        match super::input::kind_of(&source) {
            Some(Kind::Photo(format)) if sequence::numbered(&path) => frames.push((path, format)),
            Some(Kind::Photo(_)) => {
                return Err(refused(
                    &path,
                    "has no number in its name; take it out of the folder, or give it one",
                ));
            }
            Some(kind) if kind.is_media() => {
                return Err(refused(
                    &path,
                    "is no frame; take it out of the folder, or leave --sequence out",
                ));
            }
            Some(Kind::Empty) => {
                return Err(Error::Decode {
                    path: path.as_path().into(),
                    source: DecodeError::Empty,
                });
            }
            _ => {}
        }
    }
    Ok(frames)
}
