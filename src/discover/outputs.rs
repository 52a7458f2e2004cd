//! Where outputs go, so that none meets another or an input.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{DiscoverError, Entry, Job, OWN_MARK, Output, Source, Target, name, output};
use crate::format::Format;

/// A name that tells nothing, drawn for this input alone.
pub(super) fn neutral(
    entry: &Entry,
    target: &Target,
    format: Format,
) -> Result<Option<Output>, DiscoverError> {
    let random = name::random().map_err(DiscoverError::Random)?;
    let suffix = format.suffix();
    Ok(match (target, &entry.source) {
        (Target::Folder(folder), _) => {
            Some(Output::File(folder.join(format!("{random}.{suffix}"))))
        }
        (Target::Beside, Source::File(path)) => Some(Output::File(
            path.with_file_name(format!("{random}{OWN_MARK}.{suffix}")),
        )),
        _ => output(entry, target, format, false),
    })
}

/// Inputs that would get one name keep their old suffixes.
pub(super) fn part(jobs: &mut [Job], entries: &[Entry], target: &Target) {
    let key = |job: &Job| match &job.output {
        Some(Output::File(path)) => Some(name::comparable(path)),
        _ => None,
    };
    let mut count: HashMap<PathBuf, usize> = HashMap::new();
    for job in jobs.iter() {
        key(job)
            .into_iter()
            .for_each(|k| *count.entry(k).or_default() += 1);
    }
    for (job, entry) in jobs.iter_mut().zip(entries) {
        let taken = key(job).is_some_and(|k| count.get(&k).is_some_and(|&n| n > 1));
        if let (true, Some(format)) = (taken, job.format) {
            job.output = output(entry, target, format, true);
        }
    }
}

/// Names for the clips of motion photos: the photo's whole name and the clip's suffix behind it.
pub(super) fn clips(jobs: &mut [Job], entries: &[Entry], target: &Target, neutral: bool) {
    for (job, entry) in jobs.iter_mut().zip(entries) {
        let photo = job.format.is_some_and(|f| !f.is_video());
        let Some(Output::File(still)) = job.output.as_ref().filter(|_| photo) else {
            continue;
        };
        job.clip = match output(entry, target, Format::Mp4, true) {
            // Nothing else has the random name.
            _ if neutral => Some(still.with_extension(Format::Mp4.suffix())),
            Some(Output::File(path)) if path != *still => Some(path),
            _ => {
                let mut name = still.clone().into_os_string();
                name.push(".");
                name.push(Format::Mp4.suffix());
                Some(name.into())
            }
        };
    }
}

/// No two inputs may get one name.
pub(super) fn refuse_collisions(jobs: &[Job]) -> Result<(), DiscoverError> {
    let mut first: HashMap<PathBuf, &Path> = HashMap::new();
    for job in jobs {
        for path in job.files() {
            if let Some(other) = first.insert(name::comparable(path), job.source.path()) {
                return Err(DiscoverError::Collision(
                    path.into(),
                    other.into(),
                    job.source.path().into(),
                ));
            }
        }
    }
    Ok(())
}

/// No output may be an input of the same run, also not through links.
pub(super) fn guard_inputs(jobs: &[Job]) -> Result<(), DiscoverError> {
    let inputs: HashSet<PathBuf> = jobs
        .iter()
        .filter_map(|job| match &job.source {
            Source::File(path) => fs::canonicalize(path).ok(),
            Source::Stdin => None,
        })
        .collect();
    for job in jobs {
        let taken = |path: &&Path| fs::canonicalize(path).is_ok_and(|w| inputs.contains(&w));
        if let Some(path) = job.files().find(taken) {
            return Err(DiscoverError::OverInput(
                path.into(),
                job.source.path().into(),
            ));
        }
    }
    Ok(())
}
