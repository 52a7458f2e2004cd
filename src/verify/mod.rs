//! A second, independent reader of what was written: every byte must be one that the format's
//! allow-list asks for.
//!
//! It shares nothing with the encoders, whose mistakes it is there to notice, and fails closed:
//! what it does not understand is a leak. It does not look at faces, only at bytes.

mod avif;
mod bits;
mod bmp;
mod deflate;
mod frames;
mod gif;
mod jpeg;
mod mp4;
mod png;
mod tiff;
mod vp8;
mod vp8l;
mod webm;
mod webp;
mod y4m;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::format::Format;

/// What kind of thing a leak is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The format, if it is one that is understood.
    pub format: Option<Format>,
    /// Width and height in pixels, as far as the file could be read.
    pub size: Option<(u32, u32)>,
    /// Sizes of further pages.
    pub further: Vec<(u32, u32)>,
    /// What is more than pixels.
    pub leaks: Vec<Leak>,
    /// Which data was not looked into, each kind once, because only a full decoder could tell
    /// whether all of it is needed. Empty where every byte was accounted for.
    pub unchecked: Vec<String>,
    /// Whether its pictures are shown one after the other, and how.
    pub moving: Option<Moving>,
}

/// An animation over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Moving {
    /// How long each picture is shown, in seconds.
    pub delays: Vec<f64>,
    /// How often all of them are shown; 0 for ever.
    pub plays: u32,
}

/// Most leaks that are named of one file.
const MAX_LEAKS: usize = 100;

#[derive(Debug, Default)]
struct Findings {
    leaks: Vec<Leak>,
    unchecked: Vec<&'static str>,
    /// Bytes, table entries and pixels that were visited: a measure of the time that it took.
    work: u64,
}

impl Findings {
    /// Counts units of work.
    const fn worked(&mut self, units: u64) {
        self.work = self.work.saturating_add(units);
    }

    /// Notes that data of a kind was not looked into.
    fn unchecked(&mut self, what: &'static str) {
        if !self.unchecked.contains(&what) {
            self.unchecked.push(what);
        }
    }

    fn add(&mut self, kind: LeakKind, detail: impl Into<String>, range: std::ops::Range<usize>) {
        if self.leaks.len() < MAX_LEAKS {
            let bytes = range.len() as u64;
            self.leaks.push(Leak {
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
    let mut further = Vec::new();
    let mut moving = None;
    let (format, size) = if bytes.starts_with(&[0xFF, 0xD8]) {
        (Some(Format::Jpeg), jpeg::inspect(bytes, &mut findings))
    } else if bytes.starts_with(png::SIGNATURE) {
        (
            Some(Format::Png),
            png::inspect(bytes, &mut findings, &mut moving),
        )
    } else if webp::is_webp(bytes) {
        (
            Some(Format::WebP),
            webp::inspect(bytes, &mut findings, &mut moving),
        )
    } else if tiff::SIGNATURES.iter().any(|s| bytes.starts_with(s)) {
        let size = tiff::inspect(bytes, &mut findings, &mut further);
        (Some(Format::Tiff), size)
    } else if gif::SIGNATURES.iter().any(|s| bytes.starts_with(s)) {
        (
            Some(Format::Gif),
            gif::inspect(bytes, &mut findings, &mut moving),
        )
    } else if bytes.starts_with(bmp::SIGNATURE) {
        (Some(Format::Bmp), bmp::inspect(bytes, &mut findings))
    } else if avif::is_avif(bytes) {
        (Some(Format::Avif), avif::inspect(bytes, &mut findings))
    } else if bytes.get(4..8) == Some(b"ftyp") {
        let film = mp4::inspect(
            &mut std::io::Cursor::new(bytes),
            bytes.len() as u64,
            &mut findings,
        );
        (Some(Format::Mp4), film.size)
    } else if bytes.starts_with(&webm::SIGNATURE) {
        let film = webm::inspect(
            &mut std::io::Cursor::new(bytes),
            bytes.len() as u64,
            &mut findings,
        );
        (Some(Format::WebM), film.size)
    } else if bytes.starts_with(y4m::SIGNATURE) {
        let film = y4m::inspect(&mut &bytes[..], bytes.len() as u64, &mut findings);
        (Some(Format::Y4m), film.size)
    } else {
        (None, None)
    };
    Inspection {
        format,
        size,
        further,
        leaks: findings.leaks,
        unchecked: findings.unchecked.into_iter().map(Into::into).collect(),
        moving,
    }
}

/// Passes an output of this program: the format asked for, the size of the picture that was
/// covered, and nothing but pixels.
///
/// # Errors
/// With everything that was found.
pub fn check(bytes: &[u8], format: Format, width: u32, height: u32) -> Result<(), VerifyError> {
    check_pages(bytes, format, &[(width, height)])
}

/// Passes an output of this program of as many pages, each of its size, in order.
///
/// # Errors
/// With everything that was found.
pub fn check_pages(bytes: &[u8], format: Format, sizes: &[(u32, u32)]) -> Result<(), VerifyError> {
    let found = inspect(bytes);
    let moving = found.moving.is_some();
    matched(bytes, found, format, sizes, |wrong| {
        if moving {
            wrong(LeakKind::SecondPicture, "an animation".into());
        }
    })
}

/// Passes an animation of this program: as meant, and nothing but pixels.
///
/// # Errors
/// With everything that was found.
pub fn check_animation(
    bytes: &[u8],
    format: Format,
    size: (u32, u32),
    meant: &Moving,
) -> Result<(), VerifyError> {
    let found = inspect(bytes);
    // One picture without a word on time is a still one.
    let is = found.moving.clone().unwrap_or(Moving {
        delays: vec![0.0],
        plays: 1,
    });
    matched(bytes, found, format, &[size], |wrong| {
        if is.plays != meant.plays {
            let (is, due) = (is.plays, meant.plays);
            wrong(LeakKind::Malformed, format!("{is} rounds instead of {due}"));
        }
        if is.delays.len() != meant.delays.len() {
            let (is, due) = (is.delays.len(), meant.delays.len());
            wrong(
                LeakKind::Malformed,
                format!("{is} pictures instead of {due}"),
            );
        }
        // Half of what the format counts in.
        let most = match format {
            Format::Gif => 0.005,
            Format::WebP => 0.0005,
            _ => 0.0005,
        };
        let (mut now, mut due) = (0.0, 0.0);
        for (index, (a, b)) in is.delays.iter().zip(&meant.delays).enumerate() {
            (now, due) = (now + a, due + b);
            if f64::abs(now - due) > most + 1e-6 {
                wrong(
                    LeakKind::Malformed,
                    format!("picture {index} ends at {now:.4} s instead of {due:.4} s"),
                );
                break;
            }
        }
    })
}

fn matched(
    bytes: &[u8],
    found: Inspection,
    format: Format,
    sizes: &[(u32, u32)],
    further: impl FnOnce(&mut dyn FnMut(LeakKind, String)),
) -> Result<(), VerifyError> {
    let mut leaks = found.leaks;
    let mut wrong = |kind: LeakKind, detail: String| {
        leaks.push(Leak {
            kind,
            detail,
            offset: 0,
            bytes: bytes.len() as u64,
        });
    };
    if found.format != Some(format) {
        wrong(LeakKind::Malformed, format!("no {format}"));
        return Err(VerifyError { leaks });
    }
    let pages = 1 + found.further.len();
    if pages != sizes.len() {
        wrong(
            LeakKind::Malformed,
            format!("{pages} pages instead of {}", sizes.len()),
        );
    }
    let is = found.size.into_iter().chain(found.further);
    let mut is = is.chain(std::iter::repeat((0, 0)));
    for &(width, height) in sizes {
        if is.next() != Some((width, height)) {
            wrong(
                LeakKind::Malformed,
                format!("not {width} × {height} pixels"),
            );
        }
    }
    further(&mut wrong);
    if leaks.is_empty() {
        Ok(())
    } else {
        Err(VerifyError { leaks })
    }
}

/// What a video must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Its format.
    pub format: Format,
    /// Width and height of its pictures in pixels.
    pub size: (u32, u32),
    /// When each picture is to be shown, in seconds, in order.
    pub times: Vec<f64>,
    /// When the last one is to end, in seconds.
    pub end: f64,
    /// Tracks of sound.
    pub sound: usize,
}

/// Most that a time may be off, in seconds.
const MOST_LATE: f64 = 0.001;

/// Most that all of a WebM file may be moved for its sound, in seconds: Opus needs 6.5 ms.
const MOST_MOVED: f64 = 0.02;

/// Passes a video of this program: as expected, and nothing but pictures and sound. Reads it where
/// it lies, so that its length does not count.
///
/// # Errors
/// With everything that was found.
pub fn check_clip(file: &std::fs::File, expected: &Expected) -> Result<(), VerifyError> {
    let mut findings = Findings::default();
    let length = file.metadata().map_or(0, |m| m.len());
    let mut reader = std::io::BufReader::with_capacity(1 << 16, file);
    let film = match expected.format {
        Format::WebM => webm::inspect(&mut reader, length, &mut findings),
        Format::Y4m => {
            let _ = std::io::Seek::rewind(&mut reader);
            y4m::inspect(&mut reader, length, &mut findings)
        }
        _ => mp4::inspect(&mut reader, length, &mut findings),
    };
    let mut wrong = |what: String| findings.add(LeakKind::Malformed, what, 0..length as usize);
    if film.size != Some(expected.size) {
        wrong(format!(
            "not {} × {} pixels",
            expected.size.0, expected.size.1
        ));
    }
    if film.times.len() != expected.times.len() {
        wrong(format!(
            "{} pictures instead of {}",
            film.times.len(),
            expected.times.len()
        ));
    }
    // Muxers of WebM move everything by what the sound's coder needs to begin, in step.
    let begin = film.times.first().zip(expected.times.first());
    let moved = begin.map_or(0.0, |(is, due)| is - due);
    let in_step = expected.format == Format::WebM
        && expected.sound > 0
        && (0.0..=MOST_MOVED).contains(&moved);
    let moved = if in_step { moved } else { 0.0 };
    let late = film
        .times
        .iter()
        .zip(&expected.times)
        .find(|(is, due)| (*is - moved - *due).abs() > MOST_LATE);
    if let Some((is, due)) = late {
        wrong(format!("a picture at {is:.4} s instead of {due:.4} s"));
    }
    // What WebM says is the end of all, and sound may be longer.
    let over = film.end - moved - expected.end;
    if over < -MOST_LATE || over > MOST_LATE && !in_step {
        wrong(format!(
            "an end at {:.4} s instead of {:.4} s",
            film.end, expected.end
        ));
    }
    if film.sound != expected.sound {
        wrong(format!(
            "{} tracks of sound instead of {}",
            film.sound, expected.sound
        ));
    }
    if findings.leaks.is_empty() {
        Ok(())
    } else {
        Err(VerifyError {
            leaks: findings.leaks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), &name[..], body].concat()
    }

    /// What reading such a file costs, in units of work.
    fn work(bytes: &[u8]) -> u64 {
        let mut findings = Findings::default();
        mp4::inspect(
            &mut std::io::Cursor::new(bytes),
            bytes.len() as u64,
            &mut findings,
        );
        findings.work
    }

    #[test]
    fn work_grows_with_the_number_of_boxes_and_not_with_its_square() {
        let file = |boxes: usize| {
            let track = boxed(b"trak", &boxed(b"edts", &[]).repeat(boxes));
            let brands = boxed(b"ftyp", b"isom\0\0\x02\0isom");
            [brands, boxed(b"moov", &track)].concat()
        };
        let (few, many) = (work(&file(5_000)), work(&file(10_000)));
        assert!(few >= 5_000 && many <= 2 * few, "{few} and {many}");
    }

    #[test]
    fn strips_of_a_tiff_that_share_data_are_not_all_followed() {
        let file = |strips: u32| {
            let data = vec![7; 4096];
            let (width, rows) = (4096, strips);
            let places = [8, 8u32].map(u32::to_le_bytes);
            let mut out = b"II*\0".to_vec();
            out.extend((8 + 4096 + 8 * strips).to_le_bytes());
            out.extend(&data);
            (0..strips).for_each(|_| out.extend(places[0]));
            (0..strips).for_each(|_| out.extend(4096u32.to_le_bytes()));
            let entries = [
                (256u16, 4u16, 1, width),
                (257, 4, 1, rows),
                (258, 3, 1, 8),
                (259, 3, 1, 1),
                (262, 3, 1, 1),
                (273, 4, strips, 8 + 4096),
                (277, 3, 1, 1),
                (278, 4, 1, 1),
                (279, 4, strips, 8 + 4096 + 4 * strips),
            ];
            out.extend((entries.len() as u16).to_le_bytes());
            for (tag, kind, count, value) in entries {
                out.extend(tag.to_le_bytes());
                out.extend(kind.to_le_bytes());
                out.extend(count.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
            out.extend([0; 4]);
            out
        };
        let bytes = file(2_000);
        let mut findings = Findings::default();
        tiff::inspect(&bytes, &mut findings, &mut Vec::new());
        assert!(findings.work <= bytes.len() as u64, "{}", findings.work);
        assert!(!findings.leaks.is_empty());
    }

    #[test]
    fn an_animation_of_huge_pictures_is_refused_before_they_are_decoded() {
        // Lossless pictures of 16383 × 16383 pixels in a dozen bytes each.
        let picture = [0x2F, 0xFE, 0xBF, 0xFF, 0x0F, 0, 0, 0, 0, 0, 0, 0];
        let chunk = |kind: &[u8; 4], body: &[u8]| {
            [&kind[..], &(body.len() as u32).to_le_bytes(), body].concat()
        };
        let side = [0xFE, 0x3F, 0];
        let head = [&[0; 6][..], &side, &side, &[100, 0, 0, 2]].concat();
        let frame = chunk(b"ANMF", &[head, chunk(b"VP8L", &picture)].concat());
        let extended = [&[ANIMATED, 0, 0, 0][..], &side, &side].concat();
        let mut body = b"WEBP".to_vec();
        body.extend(chunk(b"VP8X", &extended));
        body.extend(chunk(b"ANIM", &[0; 6]));
        body.extend(frame.repeat(1_000));
        let file = chunk(b"RIFF", &body);
        let (mut findings, mut moving) = (Findings::default(), None);
        webp::inspect(&file, &mut findings, &mut moving);
        assert!(findings.work <= 1 << 28, "{}", findings.work);
        assert!(
            findings
                .leaks
                .iter()
                .any(|l| l.detail.contains("more pixels"))
        );
    }

    const ANIMATED: u8 = 2;
}
