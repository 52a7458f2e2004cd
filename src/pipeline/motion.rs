//! The clip of a motion photo: covered as any video and written beside the photo, which does not
//! get it back.

use std::{fs::File, ops::Range, path::Path};

use super::{Outcome, Progress, Shop, Task, photo::Seen};
use crate::{
    decode::{self, Dropped, MOTION},
    discover::{Job, Output},
    error::Error,
    ffmpeg::{StreamError, in_memory},
    report::{Motion, Status, names},
};

/// A clip that is to be covered, held in memory alone: no uncovered picture goes to a disk.
pub(super) struct Clip {
    file: File,
    demuxer: &'static str,
    bytes: u64,
}

impl Shop<'_> {
    /// The clip in a photo's bytes, where it is to be kept.
    pub(super) fn clip(
        &self,
        job: &Job,
        bytes: &[u8],
        place: Option<Range<usize>>,
    ) -> Result<Option<Clip>, Error> {
        let wanted =
            self.settings.request.keep_motion && matches!(self.settings.task, Task::Cover { .. });
        let Some(clip) = place.filter(|_| wanted).and_then(|p| bytes.get(p)) else {
            return Ok(None);
        };
        let failed = |what: String| Error::Video {
            path: job.source.path().into(),
            source: StreamError::Failed(what),
        };
        let head = &clip[..clip.len().min(decode::HEAD)];
        let decode::Kind::Video(_, demuxer) = decode::sniff(head) else {
            return Err(failed(
                "holds a motion video of an unknown kind; leave --keep-motion out to drop it"
                    .into(),
            ));
        };
        let file = in_memory(clip).map_err(|e| {
            failed(format!("holds a motion video that can't be handed to ffmpeg ({e}); leave --keep-motion out to drop it"))
        })?;
        Ok(Some(Clip {
            file,
            demuxer,
            bytes: clip.len() as u64,
        }))
    }

    /// Covers and writes it; `seen` no longer names it as dropped then, and holds its cautions.
    pub(super) fn motion(
        &self,
        index: usize,
        job: &Job,
        clip: Clip,
        progress: &dyn Progress,
        seen: &mut Seen,
    ) -> Result<Option<Motion>, Error> {
        let Some(target) = &job.clip else {
            return Err(Error::Video {
                path: job.source.path().into(),
                source: StreamError::Failed(
                    "holds a motion video, which can't be written to a pipe; name a file or folder with -o".into(),
                ),
            });
        };
        let own = Job {
            output: Some(Output::File(target.clone())),
            format: Some(crate::Format::Mp4),
            clip: None,
            ..job.clone()
        };
        forget(&mut seen.dropped, clip.bytes);
        if self.settings.request.skip_existing && target.symlink_metadata().is_ok() {
            self.existing.check_one(&job.source, target)?;
            return Ok(None);
        }
        let mut outcome = Outcome::new(job.source.clone(), Status::Done);
        // Its noise is not the still's.
        let index = usize::MAX - index;
        self.alone(index, &own, clip.demuxer, clip.file, progress, &mut outcome)
            .map_err(|e| of_clip(e, target))?;
        seen.cautions.append(&mut outcome.record.cautions);
        Ok(outcome.record.video.map(|facts| Motion {
            output: names(target).0,
            written: None,
            facts,
        }))
    }
}

/// Takes so many bytes of clips out of the list.
fn forget(dropped: &mut Vec<Dropped>, bytes: u64) {
    dropped.retain_mut(|d| {
        if d.kind == MOTION {
            d.bytes = d.bytes.saturating_sub(bytes);
        }
        d.kind != MOTION || d.bytes > 0
    });
}

/// Says that it is the clip that failed, and what can be done.
fn of_clip(error: Error, target: &Path) -> Error {
    match error {
        Error::Video {
            path,
            source: StreamError::Failed(what),
        } => Error::Video {
            path,
            source: StreamError::Failed(format!(
                "holds a motion video for {} that {what}; or leave --keep-motion out to drop it",
                crate::ShownPath(target.to_path_buf())
            )),
        },
        other => other,
    }
}
