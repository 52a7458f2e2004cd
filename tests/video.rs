//! Videos from outside: clips that the tests render themselves from the samples, with known faces,
//! through the program, and what comes out. Skipped, and said so, where ffmpeg is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use unface::{
    Face, Format, Rect,
    ffmpeg::nut::{Content, Reader, Stream, TimeBase, Writer},
    report::{Boxes, Moving},
    sound::{Audio, Sound, vocoder::Vocoder},
    track::{self, Motion, Options, Sighting, Tracker},
    verify,
};

mod program;
use program::{done, ffmpeg, render, unface};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("samples")
        .join(name)
}

/// The group of drawn people, panned over for `frames` frames.
fn pan(dir: &Path, name: &str, extra: &[&str]) -> PathBuf {
    let group = sample("group.jpg");
    let mut args = vec![
        "-loop",
        "1",
        "-framerate",
        "15",
        "-i",
        group.to_str().unwrap(),
    ];
    let frames = "crop=iw-64:ih-32:n*4:8,scale=trunc(iw/2)*2:trunc(ih/2)*2";
    args.extend([
        "-frames:v",
        "12",
        "-vf",
        frames,
        "-pix_fmt",
        "yuv420p",
        "-preset",
        "ultrafast",
    ]);
    args.extend(extra);
    render(dir, name, &args)
}

fn times(path: &Path) -> Vec<f64> {
    let args = [
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "json",
    ];
    let out = Command::new("ffprobe")
        .args(args)
        .arg(path)
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let frames = json["frames"].as_array().unwrap();
    frames
        .iter()
        .map(|f| f["pts_time"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// A frame as RGB.
fn frame(path: &Path, index: usize, dir: &Path) -> image::RgbImage {
    let select = format!("select=eq(n\\,{index})");
    let png = render(
        dir,
        "frame.png",
        &[
            "-i",
            path.to_str().unwrap(),
            "-vf",
            &select,
            "-frames:v",
            "1",
        ],
    );
    let bytes = fs::read(png).unwrap();
    unface::decode::photo(&bytes, &unface::decode::Options::default())
        .unwrap()
        .frame
        .into_pixels()
        .into_rgb8()
}

fn pink(p: &image::Rgb<u8>) -> bool {
    p.0[0] > 180 && p.0[1] < 90 && p.0[2] > 180
}

fn share(picture: &image::RgbImage, [x1, y1, x2, y2]: [f32; 4]) -> f32 {
    let (mut all, mut hit) = (0, 0);
    for y in y1.max(0.0) as u32..(y2 as u32).min(picture.height()) {
        for x in x1.max(0.0) as u32..(x2 as u32).min(picture.width()) {
            all += 1;
            hit += u32::from(pink(picture.get_pixel(x, y)));
        }
    }
    if all == 0 {
        1.0
    } else {
        hit as f32 / all as f32
    }
}

fn words_in(path: &Path) -> Vec<&'static str> {
    let data = fs::read(path).unwrap();
    let words = [
        "x264", "x265", "Lavf", "Lavc", "libvpx", "CANARY", "Handler", "SVT",
    ];
    words
        .into_iter()
        .filter(|w| data.windows(w.len()).any(|d| d == w.as_bytes()))
        .collect()
}

#[test]
fn every_drawn_face_is_covered_in_every_frame_and_nothing_else_is_told() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = pan(
        dir.path(),
        "in.mp4",
        &[
            "-metadata",
            "title=CANARY-title",
            "-metadata",
            "location=+1+2/",
        ],
    );
    let args = [
        "in.mp4", "-o", "out.mp4", "-q", "--effect", "fill", "--color", "ff00ff", "--report",
        "r.jsonl",
    ];
    done(&unface(dir.path(), &args));
    let out = dir.path().join("out.mp4");
    assert_eq!(times(&clip), times(&out));
    assert_eq!(words_in(&out), Vec::<&str>::new());
    let boxes = program::truth("group.jpg");
    assert!(boxes.len() > 2);
    for index in [0, 5, 11] {
        let picture = frame(&out, index, dir.path());
        for b in &boxes {
            let (dx, dy) = (4.0 * index as f32, 8.0);
            let there = [b[0] - dx, b[1] - dy, b[2] - dx, b[3] - dy];
            let inside = there[0] >= 0.0 && there[2] <= picture.width() as f32;
            assert!(
                !inside || share(&picture, there) > 0.8,
                "frame {index}: {there:?} is visible"
            );
        }
    }
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("r.jsonl")).unwrap()).unwrap();
    assert_eq!(report["video"]["frames"], 12);
    assert!(report["video"]["tracks"].as_u64().unwrap() >= boxes.len() as u64 / 2);
}

#[test]
fn times_of_variable_frame_rate_survive_and_the_last_frame_keeps_its_length() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let vary = "setpts='(N*N+3*N)/40/TB'";
    let clip = render(
        dir.path(),
        "in.mp4",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc=s=160x120:r=30:d=0.5",
            "-vf",
            vary,
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "1:90000",
        ],
    );
    done(&unface(dir.path(), &["in.mp4", "-o", "out.mp4", "-q"]));
    let (before, after) = (times(&clip), times(&dir.path().join("out.mp4")));
    assert!(
        before.len() > 5
            && before
                .windows(3)
                .any(|w| (w[2] - 2.0 * w[1] + w[0]).abs() > 0.01),
        "the clip's rate varies"
    );
    assert_eq!(before.len(), after.len());
    before
        .iter()
        .zip(&after)
        .for_each(|(a, b)| assert!((a - b).abs() < 0.001, "{a} {b}"));
}

#[test]
fn rotation_is_applied_once_and_gone() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    pan(dir.path(), "plain.mp4", &[]);
    let turned = render(
        dir.path(),
        "in.mp4",
        &[
            "-i",
            dir.path().join("plain.mp4").to_str().unwrap(),
            "-c",
            "copy",
            "-metadata:s:v",
            "rotate=90",
        ],
    );
    done(&unface(dir.path(), &["in.mp4", "-o", "out.mp4", "-q"]));
    let out = dir.path().join("out.mp4");
    // ffmpeg turns the input by itself; the output has nothing left to be turned.
    let (a, b) = (frame(&turned, 0, dir.path()), frame(&out, 0, dir.path()));
    assert_eq!(a.dimensions(), b.dimensions());
    assert!(a.height() > a.width(), "the input is to be shown upright");
    let corner = |p: &image::RgbImage| *p.get_pixel(p.width() - 4, 4);
    let (x, y) = (corner(&a), corner(&b));
    assert!(
        x.0.iter().zip(y.0).all(|(p, q)| p.abs_diff(q) < 24),
        "{x:?} {y:?}"
    );
}

#[test]
fn a_cut_or_damaged_video_leaves_nothing_behind() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = pan(dir.path(), "in.mp4", &["-movflags", "+faststart"]);
    let bytes = fs::read(&clip).unwrap();
    fs::write(&clip, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let out = unface(dir.path(), &["in.mp4", "-o", "safe/"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("in.mp4: "));
    let left: Vec<_> = fs::read_dir(dir.path().join("safe"))
        .map(|d| d.flatten().collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_ffmpeg_videos_are_refused_with_advice_and_photos_work() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(sample("portrait.jpg"), dir.path().join("a.jpg")).unwrap();
    fs::write(
        dir.path().join("b.mp4"),
        b"\0\0\0\x18ftypisom\0\0\0\0isommp42\0\0\0\x08moov",
    )
    .unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir.path())
        .env("PATH", dir.path())
        .args(["a.jpg", "b.mp4", "-o", "safe/"])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("install ffmpeg"));
    assert!(dir.path().join("safe/a.jpg").exists() && !dir.path().join("safe/b.mp4").exists());
}

#[test]
fn what_detect_prints_of_a_video_can_be_edited_and_applied() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    render(
        dir.path(),
        "in.mp4",
        &["-f", "lavfi", "-i", "color=gray:s=160x120:r=10:d=1"],
    );
    let line = |frame: usize, x: usize| {
        format!(
            r#"{{"path":"in.mp4","frame":{frame},"faces":[{{"x1":{x},"y1":40,"x2":{},"y2":60,"track":7}}]}}"#,
            x + 20
        )
    };
    let nobody = |frame: usize| format!(r#"{{"path":"in.mp4","frame":{frame},"faces":[]}}"#);
    fs::write(
        dir.path().join("boxes.jsonl"),
        format!(
            "{}\n{}\n{}\n{}\n{}\n",
            [0, 1].map(nobody).join("\n"),
            line(2, 20),
            [3, 4, 5, 6, 7].map(nobody).join("\n"),
            line(8, 80),
            nobody(9)
        ),
    )
    .unwrap();
    let args = [
        "in.mp4",
        "-o",
        "out.mp4",
        "-q",
        "--boxes",
        "boxes.jsonl",
        "--effect",
        "fill",
        "--color",
        "ff00ff",
    ];
    done(&unface(dir.path(), &args));
    let out = dir.path().join("out.mp4");
    // Half way between the two boxes, and not before the first.
    assert!(share(&frame(&out, 5, dir.path()), [52.0, 42.0, 68.0, 58.0]) > 0.9);
    assert!(frame(&out, 0, dir.path()).pixels().all(|p| !pink(p)));
}

#[test]
fn a_speed_by_the_name_that_mp4_knows_failed_for_webm() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = ["-f", "lavfi", "-i", "testsrc=s=160x120:r=10:d=0.5"];
    render(dir.path(), "in.webm", &clip);
    for preset in ["veryfast", "placebo", "5"] {
        let args = ["in.webm", "-o", "out.webm", "-q", "--overwrite"];
        done(&unface(
            dir.path(),
            &[&args[..], &["--preset", preset]].concat(),
        ));
    }
}

#[test]
fn webm_stays_webm_and_sound_is_kept_only_on_request() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = render(
        dir.path(),
        "in.webm",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc=s=160x120:r=10:d=1",
            "-f",
            "lavfi",
            "-i",
            "sine=d=1",
            "-c:v",
            "libvpx",
            "-c:a",
            "libopus",
        ],
    );
    for (audio, tracks) in [("drop", 1), ("keep", 2), ("disguise", 2)] {
        let name = format!("{audio}.webm");
        done(&unface(
            dir.path(),
            &[
                "in.webm", "-o", &name, "-q", "--audio", audio, "--preset", "8",
            ],
        ));
        let out = dir.path().join(&name);
        let bytes = fs::read(&out).unwrap();
        let found = verify::inspect(&bytes);
        assert_eq!(
            (found.format, found.leaks),
            (Some(Format::WebM), Vec::new())
        );
        assert_eq!(times(&clip).len(), times(&out).len());
        assert_eq!(words_in(&out), Vec::<&str>::new());
        let streams = Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-show_entries",
                "stream=codec_type",
                "-of",
                "csv=p=0",
            ])
            .arg(&out)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&streams.stdout).lines().count(),
            tracks
        );
    }
}

#[test]
fn the_verifier_names_what_is_planted_in_an_mp4() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = pan(dir.path(), "in.mp4", &[]);
    assert!(
        !verify::inspect(&fs::read(clip).unwrap()).leaks.is_empty(),
        "an encoder's name and SEI"
    );
    done(&unface(dir.path(), &["in.mp4", "-o", "out.mp4", "-q"]));
    let clean = fs::read(dir.path().join("out.mp4")).unwrap();
    assert_eq!(verify::inspect(&clean).leaks, Vec::new());
    let trailing = [&clean[..], b"CANARY"].concat();
    let boxed = [&clean[..], b"\0\0\0\x0euuidCANARY"].concat();
    let mut name = clean.clone();
    let at = name.windows(4).position(|w| w == b"vide").unwrap();
    name[at + 16] = b'X';
    let mut time = clean.clone();
    let at = time.windows(4).position(|w| w == b"mvhd").unwrap();
    time[at + 9] = 1;
    for (what, bytes) in [
        ("trailing", trailing),
        ("box", boxed),
        ("handler", name),
        ("time", time),
    ] {
        assert!(
            !verify::inspect(&bytes).leaks.is_empty(),
            "{what} is not found"
        );
    }
    for cut in [10, 50, 90] {
        let _ = verify::inspect(&clean[..clean.len() * cut / 100]);
    }
}

#[test]
fn nut_goes_both_ways() {
    let streams = vec![
        Stream {
            fourcc: b"I420".to_vec(),
            time_base: TimeBase { num: 1, den: 15360 },
            content: Content::Video {
                width: 4,
                height: 2,
                aspect: (4, 3),
            },
        },
        Stream {
            fourcc: vec![b'P', b'S', b'D', 16],
            time_base: TimeBase { num: 1, den: 44100 },
            content: Content::Audio {
                rate: 44100,
                channels: 2,
            },
        },
    ];
    let mut writer = Writer::new(Vec::new(), streams.clone()).unwrap();
    writer.write(0, 0, &[b"abc", b"def"]).unwrap();
    writer.write(1, 5, &[b"sound"]).unwrap();
    writer.write(0, 7_000_000_000, &[b"late"]).unwrap();
    let bytes = writer.finish().unwrap();
    let mut reader = Reader::new(Cursor::new(&bytes), 1000).unwrap();
    assert_eq!(reader.streams(), streams);
    let mut got = Vec::new();
    while let Some(p) = reader.packet().unwrap() {
        got.push((p.stream, p.pts, p.data));
    }
    assert_eq!(
        got,
        [
            (0, 0, b"abcdef".to_vec()),
            (1, 5, b"sound".to_vec()),
            (0, 7_000_000_000, b"late".to_vec())
        ]
    );
    // An end inside a packet is an error, not an end.
    let mut cut = Reader::new(Cursor::new(&bytes[..bytes.len() - 1]), 1000).unwrap();
    assert!((0..3).map(|_| cut.packet()).any(|r| r.is_err()));
}

fn seen(x: f32, strength: f32) -> Sighting {
    Sighting::new(
        &Face {
            rect: Rect::new(x, 100.0, x + 40.0, 140.0),
            score: strength,
        },
        1.0,
    )
}

#[test]
fn a_face_seen_late_is_covered_before_between_and_behind() {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    for i in 0..60u32 {
        let still = (i > 0).then_some(Motion {
            dx: 3.0,
            dy: 0.0,
            cut: false,
        });
        let x = 100.0 + 3.0 * i as f32;
        let sightings = match i {
            24 | 27 => vec![seen(x, 0.5)],
            30 | 45 => vec![seen(x, 2.0)],
            _ => vec![],
        };
        tracker.push(f64::from(i) / 30.0, still, Some(sightings));
    }
    let tracks = tracker.finish();
    assert_eq!(tracks.len(), 1);
    for frame in 10..60 {
        let covered = tracks.at(frame);
        assert!(covered.iter().all(|c| c.track == 1), "frame {frame}");
        let truth = 100.0 + 3.0 * frame as f32;
        assert!(covers(&covered, truth), "frame {frame}: {covered:?}");
    }
    assert!(tracks.at(0).is_empty(), "held for a while, not for ever");
}

#[test]
fn nothing_is_held_across_a_cut() {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    for i in 0..20u32 {
        let motion = (i > 0).then_some(Motion {
            dx: 0.0,
            dy: 0.0,
            cut: i == 10,
        });
        tracker.push(
            f64::from(i) / 30.0,
            motion,
            Some(if i < 10 {
                vec![seen(100.0, 2.0)]
            } else {
                vec![]
            }),
        );
    }
    let tracks = tracker.finish();
    let at = |frame| tracks.at(frame).len();
    assert_eq!((at(9), at(10), at(11)), (1, 0, 0));
}

#[test]
fn a_frame_that_is_mixed_of_two_scenes_keeps_the_covers_of_both() {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    for i in 0..21u32 {
        let motion = (i > 0).then_some(Motion {
            dx: 0.0,
            dy: 0.0,
            cut: i == 10 || i == 11,
        });
        let sightings = match i {
            ..10 => vec![seen(100.0, 2.0)],
            10 => vec![],
            _ => vec![seen(300.0, 2.0)],
        };
        tracker.push(f64::from(i) / 30.0, motion, Some(sightings));
    }
    let tracks = tracker.finish();
    assert!(covers(&tracks.at(10), 100.0) && covers(&tracks.at(10), 300.0));
    assert_eq!((tracks.at(9).len(), tracks.at(11).len()), (1, 1));
}

/// A still background on which a drawn face appears in the frames that `when` (ffmpeg's expression of `n`)
/// names; gives the clip.
fn appearing(dir: &Path, rate: u32, frames: u32, when: &str) -> PathBuf {
    let (portrait, source) = (
        sample("portrait.jpg"),
        format!("testsrc=s=640x480:r={rate}"),
    );
    let overlay = format!("[1]scale=-2:200[f];[0][f]overlay=200:140:enable='{when}'");
    let count = frames.to_string();
    let portrait = portrait.to_str().unwrap();
    let mut args = vec!["-f", "lavfi", "-i", &source, "-i", portrait];
    args.extend(["-filter_complex", &overlay, "-frames:v", &count]);
    args.extend(["-pix_fmt", "yuv420p", "-preset", "ultrafast"]);
    render(dir, "in.mp4", &args)
}

/// Faces in a frame as `detect` tells them.
fn faces_by_frame(dir: &Path, clip: &Path) -> Vec<usize> {
    let output = unface(dir, &["detect", clip.to_str().unwrap(), "-q"]);
    done(&output);
    let lines = String::from_utf8(output.stdout).unwrap();
    let faces = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["faces"].as_array().unwrap().len()
    };
    lines.lines().map(faces).collect()
}

#[test]
fn a_face_in_the_last_frames_only_was_never_looked_for() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Searched are frames 0, 3, 6 and 9.
    let clip = appearing(dir.path(), 30, 12, "gte(n,10)");
    let faces = faces_by_frame(dir.path(), &clip);
    assert_eq!(faces.len(), 12);
    assert!(faces[10] > 0 && faces[11] > 0, "{faces:?}");
}

#[test]
fn slow_motion_hid_a_face_between_two_looks() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = appearing(dir.path(), 240, 40, "between(n,3,14)");
    let faces = faces_by_frame(dir.path(), &clip);
    assert!(faces[3..15].iter().all(|&n| n > 0), "{faces:?}");
}

#[test]
fn a_high_threshold_could_never_be_reached_in_a_video() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = appearing(dir.path(), 30, 12, "gte(n,0)");
    let name = clip.to_str().unwrap();
    let args = ["detect", name, "-q", "--threshold", "0.6"];
    let output = unface(dir.path(), &args);
    done(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"score\""), "{text}");
}

#[test]
fn a_place_outside_a_video_was_passed_over_in_silence() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = appearing(dir.path(), 30, 3, "gte(n,5)");
    let name = clip.to_str().unwrap();
    let output = unface(
        dir.path(),
        &[name, "-o", "out.mp4", "--cover", "5000,5000,10,10"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(!dir.path().join("out.mp4").exists());
}

/// The camera's motion from one frame to the next.
fn shift(dx: f32) -> Option<Motion> {
    Some(Motion {
        dx,
        dy: 0.0,
        cut: false,
    })
}

fn covers(covered: &[track::Covered], x: f32) -> bool {
    covered
        .iter()
        .any(|c| c.rect.x1 <= x + 4.0 && c.rect.x2 >= x + 36.0)
}

#[test]
fn a_face_that_stood_still_before_a_moving_background_lost_its_cover() {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    // Seen in every twelfth frame only, at the same place; what is behind it shakes.
    for i in 0..25u32 {
        let motion = (i > 0)
            .then(|| shift(if i % 2 == 0 { 40.0 } else { -40.0 }))
            .flatten();
        let found = if i % 12 == 0 {
            vec![seen(300.0, 2.0)]
        } else {
            vec![]
        };
        tracker.push(f64::from(i) / 30.0, motion, Some(found));
    }
    let tracks = tracker.finish();
    for frame in 0..25 {
        assert!(covers(&tracks.at(frame), 300.0), "frame {frame}");
    }
}

#[test]
fn a_face_that_ran_too_fast_to_be_followed_was_bare_between_two_looks() {
    let mut tracker = Tracker::new(Options::default(), (640, 360));
    // 30 pixels a frame, looked for in every third.
    for i in 0..13u32 {
        let found = (i % 3 == 0).then(|| vec![seen(50.0 + 30.0 * i as f32, 2.0)]);
        tracker.push(f64::from(i) / 30.0, shift(0.0).filter(|_| i > 0), found);
    }
    let tracks = tracker.finish();
    for frame in 0..13 {
        let x = 50.0 + 30.0 * frame as f32;
        assert!(
            covers(&tracks.at(frame), x),
            "frame {frame}: {:?}",
            tracks.at(frame)
        );
    }
}

#[test]
fn a_face_in_one_of_few_frames_must_not_be_clearer_than_in_a_photo() {
    let few = Options {
        few: 1.7,
        ..Options::default()
    };
    let tracks = |times: &[f64]| {
        let mut tracker = Tracker::new(few, (640, 360));
        for (i, &time) in times.iter().enumerate() {
            let found = if i == 0 {
                vec![seen(100.0, 0.7)]
            } else {
                vec![]
            };
            tracker.push(time, shift(0.0).filter(|_| i > 0), Some(found));
        }
        tracker.finish()
    };
    assert_eq!(tracks(&[0.0]).len(), 1);
    assert_eq!(tracks(&[0.0, 0.1, 0.2, 0.3, 0.4]).len(), 0);
    let slow = tracks(&[0.0, 1.0, 2.0, 3.0, 4.0]);
    // Frames so far apart hold nothing of one another.
    assert_eq!((slow.len(), slow.at(1).len(), slow.at(2).len()), (1, 0, 0));
}

fn moving(frames: Option<usize>) -> Moving<'static> {
    Moving {
        size: (10, 10),
        frames,
        orientations: &[],
    }
}

#[test]
fn boxes_of_a_frame_that_is_not_there_are_refused() {
    let line = |frame: usize| {
        format!(r#"{{"path":"a.mp4","frame":{frame},"faces":[{{"x1":1,"y1":1,"x2":2,"y2":2}}]}}"#)
    };
    let lines: Vec<String> = (0..13).map(line).collect();
    let boxes = Boxes::parse(&lines.join("\n")).unwrap();
    let of = |name: &str, frames| boxes.over_time(Path::new(name), moving(Some(frames)));
    assert!(of("a.mp4", 13).is_ok());
    assert!(of("a.mp4", 12).is_err());
    assert!(of("b.mp4", 13).is_err());
}

#[test]
fn a_cut_off_file_of_boxes_left_the_rest_of_a_video_uncovered() {
    let line = |frame: usize| format!("{{\"path\":\"a.mp4\",\"frame\":{frame},\"faces\":[]}}\n");
    let of = |lines: &[usize], frames| {
        let text: String = lines.iter().map(|&n| line(n)).collect();
        Boxes::parse(&text)
            .unwrap()
            .over_time(Path::new("a.mp4"), moving(frames))
    };
    assert!(of(&[0, 1, 2], Some(3)).is_ok());
    assert!(of(&[0, 1], Some(3)).is_err());
    assert!(of(&[1, 2], Some(3)).is_err());
    // Who is shown in a frame without a line would stay uncovered.
    for frames in [Some(3), None] {
        let error = of(&[0, 2], frames).unwrap_err().to_string();
        assert!(error.contains("no line for frame 1;"), "{error}");
    }
    assert!(of(&[0], None).is_ok());
}

#[test]
fn no_pitch_survives_the_disguise() {
    let rate = 16000;
    let mut vocoder = Vocoder::new(rate, [7; 32]);
    // A voice of 130 Hz with many overtones.
    let voice = |i: u32| {
        (1..20)
            .map(|k| (std::f64::consts::TAU * 130.0 * f64::from(k * i) / f64::from(rate)).sin())
            .sum::<f64>()
            / 20.0
    };
    let input: Vec<f64> = (0..2 * rate).map(voice).collect();
    let output: Vec<f64> = input.iter().map(|&x| vocoder.next(x)).collect();
    let at_pitch = |s: &[f64]| {
        let lag = 123;
        let own: f64 = s.iter().map(|x| x * x).sum();
        s.iter().zip(&s[lag..]).map(|(a, b)| a * b).sum::<f64>() / own
    };
    assert!(at_pitch(&input[8000..]) > 0.8, "the input has a pitch");
    assert!(
        at_pitch(&output[8000..]).abs() < 0.1,
        "{}",
        at_pitch(&output[8000..])
    );
    let loud: f64 = output[8000..].iter().map(|x| x * x).sum();
    assert!(loud > 1.0, "it is not silent");
}

#[test]
fn muted_stretches_are_silent_to_the_sample() {
    let mut sound = Sound::new(Audio::Keep, 100, 1, &[(0.5, 1.0)]).ok().unwrap();
    let mut data: Vec<u8> = [1u8, 1].repeat(120);
    sound.change(20, &mut data);
    let silent: Vec<usize> = (0..120).filter(|&i| data[2 * i] == 0).collect();
    assert_eq!((silent[0], silent.len()), (30, 50));
}

#[test]
fn a_track_lets_no_more_than_its_cells_through_over_all_frames() {
    if !ffmpeg() {
        return;
    }
    let dir: TempDir = tempfile::tempdir().unwrap();
    // Noise that changes in every frame under a box that stands still.
    render(
        dir.path(),
        "in.mp4",
        &[
            "-f",
            "lavfi",
            "-i",
            "color=gray:s=128x128:r=10:d=1,noise=alls=100:allf=t",
            "-crf",
            "1",
        ],
    );
    let lines: String = (0..10)
        .map(|f| format!(r#"{{"path":"in.mp4","frame":{f},"faces":[{{"x1":32,"y1":32,"x2":96,"y2":96,"track":1}}]}}"#) + "\n")
        .collect();
    fs::write(dir.path().join("b.jsonl"), lines).unwrap();
    done(&unface(
        dir.path(),
        &[
            "in.mp4", "-o", "out.mp4", "-q", "--boxes", "b.jsonl", "--effect", "pixelate", "--crf",
            "1",
        ],
    ));
    let out = dir.path().join("out.mp4");
    let (a, b) = (frame(&out, 1, dir.path()), frame(&out, 8, dir.path()));
    for (x, y) in (36..92).flat_map(|x| (36..92).map(move |y| (x, y))) {
        let (p, q) = (a.get_pixel(x, y).0, b.get_pixel(x, y).0);
        assert!(
            p.iter().zip(q).all(|(p, q)| p.abs_diff(q) < 12),
            "{x},{y}: {p:?} {q:?}"
        );
    }
}

#[test]
fn outlines_with_the_numbers_of_tracks_are_drawn_over_what_is_covered() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    render(
        dir.path(),
        "in.mp4",
        &["-f", "lavfi", "-i", "color=gray:s=320x240:r=10:d=0.5"],
    );
    let lines = concat!(
        r#"{"path":"in.mp4","frame":0,"faces":[{"x1":100,"y1":80,"x2":180,"y2":180,"track":1}]}"#,
        "\n",
        r#"{"path":"in.mp4","frame":1,"faces":[]}"#,
        "\n",
        r#"{"path":"in.mp4","frame":2,"faces":[]}"#,
        "\n",
        r#"{"path":"in.mp4","frame":3,"faces":[]}"#,
        "\n",
        r#"{"path":"in.mp4","frame":4,"faces":[]}"#
    );
    fs::write(dir.path().join("b.jsonl"), lines).unwrap();
    let args = [
        "in.mp4", "-o", "out.mp4", "-q", "--boxes", "b.jsonl", "--crf", "4",
    ];
    let fill = ["--effect", "fill", "--color", "ff00ff", "--preview-boxes"];
    done(&unface(dir.path(), &[&args[..], &fill[..]].concat()));
    let picture = frame(&dir.path().join("out.mp4"), 0, dir.path());
    let yellow = |x, y| {
        let p: [u8; 3] = picture.get_pixel(x, y).0;
        p[0] > 150 && p[1] > 130 && p[2] < 120
    };
    assert!((102..178).all(|x| yellow(x, 80)), "the upper edge");
    assert!((82..178).all(|y| yellow(100, y)), "the left edge");
    assert!(pink(picture.get_pixel(140, 150)), "and pink inside");
    assert!(pink(picture.get_pixel(92, 130)), "and pink around it");
}

#[test]
fn sound_that_is_counted_finer_than_the_pictures_is_kept() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // AVI counts pictures in fifteenths of a second; a packet of this sound lasts a fortieth.
    render(
        dir.path(),
        "in.avi",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc=s=160x120:r=15:d=1",
            "-f",
            "lavfi",
            "-i",
            "sine=d=1:r=44100",
            "-c:v",
            "mpeg4",
            "-c:a",
            "mp2",
        ],
    );
    let args = ["in.avi", "-o", "out.mp4", "-q", "--audio", "keep"];
    done(&unface(dir.path(), &args));
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "a",
            "-show_entries",
            "stream=duration",
        ])
        .args(["-of", "csv=p=0"])
        .arg(dir.path().join("out.mp4"))
        .output()
        .unwrap();
    let seconds: f64 = String::from_utf8_lossy(&out.stdout).trim().parse().unwrap();
    assert!((seconds - 1.0).abs() < 0.06, "{seconds}");
}

/// Colours of the first stream: pixels, transfer, primaries.
fn colours(path: &Path) -> String {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries"])
        .args([
            "stream=pix_fmt,color_transfer,color_primaries",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn high_dynamic_range_is_kept_or_mapped_and_said() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, transfer, said) in [("pq", "smpte2084", "PQ"), ("hlg", "arib-std-b67", "HLG")] {
        let input = format!("{name}.mp4");
        let params =
            format!("colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=error");
        render(
            dir.path(),
            &input,
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc=s=160x120:r=10:d=0.5",
                "-pix_fmt",
                "yuv420p10le",
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                &params,
            ],
        );
        let out = unface(dir.path(), &[&input, "-o", "kept.mp4", "--overwrite"]);
        done(&out);
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            message.contains(said) && message.contains("kept"),
            "{message}"
        );
        assert_eq!(
            colours(&dir.path().join("kept.mp4")),
            format!("yuv420p10le,{transfer},bt2020")
        );
        let out = unface(
            dir.path(),
            &[&input, "-o", "mapped.mp4", "--overwrite", "--tone-map"],
        );
        let message = String::from_utf8_lossy(&out.stderr).into_owned();
        if message.contains("zscale") {
            eprintln!("SKIPPED: ffmpeg can't map tones");
            continue;
        }
        done(&out);
        assert!(message.contains("BT.709"), "{message}");
        assert_eq!(
            colours(&dir.path().join("mapped.mp4")),
            "yuv420p,bt709,bt709"
        );
    }
}

#[test]
fn what_was_wrong_with_a_video_and_let_pass_is_said_and_reported() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = pan(
        dir.path(),
        "in.mp4",
        &["-movflags", "+faststart", "-g", "4"],
    );
    let mut bytes = fs::read(&clip).unwrap();
    let from = bytes.len() * 3 / 4;
    for byte in &mut bytes[from..from + 60] {
        *byte ^= 0x5A;
    }
    fs::write(&clip, bytes).unwrap();
    let args = ["in.mp4", "-o", "out.mp4", "--report", "r.jsonl"];
    let refused = unface(dir.path(), &args);
    assert_eq!(refused.status.code(), Some(1));
    let args = [&args[..3], &["--allow-damaged", "--report", "s.jsonl"]].concat();
    let out = unface(dir.path(), &args);
    done(&out);
    let message = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        message.contains("damaged, covered what is there ("),
        "{message}"
    );
    assert!(message.contains("1 video done"), "{message}");
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("s.jsonl")).unwrap()).unwrap();
    assert!(report["damage"].as_str().is_some_and(|d| d.len() > 5));
}

#[test]
fn pixels_behind_the_edge_that_parameters_set_are_found() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (codec, filter) in [
        (
            "libx264",
            "h264_metadata=crop_left=16:crop_right=0:crop_top=0:crop_bottom=0",
        ),
        (
            "libx265",
            "hevc_metadata=crop_left=16:crop_right=0:crop_top=0:crop_bottom=0",
        ),
    ] {
        let args = [
            "-f",
            "lavfi",
            "-i",
            "testsrc=s=160x112:r=10:d=0.3",
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            codec,
            "-preset",
            "ultrafast",
        ];
        let plain = render(dir.path(), "plain.mp4", &args);
        let hides = render(
            dir.path(),
            "hides.mp4",
            &[&args[..], &["-bsf:v", filter]].concat(),
        );
        let hidden = |path: &Path| {
            let leaks = verify::inspect(&fs::read(path).unwrap()).leaks;
            leaks
                .iter()
                .any(|l| l.kind == verify::LeakKind::HiddenPixels)
        };
        assert!(!hidden(&plain) && hidden(&hides), "{codec}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_length_of_a_video() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // So many frames a second that few of them are searched.
    let peak = |frames: u32| {
        let seconds = f64::from(frames) / 600.0;
        let source = format!("color=gray:s=1920x1080:r=600:d={seconds}");
        render(
            dir.path(),
            "in.mp4",
            &[
                "-f",
                "lavfi",
                "-i",
                &source,
                "-pix_fmt",
                "yuv420p",
                "-preset",
                "ultrafast",
            ],
        );
        let mut child = Command::new(env!("CARGO_BIN_EXE_unface"))
            .current_dir(dir.path())
            .args([
                "in.mp4",
                "-o",
                "out.mp4",
                "-q",
                "--overwrite",
                "--preset",
                "ultrafast",
            ])
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut most = 0;
        let ended = loop {
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
            let kib = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok());
            most = most.max(kib.unwrap_or(0u64));
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        assert!(ended.success());
        assert!(most > 0, "the system says how much it takes");
        most / 1024
    };
    let (short, long) = (peak(60), peak(180));
    // Both are long enough for all threads to have searched. A picture takes 3 MiB: 120 more of
    // them would take 360.
    assert!(long < short + 64, "{short} MiB, then {long} MiB");
    assert!(long < 500, "{long} MiB");
}
