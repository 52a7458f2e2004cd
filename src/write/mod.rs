//! Verified bytes → a file under its final name, or nothing at all.
//!
//! The bytes go into a temporary file in the target folder (without a name where the system can,
//! otherwise hidden, random and locked; readable by its owner alone), are flushed to the disk,
//! read back and checked, and only then get their name. Whatever goes wrong before leaves nothing
//! behind; what a killed run left is swept by the next.

mod temporary;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

pub use temporary::{remove_all, sweep};

/// Why nothing was written. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E: std::error::Error + 'static> {
    /// The name is taken.
    #[error(
        "exists already; use --overwrite to replace it, another -o, or --skip-existing with the --report of the run that wrote it"
    )]
    Exists,
    /// The name belongs to something that is no file.
    #[error("is no ordinary file; give another name, or use -o - for a pipe")]
    NotAFile,
    /// Where a folder must be, there is a file.
    #[error("lies in what is a file and no folder; choose another -o")]
    NoFolder,
    /// The system's complaint.
    #[error("can't be written ({source}); {advice}")]
    Io {
        /// What the system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The file system takes no such name.
    #[error(
        "can't be written: this file system takes no name with {0}; rename the input, or use --names neutral"
    )]
    Name(char),
    /// The reader of standard output went away.
    #[error("nobody reads the output any more; nothing more was written")]
    Closed,
    /// What was written did not pass the check.
    #[error("{0}")]
    Check(E),
}

impl<E: std::error::Error + 'static> From<io::Error> for WriteError<E> {
    fn from(source: io::Error) -> Self {
        use io::ErrorKind as K;
        match source.kind() {
            K::AlreadyExists => return Self::Exists,
            K::BrokenPipe => return Self::Closed,
            _ => {}
        }
        let advice = match source.kind() {
            K::StorageFull | K::QuotaExceeded => {
                "free some space and run again, with --skip-existing where a --report was written"
            }
            K::PermissionDenied | K::ReadOnlyFilesystem => {
                "choose a folder that you may write to with -o"
            }
            K::NotFound => "the folder vanished; make it again",
            K::NotADirectory | K::IsADirectory => "choose another output name",
            K::InvalidFilename => "choose a shorter name",
            _ => "choose another folder with -o",
        };
        Self::Io { source, advice }
    }
}

/// How to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// An existing file may be replaced.
    pub overwrite: bool,
    /// The file's times become [`NO_TIME`] instead of now.
    pub timeless: bool,
}

/// The first second of the year 2000, UTC: what every file system can hold, and no photo has.
pub const NO_TIME: Duration = Duration::from_secs(946_684_800);

/// Writes `bytes` to `path`, once `check` has passed what was read back. Folders are made.
///
/// Without `overwrite` an existing name is left alone, whoever made it and whenever; a name that is
/// a symbolic link is never written through.
///
/// # Errors
/// [`WriteError`]; then nothing is left behind and the old file, if any, is as it was.
pub fn commit<E: std::error::Error + 'static>(
    path: &Path,
    bytes: &[u8],
    options: Options,
    check: impl FnOnce(&[u8]) -> Result<(), E>,
) -> Result<(), WriteError<E>> {
    let overwrite = options.overwrite;
    let mut file = begin(path, overwrite)?;
    file.write(bytes)?;
    let written = file.read_back(bytes.len())?;
    if written != bytes {
        let torn = io::Error::other("the disk gave other bytes back than were written");
        return Err(WriteError::Io {
            source: torn,
            advice: "check the disk, and write elsewhere",
        });
    }
    check(&written).map_err(WriteError::Check)?;
    if options.timeless {
        file.forget_time()?;
    }
    file.name(path, overwrite).map_err(|e| unnamed(e, path))
}

/// Characters that FAT and exFAT take in no name.
const FORBIDDEN: [char; 8] = [':', '?', '*', '"', '<', '>', '|', '\\'];

/// Why a file could not be given its name: some systems say of a name that their disk can't hold
/// that there is no such file.
fn unnamed<E: std::error::Error + 'static>(error: io::Error, path: &Path) -> WriteError<E> {
    use io::ErrorKind as K;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let forbidden = name.chars().find(|c| FORBIDDEN.contains(c));
    match (error.kind(), forbidden) {
        (K::NotFound | K::InvalidInput | K::InvalidFilename, Some(c))
            if folder_of(path).is_dir() =>
        {
            WriteError::Name(c)
        }
        _ => error.into(),
    }
}

/// The temporary file for `path`, where that name may be given to it; folders are made.
fn begin<E: std::error::Error + 'static>(
    path: &Path,
    overwrite: bool,
) -> Result<temporary::Temporary, WriteError<E>> {
    let folder = folder_of(path);
    std::fs::create_dir_all(&folder).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => WriteError::NoFolder,
        io::ErrorKind::NotFound => WriteError::Io {
            source,
            advice: "no folder can be made there; choose another one with -o",
        },
        _ => source.into(),
    })?;
    match std::fs::symlink_metadata(path) {
        // The system's own links, as `/dev/stdout`, and those to what is no file.
        Ok(meta) if meta.is_symlink() && (system(&folder) || !leads_to_file(path)) => {
            return Err(WriteError::NotAFile);
        }
        Ok(meta) if meta.is_dir() || !(meta.is_file() || meta.is_symlink()) => {
            return Err(WriteError::NotAFile);
        }
        Ok(_) if !overwrite => return Err(WriteError::Exists),
        _ => {}
    }
    Ok(temporary::Temporary::create(&folder, overwrite)?)
}

/// Whether a folder is one of those in which the system shows itself.
fn system(folder: &Path) -> bool {
    let whole = std::fs::canonicalize(folder);
    whole.is_ok_and(|f| ["/dev", "/proc", "/sys"].iter().any(|s| f.starts_with(s)))
}

/// Whether a link leads to a file, or nowhere.
fn leads_to_file(link: &Path) -> bool {
    std::fs::metadata(link).map_or(true, |m| m.is_file())
}

/// Writes `bytes` to standard output, whole, once `check` has passed them.
///
/// # Errors
/// [`WriteError::Closed`] when the reader went away.
pub fn standard_output<E: std::error::Error + 'static>(
    bytes: &[u8],
    check: impl FnOnce(&[u8]) -> Result<(), E>,
) -> Result<(), WriteError<E>> {
    check(bytes).map_err(WriteError::Check)?;
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// The folder that a file of this name lies in.
#[must_use]
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Removes outputs of this run that make no sense alone.
pub fn take_back(paths: &[PathBuf]) {
    for path in paths {
        // What can't be removed is covered and whole all the same.
        let _ = std::fs::remove_file(path);
    }
}

/// A file that somebody else writes piece by piece: a video. Dropped, it is gone.
#[derive(Debug)]
pub struct Pending {
    temporary: temporary::Temporary,
    target: PathBuf,
    overwrite: bool,
    timeless: bool,
}

impl Pending {
    /// Makes the temporary file; folders are made. As [`commit`] otherwise.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create<E: std::error::Error + 'static>(
        path: &Path,
        overwrite: bool,
    ) -> Result<Self, WriteError<E>> {
        Ok(Self {
            temporary: begin(path, overwrite)?,
            target: path.to_path_buf(),
            overwrite,
            timeless: false,
        })
    }

    /// Its times become [`NO_TIME`] instead of now, where `yes`.
    #[must_use]
    pub fn timeless(self, yes: bool) -> Self {
        Self {
            timeless: yes,
            ..self
        }
    }

    /// The open file, for reading and writing.
    ///
    /// # Errors
    /// When the system gives no second handle.
    pub fn file<E: std::error::Error + 'static>(&self) -> Result<std::fs::File, WriteError<E>> {
        Ok(self.temporary.file().try_clone()?)
    }

    /// Its path, if it has one.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.temporary.path().unwrap_or_default()
    }

    /// Gives it its final name, once `check` has passed what is in it.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing is left behind.
    pub fn commit<E: std::error::Error + 'static>(
        self,
        check: impl FnOnce(&std::fs::File) -> Result<(), E>,
    ) -> Result<(), WriteError<E>> {
        check(self.temporary.file()).map_err(WriteError::Check)?;
        if self.timeless {
            self.temporary.forget_time()?;
        }
        let named = self.temporary.name(&self.target, self.overwrite);
        named.map_err(|e| unnamed(e, &self.target))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_that_the_disk_cannot_hold_is_told_from_a_folder_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let why =
            |kind: io::ErrorKind, path: &Path| unnamed::<io::Error>(kind.into(), path).to_string();
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::InvalidInput] {
            let told = why(kind, &dir.path().join("a:b?.jpg"));
            assert!(told.contains("takes no name with :"), "{told}");
        }
        for path in ["a.jpg", "gone/a:b.jpg"] {
            let told = why(io::ErrorKind::NotFound, &dir.path().join(path));
            assert!(told.contains("vanished"), "{told}");
        }
    }
}
