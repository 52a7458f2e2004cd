//! What the tests of the program from outside share: its samples, and what it said and wrote.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use image::DynamicImage;
use unface::{
    Rect,
    decode::{Options, photo},
};

#[allow(dead_code)]
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub fn code(output: &Output, expected: i32) {
    assert_eq!(
        output.status.code(),
        Some(expected),
        "stderr: {}",
        text(&output.stderr)
    );
}

/// That what the program said on standard error holds some words.
#[allow(dead_code)]
#[track_caller]
pub fn says(output: &Output, words: &str) {
    let said = text(&output.stderr);
    assert!(said.contains(words), "{said}");
}

#[allow(dead_code)]
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Whether ffmpeg is there; says so where it is not.
#[allow(dead_code, clippy::print_stderr)]
pub fn ffmpeg() -> bool {
    let there = ["ffmpeg", "ffprobe"]
        .iter()
        .all(|p| Command::new(p).arg("-version").output().is_ok());
    if !there {
        eprintln!("SKIPPED: ffmpeg is not installed");
    }
    there
}

/// Renders with ffmpeg: `args` between the program's name and the output.
#[allow(dead_code)]
pub fn render(dir: &Path, name: &str, args: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args)
        .arg(&path)
        .output()
        .unwrap();
    code(&out, 0);
    path
}

/// A sample's pixels, as a viewer shows them.
#[allow(dead_code)]
pub fn sample(name: &str) -> DynamicImage {
    let bytes = fs::read(samples().join(name)).unwrap();
    let photo = photo(&bytes, &Options::default()).unwrap();
    photo.frame.into_pixels()
}

/// Where the faces of a sample are, as drawn: left, top, right, bottom.
#[allow(dead_code)]
pub fn truth(name: &str) -> Vec<[f32; 4]> {
    let text = fs::read_to_string(samples().join("truth.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(all[name].clone()).unwrap()
}

/// What `detect` says of a file: each line's faces, with their scores.
#[allow(dead_code)]
pub fn detected(dir: &Path, file: &str) -> Vec<Vec<(Rect, f64)>> {
    let output = unface(dir, &["detect", file, "-q"]);
    done(&output);
    let faces = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let faces = line["faces"].as_array().unwrap().iter();
        let face = |f: &serde_json::Value| {
            let rect = serde_json::from_value::<Rect>(f.clone()).unwrap();
            (rect, f["score"].as_f64().unwrap())
        };
        faces.map(face).collect()
    };
    text(&output.stdout).lines().map(faces).collect()
}

/// Runs the program in a folder.
#[allow(dead_code)]
pub fn unface(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir)
        .args(args)
        .output()
        .unwrap()
}

#[allow(dead_code)]
#[track_caller]
pub fn done(output: &Output) {
    code(output, 0);
}
