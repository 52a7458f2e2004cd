//! JPEG: SOI, a JFIF header of 16 bytes, tables that are used, one frame, its scans, EOI. Every
//! bit of every scan is accounted for.
//!
//! What numbers may say is held as narrow as the writers in use allow: quantisation tables once each and before the
//! first scan; Huffman tables the typical ones, or such as follow from what they code; restart intervals that fit
//! their scan; blocks coded in the shortest way. What is left to a writer, and could therefore carry something: the 64
//! steps of each quantisation table, in which order components and bits come in scans, and the pixels themselves,
//! those of the last blocks beyond the picture's edges among them.

use super::{Findings, LeakKind};
use crate::jpeg::{self, Header, Oddity, Segment, Structure};

/// What a JFIF header holds: version 1.02, no unit, one by one, no thumbnail. Other versions and
/// densities would tell where a picture comes from.
const JFIF: &[u8] = b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0";

pub(super) fn inspect(bytes: &[u8], findings: &mut Findings) -> Option<(u32, u32)> {
    let structure = match jpeg::audit(bytes) {
        Ok(structure) => structure,
        Err(e) => {
            findings.add(LeakKind::Malformed, e.to_string(), 0..bytes.len());
            return None;
        }
    };
    let mut jfif = false;
    for segment in &structure.segments {
        let payload = &bytes[segment.payload.clone()];
        match segment.marker {
            0xE0 if payload.starts_with(b"JFIF\0") && !jfif => {
                jfif = true;
                if payload.len() != JFIF.len() || payload[12..] != [0, 0] {
                    findings.add(
                        LeakKind::Thumbnail,
                        "thumbnail in the JFIF header",
                        segment.whole.clone(),
                    );
                } else if payload != JFIF {
                    findings.add(
                        LeakKind::Unknown,
                        "a version or density in the JFIF header",
                        segment.whole.clone(),
                    );
                }
                if segment.whole.start != 2 {
                    findings.add(
                        LeakKind::Malformed,
                        "JFIF header out of place",
                        segment.whole.clone(),
                    );
                }
            }
            0xD8 | 0xD9 | 0xDA | 0xDB | 0xDD | 0xC0 | 0xC1 | 0xC2 | 0xC4 => {}
            _ => unlisted(segment, payload, findings),
        }
    }
    numbers(bytes, &structure, findings);
    for oddity in structure.oddities {
        match oddity {
            Oddity::Between(r) => findings.add(LeakKind::Between, "bytes between segments", r),
            Oddity::Fill(r) => findings.add(LeakKind::Between, "filling before a marker", r),
            Oddity::Slack(r) => findings.add(LeakKind::Slack, "bytes behind the last block", r),
            Oddity::Padding(at) => {
                findings.add(LeakKind::Slack, "padding bits that are not 1", at..at + 1)
            }
            Oddity::UnusedTable(at) => {
                findings.add(LeakKind::Unused, "table that no scan uses", at..at)
            }
            Oddity::RedefinedTable(at) => {
                findings.add(LeakKind::Unused, "table defined twice", at..at)
            }
            Oddity::Loose(at, what) => findings.add(LeakKind::Unused, what, at..at),
            Oddity::Spare(r) => {
                findings.add(LeakKind::Slack, "bytes behind a segment's content", r)
            }
            Oddity::StrayMarker(r) => findings.add(LeakKind::Between, "marker out of place", r),
            Oddity::NoEnd => findings.add(
                LeakKind::Malformed,
                "there is no end marker",
                bytes.len()..bytes.len(),
            ),
            Oddity::TypicalTables => findings.add(
                LeakKind::Malformed,
                "Huffman tables that a scan uses are not in it",
                0..0,
            ),
        }
    }
    if let Some(damage) = structure.damage {
        findings.add(LeakKind::Malformed, damage, 0..0);
    }
    if structure.end < bytes.len() {
        let kind = if bytes[structure.end..].starts_with(&[0xFF, 0xD8]) {
            LeakKind::SecondPicture
        } else {
            LeakKind::Trailing
        };
        findings.add(kind, "bytes behind the end", structure.end..bytes.len());
    }
    Some((
        u32::from(structure.header.width),
        u32::from(structure.header.height),
    ))
}

/// What the fields of the segments may say, how often, and where.
fn numbers(bytes: &[u8], structure: &Structure, findings: &mut Findings) {
    let header = &structure.header;
    let mut scans = 0;
    // The restart interval, and how many scans there were when it was last defined.
    let mut interval = (0, None);
    for segment in &structure.segments {
        let payload = &bytes[segment.payload.clone()];
        let odd = match segment.marker {
            0xDB | 0xC4 if payload.is_empty() => Some("segment without a table"),
            0xDB if scans > 0 => Some("quantisation table after the first scan"),
            0xDB => steps(payload),
            0xC0..=0xC2 => {
                (!known_ids(header)).then_some("numbers of components that say something")
            }
            0xDA => {
                scans += 1;
                scan(payload, header)
            }
            0xDD => {
                let value = payload.first_chunk().map_or(0, |b| u16::from_be_bytes(*b));
                // It may hold for several scans, of which some are too short for it.
                let units = structure
                    .units
                    .iter()
                    .skip(scans)
                    .max()
                    .copied()
                    .unwrap_or(0);
                let fits = value > 0
                    && value != interval.0
                    && u32::from(value) <= units
                    && interval.1 != Some(scans);
                interval = (value, Some(scans));
                (!fits).then_some("restart interval that nothing needs")
            }
            _ => None,
        };
        if let Some(what) = odd {
            findings.add(LeakKind::Unknown, what, segment.whole.clone());
        }
    }
}

/// What is odd about quantisation tables.
fn steps(mut tables: &[u8]) -> Option<&'static str> {
    while let [head, rest @ ..] = tables {
        let wide = head >> 4 > 0;
        let (table, tail) = rest.split_at_checked(if wide { 128 } else { 64 })?;
        let size = if wide { 2 } else { 1 };
        if table
            .chunks_exact(size)
            .any(|step| step.iter().all(|b| *b == 0))
        {
            return Some("quantisation step of 0");
        }
        if wide && table.chunks_exact(2).all(|step| step[0] == 0) {
            return Some("quantisation steps in more bytes than they need");
        }
        tables = tail;
    }
    None
}

/// Whether components are numbered from 0 or 1 on, or by the letters of their colours.
fn known_ids(header: &Header) -> bool {
    let ids = || header.components.iter().map(|c| c.id);
    let n = ids().count() as u8;
    ids().eq(0..n) || ids().eq(1..=n) || ids().eq(*b"RGB") || ids().eq(*b"CMYK")
}

/// What is odd about a scan header: fields without a meaning that say something all the same.
fn scan(payload: &[u8], header: &Header) -> Option<&'static str> {
    let (parts, tail) = payload
        .get(1..)?
        .as_chunks::<2>()
        .0
        .split_at_checked(usize::from(payload[0]))?;
    let [first, last, bits] = [tail.first()?[0], tail.first()?[1], *payload.last()?];
    let place = |id: u8| header.components.iter().position(|c| c.id == id);
    if !parts.is_sorted_by_key(|part| place(part[0])) {
        return Some("components of a scan out of order");
    }
    // Each progressive scan uses one of the two tables, or none; writers name none there, or the same again.
    let other = |selectors: u8| {
        let (dc, ac) = (selectors >> 4, selectors & 15);
        dc != ac
            && if first > 0 {
                dc > 0
            } else {
                ac > 0 || bits >> 4 > 0
            }
    };
    if header.progressive() && parts.iter().any(|part| other(part[1])) {
        return Some("table that a scan names and does not use");
    }
    (!header.progressive() && [first, last, bits] != [0, 63, 0])
        .then_some("range of coefficients in a scan that has all")
}

fn unlisted(segment: &Segment, payload: &[u8], findings: &mut Findings) {
    let (kind, name) = match segment.marker {
        0xE0 if payload.starts_with(b"JFXX\0") => {
            (LeakKind::Thumbnail, "JFIF extension".to_string())
        }
        0xE1 if payload.starts_with(b"Exif\0") => (LeakKind::Exif, "EXIF".into()),
        0xE1 if payload.starts_with(b"http://ns.adobe.com/x") => (LeakKind::Xmp, "XMP".into()),
        0xE2 if payload.starts_with(b"ICC_PROFILE\0") => {
            (LeakKind::ColourProfile, "colour profile".into())
        }
        0xE2 if payload.starts_with(b"MPF\0") => {
            (LeakKind::SecondPicture, "index of further pictures".into())
        }
        0xED => (LeakKind::Iptc, "IPTC".into()),
        0xFE => (LeakKind::Comment, "comment".into()),
        0xE0..=0xEF => (
            LeakKind::Unknown,
            format!("application segment {}", segment.marker - 0xE0),
        ),
        marker => (LeakKind::Unknown, format!("segment {marker:02X}")),
    };
    findings.add(kind, name, segment.whole.clone());
}
