//! VP8L, the lossless pictures of WebP and their transparency: followed to the last bit, so that
//! what decoders skip shows: channels and palette entries that no pixel is made of, groups of codes
//! that none uses, bits behind the last pixel.
//!
//! Source: the WebP Lossless Bitstream Specification.

/// Symbols of green besides the colours, and of distances.
const LENGTHS: usize = 24;
const DISTANCES: usize = 40;
/// Longest code in bits.
const LONGEST: usize = 15;
/// Symbols with a code that nothing uses: encoders smooth what they counted.
const MOST_UNUSED: usize = 128;
/// Groups of codes that any picture may have, and pixels that each further one must have.
const GROUPS: (usize, usize) = (4, 64);

pub(super) const BROKEN: &str = "a picture that can't be followed";

/// What following gave.
#[derive(Debug)]
pub(super) struct Followed {
    /// Whether it says that it has transparency.
    pub(super) alpha: bool,
    /// Bytes that it takes.
    pub(super) consumed: usize,
    /// What in it no decoder needs.
    pub(super) odd: Option<&'static str>,
}

/// Width and height in the header, whether there is transparency, and the place behind it in bits.
pub(super) fn header(data: &[u8]) -> Option<((u32, u32), bool)> {
    let mut b = Bits { data, at: 8 };
    let size = (b.take(14).ok()? + 1, b.take(14).ok()? + 1);
    let alpha = b.take(1).ok()? == 1;
    (data.first() == Some(&0x2F) && b.take(3) == Ok(0)).then_some((size, alpha))
}

/// Follows a picture with its header.
///
/// # Errors
/// What can't be followed.
pub(super) fn picture(data: &[u8]) -> Result<Followed, &'static str> {
    let (size, alpha) = header(data).ok_or(BROKEN)?;
    let used = if alpha {
        [true; 4]
    } else {
        [true, true, true, false]
    };
    follow(data, 40, size, used, alpha)
}

/// Follows transparency, which is the green of a picture without a header.
///
/// # Errors
/// What can't be followed.
pub(super) fn transparency(data: &[u8], size: (u32, u32)) -> Result<Followed, &'static str> {
    follow(data, 0, size, [true, false, false, false], true)
}

fn follow(
    data: &[u8],
    at: usize,
    (width, height): (u32, u32),
    used: [bool; 4],
    alpha: bool,
) -> Result<Followed, &'static str> {
    let mut walk = Walk {
        bits: Bits { data, at },
        odd: None,
    };
    walk.main(width as usize, height as usize, used)?;
    while !walk.bits.at.is_multiple_of(8) {
        if walk.bits.take(1)? != 0 {
            walk.note(true, "bits behind the picture's data");
        }
    }
    Ok(Followed {
        alpha,
        consumed: walk.bits.at / 8,
        odd: walk.odd,
    })
}

/// Bits, the lowest first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, at least 32 of them; zeros behind the end.
    fn peek(&self) -> u64 {
        let from = self.at / 8;
        let eight = match self.data.get(from..from + 8) {
            Some(eight) => eight.try_into().map_or(0, u64::from_le_bytes),
            None => {
                let rest = self.data.get(from..).unwrap_or_default();
                rest.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
            }
        };
        eight >> (self.at % 8)
    }

    fn skip(&mut self, bits: usize) -> Result<(), &'static str> {
        self.at += bits;
        if self.at > self.data.len() * 8 {
            return Err("a picture cut short");
        }
        Ok(())
    }

    /// A number of at most 32 bits.
    fn take(&mut self, bits: usize) -> Result<u32, &'static str> {
        let value = self.peek() & ((1 << bits) - 1);
        self.skip(bits)?;
        Ok(value as u32)
    }
}

/// A prefix code.
#[derive(Debug, Default)]
struct Code {
    /// By the next bits: symbol and length.
    table: Vec<(u16, u8)>,
    bits: usize,
    /// Which symbols have a code that was not seen yet.
    waiting: Vec<bool>,
}

impl Code {
    fn new(lengths: &[u8]) -> Result<Self, &'static str> {
        let waiting: Vec<bool> = lengths.iter().map(|l| *l > 0).collect();
        let count = waiting.iter().filter(|w| **w).count();
        if count <= 1 {
            // One symbol needs no bits.
            let only = waiting.iter().position(|w| *w).unwrap_or(0);
            return Ok(Self {
                table: vec![(only as u16, 0)],
                bits: 0,
                waiting,
            });
        }
        let mut counts = [0u32; LONGEST + 1];
        for length in lengths.iter().filter(|l| **l > 0) {
            *counts.get_mut(usize::from(*length)).ok_or(BROKEN)? += 1;
        }
        let sum: u32 = (1..=LONGEST).map(|l| counts[l] << (LONGEST - l)).sum();
        if sum != 1 << LONGEST {
            return Err(BROKEN);
        }
        let bits = (1..=LONGEST).rev().find(|l| counts[*l] > 0).unwrap_or(1);
        let mut next = [0u32; LONGEST + 2];
        for length in 1..=LONGEST {
            next[length + 1] = (next[length] + counts[length]) << 1;
        }
        let mut table = vec![(0, 0); 1 << bits];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, l)| **l > 0) {
            let size = usize::from(length);
            let mut at = (next[size].reverse_bits() >> (32 - size)) as usize;
            next[size] += 1;
            while let Some(slot) = table.get_mut(at) {
                *slot = (symbol as u16, length);
                at += 1 << size;
            }
        }
        Ok(Self {
            table,
            bits,
            waiting,
        })
    }

    fn symbol(&mut self, bits: &mut Bits<'_>) -> Result<usize, &'static str> {
        let index = bits.peek() as usize & ((1 << self.bits) - 1);
        let (symbol, length) = self.table[index];
        bits.skip(length.into())?;
        if let Some(waiting) = self.waiting.get_mut(usize::from(symbol)) {
            *waiting = false;
        }
        Ok(symbol.into())
    }
}

/// Green with lengths and the cache, red, blue, alpha, distances.
struct Group([Code; 5]);

/// Colours that came lately, by a hash.
struct Cache {
    bits: u32,
    colours: Vec<u32>,
}

impl Cache {
    fn put(&mut self, colour: u32) {
        if self.bits > 0 {
            let at = colour.wrapping_mul(0x1E35_A7BD) >> (32 - self.bits);
            self.colours[at as usize] = colour;
        }
    }
}

struct Walk<'a> {
    bits: Bits<'a>,
    odd: Option<&'static str>,
}

const UNUSED: &str = "channels that no pixel is made of";

impl Walk<'_> {
    fn note(&mut self, odd: bool, what: &'static str) {
        if odd {
            self.odd = self.odd.or(Some(what));
        }
    }

    /// The picture itself; `used`: whether green, red, blue and alpha are.
    fn main(
        &mut self,
        mut width: usize,
        height: usize,
        used: [bool; 4],
    ) -> Result<(), &'static str> {
        let mut seen = [false; 4];
        let mut palette = None;
        while self.bits.take(1)? == 1 {
            let kind = self.bits.take(2)? as usize;
            if std::mem::replace(&mut seen[kind], true) {
                return Err(BROKEN);
            }
            match kind {
                0 | 1 => {
                    let bits = self.bits.take(3)? + 2;
                    let side = |n: usize| n.div_ceil(1 << bits);
                    let part = self.image(side(width), side(height), None)?;
                    // Which prediction, by green; how colours depend, by all but alpha.
                    let needed = [true, kind == 1, kind == 1, false];
                    self.channels(&part, needed);
                    let wrong = kind == 0 && part.iter().any(|p| p >> 8 & 0xFF > 13);
                    self.note(wrong, "a prediction that does not exist");
                }
                2 => {}
                _ => {
                    let count = self.bits.take(8)? as usize + 1;
                    let part = self.image(count, 1, None)?;
                    self.channels(&part, used);
                    let packed = match count {
                        0..=2 => 3,
                        3..=4 => 2,
                        5..=16 => 1,
                        _ => 0,
                    };
                    palette = Some((part, packed, width));
                    width = width.div_ceil(1 << packed);
                }
            }
        }
        let pixels = self.image(width, height, Some(()))?;
        match palette {
            Some((part, packed, across)) => {
                self.channels(&pixels, [true, false, false, false]);
                self.palette(part, packed, across, &pixels, width);
            }
            None => self.channels(&pixels, used),
        }
        Ok(())
    }

    /// What is not used must be the same everywhere.
    fn channels(&mut self, pixels: &[u32], used: [bool; 4]) {
        let shifts = [8, 16, 0, 24];
        let mask = (0..4)
            .filter(|&i| !used[i])
            .fold(0u32, |m, i| m | 0xFF << shifts[i]);
        let first = pixels.first().map_or(0, |p| p & mask);
        // The first pixel is coded as a difference to black, the others as one to their neighbours.
        let same = pixels.iter().skip(1).map(|p| p & mask);
        let second = pixels.get(1).map_or(first, |p| p & mask);
        let plain = |v: u32| (0..4).all(|i| matches!(v >> (8 * i) & 0xFF, 0 | 0xFF));
        let odd = !plain(first) || !plain(second) || !same.into_iter().all(|p| p == second);
        self.note(odd, UNUSED);
    }

    /// All entries are used, no two are the same, and none but them is.
    fn palette(
        &mut self,
        mut colours: Vec<u32>,
        packed: usize,
        across: usize,
        pixels: &[u32],
        width: usize,
    ) {
        let mut used = [false; 256];
        let (each, bits) = (1 << packed, 8 >> packed);
        for row in pixels.chunks_exact(width.max(1)) {
            for (x, pixel) in row.iter().enumerate() {
                let green = (pixel >> 8 & 0xFF) as usize;
                for i in 0..each {
                    let index = green >> (i * bits) & ((1 << bits) - 1);
                    if x * each + i < across {
                        used[index] = true;
                    } else {
                        self.note(index != 0, "bits behind a row");
                    }
                }
            }
        }
        let count = colours.len();
        // What comes behind the last entry is nothing at all: encoders leave out that colour.
        let all = (0..256).all(|i| i == count || used[i] == (i < count));
        if count < 256 && used[count] {
            colours.push(0);
        }
        self.note(!all, "palette entries that nothing uses");
        // Each is coded as a difference to the one before it.
        for i in 1..count {
            let (a, b) = (colours[i - 1], colours[i]);
            let sum = |shift: u32| (((a >> shift & 0xFF) + (b >> shift & 0xFF)) & 0xFF) << shift;
            colours[i] = sum(0) | sum(8) | sum(16) | sum(24);
        }
        let count = colours.len();
        colours.sort_unstable();
        colours.dedup();
        self.note(colours.len() < count, "palette entries that look the same");
    }

    /// An image of codes; only the main one may have several groups of them.
    fn image(
        &mut self,
        width: usize,
        height: usize,
        main: Option<()>,
    ) -> Result<Vec<u32>, &'static str> {
        let mut cache = Cache {
            bits: 0,
            colours: Vec::new(),
        };
        if self.bits.take(1)? == 1 {
            cache.bits = self.bits.take(4)?;
            if !(1..=11).contains(&cache.bits) {
                return Err(BROKEN);
            }
            cache.colours = vec![0; 1 << cache.bits];
        }
        let (mut which, mut shift) = (Vec::new(), 0);
        if main.is_some() && self.bits.take(1)? == 1 {
            shift = self.bits.take(3)? as usize + 2;
            let side = |n: usize| n.div_ceil(1 << shift);
            let part = self.image(side(width), side(height), None)?;
            self.channels(&part, [true, true, false, false]);
            which = part.iter().map(|p| (p >> 8 & 0xFFFF) as usize).collect();
        }
        let count = which.iter().max().map_or(1, |most| most + 1);
        let mut named = vec![which.is_empty(); count];
        which.iter().for_each(|g| named[*g] = true);
        let spare = named.contains(&false) || count > GROUPS.0 + width * height / GROUPS.1;
        self.note(spare, "codes that no pixel uses");
        let mut groups = Vec::new();
        let sizes = [
            256 + LENGTHS + cache.colours.len(),
            256,
            256,
            256,
            DISTANCES,
        ];
        for _ in 0..count {
            let mut group = Group(Default::default());
            for (code, size) in group.0.iter_mut().zip(sizes) {
                *code = self.code(size)?;
            }
            groups.push(group);
        }
        let across = width.div_ceil(1 << shift);
        let group = |at: usize| {
            let (x, y) = (at % width, at / width);
            which
                .get((y >> shift) * across + (x >> shift))
                .copied()
                .unwrap_or(0)
        };
        let pixels = self.pixels((width, height), &mut groups, group, cache)?;
        let unused = |code: &Code| code.waiting.iter().filter(|w| **w).count();
        for group in &groups {
            let most = group.0.iter().map(unused).max().unwrap_or(0);
            self.note(most > MOST_UNUSED, "codes that no pixel uses");
        }
        Ok(pixels)
    }

    fn pixels(
        &mut self,
        (width, height): (usize, usize),
        groups: &mut [Group],
        group: impl Fn(usize) -> usize,
        mut cache: Cache,
    ) -> Result<Vec<u32>, &'static str> {
        let count = width * height;
        let mut pixels: Vec<u32> = Vec::new();
        while pixels.len() < count {
            let codes = &mut groups[group(pixels.len())].0;
            let symbol = codes[0].symbol(&mut self.bits)?;
            if symbol < 256 {
                let red = codes[1].symbol(&mut self.bits)?;
                let blue = codes[2].symbol(&mut self.bits)?;
                let alpha = codes[3].symbol(&mut self.bits)?;
                let colour = (alpha << 24 | red << 16 | symbol << 8 | blue) as u32;
                cache.put(colour);
                pixels.push(colour);
            } else if symbol < 256 + LENGTHS {
                let length = self.prefixed(symbol - 256)?;
                let distance = codes[4].symbol(&mut self.bits)?;
                let back = distance_of(self.prefixed(distance)?, width);
                let from = pixels.len().checked_sub(back).ok_or(BROKEN)?;
                if length > count - pixels.len() {
                    return Err(BROKEN);
                }
                for at in from..from + length {
                    let colour = pixels[at];
                    cache.put(colour);
                    pixels.push(colour);
                }
            } else {
                let colour = cache.colours.get(symbol - 256 - LENGTHS);
                pixels.push(*colour.ok_or(BROKEN)?);
            }
        }
        Ok(pixels)
    }

    /// A number by its prefix and further bits.
    fn prefixed(&mut self, symbol: usize) -> Result<usize, &'static str> {
        if symbol < 4 {
            return Ok(symbol + 1);
        }
        let extra = (symbol - 2) >> 1;
        Ok(((2 + (symbol & 1)) << extra) + self.bits.take(extra)? as usize + 1)
    }

    fn code(&mut self, size: usize) -> Result<Code, &'static str> {
        let mut lengths = vec![0u8; size];
        if self.bits.take(1)? == 1 {
            // One or two symbols; the first may have one bit.
            let two = self.bits.take(1)? == 1;
            let wide = self.bits.take(1)? == 1;
            let first = self.bits.take(if wide { 8 } else { 1 })? as usize;
            self.note(wide && first < 2, "a code that is longer than it could be");
            *lengths.get_mut(first).ok_or(BROKEN)? = 1;
            if two {
                let second = self.bits.take(8)? as usize;
                self.note(first == second, "codes that no pixel uses");
                *lengths.get_mut(second).ok_or(BROKEN)? = 1;
            }
            return Code::new(&lengths);
        }
        const ORDER: [usize; 19] = [
            17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        ];
        let mut own = [0u8; 19];
        let count = self.bits.take(4)? as usize + 4;
        for place in &ORDER[..count] {
            own[*place] = self.bits.take(3)? as u8;
        }
        let mut left = size;
        if self.bits.take(1)? == 1 {
            let bits = 2 + 2 * self.bits.take(3)? as usize;
            left = 2 + self.bits.take(bits)? as usize;
        }
        let mut codes = Code::new(&own)?;
        let (mut at, mut last) = (0, 8u8);
        while at < size && left > 0 {
            left -= 1;
            let (value, count) = match codes.symbol(&mut self.bits)? {
                16 => (last, 3 + self.bits.take(2)? as usize),
                17 => (0, 3 + self.bits.take(3)? as usize),
                18 => (0, 11 + self.bits.take(7)? as usize),
                length => {
                    if length > 0 {
                        last = length as u8;
                    }
                    (length as u8, 1)
                }
            };
            lengths.get_mut(at..at + count).ok_or(BROKEN)?.fill(value);
            at += count;
        }
        Code::new(&lengths)
    }
}

/// How many pixels a distance goes back: near ones are numbered around the pixel.
fn distance_of(value: usize, width: usize) -> usize {
    // Down and left or right: in halves of a byte, 8 for none.
    const NEAR: [u8; 120] = [
        0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37,
        0x39, 0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b,
        0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56,
        0x5a, 0x23, 0x2d, 0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e,
        0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77,
        0x79, 0x53, 0x5d, 0x11, 0x1f, 0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b,
        0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e, 0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e,
        0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
    ];
    let Some(near) = NEAR.get(value - 1) else {
        return value - NEAR.len();
    };
    let (down, left) = (usize::from(near >> 4), i64::from(8 - i16::from(near & 15)));
    ((down * width) as i64 + left).max(1) as usize
}
