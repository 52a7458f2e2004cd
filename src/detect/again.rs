//! A picture, covered or not → faces as other looks show them.
//!
//! Looks in other ways than the first search did, where a network makes other mistakes: at a copy of a quarter
//! of the size, which costs little and shows faces that fill the picture at a size that the network knows; and,
//! for people who can wait, at a half, at the mirror image and enlarged. Knows nothing of
//! what was covered. It finds little: what one look misses by far, the others mostly miss as well.

use std::borrow::Cow;

use fast_image_resize as fir;
use image::DynamicImage;

use super::{
    AGAIN_MIN, Copy, DetectError, Detector, Options, View, reduced, resized,
    tiling::{AGAIN, Level},
    views,
};
use crate::{face::Face, geometry::Rect};

/// How much smaller the copy is that is searched beside the mirror image.
const HALF: u32 = 2;
/// How much larger the other one is. Of 1947 faces in photos held back 17 instead of 23 stay exposed so, for 1.0 points of false area;
/// with the picture itself in its place 18, for 1.2.
const LARGER: f64 = std::f64::consts::SQRT_2;
/// A picture of more pixels is searched as it is instead: twice of it would take too much memory, and people in it are hardly small.
const MOST: u64 = 12_000_000;
/// Least height of a face in pixels of the picture where the reduced copy alone is looked at.
const LEAST: f32 = AGAIN_MIN * AGAIN as f32;
/// Boxes of different looks that overlap by more than this (IoU) are one face.
const SAME: f32 = 0.35;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// At a quarter of the size, for faces of 128 pixels and more: a sixteenth of the first search's cost.
    Small,
    /// At half size, mirrored and enlarged: 3.25 times its cost.
    Three,
}

impl Detector {
    /// Faces in a picture as other looks show it, best first, in pixels of the picture. A face's score
    /// is the mean of those that the looks give, 0 where one does not see it.
    ///
    /// # Errors
    /// When the network fails on any window.
    pub fn again(
        &self,
        pixels: &DynamicImage,
        options: &Options,
        looks: Looks,
    ) -> Result<Vec<Face>, DetectError> {
        let views = views(pixels);
        let mut all = Vec::new();
        for view in &views {
            all.extend(self.looks(view, options, looks)?);
        }
        Ok(match views.len() {
            1 => all,
            // A face of one view may be seen in another too.
            _ => super::merge::suppress(all, SAME),
        })
    }

    fn looks(
        &self,
        view: &View<'_>,
        options: &Options,
        looks: Looks,
    ) -> Result<Vec<Face>, DetectError> {
        let mut seen = Vec::new();
        if looks == Looks::Small {
            seen.push(self.reduced(view, options, AGAIN)?);
            seen[0].retain(|f| f.rect.height() >= LEAST);
        } else {
            seen.push(self.reduced(view, options, HALF)?);
            seen.push(match u64::from(view.width) * u64::from(view.height) {
                0..=MOST => self.of_copy(view, &larger(view)?, options)?,
                _ => self.search(view, options)?,
            });
            let (width, height) = (view.width, view.height);
            let mirrored = View {
                pixels: Cow::Owned(view.pixels.fliph()),
                width,
                height,
            };
            let found = self.search(&mirrored, options)?.into_iter();
            let right = width as f32;
            let back = |r: Rect| Rect::new(right - r.x2, r.y1, right - r.x1, r.y2);
            seen.push(
                found
                    .map(|f| Face {
                        rect: back(f.rect),
                        ..f
                    })
                    .collect(),
            );
        }
        Ok(joined(seen, options))
    }

    fn reduced(
        &self,
        view: &View<'_>,
        options: &Options,
        reduction: u32,
    ) -> Result<Vec<Face>, DetectError> {
        self.of_copy(view, &smaller(view, reduction)?, options)
    }

    /// Faces that a copy of the picture shows, in pixels of the picture.
    fn of_copy(
        &self,
        view: &View<'_>,
        copy: &View<'_>,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let (sx, sy) = (
            view.width as f32 / copy.width as f32,
            view.height as f32 / copy.height as f32,
        );
        let options = Options {
            min_face: options.min_face / sy,
            ..*options
        };
        let found = self.search(copy, &options)?.into_iter();
        Ok(found
            .map(|f| Face {
                rect: f.rect.scaled(sx, sy),
                ..f
            })
            .collect())
    }
}

/// A copy with sides `reduction` times as short.
pub(super) fn smaller<'a>(view: &'a View<'_>, reduction: u32) -> Result<View<'a>, DetectError> {
    let (width, height) = (
        view.width.div_ceil(reduction).max(1),
        view.height.div_ceil(reduction).max(1),
    );
    let level = Level {
        reduction,
        width,
        height,
        overlap: (0, 0),
        again: true,
        tiles: Vec::new(),
    };
    let pixels = match reduced(view.samples()?, &level)? {
        Some(copy) => Cow::Owned(picture(copy)?),
        None => Cow::Borrowed(&*view.pixels),
    };
    Ok(View {
        pixels,
        width,
        height,
    })
}

/// A copy that is [`LARGER`].
fn larger<'a>(view: &View<'_>) -> Result<View<'a>, DetectError> {
    let longer = |side: u32| (f64::from(side) * LARGER).round() as u32;
    let size = (longer(view.width), longer(view.height));
    let copy = resized(view.samples()?, size, fir::FilterType::Bilinear)?;
    Ok(View {
        pixels: Cow::Owned(picture(copy)?),
        width: size.0,
        height: size.1,
    })
}

/// The faces of all looks, each with its mean score.
fn joined(seen: Vec<Vec<Face>>, options: &Options) -> Vec<Face> {
    let share = 1.0 / seen.len().max(1) as f32;
    let mut all: Vec<Face> = Vec::new();
    for look in seen {
        let before = all.len();
        let mut counted = vec![false; before];
        for face in super::merge::merge(look, options.merge, options.weak) {
            let overlap = |other: &Face| other.rect.iou(&face.rect);
            let nearest =
                (0..before).max_by(|&a, &b| overlap(&all[a]).total_cmp(&overlap(&all[b])));
            match nearest.filter(|&i| overlap(&all[i]) > SAME) {
                // Best first: a second box of this look on the same face adds nothing.
                Some(i) if !counted[i] => {
                    counted[i] = true;
                    all[i].score += face.score * share;
                }
                Some(_) => {}
                None => all.push(Face {
                    score: face.score * share,
                    ..face
                }),
            }
        }
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

fn picture(copy: Copy) -> Result<DynamicImage, DetectError> {
    let (width, height) = (copy.width, copy.height);
    let made = match copy.step {
        1 => image::GrayImage::from_raw(width, height, copy.data).map(DynamicImage::ImageLuma8),
        3 => image::RgbImage::from_raw(width, height, copy.data).map(DynamicImage::ImageRgb8),
        _ => image::RgbaImage::from_raw(width, height, copy.data).map(DynamicImage::ImageRgba8),
    };
    made.ok_or_else(|| DetectError::Internal("a copy of the wrong size".into()))
}
