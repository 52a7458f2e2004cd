//! What lies under a cover must not reach the output: inputs that differ only there give the same bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;

use image::{DynamicImage, Rgba, RgbaImage};
use proptest::prelude::*;
use unface::{
    Format, Rect,
    decode::{clip::from_samples, from_upright_pixels},
    encode,
    planes::{Chroma, Colours, Layout},
    redact::{
        Effect, Noise, Options, Redacted,
        clip::{ClipCover, Spot},
        cover,
        effect::cells::edge,
    },
};

const SIDE: u32 = 64;

fn mixed(x: u32, y: u32, salt: u32) -> u32 {
    let v = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ salt.wrapping_mul(83_492_791);
    v ^ (v >> 13)
}

fn picture(salt: u32) -> RgbaImage {
    RgbaImage::from_fn(SIDE, SIDE, |x, y| Rgba(mixed(x, y, salt).to_le_bytes()))
}

/// One of the eight kinds of pixels.
fn of_kind(pixels: &RgbaImage, kind: usize) -> DynamicImage {
    let all = DynamicImage::ImageRgba8(pixels.clone());
    match kind % 8 {
        0 => DynamicImage::ImageLuma8(all.to_luma8()),
        1 => DynamicImage::ImageLumaA8(all.to_luma_alpha8()),
        2 => DynamicImage::ImageRgb8(all.to_rgb8()),
        3 => all,
        4 => DynamicImage::ImageLuma16(all.to_luma16()),
        5 => DynamicImage::ImageLumaA16(all.to_luma_alpha16()),
        6 => DynamicImage::ImageRgb16(all.to_rgb16()),
        _ => DynamicImage::ImageRgba16(all.to_rgba16()),
    }
}

/// Those that let nothing through.
fn blind() -> Vec<Effect> {
    let sticker = Arc::new(RgbaImage::from_fn(7, 5, |x, y| {
        Rgba([x as u8 * 30, y as u8 * 40, 9, 128])
    }));
    let under = [9, 8, 7];
    vec![
        Effect::Erase,
        Effect::Fill { color: [1, 2, 3] },
        Effect::Image { sticker, under },
    ]
}

fn redacted(pixels: DynamicImage, faces: &[Rect], effect: &Effect, seed: u64) -> Redacted {
    let options = Options {
        effect: effect.clone(),
        region: 1.3,
    };
    let frame = from_upright_pixels(pixels);
    cover(frame, faces, &[], &options, &mut Noise::from_seed(seed)).unwrap()
}

fn faces() -> impl Strategy<Value = Vec<Rect>> {
    let face = (-20f32..80.0, -20f32..80.0, 1f32..50.0, 1f32..50.0);
    let face = face.prop_map(|(x, y, w, h)| Rect::new(x, y, x + w, y + h));
    prop::collection::vec(face, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn photos_that_differ_under_covers_only_give_the_same_bytes(
        faces in faces(), kind in 0usize..8, salt in 1u32..1000, seed in 0u64..9,
    ) {
        let one = picture(0);
        for effect in blind() {
            let first = redacted(of_kind(&one, kind), &faces, &effect, seed);
            let mut other = picture(salt);
            let parts: Vec<_> = first.regions().iter().flat_map(|r| r.parts.clone()).collect();
            for (x, y, pixel) in other.enumerate_pixels_mut() {
                if !parts.iter().any(|p| p.x1 <= x && x < p.x2 && p.y1 <= y && y < p.y2) {
                    *pixel = *one.get_pixel(x, y);
                }
            }
            let second = redacted(of_kind(&other, kind), &faces, &effect, seed);
            prop_assert_eq!(first.pixels(), second.pixels());
            let written = |r: &Redacted| encode::encode(r, Format::Png, &encode::Options { quality: 90, lossless: true }).unwrap();
            prop_assert_eq!(written(&first), written(&second));
        }
    }

    #[test]
    fn videos_that_differ_under_covers_only_give_the_same_samples(
        faces in faces(), shape in shapes(), salt in 1u32..1000, seed in 0u64..9,
    ) {
        let spots = spots(&faces, &shape);
        let covered = covered_samples(&shape, &spots);
        for effect in blind() {
            // Three pictures, so that what is kept from one to the next counts too.
            let run = |salt: u32| {
                let mut cover = clip(&effect, seed);
                (0..3).map(|n| {
                    let mut data = samples(&shape, n);
                    let other = samples(&shape, n + 10 * salt);
                    for (i, value) in data.iter_mut().enumerate().filter(|(i, _)| covered[*i]) {
                        *value = other[i];
                    }
                    let picture = from_samples(shape, data, i64::from(n)).unwrap();
                    cover.cover(picture, &spots).unwrap().data().to_vec()
                }).collect::<Vec<_>>()
            };
            prop_assert_eq!(run(0), run(salt));
        }
    }

    #[test]
    fn photos_of_equal_cells_give_the_same_pixels(
        x in 0f32..20.0, y in 0f32..20.0, w in 8f32..30.0, h in 8f32..30.0,
        kind in 0usize..8, cells in 1u32..=6, seed in 0u64..9,
    ) {
        let face = [Rect::new(x, y, x + w, y + h)];
        let mut opaque = picture(3);
        opaque.pixels_mut().for_each(|p| p.0[3] = 255);
        for effect in [Effect::Blur { cells }, Effect::Pixelate { cells }] {
            let first = redacted(of_kind(&opaque, kind), &face, &effect, seed);
            let bounds = first.regions()[0].bounds;
            let mut other = opaque.clone();
            for (row, column) in (0..cells).flat_map(|r| (0..cells).map(move |c| (r, c))) {
                let side = |from: u32, full: u32, i: u32| (from + edge(full, cells, i), from + edge(full, cells, i + 1));
                let (x1, x2) = side(bounds.x1, bounds.width(), column);
                let (y1, y2) = side(bounds.y1, bounds.height(), row);
                // Each cell turned by half a circle: other pixels, the same average.
                for (px, py) in (x1..x2).flat_map(|px| (y1..y2).map(move |py| (px, py))) {
                    other.put_pixel(px, py, *opaque.get_pixel(x1 + x2 - 1 - px, y1 + y2 - 1 - py));
                }
            }
            let second = redacted(of_kind(&other, kind), &face, &effect, seed);
            prop_assert_eq!(first.pixels(), second.pixels());
        }
    }

    #[test]
    fn videos_of_equal_cells_give_the_same_samples(
        x in 0u32..8, y in 0u32..8, w in 1u32..5, h in 1u32..5, shape in shapes(), cells in 1u32..=3, seed in 0u64..9,
    ) {
        // On whole cells of whole samples, in every plane.
        let step = 2 * cells;
        let (x1, y1, x2, y2) = (2 * x, 2 * y, 2 * x + w * step, 2 * y + h * step);
        let rect = Rect::new(x1 as f32, y1 as f32, x2 as f32, y2 as f32);
        let spots = [Spot { track: 1, rect, exact: true }];
        for effect in [Effect::Blur { cells }, Effect::Pixelate { cells }] {
            let run = |turned: bool| {
                let mut data = samples(&shape, 1);
                if turned {
                    for (index, plane) in shape.planes().into_iter().enumerate() {
                        // Brightness cell by cell, colour as a whole.
                        let parts = if index == 0 { cells } else { 1 };
                        let (cw, ch) = ((x2 - x1) / parts, (y2 - y1) / parts);
                        for (r, c) in (0..parts).flat_map(|r| (0..parts).map(move |c| (r, c))) {
                            let from = ((x1 + c * cw) / plane.step.0, (y1 + r * ch) / plane.step.1);
                            turn(&mut data, &shape, index, from, (cw / plane.step.0, ch / plane.step.1));
                        }
                    }
                }
                let picture = from_samples(shape, data, 0).unwrap();
                clip(&effect, seed).cover(picture, &spots).unwrap().data().to_vec()
            };
            prop_assert_eq!(run(false), run(true));
        }
    }
}

fn shapes() -> impl Strategy<Value = Layout> {
    let chroma = prop_oneof![
        Just(Chroma::Quarter),
        Just(Chroma::Half),
        Just(Chroma::Full)
    ];
    let depth = prop_oneof![Just(8u8), Just(10)];
    (50u32..70, 50u32..70, depth, chroma).prop_map(|(width, height, depth, chroma)| Layout {
        width,
        height,
        depth,
        chroma,
    })
}

fn samples(shape: &Layout, salt: u32) -> Vec<u8> {
    let deep = shape.depth > 8;
    (0..shape.bytes())
        .map(|i| {
            let value = mixed(i as u32, 7, salt);
            // The high byte of 10 bits.
            if deep && i % 2 == 1 {
                (value & 3) as u8
            } else {
                value as u8
            }
        })
        .collect()
}

/// Every second one is a place that a person named, which must lie in the picture.
fn spots(faces: &[Rect], shape: &Layout) -> Vec<Spot> {
    let (w, h) = (shape.width as f32, shape.height as f32);
    let there = |r: &Rect| r.x1 < w && r.y1 < h && r.x2 > 0.0 && r.y2 > 0.0;
    let spots = faces.iter().enumerate().map(|(i, rect)| Spot {
        track: i as u32,
        rect: *rect,
        exact: i % 2 == 1 && there(rect),
    });
    spots.collect()
}

fn clip(effect: &Effect, seed: u64) -> ClipCover {
    let options = Options {
        effect: effect.clone(),
        region: 1.3,
    };
    ClipCover::new(&options, Colours::named(None, None), Noise::from_seed(seed)).unwrap()
}

/// Which bytes a plain fill sets whatever was there.
fn covered_samples(shape: &Layout, spots: &[Spot]) -> Vec<bool> {
    let run = |value: u8| {
        let picture = from_samples(*shape, vec![value; shape.bytes()], 0).unwrap();
        let fill = Effect::Fill { color: [0; 3] };
        clip(&fill, 0)
            .cover(picture, spots)
            .unwrap()
            .data()
            .to_vec()
    };
    let (a, b) = (run(2), run(3));
    a.iter().zip(&b).map(|(a, b)| a == b).collect()
}

/// Turns a rectangle of a plane's samples by half a circle.
fn turn(data: &mut [u8], shape: &Layout, index: usize, (x, y): (u32, u32), (w, h): (u32, u32)) {
    let (plane, size) = (shape.planes()[index], shape.sample());
    let at = |px: u32, py: u32| plane.offset + (py * plane.width + px) as usize * size;
    let before = data.to_vec();
    for (px, py) in (0..w).flat_map(|px| (0..h).map(move |py| (px, py))) {
        let (to, from) = (at(x + px, y + py), at(x + w - 1 - px, y + h - 1 - py));
        data[to..to + size].copy_from_slice(&before[from..from + size]);
    }
}
