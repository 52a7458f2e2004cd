//! Makes the fine pattern fainter that a camera's sensor leaves in all its pictures.
//!
//! Three steps, each of which takes something of it: what looks like noise is smoothed, the picture is
//! drawn anew a little larger and bent by amounts that nobody knows, and noise of another
//! origin is laid on top. Bent, because somebody who tries all zooms finds the pattern again in three of
//! four pictures that are zoomed only. It makes linking pictures by their sensor harder, not impossible: the
//! measured effect is in benches/attack.

use image::DynamicImage;
use rayon::prelude::*;

use super::{effect::Sample, noise::Noise};

/// Neighbours count by how near they are in brightness: this share of full brightness apart, they
/// count for 1/e. About twice the noise of a phone's camera by day.
const ALIKE: f32 = 10.0 / 255.0;
/// Neighbours this far away count, in pixels.
const NEAR: i64 = 2;
/// How much larger the picture is drawn, at least and at most.
const ZOOM: (f32, f32) = (1.006, 1.024);
/// How far each node of a net is moved, at most, to either side, in pixels; what lies between is drawn along.
const SHIFT: f32 = 2.0;
/// Pixels between two nodes. Less than what a pattern needs to be recognised by, more than what shows.
const NET: usize = 64;
/// Fresh noise, to either side at most, as a share of full brightness.
const GRAIN: f32 = 6.0 / 255.0;

/// Smooths, draws anew, lays noise on top.
pub(super) fn scramble(pixels: &mut DynamicImage, noise: &mut Noise) {
    let size = (pixels.width() as usize, pixels.height() as usize);
    match pixels {
        DynamicImage::ImageLuma8(p) => all(p, size, 1, noise),
        DynamicImage::ImageLumaA8(p) => all(p, size, 2, noise),
        DynamicImage::ImageRgb8(p) => all(p, size, 3, noise),
        DynamicImage::ImageRgba8(p) => all(p, size, 4, noise),
        DynamicImage::ImageLuma16(p) => all(p, size, 1, noise),
        DynamicImage::ImageLumaA16(p) => all(p, size, 2, noise),
        DynamicImage::ImageRgb16(p) => all(p, size, 3, noise),
        DynamicImage::ImageRgba16(p) => all(p, size, 4, noise),
        // No other kind gets past the effects.
        _ => {}
    }
}

fn all<T: Sample>(
    data: &mut [T],
    (width, height): (usize, usize),
    channels: usize,
    noise: &mut Noise,
) {
    if data.is_empty() {
        return;
    }
    let colours = if channels < 3 { 1 } else { 3 };
    let smooth = smoothed(data, (width, height), channels, colours);
    let between = |(from, to): (f32, f32), at: f32| from + (to - from) * (at + 1.0) / 2.0;
    let zoom = between(ZOOM, noise.even(1.0));
    let (across, down) = (width.div_ceil(NET) + 1, height.div_ceil(NET) + 1);
    let net: Vec<[f32; 2]> = (0..across * down)
        .map(|_| [noise.even(SHIFT), noise.even(SHIFT)])
        .collect();
    let place = |i: usize, full: usize, shift: f32| {
        let middle = full as f32 / 2.0;
        let at = (i as f32 + 0.5 - middle) / zoom + middle - 0.5 + shift;
        let at = at.clamp(0.0, full as f32 - 1.0);
        let before = at as usize;
        (before, (before + 1).min(full - 1), at - before as f32)
    };
    let drawn = data.par_chunks_exact_mut(width * channels).enumerate();
    drawn.for_each(|(y, row)| {
        // The net's nodes above and below, for this row.
        let (node, part) = (y / NET, (y % NET) as f32 / NET as f32);
        let nodes: Vec<[f32; 2]> = (0..across)
            .map(|n| {
                let (a, b) = (net[node * across + n], net[(node + 1) * across + n]);
                std::array::from_fn(|i| a[i] + (b[i] - a[i]) * part)
            })
            .collect();
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let (a, b) = (nodes[x / NET], nodes[x / NET + 1]);
            let part = (x % NET) as f32 / NET as f32;
            let (left, right, across) = place(x, width, a[0] + (b[0] - a[0]) * part);
            let (top, bottom, down) = place(y, height, a[1] + (b[1] - a[1]) * part);
            let at =
                |x: usize, y: usize, c: usize| smooth[(y * width + x) * channels + c].to_unit();
            for (c, sample) in pixel.iter_mut().enumerate() {
                let upper = at(left, top, c) + (at(right, top, c) - at(left, top, c)) * across;
                let lower =
                    at(left, bottom, c) + (at(right, bottom, c) - at(left, bottom, c)) * across;
                *sample = T::from_unit(upper + (lower - upper) * down);
            }
        }
    });
    for pixel in data.chunks_exact_mut(channels) {
        // Two together are more often small than large, as a sensor's own noise is.
        let grain = (noise.grain() + noise.grain()) / 2.0 * GRAIN;
        let clear = pixel.get(colours).is_some_and(|a| a.to_unit() == 0.0);
        for sample in &mut pixel[..colours] {
            // Nothing hides under transparency.
            *sample = T::from_unit(if clear { 0.0 } else { sample.to_unit() + grain });
        }
    }
}

/// Each pixel as the mean of those near it in place and brightness.
fn smoothed<T: Sample>(
    data: &[T],
    (width, height): (usize, usize),
    channels: usize,
    colours: usize,
) -> Vec<T> {
    let mut out = data.to_vec();
    let grey = |pixel: &[T]| {
        if colours == 1 {
            pixel[0].to_unit()
        } else {
            (pixel[0].to_unit() + 2.0 * pixel[1].to_unit() + pixel[2].to_unit()) / 4.0
        }
    };
    // Weights by distance in brightness, in 256 steps.
    let weights: Vec<f32> = (0..256)
        .map(|i| (-(i as f32 / 255.0 / ALIKE).powi(2)).exp())
        .collect();
    let rows = out.par_chunks_exact_mut(width * channels).enumerate();
    rows.for_each(|(y, row)| {
        let span = |at: usize, full: usize| {
            let at = at as i64;
            ((at - NEAR).max(0) as usize)..((at + NEAR + 1).min(full as i64) as usize)
        };
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let own = grey(pixel);
            let (mut sum, mut all) = ([0.0f32; 3], 0.0f32);
            for ny in span(y, height) {
                for nx in span(x, width) {
                    let at = (ny * width + nx) * channels;
                    let near = &data[at..at + channels];
                    let apart = ((grey(near) - own).abs() * 255.0 + 0.5) as usize;
                    let weight = weights[apart.min(255)];
                    for (s, v) in sum.iter_mut().zip(&near[..colours]) {
                        *s += v.to_unit() * weight;
                    }
                    all += weight;
                }
            }
            for (sample, s) in pixel[..colours].iter_mut().zip(sum) {
                *sample = T::from_unit(s / all);
            }
        }
    });
    out
}
