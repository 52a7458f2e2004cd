//! Boxes as JSON lines: what `detect` prints, and what a person edited.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{face::Face, geometry::Rect};

/// Largest file with boxes that is read, in bytes: a million faces.
pub const MAX_FILE: u64 = 128 << 20;

/// One picture's boxes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The picture, as it was named.
    pub path: String,
    /// The name's bytes in hexadecimal, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// Which page, counted from 1, of a picture of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// Width of the upright picture in pixels.
    pub width: u32,
    /// Height of the upright picture in pixels.
    pub height: u32,
    /// Faces, best first.
    pub faces: Vec<Face>,
}

impl Line {
    /// A line for a picture.
    #[must_use]
    pub fn new(path: &Path, width: u32, height: u32, faces: Vec<Face>) -> Self {
        let (path, path_hex) = names(path);
        Self {
            path,
            path_hex,
            page: None,
            width,
            height,
            faces,
        }
    }

    /// The same for one page of several.
    #[must_use]
    pub fn on_page(self, page: usize) -> Self {
        Self {
            page: Some(page),
            ..self
        }
    }
}

/// One frame's boxes of a video.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrameLine {
    /// The video, as it was named.
    pub path: String,
    /// The name's bytes in hexadecimal, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// Counted from 0.
    pub frame: usize,
    /// When it is shown, in seconds.
    pub time: f64,
    /// Width of the upright picture in pixels.
    pub width: u32,
    /// Height of the upright picture in pixels.
    pub height: u32,
    /// What is covered, by track.
    pub faces: Vec<TrackedFace>,
}

/// A face of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrackedFace {
    /// Where it is; its score is 0 where it was not seen in this frame.
    #[serde(flatten)]
    pub face: Face,
    /// What belongs together over time.
    pub track: u32,
}

/// A path as JSON can hold it, and its bytes where that is not exact.
#[must_use]
pub fn names(path: &Path) -> (String, Option<String>) {
    path.to_str().map_or_else(
        || {
            let hex = path
                .as_os_str()
                .as_encoded_bytes()
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            (path.to_string_lossy().into_owned(), Some(hex))
        },
        |text| (text.to_owned(), None),
    )
}

/// Why boxes can't be used. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoxesError {
    /// The file can't be read.
    #[error("can't be read ({0}); check its name")]
    Read(#[from] std::io::Error),
    /// A line is not as it should be.
    #[error("line {line}: {what}; correct it, each line is as `unface detect` prints it")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A picture has no line: leaving it uncovered would expose somebody.
    #[error(
        "has no boxes for this picture; add a line for it, with \"faces\": [] if it shows nobody"
    )]
    Missing,
    /// A line was made for another video.
    #[error("has boxes for frame {0} of a video with {1} frames; run detect again")]
    Frame(usize, usize),
    /// The first or the last frame has no line: the file may be cut off.
    #[error(
        "has no line for frame {0}, the first or last one; add one, with \"faces\": [] if it shows nobody"
    )]
    NoFrame(usize),
    /// A line was made for another picture.
    #[error(
        "has boxes for a picture of {0} × {1} pixels and this one has {2} × {3}; run detect again"
    )]
    Size(u32, u32, u32, u32),
    /// A box without a pixel in the picture: covering nothing would expose somebody.
    #[error(
        "has a box outside this picture of {width} × {height} pixels ({:.0},{:.0} to {:.0},{:.0}); correct it, boxes are in pixels of the upright picture",
        place.x1, place.y1, place.x2, place.y2
    )]
    Outside {
        /// The box.
        place: Rect,
        /// Columns of the picture.
        width: u32,
        /// Rows of the picture.
        height: u32,
    },
}

#[derive(Deserialize)]
struct Read {
    path: String,
    #[serde(default)]
    path_hex: Option<String>,
    #[serde(default)]
    width: Option<u32>,
    #[serde(default)]
    height: Option<u32>,
    /// For a video, counted from 0.
    #[serde(default)]
    frame: Option<usize>,
    /// For a picture of several pages, counted from 1.
    #[serde(default)]
    page: Option<usize>,
    faces: Vec<ReadFace>,
}

#[derive(Deserialize)]
struct ReadFace {
    #[serde(flatten)]
    rect: Rect,
    /// A person who adds a box need not give a score.
    #[serde(default = "certain")]
    score: f32,
    /// What belongs together in a video.
    #[serde(default)]
    track: Option<u32>,
}

const fn certain() -> f32 {
    1.0
}

/// Boxes of many pictures, by name.
#[derive(Debug, Default)]
pub struct Boxes {
    /// By name and page.
    lines: HashMap<(String, Option<usize>), Entry>,
    films: HashMap<String, GivenFilm>,
}

/// Boxes of a video.
#[derive(Debug, Default)]
struct GivenFilm {
    size: Option<(u32, u32)>,
    /// By frame: boxes and their tracks.
    frames: BTreeMap<usize, Vec<(Face, Option<u32>)>>,
}

/// For each track: frames, rectangles, scores.
pub type OverTime = Vec<Vec<(usize, Rect, f32)>>;

/// Size of the picture, where given, and its boxes.
type Entry = (Option<(u32, u32)>, Vec<Face>);

impl Boxes {
    /// Reads JSON lines; empty lines are passed over.
    ///
    /// # Errors
    /// With the first line that is not as it should be.
    pub fn parse(text: &str) -> Result<Self, BoxesError> {
        let mut boxes = Self::default();
        // Editors of some systems put it before a text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty())
        {
            let wrong = |what: String| BoxesError::Line {
                line: index + 1,
                what,
            };
            let read: Read = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
            let faces: Vec<Face> = read
                .faces
                .iter()
                .map(|f| Face {
                    rect: f.rect,
                    score: f.score,
                })
                .collect();
            if let Some(bad) = faces
                .iter()
                .find(|f| !f.rect.is_finite() || f.rect.is_empty())
            {
                return Err(wrong(format!("a box that covers nothing: {}", bad.rect)));
            }
            let key = read.path_hex.unwrap_or(read.path);
            if let Some(frame) = read.frame {
                let film = boxes.films.entry(key).or_default();
                film.size = film.size.or(read.width.zip(read.height));
                let tracks = read.faces.iter().map(|f| f.track);
                if film
                    .frames
                    .insert(frame, faces.into_iter().zip(tracks).collect())
                    .is_some()
                {
                    return Err(wrong("the same frame twice".into()));
                }
                continue;
            }
            if boxes
                .lines
                .insert((key, read.page), (read.width.zip(read.height), faces))
                .is_some()
            {
                return Err(wrong("the same picture twice".into()));
            }
        }
        Ok(boxes)
    }

    /// The boxes of one picture of `width` × `height` pixels, or of a `page` of it, counted from 1.
    ///
    /// # Errors
    /// When there is no line for it, or one for a picture of another size.
    pub fn of(
        &self,
        path: &Path,
        page: Option<usize>,
        (width, height): (u32, u32),
    ) -> Result<Vec<Face>, BoxesError> {
        let (text, hex) = names(path);
        let (size, faces) = self
            .lines
            .get(&(hex.unwrap_or(text), page))
            .ok_or(BoxesError::Missing)?;
        match size {
            Some((w, h)) if (*w, *h) != (width, height) => {
                Err(BoxesError::Size(*w, *h, width, height))
            }
            _ => {
                for face in faces {
                    inside(&face.rect, (width, height))?;
                }
                Ok(faces.clone())
            }
        }
    }

    /// The last frame of a video that has a line.
    #[must_use]
    pub fn last_frame(&self, path: &Path) -> Option<usize> {
        let film = self.film(path)?;
        film.frames.last_key_value().map(|(&frame, _)| frame)
    }

    fn film(&self, path: &Path) -> Option<&GivenFilm> {
        let (text, hex) = names(path);
        self.films.get(&hex.unwrap_or(text))
    }

    /// The boxes of a video of `width` × `height` pixels and `frames` frames, if that is known. A box without a track
    /// is one for its frame alone.
    ///
    /// # Errors
    /// When there is no line for it or for its first or last frame, one for a frame that it does not have, or for another size.
    pub fn over_time(
        &self,
        path: &Path,
        width: u32,
        height: u32,
        frames: Option<usize>,
    ) -> Result<OverTime, BoxesError> {
        let film = self.film(path).ok_or(BoxesError::Missing)?;
        if let Some((w, h)) = film.size.filter(|s| *s != (width, height)) {
            return Err(BoxesError::Size(w, h, width, height));
        }
        if let (Some((&last, _)), Some(frames)) = (film.frames.last_key_value(), frames)
            && last >= frames
        {
            return Err(BoxesError::Frame(last, frames));
        }
        // A file that was cut off would leave the rest uncovered.
        let last = frames.map(|n| n.saturating_sub(1));
        for frame in [Some(0), last].into_iter().flatten() {
            if !film.frames.contains_key(&frame) {
                return Err(BoxesError::NoFrame(frame));
            }
        }
        let mut tracks: BTreeMap<u32, Vec<(usize, Rect, f32)>> = BTreeMap::new();
        let mut single = Vec::new();
        for (&frame, faces) in &film.frames {
            for (face, track) in faces {
                inside(&face.rect, (width, height))?;
                let knot = (frame, face.rect, face.score);
                match track {
                    // Twice the same track in one frame: the second box must not be lost.
                    Some(id)
                        if tracks
                            .get(id)
                            .and_then(|t| t.last())
                            .is_none_or(|k| k.0 != frame) =>
                    {
                        tracks.entry(*id).or_default().push(knot);
                    }
                    _ => single.push(vec![knot]),
                }
            }
        }
        Ok(tracks.into_values().chain(single).collect())
    }
}

fn inside(rect: &Rect, (width, height): (u32, u32)) -> Result<(), BoxesError> {
    match rect.to_pixels(width, height) {
        Some(_) => Ok(()),
        None => Err(BoxesError::Outside {
            place: *rect,
            width,
            height,
        }),
    }
}
