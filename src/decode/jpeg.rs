//! JPEG → pixels: the structure is checked here, the pixels come from `zune-jpeg`.

use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{
    DecodeError, Options, Stored, behind, colour, gathered_profile, orientation::Gathered,
};
use crate::jpeg::{self, Component, Oddity, Structure};

pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Stored, DecodeError> {
    let structure = jpeg::walk(bytes).map_err(|e| DecodeError::Unsupported(e.to_string()))?;
    let header = &structure.header;
    sampled(&header.components)?;
    let channels = if header.components.len() == 1 { 1 } else { 3 };
    options.allow(u32::from(header.width), u32::from(header.height), channels)?;
    if header.progressive() {
        // Decoders hold all coefficients of a progressive picture at once, 2 bytes each.
        options.allow(
            u32::from(header.width),
            u32::from(header.height),
            2 * header.components.len() as u64,
        )?;
    }
    let damage = structure.damage.clone();
    if let (Some(what), false) = (&damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let mut gathered = gather(bytes, &structure, options)?;
    let inks = header.components.len() == 4;
    let adobe = adobe_transform(bytes, &structure);
    let pixels = if inks {
        four_inks(bytes, adobe, &mut gathered)?
    } else {
        one_or_three(bytes, &structure)?
    };
    Ok(Stored {
        pixels,
        gathered,
        damage,
    })
}

/// Refuses what the decoder gives wrong pixels for, black rows and columns among them, or none at all.
///
/// Measured against libjpeg on 1,000 pictures of all kinds of sampling that an MCU allows: right is what
/// is listed here and nothing else by rule. Cameras and programs write nothing but these.
pub(super) fn sampled(components: &[Component]) -> Result<(), DecodeError> {
    let Some((first, others)) = components.split_first() else {
        return Ok(());
    };
    let powers = components.iter().all(|c| c.h != 3 && c.v != 3);
    let finer = others.iter().any(|c| c.h > first.h || c.v > first.v);
    let between = first.v == 4 && others.iter().any(|c| c.v == 2);
    if !powers || finer || between {
        let all: Vec<String> = components
            .iter()
            .map(|c| format!("{}x{}", c.h, c.v))
            .collect();
        return Err(DecodeError::Unsupported(format!(
            "a JPEG picture of unusual sampling ({})",
            all.join(",")
        )));
    }
    Ok(())
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

/// CMYK and YCCK. Adobe's programs store inks inverted (255 is none), and all four-ink JPEGs in
/// the wild come from them or copy them.
fn four_inks(
    bytes: &[u8],
    adobe: Option<u8>,
    gathered: &mut Gathered,
) -> Result<DynamicImage, DecodeError> {
    let icc = gathered.icc.take();
    let (w, h, rgb) = if adobe == Some(2) {
        // YCCK: the decoder's own conversion, which knows no profile.
        pixels_of(bytes, ColorSpace::RGB, 3)?
    } else {
        let (w, h, mut inks) = pixels_of(bytes, ColorSpace::CMYK, 4)?;
        inks.iter_mut().for_each(|ink| *ink = 255 - *ink);
        let (rgb, _) = colour::cmyk_to_rgb(&inks, icc.as_deref());
        (w, h, rgb)
    };
    RgbImage::from_raw(w, h, rgb)
        .map(DynamicImage::ImageRgb8)
        .ok_or_else(wrong_size)
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
            Oddity::Spare(r) | Oddity::Fill(r) => gathered.drop("filling", r.len() as u64),
            Oddity::Padding(_) => {}
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
