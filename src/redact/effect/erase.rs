//! What lies around the region, drawn smoothly over it. Looks like a heavy blur; what is written
//! depends on nothing that was there.

use super::{Raster, Region, Sample};
use crate::redact::{membrane::Membrane, noise::Noise};

/// Noise on top, to either side at most, as a share of full brightness: a surface without any grain
/// catches the eye in a photo, and shows bands.
pub const GRAIN: f32 = 3.0 / 255.0;

/// Draws the surface that the region's rim holds over the region.
pub fn cover<T: Sample>(raster: &mut Raster<'_, T>, region: &Region, noise: &mut Noise) {
    let (channels, colours) = (raster.channels, raster.colours());
    let surface = Membrane::over(region, (raster.width, raster.height), [0.5; 3], |x, y| {
        raster.colours_at(x, y)
    });
    let full = T::from_unit(1.0);
    for y in region.bounds.y1..region.bounds.y2 {
        for (x1, x2) in region.spans(y) {
            let span = raster.span(y, (x1, x2));
            for (pixel, x) in span.chunks_exact_mut(channels).zip(x1..x2) {
                // The same for all colours: coloured grain looks like a fault.
                let grain = noise.grain() * GRAIN;
                let value = surface.at(x, y);
                pixel.fill(full);
                for (sample, v) in pixel[..colours].iter_mut().zip(value) {
                    *sample = T::from_unit(v + grain);
                }
            }
        }
    }
}
