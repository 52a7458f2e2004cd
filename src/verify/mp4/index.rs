//! The index's boxes: which there may be, and what must stand in them.

use super::{Film, LeakKind, table::Table, unlisted};
use crate::verify::Findings;

/// A box inside the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inner<'a> {
    pub(super) name: [u8; 4],
    /// Place of its first byte in the index's body.
    pub(super) at: usize,
    pub(super) body: &'a [u8],
}

impl Inner<'_> {
    pub(super) fn range(&self, base: u64) -> std::ops::Range<usize> {
        let start = base as usize + self.at;
        start..start + 8 + self.body.len()
    }

    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        self.body
            .get(at..at + 2)?
            .try_into()
            .ok()
            .map(u16::from_be_bytes)
    }

    pub(super) fn u32(&self, at: usize) -> Option<u32> {
        self.body
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_be_bytes)
    }

    pub(super) fn u64(&self, at: usize) -> Option<u64> {
        self.body
            .get(at..at + 8)?
            .try_into()
            .ok()
            .map(u64::from_be_bytes)
    }

    /// Whether it begins with a version up to `most` and without flags.
    pub(super) fn version(&self, most: u8) -> bool {
        self.body.first().is_some_and(|v| *v <= most) && self.zero(1, 4)
    }

    pub(super) fn wide(&self) -> bool {
        self.body.first() == Some(&1)
    }

    pub(super) fn zero(&self, from: usize, to: usize) -> bool {
        self.body
            .get(from..to)
            .is_some_and(|b| b.iter().all(|&b| b == 0))
    }
}

/// The matrix that turns nothing.
const UPRIGHT: [u32; 9] = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000];

pub(super) struct Walk<'f> {
    pub(super) findings: &'f mut Findings,
    /// Place of the index's body in the file.
    pub(super) base: u64,
    /// Length of the file in bytes.
    pub(super) length: u64,
}

impl Walk<'_> {
    pub(super) fn boxes<'a>(&mut self, bytes: &'a [u8], at: usize) -> Vec<Inner<'a>> {
        let (mut all, mut i) = (Vec::new(), 0);
        while i < bytes.len() {
            self.findings.worked(1);
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
    pub(super) fn listed<'a>(
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
        let mut seen = Vec::new();
        for inner in &all {
            self.findings.worked(1);
            let name = std::str::from_utf8(&inner.name).unwrap_or("");
            if !needed.contains(&name) && !allowed.contains(&name) {
                unlisted(&inner.name, inner.range(self.base), self.findings);
            } else if seen.contains(&inner.name) {
                self.wrong(inner, "a box twice");
            } else {
                // At most as many as there are names on the list.
                seen.push(inner.name);
            }
        }
        self.once(&all, needed, atom.range(self.base));
        all
    }

    pub(super) fn once(
        &mut self,
        all: &[Inner<'_>],
        needed: &[&str],
        whole: std::ops::Range<usize>,
    ) {
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

    pub(super) fn wrong(&mut self, atom: &Inner<'_>, what: &str) {
        self.findings
            .add(LeakKind::Malformed, what, atom.range(self.base));
    }

    pub(super) fn comment(&mut self, atom: &Inner<'_>, what: &str) {
        self.findings
            .add(LeakKind::Comment, what, atom.range(self.base));
    }

    pub(super) fn matrix(&mut self, atom: &Inner<'_>, at: usize) {
        if !UPRIGHT
            .iter()
            .enumerate()
            .all(|(i, v)| atom.u32(at + 4 * i) == Some(*v))
        {
            self.wrong(atom, "a picture that is to be turned");
        }
    }

    /// Units a second of the film's times.
    pub(super) fn mvhd(&mut self, atom: &Inner<'_>) -> u32 {
        let times = if atom.wide() { 16 } else { 8 };
        let rest = if atom.wide() { 32 } else { 20 };
        if !atom.zero(4, 4 + times) {
            self.comment(atom, "times of making");
        }
        let plain = atom.version(1)
            && atom.u32(rest) == Some(0x10000)
            && atom.u16(rest + 4) == Some(0x100)
            && atom.zero(rest + 6, rest + 16)
            && atom.zero(rest + 52, rest + 76);
        if !plain || atom.body.len() != rest + 80 {
            self.wrong(atom, "an unusual header");
        }
        self.matrix(atom, rest + 16);
        atom.u32(4 + times).unwrap_or(1)
    }

    pub(super) fn trak(
        &mut self,
        atom: &Inner<'_>,
        film: &mut Film,
        movie: u32,
    ) -> Option<(bool, Table)> {
        let all = self.listed(atom, 0, &["tkhd", "mdia"], &["edts"]);
        let get = |all: &[Inner<'_>], name: &[u8; 4]| all.iter().position(|a| a.name == *name);
        let tkhd = all[get(&all, b"tkhd")?];
        let mdia = all[get(&all, b"mdia")?];
        let inside = self.listed(&mdia, 0, &["mdhd", "hdlr", "minf"], &[]);
        let (mdhd, hdlr, minf) = (
            inside[get(&inside, b"mdhd")?],
            inside[get(&inside, b"hdlr")?],
            inside[get(&inside, b"minf")?],
        );
        let (scale, duration) = self.mdhd(&mdhd)?;
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
        if !hdlr.zero(0, 8) || !hdlr.zero(12, hdlr.body.len()) || hdlr.body.len() != 25 {
            self.comment(&hdlr, "a handler's name");
        }
        let header = if video { "vmhd" } else { "smhd" };
        let inside = self.listed(&minf, 0, &[header, "dinf", "stbl"], &[]);
        // Version 0, and for pictures the flag 1; mode, colour and balance are 0.
        let plain: &[u8] = if video {
            &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        } else {
            &[0; 8]
        };
        for head in inside.iter().filter(|a| a.name == header.as_bytes()) {
            if head.body != plain {
                self.wrong(head, "more than a header");
            }
        }
        self.dinf(&inside[get(&inside, b"dinf")?]);
        let stbl = inside[get(&inside, b"stbl")?];
        let mut table = self.stbl(&stbl, video, film)?;
        // Muxers may leave out the end of the last sample, or count the time before the first.
        if duration.abs_diff(table.duration) > u64::from(table.longest) + table.first {
            self.wrong(&mdhd, "a duration that is not that of the samples");
        }
        self.tkhd(&tkhd, &mut table, video, film);
        let edits = get(&all, b"edts").map(|i| all[i]);
        let lasts = self.shown(edits, &table, video, (scale, movie), film);
        let most = lasts + u64::from(movie) / 10 + 1;
        if table.lasts > most || table.lasts + u64::from(movie) / 10 + 1 < lasts {
            self.wrong(&tkhd, "a duration that is not that of the samples");
        }
        Some((video, table))
    }

    /// Units a second of a track's times, and how many it says it has.
    fn mdhd(&mut self, mdhd: &Inner<'_>) -> Option<(u32, u64)> {
        let times = if mdhd.wide() { 16 } else { 8 };
        if !mdhd.zero(4, 4 + times) {
            self.comment(mdhd, "times of making");
        }
        let length = if mdhd.wide() { 36 } else { 24 };
        if mdhd.body.len() != length || !mdhd.version(1) || !mdhd.zero(length - 2, length) {
            self.wrong(mdhd, "an unusual header");
        }
        if !matches!(mdhd.u16(length - 4), Some(0x55C4 | 0)) {
            self.comment(mdhd, "a language");
        }
        let duration = if mdhd.wide() {
            mdhd.u64(8 + times)?
        } else {
            mdhd.u32(8 + times)?.into()
        };
        Some((mdhd.u32(4 + times)?.max(1), duration))
    }

    /// A track's header: number, duration, layer, volume and size as they must be.
    fn tkhd(&mut self, tkhd: &Inner<'_>, table: &mut Table, video: bool, film: &Film) {
        let (times, rest) = if tkhd.wide() { (16, 36) } else { (8, 24) };
        if !tkhd.zero(4, 4 + times) {
            self.comment(tkhd, "times of making");
        }
        table.number = tkhd.u32(4 + times).unwrap_or(0);
        table.lasts = if tkhd.wide() {
            tkhd.u64(28).unwrap_or(0)
        } else {
            tkhd.u32(20).unwrap_or(0).into()
        };
        // Enabled; in the film, its preview and its poster.
        let said = tkhd.u32(0).unwrap_or(u32::MAX);
        let enabled = matches!(said & 0xFF_FFFF, 1 | 3 | 7 | 15);
        // A further track of sound may wait to be chosen.
        let flags = said >> 25 == 0 && (enabled || !video && said & 0xFF_FFFF == 2);
        let volume: &[u16] = if video { &[0] } else { &[0x100] };
        let plain = flags
            && tkhd.zero(8 + times, 12 + times)
            && tkhd.zero(rest, rest + 10)
            && tkhd.u16(rest + 10).is_some_and(|group| group < 3)
            && tkhd.u16(rest + 12).is_some_and(|v| volume.contains(&v))
            && tkhd.zero(rest + 14, rest + 16);
        if !plain || tkhd.body.len() != rest + 60 {
            self.wrong(tkhd, "an unusual track");
        }
        self.matrix(tkhd, rest + 16);
        let size = tkhd.u32(rest + 52).zip(tkhd.u32(rest + 56));
        let (wide, high) = film.size.filter(|_| video).unwrap_or((0, 0));
        // The width may be stretched by the shape of the pixels.
        let (across, down) = table.shape;
        let stretched = u64::from(wide) * u64::from(across) * 0x10000 / u64::from(down.max(1));
        let right = size.is_some_and(|(w, h)| {
            u64::from(h) == u64::from(high) << 16
                && (u64::from(w) == u64::from(wide) << 16 || u64::from(w).abs_diff(stretched) <= 1)
        });
        if !right {
            self.wrong(tkhd, "a track of another size than its pictures");
        }
    }

    /// What the film's header says of all tracks together.
    pub(super) fn whole(&mut self, mvhd: &Inner<'_>, tables: &[Table]) {
        let rest = if mvhd.wide() { 32 } else { 20 };
        let lasts = if mvhd.wide() {
            mvhd.u64(24).unwrap_or(0)
        } else {
            mvhd.u32(16).unwrap_or(0).into()
        };
        let longest = tables.iter().map(|t| t.lasts).max().unwrap_or(0);
        let numbers: Vec<u32> = tables.iter().map(|t| t.number).collect();
        let most = numbers.iter().copied().max().unwrap_or(0);
        let rising = numbers.windows(2).all(|w| w[0] < w[1]);
        let right = lasts.abs_diff(longest) <= 1
            && rising
            && numbers.first().is_some_and(|n| *n > 0)
            // Tracks may have been taken away, but few.
            && most as usize <= numbers.len() + 4
            && mvhd.u32(rest + 76) == Some(most + 1);
        if !right {
            self.wrong(mvhd, "numbers that are not those of the tracks");
        }
    }

    pub(super) fn dinf(&mut self, dinf: &Inner<'_>) {
        let inside = self.listed(dinf, 0, &["dref"], &[]);
        // One entry: the data is in this file.
        let own = inside
            .first()
            .is_some_and(|d| d.body == *b"\0\0\0\0\0\0\0\x01\0\0\0\x0Curl \0\0\0\x01");
        if !own {
            self.wrong(dinf, "data in another file");
        }
    }

    /// The edit list; gives how long the track lasts by it, in units of the film: no picture is hidden, of the sound only what the coder needs to begin.
    pub(super) fn shown(
        &mut self,
        edts: Option<Inner<'_>>,
        table: &Table,
        video: bool,
        (scale, movie): (u32, u32),
        film: &mut Film,
    ) -> u64 {
        let (mut wait, mut from, mut lasts) = (0u64, 0u64, None);
        if let Some(edts) = edts {
            let inside = self.listed(&edts, 0, &["elst"], &[]);
            let Some(elst) = inside.first() else { return 0 };
            let step = if elst.wide() { 20 } else { 12 };
            let count = elst.u32(4).unwrap_or(0) as usize;
            if elst.body.len() != 8 + count * step || count > 2 || !elst.version(1) {
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
                match (media == -1, i + 1 == count) {
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
            from > table.first || from != 0 && from != table.first
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
        let ends = |d: u64| u128::from(d + slack) * u128::from(scale) / u128::from(movie);
        let last = table
            .times
            .iter()
            .max()
            .map_or(0, |t| t.saturating_sub(from));
        let late = |d: u64| video && ends(d) < u128::from(last);
        // Some muxers count what lies before the beginning, or the last frame as long as it is shown.
        let scaled = |t: u64| (u128::from(t) * u128::from(movie) / u128::from(scale)) as u64;
        let most = whole + scaled(from) + scaled(table.longest.into()) + slack;
        let cut = lasts.is_some_and(|d| d > 0 && (d + slack < whole || late(d)) || d > most);
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
            // Durations count from the first time of decoding; the edit says how long frames are shown.
            let shown = lasts
                .filter(|d| *d > 0)
                .map(|d| start + d as f64 / f64::from(movie));
            film.end = shown.unwrap_or_else(|| second(table.duration));
        }
        wait.saturating_add(lasts.filter(|d| *d > 0).unwrap_or(whole))
    }
}

/// Samples of sound that a coder may need before the sound begins.
const MOST_PRIMING: u64 = 4096;
