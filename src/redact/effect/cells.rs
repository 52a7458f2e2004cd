//! The few numbers that blur and pixelate let through.
//!
//! A region is laid out in one grid. Each cell is the average of the original pixels of its whole
//! rectangle, also where only a sliver of it is covered. Of these averages three things are kept, each
//! with noise and on few levels: the region's brightness, its one tint, and how far each cell is
//! brighter or darker than the region. All are drawn calmer than they were, so that noise far larger than
//! what it hides still looks like a blur: what counts is how large the noise is beside what it hides.
//!
//! Why so little: somebody who knows this program and has other photos of 38 people named 15 of 100
//! faces right by 4 × 4 cells with noise of 32 of 255 levels (a guess: 3 of 100), where a
//! plain comparison of cells found 8; see benches/attack. A face's brightness tells most of it, its tint a
//! little, and noise of less than half the brightest hides neither.

use super::{Raster, Region, Sample};
use crate::redact::noise::Noise;

/// Distance between two levels of brightness in what is drawn, as a share of full brightness.
pub const STEP: f32 = 8.0 / 255.0;
/// Distance between two levels of the tint (how far red, green and blue lie from their mean).
pub const TINT_STEP: f32 = 4.0 / 255.0;
/// Noise of a region's brightness, uniform, to either side at most, as a share of full brightness.
pub const TONE_NOISE: f32 = 96.0 / 255.0;
/// Noise of a region's tint, likewise.
pub const TINT_NOISE: f32 = 48.0 / 255.0;
/// Noise of each cell's brightness beside its region's, likewise.
pub const CELL_NOISE: f32 = 256.0 / 255.0;
/// What is left of a region's distance from middle grey, noise included.
pub const TONE: f32 = 0.45;
/// What is left of a region's tint, noise included.
pub const TINT: f32 = 0.4;
/// What is left of each cell's distance from its region's brightness, noise included.
pub const RELIEF: f32 = 0.2;

/// A region's grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// Cells across the region's bounds.
    pub columns: u32,
    /// Cells down.
    pub rows: u32,
    /// Colours a cell, 0 to 1, row by row.
    pub values: Vec<[f32; 3]>,
}

/// How many cells lie along each side of the region's bounds.
///
/// Coarse enough for the largest part: no part touches more than `cells` cells along a side. A
/// part that does not begin at a cell's edge touches one more than fit into it, so parts of a
/// larger region are divided by one less.
#[must_use]
pub fn layout(region: &Region, cells: u32) -> (u32, u32) {
    let fits = if region.parts.len() == 1 {
        cells
    } else {
        cells.saturating_sub(1).max(1)
    };
    let count = |full: u32, largest: u32| {
        // Cells of at least largest / fits pixels. With cells == 1 a part may still straddle an
        // edge, so there is just one cell.
        if cells == 1 {
            1
        } else {
            (u64::from(full) * u64::from(fits) / u64::from(largest.max(1))).max(1) as u32
        }
    };
    let widest = region.parts.iter().map(|p| p.width()).max().unwrap_or(1);
    let highest = region.parts.iter().map(|p| p.height()).max().unwrap_or(1);
    let bounds = region.bounds;
    (
        count(bounds.width(), widest).min(bounds.width()),
        count(bounds.height(), highest).min(bounds.height()),
    )
}

/// First pixel of cell `index` of `count` along a side of `full` pixels.
#[must_use]
pub const fn edge(full: u32, count: u32, index: u32) -> u32 {
    (full as u64 * index as u64 / count as u64) as u32
}

/// Averages, noise, levels. As many numbers of `noise` are drawn whatever is in the picture.
#[must_use]
pub fn measure<T: Sample>(
    raster: &Raster<'_, T>,
    region: &Region,
    cells: u32,
    noise: &mut Noise,
) -> Cells {
    let (columns, rows) = layout(region, cells);
    let bounds = region.bounds;
    let mut averages = Vec::with_capacity(columns as usize * rows as usize);
    for row in 0..rows {
        let (y1, y2) = (
            edge(bounds.height(), rows, row),
            edge(bounds.height(), rows, row + 1),
        );
        for column in 0..columns {
            let (x1, x2) = (
                edge(bounds.width(), columns, column),
                edge(bounds.width(), columns, column + 1),
            );
            averages.push(average(
                raster,
                (bounds.x1 + x1, bounds.x1 + x2),
                (bounds.y1 + y1, bounds.y1 + y2),
            ));
        }
    }
    Cells {
        columns,
        rows,
        values: coarse(&averages, raster.colours(), noise),
    }
}

/// What is let through of the averages.
fn coarse(averages: &[[f32; 3]], colours: usize, noise: &mut Noise) -> Vec<[f32; 3]> {
    let mean = |v: &[f32; 3]| {
        if colours == 1 {
            v[0]
        } else {
            v.iter().sum::<f32>() / 3.0
        }
    };
    let brightness: Vec<f32> = averages.iter().map(mean).collect();
    let count = averages.len().max(1) as f32;
    let whole: [f32; 3] =
        std::array::from_fn(|c| averages.iter().map(|v| v[c]).sum::<f32>() / count);
    let tint = whole.map(|v| tint(v - mean(&whole), TINT_NOISE, TINT_STEP, noise));
    reliefs(&brightness, noise)
        .into_iter()
        .map(|base| tint.map(|t| (if colours == 1 { base } else { base + t }).clamp(0.0, 1.0)))
        .collect()
}

/// Brightnesses of a region's cells, 0 to 1, as they are drawn.
#[must_use]
pub fn reliefs(cells: &[f32], noise: &mut Noise) -> Vec<f32> {
    let tone = cells.iter().sum::<f32>() / cells.len().max(1) as f32;
    let base = 0.5 + TONE * (tone - 0.5 + noise.sway(TONE_NOISE));
    cells
        .iter()
        .map(|cell| {
            let relief = RELIEF * (cell - tone + noise.sway(CELL_NOISE));
            level(base + relief, STEP).clamp(0.0, 1.0)
        })
        .collect()
}

/// A distance from grey as it is drawn.
#[must_use]
pub fn tint(distance: f32, most: f32, step: f32, noise: &mut Noise) -> f32 {
    level(TINT * (distance + noise.sway(most)), step)
}

fn level(value: f32, step: f32) -> f32 {
    (value / step).round() * step
}

/// The mean colour of a rectangle, weighted by alpha; middle grey where all is transparent.
fn average<T: Sample>(
    raster: &Raster<'_, T>,
    (x1, x2): (u32, u32),
    (y1, y2): (u32, u32),
) -> [f32; 3] {
    let (channels, colours) = (raster.channels, raster.colours());
    let mut sums = [0.0f64; 3];
    let mut weight = 0.0f64;
    for y in y1..y2 {
        let row = y as usize * raster.width as usize;
        let part = &raster.data[(row + x1 as usize) * channels..(row + x2 as usize) * channels];
        for pixel in part.chunks_exact(channels) {
            let alpha = if channels > colours {
                f64::from(pixel[colours].to_unit())
            } else {
                1.0
            };
            for (sum, v) in sums.iter_mut().zip(&pixel[..colours]) {
                *sum += f64::from(v.to_unit()) * alpha;
            }
            weight += alpha;
        }
    }
    if weight > 0.0 {
        sums.map(|s| (s / weight) as f32)
    } else {
        [0.5; 3]
    }
}
