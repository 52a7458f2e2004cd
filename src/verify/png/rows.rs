//! The rows of a PNG's pixels: their number, their filters, and colours under transparency.

use super::{Findings, Header, LeakKind};

/// Follows the rows as they come: filters undone where the pixels must be seen.
pub(super) struct Rows<'a> {
    pub(super) header: Header,
    palette: Option<&'a [u8]>,
    transparency: Option<&'a [u8]>,
    row: Vec<u8>,
    above: Vec<u8>,
    filled: usize,
    done: u32,
    pub(super) surplus: usize,
    bad_filter: bool,
    hidden: u64,
    padding: bool,
    used: Box<[bool; 256]>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        header: Header,
        palette: Option<&'a [u8]>,
        transparency: Option<&'a [u8]>,
    ) -> Self {
        Self {
            header,
            palette,
            transparency,
            row: Vec::new(),
            above: Vec::new(),
            filled: 0,
            done: 0,
            surplus: 0,
            bad_filter: false,
            hidden: 0,
            padding: false,
            used: Box::new([false; 256]),
        }
    }

    pub(super) fn take(&mut self, mut data: &[u8]) {
        let length = 1 + self.header.row_bytes();
        while !data.is_empty() {
            if self.done == self.header.height {
                self.surplus += data.len();
                return;
            }
            if self.row.is_empty() {
                // Only now: a header alone must not make the reader allocate.
                self.row = vec![0; length];
                self.above = vec![0; length];
            }
            let part = data.len().min(length - self.filled);
            self.row[self.filled..self.filled + part].copy_from_slice(&data[..part]);
            self.filled += part;
            data = &data[part..];
            if self.filled == length {
                self.filled = 0;
                self.done += 1;
                self.look();
            }
        }
    }

    /// Looks at one whole row.
    fn look(&mut self) {
        self.bad_filter |= self.row[0] > 4;
        let alpha = matches!(self.header.colour, 4 | 6);
        // Bits behind the last pixel.
        let spare = 8 * self.header.row_bytes() - self.header.row_bits();
        if !alpha && self.header.colour != 3 && spare == 0 {
            return;
        }
        unfilter(&mut self.row, &self.above, self.header.step());
        let pixels = &self.row[1..];
        self.padding |= pixels
            .last()
            .is_some_and(|b| b & ((1 << spare) - 1) as u8 != 0);
        if alpha {
            let sample = usize::from(self.header.depth / 8);
            let whole = sample * self.header.channels();
            self.hidden += pixels
                .chunks_exact(whole)
                .filter(|p| {
                    p[whole - sample..].iter().all(|&b| b == 0) && p.iter().any(|&b| b != 0)
                })
                .count() as u64;
        } else if self.header.colour == 3 {
            let depth = usize::from(self.header.depth);
            for x in 0..self.header.width as usize {
                let bit = x * depth;
                let index = pixels[bit / 8] >> (8 - depth - bit % 8) & (0xFF >> (8 - depth)) as u8;
                self.used[usize::from(index)] = true;
            }
        }
        std::mem::swap(&mut self.row, &mut self.above);
    }

    pub(super) fn finish(self, findings: &mut Findings) {
        if self.done < self.header.height || self.filled > 0 {
            findings.add(LeakKind::Malformed, "fewer rows than the header says", 0..0);
        }
        if self.padding {
            findings.add(LeakKind::Slack, "bits behind a row", 0..0);
        }
        if self.bad_filter {
            findings.add(LeakKind::Malformed, "a filter that does not exist", 0..0);
        }
        findings.hidden(self.hidden);
        let entries = self.palette.map_or(0, |p| p.len() / 3);
        if self.header.colour != 3 {
            if let Some(t) = self.transparency {
                findings.add(
                    LeakKind::Unused,
                    "a transparent colour beside an alpha channel or none",
                    0..t.len(),
                );
            }
            if self.palette.is_some() {
                findings.add(
                    LeakKind::Unused,
                    "a palette that nothing uses",
                    0..self.palette.map_or(0, <[u8]>::len),
                );
            }
            return;
        }
        if self.palette.is_some_and(|p| !p.len().is_multiple_of(3)) {
            findings.add(LeakKind::Slack, "bytes behind a palette", 0..0);
        }
        // The colours of what can't be seen.
        let clear = self.transparency.unwrap_or_default().iter();
        let colours = self.palette.unwrap_or_default().chunks_exact(3);
        findings.hidden(
            clear
                .zip(colours)
                .filter(|(alpha, colour)| **alpha == 0 && **colour != [0, 0, 0])
                .count() as u64,
        );
        let mut shown: Vec<[u8; 4]> = (0..entries.min(256))
            .filter(|&i| self.used[i])
            .map(|i| {
                let colour = self
                    .palette
                    .and_then(|p| p.get(3 * i..3 * i + 3))
                    .unwrap_or(&[0; 3]);
                let alpha = self
                    .transparency
                    .and_then(|t| t.get(i))
                    .copied()
                    .unwrap_or(255);
                [colour[0], colour[1], colour[2], alpha]
            })
            .collect();
        let used = shown.len();
        shown.sort_unstable();
        shown.dedup();
        if shown.len() < used {
            let what = "palette entries that look the same";
            findings.add(LeakKind::HiddenPixels, what, 0..0);
        }
        if self.used[entries.min(256)..].contains(&true) {
            let what = "pixels without a palette entry";
            findings.add(LeakKind::HiddenPixels, what, 0..0);
        }
        let spare = (0..entries.min(256)).filter(|&i| !self.used[i]).count();
        if spare > 0 || entries > 256 {
            findings.add(
                LeakKind::Unused,
                format!("{spare} palette entries that nothing uses"),
                0..3 * spare,
            );
        }
        if self.transparency.is_some_and(|t| t.len() > entries) {
            findings.add(
                LeakKind::Unused,
                "transparency of colours that are not there",
                0..0,
            );
        }
    }
}

/// Undoes a row's filter in place. `row` and `above` begin with the filter byte.
fn unfilter(row: &mut [u8], above: &[u8], step: usize) {
    let (filter, row) = match row.split_first_mut() {
        Some((f, rest)) => (*f, rest),
        None => return,
    };
    let above = &above[1..];
    for i in 0..row.len() {
        let left = if i >= step { row[i - step] } else { 0 };
        let (up, corner) = (above[i], if i >= step { above[i - step] } else { 0 });
        let predicted = match filter {
            1 => left,
            2 => up,
            3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
            4 => paeth(left, up, corner),
            _ => 0,
        };
        row[i] = row[i].wrapping_add(predicted);
    }
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let p = i16::from(left) + i16::from(up) - i16::from(corner);
    let distance = |v: u8| (p - i16::from(v)).abs();
    let (a, b, c) = (distance(left), distance(up), distance(corner));
    if a <= b && a <= c {
        left
    } else if b <= c {
        up
    } else {
        corner
    }
}
