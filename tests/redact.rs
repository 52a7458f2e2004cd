//! Covering: what may reach the output and what may not.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{collections::HashSet, sync::Arc};

use image::{DynamicImage, GenericImageView, Rgb, RgbImage, RgbaImage};
use proptest::prelude::*;
use unface::{
    Rect,
    decode::from_upright_pixels,
    redact::{
        Effect, Noise, Options, RedactError, Redacted, clip::Spot, cover, frames::FramesCover,
    },
};

fn picture(width: u32, height: u32, salt: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let v =
            x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ salt.wrapping_mul(83_492_791);
        Rgb([v as u8, (v >> 8) as u8, (v >> 16) as u8])
    })
}

fn options(effect: Effect) -> Options {
    Options {
        effect,
        region: 1.3,
    }
}

fn covered(pixels: impl Into<DynamicImage>, faces: &[Rect], effect: Effect) -> Redacted {
    cover(
        from_upright_pixels(pixels.into()),
        faces,
        &[],
        &options(effect),
        &mut Noise::from_seed(1),
    )
    .unwrap()
}

fn all_effects() -> Vec<Effect> {
    let sticker = Arc::new(RgbaImage::from_fn(7, 5, |x, y| {
        image::Rgba([x as u8 * 30, y as u8 * 40, 9, 128])
    }));
    vec![
        Effect::Blur { cells: 4 },
        Effect::Pixelate { cells: 4 },
        Effect::Fill { color: [1, 2, 3] },
        Effect::Image {
            sticker,
            under: [9, 8, 7],
        },
    ]
}

fn in_any(redacted: &Redacted, x: u32, y: u32) -> bool {
    let parts = redacted.regions().iter().flat_map(|r| &r.parts);
    parts
        .into_iter()
        .any(|p| p.x1 <= x && x < p.x2 && p.y1 <= y && y < p.y2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn fill_and_image_depend_on_no_covered_pixel(
        x in -20f32..80.0, y in -20f32..80.0, w in 1f32..60.0, h in 1f32..60.0,
        x2 in -20f32..80.0, y2 in -20f32..80.0, salt in 1u32..1000,
    ) {
        let faces = [Rect::new(x, y, x + w, y + h), Rect::new(x2, y2, x2 + h, y2 + w)];
        for effect in &all_effects()[2..] {
            let one = picture(64, 64, 0);
            let first = covered(one.clone(), &faces, effect.clone());
            let mut other = picture(64, 64, salt);
            for (px, py, pixel) in other.enumerate_pixels_mut() {
                if !in_any(&first, px, py) {
                    *pixel = *one.get_pixel(px, py);
                }
            }
            let second = covered(other, &faces, effect.clone());
            prop_assert_eq!(first.pixels(), second.pixels());
        }
    }

    #[test]
    fn nothing_outside_the_regions_changes_and_everything_inside_is_covered(
        x in -20f32..80.0, y in -20f32..80.0, w in 1f32..60.0, h in 1f32..60.0,
    ) {
        let face = Rect::new(x, y, x + w, y + h);
        let before = picture(64, 64, 0);
        let pink = covered(before.clone(), &[face], Effect::Fill { color: [255, 0, 255] });
        let after = pink.pixels().as_rgb8().unwrap();
        let region = face.inflate(1.3);
        for (px, py, pixel) in before.enumerate_pixels() {
            let centre = (px as f32 + 0.5, py as f32 + 0.5);
            let inside = region.x1 <= centre.0 && centre.0 < region.x2 && region.y1 <= centre.1 && centre.1 < region.y2;
            let now = *after.get_pixel(px, py);
            prop_assert!(now == Rgb([255, 0, 255]) || (!inside && now == *pixel));
        }
    }
}

#[test]
fn a_face_shows_at_most_so_many_cells_alone_and_in_a_chain() {
    let big = Rect::new(50.0, 50.0, 150.0, 170.0);
    let chain = [
        big,
        Rect::new(120.0, 60.0, 190.0, 150.0),
        Rect::new(180.0, 70.0, 230.0, 130.0),
        Rect::new(60.0, 60.0, 80.0, 80.0),
    ];
    for cells in 1..=6 {
        for faces in [&chain[..1], &chain[..]] {
            let redacted = covered(picture(300, 300, 3), faces, Effect::Pixelate { cells });
            for face in faces {
                let r = face.inflate(1.3).to_pixels(300, 300).unwrap();
                let seen: HashSet<[u8; 4]> = (r.y1..r.y2)
                    .flat_map(|y| (r.x1..r.x2).map(move |x| (x, y)))
                    .map(|(x, y)| redacted.pixels().get_pixel(x, y).0)
                    .collect();
                assert!(
                    seen.len() <= (cells * cells) as usize,
                    "{} values with {cells} cells",
                    seen.len()
                );
            }
        }
    }
}

#[test]
fn faces_with_equal_averages_give_equal_outputs() {
    // A checkerboard and its negative have the same mean in every cell of even size.
    let board = |odd: u32| {
        RgbImage::from_fn(104, 104, |x, y| {
            Rgb(if (x + y) % 2 == odd {
                [200; 3]
            } else {
                [40; 3]
            })
        })
    };
    let whole = [Rect::new(12.0, 12.0, 92.0, 92.0)];
    for effect in [Effect::Blur { cells: 4 }, Effect::Pixelate { cells: 4 }] {
        let (a, b) = (
            covered(board(0), &whole, effect.clone()),
            covered(board(1), &whole, effect),
        );
        assert_eq!(a.regions()[0].bounds.width(), 104);
        assert_eq!(a.pixels(), b.pixels());
    }
}

#[test]
fn a_sliver_of_a_cell_never_averages_a_few_pixels() {
    // Two parts that touch by a pixel: the small one must not get a fine grid of its own.
    let faces = [
        Rect::new(20.0, 20.0, 120.0, 120.0),
        Rect::new(133.0, 60.0, 143.0, 70.0),
    ];
    let redacted = covered(picture(200, 200, 9), &faces, Effect::Pixelate { cells: 4 });
    assert_eq!(redacted.regions().len(), 1);
    let r = faces[1].inflate(1.3).to_pixels(200, 200).unwrap();
    let seen: HashSet<_> = (r.y1..r.y2)
        .flat_map(|y| (r.x1..r.x2).map(move |x| (x, y)))
        .map(|(x, y)| redacted.pixels().get_pixel(x, y).0)
        .collect();
    assert!(seen.len() <= 4, "{}", seen.len());
}

#[test]
fn all_kinds_of_pixels_take_all_effects_and_become_opaque() {
    let base = DynamicImage::ImageRgb8(picture(40, 30, 5));
    let mut clear = base.to_rgba8();
    clear.pixels_mut().for_each(|p| p.0[3] = p.0[0] | 1);
    let clear = DynamicImage::ImageRgba8(clear);
    let kinds = [
        DynamicImage::ImageLuma8(base.to_luma8()),
        DynamicImage::ImageLumaA8(clear.to_luma_alpha8()),
        base.clone(),
        clear.clone(),
        DynamicImage::ImageLuma16(base.to_luma16()),
        DynamicImage::ImageLumaA16(clear.to_luma_alpha16()),
        DynamicImage::ImageRgb16(base.to_rgb16()),
        DynamicImage::ImageRgba16(clear.to_rgba16()),
    ];
    for kind in kinds {
        for effect in all_effects() {
            let mut redacted = covered(kind.clone(), &[Rect::new(8.0, 8.0, 20.0, 20.0)], effect);
            assert_eq!(redacted.pixels().color(), kind.color());
            assert_eq!(redacted.pixels().to_rgba8().get_pixel(14, 14).0[3], 255);
            assert_eq!(redacted.pixels().get_pixel(39, 29), kind.get_pixel(39, 29));
            redacted.outline(&[(1, Rect::new(8.0, 8.0, 20.0, 20.0))]);
        }
    }
}

#[test]
fn the_last_row_and_column_are_covered() {
    let redacted = covered(
        picture(50, 40, 1),
        &[Rect::new(30.0, 20.0, 49.0, 39.5)],
        Effect::Fill { color: [0; 3] },
    );
    assert_eq!(redacted.pixels().get_pixel(49, 39).0, [0, 0, 0, 255]);
}

#[test]
fn a_picture_of_one_pixel_and_a_face_larger_than_the_picture_are_covered() {
    for effect in all_effects() {
        let redacted = covered(picture(1, 1, 1), &[Rect::new(-5.0, -5.0, 9.0, 9.0)], effect);
        assert_eq!(redacted.regions().len(), 1);
    }
}

#[test]
fn a_box_that_is_no_number_is_an_error_and_not_left_out() {
    for bad in [f32::NAN, f32::INFINITY] {
        let frame = from_upright_pixels(picture(8, 8, 1).into());
        let options = options(Effect::Fill { color: [0; 3] });
        let result = cover(
            frame,
            &[Rect::new(bad, 0.0, 4.0, 4.0)],
            &[],
            &options,
            &mut Noise::from_seed(0),
        );
        assert!(matches!(result, Err(RedactError::NotFinite(_))));
    }
}

#[test]
fn weaker_settings_than_the_bounds_are_refused() {
    let try_with = |effect, region| {
        let frame = from_upright_pixels(picture(8, 8, 1).into());
        cover(
            frame,
            &[],
            &[],
            &Options { effect, region },
            &mut Noise::from_seed(0),
        )
        .err()
    };
    assert_eq!(
        try_with(Effect::Blur { cells: 7 }, 1.3),
        Some(RedactError::Cells(7))
    );
    assert_eq!(
        try_with(Effect::Pixelate { cells: 0 }, 1.3),
        Some(RedactError::Cells(0))
    );
    assert_eq!(
        try_with(Effect::Blur { cells: 4 }, 1.29),
        Some(RedactError::Region(1.29))
    );
}

#[test]
fn noise_differs_between_seeds_and_not_within_one() {
    let face = [Rect::new(10.0, 10.0, 50.0, 50.0)];
    let with = |seed| {
        let frame = from_upright_pixels(picture(64, 64, 2).into());
        cover(
            frame,
            &face,
            &[],
            &options(Effect::Blur { cells: 4 }),
            &mut Noise::from_seed(seed),
        )
        .unwrap()
    };
    assert_eq!(with(1).pixels(), with(1).pixels());
    assert_ne!(with(1).pixels(), with(2).pixels());
}

#[test]
fn a_crowd_of_thousands_joins_by_overlap() {
    let faces: Vec<Rect> = (0..5000u32)
        .map(|i| {
            let (x, y) = ((i % 100) as f32 * 20.0, (i / 100) as f32 * 20.0);
            Rect::new(x, y, x + 12.0, y + 12.0)
        })
        .collect();
    assert_eq!(
        covered(picture(2000, 1000, 1), &faces, Effect::Blur { cells: 4 })
            .regions()
            .len(),
        5000
    );
    let wide: Vec<Rect> = faces.iter().map(|f| f.inflate(1.6)).collect();
    assert_eq!(
        covered(picture(2000, 1000, 1), &wide, Effect::Blur { cells: 4 })
            .regions()
            .len(),
        1
    );
}

#[test]
fn a_place_outside_the_picture_covered_nothing_and_was_called_covered() {
    let outside = [
        Rect::new(64.0, 0.0, 90.0, 20.0),
        Rect::new(-30.0, 5.0, 0.0, 20.0),
        Rect::new(5.0, 9000.0, 20.0, 9100.0),
    ];
    let fill = options(Effect::Fill { color: [0; 3] });
    for place in outside {
        let frame = || from_upright_pixels(picture(64, 64, 0).into());
        let noise = || Noise::from_seed(1);
        let refused = RedactError::Outside {
            place,
            width: 64,
            height: 64,
        };
        let still = cover(frame(), &[], &[place], &fill, &mut noise());
        assert_eq!(still.unwrap_err(), refused);
        let spot = |exact| Spot {
            track: 0,
            rect: place,
            exact,
        };
        let mut frames = FramesCover::new(&fill, noise()).unwrap();
        assert_eq!(frames.cover(frame(), &[spot(true)]).unwrap_err(), refused);
        // A face that went out of the picture is none that must be covered.
        assert!(frames.cover(frame(), &[spot(false)]).is_ok());
    }
    let within = cover(
        from_upright_pixels(picture(64, 64, 0).into()),
        &[],
        &[Rect::new(60.0, 60.0, 900.0, 900.0)],
        &fill,
        &mut Noise::from_seed(1),
    );
    assert_eq!(within.unwrap().pixels().get_pixel(63, 63).0[..3], [0; 3]);
}

#[test]
fn a_neighbours_cover_was_taken_for_the_faces_own() {
    let redacted = covered(
        picture(200, 100, 0),
        &[Rect::new(100.0, 30.0, 130.0, 70.0)],
        Effect::Fill { color: [0; 3] },
    );
    let region = &redacted.regions()[0].parts;
    let left = region.iter().map(|p| p.x1).min().unwrap() as f32;
    // Its right fifth lies under the cover; its middle does not.
    let beside = Rect::new(left - 32.0, 30.0, left + 8.0, 70.0);
    assert!(redacted.share(&beside) > 0.1);
    assert!(redacted.is_open(&beside));
    // The cover lies over the middle, over all of it, or is a large part of it.
    for hidden in [
        Rect::new(90.0, 20.0, 140.0, 80.0),
        Rect::new(105.0, 35.0, 125.0, 65.0),
        Rect::new(95.0, 25.0, 125.0, 65.0),
    ] {
        assert!(!redacted.is_open(&hidden), "{hidden:?}");
    }
    // Cut by the picture's edge: what can be seen of it counts.
    assert!(redacted.is_open(&Rect::new(-20.0, 30.0, 20.0, 70.0)));
    assert!(redacted.is_open(&Rect::new(180.0, -20.0, 220.0, 20.0)));
    let edge = covered(
        picture(200, 100, 0),
        &[Rect::new(-20.0, 30.0, 14.0, 70.0)],
        Effect::Fill { color: [0; 3] },
    );
    assert!(!edge.is_open(&Rect::new(-20.0, 30.0, 20.0, 70.0)));
    assert!(edge.is_open(&Rect::new(150.0, 30.0, 190.0, 70.0)));
}
