//! One upright picture in memory, and how long it is shown.

use image::DynamicImage;

/// Upright pixels: orientation applied, sRGB, nothing hidden under full transparency.
///
/// Only [`crate::decode`] makes one, so the detector never sees a picture lying on its side.
#[derive(Debug, Clone)]
pub struct Frame {
    pixels: DynamicImage,
}

impl Frame {
    /// For `decode` alone: `_witness` can't be made elsewhere.
    pub(crate) fn new(pixels: DynamicImage, _witness: crate::decode::Upright) -> Self {
        Self { pixels }
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
