//! WebP → pixels: the chunks are walked here, the pixels come from `image-webp`.

use std::{io::Cursor, ops::Range};

use image::{DynamicImage, RgbImage, RgbaImage};
use image_webp::{DecodingError, WebPDecoder};

use super::{DecodeError, Options, Stored, gathered_profile, orientation::Gathered};

/// `RIFF`, size, `WEBP`.
const HEAD: usize = 12;

/// Decodes, and says whether the file's coding loses nothing.
pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<(Stored, bool), DecodeError> {
    let (width, height, bytes_a_pixel) =
        size(bytes).ok_or_else(|| DecodeError::Damaged("its header is broken".into()))?;
    options.allow(width, height, u64::from(bytes_a_pixel))?;
    let mut walked = walk(bytes, options)?;
    if walked.animation.is_some() {
        return Err(DecodeError::Unsupported("an animated WebP".into()));
    }
    if let (Some(what), false) = (&walked.damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let (pixels, fault) = walked.picture.decode(bytes, (width, height), options)?;
    if let Some(fault) = fault {
        walked.damage.get_or_insert(fault);
    }
    let stored = Stored {
        pixels,
        gathered: walked.gathered,
        damage: walked.damage,
    };
    Ok((stored, walked.picture.exact))
}

/// What the decoder found wrong.
fn said(error: &DecodingError) -> &'static str {
    match error {
        DecodingError::IoError(e) => super::fault(Some(e)),
        _ => super::fault(None),
    }
}

/// Where one picture lies in a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    pub(super) exact: bool,
    /// Contents of the picture's chunk and of the one with its transparency.
    data: Range<usize>,
    alpha: Option<Range<usize>>,
}

impl Picture {
    /// Its pixels, and what was wrong where `allow_damaged` let it pass.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        (width, height): (u32, u32),
        options: &Options,
    ) -> Result<(DynamicImage, Option<String>), DecodeError> {
        let failed = |e: DecodingError| DecodeError::Damaged(said(&e).into());
        // Only what makes the picture: the decoder asks for metadata that a header promises.
        let file = self.bare(bytes, (width, height));
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
        let mut fault = None;
        if let Err(e) = decoder.read_image(&mut data) {
            if !options.allow_damaged {
                return Err(failed(e));
            }
            fault = Some(said(&e).into());
        }
        let pixels = if decoder.has_alpha() {
            RgbaImage::from_raw(width, height, data).map(DynamicImage::ImageRgba8)
        } else {
            RgbImage::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
        };
        let pixels = pixels.ok_or_else(|| DecodeError::Damaged("it has too few pixels".into()))?;
        Ok((pixels, fault))
    }

    /// Notes a chunk of it; `false` if it is none, or comes twice.
    fn take(&mut self, kind: &[u8; 4], content: &Range<usize>) -> bool {
        match kind {
            b"ALPH" if self.alpha.is_none() => self.alpha = Some(content.clone()),
            b"VP8 " | b"VP8L" if self.data.is_empty() => {
                self.exact = kind == b"VP8L";
                self.data = content.clone();
            }
            _ => return false,
        }
        true
    }

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
        put(kind, &bytes[self.data.clone()]);
        let length = out.len() as u32 - 8;
        out[4..8].copy_from_slice(&length.to_le_bytes());
        out
    }
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

/// One picture of an animation.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) picture: Picture,
    /// Left, top, width, height in pixels.
    pub(super) place: [u32; 4],
    /// In milliseconds.
    pub(super) delay: u32,
    /// Drawn over what is there, rather than instead of it.
    pub(super) blend: bool,
    /// Cleared once it was shown.
    pub(super) clear: bool,
}

pub(super) struct Walked {
    pub(super) gathered: Gathered,
    pub(super) damage: Option<String>,
    picture: Picture,
    /// How often an animation is played, 0 for ever.
    pub(super) animation: Option<u32>,
    pub(super) frames: Vec<Part>,
}

pub(super) fn walk(bytes: &[u8], options: &Options) -> Result<Walked, DecodeError> {
    let mut walked = Walked {
        gathered: Gathered::default(),
        damage: None,
        picture: Picture::default(),
        animation: None,
        frames: Vec::new(),
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
            b"ALPH" | b"VP8 " | b"VP8L" if walked.picture.take(&kind, &content) => {}
            // A background colour, which viewers pass over; how often it is played.
            b"ANIM" if walked.animation.is_none() => {
                let plays = body.get(4..6).map_or([0, 0], |b| [b[0], b[1]]);
                walked.animation = Some(u16::from_le_bytes(plays).into());
            }
            b"ANMF" => match part(bytes, content, &mut walked.gathered) {
                Some(part) => walked.frames.push(part),
                None => {
                    walked.animation.get_or_insert(0);
                    walked
                        .damage
                        .get_or_insert("one of its pictures is broken".into());
                }
            },
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

/// One `ANMF` chunk.
fn part(bytes: &[u8], content: Range<usize>, gathered: &mut Gathered) -> Option<Part> {
    let head = bytes.get(content.start..content.start + 16)?;
    let three = |i: usize| u32::from_le_bytes([head[i], head[i + 1], head[i + 2], 0]);
    let mut part = Part {
        picture: Picture::default(),
        place: [2 * three(0), 2 * three(3), three(6) + 1, three(9) + 1],
        delay: three(12),
        blend: head[15] & 2 == 0,
        clear: head[15] & 1 != 0,
    };
    let mut at = content.start + 16;
    while at < content.end {
        let head = bytes[..content.end].get(at..at + 8)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let body = at + 8..(at + 8).checked_add(length)?;
        if body.end > content.end {
            return None;
        }
        let kind = [head[0], head[1], head[2], head[3]];
        at = body.end + length % 2;
        if !part.picture.take(&kind, &body) {
            gathered.drop("unknown chunks", length as u64 + 8);
        }
    }
    (!part.picture.data.is_empty()).then_some(part)
}

/// Whether it is an animation, even one of a single picture.
pub(super) fn animated(bytes: &[u8]) -> bool {
    let animates = bytes
        .get(HEAD + 8)
        .is_some_and(|flags| bytes[HEAD..].starts_with(b"VP8X") && flags & 2 != 0);
    animates && bytes.windows(4).any(|w| w == b"ANMF")
}
