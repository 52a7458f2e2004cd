//! How far the inputs of a list have come, for names that come more than once.

use std::{
    collections::HashMap,
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use super::Job;

/// What changes with a file, in one number that nobody can aim at: length, times, and on systems of
/// the Unix family which file it is and when anything about it changed. Lists may be long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    /// Of what is there under a name, a link itself where it is one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        static KEY: OnceLock<RandomState> = OnceLock::new();
        let found = fs::symlink_metadata(path).ok()?;
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            (found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
        };
        #[cfg(not(unix))]
        let changed = found.created().ok();
        let all = (found.len(), found.modified().ok(), changed);
        Some(Self(KEY.get_or_init(RandomState::new).hash_one(all)))
    }
}

/// How far an input has come.
#[derive(Debug)]
enum State {
    /// It waits, or is being worked on.
    Pending,
    /// It was done; its outputs, as they were then.
    Done(Vec<Mark>),
    /// Nothing was written.
    Failed,
}

#[derive(Debug)]
struct Entry {
    /// What the input was before it was read.
    mark: Option<Mark>,
    state: State,
}

/// What to do with an input of a list.
#[derive(Debug)]
pub(super) enum Turn {
    /// It is to be done. What an earlier turn wrote, and nobody changed since, may be replaced.
    Do(Vec<Mark>),
    /// It was named before and has not changed since.
    Repeated,
    /// It has changed while it is being worked on: ask again when that is over.
    Wait,
}

/// The inputs of a list that were named so far, by their whole paths; shared by who takes names
/// from the list and who works on them.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<HashMap<PathBuf, Entry>>,
    changed: Condvar,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, HashMap<PathBuf, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file was named as an input.
    pub(super) fn contains(&self, whole: &Path) -> bool {
        self.entries().contains_key(whole)
    }

    /// Notes that an input was named, and says what to do with it.
    pub(super) fn turn(&self, whole: &Path) -> Turn {
        let mark = Mark::of(whole);
        let mut entries = self.entries();
        let own = match entries.get(whole).map(|e| (&e.state, e.mark == mark)) {
            None | Some((State::Failed, _)) => Vec::new(),
            Some((_, true)) => return Turn::Repeated,
            Some((State::Pending, false)) => return Turn::Wait,
            Some((State::Done(outputs), false)) => outputs.clone(),
        };
        let state = State::Pending;
        entries.insert(whole.to_path_buf(), Entry { mark, state });
        Turn::Do(own)
    }

    /// Whether an input is neither waiting nor worked on.
    pub(super) fn turn_is_over(&self, whole: &Path) -> bool {
        let entries = self.entries();
        entries
            .get(whole)
            .is_none_or(|e| !matches!(e.state, State::Pending))
    }

    /// Takes a turn back: the input is refused.
    pub(super) fn refuse(&self, whole: &Path) {
        self.set(whole, State::Failed);
    }

    /// Waits until an input has come further, at most so long.
    pub(super) fn wait(&self, most: Duration) {
        let entries = self.entries();
        // A wait that ends early or late only makes the caller ask again.
        drop(self.changed.wait_timeout(entries, most));
    }

    fn set(&self, whole: &Path, state: State) {
        if let Some(entry) = self.entries().get_mut(whole) {
            entry.state = state;
        }
        self.changed.notify_all();
    }

    /// A job begins. It has failed unless [`Running::done`] says otherwise.
    pub fn begin<'a>(&'a self, job: &'a Job) -> Running<'a> {
        Running {
            ledger: self,
            job,
            done: false,
        }
    }
}

/// A job that is being worked on.
#[derive(Debug)]
pub struct Running<'a> {
    ledger: &'a Ledger,
    job: &'a Job,
    done: bool,
}

impl Running<'_> {
    /// It was done, or was done before.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let state = if self.done {
            // What an earlier run wrote is not this run's to replace.
            let written = self.job.files().filter(|_| !self.job.skip);
            State::Done(written.filter_map(Mark::of).collect())
        } else {
            State::Failed
        };
        self.ledger.set(&whole(self.job.source.path()), state);
    }
}

/// A path by which an input is known, however it is spelled.
pub(super) fn whole(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}
