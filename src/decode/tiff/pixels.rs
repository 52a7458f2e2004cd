//! The samples of a page of TIFF, as they come from its strips → a picture.

use ::tiff::{
    ColorType, TiffError, TiffFormatError, TiffUnsupportedError,
    decoder::{Decoder, DecodingResult, Limits},
};
use image::{ColorType as Kind, DynamicImage};

use super::{
    Directory, is, rare,
    source::{Source, Subsampling},
    tag,
    ycc::Rule,
};
use crate::decode::{DecodeError, Options, colour, fault, orientation::Gathered, pixels_from};

/// Samples as stored, planes behind each other, and what went wrong with them.
pub(super) struct Samples {
    values: DecodingResult,
    color: ColorType,
    planes: usize,
    /// Blocks of subsampled YCbCr, not pixels.
    packed: Option<Subsampling>,
}

pub(super) fn samples(
    bytes: &[u8],
    page: &Directory<'_>,
    options: &Options,
) -> Result<(Samples, Option<String>), DecodeError> {
    let failed = |e| failed(e, page);
    refuse_rare_inks(page)?;
    let source = Source::new(bytes, page, options)?;
    let packed = source.packed;
    let limit = usize::try_from(options.max_memory).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = limit;
    limits.intermediate_buffer_size = limit;
    limits.ifd_value_size = 16 << 20;
    let mut decoder = Decoder::new(source).map_err(failed)?.with_limits(limits);
    let color = decoder.colortype().map_err(failed)?;
    let layout = decoder.image_buffer_layout().map_err(failed)?;
    if layout.complete_len as u64 > options.max_memory {
        return Err(DecodeError::TooLarge {
            needs: layout.complete_len as u64,
            limit: options.max_memory,
        });
    }
    let mut values = DecodingResult::U8(Vec::new());
    let damage = match decoder.read_image_to_buffer(&mut values) {
        Ok(_) => None,
        Err(e) if options.allow_damaged && !values.as_buffer(0).as_bytes().is_empty() => {
            Some(said(&e).into())
        }
        Err(e) => return Err(failed(e)),
    };
    let samples = Samples {
        values,
        color,
        planes: layout.planes.max(1),
        packed,
    };
    Ok((samples, damage))
}

/// Inks are taken for cyan, magenta, yellow and black, from none to full.
fn refuse_rare_inks(page: &Directory<'_>) -> Result<(), DecodeError> {
    if page.number(tag::PHOTOMETRIC) != Some(is::CMYK) {
        return Ok(());
    }
    if page.number(tag::INK_SET).is_some_and(|set| set != 1) {
        return Err(rare("inks other than cyan, magenta, yellow and black"));
    }
    // Many programs write the range of 8 bits whatever the depth is.
    match page.numbers(tag::DOT_RANGE, 2).as_slice() {
        &[none, full] if none != 0 || full < 255 => Err(rare("inks of a narrow range")),
        _ => Ok(()),
    }
}

/// What the decoder found wrong.
fn said(error: &TiffError) -> &'static str {
    match error {
        TiffError::IoError(e) => fault(Some(e)),
        TiffError::FormatError(TiffFormatError::CompressedDataCorrupt(_)) => fault(None),
        TiffError::LimitsExceeded | TiffError::IntSizeError => "it is larger than can be read",
        _ => "its directory makes no sense",
    }
}

fn failed(error: TiffError, page: &Directory<'_>) -> DecodeError {
    let TiffError::UnsupportedError(why) = error else {
        return DecodeError::Damaged(said(&error).into());
    };
    let number = |tag, default| page.number(tag).unwrap_or(default);
    rare(&match why {
        TiffUnsupportedError::UnsupportedCompressionMethod(_)
        | TiffUnsupportedError::UnknownCompressionMethod => {
            compression_name(number(tag::COMPRESSION, 1))
        }
        TiffUnsupportedError::HorizontalPredictor(_)
        | TiffUnsupportedError::FloatingPointPredictor(_) => {
            format!("predictor {}", number(tag::PREDICTOR, 1))
        }
        TiffUnsupportedError::MisalignedTileBoundaries => "tiles that end inside a byte".into(),
        TiffUnsupportedError::InconsistentBitsPerSample(_) => "samples of different sizes".into(),
        TiffUnsupportedError::UnsupportedSampleFormat(_) => "samples of different formats".into(),
        _ => format!(
            "{} in {} × {} bits",
            colours_name(page.number(tag::PHOTOMETRIC)),
            number(tag::SAMPLES, 1),
            number(tag::BITS, 1)
        ),
    })
}

fn compression_name(compression: u32) -> String {
    match compression {
        6 => "old-style JPEG compression".into(),
        34712 | 33003..=33005 => "JPEG 2000 compression".into(),
        34661 => "JBIG compression".into(),
        34676 | 34677 => "SGI LogLuv compression".into(),
        34887 => "LERC compression".into(),
        34925 => "LZMA compression".into(),
        34926 | 50000 => "Zstandard compression".into(),
        34927 | 50001 => "WebP compression".into(),
        34892 => "lossy JPEG compression of DNG".into(),
        50002 | 52546 => "JPEG XL compression".into(),
        other => format!("compression {other}"),
    }
}

fn colours_name(photometric: Option<u32>) -> String {
    match photometric {
        None => "colours that it does not name".into(),
        Some(0 | 1) => "grey".into(),
        Some(2) => "RGB".into(),
        Some(3) => "a palette".into(),
        Some(4) => "a mask".into(),
        Some(5) => "inks".into(),
        Some(6) => "YCbCr".into(),
        Some(8..=10) => "Lab colours".into(),
        Some(32844 | 32845) => "LogLuv colours".into(),
        Some(other) => format!("colours of kind {other}"),
    }
}

pub(super) fn picture(
    page: &Directory<'_>,
    (width, height): (u32, u32),
    samples: Samples,
    gathered: &mut Gathered,
) -> Result<DynamicImage, DecodeError> {
    if let Some(blocks) = samples.packed {
        let DecodingResult::U8(values) = samples.values else {
            return Err(rare("deep YCbCr"));
        };
        let rule = Rule::of(page)?;
        return Depth::Eight(rule.unpacked(&values, (width, height), blocks)?)
            .built(width, height, 3);
    }
    let color = samples.color;
    let values = interleaved(page, (width, height), samples)?;
    let extra = page.numbers(tag::EXTRA_SAMPLES, 8);
    let alpha = match extra.first() {
        Some(1) => Alpha::Premultiplied,
        Some(2) => Alpha::Plain,
        // Undefined fourth samples of RGB are taken for alpha by all viewers.
        _ if matches!(color, ColorType::RGBA(_)) => Alpha::Plain,
        _ => Alpha::None,
    };
    match color {
        ColorType::Gray(_) if page.number(tag::PHOTOMETRIC) == Some(is::PALETTE) => coloured(
            &values,
            &page.numbers(tag::COLOUR_MAP, 3 << 16),
            color.bit_depth(),
            (width, height),
        ),
        ColorType::Gray(_) => values.built(width, height, 1),
        ColorType::Multiband { num_samples, .. }
            if page.number(tag::PHOTOMETRIC) != Some(is::WHITE_IS_ZERO) =>
        {
            let keep = if alpha == Alpha::None { 1 } else { 2 };
            let mut values = values.kept(usize::from(num_samples), keep);
            values.unmultiply(2, alpha);
            values.built(width, height, keep)
        }
        ColorType::RGB(_) => values.built(width, height, 3),
        ColorType::RGBA(_) => {
            let mut values = values;
            values.unmultiply(4, alpha);
            values.built(width, height, 4)
        }
        ColorType::YCbCr(8) => {
            let Depth::Eight(mut values) = values else {
                return Err(rare("deep YCbCr"));
            };
            let rule = Rule::of(page)?;
            values.chunks_exact_mut(3).for_each(|p| rule.convert(p));
            Depth::Eight(values).built(width, height, 3)
        }
        ColorType::CMYK(_) => {
            let icc = gathered.icc.take();
            let (rgb, _) = colour::cmyk_to_rgb(&values.eight(), icc.as_deref());
            Depth::Eight(rgb).built(width, height, 3)
        }
        ColorType::CMYKA(_) => {
            // A fifth ink, where nothing calls it alpha.
            if alpha == Alpha::None {
                return Err(rare("more than four inks"));
            }
            let mut values = values;
            values.unmultiply(5, alpha);
            let icc = gathered.icc.take();
            Depth::Eight(inks_and_alpha(&values.eight(), icc.as_deref())).built(width, height, 4)
        }
        _ => Err(rare(&colours_name(page.number(tag::PHOTOMETRIC)))),
    }
}

/// The samples of a page pixel by pixel, those of less than 8 bits as bytes.
fn interleaved(
    page: &Directory<'_>,
    (width, height): (u32, u32),
    samples: Samples,
) -> Result<Depth, DecodeError> {
    let (bits, channels) = match samples.color {
        ColorType::Multiband {
            bit_depth,
            num_samples,
        } => (bit_depth, usize::from(num_samples)),
        other => (other.bit_depth(), usize::from(other.num_samples())),
    };
    let pixels = width as usize * height as usize;
    let values = match samples.values {
        DecodingResult::U16(values) => Depth::Sixteen(values),
        DecodingResult::U8(values) if bits == 8 => Depth::Eight(values),
        DecodingResult::U8(values) if matches!(bits, 1 | 2 | 4) => {
            let scale = page.number(tag::PHOTOMETRIC) != Some(is::PALETTE);
            let row = width as usize * if samples.planes > 1 { 1 } else { channels };
            Depth::Eight(unpacked(&values, bits, row, scale))
        }
        _ => {
            return Err(rare(
                "samples that are not unsigned numbers of 1 to 16 bits",
            ));
        }
    };
    let values = if samples.planes > 1 {
        values.interleaved(pixels)
    } else {
        values
    };
    if values.len() != pixels * channels {
        return Err(DecodeError::Damaged(
            "the decoder gave another number of samples than the header promises".into(),
        ));
    }
    Ok(values)
}

/// Four inks and alpha a pixel → red, green, blue and alpha.
fn inks_and_alpha(values: &[u8], icc: Option<&[u8]>) -> Vec<u8> {
    let inks: Vec<u8> = values
        .chunks_exact(5)
        .flat_map(|p| &p[..4])
        .copied()
        .collect();
    let (rgb, _) = colour::cmyk_to_rgb(&inks, icc);
    let alphas = values.iter().skip(4).step_by(5);
    let rgba = rgb.chunks_exact(3).zip(alphas);
    rgba.flat_map(|(p, &a)| [p[0], p[1], p[2], a]).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alpha {
    None,
    Plain,
    Premultiplied,
}

/// Interleaved samples.
enum Depth {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

fn interleave<T: Copy>(planes: &[T], pixels: usize) -> Vec<T> {
    let count = planes.len() / pixels.max(1);
    (0..pixels)
        .flat_map(|i| (0..count).map(move |plane| planes[plane * pixels + i]))
        .collect()
}

impl Depth {
    fn len(&self) -> usize {
        match self {
            Self::Eight(v) => v.len(),
            Self::Sixteen(v) => v.len(),
        }
    }

    fn interleaved(self, pixels: usize) -> Self {
        match self {
            Self::Eight(v) => Self::Eight(interleave(&v, pixels)),
            Self::Sixteen(v) => Self::Sixteen(interleave(&v, pixels)),
        }
    }

    /// The first `keep` of each `all` samples.
    fn kept(self, all: usize, keep: usize) -> Self {
        fn take<T: Copy>(v: &[T], all: usize, keep: usize) -> Vec<T> {
            v.chunks_exact(all)
                .flat_map(|p| &p[..keep])
                .copied()
                .collect()
        }
        match self {
            Self::Eight(v) => Self::Eight(take(&v, all, keep)),
            Self::Sixteen(v) => Self::Sixteen(take(&v, all, keep)),
        }
    }

    fn eight(self) -> Vec<u8> {
        match self {
            Self::Eight(v) => v,
            Self::Sixteen(v) => v.into_iter().map(|s| (s >> 8) as u8).collect(),
        }
    }

    /// Takes the multiplication by alpha back.
    fn unmultiply(&mut self, channels: usize, alpha: Alpha) {
        if alpha != Alpha::Premultiplied {
            return;
        }
        match self {
            Self::Eight(v) => v.chunks_exact_mut(channels).for_each(|p| {
                let a = u32::from(p[channels - 1]);
                for s in &mut p[..channels - 1] {
                    *s = (u32::from(*s) * 255 + a / 2)
                        .checked_div(a)
                        .unwrap_or(0)
                        .min(255) as u8;
                }
            }),
            Self::Sixteen(v) => v.chunks_exact_mut(channels).for_each(|p| {
                let a = u64::from(p[channels - 1]);
                for s in &mut p[..channels - 1] {
                    *s = (u64::from(*s) * 65535 + a / 2)
                        .checked_div(a)
                        .unwrap_or(0)
                        .min(65535) as u16;
                }
            }),
        }
    }

    fn built(self, width: u32, height: u32, channels: usize) -> Result<DynamicImage, DecodeError> {
        let (kind, bytes) = match self {
            Self::Eight(v) => {
                let kind = match channels {
                    1 => Kind::L8,
                    2 => Kind::La8,
                    3 => Kind::Rgb8,
                    _ => Kind::Rgba8,
                };
                (kind, v)
            }
            Self::Sixteen(v) => {
                let kind = match channels {
                    1 => Kind::L16,
                    2 => Kind::La16,
                    3 => Kind::Rgb16,
                    _ => Kind::Rgba16,
                };
                (kind, v.iter().flat_map(|s| s.to_ne_bytes()).collect())
            }
        };
        pixels_from(width, height, kind, bytes)
    }
}

/// Samples of 1, 2 or 4 bits, rows padded to bytes, as bytes of 0 to 255 (or as indices).
fn unpacked(values: &[u8], bits: u8, row: usize, scale: bool) -> Vec<u8> {
    let full = (1u16 << bits) - 1;
    let stride = (row * usize::from(bits)).div_ceil(8);
    let mut out = Vec::with_capacity(row * (values.len() / stride.max(1)));
    for line in values.chunks_exact(stride.max(1)) {
        for i in 0..row {
            let bit = i * usize::from(bits);
            let shift = 8 - usize::from(bits) - bit % 8;
            let value = u16::from(line[bit / 8]) >> shift & full;
            out.push(if scale {
                (value * 255 / full) as u8
            } else {
                value as u8
            });
        }
    }
    out
}

/// Indices → colours. The map holds all reds, then greens, then blues, 16 bits each.
fn coloured(
    indices: &Depth,
    map: &[u32],
    bits: u8,
    (width, height): (u32, u32),
) -> Result<DynamicImage, DecodeError> {
    let entries = 1usize << bits;
    if map.len() < 3 * entries {
        return Err(DecodeError::Damaged("its palette is cut off".into()));
    }
    // Some programs write 8 bits where 16 are asked for.
    let shift = if map.iter().any(|&v| v > 255) { 8 } else { 0 };
    let colour = |i: usize| [0, 1, 2].map(|c| (map[c * entries + i] >> shift) as u8);
    let rgb: Vec<u8> = match indices {
        Depth::Eight(v) => v.iter().flat_map(|&i| colour(usize::from(i))).collect(),
        Depth::Sixteen(v) => v.iter().flat_map(|&i| colour(usize::from(i))).collect(),
    };
    Depth::Eight(rgb).built(width, height, 3)
}
