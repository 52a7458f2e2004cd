//! PNG: IHDR, PLTE, tRNS, IDAT, IEND. The zlib stream ends where the data ends and gives as many
//! bytes as the header asks for, no colour hides under transparency, no palette entry is spare.
//! Of an animation acTL, fcTL and fdAT too, numbered in order: each picture is drawn instead of
//! what was there and stays, the first one on the whole canvas and in IDAT.

mod rows;

use std::ops::Range;

use super::{Findings, LeakKind, Moving, deflate};
use rows::Rows;

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

#[derive(Debug, Clone, Copy)]
struct Header {
    width: u32,
    height: u32,
    depth: u8,
    colour: u8,
}

impl Header {
    fn read(b: &[u8]) -> Option<Self> {
        let word = |i: usize| Some(u32::from_be_bytes(b.get(i..i + 4)?.try_into().ok()?));
        let header = Self {
            width: word(0)?,
            height: word(4)?,
            depth: *b.get(8)?,
            colour: *b.get(9)?,
        };
        let depths: &[u8] = match header.colour {
            0 => &[1, 2, 4, 8, 16],
            3 => &[1, 2, 4, 8],
            2 | 4 | 6 => &[8, 16],
            _ => return None,
        };
        // Compression and filter method 0; interlaced pictures can't be followed row by row.
        let sound = b.len() == 13 && b[10..] == [0, 0, 0] && header.width > 0 && header.height > 0;
        (sound && depths.contains(&header.depth)).then_some(header)
    }

    const fn channels(self) -> usize {
        match self.colour {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        }
    }

    const fn row_bits(self) -> usize {
        self.width as usize * self.channels() * self.depth as usize
    }

    const fn row_bytes(self) -> usize {
        self.row_bits().div_ceil(8)
    }

    /// Bytes from a sample to the same sample of the pixel before it, for filters.
    const fn step(self) -> usize {
        let bits = self.channels() * self.depth as usize;
        if bits < 8 { 1 } else { bits / 8 }
    }
}

/// One picture of an animation.
#[derive(Debug, Default)]
struct Part {
    width: u32,
    height: u32,
    /// In seconds.
    delay: f64,
    /// The same as it is written.
    fraction: (u16, u16),
    data: Vec<Range<usize>>,
}

/// What makes an animation.
#[derive(Debug, Default)]
struct Control {
    /// Pictures and rounds.
    said: Option<(u32, u32)>,
    parts: Vec<Part>,
    /// The number that the next chunk must bear.
    number: u32,
}

impl Control {
    fn numbered(&mut self, content: &[u8]) -> bool {
        let is = content.get(..4) == Some(&self.number.to_be_bytes());
        self.number += 1;
        is
    }

    /// A picture's place and time.
    fn place(&mut self, content: &[u8], header: Header) -> bool {
        let right = self.numbered(content);
        let Some(b) = content.get(..26).filter(|_| content.len() == 26) else {
            return false;
        };
        let word = |i: usize| u32::from_be_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let half = |i: usize| u16::from_be_bytes([b[i], b[i + 1]]);
        let (width, height) = (word(4), word(8));
        let fits = |at: u32, side: u32, most: u32| {
            side > 0 && at.checked_add(side).is_some_and(|end| end <= most)
        };
        let whole = (width, height) == (header.width, header.height);
        self.parts.push(Part {
            width,
            height,
            fraction: (half(20), half(22)),
            delay: f64::from(half(20)) / f64::from(if half(22) == 0 { 100 } else { half(22) }),
            data: Vec::new(),
        });
        // Neither cleared nor brought back, drawn instead of what was there.
        right
            && b[24..] == [0, 0]
            && fits(word(12), width, header.width)
            && fits(word(16), height, header.height)
            && (self.parts.len() > 1 || whole)
    }
}

impl Control {
    /// Whether all times are fractions in lowest terms, or all of the same unit.
    fn written_alike(&self) -> bool {
        let lowest = |&(mut a, mut b): &(u16, u16)| {
            let nothing = a == 0;
            while b > 0 {
                (a, b) = (b, a % b);
            }
            !nothing && a == 1
        };
        let mut all = self.parts.iter().map(|p| p.fraction);
        let same = all.next().is_none_or(|first| all.all(|f| f.1 == first.1));
        let nothing = |f: &(u16, u16)| f.0 == 0 && matches!(f.1, 1 | 100 | 1000);
        let mut lowest_or_0 = self.parts.iter().map(|p| p.fraction);
        // Of nothing, the unit must be one and the same.
        let mut units: Vec<u16> = self
            .parts
            .iter()
            .map(|p| p.fraction)
            .filter(|f| f.0 == 0)
            .map(|f| f.1)
            .collect();
        units.dedup();
        same || units.len() <= 1 && lowest_or_0.all(|f| lowest(&f) || nothing(&f))
    }
}

/// Gives the size; in `moving`, how the pictures follow each other, if they do.
pub(super) fn inspect(
    bytes: &[u8],
    findings: &mut Findings,
    moving: &mut Option<Moving>,
) -> Option<(u32, u32)> {
    let mut control = Control::default();
    let mut at = SIGNATURE.len();
    let mut header = None;
    let (mut palette, mut transparency) = (None, None);
    let mut data: Vec<Range<usize>> = Vec::new();
    let mut last = [0; 4];
    loop {
        let chunk = bytes.get(at..at + 8).and_then(|head| {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let body = at + 8..(at + 8).checked_add(length)?;
            let crc = bytes.get(body.end..body.end.checked_add(4)?)?;
            Some((
                [head[4], head[5], head[6], head[7]],
                body,
                u32::from_be_bytes([crc[0], crc[1], crc[2], crc[3]]),
            ))
        });
        let Some((kind, body, crc)) = chunk else {
            findings.add(
                LeakKind::Malformed,
                "no end chunk",
                at.min(bytes.len())..bytes.len(),
            );
            break;
        };
        let whole = at..body.end + 4;
        if crc32(&bytes[at + 4..body.end]) != crc {
            findings.add(
                LeakKind::Malformed,
                "chunk with a wrong checksum",
                whole.clone(),
            );
        }
        at = whole.end;
        let content = &bytes[body.clone()];
        match &kind {
            b"IHDR" if header.is_none() => match Header::read(content) {
                Some(h) => header = Some(h),
                None => {
                    findings.add(LeakKind::Malformed, "header that can't be followed", whole);
                    return None;
                }
            },
            b"PLTE" if palette.is_none() => palette = Some(body),
            b"tRNS" if transparency.is_none() => transparency = Some(body),
            b"IDAT" if data.is_empty() || last == *b"IDAT" => data.push(body),
            b"acTL" if control.said.is_none() && data.is_empty() && content.len() == 8 => {
                let word = |i: usize| {
                    u32::from_be_bytes([content[i], content[i + 1], content[i + 2], content[i + 3]])
                };
                control.said = Some((word(0), word(4)));
            }
            b"fcTL" if control.said.is_some() && header.is_some() => {
                let first = data.is_empty() == control.parts.is_empty();
                if !header.is_some_and(|h| control.place(content, h)) || !first {
                    findings.add(
                        LeakKind::Unknown,
                        "a picture that is not simply drawn",
                        whole,
                    );
                }
            }
            b"fdAT" if control.parts.len() > 1 => {
                if !control.numbered(content) || content.len() < 4 {
                    findings.add(LeakKind::Malformed, "data out of order", whole);
                } else if let Some(part) = control.parts.last_mut() {
                    part.data.push(body.start + 4..body.end);
                }
            }
            b"IEND" => {
                if !content.is_empty() {
                    findings.add(LeakKind::Slack, "bytes in the end chunk", body);
                }
                break;
            }
            _ => unlisted(&kind, content, whole, findings),
        }
        last = kind;
    }
    if at < bytes.len() {
        findings.add(LeakKind::Trailing, "bytes behind the end", at..bytes.len());
    }
    let Some(header) = header else {
        findings.add(LeakKind::Malformed, "no header", 0..bytes.len());
        return None;
    };
    let slice = |r: &Option<Range<usize>>| r.clone().map(|r| &bytes[r]);
    let mut rows = Rows::new(header, slice(&palette), slice(&transparency));
    stream(bytes, &data, &mut rows, findings);
    if let Some((frames, plays)) = control.said {
        if header.colour == 3 {
            findings.add(LeakKind::Unknown, "an animation with a palette", 0..0);
        }
        if !control.written_alike() {
            let what = "times that are written in several ways";
            findings.add(LeakKind::Unknown, what, 0..0);
        }
        if plays > u32::from(u16::MAX) {
            findings.add(LeakKind::Unknown, "an unusual number of rounds", 0..0);
        }
        if frames as usize != control.parts.len() || frames == 0 {
            findings.add(
                LeakKind::Malformed,
                "another number of pictures than is said",
                0..0,
            );
        }
        for part in control.parts.iter().skip(1) {
            let own = Header {
                width: part.width,
                height: part.height,
                ..header
            };
            let mut rows = Rows::new(own, None, slice(&transparency));
            stream(bytes, &part.data, &mut rows, findings);
            rows.finish(findings);
        }
        *moving = Some(Moving {
            delays: control.parts.iter().map(|p| p.delay).collect(),
            plays,
        });
    }
    rows.finish(findings);
    Some((header.width, header.height))
}

fn unlisted(kind: &[u8; 4], content: &[u8], whole: Range<usize>, findings: &mut Findings) {
    let (leak, name) = match kind {
        b"eXIf" => (LeakKind::Exif, "EXIF".to_string()),
        b"iTXt" if content.starts_with(b"XML:com.adobe.xmp") => (LeakKind::Xmp, "XMP".into()),
        b"tEXt" | b"zTXt" | b"iTXt" => (LeakKind::Comment, "text".into()),
        b"iCCP" => (LeakKind::ColourProfile, "colour profile".into()),
        b"tIME" => (LeakKind::Comment, "time".into()),
        b"acTL" | b"fcTL" | b"fdAT" => (LeakKind::SecondPicture, "animation".into()),
        _ => (
            LeakKind::Unknown,
            format!("chunk '{}'", kind.escape_ascii()),
        ),
    };
    findings.add(leak, name, whole);
}

/// Inflates the data and hands it on; names what does not fit.
fn stream(bytes: &[u8], data: &[Range<usize>], rows: &mut Rows<'_>, findings: &mut Findings) {
    // Deflate makes at most 1,032 bytes of one. A header that promises longer rows must not make
    // this reader allocate them (found by fuzzing).
    let coded: usize = data.iter().map(Range::len).sum();
    if rows.header.row_bytes() > coded.saturating_mul(1032) {
        let whole = data.first().cloned().unwrap_or(0..0);
        findings.add(LeakKind::Malformed, "rows longer than its data", whole);
        return;
    }
    // Encoders cut the stream wherever their buffer is full.
    let divided = data.split_last().is_none_or(|(last, before)| {
        let sizes = before.first().map_or(last.len(), Range::len);
        before.iter().all(|r| r.len() == sizes) && last.len() <= sizes && !last.is_empty()
    });
    let whole = data.first().map_or(0, |r| r.start)..data.last().map_or(0, |r| r.end);
    if !divided {
        let what = "data that is divided at will";
        findings.add(LeakKind::Unknown, what, whole.clone());
    }
    let joined: std::borrow::Cow<'_, [u8]> = match data {
        [one] => bytes[one.clone()].into(),
        _ => data
            .iter()
            .flat_map(|r| &bytes[r.clone()])
            .copied()
            .collect::<Vec<_>>()
            .into(),
    };
    let length = 1 + rows.header.row_bytes() as u64;
    let due = length.saturating_mul(rows.header.height.into());
    let followed = deflate::zlib(&joined, due, &mut |bytes| rows.take(bytes));
    match followed {
        Err(what) => findings.add(LeakKind::Malformed, what, whole),
        Ok(found) => {
            findings.worked(found.written);
            if found.written > due {
                findings.add(LeakKind::Slack, "more data than pixels", whole);
            } else if found.consumed < joined.len() {
                let what = "bytes behind the picture's data";
                let spare = joined.len() - found.consumed;
                findings.add(
                    LeakKind::Slack,
                    what,
                    whole.end - spare.min(whole.len())..whole.end,
                );
            } else if let Some(odd) = found.odd {
                findings.add(LeakKind::Slack, odd, whole);
            }
        }
    }
}

/// The CRC of PNG (ISO 3309), eight bytes at a time.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLES: [[u32; 256]; 8] = tables();
    let mut crc = u32::MAX;
    let mut eights = bytes.chunks_exact(8);
    for e in &mut eights {
        let low = crc ^ u32::from_le_bytes([e[0], e[1], e[2], e[3]]);
        crc = TABLES[7][(low & 0xFF) as usize]
            ^ TABLES[6][(low >> 8 & 0xFF) as usize]
            ^ TABLES[5][(low >> 16 & 0xFF) as usize]
            ^ TABLES[4][(low >> 24) as usize]
            ^ TABLES[3][usize::from(e[4])]
            ^ TABLES[2][usize::from(e[5])]
            ^ TABLES[1][usize::from(e[6])]
            ^ TABLES[0][usize::from(e[7])];
    }
    for &byte in eights.remainder() {
        crc = crc >> 8 ^ TABLES[0][((crc ^ u32::from(byte)) & 0xFF) as usize];
    }
    !crc
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut t = 1;
    while t < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[t - 1][i];
            tables[t][i] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            i += 1;
        }
        t += 1;
    }
    tables
}
