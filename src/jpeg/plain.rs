//! A JPEG file without anything that its pixels do not need, for decoders.

use std::borrow::Cow;

use super::{DHT, EOI, MAX_ODDITIES, Oddity, SOI, Structure, scan::TYPICAL};

/// The file as every decoder takes it, if anything in it makes some of them stumble: bytes between segments, stray
/// markers, no end marker, typical Huffman tables that are not written down. Otherwise `bytes` themselves.
///
/// `structure` is that of `bytes`, without damage.
#[must_use]
pub fn plain<'a>(bytes: &'a [u8], structure: &Structure) -> Cow<'a, [u8]> {
    let stumbles = |oddity: &Oddity| {
        matches!(
            oddity,
            Oddity::Between(_) | Oddity::StrayMarker(_) | Oddity::NoEnd | Oddity::TypicalTables
        )
    };
    // From some number on, oddities are not kept.
    let many = structure.oddities.len() >= MAX_ODDITIES;
    if many || structure.oddities.iter().any(stumbles) {
        Cow::Owned(rebuilt(bytes, structure))
    } else {
        Cow::Borrowed(bytes)
    }
}

/// The segments that pixels need, and those that tell their colours (JFIF, Adobe's), in their order.
#[must_use]
pub fn rebuilt(bytes: &[u8], structure: &Structure) -> Vec<u8> {
    let mut out = vec![0xFF, SOI];
    if structure.oddities.contains(&Oddity::TypicalTables) {
        let length = TYPICAL.iter().map(|table| 1 + table.len()).sum::<usize>() + 2;
        out.extend([0xFF, DHT]);
        out.extend((length as u16).to_be_bytes());
        // Class and slot. What the file defines itself comes later and replaces these.
        for (slot, table) in [0x00, 0x01, 0x10, 0x11].into_iter().zip(TYPICAL) {
            out.push(slot);
            out.extend_from_slice(table);
        }
    }
    for segment in &structure.segments {
        let payload = &bytes[segment.payload.clone()];
        let needed = match segment.marker {
            0xC0..=0xC2 | DHT | 0xDA | 0xDB | 0xDD => true,
            0xE0 => payload.starts_with(b"JFIF\0"),
            0xEE => payload.starts_with(b"Adobe"),
            _ => false,
        };
        if needed {
            out.extend_from_slice(&bytes[segment.whole.clone()]);
            out.extend_from_slice(&bytes[segment.data.clone()]);
        }
    }
    out.extend([0xFF, EOI]);
    out
}
