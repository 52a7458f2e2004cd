//! PNG → pixels: the chunks are walked here, the pixels come from `png`.

use image::{DynamicImage, ImageBuffer};
use png::{BitDepth, ColorType, Transformations};

use super::{
    DecodeError, MAX_ICC, Options, Stored, colour, fault, orientation::Gathered, raw_profile,
};

const SIGNATURE: usize = 8;

/// What walking the chunks gave.
pub(super) struct Chunks {
    pub(super) gathered: Gathered,
    pub(super) damage: Option<String>,
    /// Several pictures.
    pub(super) animated: bool,
    /// Its colours are said by numbers, whatever a profile says.
    numbered: bool,
    /// A profile came.
    profiled: bool,
    /// It says that its colours are sRGB.
    srgb: bool,
    /// What `gAMA` and `cHRM` hold.
    gamma: Option<Vec<u8>>,
    primaries: Option<Vec<u8>>,
}

impl Chunks {
    /// Turns `gAMA` and `cHRM` into a profile where nothing else says what the colours are.
    fn simple_colours(&mut self, grey: bool) {
        if self.srgb || self.numbered || self.gathered.icc.is_some() {
            return;
        }
        let words = |body: &Option<Vec<u8>>| -> Vec<f64> {
            let words = body.as_deref().unwrap_or_default().chunks_exact(4);
            let words = words.map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
            words.map(|w| f64::from(w) / 100_000.0).collect()
        };
        let gamma = words(&self.gamma).first().copied();
        let primaries = <[f64; 8]>::try_from(words(&self.primaries)).ok();
        if let Some(profile) = colour::simple(gamma, primaries, grey) {
            self.gathered.drop("colours as numbers", 0);
            self.gathered.icc = Some(profile);
        }
    }
}

pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Stored, DecodeError> {
    let (width, height, bytes_a_pixel) = size(bytes).ok_or_else(|| headless(bytes))?;
    options.allow(width, height, u64::from(bytes_a_pixel))?;
    let Chunks {
        mut gathered,
        mut damage,
        animated,
        ..
    } = walk(bytes, options)?;
    if animated {
        return Err(DecodeError::Unsupported("an animated PNG".into()));
    }
    if controlled(bytes) {
        gathered.drop("animation control", 0);
    }
    if let (Some(what), false) = (&damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let (pixels, fault) = pixels(bytes, options)?;
    if let Some(fault) = fault {
        if !options.allow_damaged {
            return Err(DecodeError::Damaged(fault));
        }
        damage.get_or_insert(fault);
    }
    Ok(Stored {
        pixels,
        gathered,
        damage,
    })
}

/// Why a file does not begin with a header: Xcode writes pictures for apps in a form of its own.
pub(super) fn headless(bytes: &[u8]) -> DecodeError {
    match chunks(bytes).next() {
        Some((kind, _)) if &kind == b"CgBI" => {
            DecodeError::Unsupported("an iPhone-optimised PNG (CgBI)".into())
        }
        _ => DecodeError::Damaged("its header is broken".into()),
    }
}

/// What the decoder found wrong.
pub(super) fn said(error: &png::DecodingError) -> &'static str {
    match error {
        png::DecodingError::IoError(e) => fault(Some(e)),
        png::DecodingError::LimitsExceeded => "it is larger than can be read",
        _ => fault(None),
    }
}

/// Width, height and bytes a pixel once decoded, from the header alone.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    let header = bytes.get(SIGNATURE..SIGNATURE + 8 + 13)?;
    if &header[4..8] != b"IHDR" {
        return None;
    }
    let word =
        |i: usize| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
    let depth = if header[16] == 16 { 2 } else { 1 };
    let channels = match header[17] {
        0 | 4 => 2,
        2 | 3 | 6 => 4,
        _ => return None,
    };
    Some((word(8), word(12), depth * channels))
}

fn pixels(bytes: &[u8], options: &Options) -> Result<(DynamicImage, Option<String>), DecodeError> {
    let damaged = |e: png::DecodingError| DecodeError::Damaged(said(&e).into());
    let limits = png::Limits {
        bytes: usize::try_from(options.max_memory).unwrap_or(usize::MAX),
    };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader
        .output_buffer_size()
        .filter(|&n| n as u64 <= options.max_memory)
        .ok_or(DecodeError::TooLarge {
            needs: u64::MAX,
            limit: options.max_memory,
        })?;
    let (colour, depth) = reader.output_color_type();
    let (width, height) = (reader.info().width, reader.info().height);
    let mut data = vec![0u8; size];
    let failed = reader.next_frame(&mut data).err();
    let fault = failed.map(|e| said(&e).to_owned());
    let pixels = built(colour, depth, (width, height), data)
        .ok_or_else(|| DecodeError::Damaged("the decoder gave an unknown kind of pixels".into()))?;
    Ok((pixels, fault))
}

/// What the decoder gives, high byte first, as pixels.
pub(super) fn built(
    colour: ColorType,
    depth: BitDepth,
    (width, height): (u32, u32),
    data: Vec<u8>,
) -> Option<DynamicImage> {
    match (colour, depth) {
        (ColorType::Grayscale, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLuma8)
        }
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLumaA8)
        }
        (ColorType::Rgb, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgb8)
        }
        (ColorType::Rgba, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgba8)
        }
        (_, BitDepth::Sixteen) => {
            let data: Vec<u16> = data
                .chunks_exact(2)
                .map(|b| u16::from_be_bytes([b[0], b[1]]))
                .collect();
            match colour {
                ColorType::Grayscale => {
                    ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLuma16)
                }
                ColorType::GrayscaleAlpha => {
                    ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageLumaA16)
                }
                ColorType::Rgb => {
                    ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgb16)
                }
                ColorType::Rgba => {
                    ImageBuffer::from_raw(width, height, data).map(DynamicImage::ImageRgba16)
                }
                ColorType::Indexed => None,
            }
        }
        _ => None,
    }
}

/// The chunks in order, as far as they are whole: kind and content.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut at = SIGNATURE;
    std::iter::from_fn(move || {
        let head = bytes.get(at..at + 8)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let body = bytes.get(at + 8..(at + 8).checked_add(length)?)?;
        at += 12 + length;
        Some(([head[4], head[5], head[6], head[7]], body))
    })
}

/// How many pictures an animation has, and how often it is played (0 for ever).
pub(super) fn control(bytes: &[u8]) -> Option<(usize, u32)> {
    let (_, body) = chunks(bytes).find(|(kind, _)| kind == b"acTL")?;
    let word = |i: usize| Some(u32::from_be_bytes(body.get(i..i + 4)?.try_into().ok()?));
    Some((word(0)? as usize, word(4)?))
}

fn controlled(bytes: &[u8]) -> bool {
    chunks(bytes).any(|(kind, _)| matches!(&kind, b"acTL" | b"fcTL"))
}

/// Whether there are several pictures.
pub(super) fn animated(bytes: &[u8]) -> bool {
    let mut controls = 0;
    chunks(bytes).any(|(kind, body)| match &kind {
        b"fdAT" => true,
        b"fcTL" => {
            controls += 1;
            controls > 1
        }
        b"acTL" => body.get(..4).is_none_or(|n| n != [0, 0, 0, 1]),
        _ => false,
    })
}

/// Walks the chunks: what is damaged, what is dropped, whether it is an animation.
pub(super) fn walk(bytes: &[u8], options: &Options) -> Result<Chunks, DecodeError> {
    let mut chunks = Chunks {
        gathered: Gathered::default(),
        damage: None,
        animated: false,
        numbered: false,
        profiled: false,
        srgb: false,
        gamma: None,
        primaries: None,
    };
    let mut at = SIGNATURE;
    let mut frames = 0;
    loop {
        let Some(head) = bytes.get(at..at + 8) else {
            chunks
                .damage
                .get_or_insert("it is cut off: there is no end chunk".into());
            return Ok(chunks);
        };
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = [head[4], head[5], head[6], head[7]];
        let Some(body) = at
            .checked_add(8)
            .and_then(|from| bytes.get(from..from.checked_add(length)?.checked_add(4)?))
        else {
            chunks
                .damage
                .get_or_insert("it is cut off: a chunk reaches beyond the end of the file".into());
            return Ok(chunks);
        };
        at += 12 + length;
        let body = &body[..length];
        match &kind {
            b"IEND" => break,
            b"acTL" | b"fcTL" | b"fdAT" => {
                frames += u32::from(&kind == b"fcTL");
                chunks.animated |= &kind == b"fdAT"
                    || frames > 1
                    || &kind == b"acTL" && body.get(..4).is_none_or(|n| n != [0, 0, 0, 1]);
            }
            b"sRGB" => chunks.srgb = true,
            b"gAMA" if chunks.gamma.is_none() => chunks.gamma = Some(body.to_vec()),
            b"cHRM" if chunks.primaries.is_none() => chunks.primaries = Some(body.to_vec()),
            b"IHDR" | b"PLTE" | b"IDAT" | b"tRNS" | b"gAMA" | b"cHRM" | b"sBIT" => {}
            _ => {
                chunks.gathered.bytes += length as u64;
                options.allow_metadata(chunks.gathered.bytes)?;
                ancillary(&mut chunks, &kind, body)?;
                options.allow_metadata(chunks.gathered.bytes)?;
            }
        }
    }
    // Grey has no colours that primaries could change.
    chunks.simple_colours(bytes.get(25).is_some_and(|c| c & 2 == 0));
    let tail = bytes.len() - at;
    if tail > 0 {
        chunks.gathered.drop("bytes behind the end", tail as u64);
    }
    Ok(chunks)
}

fn ancillary(chunks: &mut Chunks, kind: &[u8; 4], body: &[u8]) -> Result<(), DecodeError> {
    let gathered = &mut chunks.gathered;
    let whole = body.len() as u64 + 12;
    match kind {
        b"eXIf" => gathered.exif(body.strip_prefix(b"Exif\0\0").unwrap_or(body), whole),
        b"tEXt" | b"zTXt" | b"iTXt" => raw_profile::text(gathered, kind, body, whole),
        b"tIME" => gathered.drop("time", whole),
        b"cICP" => {
            gathered.drop("colours as numbers", whole);
            // Any other length has no meaning, and viewers pass over it.
            let [primaries, transfer, _, full] = *body else {
                return Ok(());
            };
            let rare =
                |what| DecodeError::Unsupported(format!("a PNG picture of a rare kind ({what})"));
            if full == 0 {
                return Err(rare("colours of a narrow range"));
            }
            gathered.icc =
                colour::numbered(u32::from(primaries), u32::from(transfer)).map_err(rare)?;
            chunks.numbered = true;
        }
        // One is all that a file may have.
        b"iCCP" if chunks.profiled => gathered.drop("colour profile", whole),
        b"iCCP" => {
            gathered.drop("colour profile", whole);
            chunks.profiled = true;
            // Name, 0, method 0, zlib stream.
            let profile = body
                .iter()
                .take(80)
                .position(|&b| b == 0)
                .and_then(|nul| body.get(nul + 2..));
            match profile
                .map(|z| miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(z, MAX_ICC))
            {
                // Where both stand, the numbers count (PNG, third edition, 4.3).
                Some(Ok(profile)) if !chunks.numbered => gathered.icc = Some(profile),
                Some(Ok(_)) => {}
                Some(Err(e)) if e.status == miniz_oxide::inflate::TINFLStatus::HasMoreOutput => {
                    return Err(DecodeError::Profile(MAX_ICC >> 20));
                }
                _ => gathered.drop("unreadable colour profile", 0),
            }
        }
        _ => gathered.drop("unknown or descriptive chunks", whole),
    }
    Ok(())
}
