//! The search for faces with a network that tests bring along, and the mending of model files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::{Arc, Mutex};

use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use unface::{
    Face, Rect,
    decode::from_upright_pixels,
    detect::{
        DetectError, Detector, Options,
        family::Family,
        merge::{merge, suppress},
        model::{Arrangement, Model, PATCH, Spec, Tensor},
        onnx,
        prepare::{Samples, window},
        rule::Rule,
        tiling::{Layout, Tile},
    },
};

mod network;
use network::spec;

/// Reports one face of `side` pixels round each pure white pixel of the red plane.
struct White {
    spec: Spec,
    side: f32,
    windows: Arc<Mutex<Vec<(usize, usize)>>>,
}

impl Model for White {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let Tensor::Planes(input) = input else {
            unreachable!()
        };
        let (h, w) = (input.shape()[2], input.shape()[3]);
        self.windows.lock().unwrap().push((w, h));
        let (rows, columns) = (h / 4, w / 4);
        let mut heat = ArrayD::zeros(IxDyn(&[1, 1, rows, columns]));
        let size = ArrayD::from_elem(IxDyn(&[1, 2, rows, columns]), (self.side / 4.0).ln());
        let offset = ArrayD::zeros(IxDyn(&[1, 2, rows, columns]));
        for y in 0..h {
            for x in 0..w {
                if input[[0, 0, y, x]] == 255.0 {
                    heat[[0, 0, y / 4, x / 4]] = 0.9;
                }
            }
        }
        Ok(vec![heat, size, offset])
    }
}

type Windows = Arc<Mutex<Vec<(usize, usize)>>>;

fn detector(side: f32) -> (Detector, Windows) {
    let windows = Windows::default();
    let shared = Arc::clone(&windows);
    let open = move || {
        Ok(Box::new(White {
            spec: spec(Arrangement::Planes),
            side,
            windows: Arc::clone(&shared),
        }) as Box<dyn Model>)
    };
    (Detector::new(open).unwrap(), windows)
}

fn dots(width: u32, height: u32, at: &[(u32, u32)]) -> DynamicImage {
    let mut picture = RgbImage::from_pixel(width, height, Rgb([10, 10, 10]));
    at.iter()
        .for_each(|&(x, y)| picture.put_pixel(x, y, Rgb([255, 0, 0])));
    picture.into()
}

#[test]
fn a_face_anywhere_in_a_large_picture_is_found_once_and_in_its_place() {
    let places: Vec<(u32, u32)> = (0..30)
        .map(|i| ((i * 797 + 3) % 4000, (i * 509 + 5) % 2820))
        .collect();
    let (detector, windows) = detector(20.0);
    let frame = from_upright_pixels(dots(4000, 2820, &places));
    let faces = detector
        .faces(&frame, &Options::new(Rule::flat(0.5)))
        .unwrap();
    assert_eq!(faces.len(), places.len(), "{faces:?}");
    for (x, y) in places {
        let (x, y) = (x as f32, y as f32);
        let hit = faces.iter().any(|f| {
            ((f.rect.x1 + f.rect.x2) / 2.0 - x).abs() < 4.5
                && ((f.rect.y1 + f.rect.y2) / 2.0 - y).abs() < 4.5
        });
        assert!(hit, "no face at {x}, {y}");
    }
    let searched: usize = windows.lock().unwrap().iter().map(|(w, h)| w * h).sum();
    assert!(searched < 4000 * 2820 * 3 / 2, "{searched} pixels searched");
    assert!(
        windows
            .lock()
            .unwrap()
            .iter()
            .all(|(w, h)| w * h <= 1_600_000)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn patches_hold_what_the_planes_do(
        (width, height) in (1u32..70, 1u32..70), (x, y) in (-40i32..70, -40i32..70), (across, down) in (1u32..4, 1u32..4), kind in 0u8..3,
    ) {
        let shown = RgbaImage::from_fn(width, height, |x, y| Rgba([x as u8 + 1, y as u8 + 90, (x * y) as u8 | 1, 200]));
        let picture = match kind {
            0 => DynamicImage::ImageRgba8(shown),
            1 => DynamicImage::ImageRgb8(DynamicImage::from(shown).to_rgb8()),
            _ => DynamicImage::ImageLuma8(DynamicImage::from(shown).to_luma8()),
        };
        let samples = Samples::of(&picture).unwrap();
        let tile = Tile { x, y, width: across * 32, height: down * 32 };
        let cut = |arrangement| window(samples, tile, &Spec { arrangement, ..spec(Arrangement::Planes) });
        let (Tensor::Planes(planes), Tensor::Patches(patches)) = (cut(Arrangement::Planes), cut(Arrangement::Patches)) else { unreachable!() };
        prop_assert_eq!(patches.shape(), [1, down as usize * 16, across as usize * 16, PATCH]);
        for ((_, y, x, n), &value) in patches.indexed_iter() {
            let (row, column, colour) = (2 * y + n / 9, 2 * x + n / 3 % 3, n % 3);
            let there = n < 27 && row > 0 && column > 0;
            let wanted = if there { planes[[0, colour, row - 1, column - 1]] } else { 0.0 };
            prop_assert_eq!(f32::from(value), wanted, "place {}, {}, number {}", x, y, n);
        }
    }
}

#[test]
fn a_face_in_the_corner_is_found() {
    let (detector, _) = detector(40.0);
    for (w, h) in [(33, 47), (640, 480), (1500, 1400)] {
        let frame = from_upright_pixels(dots(w, h, &[(0, 0), (w - 1, h - 1)]));
        assert_eq!(
            detector
                .faces(&frame, &Options::new(Rule::flat(0.5)))
                .unwrap()
                .len(),
            2,
            "{w}×{h}"
        );
    }
}

#[test]
fn a_picture_of_one_window_is_searched_once_more_at_a_quarter_of_its_size() {
    let (detector, windows) = detector(40.0);
    let frame = from_upright_pixels(dots(640, 480, &[(300, 200)]));
    detector
        .faces(&frame, &Options::new(Rule::flat(0.5)))
        .unwrap();
    assert_eq!(*windows.lock().unwrap(), [(640, 480), (160, 128)]);
}

#[test]
fn a_picture_that_shows_nobody_clearly_is_looked_at_turned_at_half_its_size() {
    let (detector, windows) = detector(40.0);
    let frame = from_upright_pixels(dots(640, 480, &[]));
    let options = Options::new(Rule::flat(0.5));
    detector.faces(&frame, &options).unwrap();
    let mut looks = windows.lock().unwrap().split_off(2);
    looks.sort_unstable();
    // Each once more in a quarter of that, for a face that fills the picture.
    let small = [(64, 96), (64, 96), (96, 64)];
    assert_eq!(looks[..3], small);
    assert_eq!(looks[3..], [(256, 320), (256, 320), (320, 256)]);
    windows.lock().unwrap().clear();
    let upright = Options {
        upright: 0.0,
        ..options
    };
    detector.faces(&frame, &upright).unwrap();
    assert_eq!(*windows.lock().unwrap(), [(640, 480), (160, 128)]);
}

#[test]
fn a_window_that_fails_fails_the_picture() {
    struct Broken(Spec);
    impl Model for Broken {
        fn spec(&self) -> &Spec {
            &self.0
        }
        fn run(&mut self, _: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
            Err(DetectError::Run("failed".into()))
        }
    }
    let detector =
        Detector::new(|| Ok(Box::new(Broken(spec(Arrangement::Planes))) as Box<dyn Model>))
            .unwrap();
    let frame = from_upright_pixels(dots(64, 64, &[]));
    assert!(
        detector
            .faces(&frame, &Options::new(Rule::flat(0.5)))
            .is_err()
    );
}

#[test]
fn a_picture_seen_through_its_alpha_is_searched_on_white_and_black_too() {
    let (detector, windows) = detector(20.0);
    let mut picture = dots(64, 64, &[(30, 30)]).into_rgba8();
    picture.pixels_mut().for_each(|p| p.0[3] = 1);
    let frame = from_upright_pixels(picture.into());
    assert_eq!(
        detector
            .faces(&frame, &Options::new(Rule::flat(0.5)))
            .unwrap()
            .len(),
        1
    );
    assert_eq!(*windows.lock().unwrap(), [(64, 64); 3]);
}

#[test]
fn the_rule_asks_more_of_large_boxes_up_to_the_cap() {
    let rule = Rule {
        base: 0.05,
        slope: 0.6,
        cap: 0.25,
    };
    assert_eq!(rule.threshold(10.0), 0.05);
    assert_eq!(rule.threshold(32.0), 0.05);
    assert!((rule.threshold(64.0) - 0.05 * 2f32.powf(0.6)).abs() < 1e-6);
    assert_eq!(rule.threshold(5000.0), 0.25);
}

fn face(x: f32, y: f32, w: f32, h: f32, score: f32) -> Face {
    Face {
        rect: Rect::new(x, y, x + w, y + h),
        score,
    }
}

/// The same as `merge`, each box against each.
fn plain_merge(mut faces: Vec<Face>, iou: f32, weak: f32) -> Vec<Face> {
    faces.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.rect.y1.total_cmp(&b.rect.y1))
            .then(a.rect.x1.total_cmp(&b.rect.x1))
    });
    let (mut seeds, mut hulls): (Vec<Face>, Vec<Face>) = (Vec::new(), Vec::new());
    for f in faces {
        let mut best: Option<(f32, usize)> = None;
        for (i, s) in seeds.iter().enumerate() {
            let o = s.rect.iou(&f.rect);
            if o > iou && best.is_none_or(|(b, _)| o > b) {
                best = Some((o, i));
            }
        }
        match best {
            Some((_, i)) if f.score >= weak * seeds[i].score => {
                hulls[i].rect = hulls[i].rect.hull(&f.rect)
            }
            Some(_) => {}
            None => {
                seeds.push(f);
                hulls.push(f);
            }
        }
    }
    hulls
}

fn boxes() -> impl Strategy<Value = Vec<Face>> {
    let one = (0f32..200.0, 0f32..200.0, 2f32..90.0, 2f32..90.0, 1u32..1000);
    proptest::collection::vec(
        one.prop_map(|(x, y, w, h, s)| face(x, y, w, h, s as f32 / 1000.0)),
        0..60,
    )
}

proptest! {
    #[test]
    fn merging_by_squares_equals_merging_each_with_each(faces in boxes(), weak in 0f32..1.0) {
        prop_assert_eq!(merge(faces.clone(), 0.3, weak), plain_merge(faces, 0.3, weak));
    }

    #[test]
    fn suppression_keeps_the_best_and_nothing_that_overlaps_it(faces in boxes()) {
        let kept = suppress(faces.clone(), 0.4);
        for (i, a) in kept.iter().enumerate() {
            prop_assert!(kept[i + 1..].iter().all(|b| a.rect.iou(&b.rect) <= 0.4 && a.score >= b.score));
        }
        prop_assert!(faces.iter().all(|f| kept.iter().any(|k| k.rect == f.rect || k.rect.iou(&f.rect) > 0.4)));
    }

    #[test]
    fn windows_cover_every_pixel_and_each_place_belongs_to_one(
        width in 1u32..6000, height in 1u32..6000, x in 0f32..1.0, y in 0f32..1.0,
    ) {
        let layout = Layout { whole: 1_600_000, tile: 640_000, overlap: 96, pad: 0, multiple: 32, again_from: 320 };
        for level in layout.levels(width, height) {
            let (px, py) = (x * level.width as f32, y * level.height as f32);
            prop_assert!(level.tiles.iter().any(|t| level.owns(t, px, py)));
            prop_assert!(level.tiles.iter().all(|t| t.width % 32 == 0 && t.height % 32 == 0));
            let (w, h) = (level.width as i32, level.height as i32);
            prop_assert!(level.tiles.iter().any(|t| t.x + t.width as i32 >= w && t.y + t.height as i32 >= h));
            prop_assert!(level.tiles.iter().all(|t| u64::from(t.width) * u64::from(t.height) <= u64::from(layout.whole)));
            // Who owns a place sees at least half the overlap around it, or the picture's edge.
            for t in level.tiles.iter().filter(|t| level.owns(t, px, py)) {
                let near = |start: i32, side: u32, at: f32, full: u32| {
                    (start <= 0 || at - start as f32 >= 39.0) && (start + side as i32 >= full as i32 || (start + side as i32) as f32 - at >= 39.0)
                };
                prop_assert!(near(t.x, t.width, px, level.width) && near(t.y, t.height, py, level.height));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_model_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = onnx::signature(&bytes);
        let _ = onnx::mend(&bytes, true);
    }
}

#[test]
fn the_last_copy_of_a_picture_in_windows_was_not_searched_where_small_ones_need_no_second_look() {
    let layout = Layout {
        whole: 1_600_000,
        tile: 640_000,
        overlap: 96,
        pad: 0,
        multiple: 32,
        again_from: u32::MAX,
    };
    let reductions = |w, h| {
        layout
            .levels(w, h)
            .iter()
            .map(|l| l.reduction)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        reductions(1200, 900),
        [1],
        "one window, at its own size only"
    );
    for (width, height) in [(1300, 1300), (4000, 3000), (9000, 6000), (20_000, 200)] {
        let levels = layout.levels(width, height);
        let [.., whole, small] = &levels[..] else {
            panic!("{width}×{height}: {levels:?}");
        };
        assert!(levels[0].tiles.len() > 1 && whole.tiles.len() == 1 && small.tiles.len() == 1);
        assert_eq!(small.reduction, 4 * whole.reduction);
    }
}

fn field(number: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[number << 3 | 2, body.len() as u8][..], body].concat()
}

fn value(name: &str, dims: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&d| field(1, &[8, d])).collect();
    let tensor = [vec![8, 1], field(2, &dims)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

fn model(weight: &[u8]) -> Vec<u8> {
    let graph = [
        field(5, weight),
        field(11, &value("in", &[10, 3, 32, 32])),
        field(11, &value("w", &[1, 1])),
        field(12, &value("out", &[10, 1, 8, 8])),
        field(13, &value("inner", &[1, 9, 8, 8])),
    ]
    .concat();
    // A length of two bytes, whatever it is.
    assert!(graph.len() < 16384);
    [
        &[
            8,
            7,
            7 << 3 | 2,
            graph.len() as u8 | 0x80,
            (graph.len() >> 7) as u8,
        ][..],
        &graph,
    ]
    .concat()
}

#[test]
fn mending_takes_weights_out_of_the_inputs_and_frees_the_size() {
    let old = model(&field(8, b"w"));
    let before = onnx::signature(&old).unwrap();
    assert_eq!(before.inputs.len(), 1);
    assert_eq!(
        before.inputs[0].dims,
        [Some(10), Some(3), Some(32), Some(32)]
    );
    let new = onnx::mend(&old, true).unwrap();
    let after = onnx::signature(&new).unwrap();
    assert_eq!(after.inputs[0].dims, [None, Some(3), None, None]);
    assert_eq!(after.outputs[0].dims, [None, Some(1), None, None]);
    let contains = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|w| w == word);
    assert!(contains(&old, b"inner") && !contains(&new, b"inner"));
    assert_eq!(
        onnx::signature(&onnx::mend(&old, false).unwrap()).unwrap(),
        before
    );
}

#[test]
fn weights_in_another_file_are_refused() {
    let weight = [field(8, b"w"), field(13, &field(1, b"location"))].concat();
    assert!(
        onnx::signature(&model(&weight))
            .unwrap_err()
            .to_string()
            .contains("another file")
    );
}

#[test]
fn a_model_of_no_known_family_is_told_with_its_outputs() {
    let signature = onnx::signature(&model(&field(8, b"w"))).unwrap();
    let error = Family::recognise(&signature).unwrap_err().to_string();
    assert!(
        error.contains("[10, 1, 8, 8]") && error.contains("CenterFace"),
        "{error}"
    );
}

#[test]
fn a_network_that_takes_patches_and_is_no_centerface_is_refused() {
    let port = |name: &str, dims: &[Option<i64>]| onnx::Port {
        name: name.into(),
        dims: dims.to_vec(),
    };
    let outputs = [8, 16, 32].iter().flat_map(|stride| {
        let of = |kind: &str| port(&format!("{kind}_{stride}"), &[Some(1), None, None]);
        ["cls", "obj", "bbox"].map(of)
    });
    let mut signature = onnx::Signature {
        inputs: vec![port("input", &[Some(1), Some(3), None, None])],
        outputs: outputs.collect(),
    };
    assert_eq!(Family::recognise(&signature).unwrap(), Family::Yunet);
    signature.inputs = vec![port(
        "patches",
        &[Some(1), None, None, Some(PATCH.try_into().unwrap())],
    )];
    let error = Family::recognise(&signature).unwrap_err().to_string();
    assert!(error.contains("is of no family"), "{error}");
}
