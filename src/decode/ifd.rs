//! Directories of TIFF files and of EXIF blocks, which are TIFF files without pixels.
//!
//! Source: TIFF 6.0. Every offset and count comes from outside.

use std::ops::Range;

/// Most entries that are read of one directory; real ones have under 100.
const MAX_ENTRIES: usize = 1000;

/// One entry of a directory: its tag and where it stands.
pub(super) type Entry = (u16, usize);

/// A TIFF file or EXIF block, from its byte order mark on.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let little = match bytes.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { bytes, little })
    }

    /// Whether numbers begin with their lowest byte.
    pub(super) const fn little(&self) -> bool {
        self.little
    }

    /// Where the first directory begins.
    pub(super) fn first(&self) -> usize {
        self.u32(4).unwrap_or(0) as usize
    }

    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        let b = self.bytes.get(at..at.checked_add(2)?)?;
        let b = [b[0], b[1]];
        Some(if self.little {
            u16::from_le_bytes(b)
        } else {
            u16::from_be_bytes(b)
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let b = self.bytes.get(at..at.checked_add(4)?)?;
        let b = [b[0], b[1], b[2], b[3]];
        Some(if self.little {
            u32::from_le_bytes(b)
        } else {
            u32::from_be_bytes(b)
        })
    }

    /// Entries of the directory at `at` (tag, offset of its value field), and the next one's place.
    pub(super) fn directory(&self, at: usize) -> Option<(Vec<Entry>, usize)> {
        let count = usize::from(self.u16(at)?);
        let entries = (0..count.min(MAX_ENTRIES))
            .map_while(|i| {
                let entry = at.checked_add(2 + 12 * i)?;
                self.u32(entry + 8)?;
                Some((self.u16(entry)?, entry))
            })
            .collect();
        let next = at
            .checked_add(2 + 12 * count)
            .and_then(|n| self.u32(n))
            .unwrap_or(0);
        Some((entries, next as usize))
    }

    /// Whether all of the directory at `at` lies in the file, and was read by [`Reader::directory`].
    pub(super) fn is_whole(&self, at: usize) -> bool {
        let count = self.u16(at).map(usize::from);
        let next = count.and_then(|n| at.checked_add(2 + 12 * n));
        count.is_some_and(|n| n <= MAX_ENTRIES) && next.is_some_and(|n| self.u32(n).is_some())
    }

    /// The number in an entry, if it is one short or long.
    pub(super) fn number(&self, entry: usize) -> Option<u32> {
        match (self.u16(entry + 2)?, self.u32(entry + 4)?) {
            (3, 1) => self.u16(entry + 8).map(u32::from),
            (4 | 13, 1) => self.u32(entry + 8),
            _ => None,
        }
    }

    /// Type and count of an entry.
    pub(super) fn kind(&self, entry: usize) -> Option<(u16, u32)> {
        Some((self.u16(entry + 2)?, self.u32(entry + 4)?))
    }

    /// The first number of an entry of any type of whole numbers, without its sign.
    pub(super) fn first_of(&self, entry: usize) -> Option<u32> {
        let at = self.place(entry)?.start;
        match self.u16(entry + 2)? {
            1 | 6 | 7 => self.bytes.get(at).map(|b| u32::from(*b)),
            3 | 8 => self.u16(at).map(u32::from),
            4 | 9 | 13 => self.u32(at),
            _ => None,
        }
    }

    /// Where the value of an entry stands; `None` where it reaches beyond the end.
    pub(super) fn place(&self, entry: usize) -> Option<Range<usize>> {
        let size = match self.u16(entry + 2)? {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => return None,
        };
        let length = (self.u32(entry + 4)? as usize).checked_mul(size)?;
        let from = if length <= 4 {
            entry + 8
        } else {
            self.u32(entry + 8)? as usize
        };
        let place = from..from.checked_add(length)?;
        (place.end <= self.bytes.len()).then_some(place)
    }

    /// The bytes of an entry's value.
    pub(super) fn value(&self, entry: usize) -> Option<&'a [u8]> {
        self.bytes.get(self.place(entry)?)
    }

    /// Positive fractions of an entry, at most `most`; infinite where divided by 0.
    pub(super) fn fractions(&self, entry: usize, most: usize) -> Option<Vec<f64>> {
        const RATIONAL: u16 = 5;
        if self.u16(entry + 2)? != RATIONAL {
            let whole = self.numbers(entry, most)?;
            return Some(whole.into_iter().map(f64::from).collect());
        }
        let places = self.place(entry)?.step_by(8).take(most);
        places
            .map(|at| Some(f64::from(self.u32(at)?) / f64::from(self.u32(at + 4)?)))
            .collect()
    }

    /// Whole numbers of an entry, at most `most`.
    pub(super) fn numbers(&self, entry: usize, most: usize) -> Option<Vec<u32>> {
        let place = self.place(entry)?;
        let step = match self.u16(entry + 2)? {
            1 => 1,
            3 => 2,
            4 | 13 => 4,
            _ => return None,
        };
        place
            .step_by(step)
            .take(most)
            .map(|at| match step {
                1 => self.bytes.get(at).map(|b| u32::from(*b)),
                2 => self.u16(at).map(u32::from),
                _ => self.u32(at),
            })
            .collect()
    }
}
