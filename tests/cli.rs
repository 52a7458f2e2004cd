//! The program from outside: files in, files out, exit codes. Needs ONNX Runtime and the detector
//! (`python3 scripts/setup.py`), as the program itself does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

mod program;
use program::{code, names, samples, text, truth};

fn unface(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unface"));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .arg("--jobs")
        .arg("2");
    command
}

fn detect(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unface"));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .arg("detect")
        .arg("-q");
    command
}

/// A fresh folder with copies of samples under the names given.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (sample, name) in files {
        let target = dir.path().join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(samples().join(sample), target).unwrap();
    }
    dir
}

fn decoded(path: &Path) -> image::DynamicImage {
    let bytes = fs::read(path).unwrap();
    unface::decode::photo(&bytes, &unface::decode::Options::default())
        .unwrap()
        .frame
        .into_pixels()
}

const PINK: [u8; 3] = [255, 0, 255];
/// What pink is in a grey picture.
const GREY_PINK: [u8; 3] = [73; 3];

/// Share of a box that is pink.
fn covered(picture: &image::RgbImage, [x1, y1, x2, y2]: [f32; 4]) -> f32 {
    let grey = picture.pixels().all(|p| p.0 == [p.0[0]; 3]);
    let pink_here = if grey { GREY_PINK } else { PINK };
    let (mut pink, mut all) = (0, 0);
    for y in y1 as u32..(y2 as u32).min(picture.height()) {
        for x in x1 as u32..(x2 as u32).min(picture.width()) {
            all += 1;
            let pixel = picture.get_pixel(x, y).0;
            pink += u32::from(pixel == pink_here);
        }
    }
    pink as f32 / all as f32
}

#[test]
fn every_drawn_face_is_covered_in_every_sample() {
    let dir = tempfile::tempdir().unwrap();
    let out = unface(dir.path())
        .arg(samples())
        .args([
            "-o", "safe/", "--effect", "fill", "--color", "ff00ff", "--format", "png",
        ])
        .output()
        .unwrap();
    code(&out, 0);
    let pictures: Vec<_> = names(&samples())
        .into_iter()
        .filter(|n| n.ends_with(".jpg") || n.ends_with(".png"))
        // The README's picture of what comes out, which is never an input.
        .filter(|n| !n.contains(".unface."))
        .collect();
    assert!(pictures.len() >= 15);
    for name in pictures {
        let picture =
            decoded(&dir.path().join("safe").join(&name).with_extension("png")).into_rgb8();
        for face in truth(&name) {
            assert!(covered(&picture, face) > 0.8, "{name}: {face:?} is visible");
        }
    }
    assert!(
        text(&out.stderr).contains("nobody.jpg"),
        "a picture without a face is named"
    );
}

#[test]
fn nothing_of_the_metadata_survives() {
    let dir = folder(&[("telltale.jpg", "in.jpg")]);
    let before = text(&fs::read(dir.path().join("in.jpg")).unwrap());
    for planted in ["CANARY-MODEL", "CANARY-COMMENT", "CANARY-XMP", "Exif"] {
        assert!(before.contains(planted), "the sample lost its {planted}");
    }
    code(
        &unface(dir.path())
            .args(["in.jpg", "--report", "r.jsonl"])
            .output()
            .unwrap(),
        0,
    );
    let bytes = fs::read(dir.path().join("in.unface.jpg")).unwrap();
    for word in ["CANARY", "Exif", "GPS", "in.jpg"] {
        assert!(!text(&bytes).contains(word), "{word} survived");
    }
    assert_eq!(unface::verify::inspect(&bytes).leaks, []);
    let report: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("r.jsonl")).unwrap()).unwrap();
    let dropped = report["dropped"].to_string();
    for kind in ["GPS", "thumbnail", "XMP", "comment"] {
        assert!(dropped.contains(kind), "{dropped} does not name {kind}");
    }
    assert_eq!(report["version"], 1);
    assert_eq!(report["status"], "done");
}

#[test]
fn the_same_faces_are_found_in_all_eight_orientations() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for orientation in 1..=8 {
        let out = detect(dir.path())
            .arg(samples().join(format!("orientation-{orientation}.jpg")))
            .output()
            .unwrap();
        code(&out, 0);
        let line: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(
            (line["width"].as_u64(), line["height"].as_u64()),
            (Some(480), Some(320))
        );
        let mut boxes: Vec<unface::Face> = serde_json::from_value(line["faces"].clone()).unwrap();
        boxes.sort_by(|a, b| a.rect.x1.total_cmp(&b.rect.x1));
        all.push(boxes);
    }
    assert_eq!(all[0].len(), 4);
    for boxes in &all[1..] {
        assert_eq!(boxes.len(), all[0].len());
        for (a, b) in boxes.iter().zip(&all[0]) {
            assert!(a.rect.iou(&b.rect) >= 0.9, "{a:?} and {b:?}");
        }
    }
}

#[test]
fn a_folder_keeps_its_tree_and_leaves_other_files_out() {
    let dir = folder(&[
        ("group.jpg", "photos/a/b.jpg"),
        ("portrait.jpg", "photos/c.JPG"),
    ]);
    fs::write(dir.path().join("photos/notes.txt"), "hello").unwrap();
    fs::write(dir.path().join("photos/.hidden.jpg"), "x").unwrap();
    let out = unface(dir.path())
        .args(["photos", "-o", "safe"])
        .output()
        .unwrap();
    code(&out, 0);
    assert_eq!(names(&dir.path().join("safe")), ["a", "c.JPG"]);
    assert_eq!(names(&dir.path().join("safe/a")), ["b.jpg"]);
    assert!(text(&out.stderr).contains("1 passed over"));
}

#[test]
fn a_second_run_takes_no_outputs_for_inputs_and_overwrites_nothing() {
    let dir = folder(&[("portrait.jpg", "photos/a.jpg")]);
    let report = ["photos", "--report", "r"];
    code(&unface(dir.path()).args(report).output().unwrap(), 0);
    let first = fs::read(dir.path().join("photos/a.unface.jpg")).unwrap();
    let again = unface(dir.path()).arg("photos").output().unwrap();
    code(&again, 1);
    assert!(text(&again.stderr).contains("--overwrite"));
    code(
        &unface(dir.path())
            .args(["photos", "--skip-existing", "--report", "r"])
            .output()
            .unwrap(),
        0,
    );
    assert_eq!(names(&dir.path().join("photos")), ["a.jpg", "a.unface.jpg"]);
    assert_eq!(
        fs::read(dir.path().join("photos/a.unface.jpg")).unwrap(),
        first
    );
    code(
        &unface(dir.path())
            .args(["photos", "--overwrite"])
            .output()
            .unwrap(),
        0,
    );
    assert_ne!(
        fs::read(dir.path().join("photos/a.unface.jpg")).unwrap(),
        first,
        "fresh noise in every run"
    );
}

#[test]
fn a_pipe_gives_a_covered_picture_and_a_terminal_line_goes_to_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = unface(dir.path())
        .args(["-", "-o", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let picture = fs::read(samples().join("group.jpg")).unwrap();
    child.stdin.take().unwrap().write_all(&picture).unwrap();
    let out = child.wait_with_output().unwrap();
    code(&out, 0);
    assert_eq!(
        unface::verify::check(&out.stdout, unface::Format::Jpeg, 960, 640),
        Ok(())
    );
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn a_list_with_nul_keeps_folders_of_relative_names() {
    let dir = folder(&[
        ("group.jpg", "a/one.jpg"),
        ("portrait.jpg", "b/new\nline.jpg"),
    ]);
    let list: Vec<u8> = b"a/one.jpg\0./b/new\nline.jpg\0".to_vec();
    fs::write(dir.path().join("list"), list).unwrap();
    let out = unface(dir.path())
        .args(["--files-from0", "list", "-o", "safe/"])
        .output()
        .unwrap();
    code(&out, 0);
    assert!(dir.path().join("safe/a/one.jpg").is_file());
    assert!(dir.path().join("safe/b/new\nline.jpg").is_file());
    assert!(
        !text(&out.stderr).contains("new\nline"),
        "control characters are escaped"
    );
}

#[test]
fn a_broken_picture_in_a_batch_fails_alone_and_leaves_nothing() {
    let dir = folder(&[
        ("portrait.jpg", "photos/good.jpg"),
        ("group.jpg", "photos/cut.jpg"),
    ]);
    let cut = dir.path().join("photos/cut.jpg");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(
        dir.path().join("photos/clip.jpg"),
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    )
    .unwrap();
    let out = unface(dir.path())
        .args(["photos", "-o", "safe/"])
        .output()
        .unwrap();
    code(&out, 1);
    assert_eq!(names(&dir.path().join("safe")), ["good.jpg"]);
    let told = text(&out.stderr);
    assert!(
        told.contains("photos/cut.jpg: is damaged") && told.contains("--allow-damaged"),
        "{told}"
    );
    // A video that breaks off; without ffmpeg, one that can't be read at all.
    assert!(
        told.contains("photos/clip.jpg: can't be read by ffmpeg")
            || told.contains("photos/clip.jpg: is a video, and ffmpeg is not installed"),
        "{told}"
    );
    let out = unface(dir.path())
        .args(["photos/cut.jpg", "--allow-damaged", "-o", "safe/"])
        .output()
        .unwrap();
    code(&out, 0);
    assert!(dir.path().join("safe/cut.jpg").is_file());
}

#[test]
fn named_files_must_succeed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "hello").unwrap();
    for name in ["missing.jpg", "notes.txt"] {
        let out = unface(dir.path()).arg(name).output().unwrap();
        code(&out, 1);
        assert!(text(&out.stderr).contains(name));
    }
    assert_eq!(names(dir.path()), ["notes.txt"]);
}

#[test]
fn a_photo_was_written_as_a_jpeg_under_the_name_of_a_video() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/samples/grey.jpg"),
        dir.path().join("a.jpg"),
    )
    .unwrap();
    let out = unface(dir.path())
        .args(["a.jpg", "-o", "x.mp4"])
        .output()
        .unwrap();
    code(&out, 1);
    assert!(text(&out.stderr).contains("can't become MP4"));
    assert_eq!(names(dir.path()), ["a.jpg"]);
}

#[test]
fn commands_that_make_no_sense_end_with_2_before_any_work() {
    let dir = folder(&[("portrait.jpg", "a.jpg"), ("group.jpg", "b.jpg")]);
    let cases: [&[&str]; 9] = [
        &[],
        &["a.jpg", "--effect", "smudge"],
        &["a.jpg", "--color", "red"],
        &["a.jpg", "--region", "1.0"],
        &["a.jpg", "--cover", "1,2,3"],
        &["a.jpg", "--effect", "image"],
        &["a.jpg", "b.jpg", "-o", "-"],
        &["a.jpg", "-o", "out.xyz"],
        &["a.jpg", "--overwrite", "--skip-existing"],
    ];
    for arguments in cases {
        let out = unface(dir.path()).args(arguments).output().unwrap();
        code(&out, 2);
        assert_eq!(names(dir.path()), ["a.jpg", "b.jpg"], "{arguments:?}");
    }
}

#[test]
fn inputs_that_would_share_a_name_keep_their_suffixes() {
    let dir = folder(&[("portrait.jpg", "p/x.jpg"), ("cutout.png", "p/x.png")]);
    code(
        &unface(dir.path())
            .args(["p", "-o", "safe", "--format", "png"])
            .output()
            .unwrap(),
        0,
    );
    assert_eq!(names(&dir.path().join("safe")), ["x.jpg.png", "x.png.png"]);
}

#[test]
fn boxes_that_were_edited_are_covered_and_nothing_else() {
    let dir = folder(&[("group.jpg", "a.jpg")]);
    let found = detect(dir.path()).arg("a.jpg").output().unwrap();
    code(&found, 0);
    let mut line: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    line["faces"] = serde_json::json!([{"x1": 10, "y1": 10, "x2": 60, "y2": 60}]);
    fs::write(dir.path().join("boxes.jsonl"), line.to_string()).unwrap();
    let run = |extra: &[&str]| {
        unface(dir.path())
            .args([
                "a.jpg",
                "--boxes",
                "boxes.jsonl",
                "--effect",
                "fill",
                "--color",
                "ff00ff",
                "--overwrite",
            ])
            .args(["--cover", "900,600,500,500", "-o", "out.png"])
            .args(extra)
            .output()
            .unwrap()
    };
    code(&run(&[]), 0);
    let picture = decoded(&dir.path().join("out.png")).into_rgb8();
    assert_eq!(picture.get_pixel(3, 3).0, PINK, "the box times 1.3");
    assert_eq!(
        picture.get_pixel(959, 639).0,
        PINK,
        "--cover up to the last pixel"
    );
    assert!(
        truth("group.jpg")
            .iter()
            .all(|&face| covered(&picture, face) == 0.0),
        "the search is not run"
    );
    fs::write(
        dir.path().join("boxes.jsonl"),
        "{\"path\":\"b.jpg\",\"faces\":[]}",
    )
    .unwrap();
    let out = run(&[]);
    code(&out, 1);
    assert!(text(&out.stderr).contains("has no boxes for this picture"));
}

/// Its entry must name the file that is shipped, or it would get the thresholds of its family.
#[test]
fn the_small_model_is_the_one_that_the_manifest_knows_and_finds_the_same_people() {
    let model = samples().join("../models/small-int8.onnx");
    let sum = unface::detect::manifest::sha256(&fs::read(&model).unwrap());
    let entries = unface::detect::manifest::entries().unwrap();
    assert!(
        entries
            .iter()
            .any(|e| e.name == "small-int8" && e.sha256 == sum)
    );
    let dir = folder(&[("group.jpg", "a.jpg")]);
    let counted = |arguments: &[&str]| {
        let out = detect(dir.path())
            .arg("a.jpg")
            .args(arguments)
            .output()
            .unwrap();
        code(&out, 0);
        text(&out.stdout).matches("\"score\"").count()
    };
    let sure = ["--threshold", "0.5"];
    let found = counted(&sure);
    assert!(found > 0);
    assert_eq!(
        counted(&[&sure[..], &["--model", model.to_str().unwrap()]].concat()),
        found
    );
}

#[test]
fn what_detect_prints_covers_the_same_as_a_search() {
    let dir = folder(&[("crowd.jpg", "a.jpg")]);
    let found = detect(dir.path()).arg("a.jpg").output().unwrap();
    fs::write(dir.path().join("boxes.jsonl"), &found.stdout).unwrap();
    let fill = ["a.jpg", "--effect", "fill", "-o"];
    code(
        &unface(dir.path())
            .args(fill)
            .arg("one.png")
            .output()
            .unwrap(),
        0,
    );
    code(
        &unface(dir.path())
            .args(fill)
            .args(["two.png", "--boxes", "boxes.jsonl"])
            .output()
            .unwrap(),
        0,
    );
    assert_eq!(
        fs::read(dir.path().join("one.png")).unwrap(),
        fs::read(dir.path().join("two.png")).unwrap()
    );
}

#[test]
fn a_seed_makes_outputs_equal_and_no_seed_makes_them_differ() {
    let dir = folder(&[("group.jpg", "a.jpg")]);
    for (name, seed) in [("1.png", Some("5")), ("2.png", Some("5")), ("3.png", None)] {
        let mut command = unface(dir.path());
        command.args(["a.jpg", "-o", name]);
        seed.map(|s| command.args(["--seed", s]));
        code(&command.output().unwrap(), 0);
    }
    let read = |name| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("1.png"), read("2.png"));
    assert_ne!(read("1.png"), read("3.png"));
}

#[test]
fn grey_pictures_were_refused_by_the_verifier_for_a_table_of_colours() {
    let dir = folder(&[("grey.jpg", "grey.jpg")]);
    code(&unface(dir.path()).arg("grey.jpg").output().unwrap(), 0);
    assert!(matches!(
        decoded(&dir.path().join("grey.unface.jpg")),
        image::DynamicImage::ImageLuma8(_)
    ));
}

#[test]
fn every_effect_writes_a_verified_picture_of_the_same_size() {
    let dir = folder(&[("cutout.png", "a.png"), ("portrait.jpg", "sticker.jpg")]);
    for (index, arguments) in [
        vec!["--effect", "blur"],
        vec!["--effect", "pixelate", "--cells", "2"],
        vec!["--effect", "fill", "--color", "00ff00"],
        vec!["--image", "sticker.jpg", "--preview-boxes"],
    ]
    .into_iter()
    .enumerate()
    {
        for suffix in ["png", "jpg"] {
            let name = format!("{index}.{suffix}");
            code(
                &unface(dir.path())
                    .arg("a.png")
                    .args(&arguments)
                    .args(["-o", &name])
                    .output()
                    .unwrap(),
                0,
            );
            let bytes = fs::read(dir.path().join(&name)).unwrap();
            let format = name.rsplit('.').next().unwrap().parse().unwrap();
            assert_eq!(unface::verify::check(&bytes, format, 360, 400), Ok(()));
        }
    }
}

#[test]
fn a_dry_run_says_what_would_be_written_and_writes_nothing() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    let out = unface(dir.path())
        .args(["a.jpg", "--dry-run"])
        .output()
        .unwrap();
    code(&out, 0);
    assert_eq!(text(&out.stdout), "a.jpg → a.unface.jpg\n");
    assert_eq!(names(dir.path()), ["a.jpg"]);
}

#[test]
fn strict_makes_a_picture_without_a_face_a_failure() {
    let dir = folder(&[("nobody.jpg", "a.jpg")]);
    code(
        &unface(dir.path())
            .args(["a.jpg", "-o", "x.jpg"])
            .output()
            .unwrap(),
        0,
    );
    code(
        &unface(dir.path())
            .args(["a.jpg", "-o", "y.jpg", "--strict"])
            .output()
            .unwrap(),
        1,
    );
}

#[test]
fn a_missing_runtime_is_told_with_what_to_do() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    let out = unface(dir.path())
        .args(["a.jpg", "--onnxruntime", "nothing.so"])
        .output()
        .unwrap();
    code(&out, 1);
    assert!(text(&out.stderr).contains("setup.py") && text(&out.stderr).contains("nothing.so"));
    fs::write(dir.path().join("no.so"), "no library").unwrap();
    let out = unface(dir.path())
        .args(["a.jpg", "--onnxruntime", "no.so"])
        .output()
        .unwrap();
    code(&out, 1);
    assert_eq!(names(dir.path()), ["a.jpg", "no.so"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_leaves_nothing_partial() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("photos")).unwrap();
    for i in 0..60 {
        fs::copy(
            samples().join("crowd.jpg"),
            dir.path().join(format!("photos/{i}.jpg")),
        )
        .unwrap();
    }
    let child = unface(dir.path())
        .args(["photos", "-o", "safe/"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let out = child.wait_with_output().unwrap();
    code(&out, 130);
    let written = if dir.path().join("safe").exists() {
        names(&dir.path().join("safe"))
    } else {
        Vec::new()
    };
    assert!(written.len() < 60);
    for name in written {
        let bytes = fs::read(dir.path().join("safe").join(&name)).unwrap();
        assert_eq!(
            unface::verify::check(&bytes, unface::Format::Jpeg, 1600, 1067),
            Ok(()),
            "{name}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_link_under_the_output_name_is_not_written_through() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    fs::write(dir.path().join("victim"), "precious").unwrap();
    std::os::unix::fs::symlink("victim", dir.path().join("a.unface.jpg")).unwrap();
    code(&unface(dir.path()).arg("a.jpg").output().unwrap(), 1);
    code(
        &unface(dir.path())
            .args(["a.jpg", "--overwrite"])
            .output()
            .unwrap(),
        0,
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("victim")).unwrap(),
        "precious"
    );
    assert!(
        fs::symlink_metadata(dir.path().join("a.unface.jpg"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn planted_metadata_of_the_shared_corpus_is_gone() {
    let data = std::env::var_os("UNFACE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let corpus = data.join("metadata");
    if !corpus.is_dir() {
        eprintln!("skipped: {} is not there", corpus.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let inputs: Vec<PathBuf> = names(&corpus)
        .into_iter()
        .filter(|n| n.ends_with(".jpg") || n.ends_with(".png"))
        .map(|n| corpus.join(n))
        .collect();
    assert!(inputs.len() >= 30);
    let out = unface(dir.path())
        .args(&inputs)
        .args(["-o", "safe/"])
        .output()
        .unwrap();
    let written = names(&dir.path().join("safe"));
    // One PNG is an animation; all others are written.
    assert!(written.len() + 2 >= inputs.len(), "{}", text(&out.stderr));
    for name in written {
        let bytes = fs::read(dir.path().join("safe").join(&name)).unwrap();
        assert!(!text(&bytes).contains("CANARY"), "{name}");
        assert_eq!(unface::verify::inspect(&bytes).leaks, [], "{name}");
    }
}

#[test]
fn a_thorough_recheck_dropped_faces_that_the_search_had_found() {
    let dir = folder(&[("crowd.jpg", "in.jpg")]);
    let faces = |how: &str| -> Vec<unface::Rect> {
        let report = format!("{how}.json");
        let output = unface(dir.path())
            .args(["in.jpg", "-q", "--overwrite", "--seed", "1"])
            .args(["--recheck", how, "--report", &report])
            .output()
            .unwrap();
        assert_ne!(output.status.code(), Some(2), "{output:?}");
        let text = fs::read_to_string(dir.path().join(report)).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let faces = line["faces"].as_array().unwrap();
        let rect = |f: &serde_json::Value| serde_json::from_value(f.clone()).unwrap();
        faces.iter().map(rect).collect()
    };
    let thorough = faces("thorough");
    let usual = faces("quick");
    assert!(usual.len() > 20);
    for face in usual {
        let holds = |t: &unface::Rect| t.hull(&face) == *t;
        assert!(thorough.iter().any(holds), "{face:?}");
    }
}
