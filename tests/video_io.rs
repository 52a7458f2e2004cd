//! What goes into a video and what comes out, beside its faces: kinds of files, times, sound, sizes, colour. The tests
//! render the clips themselves. Skipped, and said so, where ffmpeg is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{fs, path::Path, process::Command};

mod program;
use program::{code, done, ffmpeg, names, render, says, text, unface};

/// Boxes that say of every frame of some videos that nobody is in it: what is tested here is not the search.
fn nobody(dir: &Path, videos: &[(&str, usize)]) {
    let mut lines = String::new();
    for (path, frames) in videos {
        for frame in 0..*frames {
            lines += &format!("{{\"path\":\"{path}\",\"frame\":{frame},\"faces\":[]}}\n");
        }
    }
    fs::write(dir.join("nobody.jsonl"), lines).unwrap();
}

/// Writes a video of this many frames anew.
fn convert(
    dir: &Path,
    (input, frames): (&str, usize),
    output: &str,
    extra: &[&str],
) -> std::process::Output {
    nobody(dir, &[(input, frames)]);
    let args = [
        "-q",
        "--overwrite",
        "--boxes",
        "nobody.jsonl",
        input,
        "-o",
        output,
    ];
    unface(dir, &[&args[..], extra].concat())
}

/// Writes all videos of the folder `in` into the folder `safe`.
fn convert_all(dir: &Path, videos: &[(&str, usize)]) {
    let paths: Vec<String> = videos.iter().map(|(n, _)| format!("in/{n}")).collect();
    let paths: Vec<(&str, usize)> = paths
        .iter()
        .map(String::as_str)
        .zip(videos.iter().map(|v| v.1))
        .collect();
    nobody(dir, &paths);
    let args = ["-q", "--boxes", "nobody.jsonl", "in", "-o", "safe/"];
    done(&unface(dir, &args));
}

/// A test picture that moves: `size`, frames a second, seconds.
fn moving(size: &str, rate: u32, seconds: f32) -> String {
    format!("testsrc=s={size}:r={rate}:d={seconds}")
}

fn clip(dir: &Path, name: &str, extra: &[&str]) {
    let source = moving("160x120", 25, 1.0);
    render(
        dir,
        name,
        &[&["-f", "lavfi", "-i", &source], extra].concat(),
    );
}

/// What ffprobe says of the first video of a file, field by field, line by line.
fn probe(path: &Path, entries: &str, stream: &str) -> Vec<String> {
    let args = ["-v", "error", "-select_streams", stream, "-of", "csv=p=0"];
    let out = Command::new("ffprobe")
        .args(args)
        .args(["-show_entries", entries])
        .arg(path)
        .output()
        .unwrap();
    let lines = text(&out.stdout);
    lines
        .lines()
        .map(|l| l.trim_end_matches(',').to_owned())
        .collect()
}

fn times(path: &Path) -> Vec<f64> {
    let lines = probe(path, "frame=pts_time", "v:0");
    let times = lines.iter().filter_map(|l| l.split(',').next());
    times
        .filter(|t| !t.is_empty())
        .map(|t| t.parse().unwrap())
        .collect()
}

fn field(path: &Path, entry: &str) -> String {
    probe(path, &format!("stream={entry}"), "v:0").remove(0)
}

/// That an output has as many frames as expected, in order, and passes the check.
fn sound(dir: &Path, name: &str, frames: usize) -> Vec<f64> {
    let times = times(&dir.join(name));
    assert_eq!(times.len(), frames, "{name}");
    assert!(times.windows(2).all(|w| w[0] < w[1]), "{name}: {times:?}");
    done(&unface(dir, &["verify", name]));
    times
}

/// Gives the frames of a Matroska file without reordered frames other times, in milliseconds.
fn retime(path: &Path, time: impl Fn(i16) -> i16) {
    let mut bytes = fs::read(path).unwrap();
    let mut at = 0;
    let mut changed = 0;
    // A simple block: its name, its size in one to four bytes, track 1, a time of two bytes.
    while at + 12 < bytes.len() {
        let size = bytes[at + 1].leading_zeros() as usize + 1;
        if bytes[at] == 0xA3
            && size <= 4
            && bytes[at + 1 + size] == 0x81
            && bytes[at + 4 + size] & 0x7E == 0
        {
            let was = i16::from_be_bytes([bytes[at + 2 + size], bytes[at + 3 + size]]);
            bytes[at + 2 + size..at + 4 + size].copy_from_slice(&time(was).to_be_bytes());
            changed += 1;
            at += 4 + size;
        }
        at += 1;
    }
    assert_eq!(changed, 25);
    fs::write(path, bytes).unwrap();
}

/// A Matroska file without reordered frames.
fn plain_mkv(dir: &Path, name: &str) {
    clip(dir, name, &["-bf", "0", "-preset", "ultrafast"]);
}

#[test]
fn frames_with_the_time_of_the_one_before_are_all_kept() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    plain_mkv(dir.path(), "in.mkv");
    retime(&dir.path().join("in.mkv"), |t| {
        if t % 200 == 40 { t - 40 } else { t }
    });
    let doubles = times(&dir.path().join("in.mkv"));
    let doubles = doubles.windows(2).filter(|w| w[0] == w[1]).count();
    assert_eq!(doubles, 5, "the input has doubles");
    for (output, slack) in [("out.mp4", 0.0005), ("out.webm", 0.0015)] {
        done(&convert(dir.path(), ("in.mkv", 25), output, &[]));
        for (i, t) in sound(dir.path(), output, 25).iter().enumerate() {
            let due = 0.04 * i as f64 - if i % 5 == 1 { 0.039 } else { 0.0 };
            assert!((t - due).abs() < slack, "frame {i} at {t} and not {due}");
        }
    }
}

#[test]
fn times_that_step_back_a_little_are_followed_and_far_ones_refused() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    plain_mkv(dir.path(), "near.mkv");
    plain_mkv(dir.path(), "far.mkv");
    retime(&dir.path().join("near.mkv"), |t| {
        if t % 200 == 120 { t - 60 } else { t }
    });
    done(&convert(dir.path(), ("near.mkv", 25), "near.mp4", &[]));
    sound(dir.path(), "near.mp4", 25);
    retime(&dir.path().join("far.mkv"), |t| {
        if t < 500 { t + 2000 } else { t }
    });
    let out = convert(dir.path(), ("far.mkv", 25), "far.mp4", &[]);
    code(&out, 1);
    says(&out, "has frames whose times go back by more than a second");
    assert!(!dir.path().join("far.mp4").exists());
    done(&convert(
        dir.path(),
        ("far.mkv", 25),
        "far.mp4",
        &["--allow-damaged"],
    ));
    sound(dir.path(), "far.mp4", 25);
}

#[test]
fn jpeg_pictures_of_one_size_in_a_row_are_a_video() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    clip(dir.path(), "cam.mjpeg", &["-c:v", "mjpeg", "-f", "mjpeg"]);
    fs::rename(dir.path().join("cam.mjpeg"), dir.path().join("cam.jpg")).unwrap();
    done(&convert(dir.path(), ("cam.jpg", 25), "out.mp4", &[]));
    sound(dir.path(), "out.mp4", 25);
    // In a folder too, under the name of a video.
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::rename(dir.path().join("cam.jpg"), dir.path().join("in/cam.mjpg")).unwrap();
    convert_all(dir.path(), &[("cam.mjpg", 25)]);
    assert_eq!(names(&dir.path().join("safe")), ["cam.mp4"]);
    sound(&dir.path().join("safe"), "cam.mp4", 25);
}

/// A JPEG picture of one colour.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = [90, 120, 150].repeat(usize::from(width) * usize::from(height));
    jpeg_encoder::Encoder::new(&mut bytes, 90)
        .encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb)
        .unwrap();
    bytes
}

#[test]
fn photos_with_further_pictures_behind_them_stay_photos() {
    let dir = tempfile::tempdir().unwrap();
    let (large, small) = (jpeg(160, 120), jpeg(80, 60));
    // A segment of a multi-picture index right after the first marker.
    let index = [&b"\xFF\xE2\x00\x06MPF\0"[..]].concat();
    let indexed = [&large[..2], &index, &large[2..]].concat();
    let files = [
        ("gain.jpg", [&large[..], &small, &small].concat()),
        ("stereo.jpg", [&large[..], &large].concat()),
        ("views.jpg", [&indexed[..], &large, &large, &large].concat()),
        ("tail.jpg", [&large[..], &[0; 500]].concat()),
    ];
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
        let out = unface(dir.path(), &[name, "-o", "safe/"]);
        done(&out);
        assert!(dir.path().join("safe").join(name).exists(), "{name}");
        done(&unface(&dir.path().join("safe"), &["verify", name]));
    }
}

#[test]
fn mov_files_are_recognised_whatever_box_comes_first() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    clip(dir.path(), "in.mov", &["-c:v", "mjpeg"]);
    let bytes = fs::read(dir.path().join("in.mov")).unwrap();
    assert_eq!(&bytes[4..8], b"ftyp");
    fs::create_dir(dir.path().join("in")).unwrap();
    let boxes = ["free", "skip", "udta", "junk", "meta"];
    let videos = boxes.map(|name| format!("{name}.mov"));
    for (name, video) in boxes.iter().zip(&videos) {
        let changed = [&bytes[..4], name.as_bytes(), &bytes[8..]].concat();
        fs::write(dir.path().join("in").join(video), changed).unwrap();
    }
    convert_all(dir.path(), &videos.each_ref().map(|v| (v.as_str(), 25)));
    for name in boxes {
        sound(&dir.path().join("safe"), &format!("{name}.mp4"), 25);
    }
}

#[test]
fn transport_streams_are_recognised_behind_something_else() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    clip(dir.path(), "in.ts", &["-c:v", "mpeg2video"]);
    let bytes = fs::read(dir.path().join("in.ts")).unwrap();
    // An ID3 tag of 6000 bytes: the size has seven bits in each byte.
    let tag = [&b"ID3\x04\0\0\0\0\x2E\x70"[..], &[0; 6000]].concat();
    let files = [
        ("cut.ts", bytes[100..].to_vec()),
        ("tagged.ts", [&tag[..], &bytes].concat()),
        ("filled.ts", [&[0xFF; 3000][..], &bytes].concat()),
    ];
    for (name, bytes) in files {
        fs::write(dir.path().join("in").join(name), bytes).unwrap();
    }
    clip(dir.path(), "in/cam.m2ts", &["-c:v", "mpeg2video"]);
    let videos = [
        ("cut.ts", 25),
        ("tagged.ts", 25),
        ("filled.ts", 25),
        ("cam.m2ts", 25),
    ];
    convert_all(dir.path(), &videos);
    for name in ["cut.mp4", "tagged.mp4", "filled.mp4", "cam.mp4"] {
        sound(&dir.path().join("safe"), name, 25);
    }
}

#[test]
fn videos_of_old_and_rare_kinds_are_read() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let kinds: [(&str, &[&str]); 10] = [
        ("a.flv", &[]),
        ("b.wmv", &[]),
        ("c.vob", &["-target", "pal-dvd"]),
        ("d.3gp", &["-c:v", "mpeg4"]),
        ("e.ogv", &["-c:v", "libtheora"]),
        ("f.mxf", &[]),
        ("g.dv", &["-target", "pal-dv"]),
        ("h.gxf", &["-target", "pal-dvd", "-f", "gxf"]),
        ("i.wtv", &["-c:v", "mpeg2video"]),
        ("j.m2v", &[]),
    ];
    for (name, extra) in kinds {
        clip(dir.path(), &format!("in/{name}"), extra);
    }
    convert_all(dir.path(), &kinds.map(|(name, _)| (name, 25)));
    for (name, _) in kinds {
        sound(
            &dir.path().join("safe"),
            &Path::new(name).with_extension("mp4").to_string_lossy(),
            25,
        );
    }
}

#[test]
fn what_a_network_camera_answers_is_called_a_video() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let head = b"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\n";
    let bytes = [&head[..], &jpeg(16, 16)].concat();
    fs::write(dir.path().join("in/dump"), bytes).unwrap();
    let out = unface(dir.path(), &["in", "-o", "safe/"]);
    code(&out, 1);
    says(&out, "Motion JPEG video in parts");
}

#[test]
fn a_file_that_has_only_the_name_of_a_video_is_not_skipped_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(
        dir.path().join("in/a.avi"),
        [0x01, 0, 0xFE, 0xDC].repeat(500),
    )
    .unwrap();
    // Side files of macOS and texts are none.
    fs::write(
        dir.path().join("in/._b.mov"),
        [&b"\0\x05\x16\x07"[..], &[0; 500]].concat(),
    )
    .unwrap();
    fs::write(dir.path().join("in/c.mov"), "to do: film it").unwrap();
    let out = unface(dir.path(), &["in", "-o", "safe/"]);
    code(&out, 1);
    says(
        &out,
        "a.avi: has the name of a video and is of an unknown kind",
    );
    assert!(
        !text(&out.stderr).contains("c.mov: has"),
        "{}",
        text(&out.stderr)
    );
}

/// A clip with a tone on some channels.
fn with_sound(dir: &Path, name: &str, layout: &str, codec: &str) {
    let tone =
        format!("aevalsrc='0.3*sin(2*PI*440*t)':s=48000:d=1,aformat=channel_layouts={layout}");
    let source = moving("160x120", 25, 1.0);
    let args = [
        "-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", &tone, "-c:a", codec,
    ];
    render(dir, name, &args);
}

#[test]
fn sound_of_unusual_arrangements_becomes_a_usual_one() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let layouts = [
        ("2.1", "2"),
        ("3.0", "2"),
        ("4.0", "2"),
        ("quad", "2"),
        ("5.0", "5"),
        ("6.1", "6"),
        ("7.0", "6"),
        ("7.1", "8"),
        ("hexadecagonal", "2"),
    ];
    for (i, (layout, channels)) in layouts.into_iter().enumerate() {
        let name = format!("{i}.mkv");
        with_sound(dir.path(), &name, layout, "pcm_s16le");
        for (output, how) in [
            ("out.mp4", "keep"),
            ("out.webm", "keep"),
            ("out.mp4", "disguise"),
        ] {
            done(&convert(dir.path(), (&name, 25), output, &["--audio", how]));
            sound(dir.path(), output, 25);
            let is = probe(&dir.path().join(output), "stream=channels", "a:0");
            assert_eq!(is, [channels], "{layout} in {output}");
        }
    }
}

#[test]
fn a_track_of_sound_that_nothing_decodes_is_left_out_beside_one_that_can_be() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = moving("160x120", 25, 1.0);
    let tone = "sine=d=1";
    let args = [
        "-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", tone, "-map", "0", "-map", "1", "-map",
        "1", "-c:a", "aac",
    ];
    let path = render(dir.path(), "in.mov", &args);
    let bytes = fs::read(&path).unwrap();
    let places: Vec<usize> = (0..bytes.len() - 4)
        .filter(|i| bytes[*i..].starts_with(b"mp4a\0\0\0\0\0\0\0\x01"))
        .collect();
    let [first, second] = places[..] else {
        panic!("two tracks of sound: {places:?}");
    };
    let rename = |places: &[usize]| {
        let mut bytes = bytes.clone();
        for at in places {
            bytes[*at..*at + 4].copy_from_slice(b"apac");
            // The decoder's parameters behind it say AAC too.
            let own = (*at..).find(|i| bytes[*i..].starts_with(b"esds")).unwrap();
            bytes[own..own + 4].copy_from_slice(b"free");
        }
        fs::write(&path, bytes).unwrap();
    };
    rename(&[second]);
    let extra = ["--audio", "keep", "--report", "r.jsonl"];
    done(&convert(dir.path(), ("in.mov", 25), "out.mp4", &extra));
    sound(dir.path(), "out.mp4", 25);
    assert_eq!(
        probe(&dir.path().join("out.mp4"), "stream=codec_name", "a"),
        ["aac"]
    );
    let report = fs::read_to_string(dir.path().join("r.jsonl")).unwrap();
    assert!(
        report.contains("sound of an unknown kind (apac)"),
        "{report}"
    );
    // Alone it is refused at once, and dropped where it is not wanted.
    rename(&[first, second]);
    let out = convert(dir.path(), ("in.mov", 25), "b.mp4", &["--audio", "keep"]);
    code(&out, 1);
    says(
        &out,
        "has sound that ffmpeg can't decode (apac); use --audio drop",
    );
    done(&convert(dir.path(), ("in.mov", 25), "b.mp4", &[]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_script_in_the_place_of_ffmpeg_is_named() {
    use std::os::unix::fs::PermissionsExt;
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    clip(dir.path(), "in.mp4", &[]);
    fs::create_dir(dir.path().join("bin")).unwrap();
    let script = dir.path().join("bin/ffmpeg");
    fs::write(&script, "#!/bin/sh\nexec /usr/bin/ffmpeg \"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        dir.path().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let out = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir.path())
        .env("PATH", path)
        .args(["in.mp4", "-o", "out.mp4"])
        .output()
        .unwrap();
    code(&out, 1);
    says(&out, "is a script, which the sandbox can't run");
    says(&out, "--no-sandbox");
    assert!(!text(&out.stderr).contains("damaged"));
}

/// The names of a file's outermost boxes.
fn boxes(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let (mut names, mut at) = (Vec::new(), 0);
    while at + 8 <= bytes.len() {
        names.push(text(&bytes[at + 4..at + 8]));
        at += u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    assert_eq!(at, bytes.len());
    names
}

#[test]
fn a_constant_rate_stays_exact_and_the_index_comes_first() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (rate, exact) in [("25", "25/1"), ("30000/1001", "30000/1001"), ("10", "10/1")] {
        let source = format!("testsrc=s=160x120:r={rate}");
        let args = [
            "-f",
            "lavfi",
            "-i",
            &source,
            "-f",
            "lavfi",
            "-i",
            "sine",
            "-frames:v",
            "31",
            "-shortest",
        ];
        render(dir.path(), "in.mp4", &args);
        for (codec, audio) in [
            ("h264", "keep"),
            ("hevc", "drop"),
            ("av1", "drop"),
            ("vp9", "drop"),
        ] {
            let extra = ["--codec", codec, "--audio", audio];
            done(&convert(dir.path(), ("in.mp4", 31), "out.mp4", &extra));
            let out = dir.path().join("out.mp4");
            let before = times(&dir.path().join("in.mp4"));
            let after = sound(dir.path(), "out.mp4", 31);
            assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-4));
            assert_eq!(field(&out, "avg_frame_rate"), exact, "{codec}");
            let seconds: f64 = field(&out, "duration").parse().unwrap();
            let due: f64 = field(&dir.path().join("in.mp4"), "duration")
                .parse()
                .unwrap();
            assert!(
                (seconds - due).abs() < 0.001,
                "{codec}: {seconds} instead of {due}"
            );
            let names = boxes(&out);
            let place = |name: &str| names.iter().position(|n| n == name).unwrap();
            assert!(place("moov") < place("mdat"), "{names:?}");
        }
    }
}

#[test]
fn frames_far_apart_are_all_seen_at_their_times() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Units a second, seconds between frames: in the middle of the clip, or from the beginning on.
    for (units, step, first) in [
        (10_000_000, 100, 0),
        (1_000_000, 60, 10),
        (90_000, 700, 0),
        (90_000, 8000, 5),
    ] {
        let vary =
            format!("settb=1/{units},setpts='(min(N,{first})/25+max(N-{first},0)*{step})/TB'");
        let base = format!("1:{units}");
        let source = moving("160x120", 25, 0.8);
        let scale = units.to_string();
        let args = [
            "-f",
            "lavfi",
            "-i",
            &source,
            "-vf",
            &vary,
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            &base,
            "-bf",
            "0",
            "-video_track_timescale",
            &scale,
        ];
        let path = render(dir.path(), "in.mp4", &args);
        let before = times(&path);
        assert_eq!(before.len(), 20);
        done(&convert(dir.path(), ("in.mp4", 20), "out.mp4", &[]));
        let after = sound(dir.path(), "out.mp4", 20);
        let same = before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(same, "{units}: {before:?} became {after:?}");
    }
}

#[test]
fn the_last_frame_is_held_as_long_as_the_edit_list_says() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // With reordered frames, the track's durations end before the last frames are shown.
    let vary = "select='not(mod(n,12))',settb=1/12800";
    let source = moving("160x120", 25, 4.8);
    let args = [
        "-f",
        "lavfi",
        "-i",
        &source,
        "-vf",
        vary,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "1:12800",
    ];
    let path = render(dir.path(), "in.mp4", &args);
    let seconds = |path: &Path| -> f64 { probe(path, "format=duration", "v")[0].parse().unwrap() };
    done(&convert(dir.path(), ("in.mp4", 10), "out.mp4", &[]));
    assert_eq!(
        times(&path).len(),
        sound(dir.path(), "out.mp4", times(&path).len()).len()
    );
    let (before, after) = (seconds(&path), seconds(&dir.path().join("out.mp4")));
    assert!((before - after).abs() < 0.002, "{before} became {after}");
}

/// Width, height and kind of pixels.
fn kind(path: &Path) -> String {
    field(path, "width,height,pix_fmt")
}

#[test]
fn colour_becomes_what_everything_plays_unless_it_is_to_be_kept() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let kinds = [
        (
            "a.avi",
            "mjpeg",
            "yuvj422p",
            "160x120",
            "160,120,yuvj420p",
            "160,120,yuvj422p",
        ),
        (
            "b.mkv",
            "ffv1",
            "bgr0",
            "160x120",
            "160,120,yuv420p",
            "160,120,yuv444p",
        ),
        (
            "c.mkv",
            "ffv1",
            "bgr0",
            "161x121",
            "162,122,yuv420p",
            "161,121,yuv444p",
        ),
        (
            "d.mkv",
            "ffv1",
            "yuv422p10le",
            "160x120",
            "160,120,yuv420p10le",
            "160,120,yuv422p10le",
        ),
        (
            "e.mkv",
            "ffv1",
            "yuv444p",
            "161x120",
            "162,120,yuv420p",
            "161,120,yuv444p",
        ),
    ];
    for (name, codec, pixels, size, usual, kept) in kinds {
        let source = moving(size, 25, 0.4);
        let args = [
            "-f", "lavfi", "-i", &source, "-c:v", codec, "-pix_fmt", pixels,
        ];
        render(dir.path(), name, &args);
        for (how, due) in [("420", usual), ("source", kept)] {
            done(&convert(
                dir.path(),
                (name, 10),
                "out.mp4",
                &["--chroma", how],
            ));
            sound(dir.path(), "out.mp4", 10);
            assert_eq!(
                kind(&dir.path().join("out.mp4")),
                due,
                "{name} --chroma {how}"
            );
        }
        let same = likeness(dir.path(), name, "out.mp4");
        done(&convert(dir.path(), (name, 10), "out.mp4", &[]));
        let coarse = likeness(dir.path(), name, "out.mp4");
        assert!(same > 25.0 && coarse > 25.0, "{name}: {same}, {coarse} dB");
    }
}

/// Signal to noise of the brightness of what two videos show where both have pixels, in dB.
fn likeness(dir: &Path, a: &str, b: &str) -> f64 {
    let crop = "crop=160:120:0:0,format=rgb24,format=gray";
    let filter = format!("[0:v]{crop}[a];[1:v]{crop}[b];[a][b]psnr");
    let out = Command::new("ffmpeg")
        .current_dir(dir)
        .args([
            "-nostdin", "-i", a, "-i", b, "-lavfi", &filter, "-f", "null", "-",
        ])
        .output()
        .unwrap();
    let said = text(&out.stderr);
    let (_, rest) = said.split_once("average:").expect(&said);
    let value = rest.split_whitespace().next().unwrap();
    if value == "inf" {
        f64::INFINITY
    } else {
        value.parse().unwrap()
    }
}

/// A stream whose size changes: two of the same coder, joined.
fn resized(dir: &Path) {
    for (name, size) in [("1.mkv", "160x120"), ("2.mkv", "80x90")] {
        let source = moving(size, 25, 0.4);
        render(dir, name, &["-f", "lavfi", "-i", &source, "-c:v", "mjpeg"]);
    }
    let list = dir.join("list");
    fs::write(&list, "file 1.mkv\nfile 2.mkv\n").unwrap();
    let list = list.to_str().unwrap();
    render(dir, "in.mkv", &["-f", "concat", "-i", list, "-c", "copy"]);
}

#[test]
fn frames_of_another_size_are_scaled_to_the_first_size_if_asked() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    resized(dir.path());
    let out = convert(dir.path(), ("in.mkv", 20), "out.mp4", &[]);
    code(&out, 1);
    says(&out, "changes the size of its frames midway; use --fit");
    done(&convert(dir.path(), ("in.mkv", 20), "out.mp4", &["--fit"]));
    sound(dir.path(), "out.mp4", 20);
    assert_eq!(
        field(&dir.path().join("out.mp4"), "width,height"),
        "160,120"
    );
    done(&unface(dir.path(), &["detect", "-q", "--fit", "in.mkv"]));
}

#[test]
fn one_of_several_videos_in_a_file_can_be_chosen() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (moving("160x120", 25, 1.0), moving("80x60", 25, 0.4));
    let args = [
        "-f", "lavfi", "-i", &a, "-f", "lavfi", "-i", &b, "-map", "0", "-map", "1",
    ];
    render(dir.path(), "in.mp4", &args);
    let out = convert(dir.path(), ("in.mp4", 25), "out.mp4", &[]);
    code(&out, 1);
    says(
        &out,
        "holds 2 videos at once (1 is h264, 160 × 120; 2 is h264, 80 × 60); choose one with --video-stream N",
    );
    for (n, size, frames) in [("1", "160,120", 25), ("2", "80,60", 10)] {
        let output = format!("{n}.mp4");
        done(&convert(
            dir.path(),
            ("in.mp4", frames),
            &output,
            &["--video-stream", n],
        ));
        sound(dir.path(), &output, frames);
        assert_eq!(field(&dir.path().join(&output), "width,height"), size);
    }
    let out = convert(
        dir.path(),
        ("in.mp4", 25),
        "3.mp4",
        &["--video-stream", "3"],
    );
    code(&out, 1);
    says(&out, "has no video 3");
}

#[test]
fn a_video_that_is_to_become_an_animation_is_refused_before_it_is_read() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    clip(dir.path(), "in.mp4", &[]);
    // Cut short: whoever reads it all says so.
    let bytes = fs::read(dir.path().join("in.mp4")).unwrap();
    fs::write(dir.path().join("in.mp4"), bytes).unwrap();
    for name in ["x.gif", "x.webp", "x.png"] {
        let out = convert(dir.path(), ("in.mp4", 25), name, &[]);
        code(&out, 1);
        says(&out, "name the output .mp4 or .webm");
        assert!(!dir.path().join(name).exists());
    }
}
