//! BMP: one header with nothing in it that is not asked for, rows, their padding of zeros.

use super::{Findings, LeakKind};

pub(super) const SIGNATURE: &[u8] = b"BM";

const FILE_HEADER: usize = 14;
const PLAIN: u32 = 40;
const ALPHA: u32 = 108;
/// Masks of red, green, blue and alpha, then the name of sRGB, then nothing.
const TAIL: [u8; 20] = *b"\0\0\xFF\0\0\xFF\0\0\xFF\0\0\0\0\0\0\xFFBGRs";

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn inspect(bytes: &[u8], findings: &mut Findings) -> Option<(u32, u32)> {
    let header = word(bytes, FILE_HEADER).unwrap_or(0);
    let start = FILE_HEADER + header as usize;
    if !matches!(header, PLAIN | ALPHA) || bytes.len() < start {
        findings.add(
            LeakKind::Malformed,
            "header that is not on the list",
            0..bytes.len().min(start),
        );
        return None;
    }
    let at = |i: usize| word(bytes, i).unwrap_or(0);
    let (width, height) = (at(18), at(22));
    let (planes, bits) = (at(26) & 0xFFFF, at(26) >> 16);
    let (wanted, channels) = if header == ALPHA {
        ((32, 3), 4)
    } else {
        ((24, 0), 3)
    };
    if (bits, at(30)) != wanted || planes != 1 {
        findings.add(
            LeakKind::Malformed,
            "pixels of a kind that is not on the list",
            26..34,
        );
        return None;
    }
    let row = (u64::from(width) * channels).div_ceil(4) * 4;
    let length = row.saturating_mul(u64::from(height));
    let end = (at(10) as usize).saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
    if width == 0 || height == 0 || height > i32::MAX as u32 || end > bytes.len() {
        findings.add(LeakKind::Malformed, "fewer rows than the header says", 0..0);
        return Some((width, height));
    }
    let data = at(10) as usize;
    if data > start {
        findings.add(LeakKind::Between, "bytes before the pixels", start..data);
    } else if data < start {
        findings.add(LeakKind::Malformed, "pixels inside the header", data..start);
    }
    if at(2) as usize != bytes.len() {
        findings.add(LeakKind::Malformed, "a length that is not the file's", 2..6);
    }
    if u64::from(at(34)) != length {
        findings.add(
            LeakKind::Malformed,
            "a length that is not the picture's",
            34..38,
        );
    }
    for place in [6..10, 38..54] {
        if bytes[place.clone()].iter().any(|&b| b != 0) {
            findings.add(LeakKind::Unknown, "numbers in unused fields", place);
        }
    }
    if header == ALPHA && (bytes[54..74] != TAIL || bytes[74..start].iter().any(|&b| b != 0)) {
        findings.add(
            LeakKind::ColourProfile,
            "colours that are described",
            54..start,
        );
    }
    if end < bytes.len() {
        findings.add(LeakKind::Trailing, "bytes behind the end", end..bytes.len());
    }
    let used = width as usize * channels as usize;
    let mut hidden = 0;
    for (y, line) in bytes[data.min(end)..end]
        .chunks_exact(row as usize)
        .enumerate()
    {
        if line[used..].iter().any(|&b| b != 0) {
            let from = data + y * row as usize;
            findings.add(
                LeakKind::Slack,
                "bytes behind a row",
                from + used..from + row as usize,
            );
        }
        if channels == 4 {
            hidden += line
                .chunks_exact(4)
                .filter(|p| p[3] == 0 && p[..3] != [0; 3])
                .count();
        }
    }
    findings.hidden(hidden as u64);
    Some((width, height))
}
