//! People who run through the picture, and cameras that are torn around: who is where in each frame is known, as the
//! tests render the clips themselves. Skipped, and said so, where ffmpeg is not installed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;

use image::GrayImage;
use unface::{
    Face, Rect,
    track::{Camera, Motion, Options, Sighting, Tracker, Tracks},
};

mod program;
use program::{detected, ffmpeg, render};

fn sample(name: &str) -> String {
    format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What is covered, by frame: what `detect` says, as much larger as it is covered.
fn covered(dir: &Path, clip: &Path) -> Vec<Vec<Rect>> {
    let frames = detected(dir, clip.to_str().unwrap()).into_iter();
    let covers = |faces: Vec<(Rect, f64)>| faces.iter().map(|f| f.0.inflate(1.3)).collect();
    frames.map(covers).collect()
}

/// The share of `face`, as far as it is in the picture, that lies in some of the boxes; `None` if most of it is outside.
fn share(face: &Rect, boxes: &[Rect], size: (u32, u32)) -> Option<f32> {
    let inside = face.clip(size.0, size.1);
    if inside.is_empty() || inside.area() < face.area() / 2.0 {
        return None;
    }
    let grid =
        |from: f32, to: f32| (0..20).map(move |i| from + (to - from) * (i as f32 + 0.5) / 20.0);
    let held = |x: f32, y: f32| {
        let within = |b: &Rect| b.x1 <= x && x < b.x2 && b.y1 <= y && y < b.y2;
        boxes.iter().any(within)
    };
    let points =
        grid(inside.x1, inside.x2).flat_map(|x| grid(inside.y1, inside.y2).map(move |y| (x, y)));
    Some(points.filter(|&(x, y)| held(x, y)).count() as f32 / 400.0)
}

/// Who is bare in which frame: frames, people and what of them is covered.
fn bare(
    boxes: &[Vec<Rect>],
    size: (u32, u32),
    truth: impl Fn(usize) -> Vec<Rect>,
) -> Vec<(usize, usize, f32)> {
    let mut found = Vec::new();
    for (frame, boxes) in boxes.iter().enumerate() {
        for (person, face) in truth(frame).iter().enumerate() {
            if let Some(share) = share(face, boxes, size).filter(|s| *s < 0.6) {
                found.push((frame, person, share));
            }
        }
    }
    found
}

/// A face of about 54 × 56 pixels that moves over a still background by `step` pixels a frame, from outside the picture.
fn runner(dir: &Path, step: i32) -> Vec<(usize, usize, f32)> {
    let (nobody, portrait) = (sample("nobody.jpg"), sample("portrait.jpg"));
    let filter = format!(
        "[0]scale=640:480[b];[1]crop=420:500:90:130,scale=84:100[f];[b][f]overlay=x='-90+(n-3)*{step}':y=180"
    );
    let mut args = vec!["-loop", "1", "-framerate", "25", "-i", &nobody];
    args.extend(["-loop", "1", "-framerate", "25", "-i", &portrait]);
    args.extend(["-filter_complex", &filter, "-frames:v", "20"]);
    args.extend(["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-crf", "12"]);
    let clip = render(dir, "in.mp4", &args);
    let boxes = covered(dir, &clip);
    assert_eq!(boxes.len(), 20);
    bare(&boxes, (640, 480), |n| {
        // overlay counts from 1.
        let x = (-90 + (n as i32 - 2) * step) as f32;
        vec![Rect::new(x + 15.0, 205.0, x + 69.0, 261.0)]
    })
}

#[test]
fn a_face_that_ran_through_the_picture_was_bare_where_it_came_in_or_went_out() {
    if !ffmpeg() {
        return;
    }
    for step in [25, 40, 55, 70] {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(runner(dir.path(), step), [], "{step} pixels a frame");
    }
}

#[test]
fn a_blow_against_the_camera_left_faces_bare() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let group = sample("group.jpg");
    let filter = "scale=640:-2,crop=320:240:x='120+60*sin(n*1.7)':y='120+50*cos(n*2.3)'";
    let mut args = vec!["-loop", "1", "-framerate", "25", "-i", &group];
    args.extend(["-vf", filter, "-frames:v", "30", "-crf", "12"]);
    args.extend(["-pix_fmt", "yuv420p", "-preset", "ultrafast"]);
    let clip = render(dir.path(), "in.mp4", &args);
    let truth = program::truth("group.jpg");
    let boxes = covered(dir.path(), &clip);
    let bare = bare(&boxes, (320, 240), |n| {
        let (n, scale) = (n as f32, 640.0 / 960.0);
        let (x, y) = (
            120.0 + 60.0 * (n * 1.7).sin(),
            120.0 + 50.0 * (n * 2.3).cos(),
        );
        let faces = truth.iter();
        faces
            .map(|b| {
                Rect::new(b[0], b[1], b[2], b[3])
                    .scaled(scale, scale)
                    .moved(-x, -y)
            })
            .collect()
    });
    assert_eq!(bare, []);
}

#[test]
fn a_camera_that_moved_by_more_than_a_tenth_of_the_picture_was_not_followed() {
    let mut picture = GrayImage::from_pixel(700, 320, image::Luma([120]));
    let mut random = 1u32;
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    for _ in 0..150 {
        let (x, y, w, h) = (next(680), next(300), 10 + next(70), 10 + next(50));
        let grey = image::Luma([next(256) as u8]);
        for (x, y) in (x..(x + w).min(700)).flat_map(|x| (y..(y + h).min(320)).map(move |y| (x, y)))
        {
            picture.put_pixel(x, y, grey);
        }
    }
    let part = |x: u32, y: u32| -> GrayImage {
        image::imageops::crop_imm(&picture, x, y, 480, 270).to_image()
    };
    let mut camera = Camera::default();
    assert_eq!(camera.next(&part(10, 40)), None);
    let motion = camera.next(&part(140, 20)).unwrap();
    assert!(!motion.cut, "{motion:?}");
    assert!((motion.dx + 130.0).abs() < 1.5, "{motion:?}");
    assert!((motion.dy - 20.0).abs() < 1.5, "{motion:?}");
}

fn seen(x: f32, strength: f32) -> Sighting {
    let face = Face {
        rect: Rect::new(x, 100.0, x + 40.0, 140.0),
        score: strength,
    };
    Sighting::new(&face, 1.0)
}

const STILL: Motion = Motion {
    dx: 0.0,
    dy: 0.0,
    cut: false,
};

#[test]
fn what_was_seen_in_a_window_took_no_cover_from_a_face_that_two_looks_agree_on() {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    for i in 0..7u32 {
        let (time, motion) = (f64::from(i) / 30.0, (i > 0).then_some(STILL));
        match i {
            0 | 3 | 6 => tracker.push(time, motion, Some(vec![seen(100.0, 2.0)])),
            // Something else, near enough to be taken for it.
            4 => tracker.push_glimpse(time, motion, vec![seen(135.0, 1.2)]),
            _ => tracker.push(time, motion, None),
        }
    }
    let tracks = tracker.finish();
    for frame in 0..7 {
        let held = |x: f32| {
            let within = |c: &unface::track::Covered| c.rect.x1 <= x && c.rect.x2 >= x + 40.0;
            tracks.at(frame).iter().any(within)
        };
        assert!(held(100.0), "frame {frame}");
        // It is covered too, where it was seen, and held for a frame at most.
        assert_eq!(held(135.0), (3..=5).contains(&frame), "frame {frame}");
    }
}

#[test]
fn a_face_that_ran_out_of_sight_is_covered_where_it_ran_and_where_it_was() {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    for i in 0..20u32 {
        let (time, motion) = (f64::from(i) / 30.0, (i > 0).then_some(STILL));
        // 10 pixels a frame: 7 of its widths a second.
        let found = if i <= 6 {
            vec![seen(100.0 + 10.0 * i as f32, 2.0)]
        } else {
            vec![]
        };
        tracker.push(time, motion, (i % 3 == 0).then_some(found));
    }
    let tracks = tracker.finish();
    for frame in 7..14 {
        let held = |x: f32| {
            let within = |c: &unface::track::Covered| c.rect.x1 <= x + 4.0 && c.rect.x2 >= x + 36.0;
            tracks.at(frame).iter().any(within)
        };
        assert!(
            held(100.0 + 10.0 * frame as f32),
            "frame {frame}: {:?}",
            tracks.at(frame)
        );
        assert!(held(160.0), "frame {frame}: {:?}", tracks.at(frame));
    }
}

#[test]
fn boxes_that_a_person_gave_at_the_edge_grew_to_the_size_of_the_next_ones() {
    // The first is narrow, as the picture's edge cuts the face.
    let (first, last) = (
        Rect::new(300.0, 100.0, 320.0, 150.0),
        Rect::new(200.0, 100.0, 260.0, 160.0),
    );
    let times: Vec<f64> = (0..5).map(|n| f64::from(n) / 25.0).collect();
    let given = Tracks::given(
        &times,
        vec![vec![(0, first, 1.0), (4, last, 1.0)]],
        (320, 240),
    );
    let between = given.at(2);
    assert_eq!(between.len(), 1);
    assert_eq!(between[0].rect, Rect::new(250.0, 100.0, 290.0, 155.0));
}

/// Where the one face of some looks at 15 a second is covered in each of them.
fn followed(looks: &[Rect]) -> Vec<Rect> {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    for (i, rect) in looks.iter().enumerate() {
        let face = Face {
            rect: *rect,
            score: 0.9,
        };
        let motion = (i > 0).then_some(STILL);
        let found = Some(vec![Sighting::new(&face, 0.1)]);
        tracker.push(i as f64 / 15.0, motion, found);
    }
    let tracks = tracker.finish();
    let at = |i: usize| tracks.at(i).iter().find(|c| c.score > 0.0).map(|c| c.rect);
    (0..looks.len()).map(|i| at(i).unwrap()).collect()
}

fn square(x: f32, y: f32, side: f32) -> Rect {
    let half = side / 2.0;
    Rect::new(x - half, y - half, x + half, y + half)
}

#[test]
fn a_box_that_jumped_for_one_look_left_a_face_half_bare() {
    let mut looks = vec![square(300.0, 200.0, 40.0); 9];
    looks[4] = square(310.0, 190.0, 20.0);
    let covered = followed(&looks);
    assert!(covered.iter().all(|c| c.width() > 39.9), "{covered:?}");
    // It is at most a third of a box from where it was seen, and nearer to where all the others saw it.
    let (x, y) = covered[4].centre();
    assert!((300.0..303.0).contains(&x) && (197.0..=200.0).contains(&y));
}

#[test]
fn boxes_are_steadied_without_lagging_behind_who_moves() {
    // Ten of its widths a second, out of the scene at the last look: the cover is where it is, in the first and the last look too.
    let looks: Vec<Rect> = (0..9)
        .map(|i| square(60.0 + 26.0 * i as f32, 200.0, 40.0))
        .collect();
    for (seen, covered) in looks.iter().zip(followed(&looks)) {
        let (a, b) = (seen.centre(), covered.centre());
        assert!((a.0 - b.0).hypot(a.1 - b.1) < 0.5, "{seen:?} {covered:?}");
    }
}

#[test]
fn who_jumps_is_covered_where_he_was_seen() {
    let mut looks = vec![square(300.0, 200.0, 40.0); 9];
    looks[8] = square(325.0, 200.0, 40.0);
    let covered = followed(&looks);
    // The cover is 1.3 times the box.
    let share = covered[8].inflate(1.3).intersect(&looks[8]).area() / looks[8].area();
    assert!(share > 0.8, "{share}");
}

#[test]
fn what_the_pictures_edge_cuts_keeps_its_box() {
    let mut looks: Vec<Rect> = (0..6)
        .map(|i| square(20.0 + 8.0 * i as f32, 200.0, 40.0))
        .collect();
    looks[0] = Rect::new(0.0, 180.0, 12.0, 220.0);
    let covered = followed(&looks);
    assert_eq!(covered[0], looks[0]);
    assert!(covered[1..].iter().all(|c| c.width() > 39.9), "{covered:?}");
}
