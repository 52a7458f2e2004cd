//! Huffman tables, as the segments define them.

use super::Fault;
use crate::jpeg::Oddity;

/// Bits that the first look-up of a code decides on; longer codes take a second look.
const FAST: u32 = 10;

const AC_LUMINANCE: &[u8] =
    b"\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01\x7D\x01\x02\x03\x00\x04\x11\
    \x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\xA1\x08\x23\x42\xB1\xC1\
    \x15\x52\xD1\xF0\x24\x33\x62\x72\x82\x09\x0A\x16\x17\x18\x19\x1A\x25\x26\x27\x28\x29\x2A\
    \x34\x35\x36\x37\x38\x39\x3A\x43\x44\x45\x46\x47\x48\x49\x4A\x53\x54\x55\x56\x57\x58\x59\
    \x5A\x63\x64\x65\x66\x67\x68\x69\x6A\x73\x74\x75\x76\x77\x78\x79\x7A\x83\x84\x85\x86\x87\
    \x88\x89\x8A\x92\x93\x94\x95\x96\x97\x98\x99\x9A\xA2\xA3\xA4\xA5\xA6\xA7\xA8\xA9\xAA\xB2\
    \xB3\xB4\xB5\xB6\xB7\xB8\xB9\xBA\xC2\xC3\xC4\xC5\xC6\xC7\xC8\xC9\xCA\xD2\xD3\xD4\xD5\xD6\
    \xD7\xD8\xD9\xDA\xE1\xE2\xE3\xE4\xE5\xE6\xE7\xE8\xE9\xEA\xF1\xF2\xF3\xF4\xF5\xF6\xF7\xF8\
    \xF9\xFA";
const AC_CHROMINANCE: &[u8] =
    b"\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02\x77\x00\x01\x02\x03\x11\x04\
    \x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\x13\x22\x32\x81\x08\x14\x42\x91\xA1\xB1\xC1\x09\
    \x23\x33\x52\xF0\x15\x62\x72\xD1\x0A\x16\x24\x34\xE1\x25\xF1\x17\x18\x19\x1A\x26\x27\x28\
    \x29\x2A\x35\x36\x37\x38\x39\x3A\x43\x44\x45\x46\x47\x48\x49\x4A\x53\x54\x55\x56\x57\x58\
    \x59\x5A\x63\x64\x65\x66\x67\x68\x69\x6A\x73\x74\x75\x76\x77\x78\x79\x7A\x82\x83\x84\x85\
    \x86\x87\x88\x89\x8A\x92\x93\x94\x95\x96\x97\x98\x99\x9A\xA2\xA3\xA4\xA5\xA6\xA7\xA8\xA9\
    \xAA\xB2\xB3\xB4\xB5\xB6\xB7\xB8\xB9\xBA\xC2\xC3\xC4\xC5\xC6\xC7\xC8\xC9\xCA\xD2\xD3\xD4\
    \xD5\xD6\xD7\xD8\xD9\xDA\xE2\xE3\xE4\xE5\xE6\xE7\xE8\xE9\xEA\xF2\xF3\xF4\xF5\xF6\xF7\xF8\
    \xF9\xFA";

/// The typical tables of T.81, Annex K.3: DC of luminance and of chrominance, then AC. What the payload of a DHT segment
/// says after the byte that names the slot: the numbers of codes of each length, then the symbols.
pub(in crate::jpeg) const TYPICAL: [&[u8]; 4] = [
    b"\0\x01\x05\x01\x01\x01\x01\x01\x01\0\0\0\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B",
    b"\0\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01\0\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B",
    AC_LUMINANCE,
    AC_CHROMINANCE,
];

/// One Huffman table.
pub(super) struct Table {
    /// For each prefix of [`FAST`] bits: length << 8 | symbol, 0 for longer codes.
    fast: Vec<u16>,
    /// For each length 1 to 16: the first code behind those of this length, left-aligned to 16 bits.
    limit: [u32; 17],
    /// For each length: what to add to a code to get its symbol's index.
    offset: [i32; 17],
    symbols: Vec<u8>,
    defined_at: usize,
    used: bool,
    /// Its index in [`Tables::slots`].
    pub(super) slot: usize,
    /// Numbers of codes of each length.
    counts: [u8; 16],
    /// How often each symbol was read; where they are counted.
    seen: Option<Box<[u32; 256]>>,
}

/// The four tables for DC and the four for AC.
#[derive(Default)]
pub(in crate::jpeg) struct Tables {
    pub(super) slots: [Option<Box<Table>>; 8],
}

impl Tables {
    /// Reads a DHT segment's payload; gives what is odd about the tables that it replaces.
    pub(in crate::jpeg) fn define(
        &mut self,
        mut rest: &[u8],
        offset: usize,
    ) -> Result<Vec<Oddity>, String> {
        let broken = || "a Huffman table is broken".to_string();
        let mut odd = Vec::new();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at_checked(17).ok_or_else(broken)?;
            let class = usize::from(head[0] >> 4);
            let slot = usize::from(head[0] & 15);
            let count: usize = head[1..].iter().map(|&n| usize::from(n)).sum();
            if class > 1 || slot > 3 || count > 256 || tail.len() < count {
                return Err(broken());
            }
            let mut table = Table::new(&head[1..], &tail[..count], offset).ok_or_else(broken)?;
            table.slot = class * 4 + slot;
            if let Some(old) = self.slots[table.slot].replace(Box::new(table)) {
                odd.extend((!old.used).then_some(Oddity::RedefinedTable(old.defined_at)));
                odd.extend(old.loose());
            }
            rest = &tail[count..];
        }
        Ok(odd)
    }

    /// Adds to each table how often its symbols were read in a scan.
    pub(super) fn count(&mut self, symbols: &[[u32; 256]; 8]) {
        for (table, counts) in self.slots.iter_mut().zip(symbols) {
            let Some(table) = table.as_mut().filter(|table| table.used) else {
                continue;
            };
            let seen = table.seen.get_or_insert_with(|| Box::new([0; 256]));
            for (seen, count) in seen.iter_mut().zip(counts) {
                *seen = seen.saturating_add(*count);
            }
        }
    }

    /// What is loose about the tables that are left at the end.
    pub(in crate::jpeg) fn loose(&self) -> Vec<Oddity> {
        self.slots
            .iter()
            .flatten()
            .filter_map(|t| t.loose())
            .collect()
    }

    /// Puts a typical table where a scan names one of the first two slots and it is empty; whether it was.
    pub(in crate::jpeg) fn typical(&mut self, class: usize, slot: u8) -> bool {
        let index = class * 4 + usize::from(slot);
        if slot > 1 || self.slots[index].is_some() {
            return false;
        }
        let (counts, symbols) = TYPICAL[class * 2 + usize::from(slot)].split_at(16);
        self.slots[index] = Table::new(counts, symbols, 0).map(|table| {
            Box::new(Table {
                used: true,
                slot: index,
                ..table
            })
        });
        true
    }

    pub(in crate::jpeg) fn unused(&self) -> Vec<usize> {
        self.slots
            .iter()
            .flatten()
            .filter(|t| !t.used)
            .map(|t| t.defined_at)
            .collect()
    }

    pub(super) fn select(&mut self, class: usize, slot: u8) -> Result<usize, String> {
        let index = class * 4 + usize::from(slot);
        match self.slots.get_mut(index) {
            Some(Some(table)) => {
                table.used = true;
                Ok(index)
            }
            _ => Err("a scan names a Huffman table that is not there".into()),
        }
    }
}

impl Table {
    fn new(counts: &[u8], symbols: &[u8], defined_at: usize) -> Option<Self> {
        let mut table = Self {
            fast: vec![0; 1 << FAST],
            limit: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
            defined_at,
            used: false,
            slot: 0,
            counts: std::array::from_fn(|i| counts.get(i).copied().unwrap_or(0)),
            seen: None,
        };
        let (mut code, mut index) = (0u32, 0usize);
        for length in 1..=16u32 {
            let n = u32::from(counts[length as usize - 1]);
            table.offset[length as usize] = index as i32 - code as i32;
            for _ in 0..n {
                // More codes than this length has room for.
                if code >= 1 << length {
                    return None;
                }
                if length <= FAST {
                    let first = (code << (FAST - length)) as usize;
                    let entry = (length as u16) << 8 | u16::from(*symbols.get(index)?);
                    table.fast[first..first + (1 << (FAST - length))].fill(entry);
                }
                code += 1;
                index += 1;
            }
            table.limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// What about the table is neither typical nor follows from how often its symbols are used, once they are counted:
    /// an encoder's choice that could say anything.
    fn loose(&self) -> Option<Oddity> {
        let seen = self.seen.as_deref()?;
        let typical = TYPICAL[self.slot / 4 * 2..self.slot / 4 * 2 + 2]
            .iter()
            .any(|table| table[..16] == self.counts && table[16..] == self.symbols);
        if typical {
            return None;
        }
        let what = if self.symbols.iter().any(|&s| seen[usize::from(s)] == 0) {
            "Huffman table with a symbol that is not used"
        } else if !self.optimal(seen) {
            "Huffman table that does not follow from what it codes"
        } else {
            return None;
        };
        Some(Oddity::Loose(self.defined_at, what))
    }

    /// Whether the table is one that T.81, Annex K.2, makes of these frequencies, up to ties: all codes are used but one
    /// of the longest, no symbol has a shorter code than a more frequent one, and those of one length are in order.
    fn optimal(&self, seen: &[u32; 256]) -> bool {
        let longest = self
            .counts
            .iter()
            .rposition(|&n| n > 0)
            .map_or(0, |i| i + 1);
        let room: u32 = (1..=longest)
            .map(|length| u32::from(self.counts[length - 1]) << (16 - length))
            .sum();
        let complete = room + (1 << (16 - longest)) == 1 << 16;
        let mut rest = &self.symbols[..];
        let mut least = u32::MAX;
        for (length, &count) in (1..=16).zip(&self.counts) {
            let (group, tail) = rest.split_at(usize::from(count));
            rest = tail;
            let frequencies = || group.iter().map(|&s| seen[usize::from(s)]);
            // Shortening mixes the rarest, up to about four bits above the longest.
            let mixed = longest == 16 && length > 12;
            if !mixed && frequencies().max().is_some_and(|most| most > least) {
                return false;
            }
            least = frequencies().min().unwrap_or(least);
            // Where codes of more than 16 bits had to be shortened, groups that were in order each follow one another.
            let most = match (longest, length) {
                (16, 16) => 3,
                (16, _) => 1,
                _ => 0,
            };
            if group.windows(2).filter(|pair| pair[0] >= pair[1]).count() > most {
                return false;
            }
        }
        complete
    }

    /// The next symbol and the length of its code; the code is not passed over yet.
    #[inline]
    pub(super) fn look(&self, next: usize) -> Result<(u32, u8), Fault> {
        let entry = self.fast[next >> (16 - FAST)];
        if entry != 0 {
            return Ok((u32::from(entry >> 8), entry as u8));
        }
        for length in FAST + 1..=16 {
            if (next as u32) < self.limit[length as usize] {
                let code = (next >> (16 - length)) as i32;
                let index = usize::try_from(code + self.offset[length as usize])
                    .map_err(|_| Fault::Code)?;
                return self
                    .symbols
                    .get(index)
                    .map(|&s| (length, s))
                    .ok_or(Fault::Code);
            }
        }
        Err(Fault::Code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_do_not_follow_from_frequencies_are_found() {
        let mut seen = [0; 256];
        (seen[1], seen[2], seen[3], seen[4]) = (50, 20, 10, 10);
        let optimal = |counts: [u8; 4], symbols: &[u8]| {
            let mut all = [0; 16];
            all[..4].copy_from_slice(&counts);
            Table::new(&all, symbols, 0).is_some_and(|table| table.optimal(&seen))
        };
        assert!(optimal([1, 1, 1, 1], &[1, 2, 3, 4]));
        assert!(optimal([1, 0, 3, 0], &[1, 2, 3, 4]));
        // Another order, a rare symbol with a short code, codes left over.
        assert!(!optimal([1, 0, 3, 0], &[1, 2, 4, 3]));
        assert!(!optimal([1, 1, 1, 1], &[3, 1, 2, 4]));
        assert!(!optimal([0, 1, 2, 1], &[1, 2, 3, 4]));
    }
}
