//! Numbered outlines over a covered picture, as filled rectangles that any kind of pixels can draw.

use image::{DynamicImage, Pixel, Primitive};
use imageproc::{
    definitions::{Clamp, Image},
    drawing::draw_filled_rect_mut,
    rect::Rect as Filled,
};

use crate::geometry::{PixelRect, Rect};

/// What lines and digits are drawn in: red, green, blue.
pub(super) const LINE: [u8; 3] = [255, 230, 0];
/// What is behind them.
pub(super) const SHADE: [u8; 3] = [0, 0, 0];

/// Digits of 3 × 5 dots, a row each from the top, the left dot in the highest of three bits.
const DIGITS: [[u8; 5]; 10] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 7, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 1, 2, 2],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
];

/// Rectangles to fill in order, and whether with [`LINE`] or [`SHADE`]. `even`: lines and digits
/// of whole pairs of pixels, for pictures whose colour is stored coarsely.
pub(super) fn strokes(
    (w, h): (u32, u32),
    faces: &[(u32, Rect)],
    even: bool,
) -> Vec<(PixelRect, bool)> {
    let step = if even { 2 } else { 1 };
    // Visible when a large picture is looked at as a whole.
    let thick = (w.max(h) / 800 / step).max(1) * step;
    let mut strokes = Vec::new();
    for (number, face) in faces {
        let Some(r) = face.to_pixels(w, h) else {
            continue;
        };
        let (x, y) = (r.x1 / step * step, r.y1 / step * step);
        for (inset, line) in [(0, true), (thick, false)] {
            let (x1, y1) = (x + inset, y + inset);
            let (x2, y2) = (r.x2.saturating_sub(inset), r.y2.saturating_sub(inset));
            for side in [
                (x1, y1, x2, y1 + thick),
                (x1, y2.saturating_sub(thick), x2, y2),
                (x1, y1, x1 + thick, y2),
                (x2.saturating_sub(thick), y1, x2, y2),
            ] {
                put(&mut strokes, (w, h), side, line);
            }
        }
        label(
            &mut strokes,
            (w, h),
            *number,
            (x + 2 * thick, y + 2 * thick),
            thick,
        );
    }
    strokes
}

fn put(
    strokes: &mut Vec<(PixelRect, bool)>,
    (w, h): (u32, u32),
    (x1, y1, x2, y2): (u32, u32, u32, u32),
    line: bool,
) {
    let (x2, y2) = (x2.min(w), y2.min(h));
    if x1 < x2 && y1 < y2 {
        strokes.push((PixelRect { x1, y1, x2, y2 }, line));
    }
}

fn label(
    strokes: &mut Vec<(PixelRect, bool)>,
    size: (u32, u32),
    number: u32,
    (x, y): (u32, u32),
    dot: u32,
) {
    let text = number.to_string();
    let width = (text.len() as u32 * 4 + 1) * dot;
    put(strokes, size, (x, y, x + width, y + 7 * dot), false);
    for (place, digit) in text.bytes().enumerate() {
        for (row, bits) in DIGITS[usize::from(digit - b'0')].iter().enumerate() {
            for column in (0..3).filter(|c| bits >> (2 - c) & 1 == 1) {
                let (x, y) = (
                    x + (place as u32 * 4 + 1 + column) * dot,
                    y + (row as u32 + 1) * dot,
                );
                put(strokes, size, (x, y, x + dot, y + dot), true);
            }
        }
    }
}

pub(super) fn draw(pixels: &mut DynamicImage, faces: &[(u32, Rect)]) {
    match pixels {
        DynamicImage::ImageLuma8(p) => all(p, faces),
        DynamicImage::ImageLumaA8(p) => all(p, faces),
        DynamicImage::ImageRgb8(p) => all(p, faces),
        DynamicImage::ImageRgba8(p) => all(p, faces),
        DynamicImage::ImageLuma16(p) => all(p, faces),
        DynamicImage::ImageLumaA16(p) => all(p, faces),
        DynamicImage::ImageRgb16(p) => all(p, faces),
        DynamicImage::ImageRgba16(p) => all(p, faces),
        _ => {}
    }
}

fn all<P>(picture: &mut Image<P>, faces: &[(u32, Rect)])
where
    P: Pixel + Send + Sync,
    P::Subpixel: Clamp<f32> + Into<f32> + Primitive,
{
    let (line, shade) = (colour::<P>(LINE), colour::<P>(SHADE));
    for (place, is_line) in strokes(picture.dimensions(), faces, false) {
        let filled =
            Filled::at(place.x1 as i32, place.y1 as i32).of_size(place.width(), place.height());
        draw_filled_rect_mut(picture, filled, if is_line { line } else { shade });
    }
}

fn colour<P: Pixel>(rgb: [u8; 3]) -> P
where
    P::Subpixel: Clamp<f32> + Into<f32> + Primitive,
{
    let full: f32 = P::Subpixel::DEFAULT_MAX_VALUE.into();
    let [red, green, blue] = rgb.map(|v| f32::from(v) / 255.0);
    let channels: Vec<P::Subpixel> = match P::CHANNEL_COUNT {
        1 | 2 => vec![0.2126 * red + 0.7152 * green + 0.0722 * blue, 1.0],
        _ => vec![red, green, blue, 1.0],
    }
    .into_iter()
    .map(|v| P::Subpixel::clamp(v * full))
    .collect();
    *P::from_slice(&channels[..usize::from(P::CHANNEL_COUNT)])
}
