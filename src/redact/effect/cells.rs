//! The few numbers that blur and pixelate let through.
//!
//! A region is laid out in one grid. Each cell is the average of the original pixels of its whole
//! rectangle, also where only a sliver of it is covered; noise is added, and the sum is rounded to
//! one of few levels. Nothing else of the covered pixels reaches the output, however large the
//! face: a box blur over an eighth of a face's width left one face in ten linkable, and a mosaic
//! of twelve cells one in five.

use super::{Raster, Region, Sample};
use crate::redact::noise::Noise;

/// Distance between two levels of a cell's brightness, as a share of full brightness: nine levels.
pub const STEP: f32 = 32.0 / 255.0;
/// Distance between two levels of a cell's colour (how far red, green and blue lie from its
/// brightness). Finer than brightness, as rounding shows more in colours than in greys.
pub const COLOUR_STEP: f32 = 16.0 / 255.0;
/// Noise added before rounding: uniform, this share of a step at most to either side. Half a step
/// is what dithers the rounding; twice that hides which of two levels was the nearer one.
pub const NOISE: f32 = 1.0;

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

/// Averages, noise, levels. `noise` is drawn for every cell and colour, whatever is in it.
#[must_use]
pub fn measure<T: Sample>(
    raster: &Raster<'_, T>,
    region: &Region,
    cells: u32,
    noise: &mut Noise,
) -> Cells {
    let (columns, rows) = layout(region, cells);
    let bounds = region.bounds;
    let mut values = Vec::with_capacity(columns as usize * rows as usize);
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
            let average = average(
                raster,
                (bounds.x1 + x1, bounds.x1 + x2),
                (bounds.y1 + y1, bounds.y1 + y2),
            );
            values.push(coarse(average, raster.colours(), noise));
        }
    }
    Cells {
        columns,
        rows,
        values,
    }
}

/// Brightness and colour, each with its noise, each on its own few levels. The noise of the
/// brightness is the same for red, green and blue, or a covered face would look like confetti.
fn coarse(average: [f32; 3], colours: usize, noise: &mut Noise) -> [f32; 3] {
    // The mean keeps the rounding of colours and of brightness apart exactly.
    let brightness = if colours == 1 {
        average[0]
    } else {
        average.iter().sum::<f32>() / 3.0
    };
    let base = level(brightness, STEP, noise);
    average.map(|v| {
        let tint = level(v - brightness, COLOUR_STEP, noise);
        (if colours == 1 { base } else { base + tint }).clamp(0.0, 1.0)
    })
}

fn level(value: f32, step: f32, noise: &mut Noise) -> f32 {
    let noisy = value + (2.0 * noise.unit() - 1.0) * NOISE * step;
    (noisy / step).round() * step
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
