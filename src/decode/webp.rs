//! WebP → pixels: the chunks are walked here, the pixels come from `image-webp`.

use std::{io::Cursor, ops::Range};

use image::{DynamicImage, RgbImage, RgbaImage};
use image_webp::WebPDecoder;

use super::{DecodeError, Options, Stored, gathered_profile, orientation::Gathered};

/// `RIFF`, size, `WEBP`.
const HEAD: usize = 12;

/// Decodes, and says whether the file's coding loses nothing.
pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<(Stored, bool), DecodeError> {
    let (width, height, bytes_a_pixel) =
        size(bytes).ok_or_else(|| DecodeError::Damaged("its header is broken".into()))?;
    options.allow(width, height, u64::from(bytes_a_pixel))?;
    let mut walked = walk(bytes, options)?;
    if let (Some(what), false) = (&walked.damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let failed =
        |e: image_webp::DecodingError| DecodeError::Damaged(format!("the decoder says: {e}"));
    // Only what makes the picture: the decoder asks for metadata that a header promises.
    let file = walked.bare(bytes, (width, height));
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(failed)?;
    decoder.set_memory_limit(usize::try_from(options.max_memory).unwrap_or(usize::MAX));
    if decoder.dimensions() != (width, height) {
        return Err(DecodeError::Damaged(
            "its picture has another size than its header says".into(),
        ));
    }
    let length = decoder
        .output_buffer_size()
        .ok_or_else(|| DecodeError::Damaged("it has no size".into()))?;
    let mut data = vec![0; length];
    if let Err(e) = decoder.read_image(&mut data) {
        if !options.allow_damaged {
            return Err(failed(e));
        }
        walked
            .damage
            .get_or_insert(format!("the decoder says: {e}"));
    }
    let pixels = if decoder.has_alpha() {
        RgbaImage::from_raw(width, height, data).map(DynamicImage::ImageRgba8)
    } else {
        RgbImage::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
    };
    let pixels = pixels.ok_or_else(|| DecodeError::Damaged("it has too few pixels".into()))?;
    let stored = Stored {
        pixels,
        gathered: walked.gathered,
        damage: walked.damage,
    };
    Ok((stored, walked.exact))
}

/// Width, height and bytes a pixel once decoded, from the header alone.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    let body = bytes.get(HEAD + 8..HEAD + 18)?;
    let three = |i: usize| u32::from_le_bytes([body[i], body[i + 1], body[i + 2], 0]);
    match bytes.get(HEAD..HEAD + 4)? {
        b"VP8X" => Some((three(4) + 1, three(7) + 1, 4)),
        b"VP8L" => {
            let bits = u32::from_le_bytes([body[1], body[2], body[3], body[4]]);
            Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4))
        }
        b"VP8 " => {
            let side = |i: usize| u32::from(u16::from_le_bytes([body[i], body[i + 1]]) & 0x3FFF);
            Some((side(6), side(8), 3))
        }
        _ => None,
    }
}

struct Walked {
    gathered: Gathered,
    damage: Option<String>,
    exact: bool,
    /// Contents of the picture's chunk and of the one with its transparency.
    picture: Range<usize>,
    alpha: Option<Range<usize>>,
}

impl Walked {
    /// The picture alone as a file.
    fn bare(&self, bytes: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
        let mut put = |kind: &[u8; 4], content: &[u8]| {
            out.extend(kind);
            out.extend((content.len() as u32).to_le_bytes());
            out.extend(content);
            out.extend(std::iter::repeat_n(0, content.len() % 2));
        };
        if let (Some(alpha), false) = (&self.alpha, self.exact) {
            // The flag of transparency, then both sides less one, three bytes each.
            let mut header = vec![0x10, 0, 0, 0];
            header.extend(&(width - 1).to_le_bytes()[..3]);
            header.extend(&(height - 1).to_le_bytes()[..3]);
            put(b"VP8X", &header);
            put(b"ALPH", &bytes[alpha.clone()]);
        }
        let kind = if self.exact { b"VP8L" } else { b"VP8 " };
        put(kind, &bytes[self.picture.clone()]);
        let length = out.len() as u32 - 8;
        out[4..8].copy_from_slice(&length.to_le_bytes());
        out
    }
}

fn walk(bytes: &[u8], options: &Options) -> Result<Walked, DecodeError> {
    let mut walked = Walked {
        gathered: Gathered::default(),
        damage: None,
        exact: false,
        picture: 0..0,
        alpha: None,
    };
    let stated = bytes
        .get(4..8)
        .map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let end = stated.saturating_add(8);
    if end > bytes.len() {
        walked.damage = Some("it is cut off: it should be longer".into());
    }
    let end = end.min(bytes.len());
    let mut at = HEAD;
    while at < end {
        let Some(head) = bytes[..end].get(at..at + 8) else {
            walked.damage.get_or_insert("it ends inside a chunk".into());
            break;
        };
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let kind = [head[0], head[1], head[2], head[3]];
        let Some(body) = at
            .checked_add(8)
            .and_then(|from| bytes[..end].get(from..from.checked_add(length)?))
        else {
            walked
                .damage
                .get_or_insert("it is cut off inside a chunk".into());
            break;
        };
        let content = at + 8..at + 8 + length;
        at += 8 + length + length % 2;
        match &kind {
            b"VP8X" => {}
            b"ALPH" if walked.alpha.is_none() => walked.alpha = Some(content),
            b"VP8 " | b"VP8L" if walked.picture.is_empty() => {
                walked.exact = &kind == b"VP8L";
                walked.picture = content;
            }
            b"ANIM" | b"ANMF" => {
                return Err(DecodeError::Unsupported("an animated WebP".into()));
            }
            _ => {
                let whole = length as u64 + 8;
                walked.gathered.bytes += whole;
                options.allow_metadata(walked.gathered.bytes)?;
                match &kind {
                    b"EXIF" => {
                        let block = body.strip_prefix(b"Exif\0\0").unwrap_or(body);
                        walked.gathered.exif(block, whole);
                    }
                    b"XMP " => walked.gathered.xmp(body, whole),
                    b"ICCP" => gathered_profile(&mut walked.gathered, body.to_vec())?,
                    _ => walked.gathered.drop("unknown chunks", whole),
                }
            }
        }
    }
    let tail = bytes.len().saturating_sub(end);
    if tail > 0 {
        walked.gathered.drop("bytes behind the end", tail as u64);
    }
    Ok(walked)
}
