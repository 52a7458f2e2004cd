//! One upright picture in memory, and how long it is shown.

use image::DynamicImage;

/// Upright pixels: orientation applied, sRGB, nothing hidden under full transparency.
///
/// Only [`crate::decode`] makes one, so the detector never sees a picture lying on its side.
#[derive(Debug, Clone)]
pub struct Frame {
    pixels: DynamicImage,
    orientation: u8,
}

impl Frame {
    /// For `decode` alone: `_witness` can't be made elsewhere.
    pub(crate) fn new(pixels: DynamicImage, _witness: crate::decode::Upright) -> Self {
        Self {
            pixels,
            orientation: 1,
        }
    }

    /// Notes the EXIF orientation, 1 to 8, that made it upright.
    pub(crate) fn applied(self, orientation: u8) -> Self {
        Self {
            orientation,
            ..self
        }
    }

    /// The EXIF orientation, 1 to 8, that was applied to make it upright; 1 where none was.
    #[must_use]
    pub const fn orientation(&self) -> u8 {
        self.orientation
    }

    /// The pixels: 1 to 4 channels (grey, grey + alpha, RGB, RGBA) of 8 or 16 bits.
    #[must_use]
    pub fn pixels(&self) -> &DynamicImage {
        &self.pixels
    }

    /// Gives the pixels away, for `redact` to cover in place.
    #[must_use]
    pub fn into_pixels(self) -> DynamicImage {
        self.pixels
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }
}

/// How long a frame of an animation is shown: `num` of `den` to a second, as its format counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// So many parts.
    pub num: u32,
    /// Parts of a second; never 0.
    pub den: u32,
}

impl Delay {
    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        f64::from(self.num) / f64::from(self.den.max(1))
    }
}
