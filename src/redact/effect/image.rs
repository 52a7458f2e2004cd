//! A picture over one colour. What is written depends on nothing that was there.

use image::{RgbaImage, imageops};

use super::{Raster, Region, Sample, fill};
use crate::geometry::PixelRect;

/// Fills the region with `under` and draws `sticker` into each of its parts, as large as fits
/// without distortion, centred; larger parts first, so that small ones stay visible.
pub fn cover<T: Sample>(
    raster: &mut Raster<'_, T>,
    region: &Region,
    sticker: &RgbaImage,
    under: [u8; 3],
) {
    fill::cover(raster, region, under);
    if sticker.width() == 0 || sticker.height() == 0 {
        return;
    }
    let mut parts = region.parts.clone();
    parts.sort_by_key(|p| std::cmp::Reverse(u64::from(p.width()) * u64::from(p.height())));
    for part in parts {
        draw(raster, part, sticker);
    }
}

fn draw<T: Sample>(raster: &mut Raster<'_, T>, part: PixelRect, sticker: &RgbaImage) {
    let scale = (part.width() as f32 / sticker.width() as f32)
        .min(part.height() as f32 / sticker.height() as f32);
    let side = |full: u32, most: u32| ((full as f32 * scale).round() as u32).clamp(1, most);
    let (w, h) = (
        side(sticker.width(), part.width()),
        side(sticker.height(), part.height()),
    );
    let small = imageops::resize(sticker, w, h, imageops::FilterType::Triangle);
    let (left, top) = (
        part.x1 + (part.width() - w) / 2,
        part.y1 + (part.height() - h) / 2,
    );
    let channels = raster.channels;
    let colours = raster.colours();
    for (y, row) in small.rows().enumerate() {
        let pixels: Vec<_> = row
            .map(|p| (raster.pixel([p.0[0], p.0[1], p.0[2]]), p.0[3].to_unit()))
            .collect();
        let span = raster.span(top + y as u32, (left, left + w));
        for (under, (over, alpha)) in span.chunks_exact_mut(channels).zip(pixels) {
            for (u, o) in under[..colours].iter_mut().zip(over) {
                *u = T::from_unit(u.to_unit() * (1.0 - alpha) + o.to_unit() * alpha);
            }
        }
    }
}
