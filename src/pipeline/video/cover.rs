//! The second pass over a video: every frame is covered and encoded.

use std::sync::mpsc;

use super::Known;
use crate::{
    decode::clip::{Clip, Uncut},
    discover::{Job, Output},
    encode::clip::{ClipEncoder, Plan, Timing},
    error::Error,
    ffmpeg::StreamError,
    pipeline::{
        Pass, Progress, Task, VideoOptions,
        follow::WAITING,
        moving::{numbered, spots},
        photo::go_on,
        shop::Shop,
    },
    redact::{self, clip::ClipCover},
    sound::Sound,
    verify, write,
};

impl Shop<'_> {
    /// Whether what is asked for can become of a video at all: known before it is searched.
    pub(super) fn can_become(&self, job: &Job, clip: &Clip) -> Result<(), Error> {
        let Task::Cover { video, .. } = &self.settings.task else {
            return Ok(());
        };
        let not_video = |f: crate::Format| !f.is_video();
        let named = match &job.output {
            Some(Output::File(target)) => crate::Format::from_path(target),
            _ => None,
        };
        let refused = match job.format {
            _ if matches!(job.output, Some(Output::Stdout)) => Some(
                "is a video, and videos can't be written to a pipe; name a file or folder with -o",
            ),
            format if format.or(named).is_some_and(not_video) || named.is_some_and(not_video) => {
                Some(
                    "is a video, and becomes MP4 or WebM only; name the output .mp4 or .webm, and make an animation of it with ffmpeg",
                )
            }
            Some(crate::Format::Y4m) => Some(
                "is a compressed video, and YUV4MPEG2 is written only of what comes as such; name the output .mp4 or .webm, or pipe it: ffmpeg -i VIDEO -f yuv4mpegpipe - | unface - -o OUTPUT.y4m",
            ),
            Some(format) => video.choice.refused(format, clip.layout()),
            None => None,
        };
        if let (true, Some(kind)) = (self.hears(clip), clip.undecodable_sound()) {
            return Err(Error::Video {
                path: job.source.path().into(),
                source: StreamError::Failed(format!(
                    "has sound that ffmpeg can't decode ({kind}); use --audio drop"
                )),
            });
        }
        refused.map_or(Ok(()), |why| {
            Err(Error::Video {
                path: job.source.path().into(),
                source: StreamError::Failed(why.into()),
            })
        })
    }

    /// The second pass.
    pub(super) fn cover_film(
        &self,
        index: usize,
        job: &Job,
        known: &Known,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let source = job.source.path();
        let Task::Cover {
            redact,
            places,
            preview,
            video,
            ..
        } = &self.settings.task
        else {
            return Ok(());
        };
        let failed = |e: StreamError| Error::Video {
            path: source.into(),
            source: e,
        };
        let (Some(Output::File(target)), Some(format)) = (&job.output, job.format) else {
            return Err(failed(StreamError::Failed(
                "is a video, and videos can't be written to a pipe; name a file or folder with -o"
                    .into(),
            )));
        };
        let written = |e: write::WriteError<verify::VerifyError>| Error::Write {
            path: target.as_path().into(),
            source: e,
        };
        let encoded = |e: crate::encode::EncodeError| Error::Encode {
            path: target.as_path().into(),
            source: e,
        };
        let covered = |e: redact::RedactError| Error::Redact {
            path: source.into(),
            source: e,
        };
        if crate::Format::from_path(target).is_none_or(|f| !f.is_video()) {
            return Err(encoded(crate::encode::EncodeError::Kind(format)));
        }
        let noise = self.moving_noise(index).map_err(covered)?;
        let mut cover = ClipCover::new(redact, known.clip.colours(), noise).map_err(covered)?;
        let audio = self.hears(&known.clip);
        if audio {
            heard(known, &video.mute).map_err(failed)?;
        }
        let fingerprints = known.fingerprints.clone();
        let mut pictures = known.clip.planes(audio, fingerprints).map_err(failed)?;
        let tracks = pictures.sound();
        let sound: Result<Vec<Sound>, _> = tracks
            .iter()
            .map(|&(rate, channels)| Sound::new(video.audio, rate, channels, &video.mute))
            .collect();
        let mut sound =
            sound.map_err(|_| covered(redact::RedactError::Random("for a disguise".into())))?;
        self.sweep(write::folder_of(target));
        let pending = write::Pending::create(target, job.replace).map_err(written)?;
        let pending = pending.timeless(self.settings.request.neutral);
        let plan = plan(known, format, tracks, video);
        let written_size = plan.written();
        let mut encoder =
            ClipEncoder::start(plan, pending.file().map_err(written)?, &pending.path())
                .map_err(encoded)?;
        let (send, receive) = mpsc::sync_channel(WAITING);
        let mut done = 0;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                loop {
                    let next = pictures.part();
                    let over = !matches!(next, Ok(Some(_)));
                    if send.send(next).is_err() || over {
                        return;
                    }
                }
            });
            let receive = receive;
            while let Some(uncut) = receive
                .recv()
                .map_err(|_| failed(StreamError::Pipe("the decoder went away".into())))?
                .map_err(failed)?
            {
                match uncut {
                    Uncut::Picture(picture) => {
                        if known.pts.get(done) != Some(&picture.pts()) {
                            return Err(failed(StreamError::Changed));
                        }
                        let seen = known.film.at(done);
                        let spots = spots(&seen, places);
                        let mut picture = cover.cover(picture, &spots).map_err(covered)?;
                        if *preview {
                            cover.outline(&mut picture, &numbered(&seen));
                        }
                        encoder.picture(&picture).map_err(encoded)?;
                        done += 1;
                        if done % 16 == 0 {
                            go_on(progress)?;
                            progress.frames(
                                source,
                                Pass::Cover,
                                done,
                                Some(known.pts.len()),
                                known.film.tracks().len(),
                            );
                        }
                    }
                    Uncut::Sound { track, pts, data } => {
                        let mut data = data;
                        sound[track].change(pts, &mut data);
                        encoder.sound(track, pts, &data).map_err(encoded)?;
                    }
                }
            }
            Ok(())
        })?;
        if done != known.pts.len() {
            return Err(failed(StreamError::Changed));
        }
        encoder.finish(known.end).map_err(encoded)?;
        go_on(progress)?;
        let expected = verify::Expected {
            format,
            size: (written_size.width, written_size.height),
            times: known.film.times().to_vec(),
            end: known.clip.time_base().seconds(known.end),
            sound: sound.len(),
        };
        pending
            .commit(|file| verify::check_clip(file, &expected))
            .map_err(written)
    }
}

/// Whether all stretches that are to be silent are there: one that is not was meant otherwise.
fn heard(known: &Known, mute: &[(f64, f64)]) -> Result<(), StreamError> {
    let pictures = known.clip.time_base().seconds(known.end);
    let end = pictures.max(known.clip.probe().duration);
    match mute.iter().find(|(from, _)| *from >= end) {
        Some((from, to)) => Err(StreamError::Failed(format!(
            "ends at {end:.2} s, before --mute {from}-{to} begins; correct the stretch"
        ))),
        None => Ok(()),
    }
}

/// What the encoder must know.
fn plan(
    known: &Known,
    format: crate::Format,
    sound: Vec<(u32, u32)>,
    video: &VideoOptions,
) -> Plan {
    let clip = &known.clip;
    let colours = clip.colours();
    let probe = &clip.probe().video;
    Plan {
        format,
        layout: clip.layout(),
        full: colours.full && clip.layout().depth == 8,
        time_base: clip.time_base(),
        timing: Timing::of(clip.time_base(), &known.pts, known.end),
        rate: probe.rate,
        aspect: clip.aspect(),
        // Turned fields lie side by side and can't be told any more.
        interlaced: probe
            .interlaced
            .filter(|_| probe.turn == crate::ffmpeg::probe::Turn::default()),
        colour: colour(clip),
        sound,
        choice: video.choice.clone(),
    }
}

/// Colour as it is said in the output.
fn colour(clip: &Clip) -> [Option<String>; 4] {
    let [range, primaries, transfer, matrix] = clip.colour();
    let full = clip.colours().full.then(|| "pc".into());
    [full.or(range), primaries, transfer, matrix]
}
