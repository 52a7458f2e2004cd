//! One colour. What is written depends on nothing that was there.

use super::{Raster, Region, Sample};

/// Sets every pixel of the region to `color` (red, green, blue; its luma in grey pictures).
pub fn cover<T: Sample>(raster: &mut Raster<'_, T>, region: &Region, color: [u8; 3]) {
    let channels = raster.channels;
    let pixel = raster.pixel(color);
    for y in region.bounds.y1..region.bounds.y2 {
        for span in region.spans(y) {
            raster
                .span(y, span)
                .chunks_exact_mut(channels)
                .for_each(|p| p.copy_from_slice(&pixel[..channels]));
        }
    }
}
