//! Samples of pictures divided into their units: none may be supplemental data, in which encoders
//! write their names and settings and cameras whatever they like, none may repeat the parameters
//! otherwise than the index has them, and the index's tables of samples must fit what they are.
//!
//! What is not looked into is the compressed data itself: bytes behind the last block of a slice or
//! tile show only to who decodes them all.

use super::{
    super::{
        bits::Bits,
        frames::{self, BROKEN, Fault, UNKNOWN},
    },
    Findings, LeakKind, SourceObject, bytes_at, parameters, range,
    table::Table,
};

/// How samples are divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not at all.
    #[default]
    Whole,
    /// H.264 units behind lengths of so many bytes.
    Avc(usize),
    /// H.265 units behind lengths of so many bytes.
    Hevc(usize),
    /// AV1's open units.
    Av1,
    /// VP9's frames.
    Vp9,
    /// Packets of Opus.
    Opus,
}

/// How samples are divided, and the parameters that their units may repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) kind: Kind,
    /// Parameter sets of the index, whole.
    pub(super) sets: Vec<Vec<u8>>,
    /// Numbers of those that are of pictures.
    pub(super) pictures: Vec<u32>,
    /// Width and height of the pictures by the index.
    pub(super) size: Option<(u32, u32)>,
    /// Width and height of a pixel, in any unit.
    pub(super) shape: (u32, u32),
}

/// What a sample is, by its units.
#[derive(Debug, Default)]
struct Is {
    /// It can be shown without others.
    key: bool,
    /// So can it by all that is known, but the index need not say so.
    may: bool,
    /// No other picture needs it; `None` where only a decoder knows.
    spare: Option<bool>,
    /// Numbers of the parameters that its slices use.
    parameters: Vec<u32>,
    /// Place of the last slice.
    slice: Option<u32>,
    slices: usize,
    /// It begins with a delimiter.
    delimited: bool,
    /// Parameter sets that it repeats.
    repeated: Vec<usize>,
}

impl Units {
    pub(super) fn check(
        &self,
        file: &mut dyn SourceObject,
        table: &Table,
        findings: &mut Findings,
    ) {
        if self.kind == Kind::Whole {
            return;
        }
        let mut used = Vec::new();
        let mut listed = table.sync.iter().flatten().copied().peekable();
        // Where the index says which samples are needed by none, it does so of all of them.
        let mut spares = (false, false);
        for (number, &(at, size)) in (1u32..).zip(&table.samples) {
            findings.worked(1 + u64::from(size));
            let whole = range(at, at + u64::from(size));
            let Some(bytes) = bytes_at(file, at, size as usize) else {
                continue;
            };
            let is = match self.is(&bytes) {
                Ok(is) => is,
                Err((kind, what)) => {
                    findings.add(kind, what, whole);
                    listed.next_if_eq(&number);
                    continue;
                }
            };
            let sync = table.sync.is_none() || listed.next_if_eq(&number).is_some();
            if self.kind != Kind::Opus && (sync && !is.key && !is.may || !sync && is.key) {
                let what = "a sample that is listed as what it is not";
                findings.add(LeakKind::Unknown, what, whole.clone());
            }
            if let Some(said) = table
                .depends
                .as_ref()
                .and_then(|d| d.get(number as usize - 1))
            {
                let spare = said & 0x0C == 8;
                spares = (
                    spares.0 || spare,
                    spares.1 || is.spare == Some(true) && !spare,
                );
                let needs = if sync { 0x20 } else { 0x10 };
                if *said != needs | if spare { 8 } else { 0 } || spare && is.spare == Some(false) {
                    let what = "a sample that is listed as what it is not";
                    findings.add(LeakKind::Unknown, what, whole);
                }
            }
            for parameters in is.parameters {
                if !used.contains(&parameters) {
                    used.push(parameters);
                }
            }
        }
        used.sort_unstable();
        let used = self.pictures == used || self.pictures.is_empty();
        if spares == (true, true) || !used {
            findings.add(LeakKind::Unused, "parameters that no picture uses", 0..0);
        }
    }

    fn is(&self, bytes: &[u8]) -> Result<Is, Fault> {
        let key = |key: bool| Is {
            key,
            ..Is::default()
        };
        match self.kind {
            Kind::Avc(length) => self.nal(bytes, length, Self::avc),
            Kind::Hevc(length) => self.nal(bytes, length, Self::hevc),
            Kind::Av1 => frames::av1(bytes, self.size).map(key),
            Kind::Vp9 => frames::vp9(bytes, self.size).map(key),
            Kind::Opus => frames::opus(bytes).map(|()| Is::default()),
            Kind::Whole => Ok(Is::default()),
        }
    }

    fn nal(
        &self,
        bytes: &[u8],
        length: usize,
        unit: impl Fn(&Self, &[u8], &mut Is) -> Result<(), Fault>,
    ) -> Result<Is, Fault> {
        let mut is = Is {
            key: true,
            may: true,
            spare: Some(true),
            ..Is::default()
        };
        let mut at = 0;
        while at < bytes.len() {
            let head = bytes.get(at..at + length).ok_or(BROKEN)?;
            let size = head.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
            let body = bytes.get(at + length..at + length + size);
            let body = body.filter(|b| !b.is_empty()).ok_or(BROKEN)?;
            if !parameters::apart(body) {
                return Err(APART);
            }
            unit(self, body, &mut is)?;
            at += length + size;
        }
        if is.slices == 0 { Err(BROKEN) } else { Ok(is) }
    }

    /// Slices, parameters as the index has them, delimiters of a head and a byte.
    fn avc(&self, unit: &[u8], is: &mut Is) -> Result<(), Fault> {
        if unit[0] & 0x80 != 0 {
            return Err(BROKEN);
        }
        match unit[0] & 0x1F {
            kind @ (1 | 5) => {
                let head = parameters::head(&unit[..unit.len().min(24)]);
                let mut b = Bits::new(&head);
                let read = |b: &mut Bits<'_>| {
                    b.skip(8)?;
                    Some((b.number()?, b.number()?, b.number()?))
                };
                let (first, slice, parameters) = read(&mut b).ok_or(BROKEN)?;
                is.key &= kind == 5;
                is.may &= matches!(slice, 2 | 7);
                is.spare = is.spare.map(|spare| spare && unit[0] & 0x60 == 0);
                // Fields begin anew.
                if slice > 9 || is.slice.is_some_and(|last| first <= last && first != 0) {
                    return Err(BROKEN);
                }
                is.add(first, parameters)
            }
            7 | 8 => self.repeated(unit, is),
            9 => is.delimiter(unit, 1, 0x1F),
            6 => Err(SUPPLEMENT),
            _ => Err(UNKNOWN),
        }
    }

    fn hevc(&self, unit: &[u8], is: &mut Is) -> Result<(), Fault> {
        // Of the first layer.
        let plain = unit[0] & 0x81 == 0 && unit.get(1).is_some_and(|b| (1..8).contains(b));
        if !plain {
            return Err(BROKEN);
        }
        match unit[0] >> 1 & 0x3F {
            kind @ (0..=9 | 16..=21) => {
                let head = parameters::head(&unit[..unit.len().min(24)]);
                let mut b = Bits::new(&head);
                let read = |b: &mut Bits<'_>| {
                    b.skip(16)?;
                    let first = b.flag()?;
                    if kind >= 16 {
                        b.skip(1)?;
                    }
                    Some((first, b.number()?))
                };
                let (first, parameters) = read(&mut b).ok_or(BROKEN)?;
                is.key &= kind >= 16;
                is.may = is.key;
                is.spare = is.spare.map(|spare| spare && kind < 16 && kind % 2 == 0);
                if first != (is.slices == 0) {
                    return Err(BROKEN);
                }
                is.add(0, parameters)
            }
            32..=34 => self.repeated(unit, is),
            35 => is.delimiter(unit, 2, 0x1F),
            39 | 40 => Err(SUPPLEMENT),
            _ => Err(UNKNOWN),
        }
    }

    /// A parameter set: one of the index's, once, before the slices.
    fn repeated(&self, unit: &[u8], is: &mut Is) -> Result<(), Fault> {
        let which = self.sets.iter().position(|s| s == unit).ok_or(OTHER)?;
        if is.slices > 0 || is.repeated.last().is_some_and(|last| *last >= which) {
            return Err(UNKNOWN);
        }
        is.repeated.push(which);
        Ok(())
    }
}

impl Is {
    fn add(&mut self, first: u32, parameters: u32) -> Result<(), Fault> {
        self.slices += 1;
        self.slice = Some(first);
        if !self.parameters.contains(&parameters) {
            self.parameters.push(parameters);
        }
        Ok(())
    }

    /// A delimiter: the kinds of slices that follow, and an end; before all others.
    fn delimiter(&mut self, unit: &[u8], head: usize, end: u8) -> Result<(), Fault> {
        let right = unit.len() == head + 1 && unit[head] & end == 0x10;
        let first = !self.delimited && self.slices == 0 && self.repeated.is_empty();
        self.delimited = true;
        if right && first { Ok(()) } else { Err(UNKNOWN) }
    }
}

const SUPPLEMENT: Fault = (LeakKind::Comment, "supplemental data (SEI)");
const APART: Fault = (
    LeakKind::Slack,
    "a unit with bytes that nothing needs, or that is not apart from the next",
);
const OTHER: Fault = (
    LeakKind::Unknown,
    "parameters that are not those of the index",
);
