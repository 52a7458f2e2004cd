//! Strips of fax that `tiff` does not read → rows of bits: CCITT Huffman (TIFF's compression 2) and
//! Group 3 of one or two dimensions (compression 3).
//!
//! Source: ITU-T T.4 and TIFF 6.0, sections 10 and 11. The tables of codes come from `fax`.

use ::fax::{
    BitReader, ByteReader, Color,
    maps::{Mode, black, mode, white},
};

use super::{
    Directory, compression, rare,
    source::{Chunks, Tags},
    tag,
};
use crate::decode::{DecodeError, Options};

/// Whether strips of this compression are decoded here.
pub(super) const fn is_read(coding: u32) -> bool {
    matches!(coding, compression::HUFFMAN | compression::GROUP_3)
}

/// Bits of `T4Options`.
const TWO_DIMENSIONS: u32 = 1;
const UNCOMPRESSED: u32 = 2;

/// The strips or tiles as bits, one behind the other, white as 0.
pub(super) fn decoded(
    data: &[u8],
    page: &Directory<'_>,
    tags: &Tags,
    chunks: &mut Chunks,
    options: &Options,
) -> Result<Vec<u8>, DecodeError> {
    let (width, rows) = tags.chunk_size();
    let height = tags.one(tag::HEIGHT, 0);
    if tags.one(tag::BITS, 1) != 1 || tags.one(tag::SAMPLES, 1) != 1 {
        return Err(rare("fax of more than black and white"));
    }
    let said = page.number(tag::T4_OPTIONS).unwrap_or(0);
    if said & UNCOMPRESSED != 0 {
        return Err(rare("fax with parts that are not compressed"));
    }
    let row = width.div_ceil(8) as usize;
    let most = u64::from(rows) * row as u64 * chunks.0.len() as u64;
    if most > options.max_memory {
        return Err(DecodeError::TooLarge {
            needs: most,
            limit: options.max_memory,
        });
    }
    let group_3 = tags.one(tag::COMPRESSION, 0) == compression::GROUP_3;
    let tiled = tags.chunk_size().0 != tags.one(tag::WIDTH, 0);
    let mut out = Vec::new();
    for (i, chunk) in chunks.0.iter_mut().enumerate() {
        let part = data.get(chunk.clone()).unwrap_or_default();
        let left = height.saturating_sub((i as u32).saturating_mul(rows));
        let rows = if tiled { rows } else { rows.min(left) };
        let mut lines = Lines::new(part, width);
        let from = out.len();
        for _ in 0..rows {
            let read = if group_3 {
                lines.group_3(said & TWO_DIMENSIONS != 0)
            } else {
                lines.huffman()
            };
            read.ok_or_else(|| DecodeError::Damaged("its fax data are broken".into()))?;
            lines.draw(&mut out, row);
        }
        *chunk = from..out.len();
    }
    Ok(out)
}

type Bits<'a> = ByteReader<Box<dyn Iterator<Item = Result<u8, std::convert::Infallible>> + 'a>>;

/// Reads lines of runs.
struct Lines<'a> {
    bits: Bits<'a>,
    width: u32,
    /// Where the colour changes in the line before and in this one, white first.
    before: Vec<u32>,
    now: Vec<u32>,
    /// The first change in the line before that may still count.
    next: usize,
}

impl<'a> Lines<'a> {
    fn new(part: &'a [u8], width: u32) -> Self {
        // Codes are looked up in more bits than they have.
        let padded = part.iter().copied().chain([0; 4]).map(Ok);
        let Ok(bits) = ByteReader::new(Box::new(padded) as Box<dyn Iterator<Item = _>>);
        Self {
            bits,
            width,
            before: Vec::new(),
            now: Vec::new(),
            next: 0,
        }
    }

    fn skip(&mut self, bits: u8) {
        let Ok(()) = self.bits.consume(bits);
    }

    /// One run of a colour in pixels.
    fn run(&mut self, color: Color) -> Option<u32> {
        let mut sum = 0u32;
        loop {
            let part = match color {
                Color::White => white::decode(&mut self.bits)?,
                Color::Black => black::decode(&mut self.bits)?,
            };
            sum = sum.checked_add(part.into()).filter(|n| *n <= self.width)?;
            if part < 64 {
                return Some(sum);
            }
        }
    }

    /// Runs up to the end of the line.
    fn one_dimension(&mut self) -> Option<()> {
        self.begin();
        let (mut at, mut color) = (0, Color::White);
        while at < self.width {
            at = at.checked_add(self.run(color)?)?;
            self.now.push(at);
            color = !color;
        }
        (at == self.width).then_some(())
    }

    fn begin(&mut self) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
        self.next = 0;
    }

    /// A line of compression 2: runs alone, up to the end of a byte.
    fn huffman(&mut self) -> Option<()> {
        self.one_dimension()?;
        let rest = self.bits.bits_to_byte_boundary();
        self.skip(rest);
        Some(())
    }

    /// A line of compression 3: a mark at its beginning, which some programs leave out.
    fn group_3(&mut self, two: bool) -> Option<()> {
        let marked = self.mark();
        if two && marked {
            let one = self.bits.peek(1)? == 1;
            self.skip(1);
            if !one {
                return self.two_dimensions();
            }
        } else if two {
            return None;
        }
        self.one_dimension()
    }

    /// Passes the mark of a line: at least eleven zeros, and a one.
    fn mark(&mut self) -> bool {
        // No code begins with as many zeros.
        if self.bits.peek(9) != Some(0) {
            return false;
        }
        while self.bits.peek(1) == Some(0) {
            self.skip(1);
        }
        self.skip(1);
        true
    }

    /// A line that is described by how it differs from the one before.
    fn two_dimensions(&mut self) -> Option<()> {
        self.begin();
        let (mut at, mut color) = (0, Color::White);
        let mut begun = false;
        while at < self.width {
            let (b1, b2) = self.changes(begun.then_some(at), color);
            match mode::decode(&mut self.bits)? {
                Mode::Pass => at = b2,
                Mode::Vertical(by) => {
                    let to = b1.checked_add_signed(by.into())?;
                    if to > self.width || (begun && to < at) {
                        return None;
                    }
                    at = to;
                    self.now.push(at);
                    color = !color;
                }
                Mode::Horizontal => {
                    for color in [color, !color] {
                        at = at.checked_add(self.run(color)?)?;
                        self.now.push(at.min(self.width));
                    }
                }
                Mode::Extension | Mode::EOF => return None,
            }
            begun = true;
        }
        (at == self.width).then_some(())
    }

    /// The first change in the line before that lies beyond `at` and ends the colour, and the next.
    fn changes(&mut self, at: Option<u32>, color: Color) -> (u32, u32) {
        let place = |i: usize| self.before.get(i).copied();
        if let Some(at) = at {
            while place(self.next).is_some_and(|p| p <= at) {
                self.next += 1;
            }
        }
        // Changes at even places end white.
        let odd = usize::from(matches!(color, Color::Black));
        let found = self.next + usize::from(self.next % 2 != odd);
        let or_end = |i| place(i).unwrap_or(self.width);
        (or_end(found), or_end(found + 1))
    }

    /// Appends the line as bits.
    fn draw(&self, out: &mut Vec<u8>, row: usize) {
        let from = out.len();
        out.resize(from + row, 0);
        let line = &mut out[from..];
        for run in self.now.chunks(2) {
            let to = run.get(1).copied().unwrap_or(self.width);
            for x in run[0]..to {
                line[x as usize / 8] |= 0x80 >> (x % 8);
            }
        }
    }
}
