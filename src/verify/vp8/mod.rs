//! VP8 key frames, the lossy pictures of WebP: follows every coded decision without making a pixel,
//! so that each byte of each part is known to be needed.
//!
//! An arithmetic coder's data has no end mark. But its length follows from what was coded: the
//! coder's state is the same on both sides, so that the reader knows how many bytes the writer
//! gave, and that what is left of its value is nothing. True of libwebp, which writes nearly all
//! lossy WebP files there are; another program's may end otherwise, and is then not passed.
//!
//! Source: RFC 6386.

mod tables;

use std::{cell::RefCell, ops::Range};

use tables::{CHANGES, MODES, TOKENS};

/// Frame tag, start code and sides.
const HEADER: usize = 10;
/// Probabilities that are changed and not used: encoders guess some from a part of the picture.
const MOST_UNUSED: usize = 32;
/// The mode that blocks outside the picture count as having.
const DC: u8 = 0;

/// Something that is not needed or not as it should be, in bytes of the chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// Bytes behind what was coded.
    Spare(Range<usize>),
    /// It says what nothing needs.
    Unused(&'static str),
    /// It can't be followed, or is no plain key frame.
    Broken(&'static str),
}

/// The arithmetic decoder.
struct Coder<'a> {
    data: &'a [u8],
    at: usize,
    value: u32,
    range: u32,
    /// Bits shifted since the last byte was taken.
    shifted: u32,
    /// Bits shifted in all.
    total: u64,
    over: bool,
    /// There were numbers that say nothing.
    spare: bool,
}

impl<'a> Coder<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut coder = Self {
            data,
            at: 0,
            value: 0,
            range: 255,
            shifted: 0,
            total: 0,
            over: false,
            spare: false,
        };
        coder.value = coder.byte() << 8 | coder.byte();
        coder
    }

    fn byte(&mut self) -> u32 {
        // Beyond the end there are zeros; that there are not too many of them is seen at the end.
        let byte = self.data.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        self.over |= self.at > self.data.len() + 4;
        u32::from(byte)
    }

    fn bit(&mut self, probability: u8) -> bool {
        let split = 1 + (((self.range - 1) * u32::from(probability)) >> 8);
        let one = self.value >= split << 8;
        if one {
            self.range -= split;
            self.value -= split << 8;
        } else {
            self.range = split;
        }
        let shift = self.range.leading_zeros() - 24;
        if shift > 0 {
            self.range <<= shift;
            self.total += u64::from(shift);
            let room = 8 - self.shifted;
            if shift < room {
                self.value <<= shift;
                self.shifted += shift;
            } else {
                self.value <<= room;
                self.value |= self.byte();
                self.value <<= shift - room;
                self.shifted = shift - room;
            }
        }
        one
    }

    fn flag(&mut self) -> bool {
        self.bit(128)
    }

    fn number(&mut self, bits: u32) -> u32 {
        (0..bits).fold(0, |n, _| n << 1 | u32::from(self.flag()))
    }

    /// A number with a sign that may be left out, and is where it is 0.
    fn optional(&mut self, bits: u32) {
        if self.flag() {
            self.spare |= self.number(bits) >> 1 == 0;
        }
    }

    /// A leaf of a tree whose leaves are negative, the leaf 0 written as -128.
    fn leaf(&mut self, tree: &[i8], probabilities: &[u8]) -> u8 {
        let mut node = 0usize;
        loop {
            let next = tree[node + usize::from(self.bit(probabilities[node / 2]))];
            if next <= 0 {
                return if next == -128 { 0 } else { -next as u8 };
            }
            node = next as usize;
        }
    }

    /// Reads the writer's last bits; how many bytes are needed, if nothing of them is left.
    fn end(mut self) -> Option<usize> {
        // The writer holds back 8 bits, gives a byte for each further 8, and at the end pads with
        // zeros until 9 more than it holds are written, then gives one byte more.
        let given = |total: u64| total.saturating_sub(8).div_ceil(8);
        let held = self.total as i64 - 8 - 8 * given(self.total) as i64;
        for _ in 0..9 - held {
            if self.flag() {
                return None;
            }
        }
        let length = given(self.total) as usize + 1;
        // What was read ahead must be nothing as well, as far as it belongs to this part.
        let ahead = self.at.saturating_sub(length) as u32;
        let left = self.value >> (8 * ahead + self.shifted).min(31);
        (left == 0 && !self.over && length <= self.data.len()).then_some(length)
    }
}

/// What the frame's header says of all blocks.
struct Frame {
    across: usize,
    down: usize,
    segments: Option<[u8; 3]>,
    skip: Option<u8>,
    tokens: Box<[[u8; 11]; 96]>,
    /// Which of them are not the usual ones, and were not used yet.
    changed: RefCell<Box<[[bool; 11]; 96]>>,
}

/// One macroblock: whether its blocks have modes of their own, and whether it has no tokens.
#[derive(Clone, Copy)]
struct Macroblock {
    own_modes: bool,
    skipped: bool,
}

/// Width and height by the header.
pub(super) fn size(content: &[u8]) -> Option<(u32, u32)> {
    let header = content.get(6..HEADER)?;
    let side = |i: usize| u32::from(u16::from_le_bytes([header[i], header[i + 1]]) & 0x3FFF);
    Some((side(0), side(2)))
}

/// Follows a chunk's content and names what is odd in it.
pub(super) fn follow(content: &[u8]) -> Vec<Oddity> {
    walk(content).unwrap_or_else(|what| vec![Oddity::Broken(what)])
}

fn walk(content: &[u8]) -> Result<Vec<Oddity>, &'static str> {
    let header = content.get(..HEADER).ok_or("no frame")?;
    let tag = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    if tag & 0x11 != 0x10 || tag >> 1 & 7 > 3 || header[3..6] != [0x9D, 0x01, 0x2A] {
        return Err("a frame that is hidden or no key frame");
    }
    let side = |i: usize| usize::from(u16::from_le_bytes([header[i], header[i + 1]]));
    if side(6) >> 14 != 0 || side(8) >> 14 != 0 {
        return Err("a frame that is scaled");
    }
    let modes = HEADER..HEADER + (tag >> 5) as usize;
    let mut coder = Coder::new(content.get(modes.clone()).ok_or("modes cut short")?);
    let (mut frame, parts) = frame(&mut coder);
    (frame.across, frame.down) = (side(6).div_ceil(16), side(8).div_ceil(16));
    let blocks = macroblocks(&mut coder, &frame)?;
    let mut odd = Vec::new();
    if coder.spare {
        odd.push(Oddity::Unused("numbers that say nothing"));
    }
    ended(coder, modes.clone(), &mut odd)?;
    // Three bytes of length for each part but the last.
    let mut start = modes.end + 3 * (parts - 1);
    let mut coders = Vec::new();
    for i in 0..parts {
        let length = content
            .get(modes.end + 3 * i..modes.end + 3 * i + 3)
            .map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], 0]) as usize);
        let range = if i + 1 == parts {
            start..content.len()
        } else {
            start..start + length
        };
        let data = content.get(range.clone()).ok_or("tokens cut short")?;
        coders.push((Coder::new(data), range.clone()));
        start = range.end;
    }
    tokens(&mut coders, &frame, &blocks)?;
    let unused = frame
        .changed
        .borrow()
        .as_flattened()
        .iter()
        .filter(|c| **c)
        .count();
    if unused > MOST_UNUSED {
        odd.push(Oddity::Unused("probabilities that no block uses"));
    }
    if coders.iter().any(|(coder, _)| coder.spare) {
        odd.push(Oddity::Unused("zeros at the end of a block"));
    }
    for (coder, range) in coders {
        ended(coder, range, &mut odd)?;
    }
    // libwebp counts the byte that makes a chunk's length even as a part of the picture.
    let even = content.len().is_multiple_of(2) && content.ends_with(&[0]);
    odd.retain(|o| *o != Oddity::Spare(content.len() - 1..content.len()) || !even);
    Ok(odd)
}

fn ended(coder: Coder<'_>, range: Range<usize>, odd: &mut Vec<Oddity>) -> Result<(), &'static str> {
    let length = coder
        .end()
        .ok_or("codes that end in another way than they should")?;
    if length < range.len() {
        odd.push(Oddity::Spare(range.start + length..range.end));
    }
    Ok(())
}

/// Reads the header; the second is in how many parts the tokens lie.
fn frame(coder: &mut Coder<'_>) -> (Frame, usize) {
    // No other space of colours, no reckless sums.
    coder.spare |= coder.number(2) != 0;
    let mut segments = None;
    if coder.flag() {
        let map = coder.flag();
        if coder.flag() {
            coder.flag();
            (0..4).for_each(|_| coder.optional(8));
            (0..4).for_each(|_| coder.optional(7));
        }
        if map {
            segments = Some([0; 3].map(|_: u8| {
                if coder.flag() {
                    coder.number(8) as u8
                } else {
                    255
                }
            }));
        }
    }
    // Loop filter: kind, level, sharpness, then its changes by mode.
    coder.number(10);
    if coder.flag() && coder.flag() {
        // Of all frames that others may be made from, and all modes, a key frame has one each.
        for i in 0..8 {
            let before = coder.total;
            coder.optional(7);
            // One bit says that there is none.
            coder.spare |= coder.total > before + 2 && !matches!(i, 0 | 4);
        }
    }
    let parts = 1 << coder.number(2);
    coder.number(7);
    (0..5).for_each(|_| coder.optional(5));
    coder.flag();
    let mut tokens = Box::new(TOKENS);
    let mut changed = Box::new([[false; 11]; 96]);
    for (i, (row, changes)) in tokens.iter_mut().zip(&CHANGES).enumerate() {
        for (j, (token, &change)) in row.iter_mut().zip(changes).enumerate() {
            if coder.bit(change) {
                *token = coder.number(8) as u8;
                changed[i][j] = true;
            }
        }
    }
    let skip = coder.flag().then(|| coder.number(8) as u8);
    let frame = Frame {
        across: 0,
        down: 0,
        segments,
        skip,
        tokens,
        changed: RefCell::new(changed),
    };
    (frame, parts)
}

fn macroblocks(coder: &mut Coder<'_>, frame: &Frame) -> Result<Vec<Macroblock>, &'static str> {
    // Leaves are negative, and leaf 0 is -128. Modes are numbered as in the RFC: DC, true motion,
    // vertical, horizontal, then those that blocks alone have.
    const SEGMENT: [i8; 6] = [2, 4, -128, -1, -2, -3];
    const MODE: [i8; 18] = [
        -128, 2, -1, 4, -2, 6, 8, 12, -3, 10, -5, -6, -4, 14, -7, 16, -8, -9,
    ];
    // Leaves: a mode of all blocks, or 10 for modes of their own.
    const LUMA: [i8; 8] = [-10, 2, 4, 6, -128, -2, -3, -1];
    const CHROMA: [i8; 6] = [-128, 2, -2, 4, -3, -1];
    let mut above = vec![DC; frame.across * 4];
    let mut all = Vec::new();
    for _ in 0..frame.down {
        let mut left = [DC; 4];
        for x in 0..frame.across {
            if let Some(probabilities) = &frame.segments {
                coder.leaf(&SEGMENT, probabilities);
            }
            let skipped = frame.skip.is_some_and(|p| coder.bit(p));
            let mode = coder.leaf(&LUMA, &[145, 156, 163, 128]);
            let above = &mut above[x * 4..x * 4 + 4];
            if mode == 10 {
                for left in &mut left {
                    for above in above.iter_mut() {
                        let row = 10 * usize::from(*above) + usize::from(*left);
                        let own = coder.leaf(&MODE, &MODES[row]);
                        (*above, *left) = (own, own);
                    }
                }
            } else {
                above.fill(mode);
                left.fill(mode);
            }
            coder.leaf(&CHROMA, &[142, 114, 183]);
            if coder.over {
                return Err("modes cut short");
            }
            all.push(Macroblock {
                own_modes: mode == 10,
                skipped,
            });
        }
    }
    Ok(all)
}

/// Whether blocks beside a macroblock have tokens: four of luma, two and two of chroma, one of
/// averages.
type Context = [u8; 9];

fn tokens(
    coders: &mut [(Coder<'_>, Range<usize>)],
    frame: &Frame,
    blocks: &[Macroblock],
) -> Result<(), &'static str> {
    let parts = coders.len();
    let mut above: Vec<Context> = vec![[0; 9]; frame.across];
    for (y, row) in blocks.chunks(frame.across.max(1)).enumerate() {
        let coder = &mut coders[y % parts].0;
        let mut left: Context = [0; 9];
        for (block, above) in row.iter().zip(&mut above) {
            if block.skipped {
                for side in [&mut left, above] {
                    side[..8].fill(0);
                    if !block.own_modes {
                        side[8] = 0;
                    }
                }
                continue;
            }
            macroblock(coder, frame, block.own_modes, &mut left, above);
            if coder.over {
                return Err("tokens cut short");
            }
        }
    }
    Ok(())
}

fn macroblock(
    coder: &mut Coder<'_>,
    frame: &Frame,
    own_modes: bool,
    left: &mut Context,
    above: &mut Context,
) {
    // Kinds: 0 luma without its average, 1 averages, 2 chroma, 3 luma with its average.
    let (kind, first) = if own_modes {
        (3, 0)
    } else {
        let some = block(coder, frame, 1, 0, left[8] + above[8]);
        (left[8], above[8]) = (some, some);
        (0, 1)
    };
    let planes = [(0..4, kind, first), (4..6, 2, 0), (6..8, 2, 0)];
    for (plane, kind, first) in planes {
        for left in &mut left[plane.clone()] {
            for above in &mut above[plane.clone()] {
                let some = block(coder, frame, kind, first, *left + *above);
                (*left, *above) = (some, some);
            }
        }
    }
}

/// Follows one block's tokens; 1 if it has any.
fn block(coder: &mut Coder<'_>, frame: &Frame, kind: usize, first: usize, context: u8) -> u8 {
    const BANDS: [usize; 16] = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7];
    let row = |i: usize, context: u8| {
        let row = (8 * kind + BANDS[i]) * 3 + usize::from(context);
        // Which of a row were used is known only roughly: that the row was.
        frame.changed.borrow_mut()[row] = [false; 11];
        &frame.tokens[row]
    };
    let mut p = row(first, context);
    let mut i = first;
    if !coder.bit(p[0]) {
        return 0;
    }
    loop {
        // Zeros, after which there is always something more.
        while !coder.bit(p[1]) {
            i += 1;
            if i == 16 {
                coder.spare = true;
                return 1;
            }
            p = row(i, 0);
        }
        let next = if coder.bit(p[2]) {
            large(coder, p);
            2
        } else {
            1
        };
        // The sign.
        coder.flag();
        i += 1;
        if i == 16 {
            return 1;
        }
        p = row(i, next);
        if !coder.bit(p[0]) {
            return 1;
        }
    }
}

/// Follows a token of 2 or more.
fn large(coder: &mut Coder<'_>, p: &[u8; 11]) {
    const EXTRA: [&[u8]; 4] = [
        &[173, 148, 140],
        &[176, 155, 140, 135],
        &[180, 157, 141, 134, 130],
        &[254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129],
    ];
    if !coder.bit(p[3]) {
        if coder.bit(p[4]) {
            coder.bit(p[5]);
        }
    } else if !coder.bit(p[6]) {
        if coder.bit(p[7]) {
            coder.bit(165);
            coder.bit(145);
        } else {
            coder.bit(159);
        }
    } else {
        let high = usize::from(coder.bit(p[8]));
        let low = usize::from(coder.bit(p[9 + high]));
        for &p in EXTRA[2 * high + low] {
            coder.bit(p);
        }
    }
}
