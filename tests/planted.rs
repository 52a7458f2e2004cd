//! Files that somebody else has put where the program could look for its own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use program::{code, done, samples, says, unface};

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(samples().join("portrait.jpg"), dir.path().join("a.jpg")).unwrap();
    dir
}

/// `detect a.jpg` with a data directory of its own.
fn with_data(dir: &Path, data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir)
        .args(["detect", "a.jpg"])
        .env("XDG_DATA_HOME", data)
        .env("HOME", data)
        .env("LD_LIBRARY_PATH", ":")
        .env_remove("ORT_DYLIB_PATH")
        .output()
        .unwrap()
}

#[test]
fn a_file_of_a_models_name_in_the_current_folder_is_not_that_model() {
    let dir = folder();
    fs::write(dir.path().join("small-int8"), "not a model").unwrap();
    done(&unface(
        dir.path(),
        &["detect", "a.jpg", "--model", "small-int8"],
    ));
    let named = unface(dir.path(), &["detect", "a.jpg", "--model", "./small-int8"]);
    code(&named, 1);
    fs::write(dir.path().join("mine"), "not a model").unwrap();
    let named = unface(dir.path(), &["detect", "a.jpg", "--model", "mine"]);
    code(&named, 2);
    says(&named, "mine: is not a model that comes with the program");
}

#[cfg(target_os = "linux")]
#[test]
fn an_unknown_runtime_library_is_refused_wherever_it_lies_and_no_other_is_tried() {
    let dir = folder();
    let library = "libonnxruntime.so";
    let own = dir.path().join("data/unface");
    fs::create_dir_all(&own).unwrap();
    // In the current folder, where an empty element of a search path leads.
    fs::write(dir.path().join(library), "not a library").unwrap();
    let out = with_data(dir.path(), &dir.path().join("data"));
    code(&out, 1);
    says(&out, "there is no ");
    fs::write(own.join(library), "not a library").unwrap();
    let out = with_data(dir.path(), &dir.path().join("data"));
    code(&out, 1);
    says(
        &out,
        "data/unface/libonnxruntime.so: is not the copy of version",
    );
    says(&out, "--onnxruntime");
}

#[cfg(target_os = "linux")]
#[test]
fn a_known_library_that_others_may_change_is_loaded_from_a_copy() {
    let dir = folder();
    let own = dir.path().join("data/unface");
    fs::create_dir_all(&own).unwrap();
    let home = std::env::var("HOME").unwrap();
    let data = std::env::var("XDG_DATA_HOME").unwrap_or(format!("{home}/.local/share"));
    let known = Path::new(&data).join("unface/libonnxruntime.so");
    let copy = own.join("libonnxruntime.so");
    fs::copy(known, &copy).unwrap();
    for mode in [0o644, 0o666] {
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        done(&with_data(dir.path(), &dir.path().join("data")));
    }
    // One changed byte is another library.
    let mut bytes = fs::read(&copy).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&copy, bytes).unwrap();
    let out = with_data(dir.path(), &dir.path().join("data"));
    code(&out, 1);
    says(&out, "is not the copy of version");
}

#[cfg(target_os = "linux")]
#[test]
fn a_running_program_leaves_no_core_file_and_cannot_be_read_by_others() {
    let dir = folder();
    let mut run = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir.path())
        .args(["-", "-o", "o.jpg"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let of = |name: &str| format!("/proc/{}/{name}", run.id());
    let core = || {
        let limits = fs::read_to_string(of("limits")).unwrap_or_default();
        let line = limits.lines().find(|l| l.contains("core file"));
        line.map(|l| l.split_whitespace().skip(4).take(2).collect::<Vec<_>>() == ["0", "0"])
    };
    // Which mappings a process has only those may know who may read its memory. Whoever runs this
    // as root may all the same, and then the file's owner says it.
    let closed = || {
        use std::os::unix::fs::MetadataExt;
        let own = fs::metadata(dir.path()).unwrap().uid();
        own == 0 || fs::metadata(of("environ")).is_ok_and(|m| m.uid() == 0)
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while core() != Some(true) || !closed() {
        assert!(std::time::Instant::now() < until, "still open");
        std::thread::yield_now();
    }
    drop(run.stdin.take());
    run.wait().unwrap();
}
