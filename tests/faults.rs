//! What goes wrong around the program: full disks, lost rights, killed children, a killed parent.
//! Whatever happens nothing partial or uncovered is left, nothing is lost, and the code says so.
//! `benches/eval/faults.py` does the same more often. Needs what `tests/cli.rs` needs.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

mod program;
use program::{code, names, samples, text};

const PROGRAM: &str = env!("CARGO_BIN_EXE_unface");

fn unface(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// `count` copies of a sample in `photos/`, and boxes for them, so that nothing needs to be searched.
fn photos(sample: &str, count: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("photos")).unwrap();
    let mut boxes = String::new();
    for i in 0..count {
        let name = format!("photos/{i:04}.jpg");
        fs::copy(samples().join(sample), dir.path().join(&name)).unwrap();
        let face = r#"{"x1":10.0,"y1":10.0,"x2":60.0,"y2":60.0,"score":1.0}"#;
        boxes += &format!("{{\"path\":\"{name}\",\"faces\":[{face}]}}\n");
    }
    fs::write(dir.path().join("boxes"), boxes).unwrap();
    dir
}

/// That every file in a folder is a whole, covered JPEG of a sample's size; gives how many.
#[track_caller]
fn all_sound(folder: &Path, sample: &str) -> usize {
    if !folder.exists() {
        return 0;
    }
    let (w, h) = image_size(sample);
    let all = names(folder);
    for name in &all {
        let bytes = fs::read(folder.join(name)).unwrap();
        let checked = unface::verify::check(&bytes, unface::Format::Jpeg, w, h);
        assert_eq!(checked, Ok(()), "{name}");
        assert_ne!(
            bytes,
            fs::read(samples().join(sample)).unwrap(),
            "{name} is the input"
        );
    }
    all.len()
}

fn image_size(sample: &str) -> (u32, u32) {
    let bytes = fs::read(samples().join(sample)).unwrap();
    let (w, h, _) = unface::decode::dimensions(&bytes).unwrap();
    (w, h)
}

/// Numbers of the processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let parent_of = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let rest = stat.rsplit_once(')')?.1;
        let mut fields = rest.split_whitespace();
        // A dead one that nobody has waited for yet is none.
        let state = fields.next()?;
        fields.next().filter(|_| state != "Z")?.parse().ok()
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|&pid| parent_of(pid) == Some(parent))
        .collect()
}

fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill")
        .args([name, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number below `n`, other ones in each run.
fn random(n: u64) -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    u64::from(now.subsec_nanos()) / 1000 % n
}

/// Runs a shell script in namespaces of its own, where it is root; `None` where that can't be had.
fn as_root_of_nothing(folder: &Path, script: &str) -> Option<Output> {
    let run = |script: &str| {
        Command::new("unshare")
            .args(["-rm", "sh", "-c", script, PROGRAM])
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
    };
    let can = run("mount -t tmpfs -o size=64k none /mnt").is_ok_and(|o| o.status.success());
    if !can {
        eprintln!("skipped: no namespaces of one's own here");
        return None;
    }
    Some(run(script).unwrap())
}

/// Whether a program answers; says that a test is skipped without it.
fn installed(program: &str, version: &str) -> bool {
    let status = Command::new(program)
        .arg(version)
        .stdout(Stdio::null())
        .status();
    let installed = status.is_ok_and(|s| s.success());
    if !installed {
        eprintln!("skipped: {program} is not installed");
    }
    installed
}

#[test]
fn a_full_disk_leaves_nothing_and_says_so() {
    let dir = photos("portrait.jpg", 3);
    fs::create_dir(dir.path().join("small")).unwrap();
    let script = "mount -t tmpfs -o size=16k none small || exit 99
        \"$0\" photos -o small/out --boxes boxes; code=$?
        find small -type f; find small -name '.unface*'; exit $code";
    let Some(out) = as_root_of_nothing(dir.path(), script) else {
        return;
    };
    code(&out, 1);
    assert_eq!(text(&out.stdout), "", "something was left");
    let said = text(&out.stderr);
    assert!(
        said.contains("free some space") && said.contains("0002.jpg"),
        "{said}"
    );
}

#[test]
fn a_disk_that_fills_up_during_a_video_leaves_nothing() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("small")).unwrap();
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .args(["testsrc2=size=640x480:rate=10:duration=3", "in.mp4"])
        .current_dir(dir.path())
        .status();
    assert!(made.unwrap().success());
    let script = "mount -t tmpfs -o size=32k none small || exit 99
        \"$0\" in.mp4 -o small/out.mp4 --cover 1,1,50,50 --crf 1; code=$?
        find small -type f; exit $code";
    let Some(out) = as_root_of_nothing(dir.path(), script) else {
        return;
    };
    code(&out, 1);
    assert_eq!(text(&out.stdout), "", "something was left");
    assert!(
        text(&out.stderr).contains("out.mp4"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn an_output_that_takes_nothing_is_a_failure() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let dir = photos("portrait.jpg", 1);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for args in [
        &["photos/0000.jpg", "-o", "-", "--boxes", "boxes"][..],
        &["photos", "-o", "safe/", "--boxes", "boxes", "--report", "-"],
    ] {
        let out = unface(dir.path(), args).stdout(full()).output().unwrap();
        code(&out, 1);
        assert!(
            text(&out.stderr).contains("written"),
            "{}",
            text(&out.stderr)
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_input_that_can_not_be_read_to_its_end_is_a_failure() {
    // Reading a process's memory from 0 on gives EIO, as a broken disk does.
    let dir = photos("portrait.jpg", 1);
    let args = [
        "/proc/self/mem",
        "photos/0000.jpg",
        "-o",
        "safe/",
        "--boxes",
    ];
    let out = unface(dir.path(), &args).arg("boxes").output().unwrap();
    code(&out, 1);
    let said = text(&out.stderr);
    assert!(said.contains("/proc/self/mem: can't be read"), "{said}");
    assert_eq!(names(&dir.path().join("safe")), ["0000.jpg"]);
}

#[test]
fn lost_rights_are_told_and_leave_nothing() {
    let dir = photos("portrait.jpg", 2);
    let set = |name: &str, mode: u32| {
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(dir.path().join("locked")).unwrap();
    set("locked", 0o555);
    set("photos/0001.jpg", 0o000);
    set("", 0o755);
    // Root may do everything, so somebody else tries.
    let root = rustix::process::geteuid().is_root();
    let program = dir.path().join("unface");
    let run = |args: &[&str]| {
        let mut command = if root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            command.arg(&program);
            command
        } else {
            Command::new(PROGRAM)
        };
        command.current_dir(dir.path()).args(args).output()
    };
    if root {
        fs::copy(PROGRAM, &program).unwrap();
        set("unface", 0o755);
        let can = run(&["--version"]).is_ok_and(|o| o.status.success());
        if !can {
            eprintln!("skipped: nobody else to be");
            return;
        }
    }
    let out = run(&["photos/0000.jpg", "-o", "locked/", "--boxes", "boxes"]).unwrap();
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("choose a folder that you may write to"),
        "{}",
        text(&out.stderr)
    );
    assert_eq!(names(&dir.path().join("locked")), [""; 0]);
    let out = run(&["photos", "-o", "-", "--boxes", "boxes"]).unwrap();
    assert_ne!(out.status.code(), Some(0));
    let out = run(&["photos/0001.jpg", "-o", "-", "--boxes", "boxes"]).unwrap();
    code(&out, 1);
    assert!(text(&out.stderr).contains("can't be read"));
    set("locked", 0o755);
    set("photos/0001.jpg", 0o644);
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_child_costs_one_picture_at_most() {
    for name in ["-KILL", "-SEGV"] {
        let count = 24;
        let dir = photos("crowd.jpg", count);
        let mut run = unface(
            dir.path(),
            &["photos", "-o", "safe/", "--boxes", "boxes", "--jobs", "2"],
        )
        .spawn()
        .unwrap();
        let parent = run.id();
        let mut killed = 0;
        while run.try_wait().unwrap().is_none() {
            if let Some(child) = children(parent).first()
                && killed < 6
            {
                signal(*child, name);
                killed += 1;
            }
            std::thread::sleep(Duration::from_millis(40));
        }
        let out = run.wait_with_output().unwrap();
        let said = text(&out.stderr);
        let failed = said
            .lines()
            .filter(|l| l.starts_with("unface: ") && l.contains("broke its decoder"))
            .count();
        let sound = all_sound(&dir.path().join("safe"), "crowd.jpg");
        assert!(killed > 0, "nothing was killed: {said}");
        code(&out, i32::from(sound < count));
        assert!(sound >= count - killed, "{sound} of {count}: {said}");
        assert!(failed <= killed, "{said}");
        assert!(children(parent).is_empty());
    }
}

/// Kills a run and gives the children that it had.
#[cfg(target_os = "linux")]
fn kill(mut run: Child) -> Vec<u32> {
    let before = children(run.id());
    signal(run.id(), "-KILL");
    run.wait().unwrap();
    before
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_run_leaves_nothing_partial_and_no_child_and_can_go_on() {
    let count = 8;
    let dir = photos("crowd.jpg", count);
    let safe = dir.path().join("safe");
    let args = [
        "photos",
        "-o",
        "safe/",
        "--boxes",
        "boxes",
        "--skip-existing",
        "--report",
        "report",
        "-q",
    ];
    for _ in 0..5 {
        let run = unface(dir.path(), &args).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(30 + random(400)));
        let had = kill(run);
        wait_for("the children's end", || {
            let alive = |pid: &u32| {
                fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
            };
            !had.iter().any(alive)
        });
        all_sound(&safe, "crowd.jpg");
    }
    // What got its name just before an end, and no line in the report any more, is named for a person to
    // look at and remove; all else is done or skipped.
    let out = unface(dir.path(), &args).output().unwrap();
    let said = text(&out.stderr);
    for line in said.lines().filter(|l| l.starts_with("unface: ")) {
        let (name, what) = line["unface: ".len()..].split_once(": ").unwrap();
        assert!(what.starts_with("exists already"), "{said}");
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let out = unface(dir.path(), &args).output().unwrap();
    code(&out, 0);
    assert_eq!(all_sound(&safe, "crowd.jpg"), count);
}

#[test]
fn leftovers_are_swept_even_where_the_clock_was_set_back() {
    let dir = photos("portrait.jpg", 1);
    let safe = dir.path().join("safe");
    fs::create_dir(&safe).unwrap();
    let left = safe.join(".unface-0123456789abcdef0123456789abcdef.tmp");
    let other = safe.join(".unface-notes.tmp");
    for path in [&left, &other] {
        let file = fs::File::create(path).unwrap();
        let later = std::time::SystemTime::now() + Duration::from_secs(1 << 30);
        file.set_modified(later).unwrap();
    }
    let args = ["photos", "-o", "safe/", "--boxes", "boxes"];
    code(&unface(dir.path(), &args).output().unwrap(), 0);
    assert_eq!(names(&safe), [".unface-notes.tmp", "0000.jpg"]);
}

#[test]
fn a_folder_of_five_hundred_files_is_done_whole() {
    let dir = photos("portrait.jpg", 1);
    let one = fs::read(dir.path().join("photos/0000.jpg")).unwrap();
    let small = small_jpeg();
    let mut boxes = String::new();
    for i in 0..500 {
        let name = format!("photos/{i:04}.jpg");
        // Every hundredth is cut off.
        let bytes = if i % 100 == 99 {
            &one[..one.len() / 2]
        } else {
            &small
        };
        fs::write(dir.path().join(&name), bytes).unwrap();
        boxes += &format!("{{\"path\":\"{name}\",\"faces\":[]}}\n");
    }
    fs::write(dir.path().join("boxes"), boxes).unwrap();
    let args = ["photos", "-o", "safe/", "--boxes", "boxes", "-q"];
    let out = unface(dir.path(), &args).output().unwrap();
    code(&out, 1);
    assert_eq!(names(&dir.path().join("safe")).len(), 495);
    assert!(
        text(&out.stderr).contains("0499.jpg"),
        "{}",
        text(&out.stderr)
    );
}

fn small_jpeg() -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    let pixels = [100; 40 * 30 * 3];
    encoder
        .encode(&pixels, 40, 30, jpeg_encoder::ColorType::Rgb)
        .unwrap();
    bytes
}

#[test]
fn the_sandbox_changes_no_pixel() {
    let dir = photos("portrait.jpg", 1);
    for name in ["cutout.png", "orientation-6.jpg", "grey.jpg"] {
        fs::copy(samples().join(name), dir.path().join("photos").join(name)).unwrap();
    }
    for (folder, flag) in [("in", "--no-sandbox"), ("out", "--quiet")] {
        let args = [
            "photos",
            "-o",
            folder,
            "--seed",
            "7",
            "--cover",
            "5,5,40,40",
        ];
        let out = unface(dir.path(), &args).arg(flag).output().unwrap();
        code(&out, 0);
    }
    let all = names(&dir.path().join("in"));
    assert_eq!(all.len(), 4);
    for name in all {
        let read = |folder: &str| fs::read(dir.path().join(folder).join(&name)).unwrap();
        assert!(read("in") == read("out"), "{name} differs");
    }
}

#[test]
fn the_sandbox_is_told_of_and_can_be_required() {
    let dir = photos("portrait.jpg", 1);
    let about = unface(dir.path(), &["--version", "--verbose"])
        .output()
        .unwrap();
    let about = text(&about.stdout);
    let line = about.lines().find(|l| l.starts_with("sandbox")).unwrap();
    let full = !line.contains("this system has no");
    let args = [
        "photos",
        "-o",
        "safe/",
        "--boxes",
        "boxes",
        "--require-sandbox",
    ];
    let out = unface(dir.path(), &args).output().unwrap();
    code(&out, i32::from(!full));
    assert_eq!(dir.path().join("safe").exists(), full);
    let both = ["photos", "--no-sandbox", "--require-sandbox"];
    code(&unface(dir.path(), &both).output().unwrap(), 2);
}

#[test]
fn no_network_call_is_made() {
    if !installed("strace", "-V") {
        return;
    }
    let dir = photos("portrait.jpg", 2);
    fs::copy(
        samples().join("cutout.png"),
        dir.path().join("photos/c.png"),
    )
    .unwrap();
    let out = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=%network",
            "-e",
            "signal=none",
            "-o",
            "calls",
        ])
        .arg(PROGRAM)
        .args(["photos", "-o", "safe/", "--jobs", "2"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    code(&out, 0);
    assert_eq!(names(&dir.path().join("safe")).len(), 3);
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    assert_eq!(calls, "", "calls to the network");
}
