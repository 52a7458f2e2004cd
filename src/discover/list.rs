//! A list of inputs that is worked on while it comes.
//!
//! A plan knows all names before any work; a list that may never end can't be planned. Its inputs
//! are settled one by one, and what a plan would refuse as a whole is refused as one failed input:
//! a name that another input of the list has got, an output that is an input. Nothing is ever
//! replaced, so that an input that comes late can't have been overwritten by an earlier output.

use std::{
    collections::{HashMap, HashSet, VecDeque},
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
    DiscoverError, Job, Plan, Request, Source,
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

    /// The next one; `None` at the end, or when `stop` says so.
    fn next(&self, stop: &dyn Fn() -> bool) -> Option<io::Result<PathBuf>> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok(next) => return Some(next),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if stop() => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// All of it, once it has ended.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn all(self) -> io::Result<Vec<PathBuf>> {
        std::iter::from_fn(|| self.next(&|| false)).collect()
    }
}

#[cfg(unix)]
fn path(bytes: Vec<u8>) -> PathBuf {
    <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// What a list gives: something to be done, or an input that failed already.
#[derive(Debug)]
pub enum Listed {
    /// An input with its output.
    Job(Job),
    /// An input that is refused.
    Refused(PathBuf, DiscoverError),
    /// An input, or the list itself, that can't be looked at.
    Unreadable(PathBuf, io::Error),
}

/// Jobs from a list, one after the other.
pub struct Stream<'a, F> {
    list: &'a List,
    request: Request,
    format_of: F,
    stop: &'a (dyn Fn() -> bool + Sync),
    ready: VecDeque<Listed>,
    seen: HashSet<PathBuf>,
    places: Places,
    taken: HashMap<Key, PathBuf>,
    /// Links and special files inside folders, which are not opened.
    pub passed_over: usize,
}

impl<F> std::fmt::Debug for Stream<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl<'a, F: Fn(&Source) -> Option<Format>> Stream<'a, F> {
    /// `format_of` as for [`plan`]; `stop` says when to end before the list does.
    pub fn new(
        list: &'a List,
        request: &Request,
        format_of: F,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        Self {
            list,
            request: Request {
                list: true,
                inputs: Vec::new(),
                listed: Vec::new(),
                // What an earlier input of the list made must never be replaced.
                overwrite: false,
                ..request.clone()
            },
            format_of,
            stop,
            ready: VecDeque::new(),
            seen: HashSet::new(),
            places: Places::default(),
            taken: HashMap::new(),
            passed_over: 0,
        }
    }

    fn settle(&mut self, path: PathBuf) {
        // The same once more is no second input.
        if fs::canonicalize(&path).is_ok_and(|whole| self.seen.contains(&whole)) {
            return;
        }
        self.request.listed = vec![path.clone()];
        match plan(&self.request, &self.format_of) {
            Err(DiscoverError::Exists(output)) => {
                let error = match self.taken.get(&self.places.key(&output.0)) {
                    Some(other) => {
                        let (other, path) = (other.as_path().into(), path.as_path().into());
                        DiscoverError::Collision(output, other, path)
                    }
                    None => DiscoverError::Exists(output),
                };
                self.ready.push_back(Listed::Refused(path, error));
            }
            Err(error) => self.ready.push_back(Listed::Refused(path, error)),
            Ok(Plan {
                jobs,
                failed,
                passed_over,
            }) => {
                self.passed_over += passed_over;
                let failed = failed.into_iter();
                self.ready
                    .extend(failed.map(|(path, error)| Listed::Unreadable(path, error)));
                for job in jobs {
                    self.accept(job);
                }
            }
        }
    }

    fn accept(&mut self, job: Job) {
        let source = job.source.path().to_path_buf();
        let whole = fs::canonicalize(&source).unwrap_or_else(|_| source.clone());
        if !self.seen.insert(whole) {
            return;
        }
        let outputs: Vec<PathBuf> = job.files().map(Path::to_path_buf).collect();
        for output in &outputs {
            let shown = || output.as_path().into();
            let over_input = fs::canonicalize(output).is_ok_and(|o| self.seen.contains(&o));
            let refusal = if over_input {
                Some(DiscoverError::OverInput(shown(), source.as_path().into()))
            } else {
                self.taken.get(&self.places.key(output)).map(|other| {
                    let other: &Path = other;
                    DiscoverError::Collision(shown(), other.into(), source.as_path().into())
                })
            };
            if let Some(refusal) = refusal {
                self.ready.push_back(Listed::Refused(source, refusal));
                return;
            }
        }
        for output in &outputs {
            self.taken.insert(self.places.key(output), source.clone());
        }
        self.ready.push_back(Listed::Job(job));
    }
}

impl<F: Fn(&Source) -> Option<Format>> Iterator for Stream<'_, F> {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        while self.ready.is_empty() {
            match self.list.next(self.stop)? {
                Ok(path) => self.settle(path),
                Err(error) => {
                    let path = PathBuf::from("the list of inputs");
                    self.ready.push_back(Listed::Unreadable(path, error));
                }
            }
        }
        self.ready.pop_front()
    }
}
