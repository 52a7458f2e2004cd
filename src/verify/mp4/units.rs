//! Samples of pictures divided into their units: none may be supplemental data, in which encoders
//! write their names and settings and cameras whatever they like, and none may repeat the
//! parameters otherwise than the index has them.
//!
//! What is not looked into is the compressed data itself: bytes behind the last block of a slice or
//! tile show only to who decodes them all.

use super::{
    super::frames::{self, BROKEN, Fault, UNKNOWN},
    Findings, LeakKind, SourceObject, bytes_at, range,
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
}

/// How samples are divided, and the parameters that their units may repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) kind: Kind,
    /// Parameter sets of the index, whole.
    pub(super) sets: Vec<Vec<u8>>,
    /// Width and height of the pictures by the index.
    pub(super) size: Option<(u32, u32)>,
}

impl Units {
    pub(super) fn check(
        &self,
        file: &mut dyn SourceObject,
        samples: &[(u64, u32)],
        findings: &mut Findings,
    ) {
        if self.kind == Kind::Whole {
            return;
        }
        for &(at, size) in samples {
            // A sample that can't be read lies outside the data, which is found elsewhere.
            let Some(bytes) = bytes_at(file, at, size as usize) else {
                continue;
            };
            let fault = match self.kind {
                Kind::Avc(length) => nal(&bytes, length, |unit| self.avc(unit)),
                Kind::Hevc(length) => nal(&bytes, length, |unit| self.hevc(unit)),
                Kind::Av1 => frames::av1(&bytes, self.size),
                Kind::Vp9 => frames::vp9(&bytes),
                Kind::Whole => None,
            };
            if let Some((kind, what)) = fault {
                findings.add(kind, what, range(at, at + u64::from(size)));
            }
        }
    }

    /// Slices, parameters as the index has them, delimiters of a head and a byte.
    fn avc(&self, unit: &[u8]) -> Option<Fault> {
        match unit[0] & 0x1F {
            1 | 5 => None,
            7 | 8 => self.repeated(unit),
            9 => (unit.len() > 2).then_some(UNKNOWN),
            6 => Some(SUPPLEMENT),
            _ => Some(UNKNOWN),
        }
    }

    fn hevc(&self, unit: &[u8]) -> Option<Fault> {
        match unit[0] >> 1 & 0x3F {
            0..=9 | 16..=21 => None,
            32..=34 => self.repeated(unit),
            35 => (unit.len() > 3).then_some(UNKNOWN),
            39 | 40 => Some(SUPPLEMENT),
            _ => Some(UNKNOWN),
        }
    }

    fn repeated(&self, unit: &[u8]) -> Option<Fault> {
        (!self.sets.iter().any(|s| s == unit)).then_some(OTHER)
    }
}

const SUPPLEMENT: Fault = (LeakKind::Comment, "supplemental data (SEI)");
const OTHER: Fault = (
    LeakKind::Unknown,
    "parameters that are not those of the index",
);

fn nal(bytes: &[u8], length: usize, unit: impl Fn(&[u8]) -> Option<Fault>) -> Option<Fault> {
    let mut at = 0;
    while at < bytes.len() {
        let Some(head) = bytes.get(at..at + length) else {
            return Some(BROKEN);
        };
        let size = head.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        let Some(body) = bytes
            .get(at + length..at + length + size)
            .filter(|b| !b.is_empty())
        else {
            return Some(BROKEN);
        };
        if let Some(fault) = unit(body) {
            return Some(fault);
        }
        at += length + size;
    }
    None
}
