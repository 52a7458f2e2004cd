//! Outcomes → JSON lines, and lines of boxes back again.

mod boxes;
mod finished;
mod json;

use serde::Serialize;

use crate::{caution::Caution, decode::Dropped, face::Face, geometry::Rect};
pub use boxes::{
    Boxes, BoxesError, FrameLine, Line, MAX_FILE, Moving, OverTime, TrackedFace, names,
};
pub use finished::{Digest, Finished, FinishedError};
pub use json::json_line;

/// The version of the report's fields.
pub const VERSION: u32 = 1;

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Covered, verified and written.
    Done,
    /// It was done before, see [`Record::reason`].
    Skipped,
    /// Found in a folder and not done, see [`Record::reason`].
    PassedOver,
    /// Nothing was written.
    Failed,
}

/// Why nothing was done with an input although nothing was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The report of an earlier run says that the output was made of this input.
    Finished,
    /// The list named it before, and it has not changed since.
    Repeated,
    /// A file in a folder that is not a picture or video.
    Other,
    /// A file in a folder whose name is that of a picture or video, and whose content is not of a
    /// kind that is known.
    Unrecognised,
    /// A file in a folder whose name is that of a picture or video, without content.
    Empty,
    /// A link in a folder; those are not followed.
    Link,
    /// A pipe, socket or device in a folder.
    Special,
}

/// One input's line in the report. It ties names to faces: keep it as safe as the originals.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The input, as named.
    pub path: String,
    /// The name's bytes in hexadecimal, where it is not UTF-8 and `path` is only like it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// The output; absent if none was to be written.
    pub output: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Why nothing was done with it, where nothing was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What the input held; only where it was done, and a report is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Digest>,
    /// What the output holds; as `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<Digest>,
    /// Width of the upright picture in pixels.
    pub width: Option<u32>,
    /// Height of the upright picture in pixels.
    pub height: Option<u32>,
    /// Faces, best first.
    pub faces: Vec<Face>,
    /// Further pages, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<Page>,
    /// For a video: what became of it over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoFacts>,
    /// Places that a person named, covered as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Rect>,
    /// How many of the faces were found only when the covered picture was searched again.
    #[serde(skip_serializing_if = "is_zero")]
    pub again: usize,
    /// What may be a face and was not covered, for a person to look at; best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncertain: Vec<Face>,
    /// What of the file the output does not hold.
    pub dropped: Vec<Dropped>,
    /// What was wrong with the file and was let pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Reasons for a person to look at it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cautions: Vec<Caution>,
    /// For a motion photo: its clip, where that was covered as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion: Option<Motion>,
    /// Why nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Record {
    /// Number of faces on all pages of a picture.
    #[must_use]
    pub fn faces(&self) -> usize {
        let further = self.pages.iter().map(|p| p.faces.len());
        self.faces.len() + further.sum::<usize>()
    }
}

/// A further page of a picture of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// Width of the upright page in pixels.
    pub width: u32,
    /// Height of the upright page in pixels.
    pub height: u32,
    /// Faces on it, best first.
    pub faces: Vec<Face>,
}

/// The clip of a motion photo that was covered and written as a file of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Motion {
    /// Its output.
    pub output: String,
    /// What the output holds; only where a report is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<Digest>,
    /// What became of it over time.
    #[serde(flatten)]
    pub facts: VideoFacts,
}

/// What shows several pictures one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum VideoKind {
    /// A video.
    #[default]
    Video,
    /// A GIF, WebP or PNG file of several pictures.
    Animation,
    /// A folder of numbered frames.
    Sequence,
}

/// A video in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct VideoFacts {
    /// What shows its pictures one after the other.
    pub kind: VideoKind,
    /// Frames.
    pub frames: usize,
    /// Faces that were followed; one person may be several.
    pub tracks: usize,
    /// Covered faces, summed over all frames.
    pub people_frames: usize,
    /// Stretches in which a face was not seen and was covered where it had to be.
    pub bridged: usize,
    /// How long it lasts.
    pub seconds: f64,
    /// The kind of pixels of the input, where the output has another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted: Option<String>,
    /// How bright and deep its colours are, where that is more than usual: `PQ` or `HLG`, and what
    /// became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hdr: Option<String>,
    /// What became of the sound; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<String>,
}
