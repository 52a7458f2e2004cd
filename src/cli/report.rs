//! Where the lines of `--report` go.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

/// A report that is not begun yet.
pub struct Report {
    target: OsString,
    overwrite: bool,
}

impl Report {
    /// `target`: a file, or `-` for standard output; `overwrite`: one that is there may be replaced.
    pub const fn new(target: OsString, overwrite: bool) -> Self {
        Self { target, overwrite }
    }

    /// Opens it. It ties names to faces: nobody else on this machine may read it.
    pub fn begin(&self) -> io::Result<Box<dyn Write + Send>> {
        if self.target == "-" {
            return Ok(Box::new(io::stdout()));
        }
        let mut how = OpenOptions::new();
        how.write(true);
        if self.overwrite {
            how.create(true).truncate(true);
        } else {
            // Never over something that is there: it could be a photo.
            how.create_new(true);
        }
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        // Its folder may be that of the outputs, which is not there yet.
        if let Some(folder) = Path::new(&self.target).parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = how.open(&self.target)?;
        #[cfg(unix)]
        if file.metadata()?.is_file() {
            // One that was there keeps its mode otherwise; memory sticks know none, and refuse.
            let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            let _ = file.set_permissions(own);
        }
        Ok(Box::new(file))
    }
}
