//! Images in which people see faces and the networks do not as they stand: made of dots, or of a narrow range of values. Needs
//! what `tests/cli.rs` needs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs::File,
    sync::{Arc, Mutex},
};

use image::{DynamicImage, GrayImage, Luma, RgbImage};
use ndarray::ArrayD;
use unface::{
    decode::from_upright_pixels,
    detect::{
        DetectError, Detector, Options,
        model::{Arrangement, Model, Spec, Tensor},
        rule::Rule,
    },
};

mod network;
mod program;
use network::spec;
use program::{detected, sample, truth};

/// That every face of a sample is found in an image made of it, moved by (`dx`, `dy`) pixels.
#[track_caller]
fn all_found(dir: &std::path::Path, file: &str, name: &str, (dx, dy): (f32, f32)) {
    let found = &detected(dir, file)[0];
    for [x1, y1, x2, y2] in truth(name) {
        let (x, y) = ((x1 + x2) / 2.0 + dx, (y1 + y2) / 2.0 + dy);
        let covers = |r: &unface::Rect| (r.x1..r.x2).contains(&x) && (r.y1..r.y2).contains(&y);
        assert!(
            found.iter().any(|f| covers(&f.0)),
            "{name}, {file}: no face at {x}, {y}"
        );
    }
}

fn grey(name: &str) -> GrayImage {
    sample(name).to_luma8()
}

/// Black and white by error diffusion (Floyd and Steinberg).
fn diffused(source: &GrayImage) -> GrayImage {
    let (width, height) = source.dimensions();
    let mut values: Vec<f32> = source.as_raw().iter().map(|&v| f32::from(v)).collect();
    let mut bits = GrayImage::new(width, height);
    for y in 0..height {
        for x in 0..width {
            let at = (y * width + x) as usize;
            let bit = if values[at] < 128.0 { 0 } else { 255 };
            bits.put_pixel(x, y, Luma([bit]));
            let error = values[at] - f32::from(bit);
            for (dx, dy, share) in [(1, 0, 7.0), (-1, 1, 3.0), (0, 1, 5.0), (1, 1, 1.0)] {
                let (x, y) = (x as i32 + dx, y as i32 + dy);
                if (0..width as i32).contains(&x) && y < height as i32 {
                    values[y as usize * width as usize + x as usize] += error * share / 16.0;
                }
            }
        }
    }
    bits
}

/// Black and white by a screen of round dots, `period` pixels apart at 45 degrees.
fn screened(source: &GrayImage, period: f32) -> GrayImage {
    let turns = |v: f32| (v * std::f32::consts::TAU / period / 2f32.sqrt()).cos();
    GrayImage::from_fn(source.width(), source.height(), |x, y| {
        let (u, v) = ((x + y) as f32, x as f32 - y as f32);
        let threshold = 128.0 + 60.0 * (turns(u) + turns(v));
        Luma([if f32::from(source.get_pixel(x, y).0[0]) < threshold {
            0
        } else {
            255
        }])
    })
}

#[test]
fn faces_in_dithered_images_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["crowd.jpg", "group.jpg"] {
        diffused(&grey(name))
            .save(dir.path().join("dots.bmp"))
            .unwrap();
        all_found(dir.path(), "dots.bmp", name, (0.0, 0.0));
    }
}

#[test]
fn faces_in_halftone_prints_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for period in [4.0, 5.0, 6.0, 8.0] {
        let print = screened(&grey("group.jpg"), period);
        print.save(dir.path().join("print.bmp")).unwrap();
        all_found(dir.path(), "print.bmp", "group.jpg", (0.0, 0.0));
        let scanned = DynamicImage::from(print).blur(period / 5.0);
        scanned.save(dir.path().join("scan.bmp")).unwrap();
        all_found(dir.path(), "scan.bmp", "group.jpg", (0.0, 0.0));
    }
}

#[test]
fn faces_in_the_low_bits_of_16_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for (file, offset) in [("low.png", 0), ("middle.png", 0x8000u16)] {
        let source = sample("crowd.jpg").to_rgb8();
        let words = source.as_raw().iter();
        let bytes: Vec<u8> = words
            .flat_map(|&v| (offset + u16::from(v)).to_be_bytes())
            .collect();
        let file_out = File::create(dir.path().join(file)).unwrap();
        let mut encoder = png::Encoder::new(file_out, source.width(), source.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Sixteen);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&bytes).unwrap();
        writer.finish().unwrap();
        all_found(dir.path(), file, "crowd.jpg", (0.0, 0.0));
    }
}

/// A sample in eight levels next to white.
fn faint(name: &str) -> RgbImage {
    let mut faint = sample(name).to_rgb8();
    faint.iter_mut().for_each(|v| *v = 248 + *v / 32);
    faint
}

#[test]
fn faces_of_eight_levels_next_to_white_are_found() {
    let dir = tempfile::tempdir().unwrap();
    faint("crowd.jpg")
        .save(dir.path().join("faint.bmp"))
        .unwrap();
    all_found(dir.path(), "faint.bmp", "crowd.jpg", (0.0, 0.0));
}

#[test]
fn faces_of_eight_levels_in_a_black_frame_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let inner = faint("group.jpg");
    let (width, height) = (inner.width() + 80, inner.height() + 80);
    let mut framed = RgbImage::new(width, height);
    image::imageops::replace(&mut framed, &inner, 40, 40);
    framed.save(dir.path().join("framed.bmp")).unwrap();
    all_found(dir.path(), "framed.bmp", "group.jpg", (40.0, 40.0));
}

/// Sees nobody and counts the windows it is shown.
struct Counting(Spec, Arc<Mutex<usize>>);

impl Model for Counting {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let Tensor::Planes(input) = input else {
            unreachable!()
        };
        *self.1.lock().unwrap() += 1;
        let (h, w) = (input.shape()[2], input.shape()[3]);
        let map = |channels: usize| ArrayD::zeros(vec![1, channels, h / 4, w / 4]);
        Ok(vec![map(1), map(2), map(2)])
    }
}

/// How many windows are searched in an image, turned copies left out.
fn windows(image: impl Into<DynamicImage>) -> usize {
    let count = Arc::new(Mutex::new(0));
    let shared = Arc::clone(&count);
    let open = move || {
        let model = Counting(spec(Arrangement::Planes), Arc::clone(&shared));
        Ok(Box::new(model) as Box<dyn Model>)
    };
    let options = Options {
        upright: 0.0,
        ..Options::new(Rule::flat(0.5))
    };
    let frame = from_upright_pixels(image.into());
    Detector::new(open)
        .unwrap()
        .faces(&frame, &options)
        .unwrap();
    let seen = count.lock().unwrap();
    *seen
}

#[test]
fn ordinary_images_have_one_view_and_odd_ones_two() {
    for name in ["crowd.jpg", "group.jpg", "portrait.jpg", "nobody.jpg"] {
        let photo = sample(name);
        let once = windows(photo.clone());
        assert_eq!(windows(diffused(&photo.to_luma8())), 2 * once, "{name}");
        let dark = photo
            .to_rgb8()
            .pixels()
            .map(|p| p.0.map(|v| v / 16))
            .collect::<Vec<_>>();
        let dark = RgbImage::from_raw(photo.width(), photo.height(), dark.concat()).unwrap();
        assert_eq!(windows(dark), 2 * once, "{name}");
        let plain = RgbImage::new(photo.width(), photo.height());
        assert_eq!(once, windows(plain), "{name}");
    }
}
