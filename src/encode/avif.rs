//! AVIF: pictures coded by the `ffmpeg` program with libaom, boxes written here, the same in every
//! file: no library's name, no times, no profile.
//!
//! Source: AV1 Image File Format 1.1, ISO/IEC 23008-12.

use std::io::Read;

use image::DynamicImage;

use super::{EncodeError, Options, sides};
use crate::{
    ffmpeg::{Programs, StreamError},
    format::Format,
};

/// Quantisers, 0 to 63, for qualities of 100 to 1: at 92 the size of a JPEG less a sixth, and as near.
const COARSEST: u32 = 63;
/// From this quality on, colours are kept at full resolution.
const FULL_COLOUR: u8 = 95;
/// Speed of the coder, 0 to 8: 8 takes half the time for a sixth more bytes and 2 dB less.
const SPEED: &str = "6";

/// One coded picture.
struct Coded {
    data: Vec<u8>,
    deep: bool,
    grey: bool,
    quarter: bool,
}

pub(super) fn encode(pixels: &DynamicImage, options: &Options) -> Result<Vec<u8>, EncodeError> {
    sides(
        (pixels.width(), pixels.height()),
        Format::Avif,
        u32::from(u16::MAX),
    )?;
    let programs = Programs::find().map_err(|_| EncodeError::Needs)?;
    let deep = matches!(
        pixels,
        DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA16(_)
            | DynamicImage::ImageRgb16(_)
            | DynamicImage::ImageRgba16(_)
    );
    let grey = !pixels.color().has_color();
    let quality = options.quality.clamp(1, 100);
    let rgb = |p: &DynamicImage| match (grey, deep) {
        (true, false) => p.to_luma8().into_raw(),
        (true, true) => bytes(&p.to_luma16()),
        (false, false) => p.to_rgb8().into_raw(),
        (false, true) => bytes(&p.to_rgb16()),
    };
    let quarter = !grey && quality < FULL_COLOUR;
    let picture = Coded {
        data: coded(
            &programs,
            rgb(pixels),
            pixels,
            (grey, deep, quarter),
            quality,
        )?,
        deep,
        grey,
        quarter,
    };
    let alpha = pixels.color().has_alpha().then(|| {
        let samples = if deep {
            bytes(
                &pixels
                    .to_rgba16()
                    .pixels()
                    .map(|p| p.0[3])
                    .collect::<Vec<_>>(),
            )
        } else {
            pixels.to_rgba8().pixels().map(|p| p.0[3]).collect()
        };
        // Without loss: edges of what is cut out must not show what was around.
        let data = coded(&programs, samples, pixels, (true, deep, false), 100)?;
        Ok(Coded {
            data,
            deep,
            grey: true,
            quarter: false,
        })
    });
    let items: Vec<Coded> = [Some(Ok(picture)), alpha]
        .into_iter()
        .flatten()
        .collect::<Result<_, _>>()?;
    file(&items, pixels.width(), pixels.height())
}

fn bytes(samples: &[u16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// Codes one picture; gives its units without what only streams need.
fn coded(
    programs: &Programs,
    samples: Vec<u8>,
    pixels: &DynamicImage,
    (grey, deep, quarter): (bool, bool, bool),
    quality: u8,
) -> Result<Vec<u8>, EncodeError> {
    let size = format!("{}x{}", pixels.width(), pixels.height());
    let from = match (grey, deep) {
        (true, false) => "gray",
        (true, true) => "gray16le",
        (false, false) => "rgb24",
        (false, true) => "rgb48le",
    };
    let to = match (grey, quarter, deep) {
        (true, _, false) => "gray",
        (true, _, true) => "gray10le",
        (_, true, false) => "yuv420p",
        (_, true, true) => "yuv420p10le",
        (_, false, false) => "yuv444p",
        (_, false, true) => "yuv444p10le",
    };
    let filters = format!(
        "scale=in_range=full:out_range=full:out_color_matrix=smpte170m\
         :flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format={to}"
    );
    let coarse = (u32::from(100 - quality) * COARSEST / 100).to_string();
    let input = [
        "-f",
        "rawvideo",
        "-pixel_format",
        from,
        "-video_size",
        &size,
    ];
    let output = [
        ["-vf", &filters],
        ["-frames:v", "1"],
        ["-c:v", "libaom-av1"],
        ["-still-picture", "1"],
        ["-usage", "allintra"],
        ["-cpu-used", SPEED],
        ["-crf", &coarse],
        ["-b:v", "0"],
        ["-color_range", "pc"],
        ["-colorspace", "smpte170m"],
        ["-color_primaries", "bt709"],
        ["-color_trc", "iec61966-2-1"],
        ["-fflags", "+bitexact"],
        ["-f", "obu"],
    ]
    .concat();
    let failed = |e: StreamError| EncodeError::Coder(Format::Avif, e.to_string());
    let (running, mut pipe) = programs.through(&input, samples, &output).map_err(failed)?;
    let mut stream = Vec::new();
    pipe.read_to_end(&mut stream)
        .map_err(|e| failed(StreamError::Pipe(e.to_string())))?;
    drop(pipe);
    running.finish("can't be coded").map_err(failed)?;
    units(&stream).ok_or_else(|| failed(StreamError::Nut("an AV1 stream".into())))
}

/// The units that a picture needs: its header and itself; not those that divide streams.
fn units(stream: &[u8]) -> Option<Vec<u8>> {
    const DELIMITER: u8 = 2;
    let mut kept = Vec::new();
    let mut rest = stream;
    while let Some(&head) = rest.first() {
        let (mut length, mut at) = (0usize, 1);
        loop {
            let byte = *rest.get(at)?;
            length |= usize::from(byte & 0x7F) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
            if at > 5 {
                return None;
            }
        }
        let (unit, after) = rest.split_at_checked(at.checked_add(length)?)?;
        if head >> 3 & 15 != DELIMITER {
            kept.extend_from_slice(unit);
        }
        rest = after;
    }
    (!kept.is_empty()).then_some(kept)
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], &body].concat()
}

/// Version and flags of 0.
const PLAIN: &[u8] = &[0; 4];
const ALPHA: &[u8] = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0";

fn file(items: &[Coded], width: u32, height: u32) -> Result<Vec<u8>, EncodeError> {
    let total: usize = items.iter().map(|i| i.data.len()).sum();
    if u32::try_from(total + 4096).is_err() {
        return Err(EncodeError::TooLong(Format::Avif));
    }
    let kind = boxed(b"ftyp", &[b"avif", &[0; 4], b"avifmif1miaf"]);
    // The places of the data are known once the index has its length.
    let length = index(items, width, height, 0).len();
    let index = index(items, width, height, kind.len() + length + 8);
    let data: Vec<&[u8]> = items.iter().map(|i| &i.data[..]).collect();
    Ok([kind, index, boxed(b"mdat", &data)].concat())
}

/// The `meta` box; `place`: where the data will begin.
fn index(items: &[Coded], width: u32, height: u32, place: usize) -> Vec<u8> {
    let count = [0, items.len() as u8];
    let handler = boxed(b"hdlr", &[PLAIN, &[0; 4], b"pict", &[0; 13]]);
    let primary = boxed(b"pitm", &[PLAIN, &[0, 1]]);
    let mut locations = vec![0, 0, 0, 0, 0x44, 0];
    locations.extend(count);
    let mut infos = Vec::new();
    let mut at = place;
    for (id, item) in (1u8..).zip(items) {
        locations.extend([0, id, 0, 0, 0, 1]);
        locations.extend((at as u32).to_be_bytes());
        locations.extend((item.data.len() as u32).to_be_bytes());
        at += item.data.len();
        infos.extend(boxed(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], b"av01\0"]));
    }
    let (locations, infos) = (
        boxed(b"iloc", &[&locations]),
        boxed(b"iinf", &[PLAIN, &count, &infos]),
    );
    // The second item is the transparency of the first.
    let references = if items.len() > 1 {
        let one = boxed(b"auxl", &[&[0, 2, 0, 1, 0, 1]]);
        boxed(b"iref", &[PLAIN, &one])
    } else {
        Vec::new()
    };
    let properties = properties(items, width, height);
    boxed(
        b"meta",
        &[
            PLAIN,
            &handler,
            &primary,
            &locations,
            &infos,
            &references,
            &properties,
        ],
    )
}

fn properties(items: &[Coded], width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
    let mut all = boxed(b"ispe", &[PLAIN, &width, &height]);
    // BT.709's primaries, sRGB's curve, BT.601's matrix, full range.
    all.extend(boxed(b"colr", &[b"nclx", &[0, 1, 0, 13, 0, 6, 0x80]]));
    let mut belongs = vec![0, 0, 0, 0, 0, 0, 0, items.len() as u8];
    let mut next = 3;
    for (id, item) in (1u8..).zip(items) {
        let channels = if item.grey { 1 } else { 3 };
        let mut bits = vec![channels];
        bits.extend(std::iter::repeat_n(
            if item.deep { 10 } else { 8 },
            usize::from(channels),
        ));
        all.extend(boxed(b"pixi", &[PLAIN, &bits]));
        all.extend(boxed(b"av1C", &[&configuration(item)]));
        // What decoders must understand has the highest bit.
        let (pixi, config) = (next, 0x80 | (next + 1));
        next += 2;
        if id == 1 {
            belongs.extend([0, id, 4, 1, 2, pixi, config]);
        } else {
            all.extend(boxed(b"auxC", &[PLAIN, ALPHA]));
            belongs.extend([0, id, 4, 1, pixi, config, next]);
            next += 1;
        }
    }
    let all = boxed(b"ipco", &[&all]);
    boxed(b"iprp", &[&all, &boxed(b"ipma", &[&belongs])])
}

/// What a decoder must know before the picture: profile and level as its header has them.
fn configuration(item: &Coded) -> [u8; 4] {
    // Behind the unit's own two bytes: 3 bits of profile, two that say that it is a still one, 5 of
    // level.
    let head = [2, 3].map(|i| item.data.get(i).copied().unwrap_or(0));
    let profile = head[0] >> 5;
    let level = (head[0] & 7) << 2 | head[1] >> 6;
    let quarter = if item.quarter || item.grey { 0x0C } else { 0 };
    let shape = u8::from(item.deep) << 6 | u8::from(item.grey) << 4 | quarter;
    [0x81, profile << 5 | level, shape, 0]
}
