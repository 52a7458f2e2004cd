//! What stands between a covered picture and somebody who wants to undo it: looks that are too light, faces
//! that a first search missed, the pattern of a sensor.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs, io,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Mutex,
};

use image::{DynamicImage, GenericImageView, Rgb, RgbImage, Rgba, RgbaImage};
use ndarray::{ArrayD, IxDyn};
use unface::{
    Format, Rect, Settings,
    decode::{self, from_upright_pixels},
    detect::{
        self, DetectError, Detector,
        model::{Arrangement, Model, Spec, Tensor},
        rule::Rule,
    },
    discover::Request,
    encode,
    pipeline::{Doubt, Faces, Outcome, Recheck, Task, VideoOptions},
    redact::{Effect, Noise, Options, Redacted, cover},
    report::Record,
};

mod network;
use network::spec;

const BOX: &str = r#"{"path":"in.png","faces":[{"x1":40,"y1":40,"x2":90,"y2":90}]}"#;

/// A picture, and its box.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(128, 128, |x, y| {
        Rgb([x as u8 * 2, y as u8 * 2, (x * y) as u8])
    });
    fs::write(dir.path().join("in.png"), png(picture.into())).unwrap();
    fs::write(dir.path().join("boxes.jsonl"), BOX).unwrap();
    dir
}

fn png(pixels: DynamicImage) -> Vec<u8> {
    let options = Options {
        effect: Effect::Erase,
        region: 1.3,
    };
    let frame = from_upright_pixels(pixels);
    let redacted = cover(frame, &[], &[], &options, &mut Noise::from_seed(0)).unwrap();
    let how = encode::Options {
        quality: 90,
        lossless: true,
    };
    encode::encode(&redacted, Format::Png, &how).unwrap()
}

fn unface(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .args(["in.png", "-q", "--boxes", "boxes.jsonl", "--overwrite"])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn lighter_looks_than_can_be_shown_to_be_safe_need_a_word() {
    let dir = folder();
    let weak = [
        &["--effect", "blur", "--cells", "3"][..],
        &["--effect", "pixelate", "--cells", "6"],
        &["--effect", "blur", "--noise", "0.9"],
    ];
    for arguments in weak {
        let refused = unface(dir.path(), arguments);
        assert_eq!(refused.status.code(), Some(2));
        let says = String::from_utf8_lossy(&refused.stderr);
        assert!(says.contains("--weak-effect-i-accept-the-risk"), "{says}");
        assert!(!dir.path().join("in.unface.png").exists());
    }
    let mut accepted = weak[0].to_vec();
    accepted.push("--weak-effect-i-accept-the-risk");
    assert!(unface(dir.path(), &accepted).status.success());
    for fine in [
        &["--effect", "blur"][..],
        &["--effect", "pixelate", "--cells", "1"],
        &["--effect", "erase", "--cells", "6"],
    ] {
        assert!(unface(dir.path(), fine).status.success(), "{fine:?}");
    }
}

#[test]
fn what_is_said_nothing_about_is_blurred() {
    let dir = folder();
    let written = |arguments: &[&str]| {
        assert!(unface(dir.path(), arguments).status.success());
        fs::read(dir.path().join("in.unface.png")).unwrap()
    };
    let unsaid = written(&["--seed", "5"]);
    assert!(unsaid == written(&["--seed", "5", "--effect", "blur"]));
    assert!(unsaid != written(&["--seed", "6", "--effect", "blur"]));
}

#[test]
fn an_erased_region_continues_what_lies_around_it() {
    let slope = RgbImage::from_fn(200, 160, |x, y| Rgb([x as u8, y as u8, 100]));
    let mut face = slope.clone();
    for (x, y) in (60..110).flat_map(|x| (50..100).map(move |y| (x, y))) {
        face.put_pixel(x, y, Rgb([255, 0, 0]));
    }
    let options = Options {
        effect: Effect::Erase,
        region: 1.3,
    };
    let frame = from_upright_pixels(face.into());
    let redacted = cover(
        frame,
        &[Rect::new(60.0, 50.0, 110.0, 100.0)],
        &[],
        &options,
        &mut Noise::from_seed(1),
    )
    .unwrap();
    for (x, y, pixel) in redacted.pixels().pixels() {
        let should = slope.get_pixel(x, y);
        let near = (0..3).all(|c| pixel.0[c].abs_diff(should.0[c]) <= 6);
        assert!(near, "{pixel:?} instead of {should:?} at {x}, {y}");
    }
}

/// Sees a face of 44 pixels round each white place, but in pictures of some widths only.
struct Sighted {
    spec: Spec,
    sees: fn(usize) -> bool,
}

impl Model for Sighted {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let Tensor::Planes(input) = input else {
            unreachable!()
        };
        let (h, w) = (input.shape()[2], input.shape()[3]);
        let mut heat = ArrayD::zeros(IxDyn(&[1, 1, h / 4, w / 4]));
        let size = ArrayD::from_elem(IxDyn(&[1, 2, h / 4, w / 4]), (44f32 / 4.0).ln());
        let offset = ArrayD::zeros(IxDyn(&[1, 2, h / 4, w / 4]));
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let [red, green] = [input[[0, 0, y, x]], input[[0, 1, y, x]]];
            if (self.sees)(w) && red == 255.0 {
                heat[[0, 0, y / 4, x / 4]] = if green == 255.0 { 0.9 } else { 0.3 };
            }
        }
        Ok(vec![heat, size, offset])
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<Record>>);

impl unface::Progress for Told {
    fn finished(&self, outcome: &Outcome) -> io::Result<()> {
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        self.0.lock().unwrap().push(outcome.record.clone());
        Ok(())
    }
}

/// A detector that sees in small pictures only.
fn farsighted() -> Detector {
    sighted(|width| width < 200)
}

fn sighted(sees: fn(usize) -> bool) -> Detector {
    let spec = spec(Arrangement::Planes);
    let open = move || {
        let spec = spec.clone();
        Ok(Box::new(Sighted { spec, sees }) as Box<dyn Model>)
    };
    Detector::new(open).unwrap()
}

/// Draws a place that is seen in a copy of a quarter of the size.
fn place(picture: &mut RgbImage, (x, y): (u32, u32), colour: [u8; 3]) {
    for (dx, dy) in (0..4).flat_map(|dx| (0..4).map(move |dy| (dx, dy))) {
        picture.put_pixel(x + dx, y + dy, Rgb(colour));
    }
}

/// A run over a picture with one sure face at (200, 200), and one that may be one at (440, 60).
fn run(recheck: Option<Recheck>, effect: Effect) -> (Record, DynamicImage, unface::Summary) {
    run_with(&farsighted(), recheck, effect)
}

fn run_with(
    detector: &Detector,
    recheck: Option<Recheck>,
    effect: Effect,
) -> (Record, DynamicImage, unface::Summary) {
    let dir = tempfile::tempdir().unwrap();
    let mut picture = RgbImage::from_pixel(512, 512, Rgb([90, 100, 110]));
    place(&mut picture, (200, 200), [255; 3]);
    place(&mut picture, (440, 60), [255, 0, 0]);
    fs::write(dir.path().join("in.png"), png(picture.into())).unwrap();
    let mut search = detect::Options::new(Rule::flat(0.5));
    search.layout.again_from = u32::MAX;
    let output = dir.path().join("out.png");
    let settings = Settings {
        cage: None,
        request: Request {
            inputs: vec![dir.path().join("in.png")],
            output: Some(output.clone().into()),
            ..Request::default()
        },
        list: None,
        decode: decode::Options::default(),
        faces: Faces::Search(detector, search),
        task: Task::Cover {
            redact: Options {
                effect,
                region: 1.3,
            },
            quality: 90,
            places: Vec::new(),
            preview: false,
            seed: Some(1),
            noise: 1.0,
            recheck,
            scramble: false,
            video: VideoOptions::default(),
        },
        workers: 1,
        memory: 1 << 30,
    };
    let told = Told::default();
    let summary = unface::run(&settings, &told).unwrap();
    let record = told.0.into_inner().unwrap().remove(0);
    let bytes = fs::read(output).unwrap();
    let photo = decode::photo(&bytes, &decode::Options::default()).unwrap();
    (record, photo.frame.into_pixels(), summary)
}

#[test]
fn frames_that_are_photos_were_searched_at_a_quarter_of_their_size_by_detect_only() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["1.png", "2.png"] {
        let mut picture = RgbImage::from_pixel(512, 512, Rgb([90, 100, 110]));
        place(&mut picture, (200, 200), [255; 3]);
        fs::write(dir.path().join(name), png(picture.into())).unwrap();
    }
    let detector = farsighted();
    let options = detect::Options::new(Rule::flat(0.4));
    let faces = |sequence: bool| {
        let settings = Settings {
            cage: None,
            request: Request {
                inputs: vec![dir.path().to_path_buf()],
                look_only: true,
                sequence,
                ..Request::default()
            },
            list: None,
            decode: decode::Options::default(),
            faces: Faces::Search(&detector, options),
            task: Task::Detect,
            workers: 1,
            memory: 1 << 30,
        };
        unface::run(&settings, &Told::default()).unwrap().faces
    };
    // One face over both frames.
    assert_eq!((faces(false), faces(true)), (2, 1));
}

#[test]
fn a_face_that_only_the_second_look_sees_is_covered_and_a_doubtful_one_is_named() {
    let recheck = Recheck {
        covered: Doubt {
            rule: Rule::flat(0.5),
            uncertain: Rule::flat(0.2),
        },
        before: None,
    };
    let (record, pixels, _) = run(None, Effect::Erase);
    assert!(record.faces.is_empty() && record.again == 0);
    assert_eq!(pixels.get_pixel(200, 200).0, [255; 4], "missed without it");
    for effect in [
        Effect::Erase,
        Effect::Blur { cells: 2 },
        Effect::Fill { color: [0; 3] },
    ] {
        let (record, pixels, summary) = run(Some(recheck), effect);
        assert_eq!((record.again, record.faces.len()), (1, 1));
        for (x, y) in (125..279).flat_map(|x| (125..279).map(move |y| (x, y))) {
            assert!(pixels.get_pixel(x, y).0[0] < 200, "seen at {x}, {y}");
        }
        assert_eq!(record.uncertain.len(), 1);
        let doubtful = record.uncertain[0].rect;
        assert!(doubtful.x1 < 440.0 && 440.0 < doubtful.x2, "{doubtful:?}");
        assert_eq!(pixels.get_pixel(440, 60).0, [255, 0, 0, 255]);
        assert_eq!(summary.uncertain.len(), 1);
    }
}

#[test]
fn a_small_face_that_only_an_enlarged_look_sees_is_covered_and_a_doubtful_one_is_named() {
    let doubt = Doubt {
        rule: Rule::flat(0.5),
        uncertain: Rule::flat(0.2),
    };
    let nearsighted = sighted(|width| width > 600);
    for (before, seen) in [(None, 0), (Some(doubt), 1)] {
        let recheck = Recheck {
            covered: doubt,
            before,
        };
        let (record, pixels, summary) = run_with(&nearsighted, Some(recheck), Effect::Erase);
        assert_eq!((record.again, record.faces.len()), (seen, seen));
        assert_eq!(summary.uncertain.len(), seen);
        let white = pixels.get_pixel(201, 201).0 == [255; 4];
        assert_eq!(white, seen == 0);
        // 44 pixels of a copy twice as large, from a few neighbouring cells.
        for face in &record.faces {
            assert!((21.0..27.0).contains(&face.rect.height()), "{face:?}");
            assert!(face.rect.x1 < 200.0 && 204.0 < face.rect.x2, "{face:?}");
        }
    }
}

fn plain(pixels: DynamicImage, faces: &[Rect]) -> Redacted {
    let options = Options {
        effect: Effect::Fill { color: [9, 8, 7] },
        region: 1.3,
    };
    let frame = from_upright_pixels(pixels);
    cover(frame, faces, &[], &options, &mut Noise::from_seed(0)).unwrap()
}

#[test]
fn scrambling_keeps_the_picture_and_not_its_pixels() {
    let base = RgbaImage::from_fn(120, 90, |x, y| {
        let fine = (x.wrapping_mul(7) ^ y.wrapping_mul(13)) as u8 % 8;
        Rgba([
            x as u8 + fine,
            y as u8 + 40 + fine,
            120 + fine,
            if x < 8 { 0 } else { 255 },
        ])
    });
    let base = DynamicImage::ImageRgba8(base);
    let kinds = [
        DynamicImage::ImageLuma8(base.to_luma8()),
        DynamicImage::ImageLumaA8(base.to_luma_alpha8()),
        DynamicImage::ImageRgb8(base.to_rgb8()),
        base.clone(),
        DynamicImage::ImageLuma16(base.to_luma16()),
        DynamicImage::ImageLumaA16(base.to_luma_alpha16()),
        DynamicImage::ImageRgb16(base.to_rgb16()),
        DynamicImage::ImageRgba16(base.to_rgba16()),
    ];
    for kind in kinds {
        let before = plain(kind.clone(), &[]);
        let mut after = before.clone();
        after.scramble(&mut Noise::from_seed(3));
        assert_eq!(after.pixels().color(), kind.color());
        let (a, b) = (before.pixels().to_rgba8(), after.pixels().to_rgba8());
        let apart = |p: &Rgba<u8>, q: &Rgba<u8>| p.0[1].abs_diff(q.0[1]);
        let far = a
            .pixels()
            .zip(b.pixels())
            .skip(120 * 9)
            .filter(|(p, q)| p.0[3] == 255 && q.0[3] == 255);
        let (mut same, mut all) = (0, 0);
        for (p, q) in far {
            assert!(apart(p, q) < 24, "{p:?} {q:?}");
            all += 1;
            same += u32::from(p == q);
        }
        assert!(same * 3 < all, "{same} of {all} stayed");
        assert!(
            b.pixels().all(|p| p.0[3] > 0 || p.0 == [0; 4]),
            "hidden colours"
        );
    }
}

#[test]
fn scrambling_uncovers_nothing_and_takes_a_picture_of_one_pixel() {
    let noisy = RgbImage::from_fn(80, 80, |x, y| Rgb([(x * 31 + y * 17) as u8, 200, 255]));
    let mut covered = plain(noisy.into(), &[Rect::new(30.0, 30.0, 60.0, 60.0)]);
    covered.scramble(&mut Noise::from_seed(4));
    for (x, y) in (32..58).flat_map(|x| (32..58).map(move |y| (x, y))) {
        let pixel = covered.pixels().get_pixel(x, y).0;
        assert!(pixel[1] < 20, "{pixel:?} at {x}, {y}");
    }
    let mut one = plain(RgbImage::new(1, 1).into(), &[]);
    one.scramble(&mut Noise::from_seed(5));
    assert_eq!(one.pixels().dimensions(), (1, 1));
}
