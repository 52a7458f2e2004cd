//! TIFF: a directory of structural tags for each page, strips deflated with the horizontal predictor.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use image::DynamicImage;
use rayon::prelude::*;

use super::EncodeError;
use crate::format::Format;

/// Bytes of a strip before compression, about: enough for deflate, little enough for readers.
const STRIP: usize = 1 << 18;

/// Types of values.
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Encodes one picture or several, a page each.
pub(super) fn encode(pages: &[&DynamicImage]) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"II*\0\0\0\0\0".to_vec();
    // Where the place of the next directory is to be written.
    let mut link = 4;
    for pixels in pages {
        let place = page(pixels, &mut out)?;
        out[link..link + 4].copy_from_slice(&place.to_le_bytes());
        link = out.len() - 4;
    }
    Ok(out)
}

/// Appends one picture's strips and its directory, which ends the file; gives where that begins.
fn page(pixels: &DynamicImage, out: &mut Vec<u8>) -> Result<u32, EncodeError> {
    let color = pixels.color();
    let channels = usize::from(color.channel_count());
    let deep = usize::from(color.bytes_per_pixel()) / channels == 2;
    let (width, height) = (pixels.width(), pixels.height());
    let row = width as usize * channels;
    let rows = (STRIP / (row * if deep { 2 } else { 1 })).clamp(1, height as usize);
    let packed: Vec<Vec<u8>> = match pixels {
        DynamicImage::ImageLuma16(p) => strips(p, row, rows, channels),
        DynamicImage::ImageLumaA16(p) => strips(p, row, rows, channels),
        DynamicImage::ImageRgb16(p) => strips(p, row, rows, channels),
        DynamicImage::ImageRgba16(p) => strips(p, row, rows, channels),
        other => strips(other.as_bytes(), row, rows, channels),
    }
    .map_err(|e| EncodeError::Encoder(e.to_string()))?;
    let too_long = || EncodeError::TooLong(Format::Tiff);
    let total: usize = packed.iter().map(Vec::len).sum();
    let more = total as u64 + (1 << 20) + packed.len() as u64 * 8;
    u32::try_from(out.len() as u64 + more).map_err(|_| too_long())?;
    if out.len() % 2 == 1 {
        out.push(0);
    }
    out.reserve(total + 1024);
    let mut offsets = Vec::with_capacity(packed.len());
    let mut lengths = Vec::with_capacity(packed.len());
    for strip in packed {
        offsets.push(out.len() as u32);
        lengths.push(strip.len() as u32);
        out.extend(strip);
    }
    if out.len() % 2 == 1 {
        out.push(0);
    }
    let shorts = |values: &[u16]| -> (u16, Vec<u8>) {
        (SHORT, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    };
    let longs = |values: &[u32]| -> (u16, Vec<u8>) {
        (LONG, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    };
    let bits = if deep { 16 } else { 8 };
    let mut tags = vec![
        (256, longs(&[width])),
        (257, longs(&[height])),
        (258, shorts(&vec![bits; channels])),
        // Deflate.
        (259, shorts(&[8])),
        // Grey from black up, or RGB.
        (262, shorts(&[if channels < 3 { 1 } else { 2 }])),
        (273, longs(&offsets)),
        (277, shorts(&[channels as u16])),
        (278, longs(&[rows as u32])),
        (279, longs(&lengths)),
        // Differences from pixel to pixel.
        (317, shorts(&[2])),
    ];
    if color.has_alpha() {
        // Alpha that the colours are not multiplied by.
        tags.push((338, shorts(&[2])));
    }
    Ok(directory(out, &tags))
}

/// Appends values that do not fit into entries and the directory; gives where that begins.
fn directory(out: &mut Vec<u8>, tags: &[(u16, (u16, Vec<u8>))]) -> u32 {
    let mut entries = Vec::new();
    for (tag, (kind, value)) in tags {
        let size = if *kind == SHORT { 2 } else { 4 };
        entries.extend(tag.to_le_bytes());
        entries.extend(kind.to_le_bytes());
        entries.extend((value.len() as u32 / size).to_le_bytes());
        if value.len() <= 4 {
            entries.extend(value);
            entries.extend(std::iter::repeat_n(0, 4 - value.len()));
        } else {
            entries.extend((out.len() as u32).to_le_bytes());
            out.extend(value);
            if out.len() % 2 == 1 {
                out.push(0);
            }
        }
    }
    let place = out.len() as u32;
    out.extend((tags.len() as u16).to_le_bytes());
    out.extend(entries);
    out.extend([0; 4]);
    place
}

/// One kind of sample.
trait Sample: Copy + Sync {
    /// The difference to the sample before it, little end first.
    fn difference(self, before: Self, out: &mut Vec<u8>);
    /// As it is.
    fn plain(self, out: &mut Vec<u8>);
}

impl Sample for u8 {
    fn difference(self, before: Self, out: &mut Vec<u8>) {
        out.push(self.wrapping_sub(before));
    }

    fn plain(self, out: &mut Vec<u8>) {
        out.push(self);
    }
}

impl Sample for u16 {
    fn difference(self, before: Self, out: &mut Vec<u8>) {
        out.extend(self.wrapping_sub(before).to_le_bytes());
    }

    fn plain(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
}

fn strips<T: Sample>(
    samples: &[T],
    row: usize,
    rows: usize,
    channels: usize,
) -> std::io::Result<Vec<Vec<u8>>> {
    samples
        .par_chunks(row * rows)
        .map(|strip| {
            let mut plain = Vec::with_capacity(size_of_val(strip));
            for line in strip.chunks_exact(row) {
                line[..channels].iter().for_each(|s| s.plain(&mut plain));
                for (sample, before) in line[channels..].iter().zip(line) {
                    sample.difference(*before, &mut plain);
                }
            }
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(4));
            encoder.write_all(&plain)?;
            encoder.finish()
        })
        .collect()
}
