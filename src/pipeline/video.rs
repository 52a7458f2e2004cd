//! One video, in two passes: first every frame is looked at and faces are followed, then every
//! frame is covered and encoded. Only a few frames are in memory at a time, whatever the length.

use std::{
    fs::File,
    path::Path,
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};

use image::GrayImage;
use rayon::prelude::*;

use super::{
    Faces, Outcome, Pass, Progress, Shop, Task,
    moving::{given, numbered, spots},
    photo::go_on,
};
use crate::{
    decode::{
        self, Dropped,
        clip::{Clip, ClipOptions, Uncut},
    },
    detect::{self, Detector},
    discover::{Job, Output},
    encode::clip::{ClipEncoder, Plan},
    error::Error,
    ffmpeg::StreamError,
    frame::Frame,
    redact::{self, clip::ClipCover},
    report::{Status, VideoFacts, VideoKind},
    sound::Sound,
    track::{self, Camera, Motion, Sighting, Tracker, Tracks},
    verify, write,
};

/// What becomes of a video's sound, and how its pictures are compressed.
#[derive(Debug, Clone, Default)]
pub struct VideoOptions {
    /// Codec, quality, speed.
    pub choice: crate::encode::clip::Choice,
    /// What becomes of the sound.
    pub audio: crate::sound::Audio,
    /// Stretches without sound, in seconds.
    pub mute: Vec<(f64, f64)>,
    /// High dynamic range becomes the usual one.
    pub tone_map: bool,
}

/// Faces of a video over time, in pixels of its upright pictures.
#[derive(Debug)]
pub struct Film {
    tracks: Tracks,
    scale: (f32, f32),
    times: Vec<f64>,
}

impl Film {
    /// `scale`: pixels of the upright pictures to one of the tracks'. `times`: of each frame.
    pub(super) const fn new(tracks: Tracks, scale: (f32, f32), times: Vec<f64>) -> Self {
        Self {
            tracks,
            scale,
            times,
        }
    }

    /// Tracks.
    pub(super) const fn tracks(&self) -> &Tracks {
        &self.tracks
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
            people_frames: (0..self.frames()).map(|f| self.tracks.at(f).len()).sum(),
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

/// One video at a time: each takes all cores, and memory is to be bounded.
static TURN: Mutex<()> = Mutex::new(());

/// Faces are searched in copies of at most this many pixels.
pub(super) const SEARCHED: u32 = 1_000_000;
/// Seconds between two frames that are searched: a seventh of what a track is held, and a third of the
/// cost of every frame at 30 a second. Compared with .033 and .066 only.
const PERIOD: f64 = 0.1;
/// A score that begins a track, as a multiple of what the rule for photos asks for. A face is seen
/// in many frames, so its best score may be asked for; what is not one is held as long as one.
const BEGIN: f32 = 1.7;
/// A score that continues a track, as a share of what the rule for photos asks for.
const FAINT: f32 = 0.5;
/// Frames that wait between two stages.
pub(super) const WAITING: usize = 4;

/// A frame of the first pass.
pub(super) struct Look {
    pts: i64,
    motion: Option<Motion>,
    /// To be searched.
    frame: Option<Frame>,
}

impl Look {
    pub(super) const fn motion(&self) -> Option<Motion> {
        self.motion
    }

    pub(super) const fn searched(&self) -> bool {
        self.frame.is_some()
    }
}

/// What is known of a video before it is covered.
struct Known {
    clip: Clip,
    film: Film,
    pts: Vec<i64>,
    /// When the last frame ends, in the video's time base.
    end: i64,
}

impl Shop<'_> {
    /// Does one video.
    pub(super) fn video(
        &self,
        index: usize,
        job: &Job,
        demuxer: &'static str,
        progress: &dyn Progress,
    ) -> Option<Outcome> {
        let mut outcome = Outcome::new(job.source.clone(), Status::Done);
        outcome.record.output = super::photo::shown_output(job);
        let opened = File::open(job.source.path()).map_err(|e| Error::Read {
            path: job.source.path().into(),
            source: e,
        });
        let result =
            opened.and_then(|file| self.alone(index, job, demuxer, file, progress, &mut outcome));
        match result {
            Ok(()) => {}
            Err(Error::Interrupted) => return None,
            // A child that was killed by the same Ctrl-C.
            Err(_) if progress.stop() => return None,
            Err(error) => {
                outcome.fail(error);
            }
        }
        Some(outcome)
    }

    /// Does one video while no other is worked on.
    pub(super) fn alone(
        &self,
        index: usize,
        job: &Job,
        demuxer: &'static str,
        file: File,
        progress: &dyn Progress,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        self.film(index, job, demuxer, file, progress, outcome)
    }

    fn film(
        &self,
        index: usize,
        job: &Job,
        demuxer: &'static str,
        file: File,
        progress: &dyn Progress,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let source = job.source.path();
        let failed = |source_error: StreamError| Error::Video {
            path: source.into(),
            source: source_error,
        };
        let options = ClipOptions {
            allow_damaged: self.settings.decode.allow_damaged,
            max_memory: self.settings.decode.max_memory,
            tone_map: matches!(&self.settings.task, Task::Cover { video, .. } if video.tone_map),
        };
        let clip = Clip::open(file, source, demuxer, options).map_err(failed)?;
        let (layout, probe) = (clip.layout(), clip.probe().clone());
        (outcome.record.width, outcome.record.height) = (Some(layout.width), Some(layout.height));
        outcome.record.dropped = probe
            .others
            .iter()
            .map(|kind| Dropped {
                kind: kind.clone(),
                bytes: 0,
            })
            .collect();
        let known = self.look(source, clip, progress)?;
        let seconds = known.clip.time_base().seconds(known.end);
        let mut facts = VideoFacts {
            converted: known.clip.converted().map(str::to_owned),
            ..known.film.facts(VideoKind::Video, seconds)
        };
        if let (Some(name), Task::Cover { .. }) = (known.clip.hdr(), &self.settings.task) {
            let maps = known.clip.tone_maps();
            facts.hdr = Some(format!(
                "{name}, {}",
                if maps { "tone-mapped" } else { "kept" }
            ));
        }
        if let Task::Cover { video, .. } = &self.settings.task {
            facts.sound = Some(video.audio.told(probe.audio.len()).to_owned());
            if probe.audio.is_empty() {
                facts.sound = None;
            }
        }
        outcome.record.video = Some(facts);
        if matches!(self.settings.task, Task::Cover { .. }) {
            self.cover(index, job, &known, progress)?;
        }
        let faults = known.clip.faults();
        outcome.record.damage = (!faults.is_empty()).then(|| faults.join("; "));
        outcome.film = Some(known.film);
        Ok(())
    }

    /// The first pass.
    fn look(&self, source: &Path, clip: Clip, progress: &dyn Progress) -> Result<Known, Error> {
        let failed = |e: StreamError| Error::Video {
            path: source.into(),
            source: e,
        };
        let search = match &self.settings.faces {
            Faces::Search(detector, options) => Some((*detector, *options)),
            Faces::Raw(..) => {
                return Err(failed(StreamError::Failed(
                    "is a video, and --raw is for photos; leave --raw out".into(),
                )));
            }
            Faces::Given(_) => None,
        };
        // Without a search the pictures count only for their times.
        let mut pictures = clip
            .search(if search.is_some() { SEARCHED } else { 4096 })
            .map_err(failed)?;
        let size = pictures.size();
        let layout = clip.layout();
        let scale = (
            layout.width as f32 / size.0 as f32,
            layout.height as f32 / size.1 as f32,
        );
        let base = clip.time_base();
        let total = clip.probe().video.frames.map(|n| n as usize);
        let mut tracker = Tracker::new(track::Options::default(), size);
        let mut pts: Vec<i64> = Vec::new();
        let mut seen = 0;
        let (send, receive) = mpsc::sync_channel::<Result<Look, StreamError>>(WAITING);
        let searches = search.is_some();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut follow = Follow::new(searches);
                loop {
                    let look = match pictures.picture() {
                        Ok(Some((frame, pts))) => Ok(follow.look(frame, pts, base.seconds(pts))),
                        Ok(None) => return,
                        Err(error) => Err(error),
                    };
                    let over = look.is_err();
                    if send.send(look).is_err() || over {
                        return;
                    }
                }
            });
            // Moved in, so that a failure below also ends the thread above.
            let receive = receive;
            let batch = 2 * self.settings.workers.max(1);
            loop {
                let mut looks = Vec::new();
                let mut last = true;
                while let Ok(look) = receive.recv() {
                    looks.push(look.map_err(failed)?);
                    if looks.iter().filter(|l| l.frame.is_some()).count() >= batch
                        || looks.len() >= 64
                    {
                        last = false;
                        break;
                    }
                }
                let found =
                    search_all(&looks, search.as_ref(), scale).map_err(|e| Error::Detect {
                        path: source.into(),
                        source: e,
                    })?;
                for (look, found) in looks.iter().zip(found) {
                    if pts.last().is_some_and(|&p| p >= look.pts) {
                        return Err(failed(StreamError::Failed(
                            "has pictures whose times run backwards; convert it first".into(),
                        )));
                    }
                    seen += found
                        .as_ref()
                        .map_or(0, |f| f.iter().filter(|s| s.sure()).count());
                    pts.push(look.pts);
                    tracker.push(base.seconds(look.pts), look.motion, found);
                }
                go_on(progress)?;
                progress.frames(source, Pass::Search, pts.len(), total, seen);
                if last {
                    return Ok(());
                }
            }
        })?;
        if pts.is_empty() {
            return Err(failed(StreamError::Failed(
                "holds no picture at all; get a sound copy".into(),
            )));
        }
        let times: Vec<f64> = pts.iter().map(|&p| base.seconds(p)).collect();
        let (tracks, scale) = match &self.settings.faces {
            Faces::Given(boxes) => {
                let size = (layout.width, layout.height);
                (given(boxes, source, size, &times)?, (1.0, 1.0))
            }
            _ => (tracker.finish(), scale),
        };
        let end = end_of(&clip, &pts);
        Ok(Known {
            clip,
            film: Film {
                tracks,
                scale,
                times,
            },
            pts,
            end,
        })
    }

    /// The second pass.
    fn cover(
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
        let audio =
            video.audio != crate::sound::Audio::Drop && !known.clip.probe().audio.is_empty();
        let mut pictures = known.clip.planes(audio).map_err(failed)?;
        let tracks = pictures.sound();
        let sound: Result<Vec<Sound>, _> = tracks
            .iter()
            .map(|&(rate, channels)| Sound::new(video.audio, rate, channels, &video.mute))
            .collect();
        let mut sound =
            sound.map_err(|_| covered(redact::RedactError::Random("for a disguise".into())))?;
        self.sweep(write::folder_of(target));
        let pending =
            write::Pending::create(target, self.settings.request.overwrite).map_err(written)?;
        let pending = pending.timeless(self.settings.request.neutral);
        let plan = plan(&known.clip, format, tracks, video);
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
                            return Err(failed(changed()));
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
                                known.film.tracks.len(),
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
            return Err(failed(changed()));
        }
        encoder.finish(known.end).map_err(encoded)?;
        go_on(progress)?;
        let layout = known.clip.layout();
        let expected = verify::Expected {
            format,
            size: (layout.width, layout.height),
            times: known.film.times.clone(),
            end: known.clip.time_base().seconds(known.end),
            sound: sound.len(),
        };
        pending
            .commit(|file| verify::check_clip(file, &expected))
            .map_err(written)
    }
}

fn changed() -> StreamError {
    StreamError::Failed(
        "gave other pictures the second time it was read; it changed meanwhile: run again".into(),
    )
}

/// What the encoder must know.
fn plan(clip: &Clip, format: crate::Format, sound: Vec<(u32, u32)>, video: &VideoOptions) -> Plan {
    let colours = clip.colours();
    let probe = &clip.probe().video;
    Plan {
        format,
        layout: clip.layout(),
        full: colours.full && clip.layout().depth == 8,
        time_base: clip.time_base(),
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

/// Colour as it is said in the output: what the input says, where its pixels are kept as they are.
fn colour(clip: &Clip) -> [Option<String>; 4] {
    let [range, primaries, transfer, matrix] = clip.colour();
    let rgb = matrix.as_deref() == Some("gbr");
    let range = if clip.colours().full {
        Some("pc".into())
    } else {
        range.filter(|_| !rgb)
    };
    [range, primaries, transfer, matrix.filter(|_| !rgb)]
}

/// When the last frame ends: as the container says, if that can be; otherwise as long as frames
/// usually are.
fn end_of(clip: &Clip, pts: &[i64]) -> i64 {
    let last = pts.last().copied().unwrap_or(0);
    let mut steps: Vec<i64> = pts.windows(2).map(|p| p[1] - p[0]).collect();
    steps.sort_unstable();
    let base = clip.time_base();
    let one = |seconds: f64| (seconds * f64::from(base.den) / f64::from(base.num)).round() as i64;
    let rate = clip.probe().video.rate;
    let usual = steps
        .get(steps.len() / 2)
        .copied()
        .unwrap_or_else(|| {
            if rate > 0.0 {
                one(1.0 / rate)
            } else {
                one(0.04)
            }
        })
        .max(1);
    let longest = steps.last().copied().unwrap_or(usual).max(usual);
    match clip.probe().video.end.map(one) {
        Some(end) if end > last && end - last <= 4 * longest => end,
        _ => last + usual,
    }
}

/// Follows the camera and says which frames are searched.
pub(super) struct Follow {
    camera: Camera,
    searches: bool,
    last: Option<f64>,
}

impl Follow {
    pub(super) fn new(searches: bool) -> Self {
        Self {
            camera: Camera::default(),
            searches,
            last: None,
        }
    }

    pub(super) fn look(&mut self, frame: Frame, pts: i64, time: f64) -> Look {
        if !self.searches {
            return Look {
                pts,
                motion: None,
                frame: None,
            };
        }
        let motion = self.camera.next(&green(&frame));
        // A little early rather than a frame late.
        let due = self
            .last
            .is_none_or(|l| time - l >= PERIOD - Duration::from_millis(4).as_secs_f64());
        let searched = due || motion.is_some_and(|m| m.cut);
        if searched {
            self.last = Some(time);
        }
        Look {
            pts,
            motion,
            frame: searched.then_some(frame),
        }
    }
}

/// Green stands for brightness: it weighs most in it, and nothing needs to be computed.
fn green(frame: &Frame) -> GrayImage {
    let rgb = frame.pixels().as_rgb8().map_or(&[][..], |p| p.as_raw());
    let grey = rgb.chunks_exact(3).map(|p| p[1]).collect();
    GrayImage::from_raw(frame.width(), frame.height(), grey).unwrap_or_default()
}

/// How frames are searched: for faint scores too, and at one size, as each face has many frames to be
/// seen in.
pub(super) fn faint(options: &detect::Options) -> detect::Options {
    let mut faint = detect::Options {
        rule: options.rule.times(FAINT),
        ..*options
    };
    faint.layout.halved_from = u32::MAX;
    faint
}

/// Searches the frames that are to be searched, all at once.
pub(super) fn search_all(
    looks: &[Look],
    search: Option<&(&Detector, detect::Options)>,
    scale: (f32, f32),
) -> Result<Vec<Option<Vec<Sighting>>>, detect::DetectError> {
    let Some((detector, options)) = search else {
        return Ok(vec![None; looks.len()]);
    };
    let faint = detect::Options {
        min_face: options.min_face / scale.1,
        ..faint(options)
    };
    looks
        .par_iter()
        .map(|look| {
            let Some(frame) = &look.frame else {
                return Ok(None);
            };
            let faces = detector.faces(frame, &faint)?;
            Ok(Some(
                faces
                    .iter()
                    .map(|f| Sighting::new(f, BEGIN * options.rule.threshold(f.rect.height())))
                    .collect(),
            ))
        })
        .collect()
}

/// The demuxer for a job that is a video.
pub(super) fn demuxer_of(source: &crate::discover::Source) -> Option<&'static str> {
    match super::kind_of(source)? {
        decode::Kind::Video(_, demuxer) => Some(demuxer),
        _ => None,
    }
}
