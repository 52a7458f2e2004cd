//! Videos that once came out wrong, or were passed with something in them: each is named after what
//! it was. Rendered here; skipped, and said so, where ffmpeg is not installed.
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
    path::Path,
    process::{Command, Stdio},
};

use program::{code, done, ffmpeg, names, render, says, text, unface};
use unface::verify;

/// Fails, says `why`, and leaves nothing under the output's name.
#[track_caller]
fn refused(dir: &Path, args: &[&str], why: &str) {
    let out = unface(dir, args);
    code(&out, 1);
    says(&out, why);
    let output = args[args.iter().position(|a| *a == "-o").unwrap() + 1];
    assert!(!dir.join(output).exists(), "{output} is there");
}

/// What ffprobe says, as `entries` of the first stream of pictures.
fn probed(path: &Path, entries: &str) -> String {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", entries])
        .arg(path)
        .output()
        .unwrap();
    text(&out.stdout).trim().to_owned()
}

/// An MP4 with `bytes` behind what is in the box at `path`, whose first names are `moov`'s. The places of the data
/// behind it move along, so that nothing else is wrong.
fn grown(mp4: &[u8], path: &[&[u8; 4]], bytes: &[u8]) -> Vec<u8> {
    let mut out = widened(mp4, path, bytes);
    let by = (out.len() - mp4.len()) as u32;
    let name = |w: &[u8]| w == b"stco";
    let place = out.windows(4).position(name).unwrap();
    let count = u32::from_be_bytes(out[place + 8..place + 12].try_into().unwrap());
    for entry in out[place + 12..][..4 * count as usize].chunks_exact_mut(4) {
        let moved = u32::from_be_bytes(entry.try_into().unwrap()) + by;
        entry.copy_from_slice(&moved.to_be_bytes());
    }
    out
}

fn widened(mp4: &[u8], path: &[&[u8; 4]], bytes: &[u8]) -> Vec<u8> {
    let Some((first, rest)) = path.split_first() else {
        return [mp4, bytes].concat();
    };
    let (mut out, mut at, mut there) = (Vec::new(), 0, false);
    while at < mp4.len() {
        let size = u32::from_be_bytes(mp4[at..at + 4].try_into().unwrap()) as usize;
        let name = &mp4[at + 4..at + 8];
        let mut body = mp4[at + 8..at + size].to_vec();
        if name == *first && !there {
            there = true;
            let head = match name {
                b"stsd" if !rest.is_empty() => 8,
                b"avc1" | b"hvc1" | b"av01" | b"vp09" if !rest.is_empty() => 78,
                _ => 0,
            };
            body = [&body[..head], &widened(&body[head..], rest, bytes)].concat();
        }
        out.extend((body.len() as u32 + 8).to_be_bytes());
        out.extend(name);
        out.extend(body);
        at += size;
    }
    assert!(there, "{}", first.escape_ascii());
    out
}

/// An MP4 with `unit` behind the units of its last sample.
fn lengthened(mp4: &[u8], unit: &[u8]) -> Vec<u8> {
    let mut out = mp4.to_vec();
    let data = out.windows(4).position(|w| w == b"mdat").unwrap() - 4;
    let size = u32::from_be_bytes(out[data..data + 4].try_into().unwrap());
    out[data..data + 4].copy_from_slice(&(size + unit.len() as u32).to_be_bytes());
    let end = data + size as usize;
    out.splice(end..end, unit.iter().copied());
    let stsz = out.windows(4).rposition(|w| w == b"stsz").unwrap();
    let count = u32::from_be_bytes(out[stsz + 12..stsz + 16].try_into().unwrap());
    let last = stsz + 12 + 4 * count as usize;
    let size = u32::from_be_bytes(out[last..last + 4].try_into().unwrap());
    out[last..last + 4].copy_from_slice(&(size + unit.len() as u32).to_be_bytes());
    out
}

#[test]
fn text_in_headers_descriptions_and_units_of_an_mp4_passed_the_verifier() {
    if !ffmpeg() {
        return;
    }
    const TEXT: &[u8] = b"52.5200N 13.4050E Jane Doe";
    let dir = tempfile::tempdir().unwrap();
    let pictures = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=0.6"];
    render(dir.path(), "in.mp4", &pictures);
    let minf: [&[u8; 4]; 4] = [b"moov", b"trak", b"mdia", b"minf"];
    for (codec, entry, own) in [
        ("h264", b"avc1", b"avcC"),
        ("hevc", b"hvc1", b"hvcC"),
        ("av1", b"av01", b"av1C"),
        ("vp9", b"vp09", b"vpcC"),
    ] {
        let speed = match codec {
            "h264" | "hevc" => "ultrafast",
            "av1" => "12",
            _ => "8",
        };
        let args = ["in.mp4", "-o", "out.mp4", "-q", "--overwrite"];
        let how = ["--codec", codec, "--preset", speed];
        done(&unface(dir.path(), &[&args[..], &how].concat()));
        let clean = fs::read(dir.path().join("out.mp4")).unwrap();
        assert_eq!(verify::inspect(&clean).leaks, Vec::new(), "{codec}");
        let stsd: [&[u8; 4]; 3] = [b"stbl", b"stsd", entry];
        let mut bad = vec![grown(&clean, &[&minf[..], &[b"vmhd"]].concat(), TEXT)];
        if codec != "av1" {
            bad.push(grown(
                &clean,
                &[&minf[..], &[b"stbl", b"stss"]].concat(),
                TEXT,
            ));
        }
        for inside in [own, b"pasp"] {
            let path = [&minf[..], &stsd, &[inside]].concat();
            bad.push(grown(&clean, &path, TEXT));
        }
        for name in [b"fiel", b"av1C", b"vpcC", b"avcC", b"hvcC"] {
            let size = (TEXT.len() as u32 + 8).to_be_bytes();
            let atom = [&size[..], name, TEXT].concat();
            bad.push(grown(&clean, &[&minf[..], &stsd].concat(), &atom));
        }
        // Delimiters, parameters, padding; behind a superframe's index in VP9.
        let heads: &[&[u8]] = match codec {
            "h264" => &[&[9], &[7], &[8]],
            "hevc" => &[&[70, 1], &[64, 1], &[66, 1], &[68, 1]],
            "av1" => &[&[0x12], &[0x0A], &[0x7A], &[0x1A], &[0x3A]],
            _ => &[],
        };
        for head in heads {
            let size = (head.len() + TEXT.len()) as u32;
            let unit = match codec {
                "av1" => [head, &[TEXT.len() as u8][..], TEXT].concat(),
                _ => [&size.to_be_bytes(), *head, TEXT].concat(),
            };
            bad.push(lengthened(&clean, &unit));
        }
        for (i, bytes) in bad.iter().enumerate() {
            let leaks = verify::inspect(bytes).leaks;
            assert!(!leaks.is_empty(), "{codec}: number {i} passed");
        }
    }
    let args = [&pictures[..], &["-f", "lavfi", "-i", "sine=d=0.6"]].concat();
    render(dir.path(), "sound.mp4", &args);
    let args = [
        "sound.mp4",
        "-o",
        "out.mp4",
        "-q",
        "--overwrite",
        "--audio",
        "keep",
    ];
    done(&unface(dir.path(), &args));
    let clean = fs::read(dir.path().join("out.mp4")).unwrap();
    assert_eq!(verify::inspect(&clean).leaks, Vec::new());
    for (name, at) in [(b"smhd", 9), (b"esds", 44)] {
        let place = clean.windows(4).rposition(|w| w == name).unwrap();
        let mut other = clean.clone();
        other[place + at] = b'J';
        let name = name.escape_ascii();
        assert!(!verify::inspect(&other).leaks.is_empty(), "{name}");
    }
}

#[test]
fn text_among_the_parameters_of_a_webm_passed_the_verifier() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pictures = "testsrc2=s=160x120:r=10:d=0.6";
    let args = [
        "-f",
        "lavfi",
        "-i",
        pictures,
        "-f",
        "lavfi",
        "-i",
        "sine=d=0.6",
    ];
    render(dir.path(), "in.mp4", &args);
    for (codec, speed) in [("av1", "12"), ("vp9", "8")] {
        let args = ["in.mp4", "-o", "out.webm", "-q", "--overwrite"];
        let how = ["--audio", "keep", "--codec", codec, "--preset", speed];
        done(&unface(dir.path(), &[&args[..], &how].concat()));
        let clean = fs::read(dir.path().join("out.webm")).unwrap();
        assert_eq!(verify::inspect(&clean).leaks, Vec::new(), "{codec}");
        // Kept as long as it is, so that all lengths stay right.
        let mut opus = clean.clone();
        let at = opus.windows(8).position(|w| w == b"OpusHead").unwrap();
        opus[at..at + 8].copy_from_slice(b"Jane Doe");
        assert!(!verify::inspect(&opus).leaks.is_empty(), "{codec}: sound");
        let mut other = clean.clone();
        let at = other.windows(2).position(|w| w == b"V_").unwrap();
        other[at..at + 5].copy_from_slice(b"V_VP8");
        assert!(
            !verify::inspect(&other).leaks.is_empty(),
            "{codec}: a coder"
        );
    }
}

#[test]
fn a_video_with_transparency_lost_it_and_showed_what_it_hid() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = "testsrc2=s=160x120:r=10:d=0.3,format=yuva420p";
    let args = ["-f", "lavfi", "-i", source, "-pix_fmt"];
    let webm = [&args[..], &["yuva420p", "-c:v", "libvpx-vp9"]].concat();
    render(dir.path(), "a.webm", &webm);
    render(
        dir.path(),
        "a.mov",
        &[&args[..], &["argb", "-c:v", "qtrle"]].concat(),
    );
    render(
        dir.path(),
        "p.mkv",
        &[&args[..], &["yuva444p", "-c:v", "ffv1"]].concat(),
    );
    refused(dir.path(), &["a.webm", "-o", "b.webm"], "has transparency");
    refused(dir.path(), &["a.mov", "-o", "b.mp4"], "has transparency");
    refused(dir.path(), &["p.mkv", "-o", "b.mp4"], "has transparency");
}

#[test]
fn colours_and_numbers_of_full_range_came_out_washed_out() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let halves = "color=c=white:s=80x120:r=10:d=0.3,pad=160:120:0:0:black";
    for (name, pixels, coder, range) in [
        ("rgb.mp4", "gbrp", "libx264rgb", "tv"),
        ("rgb.mov", "rgb24", "qtrle", "tv"),
        ("coarse.mkv", "yuv411p", "ffv1", "pc"),
        ("deep.mkv", "yuv444p12le", "ffv1", "pc"),
        ("grey.mkv", "gray", "ffv1", "pc"),
    ] {
        let filter = format!("{halves},scale=out_range=pc,format={pixels}");
        let args = [
            "-f",
            "lavfi",
            "-i",
            &filter,
            "-color_range",
            "pc",
            "-c:v",
            coder,
        ];
        render(dir.path(), name, &args);
        let args = [name, "-o", "out.mp4", "-q", "--overwrite", "--crf", "10"];
        done(&unface(dir.path(), &args));
        let out = dir.path().join("out.mp4");
        let said = probed(&out, "stream=color_range");
        assert_eq!(said, range, "{name}");
        let png = render(
            dir.path(),
            "f.png",
            &["-i", out.to_str().unwrap(), "-frames:v", "1"],
        );
        let bytes = fs::read(png).unwrap();
        let photo = unface::decode::photo(&bytes, &unface::decode::Options::default());
        let picture = photo.unwrap().frame.into_pixels().into_rgb8();
        let (white, black) = (picture.get_pixel(40, 60).0, picture.get_pixel(120, 60).0);
        assert!(white.iter().all(|&v| v >= 252), "{name}: {white:?}");
        assert!(black.iter().all(|&v| v <= 3), "{name}: {black:?}");
    }
}

#[test]
fn a_last_frame_that_is_held_long_was_cut_short() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=160x120:r=25",
        "-frames:v",
        "11",
    ];
    let bframes = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"];
    render(dir.path(), "t.mp4", &[&source[..], &bframes].concat());
    let t = dir.path().join("t.mp4");
    let held = "setts=duration=if(eq(N\\,10)\\,3/TB_OUT\\,DURATION)";
    let args = ["-i", t.to_str().unwrap(), "-c", "copy"];
    render(
        dir.path(),
        "in.mp4",
        &[&args[..], &["-bsf:v", held]].concat(),
    );
    let long = dir.path().join("in.mp4");
    render(
        dir.path(),
        "in.mkv",
        &["-i", long.to_str().unwrap(), "-c", "copy"],
    );
    for (input, output) in [
        ("in.mp4", "a.mp4"),
        ("in.mkv", "b.mp4"),
        ("in.mp4", "c.webm"),
    ] {
        done(&unface(dir.path(), &[input, "-o", output, "-q"]));
        let seconds: f64 = probed(&dir.path().join(output), "format=duration")
            .parse()
            .unwrap();
        assert!(
            (seconds - 3.4).abs() < 0.05,
            "{input} → {output}: {seconds} s"
        );
    }
}

#[test]
fn a_transport_stream_cut_inside_a_packet_became_a_shorter_video_without_a_word() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=320x240:r=10:d=1",
        "-c:v",
        "libx264",
    ];
    let whole = fs::read(render(dir.path(), "in.ts", &args)).unwrap();
    done(&unface(dir.path(), &["in.ts", "-o", "whole.mp4", "-q"]));
    let m2ts = [&args[..], &["-mpegts_m2ts_mode", "1"]].concat();
    let timed = fs::read(render(dir.path(), "in.m2ts", &m2ts)).unwrap();
    done(&unface(dir.path(), &["in.m2ts", "-o", "timed.mp4", "-q"]));
    for (name, bytes, size) in [("cut.ts", whole, 188), ("cut.m2ts", timed, 192)] {
        let cut = bytes.len() * 6 / 10 / size * size + 40;
        fs::write(dir.path().join(name), &bytes[..cut]).unwrap();
        refused(
            dir.path(),
            &[name, "-o", "out.mp4"],
            "breaks off inside a packet",
        );
    }
    let out = unface(dir.path(), &["cut.ts", "-o", "out.mp4", "--allow-damaged"]);
    done(&out);
    says(&out, "breaks off");
}

#[test]
fn av1_made_colour_coarser_without_a_word_and_failed_at_odd_sides_with_a_greeting() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, pixels, size) in [
        ("a.mkv", "yuv422p", "160x120"),
        ("b.mkv", "yuv444p10le", "160x120"),
        ("c.mkv", "yuv420p", "161x121"),
        ("d.mkv", "yuv420p", "160x120"),
    ] {
        let source = format!("testsrc=s={size}:r=10:d=0.2");
        let args = [
            "-f", "lavfi", "-i", &source, "-pix_fmt", pixels, "-c:v", "ffv1",
        ];
        render(dir.path(), name, &args);
        let args = [
            name, "-o", "out.mp4", "--codec", "av1", "--chroma", "source",
        ];
        if name == "d.mkv" {
            // Two pictures counted in thousandths were taken for a thousand a second.
            done(&unface(dir.path(), &args));
        } else {
            refused(dir.path(), &args, "use --codec hevc");
        }
    }
}

#[test]
fn a_compressed_video_to_y4m_was_done_in_vain_and_called_a_bug() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    render(
        dir.path(),
        "in.mp4",
        &["-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=0.2"],
    );
    refused(
        dir.path(),
        &["in.mp4", "-o", "out.y4m"],
        "name the output .mp4",
    );
}

#[test]
fn a_stretch_to_be_silent_behind_the_end_was_passed_over() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1"];
    render(
        dir.path(),
        "in.mp4",
        &[&args[..], &["-f", "lavfi", "-i", "sine=d=1"]].concat(),
    );
    let args = ["in.mp4", "-o", "out.mp4", "--audio", "keep", "--mute"];
    refused(
        dir.path(),
        &[&args[..], &["100-200"]].concat(),
        "ends at 1.0",
    );
    let without = unface(dir.path(), &["in.mp4", "-o", "out.mp4", "--mute", "0-1"]);
    code(&without, 2);
    assert!(text(&without.stderr).contains("--audio keep"));
    done(&unface(dir.path(), &[&args[..], &["0.5-200"]].concat()));
}

#[test]
fn samples_of_ten_bits_in_a_stream_hid_six_more() {
    let dir = tempfile::tempdir().unwrap();
    let head = b"YUV4MPEG2 W8 H6 F25:1 C420p10\n";
    let picture = |high: u16| {
        let samples = (512u16 | high).to_le_bytes().repeat(8 * 6 + 2 * 4 * 3);
        [&b"FRAME\n"[..], &samples].concat()
    };
    let clean = [&head[..], &picture(0), &picture(0)].concat();
    assert_eq!(verify::inspect(&clean).leaks, []);
    let hides = [&head[..], &picture(0), &picture(0xA400)].concat();
    assert!(!verify::inspect(&hides).leaks.is_empty());
    fs::write(dir.path().join("in.y4m"), hides).unwrap();
    refused(
        dir.path(),
        &["in.y4m", "-o", "out.y4m"],
        "more than 10 bits",
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_waited_for_a_pipe_that_gave_nothing() {
    let head = b"YUV4MPEG2 W64 H48 F25:1 C444\n";
    let picture = [&b"FRAME\n"[..], &[128; 64 * 48 * 3]].concat();
    // Before anything comes, inside of the beginning, and between two pictures.
    let some = [&head[..], &picture.repeat(3)].concat();
    for input in [&b""[..], &head[..], &some] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_unface"))
            .current_dir(dir.path())
            .args(["-", "-o", "out.y4m"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Held open: it never ends.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let interrupt = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(interrupt.success());
        let ended = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            child.try_wait().unwrap().is_some()
        });
        let _ = child.kill();
        let out = child.wait_with_output().unwrap();
        drop(stdin);
        assert!(ended, "it waited on");
        code(&out, 130);
        assert!(names(dir.path()).is_empty());
    }
}

/// ffmpeg ends there as if all were well.
#[test]
fn a_video_cut_between_frames_became_a_shorter_one_without_a_word() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = "testsrc=s=160x120:r=10:d=3";
    for (name, codec) in [
        ("in.mkv", "mpeg4"),
        ("in.webm", "libvpx"),
        ("in.avi", "mpeg4"),
        ("in.ogv", "libtheora"),
        ("in.flv", "flv1"),
        ("in.wmv", "wmv2"),
        ("in.mp4", "mpeg4"),
    ] {
        let clip = render(
            dir.path(),
            name,
            &[
                "-f",
                "lavfi",
                "-i",
                source,
                "-c:v",
                codec,
                "-movflags",
                "+faststart",
            ],
        );
        let output = if name == "in.webm" {
            "out.webm"
        } else {
            "out.mp4"
        };
        done(&unface(dir.path(), &[name, "-o", output, "--overwrite"]));
        fs::remove_file(dir.path().join(output)).unwrap();
        let whole = fs::read(&clip).unwrap();
        for share in [50, 60, 90] {
            fs::write(&clip, &whole[..whole.len() * share / 100]).unwrap();
            let out = unface(dir.path(), &[name, "-o", output]);
            code(&out, 1);
            assert!(!dir.path().join(output).exists(), "{name} {share}");
        }
    }
}

/// Where sound begins before the pictures, ffmpeg counts the times of the pictures from it.
#[test]
fn sound_of_a_transport_stream_could_not_be_kept() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["in.ts", "in.mpg"] {
        render(
            dir.path(),
            name,
            &[
                "-f",
                "lavfi",
                "-i",
                "sine=d=1",
                "-itsoffset",
                "0.3",
                "-f",
                "lavfi",
                "-i",
                "testsrc=s=160x120:r=10:d=1",
                "-map",
                "0",
                "-map",
                "1",
                "-c:v",
                "mpeg2video",
                "-r",
                "25",
                "-c:a",
                "mp2",
            ],
        );
        for how in ["keep", "disguise", "drop"] {
            done(&unface(
                dir.path(),
                &[name, "-o", "out.mp4", "--audio", how, "--overwrite"],
            ));
        }
    }
}

/// Every picture from there on was missing, and the run called it done.
#[test]
fn pictures_that_change_their_size_were_left_out_where_damage_is_allowed() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut both = Vec::new();
    for source in ["testsrc=s=320x240:r=10:d=1", "testsrc=s=160x120:r=10:d=1"] {
        let args = [
            "-f",
            "lavfi",
            "-i",
            source,
            "-c:v",
            "mpeg2video",
            "-r",
            "25",
        ];
        both.extend(fs::read(render(dir.path(), "one.ts", &args)).unwrap());
    }
    fs::write(dir.path().join("in.ts"), both).unwrap();
    let args = ["in.ts", "-o", "out.mp4", "--allow-damaged"];
    refused(dir.path(), &args, "changes the size of its frames midway");
}

#[test]
fn an_edit_list_with_another_speed_was_passed_over() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x48:r=5:d=2",
        "-pix_fmt",
        "yuv420p",
    ];
    let clip = render(dir.path(), "a.mp4", &args);
    let mut bytes = fs::read(&clip).unwrap();
    let list = bytes.windows(4).position(|w| w == b"elst").unwrap();
    // Behind the name: version and flags, how many, and of the first its length, its begin and its speed.
    let speed = &mut bytes[list + 20..list + 24];
    assert_eq!(speed, [0, 1, 0, 0]);
    for other in [[0, 0, 0x80, 0], [0, 0, 0, 0], [0, 2, 0, 0]] {
        bytes[list + 20..list + 24].copy_from_slice(&other);
        fs::write(&clip, &bytes).unwrap();
        refused(dir.path(), &["a.mp4", "-o", "o.mp4"], "other speeds");
    }
    // The same in an index that reaches to the end of the file.
    let index = bytes.windows(4).position(|w| w == b"moov").unwrap();
    bytes[index - 4..index].fill(0);
    fs::write(&clip, &bytes).unwrap();
    refused(dir.path(), &["a.mp4", "-o", "o.mp4"], "other speeds");
}
