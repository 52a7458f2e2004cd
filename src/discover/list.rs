//! A list of inputs that is worked on while it comes.
//!
//! A plan knows all names before any work; a list that may never end can't be planned. Its inputs
//! are settled one by one, and what a plan would refuse as a whole is refused as one failed input:
//! a name that another input of the list has got, an output that is an input. What is replaced, where
//! that is asked for or an input has changed, lies in the output folder, where no input may lie: an
//! input that comes late can't have been overwritten by an earlier output.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

use super::{
    DiscoverError, Job, Request, Source, Unfollowed,
    ledger::{Ledger, Mark, Turn, whole},
    place::{Key, Places},
    plan,
};
use crate::format::Format;

/// Names that are read ahead.
const AHEAD: usize = 256;
/// How often a person's wish to stop is looked for while the list is silent.
const PATIENCE: Duration = Duration::from_millis(100);
/// Longest name that is read, in bytes; systems allow 4,096.
const LONGEST: u64 = 1 << 16;

/// Paths as they come, read by a thread of their own.
#[derive(Debug)]
pub struct List(Mutex<Receiver<io::Result<PathBuf>>>);

impl List {
    /// Begins to read names that `end` ends; for lines, a carriage return before it counts to it.
    /// Empty names are passed over.
    #[must_use]
    pub fn read(source: impl Read + Send + 'static, end: u8) -> Self {
        let (send, receive) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            loop {
                let mut name = Vec::new();
                match (&mut source).take(LONGEST).read_until(end, &mut name) {
                    Ok(0) => return,
                    Ok(_) => {
                        name.pop_if(|b| *b == end);
                        if end == b'\n' {
                            name.pop_if(|b| *b == b'\r');
                        }
                        if !name.is_empty() && send.send(Ok(path(name))).is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        let _ = send.send(Err(error));
                        return;
                    }
                }
            }
        });
        Self(Mutex::new(receive))
    }

    /// What has come, if it comes before [`PATIENCE`] is over.
    fn poll(&self) -> Polled {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match receiver.recv_timeout(PATIENCE) {
            Ok(next) => Polled::Next(next),
            Err(RecvTimeoutError::Timeout) => Polled::Nothing,
            Err(RecvTimeoutError::Disconnected) => Polled::End,
        }
    }

    /// All of it, once it has ended.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn all(self) -> io::Result<Vec<PathBuf>> {
        let receiver = self.0.into_inner();
        let receiver = receiver.unwrap_or_else(PoisonError::into_inner);
        receiver.into_iter().collect()
    }
}

/// What a list has to give at the moment.
enum Polled {
    Next(io::Result<PathBuf>),
    Nothing,
    End,
}

#[cfg(unix)]
fn path(bytes: Vec<u8>) -> PathBuf {
    <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// What a list gives: something to be done, or an input whose fate is known already.
#[derive(Debug)]
pub enum Listed {
    /// An input with its output.
    Job(Job),
    /// An input that was named before and has not changed since.
    Repeated(PathBuf),
    /// An input that is refused.
    Refused(PathBuf, DiscoverError),
    /// An input, or the list itself, that can't be looked at.
    Unreadable(PathBuf, io::Error),
    /// What is not opened in a folder.
    Unfollowed(PathBuf, Unfollowed),
}

/// Jobs from a list, one after the other.
pub struct Stream<'a, F> {
    list: &'a List,
    request: Request,
    format_of: F,
    stop: &'a (dyn Fn() -> bool + Sync),
    ledger: &'a Ledger,
    ready: VecDeque<Listed>,
    /// Inputs that changed while they were worked on, to be settled when that is over.
    waiting: VecDeque<Job>,
    places: Places,
    taken: HashMap<Key, PathBuf>,
    ended: bool,
}

impl<F> std::fmt::Debug for Stream<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl<'a, F: Fn(&Source) -> Option<Format>> Stream<'a, F> {
    /// `format_of` as for [`plan`]; `ledger`: told by who works on the jobs; `stop` says when to end
    /// before the list does.
    pub fn new(
        list: &'a List,
        request: &Request,
        format_of: F,
        ledger: &'a Ledger,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        Self {
            list,
            request: Request {
                list: true,
                inputs: Vec::new(),
                listed: Vec::new(),
                ..request.clone()
            },
            format_of,
            stop,
            ledger,
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            places: Places::default(),
            taken: HashMap::new(),
            ended: false,
        }
    }

    fn settle(&mut self, path: PathBuf) {
        let one = Request {
            listed: vec![path.clone()],
            // What of this may be replaced or left alone is decided for each job.
            overwrite: true,
            skip_existing: false,
            ..self.request.clone()
        };
        match plan(&one, &self.format_of) {
            Err(error) => self.ready.push_back(Listed::Refused(path, error)),
            Ok(plan) => {
                let unfollowed = plan.unfollowed.into_iter();
                let unfollowed = unfollowed.map(|(path, what)| Listed::Unfollowed(path, what));
                let failed = plan.failed.into_iter();
                let failed = failed.map(|(path, error)| Listed::Unreadable(path, error));
                self.ready.extend(failed.chain(unfollowed));
                plan.jobs.into_iter().for_each(|job| self.accept(job));
            }
        }
    }

    fn accept(&mut self, mut job: Job) {
        let source = job.source.path().to_path_buf();
        let input = whole(&source);
        let own = match self.ledger.turn(&input) {
            Turn::Do(own) => own,
            Turn::Repeated => return self.ready.push_back(Listed::Repeated(source)),
            Turn::Wait => return self.waiting.push_back(job),
        };
        match self.outputs(&mut job, &own) {
            Ok(()) => {
                for output in job.files() {
                    self.taken.insert(self.places.key(output), source.clone());
                }
                self.ready.push_back(Listed::Job(job));
            }
            Err(refusal) => {
                self.ledger.refuse(&input);
                self.ready.push_back(Listed::Refused(source, refusal));
            }
        }
    }

    /// Decides what becomes of outputs that are there; `own`: what this run wrote for the same input.
    fn outputs(&mut self, job: &mut Job, own: &[Mark]) -> Result<(), DiscoverError> {
        job.replace = false;
        let files: Vec<PathBuf> = job.files().map(Path::to_path_buf).collect();
        for output in &files {
            let shown = || output.as_path().into();
            let source = job.source.path();
            if fs::canonicalize(output).is_ok_and(|o| self.ledger.contains(&o)) {
                return Err(DiscoverError::OverInput(shown(), source.into()));
            }
            if let Some(other) = self.taken.get(&self.places.key(output))
                && other != source
                && whole(other) != whole(source)
            {
                let other: &Path = other;
                return Err(DiscoverError::Collision(
                    shown(),
                    other.into(),
                    source.into(),
                ));
            }
            match Mark::of(output) {
                None => continue,
                Some(mark) if own.contains(&mark) => {
                    job.replace = true;
                    continue;
                }
                Some(_) => {}
            }
            if self.request.overwrite && self.below_outputs(output) {
                job.replace = true;
            } else if self.request.skip_existing {
                // Anything else than a file under that name is not an output.
                let still = job.clip.as_ref() != Some(output);
                job.skip |= still && fs::metadata(output).is_ok_and(|m| m.is_file());
            } else {
                return Err(DiscoverError::Exists(shown()));
            }
        }
        Ok(())
    }

    /// Whether an output that is there lies in the output folder itself, and not behind a link in it:
    /// there it could be an input that the list names later.
    fn below_outputs(&self, output: &Path) -> bool {
        let Some(folder) = &self.request.output else {
            return true;
        };
        let above = output.parent().map(fs::canonicalize);
        match (fs::canonicalize(folder), above) {
            (Ok(folder), Some(Ok(above))) => above.starts_with(folder),
            _ => false,
        }
    }

    /// Settles what has waited.
    fn settle_waiting(&mut self) {
        for job in std::mem::take(&mut self.waiting) {
            // It may have become something else meanwhile.
            match self.ledger.turn_is_over(&whole(job.source.path())) {
                true if job.named => self.settle(job.source.path().to_path_buf()),
                true => self.accept(job),
                false => self.waiting.push_back(job),
            }
        }
    }
}

impl<F: Fn(&Source) -> Option<Format>> Iterator for Stream<'_, F> {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        loop {
            self.settle_waiting();
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.ended {
                if self.waiting.is_empty() || (self.stop)() {
                    return None;
                }
                self.ledger.wait(PATIENCE);
                continue;
            }
            match self.list.poll() {
                Polled::Next(Ok(path)) => self.settle(path),
                Polled::Next(Err(error)) => {
                    let path = PathBuf::from("the list of inputs");
                    self.ready.push_back(Listed::Unreadable(path, error));
                }
                Polled::End => self.ended = true,
                Polled::Nothing if (self.stop)() => return None,
                Polled::Nothing => {}
            }
        }
    }
}
