//! What a region becomes, one file an effect, one signature.
//!
//! | effect | depends on |
//! |---|---|
//! | [`fill`] | nothing under the region |
//! | [`image`] | nothing under the region |
//! | [`erase`] | nothing under the region, but what lies around it |
//! | [`pixelate`], [`blur`] | the [`cells`]: few averages under much noise |
//!
//! Inside a region nothing stays transparent: the outline of a cut-out head is a face too.

pub mod blur;
pub mod cells;
pub mod erase;
pub mod fill;
pub mod image;
pub mod pixelate;

use std::sync::Arc;

use ::image::{DynamicImage, RgbaImage};

use super::{RedactError, noise::Noise, region::Region};

/// Most cells across a face, and down.
pub const MOST_CELLS: u32 = 6;
/// Cells across a face, and down, unless chosen otherwise; more are weak: see [`cells`].
pub const DEFAULT_CELLS: u32 = 2;

/// With what a region is covered.
#[derive(Debug, Clone)]
pub enum Effect {
    /// At most `cells` × `cells` averages a face, drawn smoothly.
    Blur {
        /// 1 to [`MOST_CELLS`].
        cells: u32,
    },
    /// At most `cells` × `cells` averages a face, drawn as squares.
    Pixelate {
        /// 1 to [`MOST_CELLS`].
        cells: u32,
    },
    /// What lies around, drawn smoothly over it, with some grain.
    Erase,
    /// One colour.
    Fill {
        /// Red, green, blue.
        color: [u8; 3],
    },
    /// A picture over one colour.
    Image {
        /// Drawn as large as fits into each face's region.
        sticker: Arc<RgbaImage>,
        /// Red, green, blue of what is behind it.
        under: [u8; 3],
    },
}

impl Effect {
    pub(super) fn check(&self) -> Result<(), RedactError> {
        match self {
            Self::Blur { cells } | Self::Pixelate { cells }
                if !(1..=MOST_CELLS).contains(cells) =>
            {
                Err(RedactError::Cells(*cells))
            }
            _ => Ok(()),
        }
    }

    /// How far around a region it looks, in pixels. Regions that come nearer to each other are one.
    pub(super) const fn reach(&self) -> u32 {
        match self {
            Self::Erase => super::membrane::RIM,
            _ => 0,
        }
    }
}

/// One kind of sample.
pub trait Sample: Copy + Default + Send + Sync + 'static {
    /// The value of full brightness.
    const FULL: f32;

    /// From 0 to 1; values outside are clipped.
    fn from_unit(value: f32) -> Self;

    /// To 0 to 1.
    fn to_unit(self) -> f32;
}

impl Sample for u8 {
    const FULL: f32 = 255.0;

    fn from_unit(value: f32) -> Self {
        (value * Self::FULL + 0.5) as Self
    }

    fn to_unit(self) -> f32 {
        f32::from(self) / Self::FULL
    }
}

impl Sample for u16 {
    const FULL: f32 = 65535.0;

    fn from_unit(value: f32) -> Self {
        (value * Self::FULL + 0.5) as Self
    }

    fn to_unit(self) -> f32 {
        f32::from(self) / Self::FULL
    }
}

/// Interleaved samples of a picture, or of one plane of a video frame.
#[derive(Debug)]
pub struct Raster<'a, T> {
    /// Row by row, without gaps.
    pub data: &'a mut [T],
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Samples a pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub channels: usize,
}

impl<T: Sample> Raster<'_, T> {
    /// How many of the channels are colours; the one behind them, if any, is alpha.
    #[must_use]
    pub const fn colours(&self) -> usize {
        if self.channels < 3 { 1 } else { 3 }
    }

    /// The samples of pixels `x1..x2` of row `y`.
    fn span(&mut self, y: u32, (x1, x2): (u32, u32)) -> &mut [T] {
        let at = |x: u32| (y as usize * self.width as usize + x as usize) * self.channels;
        &mut self.data[at(x1)..at(x2)]
    }

    /// The colours at a pixel, 0 to 1, and its alpha.
    fn colours_at(&self, x: u32, y: u32) -> ([f32; 3], f32) {
        let colours = self.colours();
        let at = (y as usize * self.width as usize + x as usize) * self.channels;
        let pixel = &self.data[at..at + self.channels];
        let mut values = [0.0; 3];
        for (value, sample) in values.iter_mut().zip(&pixel[..colours]) {
            *value = sample.to_unit();
        }
        (values, pixel.get(colours).map_or(1.0, |a| a.to_unit()))
    }

    /// A colour as this raster's opaque pixel.
    fn pixel(&self, [r, g, b]: [u8; 3]) -> [T; 4] {
        let (r, g, b) = (r.to_unit(), g.to_unit(), b.to_unit());
        let (values, alpha) = if self.colours() == 1 {
            // Rec. 709 luma weights, as for grey copies of sRGB pictures elsewhere.
            let grey = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            ([grey, 1.0, 1.0, 1.0], 1)
        } else {
            ([r, g, b, 1.0], 3)
        };
        let mut pixel = values.map(T::from_unit);
        pixel[alpha] = T::from_unit(1.0);
        pixel
    }
}

/// Runs `$body` with the samples of a picture as `$raster`, a `&mut Raster` of their kind.
macro_rules! with_raster {
    ($pixels:expr, |$raster:ident| $body:expr) => {{
        let (width, height) = ($pixels.width(), $pixels.height());
        macro_rules! on {
            ($buffer:expr, $channels:expr) => {{
                let $raster = &mut $crate::redact::effect::Raster {
                    data: &mut **$buffer,
                    width,
                    height,
                    channels: $channels,
                };
                $body
            }};
        }
        match $pixels {
            ::image::DynamicImage::ImageLuma8(p) => on!(p, 1),
            ::image::DynamicImage::ImageLumaA8(p) => on!(p, 2),
            ::image::DynamicImage::ImageRgb8(p) => on!(p, 3),
            ::image::DynamicImage::ImageRgba8(p) => on!(p, 4),
            ::image::DynamicImage::ImageLuma16(p) => on!(p, 1),
            ::image::DynamicImage::ImageLumaA16(p) => on!(p, 2),
            ::image::DynamicImage::ImageRgb16(p) => on!(p, 3),
            ::image::DynamicImage::ImageRgba16(p) => on!(p, 4),
            _ => return Err($crate::redact::RedactError::Pixels),
        }
    }};
}
pub(super) use with_raster;

/// Covers every region of a picture.
pub(super) fn apply(
    pixels: &mut DynamicImage,
    regions: &[Region],
    effect: &Effect,
    noise: &mut Noise,
) -> Result<(), RedactError> {
    with_raster!(pixels, |raster| {
        if effect.reach() > 0 {
            // Whatever reads around a region finds no uncovered pixel of any other.
            for region in regions {
                fill::cover(raster, region, [128; 3]);
            }
        }
        for region in regions {
            one(raster, region, effect, noise);
        }
    });
    Ok(())
}

/// Covers one region of a raster. The region must lie inside it.
pub fn one<T: Sample>(
    raster: &mut Raster<'_, T>,
    region: &Region,
    effect: &Effect,
    noise: &mut Noise,
) {
    match effect {
        Effect::Blur { cells } => blur::cover(raster, region, *cells, noise),
        Effect::Pixelate { cells } => pixelate::cover(raster, region, *cells, noise),
        Effect::Erase => erase::cover(raster, region, noise),
        Effect::Fill { color } => fill::cover(raster, region, *color),
        Effect::Image { sticker, under } => image::cover(raster, region, sticker, *under),
    }
}
