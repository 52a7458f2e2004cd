//! GIF → pixels: the blocks are walked here, the pixels come from `gif`.

use std::io::Cursor;

use ::gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};
use image::{DynamicImage, RgbaImage};

use super::{DecodeError, Options, Stored, orientation::Gathered};

pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Stored, DecodeError> {
    let walked = walk(bytes, options)?;
    let (width, height) = walked.size;
    if walked.frames > 1 {
        return Err(DecodeError::Unsupported("an animated GIF".into()));
    }
    options.allow(width, height, 4)?;
    if let (Some(what), false) = (&walked.damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let failed = |e: DecodingError| DecodeError::Damaged(said(&e).into());
    let mut settings = DecodeOptions::new();
    settings.set_color_output(ColorOutput::RGBA);
    settings.allow_unknown_blocks(true);
    let limit = std::num::NonZeroU64::new(options.max_memory);
    settings.set_memory_limit(limit.map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    let mut decoder = settings.read_info(Cursor::new(bytes)).map_err(failed)?;
    let frame = decoder
        .next_frame_info()
        .map_err(failed)?
        .ok_or_else(|| DecodeError::Damaged("it has no picture".into()))?;
    // Found by fuzzing: where the walk ended early the decoder may find a picture further on.
    if walked.frames == 0 {
        return Err(DecodeError::Damaged(
            "a picture lies behind broken parts".into(),
        ));
    }
    let (across, down) = (usize::from(frame.width), usize::from(frame.height));
    options.allow(frame.width.into(), frame.height.into(), 4)?;
    let (left, top) = if walked.whole {
        (0, 0)
    } else {
        (usize::from(frame.left), usize::from(frame.top))
    };
    let mut data = vec![0; across * down * 4];
    let mut damage = walked.damage;
    if let Err(e) = decoder.read_into_buffer(&mut data) {
        if !options.allow_damaged {
            return Err(failed(e));
        }
        damage.get_or_insert(said(&e).into());
    }
    // What the frame leaves free of the screen is transparent, and what reaches beyond is cut, as
    // browsers show it.
    let stride = width as usize * 4;
    let mut canvas = vec![0; stride * height as usize];
    let seen = across.min((width as usize).saturating_sub(left)) * 4;
    let lines = data.chunks_exact(across.max(1) * 4);
    let rows = canvas.chunks_exact_mut(stride.max(4)).skip(top);
    for (row, line) in rows.zip(lines).filter(|_| seen > 0) {
        row[left * 4..left * 4 + seen].copy_from_slice(&line[..seen]);
    }
    let opaque = canvas.chunks_exact(4).all(|p| p[3] == 255);
    let pixels = RgbaImage::from_raw(width, height, canvas)
        .map(DynamicImage::ImageRgba8)
        .ok_or_else(|| DecodeError::Damaged("it has too few pixels".into()))?;
    Ok(Stored {
        pixels: if opaque {
            DynamicImage::ImageRgb8(pixels.into_rgb8())
        } else {
            pixels
        },
        gathered: walked.gathered,
        damage,
    })
}

/// What the decoder found wrong.
pub(super) fn said(error: &DecodingError) -> &'static str {
    match error {
        DecodingError::Io(e) => super::fault(Some(e)),
        _ => super::fault(None),
    }
}

/// Width, height and bytes a pixel once decoded, from the header alone.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    let b = bytes.get(6..10)?;
    let side = |i: usize| u32::from(u16::from_le_bytes([b[i], b[i + 1]]));
    Some((side(0), side(2), 4))
}

pub(super) struct Walked {
    pub(super) gathered: Gathered,
    pub(super) damage: Option<String>,
    /// The screen in pixels; that of the first picture where it is too large for the screen.
    pub(super) size: (u32, u32),
    /// The first picture is the screen, wherever it says that it lies.
    pub(super) whole: bool,
    /// Whole pictures.
    pub(super) frames: u32,
}

/// Where a run of sub-blocks ends, and how many bytes they hold.
fn sub_blocks(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut held = 0;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some((at, held));
        }
        held += length;
    }
}

/// Whether there are several pictures, without reading more than their frame.
pub(super) fn animated(bytes: &[u8]) -> bool {
    let mut at = 13 + table(bytes.get(10).copied().unwrap_or(0));
    let mut frames = 0;
    loop {
        let next = match bytes.get(at) {
            Some(0x21) => sub_blocks(bytes, at + 2).map(|(next, _)| next),
            Some(0x2C) => {
                frames += 1;
                image_block(bytes, at).map(|b| b.1)
            }
            _ => None,
        };
        match next {
            Some(next) if frames < 2 => at = next,
            _ => return frames > 1,
        }
    }
}

const fn table(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

pub(super) fn walk(bytes: &[u8], options: &Options) -> Result<Walked, DecodeError> {
    let (width, height, _) =
        size(bytes).ok_or_else(|| DecodeError::Damaged("its header is cut off".into()))?;
    let flags = bytes.get(10).copied().unwrap_or(0);
    let mut walked = Walked {
        gathered: Gathered::default(),
        damage: None,
        size: (width, height),
        whole: false,
        frames: 0,
    };
    let mut at = 13 + table(flags);
    loop {
        let next = match bytes.get(at) {
            Some(0x3B) => {
                at += 1;
                break;
            }
            Some(0x21) => extension(bytes, at, &mut walked.gathered, options)?,
            Some(0x2C) => {
                let block = image_block(bytes, at);
                if let (Some((size, _)), 0) = (&block, walked.frames) {
                    walked.first(*size);
                }
                walked.frames += u32::from(block.is_some());
                block.map(|b| b.1)
            }
            _ => None,
        };
        let Some(next) = next else {
            let what = if at < bytes.len() {
                "a part of it is broken or cut off"
            } else {
                "it is cut off: there is no end"
            };
            walked.damage = Some(what.into());
            return Ok(walked);
        };
        at = next;
    }
    let tail = bytes.len() - at;
    if tail > 0 {
        walked.gathered.drop("bytes behind the end", tail as u64);
    }
    Ok(walked)
}

impl Walked {
    /// Notes the size of the first picture. Browsers mend files whose screen is too small for it, and
    /// cut all that reaches beyond the screen of others.
    fn first(&mut self, (width, height): (u32, u32)) {
        if width > self.size.0 || height > self.size.1 {
            self.size = (width, height);
            self.whole = true;
        }
    }
}

/// Width and height of a picture in pixels, and where its block ends.
fn image_block(bytes: &[u8], at: usize) -> Option<((u32, u32), usize)> {
    let head = bytes.get(at + 1..at + 10)?;
    let word = |i: usize| u32::from(u16::from_le_bytes([head[i], head[i + 1]]));
    let (end, _) = sub_blocks(bytes, at + 10 + table(head[8]) + 1)?;
    Some(((word(4), word(6)), end))
}

fn extension(
    bytes: &[u8],
    at: usize,
    gathered: &mut Gathered,
    options: &Options,
) -> Result<Option<usize>, DecodeError> {
    let (Some(&label), Some((next, _))) = (bytes.get(at + 1), sub_blocks(bytes, at + 2)) else {
        return Ok(None);
    };
    let whole = (next - at) as u64;
    gathered.bytes += whole;
    options.allow_metadata(gathered.bytes)?;
    let body = &bytes[at + 2..next];
    match label {
        0xF9 => {}
        0xFE => gathered.drop("comment", whole),
        0x01 => gathered.drop("text", whole),
        0xFF if body.get(1..12) == Some(b"XMP DataXMP") => gathered.xmp(&body[12..], whole),
        0xFF if matches!(body.get(1..12), Some(b"NETSCAPE2.0" | b"ANIMEXTS1.0")) => {
            gathered.drop("animation control", whole);
        }
        0xFF if body.get(1..12) == Some(b"ICCRGBG1012") => {
            let profile: Vec<u8> = joined(&body[12..]);
            super::gathered_profile(gathered, profile)?;
        }
        0xFF => gathered.drop("application data", whole),
        _ => gathered.drop("unknown blocks", whole),
    }
    Ok(Some(next))
}

/// The content of sub-blocks.
fn joined(mut blocks: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let [length, rest @ ..] = blocks {
        let Some((part, tail)) = rest.split_at_checked(usize::from(*length)) else {
            break;
        };
        content.extend_from_slice(part);
        blocks = tail;
    }
    content
}
