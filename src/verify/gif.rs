//! GIF: a screen, palettes without spare colours, pictures whose codes end where their data
//! ends, how long they are shown and how often, `3B`.

use std::ops::Range;

use super::{Findings, LeakKind, Moving};

pub(super) const SIGNATURES: [&[u8]; 2] = [b"GIF87a", b"GIF89a"];

/// Longest code in bits.
const MOST_BITS: u32 = 12;

fn word(b: &[u8], i: usize) -> u32 {
    u32::from(u16::from_le_bytes([b[i], b[i + 1]]))
}

const fn table(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

/// What a picture's control says.
#[derive(Debug, Clone, Copy, Default)]
struct Control {
    transparent: Option<u8>,
    /// In hundredths of a second.
    delay: u32,
    /// It is cleared away once it was shown.
    clear: bool,
}

/// Gives the size; in `moving`, how the pictures follow each other, if they do.
pub(super) fn inspect(
    bytes: &[u8],
    findings: &mut Findings,
    moving: &mut Option<Moving>,
) -> Option<(u32, u32)> {
    let Some(screen) = bytes.get(6..13) else {
        findings.add(LeakKind::Malformed, "no header", 0..bytes.len());
        return None;
    };
    let size = (word(screen, 0), word(screen, 2));
    // Bits of a colour's parts: as many as the palette needs, or all that there may be.
    let (global_table, depth, bits) = (screen[4] & 0x80 != 0, screen[4] >> 4 & 7, screen[4] & 7);
    let usual = matches!(depth, 0 | 7) || depth == bits;
    if !usual || screen[4] & 8 != 0 || !global_table && !matches!(bits, 0 | 7) {
        findings.add(LeakKind::Unknown, "unusual flags of the screen", 10..11);
    }
    if size.0 == 0 || size.1 == 0 {
        findings.add(LeakKind::Malformed, "a screen without pixels", 6..10);
    }
    if screen[5] != 0 || screen[6] != 0 {
        findings.add(
            LeakKind::Unknown,
            "a background colour or a shape of pixels",
            11..13,
        );
    }
    let global = 13..13 + table(screen[4]);
    let mut used = [false; 256];
    // Of the pictures that use the screen's palette.
    let mut transparent = None;
    let mut codes = Codes::default();
    let (mut control, mut plays, mut times) = (None::<Control>, None, Vec::new());
    let mut at = global.end;
    let ended = loop {
        match bytes.get(at) {
            Some(0x3B) => {
                at += 1;
                break true;
            }
            Some(0x21) => {
                let Some(next) = sub_blocks(bytes, at + 2) else {
                    break false;
                };
                let first = times.is_empty() && control.is_none();
                match bytes.get(at + 1) {
                    Some(0xF9) if control.is_none() => {
                        control = controlled(bytes, at..next, findings);
                    }
                    Some(0xFF) if first && plays.is_none() => {
                        plays = rounds(bytes, at..next, findings);
                    }
                    _ => unlisted(bytes, at..next, findings),
                }
                at = next;
            }
            Some(0x2C) => {
                let own = control.take().unwrap_or_default();
                times.push(own);
                let mut walk = Walk {
                    bytes,
                    size,
                    codes: &mut codes,
                    findings,
                };
                let Some(next) = walk.picture(at, own, &mut used) else {
                    break false;
                };
                if bytes[at + 9] & 0x80 == 0 {
                    if transparent.is_some() && transparent != own.transparent {
                        findings.add(LeakKind::Unknown, "several transparent colours", at..next);
                    }
                    transparent = transparent.or(own.transparent);
                }
                at = next;
            }
            _ => break false,
        }
    };
    if !ended {
        let from = at.min(bytes.len());
        findings.add(
            LeakKind::Malformed,
            "a block that can't be followed",
            from..bytes.len(),
        );
    } else if at < bytes.len() {
        findings.add(LeakKind::Trailing, "bytes behind the end", at..bytes.len());
    }
    if times.is_empty() {
        findings.add(LeakKind::Malformed, "no picture", 0..0);
    }
    if times.len() == 1 && plays.is_some() {
        findings.add(LeakKind::Unknown, "rounds of one picture", 0..0);
    }
    if control.is_some() {
        findings.add(LeakKind::Unknown, "a control without a picture", 0..0);
    }
    let moves = times.len() > 1 || times.iter().any(|c| c.delay > 0 || c.clear) || plays.is_some();
    *moving = moves.then(|| Moving {
        delays: times.iter().map(|c| f64::from(c.delay) / 100.0).collect(),
        plays: match plays {
            None => 1,
            Some(0) => 0,
            Some(again) => again + 1,
        },
    });
    if codes.waiting > 1 {
        let what = "transparent colours that no picture uses";
        findings.add(LeakKind::Unused, what, 0..0);
    }
    if let Some(colours) = bytes.get(global.clone()) {
        spare(colours, global.start, &used, transparent, findings);
    }
    Some(size)
}

/// Colours that no pixel uses must be black padding; what is transparent must be black as well.
fn spare(
    colours: &[u8],
    start: usize,
    used: &[bool; 256],
    transparent: Option<u8>,
    findings: &mut Findings,
) {
    let of = |i: usize| colours.get(3 * i..3 * i + 3).unwrap_or(&[0; 3]);
    let clear = |i: usize| transparent.is_some_and(|t| usize::from(t) == i);
    let mut shown: Vec<&[u8]> = (0..256).filter(|&i| used[i] && !clear(i)).map(of).collect();
    let all = shown.len();
    shown.sort_unstable();
    shown.dedup();
    if shown.len() < all {
        let what = "palette entries that look the same";
        findings.add(LeakKind::HiddenPixels, what, start..start + colours.len());
    }
    let count = (0..colours.len() / 3)
        .filter(|&i| !used[i] && of(i) != [0; 3])
        .count();
    if count > 0 {
        findings.add(
            LeakKind::Unused,
            format!("{count} palette entries that nothing uses"),
            start..start + 3 * count,
        );
    }
    if let Some(index) = transparent
        && of(usize::from(index)) != [0; 3]
    {
        let from = start + 3 * usize::from(index);
        findings.add(
            LeakKind::HiddenPixels,
            "a colour for what is transparent",
            from..from + 3,
        );
    }
}

/// Where a run of sub-blocks ends.
fn sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return (at <= bytes.len()).then_some(at);
        }
    }
}

/// A picture's control: transparency, time, and whether it stays; nothing else.
fn controlled(bytes: &[u8], whole: Range<usize>, findings: &mut Findings) -> Option<Control> {
    let block = &bytes[whole.clone()];
    // Length 4, flags, delay, index, end.
    let sound = block.len() == 8
        && block[2] == 4
        && block[3] & 0xE2 == 0
        && block[3] >> 2 <= 2
        && (block[3] & 1 == 1 || block[6] == 0);
    if !sound {
        findings.add(
            LeakKind::Unknown,
            "a graphic control with more than transparency and time",
            whole,
        );
        return None;
    }
    Some(Control {
        transparent: (block[3] & 1 == 1).then_some(block[6]),
        delay: word(block, 4),
        clear: block[3] >> 2 == 2,
    })
}

/// How often all is shown again.
fn rounds(bytes: &[u8], whole: Range<usize>, findings: &mut Findings) -> Option<u32> {
    let block = &bytes[whole.clone()];
    let sound = block.len() == 19 && block[2..].starts_with(b"\x0BNETSCAPE2.0\x03\x01");
    if !sound {
        unlisted(bytes, whole, findings);
        return None;
    }
    Some(word(block, 16))
}

fn unlisted(bytes: &[u8], whole: Range<usize>, findings: &mut Findings) {
    let block = &bytes[whole.clone()];
    let (kind, name) = match block[1] {
        0xF9 => (LeakKind::Unknown, "a further graphic control"),
        0xFE => (LeakKind::Comment, "comment"),
        0x01 => (LeakKind::Comment, "text"),
        0xFF if block[3..].starts_with(b"XMP DataXMP") => (LeakKind::Xmp, "XMP"),
        0xFF if block[3..].starts_with(b"ICCRGBG1012") => {
            (LeakKind::ColourProfile, "colour profile")
        }
        0xFF => (LeakKind::Unknown, "application extension"),
        _ => (LeakKind::Unknown, "extension"),
    };
    findings.add(kind, name, whole);
}

/// What the pictures of a file have in common.
#[derive(Default)]
struct Codes {
    /// The last transparent colour that its picture does not use, and how many there were.
    last: Option<u8>,
    waiting: u32,
    /// By a code and the colour behind it, whether the two have a code: a number of the table.
    known: Vec<u32>,
    table: u32,
}

struct Walk<'a> {
    bytes: &'a [u8],
    size: (u32, u32),
    codes: &'a mut Codes,
    findings: &'a mut Findings,
}

/// What a picture's codes gave.
struct Followed {
    pixels: u64,
    /// Bytes that they take.
    consumed: usize,
    /// What no encoder writes.
    odd: Option<&'static str>,
}

impl Walk<'_> {
    /// Follows a picture; gives where it ends.
    fn picture(&mut self, at: usize, control: Control, used: &mut [bool; 256]) -> Option<usize> {
        let bytes = self.bytes;
        let head = bytes.get(at + 1..at + 10)?;
        let (x, y, w, h) = (word(head, 0), word(head, 2), word(head, 4), word(head, 6));
        if x + w > self.size.0 || y + h > self.size.1 {
            let what = "a picture beyond the screen";
            self.findings.add(LeakKind::Malformed, what, at..at + 10);
        }
        if w == 0 || h == 0 {
            let what = "a picture without pixels";
            self.findings.add(LeakKind::Unknown, what, at..at + 10);
        }
        // Sorted, reserved, and the size of a palette that is not there.
        if head[8] & 0x38 != 0 || head[8] & 0x80 == 0 && head[8] & 7 != 0 {
            let what = "unused flags of a picture";
            self.findings.add(LeakKind::Unknown, what, at + 9..at + 10);
        }
        let local = at + 10..at + 10 + table(head[8]);
        let start = local.end;
        let end = sub_blocks(bytes, start + 1)?;
        self.findings.worked((end - start) as u64);
        let data = self.blocks(start, end);
        let mut own = [false; 256];
        match self.codes.follow(&data, u32::from(bytes[start]), &mut own) {
            Some(found) => {
                let spare = data.len() - found.consumed;
                if spare > 0 {
                    let what = "bytes behind the picture's codes";
                    self.findings.add(LeakKind::Slack, what, end - spare..end);
                }
                if found.pixels != u64::from(w) * u64::from(h) {
                    let what = "another number of pixels than the header says";
                    self.findings.add(LeakKind::Malformed, what, at..end);
                }
                if let Some(odd) = found.odd {
                    self.findings.add(LeakKind::Slack, odd, start..end);
                }
            }
            None => {
                let what = "codes that can't be followed";
                self.findings.add(LeakKind::Malformed, what, start..end);
            }
        }
        self.colours(&own, control, local.clone(), at..end);
        // What shows nothing lies where it says nothing.
        let nothing = control
            .transparent
            .is_some_and(|t| (0..256).all(|i| !own[i] || i == usize::from(t)));
        let whole = (w, h) == self.size || (w, h) == (1, 1);
        if nothing && !(whole && x == 0 && y == 0) {
            let what = "a picture that shows nothing";
            self.findings.add(LeakKind::Unknown, what, at..at + 10);
        }
        if local.is_empty() {
            (0..256).for_each(|i| used[i] |= own[i]);
        } else {
            let colours = &bytes[local.clone()];
            spare(
                colours,
                local.start,
                &own,
                control.transparent,
                self.findings,
            );
        }
        Some(end)
    }

    /// Whether all colours are of the palette, and the transparent one says no more than it must.
    fn colours(
        &mut self,
        own: &[bool; 256],
        control: Control,
        local: Range<usize>,
        whole: Range<usize>,
    ) {
        let entries = if local.is_empty() {
            table(self.bytes[10]) / 3
        } else {
            local.len() / 3
        };
        let clear = control.transparent.map(usize::from);
        if (entries..256).any(|i| own[i] && clear != Some(i)) {
            let what = "pixels without a palette entry";
            self.findings.add(LeakKind::HiddenPixels, what, whole);
        }
        // Encoders take the first colour behind those that are used, or always the same.
        let usual = (0..256).rev().find(|&i| own[i]).map_or(0, |most| most + 1);
        let waits = clear.is_some_and(|i| !own[i] && i != usual);
        if waits && self.codes.last != control.transparent {
            self.codes.last = control.transparent;
            self.codes.waiting += 1;
        }
    }

    /// The data of sub-blocks: all of them as long as the first, but that the last may be shorter.
    fn blocks(&mut self, start: usize, end: usize) -> Vec<u8> {
        let bytes = self.bytes;
        let mut data = Vec::with_capacity(end - start);
        let (mut block, mut last) = (start + 1, None);
        let mut at_will = false;
        while bytes[block] != 0 {
            let length = usize::from(bytes[block]);
            at_will |=
                last.is_some_and(|last| last != usize::from(bytes[start + 1]) || length > last);
            last = Some(length);
            data.extend_from_slice(&bytes[block + 1..block + 1 + length]);
            block += 1 + length;
        }
        if at_will {
            let what = "data that is divided at will";
            self.findings.add(LeakKind::Unknown, what, start..end);
        }
        data
    }
}

impl Codes {
    /// How many pixels the codes give, and how many bytes they take; marks the colours they name.
    ///
    /// A string of the table is made of colours that came before it, so that only its length and
    /// its first colour must be known. Encoders take the longest string there is (some miss a few), or
    /// no strings at all, and clear the table when it is full, or always after as many codes.
    fn follow(
        &mut self,
        data: &[u8],
        literal_bits: u32,
        used: &mut [bool; 256],
    ) -> Option<Followed> {
        if !(1..=8).contains(&literal_bits) {
            return None;
        }
        let (clear, end) = (1u32 << literal_bits, (1u32 << literal_bits) + 1);
        let mut first = vec![0u8; 1 << MOST_BITS];
        let mut lengths = vec![0u64; 1 << MOST_BITS];
        for i in 0..clear {
            (first[i as usize], lengths[i as usize]) = (i as u8, 1);
        }
        self.known.resize(1 << (MOST_BITS + 8), 0);
        self.table += 1;
        let (mut next, mut bits) = (clear + 2, literal_bits + 1);
        let mut previous: Option<u32> = None;
        let (mut held, mut count, mut at, mut pixels) = (0u32, 0, 0, 0u64);
        let (mut since, mut early, mut odd) = (0u32, None, None);
        let (mut strings, mut shorter, mut all) = (false, 0u32, 0u32);
        loop {
            while count < bits {
                held |= u32::from(*data.get(at)?) << count;
                (at, count) = (at + 1, count + 8);
            }
            let code = held & ((1 << bits) - 1);
            held >>= bits;
            count -= bits;
            if code == end {
                if strings && shorter > 4 + all / 512 {
                    odd = Some("codes that are shorter than they could be");
                }
                // What is left of the last byte must be nothing.
                return (held == 0).then_some(Followed {
                    pixels,
                    consumed: at,
                    odd,
                });
            }
            if code == clear {
                let full = next >= (1 << MOST_BITS) - 2;
                if pixels > 0 && !full && *early.get_or_insert(since) != since
                    || since == 0 && (pixels > 0 || at > 2)
                {
                    odd = Some("a table of codes that is cleared at will");
                }
                (next, bits, previous, since) = (clear + 2, literal_bits + 1, None, 0);
                self.table += 1;
                continue;
            }
            let known = code < clear || (clear + 2..next).contains(&code);
            let length = match previous {
                _ if known => lengths[code as usize],
                Some(p) if code == next => lengths[p as usize] + 1,
                _ => return None,
            };
            if code < clear {
                used[code as usize] = true;
            } else {
                strings = true;
            }
            if let Some(p) = previous {
                let colour = if code == next {
                    first[p as usize]
                } else {
                    first[code as usize]
                };
                let pair = (p << 8 | u32::from(colour)) as usize;
                // The two had a code: the longer string was not taken.
                shorter += u32::from(self.known[pair] == self.table);
                if next < 1 << MOST_BITS {
                    self.known[pair] = self.table;
                    first[next as usize] = first[p as usize];
                    lengths[next as usize] = lengths[p as usize] + 1;
                    next += 1;
                    if next == 1 << bits && bits < MOST_BITS {
                        bits += 1;
                    }
                }
            }
            (since, all) = (since + 1, all + 1);
            pixels = pixels.saturating_add(length);
            previous = Some(code);
        }
    }
}
