//! Pictures that move, from outside: animations, YUV4MPEG2 and folders of frames, made by the tests
//! themselves from the samples, through the program, and what comes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

mod program;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use image::{DynamicImage, Rgba, RgbaImage};
use program::{code, names, samples, text, unface};
use unface::{Format, decode, verify};

const PINK: [&str; 4] = ["--effect", "fill", "--color", "ff00ff"];

fn pink(p: &Rgba<u8>) -> bool {
    p.0[0] > 180 && p.0[1] < 90 && p.0[2] > 180
}

/// The group of drawn people, panned over by 6 pixels a frame.
fn pan(frames: u32) -> Vec<RgbaImage> {
    let bytes = fs::read(samples().join("group.jpg")).unwrap();
    let photo = decode::photo(&bytes, &decode::Options::default()).unwrap();
    let group = photo.frame.into_pixels().into_rgba8();
    (0..frames)
        .map(|i| image::imageops::crop_imm(&group, i * 6, 130, 480, 240).to_image())
        .collect()
}

/// Where their faces are in a frame of [`pan`].
fn truth(frame: usize) -> Vec<[f32; 4]> {
    let dx = 6.0 * frame as f32;
    program::truth("group.jpg")
        .into_iter()
        .map(|b| [b[0] - dx, b[1] - 130.0, b[2] - dx, b[3] - 130.0])
        .filter(|b| b[0] >= 0.0 && b[1] >= 0.0 && b[2] <= 480.0 && b[3] <= 240.0)
        .collect()
}

/// Frames, how often they are played and how long each is shown, in milliseconds, as files.
fn gif(frames: &[RgbaImage], delays: &[u16], again: Option<u16>) -> Vec<u8> {
    let (w, h) = frames[0].dimensions();
    let mut out = Vec::new();
    let mut encoder = gif::Encoder::new(&mut out, w as u16, h as u16, &[]).unwrap();
    if let Some(again) = again {
        let repeat = if again == 0 {
            gif::Repeat::Infinite
        } else {
            gif::Repeat::Finite(again)
        };
        encoder.set_repeat(repeat).unwrap();
    }
    for (frame, delay) in frames.iter().zip(delays) {
        // Six levels of red, green and blue, and a colour for what is transparent.
        let level = |v: u8| (u16::from(v) * 5 + 127) / 255;
        let index = |p: &Rgba<u8>| {
            let [r, g, b] = [p.0[0], p.0[1], p.0[2]].map(level);
            if p.0[3] == 0 {
                216
            } else {
                (36 * r + 6 * g + b) as u8
            }
        };
        let palette: Vec<u8> = (0..216u16)
            .flat_map(|i| [i / 36, i / 6 % 6, i % 6].map(|v| (v * 51) as u8))
            .chain([0; 3])
            .collect();
        let indices: Vec<u8> = frame.pixels().map(index).collect();
        let hole = indices.contains(&216).then_some(216);
        let mut frame = gif::Frame::from_palette_pixels(w as u16, h as u16, indices, palette, hole);
        frame.delay = delay / 10;
        frame.dispose = gif::DisposalMethod::Background;
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    out
}

fn apng(frames: &[RgbaImage], delays: &[(u16, u16)], plays: u32) -> Vec<u8> {
    let (w, h) = frames[0].dimensions();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, w, h);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(frames.len() as u32, plays).unwrap();
    encoder
        .add_text_chunk("Comment".into(), "CANARY-text".into())
        .unwrap();
    let mut writer = encoder.write_header().unwrap();
    for (frame, delay) in frames.iter().zip(delays) {
        writer.set_frame_delay(delay.0, delay.1).unwrap();
        writer.set_dispose_op(png::DisposeOp::Background).unwrap();
        writer.write_image_data(frame.as_raw()).unwrap();
    }
    writer.finish().unwrap();
    out
}

fn webp(frames: &[RgbaImage], delays: &[u32], plays: u16) -> Vec<u8> {
    let (w, h) = frames[0].dimensions();
    let three = |v: u32| v.to_le_bytes()[..3].to_vec();
    let chunk = |kind: &[u8], content: &[u8]| {
        let mut out = kind.to_vec();
        out.extend((content.len() as u32).to_le_bytes());
        out.extend(content);
        out.extend(vec![0; content.len() % 2]);
        out
    };
    let mut body = b"WEBP".to_vec();
    let header = [vec![0x12 | 8, 0, 0, 0], three(w - 1), three(h - 1)].concat();
    body.extend(chunk(b"VP8X", &header));
    body.extend(chunk(
        b"ANIM",
        &[vec![1, 2, 3, 4], plays.to_le_bytes().to_vec()].concat(),
    ));
    for (frame, delay) in frames.iter().zip(delays) {
        let mut one = Vec::new();
        image_webp::WebPEncoder::new(&mut one)
            .encode(frame, w, h, image_webp::ColorType::Rgba8)
            .unwrap();
        let head = [
            three(0),
            three(0),
            three(w - 1),
            three(h - 1),
            three(*delay),
            // Drawn over what is there, which is cleared after each frame.
            vec![1],
        ]
        .concat();
        body.extend(chunk(b"ANMF", &[&head[..], &one[12..]].concat()));
    }
    body.extend(chunk(b"XMP ", b"CANARY-xmp"));
    let mut out = b"RIFF".to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out
}

/// Frames as they are shown, each with its time in seconds, and how often they are played.
fn shown(path: &Path) -> (Vec<(RgbaImage, f64)>, u32) {
    let bytes = fs::read(path).unwrap();
    let animation = decode::animation::open(bytes, &decode::Options::default()).unwrap();
    let frames = animation
        .frames()
        .unwrap()
        .map(|f| f.unwrap())
        .map(|(f, d)| (f.into_pixels().into_rgba8(), d.seconds()))
        .collect();
    (frames, animation.plays())
}

#[track_caller]
fn covers(picture: &RgbaImage, faces: &[[f32; 4]], name: &str) {
    for face in faces {
        let [x1, y1, x2, y2] = face.map(|v| v as u32);
        let all = (x2 - x1) * (y2 - y1);
        let hit = (y1..y2)
            .flat_map(|y| (x1..x2).map(move |x| (x, y)))
            .filter(|(x, y)| pink(picture.get_pixel(*x, *y)))
            .count();
        assert!(
            hit as f32 > 0.8 * all as f32,
            "{name}: {face:?} is visible, {hit} of {all}"
        );
    }
}

/// Lines of boxes that say that nobody is seen in any of so many frames.
fn nobody(name: &str, frames: usize) -> String {
    (0..frames)
        .map(|frame| format!("{{\"path\":\"{name}\",\"frame\":{frame},\"faces\":[]}}\n"))
        .collect()
}

#[test]
fn every_frame_of_an_animation_is_covered_and_its_times_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let frames = pan(5);
    let inputs = [
        ("a.gif", gif(&frames, &[70, 100, 20, 250, 130], Some(0))),
        ("b.gif", gif(&frames, &[70, 100, 20, 250, 130], Some(4))),
        ("c.webp", webp(&frames, &[71, 100, 33, 250, 133], 3)),
        (
            "d.png",
            apng(&frames, &[(1, 30), (1, 30), (7, 100), (3, 0), (1, 3)], 2),
        ),
    ];
    for (name, bytes) in &inputs {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let mut args: Vec<&str> = inputs.iter().map(|i| i.0).collect();
    args.extend(["-o", "safe/", "--report", "r.jsonl"]);
    args.extend(PINK);
    let out = unface(dir.path(), &args);
    code(&out, 0);
    assert!(
        text(&out.stderr).contains("4 animations done"),
        "{}",
        text(&out.stderr)
    );
    for (name, _) in &inputs {
        let (before, plays) = shown(&dir.path().join(name));
        let (after, again) = shown(&dir.path().join("safe").join(name));
        assert_eq!((plays, before.len()), (again, after.len()), "{name}");
        for (i, ((_, is), (_, due))) in after.iter().zip(&before).enumerate() {
            assert!((is - due).abs() < 1e-9, "{name} {i}: {is} {due}");
        }
        for (i, (picture, _)) in after.iter().enumerate() {
            let faces = truth(i);
            assert!(!faces.is_empty());
            covers(picture, &faces, &format!("{name} {i}"));
        }
        let bytes = fs::read(dir.path().join("safe").join(name)).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"CANARY"), "{name}");
        assert_eq!(verify::inspect(&bytes).leaks, [], "{name}");
    }
    let report = fs::read_to_string(dir.path().join("r.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["video"]["kind"], &line["video"]["frames"]),
        (&"animation".into(), &5.into())
    );
}

/// A disc that wanders over nothing, and comes back where it was.
fn discs() -> Vec<RgbaImage> {
    (0..6u32)
        .map(|i| {
            RgbaImage::from_fn(40, 30, |x, y| {
                let (dx, dy) = (x as i32 - 8 - 4 * (i as i32 % 4), y as i32 - 12);
                if dx * dx + dy * dy < 40 {
                    Rgba([200, 30 + 20 * i as u8, (x * 6) as u8, 255])
                } else {
                    Rgba([0; 4])
                }
            })
        })
        .collect()
}

#[test]
fn what_is_not_covered_comes_out_as_it_was_with_its_transparency() {
    let dir = tempfile::tempdir().unwrap();
    let frames = discs();
    let inputs = [
        ("a.gif", gif(&frames, &[50; 6], None)),
        ("b.webp", webp(&frames, &[40; 6], 0)),
        ("c.png", apng(&frames, &[(1, 25); 6], 0)),
    ];
    let mut lines = String::new();
    for (name, bytes) in &inputs {
        fs::write(dir.path().join(name), bytes).unwrap();
        lines += &nobody(name, 6);
    }
    fs::write(dir.path().join("none.jsonl"), lines).unwrap();
    let args = [
        "a.gif",
        "b.webp",
        "c.png",
        "-o",
        "safe/",
        "--boxes",
        "none.jsonl",
    ];
    code(&unface(dir.path(), &args), 0);
    for (name, _) in &inputs {
        let (before, plays) = shown(&dir.path().join(name));
        let (after, again) = shown(&dir.path().join("safe").join(name));
        assert_eq!(plays, again, "{name}");
        // The disc moves: each frame clears the one before, or all would be smeared.
        assert!(before[0].0 != before[1].0 && before[0].0.get_pixel(30, 12).0[3] == 0);
        assert!(before == after, "{name}");
    }
}

#[test]
fn a_place_or_a_box_outside_an_animation_covered_nothing_and_was_called_covered() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.gif"), gif(&discs(), &[50; 6], Some(0))).unwrap();
    fs::write(dir.path().join("b.webp"), webp(&discs(), &[40; 6], 0)).unwrap();
    for name in ["a.gif", "b.webp"] {
        let boxes = |faces: &str| {
            let all = nobody(name, 6);
            let (before, after) = all.split_once("\"frame\":1,\"faces\":[").unwrap();
            let all = format!("{before}\"frame\":1,\"faces\":[{faces}{after}");
            fs::write(dir.path().join("boxes"), all).unwrap();
        };
        boxes("");
        let place = ["--cover", "9000,9000,10,10"];
        let out = unface(dir.path(), &[name, "--boxes", "boxes", place[0], place[1]]);
        code(&out, 1);
        let told = text(&out.stderr);
        assert!(told.contains("the place to cover, 9000,9000"), "{told}");
        boxes("{\"x1\":9000,\"y1\":10,\"x2\":9010,\"y2\":60}");
        let out = unface(dir.path(), &[name, "--boxes", "boxes"]);
        code(&out, 1);
        let told = text(&out.stderr);
        assert!(told.contains("has a box outside this picture"), "{told}");
    }
    assert_eq!(names(dir.path()), ["a.gif", "b.webp", "boxes"]);
}

#[test]
fn an_animation_becomes_another_one_but_no_still_picture() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.gif"), gif(&discs(), &[50; 6], Some(0))).unwrap();
    fs::write(dir.path().join("none.jsonl"), nobody("a.gif", 6)).unwrap();
    let none = ["--boxes", "none.jsonl"];
    let out = unface(dir.path(), &["a.gif", "-o", "a.jpg", none[0], none[1]]);
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("--format gif, webp or png"),
        "{}",
        text(&out.stderr)
    );
    assert!(!dir.path().join("a.jpg").exists());
    let (before, plays) = shown(&dir.path().join("a.gif"));
    for (name, format) in [("a.webp", Format::WebP), ("a.png", Format::Png)] {
        code(
            &unface(dir.path(), &["a.gif", "-o", name, none[0], none[1]]),
            0,
        );
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert_eq!(verify::inspect(&bytes).format, Some(format));
        let (after, again) = shown(&dir.path().join(name));
        assert_eq!(plays, again);
        assert!(before == after, "{name}");
    }
}

#[test]
fn the_verifier_names_what_is_planted_in_an_animation() {
    let dir = tempfile::tempdir().unwrap();
    let frames = discs();
    let inputs = [
        ("a.gif", gif(&frames, &[50; 6], Some(0))),
        ("b.webp", webp(&frames, &[40; 6], 0)),
        ("c.png", apng(&frames, &[(1, 25); 6], 0)),
    ];
    for (name, bytes) in &inputs {
        fs::write(dir.path().join(name), bytes).unwrap();
        fs::write(dir.path().join("b.jsonl"), nobody(name, 6)).unwrap();
        let args = [name, "-o", "safe/", "--boxes", "b.jsonl"];
        code(&unface(dir.path(), &args), 0);
        let clean = fs::read(dir.path().join("safe").join(name)).unwrap();
        let found = verify::inspect(&clean);
        assert_eq!(found.leaks, [], "{name}");
        let moving = found.moving.expect("it moves");
        assert_eq!(moving.delays.len(), 6);
        // A still picture is no animation.
        assert!(verify::check(&clean, found.format.unwrap(), 40, 30).is_err());
        let format = found.format.unwrap();
        let meant = |m: &verify::Moving| verify::check_animation(&clean, format, (40, 30), m);
        assert!(meant(&moving).is_ok(), "{name}");
        let mut other = moving.clone();
        other.delays[2] += 0.02;
        assert!(meant(&other).is_err(), "{name}: a frame for too long");
        let mut other = moving.clone();
        other.delays.pop();
        assert!(meant(&other).is_err(), "{name}: a frame too many");
        let mut other = moving.clone();
        other.plays += 1;
        assert!(meant(&other).is_err(), "{name}: a round more");
        assert!(
            !verify::inspect(&[&clean[..], b"CANARY"].concat())
                .leaks
                .is_empty(),
            "{name}: a tail"
        );
        for cut in [10, 50, 90] {
            let _ = verify::inspect(&clean[..clean.len() * cut / 100]);
        }
    }
    // Another application's block, a comment, a picture that waits for a person.
    let clean = fs::read(dir.path().join("safe/a.gif")).unwrap();
    let loops = clean.windows(8).position(|w| w == b"NETSCAPE").unwrap();
    let mut other = clean.clone();
    other[loops..loops + 8].copy_from_slice(b"ANIMEXTS");
    assert!(!verify::inspect(&other).leaks.is_empty());
    let mut comment = clean.clone();
    comment.splice(loops - 3..loops - 3, *b"\x21\xFE\x06CANARY\0");
    assert!(!verify::inspect(&comment).leaks.is_empty());
    let control = clean.windows(3).position(|w| w == b"\x21\xF9\x04").unwrap();
    for flags in [2, 0x0C, 0x80] {
        let mut waits = clean.clone();
        waits[control + 3] |= flags;
        assert!(!verify::inspect(&waits).leaks.is_empty(), "{flags:x}");
    }
    // A background colour, a frame that clears.
    let clean = fs::read(dir.path().join("safe/b.webp")).unwrap();
    let at = clean.windows(4).position(|w| w == b"ANIM").unwrap();
    let mut colour = clean.clone();
    colour[at + 8] = 9;
    assert!(!verify::inspect(&colour).leaks.is_empty());
    let at = clean.windows(4).position(|w| w == b"ANMF").unwrap();
    let mut clears = clean.clone();
    clears[at + 8 + 15] |= 1;
    assert!(!verify::inspect(&clears).leaks.is_empty());
}

#[test]
fn an_animation_that_breaks_off_is_refused_and_its_whole_frames_are_covered_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = gif(&discs(), &[50; 6], Some(0));
    fs::write(dir.path().join("a.gif"), &bytes[..bytes.len() * 3 / 5]).unwrap();
    fs::write(dir.path().join("none.jsonl"), nobody("a.gif", 3)).unwrap();
    let args = ["a.gif", "-o", "safe/", "--boxes", "none.jsonl"];
    let out = unface(dir.path(), &args);
    code(&out, 1);
    assert!(text(&out.stderr).contains("--allow-damaged"));
    assert!(!dir.path().join("safe/a.gif").exists());
    let out = unface(dir.path(), &[&args[..], &["--allow-damaged"]].concat());
    code(&out, 0);
    assert!(
        text(&out.stderr).contains("damaged"),
        "{}",
        text(&out.stderr)
    );
    let frames = shown(&dir.path().join("safe/a.gif")).0.len();
    assert!((2..6).contains(&frames), "{frames}");
}

#[test]
fn detect_prints_a_line_for_each_frame_of_an_animation() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("a.gif"),
        gif(&pan(3), &[100, 200, 100], Some(0)),
    )
    .unwrap();
    let out = unface(dir.path(), &["detect", "a.gif"]);
    code(&out, 0);
    let lines: Vec<serde_json::Value> = text(&out.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[2]["frame"]), (3, &2.into()));
    assert!((lines[2]["time"].as_f64().unwrap() - 0.3).abs() < 1e-6);
    assert!(lines[0]["faces"][0]["track"].is_u64());
}

/// What a program gives for what it gets.
fn pipe(dir: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let out = child.wait_with_output().unwrap();
    feed.join().unwrap();
    out
}

/// Frames as YUV4MPEG2, 4:4:4, and its first line.
fn y4m(head: &str, frames: &[RgbaImage]) -> Vec<u8> {
    let colours = unface::planes::Colours::named(None, None);
    let mut out = format!("{head}\n").into_bytes();
    for frame in frames {
        out.extend(b"FRAME Xwho=CANARY\n");
        for plane in 0..3 {
            out.extend(
                frame
                    .pixels()
                    .map(|p| colours.samples([p.0[0], p.0[1], p.0[2]], 8)[plane] as u8),
            );
        }
    }
    out
}

/// The pictures of such a stream again.
fn pictures(y4m: &[u8], (w, h): (u32, u32)) -> (String, Vec<RgbaImage>) {
    let colours = unface::planes::Colours::named(None, None);
    let line = y4m.iter().position(|b| *b == b'\n').unwrap();
    let plane = (w * h) as usize;
    let rest = &y4m[line + 1..];
    assert_eq!(rest.len() % (6 + 3 * plane), 0, "whole pictures");
    let frames = rest.chunks(6 + 3 * plane).map(|f| {
        assert_eq!(&f[..6], b"FRAME\n");
        RgbaImage::from_fn(w, h, |x, y| {
            let at = 6 + (y * w + x) as usize;
            let [r, g, b] = colours.rgb([f[at], f[at + plane], f[at + 2 * plane]]);
            Rgba([r, g, b, 255])
        })
    });
    (text(&y4m[..line]), frames.collect())
}

#[test]
fn a_stream_of_pictures_is_covered_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    // Long enough that pictures must be handed on before the end is known.
    let frames = pan(40);
    let head = "YUV4MPEG2 W480 H240 F10:1 Ip A1:1 C444 XYSCSS=444 XCOLORRANGE=LIMITED XCANARY";
    let out = pipe(
        dir.path(),
        &[&["-", "-o", "-"], &PINK[..]].concat(),
        &y4m(head, &frames),
    );
    code(&out, 0);
    let (line, covered) = pictures(&out.stdout, (480, 240));
    assert_eq!(
        line,
        "YUV4MPEG2 W480 H240 F10:1 Ip A1:1 C444 XCOLORRANGE=LIMITED"
    );
    assert_eq!(covered.len(), frames.len());
    for (i, picture) in covered.iter().enumerate() {
        covers(picture, &truth(i), &format!("{i}"));
    }
    assert!(
        text(&out.stderr).contains("1 video done"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn a_stream_that_breaks_off_fails_and_none_of_it_is_half_covered() {
    let dir = tempfile::tempdir().unwrap();
    let whole = y4m("YUV4MPEG2 W480 H240 F25:1 C444", &pan(4));
    let out = pipe(dir.path(), &["-", "-o", "-"], &whole[..whole.len() - 1000]);
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("breaks off"),
        "{}",
        text(&out.stderr)
    );
    let _ = pictures(&out.stdout, (480, 240));
    let out = pipe(
        dir.path(),
        &["-", "-o", "a.y4m"],
        &whole[..whole.len() - 1000],
    );
    code(&out, 1);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn kinds_of_streams_keep_their_numbers_outside_of_what_is_covered() {
    let dir = tempfile::tempdir().unwrap();
    for (chroma, samples, bytes) in [
        ("420jpeg", 7 * 5 + 2 * 4 * 3, 1),
        ("420mpeg2", 7 * 5 + 2 * 4 * 3, 1),
        ("422", 7 * 5 + 2 * 4 * 5, 1),
        ("444", 7 * 5 * 3, 1),
        ("mono", 7 * 5, 1),
        ("420p10", 7 * 5 + 2 * 4 * 3, 2),
        ("422p10", 7 * 5 + 2 * 4 * 5, 2),
        ("444p10", 7 * 5 * 3, 2),
    ] {
        let mut input = format!("YUV4MPEG2 W7 H5 F30000:1001 C{chroma}\n").into_bytes();
        for picture in 0..3u32 {
            input.extend(b"FRAME\n");
            for i in 0..samples {
                let value = (i * 7 + picture * 31) % (if bytes == 1 { 256 } else { 1024 });
                input.extend(&value.to_le_bytes()[..bytes]);
            }
        }
        fs::write(dir.path().join("in.y4m"), &input).unwrap();
        fs::write(dir.path().join("none.jsonl"), nobody("in.y4m", 3)).unwrap();
        let args = [
            "in.y4m",
            "-o",
            "out.y4m",
            "--boxes",
            "none.jsonl",
            "--overwrite",
        ];
        code(&unface(dir.path(), &args), 0);
        let output = fs::read(dir.path().join("out.y4m")).unwrap();
        assert!(output == input, "{chroma}");
        assert_eq!(verify::inspect(&output).leaks, [], "{chroma}");
    }
    let out = pipe(dir.path(), &["-"], b"YUV4MPEG2 W7 H5 F25:1 C411\nFRAME\n");
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("yuv420p"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn a_stream_that_must_wait_for_more_than_memory_is_refused_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let head = b"YUV4MPEG2 W7680 H4320 F60:1 C444\n";
    let out = pipe(dir.path(), &["-", "-o", "-"], head);
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("--max-memory"),
        "{}",
        text(&out.stderr)
    );
    assert!(out.stdout.is_empty());
}

/// Frames as files under these names.
fn folder(dir: &Path, frames: &[RgbaImage], name: impl Fn(usize) -> String) -> PathBuf {
    let folder = dir.join("frames");
    fs::create_dir(&folder).unwrap();
    for (i, frame) in frames.iter().enumerate() {
        let rgb = DynamicImage::ImageRgba8(frame.clone()).into_rgb8();
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, rgb.width(), rgb.height());
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(rgb.as_raw()).unwrap();
        writer.finish().unwrap();
        fs::write(folder.join(name(i)), out).unwrap();
    }
    folder
}

#[test]
fn a_folder_of_frames_is_followed_in_the_order_of_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let frames = pan(12);
    let inputs = folder(dir.path(), &frames, |i| format!("f{i}.png"));
    fs::write(inputs.join("notes.txt"), "no frame").unwrap();
    let out = unface(
        dir.path(),
        &[&["frames", "--sequence", "-o", "safe"], &PINK[..]].concat(),
    );
    code(&out, 0);
    assert!(
        text(&out.stderr).contains("1 sequence done"),
        "{}",
        text(&out.stderr)
    );
    for i in 0..frames.len() {
        let bytes = fs::read(dir.path().join(format!("safe/f{i}.png"))).unwrap();
        let photo = decode::photo(&bytes, &decode::Options::default()).unwrap();
        covers(
            &photo.frame.into_pixels().into_rgba8(),
            &truth(i),
            &format!("{i}"),
        );
    }
    // 10 stands behind 9: what detect prints tells.
    let out = unface(dir.path(), &["detect", "frames", "--sequence"]);
    code(&out, 0);
    let lines: Vec<serde_json::Value> = text(&out.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let x = |i: usize| lines[i]["faces"][0]["x1"].as_f64().unwrap();
    let track = |i: usize| lines[i]["faces"][0]["track"].as_u64().unwrap();
    assert_eq!((lines.len(), track(0)), (12, track(11)));
    assert!((1..12).all(|i| x(i) < x(i - 1)), "the camera pans one way");
}

#[test]
fn of_a_sequence_that_fails_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames = discs();
    frames[4] = RgbaImage::new(20, 20);
    let inputs = folder(dir.path(), &frames, |i| format!("{i}.png"));
    let args = ["frames", "--sequence", "-o", "safe"];
    let out = unface(dir.path(), &args);
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("one size"),
        "{}",
        text(&out.stderr)
    );
    assert!(!dir.path().join("safe").exists());
    fs::remove_file(inputs.join("4.png")).unwrap();
    fs::copy(inputs.join("3.png"), inputs.join("last.png")).unwrap();
    let out = unface(dir.path(), &args);
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("number"),
        "{}",
        text(&out.stderr)
    );
    fs::remove_file(inputs.join("last.png")).unwrap();
    // A name in the way is noticed before the first frame is written.
    fs::create_dir(dir.path().join("safe")).unwrap();
    fs::write(dir.path().join("safe/3.png"), "something else").unwrap();
    code(&unface(dir.path(), &args), 1);
    assert_eq!(names(&dir.path().join("safe")), ["3.png"]);
}
