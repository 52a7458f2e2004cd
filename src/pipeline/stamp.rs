//! Whether a file that is read twice was the same both times.

use std::{fs::Metadata, io, time::SystemTime};

/// What changes with a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Device, number, and when anything about it changed, which no program can set: seconds and
    /// nanoseconds.
    #[cfg(unix)]
    changed: (u64, u64, i64, i64),
}

impl Stamp {
    /// Of what [`std::fs::File::metadata`] or [`std::fs::metadata`] gives.
    pub(super) fn of(metadata: io::Result<Metadata>) -> io::Result<Self> {
        let m = metadata?;
        Ok(Self {
            length: m.len(),
            modified: m.modified().ok(),
            #[cfg(unix)]
            changed: {
                use std::os::unix::fs::MetadataExt;
                (m.dev(), m.ino(), m.ctime(), m.ctime_nsec())
            },
        })
    }
}
