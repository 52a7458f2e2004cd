//! The effect `erase` in the planes of a video picture.
//!
//! Each picture by itself, from its own rims: nothing of a track needs to be kept, as nothing of it
//! comes out.

use super::View;
use crate::{
    geometry::{PixelRect, Rect},
    planes::Layout,
    redact::{
        membrane::{Membrane, RIM},
        noise::Noise,
        region,
    },
};

/// Noise on top, in levels of 8 bits: enough against bands. Grain that changes with every picture
/// costs the encoder dearly.
const GRAIN: f32 = 1.0;

/// Draws over all places, in every plane, the surface that the rims around them hold.
pub(super) fn cover(layout: &Layout, data: &mut [u8], places: &[Rect], noise: &mut Noise) {
    let level = f32::from(1u16 << (layout.depth - 8));
    let (full, deep) = (256.0 * level - 1.0, layout.depth > 8);
    for (index, plane) in layout.planes().iter().enumerate() {
        let mut view = View {
            layout,
            plane: *plane,
            data,
        };
        let rects = places.iter().filter_map(|place| {
            let ((x1, x2), (y1, y2)) = view.samples(place)?;
            (x1 < x2 && y1 < y2).then_some(PixelRect { x1, y1, x2, y2 })
        });
        let regions = region::join(rects.collect(), RIM);
        // Whatever reads around a place finds no uncovered sample of any other.
        for place in places {
            view.fill(place, (128.0 * level) as u16);
        }
        for region in &regions {
            let size = (plane.width, plane.height);
            let flat = [128.0 * level; 3];
            let surface = Membrane::over(region, size, flat, |x, y| ([view.get(x, y); 3], 1.0));
            let bounds = region.bounds;
            for y in bounds.y1..bounds.y2 {
                for (x1, x2) in region.spans(y) {
                    let row = view.row(y, (x1, x2));
                    for x in x1..x2 {
                        let grain = if index == 0 {
                            noise.grain() * GRAIN * level
                        } else {
                            0.0
                        };
                        let value = (surface.at(x, y)[0] + grain).clamp(0.0, full);
                        View::put(row, deep, (x - x1) as usize, value);
                    }
                }
            }
        }
    }
}
