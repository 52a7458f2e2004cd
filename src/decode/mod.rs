//! Bytes → upright [`Frame`]s. The only maker of frames.
//!
//! A frame is what a viewer would show: turned upright, in sRGB, with nothing kept under full
//! transparency. Files that are cut off or damaged are refused, as what is missing of them
//! would pass for grey background.
//!
//! What can't be noticed: a flipped bit inside a JPEG's data that happens to give another valid
//! picture of the same length.

pub mod animation;
mod behind;
mod bmff;
mod bmp;
pub mod clip;
mod colour;
mod exif;
mod gif;
mod heif;
mod ifd;
mod jpeg;
mod orientation;
mod png;
mod raw_profile;
mod sniff;
mod tiff;
mod webp;
pub mod wire;
pub mod y4m;

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::{ColorType, DynamicImage, ImageBuffer};

use crate::{caution::Caution, format::Format, frame::Frame};
pub use behind::MOTION;
use orientation::Gathered;
pub use sniff::{HEAD, Kind, Y4M, sniff, sniff_file};

/// Proof that pixels are upright; only this room makes one.
#[derive(Debug, Clone, Copy)]
pub struct Upright(());

/// What may be decoded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Largest decoded size in bytes (width × height × channels × bytes a sample). Default 512 MiB.
    /// All frames of an animation together may take 32 times as much.
    pub max_memory: u64,
    /// Largest size of metadata in one file that is looked at, in bytes. Default 64 MiB.
    pub max_metadata: u64,
    /// Take what is there of a truncated or damaged picture instead of refusing it.
    pub allow_damaged: bool,
    /// EXIF orientation (1 to 8) to apply instead of what the file says.
    pub orientation: Option<u8>,
    /// Scale the frames of a video whose size changes midway to the first size, instead of refusing it.
    pub fit: bool,
    /// Which video of a file that holds several, counted from 1; `None`: such files are refused.
    pub video_stream: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_memory: 512 << 20,
            max_metadata: 64 << 20,
            allow_damaged: false,
            orientation: None,
            fit: false,
            video_stream: None,
        }
    }
}

impl Options {
    fn allow(&self, width: u32, height: u32, bytes_a_pixel: u64) -> Result<(), DecodeError> {
        if width == 0 || height == 0 {
            return Err(DecodeError::Damaged("it has no pixels".into()));
        }
        let needs = u64::from(width)
            .saturating_mul(u64::from(height))
            .saturating_mul(bytes_a_pixel);
        if needs > self.max_memory {
            return Err(DecodeError::TooLarge {
                needs,
                limit: self.max_memory,
            });
        }
        Ok(())
    }

    fn allow_metadata(&self, bytes: u64) -> Result<(), DecodeError> {
        if bytes > self.max_metadata {
            return Err(DecodeError::Metadata(self.max_metadata >> 20));
        }
        Ok(())
    }
}

/// What is wrong with data that a decoder can't use, in words of this program: those of the decoders
/// show their source. `io`: why it could not read on.
fn fault(io: Option<&std::io::Error>) -> &'static str {
    match io {
        Some(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "its data end too early",
        _ => "its data are broken",
    }
}

/// What to do with a kind of file that is not read.
fn instead(kind: &str) -> &'static str {
    if kind.contains("video") || kind.contains("animation") {
        "make an MP4 of it first, as with `ffmpeg -i IN OUT.mp4`"
    } else {
        "convert it to JPEG or PNG first"
    }
}

/// Something of the input that the output will not hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Dropped {
    /// What it was, in a few words: `EXIF (GPS, thumbnail)`, `XMP`, `bytes behind the end`, …
    pub kind: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A decoded photo.
#[derive(Debug)]
pub struct Photo {
    /// Its upright pixels.
    pub frame: Frame,
    /// Its further pages.
    pub further: Vec<Frame>,
    /// The format it came in.
    pub format: Format,
    /// Whether its coding lost nothing: not so for JPEG and lossy WebP.
    pub lossless: bool,
    /// What else the file held.
    pub dropped: Vec<Dropped>,
    /// The clip of a motion photo: where it lies in the file.
    pub motion: Option<Range<usize>>,
    /// What is wrong with the file, where `allow_damaged` let it pass.
    pub damage: Option<String>,
    /// Reasons for a person to look at it.
    pub cautions: Vec<Caution>,
}

/// Why bytes could not be decoded. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is nothing in the file.
    #[error("is empty; copy it again from where it came")]
    Empty,
    /// No picture or video.
    #[error("is no picture; name photos")]
    NotMedia,
    /// A kind that is not read.
    #[error("is {kind}, which unface does not read; {}", instead(.0), kind = .0)]
    Unsupported(String),
    /// ffmpeg is missing.
    #[error(
        "is a HEIF or AVIF picture, and ffmpeg, which decodes them, is not installed; install ffmpeg 5.1 or newer (Debian, Ubuntu: apt install ffmpeg; \
         Fedora: dnf install ffmpeg; macOS: brew install ffmpeg; Windows: winget install ffmpeg), or make a JPEG of it"
    )]
    Needs,
    /// What a camera's sensor gave, not yet a picture.
    #[error(
        "is {0}, which has to be developed first; make a JPEG of it, as with `darktable-cli PHOTO OUT.jpg` or RawTherapee, and name that"
    )]
    Raw(String),
    /// A video where only a photo can be.
    #[error(
        "is {0}, and videos are read from files only; name the file, or pipe frames with `ffmpeg -i - -f yuv4mpegpipe -`"
    )]
    Piped(String),
    /// Cut off or broken.
    #[error(
        "is damaged ({0}); get an undamaged copy, or use --allow-damaged to cover what is there"
    )]
    Damaged(String),
    /// Larger than allowed.
    #[error("needs {} MiB of memory for its pixels where {} MiB are allowed; raise --max-memory if you trust it", .needs.div_ceil(1 << 20), .limit >> 20)]
    TooLarge {
        /// Bytes it needs.
        needs: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// An animation whose frames together take more than allowed.
    #[error("has {frames} frames, which take {} MiB one after the other where {} MiB are allowed; raise --max-memory if you trust it", .needs >> 20, .limit >> 20)]
    LongAnimation {
        /// Frames that it says it has.
        frames: usize,
        /// Bytes that all frames take.
        needs: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// More metadata than allowed.
    #[error("holds more than {0} MiB of metadata; save it again with another program")]
    Metadata(u64),
    /// A colour profile that is too large.
    #[error("holds a colour profile of more than {0} MB; save it again with another program")]
    Profile(usize),
    /// Two places disagree on which way is up.
    #[error(
        "says in one place that its orientation is {0} and in another that it is {1}; look at it and use --orientation {0} or {1}"
    )]
    Orientation(u8, u8),
    /// The child that decodes it came to no answer.
    #[error("{0}")]
    Caged(String),
    /// The decoder failed in a way it should not.
    #[error("broke the decoder ({0}); convert it with another program, and report this as a bug")]
    Panicked(String),
}

/// Decodes a photo.
///
/// # Errors
/// [`DecodeError`]; also where a decoder panics.
pub fn photo(bytes: &[u8], options: &Options) -> Result<Photo, DecodeError> {
    catch_unwind(AssertUnwindSafe(|| decode(bytes, options))).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(DecodeError::Panicked(what))
    })
}

fn decode(bytes: &[u8], options: &Options) -> Result<Photo, DecodeError> {
    let kind = sniff_file(&mut std::io::Cursor::new(bytes)).unwrap_or(Kind::Other);
    let format = match kind {
        Kind::Photo(format) => format,
        Kind::Heif(format) => {
            return finished(vec![heif::decode(bytes, options)?], format, false, options);
        }
        Kind::Video(name, _) => return Err(DecodeError::Piped(with_article(name))),
        Kind::Unsupported(name) if name.contains("raw picture") => {
            return Err(DecodeError::Raw(with_article(name)));
        }
        Kind::Unsupported(name) => return Err(DecodeError::Unsupported(with_article(name))),
        Kind::Other => return Err(DecodeError::NotMedia),
        Kind::Empty => return Err(DecodeError::Empty),
    };
    let (stored, lossless) = match format {
        Format::Jpeg => (vec![jpeg::decode(bytes, options)?], false),
        Format::Png => (vec![png::decode(bytes, options)?], true),
        Format::WebP => {
            let (stored, lossless) = webp::decode(bytes, options)?;
            (vec![stored], lossless)
        }
        Format::Tiff => (tiff::decode(bytes, options)?, true),
        Format::Bmp => (vec![bmp::decode(bytes, options)?], true),
        Format::Gif => (vec![gif::decode(bytes, options)?], true),
        // No file is sniffed as a photo of these.
        Format::Avif | Format::Mp4 | Format::WebM | Format::Y4m => {
            return Err(DecodeError::NotMedia);
        }
    };
    finished(stored, format, lossless, options)
}

/// Pages as stored → the photo that a viewer would show.
fn finished(
    stored: Vec<Stored>,
    format: Format,
    lossless: bool,
    options: &Options,
) -> Result<Photo, DecodeError> {
    let mut frames = Vec::with_capacity(stored.len());
    let mut all = Gathered::default();
    let mut damage = None;
    for page in stored {
        damage = damage.or_else(|| page.damage.clone());
        let (frame, gathered) = page.upright(options)?;
        frames.push(frame);
        for Dropped { kind, bytes } in gathered.dropped {
            all.drop(kind, bytes);
        }
        all.motion = all.motion.or(gathered.motion);
        for caution in gathered.cautions {
            if !all.cautions.contains(&caution) {
                all.cautions.push(caution);
            }
        }
    }
    let mut frames = frames.into_iter();
    let frame = frames.next().ok_or(DecodeError::NotMedia)?;
    Ok(Photo {
        frame,
        further: frames.collect(),
        format,
        lossless,
        dropped: all.dropped,
        motion: all.motion,
        damage,
        cautions: all.cautions,
    })
}

/// Pixels as stored, and what the file says of them.
struct Stored {
    pixels: DynamicImage,
    gathered: Gathered,
    damage: Option<String>,
}

impl Stored {
    /// The pixels in sRGB and turned upright, and what else the file said of them.
    fn upright(self, options: &Options) -> Result<(Frame, Gathered), DecodeError> {
        let (mut gathered, mut pixels) = (self.gathered, self.pixels);
        let orientation = gathered.decide(options.orientation)?;
        if let Some(icc) = gathered.icc.take() {
            // A profile that nobody can read: viewers show the numbers as they are.
            if colour::to_srgb(&mut pixels, &icc).is_err() {
                gathered.drop("unreadable colour profile", 0);
            }
        }
        clear_hidden(&mut pixels);
        let pixels = orientation::apply(pixels, orientation);
        Ok((from_upright_pixels(pixels).applied(orientation), gathered))
    }
}

/// A colour profile may have this many bytes, inflated; real ones are under 2 MB.
const MAX_ICC: usize = 4 << 20;

/// Notes a colour profile.
fn gathered_profile(gathered: &mut Gathered, profile: Vec<u8>) -> Result<(), DecodeError> {
    if profile.len() > MAX_ICC {
        return Err(DecodeError::Profile(MAX_ICC >> 20));
    }
    gathered.drop("colour profile", profile.len() as u64);
    gathered.icc = Some(profile);
    Ok(())
}

/// Interleaved samples, 16-bit ones in this machine's byte order, as pixels.
fn pixels_from(
    width: u32,
    height: u32,
    color: ColorType,
    data: Vec<u8>,
) -> Result<DynamicImage, DecodeError> {
    let wide = |data: Vec<u8>| -> Vec<u16> {
        data.chunks_exact(2)
            .map(|b| u16::from_ne_bytes([b[0], b[1]]))
            .collect()
    };
    use DynamicImage as D;
    match color {
        ColorType::L8 => ImageBuffer::from_raw(width, height, data).map(D::ImageLuma8),
        ColorType::La8 => ImageBuffer::from_raw(width, height, data).map(D::ImageLumaA8),
        ColorType::Rgb8 => ImageBuffer::from_raw(width, height, data).map(D::ImageRgb8),
        ColorType::Rgba8 => ImageBuffer::from_raw(width, height, data).map(D::ImageRgba8),
        ColorType::L16 => ImageBuffer::from_raw(width, height, wide(data)).map(D::ImageLuma16),
        ColorType::La16 => ImageBuffer::from_raw(width, height, wide(data)).map(D::ImageLumaA16),
        ColorType::Rgb16 => ImageBuffer::from_raw(width, height, wide(data)).map(D::ImageRgb16),
        ColorType::Rgba16 => ImageBuffer::from_raw(width, height, wide(data)).map(D::ImageRgba16),
        _ => None,
    }
    .ok_or_else(|| DecodeError::Damaged("the decoder gave an unknown kind of pixels".into()))
}

fn with_article(name: &str) -> String {
    let vowel = name.starts_with(['A', 'E', 'I', 'O', 'U', 'a', 'e', 'i', 'o', 'u'])
        || name.starts_with("H.")
        || name.starts_with("MP");
    format!("{} {name}", if vowel { "an" } else { "a" })
}

/// Sets every sample to 0 where the alpha is 0: what a viewer never shows could be anything.
fn clear_hidden(pixels: &mut DynamicImage) {
    fn clear<T: Copy + Default + PartialEq>(samples: &mut [T], channels: usize) {
        for pixel in samples.chunks_exact_mut(channels) {
            if pixel[channels - 1] == T::default() {
                pixel.fill(T::default());
            }
        }
    }
    match pixels {
        DynamicImage::ImageLumaA8(p) => clear(p, 2),
        DynamicImage::ImageRgba8(p) => clear(p, 4),
        DynamicImage::ImageLumaA16(p) => clear(p, 2),
        DynamicImage::ImageRgba16(p) => clear(p, 4),
        _ => {}
    }
}

/// Width, height and bytes a decoded pixel by the header alone, for planning memory.
#[must_use]
pub fn dimensions(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    match sniff(&bytes[..bytes.len().min(HEAD)]) {
        Kind::Heif(_) => heif::size(bytes),
        Kind::Photo(Format::Png) => png::size(bytes),
        Kind::Photo(Format::WebP) => webp::size(bytes),
        Kind::Photo(Format::Tiff) => tiff::size(bytes),
        Kind::Photo(Format::Bmp) => bmp::size(bytes),
        Kind::Photo(Format::Gif) => gif::size(bytes),
        Kind::Photo(Format::Jpeg) => {
            let (width, height, components) = crate::jpeg::size(bytes)?;
            Some((
                u32::from(width),
                u32::from(height),
                if components == 1 { 1 } else { 3 },
            ))
        }
        _ => None,
    }
}

/// A frame from pixels that are upright already: for frames that never were in a file.
#[must_use]
pub fn from_upright_pixels(mut pixels: DynamicImage) -> Frame {
    clear_hidden(&mut pixels);
    Frame::new(pixels, Upright(()))
}
