//! Bits of a scan, with stuffed bytes taken out.

use std::ops::Range;

/// Reads bits up to the next marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The byte to be loaded next.
    at: usize,
    /// Loaded bits, the next one on top.
    loaded: u64,
    /// How many of them are real.
    count: u32,
}

/// The scan ended before its last block.
pub(super) struct CutOff;

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            loaded: 0,
            count: 0,
        }
    }

    /// Loads until more than 56 bits are there or a marker comes.
    #[inline]
    fn load(&mut self) {
        if let Some(eight) = self.bytes.get(self.at..self.at + 8) {
            let mut buffer = [0; 8];
            buffer.copy_from_slice(eight);
            let word = u64::from_be_bytes(buffer);
            // No byte is FF: the usual case, eight at once. (A byte of !word is 0 where word's is
            // FF; the classic test for a zero byte.)
            let inverse = !word;
            if inverse.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                let taken = (64 - self.count) / 8;
                self.loaded |= word.checked_shr(self.count).unwrap_or(0);
                // Bits of a byte that was loaded in part are loaded again: the same values.
                self.at += taken as usize;
                self.count += taken * 8;
                if self.count < 64 {
                    self.loaded &= !(u64::MAX >> self.count);
                }
                return;
            }
        }
        while self.count <= 56 {
            let Some(&byte) = self.bytes.get(self.at) else {
                return;
            };
            if byte == 0xFF {
                if self.bytes.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.loaded |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits, zeros behind the end.
    #[inline]
    pub(super) fn peek16(&mut self) -> usize {
        if self.count < 32 {
            self.load();
        }
        (self.loaded >> 48) as usize
    }

    /// Passes over `n` ≤ 32 bits.
    #[inline]
    pub(super) fn skip(&mut self, n: u32) -> Result<(), CutOff> {
        if n > self.count {
            self.load();
            if n > self.count {
                return Err(CutOff);
            }
        }
        self.loaded <<= n;
        self.count -= n;
        Ok(())
    }

    /// The next `n` ≤ 16 bits.
    #[inline]
    pub(super) fn take(&mut self, n: u32) -> Result<u32, CutOff> {
        if n == 0 {
            return Ok(0);
        }
        let value = self.peek16() as u32 >> (16 - n);
        self.skip(n)?;
        Ok(value)
    }

    /// Ends the interval: whether the padding is all 1, bytes that nothing has read, and where
    /// the next marker stands.
    pub(super) fn end(mut self) -> (bool, Range<usize>, usize) {
        let padding = self.count % 8;
        let ones = padding == 0 || (self.loaded >> (64 - padding)).count_ones() == padding;
        // Whole bytes that were loaded and not used; walk on from them to the marker. Their
        // stuffing makes the start inexact by the number of FF bytes among them, at most 8.
        let unused = (self.count / 8) as usize;
        let start = self.at.saturating_sub(unused);
        let mut end = self.at;
        loop {
            match self.bytes[end..].iter().position(|&b| b == 0xFF) {
                None => {
                    end = self.bytes.len();
                    break;
                }
                Some(ff) => match self.bytes.get(end + ff + 1) {
                    Some(0) => end += ff + 2,
                    Some(_) => {
                        end += ff;
                        break;
                    }
                    None => {
                        end = self.bytes.len();
                        break;
                    }
                },
            }
        }
        self.at = end;
        (ones, start.min(end)..end, end)
    }
}
