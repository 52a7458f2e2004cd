//! GIF → pixels: the blocks are walked here, the pixels come from `gif`.

use std::io::Cursor;

use ::gif::{ColorOutput, DecodeOptions, MemoryLimit};
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
    let failed = |e: ::gif::DecodingError| DecodeError::Damaged(format!("the decoder says: {e}"));
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
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (across, down) = (usize::from(frame.width), usize::from(frame.height));
    // Found by fuzzing: where the walk ended early the decoder may find a picture further on.
    if left + across > width as usize || top + down > height as usize {
        let what = "a picture lies outside the screen, or behind broken parts";
        return Err(DecodeError::Damaged(what.into()));
    }
    let mut data = vec![0; across * down * 4];
    let mut damage = walked.damage;
    if let Err(e) = decoder.read_into_buffer(&mut data) {
        if !options.allow_damaged {
            return Err(failed(e));
        }
        damage.get_or_insert(format!("the decoder says: {e}"));
    }
    // What the frame leaves free of the screen is transparent, as browsers show it.
    let stride = width as usize * 4;
    let mut canvas = vec![0; stride * height as usize];
    for (row, line) in data.chunks_exact(across.max(1) * 4).enumerate() {
        let from = (top + row) * stride + left * 4;
        canvas[from..from + line.len()].copy_from_slice(line);
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

/// Width, height and bytes a pixel once decoded, from the header alone.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    let b = bytes.get(6..10)?;
    let side = |i: usize| u32::from(u16::from_le_bytes([b[i], b[i + 1]]));
    Some((side(0), side(2), 4))
}

pub(super) struct Walked {
    pub(super) gathered: Gathered,
    pub(super) damage: Option<String>,
    /// The screen, or more where a picture does not fit into it.
    pub(super) size: (u32, u32),
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
    let (mut frames, mut size) = (0, (0, 0));
    loop {
        let next = match bytes.get(at) {
            Some(0x21) => sub_blocks(bytes, at + 2).map(|(next, _)| next),
            Some(0x2C) => {
                frames += 1;
                image_block(bytes, at, &mut size)
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
                let next = image_block(bytes, at, &mut walked.size);
                walked.frames += u32::from(next.is_some());
                next
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

fn image_block(bytes: &[u8], at: usize, size: &mut (u32, u32)) -> Option<usize> {
    let head = bytes.get(at + 1..at + 10)?;
    let word = |i: usize| u32::from(u16::from_le_bytes([head[i], head[i + 1]]));
    size.0 = size.0.max(word(0) + word(4));
    size.1 = size.1.max(word(2) + word(6));
    sub_blocks(bytes, at + 10 + table(head[8]) + 1).map(|(next, _)| next)
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
