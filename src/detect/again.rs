//! A picture, covered or not → faces as another look shows them.
//!
//! A covered picture is looked at in a copy of a quarter of the size, which costs little and shows faces that fill it at a size
//! that the network knows (the first search has seen that copy too, uncovered); one that is not covered yet, for people who can
//! wait, enlarged, where a network makes other mistakes. Knows nothing of what was covered. It finds little: what one look misses
//! by far, the others mostly miss as well.

use std::borrow::Cow;

use fast_image_resize::FilterType;
use image::DynamicImage;

use super::{
    AGAIN_MIN, Copy, DetectError, Detector, Options, View, merge, resized, tiling::AGAIN, views,
};
use crate::face::Face;

/// Least height of a face in pixels of the picture where the reduced copy alone is looked at.
const LEAST: f32 = AGAIN_MIN * AGAIN as f32;
/// Boxes of different views that overlap by more than this (IoU) are one face.
const SAME: f32 = 0.35;
/// How much larger the enlarged copy is. Of 1947 faces in photos held back 23 stay exposed; this look shows 5 of
/// them for .24 points of false area, looks at half size, mirrored and 1.4 times as large together 2 for as much.
const LARGER: f64 = 2.0;
/// Highest face that counts there, in pixels of the picture: larger ones add nothing but false area, half as much again.
const SMALL: f32 = 64.0;
/// Most pixels of that copy, for its memory: less is made of large pictures, and nothing where it would not be this much larger.
const MOST: f64 = 24e6;
const WORTH: f64 = 1.2;

/// Which look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// At a quarter of the size, for faces of 128 pixels and more: a sixteenth of the first search's cost.
    Small,
    /// At twice the size, for faces of up to 64 pixels: four times its cost.
    Large,
}

impl Detector {
    /// Faces in a picture as another look shows it, best first, in pixels of the picture.
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
            let (copy, low, high) = match looks {
                Looks::Small => (Some(smaller(view, AGAIN)?), LEAST, f32::INFINITY),
                Looks::Large => (larger(view)?, 0.0, SMALL),
            };
            let Some(copy) = copy else { continue };
            let mut found = self.of_copy(view, &copy, options)?;
            found.retain(|f| (low..=high).contains(&f.rect.height()));
            all.extend(merge::merge(found, options.merge, options.weak));
        }
        Ok(match views.len() {
            1 => all,
            // A face of one view may be seen in another too.
            _ => merge::suppress(all, SAME),
        })
    }

    /// Boxes that a copy of the picture shows, in pixels of the picture.
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
    let (width, height) = (view.width, view.height);
    if reduction == 1 {
        return Ok(View {
            pixels: Cow::Borrowed(&*view.pixels),
            width,
            height,
            surer: view.surer,
        });
    }
    let shorter = |side: u32| side.div_ceil(reduction).max(1);
    copy_of(view, (shorter(width), shorter(height)), FilterType::Box)
}

/// A copy that is [`LARGER`], where that is worth while.
fn larger<'a>(view: &View<'_>) -> Result<Option<View<'a>>, DetectError> {
    let pixels = f64::from(view.width) * f64::from(view.height);
    let factor = (MOST / pixels).sqrt().min(LARGER);
    if factor < WORTH {
        return Ok(None);
    }
    let longer = |side: u32| (f64::from(side) * factor).round() as u32;
    let size = (longer(view.width), longer(view.height));
    copy_of(view, size, FilterType::Bilinear).map(Some)
}

fn copy_of<'a>(
    view: &View<'_>,
    (width, height): (u32, u32),
    filter: FilterType,
) -> Result<View<'a>, DetectError> {
    let copy = resized(view.samples()?, (width, height), filter)?;
    Ok(View {
        surer: view.surer,
        ..View::owned(picture(copy)?)
    })
}

pub(super) fn picture(copy: Copy) -> Result<DynamicImage, DetectError> {
    let (width, height) = (copy.width, copy.height);
    let made = match copy.step {
        1 => image::GrayImage::from_raw(width, height, copy.data).map(DynamicImage::ImageLuma8),
        3 => image::RgbImage::from_raw(width, height, copy.data).map(DynamicImage::ImageRgb8),
        _ => image::RgbaImage::from_raw(width, height, copy.data).map(DynamicImage::ImageRgba8),
    };
    made.ok_or_else(|| DetectError::Internal("a copy of the wrong size".into()))
}
