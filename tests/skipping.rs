//! `--skip-existing` and the reports that it goes on from.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::{fs, path::Path};

use program::{code, done, ffmpeg, names, render, samples, says, text, unface};
use serde_json::Value;

const COVER: [&str; 2] = ["--cover", "1,1,9,9"];

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (sample, name) in files {
        let to = dir.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(samples().join(sample), to).unwrap();
    }
    dir
}

/// Covers what `args` name, goes on from and writes to the report `r`.
fn resume(dir: &Path, args: &[&str]) -> std::process::Output {
    let tail = ["--skip-existing", "--report", "r", "--recheck", "off"];
    unface(dir, &[args, &tail, &COVER].concat())
}

fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let records = text.lines().map(|l| serde_json::from_str(l).unwrap());
    records.collect()
}

#[test]
fn an_uncovered_copy_under_an_outputs_name_is_not_taken_for_an_output() {
    let dir = folder(&[
        ("portrait.jpg", "s/march.jpg"),
        ("portrait.jpg", "s/march.unface.jpg"),
    ]);
    let without = unface(dir.path(), &["s", "--skip-existing"]);
    code(&without, 1);
    says(&without, "name the --report of the run that wrote it");
    let out = resume(dir.path(), &["s"]);
    code(&out, 1);
    says(&out, "march.unface.jpg: exists already");
    let record = &records(&dir.path().join("r"))[0];
    assert_eq!(
        (&record["status"], &record["output"]),
        (&"failed".into(), &Value::Null)
    );
    let dry = unface(
        dir.path(),
        &["s", "--skip-existing", "--report", "r", "--dry-run"],
    );
    code(&dry, 1);
    assert!(
        !text(&dry.stdout).contains("skipped"),
        "{}",
        text(&dry.stdout)
    );
}

#[test]
fn an_output_of_an_input_of_the_same_name_in_another_folder_is_not_taken_for_its_output() {
    let dir = folder(&[("portrait.jpg", "a/1.jpg"), ("grey.jpg", "b/1.jpg")]);
    done(&resume(dir.path(), &["a", "-o", "out"]));
    let out = resume(dir.path(), &["b", "-o", "out"]);
    code(&out, 1);
    says(&out, "does not say that it was made of b/1.jpg");
}

#[test]
fn what_a_report_says_is_done_is_skipped_by_any_spelling_and_from_anywhere() {
    let dir = folder(&[("portrait.jpg", "p/a.jpg"), ("grey.jpg", "p/b.jpg")]);
    done(&resume(dir.path(), &["p/a.jpg", "-o", "out/"]));
    let first = fs::read(dir.path().join("out/a.jpg")).unwrap();
    let out = resume(dir.path(), &["./p/../p", "-o", "out"]);
    code(&out, 0);
    says(&out, "1 picture done");
    says(&out, "1 skipped");
    let tail = ["--skip-existing", "--report", "../r", "--dry-run"];
    let there = unface(
        &dir.path().join("p"),
        &[&["a.jpg", "b.jpg", "-o", "../out"], &tail[..]].concat(),
    );
    code(&there, 0);
    assert_eq!(text(&there.stdout).matches("would be skipped").count(), 2);
    assert_eq!(fs::read(dir.path().join("out/a.jpg")).unwrap(), first);
    let states: Vec<_> = records(&dir.path().join("r"))
        .iter()
        .map(|r| r["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["done", "skipped", "done"]);
}

#[test]
fn a_report_of_another_folder_with_the_same_names_says_nothing_of_these() {
    let dir = folder(&[("portrait.jpg", "one/a.jpg"), ("grey.jpg", "two/a.jpg")]);
    done(&resume(&dir.path().join("one"), &["a.jpg"]));
    fs::copy(dir.path().join("one/r"), dir.path().join("two/r")).unwrap();
    fs::copy(
        dir.path().join("two/a.jpg"),
        dir.path().join("two/a.unface.jpg"),
    )
    .unwrap();
    code(&resume(&dir.path().join("two"), &["a.jpg"]), 1);
}

#[test]
fn a_replaced_input_and_a_changed_output_are_not_skipped() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    done(&resume(dir.path(), &["a.jpg"]));
    says(&resume(dir.path(), &["a.jpg"]), "1 skipped");
    let output = dir.path().join("a.unface.jpg");
    let covered = fs::read(&output).unwrap();
    let mut changed = covered.clone();
    let last = changed.len() - 3;
    changed[last] ^= 1;
    fs::write(&output, changed).unwrap();
    code(&resume(dir.path(), &["a.jpg"]), 1);
    fs::write(&output, covered).unwrap();
    done(&resume(dir.path(), &["a.jpg"]));
    fs::copy(samples().join("grey.jpg"), dir.path().join("a.jpg")).unwrap();
    code(&resume(dir.path(), &["a.jpg"]), 1);
}

#[test]
fn lists_and_the_clips_of_motion_photos_are_held_to_the_report_too() {
    if !ffmpeg() {
        return;
    }
    let dir = folder(&[("nobody.jpg", "a.jpg")]);
    let clip = render(
        dir.path(),
        "clip.mp4",
        &["-f", "lavfi", "-i", "color=gray:s=64x48:r=10:d=0.5"],
    );
    let mut photo = fs::read(dir.path().join("a.jpg")).unwrap();
    photo.extend(fs::read(&clip).unwrap());
    fs::write(dir.path().join("a.jpg"), photo).unwrap();
    fs::write(dir.path().join("list"), "a.jpg\n").unwrap();
    let args = ["--files-from", "list", "-o", "o/", "--keep-motion"];
    done(&resume(dir.path(), &args));
    assert_eq!(names(&dir.path().join("o")), ["a.jpg", "a.jpg.mp4"]);
    says(&resume(dir.path(), &args), "1 skipped");
    // Another clip under that name.
    let own = fs::read(dir.path().join("o/a.jpg.mp4")).unwrap();
    fs::copy(&clip, dir.path().join("o/a.jpg.mp4")).unwrap();
    code(&resume(dir.path(), &args), 1);
    fs::remove_file(dir.path().join("o/a.jpg")).unwrap();
    let out = resume(dir.path(), &args);
    code(&out, 1);
    says(&out, "a.jpg.mp4: exists already");
    // Its own: only the still is made again.
    fs::write(dir.path().join("o/a.jpg.mp4"), own).unwrap();
    done(&resume(dir.path(), &args));
    assert!(dir.path().join("o/a.jpg").exists());
}

#[test]
fn a_report_that_a_killed_run_left_incomplete_is_gone_on_with_on_a_new_line() {
    let dir = folder(&[("portrait.jpg", "a.jpg"), ("grey.jpg", "b.jpg")]);
    done(&resume(dir.path(), &["a.jpg"]));
    let report = dir.path().join("r");
    let whole = fs::read_to_string(&report).unwrap();
    fs::write(&report, format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
    let out = resume(dir.path(), &["a.jpg", "b.jpg"]);
    code(&out, 0);
    says(&out, "1 skipped");
    let text = fs::read_to_string(&report).unwrap();
    let good = text
        .lines()
        .filter(|l| serde_json::from_str::<Value>(l).is_ok());
    assert_eq!((text.lines().count(), good.count()), (4, 3));
    done(&resume(dir.path(), &["a.jpg", "b.jpg"]));
}

#[test]
fn what_is_not_a_report_is_never_added_to_or_replaced() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    let boxes = "{\"path\":\"a.jpg\",\"width\":1,\"height\":1,\"faces\":[]}\n";
    for foreign in [
        "hello",
        boxes,
        "{\"version\":1,\"path\":\"x\",\"clean\":true}\n",
    ] {
        fs::write(dir.path().join("r"), foreign).unwrap();
        let overwrite = ["a.jpg", "--overwrite", "--report", "r"];
        for out in [
            resume(dir.path(), &["a.jpg"]),
            unface(dir.path(), &[&overwrite[..], &COVER].concat()),
        ] {
            code(&out, 1);
            says(&out, "r: is not a report");
            assert_eq!(fs::read_to_string(dir.path().join("r")).unwrap(), foreign);
            assert_eq!(names(dir.path()), ["a.jpg", "r"]);
        }
    }
}

#[test]
fn a_report_that_is_there_is_named_with_what_to_do() {
    let dir = folder(&[("portrait.jpg", "a.jpg"), ("grey.jpg", "b.jpg")]);
    done(&resume(dir.path(), &["a.jpg"]));
    let out = unface(
        dir.path(),
        &[&["b.jpg", "--report", "r"], &COVER[..]].concat(),
    );
    code(&out, 1);
    says(
        &out,
        "r: the report can't be written, as a file of that name exists; add --skip-existing",
    );
    // One run after the other adds to it.
    done(&resume(dir.path(), &["b.jpg"]));
    assert_eq!(records(&dir.path().join("r")).len(), 2);
}

#[test]
fn a_report_goes_into_a_pipe_too() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    let program = env!("CARGO_BIN_EXE_unface");
    let run = format!(
        "{program} a.jpg -q --cover 1,1,9,9 --report /dev/stderr 2>&1 >/dev/null | cat > r"
    );
    let status = std::process::Command::new("sh")
        .current_dir(dir.path())
        .args(["-c", &run])
        .status()
        .unwrap();
    assert!(status.success());
    let record = &records(&dir.path().join("r"))[0];
    assert_eq!(record["status"], "done");
    assert_eq!(
        record["input"]["bytes"],
        fs::metadata(dir.path().join("a.jpg")).unwrap().len()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_done_behind_a_long_input_is_known_after_the_run_was_killed() {
    let dir = folder(&[
        ("portrait.jpg", "p/b.jpg"),
        ("grey.jpg", "p/c.jpg"),
        ("nobody.jpg", "p/d.jpg"),
    ]);
    let fifo = std::process::Command::new("mkfifo")
        .arg(dir.path().join("pipe"))
        .status();
    assert!(fifo.unwrap().success());
    let args = ["pipe", "p", "-o", "o", "--skip-existing", "--report", "r"];
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir.path())
        .args([&args[..], &["-q", "--jobs", "2"], &COVER].concat())
        .spawn()
        .unwrap();
    // The first input comes to no end, and no line of the report before its own.
    let journal = dir.path().join("r.unfinished");
    let lines = || fs::read_to_string(&journal).map_or(0, |t| t.lines().count());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while lines() < 3 {
        assert!(std::time::Instant::now() < until, "nothing is noted");
        std::thread::yield_now();
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(fs::read(dir.path().join("r")).unwrap(), b"");
    for done in ["3 skipped", "3 skipped"] {
        let out = resume(dir.path(), &["p", "-o", "o"]);
        code(&out, 0);
        says(&out, done);
        assert!(!journal.exists());
    }
    let done = records(&dir.path().join("r"));
    let done = done.iter().filter(|r| r["status"] == "done");
    assert_eq!(done.count(), 3);
}
