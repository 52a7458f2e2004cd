//! What phones write behind a JPEG picture's end, told apart: clips of motion photos, gain and depth
//! maps, further pictures, Samsung's blocks. All of it is dropped; what it was is said.
//!
//! Things are found by what they are. The indices that point to them (MPF, the directory in XMP)
//! only give them their names, as every program that edits a photo leaves wrong indices behind.
//!
//! Sources: Google's Motion Photo format 1.0 and Ultra HDR 1.1, CIPA DC-007 (MPF); Samsung's
//! trailer as ExifTool documents it.

use std::ops::Range;

use super::{bmff, ifd::Reader};

/// Something behind the picture's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) kind: &'static str,
    pub(super) place: Range<usize>,
}

/// What the clip of a motion photo is called in [`Dropped::kind`](super::Dropped::kind).
pub const MOTION: &str = "motion video";
const GAIN: &str = "gain map";
const DEPTH: &str = "depth map";
const FURTHER: &str = "further picture";
const PREVIEW: &str = "preview";
const SAMSUNG: &str = "Samsung's data";
const BYTES: &str = "bytes behind the end";

/// Most things that are told apart; phones write up to about ten.
const MOST: usize = 64;
/// As much of a picture is searched for what it calls itself.
const NAMED_WITHIN: usize = 1 << 16;

/// What the indices in the picture's metadata say of what follows it.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Lengths and names from the directory in XMP.
    listed: Vec<(usize, &'static str)>,
    /// Lengths and names from MPF.
    pictures: Vec<(usize, &'static str)>,
}

impl Index {
    /// Notes the directory of an XMP packet: `Item:Semantic` and `Item:Length` of each item.
    pub(super) fn xmp(&mut self, packet: &[u8]) {
        let text = String::from_utf8_lossy(packet);
        for item in text.split("Container:Item").skip(1).take(MOST) {
            let value = |name: &str| {
                let (_, rest) = item.split_once(name)?;
                // As an attribute, `="…"`, or as an element, `>…<`.
                rest.strip_prefix(['=', '>'])?
                    .trim_start_matches(['"', '\''])
                    .split(['"', '\'', '<'])
                    .next()
            };
            let kind = match value("Item:Semantic") {
                Some("GainMap") => GAIN,
                Some("Depth" | "Confidence") => DEPTH,
                Some("MotionPhoto") => MOTION,
                Some("Original") => FURTHER,
                _ => continue,
            };
            let length = value("Item:Length").and_then(|l| l.trim().parse().ok());
            self.listed.extend(length.map(|l| (l, kind)));
        }
    }

    /// Notes an MPF index, from its byte order mark on.
    pub(super) fn mpf(&mut self, block: &[u8]) {
        const ENTRIES: u16 = 0xB002;
        let Some(reader) = Reader::new(block) else {
            return;
        };
        let entries = reader
            .directory(reader.first())
            .and_then(|(all, _)| all.into_iter().find(|e| e.0 == ENTRIES))
            .and_then(|e| reader.value(e.1))
            .unwrap_or_default();
        let little = block.starts_with(b"II");
        let number = |b: &[u8]| {
            let b = [b[0], b[1], b[2], b[3]];
            if little {
                u32::from_le_bytes(b)
            } else {
                u32::from_be_bytes(b)
            }
        };
        for entry in entries.chunks_exact(16).take(MOST) {
            let kind = match number(entry) & 0xFF_FFFF {
                0x01_0001 | 0x01_0002 => PREVIEW,
                0x02_0002 => DEPTH,
                _ => continue,
            };
            self.pictures.push((number(&entry[4..]) as usize, kind));
        }
    }

    fn named(&self, length: usize) -> Option<&'static str> {
        let all = self.listed.iter().chain(&self.pictures);
        all.into_iter().find(|n| n.0 == length).map(|n| n.1)
    }
}

/// Everything in `bytes` from `end` on, without gaps.
pub(super) fn parts(bytes: &[u8], end: usize, index: &Index) -> Vec<Behind> {
    let mut found: Vec<Behind> = Vec::new();
    let mut put = |kind, place: Range<usize>| match found.last_mut() {
        Some(last) if last.kind == kind && kind == BYTES => last.place.end = place.end,
        _ if place.is_empty() => {}
        _ => found.push(Behind { kind, place }),
    };
    let blocks = samsung(bytes, end);
    let stop = blocks.first().map_or(bytes.len(), |b| b.place.start);
    let mut at = end;
    for _ in 0..MOST {
        let Some(from) = next(&bytes[..stop], at) else {
            break;
        };
        put(BYTES, at..from);
        let (kind, to) = thing(&bytes[..stop], from, index);
        put(kind, from..to);
        at = to;
    }
    put(BYTES, at..stop.max(at));
    for block in blocks {
        put(block.kind, block.place);
    }
    found
}

/// Where the next picture or clip may begin.
fn next(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(8)
        .position(|w| w.starts_with(&[0xFF, 0xD8, 0xFF]) || w.ends_with(b"ftyp"))
        .map(|at| from + at)
}

/// What begins at `from`, and where it ends.
fn thing(bytes: &[u8], from: usize, index: &Index) -> (&'static str, usize) {
    if bytes[from..].starts_with(&[0xFF, 0xD8]) {
        let Some(length) = picture(&bytes[from..]) else {
            return (FURTHER, bytes.len());
        };
        let own = &bytes[from..from + length.min(NAMED_WITHIN)];
        let kind = calls_itself(own).or_else(|| index.named(length));
        return (kind.unwrap_or(FURTHER), from + length);
    }
    match bmff::file(bytes, from) {
        Some(to) => {
            let head = &bytes[from..to];
            let still = head
                .get(8..12)
                .is_some_and(|b| [b"heic", b"heix", b"mif1", b"avif"].iter().any(|k| b == *k));
            let kind = if still { FURTHER } else { MOTION };
            (index.named(to - from).unwrap_or(kind), to)
        }
        None => (BYTES, from + 8),
    }
}

/// The kind of picture that a JPEG says it is: names that gain and depth maps carry.
fn calls_itself(jpeg: &[u8]) -> Option<&'static str> {
    let has = |names: &[&str]| {
        names.iter().any(|n| {
            jpeg.windows(n.len())
                .any(|w| w.eq_ignore_ascii_case(n.as_bytes()))
        })
    };
    if has(&["hdrgm:", "iso:ts:21496", "hdrgainmap"]) {
        Some(GAIN)
    } else if has(&["AuxiliaryImageType", "GDepth:", "depthmap"]) {
        Some(DEPTH)
    } else {
        None
    }
}

/// Length of the JPEG that `bytes` begin with, by its markers alone.
fn picture(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xFF)?;
        let marker = *bytes.get(at + 1)?;
        at += match marker {
            0xFF => 1,
            // A stuffed byte, restart markers, markers without a length.
            0x00 | 0x01 | 0xD0..=0xD8 => 2,
            0xD9 => return Some(at + 2),
            _ => {
                let length = bytes.get(at + 2..at + 4)?;
                2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2)
            }
        };
    }
}

/// The blocks of Samsung's trailer, in order, and its directory. Each block begins with four bytes
/// of type, the length of its name (little end first) and the name; the directory at the end of the
/// file says how far before it each begins.
fn samsung(bytes: &[u8], end: usize) -> Vec<Behind> {
    blocks(bytes, end).unwrap_or_default()
}

fn blocks(bytes: &[u8], end: usize) -> Option<Vec<Behind>> {
    let number = |at: usize| {
        let b = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let mark = bytes.len().checked_sub(8)?;
    if bytes.get(mark + 4..)? != b"SEFT" {
        return None;
    }
    let directory = mark.checked_sub(number(mark)?).filter(|d| *d >= end)?;
    if bytes.get(directory..directory + 4)? != b"SEFH" {
        return None;
    }
    let mut found = Vec::new();
    for i in 0..number(directory + 8)?.min(MOST) {
        let entry = directory + 12 + 12 * i;
        let from = directory.checked_sub(number(entry + 4)?)?;
        let to = from.checked_add(number(entry + 8)?)?;
        let name = number(from + 4)?;
        let head = from.checked_add(8)?.checked_add(name)?;
        if from < end || to > directory || head > to {
            return None;
        }
        let name = &bytes[from + 8..head];
        let holds = |part: &[u8]| name.windows(part.len()).any(|w| w == part);
        if holds(b"MotionPhoto") {
            // Some phones put a head of their own before the clip.
            let clip = next(&bytes[..to.min(head + 64)], head).unwrap_or(head);
            found.push((SAMSUNG, from..clip));
            found.push((MOTION, clip..to));
        } else if holds(b"Depth") {
            found.push((DEPTH, from..to));
        } else if bytes[head..to].starts_with(&[0xFF, 0xD8]) {
            found.push((FURTHER, from..to));
        } else {
            found.push((SAMSUNG, from..to));
        }
    }
    found.push((SAMSUNG, directory..bytes.len()));
    found.sort_by_key(|(_, place)| place.start);
    let apart = found.windows(2).all(|p| p[0].1.end <= p[1].1.start);
    apart.then(|| {
        found
            .into_iter()
            .map(|(kind, place)| Behind { kind, place })
            .collect()
    })
}
