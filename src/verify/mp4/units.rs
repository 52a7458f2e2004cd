//! Samples of pictures divided into their units: none may be supplemental data, in which encoders
//! write their names and settings and cameras whatever they like.

use super::{Findings, LeakKind, SourceObject, bytes_at, range};

/// How samples are divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Units {
    /// Not at all.
    #[default]
    Whole,
    /// H.264 units behind lengths of so many bytes.
    Avc(usize),
    /// H.265 units behind lengths of so many bytes.
    Hevc(usize),
    /// AV1's open units.
    Av1,
}

impl Units {
    pub(super) fn check(
        self,
        file: &mut dyn SourceObject,
        samples: &[(u64, u32)],
        findings: &mut Findings,
    ) {
        if self == Self::Whole {
            return;
        }
        for &(at, size) in samples {
            // A sample that can't be read lies outside the data, which is found elsewhere.
            let Some(bytes) = bytes_at(file, at, size as usize) else {
                continue;
            };
            let fault = match self {
                Self::Avc(length) => nal(&bytes, length, |b| avc(b[0])),
                Self::Hevc(length) => nal(&bytes, length, |b| hevc(b[0])),
                Self::Av1 => obus(&bytes),
                Self::Whole => None,
            };
            if let Some((kind, what)) = fault {
                findings.add(kind, what, range(at, at + u64::from(size)));
            }
        }
    }
}

type Fault = (LeakKind, &'static str);

const SUPPLEMENT: Fault = (LeakKind::Comment, "supplemental data (SEI)");
const UNKNOWN: Fault = (LeakKind::Unknown, "units that no picture needs");
const BROKEN: Fault = (LeakKind::Malformed, "a picture that can't be followed");

/// Slices, parameters, delimiters.
const fn avc(head: u8) -> Option<Fault> {
    match head & 0x1F {
        1 | 5 | 7 | 8 | 9 => None,
        6 => Some(SUPPLEMENT),
        _ => Some(UNKNOWN),
    }
}

const fn hevc(head: u8) -> Option<Fault> {
    match head >> 1 & 0x3F {
        0..=9 | 16..=21 | 32..=35 => None,
        39 | 40 => Some(SUPPLEMENT),
        _ => Some(UNKNOWN),
    }
}

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

fn obus(bytes: &[u8]) -> Option<Fault> {
    let mut at = 0;
    while at < bytes.len() {
        let head = bytes[at];
        // Sequence and frame headers, frames, tiles, delimiters.
        match head >> 3 & 0xF {
            1..=4 | 6 | 7 => {}
            5 => return Some((LeakKind::Comment, "metadata units")),
            _ => return Some(UNKNOWN),
        }
        at += if head & 4 == 0 { 1 } else { 2 };
        if head & 2 == 0 {
            return None;
        }
        let (mut size, mut shift) = (0usize, 0);
        loop {
            let Some(&byte) = bytes.get(at) else {
                return Some(BROKEN);
            };
            at += 1;
            size |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift > 28 {
                return Some(BROKEN);
            }
        }
        at = at.saturating_add(size);
        if at > bytes.len() {
            return Some(BROKEN);
        }
    }
    None
}

/// The first sequence parameter set of an H.264 configuration.
pub(super) fn avcc_set(b: &[u8]) -> Option<&[u8]> {
    let size = usize::from(u16::from_be_bytes([*b.get(6)?, *b.get(7)?]));
    b.get(8..8 + size)
}

/// The first sequence parameter set of an H.265 configuration.
pub(super) fn hvcc_set(b: &[u8]) -> Option<&[u8]> {
    let mut at = 23;
    for _ in 0..*b.get(22)? {
        let kind = *b.get(at)? & 0x3F;
        let count = u16::from_be_bytes([*b.get(at + 1)?, *b.get(at + 2)?]);
        at += 3;
        for _ in 0..count {
            let size = usize::from(u16::from_be_bytes([*b.get(at)?, *b.get(at + 1)?]));
            if kind == 33 {
                return b.get(at + 2..at + 2 + size);
            }
            at += 2 + size;
        }
    }
    None
}

/// Whether an H.264 configuration holds its parameters and nothing else.
pub(super) fn avcc(b: &[u8]) -> bool {
    let Some(&count) = b.get(5) else { return false };
    let mut at = 6;
    let sets = |count: u8, kind: u8, at: &mut usize| {
        (0..count).all(|_| {
            let Some(size) = b
                .get(*at..*at + 2)
                .map(|s| usize::from(u16::from_be_bytes([s[0], s[1]])))
            else {
                return false;
            };
            let right = b.get(*at + 2).is_some_and(|h| h & 0x1F == kind);
            *at += 2 + size;
            right && *at <= b.len()
        })
    };
    if !sets(count & 0x1F, 7, &mut at) {
        return false;
    }
    let Some(&count) = b.get(at) else {
        return false;
    };
    at += 1;
    if !sets(count, 8, &mut at) {
        return false;
    }
    // High profiles: chroma and depth, no extended parameters.
    at == b.len() || (at + 4 == b.len() && b[at + 3] == 0)
}

/// Whether an H.265 configuration holds its parameters and nothing else.
pub(super) fn hvcc(b: &[u8]) -> bool {
    let Some(&arrays) = b.get(22) else {
        return false;
    };
    let mut at = 23;
    for _ in 0..arrays {
        let Some(head) = b.get(at..at + 3) else {
            return false;
        };
        if !matches!(head[0] & 0x3F, 32..=34) {
            return false;
        }
        at += 3;
        for _ in 0..u16::from_be_bytes([head[1], head[2]]) {
            let Some(size) = b.get(at..at + 2) else {
                return false;
            };
            at += 2 + usize::from(u16::from_be_bytes([size[0], size[1]]));
        }
    }
    at == b.len()
}
