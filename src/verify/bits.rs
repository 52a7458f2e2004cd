//! Numbers of single bits, the highest first, as coders' headers hold them.

/// Reads on from the first bit. Everything gives `None` behind the end.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A number of `count` bits, at most 32.
    pub(super) fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |n, _| {
            let byte = *self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(n << 1 | u32::from(bit))
        })
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|b| b == 1)
    }

    /// A number of varying length (Exp-Golomb).
    pub(super) fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Whether what follows ends the header: a 1, and zeros up to the last byte's end.
    pub(super) fn ends(&self) -> bool {
        let last = self.bytes.get(self.at / 8);
        last.is_some_and(|b| b << (self.at % 8) == 0x80) && self.at / 8 + 1 == self.bytes.len()
    }
}
