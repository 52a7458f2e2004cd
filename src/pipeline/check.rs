//! Files of any kind through the verifier: what they hold besides pixels.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    error::Error,
    verify::{self, Inspection},
};

/// What reading one file gave.
#[derive(Debug)]
pub struct Checked {
    /// The file, as named or found.
    pub path: PathBuf,
    /// What it holds.
    pub result: Result<Inspection, Error>,
}

/// Reads each file of `paths`, and each file in folders among them, by name, hidden ones as well;
/// links in folders are not followed, and reported as not read; `-` is standard input. `told` says whether to go on.
///
/// `limit`: largest file that is read, in bytes.
pub fn check(paths: &[PathBuf], limit: u64, mut told: impl FnMut(Checked) -> bool) {
    for path in paths {
        if !path.is_dir() {
            if !told(one(path, limit)) {
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
                Ok(entry) if entry.file_type().is_some_and(|t| t.is_file()) => {
                    one(entry.path(), limit)
                }
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

fn one(path: &Path, limit: u64) -> Checked {
    let mut bytes = Vec::new();
    let most = limit.saturating_add(1);
    let read = if path == Path::new("-") {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(most).read_to_end(&mut bytes))
    };
    if let Err(source) = read {
        return unreadable(path, source);
    }
    let result = if bytes.len() as u64 > limit {
        Err(Error::Huge {
            path: path.into(),
            limit: limit >> 20,
        })
    } else {
        Ok(verify::inspect(&bytes))
    };
    Checked {
        path: path.to_path_buf(),
        result,
    }
}
