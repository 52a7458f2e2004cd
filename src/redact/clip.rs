//! Video pictures + places → covered pictures, in the planes as they are stored.
//!
//! What an effect lets through is bounded for a whole track, not only for a frame: the cells of
//! blur and pixelate are measured once, in the first frame that a track covers, with their noise,
//! and drawn from then on wherever the track goes. However long the video, no more than those few
//! numbers of a face come out, so there is nothing that could be averaged over many frames. Where
//! tracks overlap, the later one is drawn over the earlier one; neither reads what it covers.
//!
//! Regions are rounded outwards to whole samples of colour.

mod erase;

use std::collections::HashMap;

use super::{
    Effect, LARGEST_REGION, LEAST_REGION, Noise, Options, RedactError,
    effect::cells::{TINT_NOISE, TINT_STEP, reliefs, tint},
    inside, outline,
};
use crate::{
    geometry::Rect,
    planes::{Colours, Layout, PlaneShape, Planes},
};

/// A place to cover in one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// What belongs together over time.
    pub track: u32,
    /// Where, in pixels.
    pub rect: Rect,
    /// Covered as given; otherwise enlarged by the region factor.
    pub exact: bool,
}

/// A covered picture. Only this file makes one, and `encode` takes nothing else.
#[derive(Debug)]
pub struct CoveredPlanes {
    layout: Layout,
    data: Vec<u8>,
    pts: i64,
}

impl CoveredPlanes {
    /// Its shape.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// When it is shown, in the video's time base.
    #[must_use]
    pub const fn pts(&self) -> i64 {
        self.pts
    }

    /// Its samples, plane by plane.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// Cells of one track: `count` × `count` for each plane, as samples.
type Cells = [Vec<f32>; 3];

/// Stored colour differences are smaller than those of red, green and blue, by 1.4 to 1.9; levels as
/// far apart as theirs would look like confetti.
const STORED: f32 = 0.56;

/// Covers the pictures of one video, in order.
#[derive(Debug)]
pub struct ClipCover {
    options: Options,
    colours: Colours,
    noise: Noise,
    cells: HashMap<u32, Cells>,
    sticker: Option<image::RgbaImage>,
}

/// Stickers are made at most this large first, in pixels: each picture scales them again.
const STICKER: u32 = 512;

impl ClipCover {
    /// For a video whose numbers become colours in this way.
    ///
    /// # Errors
    /// Options out of range.
    pub fn new(options: &Options, colours: Colours, noise: Noise) -> Result<Self, RedactError> {
        if !(LEAST_REGION..=LARGEST_REGION).contains(&options.region) {
            return Err(RedactError::Region(options.region));
        }
        options.effect.check()?;
        let sticker = match &options.effect {
            Effect::Image { sticker, .. } if sticker.width().max(sticker.height()) > STICKER => {
                let image = image::DynamicImage::ImageRgba8((**sticker).clone());
                Some(
                    image
                        .resize(STICKER, STICKER, image::imageops::FilterType::Triangle)
                        .into_rgba8(),
                )
            }
            Effect::Image { sticker, .. } => Some((**sticker).clone()),
            _ => None,
        };
        Ok(Self {
            options: options.clone(),
            colours,
            noise,
            cells: HashMap::new(),
            sticker,
        })
    }

    /// Covers one picture.
    ///
    /// # Errors
    /// A place with coordinates that are no numbers: leaving it out would expose somebody.
    pub fn cover(&mut self, picture: Planes, spots: &[Spot]) -> Result<CoveredPlanes, RedactError> {
        let (layout, pts) = (*picture.layout(), picture.pts());
        let mut data = picture.into_data();
        if let Some(bad) = spots.iter().find(|s| !s.rect.is_finite()) {
            return Err(RedactError::NotFinite(bad.rect));
        }
        for spot in spots.iter().filter(|s| s.exact) {
            inside(&spot.rect, layout.width, layout.height)?;
        }
        let rects: Vec<(u32, Rect)> = spots
            .iter()
            .map(|s| {
                (
                    s.track,
                    if s.exact {
                        s.rect
                    } else {
                        s.rect.inflate(self.options.region)
                    },
                )
            })
            .filter(|(_, r)| r.to_pixels(layout.width, layout.height).is_some())
            .collect();
        // All measured before anything is drawn, so that no cell depends on another's cover.
        if let Effect::Blur { cells } | Effect::Pixelate { cells } = self.options.effect {
            for (track, rect) in &rects {
                if !self.cells.contains_key(track) {
                    let measured = measure(&layout, &data, rect, cells, &mut self.noise);
                    self.cells.insert(*track, measured);
                }
            }
        }
        if matches!(self.options.effect, Effect::Erase) {
            let places: Vec<Rect> = rects.iter().map(|(_, rect)| *rect).collect();
            erase::cover(&layout, &mut data, &places, &mut self.noise);
            return Ok(CoveredPlanes { layout, data, pts });
        }
        for (track, rect) in &rects {
            for (index, plane) in layout.planes().iter().enumerate() {
                let mut view = View {
                    layout: &layout,
                    plane: *plane,
                    data: &mut data,
                };
                self.draw(&mut view, index, *track, rect);
            }
        }
        Ok(CoveredPlanes { layout, data, pts })
    }

    /// Draws outlines of faces with their tracks' numbers over a covered picture, for a person to
    /// check.
    pub fn outline(&self, picture: &mut CoveredPlanes, faces: &[(u32, Rect)]) {
        let layout = picture.layout;
        for (place, line) in outline::strokes((layout.width, layout.height), faces, true) {
            let rect = Rect::new(
                place.x1 as f32,
                place.y1 as f32,
                place.x2 as f32,
                place.y2 as f32,
            );
            let colour = if line { outline::LINE } else { outline::SHADE };
            let samples = self.colours.samples(colour, layout.depth);
            for (plane, value) in layout.planes().iter().zip(samples) {
                let mut view = View {
                    layout: &layout,
                    plane: *plane,
                    data: &mut picture.data,
                };
                view.fill(&rect, value);
            }
        }
    }

    fn draw(&self, view: &mut View<'_>, index: usize, track: u32, rect: &Rect) {
        let depth = view.layout.depth;
        match &self.options.effect {
            // All places at once, before this is called.
            Effect::Erase => {}
            Effect::Fill { color } => view.fill(rect, self.colours.samples(*color, depth)[index]),
            Effect::Image { under, .. } => {
                view.fill(rect, self.colours.samples(*under, depth)[index]);
                if let Some(sticker) = &self.sticker {
                    view.paste(rect, sticker, |rgb| self.colours.samples(rgb, depth)[index]);
                }
            }
            Effect::Blur { cells } | Effect::Pixelate { cells } => {
                let smooth = matches!(self.options.effect, Effect::Blur { .. });
                if let Some(values) = self.cells.get(&track) {
                    view.grid(rect, &values[index], *cells as usize, smooth);
                }
            }
        }
    }
}

/// One plane of a picture.
struct View<'a> {
    layout: &'a Layout,
    plane: PlaneShape,
    data: &'a mut [u8],
}

impl View<'_> {
    /// The samples that a rectangle touches: columns and rows.
    fn samples(&self, rect: &Rect) -> Option<((u32, u32), (u32, u32))> {
        let p = rect.to_pixels(self.layout.width, self.layout.height)?;
        // Whole samples of the coarsest plane, in every plane.
        let coarse = self.layout.planes()[2].step;
        let out = |from: u32, to: u32, coarse: u32, step: u32, most: u32| {
            (
                (from / coarse * coarse) / step,
                (to.div_ceil(coarse) * coarse / step).min(most),
            )
        };
        Some((
            out(p.x1, p.x2, coarse.0, self.plane.step.0, self.plane.width),
            out(p.y1, p.y2, coarse.1, self.plane.step.1, self.plane.height),
        ))
    }

    fn row(&mut self, y: u32, (x1, x2): (u32, u32)) -> &mut [u8] {
        let size = self.layout.sample();
        let start = self.plane.offset + y as usize * self.plane.width as usize * size;
        &mut self.data[start + x1 as usize * size..start + x2 as usize * size]
    }

    fn get(&self, x: u32, y: u32) -> f32 {
        let size = self.layout.sample();
        let at = self.plane.offset + (y as usize * self.plane.width as usize + x as usize) * size;
        match self.data[at..at + size] {
            [low, high] => f32::from(u16::from_le_bytes([low, high])),
            [value, ..] => f32::from(value),
            [] => 0.0,
        }
    }

    fn fill(&mut self, rect: &Rect, value: u16) {
        let Some((xs, (y1, y2))) = self.samples(rect) else {
            return;
        };
        let deep = self.layout.depth > 8;
        for y in y1..y2 {
            let row = self.row(y, xs);
            if deep {
                row.chunks_exact_mut(2)
                    .for_each(|s| s.copy_from_slice(&value.to_le_bytes()));
            } else {
                row.fill(value as u8);
            }
        }
    }

    fn put(row: &mut [u8], deep: bool, x: usize, value: f32) {
        if deep {
            row[2 * x..2 * x + 2].copy_from_slice(&((value + 0.5) as u16).to_le_bytes());
        } else {
            row[x] = (value + 0.5) as u8;
        }
    }

    fn grid(&mut self, rect: &Rect, values: &[f32], count: usize, smooth: bool) {
        let Some((xs, ys)) = self.samples(rect) else {
            return;
        };
        let deep = self.layout.depth > 8;
        let place = |i: u32, from: f32, side: f32, step: u32| {
            weight(
                ((i as f32 + 0.5) * step as f32 - from) / side.max(1.0),
                count,
                smooth,
            )
        };
        let columns: Vec<_> = (xs.0..xs.1)
            .map(|x| place(x, rect.x1, rect.width(), self.plane.step.0))
            .collect();
        for y in ys.0..ys.1 {
            let (top, bottom, t) = place(y, rect.y1, rect.height(), self.plane.step.1);
            let line: Vec<f32> = (0..count)
                .map(|c| {
                    let (a, b) = (values[top * count + c], values[bottom * count + c]);
                    a + (b - a) * t
                })
                .collect();
            let row = self.row(y, xs);
            for (x, &(left, right, t)) in columns.iter().enumerate() {
                Self::put(row, deep, x, line[left] + (line[right] - line[left]) * t);
            }
        }
    }

    fn paste(&mut self, rect: &Rect, sticker: &image::RgbaImage, sample: impl Fn([u8; 3]) -> u16) {
        let Some((xs, ys)) = self.samples(rect) else {
            return;
        };
        if sticker.width() == 0 || sticker.height() == 0 {
            return;
        }
        let scale = (rect.width() / sticker.width() as f32)
            .min(rect.height() / sticker.height() as f32)
            .max(1e-3);
        let (cx, cy) = rect.centre();
        let (step, deep) = (self.plane.step, self.layout.depth > 8);
        let from = |i: u32, step: u32, centre: f32, side: u32| {
            let at = ((i as f32 + 0.5) * step as f32 - centre) / scale + side as f32 / 2.0;
            (at >= 0.0 && at < side as f32).then_some(at as u32)
        };
        for y in ys.0..ys.1 {
            let Some(sy) = from(y, step.1, cy, sticker.height()) else {
                continue;
            };
            let row = self.row(y, xs);
            for x in xs.0..xs.1 {
                let Some(sx) = from(x, step.0, cx, sticker.width()) else {
                    continue;
                };
                let [r, g, b, a] = sticker.get_pixel(sx, sy).0;
                let i = (x - xs.0) as usize;
                let under = if deep {
                    u16::from_le_bytes([row[2 * i], row[2 * i + 1]])
                } else {
                    u16::from(row[i])
                };
                let over = f32::from(a) / 255.0;
                Self::put(
                    row,
                    deep,
                    i,
                    f32::from(under) * (1.0 - over) + f32::from(sample([r, g, b])) * over,
                );
            }
        }
    }
}

/// The cells before and behind a place (0 to 1 across the rectangle) and how far it is between
/// them, eased as in the effect for photos.
fn weight(at: f32, count: usize, smooth: bool) -> (usize, usize, f32) {
    let last = count - 1;
    if !smooth {
        let cell = ((at * count as f32).max(0.0) as usize).min(last);
        return (cell, cell, 0.0);
    }
    let at = (at * count as f32 - 0.5).max(0.0);
    let before = (at as usize).min(last);
    let t = (at - before as f32).clamp(0.0, 1.0);
    (before, (before + 1).min(last), t * t * (3.0 - 2.0 * t))
}

/// What is let through of a rectangle's cells: their brightness, and one tint for all.
fn measure(layout: &Layout, data: &[u8], rect: &Rect, count: u32, noise: &mut Noise) -> Cells {
    let full = f32::from(1u16 << (layout.depth - 8)) * 255.0;
    let planes = layout.planes();
    let (w, h) = (rect.width() / count as f32, rect.height() / count as f32);
    let mut brightness = Vec::with_capacity((count * count) as usize);
    for row in 0..count {
        for column in 0..count {
            let (x, y) = (rect.x1 + column as f32 * w, rect.y1 + row as f32 * h);
            let cell = Rect::new(x, y, x + w, y + h);
            let average = average(layout, &planes[0], data, &cell);
            brightness.push(average.map_or(0.5, |v| v / full));
        }
    }
    let drawn = reliefs(&brightness, noise).into_iter();
    let mut colour = |plane: &PlaneShape| {
        let middle = 128.0 / 255.0;
        let distance = average(layout, plane, data, rect).map_or(0.0, |v| v / full - middle);
        let drawn = middle + tint(distance, TINT_NOISE * STORED, TINT_STEP * STORED, noise);
        vec![drawn.clamp(0.0, 1.0) * full; brightness.len()]
    };
    [
        drawn.map(|v| v * full).collect(),
        colour(&planes[1]),
        colour(&planes[2]),
    ]
}

fn average(layout: &Layout, plane: &PlaneShape, data: &[u8], cell: &Rect) -> Option<f32> {
    let p = cell.to_pixels(layout.width, layout.height)?;
    let (x1, x2) = (
        p.x1 / plane.step.0,
        p.x2.div_ceil(plane.step.0).min(plane.width),
    );
    let (y1, y2) = (
        p.y1 / plane.step.1,
        p.y2.div_ceil(plane.step.1).min(plane.height),
    );
    let size = layout.sample();
    let mut sum = 0u64;
    for y in y1..y2 {
        let start = plane.offset + (y as usize * plane.width as usize + x1 as usize) * size;
        let row = &data[start..start + (x2 - x1) as usize * size];
        sum += if size == 1 {
            row.iter().map(|&v| u64::from(v)).sum::<u64>()
        } else {
            row.chunks_exact(2)
                .map(|v| u64::from(u16::from_le_bytes([v[0], v[1]])))
                .sum()
        };
    }
    let count = u64::from(x2.saturating_sub(x1)) * u64::from(y2.saturating_sub(y1));
    (count > 0).then(|| sum as f32 / count as f32)
}
