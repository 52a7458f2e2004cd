//! Boxes that `detect` printed or a person wrote: for the picture they were made for, and whole.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Output},
};

use program::{code, done, ffmpeg, render, samples, says, text, unface};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (sample, name) in files {
        let to = dir.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(samples().join(sample), to).unwrap();
    }
    dir
}

/// What `detect` prints goes into the file `boxes`.
fn detect(dir: &Path, args: &[&str]) {
    let out = unface(dir, &[&["detect"], args].concat());
    done(&out);
    fs::write(dir.join("boxes"), &out.stdout).unwrap();
}

fn apply(dir: &Path, args: &[&str]) -> Output {
    unface(dir, &[args, &["--boxes", "boxes", "--overwrite"]].concat())
}

#[test]
fn boxes_made_with_another_orientation_are_refused() {
    let dir = folder(&[("portrait.jpg", "a.jpg"), ("orientation-6.jpg", "six.jpg")]);
    detect(dir.path(), &["a.jpg", "--orientation", "3"]);
    let out = apply(dir.path(), &["a.jpg"]);
    code(&out, 1);
    says(
        &out,
        "orientation 3 for a picture to which orientation 1 is applied",
    );
    for no_sandbox in [&[][..], &["--no-sandbox"]] {
        let args = [&["a.jpg", "--orientation", "3"], no_sandbox].concat();
        done(&apply(dir.path(), &args));
    }
    // What the file says counts as what a person says.
    detect(dir.path(), &["six.jpg"]);
    done(&apply(dir.path(), &["six.jpg"]));
    done(&apply(dir.path(), &["six.jpg", "--orientation", "6"]));
    code(&apply(dir.path(), &["six.jpg", "--orientation", "8"]), 1);
}

#[test]
fn boxes_of_animations_and_sequences_made_with_another_orientation_are_refused() {
    let dir = folder(&[("portrait.jpg", "s/1.jpg"), ("portrait.jpg", "s/2.jpg")]);
    let file = fs::File::create(dir.path().join("a.gif")).unwrap();
    let mut encoder = gif::Encoder::new(file, 32, 32, &[]).unwrap();
    for value in [0, 90, 180] {
        let mut pixels = [value, 9, 9, 255].repeat(32 * 32);
        encoder
            .write_frame(&gif::Frame::from_rgba(32, 32, &mut pixels))
            .unwrap();
    }
    drop(encoder);
    for args in [&["a.gif"][..], &["s", "--sequence"]] {
        detect(dir.path(), &[args, &["--orientation", "3"]].concat());
        let out = apply(dir.path(), args);
        code(&out, 1);
        says(&out, "orientation 3");
        done(&apply(
            dir.path(),
            &[args, &["--orientation", "3"]].concat(),
        ));
    }
}

#[test]
fn a_name_that_is_not_text_does_not_share_the_line_of_its_bytes_in_digits() {
    let dir = folder(&[]);
    let odd = OsStr::from_bytes(b"k\xff.jpg");
    fs::copy(samples().join("portrait.jpg"), dir.path().join(odd)).unwrap();
    fs::copy(
        samples().join("portrait.jpg"),
        dir.path().join("6bff2e6a7067"),
    )
    .unwrap();
    let run = |boxes: &str| {
        fs::write(dir.path().join("boxes"), boxes).unwrap();
        Command::new(env!("CARGO_BIN_EXE_unface"))
            .current_dir(dir.path())
            .arg(odd)
            .args(["--boxes", "boxes", "--overwrite"])
            .output()
            .unwrap()
    };
    let out = run("{\"path\":\"6bff2e6a7067\",\"faces\":[]}\n");
    code(&out, 1);
    says(&out, "has no boxes for this picture");
    done(&run(
        "{\"path\":\"k?.jpg\",\"path_hex\":\"6bFF2e6a7067\",\"faces\":[]}\n",
    ));
}

#[test]
fn other_spellings_of_a_path_find_its_boxes_and_other_files_do_not() {
    let dir = folder(&[("portrait.jpg", "one/a.jpg"), ("portrait.jpg", "two/a.jpg")]);
    let whole = dir.path().join("one/a.jpg");
    detect(dir.path(), &["one/a.jpg"]);
    for spelled in ["./one/a.jpg", "two/../one/a.jpg", whole.to_str().unwrap()] {
        done(&apply(dir.path(), &[spelled]));
    }
    let out = apply(dir.path(), &["two/a.jpg"]);
    code(&out, 1);
    says(&out, "has no boxes");
    // Two lines for one file, neither spelled as it was named.
    let line = |path: &str| format!("{{\"path\":\"{path}\",\"faces\":[]}}\n");
    fs::write(
        dir.path().join("boxes"),
        line("./one/a.jpg") + &line("one/../one/a.jpg"),
    )
    .unwrap();
    let out = apply(dir.path(), &["one/a.jpg"]);
    code(&out, 1);
    says(&out, "several names");
}

#[test]
fn a_video_needs_a_line_for_each_frame() {
    if !ffmpeg() {
        return;
    }
    let dir = folder(&[]);
    let source = ["-f", "lavfi", "-i", "color=gray:s=64x48:r=10:d=1"];
    render(dir.path(), "in.mp4", &source);
    let y4m = [&source[..], &["-pix_fmt", "yuv420p"]].concat();
    render(dir.path(), "in.y4m", &y4m);
    for name in ["in.mp4", "in.y4m"] {
        let lines = |frames: &[usize]| {
            let line = |f: &usize| format!("{{\"path\":\"{name}\",\"frame\":{f},\"faces\":[]}}\n");
            let text: String = frames.iter().map(line).collect();
            fs::write(dir.path().join("boxes"), text).unwrap();
        };
        let ten: Vec<usize> = (0..10).collect();
        lines(&ten);
        done(&apply(dir.path(), &[name]));
        for missing in [0, 1, 5, 9] {
            let rest: Vec<usize> = ten.iter().copied().filter(|f| *f != missing).collect();
            lines(&rest);
            let out = apply(dir.path(), &[name]);
            code(&out, 1);
            says(&out, &format!("no line for frame {missing};"));
        }
        lines(&[0, 9]);
        says(&apply(dir.path(), &[name]), "no line for frame 1;");
    }
}

#[test]
fn hidden_characters_of_names_are_escaped_in_every_line_of_json() {
    let name = "a\u{9b}31m\u{85}\u{7f}\u{202e}.jpg";
    let dir = folder(&[("nobody.jpg", name)]);
    let runs: [&[&str]; 3] = [
        &["detect", name],
        &["verify", "--json", name],
        &[name, "-q", "--report", "-", "--cover", "1,1,9,9"],
    ];
    for args in runs {
        let out = unface(dir.path(), args);
        let said = text(&out.stdout);
        assert!(
            said.contains("a\\u009b31m\\u0085\\u007f\\u202e.jpg"),
            "{said}"
        );
        assert!(!said.contains(['\u{9b}', '\u{85}', '\u{7f}', '\u{202e}']));
        let line: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        assert_eq!(line["path"], name);
    }
}
