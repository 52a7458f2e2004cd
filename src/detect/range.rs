//! Images whose values span a small part of what they could: 16-bit files with everything in the low bits, faint prints on
//! white, photographs in the dark. Whoever opens them in an editor and raises the contrast sees the faces.

use std::collections::HashMap;

use image::{DynamicImage, GrayImage};

/// Values sampled of an image at most.
const SAMPLED: usize = 1 << 12;
/// Share of the values at either end that does not count.
const OUTLIERS: f32 = 0.01;
/// A range of values below this share of the whole is narrow.
const NARROW: f32 = 1.0 / 8.0;
/// A colour that more than this share of the pixels have is that of a flat area.
const FLAT: f32 = 0.1;

/// The samples of an image, in 8 or 16 bits.
enum Values<'a> {
    Bytes(&'a [u8]),
    Words(&'a [u16]),
}

/// A grey copy with the contrast stretched, if the values of every channel lie in a narrow range.
pub(super) fn stretched(pixels: &DynamicImage) -> Option<DynamicImage> {
    use DynamicImage::{
        ImageLuma8, ImageLuma16, ImageLumaA8, ImageLumaA16, ImageRgb8, ImageRgb16, ImageRgba8,
        ImageRgba16,
    };
    let values = match pixels {
        ImageLuma8(p) => Values::Bytes(p.as_raw()),
        ImageLumaA8(p) => Values::Bytes(p.as_raw()),
        ImageRgb8(p) => Values::Bytes(p.as_raw()),
        ImageRgba8(p) => Values::Bytes(p.as_raw()),
        ImageLuma16(p) => Values::Words(p.as_raw()),
        ImageLumaA16(p) => Values::Words(p.as_raw()),
        ImageRgb16(p) => Values::Words(p.as_raw()),
        ImageRgba16(p) => Values::Words(p.as_raw()),
        _ => return None,
    };
    let size = (pixels.width(), pixels.height());
    let color = pixels.color();
    let step = usize::from(color.channel_count());
    let colours = step - usize::from(color.has_alpha());
    let grey = match values {
        Values::Bytes(data) => stretch(data, step, colours, f32::from(u8::MAX)),
        Values::Words(data) => stretch(data, step, colours, f32::from(u16::MAX)),
    };
    GrayImage::from_raw(size.0, size.1, grey?).map(DynamicImage::ImageLuma8)
}

/// The sum of the colours of each pixel, from 0 to 255 over its range; `None` where a channel's values span more than
/// [`NARROW`], and where all are the same. `step` samples make a pixel, the first `colours` of which count.
fn stretch<T: Copy + Into<f32>>(
    data: &[T],
    step: usize,
    colours: usize,
    most: f32,
) -> Option<Vec<u8>> {
    let colours_of = |p: &[T]| -> Vec<f32> { p[..colours].iter().map(|&v| v.into()).collect() };
    let every = (data.len() / step.max(1)).div_ceil(SAMPLED).max(1);
    let mut sampled: Vec<Vec<f32>> = data
        .chunks_exact(step)
        .step_by(every)
        .map(colours_of)
        .collect();
    let least = (sampled.len() as f32 * FLAT) as usize;
    while !narrow(&sampled, most) {
        if !leave_out(&mut sampled, least) {
            return None;
        }
    }
    let (low, high) = ends(sampled.iter().map(|p| p.iter().sum()).collect())?;
    let gain = 255.0 / (high - low);
    let grey = |p: &[T]| {
        let sum: f32 = p[..colours].iter().map(|&v| v.into()).sum();
        ((sum - low) * gain).round().clamp(0.0, 255.0) as u8
    };
    (high > low).then(|| data.chunks_exact(step).map(grey).collect())
}

/// Whether the values of every channel lie in a narrow range.
fn narrow(sampled: &[Vec<f32>], most: f32) -> bool {
    let channels = sampled.first().map_or(0, Vec::len);
    (0..channels).all(|channel| {
        ends(sampled.iter().map(|p| p[channel]).collect())
            .is_some_and(|(low, high)| high - low <= NARROW * most)
    })
}

/// Leaves the commonest colour out, a frame around a faint photograph say; `false` if no more than `least` pixels have it.
fn leave_out(sampled: &mut Vec<Vec<f32>>, least: usize) -> bool {
    let key = |p: &[f32]| -> Vec<u32> { p.iter().map(|v| *v as u32).collect() };
    let mut counts: HashMap<Vec<u32>, usize> = HashMap::new();
    for pixel in sampled.iter() {
        *counts.entry(key(pixel)).or_default() += 1;
    }
    match counts.into_iter().max_by_key(|(_, count)| *count) {
        Some((flat, count)) if count > least => {
            sampled.retain(|p| key(p) != flat);
            true
        }
        _ => false,
    }
}

/// Where the values begin and end, outliers left out.
fn ends(mut values: Vec<f32>) -> Option<(f32, f32)> {
    let last = values.len().checked_sub(1)?;
    let outliers = (last as f32 * OUTLIERS) as usize;
    let high = *values
        .select_nth_unstable_by(last - outliers, f32::total_cmp)
        .1;
    let low = *values.select_nth_unstable_by(outliers, f32::total_cmp).1;
    Some((low, high))
}
