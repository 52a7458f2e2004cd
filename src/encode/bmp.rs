//! BMP: 24 bits a pixel, or 32 with alpha under the header that names it.

use image::DynamicImage;

use super::EncodeError;
use crate::format::Format;

const FILE_HEADER: u32 = 14;
const PLAIN_HEADER: u32 = 40;
const ALPHA_HEADER: u32 = 108;

pub(super) fn encode(pixels: &DynamicImage) -> Result<Vec<u8>, EncodeError> {
    let alpha = pixels.color().has_alpha();
    let (header, channels) = if alpha {
        (ALPHA_HEADER, 4)
    } else {
        (PLAIN_HEADER, 3)
    };
    let (width, height) = (pixels.width(), pixels.height());
    let row = (u64::from(width) * channels).div_ceil(4) * 4;
    let start = FILE_HEADER + header;
    let length = u32::try_from(row * u64::from(height) + u64::from(start))
        .map_err(|_| EncodeError::TooLong(Format::Bmp))?;
    let mut out = Vec::with_capacity(length as usize);
    out.extend(b"BM");
    out.extend(length.to_le_bytes());
    out.extend([0; 4]);
    out.extend(start.to_le_bytes());
    out.extend(header.to_le_bytes());
    out.extend(width.to_le_bytes());
    out.extend(height.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend((channels as u16 * 8).to_le_bytes());
    // Masks (3) tell where alpha stands; otherwise no compression (0).
    out.extend((if alpha { 3u32 } else { 0 }).to_le_bytes());
    out.extend((length - start).to_le_bytes());
    out.extend([0; 16]);
    if alpha {
        for mask in [0x00FF_0000u32, 0x0000_FF00, 0x0000_00FF, 0xFF00_0000] {
            out.extend(mask.to_le_bytes());
        }
        // sRGB, and nothing where a profile's numbers would stand.
        out.extend(b"BGRs");
        out.extend([0; 48]);
    }
    let padding = (row - u64::from(width) * channels) as usize;
    let mut line = |pixels: &[u8]| {
        for pixel in pixels.chunks_exact(channels as usize) {
            out.extend([pixel[2], pixel[1], pixel[0]]);
            out.extend(pixel.get(3));
        }
        out.extend(std::iter::repeat_n(0, padding));
    };
    let stride = width as usize * channels as usize;
    // The lowest row comes first.
    match (alpha, pixels) {
        (true, DynamicImage::ImageRgba8(p)) => p.rchunks_exact(stride).for_each(&mut line),
        (true, other) => other.to_rgba8().rchunks_exact(stride).for_each(&mut line),
        (false, DynamicImage::ImageRgb8(p)) => p.rchunks_exact(stride).for_each(&mut line),
        (false, other) => other.to_rgb8().rchunks_exact(stride).for_each(&mut line),
    }
    Ok(out)
}
