//! Joins the rooms: the only one that knows several of them.

mod animation;
mod caged;
mod check;
mod crew;
mod motion;
mod moving;
mod photo;
mod sequence;
mod stream;
mod video;

use std::{
    collections::HashSet,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    decode, detect,
    discover::{self, Job, Listed, Output, Source},
    error::Error,
    geometry::Rect,
    redact::{self, RedactError},
    report::{Boxes, Record, Status, VERSION, names},
    verify, write,
};

pub use caged::{Caged, enter_cage};
pub use check::{Checked, check};
pub use video::{Film, VideoOptions};

/// What is being done with a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Faces are looked for.
    Search,
    /// Faces are covered.
    Cover,
}

/// Who is told of what happens, and may say stop.
pub trait Progress: Sync {
    /// All jobs are known: so many inputs.
    fn planned(&self, _jobs: usize) {}

    /// One input is finished; in the order of the inputs.
    ///
    /// # Errors
    /// When it can't be told (a report that can't be written): the run ends.
    fn finished(&self, outcome: &Outcome) -> io::Result<()>;

    /// So many frames of a video are done, of so many if that is known; `faces` so far.
    fn frames(
        &self,
        _source: &std::path::Path,
        _pass: Pass,
        _done: usize,
        _of: Option<usize>,
        _faces: usize,
    ) {
    }

    /// Whether to stop: what is in flight is dropped, nothing partial is left.
    fn stop(&self) -> bool {
        false
    }
}

/// What becomes of the pictures.
#[derive(Debug)]
pub enum Task {
    /// Cover, verify, write.
    Cover {
        /// How to cover.
        redact: redact::Options,
        /// JPEG quality, 1 to 100.
        quality: u8,
        /// Further places to cover, in pixels of the upright picture.
        places: Vec<Rect>,
        /// Draw numbered outlines over the covered picture.
        preview: bool,
        /// Seed of the noise, for tests; `None` draws it from the system.
        seed: Option<u64>,
        /// How much of the usual noise blur and pixelate get, 0 to 1; less than 1 is weak.
        noise: f32,
        /// How the covered picture is searched again; only where faces are searched for at all, and
        /// not in videos.
        recheck: Option<Recheck>,
        /// Make the sensor's pattern fainter; photos only.
        scramble: bool,
        /// What counts for videos only.
        video: VideoOptions,
    },
    /// Look for faces only.
    Detect,
}

/// How a covered picture is searched again for faces that are still to be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recheck {
    /// How much is done.
    pub looks: detect::again::Looks,
    /// What counts as a face then, by heights in the picture: it is covered too.
    pub rule: detect::rule::Rule,
    /// What is named for a person to look at.
    pub uncertain: detect::rule::Rule,
}

/// Where faces come from.
#[derive(Debug)]
pub enum Faces<'a> {
    /// From the network.
    Search(&'a detect::Detector, detect::Options),
    /// From the network in one plain pass, for measuring it.
    Raw(&'a detect::Detector, detect::Raw),
    /// From a file that a person may have edited.
    Given(Boxes),
}

/// A whole run, resolved.
#[derive(Debug)]
pub struct Settings<'a> {
    /// What was named.
    pub request: discover::Request,
    /// Inputs that come while others are worked on, instead of those of the request.
    pub list: Option<discover::List>,
    /// What may be decoded.
    pub decode: decode::Options,
    /// Decoders in children, and `ffmpeg` held like them; `None`: in this process, which a library must
    /// do unless its program calls [`enter_cage`].
    pub cage: Option<&'a Caged>,
    /// Where faces come from.
    pub faces: Faces<'a>,
    /// What becomes of the pictures.
    pub task: Task,
    /// Pictures worked on at the same time, at least 1; their windows go to rayon's global pool.
    pub workers: usize,
    /// Pixels held at the same time, in bytes; one picture alone may need more.
    pub memory: u64,
}

/// One input's fate.
#[derive(Debug)]
pub struct Outcome {
    /// The input.
    pub source: Source,
    /// The report's line on it.
    pub record: Record,
    /// Why it failed.
    pub error: Option<Error>,
    /// For a video: its faces over time.
    pub film: Option<Film>,
}

/// A run in numbers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Covered, verified and written (or, without covering, searched).
    pub done: usize,
    /// How many of them were videos, animations and folders of frames, by
    /// [`crate::report::VideoKind`].
    pub kinds: [usize; 3],
    /// Faces in them.
    pub faces: usize,
    /// Those without any face or place, by name.
    pub without_faces: Vec<PathBuf>,
    /// Those with something that may be a face and was not covered, by name.
    pub uncertain: Vec<PathBuf>,
    /// Outputs that were there already.
    pub skipped: usize,
    /// Files in folders that are no pictures, links, special files.
    pub passed_over: usize,
    /// Inputs of which nothing was written.
    pub failed: usize,
    /// Why they failed, and how many for that reason; most frequent first.
    pub causes: Vec<(String, usize)>,
    /// Photos whose clips were dropped.
    pub motion: usize,
    /// A person stopped the run.
    pub interrupted: bool,
    /// The reader of standard output went away.
    pub closed: bool,
}

/// Runs everything, in the order of the inputs.
///
/// # Errors
/// When nothing can be begun ([`Error::Discover`]) or `progress` fails. What happens to single
/// inputs is told to `progress` and counted in the [`Summary`].
pub fn run(settings: &Settings<'_>, progress: &dyn Progress) -> Result<Summary, Error> {
    let limit = settings
        .decode
        .max_memory
        .saturating_add(settings.decode.max_metadata);
    let wants_stdin = settings.request.inputs.iter().any(|i| i.as_os_str() == "-");
    let stdin = if wants_stdin {
        Some(read_stdin(limit))
    } else {
        None
    };
    let stdin_bytes = stdin
        .as_ref()
        .and_then(|s| s.as_ref().ok())
        .map(|piped| &piped.bytes);
    let mut summary = Summary::default();
    let planned = match &settings.list {
        Some(_) => {
            // Whether the outputs have a place at all is known before the first input.
            let empty = discover::Request {
                list: true,
                ..settings.request.clone()
            };
            discover::plan(&empty, |_| None)?;
            None
        }
        None => Some(discover::plan(&settings.request, |source| {
            format_of(source, stdin_bytes)
        })?),
    };
    let mut jobs = Vec::new();
    let mut unreadable = Vec::new();
    if let Some(plan) = planned {
        progress.planned(plan.jobs.len() + plan.failed.len());
        summary.passed_over = plan.passed_over;
        (jobs, unreadable) = (plan.jobs, plan.failed);
    }
    let shop = Shop {
        settings,
        stdin: Mutex::new(stdin),
        swept: Mutex::new(HashSet::new()),
        limit,
    };
    for (path, source) in unreadable {
        tell(&mut summary, progress, &Outcome::unreadable(path, source))?;
    }
    let mut told = Ok(());
    let work = |job: (usize, &Job)| shop.work(job, progress);
    let mut sink = |outcome| {
        told = tell(&mut summary, progress, &outcome);
        told.is_ok() && !summary.closed
    };
    let stop = || progress.stop();
    let mut passed_over = 0;
    let stopped = match &settings.list {
        Some(list) => {
            let format = |source: &Source| format_of(source, None);
            let mut stream = discover::Stream::new(list, &settings.request, format, &stop);
            let items = stream.by_ref().map(item).enumerate();
            let stopped = crew::work(items, settings, work, progress, &mut sink);
            passed_over = stream.passed_over;
            stopped
        }
        None => {
            let mut items: Vec<_> = jobs.into_iter().map(crew::Item::Job).enumerate().collect();
            if settings.request.neutral {
                // Neither the order of times nor that of the disk tells that of the inputs.
                shuffle(&mut items)?;
            }
            crew::work(items.into_iter(), settings, work, progress, &mut sink)
        }
    };
    told?;
    summary.passed_over += passed_over;
    summary.interrupted = (stopped || settings.list.is_some()) && progress.stop();
    summary
        .causes
        .sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(summary)
}

fn item(listed: Listed) -> crew::Item {
    crew::Item::Known(Box::new(match listed {
        Listed::Job(job) => return crew::Item::Job(job),
        Listed::Refused(path, error) => Outcome::failed(Source::File(path), error.into()),
        Listed::Unreadable(path, error) => Outcome::unreadable(path, error),
    }))
}

/// An order that nobody can guess (Fisher and Yates).
fn shuffle<T>(items: &mut [T]) -> Result<(), Error> {
    for i in (1..items.len()).rev() {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|e| Error::Discover(discover::DiscoverError::Random(e.to_string())))?;
        // The bias of the remainder is that of a number below 2⁶⁴ by the number of pictures.
        items.swap(i, (u64::from_le_bytes(random) % (i as u64 + 1)) as usize);
    }
    Ok(())
}

fn tell(summary: &mut Summary, progress: &dyn Progress, outcome: &Outcome) -> Result<(), Error> {
    summary.count(outcome);
    progress.finished(outcome).map_err(|source| {
        let closed = source.kind() == io::ErrorKind::BrokenPipe;
        let source = if closed {
            crate::write::WriteError::Closed
        } else {
            source.into()
        };
        Error::Write {
            path: std::path::Path::new("the report").into(),
            source,
        }
    })
}

/// Most different causes that are counted.
const MOST_CAUSES: usize = 1000;

impl Summary {
    fn count(&mut self, outcome: &Outcome) {
        match outcome.record.status {
            Status::Done => {
                self.done += 1;
                let clip = outcome.record.motion.as_ref().map_or(0, |m| m.facts.tracks);
                let tracks = outcome.record.video.as_ref().map_or(0, |v| v.tracks) + clip;
                let moved = |d: &decode::Dropped| d.kind == decode::MOTION;
                self.motion += usize::from(outcome.record.dropped.iter().any(moved));
                if let Some(video) = &outcome.record.video {
                    self.kinds[video.kind as usize] += 1;
                }
                let found = outcome.record.faces() + tracks;
                self.faces += found;
                if found == 0 && outcome.record.places.is_empty() {
                    self.without_faces.push(outcome.source.path().to_path_buf());
                }
                if !outcome.record.uncertain.is_empty() {
                    self.uncertain.push(outcome.source.path().to_path_buf());
                }
            }
            Status::Skipped => self.skipped += 1,
            Status::PassedOver => self.passed_over += 1,
            Status::Failed => {
                self.failed += 1;
                let cause = outcome
                    .error
                    .as_ref()
                    .map_or_else(String::new, Error::cause);
                match self.causes.iter().position(|(c, _)| *c == cause) {
                    Some(at) => self.causes[at].1 += 1,
                    None if self.causes.len() < MOST_CAUSES => self.causes.push((cause, 1)),
                    None => {}
                }
            }
        }
        self.closed |= outcome.error.as_ref().is_some_and(Error::is_closed_pipe);
    }
}

impl Outcome {
    fn new(source: Source, status: Status) -> Self {
        let (path, path_hex) = names(source.path());
        let record = Record {
            version: VERSION,
            path,
            path_hex,
            output: None,
            status,
            width: None,
            height: None,
            faces: Vec::new(),
            places: Vec::new(),
            again: 0,
            uncertain: Vec::new(),
            pages: Vec::new(),
            video: None,
            dropped: Vec::new(),
            damage: None,
            motion: None,
            error: None,
        };
        Self {
            source,
            record,
            error: None,
            film: None,
        }
    }

    fn fail(&mut self, error: Error) {
        self.record.status = Status::Failed;
        self.record.error = Some(error.to_string());
        self.error = Some(error);
    }

    fn unreadable(path: PathBuf, source: io::Error) -> Self {
        let error = Error::Read {
            path: path.as_path().into(),
            source,
        };
        Self::failed(Source::File(path), error)
    }

    fn failed(source: Source, error: Error) -> Self {
        let mut outcome = Self::new(source, Status::Failed);
        outcome.fail(error);
        outcome
    }
}

/// What a run would do, without doing it. Standard input is not read.
///
/// # Errors
/// [`Error::Discover`].
pub fn plan(request: &discover::Request) -> Result<discover::Plan, Error> {
    Ok(discover::plan(request, |source| format_of(source, None))?)
}

/// What came on standard input.
struct Piped {
    /// All of it, or of a stream its beginning.
    bytes: Vec<u8>,
    /// The rest is read while it is worked on.
    streams: bool,
}

fn read_stdin(limit: u64) -> io::Result<Piped> {
    let mut bytes = Vec::new();
    let head = decode::HEAD.min(usize::try_from(limit).unwrap_or(usize::MAX));
    io::stdin()
        .lock()
        .take(head as u64)
        .read_to_end(&mut bytes)?;
    let streams = bytes.starts_with(decode::y4m::SIGNATURE);
    if !streams {
        let rest = limit.saturating_add(1) - bytes.len() as u64;
        io::stdin().lock().take(rest).read_to_end(&mut bytes)?;
    }
    Ok(Piped { bytes, streams })
}

fn format_of(source: &Source, stdin: Option<&Vec<u8>>) -> Option<crate::Format> {
    let kind = match source {
        Source::Stdin => stdin.map(|bytes| decode::sniff(&bytes[..bytes.len().min(decode::HEAD)])),
        Source::File(_) => kind_of(source),
    };
    match kind? {
        decode::Kind::Photo(format) | decode::Kind::Heif(format) => Some(format),
        decode::Kind::Video(_, decode::Y4M) => Some(crate::Format::Y4m),
        decode::Kind::Video(_, demuxer) if *source != Source::Stdin => {
            let webm = demuxer == "matroska"
                && head_of(source).is_some_and(|h| h.windows(4).take(64).any(|w| w == b"webm"));
            Some(if webm {
                crate::Format::WebM
            } else {
                crate::Format::Mp4
            })
        }
        _ => None,
    }
}

/// The first bytes of an ordinary file.
fn head_of(source: &Source) -> Option<Vec<u8>> {
    let Source::File(path) = source else {
        return None;
    };
    // Opening a pipe twice would lose what it gives.
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
        return None;
    }
    let mut head = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(decode::HEAD as u64)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// What an ordinary file is, by its content.
fn kind_of(source: &Source) -> Option<decode::Kind> {
    head_of(source).map(|head| decode::sniff(&head))
}

/// Where a picture goes, and what that is called in messages.
struct Target<'a> {
    /// `None`: standard output.
    file: Option<&'a Path>,
    shown: &'a Path,
}

/// What the workers share.
struct Shop<'a> {
    settings: &'a Settings<'a>,
    stdin: Mutex<Option<io::Result<Piped>>>,
    /// Folders in which the leftovers of killed runs have been removed.
    swept: Mutex<HashSet<PathBuf>>,
    limit: u64,
}

impl Shop<'_> {
    /// Each input its own noise, whichever worker takes it.
    fn noise(&self, index: usize) -> Result<redact::Noise, RedactError> {
        let Task::Cover { seed, noise, .. } = &self.settings.task else {
            return redact::Noise::new();
        };
        let drawn = match seed {
            Some(seed) => redact::Noise::from_seed(seed.wrapping_add(index as u64)),
            None => redact::Noise::new()?,
        };
        Ok(drawn.weakened(*noise))
    }

    /// The same for pictures that are shown one after the other.
    fn moving_noise(&self, index: usize) -> Result<redact::Noise, RedactError> {
        if let Task::Cover { scramble: true, .. } = &self.settings.task {
            return Err(RedactError::Scramble);
        }
        self.noise(index)
    }

    /// Bytes of an input.
    fn read(&self, job: &Job) -> Result<Vec<u8>, Error> {
        match &job.source {
            Source::Stdin => {
                let taken = self
                    .stdin
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                let path = job.source.path();
                let taken = taken.transpose().map_err(|source| Error::Read {
                    path: path.into(),
                    source,
                })?;
                self.bounded(path, taken.map_or_else(Vec::new, |piped| piped.bytes))
            }
            Source::File(path) => self.read_file(path),
        }
    }

    fn read_file(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::Read {
            path: path.into(),
            source,
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let size = file.metadata().map_or(0, |m| m.len());
        let mut bytes = Vec::with_capacity(size.min(self.limit) as usize + 1);
        file.take(self.limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        self.bounded(path, bytes)
    }

    fn bounded(&self, path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        if bytes.len() as u64 > self.limit {
            return Err(Error::Huge {
                path: path.into(),
                limit: self.limit >> 20,
            });
        }
        Ok(bytes)
    }

    /// Where a picture goes.
    fn target<'a>(&self, job: &'a Job) -> Result<Target<'a>, Error> {
        match &job.output {
            Some(Output::File(path)) => Ok(Target {
                file: Some(path),
                shown: path,
            }),
            Some(Output::Stdout) => Ok(Target {
                file: None,
                shown: Path::new("standard output"),
            }),
            None => Err(self.no_output(job.source.path())),
        }
    }

    /// Checks it and hands it over, whole.
    fn put(
        &self,
        target: &Target<'_>,
        bytes: &[u8],
        check: impl FnOnce(&[u8]) -> Result<(), verify::VerifyError>,
    ) -> Result<(), Error> {
        match target.file {
            Some(path) => {
                self.sweep(write::folder_of(path));
                write::commit(path, bytes, self.writing(), check)
            }
            None => write::standard_output(bytes, check),
        }
        .map_err(|source| Error::Write {
            path: target.shown.into(),
            source,
        })
    }

    /// A job that is read only once, from its beginning to its end: YUV4MPEG2, unless another
    /// program is to make something else of it.
    fn piped(&self, job: &Job) -> Option<Box<dyn Read + Send>> {
        if job.format.is_some_and(|f| f != crate::Format::Y4m) && job.source != Source::Stdin {
            return None;
        }
        match &job.source {
            Source::Stdin => {
                let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
                let streams = matches!(&*stdin, Some(Ok(piped)) if piped.streams);
                match stdin.take_if(|_| streams) {
                    Some(Ok(piped)) => {
                        Some(Box::new(io::Cursor::new(piped.bytes).chain(io::stdin())))
                    }
                    _ => None,
                }
            }
            Source::File(path) => {
                let y4m = matches!(
                    kind_of(&job.source),
                    Some(decode::Kind::Video(_, decode::Y4M))
                );
                let file = y4m.then(|| std::fs::File::open(path).ok()).flatten()?;
                Some(Box::new(file))
            }
        }
    }

    /// Removes what killed runs left in a folder, once.
    fn sweep(&self, folder: PathBuf) {
        let first = self
            .swept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(folder.clone());
        if first {
            write::sweep(&folder);
        }
    }
}
