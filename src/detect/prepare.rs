//! Pixels → tensors.

use image::DynamicImage;
use ndarray::Array4;

use super::{
    model::{Channels, Spec},
    tiling::Tile,
};

/// An 8-bit view of a picture to cut windows from: 1 (grey) or 3 (RGB) samples a pixel.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// Row by row, without gaps.
    pub data: &'a [u8],
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Samples from one pixel to the next: 1, 3, or 4 where a fourth is passed over.
    pub step: usize,
}

impl<'a> Samples<'a> {
    /// A view without a copy, for 8-bit grey, RGB and RGBA pictures (alpha is passed over).
    #[must_use]
    pub fn of(pixels: &'a DynamicImage) -> Option<Self> {
        let (data, step): (&[u8], usize) = match pixels {
            DynamicImage::ImageLuma8(p) => (p.as_raw(), 1),
            DynamicImage::ImageRgb8(p) => (p.as_raw(), 3),
            DynamicImage::ImageRgba8(p) => (p.as_raw(), 4),
            _ => return None,
        };
        Some(Self { data, width: pixels.width(), height: pixels.height(), step })
    }
}

/// Cuts one window into `[1, 3, tile.height, tile.width]`, as `spec` wants it.
///
/// Outside the picture the nearest pixel is repeated: a hard black rim would look like the edge
/// of an object, and a face that the picture's edge cuts would be missed.
#[must_use]
pub fn window(samples: Samples<'_>, tile: Tile, spec: &Spec) -> Array4<f32> {
    let (w, h) = (tile.width as usize, tile.height as usize);
    let mut tensor = Array4::<f32>::zeros((1, 3, h, w));
    let Some(out) = tensor.as_slice_mut() else { return tensor };
    let plane = w * h;
    let table: [f32; 256] = std::array::from_fn(|v| (v as f32 - spec.mean) * spec.scale);
    let (pic_w, pic_h) = (samples.width as i32, samples.height as i32);
    // Index of each column's pixel, repeated at the edges.
    let columns: Vec<usize> =
        (0..tile.width as i32).map(|x| (tile.x + x).clamp(0, pic_w - 1) as usize * samples.step).collect();
    let order: [usize; 3] = match (samples.step, spec.channels) {
        (1, _) => [0, 0, 0],
        (_, Channels::Rgb) => [0, 1, 2],
        (_, Channels::Bgr) => [2, 1, 0],
    };
    let row_len = samples.width as usize * samples.step;
    for y in 0..h {
        let source_y = (tile.y + y as i32).clamp(0, pic_h - 1) as usize;
        let row = &samples.data[source_y * row_len..(source_y + 1) * row_len];
        for (channel, &sample) in order.iter().enumerate() {
            let line = &mut out[channel * plane + y * w..channel * plane + (y + 1) * w];
            for (value, &at) in line.iter_mut().zip(&columns) {
                *value = table[usize::from(row[at + sample])];
            }
        }
    }
    tensor
}
