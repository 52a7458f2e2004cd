//! The views of an image that are searched. A face counts if any of them shows it.
//!
//! Most images have one view: their colours. Transparent pixels add what the image shows on white and on black, a narrow range
//! of values adds a copy with the contrast stretched ([`range`]), and an image of printed or dithered dots adds a copy in which
//! the dots are smoothed away ([`dots`]).

use std::borrow::Cow;

use image::DynamicImage;

use super::{DetectError, dots, prepare::Samples, range};

/// Where dots are smoothed away in another view, boxes must be this many times as sure: networks take dots for faces.
const AMONG_DOTS: f32 = 2.0;

/// An image as it is searched: borrowed where it is 8-bit already.
pub(super) struct View<'a> {
    pub(super) pixels: Cow<'a, DynamicImage>,
    pub(super) width: u32,
    pub(super) height: u32,
    /// A box must be this many times as sure as the rule asks.
    pub(super) surer: f32,
}

impl<'a> View<'a> {
    pub(super) fn owned(pixels: DynamicImage) -> Self {
        Self {
            width: pixels.width(),
            height: pixels.height(),
            pixels: Cow::Owned(pixels),
            surer: 1.0,
        }
    }

    pub(super) fn samples(&self) -> Result<Samples<'_>, DetectError> {
        Samples::of(&self.pixels)
            .ok_or_else(|| DetectError::Internal("an unknown kind of pixels".into()))
    }
}

/// The colours of an image in 8 bits, whatever their alpha.
pub(super) fn rgb8(pixels: &DynamicImage) -> View<'_> {
    use DynamicImage::{
        ImageLuma8, ImageLuma16, ImageLumaA8, ImageLumaA16, ImageRgb8, ImageRgba8, ImageRgba16,
    };
    match pixels {
        ImageLuma8(_) | ImageRgb8(_) | ImageRgba8(_) => View {
            pixels: Cow::Borrowed(pixels),
            width: pixels.width(),
            height: pixels.height(),
            surer: 1.0,
        },
        ImageLuma16(_) => View::owned(ImageLuma8(pixels.to_luma8())),
        ImageLumaA8(_) | ImageLumaA16(_) | ImageRgba16(_) => {
            View::owned(ImageRgba8(pixels.to_rgba8()))
        }
        _ => View::owned(ImageRgb8(pixels.to_rgb8())),
    }
}

/// Everything that must be searched of an image. The first view is its colours.
pub(super) fn views(pixels: &DynamicImage) -> Vec<View<'_>> {
    let mut all = shown(pixels);
    // Values below the 256 steps of the other views exist only in the image itself.
    let mut added: Vec<View<'_>> = range::stretched(pixels)
        .into_iter()
        .map(View::owned)
        .collect();
    for view in all.iter().skip(1) {
        added.extend(range::stretched(&view.pixels).into_iter().map(View::owned));
    }
    all.extend(added);
    let mut smoothed = Vec::new();
    for view in &mut all {
        if let Some(copy) = dots::smoothed(&view.pixels) {
            view.surer = AMONG_DOTS;
            smoothed.push(View::owned(copy));
        }
    }
    all.extend(smoothed);
    all
}

/// What viewers show of an image: its colours, whatever their alpha (a viewer that ignores alpha shows them), and, where some
/// pixels are transparent, also the image on white and on black.
fn shown(pixels: &DynamicImage) -> Vec<View<'_>> {
    let colours = rgb8(pixels);
    if !pixels.color().has_alpha() {
        return vec![colours];
    }
    let rgba = colours.pixels.to_rgba8();
    if rgba.pixels().all(|p| p.0[3] == 255) {
        return vec![colours];
    }
    let on = |ground: u32| {
        let shown = image::RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
            let [r, g, b, a] = rgba.get_pixel(x, y).0;
            let a = u32::from(a);
            let blend = |v: u8| ((u32::from(v) * a + ground * (255 - a) + 127) / 255) as u8;
            image::Rgb([blend(r), blend(g), blend(b)])
        });
        View::owned(DynamicImage::ImageRgb8(shown))
    };
    vec![colours, on(255), on(0)]
}
