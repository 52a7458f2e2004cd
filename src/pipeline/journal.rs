//! What is done and not yet in the report: its lines stand in the order of the inputs, so that one
//! long video would keep all that was done meanwhile out of it, and a run that is killed would leave
//! outputs that nothing proves.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::report::{Finished, Record, json_line};

/// Stands behind the report's name.
const SUFFIX: &str = ".unfinished";

/// A file beside the report, with the same lines as soon as there is something to say. It is removed
/// when the report is complete.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

/// Where the journal of a report lies.
pub(super) fn of(report: &Path) -> PathBuf {
    let mut name = report.as_os_str().to_os_string();
    name.push(SUFFIX);
    name.into()
}

impl Journal {
    /// Begins one for a report that has been begun. `go_on`: lines that a killed run left go into the
    /// report.
    ///
    /// # Errors
    /// When there is none to be had, as where another file has its name: the run does without.
    pub(super) fn begin(report: &Path, go_on: bool) -> io::Result<Self> {
        let path = of(report);
        let mut how = OpenOptions::new();
        how.write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        let file = if path.symlink_metadata().is_ok_and(|m| m.is_file()) {
            Finished::read(&path).map_err(|e| io::Error::other(e.to_string()))?;
            if go_on {
                let mut left = std::fs::read(&path)?;
                // The last line may be incomplete.
                left.truncate(
                    left.iter()
                        .rposition(|b| *b == b'\n')
                        .map_or(0, |at| at + 1),
                );
                let mut report = OpenOptions::new().append(true).open(report)?;
                report.write_all(&left)?;
                report.sync_all()?;
            }
            how.truncate(true).open(&path)?
        } else {
            how.create_new(true).open(&path)?
        };
        Ok(Self {
            path,
            file: Mutex::new(file),
        })
    }

    /// Notes something that is done.
    pub(super) fn note(&self, record: &Record) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Without this line a killed run leaves an output that a person has to look at, and no more.
        if let Ok(line) = json_line(record) {
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// The report is complete.
    pub(super) fn end(self) {
        let _ = std::fs::remove_file(self.path);
    }
}
