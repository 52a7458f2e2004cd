//! What lies in folders besides pictures, and what keeps inputs and outputs waiting.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use program::{code, done, names, samples, says, text, unface};

fn folder(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::copy(samples().join("portrait.jpg"), dir.path().join(name)).unwrap();
    dir
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_is_named_as_a_picture_or_video_and_not_read_is_named_and_strict_fails() {
    let dir = folder("in/ok.jpg");
    let inside = |name: &str| dir.path().join("in").join(name);
    fs::write(inside("notes.txt"), "hello").unwrap();
    let args = ["in", "-q", "--strict", "--cover", "1,1,9,9", "--overwrite"];
    let run = || unface(dir.path(), &[&args[..], &["--report", "r"]].concat());
    done(&run());
    fs::write(inside("clip.MOV"), "no video at all").unwrap();
    fs::write(inside("empty.jpg"), "").unwrap();
    std::os::unix::fs::symlink("/nowhere/x", inside("link.jpeg")).unwrap();
    fifo(&inside("pipe.png"));
    let out = run();
    code(&out, 1);
    for words in [
        "in/clip.MOV: not read, its name is that of a picture or video",
        "in/empty.jpg: not read, it is empty",
        "in/link.jpeg: not read, it is a link",
        "in/pipe.png: not read, it is a pipe",
    ] {
        says(&out, words);
    }
    assert!(!text(&out.stderr).contains("notes.txt"));
    let report = fs::read_to_string(dir.path().join("r")).unwrap();
    let mut reasons: Vec<String> = report
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
        .filter_map(|r| r["reason"].as_str().map(str::to_owned))
        .collect();
    reasons.sort();
    assert_eq!(
        reasons,
        ["empty", "link", "other", "special", "unrecognised"]
    );
    let out = unface(dir.path(), &["in", "--cover", "1,1,9,9", "--overwrite"]);
    code(&out, 0);
    says(
        &out,
        "4 files not read although named as pictures or videos: ",
    );
    says(&out, "1 link in folders not followed");
    says(&out, "1 special file in folders not followed");
    // The same through a list.
    fs::write(dir.path().join("list"), "in\n").unwrap();
    let list = [
        "--files-from",
        "list",
        "--strict",
        "-o",
        "o",
        "--cover",
        "1,1,9,9",
    ];
    let out = unface(dir.path(), &list);
    code(&out, 1);
    says(&out, "in/link.jpeg: not read, it is a link");
}

#[test]
fn pipes_to_which_nobody_writes_end_on_one_signal() {
    let dir = folder("a.jpg");
    fifo(&dir.path().join("pipe.jpg"));
    let commands: [&[&str]; 5] = [
        &["pipe.jpg"],
        &["detect", "pipe.jpg"],
        &["verify", "pipe.jpg"],
        &["--files-from", "pipe.jpg"],
        &["a.jpg", "--boxes", "pipe.jpg"],
    ];
    for args in commands {
        let run = Command::new(env!("CARGO_BIN_EXE_unface"))
            .current_dir(dir.path())
            .args(args)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It waits for the pipe, or is about to.
        let pid = run.id();
        let caught = || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
            let caught = line.and_then(|l| u64::from_str_radix(l.trim(), 16).ok());
            caught.is_some_and(|c| c & (1 << 14) != 0)
        };
        while cfg!(target_os = "linux") && !caught() {
            std::thread::yield_now();
        }
        let kill = ["-TERM".to_owned(), pid.to_string()];
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        let out = run.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(130), "{args:?}");
    }
}

#[test]
fn verify_reads_standard_input_and_says_nothing_when_nobody_listens() {
    let dir = folder("a.jpg");
    let program = env!("CARGO_BIN_EXE_unface");
    let run = |line: &str| {
        Command::new("sh")
            .current_dir(dir.path())
            .args(["-c", line])
            .output()
            .unwrap()
    };
    fs::copy(samples().join("telltale.jpg"), dir.path().join("t.jpg")).unwrap();
    let out = run(&format!("{program} verify - < t.jpg"));
    code(&out, 1);
    assert!(
        text(&out.stdout).starts_with("-: "),
        "{}",
        text(&out.stdout)
    );
    done(&unface(dir.path(), &["t.jpg", "--cover", "1,1,9,9"]));
    code(&run(&format!("{program} verify - < t.unface.jpg")), 0);
    let all = "t.jpg ".repeat(40);
    let out = run(&format!("{program} verify {all} | true"));
    assert!(!text(&out.stderr).contains(" of "), "{}", text(&out.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn where_files_without_names_cannot_be_linked_files_with_names_are_written() {
    let strace = Command::new("strace").arg("-V").output();
    assert!(strace.is_ok(), "this test needs strace");
    let dir = folder("a.jpg");
    for error in ["EPERM", "EOPNOTSUPP", "EXDEV"] {
        let out = Command::new("strace")
            .current_dir(dir.path())
            .args(["-f", "-o", "/dev/null", "-e", "trace=linkat"])
            .args(["-e", &format!("inject=linkat:error={error}")])
            .arg(env!("CARGO_BIN_EXE_unface"))
            .args(["a.jpg", "-o", "o/", "--overwrite", "--cover", "1,1,9,9"])
            .args(["--no-sandbox", "--recheck", "off"])
            .output()
            .unwrap();
        code(&out, 0);
        assert_eq!(names(&dir.path().join("o")), ["a.jpg"]);
        fs::remove_file(dir.path().join("o/a.jpg")).unwrap();
    }
}

#[test]
fn an_input_too_large_is_told_a_size_that_is_larger_than_the_limit() {
    let dir = folder("a.jpg");
    fs::copy(samples().join("crowd.jpg"), dir.path().join("c.jpg")).unwrap();
    let out = unface(dir.path(), &["c.jpg", "--max-memory", "1"]);
    code(&out, 1);
    assert!(
        !text(&out.stderr).contains("needs 1 MiB"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn a_failed_video_is_not_called_a_picture() {
    let dir = folder("a.jpg");
    fs::write(dir.path().join("v.mp4"), b"\0\0\0\x14ftypisom\0\0\0\0isom").unwrap();
    let out = unface(dir.path(), &["v.mp4"]);
    code(&out, 1);
    let mut said = String::new();
    (&out.stderr[..]).read_to_string(&mut said).unwrap();
    assert!(!said.contains("picture"), "{said}");
}
