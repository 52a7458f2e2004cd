//! Lists of inputs that come while others are worked on, as a watcher of a folder writes them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use program::{code, names, samples, says, text, unface};

/// A run that takes its list from a pipe, and what it says, line by line.
struct Watched {
    child: Child,
    list: ChildStdin,
    said: Receiver<String>,
}

impl Watched {
    /// `args`: after the list.
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unface"))
            .current_dir(dir)
            .args(["--files-from", "-", "-o", "safe/"])
            .args(args)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, said) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        Self {
            list: child.stdin.take().unwrap(),
            child,
            said,
        }
    }

    /// Names a file, and gives the line that is said of it.
    fn name(&mut self, path: &str) -> String {
        writeln!(self.list, "{path}").unwrap();
        self.list.flush().unwrap();
        loop {
            let line = self.said.recv_timeout(Duration::from_secs(120)).unwrap();
            if line.contains(path) {
                return line;
            }
        }
    }

    /// Ends the list: the exit code and the closing line.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.list);
        let status = self.child.wait().unwrap();
        (status.code(), self.said.iter().last().unwrap())
    }
}

/// A folder with samples under other names, and boxes that show nobody in them.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut boxes = String::new();
    for (sample, name) in files {
        fs::copy(samples().join(sample), dir.path().join(name)).unwrap();
        boxes += &format!("{{\"path\":\"{name}\",\"faces\":[]}}\n");
    }
    fs::write(dir.path().join("boxes"), boxes).unwrap();
    dir
}

const BOXES: [&str; 2] = ["--boxes", "boxes"];

#[test]
fn a_half_uploaded_file_is_covered_when_it_is_named_again() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    let whole = fs::read(dir.path().join("a.jpg")).unwrap();
    fs::write(dir.path().join("a.jpg"), &whole[..whole.len() / 3]).unwrap();
    let mut run = Watched::start(dir.path(), &BOXES);
    assert!(run.name("a.jpg").contains("unface: a.jpg"));
    fs::write(dir.path().join("a.jpg"), &whole).unwrap();
    let line = run.name("a.jpg");
    assert!(line.contains("→ safe/a.jpg"), "{line}");
    let (code, last) = run.end();
    assert_eq!(code, Some(1), "the first try failed");
    assert!(
        last.contains("1 picture done") && last.contains("1 failed"),
        "{last}"
    );
}

#[test]
fn a_replaced_file_is_covered_again_and_its_old_output_replaced() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    let output = dir.path().join("safe/a.jpg");
    let mut run = Watched::start(dir.path(), &BOXES);
    assert!(run.name("a.jpg").contains("→ safe/a.jpg"));
    let first = fs::read(&output).unwrap();
    let line = run.name("a.jpg");
    assert!(line.contains("has not changed since"), "{line}");
    fs::copy(samples().join("grey.jpg"), dir.path().join("a.jpg")).unwrap();
    assert!(run.name("./a.jpg").contains("→ safe/a.jpg"));
    let second = fs::read(&output).unwrap();
    assert_ne!(first, second);
    // What somebody else put there in the meantime is not this run's to replace.
    fs::write(&output, "something else").unwrap();
    fs::copy(samples().join("portrait.jpg"), dir.path().join("a.jpg")).unwrap();
    let line = run.name("a.jpg");
    assert!(line.contains("exists already"), "{line}");
    assert_eq!(fs::read(&output).unwrap(), b"something else");
    let (code, last) = run.end();
    assert_eq!(code, Some(1));
    assert!(
        last.contains("2 pictures done") && last.contains("1 skipped"),
        "{last}"
    );
}

#[test]
fn overwriting_does_not_wait_for_the_end_of_a_list() {
    let dir = folder(&[("portrait.jpg", "a.jpg"), ("grey.jpg", "b.jpg")]);
    fs::create_dir(dir.path().join("safe")).unwrap();
    fs::write(dir.path().join("safe/a.jpg"), "old").unwrap();
    let mut run = Watched::start(dir.path(), &[&BOXES[..], &["--overwrite"]].concat());
    assert!(run.name("a.jpg").contains("→ safe/a.jpg"));
    assert_ne!(fs::read(dir.path().join("safe/a.jpg")).unwrap(), b"old");
    assert!(run.name("b.jpg").contains("→ safe/b.jpg"));
    assert_eq!(run.end().0, Some(0));
}

#[test]
fn overwriting_from_a_list_replaces_no_output_of_the_same_run_and_nothing_behind_a_link() {
    let dir = folder(&[("portrait.jpg", "a.jpg"), ("grey.jpg", "a.png.jpg")]);
    fs::create_dir_all(dir.path().join("safe")).unwrap();
    fs::create_dir_all(dir.path().join("x")).unwrap();
    fs::create_dir_all(dir.path().join("originals")).unwrap();
    fs::copy(dir.path().join("a.jpg"), dir.path().join("x/a.jpg")).unwrap();
    fs::write(dir.path().join("originals/a.jpg"), "an original").unwrap();
    std::os::unix::fs::symlink("../originals", dir.path().join("safe/x")).unwrap();
    let whole = dir.path().join("x/a.jpg");
    let whole = whole.to_str().unwrap();
    let all = format!("a.jpg\n{whole}\nx/a.jpg\n");
    fs::write(dir.path().join("list"), all).unwrap();
    let mut args = vec!["--files-from", "list", "-o", "safe/", "--overwrite"];
    args.extend(["--cover", "1,1,9,9"]);
    let out = unface(dir.path(), &args);
    code(&out, 1);
    says(&out, "two inputs would get this name");
    let said = text(&out.stderr);
    assert!(said.contains("1 picture done"), "{said}");
    assert_eq!(
        fs::read(dir.path().join("originals/a.jpg")).unwrap(),
        b"an original"
    );
    assert_eq!(names(&dir.path().join("safe")), ["a.jpg", "x"]);
}

#[test]
fn a_failed_input_is_tried_again_although_it_is_the_same() {
    let dir = folder(&[("portrait.jpg", "a.jpg")]);
    fs::create_dir(dir.path().join("safe")).unwrap();
    let output = dir.path().join("safe/a.jpg");
    fs::write(&output, "in the way").unwrap();
    let mut run = Watched::start(dir.path(), &BOXES);
    assert!(run.name("a.jpg").contains("exists already"));
    fs::remove_file(&output).unwrap();
    assert!(run.name("a.jpg").contains("→ safe/a.jpg"));
    assert_eq!(run.end().0, Some(1));
}
