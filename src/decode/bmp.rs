//! BMP → pixels: `image` decodes all its dialects; what lies behind the pixels is found here.

use std::io::Cursor;

use image::{ImageDecoder, ImageError, Limits, codecs::bmp::BmpDecoder};

use super::{DecodeError, Options, Stored, gathered_profile, orientation::Gathered, pixels_from};

pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Stored, DecodeError> {
    let (width, height, bytes_a_pixel) =
        size(bytes).ok_or_else(|| DecodeError::Damaged("its header is broken".into()))?;
    options.allow(width, height, u64::from(bytes_a_pixel))?;
    let failed = |e: ImageError| match e {
        ImageError::Unsupported(_) => {
            DecodeError::Unsupported("a BMP picture of a rare kind".into())
        }
        other => DecodeError::Damaged(said(&other).into()),
    };
    let mut decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(failed)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(options.max_memory);
    decoder.set_limits(limits).map_err(failed)?;
    let (color, (width, height)) = (decoder.color_type(), decoder.dimensions());
    options.allow(width, height, u64::from(color.bytes_per_pixel()))?;
    let mut gathered = Gathered::default();
    if let Ok(Some(icc)) = decoder.icc_profile() {
        gathered_profile(&mut gathered, icc)?;
    }
    behind(bytes, height, &mut gathered, options)?;
    let mut data = vec![0; decoder.total_bytes() as usize];
    let fault = decoder
        .read_image(&mut data)
        .err()
        .map(|e| said(&e).to_owned());
    if let (Some(fault), false) = (&fault, options.allow_damaged) {
        return Err(DecodeError::Damaged(fault.clone()));
    }
    Ok(Stored {
        pixels: pixels_from(width, height, color, data)?,
        gathered,
        damage: fault,
    })
}

/// What the decoder found wrong.
fn said(error: &ImageError) -> &'static str {
    match error {
        ImageError::IoError(e) => super::fault(Some(e)),
        ImageError::Limits(_) => "it is larger than can be read",
        _ => super::fault(None),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Width, height and bytes a pixel once decoded, from the header alone.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    if word(bytes, 14)? == 12 {
        let sides = word(bytes, 18)?;
        return Some((sides & 0xFFFF, sides >> 16, 3));
    }
    let (width, height) = (word(bytes, 18)? as i32, word(bytes, 22)? as i32);
    let bits = word(bytes, 28)? & 0xFFFF;
    let channels = if bits == 16 || bits == 32 { 4 } else { 3 };
    Some((u32::try_from(width).ok()?, height.unsigned_abs(), channels))
}

/// Names what stands between and behind the parts that a viewer reads.
fn behind(
    bytes: &[u8],
    height: u32,
    gathered: &mut Gathered,
    options: &Options,
) -> Result<(), DecodeError> {
    let (Some(data), Some(header)) = (word(bytes, 10), word(bytes, 14)) else {
        return Ok(());
    };
    let (data, header) = (data as usize, header as usize);
    let old = header == 12;
    let bits = if old { 24 } else { 28 };
    let depth = word(bytes, bits).unwrap_or(0) & 0xFFFF;
    let packed = !old && matches!(word(bytes, 30), Some(1 | 2));
    let width = size(bytes).map_or(0, |s| s.0);
    let row = (u64::from(width) * u64::from(depth)).div_ceil(32) * 4;
    // Runs have a length that only decoding tells; the header states it.
    let length = if packed {
        u64::from(word(bytes, 34).unwrap_or(0))
    } else {
        row * u64::from(height)
    };
    let end = (data as u64).saturating_add(length);
    let rest = (bytes.len() as u64).saturating_sub(end);
    if rest > 0 && length > 0 {
        gathered.bytes += rest;
        options.allow_metadata(gathered.bytes)?;
        gathered.drop("bytes behind the end", rest);
    }
    let most_palette = if depth <= 8 { 4 << depth } else { 12 };
    let gap = data.saturating_sub(14 + header + most_palette);
    if gap > 0 {
        gathered.drop("bytes between the parts", gap as u64);
    }
    Ok(())
}
