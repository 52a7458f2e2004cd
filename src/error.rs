//! What can go wrong, one variant a stage, each with the path it happened to.
//!
//! Every message reads `path: what is wrong; what to do`, with control characters escaped.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{decode::DecodeError, verify::VerifyError};

/// A path as it may be shown: control characters and bytes that are not UTF-8 escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPath(pub PathBuf);

impl From<&Path> for ShownPath {
    fn from(path: &Path) -> Self {
        Self(path.to_path_buf())
    }
}

impl fmt::Display for ShownPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_encoded_bytes().utf8_chunks() {
            write_escaped(f, chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Writes text from outside with everything escaped that could move a terminal's cursor or
/// reorder what is read (control characters, bidirectional marks).
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        let reorders = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || reorders {
            write!(f, "{}", c.escape_default())?;
        } else {
            fmt::Write::write_char(f, c)?;
        }
    }
    Ok(())
}

/// What went wrong with one input, or with the whole run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input could not be read.
    #[error("{path}: can't be read: {source}")]
    Read {
        /// The input.
        path: ShownPath,
        /// Why.
        source: io::Error,
    },
    /// The input could not be turned into pixels.
    #[error("{path}: {source}")]
    Decode {
        /// The input.
        path: ShownPath,
        /// Why.
        source: DecodeError,
    },
    /// The output holds more than pixels, and was not written.
    #[error("{path}: {source}")]
    Verify {
        /// The output.
        path: ShownPath,
        /// What was found.
        source: VerifyError,
    },
}
