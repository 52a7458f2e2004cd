//! Where the lines of `--report` go.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use unface::report::{Finished, FinishedError};

/// What becomes of a report that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// It stays as it is, and the run is refused.
    Refuse,
    /// It is replaced.
    Replace,
    /// Its lines stay, and further ones are added.
    Append,
}

/// A report that is not begun yet.
pub struct Report {
    target: OsString,
    present: Present,
}

impl Report {
    /// `target`: a file, a pipe, or `-` for standard output.
    pub const fn new(target: OsString, present: Present) -> Self {
        Self { target, present }
    }

    /// Opens it. It ties names to faces: nobody else on this machine may read it.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] for a report that is to stay, [`io::ErrorKind::InvalidData`]
    /// for a file that is not a report, which is never replaced or added to.
    pub fn begin(&self) -> io::Result<Box<dyn Write + Send>> {
        if self.target == "-" {
            return Ok(Box::new(io::stdout()));
        }
        let path = Path::new(&self.target);
        let mut how = OpenOptions::new();
        match std::fs::metadata(path) {
            // A pipe or a terminal keeps nothing that could be lost.
            Ok(found) if !found.is_file() => {
                return Ok(Box::new(how.write(true).open(path)?));
            }
            Ok(_) => return self.go_on(path),
            Err(_) => {}
        }
        // Never over something that has come meanwhile: it could be a photo.
        how.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        // Its folder may be that of the outputs, which is not there yet.
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Box::new(how.open(path)?))
    }

    /// Opens a file that is there.
    fn go_on(&self, path: &Path) -> io::Result<Box<dyn Write + Send>> {
        if self.present == Present::Refuse {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Finished::read(path).map_err(|e| match e {
            FinishedError::Read(e) => e,
            foreign => io::Error::new(io::ErrorKind::InvalidData, foreign.to_string()),
        })?;
        let mut how = OpenOptions::new();
        let file = if self.present == Present::Replace {
            how.write(true).truncate(true).open(path)?
        } else {
            let mut file = how.read(true).append(true).open(path)?;
            end_line(&mut file)?;
            file
        };
        #[cfg(unix)]
        {
            // One that was there keeps its mode otherwise; memory sticks know none, and refuse.
            let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            let _ = file.set_permissions(own);
        }
        Ok(Box::new(file))
    }
}

/// Ends a last line that a killed run left incomplete, so that the next begins on its own.
fn end_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}
