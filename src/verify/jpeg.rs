//! JPEG: SOI, a JFIF header of 16 bytes, tables that are used, one frame, its scans, EOI. Every
//! bit of every scan is accounted for.

use super::{Findings, LeakKind};
use crate::jpeg::{self, Oddity, Segment};

/// What a JFIF header holds: version 1.02, no unit, one by one, no thumbnail. Other versions and
/// densities would tell where a picture comes from.
const JFIF: &[u8] = b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0";

pub(super) fn inspect(bytes: &[u8], findings: &mut Findings) -> Option<(u32, u32)> {
    let structure = match jpeg::walk(bytes) {
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
            0xD8 | 0xD9 | 0xDA | 0xDB | 0xC0 | 0xC1 | 0xC2 | 0xC4 => {}
            _ => unlisted(segment, payload, findings),
        }
    }
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
            Oddity::Spare(r) => {
                findings.add(LeakKind::Slack, "bytes behind a segment's content", r)
            }
            Oddity::Loose(at, what) => findings.add(LeakKind::Unused, what, at..at),
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
        0xDD => (LeakKind::Unknown, "restart interval".into()),
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
