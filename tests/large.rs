//! Faces that fill the picture, which networks miss in the picture itself and see in a smaller copy. Needs what `tests/cli.rs` needs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;

use image::{DynamicImage, RgbImage, imageops::FilterType};
use unface::{
    Face, Rect,
    detect::rule::Rule,
    track::{Motion, Options, Sighting, Tracker},
};

mod program;
use program::{detected, done, ffmpeg, names, render, sample, truth, unface};

/// The least share of a face that must be covered.
const ENOUGH: f32 = 0.9;
const FILL: [&str; 4] = ["--effect", "fill", "--color", "ff00ff"];

/// The faces of `group.jpg`, as drawn, each in a picture of its own of 1400 × 1100 pixels that it fills.
fn filling() -> Vec<(DynamicImage, Rect)> {
    let group = sample("group.jpg");
    let filled = truth("group.jpg").into_iter().map(|[x1, y1, x2, y2]| {
        let scale = 1000.0 / (y2 - y1);
        let (w, h) = (1400.0 / scale, 1100.0 / scale);
        let left = ((x1 + x2 - w) / 2.0).clamp(0.0, group.width() as f32 - w);
        let top = (y1 + y2 - h) / 2.0;
        let part = group.crop_imm(left as u32, top as u32, w as u32, h as u32);
        let (left, top) = (left.floor(), top.floor());
        let face = Rect::new(x1 - left, y1 - top, x2 - left, y2 - top).scaled(scale, scale);
        (
            part.resize_exact(1400, 1100, FilterType::CatmullRom),
            face.clip(1400, 1100),
        )
    });
    filled.collect()
}

fn covered(picture: &RgbImage, face: &Rect) -> f32 {
    let pixels = face.to_pixels(picture.width(), picture.height()).unwrap();
    let inside = (pixels.y1..pixels.y2).flat_map(|y| (pixels.x1..pixels.x2).map(move |x| (x, y)));
    let pink = inside.filter(|&(x, y)| picture.get_pixel(x, y).0 == [255, 0, 255]);
    pink.count() as f32 / (pixels.width() * pixels.height()) as f32
}

fn all_covered(dir: &Path, options: &[&str]) {
    done(&unface(
        dir,
        &[&["-q", "in", "-o", "out"], &FILL[..], options].concat(),
    ));
    for (number, (_, face)) in filling().iter().enumerate() {
        for (way, face) in [
            ("upright", *face),
            (
                "lying",
                Rect::new(1100.0 - face.y2, face.x1, 1100.0 - face.y1, face.x2),
            ),
        ] {
            let name = format!("{number}-{way}.bmp");
            let picture = image::open(dir.join("out").join(&name)).unwrap().to_rgb8();
            let share = covered(&picture, &face);
            assert!(share >= ENOUGH, "{name} with {options:?}: {share}");
        }
    }
}

#[test]
fn faces_that_fill_the_picture_were_left_to_a_recheck_that_passes_over_what_is_covered_in_part() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    for (number, (picture, _)) in filling().into_iter().enumerate() {
        let save = |p: &DynamicImage, way: &str| {
            p.save(dir.path().join(format!("in/{number}-{way}.bmp")))
                .unwrap();
        };
        save(&picture, "upright");
        save(&picture.rotate90(), "lying");
    }
    for recheck in ["off", "quick"] {
        all_covered(dir.path(), &["--recheck", recheck, "--overwrite"]);
    }
    assert_eq!(names(&dir.path().join("out")).len(), 8);
}

#[test]
fn faces_that_fill_the_picture_were_never_looked_for_in_videos() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (number, (picture, face)) in filling().into_iter().enumerate() {
        let still = dir.path().join("still.bmp");
        picture.save(&still).unwrap();
        let args = [
            "-loop",
            "1",
            "-framerate",
            "30",
            "-i",
            still.to_str().unwrap(),
        ];
        let more = [
            "-frames:v",
            "6",
            "-pix_fmt",
            "yuv420p",
            "-preset",
            "ultrafast",
        ];
        render(dir.path(), "in.mp4", &[&args[..], &more].concat());
        for (frame, found) in detected(dir.path(), "in.mp4").iter().enumerate() {
            let share = |f: &Rect| f.inflate(1.3).intersect(&face).area() / face.area();
            assert!(
                found.iter().any(|f| share(&f.0) >= ENOUGH),
                "face {number}, frame {frame}: {found:?}"
            );
        }
    }
}

#[test]
fn a_high_threshold_made_a_copy_ask_for_scores_that_nothing_reaches() {
    for score in [0.1, 0.3, 0.5, 0.6, 0.9] {
        let doubled = Rule::flat(score).times(2.0).threshold(500.0);
        assert!(doubled >= score && doubled < 0.95, "{score}: {doubled}");
    }
    let low = Rule {
        base: 0.03,
        slope: 0.6,
        cap: 0.25,
    };
    assert!((low.times(2.0).threshold(2000.0) - 0.5).abs() < 1e-6);
    assert!((low.times(0.5).threshold(16.0) - 0.015).abs() < 1e-6);
}

/// A face of 100 pixels that is `odd` in the fifth of nine frames.
fn but_once(odd: Rect, options: Options) -> Vec<Rect> {
    let mut tracker = Tracker::new(options, (960, 720));
    for i in 0..9u32 {
        let rect = match i {
            4 => odd,
            _ => Rect::new(400.0, 300.0, 500.0, 400.0),
        };
        let still = (i > 0).then_some(Motion {
            dx: 0.0,
            dy: 0.0,
            cut: false,
        });
        let face = Face { rect, score: 0.9 };
        tracker.push(
            f64::from(i) / 25.0,
            still,
            Some(vec![Sighting::new(&face, 0.05)]),
        );
    }
    let seen = tracker.finish().at(4);
    seen.iter().map(|c| c.rect).collect()
}

#[test]
fn a_face_that_was_near_in_one_frame_got_the_size_that_it_had_in_the_others() {
    let near = Rect::new(340.0, 240.0, 560.0, 460.0);
    let aside = Rect::new(440.0, 300.0, 540.0, 400.0);
    let alone = Options {
        alone: true,
        ..Options::default()
    };
    let holds = |rects: &[Rect], face: &Rect| {
        let whole = |r: &Rect| r.intersect(face).area() > 0.999 * face.area();
        rects.iter().any(whole)
    };
    assert!(holds(&but_once(near, Options::default()), &near));
    for odd in [near, aside] {
        assert!(holds(&but_once(odd, alone), &odd), "{odd:?}");
    }
}
