//! `unface verify` on files of strangers: what it may cost, and how it ends.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

mod program;
use program::{code, text};

fn verify(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unface"));
    command.current_dir(folder).arg("verify");
    command
}

/// A lossless WebP of 40 bytes that has 16383 × 16384 pixels, all alike.
const LARGE: &[u8] =
    b"RIFF\x20\0\0\0WEBPVP8L\x14\0\0\0\x2f\xfe\xbf\xff\x0f\x07\x50\x81\x54\x08\x20\0\
    \x0a\x9a\xfe\xc7\x88\x88\xfe\x07";

#[test]
fn a_file_that_takes_too_much_memory_is_one_failed_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.webp"), LARGE).unwrap();
    fs::write(folder.path().join("b.txt"), "some text").unwrap();
    let out = verify(folder.path())
        .args(["--max-memory", "16", "a.webp", "b.txt"])
        .output()
        .unwrap();
    code(&out, 1);
    let said = text(&out.stdout) + &text(&out.stderr);
    let about = |name: &str| said.lines().any(|l| l.contains(name));
    assert!(about("a.webp") && about("b.txt"), "{said}");
    assert!(said.contains("2 of 2 files"), "{said}");
}

#[test]
fn a_file_larger_than_the_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let large = fs::File::create(folder.path().join("large.mp4")).unwrap();
    large.set_len(3 << 20).unwrap();
    let out = verify(folder.path())
        .args(["--max-memory", "2", "large.mp4"])
        .output()
        .unwrap();
    code(&out, 1);
    program::says(&out, "has more than 2 MiB");
}

#[cfg(target_os = "linux")]
#[test]
fn one_signal_ends_it_at_once_while_it_reads() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let pipe = folder.path().join(format!("{}.png", signal.as_raw()));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let child = verify(folder.path())
            .arg(&pipe)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Opens when it reads, and then it waits for more.
        let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
        writer.write_all(b"\x89PNG").unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let out = child.wait_with_output().unwrap();
        code(&out, 130);
        drop(writer);
    }
}
