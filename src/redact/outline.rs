//! Numbered outlines over a covered picture.

use image::{DynamicImage, Pixel, Primitive};
use imageproc::{
    definitions::{Clamp, Image},
    drawing::draw_hollow_rect_mut,
    rect::Rect as Outline,
};

use crate::geometry::Rect;

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

pub(super) fn draw(pixels: &mut DynamicImage, faces: &[Rect]) {
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

fn colour<P: Pixel>(red: f32, green: f32, blue: f32) -> P
where
    P::Subpixel: Clamp<f32> + Into<f32> + Primitive,
{
    let full: f32 = P::Subpixel::DEFAULT_MAX_VALUE.into();
    let channels: Vec<P::Subpixel> = match P::CHANNEL_COUNT {
        1 | 2 => vec![0.2126 * red + 0.7152 * green + 0.0722 * blue, 1.0],
        _ => vec![red, green, blue, 1.0],
    }
    .into_iter()
    .map(|v| P::Subpixel::clamp(v * full))
    .collect();
    *P::from_slice(&channels[..usize::from(P::CHANNEL_COUNT)])
}

fn all<P>(picture: &mut Image<P>, faces: &[Rect])
where
    P: Pixel + Send + Sync,
    P::Subpixel: Clamp<f32> + Into<f32> + Primitive,
{
    let (line, shade) = (colour::<P>(1.0, 0.9, 0.0), colour::<P>(0.0, 0.0, 0.0));
    let (w, h) = picture.dimensions();
    // Visible when a large picture is looked at as a whole.
    let thick = (w.max(h) / 800).max(1) as i32;
    for (number, face) in faces.iter().enumerate() {
        let Some(r) = face.to_pixels(w, h) else {
            continue;
        };
        for inset in 0..2 * thick {
            let (rw, rh) = (r.width() as i32 - 2 * inset, r.height() as i32 - 2 * inset);
            if rw < 1 || rh < 1 {
                break;
            }
            let outline =
                Outline::at(r.x1 as i32 + inset, r.y1 as i32 + inset).of_size(rw as u32, rh as u32);
            draw_hollow_rect_mut(picture, outline, if inset < thick { line } else { shade });
        }
        label(
            picture,
            number + 1,
            (r.x1 + 2 * thick as u32, r.y1 + 2 * thick as u32),
            thick as u32,
            line,
            shade,
        );
    }
}

fn label<P: Pixel>(
    picture: &mut Image<P>,
    number: usize,
    (x, y): (u32, u32),
    dot: u32,
    line: P,
    shade: P,
) {
    let text = number.to_string();
    let (w, h) = picture.dimensions();
    let mut put = |px: u32, py: u32, colour: P| {
        for dy in 0..dot {
            for dx in 0..dot {
                let (x, y) = (x + px * dot + dx, y + py * dot + dy);
                if x < w && y < h {
                    picture.put_pixel(x, y, colour);
                }
            }
        }
    };
    for py in 0..7 {
        for px in 0..text.len() as u32 * 4 + 1 {
            put(px, py, shade);
        }
    }
    for (place, digit) in text.bytes().enumerate() {
        for (row, bits) in DIGITS[usize::from(digit - b'0')].iter().enumerate() {
            for column in 0..3 {
                if bits >> (2 - column) & 1 == 1 {
                    put(place as u32 * 4 + 1 + column, row as u32 + 1, line);
                }
            }
        }
    }
}
