//! The structure of JPEG files: every segment, and every bit of every scan, without pixels.
//!
//! Two rooms need it. `decode` must know whether a picture is complete: decoders fill what is
//! missing with grey and say nothing. `verify` must know that nothing but pixels is in a file,
//! also not between the last block and the end marker. It shares nothing with the decoder and
//! the encoder, whose mistakes it is there to notice.
//!
//! Source: ITU-T T.81 (1992), sections B (segments), F and G (sequential and progressive scans).

mod bits;
mod plain;
mod samples;
mod scan;

pub use plain::{plain, rebuilt};
pub use samples::{Plane, samples};

use std::ops::Range;

/// One marker and what belongs to it, by byte offsets in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The byte after `FF`.
    pub marker: u8,
    /// From `FF` to the end of the payload.
    pub whole: Range<usize>,
    /// Behind the length field; empty for markers that stand alone.
    pub payload: Range<usize>,
    /// The coded blocks after a scan header, up to the next marker that is not part of them; empty for other segments.
    pub data: Range<usize>,
}

/// What is odd in a file: harmless to the pixels or not, none of it is in a clean file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// Bytes between two segments that belong to none.
    Between(Range<usize>),
    /// `FF` bytes before a marker, which readers skip.
    Fill(Range<usize>),
    /// Bytes behind the last block of a scan or of a restart interval.
    Slack(Range<usize>),
    /// The bits that fill the last byte of a scan are not all 1.
    Padding(usize),
    /// A table that no scan uses; offset of its segment.
    UnusedTable(usize),
    /// A table was defined again; offset of its segment.
    RedefinedTable(usize),
    /// Something that is coded in a way that no encoder needs and that could say anything: where, and what.
    /// Only from [`audit`].
    Loose(usize, &'static str),
    /// Bytes in a segment behind what it needs.
    Spare(Range<usize>),
    /// A marker without a meaning where it stands, such as a restart marker after the last interval.
    StrayMarker(Range<usize>),
    /// The file ends without an end marker, with all blocks there.
    NoEnd,
    /// Huffman tables are not defined in the file: the typical ones of T.81, Annex K, are meant, as in Motion JPEG.
    TypicalTables,
}

/// One colour component, as the frame header declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Its identifier.
    pub id: u8,
    /// Samples across, relative to the other components.
    pub h: u8,
    /// Samples down.
    pub v: u8,
    /// Its quantisation table.
    pub table: u8,
}

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Marker byte, `C0` for baseline.
    pub sof: u8,
    /// Bits a sample.
    pub precision: u8,
    /// In pixels.
    pub width: u16,
    /// In pixels.
    pub height: u16,
    /// One to four.
    pub components: Vec<Component>,
}

impl Header {
    /// Whether the coefficients come in several scans of growing precision.
    #[must_use]
    pub const fn progressive(&self) -> bool {
        self.sof == 0xC2
    }

    /// Whether the first component is sampled finest, each by a power of two, as cameras and most programs do it.
    #[must_use]
    pub fn usual_sampling(&self) -> bool {
        let Some((first, others)) = self.components.split_first() else {
            return false;
        };
        let powers = self.components.iter().all(|c| c.h != 3 && c.v != 3);
        let finer = others.iter().any(|c| c.h > first.h || c.v > first.v);
        let between = first.v == 4 && others.iter().any(|c| c.v == 2);
        powers && !finer && !between
    }
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// All segments in order, SOI and EOI included.
    pub segments: Vec<Segment>,
    /// The frame header.
    pub header: Header,
    /// Number of scans.
    pub scans: usize,
    /// For each scan, its number of MCUs, between which restart markers may stand.
    pub units: Vec<u32>,
    /// Whether it is coded in a way that cameras and most programs never use, and that decoders therefore get wrong.
    pub unusual: bool,
    /// What is odd.
    pub oddities: Vec<Oddity>,
    /// Where the picture ends, behind EOI.
    pub end: usize,
    /// The first thing that makes pixels wrong or missing, if anything does.
    pub damage: Option<String>,
}

/// Why a file is no JPEG that can be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotJpeg(pub &'static str);

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DNL: u8 = 0xDC;
const DRI: u8 = 0xDD;
const DHT: u8 = 0xC4;
const TEM: u8 = 0x01;

/// Most scans that are followed. Encoders write about ten; each costs a pass over the picture.
pub const MAX_SCANS: usize = 100;
/// Most oddities that are kept: a hostile file can have millions.
const MAX_ODDITIES: usize = 64;

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    segments: Vec<Segment>,
    oddities: Vec<Oddity>,
    damage: Option<String>,
    header: Option<Header>,
    state: Option<scan::State>,
    tables: scan::Tables,
    quantisation: [Option<Quantisation>; 4],
    restart_interval: u32,
    scans: usize,
    unusual: bool,
    units: Vec<u32>,
    /// Whether samples are kept.
    keep: bool,
    /// Whether [`Oddity::Loose`] is wanted.
    strict: bool,
}

#[derive(Clone, Copy)]
struct Quantisation {
    defined_at: usize,
    used: bool,
    /// In zigzag order.
    steps: [u16; 64],
}

/// Reads the structure of a JPEG file.
///
/// # Errors
/// When there is no frame header, or one of a process that is not followed (arithmetic coding,
/// lossless, hierarchical). Anything else that is wrong is said in [`Structure::damage`].
pub fn walk(bytes: &[u8]) -> Result<Structure, NotJpeg> {
    let mut walker = Walker::new(bytes);
    walker.run()?;
    walker.finish()
}

/// As [`walk`], a little slower: also names what is coded in ways that no encoder needs ([`Oddity::Loose`]).
///
/// # Errors
/// As [`walk`].
pub fn audit(bytes: &[u8]) -> Result<Structure, NotJpeg> {
    let mut walker = Walker::new(bytes);
    walker.strict = true;
    walker.run()?;
    walker.finish()
}

impl<'a> Walker<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            segments: Vec::new(),
            oddities: Vec::new(),
            damage: None,
            header: None,
            state: None,
            tables: scan::Tables::default(),
            quantisation: [None; 4],
            restart_interval: 0,
            scans: 0,
            unusual: false,
            units: Vec::new(),
            keep: false,
            strict: false,
        }
    }

    fn run(&mut self) -> Result<(), NotJpeg> {
        if !self.bytes.starts_with(&[0xFF, SOI]) {
            return Err(NotJpeg("no JPEG signature"));
        }
        self.segments.push(Segment {
            marker: SOI,
            whole: 0..2,
            payload: 2..2,
            data: 2..2,
        });
        self.at = 2;
        while self.segment()? {}
        Ok(())
    }

    fn odd(&mut self, oddity: Oddity) {
        // What decoders have to know is never left out.
        let needed = matches!(oddity, Oddity::NoEnd | Oddity::TypicalTables);
        if needed || self.oddities.len() < MAX_ODDITIES {
            self.oddities.push(oddity);
        }
    }

    fn damaged(&mut self, what: impl Into<String>) {
        if self.damage.is_none() {
            self.damage = Some(what.into());
        }
    }

    /// Finds the next marker; `None` at the end of the file.
    fn marker(&mut self) -> Option<(usize, u8)> {
        let rest = &self.bytes[self.at..];
        let mut skip = 0;
        // A marker is FF and a byte that is neither 00 (a stuffed FF) nor FF (filling).
        let found = loop {
            let ff = skip + rest[skip..].iter().position(|&b| b == 0xFF)?;
            match rest.get(ff + 1) {
                None => return None,
                Some(0x00) => skip = ff + 2,
                Some(0xFF) => skip = ff + 1,
                Some(&marker) => break (ff, marker),
            }
        };
        let (ff, marker) = found;
        let gap = self.at..self.at + ff;
        if !gap.is_empty() {
            if self.bytes[gap.clone()].iter().all(|&b| b == 0xFF) {
                self.odd(Oddity::Fill(gap));
            } else {
                self.odd(Oddity::Between(gap));
            }
        }
        Some((self.at + ff, marker))
    }

    /// Reads one segment; `false` when the picture has ended.
    fn segment(&mut self) -> Result<bool, NotJpeg> {
        let Some((start, marker)) = self.marker() else {
            self.ends_early(self.at, "it is cut off: there is no end marker");
            return Ok(false);
        };
        let alone = matches!(marker, SOI | EOI | TEM | 0xD0..=0xD7);
        let payload = if alone {
            start + 2..start + 2
        } else {
            let length = self
                .bytes
                .get(start + 2..start + 4)
                .map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])));
            match length {
                Some(length) if length >= 2 && start + 2 + length <= self.bytes.len() => {
                    start + 4..start + 2 + length
                }
                _ => {
                    self.ends_early(start, "a segment reaches beyond the end of the file");
                    return Ok(false);
                }
            }
        };
        self.at = payload.end;
        self.segments.push(Segment {
            marker,
            whole: start..payload.end,
            data: payload.end..payload.end,
            payload: payload.clone(),
        });
        match marker {
            EOI => return Ok(false),
            SOI => self.damaged("a second picture begins inside the first"),
            // Every block of the scans so far was followed, so that nothing hangs on it. Lightroom writes one after
            // the last restart interval.
            0xD0..=0xD7 | TEM => self.odd(Oddity::StrayMarker(start..self.at)),
            0xC0..=0xC2 => self.frame(marker, payload)?,
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(NotJpeg(
                    "a kind of JPEG (lossless, hierarchical or arithmetic) that is not supported",
                ));
            }
            DHT => self.huffman(payload),
            DQT => self.quantise(payload),
            DRI => self.restart(payload),
            DNL => self.damaged("its height is declared after the picture"),
            SOS => return self.scan(payload),
            _ => {}
        }
        Ok(true)
    }

    /// The file ends without an end marker, `rest` being the first byte that belongs to no segment: damage, unless every
    /// block of the picture came.
    fn ends_early(&mut self, rest: usize, damage: &str) {
        let whole = self
            .header
            .as_ref()
            .zip(self.state.as_ref())
            .is_some_and(|(header, state)| state.missing(header).is_none());
        self.at = self.bytes.len();
        if !whole || self.damage.is_some() {
            self.damaged(damage);
            return;
        }
        self.odd(Oddity::NoEnd);
        if rest < self.at {
            self.odd(Oddity::Between(rest..self.at));
        }
    }

    fn frame(&mut self, sof: u8, payload: Range<usize>) -> Result<(), NotJpeg> {
        if self.header.is_some() {
            self.damaged("there are two frame headers");
            return Ok(());
        }
        let b = &self.bytes[payload.clone()];
        let broken = NotJpeg("a broken frame header");
        let (fixed, rest) = b.split_at_checked(6).ok_or(broken.clone())?;
        let count = usize::from(fixed[5]);
        if !(1..=4).contains(&count) || rest.len() < 3 * count {
            return Err(broken);
        }
        let components: Vec<_> = rest
            .chunks_exact(3)
            .take(count)
            .map(|c| Component {
                id: c[0],
                h: c[1] >> 4,
                v: c[1] & 15,
                table: c[2],
            })
            .collect();
        if components
            .iter()
            .any(|c| !(1..=4).contains(&c.h) || !(1..=4).contains(&c.v) || c.table > 3)
        {
            return Err(broken);
        }
        if rest.len() > 3 * count {
            self.odd(Oddity::Spare(payload.start + 6 + 3 * count..payload.end));
        }
        let word = |i: usize| u16::from_be_bytes([fixed[i], fixed[i + 1]]);
        let header = Header {
            sof,
            precision: fixed[0],
            height: word(1),
            width: word(3),
            components,
        };
        if header.width == 0 {
            return Err(NotJpeg("a picture without any width"));
        }
        if header.height == 0 {
            return Err(NotJpeg(
                "a height that is declared only after the picture (DNL), which is not supported",
            ));
        }
        if header.precision != 8 {
            return Err(NotJpeg("more than 8 bits a sample, which is not supported"));
        }
        self.header = Some(header);
        Ok(())
    }

    fn huffman(&mut self, payload: Range<usize>) {
        let offset = payload.start - 4;
        match self.tables.define(&self.bytes[payload], offset) {
            Ok(odd) => odd.into_iter().for_each(|oddity| self.odd(oddity)),
            Err(why) => self.damaged(why),
        }
    }

    fn quantise(&mut self, payload: Range<usize>) {
        let offset = payload.start - 4;
        let mut rest = &self.bytes[payload];
        while let Some((&head, tail)) = rest.split_first() {
            let len = if head >> 4 == 0 { 64 } else { 128 };
            let slot = usize::from(head & 15);
            if slot > 3 || head >> 4 > 1 || tail.len() < len {
                self.damaged("a quantisation table is broken");
                return;
            }
            let steps = std::array::from_fn(|k| match len {
                64 => u16::from(tail[k]),
                _ => u16::from_be_bytes([tail[2 * k], tail[2 * k + 1]]),
            });
            let table = Quantisation {
                defined_at: offset,
                used: false,
                steps,
            };
            if let Some(old) = self.quantisation[slot].replace(table)
                && !old.used
            {
                self.odd(Oddity::RedefinedTable(old.defined_at));
            }
            // Which of the tables holds for a component in several scans is read in different ways.
            self.unusual |= self.scans > 0;
            rest = &tail[len..];
        }
    }

    fn restart(&mut self, payload: Range<usize>) {
        let b = &self.bytes[payload.clone()];
        if b.len() < 2 {
            self.damaged("the restart interval is broken");
            return;
        }
        if b.len() > 2 {
            self.odd(Oddity::Spare(payload.start + 2..payload.end));
        }
        self.restart_interval = u32::from(u16::from_be_bytes([b[0], b[1]]));
    }

    fn scan(&mut self, payload: Range<usize>) -> Result<bool, NotJpeg> {
        let Some(header) = self.header.clone() else {
            return Err(NotJpeg("a scan before the frame header"));
        };
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(NotJpeg("more scans than any camera or program writes"));
        }
        let selected = match scan::Selection::read(&self.bytes[payload], &header) {
            Ok(selected) => selected,
            Err(why) => {
                self.damaged(why);
                return Ok(false);
            }
        };
        self.prepare(&header, &selected);
        let state = self.state.get_or_insert_with(|| scan::State::new(&header));
        state.strict = self.strict;
        if self.keep {
            let kept = state.kept.get_or_insert_default();
            kept.tables = self.quantisation.map(|table| table.map(|t| t.steps));
        }
        let walked = scan::walk(
            self.bytes,
            self.at,
            &header,
            &selected,
            &mut self.tables,
            self.restart_interval,
            state,
        );
        walked.oddities.into_iter().for_each(|o| self.odd(o));
        self.units.push(walked.units);
        if let Some(segment) = self.segments.last_mut() {
            segment.data = self.at..walked.end;
        }
        self.at = walked.end;
        if let Some(why) = walked.damage {
            self.damaged(why);
        }
        Ok(true)
    }

    /// Notes the tables that a scan uses, and what is unusual about it.
    fn prepare(&mut self, header: &Header, selected: &scan::Selection) {
        for &(index, ..) in &selected.parts {
            let table = usize::from(header.components[index].table);
            match &mut self.quantisation[table] {
                Some(table) => table.used = true,
                None => self.damaged("a scan names a quantisation table that is not there"),
            }
        }
        if header.progressive() {
            return;
        }
        let in_order = selected
            .parts
            .iter()
            .map(|part| part.0)
            .eq(0..header.components.len());
        self.unusual |= !in_order;
        for &(_, dc, ac) in &selected.parts {
            let typical = [self.tables.typical(0, dc), self.tables.typical(1, ac)];
            if typical.contains(&true) && !self.oddities.contains(&Oddity::TypicalTables) {
                self.odd(Oddity::TypicalTables);
            }
        }
    }

    fn finish(mut self) -> Result<Structure, NotJpeg> {
        let header = self
            .header
            .take()
            .ok_or(NotJpeg("no frame header: there is no picture in it"))?;
        let unused: Vec<_> = self
            .quantisation
            .iter()
            .flatten()
            .filter(|table| !table.used)
            .map(|table| table.defined_at)
            .chain(self.tables.unused())
            .collect();
        unused
            .into_iter()
            .for_each(|at| self.odd(Oddity::UnusedTable(at)));
        let loose = self.tables.loose();
        loose.into_iter().for_each(|oddity| self.odd(oddity));
        let missing = match &self.state {
            None => Some("there is no scan in it".to_string()),
            Some(state) => state.missing(&header),
        };
        if let Some(why) = missing {
            self.damaged(why);
        }
        let unusual = self.unusual || !header.usual_sampling();
        Ok(Structure {
            segments: self.segments,
            header,
            scans: self.scans,
            units: self.units,
            unusual,
            oddities: self.oddities,
            end: self.at,
            damage: self.damage,
        })
    }
}

/// Width, height and number of components, from the first frame header.
#[must_use]
pub fn size(bytes: &[u8]) -> Option<(u16, u16, u8)> {
    let mut at = 2;
    loop {
        let rest = bytes.get(at..)?;
        let ff = rest.iter().position(|&b| b == 0xFF)?;
        let marker = *rest.get(ff + 1)?;
        if matches!(marker, 0x00 | 0x01 | 0xFF | 0xD0..=0xD8) {
            at += ff + if marker == 0xFF { 1 } else { 2 };
            continue;
        }
        let word = |i: usize| {
            rest.get(ff + i..ff + i + 2)
                .map(|b| u16::from_be_bytes([b[0], b[1]]))
        };
        if matches!(marker, 0xC0..=0xCF) && !matches!(marker, DHT | 0xC8 | 0xCC) {
            return Some((word(7)?, word(5)?, *rest.get(ff + 9)?));
        }
        at += ff + 2 + usize::from(word(2)?.max(2));
    }
}
