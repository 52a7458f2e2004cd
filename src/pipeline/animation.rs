//! One animation, in two passes as a video, but without another program: its frames are decoded,
//! searched, covered and encoded here.

use std::path::Path;

use super::{
    Film, Pass, Progress, Shop, Task,
    moving::{Follower, numbered, spots},
    photo::{Seen, go_on},
};
use crate::{
    decode::{DecodeError, animation},
    discover::Job,
    encode,
    encode::animation::{AnimationEncoder, Plan, can_hold},
    error::Error,
    redact::{RedactError, frames::FramesCover},
    report::VideoKind,
    verify,
};

/// Frames that say they are shown for no longer than this are shown for [`USUAL`], as browsers do.
const SHORT: f64 = 0.0101;
/// In seconds.
const USUAL: f64 = 0.1;

impl Shop<'_> {
    /// Does one animation.
    pub(super) fn animation(
        &self,
        index: usize,
        job: &Job,
        bytes: Vec<u8>,
        progress: &dyn Progress,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        let source = job.source.path();
        let failed = |e: DecodeError| Error::Decode {
            path: source.into(),
            source: e,
        };
        let options = &self.settings.decode;
        let opened = match self.settings.cage {
            Some(cage) => cage.animation(bytes, options),
            None => animation::open(bytes, options),
        };
        let animation = opened.map_err(failed)?;
        let format = job.format.unwrap_or(animation.format());
        if matches!(self.settings.task, Task::Cover { .. }) && !can_hold(format) {
            return Err(Error::Encode {
                path: source.into(),
                source: encode::EncodeError::Still(format),
            });
        }
        seen.size = Some(animation.size());
        seen.dropped = animation.dropped().to_vec();
        seen.damage = animation.damage().map(str::to_owned);
        seen.cautions = animation.cautions().to_vec();
        let (film, opaque, length) = self.follow(source, &animation, progress, seen)?;
        seen.video = Some(film.facts(VideoKind::Animation, length));
        if let Task::Cover { places, .. } = &self.settings.task {
            seen.places.clone_from(places);
            let covered =
                self.covered_animation(index, job, &animation, (&film, opaque), progress)?;
            self.write_animation(job, format, &animation, covered, progress)?;
        }
        seen.film = Some(film);
        Ok(())
    }

    /// The first pass: faces over time, whether nothing is transparent, and how long it lasts.
    fn follow(
        &self,
        source: &Path,
        animation: &animation::Animation,
        progress: &dyn Progress,
        seen: &mut Seen,
    ) -> Result<(Film, bool, f64), Error> {
        let failed = |e: DecodeError| Error::Decode {
            path: source.into(),
            source: e,
        };
        let mut follower = Follower::new(self, source, animation.size(), animation.bytes())?;
        let (mut time, mut length, mut opaque) = (0.0, 0.0, true);
        let mut frames = animation.frames().map_err(failed)?;
        for next in &mut frames {
            let (frame, delay) = next.map_err(failed)?;
            opaque &= match frame.pixels() {
                image::DynamicImage::ImageRgba8(p) => p.pixels().all(|p| p.0[3] == u8::MAX),
                image::DynamicImage::ImageRgba16(p) => p.pixels().all(|p| p.0[3] == u16::MAX),
                _ => false,
            };
            follower.push(frame, time, progress)?;
            let lasts = delay.seconds();
            length += lasts;
            time += if lasts < SHORT { USUAL } else { lasts };
            progress.frames(
                source,
                Pass::Search,
                follower.frames(),
                Some(animation.count()),
                follower.faces(),
            );
        }
        if let Some(fault) = frames.fault() {
            seen.damage.get_or_insert_with(|| fault.to_owned());
        }
        if follower.frames() == 0 {
            return Err(failed(DecodeError::Damaged("it has no picture".into())));
        }
        Ok((follower.finish(progress)?, opaque, length))
    }

    /// The second pass: the file, and how long each frame is meant to be shown.
    fn covered_animation(
        &self,
        index: usize,
        job: &Job,
        animation: &animation::Animation,
        (film, opaque): (&Film, bool),
        progress: &dyn Progress,
    ) -> Result<(Vec<u8>, Vec<f64>), Error> {
        let source = job.source.path();
        let Task::Cover {
            redact,
            quality,
            places,
            preview,
            ..
        } = &self.settings.task
        else {
            return Ok((Vec::new(), Vec::new()));
        };
        let covered = |e: RedactError| Error::Redact {
            path: source.into(),
            source: e,
        };
        let encoded = |e: encode::EncodeError| Error::Encode {
            path: source.into(),
            source: e,
        };
        let failed = |e: DecodeError| Error::Decode {
            path: source.into(),
            source: e,
        };
        let noise = self.moving_noise(index).map_err(covered)?;
        let mut cover = FramesCover::new(redact, noise).map_err(covered)?;
        let plan = Plan {
            format: job.format.unwrap_or(animation.format()),
            options: encode::Options {
                quality: *quality,
                lossless: animation.lossless(),
            },
            size: animation.size(),
            frames: film.frames(),
            plays: animation.plays(),
            opaque,
            deep: animation.deep(),
            limit: self.settings.decode.max_memory,
        };
        let mut encoder = AnimationEncoder::new(plan).map_err(encoded)?;
        let changed = || {
            failed(DecodeError::Damaged(
                "it gave other frames the second time".into(),
            ))
        };
        let mut given = 0;
        for (number, next) in animation.frames().map_err(failed)?.enumerate() {
            let (frame, delay) = next.map_err(failed)?;
            given = number + 1;
            // Nobody has looked for faces in it.
            if given > film.frames() {
                return Err(changed());
            }
            let seen = film.at(number);
            let mut frame = cover.cover(frame, &spots(&seen, places)).map_err(covered)?;
            if *preview {
                frame.outline(&numbered(&seen));
            }
            encoder.push(&frame, delay).map_err(encoded)?;
            go_on(progress)?;
            progress.frames(
                source,
                Pass::Cover,
                number + 1,
                Some(film.frames()),
                film.tracks().len(),
            );
        }
        if given != film.frames() {
            return Err(changed());
        }
        encoder.finish().map_err(encoded)
    }

    fn write_animation(
        &self,
        job: &Job,
        format: crate::Format,
        animation: &animation::Animation,
        (bytes, delays): (Vec<u8>, Vec<f64>),
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        go_on(progress)?;
        // A GIF of one picture says nothing of rounds.
        let alone = format == crate::Format::Gif && delays.len() == 1;
        let meant = verify::Moving {
            delays,
            plays: if alone { 1 } else { animation.plays() },
        };
        self.put(&self.target(job)?, &bytes, |written| {
            verify::check_animation(written, format, animation.size(), &meant)
        })
    }
}
