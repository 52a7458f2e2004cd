//! Joins the rooms: the only one that knows several of them.

mod animation;
mod caged;
mod check;
mod crew;
mod existing;
mod film;
mod follow;
mod input;
mod journal;
mod looks;
mod motion;
mod moving;
mod patient;
mod photo;
mod sequence;
mod shop;
mod stamp;
mod stream;
mod summary;
mod video;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    decode, detect,
    detect::rule::Rule,
    discover::{self, Job, Listed, Source, Unfollowed},
    error::Error,
    face::Face,
    geometry::Rect,
    redact,
    report::{Boxes, Reason, Record, Status, VERSION, names},
};

pub use caged::{Caged, enter_cage};
pub use check::{Checked, check};
pub use existing::Existing;
pub use film::Film;
pub use summary::Summary;
pub use video::VideoOptions;

use input::{format_of, read_stdin};
use shop::Shop;

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
    /// The run can begin, and nothing has been read or written yet; so many inputs, or `None` where they
    /// come from a list that is not known whole. A report is begun here: a run that is refused leaves
    /// none behind, and none stands where an input was.
    ///
    /// # Errors
    /// When the report can't be begun: the run ends.
    fn planned(&self, _jobs: Option<usize>) -> io::Result<()> {
        Ok(())
    }

    /// One input is finished; in the order of the inputs.
    ///
    /// # Errors
    /// When it can't be told (a report that can't be written): the run ends.
    fn finished(&self, outcome: &Outcome) -> io::Result<()>;

    /// So many frames of a video are done, of so many if that is known; `faces` so far.
    fn frames(&self, _source: &Path, _pass: Pass, _done: usize, _of: Option<usize>, _faces: usize) {
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

/// How a picture is searched again for faces that the first search missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recheck {
    /// At a quarter of its size, once it is covered.
    pub covered: Doubt,
    /// Enlarged, before that, for people who can wait: covers make a network see faces beside them.
    pub before: Option<Doubt>,
}

/// What another look may see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// What counts as a face then, by heights in the picture: it is covered too.
    pub rule: Rule,
    /// What is named for a person to look at.
    pub uncertain: Rule,
}

impl Doubt {
    /// What counts as a face, and what may be one; the rest is left out.
    fn parted(&self, found: Vec<Face>) -> (Vec<Face>, Vec<Face>) {
        let passes = |rule: &Rule, f: &Face| f.score >= rule.threshold(f.rect.height());
        let (sure, rest): (Vec<Face>, Vec<Face>) =
            found.into_iter().partition(|f| passes(&self.rule, f));
        let unsure = rest.into_iter().filter(|f| passes(&self.uncertain, f));
        (sure, unsure.collect())
    }
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
    /// The EXIF orientation, 1 to 8, that was applied to each page of a photo.
    pub orientations: Vec<u8>,
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
        Some(read_stdin(limit, progress))
    } else {
        None
    };
    if wants_stdin && progress.stop() {
        return Ok(Summary {
            interrupted: true,
            ..Summary::default()
        });
    }
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
    let mut existing = Existing::read(&settings.request)?;
    let known = planned.as_ref().map(|p| p.jobs.len() + p.failed.len());
    progress
        .planned(known)
        .map_err(|source| no_report(&settings.request, source))?;
    existing.begin(&settings.request);
    let plan = planned.unwrap_or_default();
    let shop = Shop::new(settings, stdin, existing, limit);
    let report = settings.request.report.as_deref();
    let lines = report.map_or_else(|| "standard output".into(), Path::to_path_buf);
    let unreadable = plan.failed.into_iter();
    let unreadable = unreadable.map(|(path, source)| Outcome::unreadable(path, source));
    let unfollowed = plan.unfollowed.into_iter();
    let unfollowed = unfollowed.map(|(path, what)| Outcome::unfollowed(path, what));
    for outcome in unreadable.chain(unfollowed) {
        tell(&mut summary, progress, &outcome, &lines)?;
    }
    let jobs = plan.jobs;
    let mut told = Ok(());
    let ledger = discover::Ledger::default();
    let work = |job: (usize, &Job)| {
        let running = settings.list.as_ref().map(|_| ledger.begin(job.1));
        let outcome = shop.work(job, progress)?;
        if outcome.error.is_none() {
            running.into_iter().for_each(discover::Running::done);
        }
        Some(outcome)
    };
    let mut sink = |outcome| {
        told = tell(&mut summary, progress, &outcome, &lines);
        told.is_ok() && !summary.closed
    };
    let stop = || progress.stop();
    let stopped = match &settings.list {
        Some(list) => {
            let format = |source: &Source| format_of(source, None);
            let stream = discover::Stream::new(list, &settings.request, format, &ledger, &stop);
            let items = stream.map(item).enumerate();
            crew::work(items, settings, work, progress, &mut sink)
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
    shop.existing.end();
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
        Listed::Unfollowed(path, what) => Outcome::unfollowed(path, what),
        Listed::Repeated(path) => {
            let mut outcome = Outcome::new(Source::File(path), Status::Skipped);
            outcome.record.reason = Some(Reason::Repeated);
            outcome
        }
    }))
}

/// Why the report can't be begun.
fn no_report(request: &discover::Request, source: io::Error) -> Error {
    let path = request.report.as_deref();
    let path = path.unwrap_or(Path::new("the report")).into();
    match source.kind() {
        io::ErrorKind::AlreadyExists => Error::ReportExists(path),
        io::ErrorKind::InvalidData => Error::NotAReport {
            path,
            what: source.to_string(),
        },
        _ => Error::Report { path, source },
    }
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

/// Counts an outcome and hands it on; `lines` is where that writes, if it does.
fn tell(
    summary: &mut Summary,
    progress: &dyn Progress,
    outcome: &Outcome,
    lines: &Path,
) -> Result<(), Error> {
    summary.count(outcome);
    progress.finished(outcome).map_err(|source| Error::Write {
        path: lines.into(),
        source: match source.kind() {
            io::ErrorKind::BrokenPipe => crate::write::WriteError::Closed,
            _ => crate::write::WriteError::Io {
                source,
                advice: "let the lines go elsewhere, or free some space",
            },
        },
    })
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
            reason: None,
            input: None,
            written: None,
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
            cautions: Vec::new(),
            motion: None,
            error: None,
        };
        Self {
            source,
            record,
            error: None,
            film: None,
            orientations: Vec::new(),
        }
    }

    fn fail(&mut self, error: Error) {
        self.record.status = Status::Failed;
        (self.record.output, self.record.reason) = (None, None);
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

    fn unfollowed(path: PathBuf, what: Unfollowed) -> Self {
        let mut outcome = Self::new(Source::File(path), Status::PassedOver);
        outcome.record.reason = Some(match what {
            Unfollowed::Link => Reason::Link,
            Unfollowed::Special => Reason::Special,
        });
        outcome
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
