//! A stream of pictures without compression, which can be read only once and may never end.
//!
//! Pictures wait, uncovered, in memory alone, until the faces of the next [`ahead`] seconds are
//! known: as long as the tracker bridges a gap and holds a track before its first sighting. What
//! is seen later than that can't reach back to them, which is the one difference to a file. A
//! picture is handed on whole and covered, or not at all.

mod window;

use std::{
    collections::HashMap,
    io::{BufWriter, Read, Write},
    path::Path,
    sync::{Arc, atomic::AtomicBool, mpsc},
};

use super::{
    Faces, Film, Outcome, Pass, Progress, Shop, Task,
    film::people,
    follow::{Follow, Look, SEARCHED, SKIPPED, WAITING, caution, following},
    looks::Looks,
    moving::{numbered, spots},
    patient::leaving,
    photo::go_on,
};
use crate::{
    decode::y4m::Y4m,
    discover::{Job, Output},
    encode::y4m::Y4mWriter,
    error::Error,
    ffmpeg::StreamError,
    geometry::Rect,
    planes::Planes,
    redact::{RedactError, clip::ClipCover},
    report::{Status, VideoFacts},
    track::{Covered, Tracks},
    verify, write,
    y4m::Header,
};
use window::{Moment, STEP, Window, ahead};

/// Pictures that are searched at a time, with those between them.
const BATCH: usize = 16;

/// A picture, if it is to be covered; what is to be searched of some before it; whether that was the last.
type Next = Result<(Option<Planes>, Vec<Look>, bool), StreamError>;

/// Where covered pictures go.
struct Out<'a> {
    writer: Y4mWriter<Box<dyn Write>>,
    pending: Option<write::Pending>,
    cover: ClipCover,
    places: &'a [Rect],
    preview: bool,
    shown: &'a Path,
    written: usize,
    people: usize,
    bridged: usize,
    /// Whether a track is being bridged.
    bridging: HashMap<u32, bool>,
}

impl Out<'_> {
    /// Covers and hands on. `seen`: in pixels of the picture. `searched`: a track without a score
    /// was looked for here and not seen.
    fn picture(
        &mut self,
        picture: Planes,
        seen: &[Covered],
        searched: bool,
        source: &Path,
    ) -> Result<(), Error> {
        let covered = |e: RedactError| Error::Redact {
            path: source.into(),
            source: e,
        };
        let spots = spots(seen, self.places);
        let mut picture = self.cover.cover(picture, &spots).map_err(covered)?;
        if self.preview {
            self.cover.outline(&mut picture, &numbered(seen));
        }
        self.writer.picture(&picture).map_err(|e| Error::Write {
            path: self.shown.into(),
            source: e.into(),
        })?;
        self.written += 1;
        self.people += people(seen);
        for c in seen.iter().filter(|_| searched) {
            if c.score > 0.0 {
                let bridging = self.bridging.insert(c.track, false);
                self.bridged += usize::from(bridging == Some(true));
            } else if let Some(bridging) = self.bridging.get_mut(&c.track) {
                *bridging = true;
            }
        }
        Ok(())
    }
}

impl Shop<'_> {
    /// Does one stream.
    pub(super) fn stream(
        &self,
        index: usize,
        job: &Job,
        (input, over): (Box<dyn Read + Send>, Arc<AtomicBool>),
        progress: &dyn Progress,
    ) -> Option<Outcome> {
        let mut outcome = Outcome::new(job.source.clone(), Status::Done);
        outcome.record.output = super::photo::shown_output(job);
        let result = leaving(&over, progress, || {
            self.streamed(index, job, input, progress, &mut outcome)
        });
        match result {
            Ok(()) => {}
            Err(Error::Interrupted) => return None,
            // What was waited for will not come.
            Err(_) if progress.stop() => return None,
            Err(error) => {
                outcome.fail(error);
            }
        }
        Some(outcome)
    }

    fn streamed(
        &self,
        index: usize,
        job: &Job,
        input: Box<dyn Read + Send>,
        progress: &dyn Progress,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let source = job.source.path();
        let failed = |e: StreamError| Error::Video {
            path: source.into(),
            source: e,
        };
        self.as_it_stands().map_err(failed)?;
        let y4m = Y4m::open(input, SEARCHED).map_err(failed)?;
        let header = y4m.header().clone();
        if let Faces::Search(_, options) = &self.settings.faces {
            let scale = header.layout.height as f32 / y4m.reduced().1 as f32;
            outcome.record.cautions.extend(caution(options, scale));
        }
        (outcome.record.width, outcome.record.height) =
            (Some(header.layout.width), Some(header.layout.height));
        let mut out = match &self.settings.task {
            Task::Cover { .. } => {
                self.allow(&header).map_err(failed)?;
                Some(self.out(index, job, &header)?)
            }
            Task::Detect => None,
        };
        let (frames, tracks, film) = match &self.settings.faces {
            Faces::Raw(..) => {
                return Err(failed(StreamError::Failed(
                    "is a video, and --raw is for photos; leave --raw out".into(),
                )));
            }
            Faces::Given(_) => self.given(source, y4m, out.as_mut(), progress)?,
            Faces::Search(..) => self.searched((index, source), y4m, out.as_mut(), progress)?,
        };
        if frames == 0 {
            return Err(failed(StreamError::Failed(
                "holds no picture at all; see what the program before the pipe says".into(),
            )));
        }
        outcome.record.video = Some(VideoFacts {
            frames,
            tracks,
            people_frames: out.as_ref().map_or(0, |o| o.people),
            bridged: out.as_ref().map_or(0, |o| o.bridged),
            seconds: header.time(frames),
            ..VideoFacts::default()
        });
        outcome.film = film;
        match out {
            Some(out) => finish(out, &header, frames),
            None => Ok(()),
        }
    }

    /// Whether the pictures that must wait have room.
    fn allow(&self, header: &Header) -> Result<(), StreamError> {
        let options = following();
        let rate = f64::from(header.rate.0) / f64::from(header.rate.1);
        let waiting = match self.settings.faces {
            // Given boxes need no looking ahead.
            Faces::Given(_) => 1.0,
            _ => (ahead(&options) + STEP) * rate,
        };
        let pictures = waiting.ceil() as u64 + (BATCH + SKIPPED + WAITING) as u64;
        let needs = pictures.saturating_mul(header.layout.bytes() as u64);
        let limit = self.settings.decode.max_memory;
        if needs > limit {
            return Err(StreamError::Failed(format!(
                "needs {} MiB for the pictures that wait until faces are followed {:.1} s ahead, where {} MiB are allowed; raise --max-memory, or write it to a file first",
                needs.div_ceil(1 << 20),
                ahead(&options),
                limit >> 20
            )));
        }
        Ok(())
    }

    fn out<'a>(&'a self, index: usize, job: &'a Job, header: &Header) -> Result<Out<'a>, Error> {
        let Task::Cover {
            redact,
            places,
            preview,
            ..
        } = &self.settings.task
        else {
            return Err(Error::Interrupted);
        };
        let covered = |e: RedactError| Error::Redact {
            path: job.source.path().into(),
            source: e,
        };
        let noise = self.moving_noise(index).map_err(covered)?;
        let cover = ClipCover::new(redact, header.colours(), noise).map_err(covered)?;
        let (shown, pending): (&Path, _) = match &job.output {
            Some(Output::File(path)) => {
                if crate::Format::from_path(path) != Some(crate::Format::Y4m) {
                    return Err(Error::Encode {
                        path: path.as_path().into(),
                        source: crate::encode::EncodeError::Piped,
                    });
                }
                self.sweep(write::folder_of(path));
                let pending = write::Pending::create(path, job.replace);
                let pending = pending.map_err(|e| Error::Write {
                    path: path.as_path().into(),
                    source: e,
                })?;
                (path, Some(pending.timeless(self.settings.request.neutral)))
            }
            Some(Output::Stdout) => (Path::new("standard output"), None),
            None => return Err(self.no_output(job.source.path())),
        };
        let written = |e: write::WriteError<verify::VerifyError>| Error::Write {
            path: shown.into(),
            source: e,
        };
        let target: Box<dyn Write> = match &pending {
            Some(pending) => Box::new(pending.file().map_err(written)?),
            None => Box::new(std::io::stdout()),
        };
        let target: Box<dyn Write> = Box::new(BufWriter::with_capacity(1 << 18, target));
        let writer = Y4mWriter::new(target, header).map_err(|e| written(e.into()))?;
        Ok(Out {
            writer,
            pending,
            cover,
            places,
            preview: *preview,
            shown,
            written: 0,
            people: 0,
            bridged: 0,
            bridging: HashMap::new(),
        })
    }

    /// Boxes that a person gave.
    fn given(
        &self,
        source: &Path,
        mut y4m: Y4m,
        mut out: Option<&mut Out<'_>>,
        progress: &dyn Progress,
    ) -> Result<(usize, usize, Option<Film>), Error> {
        let Faces::Given(boxes) = &self.settings.faces else {
            return Ok((0, 0, None));
        };
        let header = y4m.header().clone();
        let size = (header.layout.width, header.layout.height);
        let failed = |e: StreamError| Error::Video {
            path: source.into(),
            source: e,
        };
        let wrong = |e: crate::report::BoxesError| Error::Boxes {
            path: source.into(),
            source: e,
        };
        // How many pictures there are shows at their end.
        let moving = crate::report::Moving {
            size,
            frames: None,
            orientations: &[],
        };
        let given = boxes.over_time(source, moving);
        let given = given.map_err(wrong)?;
        let last = boxes.last_frame(source);
        let times: Vec<f64> = (0..last.map_or(0, |l| l + 1))
            .map(|i| header.time(i))
            .collect();
        let tracks = given.len();
        let film = Film::new(Tracks::given(&times, given, size), (1.0, 1.0), times);
        let mut frames = 0;
        while let Some(picture) = y4m.picture(frames).map_err(failed)? {
            if let Some(out) = &mut out {
                out.picture(picture, &film.at(frames), false, source)?;
            }
            frames += 1;
            go_on(progress)?;
        }
        if let Some(last) = last.filter(|l| *l >= frames) {
            return Err(wrong(crate::report::BoxesError::Frame(last, frames)));
        }
        if let Some(missing) = last.map(|l| l + 1).filter(|l| *l < frames) {
            return Err(wrong(crate::report::BoxesError::NoFrame(missing)));
        }
        Ok((frames, tracks, Some(film)))
    }

    /// Faces from the network.
    fn searched(
        &self,
        (index, source): (usize, &Path),
        mut y4m: Y4m,
        mut out: Option<&mut Out<'_>>,
        progress: &dyn Progress,
    ) -> Result<(usize, usize, Option<Film>), Error> {
        let Faces::Search(detector, options) = &self.settings.faces else {
            return Ok((0, 0, None));
        };
        let failed = |e: StreamError| Error::Video {
            path: source.into(),
            source: e,
        };
        let (header, size) = (y4m.header().clone(), y4m.reduced());
        let scale = (
            header.layout.width as f32 / size.0 as f32,
            header.layout.height as f32 / size.1 as f32,
        );
        let covers = out.is_some();
        let search = (*detector, *options);
        let schedule = self.schedule(index).map_err(|e| Error::Redact {
            path: source.into(),
            source: e,
        })?;
        let mut window = Window::new(size, scale);
        let (mut frames, mut faces) = (0, 0);
        let (send, receive) = mpsc::sync_channel(WAITING);
        std::thread::scope(|scope| {
            let header = &header;
            scope.spawn(move || {
                let mut follow = Follow::new(Some(schedule));
                for number in 0.. {
                    let next = y4m.picture(number).and_then(|picture| {
                        let Some(picture) = picture else {
                            return Ok((None, follow.finish(), true));
                        };
                        let copies = y4m.reduce(&picture)?;
                        let looks = follow.look(copies, number as i64, header.time(number));
                        Ok((covers.then_some(picture), looks, false))
                    });
                    let over = !matches!(next, Ok((.., false)));
                    if send.send(next).is_err() || over {
                        return;
                    }
                }
            });
            // Moved in, so that a failure below also ends the thread above.
            let receive: mpsc::Receiver<Next> = receive;
            let batch = 2 * self.settings.workers.max(1);
            let mut searched = Looks::new(Some(search), scale);
            loop {
                let (mut looks, mut over) = (Vec::new(), false);
                while looks.len() < BATCH && looks.iter().filter(|l: &&Look| l.due).count() < batch
                {
                    let next = receive
                        .recv()
                        .map_err(|_| failed(StreamError::Pipe("the reader went away".into())))?
                        .map_err(failed)?;
                    let (picture, more, last) = next;
                    window.pictures.extend(picture);
                    looks.extend(more);
                    if last {
                        over = true;
                        break;
                    }
                }
                let found = searched.search(looks, over).map_err(|e| Error::Detect {
                    path: source.into(),
                    source: e,
                })?;
                for frame in found {
                    faces += frame.sure();
                    let time = header.time(frames);
                    window.moments.push_back(Moment { time, frame });
                    frames += 1;
                }
                if let Some(out) = &mut out {
                    hand_on(&mut window, out, over, source)?;
                }
                go_on(progress)?;
                progress.frames(source, Pass::Search, frames, None, faces);
                if over {
                    return Ok::<(), Error>(());
                }
            }
        })?;
        if covers {
            return Ok((frames, window.tracks as usize, None));
        }
        let times = (0..frames).map(|i| header.time(i)).collect();
        let tracks = window.link();
        Ok((
            frames,
            tracks.len(),
            Some(Film::new(tracks, window.scale, times)),
        ))
    }
}

/// Covers and hands on what is due.
fn hand_on(window: &mut Window, out: &mut Out<'_>, over: bool, source: &Path) -> Result<(), Error> {
    let due = window.due(over);
    if due <= window.next {
        return Ok(());
    }
    let tracks = window.link();
    let mut known = window.known(&tracks);
    while window.next < due {
        let Some(picture) = window.pictures.pop_front() else {
            break;
        };
        let (searched, mut seen) = window.tell(&tracks, &mut known);
        let (sx, sy) = window.scale;
        for c in &mut seen {
            c.rect = c.rect.scaled(sx, sy);
        }
        out.picture(picture, &seen, searched, source)?;
    }
    window.forget();
    Ok(())
}

/// Ends the output; a file is checked before it gets its name.
fn finish(out: Out<'_>, header: &Header, frames: usize) -> Result<(), Error> {
    let written = |e: write::WriteError<verify::VerifyError>| Error::Write {
        path: out.shown.into(),
        source: e,
    };
    if out.written != frames {
        return Err(Error::Encode {
            path: out.shown.into(),
            source: crate::encode::EncodeError::Encoder("another number of pictures".into()),
        });
    }
    out.writer.finish().map_err(|e| written(e.into()))?;
    let Some(pending) = out.pending else {
        return Ok(());
    };
    let expected = verify::Expected {
        format: crate::Format::Y4m,
        size: (header.layout.width, header.layout.height),
        times: (0..frames).map(|i| header.time(i)).collect(),
        end: header.time(frames),
        sound: 0,
    };
    pending
        .commit(|file| verify::check_clip(file, &expected))
        .map_err(written)
}
