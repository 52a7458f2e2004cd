//! Huffman tables, as the segments define them.

use super::Fault;

/// Bits that the first look-up of a code decides on; longer codes take a second look.
const FAST: u32 = 10;

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
}

/// The four tables for DC and the four for AC.
#[derive(Default)]
pub(in crate::jpeg) struct Tables {
    pub(super) slots: [Option<Box<Table>>; 8],
}

impl Tables {
    /// Reads a DHT segment's payload; gives the offsets of tables that it replaces unused.
    pub(in crate::jpeg) fn define(
        &mut self,
        mut rest: &[u8],
        offset: usize,
    ) -> Result<Vec<usize>, String> {
        let broken = || "a Huffman table is broken".to_string();
        let mut again = Vec::new();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at_checked(17).ok_or_else(broken)?;
            let class = usize::from(head[0] >> 4);
            let slot = usize::from(head[0] & 15);
            let count: usize = head[1..].iter().map(|&n| usize::from(n)).sum();
            if class > 1 || slot > 3 || count > 256 || tail.len() < count {
                return Err(broken());
            }
            let table = Table::new(&head[1..], &tail[..count], offset).ok_or_else(broken)?;
            if let Some(old) = self.slots[class * 4 + slot].replace(Box::new(table))
                && !old.used
            {
                again.push(old.defined_at);
            }
            rest = &tail[count..];
        }
        Ok(again)
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
