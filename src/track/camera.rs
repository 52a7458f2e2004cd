//! How the camera moved from one frame to the next, and where the scene changes.
//!
//! One shift for the whole picture, found by comparing small grey copies, first coarsely, then
//! finely. Differences are capped, so that people who walk through the picture count little
//! against a background that moves as one.

use image::GrayImage;

/// What lies between two frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// The picture's content moved this far to the right, in pixels.
    pub dx: f32,
    /// The picture's content moved this far down, in pixels.
    pub dy: f32,
    /// The two have nothing in common.
    pub cut: bool,
}

/// Width of the coarse copy, in pixels.
const COARSE: u32 = 120;
/// Width of the copy in which a blow is searched for, in pixels.
const TINY: u32 = 40;
/// Width of the fine copy, in pixels.
const FINE: u32 = 480;
/// How far is searched in the coarse copy, as a share of its width: a tenth of the picture.
const REACH: f32 = 0.1;
/// The same where nothing near fits: a blow against the camera. No further, as there half of the picture has nothing to
/// compare it with.
const FAR: f32 = 0.35;
/// Mean capped difference above which nothing near fits.
const POOR: f32 = 7.0;
/// What is further away must be so much better: 1 is no better.
const BETTER: f32 = 0.75;
/// A difference of two grey values counts at most this much.
const CAP: u8 = 48;
/// Mean capped difference above which two frames have nothing in common. Shakes, blurs and noise
/// of hand-held clips stay below 12, cuts between different places lie above 20.
const CUT: f32 = 18.0;
/// Share of the grey values' histogram that must differ at a cut: a camera that is torn around
/// keeps most of it.
const CUT_HISTOGRAM: f32 = 0.25;

/// Follows the camera.
#[derive(Debug, Default)]
pub struct Camera {
    last: Option<(GrayImage, GrayImage)>,
}

impl Camera {
    /// Takes the next frame, as grey of any size (always the same); gives what happened since the
    /// one before, `None` for the first.
    pub fn next(&mut self, grey: &GrayImage) -> Option<Motion> {
        let fine = shrunk(grey, FINE);
        let coarse = shrunk(&fine, COARSE);
        let scale = grey.width() as f32 / fine.width() as f32;
        let motion = self.last.as_ref().map(|(was_fine, was_coarse)| {
            let reach = |share: f32| (coarse.width() as f32 * share).ceil() as i32;
            let near = search(was_coarse, &coarse, (0, 0), reach(REACH), 1);
            let ((x, y), best) = if near.1 > POOR {
                let far = far(was_coarse, &coarse);
                if far.1 < BETTER * near.1 { far } else { near }
            } else {
                near
            };
            let ratio = fine.width() as f32 / coarse.width() as f32;
            let start = (
                (x as f32 * ratio).round() as i32,
                (y as f32 * ratio).round() as i32,
            );
            let ((x, y), _) = search(was_fine, &fine, start, (ratio / 2.0).ceil() as i32 + 1, 3);
            let (sx, sy) = subpixel(was_fine, &fine, (x, y));
            Motion {
                dx: (x as f32 + sx) * scale,
                dy: (y as f32 + sy) * scale,
                cut: best > CUT && histograms(was_coarse, &coarse) > CUT_HISTOGRAM,
            }
        });
        self.last = Some((fine, coarse));
        motion
    }
}

/// The shift between two coarse copies, however far, and its difference: from copies that are coarser still.
fn far(was: &GrayImage, is: &GrayImage) -> ((i32, i32), f32) {
    let (was_small, small) = (shrunk(was, TINY), shrunk(is, TINY));
    let reach = (small.width() as f32 * FAR).ceil() as i32;
    let ((x, y), _) = search(&was_small, &small, (0, 0), reach, 1);
    let ratio = (is.width() / small.width().max(1)) as i32;
    search(was, is, (x * ratio, y * ratio), ratio, 1)
}

/// Averages down to about this width; smaller pictures stay as they are.
fn shrunk(grey: &GrayImage, width: u32) -> GrayImage {
    let step = (grey.width() / width).max(1);
    let (w, h) = ((grey.width() / step).max(1), (grey.height() / step).max(1));
    let area = step * step;
    let mut sums = vec![0u32; w as usize];
    let mut out = Vec::with_capacity((w * h) as usize);
    for y in 0..h {
        sums.fill(0);
        for row in (y * step..((y + 1) * step).min(grey.height()))
            .map(|r| r as usize * grey.width() as usize)
        {
            let row = &grey.as_raw()[row..row + (w * step).min(grey.width()) as usize];
            for (sum, part) in sums
                .iter_mut()
                .zip(row.chunks_exact(step.min(grey.width()) as usize))
            {
                *sum += part.iter().map(|&v| u32::from(v)).sum::<u32>();
            }
        }
        out.extend(sums.iter().map(|s| (s / area).min(255) as u8));
    }
    GrayImage::from_raw(w, h, out).unwrap_or_default()
}

/// The shift with the least difference within `reach` around `start`, and that difference, each
/// `skip`-th row compared.
fn search(
    was: &GrayImage,
    is: &GrayImage,
    start: (i32, i32),
    reach: i32,
    skip: usize,
) -> ((i32, i32), f32) {
    let mut best = (start, f32::INFINITY);
    for dy in -reach..=reach {
        for dx in -reach..=reach {
            let at = (start.0 + dx, start.1 + dy);
            let mut cost = difference(was, is, at, skip);
            // Of equals the smaller shift: a flat picture stands still.
            cost += 1e-4 * (at.0.abs() + at.1.abs()) as f32;
            if cost < best.1 {
                best = (at, cost);
            }
        }
    }
    best
}

/// Mean capped difference where the two overlap when content moved by `(dx, dy)`.
fn difference(was: &GrayImage, is: &GrayImage, (dx, dy): (i32, i32), skip: usize) -> f32 {
    let (w, h) = (is.width() as i32, is.height() as i32);
    let (x1, x2) = (dx.max(0), (w + dx).min(w));
    let (y1, y2) = (dy.max(0), (h + dy).min(h));
    if x2 - x1 < w / 2 || y2 - y1 < h / 2 || x2 <= x1 {
        return f32::INFINITY;
    }
    let length = (x2 - x1) as usize;
    let (mut sum, mut rows) = (0u64, 0u64);
    for y in (y1..y2).step_by(skip) {
        let a = (y * w + x1) as usize;
        let b = ((y - dy) * w + x1 - dx) as usize;
        let (a, b) = (&is.as_raw()[a..a + length], &was.as_raw()[b..b + length]);
        let row: u32 = a
            .iter()
            .zip(b)
            .map(|(a, b)| u32::from(a.abs_diff(*b).min(CAP)))
            .sum();
        sum += u64::from(row);
        rows += 1;
    }
    sum as f32 / (rows.max(1) * length as u64) as f32
}

/// The rest of the shift, from a parabola through the differences beside the least one.
fn subpixel(was: &GrayImage, is: &GrayImage, (x, y): (i32, i32)) -> (f32, f32) {
    let at = |dx, dy| difference(was, is, (x + dx, y + dy), 3);
    let middle = at(0, 0);
    let top = |before: f32, behind: f32| {
        let bend = before - 2.0 * middle + behind;
        if bend.is_finite() && bend > 1e-3 {
            ((before - behind) / (2.0 * bend)).clamp(-0.5, 0.5)
        } else {
            0.0
        }
    };
    (top(at(-1, 0), at(1, 0)), top(at(0, -1), at(0, 1)))
}

/// Share of pixels whose grey value has no counterpart, 0 to 1.
fn histograms(a: &GrayImage, b: &GrayImage) -> f32 {
    let count = |g: &GrayImage| {
        let mut bins = [0i64; 32];
        g.as_raw()
            .iter()
            .for_each(|&v| bins[usize::from(v >> 3)] += 1);
        bins
    };
    let (x, y) = (count(a), count(b));
    // Neighbouring bins together: noise moves values between them.
    let smooth = |b: &[i64; 32], i: usize| b[i.saturating_sub(1)] + 2 * b[i] + b[(i + 1).min(31)];
    let sum: i64 = (0..32).map(|i| (smooth(&x, i) - smooth(&y, i)).abs()).sum();
    sum as f32 / (8.0 * a.as_raw().len().max(1) as f32)
}
