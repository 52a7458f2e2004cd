//! Boxes as JSON lines: what `detect` prints, and what a person edited.

mod read;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde::Serialize;

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
    /// The EXIF orientation, 1 to 8, that was applied to make it upright.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
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
            orientation: None,
            width,
            height,
            faces,
        }
    }

    /// The same with the orientation that was applied, if that is known.
    #[must_use]
    pub fn turned(self, orientation: Option<u8>) -> Self {
        Self {
            orientation,
            ..self
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
    /// The EXIF orientation, 1 to 8, that was applied to make it upright; absent for videos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
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
    /// A frame has no line: leaving it uncovered would expose somebody.
    #[error(
        "has no line for frame {0}; each frame needs one, as `unface detect` prints it, with \"faces\": [] if it shows nobody"
    )]
    NoFrame(usize),
    /// A line was made with another orientation: its boxes lie elsewhere.
    #[error(
        "has boxes made with orientation {given} for a picture to which orientation {applied} is applied; run detect again, with the same --orientation"
    )]
    Orientation {
        /// That of the line, an EXIF value.
        given: u8,
        /// That of this run.
        applied: u8,
    },
    /// Several lines lead to one picture, by different spellings of its name.
    #[error("has lines under several names that all lead to this picture ({0}); leave one of them")]
    Ambiguous(String),
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

/// The bytes of a name.
type Key = Vec<u8>;

/// Boxes of many pictures, by name.
#[derive(Debug, Default)]
pub struct Boxes {
    /// By name and page.
    lines: HashMap<(Key, Option<usize>), Entry>,
    films: HashMap<Key, GivenFilm>,
    /// Names by the files that they lead to; made when a name is not found as it is spelled.
    whole: OnceLock<HashMap<PathBuf, Vec<Key>>>,
}

/// Boxes of a video.
#[derive(Debug, Default)]
struct GivenFilm {
    size: Option<(u32, u32)>,
    frames: BTreeMap<usize, GivenFrame>,
}

/// Boxes of one frame.
#[derive(Debug)]
struct GivenFrame {
    orientation: Option<u8>,
    /// With their tracks.
    faces: Vec<(Face, Option<u32>)>,
}

/// What a video, an animation or a folder of frames is, into which boxes are to fit.
#[derive(Debug, Clone, Copy)]
pub struct Moving<'a> {
    /// Width and height of its upright frames in pixels.
    pub size: (u32, u32),
    /// Its frames, if their number is known.
    pub frames: Option<usize>,
    /// The EXIF orientation that was applied to each frame; empty where none could be.
    pub orientations: &'a [u8],
}

/// For each track: frames, rectangles, scores.
pub type OverTime = Vec<Vec<(usize, Rect, f32)>>;

/// One picture's boxes.
#[derive(Debug)]
struct Entry {
    size: Option<(u32, u32)>,
    orientation: Option<u8>,
    faces: Vec<Face>,
}

impl Boxes {
    /// Reads JSON lines; empty lines are skipped.
    ///
    /// # Errors
    /// With the first line that is not as it should be.
    pub fn parse(text: &str) -> Result<Self, BoxesError> {
        let mut boxes = Self::default();
        // Editors of some systems put it before a text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let added = read::line(line).and_then(|line| boxes.add(line));
            added.map_err(|what| BoxesError::Line {
                line: index + 1,
                what,
            })?;
        }
        Ok(boxes)
    }

    fn add(&mut self, line: read::Line) -> Result<(), String> {
        let orientation = line.orientation;
        let Some(frame) = line.frame else {
            let faces = line.faces.into_iter().map(|(face, _)| face).collect();
            let entry = Entry {
                size: line.size,
                orientation,
                faces,
            };
            return match self.lines.insert((line.key, line.page), entry) {
                Some(_) => Err("the same picture twice".into()),
                None => Ok(()),
            };
        };
        let film = self.films.entry(line.key).or_default();
        if let (Some(known), Some(size)) = (film.size, line.size)
            && known != size
        {
            return Err("another size than the frames before".into());
        }
        film.size = film.size.or(line.size);
        let given = GivenFrame {
            orientation,
            faces: line.faces,
        };
        match film.frames.insert(frame, given) {
            Some(_) => Err("the same frame twice".into()),
            None => Ok(()),
        }
    }

    /// The boxes of one picture of `width` × `height` pixels, or of a `page` of it, counted from 1;
    /// `orientation`: the EXIF value that was applied to it.
    ///
    /// # Errors
    /// When there is no line for it, or one for a picture of another size or orientation.
    pub fn of(
        &self,
        path: &Path,
        page: Option<usize>,
        (width, height): (u32, u32),
        orientation: u8,
    ) -> Result<Vec<Face>, BoxesError> {
        let has = |key: &Key| self.lines.contains_key(&(key.clone(), page));
        let key = self.key(path, has)?.ok_or(BoxesError::Missing)?;
        let entry = self.lines.get(&(key, page)).ok_or(BoxesError::Missing)?;
        if let Some((w, h)) = entry.size.filter(|s| *s != (width, height)) {
            return Err(BoxesError::Size(w, h, width, height));
        }
        same_way(entry.orientation, orientation)?;
        for face in &entry.faces {
            inside(&face.rect, (width, height))?;
        }
        Ok(entry.faces.clone())
    }

    /// The name under which a file has lines: its own bytes or, where those have none, another
    /// spelling that leads to the same file.
    fn key(&self, path: &Path, has: impl Fn(&Key) -> bool) -> Result<Option<Key>, BoxesError> {
        let exact = path.as_os_str().as_encoded_bytes().to_vec();
        if has(&exact) {
            return Ok(Some(exact));
        }
        let whole = self.whole.get_or_init(|| self.names_by_file());
        let same = fs::canonicalize(path).ok().and_then(|p| whole.get(&p));
        let found: Vec<&Key> = same.into_iter().flatten().filter(|k| has(k)).collect();
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => {
                let shown = several.iter().map(|k| match path_of(k) {
                    Some(path) => crate::ShownPath(path).to_string(),
                    None => String::from_utf8_lossy(k).escape_debug().to_string(),
                });
                Err(BoxesError::Ambiguous(shown.collect::<Vec<_>>().join(", ")))
            }
        }
    }

    fn names_by_file(&self) -> HashMap<PathBuf, Vec<Key>> {
        let pages = self.lines.keys().map(|(key, _)| key);
        let all: BTreeSet<&Key> = pages.chain(self.films.keys()).collect();
        let mut names: HashMap<PathBuf, Vec<Key>> = HashMap::new();
        for key in all {
            // Standard input is not a file.
            let path = path_of(key).filter(|p| p != Path::new("-"));
            if let Some(whole) = path.and_then(|p| fs::canonicalize(p).ok()) {
                names.entry(whole).or_default().push(key.clone());
            }
        }
        names
    }

    /// The last frame of a video that has a line.
    #[must_use]
    pub fn last_frame(&self, path: &Path) -> Option<usize> {
        let film = self.film(path).ok()?;
        film.frames.last_key_value().map(|(&frame, _)| frame)
    }

    fn film(&self, path: &Path) -> Result<&GivenFilm, BoxesError> {
        let key = self.key(path, |key| self.films.contains_key(key))?;
        key.and_then(|key| self.films.get(&key))
            .ok_or(BoxesError::Missing)
    }

    /// The boxes of a video. A box without a track is one for its frame alone.
    ///
    /// # Errors
    /// When there is no line for one of its frames, one for a frame that it does not have, or lines
    /// for another size or orientation. Where the number of frames is not known, the last frame with
    /// a line ([`Self::last_frame`]) must be compared with it in the end.
    pub fn over_time(&self, path: &Path, moving: Moving<'_>) -> Result<OverTime, BoxesError> {
        let film = self.film(path)?;
        let (width, height) = moving.size;
        if let Some((w, h)) = film.size.filter(|s| *s != (width, height)) {
            return Err(BoxesError::Size(w, h, width, height));
        }
        let last = film.frames.last_key_value().map_or(0, |(&last, _)| last);
        if let Some(frames) = moving.frames
            && last >= frames
        {
            return Err(BoxesError::Frame(last, frames));
        }
        // Wherever lines are missing, people would stay uncovered.
        let frames = moving.frames.unwrap_or(last + 1);
        if let Some(missing) = (0..frames).find(|n| !film.frames.contains_key(n)) {
            return Err(BoxesError::NoFrame(missing));
        }
        for (given, applied) in film.frames.values().zip(moving.orientations) {
            same_way(given.orientation, *applied)?;
        }
        film.tracks(moving.size)
    }
}

impl GivenFilm {
    fn tracks(&self, size: (u32, u32)) -> Result<OverTime, BoxesError> {
        let mut tracks: BTreeMap<u32, Vec<(usize, Rect, f32)>> = BTreeMap::new();
        let mut single = Vec::new();
        for (&frame, given) in &self.frames {
            for (face, track) in &given.faces {
                inside(&face.rect, size)?;
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

/// That boxes were made for a picture turned as this one is. A line that does not say so is taken at
/// its word: a person may have written it.
const fn same_way(given: Option<u8>, applied: u8) -> Result<(), BoxesError> {
    match given {
        Some(given) if given != applied => Err(BoxesError::Orientation { given, applied }),
        _ => Ok(()),
    }
}

/// The path of which these are the bytes.
#[cfg(unix)]
fn path_of(key: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(std::ffi::OsStr::from_bytes(key).into())
}

/// The path of which these are the bytes, where it is text.
#[cfg(not(unix))]
fn path_of(key: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(key).ok().map(PathBuf::from)
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
