//! Frame + faces → [`Redacted`].

use image::DynamicImage;

/// A covered picture.
#[derive(Debug)]
pub struct Redacted {
    pixels: DynamicImage,
}
