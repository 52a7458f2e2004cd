//! Pictures that lie on their side or stand on their heads, with nothing in the file that says so: scans, screenshots, what a
//! messenger passed on, a telephone that lay flat.
//!
//! The networks learnt from upright people. Of the 1722 faces of 220 photos 1.2 % stay bare as they are, 26 to 35 % if the photos are turned.
//! Hardly a picture in which people stand upright shows none of them clearly; one that does not is looked at turned, small and
//! cheaply, and where somebody is seen better then, it is searched once more that way, whole. A clear upright face, a sticker in a
//! corner say, speaks for its own place only: the largest doubtful boxes elsewhere are tried in each turn, side by side on a small sheet.

use image::DynamicImage;
use rayon::prelude::*;

use super::{
    DetectError, Detector, Options, View,
    again::{picture, smaller},
    best, copy_of_part, merge, rgb8,
    rule::Rule,
    views,
};
use crate::{face::Face, frame::Frame, geometry::Rect};

/// A picture whose best face has at least this score stands upright. Of 220 photos 34 have none; of the same turned, 174 to 209.
pub const UPRIGHT: f32 = 0.75;
/// Least score of somebody who is seen better in a turned picture.
pub const SEEN: f32 = 0.4;
/// Pictures of at most so many pixels are looked at in their size, larger ones at half of it at most: with a quarter of the size six times as many
/// faces of turned photos stay bare.
const SMALL: u64 = 200_000;
/// Most pixels of the copy that is looked at.
const MOST: u64 = 750_000;

/// Doubtful boxes that are tried in each turn, at most: they take as long as a twentieth of a megapixel.
const TRIED: usize = 8;
/// Least height of those, in pixels.
const TRIED_FROM: f32 = 24.0;
/// Each is shown in a square of this side, in pixels, ...
const CELL: u32 = 48;
/// ... which is this many times as large as the box, ...
const CONTEXT: f32 = 3.0;
/// ... in rows of this many squares.
const COLUMNS: u32 = 4;
/// A box is explained by a clear face that covers more than this share of it.
const EXPLAINED: f32 = 0.3;
/// From this many turned faces on the whole image is searched turned; for fewer only what surrounds them, ...
const MANY: usize = 2;
/// ... this many times their size.
const AROUND: f32 = 5.0;
/// Least score of a doubtful box in its turn, and how much surer than upright it must be there.
const SEEN_APART: f32 = 0.55;
const SURER: f32 = 0.15;
/// Beside clear upright faces a turned box must be this many times as sure as an upright one: few people lie among people who stand.
const APART: f32 = 2.0;

/// How a picture must be turned for people in it to stand upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A quarter turn clockwise.
    Right,
    /// Upside down.
    Over,
    /// A quarter turn counterclockwise.
    Left,
}

impl Turn {
    const ALL: [Self; 3] = [Self::Right, Self::Over, Self::Left];

    fn turned<'a>(self, view: &View<'_>) -> View<'a> {
        let pixels: &DynamicImage = &view.pixels;
        let pixels = match self {
            Self::Right => pixels.rotate90(),
            Self::Over => pixels.rotate180(),
            Self::Left => pixels.rotate270(),
        };
        View::owned(pixels)
    }

    /// A place in the turned picture, in the picture of `width` × `height` pixels as it lies.
    fn back(self, place: &Rect, (width, height): (f32, f32)) -> Rect {
        let r = place;
        match self {
            Self::Right => Rect::new(r.y1, height - r.x2, r.y2, height - r.x1),
            Self::Over => Rect::new(width - r.x2, height - r.y2, width - r.x1, height - r.y1),
            Self::Left => Rect::new(width - r.y2, r.x1, width - r.y1, r.x2),
        }
    }
}

impl Detector {
    /// Boxes of faces that do not stand upright, in pixels of the image as it lies, given the boxes of the search as it lies.
    ///
    /// Without a clear upright face the whole image is tried in each turn. Otherwise a clear face speaks only for its own
    /// place, and the largest doubtful boxes elsewhere are tried.
    pub(super) fn lying(
        &self,
        views: &[View<'_>],
        upright: &[Face],
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let best = best(upright);
        if best >= options.upright {
            return self.lying_apart(views, upright, options);
        }
        for view in views {
            if let Some((turn, mut seen)) = self.turn_of(view, options, best.max(SEEN))? {
                seen.extend(self.boxes_turned(views, turn, options)?);
                return Ok(seen);
            }
        }
        Ok(Vec::new())
    }

    /// The same for an image with clear upright faces.
    fn lying_apart(
        &self,
        views: &[View<'_>],
        upright: &[Face],
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let doubtful = doubtful(upright, options);
        if doubtful.is_empty() {
            return Ok(Vec::new());
        }
        let mut seen = None;
        for view in views {
            seen = self.turn_of_parts(view, &doubtful, options)?;
            if seen.is_some() {
                break;
            }
        }
        let Some((turn, turned)) = seen else {
            return Ok(Vec::new());
        };
        let clear = clear(upright, options);
        let options = &Options {
            rule: options.rule.times(APART),
            ..*options
        };
        let mut boxes = if turned.len() >= MANY {
            self.boxes_turned(views, turn, options)?
        } else {
            let mut boxes = Vec::new();
            for face in &turned {
                boxes.extend(self.boxes_around(views, &face.rect, turn, options)?);
            }
            boxes
        };
        boxes.retain(|f| !explained(&f.rect, &clear));
        boxes.extend(turned);
        Ok(boxes)
    }

    /// The turn in which most of some boxes are seen better than upright, and those boxes.
    fn turn_of_parts(
        &self,
        view: &View<'_>,
        doubtful: &[Face],
        options: &Options,
    ) -> Result<Option<(Turn, Vec<Face>)>, DetectError> {
        let sheet = sheet(view, doubtful)?;
        let size = (sheet.width as f32, sheet.height as f32);
        let options = Options {
            rule: Rule::flat(SEEN_APART),
            glance: true,
            ..*options
        };
        let mut most: Option<(Turn, Vec<Face>)> = None;
        for turn in Turn::ALL {
            let found = self.search(&turn.turned(&sheet), &options)?;
            let mut better = vec![false; doubtful.len()];
            for face in found {
                let (x, y) = turn.back(&face.rect, size).centre();
                let cell = (x as u32 / CELL + y as u32 / CELL * COLUMNS) as usize;
                if let Some(upright) = doubtful.get(cell) {
                    better[cell] |= face.score > upright.score + SURER;
                }
            }
            let better = doubtful.iter().zip(better).filter(|(_, better)| *better);
            let better: Vec<Face> = better.map(|(face, _)| *face).collect();
            if better.len() > most.as_ref().map_or(0, |(_, faces)| faces.len()) {
                most = Some((turn, better));
            }
        }
        Ok(most)
    }

    /// How a picture must be turned for people in it to stand upright, if somebody is seen then with more than this
    /// `score`. Costs a third of a search.
    ///
    /// # Errors
    /// When the network fails.
    pub fn turn(
        &self,
        frame: &Frame,
        options: &Options,
        score: f32,
    ) -> Result<Option<Turn>, DetectError> {
        let turn = self.turn_of(&rgb8(frame.pixels()), options, score)?;
        Ok(turn.map(|(turn, _)| turn))
    }

    /// The same, with those who are seen so, in pixels of the picture as it lies.
    pub(super) fn turn_of(
        &self,
        view: &View<'_>,
        options: &Options,
        score: f32,
    ) -> Result<Option<(Turn, Vec<Face>)>, DetectError> {
        let pixels = u64::from(view.width) * u64::from(view.height);
        let reduction = match pixels {
            0..=SMALL => 1,
            _ => (pixels as f64 / MOST as f64).sqrt().ceil().max(2.0) as u32,
        };
        let small = smaller(view, reduction)?;
        let options = Options {
            rule: Rule::flat(score),
            min_face: options.min_face / reduction as f32,
            glance: true,
            // A turn is tried for a face that fills the picture as for any other.
            again_sure: 1.0,
            ..*options
        };
        let seen = Turn::ALL.par_iter().map(|turn| {
            let found = self.search(&turn.turned(&small), &options)?;
            Ok((*turn, found))
        });
        let seen = seen.collect::<Result<Vec<_>, DetectError>>()?;
        let seen = seen.into_iter().filter(|(_, faces)| !faces.is_empty());
        let seen = seen.max_by(|a, b| best(&a.1).total_cmp(&best(&b.1)));
        let size = (small.width as f32, small.height as f32);
        let (sx, sy) = (view.width as f32 / size.0, view.height as f32 / size.1);
        Ok(seen.map(|(turn, faces)| {
            let lying = faces.into_iter().map(|f| Face {
                rect: turn.back(&f.rect, size).scaled(sx, sy),
                ..f
            });
            (turn, lying.collect())
        }))
    }

    /// All faces of a picture that must be turned so, best first, in pixels of the picture as it lies.
    ///
    /// # Errors
    /// When the network fails on any window.
    pub fn faces_turned(
        &self,
        frame: &Frame,
        turn: Turn,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let boxes = self.boxes_turned(&views(frame.pixels()), turn, options)?;
        Ok(merge::merge(boxes, options.merge, options.weak))
    }

    /// Boxes around a place of the image as it lies, searched in this turn.
    fn boxes_around(
        &self,
        views: &[View<'_>],
        place: &Rect,
        turn: Turn,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let mut boxes = Vec::new();
        for view in views {
            let Some(part) = place.inflate(AROUND).to_pixels(view.width, view.height) else {
                continue;
            };
            let (width, height) = (part.x2 - part.x1, part.y2 - part.y1);
            let cut = View {
                surer: view.surer,
                ..View::owned(view.pixels.crop_imm(part.x1, part.y1, width, height))
            };
            let found = self.boxes_turned(&[cut], turn, options)?.into_iter();
            boxes.extend(found.map(|f| Face {
                rect: f.rect.moved(part.x1 as f32, part.y1 as f32),
                ..f
            }));
        }
        Ok(boxes)
    }

    pub(super) fn boxes_turned(
        &self,
        views: &[View<'_>],
        turn: Turn,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let mut boxes = Vec::new();
        for view in views {
            let size = (view.width as f32, view.height as f32);
            let options = Options {
                rule: options.rule.times(view.surer),
                ..*options
            };
            let found = self.search(&turn.turned(view), &options)?.into_iter();
            boxes.extend(found.map(|f| Face {
                rect: turn.back(&f.rect, size),
                ..f
            }));
        }
        Ok(boxes)
    }
}

/// The places of faces that stand upright for certain.
fn clear(upright: &[Face], options: &Options) -> Vec<Rect> {
    let clear = upright.iter().filter(|f| f.score >= options.upright);
    let clear = merge::suppress(clear.copied().collect(), options.merge);
    clear.iter().map(|f| f.rect).collect()
}

/// Whether a clear face lies where this box does.
fn explained(rect: &Rect, clear: &[Rect]) -> bool {
    let most = EXPLAINED * rect.area();
    clear.iter().any(|c| c.intersect(rect).area() > most)
}

/// The largest boxes that are neither clear faces nor explained by one; larger ones that are surer first.
fn doubtful(upright: &[Face], options: &Options) -> Vec<Face> {
    let clear = clear(upright, options);
    let boxes = upright.iter().filter(|f| {
        f.score < options.upright && f.rect.height() >= TRIED_FROM && !explained(&f.rect, &clear)
    });
    let mut boxes = merge::suppress(boxes.copied().collect(), options.merge);
    let weight = |f: &Face| f.score * f.rect.height();
    boxes.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    boxes.truncate(TRIED);
    boxes
}

/// The surroundings of boxes, each in a square of [`CELL`] pixels, in rows of [`COLUMNS`].
fn sheet<'a>(view: &View<'_>, boxes: &[Face]) -> Result<View<'a>, DetectError> {
    let samples = view.samples()?;
    let rows = (boxes.len() as u32).div_ceil(COLUMNS);
    let (width, height) = (COLUMNS.min(boxes.len() as u32) * CELL, rows * CELL);
    let line = width as usize * samples.step;
    let mut data = vec![0; line * height as usize];
    for (i, face) in boxes.iter().enumerate() {
        let (x, y) = face.rect.centre();
        let side = CONTEXT * face.rect.width().max(face.rect.height());
        // Whole pixels: a part must not reach over the edge by a rounding error.
        let side = side.min(view.width.min(view.height) as f32).floor();
        let from = |at: f32, full: u32| (at - side / 2.0).clamp(0.0, full as f32 - side).floor();
        let part = Rect::new(
            from(x, view.width),
            from(y, view.height),
            from(x, view.width) + side,
            from(y, view.height) + side,
        );
        let copy = copy_of_part(samples, &part, (CELL, CELL))?;
        let (row, column) = (i / COLUMNS as usize, i % COLUMNS as usize);
        let cell = CELL as usize * samples.step;
        for (y, pixels) in copy.data.chunks_exact(cell).enumerate() {
            let start = (row * CELL as usize + y) * line + column * cell;
            data[start..start + cell].copy_from_slice(pixels);
        }
    }
    let copy = super::Copy {
        data,
        width,
        height,
        step: samples.step,
    };
    Ok(View::owned(picture(copy)?))
}
