//! What lies around a region, drawn smoothly over it: the surface that a skin takes which is fixed
//! at the region's rim (Laplace's equation). Knows no effect and no kind of picture.
//!
//! What is covered is never read. The rim is what lies within [`RIM`] pixels of the region; regions
//! that come nearer to each other than that are joined first, so that no rim lies under a cover.
//!
//! The equation is solved on a grid of a hundred cells or so along a face, from a coarse grid to finer
//! ones: each begins with what the one before found and needs a few sweeps only.

use super::region::Region;

/// Width of the rim in pixels. Wider ones would hide single hairs at the edge, and take the colours of
/// what is no neighbour any more.
pub const RIM: u32 = 4;
/// Cells along the larger side of the largest part of a region. Finer ones show streaks, where
/// single pixels of the rim run into the region.
const CELLS: u32 = 96;
/// Most cells of a grid: a crowd's one region may be as large as the picture.
const MOST: u64 = 1 << 19;
/// Sweeps over each grid. The grid before left errors of the size of a cell, which these smooth out.
const SWEEPS: usize = 12;
/// Sweeps over the coarsest grid, which begins with one colour.
const FIRST_SWEEPS: usize = 64;
/// A grid whose larger side has at most this many cells is not divided further.
const COARSEST: usize = 8;
/// How much further than the mean of its neighbours a cell is moved (successive over-relaxation).
const HASTE: f32 = 1.4;

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Neither covered nor rim: nobody asks for it.
    Outside,
    /// Of the rim: stays as it is.
    Fixed,
    /// All covered: found out.
    Free,
}

/// One grid, row by row.
#[derive(Debug, Clone)]
struct Grid {
    width: usize,
    height: usize,
    kinds: Vec<Kind>,
    values: Vec<[f32; 3]>,
}

/// A region's surface.
#[derive(Debug)]
pub struct Membrane {
    grid: Grid,
    /// First pixel of the first cell.
    origin: (u32, u32),
    /// Pixels along a cell.
    step: u32,
}

impl Membrane {
    /// The surface over `region` in a picture of `width` × `height`. `pixel` gives the colours at (x, y),
    /// and how much they count, from 0 to 1; it is asked about the rim only. Without any rim the
    /// surface is `flat`.
    pub fn over(
        region: &Region,
        (width, height): (u32, u32),
        flat: [f32; 3],
        pixel: impl Fn(u32, u32) -> ([f32; 3], f32),
    ) -> Self {
        let around = region.grown(RIM, width, height);
        let bounds = around.bounds;
        let step = step(region, (bounds.width(), bounds.height()));
        let (columns, rows) = (
            bounds.width().div_ceil(step) as usize,
            bounds.height().div_ceil(step) as usize,
        );
        let mut sums = vec![([0.0f32; 3], 0.0f32); columns * rows];
        let mut kinds = vec![Kind::Outside; columns * rows];
        for y in bounds.y1..bounds.y2 {
            let row = ((y - bounds.y1) / step) as usize * columns;
            let covered = region.spans(y);
            let cell = |x: u32| row + ((x - bounds.x1) / step) as usize;
            for &(from, to) in &covered {
                kinds[cell(from)..=cell(to - 1)].fill(Kind::Free);
            }
            for (from, to) in without(&around.spans(y), &covered) {
                for x in from..to {
                    let (colours, weight) = pixel(x, y);
                    let (sum, all) = &mut sums[cell(x)];
                    for (s, c) in sum.iter_mut().zip(colours) {
                        *s += c * weight;
                    }
                    *all += weight;
                }
            }
        }
        let mut values = vec![flat; columns * rows];
        for ((kind, value), (sum, all)) in kinds.iter_mut().zip(&mut values).zip(sums) {
            if all > 0.0 {
                *kind = Kind::Fixed;
                *value = sum.map(|s| s / all);
            }
        }
        let mut grid = Grid {
            width: columns,
            height: rows,
            kinds,
            values,
        };
        grid.solve(flat);
        grid.spread();
        Self {
            grid,
            origin: (bounds.x1, bounds.y1),
            step,
        }
    }

    /// The surface's colours at a covered pixel.
    pub fn at(&self, x: u32, y: u32) -> [f32; 3] {
        let place = |at: u32, origin: u32, cells: usize| {
            let at = ((at - origin) as f32 + 0.5) / self.step as f32 - 0.5;
            let before = (at.max(0.0) as usize).min(cells - 1);
            let after = (before + 1).min(cells - 1);
            (before, after, (at - before as f32).clamp(0.0, 1.0))
        };
        let (left, right, across) = place(x, self.origin.0, self.grid.width);
        let (top, bottom, down) = place(y, self.origin.1, self.grid.height);
        let value = |column: usize, row: usize| self.grid.values[row * self.grid.width + column];
        let (a, b) = (value(left, top), value(right, top));
        let (c, d) = (value(left, bottom), value(right, bottom));
        std::array::from_fn(|i| {
            let upper = a[i] + (b[i] - a[i]) * across;
            let lower = c[i] + (d[i] - c[i]) * across;
            upper + (lower - upper) * down
        })
    }
}

/// Pixels along a cell.
fn step(region: &Region, (width, height): (u32, u32)) -> u32 {
    let largest = region.parts.iter().map(|p| p.width().max(p.height())).max();
    let mut step = largest.unwrap_or(1).div_ceil(CELLS).max(1);
    while u64::from(width.div_ceil(step)) * u64::from(height.div_ceil(step)) > MOST {
        step += step.div_ceil(2);
    }
    step
}

/// The parts of `all` that lie in none of `covered`; both joined and in order.
fn without(all: &[(u32, u32)], covered: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut rest = Vec::new();
    for &(from, to) in all {
        let mut at = from;
        for &(x1, x2) in covered.iter().filter(|c| c.1 > from && c.0 < to) {
            if x1 > at {
                rest.push((at, x1));
            }
            at = at.max(x2);
        }
        if at < to {
            rest.push((at, to));
        }
    }
    rest
}

impl Grid {
    fn solve(&mut self, flat: [f32; 3]) {
        if self.width.max(self.height) <= COARSEST {
            let mean = self.mean().unwrap_or(flat);
            for (kind, value) in self.kinds.iter().zip(&mut self.values) {
                if *kind == Kind::Free {
                    *value = mean;
                }
            }
            self.sweep(FIRST_SWEEPS);
            return;
        }
        let mut coarse = self.halved(flat);
        coarse.solve(flat);
        coarse.spread();
        self.begin_with(&coarse);
        self.sweep(SWEEPS);
    }

    fn mean(&self) -> Option<[f32; 3]> {
        let fixed = self.kinds.iter().zip(&self.values);
        let fixed = fixed.filter(|(k, _)| **k == Kind::Fixed);
        let (mut sum, mut count) = ([0.0f32; 3], 0.0f32);
        for (_, value) in fixed {
            sum = std::array::from_fn(|c| sum[c] + value[c]);
            count += 1.0;
        }
        (count > 0.0).then(|| sum.map(|s| s / count))
    }

    fn halved(&self, flat: [f32; 3]) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut half = Self {
            width,
            height,
            kinds: vec![Kind::Outside; width * height],
            values: vec![flat; width * height],
        };
        for row in 0..height {
            for column in 0..width {
                let (mut sum, mut count, mut free) = ([0.0f32; 3], 0.0f32, false);
                for y in 2 * row..(2 * row + 2).min(self.height) {
                    for x in 2 * column..(2 * column + 2).min(self.width) {
                        let i = y * self.width + x;
                        match self.kinds[i] {
                            Kind::Fixed => {
                                sum = std::array::from_fn(|c| sum[c] + self.values[i][c]);
                                count += 1.0;
                            }
                            Kind::Free => free = true,
                            Kind::Outside => {}
                        }
                    }
                }
                let i = row * width + column;
                if count > 0.0 {
                    half.kinds[i] = Kind::Fixed;
                    half.values[i] = sum.map(|s| s / count);
                } else if free {
                    half.kinds[i] = Kind::Free;
                }
            }
        }
        half
    }

    /// Free cells take the values of a grid of half the size, drawn smoothly.
    fn begin_with(&mut self, coarse: &Self) {
        for y in 0..self.height {
            for x in 0..self.width {
                let i = y * self.width + x;
                if self.kinds[i] != Kind::Free {
                    continue;
                }
                // The own cell counts for 9 of 16, its neighbours on this side for 3, 3 and 1.
                let near = |at: usize, full: usize| {
                    let (own, odd) = (at / 2, at % 2 == 1);
                    let beside = if odd { own + 1 } else { own.saturating_sub(1) };
                    (own, beside.min(full - 1))
                };
                let ((cx, nx), (cy, ny)) = (near(x, coarse.width), near(y, coarse.height));
                let value = |x: usize, y: usize| coarse.values[y * coarse.width + x];
                let (a, b, c, d) = (value(cx, cy), value(nx, cy), value(cx, ny), value(nx, ny));
                self.values[i] =
                    std::array::from_fn(|k| (9.0 * a[k] + 3.0 * (b[k] + c[k]) + d[k]) / 16.0);
            }
        }
    }

    /// Moves each free cell towards the mean of its neighbours that are not outside, in place.
    fn sweep(&mut self, times: usize) {
        let (width, height) = (self.width, self.height);
        for time in 0..times {
            // The last ones without haste, which leaves a chequered trace.
            let haste = if time + 2 < times { HASTE } else { 1.0 };
            for y in 0..height {
                for x in 0..width {
                    let i = y * width + x;
                    if self.kinds[i] != Kind::Free {
                        continue;
                    }
                    let (mut sum, mut count) = ([0.0f32; 3], 0.0f32);
                    let mut add = |j: usize| {
                        if self.kinds[j] != Kind::Outside {
                            let value = self.values[j];
                            sum = std::array::from_fn(|c| sum[c] + value[c]);
                            count += 1.0;
                        }
                    };
                    if x > 0 {
                        add(i - 1);
                    }
                    if x + 1 < width {
                        add(i + 1);
                    }
                    if y > 0 {
                        add(i - width);
                    }
                    if y + 1 < height {
                        add(i + width);
                    }
                    if count > 0.0 {
                        let own = self.values[i];
                        self.values[i] =
                            std::array::from_fn(|c| own[c] + haste * (sum[c] / count - own[c]));
                    }
                }
            }
        }
    }

    /// Cells outside take the mean of those beside them that are not, so that what is drawn between
    /// cells has two to draw between.
    fn spread(&mut self) {
        let before = self.values.clone();
        for y in 0..self.height {
            for x in 0..self.width {
                let i = y * self.width + x;
                if self.kinds[i] != Kind::Outside {
                    continue;
                }
                let (mut sum, mut count) = ([0.0f32; 3], 0.0f32);
                for ny in y.saturating_sub(1)..(y + 2).min(self.height) {
                    for nx in x.saturating_sub(1)..(x + 2).min(self.width) {
                        let j = ny * self.width + nx;
                        if self.kinds[j] != Kind::Outside {
                            sum = std::array::from_fn(|c| sum[c] + before[j][c]);
                            count += 1.0;
                        }
                    }
                }
                if count > 0.0 {
                    self.values[i] = sum.map(|s| s / count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::PixelRect;

    /// The same equation, one cell a pixel, swept until nothing moves.
    fn slow(region: &Region, side: u32, pixel: impl Fn(u32, u32) -> f32) -> Vec<f32> {
        let n = side as usize;
        let mut free = vec![false; n * n];
        for y in region.bounds.y1..region.bounds.y2 {
            for (from, to) in region.spans(y) {
                free[y as usize * n + from as usize..y as usize * n + to as usize].fill(true);
            }
        }
        let mut values: Vec<f32> = (0..n * n)
            .map(|i| pixel((i % n) as u32, (i / n) as u32))
            .collect();
        for _ in 0..1_000 {
            for i in (0..n * n).filter(|i| free[*i]) {
                let (x, y) = (i % n, i / n);
                let mut near = Vec::new();
                if x > 0 {
                    near.push(values[i - 1]);
                }
                if x + 1 < n {
                    near.push(values[i + 1]);
                }
                if y > 0 {
                    near.push(values[i - n]);
                }
                if y + 1 < n {
                    near.push(values[i + n]);
                }
                // Over-relaxed, or it would take twenty times as many sweeps.
                let mean = near.iter().sum::<f32>() / near.len() as f32;
                values[i] += 1.9 * (mean - values[i]);
            }
        }
        values
    }

    fn rect(x1: u32, y1: u32, x2: u32, y2: u32) -> PixelRect {
        PixelRect { x1, y1, x2, y2 }
    }

    #[test]
    fn it_is_what_a_slow_solution_finds() {
        // Inside the picture, in two parts, and at its edge.
        let shapes = [
            vec![rect(10, 12, 70, 66)],
            vec![rect(10, 10, 50, 40), rect(40, 30, 85, 80)],
            vec![rect(60, 50, 96, 96)],
        ];
        // Smooth, steep, and with an edge through it.
        let pixel = |x: u32, y: u32| {
            0.3 + 0.3 * (x as f32 / 20.0).sin() * (y as f32 / 31.0).cos()
                + if x > 40 { 0.3 } else { 0.0 }
        };
        for parts in shapes {
            let bounds = parts.iter().fold(parts[0], |a, b| a.hull(b));
            let region = Region { bounds, parts };
            let slow = slow(&region, 96, pixel);
            let fast = Membrane::over(&region, (96, 96), [0.5; 3], |x, y| ([pixel(x, y); 3], 1.0));
            for y in bounds.y1..bounds.y2 {
                for (from, to) in region.spans(y) {
                    for x in from..to {
                        let (a, b) = (slow[(y * 96 + x) as usize], fast.at(x, y)[0]);
                        assert!((a - b).abs() < 0.02, "{a} {b} at {x}, {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_slope_goes_on_across_a_large_region() {
        let region = Region {
            bounds: rect(100, 60, 900, 700),
            parts: vec![rect(100, 60, 900, 700)],
        };
        let slope = |x: u32, y: u32| x as f32 / 2000.0 + y as f32 / 3000.0;
        let surface = Membrane::over(&region, (1000, 800), [0.5; 3], |x, y| {
            ([slope(x, y); 3], 1.0)
        });
        for (x, y) in [(100, 60), (500, 380), (899, 699), (300, 600)] {
            let (is, should) = (surface.at(x, y)[0], slope(x, y));
            assert!((is - should).abs() < 0.01, "{is} {should}");
        }
    }

    #[test]
    fn without_any_rim_it_is_flat() {
        let region = Region {
            bounds: rect(0, 0, 30, 20),
            parts: vec![rect(0, 0, 30, 20)],
        };
        let surface = Membrane::over(&region, (30, 20), [0.25; 3], |_, _| ([1.0; 3], 1.0));
        assert_eq!(surface.at(29, 19), [0.25; 3]);
    }

    #[test]
    fn spans_are_taken_away_from_spans() {
        assert_eq!(
            without(&[(0, 10), (20, 30)], &[(2, 4), (8, 22)]),
            [(0, 2), (4, 8), (22, 30)]
        );
        assert_eq!(without(&[(0, 10)], &[(0, 10)]), []);
    }
}
