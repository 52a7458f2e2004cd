//! Freedoms of coding that no encoder needs, and that could carry something.

use super::super::Oddity;

/// What is counted while a scan is walked.
pub(super) struct Census {
    /// How often each symbol of each table was read.
    pub(super) symbols: [[u32; 256]; 8],
    /// Whether the block lies beyond the picture's right edge, and beyond its lower one.
    pub(super) beyond: (bool, bool),
    /// The last symbol stood for 16 zeros.
    zeros: bool,
    /// Length of the run of blocks' ends that reached up to this block, if one did, and whether its first block was
    /// empty.
    before: Option<(u32, bool)>,
    /// The longest such run.
    longest: u32,
    /// The shortest one that another followed at once.
    split: u32,
    found: Vec<&'static str>,
}

impl Default for Census {
    fn default() -> Self {
        Self {
            symbols: [[0; 256]; 8],
            beyond: (false, false),
            zeros: false,
            before: None,
            longest: 0,
            split: u32::MAX,
            found: Vec::new(),
        }
    }
}

impl Census {
    fn find(&mut self, what: &'static str) {
        if !self.found.contains(&what) {
            self.found.push(what);
        }
    }

    #[inline]
    pub(super) fn symbol(&mut self, slot: usize, symbol: u8) {
        self.symbols[slot][usize::from(symbol)] += 1;
        if slot >= 4 && symbol & 15 != 0 {
            self.zeros = false;
        } else if slot >= 4 && symbol == 0xF0 {
            self.zeros = true;
        }
    }

    /// A coefficient, by its place in zigzag order, of a sequential picture.
    #[inline]
    pub(super) fn coefficient(&mut self, k: u32) {
        if self.beyond == (false, false) {
            return;
        }
        // Encoders fill what lies beyond an edge with the pixels along it: nothing changes across the edge.
        let place = super::super::samples::ZIGZAG
            .get(k as usize)
            .copied()
            .unwrap_or(0);
        if self.beyond.0 && place % 8 > 0 || self.beyond.1 && place / 8 > 0 {
            self.find("coefficients in blocks beyond the picture's edge");
        }
    }

    /// The end of a block by its code; `run`: of what it says beside.
    #[inline]
    pub(super) fn end_of_block(&mut self, run: u32) {
        if run > 0 {
            self.find("code for the end of a block that has no meaning");
        }
        self.full_block();
    }

    /// The end of a block by its last coefficient.
    #[inline]
    pub(super) fn full_block(&mut self) {
        if std::mem::take(&mut self.zeros) {
            self.find("zeros before the end of a block");
        }
        self.before = None;
    }

    /// A run of `length` ends of blocks, which begins in this block; `empty`: it has no coefficient before.
    pub(super) fn run(&mut self, length: u32, empty: bool) {
        // Some encoders end a block with coefficients by itself.
        let parted = |&(before, first_empty): &(u32, bool)| empty && (before > 1 || first_empty);
        if let Some((before, _)) = self.before.filter(parted) {
            self.split = self.split.min(before);
        }
        self.full_block();
        self.longest = self.longest.max(length);
        self.before = Some((length, empty));
    }

    /// A new restart interval.
    pub(super) fn interval(&mut self) {
        self.before = None;
    }

    /// What was found in the scan that begins at `at`.
    pub(super) fn loose(mut self, at: usize) -> impl Iterator<Item = Oddity> {
        if self.split < self.longest {
            self.find("run of empty blocks in parts");
        }
        self.found
            .into_iter()
            .map(move |what| Oddity::Loose(at, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(runs: &[(u32, bool)]) -> bool {
        let mut census = Census::default();
        runs.iter()
            .for_each(|&(length, empty)| census.run(length, empty));
        census.loose(0).count() > 0
    }

    #[test]
    fn runs_of_empty_blocks_that_could_be_one_are_found() {
        // An encoder that knows no runs, one that ends blocks with coefficients by themselves, one with a longest run.
        assert!(!parted(&[(1, false), (1, true), (1, true)]));
        assert!(!parted(&[(1, false), (9, true)]));
        assert!(!parted(&[(9, true), (9, true), (4, true)]));
        assert!(parted(&[(1, true), (9, true)]));
        assert!(parted(&[(3, false), (9, true)]));
    }
}
