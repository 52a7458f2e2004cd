//! Where outputs go, so that none meets another or an input.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use super::{
    DiscoverError, Entry, Job, OWN_MARK, Output, Request, Source, Target, name, output,
    place::{Key, Places, identity, standard_input},
};
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
pub(super) fn part(jobs: &mut [Job], entries: &[Entry], target: &Target, places: &mut Places) {
    let mut count: HashMap<Key, usize> = HashMap::new();
    let keys: Vec<Option<Key>> = jobs
        .iter()
        .map(|job| match &job.output {
            Some(Output::File(path)) => Some(places.key(path)),
            _ => None,
        })
        .collect();
    for key in keys.iter().flatten() {
        *count.entry(key.clone()).or_default() += 1;
    }
    for ((job, entry), key) in jobs.iter_mut().zip(entries).zip(keys) {
        let taken = key.is_some_and(|k| count.get(&k).is_some_and(|&n| n > 1));
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
pub(super) fn refuse_collisions(jobs: &[Job], places: &mut Places) -> Result<(), DiscoverError> {
    let mut first: HashMap<Key, &Path> = HashMap::new();
    for job in jobs {
        for path in job.files() {
            if let Some(other) = first.insert(places.key(path), job.source.path()) {
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

/// No output may be an input of the same run, or another file that it reads, also not through links; nor
/// may the report be any of these.
pub(super) fn guard(
    jobs: &[Job],
    request: &Request,
    places: &mut Places,
) -> Result<(), DiscoverError> {
    let inputs: HashSet<Key> = jobs
        .iter()
        // What lies in a folder and is no picture is no input.
        .filter(|job| job.named || job.format.is_some())
        .filter_map(|job| match &job.source {
            Source::File(path) => identity(path),
            Source::Stdin => standard_input(),
        })
        .collect();
    let reads: Vec<Which> = request.reads.iter().map(|p| Which::of(p, places)).collect();
    let report = request.report.as_deref();
    let report = report.map(|path| (path, Which::of(path, places)));
    for job in jobs {
        let source = || job.source.path().into();
        for path in job.files() {
            let which = Which::of(path, places);
            if which.there.as_ref().is_some_and(|id| inputs.contains(id)) {
                return Err(DiscoverError::OverInput(path.into(), source()));
            }
            if reads.iter().any(|r| r.is(&which)) {
                return Err(DiscoverError::OverRead(path.into(), source()));
            }
            if let Some((path, report)) = &report
                && (report.is(&which) || request.sequence && frame_in(path, &which, places))
            {
                return Err(DiscoverError::Report(
                    (*path).into(),
                    "an output of this run",
                ));
            }
        }
    }
    let Some((path, report)) = report else {
        return Ok(());
    };
    let frame = request.sequence
        && fs::canonicalize(path).is_ok_and(|whole| {
            let mut folders = jobs.iter().map(|job| fs::canonicalize(job.source.path()));
            folders.any(|folder| folder.is_ok_and(|f| whole.starts_with(f)))
        });
    if frame || report.there.as_ref().is_some_and(|id| inputs.contains(id)) {
        return Err(DiscoverError::Report(path.into(), "an input of this run"));
    }
    if reads.iter().any(|r| r.is(&report)) {
        return Err(DiscoverError::Report(
            path.into(),
            "a file that this run reads",
        ));
    }
    Ok(())
}

/// Whether a path may be that of a frame in an output folder.
fn frame_in(path: &Path, folder: &Which, places: &mut Places) -> bool {
    let above = path.parent().map(|above| Which::of(above, places));
    Format::from_path(path).is_some() && above.is_some_and(|a| a.is(folder))
}

/// A file by its name, and by what is there.
struct Which {
    named: Key,
    there: Option<Key>,
}

impl Which {
    fn of(path: &Path, places: &mut Places) -> Self {
        Self {
            named: places.key(path),
            there: identity(path),
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.named == other.named || self.there.is_some() && self.there == other.there
    }
}
