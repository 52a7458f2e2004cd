//! Pictures that lie on their side or stand on their heads, with nothing in the file that says so. Needs what `tests/cli.rs` needs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use image::DynamicImage;
use ndarray::ArrayD;
use unface::{
    Rect,
    decode::from_upright_pixels,
    detect::{
        self, DetectError, Detector,
        model::{Arrangement, Model, Spec, Tensor},
        rule::Rule,
    },
};

mod network;
mod program;
use network::spec;
use program::{detected, ffmpeg, render, sample, samples, truth};

type Turn = (
    fn(&DynamicImage) -> DynamicImage,
    // A place in the upright picture of some width and height, in the turned one.
    fn(&Rect, f32, f32) -> Rect,
);

const TURNS: [Turn; 3] = [
    (DynamicImage::rotate90, |r, _, h| {
        Rect::new(h - r.y2, r.x1, h - r.y1, r.x2)
    }),
    (DynamicImage::rotate180, |r, w, h| {
        Rect::new(w - r.x2, h - r.y2, w - r.x1, h - r.y1)
    }),
    (DynamicImage::rotate270, |r, w, _| {
        Rect::new(r.y1, w - r.x2, r.y2, w - r.x1)
    }),
];

#[test]
fn photos_that_lie_on_their_side_or_stand_on_their_heads_left_faces_bare() {
    for name in ["portrait.jpg", "crowd.jpg"] {
        let dir = tempfile::tempdir().unwrap();
        let upright = sample(name);
        upright.save(dir.path().join("upright.bmp")).unwrap();
        let sure: Vec<Rect> = detected(dir.path(), "upright.bmp")[0]
            .iter()
            .filter(|f| f.1 >= 0.5)
            .map(|f| f.0)
            .collect();
        assert!(!sure.is_empty());
        for (turn, place) in TURNS {
            turn(&upright).save(dir.path().join("turned.bmp")).unwrap();
            let found = &detected(dir.path(), "turned.bmp")[0];
            for face in &sure {
                let place = place(face, upright.width() as f32, upright.height() as f32);
                let sure = found.iter().filter(|f| f.1 >= 0.5);
                let covers =
                    |r: &Rect| r.inflate(1.3).intersect(&place).area() > 0.95 * place.area();
                let seen = sure.map(|f| f.0).any(|r| covers(&r) && r.iou(&place) > 0.4);
                assert!(seen, "{name}: {place:?}");
            }
        }
    }
}

#[test]
fn an_upright_face_in_a_photo_that_lies_on_its_side_hides_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let portrait = sample("portrait.jpg");
    let [x1, y1, x2, y2] = truth("portrait.jpg")[0];
    let (w, h) = (x2 - x1, y2 - y1);
    let decoy = portrait
        .crop_imm(
            (x1 - w / 2.0) as u32,
            (y1 - h / 2.0) as u32,
            2 * w as u32,
            2 * h as u32,
        )
        .resize_exact(160, 160, image::imageops::FilterType::Triangle);
    let upright = sample("group.jpg");
    let faces = truth("group.jpg");
    for (turn, place) in TURNS {
        let turned = turn(&upright).to_rgb8();
        let (width, height) = turned.dimensions();
        let mut shown = image::RgbImage::new(width, height + 160);
        image::imageops::replace(&mut shown, &decoy.to_rgb8(), 0, 0);
        image::imageops::replace(&mut shown, &turned, 0, 160);
        shown.save(dir.path().join("decoy.bmp")).unwrap();
        let found = &detected(dir.path(), "decoy.bmp")[0];
        for &[x1, y1, x2, y2] in &faces {
            let face = Rect::new(x1, y1, x2, y2);
            let place = place(&face, upright.width() as f32, upright.height() as f32);
            let place = place.moved(0.0, 160.0);
            let covers = |f: &(Rect, f64)| f.0.intersect(&place).area() > 0.8 * place.area();
            assert!(found.iter().any(covers), "{place:?}: {found:?}");
        }
    }
}

#[test]
fn videos_that_lie_on_their_side_or_stand_on_their_heads_left_faces_bare() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let portrait = samples().join("portrait.jpg");
    let portrait = portrait.to_str().unwrap();
    let upright = &detected(dir.path(), portrait)[0];
    let face = upright.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    let (w, h) = (
        sample("portrait.jpg").width(),
        sample("portrait.jpg").height(),
    );
    for ((_, place), filter) in
        TURNS
            .iter()
            .zip(["transpose=clock", "hflip,vflip", "transpose=cclock"])
    {
        let filter = format!("{filter},format=yuv420p");
        let mut args = vec!["-loop", "1", "-framerate", "30", "-i", portrait];
        args.extend(["-vf", &filter, "-frames:v", "30", "-preset", "ultrafast"]);
        render(dir.path(), "in.mp4", &args);
        let frames = detected(dir.path(), "in.mp4");
        assert_eq!(frames.len(), 30);
        let place = place(&face, w as f32, h as f32);
        for (number, found) in frames.iter().enumerate() {
            let covered =
                |f: &(Rect, f64)| f.0.inflate(1.3).intersect(&place).area() > 0.9 * place.area();
            assert!(found.iter().any(covered), "frame {number}: {found:?}");
        }
    }
}

/// Sees nobody in pictures that are wider than high, and fails in others.
struct Stumbling(Spec);

impl Model for Stumbling {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let Tensor::Planes(input) = input else {
            unreachable!()
        };
        let (h, w) = (input.shape()[2], input.shape()[3]);
        if h > w {
            return Err(DetectError::Run("stumbles".into()));
        }
        let map = |channels: usize| ArrayD::zeros(vec![1, channels, h / 4, w / 4]);
        Ok(vec![map(1), map(2), map(2)])
    }
}

#[test]
fn a_network_that_fails_in_a_turned_look_fails_the_picture() {
    let spec = spec(Arrangement::Planes);
    let open = move || Ok(Box::new(Stumbling(spec.clone())) as Box<dyn Model>);
    let detector = Detector::new(open).unwrap();
    let frame = from_upright_pixels(DynamicImage::new_rgb8(512, 256));
    let options = detect::Options::new(Rule::flat(0.5));
    let upright_only = detect::Options {
        upright: 0.0,
        ..options
    };
    assert!(detector.faces(&frame, &upright_only).unwrap().is_empty());
    let failed = detector.faces(&frame, &options);
    assert!(matches!(failed, Err(DetectError::Run(_))), "{failed:?}");
}
