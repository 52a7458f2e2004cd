//! TIFF: a directory for each page, structural tags, deflated strips that end where their data ends;
//! every byte of the file belongs to one of these.

use std::{collections::HashSet, ops::Range};

use super::{Findings, LeakKind, deflate};

pub(super) const SIGNATURES: [&[u8]; 2] = [b"II*\0", b"MM\0*"];

/// Tags that say how the pixels lie in the file, and no more.
const STRUCTURAL: [u16; 14] = [
    254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 338, 339,
];
/// Most entries of a directory that are followed.
const MAX_ENTRIES: usize = 1000;
/// Most pages that are followed.
const MAX_PAGES: usize = 1000;
/// Deflate gives at most 1032 bytes for one.
const LARGEST_RATIO: usize = 1040;

struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
    /// Bytes of values and strips that may still be read: as many as the file has.
    left: std::cell::Cell<usize>,
}

#[derive(Debug, Clone)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u32,
    value: Range<usize>,
}

impl Reader<'_> {
    /// Whether this many bytes may be read in addition to all that were read.
    fn within(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        left.inspect(|left| self.left.set(*left)).is_some()
    }

    fn number(&self, at: usize, size: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let fold = |sum: u32, b: &u8| sum << 8 | u32::from(*b);
        Some(if self.little {
            bytes.iter().rev().fold(0, fold)
        } else {
            bytes.iter().fold(0, fold)
        })
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        let (tag, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
        let count = self.number(at + 4, 4)?;
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            5 | 10 | 12 => 8,
            _ => 4,
        };
        let length = (count as usize).checked_mul(size)?;
        let from = if length <= 4 {
            at + 8
        } else {
            self.number(at + 8, 4)? as usize
        };
        let value = from..from.checked_add(length)?;
        (value.end <= self.bytes.len()).then_some(Entry {
            tag,
            kind,
            count,
            value,
        })
    }

    fn values(&self, entry: &Entry) -> Option<Vec<u32>> {
        // Numbers of 16 bits; sizes and places may have 32, and a kind of picture must.
        let size = match (entry.kind, entry.tag) {
            (3, 254) => return None,
            (3, _) => 2,
            (4, 254 | 256 | 257 | 273 | 278 | 279) => 4,
            _ => return None,
        };
        (0..entry.count as usize)
            .map(|i| self.number(entry.value.start + i * size, size))
            .collect()
    }
}

/// Gives the size of the first page, and puts those of further ones into `further`.
pub(super) fn inspect(
    bytes: &[u8],
    findings: &mut Findings,
    further: &mut Vec<(u32, u32)>,
) -> Option<(u32, u32)> {
    let reader = Reader {
        bytes,
        little: bytes.starts_with(SIGNATURES[0]),
        left: std::cell::Cell::new(bytes.len()),
    };
    let mut parts = Vec::new();
    // Signature and the place of the first directory.
    parts.push(0..8);
    let mut sizes = Vec::new();
    let mut seen = HashSet::new();
    let mut next = reader.number(4, 4);
    while next != Some(0) || sizes.is_empty() {
        let walked = next
            .map(|n| n as usize)
            .filter(|&start| seen.insert(start) && seen.len() <= MAX_PAGES)
            .and_then(|start| directory(&reader, start, &mut parts, findings));
        let Some((size, after)) = walked else {
            let what = "directory that can't be followed";
            findings.add(LeakKind::Malformed, what, 0..bytes.len());
            return sizes.first().copied().flatten();
        };
        sizes.push(size);
        next = Some(after);
    }
    cover(bytes, parts, findings);
    further.extend(sizes.iter().skip(1).map(|s| s.unwrap_or((0, 0))));
    sizes.first().copied().flatten()
}

/// Follows one directory; gives its picture's size, where it can be followed, and the place of the
/// next one. `None` where the directory itself is broken.
fn directory(
    reader: &Reader<'_>,
    start: usize,
    parts: &mut Vec<Range<usize>>,
    findings: &mut Findings,
) -> Option<(Option<(u32, u32)>, u32)> {
    let bytes = reader.bytes;
    let count = reader.number(start, 2)? as usize;
    let end = start + 2 + 12 * count + 4;
    let next = reader.number(end - 4, 4).filter(|_| count <= MAX_ENTRIES)?;
    parts.push(start..end);
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    for i in 0..count {
        let at = start + 2 + 12 * i;
        let entry = reader.entry(at)?;
        if !reader.within(entry.value.len()) {
            return None;
        }
        // A long value may point into its own entry; only a short one stands in it.
        if entry.value.start != at + 8 || entry.value.len() > 4 {
            parts.push(entry.value.clone());
        } else if bytes[entry.value.end..at + 12].iter().any(|&b| b != 0) {
            findings.add(
                LeakKind::Slack,
                "bytes behind a short value",
                entry.value.end..at + 12,
            );
        }
        if !STRUCTURAL.contains(&entry.tag) {
            unlisted(&entry, findings);
        } else if reader.values(&entry).is_none() {
            // Readers fall back to what is usual, whatever stands in it.
            let what = format!("tag {} that holds no numbers", entry.tag);
            findings.add(LeakKind::Unknown, what, entry.value.clone());
        }
        if entries.last().is_some_and(|last| last.tag >= entry.tag) {
            findings.add(LeakKind::Malformed, "tags out of order", at..at + 12);
        }
        entries.push(entry);
    }
    let size = pixels(reader, &entries, parts, findings);
    if size.is_none() {
        findings.add(
            LeakKind::Malformed,
            "pixels of a kind that can't be followed",
            start..end,
        );
    }
    Some((size, next))
}

fn unlisted(entry: &Entry, findings: &mut Findings) {
    let (kind, name) = match entry.tag {
        700 => (LeakKind::Xmp, "XMP".to_string()),
        33723 => (LeakKind::Iptc, "IPTC".into()),
        34675 => (LeakKind::ColourProfile, "colour profile".into()),
        274 | 34665 | 34853 | 271 | 272 => (LeakKind::Exif, format!("tag {} (EXIF)", entry.tag)),
        330 => (LeakKind::SecondPicture, "further pictures".into()),
        269 | 270 | 285 | 305 | 306 | 315 | 316 | 33432 => {
            (LeakKind::Comment, format!("tag {} (text)", entry.tag))
        }
        tag => (LeakKind::Unknown, format!("tag {tag}")),
    };
    findings.add(kind, name, entry.value.clone());
}

/// Every byte belongs to one part, but for one of padding before an even place.
fn cover(bytes: &[u8], mut parts: Vec<Range<usize>>, findings: &mut Findings) {
    parts.retain(|p| !p.is_empty());
    parts.sort_by_key(|p| (p.start, p.end));
    let mut at = 0;
    for part in parts {
        if part.start < at {
            findings.add(
                LeakKind::Malformed,
                "parts that lie over each other",
                part.start..at.min(part.end),
            );
        }
        let padding = part.start == at + 1 && part.start % 2 == 0 && bytes.get(at) == Some(&0);
        if part.start > at && !padding {
            findings.add(
                LeakKind::Between,
                "bytes that nothing points to",
                at..part.start,
            );
        }
        at = at.max(part.end);
    }
    if at < bytes.len() {
        findings.add(LeakKind::Trailing, "bytes behind the end", at..bytes.len());
    }
}

/// How the samples lie.
#[derive(Debug, Clone, Copy)]
struct Layout {
    channels: usize,
    sample: usize,
    row: usize,
    alpha: bool,
    predicted: bool,
    deflated: bool,
    little: bool,
}

/// Follows the strips; `None` where the tags are no such picture as this program writes.
fn pixels(
    reader: &Reader<'_>,
    entries: &[Entry],
    parts: &mut Vec<Range<usize>>,
    findings: &mut Findings,
) -> Option<(u32, u32)> {
    let all = |tag: u16| {
        let entry = entries.iter().find(|e| e.tag == tag)?;
        reader.values(entry)
    };
    let one = |tag: u16, default: Option<u32>| match all(tag) {
        Some(values) => (values.len() == 1).then(|| values[0]),
        None => default,
    };
    let (width, height) = (one(256, None)?, one(257, None)?);
    let channels = one(277, Some(1))? as usize;
    let bits = all(258)?;
    let compression = one(259, Some(1))?;
    let predictor = one(317, Some(1))?;
    let extra = all(338).unwrap_or_default();
    let colours = match one(262, None)? {
        0 | 1 => 1,
        2 => 3,
        5 => 4,
        _ => return None,
    };
    let sound = width > 0
        && height > 0
        && (1..=5).contains(&channels)
        && bits.len() == channels
        && bits.iter().all(|&b| b == bits[0] && matches!(b, 8 | 16))
        && matches!(compression, 1 | 8)
        && (predictor == 1 || predictor == 2 && compression == 8)
        && one(284, Some(1))? == 1
        && one(254, Some(0))? == 0
        && all(339).is_none_or(|v| v.len() == channels && v.iter().all(|&f| f == 1))
        // Of any other meaning is a channel that nobody is shown.
        && matches!(extra[..], [] | [1 | 2])
        && channels == colours + extra.len();
    if !sound {
        return None;
    }
    let sample = bits[0] as usize / 8;
    let layout = Layout {
        channels,
        sample,
        row: (width as usize).checked_mul(channels * sample)?,
        alpha: extra.first().is_some_and(|&e| matches!(e, 1 | 2)),
        predicted: predictor == 2,
        deflated: compression == 8,
        little: reader.little,
    };
    let rows = match one(278, Some(height))? {
        0 => return None,
        // As many as there are.
        u32::MAX => height,
        rows if rows > height => return None,
        rows => rows,
    };
    let (offsets, lengths) = (all(273)?, all(279)?);
    if offsets.len() != height.div_ceil(rows) as usize || lengths.len() != offsets.len() {
        return None;
    }
    if !offsets.windows(2).all(|w| w[0] < w[1]) {
        findings.add(LeakKind::Malformed, "strips out of order", 0..0);
    }
    let mut hidden = 0;
    for (i, (&offset, &length)) in offsets.iter().zip(&lengths).enumerate() {
        let range = offset as usize..(offset as usize).checked_add(length as usize)?;
        let data = reader.bytes.get(range.clone())?;
        parts.push(range.clone());
        // Strips that share data could make the reader follow it again and again.
        if !reader.within(data.len()) {
            return None;
        }
        findings.worked(data.len() as u64);
        let here = rows.min(height - i as u32 * rows) as usize;
        let expected = layout.row.checked_mul(here)?;
        hidden += strip(data, expected, layout, range, findings);
    }
    findings.hidden(hidden);
    Some((width, height))
}

/// Looks at one strip; gives how many pixels hide a colour.
fn strip(
    data: &[u8],
    expected: usize,
    layout: Layout,
    range: Range<usize>,
    findings: &mut Findings,
) -> u64 {
    if !layout.deflated {
        match data.len().checked_sub(expected) {
            Some(0) if layout.alpha => return hidden(&mut data.to_vec(), layout),
            Some(0) => {}
            Some(spare) => findings.add(
                LeakKind::Slack,
                "bytes behind a strip",
                range.end - spare..range.end,
            ),
            None => findings.add(LeakKind::Malformed, "a strip cut short", range),
        }
        return 0;
    }
    if expected > data.len().saturating_mul(LARGEST_RATIO) {
        findings.add(LeakKind::Malformed, "a strip cut short", range);
        return 0;
    }
    let mut plain = Vec::with_capacity(if layout.alpha { expected } else { 0 });
    let followed = deflate::zlib(data, expected as u64, &mut |bytes| {
        if layout.alpha {
            plain.extend_from_slice(bytes);
        }
    });
    match followed {
        Err(what) => findings.add(LeakKind::Malformed, what, range),
        Ok(found) if found.written > expected as u64 => {
            findings.add(LeakKind::Slack, "more data than pixels", range);
        }
        Ok(found) if found.written < expected as u64 => {
            findings.add(LeakKind::Malformed, "a strip cut short", range);
        }
        Ok(found) => {
            findings.worked(found.written);
            if found.consumed < data.len() {
                let what = "bytes behind a strip's data";
                findings.add(
                    LeakKind::Slack,
                    what,
                    range.start + found.consumed..range.end,
                );
            } else if let Some(odd) = found.odd {
                findings.add(LeakKind::Slack, odd, range);
            }
        }
    }
    if layout.alpha {
        hidden(&mut plain, layout)
    } else {
        0
    }
}

/// Pixels with a colour under an alpha of 0.
fn hidden(plain: &mut [u8], layout: Layout) -> u64 {
    let (channels, sample) = (layout.channels, layout.sample);
    let step = channels * sample;
    let mut count = 0;
    for row in plain.chunks_exact_mut(layout.row) {
        if layout.predicted {
            if sample == 1 {
                (step..row.len()).for_each(|i| row[i] = row[i].wrapping_add(row[i - step]));
            } else {
                for i in (step..row.len()).step_by(2) {
                    let value = |row: &[u8], i: usize| {
                        let b = [row[i], row[i + 1]];
                        if layout.little {
                            u16::from_le_bytes(b)
                        } else {
                            u16::from_be_bytes(b)
                        }
                    };
                    let sum = value(row, i).wrapping_add(value(row, i - step));
                    let b = if layout.little {
                        sum.to_le_bytes()
                    } else {
                        sum.to_be_bytes()
                    };
                    row[i..i + 2].copy_from_slice(&b);
                }
            }
        }
        count += row
            .chunks_exact(step)
            .filter(|p| p[step - sample..].iter().all(|&b| b == 0) && p.iter().any(|&b| b != 0))
            .count() as u64;
    }
    count
}
