//! That nothing of a run is told to anybody: neither over a network nor in files that a library writes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

mod program;
use program::{code, names, samples};

/// A home without anything in it; the data directory, with ONNX Runtime, stays where it is.
fn at_home(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unface"));
    let data = std::env::var_os("XDG_DATA_HOME").map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap()).join(".local/share"),
        Into::into,
    );
    command
        .current_dir(home)
        .env("HOME", home)
        .env("XDG_DATA_HOME", data)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("ORT_DISABLE_TELEMETRY");
    command
}

#[test]
fn a_library_wrote_a_record_of_every_run_into_the_cache_folder_and_sent_it_to_its_makers() {
    let home = tempfile::tempdir().unwrap();
    fs::copy(samples().join("portrait.jpg"), home.path().join("a.jpg")).unwrap();
    let out = at_home(home.path())
        .args(["a.jpg", "-o", "b.jpg"])
        .output()
        .unwrap();
    code(&out, 0);
    code(
        &at_home(home.path())
            .args(["--version", "--verbose"])
            .output()
            .unwrap(),
        0,
    );
    assert_eq!(names(home.path()), ["a.jpg", "b.jpg"]);
}

#[test]
fn the_program_can_open_no_socket_whatever_is_loaded_into_it() {
    let home = tempfile::tempdir().unwrap();
    for args in [&["-", "-o", "-"][..], &["-", "-o", "-", "--no-sandbox"]] {
        let mut child = at_home(home.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It waits for standard input.
        let status = format!("/proc/{}/status", child.id());
        let held = || {
            let status = fs::read_to_string(&status).unwrap();
            let line = status.lines().find(|l| l.starts_with("Seccomp:")).unwrap();
            line.ends_with('2')
        };
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until && !held() {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(held(), "{args:?}");
        child
            .stdin
            .take()
            .unwrap()
            .write_all(b"no picture")
            .unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
