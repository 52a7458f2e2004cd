//! A run in numbers.

use std::path::PathBuf;

use super::Outcome;
use crate::{
    decode,
    discover::named_as_media,
    error::Error,
    report::{Reason, Status},
};

/// Most different causes that are counted.
const MOST_CAUSES: usize = 1000;

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
    /// How many have a [`crate::Caution`].
    pub cautions: usize,
    /// Inputs that were done before.
    pub skipped: usize,
    /// Files in folders that are not pictures or videos.
    pub passed_over: usize,
    /// Links in folders, which are not followed.
    pub links: usize,
    /// Pipes, sockets and devices in folders.
    pub specials: usize,
    /// What in folders has the name of a picture or video and was not read: empty and unrecognised
    /// files, links, pipes; by name.
    pub unread: Vec<PathBuf>,
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

impl Summary {
    pub(super) fn count(&mut self, outcome: &Outcome) {
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
                self.cautions += usize::from(!outcome.record.cautions.is_empty());
                if !outcome.record.uncertain.is_empty() {
                    self.uncertain.push(outcome.source.path().to_path_buf());
                }
            }
            Status::Skipped => self.skipped += 1,
            Status::PassedOver => {
                let path = outcome.source.path();
                match outcome.record.reason {
                    Some(Reason::Link) => self.links += 1,
                    Some(Reason::Special) => self.specials += 1,
                    Some(Reason::Empty | Reason::Unrecognised) => {}
                    _ => self.passed_over += 1,
                }
                if named_as_media(path) {
                    self.unread.push(path.to_path_buf());
                }
            }
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
