//! MP4: `ftyp`, `moov`, `mdat`, and in them only what a player needs to show one track of pictures
//! and play tracks of sound. Times are 0, names empty, every byte of `mdat` belongs to a sample, no
//! sample is hidden, no unit of a sample is supplemental data. What stands in a slice's or a tile's
//! compressed data is not looked into, nor what stands in a packet of sound.

mod config;
mod index;
mod parameters;
mod table;
mod units;

use std::io::{Read, Seek, SeekFrom};

use super::{Findings, LeakKind};
use index::{Inner, Walk};
use table::Table;
use units::{Kind, Units};

/// What was read of a video.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Film {
    /// Width and height of its pictures in pixels.
    pub size: Option<(u32, u32)>,
    /// When each picture is shown, in seconds, in order.
    pub times: Vec<f64>,
    /// When the last one ends, in seconds.
    pub end: f64,
    /// Tracks of sound.
    pub sound: usize,
}

/// Of pictures, what follows the last coded block of a slice or tile shows only when it is decoded.
pub(super) const CODED: &str = "coded pictures (slices and tiles)";
/// Of sound, what a packet holds besides sound shows only when it is decoded.
pub(super) const SOUND: &str = "coded sound (packets)";

/// Largest index that is read, in bytes.
const MOST: u64 = 256 << 20;

/// A file to be read at places.
pub(super) trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// Where a box lies: its name, its first byte, its body.
#[derive(Debug, Clone, Copy)]
struct Place {
    name: [u8; 4],
    start: u64,
    body: u64,
    end: u64,
}

pub(super) fn bytes_at(file: &mut dyn SourceObject, at: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.at(at, &mut bytes).then_some(bytes)
}

/// [`Source`] as an object.
pub(super) trait SourceObject {
    /// Fills `into` from a place; `false` if there is not that much.
    fn at(&mut self, place: u64, into: &mut [u8]) -> bool;
}

impl<T: Source> SourceObject for T {
    fn at(&mut self, place: u64, into: &mut [u8]) -> bool {
        self.seek(SeekFrom::Start(place)).is_ok() && self.read_exact(into).is_ok()
    }
}

fn place(file: &mut dyn SourceObject, at: u64, limit: u64) -> Option<Place> {
    let head = bytes_at(file, at, 8)?;
    let small = u64::from(u32::from_be_bytes(head[..4].try_into().ok()?));
    let name: [u8; 4] = head[4..].try_into().ok()?;
    // Only the data may need a length of 8 bytes.
    let (size, header) = if small == 1 && name == *b"mdat" {
        (
            u64::from_be_bytes(bytes_at(file, at + 8, 8)?.try_into().ok()?),
            16,
        )
    } else {
        (small, 8)
    };
    let end = at.checked_add(size)?;
    (size >= header && end <= limit).then_some(Place {
        name,
        start: at,
        body: at + header,
        end,
    })
}

pub(super) use config::{av1c, colours, opus, rate};

pub(super) fn range(from: u64, to: u64) -> std::ops::Range<usize> {
    from as usize..to as usize
}

pub(super) fn inspect(file: &mut dyn SourceObject, length: u64, findings: &mut Findings) -> Film {
    let (mut moov, mut data, mut at) = (None, Vec::new(), 0);
    let mut room = None;
    while at < length {
        findings.worked(1);
        let Some(p) = place(file, at, length) else {
            findings.add(
                LeakKind::Trailing,
                "bytes that are no box",
                range(at, length),
            );
            break;
        };
        match &p.name {
            b"ftyp" if at == 0 => brands(file, &p, findings),
            b"moov" if moov.is_none() && p.end - p.body <= MOST => moov = Some(p),
            b"mdat" if data.is_empty() => data.push(p),
            // Muxers leave room for a longer length of mdat.
            b"free" | b"wide" if p.end - p.start == 8 && room.is_none() => room = Some(p),
            name => unlisted(name, range(p.start, p.end), findings),
        }
        at = p.end;
    }
    if let Some(room) = room
        && !data.iter().any(|p| p.start == room.end)
    {
        unlisted(&room.name, range(room.start, room.end), findings);
    }
    let mut film = Film::default();
    let Some(moov) = moov else {
        findings.add(LeakKind::Malformed, "no index", range(0, length));
        return film;
    };
    let Some(bytes) = bytes_at(file, moov.body, (moov.end - moov.body) as usize) else {
        findings.add(
            LeakKind::Malformed,
            "an index that can't be read",
            range(moov.start, moov.end),
        );
        return film;
    };
    let mut samples = Vec::new();
    let mut walk = Walk {
        findings,
        base: moov.body,
        length,
    };
    let atoms = walk.boxes(&bytes, 0);
    walk.once(&atoms, &["mvhd"], range(moov.start, moov.end));
    let (mut movie, mut pictures) = (1, 0);
    for atom in &atoms {
        match &atom.name {
            b"mvhd" if movie == 1 => movie = walk.mvhd(atom).max(1),
            b"trak" => {
                if let Some((video, table)) = walk.trak(atom, &mut film, movie) {
                    walk.findings.unchecked(if video { CODED } else { SOUND });
                    pictures += u32::from(video);
                    film.sound += usize::from(!video);
                    samples.push(table);
                }
            }
            name => unlisted(name, atom.range(moov.body), walk.findings),
        }
    }
    if let Some(header) = atoms.iter().find(|a| &a.name == b"mvhd") {
        walk.whole(header, &samples);
    }
    if pictures != 1 {
        findings.add(
            LeakKind::SecondPicture,
            format!("{pictures} tracks of pictures"),
            range(moov.start, moov.end),
        );
    }
    let leaks = findings.leaks.len();
    tiles(&samples, &data, findings);
    // Samples that overlap or lie outside the data are not read: that could take long.
    if findings.leaks.len() == leaks {
        for table in &samples {
            table.units.check(file, table, findings);
        }
    }
    film
}

fn brands(file: &mut dyn SourceObject, p: &Place, findings: &mut Findings) {
    const KNOWN: [&[u8; 4]; 9] = [
        b"isom", b"iso2", b"avc1", b"mp41", b"iso4", b"iso5", b"iso6", b"av01", b"hvc1",
    ];
    let length = (p.end - p.body).min(64) as usize;
    let body = bytes_at(file, p.body, length).unwrap_or_default();
    let known = |b: &[u8]| KNOWN.iter().any(|k| *k == b);
    let compatible: Vec<&[u8]> = body.get(8..).unwrap_or_default().chunks(4).collect();
    let once = |i: usize| !compatible[..i].contains(&compatible[i]);
    // The minor versions that muxers write.
    let minor = matches!(body.get(4..8), Some([0, 0, 0, 0 | 1] | [0, 0, 2, 0]));
    let right = p.end - p.body <= 64
        && minor
        && body.get(..4).is_some_and(known)
        && (0..compatible.len()).all(|i| known(compatible[i]) && once(i));
    if !right {
        findings.add(
            LeakKind::Unknown,
            "brands that are not the usual ones",
            range(p.start, p.end),
        );
    }
}

pub(super) fn unlisted(name: &[u8; 4], whole: std::ops::Range<usize>, findings: &mut Findings) {
    let (kind, what) = match name {
        b"udta" => (LeakKind::Comment, "user data".to_owned()),
        b"meta" => (LeakKind::Comment, "metadata".into()),
        b"uuid" => (LeakKind::Unknown, "private data".into()),
        b"free" | b"skip" | b"wide" => (LeakKind::Slack, "unused room".into()),
        b"moof" | b"mfra" | b"sidx" => (LeakKind::Unknown, "fragments".into()),
        _ => (LeakKind::Unknown, format!("box '{}'", name.escape_ascii())),
    };
    findings.add(kind, what, whole);
}

/// Every byte of the data belongs to exactly one sample.
fn tiles(tables: &[Table], data: &[Place], findings: &mut Findings) {
    let mut parts: Vec<(u64, u64)> = tables
        .iter()
        .flat_map(|t| t.chunks.iter().copied())
        .collect();
    parts.sort_unstable();
    let mut parts = parts.into_iter().peekable();
    for p in data {
        let mut at = p.body;
        while let Some(&(from, to)) = parts.peek() {
            if from >= p.end {
                break;
            }
            parts.next();
            if from > at {
                findings.add(
                    LeakKind::Between,
                    "data that no sample uses",
                    range(at, from),
                );
            } else if from < at {
                findings.add(
                    LeakKind::Malformed,
                    "samples that share data",
                    range(from, at),
                );
            }
            at = at.max(to);
        }
        if at < p.end {
            findings.add(
                LeakKind::Between,
                "data that no sample uses",
                range(at, p.end),
            );
        } else if at > p.end {
            findings.add(
                LeakKind::Malformed,
                "samples beyond the data",
                range(p.end, at),
            );
        }
    }
    if let Some((from, to)) = parts.next() {
        findings.add(
            LeakKind::Malformed,
            "samples outside the data",
            range(from, to),
        );
    }
}
