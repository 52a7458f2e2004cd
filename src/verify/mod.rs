//! A second, independent reader of what was written: every byte must be one that the format's
//! allow-list asks for.
//!
//! It shares nothing with the encoders, whose mistakes it is there to notice, and fails closed:
//! what it does not understand is a leak. It does not look at faces, only at bytes.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod vp8;
mod webp;

use std::fmt;

use serde::Serialize;

use crate::format::Format;

/// What kind of thing a leak is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LeakKind {
    /// EXIF: camera, time, place.
    Exif,
    /// XMP: editing history, names.
    Xmp,
    /// IPTC: captions, names, places.
    Iptc,
    /// A colour profile.
    ColourProfile,
    /// A small picture of the picture.
    Thumbnail,
    /// Text.
    Comment,
    /// A segment or chunk that is not on the list.
    Unknown,
    /// Bytes between the parts.
    Between,
    /// Bytes behind the data of a part.
    Slack,
    /// Bytes behind the end.
    Trailing,
    /// Colours under full transparency.
    HiddenPixels,
    /// A table or palette entry that nothing uses.
    Unused,
    /// Another picture.
    SecondPicture,
    /// Something that is not as the format asks.
    Malformed,
}

/// Something in a file that is no pixel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    /// What kind of thing.
    pub kind: LeakKind,
    /// What it is, in a few words, safe to show.
    pub detail: String,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} bytes at {}",
            self.detail, self.bytes, self.offset
        )
    }
}

/// The file holds more than pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyError {
    /// What was found.
    pub leaks: Vec<Leak>,
}

impl std::error::Error for VerifyError {}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("would hold more than pixels (")?;
        for (i, leak) in self.leaks.iter().take(5).enumerate() {
            write!(f, "{}{leak}", if i > 0 { "; " } else { "" })?;
        }
        if self.leaks.len() > 5 {
            write!(f, "; {} more", self.leaks.len() - 5)?;
        }
        f.write_str("); it was not written, please report this as a bug")
    }
}

/// What reading a file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The format, if it is one that is understood.
    pub format: Option<Format>,
    /// Width and height in pixels, as far as the file could be read.
    pub size: Option<(u32, u32)>,
    /// What is more than pixels.
    pub leaks: Vec<Leak>,
}

/// Most leaks that are named of one file.
const MAX_LEAKS: usize = 100;

#[derive(Debug, Default)]
struct Findings(Vec<Leak>);

impl Findings {
    fn add(&mut self, kind: LeakKind, detail: impl Into<String>, range: std::ops::Range<usize>) {
        if self.0.len() < MAX_LEAKS {
            let bytes = range.len() as u64;
            self.0.push(Leak {
                kind,
                detail: detail.into(),
                offset: range.start as u64,
                bytes,
            });
        }
    }
}

impl Findings {
    /// Notes how many pixels have a colour under full transparency.
    fn hidden(&mut self, pixels: u64) {
        if pixels > 0 {
            self.add(
                LeakKind::HiddenPixels,
                format!("colours under {pixels} transparent pixels"),
                0..0,
            );
        }
    }
}

/// Reads a file of any kind and names what is more than pixels in it.
#[must_use]
pub fn inspect(bytes: &[u8]) -> Inspection {
    let mut findings = Findings::default();
    let (format, size) = if bytes.starts_with(&[0xFF, 0xD8]) {
        (Some(Format::Jpeg), jpeg::inspect(bytes, &mut findings))
    } else if bytes.starts_with(png::SIGNATURE) {
        (Some(Format::Png), png::inspect(bytes, &mut findings))
    } else if webp::is_webp(bytes) {
        (Some(Format::WebP), webp::inspect(bytes, &mut findings))
    } else if tiff::SIGNATURES.iter().any(|s| bytes.starts_with(s)) {
        (Some(Format::Tiff), tiff::inspect(bytes, &mut findings))
    } else if gif::SIGNATURES.iter().any(|s| bytes.starts_with(s)) {
        (Some(Format::Gif), gif::inspect(bytes, &mut findings))
    } else if bytes.starts_with(bmp::SIGNATURE) {
        (Some(Format::Bmp), bmp::inspect(bytes, &mut findings))
    } else {
        (None, None)
    };
    Inspection {
        format,
        size,
        leaks: findings.0,
    }
}

/// Passes an output of this program: the format asked for, the size of the picture that was
/// covered, and nothing but pixels.
///
/// # Errors
/// With everything that was found.
pub fn check(bytes: &[u8], format: Format, width: u32, height: u32) -> Result<(), VerifyError> {
    let found = inspect(bytes);
    let mut leaks = found.leaks;
    let mut wrong = |detail: String| {
        leaks.push(Leak {
            kind: LeakKind::Malformed,
            detail,
            offset: 0,
            bytes: bytes.len() as u64,
        });
    };
    if found.format != Some(format) {
        wrong(format!("no {format}"));
    } else if found.size != Some((width, height)) {
        wrong(format!("not {width} × {height} pixels"));
    }
    if leaks.is_empty() {
        Ok(())
    } else {
        Err(VerifyError { leaks })
    }
}
