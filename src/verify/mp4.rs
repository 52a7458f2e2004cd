//! MP4: `ftyp`, `moov`, `mdat`, and in them only what a player needs to show one track of pictures
//! and play tracks of sound. Times are 0, names empty, every byte of `mdat` belongs to a sample, no
//! sample is hidden, no unit of a sample is supplemental data.

mod parameters;
mod table;
mod units;

use std::io::{Read, Seek, SeekFrom};

use super::{Findings, LeakKind};
use table::Table;
use units::Units;

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
    let name = head[4..].try_into().ok()?;
    let (size, header) = if small == 1 {
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

pub(super) fn range(from: u64, to: u64) -> std::ops::Range<usize> {
    from as usize..to as usize
}

pub(super) fn inspect(file: &mut dyn SourceObject, length: u64, findings: &mut Findings) -> Film {
    let (mut moov, mut data, mut at) = (None, Vec::new(), 0);
    while at < length {
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
            b"mdat" => data.push(p),
            // Muxers leave room for a longer length of mdat.
            b"free" | b"wide" if p.end - p.start == 8 => {}
            name => unlisted(name, range(p.start, p.end), findings),
        }
        at = p.end;
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
    };
    let atoms = walk.boxes(&bytes, 0);
    walk.once(&atoms, &["mvhd"], range(moov.start, moov.end));
    let (mut movie, mut pictures) = (1, 0);
    for atom in &atoms {
        match &atom.name {
            b"mvhd" => movie = walk.mvhd(atom).max(1),
            b"trak" => {
                if let Some((video, table)) = walk.trak(atom, &mut film, movie) {
                    pictures += u32::from(video);
                    film.sound += usize::from(!video);
                    samples.push(table);
                }
            }
            name => unlisted(name, atom.range(moov.body), walk.findings),
        }
    }
    if pictures != 1 {
        findings.add(
            LeakKind::SecondPicture,
            format!("{pictures} tracks of pictures"),
            range(moov.start, moov.end),
        );
    }
    tiles(&samples, &data, findings);
    for table in &samples {
        table.units.check(file, &table.samples, findings);
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
    let right = p.end - p.body <= 64
        && body.len().is_multiple_of(4)
        && body.get(..4).is_some_and(known)
        && body.get(8..).is_some_and(|rest| rest.chunks(4).all(known));
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

/// A box inside the index.
#[derive(Debug, Clone, Copy)]
struct Inner<'a> {
    name: [u8; 4],
    /// Place of its first byte in the index's body.
    at: usize,
    body: &'a [u8],
}

impl Inner<'_> {
    fn range(&self, base: u64) -> std::ops::Range<usize> {
        let start = base as usize + self.at;
        start..start + 8 + self.body.len()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.body
            .get(at..at + 2)?
            .try_into()
            .ok()
            .map(u16::from_be_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.body
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.body
            .get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_be_bytes)
    }

    fn wide(&self) -> bool {
        self.body.first() == Some(&1)
    }

    fn zero(&self, from: usize, to: usize) -> bool {
        self.body
            .get(from..to)
            .is_some_and(|b| b.iter().all(|&b| b == 0))
    }
}

/// The matrix that turns nothing.
const UPRIGHT: [u32; 9] = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000];

struct Walk<'f> {
    findings: &'f mut Findings,
    /// Place of the index's body in the file.
    base: u64,
}

impl Walk<'_> {
    fn boxes<'a>(&mut self, bytes: &'a [u8], at: usize) -> Vec<Inner<'a>> {
        let (mut all, mut i) = (Vec::new(), 0);
        while i < bytes.len() {
            let size = bytes
                .get(i..i + 8)
                .map(|h| u32::from_be_bytes([h[0], h[1], h[2], h[3]]) as usize);
            let end = size
                .and_then(|s| (s >= 8).then(|| i.checked_add(s)).flatten())
                .filter(|&e| e <= bytes.len());
            let Some(end) = end else {
                let start = self.base as usize + at;
                self.findings.add(
                    LeakKind::Malformed,
                    "bytes that are no box",
                    start + i..start + bytes.len(),
                );
                break;
            };
            all.push(Inner {
                name: [bytes[i + 4], bytes[i + 5], bytes[i + 6], bytes[i + 7]],
                at: at + i,
                body: &bytes[i + 8..end],
            });
            i = end;
        }
        all
    }

    /// The boxes of `atom`, all of them on the list, each once; the findings name others.
    fn listed<'a>(
        &mut self,
        atom: &Inner<'a>,
        skip: usize,
        needed: &[&str],
        allowed: &[&str],
    ) -> Vec<Inner<'a>> {
        let Some(body) = atom.body.get(skip..) else {
            return Vec::new();
        };
        let all = self.boxes(body, atom.at + 8 + skip);
        for inner in &all {
            let name = std::str::from_utf8(&inner.name).unwrap_or("");
            if !needed.contains(&name) && !allowed.contains(&name) {
                unlisted(&inner.name, inner.range(self.base), self.findings);
            } else if all.iter().filter(|o| o.name == inner.name).count() > 1 {
                self.wrong(inner, "a box twice");
            }
        }
        self.once(&all, needed, atom.range(self.base));
        all
    }

    fn once(&mut self, all: &[Inner<'_>], needed: &[&str], whole: std::ops::Range<usize>) {
        for name in needed {
            if all.iter().filter(|a| a.name == name.as_bytes()).count() != 1 {
                self.findings.add(
                    LeakKind::Malformed,
                    format!("not one box '{name}'"),
                    whole.clone(),
                );
            }
        }
    }

    fn wrong(&mut self, atom: &Inner<'_>, what: &str) {
        self.findings
            .add(LeakKind::Malformed, what, atom.range(self.base));
    }

    fn comment(&mut self, atom: &Inner<'_>, what: &str) {
        self.findings
            .add(LeakKind::Comment, what, atom.range(self.base));
    }

    fn matrix(&mut self, atom: &Inner<'_>, at: usize) {
        if !UPRIGHT
            .iter()
            .enumerate()
            .all(|(i, v)| atom.u32(at + 4 * i) == Some(*v))
        {
            self.wrong(atom, "a picture that is to be turned");
        }
    }

    /// Units a second of the film's times.
    fn mvhd(&mut self, atom: &Inner<'_>) -> u32 {
        let times = if atom.wide() { 16 } else { 8 };
        let rest = if atom.wide() { 32 } else { 20 };
        if !atom.zero(4, 4 + times) {
            self.comment(atom, "times of making");
        }
        let plain = atom.u32(rest) == Some(0x10000)
            && atom.u16(rest + 4) == Some(0x100)
            && atom.zero(rest + 6, rest + 16)
            && atom.zero(rest + 52, rest + 76);
        if !plain || atom.body.len() != rest + 80 {
            self.wrong(atom, "an unusual header");
        }
        self.matrix(atom, rest + 16);
        atom.u32(4 + times).unwrap_or(1)
    }

    fn trak(&mut self, atom: &Inner<'_>, film: &mut Film, movie: u32) -> Option<(bool, Table)> {
        let all = self.listed(atom, 0, &["tkhd", "mdia"], &["edts"]);
        let get = |all: &[Inner<'_>], name: &[u8; 4]| all.iter().position(|a| a.name == *name);
        let tkhd = all[get(&all, b"tkhd")?];
        let (times, rest) = if tkhd.wide() { (16, 36) } else { (8, 24) };
        if !tkhd.zero(4, 4 + times) {
            self.comment(&tkhd, "times of making");
        }
        if !tkhd.zero(rest, rest + 8) || tkhd.body.len() != rest + 60 {
            self.wrong(&tkhd, "an unusual track");
        }
        self.matrix(&tkhd, rest + 16);
        let mdia = all[get(&all, b"mdia")?];
        let inside = self.listed(&mdia, 0, &["mdhd", "hdlr", "minf"], &[]);
        let (mdhd, hdlr, minf) = (
            inside[get(&inside, b"mdhd")?],
            inside[get(&inside, b"hdlr")?],
            inside[get(&inside, b"minf")?],
        );
        let times = if mdhd.wide() { 16 } else { 8 };
        if !mdhd.zero(4, 4 + times) {
            self.comment(&mdhd, "times of making");
        }
        let scale = mdhd.u32(4 + times)?.max(1);
        if mdhd.body.len() != if mdhd.wide() { 36 } else { 24 }
            || !matches!(mdhd.u16(mdhd.body.len() - 4), Some(0x55C4 | 0))
        {
            self.comment(&mdhd, "a language");
        }
        let video = match hdlr.body.get(8..12)? {
            b"vide" => true,
            b"soun" => false,
            _ => {
                self.findings.add(
                    LeakKind::Unknown,
                    "a track that is neither picture nor sound",
                    atom.range(self.base),
                );
                return None;
            }
        };
        if !hdlr.zero(0, 8) || !hdlr.zero(12, hdlr.body.len()) || hdlr.body.len() > 25 {
            self.comment(&hdlr, "a handler's name");
        }
        let header = if video { "vmhd" } else { "smhd" };
        let inside = self.listed(&minf, 0, &[header, "dinf", "stbl"], &[]);
        self.dinf(&inside[get(&inside, b"dinf")?]);
        let stbl = inside[get(&inside, b"stbl")?];
        let table = self.stbl(&stbl, video, film)?;
        let edits = get(&all, b"edts").map(|i| all[i]);
        self.shown(edits, &table, video, (scale, movie), film);
        Some((video, table))
    }

    fn dinf(&mut self, dinf: &Inner<'_>) {
        let inside = self.listed(dinf, 0, &["dref"], &[]);
        // One entry: the data is in this file.
        let own = inside
            .first()
            .is_some_and(|d| d.body == *b"\0\0\0\0\0\0\0\x01\0\0\0\x0Curl \0\0\0\x01");
        if !own {
            self.wrong(dinf, "data in another file");
        }
    }

    /// The edit list: no picture is hidden, of the sound only what the coder needs to begin.
    fn shown(
        &mut self,
        edts: Option<Inner<'_>>,
        table: &Table,
        video: bool,
        (scale, movie): (u32, u32),
        film: &mut Film,
    ) {
        let (mut wait, mut from, mut lasts) = (0u64, 0u64, None);
        if let Some(edts) = edts {
            let inside = self.listed(&edts, 0, &["elst"], &[]);
            let Some(elst) = inside.first() else { return };
            let step = if elst.wide() { 20 } else { 12 };
            let count = elst.u32(4).unwrap_or(0) as usize;
            if elst.body.len() != 8 + count * step {
                self.wrong(elst, "an unusual list of edits");
            }
            for i in 0..count.min(3) {
                let at = 8 + i * step;
                let (duration, media) = if elst.wide() {
                    (
                        elst.u64(at).unwrap_or(0),
                        elst.u64(at + 8).unwrap_or(0) as i64,
                    )
                } else {
                    (
                        elst.u32(at).unwrap_or(0).into(),
                        i64::from(elst.u32(at + 4).unwrap_or(0) as i32),
                    )
                };
                if elst.u32(at + step - 4) != Some(0x10000) {
                    self.wrong(elst, "an edit that changes the speed");
                }
                match (media < 0, i + 1 == count) {
                    (true, false) if i == 0 => wait = duration,
                    (false, true) => (from, lasts) = (media as u64, Some(duration)),
                    _ => self.findings.add(
                        LeakKind::HiddenPixels,
                        "several edits",
                        elst.range(self.base),
                    ),
                }
            }
        }
        let hidden = if video {
            from > table.first
        } else {
            from > MOST_PRIMING
        };
        // Rounding of the film's units; the last block of sound is longer than the sound.
        let slack = if video {
            u64::from(movie / 1000 + 1)
        } else {
            u64::from(movie) * MOST_PRIMING / u64::from(scale)
        };
        let whole = (table.duration.saturating_sub(from) as u128 * u128::from(movie)
            / u128::from(scale)) as u64;
        let cut = lasts.is_some_and(|d| d > 0 && d + slack < whole);
        if (hidden || cut)
            && let Some(edts) = edts
        {
            self.findings.add(
                LeakKind::HiddenPixels,
                "samples that are not shown",
                edts.range(self.base),
            );
        }
        if video {
            let start = wait as f64 / f64::from(movie);
            let second = |t: u64| start + (t as f64 - from as f64) / f64::from(scale);
            film.times = table.times.iter().map(|&t| second(t)).collect();
            film.times.sort_by(f64::total_cmp);
            film.end = second(table.duration);
        }
    }
}

/// Samples of sound that a coder may need before the sound begins.
const MOST_PRIMING: u64 = 4096;
