//! Files of any kind through the verifier: what they hold besides pixels.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use super::Caged;
use crate::{
    cage::CageError,
    error::Error,
    verify::{self, Inspection},
};

/// What reading one file gave.
#[derive(Debug)]
pub struct Checked {
    /// The file, as named or found.
    pub path: PathBuf,
    /// What it holds; how an animation moves is left out where a child read it.
    pub result: Result<Inspection, Error>,
}

/// Reads each file of `paths`, and each file in folders among them, by name, hidden ones as well;
/// links in folders are not followed, and reported as not read; `-` is standard input. `told` says whether to go on.
///
/// `limit`: largest file that is read, and memory that its pictures may take, both in bytes. `cage`:
/// the children that read them; without one they are read in this process.
pub fn check(
    paths: &[PathBuf],
    limit: u64,
    cage: Option<&Caged>,
    mut told: impl FnMut(Checked) -> bool,
) {
    let one = |path: &Path| Checked {
        path: path.to_path_buf(),
        result: inspect(path, limit, cage),
    };
    for path in paths {
        if !path.is_dir() {
            if !told(one(path)) {
                return;
            }
            continue;
        }
        let walk = ignore::WalkBuilder::new(path)
            .standard_filters(false)
            .follow_links(false)
            .sort_by_file_name(std::ffi::OsStr::cmp)
            .build();
        for entry in walk {
            let checked = match entry {
                Ok(entry) if entry.file_type().is_some_and(|t| t.is_file()) => one(entry.path()),
                // What a link shows would be posted with the folder, and is not read here.
                Ok(entry) if entry.path_is_symlink() => unreadable(
                    entry.path(),
                    std::io::Error::other("a link in a folder; name the file that it leads to"),
                ),
                Ok(_) => continue,
                Err(error) => unreadable(path, std::io::Error::other(error)),
            };
            if !told(checked) {
                return;
            }
        }
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> Checked {
    Checked {
        path: path.to_path_buf(),
        result: Err(Error::Read {
            path: path.into(),
            source,
        }),
    }
}

fn inspect(path: &Path, limit: u64, cage: Option<&Caged>) -> Result<Inspection, Error> {
    let read = |source| Error::Read {
        path: path.into(),
        source,
    };
    if path == Path::new("-") {
        return whole(path, &mut std::io::stdin(), limit, cage);
    }
    let mut file = File::open(path).map_err(read)?;
    let is = file.metadata().map_err(read)?;
    match cage {
        Some(_) if is.is_file() && is.len() > limit => Err(huge(path, limit)),
        Some(cage) if is.is_file() => caged(path, cage.inspect((&mut file, is.len()), limit)),
        _ => whole(path, &mut file, limit, cage),
    }
}

fn huge(path: &Path, limit: u64) -> Error {
    Error::Huge {
        path: path.into(),
        limit: limit >> 20,
    }
}

/// Inspects what can be read only once, or without a child.
fn whole(
    path: &Path,
    from: &mut dyn Read,
    limit: u64,
    cage: Option<&Caged>,
) -> Result<Inspection, Error> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Read {
            path: path.into(),
            source,
        })?;
    let length = bytes.len() as u64;
    match cage {
        _ if length > limit => Err(huge(path, limit)),
        Some(cage) => caged(path, cage.inspect((&mut &bytes[..], length), limit)),
        None => Ok(verify::inspect(&bytes)),
    }
}

fn caged(path: &Path, found: Result<Inspection, CageError>) -> Result<Inspection, Error> {
    found.map_err(|error| Error::Unverified {
        path: path.into(),
        why: match error {
            CageError::Slow(seconds) => {
                format!("takes too long to verify (more than {seconds} s)")
            }
            CageError::Ended(how) => {
                format!("takes too much memory to verify, or broke it ({how})")
            }
            other => format!("can't be verified ({other})"),
        },
    })
}
