//! Deflate and its zlib wrapper (RFC 1950, 1951), followed to the last bit.
//!
//! Decoders skip more than they need: bits before a stored block, blocks without data, codes that
//! no symbol uses, other ways to write the same length. This one names them. What it can't tell
//! from an encoder's choice is which matches it took, how it divided the data into blocks and how
//! long it made its codes; how many blocks there may be has a bound, so that little fits into that.

/// Distances go back this far at most, in bytes.
const WINDOW: usize = 1 << 15;
/// Bytes that are held before they are handed on.
const HELD: usize = 1 << 16;
/// Longest code in bits.
const LONGEST: usize = 15;
/// Blocks that any stream may have, and bytes that each further one must give on average.
const BLOCKS: (u64, u64) = (4, 1024);
/// Blocks without data: encoders end with one, or flush with one.
const MOST_EMPTY: u32 = 2;
/// Symbols with a code that a block does not use. Encoders need two codes of each kind, and some
/// smooth what they counted.
const MOST_UNUSED: usize = 128;

/// What following a stream gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// Bytes that the stream takes.
    pub(super) consumed: usize,
    /// Bytes that it gave.
    pub(super) written: u64,
    /// What in it no decoder needs.
    pub(super) odd: Option<&'static str>,
}

/// Follows a zlib stream that should give `due` bytes, and hands them on as they come. Stops where
/// it gives more.
///
/// # Errors
/// What can't be followed.
pub(super) fn zlib(
    data: &[u8],
    due: u64,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<Followed, &'static str> {
    let head = data.get(..2).ok_or(SHORT)?;
    let check = u16::from_be_bytes([head[0], head[1]]).is_multiple_of(31);
    // Deflate, a window of at most 32 KiB, no dictionary.
    if head[0] & 0xF != 8 || head[0] >> 4 > 7 || !check || head[1] & 0x20 != 0 {
        return Err(BROKEN);
    }
    let mut stream = Stream {
        bits: Bits {
            data: &data[2..],
            at: 0,
            held: 0,
            count: 0,
        },
        out: Vec::with_capacity(WINDOW + HELD + 512),
        handed: 0,
        given: 0,
        sum: (1, 0),
        odd: None,
        window: 256 << (head[0] >> 4),
        table: [Table::default(), Table::default()],
        sink,
    };
    stream.blocks(due)?;
    let rest = stream.bits.count % 8;
    if stream.bits.take(rest)? != 0 {
        stream.odd = stream.odd.or(Some("bits behind the data that are not 0"));
    }
    let end = 2 + stream.bits.place();
    let due_sum = stream.sum.1 << 16 | stream.sum.0;
    let sum = data.get(end..end + 4).ok_or(SHORT)?;
    if stream.given <= due && sum != due_sum.to_be_bytes() {
        return Err("data with a wrong checksum");
    }
    Ok(Followed {
        consumed: end + 4,
        written: stream.given,
        odd: stream.odd,
    })
}

const SHORT: &str = "data that ends too early";
const BROKEN: &str = "data that can't be inflated";

/// Bits, the lowest first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    /// Fills up to at least 48 bits, or to the end.
    fn fill(&mut self) {
        if let Some(eight) = self.data.get(self.at..self.at + 8) {
            let eight = eight.try_into().map_or(0, u64::from_le_bytes);
            self.held |= eight << self.count;
            let bytes = (63 - self.count) / 8;
            self.at += bytes as usize;
            self.count += 8 * bytes;
            // What was read beyond whole bytes is read again.
            self.held &= u64::MAX >> (64 - self.count);
            return;
        }
        while self.count <= 48
            && let Some(byte) = self.data.get(self.at)
        {
            self.held |= u64::from(*byte) << self.count;
            self.at += 1;
            self.count += 8;
        }
    }

    /// A number of at most 32 bits.
    fn take(&mut self, bits: u32) -> Result<u32, &'static str> {
        if self.count < bits {
            self.fill();
            if self.count < bits {
                return Err(SHORT);
            }
        }
        let value = self.held & ((1 << bits) - 1);
        self.held >>= bits;
        self.count -= bits;
        Ok(value as u32)
    }

    /// Bytes that were taken, a begun one with the others.
    const fn place(&self) -> usize {
        self.at - self.count as usize / 8
    }
}

/// Codes by their bits: symbol and length.
#[derive(Default)]
struct Table {
    codes: Vec<u16>,
    bits: u32,
    used: Vec<bool>,
}

impl Table {
    /// Codes of these lengths. Together they must be all there are, but that there may be one code
    /// of one bit, or none.
    fn set(&mut self, lengths: &[u8]) -> Result<(), &'static str> {
        let mut counts = [0u32; LONGEST + 1];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        self.bits = (0..=LONGEST).rev().find(|l| counts[*l] > 0).unwrap_or(0) as u32;
        let sum: u32 = (1..=LONGEST).map(|l| counts[l] << (LONGEST - l)).sum();
        let codes: u32 = counts.iter().sum();
        let lone = codes == 0 || codes == 1 && counts[1] == 1;
        if sum != 1 << LONGEST && !lone {
            return Err(BROKEN);
        }
        self.used.clear();
        self.used.resize(lengths.len(), false);
        self.codes.clear();
        self.codes.resize(1 << self.bits, u16::MAX);
        let mut next = [0u32; LONGEST + 2];
        for length in 1..=LONGEST {
            next[length + 1] = (next[length] + counts[length]) << 1;
        }
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, l)| **l > 0) {
            let length = usize::from(length);
            let code = next[length].reverse_bits() >> (32 - length);
            next[length] += 1;
            let mut at = code as usize;
            while let Some(slot) = self.codes.get_mut(at) {
                *slot = (symbol << 4 | length) as u16;
                at += 1 << length;
            }
        }
        Ok(())
    }

    fn symbol(&mut self, bits: &mut Bits<'_>) -> Result<usize, &'static str> {
        if bits.count < self.bits {
            bits.fill();
        }
        let index = bits.held & ((1 << self.bits) - 1);
        let found = self.codes.get(index as usize).copied().unwrap_or(u16::MAX);
        let length = u32::from(found & 15);
        if found == u16::MAX {
            return Err(BROKEN);
        }
        if length > bits.count {
            return Err(SHORT);
        }
        bits.held >>= length;
        bits.count -= length;
        let symbol = usize::from(found >> 4);
        self.used[symbol] = true;
        Ok(symbol)
    }

    /// How many symbols have a code and were not used.
    fn unused(&self, lengths: &[u8]) -> usize {
        let both = lengths.iter().zip(&self.used);
        both.filter(|(length, used)| **length > 0 && !**used)
            .count()
    }
}

struct Stream<'a, 's> {
    bits: Bits<'a>,
    /// What was given last, the window at least.
    out: Vec<u8>,
    /// Of `out`, what was handed on.
    handed: usize,
    /// Bytes that were handed on.
    given: u64,
    sum: (u32, u32),
    odd: Option<&'static str>,
    window: usize,
    table: [Table; 2],
    sink: &'s mut dyn FnMut(&[u8]),
}

impl Stream<'_, '_> {
    fn note(&mut self, odd: bool, what: &'static str) {
        if odd {
            self.odd = self.odd.or(Some(what));
        }
    }

    fn blocks(&mut self, due: u64) -> Result<(), &'static str> {
        let (mut count, mut empty) = (0u64, 0);
        loop {
            let last = self.bits.take(1)? == 1;
            let before = self.given + (self.out.len() - self.handed) as u64;
            match self.bits.take(2)? {
                0 => self.stored()?,
                1 => self.fixed(due)?,
                2 => self.dynamic(due)?,
                _ => return Err(BROKEN),
            }
            let now = self.given + (self.out.len() - self.handed) as u64;
            (count, empty) = (count + 1, empty + u32::from(now == before));
            self.note(empty > MOST_EMPTY, "blocks without data");
            if last || now > due {
                break;
            }
            if self.out.len() >= WINDOW + HELD {
                self.hand();
            }
        }
        self.hand();
        let most = BLOCKS.0 + self.given / BLOCKS.1;
        self.note(count > most, "more blocks than the data needs");
        Ok(())
    }

    /// Hands on what came, and keeps the window.
    fn hand(&mut self) {
        let new = &self.out[self.handed..];
        for part in new.chunks(5552) {
            for byte in part {
                self.sum.0 += u32::from(*byte);
                self.sum.1 += self.sum.0;
            }
            self.sum = (self.sum.0 % 65521, self.sum.1 % 65521);
        }
        self.given += new.len() as u64;
        (self.sink)(new);
        let spare = self.out.len().saturating_sub(WINDOW);
        self.out.drain(..spare);
        self.handed = self.out.len();
    }

    fn stored(&mut self) -> Result<(), &'static str> {
        let padding = self.bits.take(self.bits.count % 8)?;
        self.note(padding != 0, "bits before a stored block");
        let (length, check) = (self.bits.take(16)?, self.bits.take(16)?);
        if length ^ check != 0xFFFF {
            return Err(BROKEN);
        }
        let from = self.bits.place();
        let data = self
            .bits
            .data
            .get(from..from + length as usize)
            .ok_or(SHORT)?;
        self.out.extend_from_slice(data);
        (self.bits.at, self.bits.held, self.bits.count) = (from + length as usize, 0, 0);
        Ok(())
    }

    fn fixed(&mut self, due: u64) -> Result<(), &'static str> {
        let mut lengths = [8u8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.table[0].set(&lengths)?;
        self.table[1].set(&[5; 32])?;
        self.symbols(due)
    }

    fn dynamic(&mut self, due: u64) -> Result<(), &'static str> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = self.bits.take(5)? as usize + 257;
        let distances = self.bits.take(5)? as usize + 1;
        let codes = self.bits.take(4)? as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(BROKEN);
        }
        let mut own = [0; 19];
        for place in &ORDER[..codes] {
            own[*place] = self.bits.take(3)? as u8;
        }
        self.table[0].set(&own)?;
        let mut lengths = Vec::with_capacity(literals + distances);
        while lengths.len() < literals + distances {
            let (value, count) = match self.table[0].symbol(&mut self.bits)? {
                16 => (*lengths.last().ok_or(BROKEN)?, 3 + self.bits.take(2)?),
                17 => (0, 3 + self.bits.take(3)?),
                18 => (0, 11 + self.bits.take(7)?),
                length => (length as u8, 1),
            };
            lengths.extend(std::iter::repeat_n(value, count as usize));
        }
        if lengths.len() > literals + distances || lengths[256] == 0 {
            return Err(BROKEN);
        }
        let spare = self.table[0].unused(&own) > 2
            || codes > 4 && own[ORDER[codes - 1]] == 0
            || literals > 257 && lengths[literals - 1] == 0
            || distances > 1 && lengths[literals + distances - 1] == 0;
        let (literal, distance) = lengths.split_at(literals);
        self.table[0].set(literal)?;
        self.table[1].set(distance)?;
        self.symbols(due)?;
        let unused = self.table[0].unused(literal) + self.table[1].unused(distance);
        let general = general(literal, distance);
        self.note(
            (spare || unused > MOST_UNUSED) && !general,
            "codes that no symbol uses",
        );
        Ok(())
    }

    fn symbols(&mut self, due: u64) -> Result<(), &'static str> {
        const LENGTHS: [u16; 29] = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99,
            115, 131, 163, 195, 227, 258,
        ];
        loop {
            let symbol = self.table[0].symbol(&mut self.bits)?;
            if symbol < 256 {
                self.out.push(symbol as u8);
            } else if symbol == 256 {
                return Ok(());
            } else {
                let index = symbol - 257;
                let base = usize::from(*LENGTHS.get(index).ok_or(BROKEN)?);
                let bits = if (8..28).contains(&index) {
                    index as u32 / 4 - 1
                } else {
                    0
                };
                let length = base + self.bits.take(bits)? as usize;
                // The longest has a code of its own.
                self.note(length == 258 && index != 28, "a length written another way");
                let symbol = self.table[1].symbol(&mut self.bits)?;
                if symbol >= 30 {
                    return Err(BROKEN);
                }
                let bits = (symbol as u32 / 2).saturating_sub(1);
                let base = if symbol < 4 {
                    symbol
                } else {
                    (2 + symbol % 2) << bits
                };
                let back = 1 + base + self.bits.take(bits)? as usize;
                if back > self.out.len() || back > self.window {
                    return Err(BROKEN);
                }
                let from = self.out.len() - back;
                if back >= length {
                    self.out.extend_from_within(from..from + length);
                } else {
                    for i in from..from + length {
                        self.out.push(self.out[i]);
                    }
                }
            }
            if self.out.len() >= WINDOW + HELD {
                self.hand();
                if self.given > due {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether these are the codes of an encoder for pictures that takes the same ones for all
/// (fdeflate): every symbol has one.
fn general(literal: &[u8], distance: &[u8]) -> bool {
    let sum = literal.iter().fold(0u64, |h, l| {
        (h ^ u64::from(*l)).wrapping_mul(0x100_0000_01B3)
    });
    distance == [1] && sum == GENERAL
}

/// Sum of that encoder's lengths of codes.
const GENERAL: u64 = 0x38B6_4C3A_235A_5DB8;

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of values of as many bits as stand beside them, the lowest bit first.
    fn stream(parts: &[(u32, u32)], sum: u32) -> Vec<u8> {
        let (mut out, mut held, mut count) = (vec![0x78, 0x9C], 0u64, 0);
        for &(value, bits) in parts {
            held |= u64::from(value) << count;
            count += bits;
            while count >= 8 {
                out.push(held as u8);
                (held, count) = (held >> 8, count - 8);
            }
        }
        if count > 0 {
            out.push(held as u8);
        }
        out.extend(sum.to_be_bytes());
        out
    }

    fn followed(data: &[u8], due: u64) -> Result<Followed, &'static str> {
        zlib(data, due, &mut |_| {})
    }

    // An end of the fixed codes' data is 7 zero bits; a stored block has its length twice.
    const EMPTY: [(u32, u32); 2] = [(0b010, 3), (0, 7)];
    const LAST: [(u32, u32); 2] = [(0b011, 3), (0, 7)];

    #[test]
    fn an_empty_stream_is_followed_to_its_last_bit() {
        let found = followed(&stream(&LAST, 1), 0);
        assert_eq!(
            found,
            Ok(Followed {
                consumed: 8,
                ..Followed::default()
            })
        );
    }

    #[test]
    fn bits_that_decoders_skip_are_named() {
        let stored = |padding| [(0b000, 3), (padding, 5), (0, 16), (0xFFFF, 16)];
        let clean = [&stored(0)[..], &LAST].concat();
        assert_eq!(followed(&stream(&clean, 1), 0).map(|f| f.odd), Ok(None));
        let padded = [&stored(9)[..], &LAST].concat();
        let many = [&EMPTY[..], &EMPTY, &EMPTY, &LAST].concat();
        let behind = [&LAST[..], &[(1, 3)]].concat();
        for odd in [padded, many, behind] {
            let found = followed(&stream(&odd, 1), 0).map(|f| f.odd.is_some());
            assert_eq!(found, Ok(true), "{odd:?}");
        }
    }

    #[test]
    fn more_blocks_than_the_data_needs_are_named() {
        // Each block one literal 0, of 8 bits with the code 0x30.
        let one = |last: u32| [(0b010 | last, 3), (0x30u32.reverse_bits() >> 24, 8), (0, 7)];
        let blocks = |n: usize| [one(0).repeat(n - 1), one(1).to_vec()].concat();
        let sum = |n: u32| n << 16 | 1;
        let few = stream(&blocks(4), sum(4));
        assert_eq!(followed(&few, 4).map(|f| f.odd), Ok(None));
        let many = stream(&blocks(5), sum(5));
        assert_eq!(followed(&many, 5).map(|f| f.odd.is_some()), Ok(true));
    }
}
