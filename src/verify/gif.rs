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
                let Some(next) = picture(bytes, at, size, own, &mut used, findings) else {
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

/// Follows the codes of a picture; gives where it ends.
fn picture(
    bytes: &[u8],
    at: usize,
    (width, height): (u32, u32),
    control: Control,
    used: &mut [bool; 256],
    findings: &mut Findings,
) -> Option<usize> {
    let head = bytes.get(at + 1..at + 10)?;
    let (w, h) = (word(head, 4), word(head, 6));
    if word(head, 0) + w > width || word(head, 2) + h > height {
        findings.add(
            LeakKind::Malformed,
            "a picture beyond the screen",
            at..at + 10,
        );
    }
    if head[8] & 0x38 != 0 {
        findings.add(
            LeakKind::Unknown,
            "unused flags of a picture",
            at + 9..at + 10,
        );
    }
    let local = at + 10..at + 10 + table(head[8]);
    let start = local.end;
    let end = sub_blocks(bytes, start + 1)?;
    let mut own = [false; 256];
    let seen = if local.is_empty() { used } else { &mut own };
    let mut data = Vec::with_capacity(end - start);
    let mut block = start + 1;
    while bytes[block] != 0 {
        let length = usize::from(bytes[block]);
        data.extend_from_slice(&bytes[block + 1..block + 1 + length]);
        block += 1 + length;
    }
    match follow(&data, u32::from(bytes[start]), seen) {
        Some((pixels, consumed)) => {
            if consumed < data.len() {
                let spare = data.len() - consumed;
                findings.add(
                    LeakKind::Slack,
                    "bytes behind the picture's codes",
                    end - spare..end,
                );
            }
            if pixels != u64::from(w) * u64::from(h) {
                findings.add(
                    LeakKind::Malformed,
                    "another number of pixels than the header says",
                    at..end,
                );
            }
        }
        None => findings.add(
            LeakKind::Malformed,
            "codes that can't be followed",
            start..end,
        ),
    }
    if !local.is_empty() {
        spare(
            &bytes[local.clone()],
            local.start,
            &own,
            control.transparent,
            findings,
        );
    }
    Some(end)
}

/// How many pixels the codes give, and how many bytes they take; marks the colours they name.
///
/// A string of the table is made of colours that came before it, so that only its length and its
/// first colour must be known.
fn follow(data: &[u8], literal_bits: u32, used: &mut [bool; 256]) -> Option<(u64, usize)> {
    if !(1..=8).contains(&literal_bits) {
        return None;
    }
    let (clear, end) = (1u32 << literal_bits, (1u32 << literal_bits) + 1);
    let mut first = vec![0u8; 1 << MOST_BITS];
    let mut lengths = vec![0u64; 1 << MOST_BITS];
    for i in 0..clear {
        (first[i as usize], lengths[i as usize]) = (i as u8, 1);
    }
    let (mut next, mut bits) = (clear + 2, literal_bits + 1);
    let mut previous: Option<u32> = None;
    let (mut held, mut count, mut at, mut pixels) = (0u32, 0, 0, 0u64);
    loop {
        while count < bits {
            held |= u32::from(*data.get(at)?) << count;
            (at, count) = (at + 1, count + 8);
        }
        let code = held & ((1 << bits) - 1);
        held >>= bits;
        count -= bits;
        if code == end {
            // What is left of the last byte must be nothing.
            return (held == 0).then_some((pixels, at));
        }
        if code == clear {
            (next, bits, previous) = (clear + 2, literal_bits + 1, None);
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
        }
        if let Some(p) = previous
            && next < 1 << MOST_BITS
        {
            first[next as usize] = first[p as usize];
            lengths[next as usize] = lengths[p as usize] + 1;
            next += 1;
            if next == 1 << bits && bits < MOST_BITS {
                bits += 1;
            }
        }
        pixels = pixels.saturating_add(length);
        previous = Some(code);
    }
}
