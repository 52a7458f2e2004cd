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
}

impl Walk<'_> {
    pub(super) fn boxes<'a>(&mut self, bytes: &'a [u8], at: usize) -> Vec<Inner<'a>> {
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

    pub(super) fn trak(
        &mut self,
        atom: &Inner<'_>,
        film: &mut Film,
        movie: u32,
    ) -> Option<(bool, Table)> {
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
        let table = self.stbl(&stbl, video, film)?;
        let edits = get(&all, b"edts").map(|i| all[i]);
        self.shown(edits, &table, video, (scale, movie), film);
        Some((video, table))
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

    /// The edit list: no picture is hidden, of the sound only what the coder needs to begin.
    pub(super) fn shown(
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
        let ends = |d: u64| u128::from(d + slack) * u128::from(scale) / u128::from(movie);
        let last = table
            .times
            .iter()
            .max()
            .map_or(0, |t| t.saturating_sub(from));
        let late = |d: u64| video && ends(d) < u128::from(last);
        let cut = lasts.is_some_and(|d| d > 0 && (d + slack < whole || late(d)));
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
    }
}

/// Samples of sound that a coder may need before the sound begins.
const MOST_PRIMING: u64 = 4096;
