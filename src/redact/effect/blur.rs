//! Cells drawn smoothly: looks like a heavy blur, tells no more than the cells.

use super::{
    Raster, Region, Sample,
    cells::{self, Cells},
};
use crate::redact::noise::Noise;

/// Draws the region's cells with colours that run smoothly from each cell's centre to the
/// next, at most `cells` × `cells` a face.
pub fn cover<T: Sample>(
    raster: &mut Raster<'_, T>,
    region: &Region,
    cells: u32,
    noise: &mut Noise,
) {
    let grid = cells::measure(raster, region, cells, noise);
    draw(raster, region, &grid);
}

/// Draws cells with colours that run smoothly from each cell's centre to the next.
pub fn draw<T: Sample>(raster: &mut Raster<'_, T>, region: &Region, grid: &Cells) {
    let bounds = region.bounds;
    let (channels, colours) = (raster.channels, raster.colours());
    let across = weights(bounds.width(), grid.columns);
    let down = weights(bounds.height(), grid.rows);
    let full = T::from_unit(1.0);
    let mut line = vec![[0.0f32; 3]; grid.columns as usize];
    for (y, &(top, bottom, dy)) in (bounds.y1..bounds.y2).zip(&down) {
        // Down first: a row of cells for this row of pixels.
        for (column, value) in line.iter_mut().enumerate() {
            let a = grid.values[top * grid.columns as usize + column];
            let b = grid.values[bottom * grid.columns as usize + column];
            *value = std::array::from_fn(|c| a[c] + (b[c] - a[c]) * dy);
        }
        for (x1, x2) in region.spans(y) {
            let places = &across[(x1 - bounds.x1) as usize..(x2 - bounds.x1) as usize];
            let span = raster.span(y, (x1, x2));
            for (pixel, &(left, right, dx)) in span.chunks_exact_mut(channels).zip(places) {
                let (a, b) = (line[left], line[right]);
                pixel.fill(full);
                for (c, sample) in pixel[..colours].iter_mut().enumerate() {
                    *sample = T::from_unit(a[c] + (b[c] - a[c]) * dx);
                }
            }
        }
    }
}

/// For each pixel along a side: the cells before and behind it and how far it is between their
/// centres, eased so that the slope is 0 at the centres and no edge shows.
fn weights(full: u32, count: u32) -> Vec<(usize, usize, f32)> {
    let last = count as usize - 1;
    (0..full)
        .map(|i| {
            let at = (i as f32 + 0.5) / full as f32 * count as f32 - 0.5;
            let before = at.floor().max(0.0);
            let t = (at - before).clamp(0.0, 1.0);
            let index = (before as usize).min(last);
            (index, (index + 1).min(last), t * t * (3.0 - 2.0 * t))
        })
        .collect()
}
