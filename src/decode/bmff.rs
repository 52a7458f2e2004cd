//! Boxes of the ISO base media file format: HEIF and AVIF pictures, and the clips behind photos.
//!
//! Source: ISO/IEC 14496-12, 4.2. Every size comes from outside.

use std::ops::Range;

/// One box, by byte offsets in what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: [u8; 4],
    /// With its head.
    pub(super) whole: Range<usize>,
    /// Behind its head.
    pub(super) body: Range<usize>,
}

/// The box that begins at `from` and ends at `to` at the latest; `None` where there is none.
fn part(bytes: &[u8], from: usize, to: usize) -> Option<Part> {
    let bytes = bytes.get(..to)?;
    let head: &[u8; 8] = bytes.get(from..from.checked_add(8)?)?.try_into().ok()?;
    let [a, b, c, d, kind @ ..] = *head;
    let (head, size) = match u32::from_be_bytes([a, b, c, d]) {
        // To the end.
        0 => (8, to - from),
        1 => {
            let long = bytes.get(from + 8..from + 16)?.try_into().ok()?;
            (16, usize::try_from(u64::from_be_bytes(long)).ok()?)
        }
        size => (8, size as usize),
    };
    let end = from.checked_add(size)?;
    let plausible = kind.iter().all(|b| (0x20..0x7F).contains(b) || *b == 0xA9);
    (plausible && size >= head && end <= to).then_some(Part {
        kind,
        whole: from..end,
        body: from + head..end,
    })
}

/// The boxes that `place` holds, one behind the other, up to the first thing that is none.
pub(super) fn parts(bytes: &[u8], place: Range<usize>) -> impl Iterator<Item = Part> {
    let mut at = place.start;
    std::iter::from_fn(move || {
        let next = part(bytes, at, place.end)?;
        at = next.whole.end;
        Some(next)
    })
}

/// Where a file of boxes that begins at `from` ends; `None` where none begins with `ftyp`. A last
/// box that is cut off counts to it.
pub(super) fn file(bytes: &[u8], from: usize) -> Option<usize> {
    let mut end = from;
    for (i, part) in parts(bytes, from..bytes.len()).enumerate() {
        // A second file may follow the first.
        if (i == 0) != (&part.kind == b"ftyp") {
            break;
        }
        end = part.whole.end;
    }
    if end == from {
        return None;
    }
    let head = bytes.get(end..end + 8).unwrap_or_default();
    let cut = [b"moov", b"mdat", b"free"]
        .iter()
        .any(|k| head.ends_with(*k));
    Some(if cut { bytes.len() } else { end })
}
