//! A covered picture → faces that are still to be seen in it.
//!
//! Looks at another scale than the first search did, where a network makes other mistakes: a
//! reduced copy costs a quarter, and shows large faces, which matter most, at the size that the network
//! knows best. Knows nothing of what was covered.

use image::DynamicImage;

use super::{
    Copy, DetectError, Detector, Options, View, merge, reduced, rgb8, scaled, tiling::Level,
};
use crate::face::Face;

/// How much smaller the copy is that is searched again.
pub const REDUCTION: u32 = 2;

impl Detector {
    /// Faces in a copy of `pixels` reduced by [`REDUCTION`], best first, in pixels of the picture.
    /// `options.rule` goes by heights in the copy, `options.min_face` by those in the picture.
    ///
    /// # Errors
    /// When the network fails on any window.
    pub fn again(
        &self,
        pixels: &DynamicImage,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let view = rgb8(pixels);
        let samples = view.samples()?;
        let (width, height) = (
            view.width.div_ceil(REDUCTION).max(1),
            view.height.div_ceil(REDUCTION).max(1),
        );
        let level = Level {
            reduction: REDUCTION,
            width,
            height,
            overlap: (0, 0),
            tiles: Vec::new(),
        };
        let Some(copy) = reduced(samples, &level)? else {
            return Ok(Vec::new());
        };
        let view = View {
            pixels: std::borrow::Cow::Owned(picture(copy)?),
            width,
            height,
        };
        let by = REDUCTION as f32;
        let options = Options {
            min_face: options.min_face / by,
            ..*options
        };
        let found = self.search(&view, &options)?;
        let found = found.into_iter().map(|f| Face {
            rect: scaled(&f.rect, by, by),
            ..f
        });
        Ok(merge::merge(found.collect(), options.merge, options.weak))
    }
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
