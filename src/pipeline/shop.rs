//! What the workers of a run share: its settings, standard input, and how outputs are handed over.

use std::{
    collections::HashSet,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use super::{
    Progress, Settings, Task,
    existing::Existing,
    follow::Schedule,
    input::{Piped, kind_of},
    patient::{Patient, leaving},
};
use crate::{
    decode,
    discover::{Job, Output, Source},
    error::Error,
    redact::{self, RedactError},
    verify, write,
};

/// Where a picture goes, and what that is called in messages.
pub(super) struct Target<'a> {
    /// `None`: standard output.
    pub(super) file: Option<&'a Path>,
    pub(super) shown: &'a Path,
    /// A file that is there may be replaced.
    replace: bool,
}

/// What the workers share.
pub(super) struct Shop<'a> {
    pub(super) settings: &'a Settings<'a>,
    stdin: Mutex<Option<io::Result<Piped>>>,
    /// Folders in which the leftovers of killed runs have been removed.
    swept: Mutex<HashSet<PathBuf>>,
    pub(super) existing: Existing,
    pub(super) limit: u64,
}

impl<'a> Shop<'a> {
    pub(super) fn new(
        settings: &'a Settings<'a>,
        stdin: Option<io::Result<Piped>>,
        existing: Existing,
        limit: u64,
    ) -> Self {
        Self {
            settings,
            stdin: Mutex::new(stdin),
            swept: Mutex::new(HashSet::new()),
            existing,
            limit,
        }
    }

    /// Each input its own noise, whichever worker takes it.
    pub(super) fn noise(&self, index: usize) -> Result<redact::Noise, RedactError> {
        let Task::Cover { seed, noise, .. } = &self.settings.task else {
            return redact::Noise::new();
        };
        let drawn = match seed {
            Some(seed) => redact::Noise::from_seed(seed.wrapping_add(index as u64)),
            None => redact::Noise::new()?,
        };
        Ok(drawn.weakened(*noise))
    }

    /// Which frames of a video are searched.
    pub(super) fn schedule(&self, index: usize) -> Result<Schedule, RedactError> {
        let seed = match &self.settings.task {
            Task::Cover { seed, .. } => *seed,
            Task::Detect => None,
        };
        Schedule::new(seed.map(|s| s.wrapping_add(index as u64)))
    }

    /// The same for pictures that are shown one after the other.
    pub(super) fn moving_noise(&self, index: usize) -> Result<redact::Noise, RedactError> {
        if let Task::Cover { scramble: true, .. } = &self.settings.task {
            return Err(RedactError::Scramble);
        }
        self.noise(index)
    }

    /// Bytes of an input.
    pub(super) fn read(&self, job: &Job, progress: &dyn Progress) -> Result<Vec<u8>, Error> {
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
            Source::File(path) if path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) => {
                self.read_pipe(path, progress)
            }
            Source::File(path) => self.read_file(path),
        }
    }

    /// Bytes of a pipe with a name, to which perhaps nobody ever writes.
    fn read_pipe(&self, path: &Path, progress: &dyn Progress) -> Result<Vec<u8>, Error> {
        let over = Arc::new(AtomicBool::new(false));
        let mut bytes = Vec::new();
        let read = leaving(&over, progress, || {
            Patient::file(path, Arc::clone(&over))
                .take(self.limit.saturating_add(1))
                .read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => self.bounded(path, bytes),
            Err(_) if progress.stop() => Err(Error::Interrupted),
            Err(source) => Err(Error::Read {
                path: path.into(),
                source,
            }),
        }
    }

    pub(super) fn read_file(&self, path: &Path) -> Result<Vec<u8>, Error> {
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

    pub(super) fn bounded(&self, path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        if bytes.len() as u64 > self.limit {
            return Err(Error::Huge {
                path: path.into(),
                limit: self.limit >> 20,
            });
        }
        Ok(bytes)
    }

    /// Where a picture goes.
    pub(super) fn target<'j>(&self, job: &'j Job) -> Result<Target<'j>, Error> {
        match &job.output {
            Some(Output::File(path)) => Ok(Target {
                file: Some(path),
                shown: path,
                replace: job.replace,
            }),
            Some(Output::Stdout) => Ok(Target {
                file: None,
                shown: Path::new("standard output"),
                replace: false,
            }),
            None => Err(self.no_output(job.source.path())),
        }
    }

    /// Checks it and hands it over, whole.
    pub(super) fn put(
        &self,
        target: &Target<'_>,
        bytes: &[u8],
        check: impl FnOnce(&[u8]) -> Result<(), verify::VerifyError>,
    ) -> Result<(), Error> {
        match target.file {
            Some(path) => {
                self.sweep(write::folder_of(path));
                write::commit(path, bytes, self.writing(target.replace), check)
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
    /// With what makes reading fail, where it may wait for ever.
    pub(super) fn piped(&self, job: &Job) -> Option<(Box<dyn Read + Send>, Arc<AtomicBool>)> {
        if job.format.is_some_and(|f| f != crate::Format::Y4m) && job.source != Source::Stdin {
            return None;
        }
        match &job.source {
            Source::Stdin => {
                let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
                let streams = matches!(&*stdin, Some(Ok(piped)) if piped.rest.is_some());
                match stdin.take_if(|_| streams) {
                    Some(Ok(piped)) => {
                        let (rest, over) = piped.rest?;
                        Some((Box::new(io::Cursor::new(piped.bytes).chain(rest)), over))
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
                Some((Box::new(file), Arc::default()))
            }
        }
    }

    /// Removes what killed runs left in a folder, once.
    pub(super) fn sweep(&self, folder: PathBuf) {
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
