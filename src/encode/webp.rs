//! WebP through libwebp: lossy, or without loss where the input had none.

use ::webp::{Encoder, PixelLayout, WebPConfig};
use image::DynamicImage;

use super::{EncodeError, Options, sides};
use crate::format::Format;

/// Most pixels a side: 14 bits.
pub(super) const MOST: u32 = 16383;
/// Effort, 0 to 6: within a few per cent of the size of the default (4) at half of its time.
const LOSSY_METHOD: i32 = 2;
/// Effort without loss: the default takes five times as long for 3 % of the size.
const LOSSLESS_METHOD: i32 = 1;

pub(super) fn encode(pixels: &DynamicImage, options: &Options) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = (pixels.width(), pixels.height());
    sides((width, height), Format::WebP, MOST)?;
    let failed = |what: &str| EncodeError::Encoder(what.into());
    let mut config = WebPConfig::new().map_err(|()| failed("libwebp has another version"))?;
    config.quality = f32::from(options.quality.clamp(1, 100));
    config.method = LOSSY_METHOD;
    // Transparency is kept exactly, colours under full transparency are not.
    config.alpha_quality = 100;
    config.exact = i32::from(options.lossless);
    if options.lossless {
        config.lossless = 1;
        config.method = LOSSLESS_METHOD;
        // Here the effort of the entropy coder.
        config.quality = 25.0;
    }
    let encoded = if pixels.color().has_alpha() {
        let copy;
        let rgba = match pixels {
            DynamicImage::ImageRgba8(p) => p,
            other => {
                copy = other.to_rgba8();
                &copy
            }
        };
        Encoder::new(rgba, PixelLayout::Rgba, width, height).encode_advanced(&config)
    } else {
        let copy;
        let rgb = match pixels {
            DynamicImage::ImageRgb8(p) => p,
            other => {
                copy = other.to_rgb8();
                &copy
            }
        };
        Encoder::new(rgb, PixelLayout::Rgb, width, height).encode_advanced(&config)
    };
    encoded
        .map(|memory| memory.to_vec())
        .map_err(|e| failed(&format!("libwebp says {e:?}")))
}
