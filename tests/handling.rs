//! Inputs, outputs and messages of the program at their edges: each test is named after what was wrong once.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs, io,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Mutex,
    time::Duration,
};

use miniz_oxide::deflate::compress_to_vec_zlib as zlib;
use tempfile::TempDir;
use unface::{
    decode,
    discover::Request,
    pipeline::{Faces, Outcome, Progress, Settings, Task},
    report::{Boxes, Status},
};

mod png_chunk;
mod program;
use png_chunk::chunk;
use program::{code, ffmpeg, names, samples, says, text, unface};

/// Copies of a sample, and boxes for them, so that nothing needs to be searched.
fn photos(paths: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut boxes = String::new();
    for path in paths {
        let target = dir.path().join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(samples().join("portrait.jpg"), target).unwrap();
        boxes += &format!("{{\"path\":\"{path}\",\"faces\":[]}}\n");
    }
    fs::write(dir.path().join("boxes"), boxes).unwrap();
    dir
}

/// Runs a line of shell in a folder.
fn shell(dir: &Path, line: &str) -> Output {
    Command::new("bash")
        .current_dir(dir)
        .args(["-c", line])
        .output()
        .unwrap()
}

fn piped(dir: &Path, from: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir)
        .args(args)
        .stdin(fs::File::open(dir.join(from)).unwrap())
        .output()
        .unwrap()
}

#[test]
fn a_second_interrupt_crashed_or_invented_failures() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    for i in 0..12 {
        let name = format!("in/{i}.jpg");
        fs::copy(samples().join("crowd.jpg"), dir.path().join(name)).unwrap();
    }
    for wait in [400, 700, 1000] {
        let child = Command::new(env!("CARGO_BIN_EXE_unface"))
            .current_dir(dir.path())
            .args(["in", "-o", "out", "--jobs", "2", "--overwrite"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let interrupt = || {
            let pid = child.id().to_string();
            let _ = Command::new("kill").args(["-INT", &pid]).status();
        };
        std::thread::sleep(Duration::from_millis(wait));
        interrupt();
        std::thread::sleep(Duration::from_millis(40));
        interrupt();
        let out = child.wait_with_output().unwrap();
        code(&out, 130);
        // A first interrupt that was done with before the second one ends in a line that counts no failures.
        let said = text(&out.stderr).replace("; 0 failed;", ";");
        assert!(!said.contains("failed"), "{said}");
    }
}

/// Empties a photo once it is planned.
struct Emptied<'a>(&'a Path, Mutex<Vec<Status>>);

impl Progress for Emptied<'_> {
    fn planned(&self, _jobs: Option<usize>) -> io::Result<()> {
        fs::write(self.0, b"")
    }

    fn finished(&self, outcome: &Outcome) -> io::Result<()> {
        self.1.lock().unwrap().push(outcome.record.status);
        Ok(())
    }
}

#[test]
fn a_photo_that_was_emptied_during_the_run_was_passed_over() {
    let dir = photos(&["in/a.jpg"]);
    let boxes = fs::read_to_string(dir.path().join("boxes")).unwrap();
    let settings = Settings {
        request: Request {
            inputs: vec![dir.path().join("in")],
            look_only: true,
            ..Request::default()
        },
        list: None,
        decode: decode::Options::default(),
        faces: Faces::Given(Boxes::parse(&boxes).unwrap()),
        task: Task::Detect,
        workers: 1,
        memory: 1 << 30,
        cage: None,
    };
    let progress = Emptied(&dir.path().join("in/a.jpg"), Mutex::default());
    let summary = unface::pipeline::run(&settings, &progress).unwrap();
    assert_eq!((summary.failed, summary.passed_over), (1, 0));
    assert_eq!(*progress.1.lock().unwrap(), [Status::Failed]);
}

#[test]
fn an_original_that_came_through_standard_input_was_replaced() {
    let dir = photos(&["a.jpg"]);
    let before = fs::read(dir.path().join("a.jpg")).unwrap();
    let over = ["-", "-o", "a.jpg", "--overwrite", "--cover", "1,1,9,9"];
    code(&piped(dir.path(), "a.jpg", &over), 1);
    let args = ["-", "-o", "o.png", "--report", "a.jpg", "--overwrite"];
    code(&piped(dir.path(), "a.jpg", &args), 1);
    assert_eq!(fs::read(dir.path().join("a.jpg")).unwrap(), before);
}

#[test]
fn a_folder_or_a_dangling_link_passed_for_a_finished_output() {
    let dir = photos(&["in/a.jpg", "in/b.jpg", "in/c.jpg"]);
    fs::create_dir_all(dir.path().join("out/a.jpg")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("out/b.jpg")).unwrap();
    let args = ["in", "-o", "out", "--skip-existing", "--boxes", "boxes"];
    let out = unface(dir.path(), &args);
    code(&out, 1);
    says(&out, "2 failed");
    assert!(dir.path().join("out/c.jpg").is_file());
}

#[test]
fn a_link_to_a_pipe_or_of_the_system_was_replaced_by_a_picture() {
    let dir = photos(&["a.jpg"]);
    let link = dir.path().join("o.jpg");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let args = ["a.jpg", "-o", "o.jpg", "--overwrite", "--boxes", "boxes"];
    let out = unface(dir.path(), &args);
    code(&out, 1);
    says(&out, "no ordinary file");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_limit_on_the_size_of_files_ended_the_run_without_a_word() {
    let dir = photos(&["in/a.jpg"]);
    fs::copy(samples().join("crowd.jpg"), dir.path().join("in/b.jpg")).unwrap();
    let program = env!("CARGO_BIN_EXE_unface");
    let run = format!(
        "trap - XFSZ; ulimit -f 100; exec {program} in -o out --jobs 1 --cover 1,1,9,9 --boxes boxes2"
    );
    let boxes = fs::read_to_string(dir.path().join("boxes")).unwrap();
    let further = boxes.replace("a.jpg", "b.jpg");
    fs::write(dir.path().join("boxes2"), boxes + &further).unwrap();
    let out = shell(dir.path(), &run);
    code(&out, 1);
    assert!(text(&out.stderr).contains("in/b.jpg") || text(&out.stderr).contains("out/b.jpg"));
    assert_eq!(names(&dir.path().join("out")), ["a.jpg"]);
}

#[test]
fn a_pipe_with_a_name_was_read_twice() {
    let dir = photos(&["a.jpg"]);
    let run = format!(
        "cat a.jpg | {} /dev/stdin -o o.jpg --cover 1,1,9,9",
        env!("CARGO_BIN_EXE_unface")
    );
    let out = shell(dir.path(), &run);
    // What it is shows only when it is read, and its output has no name until then.
    code(&out, 1);
    says(&out, "use - for a pipe");
}

#[test]
fn a_file_in_the_place_of_a_folder_was_called_an_output_that_exists() {
    let dir = photos(&["in/sub/a.jpg"]);
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/sub"), "x").unwrap();
    let out = unface(
        dir.path(),
        &["in", "-o", "out", "--overwrite", "--boxes", "boxes"],
    );
    code(&out, 1);
    let said = text(&out.stderr);
    assert!(
        said.contains("a file and no folder") && !said.contains("--overwrite"),
        "{said}"
    );
}

#[test]
fn detect_advised_an_option_that_it_does_not_have() {
    let dir = photos(&["a.jpg"]);
    let run = format!("{} detect a.jpg > /dev/full", env!("CARGO_BIN_EXE_unface"));
    let out = shell(dir.path(), &run);
    code(&out, 1);
    let said = text(&out.stderr);
    assert!(
        said.contains("standard output") && !said.contains("--skip-existing"),
        "{said}"
    );
}

#[test]
fn a_report_in_the_folder_of_the_outputs_could_not_be_begun() {
    let dir = photos(&["in/a.jpg"]);
    let args = [
        "in",
        "-o",
        "out",
        "--report",
        "out/deep/r.json",
        "--boxes",
        "boxes",
    ];
    code(&unface(dir.path(), &args), 0);
    assert!(dir.path().join("out/deep/r.json").is_file());
}

#[test]
fn frames_that_were_covered_were_taken_as_inputs_again() {
    let dir = photos(&["in/fr/1.jpg", "in/fr.unface/1.jpg"]);
    code(
        &unface(dir.path(), &["in", "-o", "out", "--boxes", "boxes"]),
        0,
    );
    assert_eq!(names(&dir.path().join("out")), ["fr"]);
}

#[test]
fn frames_went_into_a_folder_with_the_name_of_a_video() {
    let dir = photos(&["fr/1.jpg"]);
    let out = unface(dir.path(), &["--sequence", "fr", "-o", "x.mp4"]);
    code(&out, 2);
    assert!(!dir.path().join("x.mp4").exists());
    // Named as a folder it is one.
    let out = unface(dir.path(), &["--sequence", "fr", "-o", "x.mp4/"]);
    code(&out, 0);
    assert_eq!(names(&dir.path().join("x.mp4")), ["1.jpg"]);
}

#[test]
fn boxes_behind_a_byte_order_mark_were_refused_and_bad_ones_printed_as_code() {
    let dir = photos(&["a.jpg"]);
    let boxes = fs::read_to_string(dir.path().join("boxes")).unwrap();
    fs::write(dir.path().join("marked"), format!("\u{feff}{boxes}")).unwrap();
    code(
        &unface(dir.path(), &["a.jpg", "-o", "o.jpg", "--boxes", "marked"]),
        0,
    );
    let bad = boxes.replace("[]", r#"[{"x1":5,"y1":5,"x2":5,"y2":9}]"#);
    fs::write(dir.path().join("bad"), bad).unwrap();
    let out = unface(dir.path(), &["a.jpg", "-o", "p.jpg", "--boxes", "bad"]);
    assert_ne!(out.status.code(), Some(0));
    let said = text(&out.stderr);
    assert!(
        said.contains("5,5 to 5,9") && !said.contains("Rect"),
        "{said}"
    );
}

/// A PNG with a text chunk in front of its pixels.
fn with_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 64, 48);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[90; 64 * 48]).unwrap();
    writer.finish().unwrap();
    // Behind the signature and the header.
    png.splice(33..33, chunk(kind, body));
    png
}

#[test]
fn orientations_in_compressed_text_of_a_png_were_passed_over() {
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let hex: String = exif.iter().map(|b| format!("{b:02x}")).collect();
    let profile = format!("\nexif\n{:8}\n{hex}\n", exif.len());
    let xmp = br#"<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>"#;
    let zipped = [
        &b"Raw profile type exif\0\0"[..],
        &zlib(profile.as_bytes(), 6),
    ]
    .concat();
    let plain = [b"Raw profile type APP1\0", profile.as_bytes()].concat();
    let packed = [&b"XML:com.adobe.xmp\0\x01\0\0\0"[..], &zlib(xmp, 6)].concat();
    let dir = tempfile::tempdir().unwrap();
    for (kind, body) in [(b"zTXt", zipped), (b"tEXt", plain), (b"iTXt", packed)] {
        fs::write(dir.path().join("a.png"), with_chunk(kind, &body)).unwrap();
        let args = ["a.png", "-o", "o.png", "--cover", "1,1,9,9"];
        let out = unface(dir.path(), &args);
        code(&out, 0);
        let said = text(&out.stderr);
        assert!(said.contains("--orientation"), "{said}");
        fs::remove_file(dir.path().join("o.png")).unwrap();
        let strict = [&args[..], &["--strict"]].concat();
        code(&unface(dir.path(), &strict), 1);
        let _ = fs::remove_file(dir.path().join("o.png"));
        let decided = [&args[..], &["--orientation", "6", "--strict"]].concat();
        code(&unface(dir.path(), &decided), 0);
        fs::remove_file(dir.path().join("o.png")).unwrap();
    }
}

#[test]
fn what_a_video_tells_of_itself_was_dropped_without_a_word_and_unknown_videos_were_to_become_photos()
 {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x48:r=5:d=1",
        "-metadata",
        "title=march",
        "-metadata",
    ];
    let clip = [&args[..], &["location=+52.5+13.4/", "-pix_fmt", "yuv420p"]].concat();
    program::render(dir.path(), "a.mp4", &clip);
    let out = unface(dir.path(), &["a.mp4", "-o", "o.mp4", "--report", "r.json"]);
    code(&out, 0);
    let report = fs::read_to_string(dir.path().join("r.json")).unwrap();
    assert!(
        report.contains("tag title") && report.contains("tag location"),
        "{report}"
    );
    fs::write(dir.path().join("b.h264"), b"\0\0\0\x01\x67\x42\0\x0a").unwrap();
    let out = unface(dir.path(), &["b.h264"]);
    code(&out, 1);
    let said = text(&out.stderr);
    assert!(said.contains("MP4") && !said.contains("JPEG"), "{said}");
}
