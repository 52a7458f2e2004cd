//! Which frames of a video are searched and how: pixels that are not square, strobes, interlaced fields, high dynamic range
//! on ordinary numbers, files that change meanwhile, cuts and frames far apart.
//! Skipped, and said so, where ffmpeg is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
};

use image::RgbImage;
use unface::{
    Rect,
    decode::{
        self,
        clip::{Clip, ClipOptions, FirstPass, Uncut},
    },
    ffmpeg::StreamError,
    pipeline::{Faces, Outcome, Pass, Progress, Settings, Task, VideoOptions},
    redact::{self, Effect},
    report::Boxes,
};

mod program;
use program::{code, done, ffmpeg, render, samples, says, text, truth, unface};

const FILL: [&str; 6] = ["-q", "--effect", "fill", "--color", "ff00ff", "--overwrite"];

/// The portrait's face as shares of its picture of 600 × 750: left, top, right, bottom.
fn face() -> [f32; 4] {
    let [x1, y1, x2, y2] = truth("portrait.jpg")[0];
    [x1 / 600.0, y1 / 750.0, x2 / 600.0, y2 / 750.0]
}

fn portrait() -> String {
    samples().join("portrait.jpg").to_str().unwrap().to_owned()
}

/// A clip of the portrait alone: `filters`, then how it is encoded.
fn still(dir: &Path, name: &str, filters: &str, extra: &[&str]) -> PathBuf {
    let portrait = portrait();
    let mut args = vec!["-loop", "1", "-framerate", "25", "-i", &portrait];
    args.extend(["-vf", filters, "-frames:v", "8", "-pix_fmt", "yuv420p"]);
    args.extend(extra);
    render(dir, name, &args)
}

/// The frames of a video as they are shown by a player that makes pixels square.
fn frames(path: &Path) -> Vec<RgbImage> {
    let size = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=width,height"])
        .arg(path)
        .output()
        .unwrap();
    let size = text(&size.stdout);
    let (w, h) = size.trim().trim_end_matches(',').split_once(',').unwrap();
    let (w, h): (u32, u32) = (w.parse().unwrap(), h.parse().unwrap());
    let raw = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args([
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ])
        .output()
        .unwrap();
    let frame = |bytes: &[u8]| RgbImage::from_raw(w, h, bytes.to_vec()).unwrap();
    raw.stdout
        .chunks_exact((w * h * 3) as usize)
        .map(frame)
        .collect()
}

/// The share of a part of a picture (in shares of its sides) that is of the covers' colour.
fn covered(picture: &RgbImage, [x1, y1, x2, y2]: [f32; 4]) -> f32 {
    let (w, h) = (picture.width() as f32, picture.height() as f32);
    let (mut all, mut hit) = (0, 0);
    for y in (y1 * h) as u32..(y2 * h) as u32 {
        for x in (x1 * w) as u32..(x2 * w) as u32 {
            let p = picture.get_pixel(x, y).0;
            all += 1;
            hit += u32::from(p[0] > 180 && p[1] < 90 && p[2] > 180);
        }
    }
    hit as f32 / all.max(1) as f32
}

fn colourless(picture: &RgbImage) -> bool {
    covered(picture, [0.0, 0.0, 1.0, 1.0]) < 0.001
}

/// Covers a clip and checks that `place` is covered in all of its frames.
#[track_caller]
fn covers_all(dir: &Path, name: &str, place: [f32; 4]) {
    let args = [&[name, "-o", "out.mp4"], &FILL[..]].concat();
    done(&unface(dir, &args));
    let frames = frames(&dir.join("out.mp4"));
    assert!(!frames.is_empty());
    for (i, frame) in frames.iter().enumerate() {
        let share = covered(frame, place);
        assert!(share > 0.9, "frame {i}: {share}");
    }
}

#[test]
fn a_face_in_pixels_that_are_not_square_is_covered_as_it_is_stored() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for aspect in ["3/1", "1/3", "4/1"] {
        let filters = format!("crop=600:600:0:80,scale=400:400,setsar={aspect}");
        still(dir.path(), "in.mp4", &filters, &[]);
        let [x1, y1, x2, y2] = face();
        let moved = |y: f32| (y * 750.0 - 80.0) / 600.0;
        covers_all(dir.path(), "in.mp4", [x1, moved(y1), x2, moved(y2)]);
    }
}

#[test]
fn pixels_of_absurd_shape_are_refused() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for aspect in ["5/1", "1/5", "65000/1"] {
        still(
            dir.path(),
            "in.mp4",
            &format!("scale=300:400,setsar={aspect}"),
            &[],
        );
        let output = unface(dir.path(), &["in.mp4", "-o", "out.mp4"]);
        code(&output, 1);
        says(&output, "setsar=1");
        assert!(!dir.path().join("out.mp4").exists());
    }
}

#[test]
fn a_shape_of_pixels_that_changes_midway_is_refused() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for (name, aspect) in [("a.ts", "1/1"), ("b.ts", "3/1")] {
        let filters = format!("scale=300:400,setsar={aspect}");
        still(dir.path(), name, &filters, &["-g", "4"]);
        list += &format!("file {name}\n");
    }
    let list_at = dir.path().join("list");
    fs::write(&list_at, list).unwrap();
    let list_at = list_at.to_str().unwrap();
    render(
        dir.path(),
        "in.ts",
        &["-f", "concat", "-i", list_at, "-c", "copy"],
    );
    let output = unface(dir.path(), &["in.ts", "-o", "out.mp4"]);
    code(&output, 1);
    says(&output, "shape of its pixels midway");
}

/// Pipes YUV4MPEG2 through the program: `filters` of the portrait, and what came out.
fn piped(dir: &Path, filters: &str) -> std::process::Output {
    let portrait = portrait();
    let y4m = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-loop", "1", "-i", &portrait])
        .args(["-vf", filters, "-frames:v", "8", "-pix_fmt", "yuv420p"])
        .args(["-f", "yuv4mpegpipe", "-"])
        .output()
        .unwrap();
    let args = [&["-", "-o", "out.y4m"], &FILL[..]].concat();
    let mut child = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // What is refused at its first line is not read to its end.
    let _ = stdin.write_all(&y4m.stdout);
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn a_stream_of_pixels_that_are_not_square_is_searched_as_it_is_stored_or_refused() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    done(&piped(dir.path(), "scale=400:500,setsar=3/1"));
    for frame in frames(&dir.path().join("out.y4m")) {
        assert!(covered(&frame, face()) > 0.9);
    }
    let output = piped(dir.path(), "scale=400:500,setsar=9/1");
    code(&output, 1);
    says(&output, "setsar=1");
}

/// A still background of `rate` frames a second for a quarter of a second on which the portrait is laid at `x`, 100 in the frames that
/// ffmpeg's expression `when` of `n` names.
fn strobe(dir: &Path, rate: u32, x: &str, when: &str) {
    let (nobody, portrait) = (samples().join("nobody.jpg"), portrait());
    let rate = rate.to_string();
    let overlay = format!(
        "[0]scale=960:540[b];[1]scale=-2:300[f];[b][f]overlay=x='{x}':y=100:enable='{when}'"
    );
    let args = [
        "-loop",
        "1",
        "-framerate",
        &rate,
        "-i",
        nobody.to_str().unwrap(),
        "-loop",
        "1",
        "-framerate",
        &rate,
        "-i",
        &portrait,
        "-filter_complex",
        &overlay,
        "-t",
        "0.25",
        "-pix_fmt",
        "yuv420p",
        "-preset",
        "ultrafast",
        "-crf",
        "12",
    ];
    render(dir, "in.mp4", &args);
}

/// The portrait's face where [`strobe`] lays it at `x`.
fn laid(x: f32) -> [f32; 4] {
    let [x1, y1, x2, y2] = face();
    let (w, h) = (240.0, 300.0);
    [
        (x + x1 * w) / 960.0,
        (100.0 + y1 * h) / 540.0,
        (x + x2 * w) / 960.0,
        (100.0 + y2 * h) / 540.0,
    ]
}

#[test]
fn a_face_between_the_frames_that_are_searched_is_covered_in_all_of_its_frames() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (rate, every) in [(30, 2), (60, 4), (240, 6)] {
        strobe(dir.path(), rate, "360", &format!("mod(n,{every})"));
        let args = [&["in.mp4", "-o", "out.mp4"], &FILL[..]].concat();
        done(&unface(dir.path(), &args));
        for (i, frame) in frames(&dir.path().join("out.mp4")).iter().enumerate() {
            let share = covered(frame, laid(360.0));
            assert!(
                i % every == 0 || share > 0.9,
                "{rate} a second, frame {i}: {share}"
            );
        }
    }
}

#[test]
fn a_face_that_jumps_with_every_frame_is_covered_where_it_is() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    strobe(dir.path(), 30, "if(mod(n,2),40,640)", "1");
    let args = [&["in.mp4", "-o", "out.mp4"], &FILL[..]].concat();
    done(&unface(dir.path(), &args));
    for (i, frame) in frames(&dir.path().join("out.mp4")).iter().enumerate() {
        let x = if i % 2 == 1 { 40.0 } else { 640.0 };
        let share = covered(frame, laid(x));
        assert!(share > 0.9, "frame {i}: {share}");
    }
}

#[test]
fn fields_that_differ_are_each_searched() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let filters = "scale=600:752,split[a][b];[b]negate[c];[a][c]blend=all_expr='if(mod(Y,2),A,B)'";
    let how = [
        "-crf",
        "12",
        "-flags",
        "+ilme+ildct",
        "-x264-params",
        "tff=1",
    ];
    still(dir.path(), "in.mp4", filters, &how);
    covers_all(dir.path(), "in.mp4", face());
    let order = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "stream=field_order",
            "-of",
            "csv=p=0",
        ])
        .arg(dir.path().join("out.mp4"))
        .output()
        .unwrap();
    assert!(
        ["tt", "tb"].contains(&text(&order.stdout).trim()),
        "{order:?}"
    );
}

#[test]
fn interlacing_that_only_the_frames_know_is_kept() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    still(dir.path(), "in.avi", "scale=720:576", &["-c:v", "dvvideo"]);
    let args = [&["in.avi", "-o", "out.mp4"], &FILL[..]].concat();
    done(&unface(dir.path(), &args));
    let flags = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "frame=interlaced_frame",
            "-of",
            "csv=p=0",
        ])
        .arg(dir.path().join("out.mp4"))
        .output()
        .unwrap();
    let flags = text(&flags.stdout);
    assert!(flags.lines().all(|l| l.starts_with('1')), "{flags}");
}

#[test]
fn an_orientation_that_only_the_frames_know_is_applied() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let turned = "h264_metadata=display_orientation=insert:rotate=90";
    still(
        dir.path(),
        "in.mp4",
        "scale=400:500,transpose=clock",
        &["-bsf:v", turned],
    );
    let shown = &frames_as_shown(dir.path(), "in.mp4")[0];
    assert_eq!((shown.width(), shown.height()), (400, 500));
    covers_all(dir.path(), "in.mp4", face());
}

/// The frames as ffmpeg turns them by default.
fn frames_as_shown(dir: &Path, name: &str) -> Vec<RgbImage> {
    let input = dir.join(name);
    frames(&render(
        dir,
        "shown.mkv",
        &["-i", input.to_str().unwrap(), "-c:v", "ffv1"],
    ))
}

fn opened(path: &Path, demuxer: &'static str) -> Clip {
    let options = ClipOptions {
        allow_damaged: false,
        max_memory: 512 << 20,
        tone_map: false,
        keep_chroma: false,
        fit: false,
        stream: None,
    };
    Clip::open(File::open(path).unwrap(), path, demuxer, options).unwrap()
}

const SEARCHED: FirstPass = FirstPass {
    pixels: Some(1_000_000),
    audio: false,
    fingerprints: true,
};

#[test]
fn numbers_under_a_label_of_high_dynamic_range_are_searched_as_they_are_too() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let label = [
        "-color_primaries",
        "bt2020",
        "-colorspace",
        "bt2020nc",
        "-crf",
        "8",
    ];
    let plain = still(dir.path(), "a.mp4", "scale=300:400", &label);
    let labelled = still(
        dir.path(),
        "b.mp4",
        "scale=300:400",
        &[&label[..], &["-color_trc", "smpte2084"]].concat(),
    );
    let copies = |path: &Path| {
        let mut search = opened(path, "mov").search(&SEARCHED).unwrap();
        search.picture().unwrap().unwrap().0
    };
    let (plain, labelled) = (copies(&plain), copies(&labelled));
    let same = |frame: &unface::Frame| frame.pixels() == plain.main.pixels();
    assert!(same(&labelled.main) || labelled.others.iter().any(same));
}

#[test]
fn frames_that_are_not_those_that_were_searched_are_an_error() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let raw = ["-c:v", "rawvideo"];
    let first = still(dir.path(), "a.avi", "scale=64:64", &raw);
    let second = still(dir.path(), "b.avi", "scale=64:64,hflip", &raw);
    let clip = opened(&first, "avi");
    let mut search = clip.search(&SEARCHED).unwrap();
    while search.picture().unwrap().is_some() {}
    let known = search.fingerprints();
    assert_eq!(known.as_ref().map(|k| k.len()), Some(8));
    let read = || {
        let mut frames = clip.planes(false, known.clone()).unwrap();
        let mut count = 0;
        while let Some(part) = frames.part()? {
            count += usize::from(matches!(part, Uncut::Picture(_)));
        }
        Ok::<usize, StreamError>(count)
    };
    assert_eq!(read(), Ok(8));
    let other = fs::read(second).unwrap();
    let mut file = File::options().write(true).open(&first).unwrap();
    file.write_all(&other).unwrap();
    assert_eq!(read(), Err(StreamError::Changed));
}

/// Puts other bytes into a file once the first frame is covered.
struct Swap {
    file: PathBuf,
    bytes: Vec<u8>,
    error: Mutex<String>,
}

impl Progress for Swap {
    fn finished(&self, outcome: &Outcome) -> io::Result<()> {
        let error = outcome.error.as_ref().map(ToString::to_string);
        *self.error.lock().unwrap() = error.unwrap_or_default();
        Ok(())
    }

    fn frames(&self, _: &Path, pass: Pass, done: usize, _: Option<usize>, _: usize) {
        if pass == Pass::Cover && done == 1 {
            let times = fs::metadata(&self.file).unwrap().modified().unwrap();
            fs::write(&self.file, &self.bytes).unwrap();
            let file = File::options().write(true).open(&self.file).unwrap();
            file.set_modified(times).unwrap();
        }
    }
}

#[test]
fn a_frame_of_a_sequence_that_changes_meanwhile_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    let grey = RgbImage::from_pixel(32, 32, image::Rgb([90, 90, 90]));
    let mut lines = String::new();
    for number in 0..3 {
        let path = folder.join(format!("{number}.bmp"));
        grey.save(&path).unwrap();
        lines += &format!(
            "{{\"version\":1,\"path\":{:?},\"frame\":{number},\"width\":32,\"height\":32,\"faces\":[]}}\n",
            folder.to_str().unwrap()
        );
    }
    let last = folder.join("2.bmp");
    let mut bytes = fs::read(&last).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let swap = Swap {
        file: last,
        bytes,
        error: Mutex::default(),
    };
    let out = dir.path().join("out");
    let summary = unface::run(&sequence(&folder, out.as_os_str(), &lines), &swap).unwrap();
    let error = swap.error.lock().unwrap();
    assert!(error.contains("changed while it was read"), "{error}");
    assert_eq!(summary.failed, 1);
    assert!(!out.exists() || fs::read_dir(out).unwrap().count() == 0);
}

/// Settings for a folder of frames with boxes that are given.
fn sequence(folder: &Path, out: &OsStr, boxes: &str) -> Settings<'static> {
    Settings {
        request: unface::discover::Request {
            inputs: vec![folder.to_path_buf()],
            output: Some(out.to_os_string()),
            sequence: true,
            ..Default::default()
        },
        list: None,
        decode: decode::Options::default(),
        faces: Faces::Given(Boxes::parse(boxes).unwrap()),
        task: Task::Cover {
            redact: redact::Options {
                effect: Effect::Blur { cells: 4 },
                region: 1.3,
            },
            quality: 92,
            places: vec![Rect::new(4.0, 4.0, 12.0, 12.0)],
            preview: false,
            seed: Some(1),
            noise: 1.0,
            recheck: None,
            scramble: false,
            video: VideoOptions::default(),
        },
        workers: 1,
        memory: 1 << 30,
        cage: None,
    }
}

#[test]
fn a_video_too_large_for_small_faces_to_be_found_is_named_and_counted() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let grey = |size: &str, name: &str| {
        let source = format!("color=gray:s={size}:r=25");
        render(
            dir.path(),
            name,
            &[
                "-f",
                "lavfi",
                "-i",
                &source,
                "-frames:v",
                "2",
                "-preset",
                "ultrafast",
            ],
        )
    };
    grey("3840x2160", "large.mp4");
    grey("1920x1080", "usual.mp4");
    let run = |name: &str, more: &[&str]| {
        unface(
            dir.path(),
            &[&[name, "-o", "out.mp4", "--overwrite"], more].concat(),
        )
    };
    let output = run("large.mp4", &["--strict"]);
    code(&output, 1);
    says(&output, "faces less than 32 pixels high");
    done(&run("large.mp4", &[]));
    let output = run("usual.mp4", &[]);
    done(&output);
    assert!(!text(&output.stderr).contains("pixels high"));
}

#[test]
fn no_cover_of_one_shot_stands_in_the_next() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Two pictures of the same brightness and colours, differently arranged.
    let (nobody, portrait) = (samples().join("nobody.jpg"), portrait());
    let joined = "[0]scale=640:480,split[a][b];[1]scale=-2:400[f];[a][f]overlay=40:40:shortest=1,trim=end_frame=12[x];[b]hflip,trim=end_frame=12[y];[x][y]concat";
    let args = [
        "-loop",
        "1",
        "-framerate",
        "25",
        "-i",
        nobody.to_str().unwrap(),
        "-loop",
        "1",
        "-framerate",
        "25",
        "-i",
        &portrait,
        "-filter_complex",
        joined,
        "-frames:v",
        "24",
        "-pix_fmt",
        "yuv420p",
        "-crf",
        "12",
        "-preset",
        "veryfast",
    ];
    render(dir.path(), "in.mp4", &args);
    let args = [&["in.mp4", "-o", "out.mp4"], &FILL[..]].concat();
    done(&unface(dir.path(), &args));
    let frames = frames(&dir.path().join("out.mp4"));
    assert_eq!(frames.len(), 24);
    assert!(frames[..12].iter().all(|f| !colourless(f)));
    assert!(frames[12..].iter().all(colourless));
}

#[test]
fn frames_far_apart_in_time_hold_no_covers_of_one_another() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let overlay = "[0]scale=640:480[b];[1]scale=-2:400[f];[b][f]overlay=40:40:enable='eq(n,2)'";
    let (nobody, portrait) = (samples().join("nobody.jpg"), portrait());
    let args = [
        "-loop",
        "1",
        "-framerate",
        "1",
        "-i",
        nobody.to_str().unwrap(),
        "-loop",
        "1",
        "-framerate",
        "1",
        "-i",
        &portrait,
        "-filter_complex",
        overlay,
        "-frames:v",
        "5",
        "-pix_fmt",
        "yuv420p",
        "-crf",
        "12",
    ];
    render(dir.path(), "in.mp4", &args);
    let args = [&["in.mp4", "-o", "out.mp4"], &FILL[..]].concat();
    done(&unface(dir.path(), &args));
    let frames = frames(&dir.path().join("out.mp4"));
    let bare: Vec<bool> = frames.iter().map(colourless).collect();
    assert_eq!(bare, [true, true, false, true, true]);
}
