//! What was named → jobs: one input and one output name each, all settled before any work.
//!
//! Folders are walked as `fd` does it: hidden files are left out and symbolic links inside are not
//! followed; but ignore files (`.gitignore` and the like) are not obeyed, as a photo that a rule
//! for programmers hides would stay uncovered without a word.

mod error;
mod ledger;
mod list;
mod name;
mod outputs;
mod place;
pub mod sequence;
mod walk;

use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::format::Format;
pub use error::DiscoverError;
pub use ledger::{Ledger, Running};
pub use list::{List, Listed, Stream};
pub use name::OWN_MARK;
use outputs::{clips, guard, neutral, part, refuse_collisions};
use place::Places;

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Source {
    /// Its name as it may be printed: `-` for standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Stdin => Path::new("-"),
        }
    }
}

/// Where a picture goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// One picture to be made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Where it comes from.
    pub source: Source,
    /// Whether a person named it; what was found in a folder may turn out to be no picture.
    pub named: bool,
    /// Where it goes; `None` for a file that is not a photo of a kind that is read.
    pub output: Option<Output>,
    /// The output's format; `None` as above.
    pub format: Option<Format>,
    /// Where the clip of a motion photo goes, should it hold one that is to be kept.
    pub clip: Option<PathBuf>,
    /// The output is there already and is to be left alone, if it is known to be of this input.
    pub skip: bool,
    /// An output that is there may be replaced.
    pub replace: bool,
}

impl Job {
    /// The files that may be written.
    fn files(&self) -> impl Iterator<Item = &Path> {
        let output = match &self.output {
            Some(Output::File(path)) => Some(path),
            _ => None,
        };
        output.into_iter().chain(&self.clip).map(PathBuf::as_path)
    }
}

/// What was named.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Files, folders and `-`, in order.
    pub inputs: Vec<PathBuf>,
    /// Paths that came in a list: relative ones keep their folders in the output.
    pub listed: Vec<PathBuf>,
    /// Whether there was a list, even an empty one.
    pub list: bool,
    /// What `-o` was given.
    pub output: Option<OsString>,
    /// The output's format, if not the input's.
    pub format: Option<Format>,
    /// Existing outputs may be replaced.
    pub overwrite: bool,
    /// Inputs whose output exists are left alone, where `report` says that it was made of them.
    pub skip_existing: bool,
    /// Nothing is to be written: jobs get no outputs.
    pub look_only: bool,
    /// Outputs get names that tell nothing, and lie in no folders of the inputs'.
    pub neutral: bool,
    /// The clips of motion photos are covered and written too.
    pub keep_motion: bool,
    /// Each input is a folder of numbered frames.
    pub sequence: bool,
    /// How many of them are shown in a second.
    pub rate: f64,
    /// Where a report is written: no input, no output and none of `reads`.
    pub report: Option<PathBuf>,
    /// What inputs and outputs hold is noted in the outcomes, for a report.
    pub digests: bool,
    /// Further files that are read, which no output may replace.
    pub reads: Vec<PathBuf>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Plan {
    /// In order: as named, folders by name.
    pub jobs: Vec<Job>,
    /// What could not be looked at.
    pub failed: Vec<(PathBuf, io::Error)>,
    /// What is not opened in folders.
    pub unfollowed: Vec<(PathBuf, Unfollowed)>,
}

/// Why something in a folder is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfollowed {
    /// A link, which may lead anywhere.
    Link,
    /// A pipe, socket or device.
    Special,
}

/// Suffixes of pictures and videos, also of kinds that are not read, in lower case.
const SUFFIXES: [&str; 77] = [
    "3fr",
    "3g2",
    "3gp",
    "arw",
    "asf",
    "avi",
    "avif",
    "avifs",
    "bmp",
    "cr2",
    "cr3",
    "crw",
    "dcr",
    "dib",
    "divx",
    "dng",
    "dv",
    "erf",
    "f4v",
    "flv",
    "gif",
    "gpr",
    "heic",
    "heics",
    "heif",
    "hif",
    "iiq",
    "insp",
    "insv",
    "jfif",
    "jp2",
    "jpe",
    "jpeg",
    "jpg",
    "jpg_large",
    "jxl",
    "kdc",
    "lrv",
    "m2t",
    "m2ts",
    "m4v",
    "mjpeg",
    "mjpg",
    "mkv",
    "mod",
    "mov",
    "mp4",
    "mpeg",
    "mpg",
    "mrw",
    "mts",
    "mxf",
    "nef",
    "nrw",
    "ogv",
    "orf",
    "pef",
    "pgm",
    "png",
    "ppm",
    "psd",
    "qt",
    "raf",
    "raw",
    "rw2",
    "rwl",
    "sr2",
    "srw",
    "tif",
    "tiff",
    "tod",
    "ts",
    "vob",
    "webm",
    "webp",
    "wmv",
    "y4m",
];

/// Whether a file's name is that of a picture or a video: where its content says otherwise, or
/// nothing, somebody may be in it all the same.
#[must_use]
pub fn named_as_media(path: &Path) -> bool {
    let suffix = path.extension().and_then(|s| s.to_str());
    suffix.is_some_and(|s| {
        SUFFIXES
            .binary_search(&s.to_ascii_lowercase().as_str())
            .is_ok()
    })
}

/// One input before it has an output.
struct Entry {
    source: Source,
    named: bool,
    /// The name below an output folder.
    below: PathBuf,
}

enum Target {
    Nowhere,
    Beside,
    File(PathBuf),
    Folder(PathBuf),
    Stdout,
}

/// Settles all jobs. `format_of` says what photo a file holds by its content, `None` for anything
/// that is not read; it is asked once for each file.
///
/// # Errors
/// [`DiscoverError`] before any work.
pub fn plan(
    request: &Request,
    format_of: impl Fn(&Source) -> Option<Format>,
) -> Result<Plan, DiscoverError> {
    if request.inputs.is_empty() && !request.list {
        return Err(DiscoverError::NoInput);
    }
    let target = if request.look_only {
        Target::Nowhere
    } else {
        target(request)?
    };
    let mut plan = Plan::default();
    let mut places = Places::default();
    let entries = entries(request, &target, &mut plan)?;
    if matches!(target, Target::File(_) | Target::Stdout) && entries.len() > 1 {
        return Err(DiscoverError::SeveralIntoOne);
    }
    if request.sequence {
        plan.jobs = sequences(&entries, &target, request)?;
        refuse_collisions(&plan.jobs, &mut places)?;
        guard(&plan.jobs, request, &mut places)?;
        return Ok(plan);
    }
    for entry in &entries {
        let found = format_of(&entry.source);
        // Standard input is looked at later; a name must be known now.
        let format = found.map(|f| wanted(request, &target, f));
        let output = match format {
            Some(format) if request.neutral => neutral(entry, &target, format)?,
            Some(format) => output(entry, &target, format, false),
            None => None,
        };
        plan.jobs.push(Job {
            source: entry.source.clone(),
            named: entry.named,
            output,
            format,
            clip: None,
            skip: false,
            replace: request.overwrite,
        });
    }
    part(&mut plan.jobs, &entries, &target, &mut places);
    if request.keep_motion {
        clips(&mut plan.jobs, &entries, &target, request.neutral);
    }
    refuse_collisions(&plan.jobs, &mut places)?;
    guard(&plan.jobs, request, &mut places)?;
    for job in &mut plan.jobs {
        let Some(Output::File(path)) = &job.output else {
            continue;
        };
        if !request.overwrite && fs::symlink_metadata(path).is_ok() {
            if !request.skip_existing {
                return Err(DiscoverError::Exists(path.as_path().into()));
            }
            // Anything else under that name is no output.
            job.skip = fs::metadata(path).is_ok_and(|m| m.is_file());
        }
    }
    let clips = plan.jobs.iter().filter_map(|j| j.clip.as_deref());
    match clips.into_iter().find(|c| fs::symlink_metadata(c).is_ok()) {
        Some(taken) if !request.overwrite && !request.skip_existing => {
            Err(DiscoverError::Exists(taken.into()))
        }
        _ => Ok(plan),
    }
}

/// A job for each folder; where there is one only, its frames lie in the output folder itself.
fn sequences(
    entries: &[Entry],
    target: &Target,
    request: &Request,
) -> Result<Vec<Job>, DiscoverError> {
    let mut jobs = Vec::new();
    for entry in entries {
        let path = entry.source.path();
        let output = match target {
            Target::Nowhere => None,
            Target::Folder(folder) if entries.len() == 1 => Some(folder.clone()),
            Target::Folder(folder) => Some(folder.join(&entry.below)),
            Target::Beside => {
                let mut name = name::file_only(path).into_os_string();
                name.push(OWN_MARK);
                Some(path.with_file_name(name))
            }
            Target::File(to) => return Err(DiscoverError::NoFolder(to.as_path().into())),
            Target::Stdout => return Err(DiscoverError::NoFolder(Path::new("-").into())),
        };
        jobs.push(Job {
            source: entry.source.clone(),
            named: true,
            output: output.map(Output::File),
            format: None,
            clip: None,
            skip: false,
            replace: request.overwrite,
        });
    }
    Ok(jobs)
}

fn wanted(request: &Request, target: &Target, found: Format) -> Format {
    let by_name = match target {
        Target::File(path) => Format::from_path(path),
        _ => None,
    };
    let chosen = request.format.or(by_name).unwrap_or(found);
    // A name that says otherwise is refused when it comes to encoding. In a folder of both, a format
    // for photos is none for videos.
    if by_name.is_some() || chosen.is_video() == found.is_video() {
        chosen
    } else {
        found
    }
}

fn target(request: &Request) -> Result<Target, DiscoverError> {
    let only_stdin =
        request.inputs.len() == 1 && request.inputs[0] == Path::new("-") && !request.list;
    let Some(output) = &request.output else {
        return Ok(if only_stdin {
            Target::Stdout
        } else {
            Target::Beside
        });
    };
    if output == "-" {
        return Ok(Target::Stdout);
    }
    let path = PathBuf::from(output);
    let called_folder = path.is_dir()
        || output
            .as_encoded_bytes()
            .last()
            .is_some_and(|&b| std::path::is_separator(b as char));
    let folder = called_folder
        || request.list
        || request.inputs.len() > 1
        || request.inputs.iter().any(|i| i.is_dir());
    if request.sequence && Format::from_path(&path).is_some() && !called_folder {
        return Err(DiscoverError::Frames(path.as_path().into()));
    }
    if folder {
        // Without a separator at its end, with which the system would see no file.
        let bare = path.components().as_path();
        if fs::metadata(bare).is_ok_and(|m| !m.is_dir()) {
            return Err(DiscoverError::NoOutputFolder(bare.into()));
        }
        return Ok(Target::Folder(path));
    }
    match (Format::from_path(&path), request.format) {
        (None, None) => Err(DiscoverError::Suffix(path.as_path().into())),
        (Some(named), Some(asked)) if named != asked => {
            Err(DiscoverError::Contradiction(path.as_path().into(), asked))
        }
        _ => Ok(Target::File(path)),
    }
}

fn entries(
    request: &Request,
    target: &Target,
    plan: &mut Plan,
) -> Result<Vec<Entry>, DiscoverError> {
    let outputs = match target {
        Target::Folder(folder) => fs::canonicalize(folder).ok(),
        _ => None,
    };
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    let mut stdin = false;
    let named = request.inputs.iter().map(|p| (p, false));
    for (path, listed) in named.chain(request.listed.iter().map(|p| (p, true))) {
        if path == Path::new("-") && !listed {
            if std::mem::replace(&mut stdin, true) {
                return Err(DiscoverError::StdinTwice);
            }
            entries.push(Entry {
                source: Source::Stdin,
                named: true,
                below: PathBuf::from("stdin"),
            });
            continue;
        }
        let whole = fs::canonicalize(path).ok();
        if let (Some(whole), Some(outputs)) = (&whole, &outputs) {
            if whole == outputs {
                return Err(DiscoverError::SameFolder(path.as_path().into()));
            }
            if whole.starts_with(outputs) {
                return Err(DiscoverError::InsideOutput(path.as_path().into()));
            }
        }
        if request.sequence {
            if !path.is_dir() {
                return Err(DiscoverError::NoFolder(path.as_path().into()));
            }
            if seen.insert(whole.unwrap_or_else(|| path.clone())) {
                entries.push(Entry {
                    source: Source::File(path.clone()),
                    named: true,
                    below: name::file_only(path),
                });
            }
            continue;
        }
        if path.is_dir() {
            walk::folder(path, outputs.as_deref(), plan, |file, below| {
                let key = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
                if seen.insert(key) {
                    entries.push(Entry {
                        source: Source::File(file),
                        named: false,
                        below,
                    });
                }
            });
            continue;
        }
        if name::is_own_output(path) && !request.look_only {
            return Err(DiscoverError::OwnOutput(path.as_path().into()));
        }
        // A file that is not there is a job all the same: it must be counted as failed.
        if seen.insert(whole.unwrap_or_else(|| path.clone())) {
            let below = if listed {
                name::kept_folders(path)
            } else {
                name::file_only(path)
            };
            entries.push(Entry {
                source: Source::File(path.clone()),
                named: true,
                below,
            });
        }
    }
    Ok(entries)
}

fn output(entry: &Entry, target: &Target, format: Format, keep_suffix: bool) -> Option<Output> {
    Some(match target {
        Target::Nowhere => return None,
        Target::Stdout => Output::Stdout,
        Target::File(path) => Output::File(path.clone()),
        Target::Folder(folder) => {
            Output::File(folder.join(name::with_format(&entry.below, format, keep_suffix)))
        }
        Target::Beside => Output::File(match &entry.source {
            Source::Stdin => PathBuf::from(format!("stdin{OWN_MARK}.{}", format.suffix())),
            Source::File(path) => name::beside(path, format, keep_suffix),
        }),
    })
}
