//! What may be named together: inputs, outputs, the report, and files that say what to cover. Boxes are
//! given, so that nothing is searched.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

mod program;
use program::{code, names, samples, text};

#[track_caller]
fn run(folder: &Path, arguments: &[&str], expected: i32) -> Output {
    let out = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .args(arguments)
        .output()
        .unwrap();
    code(&out, expected);
    out
}

/// A folder with photos, the content by their suffix, and boxes for all of them.
fn folder(photos: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in photos {
        let target = dir.path().join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let png = name.ends_with(".png");
        let sample = if png { "cutout.png" } else { "grey.jpg" };
        fs::copy(samples().join(sample), target).unwrap();
    }
    boxes(dir.path(), photos);
    dir
}

fn boxes(folder: &Path, paths: &[&str]) {
    let line = |p: &&str| format!("{{\"path\":\"{p}\",\"faces\":[]}}\n");
    let lines: Vec<_> = paths.iter().map(line).collect();
    fs::write(folder.join("boxes"), lines.concat()).unwrap();
}

const GIVEN: [&str; 2] = ["--boxes", "boxes"];

#[track_caller]
fn with(folder: &Path, arguments: &[&str], expected: i32) -> String {
    let all = [arguments, &GIVEN].concat();
    text(&run(folder, &all, expected).stderr)
}

#[test]
fn a_report_over_an_input_destroyed_it_before_it_was_read() {
    let dir = folder(&["a.jpg", "b.jpg"]);
    let before = fs::read(dir.path().join("a.jpg")).unwrap();
    let own = dir.path().file_name().unwrap().to_str().unwrap();
    let up = format!("../{own}/a.jpg");
    let mut spelled = vec!["a.jpg", "./a.jpg", &up];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("a.jpg", dir.path().join("link")).unwrap();
        spelled.push("link");
    }
    for report in spelled {
        for inputs in [&["a.jpg"][..], &["b.jpg", "a.jpg"]] {
            let tail = ["-o", "o/", "--report", report, "--overwrite"];
            let told = with(dir.path(), &[inputs, &tail].concat(), 1);
            assert!(
                told.contains("is an input of this run too; give the report another name"),
                "{told}"
            );
        }
        assert_eq!(fs::read(dir.path().join("a.jpg")).unwrap(), before);
        assert!(!dir.path().join("o").exists());
    }
}

#[test]
fn a_report_over_a_file_that_the_run_reads_destroyed_it() {
    let dir = folder(&["a.jpg", "sticker.png"]);
    fs::write(dir.path().join("list"), "a.jpg\n").unwrap();
    for (arguments, report) in [
        (&["a.jpg", "--image", "sticker.png"][..], "sticker.png"),
        (&["a.jpg"], "boxes"),
        (&["--files-from", "list"], "list"),
    ] {
        let before = fs::read(dir.path().join(report)).unwrap();
        let tail = ["-o", "o/", "--report", report, "--overwrite"];
        let told = with(dir.path(), &[arguments, &tail].concat(), 1);
        assert!(told.contains("is a file that this run reads too"), "{told}");
        assert_eq!(fs::read(dir.path().join(report)).unwrap(), before);
    }
}

#[test]
fn an_output_over_a_file_that_the_run_reads_replaced_it() {
    let dir = folder(&["a.jpg", "sticker.png"]);
    let before = fs::read(dir.path().join("sticker.png")).unwrap();
    let arguments = [
        "a.jpg",
        "--image",
        "sticker.png",
        "-o",
        "./sticker.png",
        "--overwrite",
    ];
    let told = with(dir.path(), &arguments, 1);
    assert!(told.contains("is read by this run"), "{told}");
    assert_eq!(fs::read(dir.path().join("sticker.png")).unwrap(), before);
}

#[test]
fn a_report_over_a_frame_of_a_sequence_destroyed_it() {
    let dir = folder(&["seq/1.png", "seq/2.png"]);
    let before = fs::read(dir.path().join("seq/2.png")).unwrap();
    let arguments = [
        "seq",
        "--sequence",
        "-o",
        "o",
        "--report",
        "seq/2.png",
        "--overwrite",
    ];
    let told = with(dir.path(), &arguments, 1);
    assert!(told.contains("is an input of this run too"), "{told}");
    assert_eq!(fs::read(dir.path().join("seq/2.png")).unwrap(), before);
}

#[test]
fn a_report_under_the_name_of_a_sequences_frame_was_lost() {
    let dir = folder(&["seq/1.png", "seq/2.png"]);
    for report in ["o/2.png", "./o/2.png"] {
        let arguments = [
            "seq",
            "--sequence",
            "-o",
            "o",
            "--report",
            report,
            "--overwrite",
        ];
        let told = with(dir.path(), &arguments, 1);
        assert!(told.contains("is an output of this run too"), "{told}");
    }
    assert_eq!(names(dir.path()), ["boxes", "seq"]);
}

#[test]
fn a_report_under_an_outputs_name_was_lost() {
    let dir = folder(&["a.jpg", "b.jpg"]);
    for (arguments, report) in [
        (&["a.jpg"][..], "a.unface.jpg"),
        (&["a.jpg", "--overwrite"], "./a.unface.jpg"),
        (&["a.jpg", "--skip-existing"], "a.unface.jpg"),
        (&["a.jpg", "b.jpg", "-o", "o", "--overwrite"], "o/b.jpg"),
    ] {
        let told = with(dir.path(), &[arguments, &["--report", report]].concat(), 1);
        assert!(told.contains("is an output of this run too"), "{told}");
    }
    assert_eq!(names(dir.path()), ["a.jpg", "b.jpg", "boxes"]);
}

#[test]
fn a_report_was_taken_for_a_finished_output_of_a_list() {
    let dir = folder(&["a.jpg", "b.jpg"]);
    fs::create_dir(dir.path().join("safe")).unwrap();
    fs::write(dir.path().join("list"), "a.jpg\nb.jpg\n").unwrap();
    for (extra, report) in [
        (None, "safe/a.jpg"),
        (Some("--skip-existing"), "safe/b.jpg"),
    ] {
        let mut arguments = vec!["--files-from", "list", "-o", "safe/", "--report", report];
        arguments.extend(extra);
        let told = with(dir.path(), &arguments, 1);
        assert!(told.contains("is an output of this run too"), "{told}");
        assert!(told.contains("1 failed"), "{told}");
        let written = fs::read_to_string(dir.path().join(report)).unwrap();
        assert_eq!(written.lines().count(), 2, "a line on each input");
        names(&dir.path().join("safe"))
            .iter()
            .for_each(|name| fs::remove_file(dir.path().join("safe").join(name)).unwrap());
    }
}

#[test]
fn a_refused_run_left_an_empty_report_behind() {
    let dir = folder(&["a.jpg"]);
    fs::write(dir.path().join("a.unface.jpg"), "there").unwrap();
    let arguments = ["a.jpg", "--report", "r"];
    with(dir.path(), &arguments, 1);
    assert_eq!(names(dir.path()), ["a.jpg", "a.unface.jpg", "boxes"]);
    // One that was there stays as it was.
    fs::write(dir.path().join("r"), "old").unwrap();
    let over = ["a.jpg", "-o", "a.jpg", "--report", "r", "--overwrite"];
    with(dir.path(), &over, 1);
    assert_eq!(fs::read_to_string(dir.path().join("r")).unwrap(), "old");
    fs::remove_file(dir.path().join("a.unface.jpg")).unwrap();
    let told = with(dir.path(), &arguments, 1);
    assert!(told.contains("r: the report can't be written"), "{told}");
    fs::remove_file(dir.path().join("r")).unwrap();
    with(dir.path(), &arguments, 0);
    assert_eq!(names(dir.path()), ["a.jpg", "a.unface.jpg", "boxes", "r"]);
}

#[cfg(unix)]
#[test]
fn a_report_could_be_read_by_everybody_on_the_machine() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder(&["a.jpg"]);
    let mode = || {
        let found = fs::metadata(dir.path().join("r")).unwrap();
        found.permissions().mode() & 0o777
    };
    with(dir.path(), &["a.jpg", "--report", "r"], 0);
    assert_eq!(mode(), 0o600);
    fs::set_permissions(dir.path().join("r"), fs::Permissions::from_mode(0o644)).unwrap();
    with(dir.path(), &["a.jpg", "--report", "r", "--overwrite"], 0);
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_report_in_an_input_folder_is_no_input() {
    let dir = folder(&["p/a.jpg"]);
    for _ in 0..2 {
        let arguments = ["p", "-o", "safe", "--report", "p/r.jsonl", "--overwrite"];
        with(dir.path(), &arguments, 0);
    }
    assert_eq!(names(&dir.path().join("safe")), ["a.jpg"]);
}

#[test]
fn outputs_in_two_spellings_of_one_folder_replaced_each_other() {
    let dir = folder(&["a.jpg", "a.png"]);
    let whole = dir.path().join("a.png");
    let whole = whole.to_str().unwrap();
    boxes(dir.path(), &["a.jpg", whole]);
    let jpeg = ["--format", "jpg", "--overwrite"];
    with(dir.path(), &[&["a.jpg", whole][..], &jpeg].concat(), 0);
    assert_eq!(
        names(dir.path()),
        [
            "a.jpg",
            "a.jpg.unface.jpg",
            "a.png",
            "a.png.unface.jpg",
            "boxes"
        ]
    );
}

#[cfg(unix)]
#[test]
fn outputs_in_a_folder_and_in_a_link_to_it_replaced_each_other() {
    let dir = folder(&["p/a.jpg", "p/a.png"]);
    std::os::unix::fs::symlink("p", dir.path().join("link")).unwrap();
    boxes(dir.path(), &["p/a.jpg", "link/a.png"]);
    let arguments = ["p/a.jpg", "link/a.png", "--format", "jpg", "--overwrite"];
    with(dir.path(), &arguments, 0);
    assert_eq!(
        names(&dir.path().join("p")),
        ["a.jpg", "a.jpg.unface.jpg", "a.png", "a.png.unface.jpg"]
    );
}

#[test]
fn names_in_two_cases_of_letters_replaced_each_other_on_memory_sticks() {
    let dir = folder(&["p/X.jpg", "q/x.png", "q/x.jpg"]);
    let jpeg = ["-o", "safe/", "--format", "jpg", "--overwrite"];
    let arguments = [&["p/X.jpg", "q/x.png"][..], &jpeg].concat();
    with(dir.path(), &arguments, 0);
    assert_eq!(names(&dir.path().join("safe")), ["X.jpg.jpg", "x.png.jpg"]);
    let same = [&["p/X.jpg", "q/x.jpg"][..], &jpeg].concat();
    let told = with(dir.path(), &same, 1);
    assert!(told.contains("two inputs would get this name"), "{told}");
    assert_eq!(names(&dir.path().join("safe")), ["X.jpg.jpg", "x.png.jpg"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_not_taken_for_one_another() {
    use std::os::unix::ffi::OsStrExt;
    let dir = folder(&["p/a.jpg"]);
    for byte in [0xFE, 0xFF] {
        let name = [&b"bad"[..], &[byte], b".jpg"].concat();
        let name = std::ffi::OsStr::from_bytes(&name);
        fs::copy(dir.path().join("p/a.jpg"), dir.path().join("p").join(name)).unwrap();
    }
    let told = text(&run(dir.path(), &["p", "-o", "safe", "--dry-run"], 0).stdout);
    assert!(
        told.contains("safe/bad\\xfe.jpg") && told.contains("safe/bad\\xff.jpg"),
        "{told}"
    );
}

#[test]
fn a_png_was_written_under_the_name_of_a_jpeg() {
    let dir = folder(&["a.jpg"]);
    let told = with(dir.path(), &["a.jpg", "-o", "e.jpg", "--format", "png"], 2);
    assert!(told.contains("e.jpg: is no name for PNG"), "{told}");
    assert_eq!(names(dir.path()), ["a.jpg", "boxes"]);
    with(dir.path(), &["a.jpg", "-o", "e.JPEG", "--format", "jpg"], 0);
}

#[test]
fn a_dry_run_of_a_file_that_is_not_there_was_fine() {
    let dir = folder(&["a.jpg"]);
    let out = run(dir.path(), &["--dry-run", "nosuch.jpg", "a.jpg"], 1);
    let told = text(&out.stderr);
    assert!(
        told.contains("nosuch.jpg: can't be read") && told.contains("check its name"),
        "{told}"
    );
    assert_eq!(text(&out.stdout), "a.jpg → a.unface.jpg\n");
}

#[test]
fn several_inputs_into_a_file_were_told_to_overwrite_what_lies_in_it() {
    let dir = folder(&["a.jpg", "b.png", "c.jpg", "p/d.jpg"]);
    for inputs in [&["a.jpg", "b.png"][..], &["p"]] {
        for output in ["c.jpg", "c.jpg/"] {
            let told = with(dir.path(), &[inputs, &["-o", output]].concat(), 2);
            assert!(
                told.contains("c.jpg: is a file, and several inputs"),
                "{told}"
            );
        }
    }
}

#[test]
fn a_place_or_a_box_outside_a_photo_covered_nothing_and_was_called_covered() {
    let dir = folder(&["a.jpg"]);
    let told = with(dir.path(), &["a.jpg", "--cover", "9000,9000,10,10"], 1);
    assert!(
        told.contains("a.jpg: the place to cover, 9000,9000"),
        "{told}"
    );
    fs::write(
        dir.path().join("boxes"),
        "{\"path\":\"a.jpg\",\"faces\":[{\"x1\":-50,\"y1\":10,\"x2\":-10,\"y2\":60}]}",
    )
    .unwrap();
    let told = with(dir.path(), &["a.jpg"], 1);
    assert!(told.contains("has a box outside this picture"), "{told}");
    assert_eq!(names(dir.path()), ["a.jpg", "boxes"]);
}

#[cfg(unix)]
#[test]
fn verify_passed_over_links_in_folders_in_silence() {
    let dir = folder(&["p/a.jpg"]);
    with(dir.path(), &["p/a.jpg", "-o", "out/a.jpg"], 0);
    run(dir.path(), &["verify", "out"], 0);
    std::os::unix::fs::symlink("../p/a.jpg", dir.path().join("out/link.jpg")).unwrap();
    let told = text(&run(dir.path(), &["verify", "out"], 1).stderr);
    assert!(
        told.contains("out/link.jpg: can't be read (a link in a folder"),
        "{told}"
    );
}
