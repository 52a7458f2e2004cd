//! Outputs that are there before a run: which of them an earlier run made of the same inputs.

use std::path::{Path, PathBuf};

use super::{
    Outcome, Progress, Shop, Task,
    journal::{self, Journal},
    photo::Seen,
    stamp::Stamp,
};
use crate::{
    discover::{DiscoverError, Job, Output, Request, Source},
    error::Error,
    report::{Digest, Finished, FinishedError, Reason, Status},
};

/// What the report that a run goes on with says of earlier runs.
#[derive(Debug, Default)]
pub struct Existing {
    report: Option<PathBuf>,
    finished: Finished,
    journal: Option<Journal>,
}

impl Existing {
    /// Reads the report of a request that skips what is done; empty where there is none yet.
    ///
    /// # Errors
    /// [`Error::NotAReport`] or [`Error::Report`] when the file can't be read as a report.
    pub fn read(request: &Request) -> Result<Self, Error> {
        let Some(report) = request.report.clone().filter(|_| request.skip_existing) else {
            return Ok(Self::default());
        };
        let mut finished = Finished::default();
        for path in [journal::of(&report), report.clone()] {
            // What is not a file, as a pipe, holds nothing of earlier runs.
            if path.is_file() {
                finished.add(&path).map_err(|e| refused(&path, e))?;
            }
        }
        Ok(Self {
            report: Some(report),
            finished,
            journal: None,
        })
    }

    /// Begins to keep note of what is done and not yet in the report, which has been begun.
    pub(super) fn begin(&mut self, request: &Request) {
        let report = request.report.as_deref().filter(|r| r.is_file());
        let begun = report.map(|r| Journal::begin(r, request.skip_existing));
        self.journal = begun.and_then(Result::ok);
    }

    /// The report is complete.
    pub(super) fn end(self) {
        self.journal.into_iter().for_each(Journal::end);
    }

    /// Makes sure that every output of a job that is there was made of the job's input, as both are
    /// now.
    ///
    /// # Errors
    /// [`DiscoverError::Unproven`], or when a file can't be read.
    pub fn check(&self, job: &Job) -> Result<(), Error> {
        let output = match &job.output {
            Some(Output::File(path)) => Some(path),
            _ => None,
        };
        for output in output.into_iter().chain(&job.clip) {
            if output.symlink_metadata().is_ok() {
                self.check_one(&job.source, output)?;
            }
        }
        Ok(())
    }

    /// The same for one output.
    pub(super) fn check_one(&self, source: &Source, output: &Path) -> Result<(), Error> {
        let digest = |path: &Path| {
            Digest::of_file(path).map_err(|source| Error::Read {
                path: path.into(),
                source,
            })
        };
        let known = match (source, &self.report) {
            (Source::File(input), Some(_)) if output.is_file() => {
                self.finished.holds(&digest(input)?, &digest(output)?)
            }
            _ => false,
        };
        if known {
            return Ok(());
        }
        Err(Error::Discover(DiscoverError::Unproven {
            output: output.into(),
            input: source.path().into(),
            report: self.report.as_deref().map(Into::into),
        }))
    }
}

impl Shop<'_> {
    /// Does one job, unless it was done before; never panics, whatever is in the file.
    pub(super) fn work(
        &self,
        (index, job): (usize, &Job),
        progress: &dyn Progress,
    ) -> Option<Outcome> {
        if job.skip {
            let mut outcome = self.outcome(job, Status::Skipped, Seen::default());
            outcome.record.reason = Some(Reason::Finished);
            if let Err(error) = self.existing.check(job) {
                outcome.fail(error);
            }
            return Some(outcome);
        }
        let before = self.stamp(job);
        let mut outcome = self.dispatch(index, job, progress)?;
        if outcome.record.status == Status::Done
            && let Some(before) = before
        {
            note_digests(job, before, &mut outcome);
            if let Some(journal) = &self.existing.journal {
                journal.note(&outcome.record);
            }
        }
        Some(outcome)
    }

    /// What a file is before it is read, where the report is to say what it held.
    fn stamp(&self, job: &Job) -> Option<Stamp> {
        let covers = matches!(self.settings.task, Task::Cover { .. });
        let wanted = covers && self.settings.request.digests && !self.settings.request.sequence;
        let (true, Source::File(path)) = (wanted, &job.source) else {
            return None;
        };
        let found = std::fs::metadata(path).ok().filter(|m| m.is_file())?;
        Stamp::of(Ok(found)).ok()
    }
}

/// Notes what the input and its outputs hold; nothing where the input is not what it was before it
/// was covered.
fn note_digests(job: &Job, before: Stamp, outcome: &mut Outcome) {
    let Some(Output::File(output)) = &job.output else {
        return;
    };
    let source = job.source.path();
    let input = Digest::of_file(source).ok();
    if !Stamp::of(std::fs::metadata(source)).is_ok_and(|now| now == before) {
        return;
    }
    outcome.record.input = input;
    outcome.record.written = Digest::of_file(output).ok();
    if let (Some(motion), Some(clip)) = (&mut outcome.record.motion, &job.clip) {
        motion.written = Digest::of_file(clip).ok();
    }
}

/// What a file that is not a report is called.
pub(super) fn refused(report: &Path, error: FinishedError) -> Error {
    let path = report.into();
    match error {
        FinishedError::Read(source) => Error::Report { path, source },
        foreign => Error::NotAReport {
            path,
            what: foreign.to_string(),
        },
    }
}
