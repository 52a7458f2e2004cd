//! How long each room takes. Run: `cargo bench`. Pictures are samples/, so that anybody can.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image::imageops::FilterType;
use unface::{
    Face, Format, Rect, decode,
    detect::{
        family::Family,
        manifest, merge,
        model::{Arrangement, Channels, Model, Spec},
        prepare::{Samples, window},
        session::{Network, Runtime},
        tiling::Tile,
    },
    encode, redact, verify,
};

fn sample(name: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("samples")
            .join(name),
    )
    .unwrap()
}

fn large() -> image::DynamicImage {
    let photo = decode::photo(&sample("crowd.jpg"), &decode::Options::default()).unwrap();
    photo
        .frame
        .into_pixels()
        .resize_exact(4000, 2820, FilterType::Triangle)
}

fn covered(
    pixels: &image::DynamicImage,
    effect: redact::Effect,
    faces: &[Rect],
) -> redact::Redacted {
    let frame = decode::from_upright_pixels(pixels.clone());
    let options = redact::Options {
        effect,
        region: 1.3,
    };
    redact::cover(
        frame,
        faces,
        &[],
        &options,
        &mut redact::Noise::from_seed(1),
    )
    .unwrap()
}

fn faces(n: u32) -> Vec<Rect> {
    (0..n)
        .map(|i| {
            let (x, y, side) = (
                (i * 397 % 3900) as f32,
                (i * 211 % 2700) as f32,
                (20 + i * 13 % 100) as f32,
            );
            Rect::new(x, y, x + side, y + side)
        })
        .collect()
}

fn codecs(c: &mut Criterion) {
    let pixels = large();
    let plain = covered(&pixels, redact::Effect::Fill { color: [0; 3] }, &[]);
    let mut group = c.benchmark_group("11 megapixels");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(4))
        .throughput(Throughput::Elements(4000 * 2820));
    for format in Format::STILLS {
        let bytes = encode::encode(&plain, format, &encode::Options::default()).unwrap();
        group.bench_function(format!("decode {format}"), |b| {
            b.iter(|| decode::photo(black_box(&bytes), &decode::Options::default()).unwrap())
        });
        group.bench_function(format!("encode {format}"), |b| {
            b.iter(|| {
                encode::encode(black_box(&plain), format, &encode::Options::default()).unwrap()
            })
        });
        group.bench_function(format!("verify {format}"), |b| {
            b.iter(|| verify::check(black_box(&bytes), format, 4000, 2820).unwrap())
        });
    }
    group.finish();
}

fn effects(c: &mut Criterion) {
    let pixels = large();
    let faces = faces(300);
    let sticker = std::sync::Arc::new(image::RgbaImage::from_pixel(
        64,
        64,
        image::Rgba([200, 30, 30, 255]),
    ));
    let mut group = c.benchmark_group("300 faces in 11 megapixels");
    group.sample_size(10);
    for (name, effect) in [
        ("copy only", None),
        ("blur", Some(redact::Effect::Blur { cells: 4 })),
        ("pixelate", Some(redact::Effect::Pixelate { cells: 4 })),
        ("fill", Some(redact::Effect::Fill { color: [0; 3] })),
        (
            "image",
            Some(redact::Effect::Image {
                sticker,
                under: [0; 3],
            }),
        ),
    ] {
        group.bench_function(name, |b| match &effect {
            None => b.iter(|| black_box(pixels.clone())),
            Some(effect) => b.iter(|| covered(black_box(&pixels), effect.clone(), &faces)),
        });
    }
    group.finish();
}

fn detection(c: &mut Criterion) {
    let photo = decode::photo(&sample("crowd.jpg"), &decode::Options::default()).unwrap();
    let pixels = photo.frame.into_pixels();
    let samples = Samples::of(&pixels).unwrap();
    let spec = Spec {
        family: Family::Centerface,
        arrangement: Arrangement::Patches,
        channels: Channels::Rgb,
        mean: 0.0,
        scale: 1.0,
        multiple: 32,
        fixed: None,
    };
    let tile = Tile {
        x: 100,
        y: 100,
        width: 768,
        height: 768,
    };
    let mut group = c.benchmark_group("one window, 768 × 768");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(768 * 768));
    group.bench_function("prepare", |b| {
        b.iter(|| window(black_box(samples), tile, &spec))
    });
    let folder = std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/share/unface"));
    let runtime = Runtime::load(None, &folder.into_iter().collect::<Vec<_>>());
    if let (Ok(runtime), Some(bytes)) = (runtime, manifest::embedded("small-int8.onnx")) {
        let network = Network::from_bytes(bytes).unwrap();
        let mut model = network.open(&runtime).unwrap();
        let input = window(samples, tile, model.spec());
        group.bench_function("inference, the small network", |b| {
            b.iter(|| model.run(black_box(&input)).unwrap())
        });
        let outputs = model.run(&input).unwrap();
        group.bench_function("decode outputs", |b| {
            b.iter(|| {
                Family::Centerface
                    .decode(black_box(&outputs), 768, 768, &|_| 0.05)
                    .unwrap()
            })
        });
    }
    group.finish();
    let boxes: Vec<Face> = faces(5000)
        .into_iter()
        .enumerate()
        .map(|(i, rect)| Face {
            rect,
            score: (i % 97) as f32 / 97.0,
        })
        .collect();
    c.bench_function("merge 5000 boxes", |b| {
        b.iter(|| merge::merge(black_box(boxes.clone()), 0.3, 0.5))
    });
    c.bench_function("suppress 5000 boxes", |b| {
        b.iter(|| merge::suppress(black_box(boxes.clone()), 0.4))
    });
}

/// Outputs of a network for 640 × 480 pixels: numbers from 0 to just over the threshold.
fn outputs(lengths: &[usize]) -> Vec<ndarray::ArrayD<f32>> {
    let value = |i: usize| (i.wrapping_mul(2_654_435_761) % 1009) as f32 / 1009.0;
    lengths
        .iter()
        .map(|&n| ndarray::Array1::from_iter((0..n).map(value)).into_dyn())
        .collect()
}

fn families(c: &mut Criterion) {
    let (width, height) = (640, 480);
    let cells = |stride: usize| (640 / stride) * (480 / stride);
    let three = [8, 16, 32].map(cells);
    let ultraface = ndarray::ArrayD::from_shape_fn(vec![1, 17640, 2], |i| {
        (i[1].wrapping_mul(2_654_435_761) % 1009) as f32 / 1009.0
    });
    let boxes = outputs(&[4 * 17640]).remove(0);
    let boxes = boxes.into_shape_with_order(vec![1, 17640, 4]).unwrap();
    let cases = [
        (
            Family::Centerface,
            outputs(&[cells(4), 2 * cells(4), 2 * cells(4)]),
        ),
        (
            Family::Yunet,
            outputs(&three.map(|n| [n, n, 4 * n]).concat()),
        ),
        (
            Family::Scrfd,
            outputs(&[three.map(|n| 2 * n), three.map(|n| 8 * n)].concat()),
        ),
        (Family::Ultraface, vec![ultraface, boxes]),
    ];
    let mut group = c.benchmark_group("outputs of 640 × 480");
    for (family, outputs) in &cases {
        group.bench_function(family.name(), |b| {
            b.iter(|| {
                family
                    .decode(black_box(outputs), width, height, &|_| 0.99)
                    .unwrap()
            })
        });
    }
    group.finish();
}

criterion_group!(benches, codecs, effects, detection, families);
criterion_main!(benches);
