//! Reasons for a person to look at an input although it was processed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something about a processed input that a person should check.
///
/// Each is told when the input is finished, written into the report, and makes a run with
/// `--strict` exit with 1. This enum is the list of such reasons; its [`Display`](fmt::Display) is
/// their wording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Caution {
    /// Two places in the file name different orientations (EXIF values, 1 to 8).
    OrientationConflict {
        /// The orientation that was applied.
        applied: u8,
        /// The orientation that the other place names.
        other: u8,
    },
    /// The search ran on a reduced copy in which small faces can't be found.
    SmallFacesNotSearched {
        /// Face height in pixels of the full frame below which the search finds few faces.
        height: u32,
    },
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OrientationConflict { applied, other } => write!(
                f,
                "its metadata names two orientations, {applied} and {other}; {applied} was applied; \
                 look at the output, and use --orientation {other} if it is turned wrongly"
            ),
            Self::SmallFacesNotSearched { height } => write!(
                f,
                "faces less than {height} pixels high were not searched for; look for small faces in the output"
            ),
        }
    }
}
