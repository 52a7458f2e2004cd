//! What can go wrong, one variant a stage, each with the path it happened to.
//!
//! Every message reads `path: what is wrong; what to do`, with control characters escaped.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{
    decode::DecodeError, detect::DetectError, discover::DiscoverError, encode::EncodeError,
    redact::RedactError, report::BoxesError, verify::VerifyError, write::WriteError,
};

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

/// Whether a character could move a terminal's cursor, reorder what is read or hide in it: control
/// characters, bidirectional marks, characters without width, tags.
pub(crate) fn is_hidden(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || invisible
}

/// Writes text from outside with every hidden character escaped.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        if is_hidden(c) {
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
    /// What was named makes no jobs.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The detector can't be set up.
    #[error("{0}")]
    Setup(DetectError),
    /// The file with boxes can't be used.
    #[error("{path}: {source}")]
    Boxes {
        /// The file with boxes.
        path: ShownPath,
        /// Why.
        source: BoxesError,
    },
    /// The input could not be read.
    #[error("{path}: can't be read ({source}); check its name and your right to read it")]
    Read {
        /// The input.
        path: ShownPath,
        /// Why.
        source: io::Error,
    },
    /// The input is too large to be read.
    #[error("{path}: has more than {limit} MiB; raise --max-memory if you trust it")]
    Huge {
        /// The input.
        path: ShownPath,
        /// Largest size in MiB.
        limit: u64,
    },
    /// The input could not be turned into pixels.
    #[error("{path}: {source}")]
    Decode {
        /// The input.
        path: ShownPath,
        /// Why.
        source: DecodeError,
    },
    /// The child that decodes came to no answer.
    #[error("{path}: {source}")]
    Cage {
        /// The input.
        path: ShownPath,
        /// Why.
        source: crate::cage::CageError,
    },
    /// The verifier came to no answer about a file.
    #[error(
        "{path}: {why}, as damaged and hostile files may; count it as not clean, and convert it with another program"
    )]
    Unverified {
        /// The file.
        path: ShownPath,
        /// What it did.
        why: String,
    },
    /// The search for faces failed.
    #[error("{path}: {source}")]
    Detect {
        /// The input.
        path: ShownPath,
        /// Why.
        source: DetectError,
    },
    /// The picture could not be covered.
    #[error("{path}: {source}")]
    Redact {
        /// The input.
        path: ShownPath,
        /// Why.
        source: RedactError,
    },
    /// The covered picture could not be encoded.
    #[error("{path}: {source}")]
    Encode {
        /// The output.
        path: ShownPath,
        /// Why.
        source: EncodeError,
    },
    /// The output could not be written, or did not pass the check.
    #[error("{path}: {source}")]
    Write {
        /// The output.
        path: ShownPath,
        /// Why.
        source: WriteError<VerifyError>,
    },
    /// The video can't be followed.
    #[error("{path}: {source}")]
    Video {
        /// The input.
        path: ShownPath,
        /// Why.
        source: crate::ffmpeg::StreamError,
    },
    /// The report can't be begun.
    #[error("{path}: the report can't be written ({source}); give another name")]
    Report {
        /// The report.
        path: ShownPath,
        /// Why.
        source: io::Error,
    },
    /// The report of another run is there.
    #[error(
        "{0}: the report can't be written, as a file of that name exists; add --skip-existing to go on with a report, --overwrite to replace it, or give another name"
    )]
    ReportExists(ShownPath),
    /// What is there under the report's name is not a report.
    #[error("{path}: is not a report of this program ({what}); give the report another name")]
    NotAReport {
        /// The report.
        path: ShownPath,
        /// What shows it.
        what: String,
    },
    /// A job panicked.
    #[error(
        "{path}: broke the program ({what}); report this as a bug, the other pictures are not touched by it"
    )]
    Panicked {
        /// The input.
        path: ShownPath,
        /// What the panic said.
        what: String,
    },
    /// A person asked to stop.
    #[error("stopped; nothing partial was left")]
    Interrupted,
}

impl Error {
    /// Why, without the path: the same text for inputs that failed for one reason.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Boxes { source, .. } => source.to_string(),
            Self::Read { source, .. } => format!("can't be read ({source})"),
            Self::Huge { limit, .. } => format!("has more than {limit} MiB"),
            Self::Decode { source, .. } => source.to_string(),
            Self::Cage { source, .. } => source.to_string(),
            Self::Detect { source, .. } => source.to_string(),
            Self::Redact { source, .. } => source.to_string(),
            Self::Encode { source, .. } => source.to_string(),
            Self::Write { source, .. } => source.to_string(),
            Self::Panicked { .. } => "broke the program".into(),
            Self::Discover(DiscoverError::Exists(_)) => "its output exists already".into(),
            Self::Discover(DiscoverError::Unproven { .. }) => {
                "an output of its name exists that no report names for it".into()
            }
            Self::Discover(DiscoverError::Collision(..)) => {
                "another input would get the same name".into()
            }
            other => other.to_string(),
        }
    }

    /// Whether nothing more can be written, as the reader of standard output went away.
    #[must_use]
    pub const fn is_closed_pipe(&self) -> bool {
        matches!(
            self,
            Self::Write {
                source: WriteError::Closed,
                ..
            }
        )
    }
}
