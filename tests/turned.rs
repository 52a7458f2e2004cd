//! Pictures that lie on their side or stand on their heads, with nothing in the file that says so. Needs what `tests/cli.rs` needs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;

use image::DynamicImage;
use unface::{
    Rect,
    decode::{self, photo},
};

mod program;
use program::{done, ffmpeg, render, samples, unface};

fn sample(name: &str) -> DynamicImage {
    let bytes = std::fs::read(samples().join(name)).unwrap();
    let photo = photo(&bytes, &decode::Options::default()).unwrap();
    photo.frame.into_pixels()
}

/// Each line's faces, with their scores.
fn detected(dir: &Path, file: &str) -> Vec<Vec<(Rect, f64)>> {
    let output = unface(dir, &["detect", file, "-q"]);
    done(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let faces = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let faces = line["faces"].as_array().unwrap().iter();
        let face = |f: &serde_json::Value| {
            let rect = serde_json::from_value::<Rect>(f.clone()).unwrap();
            (rect, f["score"].as_f64().unwrap())
        };
        faces.map(face).collect()
    };
    text.lines().map(faces).collect()
}

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
