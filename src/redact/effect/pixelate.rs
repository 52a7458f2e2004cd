//! Cells drawn as squares.

use super::{
    Raster, Region, Sample,
    cells::{self, Cells, edge},
};
use crate::redact::noise::Noise;

/// Draws the region's cells as rectangles, at most `cells` × `cells` a face.
pub fn cover<T: Sample>(
    raster: &mut Raster<'_, T>,
    region: &Region,
    cells: u32,
    noise: &mut Noise,
) {
    let grid = cells::measure(raster, region, cells, noise);
    draw(raster, region, &grid);
}

/// Draws cells as rectangles.
pub fn draw<T: Sample>(raster: &mut Raster<'_, T>, region: &Region, grid: &Cells) {
    let bounds = region.bounds;
    let (channels, colours) = (raster.channels, raster.colours());
    let mut column_of = vec![0u32; bounds.width() as usize];
    for column in 0..grid.columns {
        let (from, to) = (
            edge(bounds.width(), grid.columns, column),
            edge(bounds.width(), grid.columns, column + 1),
        );
        column_of[from as usize..to as usize].fill(column);
    }
    for row in 0..grid.rows {
        let line = &grid.values[(row * grid.columns) as usize..((row + 1) * grid.columns) as usize];
        let line: Vec<[T; 4]> = line
            .iter()
            .map(|v| {
                let mut pixel = [T::from_unit(1.0); 4];
                for (p, v) in pixel[..colours].iter_mut().zip(v) {
                    *p = T::from_unit(*v);
                }
                pixel
            })
            .collect();
        let (from, to) = (
            edge(bounds.height(), grid.rows, row),
            edge(bounds.height(), grid.rows, row + 1),
        );
        for y in bounds.y1 + from..bounds.y1 + to {
            for (x1, x2) in region.spans(y) {
                let span = raster.span(y, (x1, x2));
                for (pixel, x) in span.chunks_exact_mut(channels).zip(x1..x2) {
                    let column = column_of[(x - bounds.x1) as usize];
                    pixel.copy_from_slice(&line[column as usize][..channels]);
                }
            }
        }
    }
}
