//! A decoded photo through a pipe, from the child that decoded it to the process that goes on.
//!
//! What comes out of the pipe is as hostile as the file was: sizes are checked before anything is
//! taken, and texts are made harmless.

use std::{
    io::{self, Read, Write},
    ops::Range,
};

use image::ColorType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DecodeError, Dropped, Options, Photo, from_upright_pixels, pixels_from};
use crate::{caution::Caution, format::Format};

/// Bytes of a header that are believed.
const MOST_HEADER: u64 = 1 << 20;
/// Characters of a text that are kept.
const MOST_TEXT: usize = 300;

/// Pages of a photo that are believed; TIFF files with more are refused by their reader.
const MOST_PAGES: usize = 1 << 16;

/// What comes before the pixels.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    pages: Vec<Page>,
    format: String,
    lossless: bool,
    dropped: Vec<Dropped>,
    motion: Option<Range<usize>>,
    damage: Option<String>,
    cautions: Vec<Caution>,
}

/// The shape of one picture.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Page {
    width: u32,
    height: u32,
    channels: u8,
    bits: u8,
    /// The EXIF orientation that was applied.
    orientation: u8,
}

/// Options as the question's first part: fixed length, so that the file follows it as it is.
/// `moving`: the frames of an animation are wanted.
#[must_use]
pub fn options_to_bytes(options: &Options, moving: bool) -> [u8; 19] {
    let mut bytes = [0; 19];
    bytes[..8].copy_from_slice(&options.max_memory.to_le_bytes());
    bytes[8..16].copy_from_slice(&options.max_metadata.to_le_bytes());
    bytes[16] = u8::from(options.allow_damaged);
    bytes[17] = options.orientation.unwrap_or(0);
    bytes[18] = u8::from(moving);
    bytes
}

/// A question, taken apart again: options, whether the frames of an animation are wanted, the file.
#[must_use]
pub fn question(bytes: &[u8]) -> Option<(Options, bool, &[u8])> {
    let (head, file) = bytes.split_first_chunk::<19>()?;
    let (memory, rest) = head.split_first_chunk::<8>()?;
    let (metadata, rest) = rest.split_first_chunk::<8>()?;
    let options = Options {
        max_memory: u64::from_le_bytes(*memory),
        max_metadata: u64::from_le_bytes(*metadata),
        allow_damaged: rest[0] != 0,
        orientation: (rest[1] != 0).then_some(rest[1]),
        ..Options::default()
    };
    Some((options, rest[2] != 0, file))
}

/// Writes what decoding gave.
///
/// # Errors
/// When the pipe breaks.
pub fn send(result: &Result<Photo, DecodeError>, to: &mut dyn Write) -> io::Result<()> {
    let header = result.as_ref().map(|photo| Header {
        pages: pages(photo).map(Page::of).collect(),
        format: photo.format.suffix().into(),
        lossless: photo.lossless,
        dropped: photo.dropped.clone(),
        motion: photo.motion.clone(),
        damage: photo.damage.clone(),
        cautions: photo.cautions.clone(),
    });
    write_text(to, &header)?;
    if let Ok(photo) = result {
        for page in pages(photo) {
            to.write_all(page.pixels().as_bytes())?;
        }
    }
    Ok(())
}

fn pages(photo: &Photo) -> impl Iterator<Item = &crate::Frame> {
    std::iter::once(&photo.frame).chain(&photo.further)
}

/// Writes something as JSON, behind its length.
pub(crate) fn write_text(to: &mut dyn Write, what: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(what)?;
    to.write_all(&(text.len() as u64).to_le_bytes())?;
    to.write_all(&text)
}

/// Reads what [`write_text`] wrote; texts in it are made harmless.
pub(crate) fn read_text<T: serde::de::DeserializeOwned>(from: &mut dyn Read) -> io::Result<T> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MOST_HEADER {
        return Err(wrong("a header that is too long"));
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text)?;
    let mut value: Value = serde_json::from_slice(&text)?;
    harmless(&mut value);
    Ok(serde_json::from_value(value)?)
}

pub(super) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Reads what decoding gave. `options`: what may be decoded, asked again here. `file`: bytes of the
/// file.
///
/// # Errors
/// When the pipe breaks, or what comes is not what [`send`] writes.
pub fn receive(
    from: &mut dyn Read,
    options: &Options,
    file: usize,
) -> io::Result<Result<Photo, DecodeError>> {
    let header = match read_text::<Result<Header, DecodeError>>(from)? {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let format = header
        .format
        .parse::<Format>()
        .map_err(|_| wrong("an unknown format"))?;
    if format.is_video() {
        return Err(wrong("a video for a photo"));
    }
    if header.pages.len() > MOST_PAGES {
        return Err(wrong("more pages than can be"));
    }
    let mut left = options.max_memory;
    let mut frames = Vec::new();
    for page in &header.pages {
        frames.push(page.receive(from, options, &mut left)?);
    }
    let mut frames = frames.into_iter();
    let frame = frames.next().ok_or_else(|| wrong("no page"))?;
    let inside = |r: &Range<usize>| r.start <= r.end && r.end <= file;
    Ok(Ok(Photo {
        frame,
        further: frames.collect(),
        format,
        lossless: header.lossless,
        dropped: header.dropped,
        motion: header.motion.filter(inside),
        damage: header.damage,
        cautions: header.cautions,
    }))
}

impl Page {
    pub(super) fn of(frame: &crate::Frame) -> Self {
        let pixels = frame.pixels();
        let color = pixels.color();
        let sample = color.bytes_per_pixel() / color.channel_count();
        Self {
            width: pixels.width(),
            height: pixels.height(),
            channels: color.channel_count(),
            bits: 8 * sample,
            orientation: frame.orientation(),
        }
    }

    fn color(&self) -> Option<ColorType> {
        Some(match (self.channels, self.bits) {
            (1, 8) => ColorType::L8,
            (2, 8) => ColorType::La8,
            (3, 8) => ColorType::Rgb8,
            (4, 8) => ColorType::Rgba8,
            (1, 16) => ColorType::L16,
            (2, 16) => ColorType::La16,
            (3, 16) => ColorType::Rgb16,
            (4, 16) => ColorType::Rgba16,
            _ => return None,
        })
    }

    pub(super) const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Its pixels, where all pages together have no more bytes than are `left`.
    pub(super) fn receive(
        &self,
        from: &mut dyn Read,
        options: &Options,
        left: &mut u64,
    ) -> io::Result<crate::Frame> {
        if !(1..=8).contains(&self.orientation) {
            return Err(wrong("an unknown orientation"));
        }
        let color = self
            .color()
            .ok_or_else(|| wrong("an unknown kind of pixels"))?;
        let bytes = u64::from(color.bytes_per_pixel());
        options
            .allow(self.width, self.height, bytes)
            .map_err(|_| wrong("more pixels than were allowed"))?;
        let size = u64::from(self.width) * u64::from(self.height) * bytes;
        *left = left
            .checked_sub(size)
            .ok_or_else(|| wrong("more pixels than were allowed"))?;
        let mut data = Vec::with_capacity(usize::try_from(size).map_err(|_| wrong("a size"))?);
        from.take(size).read_to_end(&mut data)?;
        if data.len() as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let pixels = pixels_from(self.width, self.height, color, data)
            .map_err(|_| wrong("an unknown kind of pixels"))?;
        Ok(from_upright_pixels(pixels).applied(self.orientation))
    }
}

/// Cuts all texts and escapes what could move a cursor or reorder what is read.
fn harmless(value: &mut Value) {
    match value {
        Value::String(text) => {
            let plain = |c: &char| !c.is_control() && !('\u{200b}'..='\u{206f}').contains(c);
            if text.chars().count() > MOST_TEXT || !text.chars().all(|c| plain(&c)) {
                *text = text.chars().take(MOST_TEXT).filter(plain).collect();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(harmless),
        Value::Object(all) => all.values_mut().for_each(harmless),
        _ => {}
    }
}
