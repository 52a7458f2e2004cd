//! One video, in two passes: first every frame is looked at and faces are followed, then every
//! frame is covered and encoded. Only a few frames are in memory at a time, whatever the length.

mod cover;

use std::{
    fs::File,
    path::Path,
    sync::{Mutex, PoisonError, mpsc},
};

use super::{
    Faces, Film, Outcome, Pass, Progress, Shop, Task,
    follow::{Follow, Look, SEARCHED, WAITING, caution, following},
    looks::Looks,
    moving::given,
    photo::go_on,
};
use crate::{
    Caution,
    decode::{
        self, Dropped,
        clip::{Clip, ClipOptions, Fingerprints, FirstPass},
    },
    discover::Job,
    error::Error,
    ffmpeg::StreamError,
    report::{Status, VideoFacts, VideoKind},
    track::Tracker,
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

/// One video at a time: each takes all cores, and memory is to be bounded.
static TURN: Mutex<()> = Mutex::new(());

/// What is known of a video before it is covered.
struct Known {
    clip: Clip,
    film: Film,
    pts: Vec<i64>,
    /// Of the frames that were searched; `None` where nothing was.
    fingerprints: Option<Fingerprints>,
    /// Faces that the search can't find.
    caution: Option<Caution>,
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

    /// Refuses to turn what is no photo: the option would do nothing.
    pub(super) fn as_it_stands(&self) -> Result<(), StreamError> {
        match self.settings.decode.orientation {
            None => Ok(()),
            Some(_) => Err(StreamError::Failed(
                "is a video, and --orientation is for pictures; leave it out".into(),
            )),
        }
    }

    /// Whether a video's sound is read: the same in both passes.
    fn hears(&self, clip: &Clip) -> bool {
        let Task::Cover { video, .. } = &self.settings.task else {
            return false;
        };
        video.audio != crate::sound::Audio::Drop && !clip.probe().audio.is_empty()
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
        self.as_it_stands().map_err(failed)?;
        let options = ClipOptions {
            allow_damaged: self.settings.decode.allow_damaged,
            fit: self.settings.decode.fit,
            stream: self.settings.decode.video_stream,
            max_memory: self.settings.decode.max_memory,
            tone_map: matches!(&self.settings.task, Task::Cover { video, .. } if video.tone_map),
            keep_chroma: matches!(&self.settings.task, Task::Cover { video, .. } if video.choice.keep_chroma),
        };
        let clip = Clip::open(file, source, demuxer, options).map_err(failed)?;
        self.can_become(job, &clip)?;
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
        let known = self.look(index, source, clip, progress)?;
        outcome.record.cautions.extend(known.caution.clone());
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
            self.cover_film(index, job, &known, progress)?;
        }
        let faults = known.clip.faults();
        outcome.record.damage = (!faults.is_empty()).then(|| faults.join("; "));
        outcome.film = Some(known.film);
        Ok(())
    }

    /// The first pass.
    fn look(
        &self,
        index: usize,
        source: &Path,
        clip: Clip,
        progress: &dyn Progress,
    ) -> Result<Known, Error> {
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
            .search(&FirstPass {
                pixels: search.is_some().then_some(SEARCHED),
                audio: self.hears(&clip),
                fingerprints: search.is_some() && matches!(self.settings.task, Task::Cover { .. }),
            })
            .map_err(failed)?;
        let size = pictures.size();
        let layout = clip.layout();
        let scale = (
            layout.width as f32 / size.0 as f32,
            layout.height as f32 / size.1 as f32,
        );
        let base = clip.time_base();
        let total = clip.probe().video.frames.map(|n| n as usize);
        let mut tracker = Tracker::new(following(), size);
        let mut pts: Vec<i64> = Vec::new();
        let mut seen = 0;
        let (send, receive) = mpsc::sync_channel::<Result<Look, StreamError>>(WAITING);
        let schedule = search.is_some().then(|| self.schedule(index)).transpose();
        let schedule = schedule.map_err(|e| Error::Redact {
            path: source.into(),
            source: e,
        })?;
        let fingerprints = std::thread::scope(|scope| {
            let decoding = scope.spawn(move || {
                let mut follow = Follow::new(schedule);
                loop {
                    let (looks, over) = match pictures.picture() {
                        Ok(Some((copies, pts))) => {
                            (follow.look(copies, pts, base.seconds(pts)), false)
                        }
                        Ok(None) => (follow.finish(), true),
                        Err(error) => {
                            let _ = send.send(Err(error));
                            return None;
                        }
                    };
                    if looks.into_iter().any(|look| send.send(Ok(look)).is_err()) {
                        return None;
                    }
                    if over {
                        return pictures.fingerprints();
                    }
                }
            });
            // Moved in, so that a failure below also ends the thread above.
            let receive = receive;
            let batch = 2 * self.settings.workers.max(1);
            let mut searched = Looks::new(search, scale);
            loop {
                let mut looks = Vec::new();
                let mut last = true;
                while let Ok(look) = receive.recv() {
                    looks.push(look.map_err(failed)?);
                    if looks.iter().filter(|l| l.due).count() >= batch || looks.len() >= BATCH {
                        last = false;
                        break;
                    }
                }
                let found = searched.search(looks, last).map_err(|e| Error::Detect {
                    path: source.into(),
                    source: e,
                })?;
                for frame in found {
                    if pts.last().is_some_and(|&p| p >= frame.pts) {
                        return Err(failed(StreamError::Backwards));
                    }
                    seen += frame.sure();
                    pts.push(frame.pts);
                    frame.tell(&mut tracker, base.seconds(frame.pts), false);
                }
                go_on(progress)?;
                progress.frames(source, Pass::Search, pts.len(), total, seen);
                if last {
                    // Its channel is closed: it is over.
                    return Ok(decoding.join().unwrap_or(None));
                }
            }
        })?;
        if pts.is_empty() {
            return Err(failed(StreamError::Failed(
                "holds no frames at all; get an undamaged copy".into(),
            )));
        }
        let times: Vec<f64> = pts.iter().map(|&p| base.seconds(p)).collect();
        let caution = search.and_then(|(_, options)| caution(&options, scale.1));
        let (tracks, scale) = match &self.settings.faces {
            Faces::Given(boxes) => {
                let size = (layout.width, layout.height);
                (given(boxes, source, size, &times, &[])?, (1.0, 1.0))
            }
            _ => (tracker.finish(), scale),
        };
        let end = end_of(&clip, &pts);
        Ok(Known {
            clip,
            film: Film::new(tracks, scale, times),
            pts,
            fingerprints,
            caution,
            end,
        })
    }
}

/// Pictures that are searched at a time, with those between them: 3 MB each at most.
const BATCH: usize = 24;

/// How long a last frame is believed to be held, in seconds.
const LONGEST_HELD: f64 = 3600.0;

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
    // A last frame may be held long; where its end is guessed, that is more likely a wrong guess.
    let most = if clip.tells_its_end() {
        one(LONGEST_HELD)
    } else {
        4 * longest
    };
    clip.ends()
        .map(one)
        .find(|end| *end > last && end - last <= most)
        .unwrap_or(last + usual)
}

/// The demuxer for a job that is a video.
pub(super) fn demuxer_of(source: &crate::discover::Source) -> Option<&'static str> {
    match super::input::kind_of(source)? {
        decode::Kind::Video(_, demuxer) => Some(demuxer),
        _ => None,
    }
}
