//! Where a frame shows what its neighbours in time do not: by blocks of small copies in colour.
//!
//! A block is explained by another frame if that shows the same near the same place: what moves does. What is shown in one
//! frame alone (a flash, a strobe, a picture cut in) is explained by neither neighbour.

use crate::geometry::Rect;

/// A copy has about this many cells.
const CELLS: f32 = 62_500.0;
/// Cells along a side of a block: 16 pixels of a frame of a million.
const BLOCK: usize = 4;
/// Bytes of a row of a block.
const ROW: usize = 3 * BLOCK;
/// Content is looked for at most this far from where it is expected, in cells.
const REACH: i32 = 8;
/// Within this distance every place is tried; further away every other one.
const NEAR: i32 = 2;
/// Mean difference per sample, of 255, up to which a block is explained.
const SAME: u32 = 14;
/// Mean difference per sample from which a single block is enough to be news; below, it takes [`FEW`] of a group of four.
const CLEAR: u32 = 40;
/// So many unexplained blocks of two by two are news.
const FEW: usize = 3;

/// A small copy of a frame, in colour.
#[derive(Debug, Clone)]
pub struct Small {
    width: usize,
    height: usize,
    /// Pixels of the frame along a side of a cell.
    step: usize,
    /// Red, green, blue of each cell, row by row.
    cells: Vec<u8>,
}

/// What a frame shows that others do not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct News {
    /// Share of the frame, 0 to 1.
    pub share: f32,
    /// Where, in pixels of the frame; the parts do not overlap.
    pub places: Vec<Rect>,
}

impl News {
    /// Adds a part; those that it touches become one with it.
    fn add(&mut self, mut place: Rect) {
        let touches =
            |a: &Rect, b: &Rect| a.x1 <= b.x2 && b.x1 <= a.x2 && a.y1 <= b.y2 && b.y1 <= a.y2;
        while let Some(other) = self.places.iter().position(|p| touches(p, &place)) {
            place = place.hull(&self.places.swap_remove(other));
        }
        self.places.push(place);
    }
}

/// Another frame, and how far its content has moved since or until then, in pixels.
pub type Other<'a> = (&'a Small, (f32, f32));

impl Small {
    /// Of a frame of `width` × `height` pixels, `rgb` of 8 bits; a frame without pixels gives a copy without cells.
    #[must_use]
    pub fn new(rgb: &[u8], width: u32, height: u32) -> Self {
        let (w, h) = (width as usize, height as usize);
        let step = ((w as f32 * h as f32 / CELLS).sqrt().round() as usize).max(1);
        let (columns, rows) = (w / step, h / step);
        let mut cells = Vec::with_capacity(columns * rows * 3);
        let mut sums = vec![0u16; w * 3];
        for band in rgb.chunks_exact(w.max(1) * 3 * step).take(rows) {
            sums.fill(0);
            // Few enough lines that sixteen bits hold their sum.
            for line in band.chunks_exact(w * 3) {
                for (sum, v) in sums.iter_mut().zip(line) {
                    *sum += u16::from(*v);
                }
            }
            let area = (step * step) as u32;
            for group in sums.chunks_exact(3 * step) {
                let mut cell = [0u32; 3];
                for pixel in group.chunks_exact(3) {
                    for (c, v) in cell.iter_mut().zip(pixel) {
                        *c += u32::from(*v);
                    }
                }
                cells.extend(cell.map(|c| (c / area) as u8));
            }
        }
        Self {
            width: columns,
            height: cells.len() / (3 * columns).max(1),
            step,
            cells,
        }
    }

    /// Columns and rows of whole blocks.
    const fn blocks(&self) -> (usize, usize) {
        (self.width / BLOCK, self.height / BLOCK)
    }

    /// About the share of this frame, 0 to 1, that `other` does not show: from a quarter of the blocks.
    #[must_use]
    pub fn share_not_in(&self, other: Other<'_>) -> f32 {
        let (columns, rows) = self.blocks();
        let blocks = (0..rows).step_by(2);
        let blocks = blocks.flat_map(|y| (0..columns).step_by(2).map(move |x| (x, y)));
        let (mut all, mut strange) = (0, 0);
        for block in blocks {
            all += 1;
            strange += usize::from(self.unexplained(block, &[other]) > SAME);
        }
        strange as f32 / all.max(1) as f32
    }

    /// What of this frame none of `others` shows, in pixels of the frame; parts smaller than a small face don't count.
    #[must_use]
    pub fn news(&self, others: &[Other<'_>]) -> News {
        let (columns, rows) = self.blocks();
        let blocks = (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y)));
        let strange: Vec<u32> = blocks.map(|b| self.unexplained(b, others)).collect();
        let count = strange.iter().filter(|d| **d > SAME).count();
        let mut news = News {
            share: count as f32 / strange.len().max(1) as f32,
            places: Vec::new(),
        };
        let side = (self.step * BLOCK) as f32;
        for y in 0..rows {
            for x in 0..columns {
                // The group of four to the right and below, as far as there is one.
                let group = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(i, j)| (x + i, y + j));
                let inside = group.iter().filter(|(x, y)| *x < columns && *y < rows);
                let few = inside
                    .filter(|(x, y)| strange[y * columns + x] > SAME)
                    .count();
                let clear = strange[y * columns + x] > CLEAR;
                if few >= FEW || clear {
                    let (x, y) = (x as f32 * side, y as f32 * side);
                    let reach = if few >= FEW { 2.0 * side } else { side };
                    news.add(Rect::new(x, y, x + reach, y + reach));
                }
            }
        }
        news
    }

    /// Least mean difference of a block from what any of `others` shows near its place.
    fn unexplained(&self, block: (usize, usize), others: &[Other<'_>]) -> u32 {
        let expected = |shift: (f32, f32)| {
            let cells = |v: f32| (v / self.step as f32).round() as i32;
            (
                (block.0 * BLOCK) as i32 - cells(shift.0),
                (block.1 * BLOCK) as i32 - cells(shift.1),
            )
        };
        let at = |(x, y): (i32, i32), other: &Self| {
            // What lay outside of the other frame is compared with its edge.
            let x = x.clamp(0, (other.width - BLOCK) as i32) as usize;
            let y = y.clamp(0, (other.height - BLOCK) as i32) as usize;
            self.difference(block, other, (x, y))
        };
        let mut least = u32::MAX;
        for (other, shift) in others {
            least = least.min(at(expected(*shift), other));
            if least <= SAME {
                return least;
            }
        }
        for (other, shift) in others {
            let (x, y) = expected(*shift);
            for dy in -REACH..=REACH {
                for dx in -REACH..=REACH {
                    let near = dx.abs().max(dy.abs()) <= NEAR;
                    if near || (dx % 2 == 0 && dy % 2 == 0) {
                        least = least.min(at((x + dx, y + dy), other));
                    }
                }
                if least <= SAME {
                    return least;
                }
            }
        }
        least
    }

    /// Mean difference of a block from what another copy shows at `place`, in cells.
    fn difference(&self, block: (usize, usize), other: &Self, place: (usize, usize)) -> u32 {
        let mut sum = 0;
        for row in 0..BLOCK {
            let a = ((block.1 * BLOCK + row) * self.width + block.0 * BLOCK) * 3;
            let b = ((place.1 + row) * other.width + place.0) * 3;
            let pairs = self.cells[a..a + ROW].iter().zip(&other.cells[b..b + ROW]);
            sum += pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        }
        sum / (ROW * BLOCK) as u32
    }
}
