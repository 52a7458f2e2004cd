//! JPEG → pixels: the structure is checked here, the pixels come from `zune-jpeg`, or from two other decoders where the
//! coding is unusual.

mod checked;

use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{
    DecodeError, Options, Stored, behind, colour, gathered_profile, orientation::Gathered,
};
use crate::jpeg::{self, Oddity, Structure};

pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Stored, DecodeError> {
    let structure = jpeg::walk(bytes).map_err(|e| DecodeError::Unsupported(e.to_string()))?;
    let header = &structure.header;
    let components = header.components.len();
    if components == 2 {
        return Err(DecodeError::Unsupported(
            "a JPEG picture of two components".into(),
        ));
    }
    let damage = structure.damage.clone();
    // Blocks that are missing, or left over: such a header is wrong rather than rare.
    let left_over = |oddity: &Oddity| matches!(oddity, Oddity::Slack(_));
    if !header.usual_sampling() && (damage.is_some() || structure.oddities.iter().any(left_over)) {
        usual(&structure)?;
    }
    // Inks are not converted by the fast decoder, which knows no profiles.
    let checked = structure.unusual || components == 4;
    let channels = if components == 1 { 1 } else { 3 };
    options.allow(u32::from(header.width), u32::from(header.height), channels)?;
    if header.progressive() || checked {
        // Decoders hold all coefficients of a progressive picture at once, 2 bytes each; where two decoders are
        // compared, the samples of both.
        options.allow(
            u32::from(header.width),
            u32::from(header.height),
            2 * components as u64,
        )?;
    }
    if let (Some(what), false) = (&damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let mut gathered = gather(bytes, &structure, options)?;
    let pixels = if checked {
        unusual(bytes, &structure, &mut gathered)?
    } else if damage.is_some() {
        one_or_three(bytes, &structure)?
    } else {
        one_or_three(&jpeg::plain(bytes, &structure), &structure)?
    };
    Ok(Stored {
        pixels,
        gathered,
        damage,
    })
}

/// Refuses by name what the fast decoder gives wrong pixels for without an error: black rows and columns, or garbage.
///
/// Measured against libjpeg on 1,000 pictures of all kinds of sampling that an MCU allows, and on 3,745 of all orders of
/// scans, sequential and progressive: right is what the structure calls usual.
pub(super) fn usual(structure: &Structure) -> Result<(), DecodeError> {
    if !structure.unusual {
        return Ok(());
    }
    let header = &structure.header;
    let kind = if header.usual_sampling() {
        "an unusual order of scans or tables".to_string()
    } else {
        let all: Vec<String> = header
            .components
            .iter()
            .map(|c| format!("{}x{}", c.h, c.v))
            .collect();
        format!("unusual sampling ({})", all.join(","))
    };
    Err(DecodeError::Unsupported(format!(
        "a JPEG picture of {kind}"
    )))
}

fn decoder(bytes: &[u8], out: ColorSpace) -> JpegDecoder<ZCursor<&[u8]>> {
    let options = DecoderOptions::default()
        // The structure has been walked: what is refused is decided there, not by a decoder
        // whose idea of strictness changes.
        .set_strict_mode(false)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(jpeg::MAX_SCANS)
        .jpeg_set_out_colorspace(out);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

fn pixels_of(
    bytes: &[u8],
    out: ColorSpace,
    samples: usize,
) -> Result<(u32, u32, Vec<u8>), DecodeError> {
    let mut decoder = decoder(bytes, out);
    let failed =
        |e: zune_jpeg::errors::DecodeErrors| DecodeError::Damaged(format!("the decoder says: {e}"));
    let pixels = decoder.decode().map_err(failed)?;
    let (w, h) = decoder
        .dimensions()
        .ok_or_else(|| DecodeError::Damaged("it has no size".into()))?;
    if pixels.len() != w * h * samples {
        return Err(DecodeError::Damaged(
            "the decoder gave fewer pixels than the header promises".into(),
        ));
    }
    Ok((w as u32, h as u32, pixels))
}

fn wrong_size() -> DecodeError {
    DecodeError::Damaged("the decoder gave another number of pixels than it said".into())
}

fn one_or_three(bytes: &[u8], structure: &Structure) -> Result<DynamicImage, DecodeError> {
    if structure.header.components.len() == 1 {
        let (w, h, data) = pixels_of(bytes, ColorSpace::Luma, 1)?;
        return GrayImage::from_raw(w, h, data)
            .map(DynamicImage::ImageLuma8)
            .ok_or_else(wrong_size);
    }
    let (w, h, data) = pixels_of(bytes, ColorSpace::RGB, 3)?;
    RgbImage::from_raw(w, h, data)
        .map(DynamicImage::ImageRgb8)
        .ok_or_else(wrong_size)
}

/// Pixels of what only the checked decoders read. Adobe's programs store inks inverted (255 is none), and all four-ink
/// JPEGs in the wild come from them or copy them.
fn unusual(
    bytes: &[u8],
    structure: &Structure,
    gathered: &mut Gathered,
) -> Result<DynamicImage, DecodeError> {
    let header = &structure.header;
    let (w, h) = (u32::from(header.width), u32::from(header.height));
    let mut samples = checked::samples(bytes, structure)?;
    let rgb = match header.components.len() {
        1 => {
            return GrayImage::from_raw(w, h, samples)
                .map(DynamicImage::ImageLuma8)
                .ok_or_else(wrong_size);
        }
        4 => {
            if adobe_transform(bytes, structure) == Some(2) {
                // YCCK: what looks like red, green and blue are the inks, not inverted.
                checked::to_rgb(&mut samples, 4);
                samples
                    .iter_mut()
                    .skip(3)
                    .step_by(4)
                    .for_each(|k| *k = 255 - *k);
            } else {
                samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
            }
            let (rgb, converted) = colour::cmyk_to_rgb(&samples, gathered.icc.as_deref());
            if gathered.icc.take().is_some() && !converted {
                gathered.drop("unreadable colour profile", 0);
            }
            rgb
        }
        _ => {
            if !stored_as_rgb(bytes, structure) {
                checked::to_rgb(&mut samples, 3);
            }
            samples
        }
    };
    RgbImage::from_raw(w, h, rgb)
        .map(DynamicImage::ImageRgb8)
        .ok_or_else(wrong_size)
}

/// Whether three components are red, green and blue, not luma and chroma, by the rules of libjpeg.
fn stored_as_rgb(bytes: &[u8], structure: &Structure) -> bool {
    let jfif = structure
        .segments
        .iter()
        .any(|s| s.marker == 0xE0 && bytes[s.payload.clone()].starts_with(b"JFIF\0"));
    let ids = || structure.header.components.iter().map(|c| c.id);
    match adobe_transform(bytes, structure) {
        _ if jfif => false,
        Some(transform) => transform == 0,
        None => ids().eq(*b"RGB"),
    }
}

fn adobe_transform(bytes: &[u8], structure: &Structure) -> Option<u8> {
    structure
        .segments
        .iter()
        .filter(|s| s.marker == 0xEE)
        .find_map(|s| {
            let payload = &bytes[s.payload.clone()];
            payload
                .starts_with(b"Adobe")
                .then(|| payload.get(11).copied())
                .flatten()
        })
}

/// Reads what matters of the metadata and names the rest.
fn gather(bytes: &[u8], structure: &Structure, options: &Options) -> Result<Gathered, DecodeError> {
    let mut gathered = Gathered::default();
    let mut icc: Vec<(u8, &[u8])> = Vec::new();
    let mut index = behind::Index::default();
    for segment in &structure.segments {
        let payload = &bytes[segment.payload.clone()];
        let whole = segment.whole.len() as u64;
        match segment.marker {
            0xE0..=0xEF | 0xFE => {
                gathered.bytes += whole;
                options.allow_metadata(gathered.bytes)?;
                app(&mut gathered, &mut icc, segment.marker, payload, whole);
                point(&mut index, segment.marker, payload);
            }
            0xF0..=0xFD | 0x02..=0xBF => gathered.drop("unknown segments", whole),
            _ => {}
        }
    }
    for oddity in &structure.oddities {
        match oddity {
            Oddity::Between(r) | Oddity::Slack(r) => {
                gathered.drop("bytes between the parts", r.len() as u64)
            }
            Oddity::UnusedTable(_) | Oddity::RedefinedTable(_) => gathered.drop("unused tables", 0),
            Oddity::Spare(r) | Oddity::Fill(r) | Oddity::StrayMarker(r) => {
                gathered.drop("filling", r.len() as u64);
            }
            Oddity::Padding(_) | Oddity::NoEnd | Oddity::TypicalTables | Oddity::Loose(..) => {}
        }
    }
    for part in behind::parts(bytes, structure.end.min(bytes.len()), &index) {
        gathered.drop(part.kind, part.place.len() as u64);
        if part.kind == behind::MOTION {
            gathered.clip(part.place);
        }
    }
    icc.sort_by_key(|part| part.0);
    if !icc.is_empty() {
        let profile: Vec<u8> = icc.iter().flat_map(|part| part.1).copied().collect();
        gathered_profile(&mut gathered, profile)?;
    }
    Ok(gathered)
}

/// Notes what a segment says of the things behind the picture's end.
fn point(index: &mut behind::Index, marker: u8, payload: &[u8]) {
    if let (0xE1, Some(packet)) = (
        marker,
        payload.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0"),
    ) {
        index.xmp(packet);
    } else if let (0xE2, Some(block)) = (marker, payload.strip_prefix(b"MPF\0")) {
        index.mpf(block);
    }
}

fn app<'a>(
    gathered: &mut Gathered,
    icc: &mut Vec<(u8, &'a [u8])>,
    marker: u8,
    payload: &'a [u8],
    whole: u64,
) {
    let after = |prefix: &[u8]| payload.strip_prefix(prefix);
    match marker {
        0xE0 if payload.starts_with(b"JFIF\0") => {
            let thumbnail = payload.len().saturating_sub(14) as u64;
            if thumbnail > 0 {
                gathered.drop("thumbnail", thumbnail);
            }
        }
        0xE0 if payload.starts_with(b"JFXX\0") => gathered.drop("thumbnail", whole),
        0xE1 => {
            if let Some(block) = after(b"Exif\0\0").or_else(|| after(b"Exif\0\xFF")) {
                gathered.exif(block, whole);
            } else if let Some(packet) = after(b"http://ns.adobe.com/xap/1.0/\0") {
                gathered.xmp(packet, whole);
            } else if let Some(packet) = after(b"http://ns.adobe.com/xmp/extension/\0") {
                gathered.further_xmp(packet, whole);
            } else {
                gathered.drop("application data", whole);
            }
        }
        0xE2 => {
            if let Some([number, _count, part @ ..]) = after(b"ICC_PROFILE\0") {
                icc.push((*number, part));
            } else if payload.starts_with(b"MPF\0") {
                gathered.drop("index of further pictures (MPF)", whole);
            } else {
                gathered.drop("application data", whole);
            }
        }
        0xEB => gathered.drop("content credentials (JUMBF)", whole),
        0xED => gathered.drop("IPTC", whole),
        0xEE if payload.starts_with(b"Adobe") => {}
        0xFE => gathered.drop("comment", whole),
        _ => gathered.drop("application data", whole),
    }
}
