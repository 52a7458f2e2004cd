//! Images made of dots: dithered to a few levels, printed through a halftone screen and scanned, overlaid with lines or a
//! chequerboard. People see a face in them; the networks see a texture. With the dots smoothed away both see the face.
//!
//! Whether an image is made of dots shows in the spectrum of a few small tiles: photographs have most of their power at low
//! frequencies, dots have it at the frequency of the screen and above.

use std::{array, f32::consts::TAU, sync::LazyLock};

use image::DynamicImage;

/// Side of a tile, in pixels.
const SIDE: usize = 32;
/// Tiles in a row and in a column, spread over the image.
const ACROSS: usize = 8;
/// Frequencies of the spectrum: those of real values mirror each other.
const HALF: usize = SIDE / 2 + 1;
/// Frequency, in cycles per pixel, above which power counts as that of dots: a screen of 8 pixels has 0.125.
const HIGH: f32 = 0.1;
/// Least variance above [`HIGH`] in a tile of dots, in squares of 8-bit levels: noise and film grain stay below.
const STRONG: f32 = 200.0;
/// In a tile of dots, the power above [`HIGH`] is at least this many times the power below it.
const DOMINANT: f32 = 2.0;
/// The same for a regular screen, blurred by a scanner: its power lies in a few frequencies.
const STRONG_PEAKS: f32 = 50.0;
const DOMINANT_PEAKS: f32 = 1.0;
/// Least share of the power above [`HIGH`] that the [`PEAKS`] strongest frequencies of a regular screen have.
const PEAKED: f32 = 0.4;
const PEAKS: usize = 4;
/// An image is made of dots if this share of its tiles is. Of 240 photographs, 98 % have less than 0.13; of dithered and
/// screened copies of them, half have more than 0.4. At 0.18 five of 220 other photographs counted as dots and gained
/// false boxes.
const SHARE: f32 = 0.3;
/// Share of the power of dots that lies below the lowest frequency that must be smoothed away.
const LOWEST: f32 = 0.1;
/// Standard deviation of the smoothing in periods of that frequency.
const PERIODS: f32 = 0.47;

/// Cosine and sine of `frequency` × `place` turns of the circle in [`SIDE`] steps, by their product modulo [`SIDE`].
static CIRCLE: LazyLock<[(f32, f32); SIDE]> = LazyLock::new(|| {
    array::from_fn(|i| (i as f32 * TAU / SIDE as f32).sin_cos()).map(|(s, c)| (c, s))
});
/// A Hann window: a tile's borders must not count as edges.
static WINDOW: LazyLock<[f32; SIDE]> = LazyLock::new(|| CIRCLE.map(|(c, _)| 0.5 - 0.5 * c));

/// A copy with the dots smoothed away, if the image is made of dots.
pub(super) fn smoothed(pixels: &DynamicImage) -> Option<DynamicImage> {
    sigma(pixels).map(|sigma| pixels.blur(sigma))
}

/// How strongly an image of dots must be smoothed, as the standard deviation of a Gaussian in pixels; `None` for others.
fn sigma(pixels: &DynamicImage) -> Option<f32> {
    let starts = |full: u32| {
        let reach = (full as usize).checked_sub(SIDE)?;
        let count = (full as usize / SIDE).min(ACROSS);
        Some((0..count).map(move |i| reach * i / (count - 1).max(1)))
    };
    let (xs, ys) = (starts(pixels.width())?, starts(pixels.height())?);
    // The power of all tiles of dots, by frequency along y and x.
    let mut power = vec![[0.0; SIDE]; HALF];
    let (mut dotted, mut tiles) = (0, 0);
    for (x, y) in ys.flat_map(|y| xs.clone().map(move |x| (x, y))) {
        tiles += 1;
        let Some(spectrum) = tile(pixels, x, y).and_then(|t| spectrum(&t)) else {
            continue;
        };
        if of_dots(&spectrum) {
            dotted += 1;
            for (sum, row) in power.iter_mut().zip(&spectrum) {
                sum.iter_mut().zip(row).for_each(|(s, p)| *s += p);
            }
        }
    }
    (dotted as f32 >= SHARE * tiles as f32 && dotted > 0).then(|| PERIODS / lowest(&power))
}

/// The luma of a tile; `None` for a kind of pixels that is not searched.
fn tile(pixels: &DynamicImage, x: usize, y: usize) -> Option<[[f32; SIDE]; SIDE]> {
    let (data, step): (&[u8], usize) = match pixels {
        DynamicImage::ImageLuma8(p) => (p.as_raw(), 1),
        DynamicImage::ImageRgb8(p) => (p.as_raw(), 3),
        DynamicImage::ImageRgba8(p) => (p.as_raw(), 4),
        _ => return None,
    };
    let width = pixels.width() as usize;
    let luma = |p: &[u8]| match *p {
        [r, g, b, ..] => 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b),
        _ => f32::from(p[0]),
    };
    Some(array::from_fn(|row| {
        let start = ((y + row) * width + x) * step;
        array::from_fn(|column| luma(&data[start + column * step..][..step]))
    }))
}

/// The power spectrum of a tile, in squares of its levels, by frequency along y and x, so that the sum over both halves is
/// the variance; `None` for a tile without contrast.
fn spectrum(tile: &[[f32; SIDE]; SIDE]) -> Option<Vec<[f32; SIDE]>> {
    let count = (SIDE * SIDE) as f32;
    let mean = tile.iter().flatten().sum::<f32>() / count;
    let variance = tile
        .iter()
        .flatten()
        .map(|v| (v - mean).powi(2))
        .sum::<f32>()
        / count;
    if variance < STRONG_PEAKS {
        return None;
    }
    let window = &*WINDOW;
    let weight: f32 = window.iter().map(|w| w * w).sum::<f32>().powi(2) * count;
    let spectrum = (0..HALF).map(|fy| {
        let (mut real, mut imaginary) = ([0.0; SIDE], [0.0; SIDE]);
        for (y, row) in tile.iter().enumerate() {
            let (c, s) = CIRCLE[fy * y % SIDE];
            let (c, s) = (c * window[y], s * window[y]);
            for x in 0..SIDE {
                real[x] += (row[x] - mean) * c;
                imaginary[x] += (row[x] - mean) * s;
            }
        }
        let (mut re, mut im) = ([0.0; SIDE], [0.0; SIDE]);
        for x in 0..SIDE {
            let (a, b) = (real[x] * window[x], imaginary[x] * window[x]);
            for (fx, (re, im)) in re.iter_mut().zip(&mut im).enumerate() {
                let (c, s) = CIRCLE[fx * x % SIDE];
                *re += a * c - b * s;
                *im += a * s + b * c;
            }
        }
        // Rows between the first and the last stand for two frequencies.
        let twice = if fy % (SIDE / 2) == 0 { 1.0 } else { 2.0 };
        array::from_fn(|fx| twice * (re[fx] * re[fx] + im[fx] * im[fx]) / weight)
    });
    Some(spectrum.collect())
}

/// The frequency at a place in a spectrum, in cycles per pixel.
fn frequency(fy: usize, fx: usize) -> f32 {
    let fx = fx.min(SIDE - fx);
    ((fy * fy + fx * fx) as f32).sqrt() / SIDE as f32
}

/// Frequency and power of each place in a spectrum, but for the mean.
fn places(spectrum: &[[f32; SIDE]]) -> impl Iterator<Item = (f32, f32)> + '_ {
    let rows = spectrum.iter().enumerate();
    rows.flat_map(|(fy, row)| {
        let columns = row.iter().enumerate();
        columns.map(move |(fx, &power)| (frequency(fy, fx), power))
    })
    .skip(1)
}

/// Whether a tile with this spectrum is one of dots.
fn of_dots(spectrum: &[[f32; SIDE]]) -> bool {
    let (mut low, mut high) = (0.0, Vec::with_capacity(HALF * SIDE));
    for (frequency, power) in places(spectrum) {
        if frequency > HIGH {
            high.push(power);
        } else {
            low += power;
        }
    }
    let sum: f32 = high.iter().sum();
    if sum >= STRONG && sum >= DOMINANT * low {
        return true;
    }
    if sum < STRONG_PEAKS || sum < DOMINANT_PEAKS * low {
        return false;
    }
    high.select_nth_unstable_by(PEAKS, |a, b| b.total_cmp(a));
    high[..PEAKS].iter().sum::<f32>() >= PEAKED * sum
}

/// The frequency above [`HIGH`] below which the share [`LOWEST`] of the power above it lies.
fn lowest(spectrum: &[[f32; SIDE]]) -> f32 {
    let mut high: Vec<_> = places(spectrum).filter(|(f, _)| *f > HIGH).collect();
    high.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut left = LOWEST * high.iter().map(|(_, power)| power).sum::<f32>();
    for (frequency, power) in high {
        left -= power;
        if left <= 0.0 {
            return frequency;
        }
    }
    1.0
}
