//! Scans, symbol by symbol: which bits belong to which block, not what they say.

mod census;
mod tables;

use super::{
    Header, Oddity,
    bits::{Bits, CutOff},
    samples::Kept,
};
use census::Census;
use tables::Table;
pub(super) use tables::{TYPICAL, Tables};

enum Fault {
    CutOff,
    Code,
    Overflow,
    Restart,
}

impl From<CutOff> for Fault {
    fn from(_: CutOff) -> Self {
        Self::CutOff
    }
}

impl Fault {
    const fn text(&self) -> &'static str {
        match self {
            Self::CutOff => "it is cut off: blocks of the picture are missing",
            Self::Code => "a code in the picture's data means nothing",
            Self::Overflow => "a block has more coefficients than fit",
            Self::Restart => "a restart marker is missing or out of turn",
        }
    }
}

/// Which components and which coefficients a scan holds.
pub(super) struct Selection {
    /// Index of the component, its DC table and its AC table.
    pub(super) parts: Vec<(usize, u8, u8)>,
    first: u8,
    last: u8,
    high: u8,
    low: u8,
}

impl Selection {
    pub(super) fn read(b: &[u8], header: &Header) -> Result<Self, String> {
        let broken = || "a scan header is broken".to_string();
        let count = usize::from(*b.first().ok_or_else(broken)?);
        if !(1..=4).contains(&count) || b.len() != 4 + 2 * count {
            return Err(broken());
        }
        let mut parts: Vec<(usize, u8, u8)> = Vec::new();
        for pair in b[1..=2 * count].chunks_exact(2) {
            let index = header
                .components
                .iter()
                .position(|c| c.id == pair[0])
                .ok_or_else(broken)?;
            if parts.iter().any(|p| p.0 == index) || pair[1] >> 4 > 3 || pair[1] & 15 > 3 {
                return Err(broken());
            }
            parts.push((index, pair[1] >> 4, pair[1] & 15));
        }
        let tail = &b[1 + 2 * count..];
        let selection = Self {
            parts,
            first: tail[0],
            last: tail[1],
            high: tail[2] >> 4,
            low: tail[2] & 15,
        };
        let fits = if header.progressive() {
            selection.last <= 63
                && selection.low <= 13
                && if selection.first == 0 {
                    selection.last == 0
                } else {
                    selection.first <= selection.last && count == 1
                }
        } else {
            // Some writers leave other numbers here; readers pass over them.
            true
        };
        if fits { Ok(selection) } else { Err(broken()) }
    }
}

/// What has been seen of each component so far.
pub(super) struct State {
    /// For each component, a bit a coefficient that is not 0, a word a block; empty when sequential.
    nonzero: Vec<Vec<u64>>,
    /// For each component, whether its DC coefficients (or, sequential, all) came.
    seen: Vec<bool>,
    /// For each component and coefficient, the bits that are still to come; progressive only.
    to_come: Vec<[u8; 64]>,
    /// The samples, where they are wanted.
    pub(super) kept: Option<Kept>,
    /// Whether [`Oddity::Loose`] is wanted.
    pub(super) strict: bool,
}

/// Blocks of a component in its own grid, and in the grid padded to whole MCUs.
pub(super) struct Grid {
    columns: u32,
    rows: u32,
    pub(super) padded_columns: u32,
    pub(super) padded_rows: u32,
}

pub(super) fn grid(header: &Header, index: usize) -> Grid {
    let component = header.components[index];
    let h_max = u32::from(header.components.iter().map(|c| c.h).max().unwrap_or(1));
    let v_max = u32::from(header.components.iter().map(|c| c.v).max().unwrap_or(1));
    let (w, h) = (u32::from(header.width), u32::from(header.height));
    let (ch, cv) = (u32::from(component.h), u32::from(component.v));
    Grid {
        columns: (w * ch).div_ceil(h_max).div_ceil(8),
        rows: (h * cv).div_ceil(v_max).div_ceil(8),
        padded_columns: w.div_ceil(8 * h_max) * ch,
        padded_rows: h.div_ceil(8 * v_max) * cv,
    }
}

/// Nothing has come yet.
const ALL_BITS: u8 = u8::MAX;

impl State {
    pub(super) fn new(header: &Header) -> Self {
        let n = header.components.len();
        Self {
            nonzero: vec![Vec::new(); n],
            seen: vec![false; n],
            to_come: vec![[ALL_BITS; 64]; n],
            kept: None,
            strict: false,
        }
    }

    /// What never came, in words. A progressive picture may leave out coefficients (they are then
    /// 0), but one whose bits came in part only, or without any DC, was cut.
    pub(super) fn missing(&self, header: &Header) -> Option<String> {
        if self.seen.iter().any(|seen| !seen) {
            return Some("it is cut off: a colour component is missing".into());
        }
        if header.progressive() {
            let part = |bits: &u8| *bits != 0 && *bits != ALL_BITS;
            if self
                .to_come
                .iter()
                .any(|c| c.iter().any(part) || c.contains(&ALL_BITS))
            {
                return Some("it is cut off: the last passes of refinement are missing".into());
            }
        }
        None
    }
}

/// What walking a scan gave.
pub(super) struct Walked {
    pub(super) end: usize,
    /// MCUs that the scan has.
    pub(super) units: u32,
    pub(super) oddities: Vec<Oddity>,
    pub(super) damage: Option<String>,
}

/// Follows a scan from its first byte to the marker behind it.
pub(super) fn walk(
    bytes: &[u8],
    start: usize,
    header: &Header,
    selection: &Selection,
    tables: &mut Tables,
    restart_interval: u32,
    state: &mut State,
) -> Walked {
    let mut scan = Scan {
        bytes,
        header,
        selection,
        bits: Bits::new(bytes, start),
        eob_run: 0,
        restarts: 0,
        units: 0,
        predictors: [0; 4],
        census: state.strict.then(Box::default),
        oddities: Vec::new(),
    };
    let result = scan.prepare(tables, state).and_then(|parts| {
        let walked = if state.kept.is_some() {
            scan.mcus::<KEEP>(&parts, tables, restart_interval, state)
        } else if scan.census.is_some() {
            scan.mcus::<CENSUS>(&parts, tables, restart_interval, state)
        } else {
            scan.mcus::<STRUCTURE>(&parts, tables, restart_interval, state)
        };
        walked.map_err(|f| f.text().to_string())
    });
    let units = scan.units;
    let (ones, slack, end) = scan.bits.end();
    let mut oddities = scan.oddities;
    if let Some(census) = scan.census {
        tables.count(&census.symbols);
        oddities.extend(census.loose(start));
    }
    if result.is_ok() {
        if !ones {
            oddities.push(Oddity::Padding(slack.start));
        }
        if !slack.is_empty() {
            oddities.push(Oddity::Slack(slack));
        }
    }
    Walked {
        end,
        units,
        oddities,
        damage: result.err(),
    }
}

/// One component in a scan, resolved.
struct Part {
    index: usize,
    dc: usize,
    ac: usize,
    grid: Grid,
    h: u32,
    v: u32,
}

struct Scan<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    selection: &'a Selection,
    bits: Bits<'a>,
    eob_run: u32,
    restarts: u32,
    units: u32,
    /// DC of the block before, for each component; where values are kept.
    predictors: [i16; 4],
    census: Option<Box<Census>>,
    oddities: Vec<Oddity>,
}

/// Most bits of a coefficient other than DC where samples have 8 bits. Decoders differ on what is beyond.
const MAX_BITS: u32 = 10;

/// The structure only, at the full speed of the check that every photo gets.
const STRUCTURE: u8 = 0;
/// The values of coefficients are kept in [`State::kept`].
const KEEP: u8 = 1;
/// Symbols are counted, and ways of coding are noted that no encoder needs, in [`Scan::census`].
const CENSUS: u8 = 2;

/// The parameter of the methods that are called for each block is one of the three modes above.
impl Scan<'_> {
    fn prepare(&self, tables: &mut Tables, state: &mut State) -> Result<Vec<Part>, String> {
        let progressive = self.header.progressive();
        let s = self.selection;
        let mut parts = Vec::new();
        for &(index, dc, ac) in &s.parts {
            let needs_dc = if progressive {
                s.first == 0 && s.high == 0
            } else {
                true
            };
            let needs_ac = if progressive { s.first > 0 } else { true };
            let component = self.header.components[index];
            let part = Part {
                index,
                dc: if needs_dc { tables.select(0, dc)? } else { 0 },
                ac: if needs_ac { tables.select(1, ac)? } else { 0 },
                grid: grid(self.header, index),
                h: u32::from(component.h),
                v: u32::from(component.v),
            };
            if progressive {
                for k in s.first..=s.last {
                    let bits = &mut state.to_come[index][usize::from(k)];
                    let expected = if s.high == 0 { ALL_BITS } else { s.high };
                    if *bits != expected {
                        return Err("its passes of refinement are out of order".into());
                    }
                    *bits = s.low;
                }
                if s.first > 0 && state.nonzero[index].is_empty() {
                    let blocks = part.grid.padded_columns as usize * part.grid.padded_rows as usize;
                    state.nonzero[index] = vec![0; blocks];
                }
            }
            if !progressive && state.seen[index] {
                return Err("a colour component comes twice".into());
            }
            state.seen[index] |= s.first == 0 || !progressive;
            if let Some(kept) = &mut state.kept {
                kept.begin(index, self.header, &part.grid);
            }
            parts.push(part);
        }
        Ok(parts)
    }

    fn mcus<const MODE: u8>(
        &mut self,
        parts: &[Part],
        tables: &Tables,
        restart_interval: u32,
        state: &mut State,
    ) -> Result<(), Fault> {
        let single = parts.len() == 1;
        let (columns, rows) = match parts {
            [only] => (only.grid.columns, only.grid.rows),
            _ => {
                let g = &parts[0];
                (g.grid.padded_columns / g.h, g.grid.padded_rows / g.v)
            }
        };
        self.units = columns * rows;
        let mut left = restart_interval;
        for row in 0..rows {
            for column in 0..columns {
                if restart_interval > 0 {
                    if left == 0 {
                        self.restart()?;
                        left = restart_interval;
                    }
                    left -= 1;
                }
                for part in parts {
                    let (h, v) = if single { (1, 1) } else { (part.h, part.v) };
                    for y in 0..v {
                        for x in 0..h {
                            let at = (row * v + y) as usize * part.grid.padded_columns as usize
                                + (column * h + x) as usize;
                            if MODE == CENSUS
                                && let Some(census) = &mut self.census
                            {
                                let (across, down) = (column * h + x, row * v + y);
                                census.beyond =
                                    (across >= part.grid.columns, down >= part.grid.rows);
                            }
                            self.block::<MODE>(part, at, tables, state)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Passes over the restart marker that is due here.
    fn restart(&mut self) -> Result<(), Fault> {
        let bytes = self.bytes;
        let bits = std::mem::replace(&mut self.bits, Bits::new(bytes, bytes.len()));
        let (ones, slack, mut end) = bits.end();
        let filling = bytes[end..]
            .iter()
            .take_while(|&&b| b == 0xFF)
            .count()
            .saturating_sub(1);
        if filling > 0 && self.oddities.len() < 16 {
            self.oddities.push(Oddity::Fill(end..end + filling));
        }
        end += filling;
        if bytes.get(end + 1) != Some(&(0xD0 + (self.restarts % 8) as u8)) {
            self.bits = Bits::new(bytes, end);
            return Err(if end + 1 >= bytes.len() || bytes[end + 1] == super::EOI {
                Fault::CutOff
            } else {
                Fault::Restart
            });
        }
        // A hostile file can have one a block.
        if self.oddities.len() < 16 {
            if !ones {
                self.oddities.push(Oddity::Padding(slack.start));
            }
            if !slack.is_empty() {
                self.oddities.push(Oddity::Slack(slack));
            }
        }
        self.restarts += 1;
        self.note(|census| census.interval());
        self.eob_run = 0;
        self.predictors = [0; 4];
        self.bits = Bits::new(bytes, end + 2);
        Ok(())
    }

    #[inline]
    fn block<const MODE: u8>(
        &mut self,
        part: &Part,
        at: usize,
        tables: &Tables,
        state: &mut State,
    ) -> Result<(), Fault> {
        let table = |slot: usize| tables.slots[slot].as_deref().ok_or(Fault::Code);
        if !self.header.progressive() {
            let (dc, ac) = (table(part.dc)?, table(part.ac)?);
            let Some(kept) = state.kept.as_mut().filter(|_| MODE == KEEP) else {
                return self.sequential::<MODE>(part, dc, ac, &mut []);
            };
            let mut block = [0; 64];
            self.sequential::<MODE>(part, dc, ac, &mut block)?;
            kept.finish(part.index, at, &block);
            return Ok(());
        }
        let block = match &mut state.kept {
            Some(kept) if MODE == KEEP => kept.block(part.index, at).ok_or(Fault::Overflow)?,
            _ => &mut [],
        };
        if self.selection.first == 0 {
            if self.selection.high > 0 {
                let bit = self.bit::<MODE>()?;
                if MODE == KEEP {
                    block[0] |= bit << self.selection.low;
                }
                return Ok(());
            }
            return self.dc::<MODE>(part, table(part.dc)?, block);
        }
        let ac = table(part.ac)?;
        let nonzero = state.nonzero[part.index]
            .get_mut(at)
            .ok_or(Fault::Overflow)?;
        if self.selection.high == 0 {
            self.ac_first::<MODE>(ac, nonzero, block)
        } else {
            self.ac_refine::<MODE>(ac, nonzero, block)
        }
    }

    /// Lets the census know something.
    #[inline]
    fn note(&mut self, what: impl FnOnce(&mut Census)) {
        if let Some(census) = &mut self.census {
            what(census);
        }
    }

    /// The next symbol and the length of its code, which is not skipped yet.
    #[inline]
    fn symbol<const MODE: u8>(&mut self, table: &Table) -> Result<(u32, u8), Fault> {
        let (length, symbol) = table.look(self.bits.peek16())?;
        if MODE == CENSUS {
            self.note(|census| census.symbol(table.slot, symbol));
        }
        Ok((length, symbol))
    }

    /// Skips a code of `length` bits and reads the value of `size` ≤ 15 bits behind it; 0 unless values are kept.
    #[inline]
    fn value<const MODE: u8>(&mut self, length: u32, size: u32) -> Result<i16, Fault> {
        if MODE != KEEP {
            self.bits.skip(length + size)?;
            return Ok(0);
        }
        self.bits.skip(length)?;
        let bits = self.bits.take(size)? as i32;
        // The lower half of the range stands for negative values.
        let negative = size > 0 && bits >> (size - 1) == 0;
        Ok((if negative {
            bits - (1 << size) + 1
        } else {
            bits
        }) as i16)
    }

    /// The next bit; 0 unless values are kept.
    #[inline]
    fn bit<const MODE: u8>(&mut self) -> Result<i16, Fault> {
        if MODE != KEEP {
            self.bits.skip(1)?;
            return Ok(0);
        }
        Ok(self.bits.take(1)? as i16)
    }

    #[inline]
    fn dc<const MODE: u8>(
        &mut self,
        part: &Part,
        table: &Table,
        block: &mut [i16],
    ) -> Result<(), Fault> {
        let (length, size) = self.symbol::<MODE>(table)?;
        if size > 11 {
            return Err(Fault::Code);
        }
        let difference = self.value::<MODE>(length, u32::from(size))?;
        if MODE == KEEP {
            let predictor = &mut self.predictors[part.index];
            *predictor = predictor.wrapping_add(difference);
            // In sequential scans, the field is without meaning.
            let low = if self.header.progressive() {
                self.selection.low
            } else {
                0
            };
            block[0] = *predictor << low;
        }
        Ok(())
    }

    #[inline]
    fn sequential<const MODE: u8>(
        &mut self,
        part: &Part,
        dc: &Table,
        ac: &Table,
        block: &mut [i16],
    ) -> Result<(), Fault> {
        self.dc::<MODE>(part, dc, block)?;
        let mut k = 1;
        while k < 64 {
            let (length, symbol) = self.symbol::<MODE>(ac)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size > MAX_BITS {
                return Err(Fault::Code);
            }
            let value = self.value::<MODE>(length, size)?;
            if size == 0 {
                if run != 15 {
                    if MODE == CENSUS {
                        self.note(|census| census.end_of_block(run));
                    }
                    return Ok(());
                }
                k += 16;
            } else {
                k += run + 1;
                if MODE == CENSUS {
                    self.note(|census| census.coefficient(k - 1));
                }
                if MODE == KEEP {
                    *block.get_mut(k as usize - 1).ok_or(Fault::Overflow)? = value;
                }
            }
        }
        if MODE == CENSUS {
            self.note(Census::full_block);
        }
        if k > 64 { Err(Fault::Overflow) } else { Ok(()) }
    }

    fn ac_first<const MODE: u8>(
        &mut self,
        table: &Table,
        nonzero: &mut u64,
        block: &mut [i16],
    ) -> Result<(), Fault> {
        if self.eob_run > 0 {
            self.eob_run -= 1;
            return Ok(());
        }
        let last = u32::from(self.selection.last);
        let mut k = u32::from(self.selection.first);
        while k <= last {
            let (length, symbol) = self.symbol::<MODE>(table)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 {
                self.bits.skip(length)?;
                if run < 15 {
                    self.eob_run = (1 << run) - 1 + self.bits.take(run)?;
                    if MODE == CENSUS {
                        let (length, first) = (self.eob_run + 1, u32::from(self.selection.first));
                        self.note(|census| census.run(length, k == first));
                    }
                    return Ok(());
                }
                k += 16;
            } else {
                if size > MAX_BITS {
                    return Err(Fault::Code);
                }
                let value = self.value::<MODE>(length, size)?;
                k += run;
                if k > last {
                    return Err(Fault::Overflow);
                }
                *nonzero |= 1 << k;
                if MODE == KEEP {
                    block[k as usize] = value << self.selection.low;
                }
                k += 1;
            }
        }
        if MODE == CENSUS {
            self.note(Census::full_block);
        }
        Ok(())
    }

    /// Reads the next bit of a coefficient that is not 0 already.
    #[inline]
    fn correct<const MODE: u8>(&mut self, block: &mut [i16], k: u32) -> Result<(), Fault> {
        let bit = self.bit::<MODE>()?;
        if MODE == KEEP {
            let value = &mut block[k as usize];
            let step = bit << self.selection.low;
            *value = value.wrapping_add(if *value < 0 { -step } else { step });
        }
        Ok(())
    }

    fn ac_refine<const MODE: u8>(
        &mut self,
        table: &Table,
        nonzero: &mut u64,
        block: &mut [i16],
    ) -> Result<(), Fault> {
        let (first, last) = (
            u32::from(self.selection.first),
            u32::from(self.selection.last),
        );
        let mut k = first;
        if self.eob_run == 0 {
            while k <= last {
                let (length, symbol) = self.symbol::<MODE>(table)?;
                let (mut run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                self.bits.skip(length)?;
                let mut value = 0;
                match size {
                    0 if run < 15 => {
                        self.eob_run = (1 << run) + self.bits.take(run)?;
                        if MODE == CENSUS {
                            self.note(|census| census.end_of_block(0));
                        }
                        break;
                    }
                    0 => {}
                    1 => {
                        let bit = self.bit::<MODE>()?;
                        value = (2 * bit - 1) << self.selection.low;
                    }
                    _ => return Err(Fault::Code),
                }
                // Coefficients that are not 0 already get a bit each and do not count.
                while k <= last {
                    if *nonzero >> k & 1 == 1 {
                        self.correct::<MODE>(block, k)?;
                    } else if run == 0 {
                        break;
                    } else {
                        run -= 1;
                    }
                    k += 1;
                }
                if size == 1 {
                    if k > last {
                        return Err(Fault::Overflow);
                    }
                    *nonzero |= 1 << k;
                    if MODE == KEEP {
                        block[k as usize] = value;
                    }
                }
                k += 1;
            }
        }
        if MODE == CENSUS && self.eob_run == 0 {
            self.note(Census::full_block);
        }
        if self.eob_run > 0 {
            while k <= last {
                if *nonzero >> k & 1 == 1 {
                    self.correct::<MODE>(block, k)?;
                }
                k += 1;
            }
            self.eob_run -= 1;
        }
        Ok(())
    }
}
