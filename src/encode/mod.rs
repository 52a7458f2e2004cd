//! [`Redacted`] → bytes: pixels only, the same tables and settings for every picture, so that the
//! output tells nothing of the camera and the settings that made the input.

pub mod animation;
mod avif;
mod bmp;
pub mod clip;
mod ebml;
mod gif;
mod moov;
mod tiff;
mod webp;
pub mod y4m;

use image::DynamicImage;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::{format::Format, redact::Redacted};

/// JPEG quality unless chosen otherwise, 1 to 100.
pub const DEFAULT_QUALITY: u8 = 92;
/// From this quality on, colours are kept at full resolution.
const FULL_COLOUR: u8 = 95;

/// Why a picture can't be written in a format. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The format has no more than so many pixels a side.
    #[error("has {width} × {height} pixels and {format} holds {most} a side; use --format png")]
    TooLarge {
        /// The format.
        format: Format,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Most pixels a side.
        most: u32,
    },
    /// The format's offsets reach no further than 4 GiB.
    #[error("needs more than the 4 GiB that {0} can hold; use --format png")]
    TooLong(Format),
    /// The format holds one picture.
    #[error("has {0} pages and {1} holds one; use --format tiff")]
    Pages(usize, Format),
    /// An encoder's complaint.
    #[error("can't be encoded ({0}); use another --format, and report this as a bug")]
    Encoder(String),
    /// ffmpeg is missing.
    #[error(
        "can't become AVIF, as ffmpeg, which codes it, is not installed; install ffmpeg 5.1 or newer with libaom, or use --format jpg"
    )]
    Needs,
    /// ffmpeg's complaint.
    #[error("can't become {0} ({1}); use --format jpg or png")]
    Coder(Format, String),
    /// A video's encoder.
    #[error(transparent)]
    Video(crate::ffmpeg::StreamError),
    /// A picture can't become a video, or the other way round.
    #[error("can't become {0}; leave the format to the input's kind")]
    Kind(Format),
    /// An animation can't become a still picture.
    #[error(
        "is an animation, of which {0} would hold one picture only; use --format gif, webp or png"
    )]
    Still(Format),
    /// What came through a pipe without compression can't be compressed on the way.
    #[error(
        "comes as YUV4MPEG2 and goes on as such; use -o - and pipe it into ffmpeg, or name the output .y4m"
    )]
    Piped,
    /// A frame is shown for longer than the format can say.
    #[error("has a picture that is shown for longer than {0} can say; leave the format as it is")]
    Slow(Format),
    /// An animation is made in memory.
    #[error("becomes larger than {0} MiB; raise --max-memory")]
    Large(u64),
}

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Quality of JPEG and of lossy WebP, 1 to 100.
    pub quality: u8,
    /// WebP without loss. The other formats are what they are.
    pub lossless: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quality: DEFAULT_QUALITY,
            lossless: false,
        }
    }
}

/// Encodes a covered picture.
///
/// PNG and TIFF hold all there is. JPEG, WebP, BMP and GIF hold 8 bits, AVIF 10: deeper samples are rounded.
/// JPEG holds no transparency, which becomes white, and GIF only full or none. Pictures of more
/// than 256 colours get a palette that comes near in GIF.
///
/// # Errors
/// [`EncodeError`].
pub fn encode(
    redacted: &Redacted,
    format: Format,
    options: &Options,
) -> Result<Vec<u8>, EncodeError> {
    let pixels = redacted.pixels();
    match format {
        Format::Jpeg => jpeg(pixels, options.quality),
        Format::Png => png(pixels),
        Format::WebP => webp::encode(pixels, options),
        Format::Tiff => tiff::encode(&[pixels]),
        Format::Bmp => bmp::encode(pixels),
        Format::Gif => gif::encode(pixels),
        Format::Avif => avif::encode(pixels, options),
        Format::Mp4 | Format::WebM | Format::Y4m => Err(EncodeError::Kind(format)),
    }
}

/// Encodes covered pages, one picture at least.
///
/// # Errors
/// [`EncodeError`]; TIFF alone holds several.
pub fn encode_pages(
    pages: &[Redacted],
    format: Format,
    options: &Options,
) -> Result<Vec<u8>, EncodeError> {
    match pages {
        [one] => encode(one, format, options),
        _ if format == Format::Tiff => {
            let pixels: Vec<_> = pages.iter().map(Redacted::pixels).collect();
            tiff::encode(&pixels)
        }
        _ => Err(EncodeError::Pages(pages.len(), format)),
    }
}

/// Both sides, where a format holds that many.
fn sides(
    (width, height): (u32, u32),
    format: Format,
    most: u32,
) -> Result<(u16, u16), EncodeError> {
    let side = |v: u32| u16::try_from(v).ok().filter(|_| v <= most);
    side(width).zip(side(height)).ok_or(EncodeError::TooLarge {
        format,
        width,
        height,
        most,
    })
}

fn jpeg(pixels: &DynamicImage, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = sides(
        (pixels.width(), pixels.height()),
        Format::Jpeg,
        u32::from(u16::MAX),
    )?;
    // About a byte for four pixels; grows where that is not enough.
    let mut out = Vec::with_capacity(usize::from(width) * usize::from(height) / 4 + 1024);
    let quality = quality.clamp(1, 100);
    let mut encoder = Encoder::new(&mut out, quality);
    let factor = if quality < FULL_COLOUR {
        SamplingFactor::F_2_2
    } else {
        SamplingFactor::F_1_1
    };
    encoder.set_sampling_factor(factor);
    let failed = |e: jpeg_encoder::EncodingError| EncodeError::Encoder(e.to_string());
    let grey = !pixels.color().has_color() && !pixels.color().has_alpha();
    match pixels {
        DynamicImage::ImageLuma8(p) => encoder.encode(p, width, height, ColorType::Luma),
        DynamicImage::ImageRgb8(p) => encoder.encode(p, width, height, ColorType::Rgb),
        other if grey => encoder.encode(&other.to_luma8(), width, height, ColorType::Luma),
        other if other.color().has_alpha() => {
            encoder.encode(&on_white(other), width, height, ColorType::Rgb)
        }
        other => encoder.encode(&other.to_rgb8(), width, height, ColorType::Rgb),
    }
    .map_err(failed)?;
    Ok(if grey {
        without_colour_tables(&out)
    } else {
        out
    })
}

/// The encoder writes the tables for colour differences into grey pictures too, where nothing uses
/// them: takes out the tables with number 1, each of which has a segment of its own.
fn without_colour_tables(jpeg: &[u8]) -> Vec<u8> {
    const SOS: u8 = 0xDA;
    let mut out = Vec::with_capacity(jpeg.len());
    let mut rest = jpeg;
    if let Some((signature, tail)) = rest.split_at_checked(2) {
        out.extend_from_slice(signature);
        rest = tail;
    }
    while let [0xFF, marker, high, low, first, ..] = *rest {
        let whole = 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == SOS || whole > rest.len() {
            break;
        }
        let (segment, tail) = rest.split_at(whole);
        if !(matches!(marker, 0xDB | 0xC4) && first & 15 == 1) {
            out.extend_from_slice(segment);
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out
}

fn on_white(pixels: &DynamicImage) -> Vec<u8> {
    let rgba = pixels.to_rgba8();
    let blend = |v: u8, a: u8| {
        ((u32::from(v) * u32::from(a) + 255 * (255 - u32::from(a)) + 127) / 255) as u8
    };
    rgba.pixels()
        .flat_map(|p| [0, 1, 2].map(|c| blend(p.0[c], p.0[3])))
        .collect()
}

fn png(pixels: &DynamicImage) -> Result<Vec<u8>, EncodeError> {
    use ::png::{BitDepth, ColorType};
    let (color, depth) = match pixels {
        DynamicImage::ImageLuma8(_) => (ColorType::Grayscale, BitDepth::Eight),
        DynamicImage::ImageLumaA8(_) => (ColorType::GrayscaleAlpha, BitDepth::Eight),
        DynamicImage::ImageRgb8(_) => (ColorType::Rgb, BitDepth::Eight),
        DynamicImage::ImageRgba8(_) => (ColorType::Rgba, BitDepth::Eight),
        DynamicImage::ImageLuma16(_) => (ColorType::Grayscale, BitDepth::Sixteen),
        DynamicImage::ImageLumaA16(_) => (ColorType::GrayscaleAlpha, BitDepth::Sixteen),
        DynamicImage::ImageRgb16(_) => (ColorType::Rgb, BitDepth::Sixteen),
        DynamicImage::ImageRgba16(_) => (ColorType::Rgba, BitDepth::Sixteen),
        _ => return Err(EncodeError::Encoder("an unknown kind of pixels".into())),
    };
    let failed = |e: ::png::EncodingError| EncodeError::Encoder(e.to_string());
    let mut out = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut out, pixels.width(), pixels.height());
    encoder.set_color(color);
    encoder.set_depth(depth);
    // Within a few per cent of the size of the thorough setting, at a tenth of the time.
    encoder.set_compression(::png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(failed)?;
    if depth == BitDepth::Sixteen {
        // PNG wants the high byte first.
        let samples: &[u16] = match pixels {
            DynamicImage::ImageLuma16(p) => p,
            DynamicImage::ImageLumaA16(p) => p,
            DynamicImage::ImageRgb16(p) => p,
            DynamicImage::ImageRgba16(p) => p,
            _ => &[],
        };
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
        writer.write_image_data(&bytes).map_err(failed)?;
    } else {
        writer.write_image_data(pixels.as_bytes()).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(out)
}
