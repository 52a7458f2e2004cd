//! Frame → faces. Knows no files and no video.
//!
//! The picture is cut into windows ([`tiling`]), each window goes through the network
//! ([`model`], [`session`]), its outputs become boxes ([`family`]), the boxes that pass the
//! [`rule`] are brought back to the picture and joined to faces ([`merge`]).

pub mod again;
mod dots;
pub mod family;
pub mod library;
pub mod manifest;
pub mod merge;
pub mod model;
pub mod onnx;
pub mod pair;
pub mod prepare;
mod range;
pub mod rule;
pub mod session;
pub mod tiling;
pub mod turned;
mod views;

use std::sync::{Mutex, PoisonError};

use fast_image_resize as fir;
use rayon::prelude::*;

use crate::{face::Face, frame::Frame, geometry::Rect};
use model::Model;
use prepare::Samples;
use rule::Rule;
use tiling::{Layout, Level, Tile};
use views::{View, rgb8, views};

/// What can go wrong when looking for faces. The text says what is wrong and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// ONNX Runtime is missing or does not fit.
    #[error(
        "ONNX Runtime can't be loaded ({0}); run `python3 scripts/setup.py`, or install onnxruntime 1.17 or \
         newer and name its library with --onnxruntime FILE or ORT_DYLIB_PATH"
    )]
    Runtime(String),
    /// The model can't be used.
    #[error("the model {0}")]
    Model(String),
    /// The network failed on a picture.
    #[error("the network {0}")]
    Run(String),
    /// The picture does not fit into what the search needs.
    #[error("the search for faces failed ({0}); report this as a bug")]
    Internal(String),
}

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Which boxes count.
    pub rule: Rule,
    /// Boxes lower than this are passed over, in pixels of the picture. Default 10.
    pub min_face: f32,
    /// Boxes that overlap by more than this (IoU) are one face.
    pub merge: f32,
    /// A box counts towards its face's rectangle if its score is at least this share of the best
    /// one's, 0 to 1.
    pub weak: f32,
    /// How the picture is cut.
    pub layout: Layout,
    /// In reduced copies, boxes lower than this (pixels of the copy) are passed over: the copy
    /// before has seen them at four times the size.
    pub reduced_min: f32,
    /// The same in a copy that shows smaller what was searched whole.
    pub again_min: f32,
    /// There a box must be this many times as sure as the rule asks.
    pub again_sure: f32,
    /// A face with at least this score stands upright; where there is none, turned copies are searched as well. 0: never.
    pub upright: f32,
    /// A first opinion is enough: where two networks look together, that of the cheaper one.
    pub glance: bool,
}

/// One pass at native size for measuring a model: no tiles, no size rule, no least size,
/// non-maximum suppression only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Raw {
    /// Least score, 0 to 1.
    pub threshold: f32,
    /// Overlap (IoU) above which the worse of two boxes goes.
    pub nms: f32,
}

/// Opens a network for one more thread.
pub type Opener = dyn Fn() -> Result<Box<dyn Model>, DetectError> + Send + Sync;

/// Finds faces, on as many threads as rayon's current pool has, with a network each.
pub struct Detector {
    open: Box<Opener>,
    idle: Mutex<Vec<Box<dyn Model>>>,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector").finish_non_exhaustive()
    }
}

impl Options {
    /// The usual way to look, with this rule.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self {
            rule,
            min_face: MIN_FACE,
            merge: MERGE_IOU,
            weak: WEAK,
            layout: LAYOUT,
            reduced_min: REDUCED_MIN,
            again_min: AGAIN_MIN,
            again_sure: AGAIN_SURE,
            upright: turned::UPRIGHT,
            glance: false,
        }
    }
}

/// Least height of a face in pixels. Below, nobody can be recognised; found heights differ from
/// true ones, so this lies under the 16 pixels that are meant.
pub const MIN_FACE: f32 = 10.0;
/// Boxes that overlap by more than this are one face.
const MERGE_IOU: f32 = 0.3;
/// A box counts towards a face's rectangle if it has at least this share of the best one's score.
const WEAK: f32 = 0.5;
/// In copies reduced for large faces, boxes lower than this are passed over.
const REDUCED_MIN: f32 = 30.0;
/// The copy that shows once more what was searched whole is there for faces that are too large in it.
pub const AGAIN_MIN: f32 = 32.0;
/// How many times as sure as the rule asks a box must be there.
pub const AGAIN_SURE: f32 = 2.0;
/// A picture of up to 1.6 megapixels is searched whole; larger ones in windows of 1.2: two at a
/// time in one of 11 megapixels take the program to 280 MB. A cut shows the network half objects, which it
/// takes for faces more often.
const LAYOUT: Layout = Layout {
    whole: 1_600_000,
    tile: 1_200_000,
    overlap: 96,
    pad: 0,
    multiple: 32,
    again_from: 320,
};

impl Detector {
    /// A detector whose threads each open their network with `open`.
    ///
    /// # Errors
    /// What `open` gives for the first one, so that a bad model is found before any work.
    pub fn new(
        open: impl Fn() -> Result<Box<dyn Model>, DetectError> + Send + Sync + 'static,
    ) -> Result<Self, DetectError> {
        let first = open()?;
        Ok(Self {
            open: Box::new(open),
            idle: Mutex::new(vec![first]),
        })
    }

    /// All faces of a picture, best first, in pixels of the picture; they may reach over its edge.
    ///
    /// # Errors
    /// When the network fails on any window: a picture that was searched in part only must not
    /// pass for searched.
    pub fn faces(&self, frame: &Frame, options: &Options) -> Result<Vec<Face>, DetectError> {
        let views = views(frame.pixels());
        let mut boxes = Vec::new();
        for view in &views {
            let options = Options {
                rule: options.rule.times(view.surer),
                ..*options
            };
            boxes.extend(self.search(view, &options)?);
        }
        if options.upright > 0.0 {
            let lying = self.lying(&views, &boxes, options)?;
            boxes.extend(lying);
        }
        Ok(merge::merge(boxes, options.merge, options.weak))
    }

    /// Faces in one window of a picture at native size, best first, in pixels of the picture; its colours count, whatever
    /// their alpha. A box with less than half its size around it in the window is left out, unless the picture ends there:
    /// of a face that the window cuts the network sees a part, and gives a box that ends where the window does.
    ///
    /// # Errors
    /// When the network fails.
    pub fn within(
        &self,
        frame: &Frame,
        part: &Rect,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let Some(part) = part.to_pixels(frame.width(), frame.height()) else {
            return Ok(Vec::new());
        };
        let view = rgb8(frame.pixels());
        let multiple = options.layout.multiple.max(1);
        // Rounded up to the left and above where the picture ends on the other side.
        let grow = |from: u32, to: u32, full: u32| {
            let side = (to - from).next_multiple_of(multiple);
            (from.min(full.saturating_sub(side)) as i32, side)
        };
        let (x, width) = grow(part.x1, part.x2, view.width);
        let (y, height) = grow(part.y1, part.y2, view.height);
        let tile = Tile {
            x,
            y,
            width,
            height,
        };
        let threshold = |h: f32| options.rule.threshold(h);
        let mut boxes = self.window(view.samples()?, tile, &threshold, false)?;
        let whole = |from: i32, side: u32, full: u32, start: f32, end: f32| {
            let to = from + side as i32;
            (from <= 0 || start > from as f32) && (to >= full as i32 || end < to as f32)
        };
        boxes.retain(|f| {
            let around = f.rect.inflate(2.0);
            f.rect.height() >= options.min_face
                && !f.rect.clip(view.width, view.height).is_empty()
                && whole(x, width, view.width, around.x1, around.x2)
                && whole(y, height, view.height, around.y1, around.y2)
        });
        Ok(merge::merge(boxes, options.merge, options.weak))
    }

    /// Boxes of one pass at native size, for measuring.
    ///
    /// # Errors
    /// When the network fails.
    pub fn raw(&self, frame: &Frame, raw: &Raw) -> Result<Vec<Face>, DetectError> {
        let view = rgb8(frame.pixels());
        let samples = view.samples()?;
        let (w, h) = (
            samples.width.next_multiple_of(32),
            samples.height.next_multiple_of(32),
        );
        let tile = Tile {
            x: 0,
            y: 0,
            width: w,
            height: h,
        };
        let found = self.window(samples, tile, &|_| raw.threshold, false)?;
        Ok(merge::suppress(found, raw.nms))
    }

    fn search(&self, view: &View<'_>, options: &Options) -> Result<Vec<Face>, DetectError> {
        let samples = view.samples()?;
        let mut boxes = Vec::new();
        for level in options.layout.levels(samples.width, samples.height) {
            let copy = reduced(samples, &level)?;
            let samples = copy.as_ref().map_or(samples, Copy::samples);
            let (sx, sy) = (
                view.width as f32 / level.width as f32,
                view.height as f32 / level.height as f32,
            );
            // The rule goes by the height in the picture: a false box covers as much of it
            // whichever copy it was found in.
            let rule = if level.again {
                options.rule.times(options.again_sure)
            } else {
                options.rule
            };
            let threshold = |h: f32| rule.threshold(h * sy);
            let found: Vec<Vec<Face>> = level
                .tiles
                .par_iter()
                .map(|tile| {
                    let mut faces = self.window(samples, *tile, &threshold, options.glance)?;
                    faces.retain(|f| {
                        let (x, y) = f.rect.centre();
                        level.owns(tile, x, y)
                    });
                    Ok(faces)
                })
                .collect::<Result<_, DetectError>>()?;
            let least = match level {
                _ if level.again => options.again_min,
                _ if level.reduction == 1 => 0.0,
                _ => options.reduced_min,
            };
            boxes.extend(
                found
                    .into_iter()
                    .flatten()
                    .filter(|f| f.rect.height() >= least)
                    .map(|f| Face {
                        rect: f.rect.scaled(sx, sy),
                        ..f
                    })
                    .filter(|f| f.rect.height() >= options.min_face)
                    // What lies in the padding alone covers nothing of the picture.
                    .filter(|f| !f.rect.clip(view.width, view.height).is_empty()),
            );
        }
        Ok(boxes)
    }

    /// Boxes in one window, in pixels of the copy.
    fn window(
        &self,
        samples: Samples<'_>,
        tile: Tile,
        threshold: &dyn Fn(f32) -> f32,
        glance: bool,
    ) -> Result<Vec<Face>, DetectError> {
        let mut model = self.take()?;
        let result = run_window(model.as_mut(), samples, tile, threshold, glance);
        // A network that failed once may be in any state.
        if result.is_ok() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(model);
        }
        result
    }

    fn take(&self) -> Result<Box<dyn Model>, DetectError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| (self.open)(), Ok)
    }
}

/// The score of the surest face; 0 without any.
fn best(faces: &[Face]) -> f32 {
    faces.iter().map(|f| f.score).fold(0.0, f32::max)
}

fn run_window(
    model: &mut dyn Model,
    samples: Samples<'_>,
    tile: Tile,
    threshold: &dyn Fn(f32) -> f32,
    glance: bool,
) -> Result<Vec<Face>, DetectError> {
    let spec = model.spec().clone();
    let (x, y) = (tile.x as f32, tile.y as f32);
    if let Some((width, height)) = spec.fixed {
        return run_fixed(model, samples, tile, (width, height), threshold);
    }
    let input = prepare::window(samples, tile, &spec);
    let outputs = if glance {
        model.glance(&input)?
    } else {
        model.run(&input)?
    };
    let faces = spec
        .family
        .decode(&outputs, tile.width, tile.height, threshold)?;
    Ok(faces
        .into_iter()
        .map(|f| Face {
            rect: f.rect.moved(x, y),
            ..f
        })
        .collect())
}

/// A network that takes one size only: the window is searched in parts of that size.
fn run_fixed(
    model: &mut dyn Model,
    samples: Samples<'_>,
    tile: Tile,
    (width, height): (u32, u32),
    threshold: &dyn Fn(f32) -> f32,
) -> Result<Vec<Face>, DetectError> {
    let spec = model.spec().clone();
    let layout = Layout {
        whole: width * height,
        tile: width * height,
        overlap: FIXED_OVERLAP,
        pad: 0,
        multiple: 1,
        again_from: u32::MAX,
    };
    let steps = |full: u32, side: u32| -> Vec<i32> {
        let n = if full <= side {
            1
        } else {
            (full - layout.overlap).div_ceil(side - layout.overlap)
        };
        let reach = u64::from(full.saturating_sub(side));
        (0..n)
            .map(|i| (reach * u64::from(i) / u64::from((n - 1).max(1))) as i32)
            .collect()
    };
    let mut faces = Vec::new();
    for y in steps(tile.height, height) {
        for x in steps(tile.width, width) {
            let part = Tile {
                x: tile.x + x,
                y: tile.y + y,
                width,
                height,
            };
            let input = prepare::window(samples, part, &spec);
            let outputs = model.run(&input)?;
            let found = spec.family.decode(&outputs, width, height, threshold)?;
            let (x, y) = (part.x as f32, part.y as f32);
            faces.extend(found.into_iter().map(|f| Face {
                rect: f.rect.moved(x, y),
                ..f
            }));
        }
    }
    Ok(faces)
}

/// Pixels that neighbouring parts share where a network takes one size only.
const FIXED_OVERLAP: u32 = 96;

/// A copy of another size.
struct Copy {
    data: Vec<u8>,
    width: u32,
    height: u32,
    step: usize,
}

impl Copy {
    fn samples(&self) -> Samples<'_> {
        Samples {
            data: &self.data,
            width: self.width,
            height: self.height,
            step: self.step,
        }
    }
}

fn reduced(samples: Samples<'_>, level: &Level) -> Result<Option<Copy>, DetectError> {
    match level.reduction {
        1 => Ok(None),
        _ => resized(samples, (level.width, level.height), fir::FilterType::Box).map(Some),
    }
}

fn resized(
    samples: Samples<'_>,
    size: (u32, u32),
    filter: fir::FilterType,
) -> Result<Copy, DetectError> {
    let how = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(filter));
    resized_as(samples, size, how)
}

/// A copy of a part of the picture, given in its pixels.
fn copy_of_part(samples: Samples<'_>, part: &Rect, size: (u32, u32)) -> Result<Copy, DetectError> {
    let side = |from: f32, to: f32| f64::from((to - from).max(1.0));
    let how = fir::ResizeOptions::new()
        .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Bilinear))
        .crop(
            f64::from(part.x1),
            f64::from(part.y1),
            side(part.x1, part.x2),
            side(part.y1, part.y2),
        );
    resized_as(samples, size, how)
}

fn resized_as(
    samples: Samples<'_>,
    (width, height): (u32, u32),
    how: fir::ResizeOptions,
) -> Result<Copy, DetectError> {
    let internal = |e: &dyn std::fmt::Display| DetectError::Internal(e.to_string());
    let kind = match samples.step {
        1 => fir::PixelType::U8,
        3 => fir::PixelType::U8x3,
        _ => fir::PixelType::U8x4,
    };
    let source = fir::images::ImageRef::new(samples.width, samples.height, samples.data, kind)
        .map_err(|e| internal(&e))?;
    let mut copy = fir::images::Image::new(width, height, kind);
    // Alpha is passed over by the search, so it must not weigh here either.
    fir::Resizer::new()
        .resize(&source, &mut copy, &how.use_alpha(false))
        .map_err(|e| internal(&e))?;
    Ok(Copy {
        data: copy.into_vec(),
        width,
        height,
        step: samples.step,
    })
}
