//! How the program behaves around its work: lists that stream, names that tell nothing, `verify`,
//! strange names, colours, what is generated. Needs what `tests/cli.rs` needs.
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
    process::{Command, Output, Stdio},
    time::{Duration, Instant, SystemTime},
};

use tempfile::TempDir;

mod program;
use program::{code, names, samples, text};

fn unface(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unface"));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("NO_COLOR");
    command
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str], expected: i32) -> Output {
    let out = unface(folder).args(arguments).output().unwrap();
    code(&out, expected);
    out
}

fn folder(names: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        let target = dir.path().join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(samples().join("portrait.jpg"), target).unwrap();
    }
    dir
}

/// Boxes for any number of pictures, so that nothing needs to be searched.
fn boxes(dir: &Path, paths: &[&str]) {
    let lines: Vec<_> = paths
        .iter()
        .map(|p| format!("{{\"path\":\"{p}\",\"faces\":[]}}\n"))
        .collect();
    fs::write(dir.join("boxes"), lines.concat()).unwrap();
}

#[test]
fn the_first_result_comes_before_a_list_ends() {
    let dir = folder(&["a.jpg", "b.jpg"]);
    boxes(dir.path(), &["a.jpg", "b.jpg"]);
    let mut child = unface(dir.path())
        .args(["--files-from", "-", "-o", "safe/", "--boxes", "boxes"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut list = child.stdin.take().unwrap();
    list.write_all(b"a.jpg\n").unwrap();
    list.flush().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !dir.path().join("safe/a.jpg").exists() {
        assert!(Instant::now() < until, "nothing came before the list ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    list.write_all(b"a.jpg\nb.jpg\n").unwrap();
    drop(list);
    let out = child.wait_with_output().unwrap();
    code(&out, 0);
    assert_eq!(names(&dir.path().join("safe")), ["a.jpg", "b.jpg"]);
    assert!(
        text(&out.stderr).contains("2 pictures done"),
        "the same name twice is one input"
    );
}

#[test]
fn a_list_refuses_single_inputs_and_replaces_nothing() {
    let dir = folder(&["a.jpg", "d/a.jpg", "x/p.jpg"]);
    fs::copy(samples().join("cutout.png"), dir.path().join("x/p.png")).unwrap();
    let whole = dir.path().join("d/a.jpg");
    let whole = whole.to_str().unwrap();
    fs::create_dir(dir.path().join("safe")).unwrap();
    fs::copy(dir.path().join("a.jpg"), dir.path().join("safe/old.jpg")).unwrap();
    let list = format!("a.jpg\n{whole}\nsafe/old.jpg\nnothing.jpg\nx/p.jpg\nx/p.png\n");
    fs::write(dir.path().join("list"), list).unwrap();
    boxes(dir.path(), &["a.jpg", whole, "x/p.jpg", "x/p.png"]);
    let arguments = [
        "--files-from",
        "list",
        "-o",
        "safe/",
        "--boxes",
        "boxes",
        "--format",
        "png",
    ];
    let reported = [&arguments[..], &["--report", "r"]].concat();
    let out = run(dir.path(), &reported, 1);
    let told = text(&out.stderr);
    assert!(
        told.contains("two inputs would get this name (a.jpg and"),
        "{told}"
    );
    assert!(told.contains("lies in the output folder") && told.contains("nothing.jpg: can't"));
    assert!(
        told.contains("2 pictures done") && told.contains("4 failed"),
        "{told}"
    );
    assert_eq!(names(&dir.path().join("safe")), ["a.png", "old.jpg", "x"]);
    // Another run: what is there stays, or is passed over.
    run(dir.path(), &arguments, 1);
    let again: Vec<&str> = reported
        .iter()
        .copied()
        .chain(["--skip-existing"])
        .collect();
    let told = text(&run(dir.path(), &again, 1).stderr);
    assert!(
        told.contains("2 skipped") && told.contains("4 failed"),
        "{told}"
    );
}

#[test]
fn a_stream_keeps_the_order_of_its_list() {
    let paths: Vec<String> = (0..30)
        .map(|i| format!("{:02}.jpg", (i * 7) % 30))
        .collect();
    let names: Vec<&str> = paths.iter().map(String::as_str).collect();
    let dir = folder(&names);
    boxes(dir.path(), &names);
    fs::write(dir.path().join("list"), paths.join("\n")).unwrap();
    let arguments = [
        "--files-from",
        "list",
        "-o",
        "safe/",
        "--boxes",
        "boxes",
        "--report",
        "r",
        "-q",
    ];
    run(dir.path(), &arguments, 0);
    let report = fs::read_to_string(dir.path().join("r")).unwrap();
    let told: Vec<String> = report
        .lines()
        .map(|l| {
            serde_json::from_str::<serde_json::Value>(l).unwrap()["path"]
                .as_str()
                .unwrap()
                .into()
        })
        .collect();
    assert_eq!(told, paths);
}

#[test]
fn neutral_names_tell_neither_name_nor_folder_nor_time() {
    let dir = folder(&["p/IMG_20200601_1.jpg", "p/deep/IMG_20200601_2.jpg"]);
    let out = run(
        dir.path(),
        &[
            "p", "-o", "safe", "--names", "neutral", "--report", "-", "--quiet",
        ],
        0,
    );
    let written = names(&dir.path().join("safe"));
    assert_eq!(written.len(), 2);
    for name in &written {
        let stem = name.strip_suffix(".jpg").unwrap();
        assert!(
            stem.len() == 12 && stem.bytes().all(|b| b.is_ascii_hexdigit()),
            "{name}"
        );
        let time = fs::metadata(dir.path().join("safe").join(name))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(time, SystemTime::UNIX_EPOCH + unface::write::NO_TIME);
    }
    let report = text(&out.stdout);
    let paths: Vec<_> = report.lines().map(|l| l.contains("deep")).collect();
    assert_eq!(
        paths,
        [false, true],
        "the report keeps the inputs' order, whatever was done first"
    );
    run(
        dir.path(),
        &["p", "--names", "neutral", "--skip-existing"],
        2,
    );
}

#[test]
fn times_of_inputs_do_not_survive() {
    let dir = folder(&["a.jpg"]);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let input = fs::File::options()
        .write(true)
        .open(dir.path().join("a.jpg"))
        .unwrap();
    input.set_modified(old).unwrap();
    run(dir.path(), &["a.jpg"], 0);
    let meta = fs::metadata(dir.path().join("a.unface.jpg")).unwrap();
    assert!(meta.modified().unwrap().elapsed().unwrap() < Duration::from_secs(600));
}

#[cfg(target_os = "linux")]
#[test]
fn extended_attributes_of_inputs_do_not_survive() {
    let dir = folder(&["a.jpg"]);
    let set = Command::new("python3")
        .args([
            "-c",
            "import os,sys; os.setxattr(sys.argv[1], 'user.xdg.origin.url', b'secret')",
        ])
        .arg(dir.path().join("a.jpg"))
        .status();
    if !set.is_ok_and(|s| s.success()) {
        eprintln!("skipped: no Python, or a file system without extended attributes");
        return;
    }
    run(dir.path(), &["a.jpg"], 0);
    let listed = Command::new("python3")
        .args(["-c", "import os,sys; print(os.listxattr(sys.argv[1]))"])
        .arg(dir.path().join("a.unface.jpg"))
        .output()
        .unwrap();
    assert_eq!(text(&listed.stdout), "[]\n");
}

#[test]
fn verify_is_silent_on_outputs_of_every_format_and_names_what_others_hold() {
    let dir = folder(&[]);
    for suffix in ["jpg", "png", "webp", "tif", "bmp", "gif"] {
        let name = format!("out.{suffix}");
        for sample in ["cutout.png", "grey.jpg"] {
            let sample = samples().join(sample);
            let sample = sample.to_str().unwrap();
            run(dir.path(), &[sample, "-o", &name, "--overwrite"], 0);
            let out = run(dir.path(), &["verify", &name], 0);
            assert_eq!(
                (text(&out.stdout), text(&out.stderr)),
                (String::new(), String::new())
            );
        }
    }
    fs::copy(samples().join("telltale.jpg"), dir.path().join("tale.jpg")).unwrap();
    let out = run(dir.path(), &["verify", "tale.jpg", "out.jpg"], 1);
    let told = text(&out.stdout);
    assert!(
        told.contains("tale.jpg: EXIF, ") && told.contains(" bytes at "),
        "{told}"
    );
    assert!(!told.contains("out.jpg"));
    fs::write(dir.path().join("notes.txt"), "hello").unwrap();
    let out = run(dir.path(), &["verify", "--json", "."], 1);
    let lines: Vec<serde_json::Value> = text(&out.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let by = |name: &str| {
        lines
            .iter()
            .find(|l| l["path"].as_str().unwrap().ends_with(name))
            .unwrap()
    };
    assert_eq!(lines.len(), 8);
    assert_eq!(by("out.webp")["clean"], true);
    let leaks = by("tale.jpg")["leaks"].as_array().unwrap();
    let exif = leaks.iter().find(|l| l["kind"] == "exif").unwrap();
    assert!(exif["bytes"].as_u64().unwrap() > 8);
    assert!(
        by("notes.txt")["error"]
            .as_str()
            .unwrap()
            .starts_with("unknown format")
    );
    run(dir.path(), &["verify"], 2);
    run(dir.path(), &["verify", "missing.jpg"], 1);
}

#[test]
fn webp_loses_nothing_where_the_input_lost_nothing() {
    let dir = folder(&["a.jpg"]);
    fs::copy(samples().join("cutout.png"), dir.path().join("b.png")).unwrap();
    run(
        dir.path(),
        &["a.jpg", "b.png", "-o", "safe/", "--format", "webp"],
        0,
    );
    let coding =
        |name: &str| fs::read(dir.path().join("safe").join(name)).unwrap()[12..16].to_vec();
    assert_eq!(coding("a.webp"), b"VP8 ");
    assert_eq!(coding("b.webp"), b"VP8L");
}

#[cfg(unix)]
#[test]
fn strange_names_are_worked_on_and_shown_escaped() {
    use std::os::unix::ffi::OsStrExt;
    let dir = folder(&[
        "-dash.jpg",
        "p/new\nline.jpg",
        "p/bell\u{7}\u{1b}[31m.jpg",
        "p/\u{202e}gpj.jpg",
    ]);
    let invalid = dir
        .path()
        .join("p")
        .join(std::ffi::OsStr::from_bytes(b"bad\xFF.jpg"));
    fs::copy(dir.path().join("-dash.jpg"), &invalid).unwrap();
    let mut deep = dir.path().join("p");
    for _ in 0..300 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::copy(dir.path().join("-dash.jpg"), deep.join("deep.jpg")).unwrap();
    let out = run(dir.path(), &["p", "-o", "safe"], 0);
    let told = text(&out.stderr);
    assert!(
        told.contains("new\\nline") && told.contains("\\u{1b}[31m") && told.contains("bad\\xff")
    );
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}') && !told.contains('\u{7}'));
    assert_eq!(names(&dir.path().join("safe")).len(), 5);
    let below = deep.strip_prefix(dir.path().join("p")).unwrap();
    assert!(
        dir.path()
            .join("safe")
            .join(below)
            .join("deep.jpg")
            .is_file()
    );
    run(dir.path(), &["--", "-dash.jpg"], 0);
    run(dir.path(), &["./-dash.jpg", "--overwrite"], 0);
    assert!(dir.path().join("-dash.unface.jpg").is_file());
}

#[test]
fn many_failures_for_one_reason_are_summed_up() {
    let dir = folder(&["p/good.jpg"]);
    for i in 0..6 {
        fs::write(
            dir.path().join(format!("p/{i}.jxl")),
            b"\0\0\0\x0CJXL \r\n\x87\n",
        )
        .unwrap();
    }
    let out = run(dir.path(), &["p", "-o", "safe"], 1);
    let told = text(&out.stderr);
    assert!(
        told.contains("  6 × is a JPEG XL picture, which unface does not read"),
        "{told}"
    );
}

#[test]
fn a_run_with_failures_once_ended_with_0_on_a_busy_machine() {
    let dir = folder(&["in/a.jpg"]);
    fs::write(dir.path().join("in/broken.jpg"), b"\xff\xd8\xff\xe0").unwrap();
    std::thread::scope(|all| {
        for i in 0..12 {
            let dir = dir.path();
            all.spawn(move || {
                let said = run(dir, &["in", "-q", "-o", &format!("out{i}")], 1);
                assert!(text(&said.stderr).contains("1 failed"));
            });
        }
    });
}

#[test]
fn colours_follow_the_flag_and_no_color() {
    let dir = folder(&[]);
    let coloured = |arguments: &[&str], no_color: bool| {
        let mut command = unface(dir.path());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let out = command.arg("nothing.jpg").args(arguments).output().unwrap();
        code(&out, 1);
        out.stderr.contains(&0x1b)
    };
    assert!(!coloured(&[], false), "no terminal");
    assert!(!coloured(&["--color-output", "never"], false));
    assert!(!coloured(&["--color-output", "auto"], true));
    assert!(
        coloured(&["--color-output", "always"], true),
        "asked for by flag"
    );
}

#[test]
fn man_pages_and_completions_come_from_the_definition_in_use() {
    let dir = folder(&[]);
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let made = text(&run(dir.path(), &["--completions", shell], 0).stdout);
        for word in [
            "skip-existing",
            "sensitivity",
            "detect",
            "verify",
            "files-from0",
        ] {
            assert!(made.contains(word), "{shell} lacks {word}");
        }
    }
    let page = text(&run(dir.path(), &["--man"], 0).stdout);
    assert!(page.contains(".TH unface 1") && page.contains("preview\\-boxes"));
    assert!(text(&run(dir.path(), &["--man", "verify"], 0).stdout).contains("json"));
    run(dir.path(), &["--man", "nothing"], 2);
}

#[test]
fn the_version_says_what_the_program_is_made_of_when_asked() {
    let dir = folder(&[]);
    let short = text(&run(dir.path(), &["--version"], 0).stdout);
    assert_eq!(short, format!("unface {}\n", env!("CARGO_PKG_VERSION")));
    let long = text(&run(dir.path(), &["--version", "--verbose"], 0).stdout);
    for word in [
        "SHA-256",
        "ONNX Runtime",
        "pixelate",
        "512 MiB",
        "WebP",
        "sandbox",
    ] {
        assert!(long.contains(word), "{long}");
    }
    run(dir.path(), &["--verbose"], 2);
}

#[test]
fn a_header_that_asks_for_more_memory_than_a_number_holds_broke_the_program() {
    // 0xFFFFFFFF pixels a side: what the plan of memory multiplied ran over.
    let mut png = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR".to_vec();
    png.extend([
        0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 16, 6, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let dir = folder(&["p/good.jpg"]);
    fs::write(dir.path().join("p/huge.png"), png).unwrap();
    let out = run(dir.path(), &["p", "-o", "safe"], 1);
    assert!(
        text(&out.stderr).contains("huge.png: needs"),
        "{}",
        text(&out.stderr)
    );
    assert_eq!(names(&dir.path().join("safe")), ["good.jpg"]);
}

#[test]
fn models_of_the_four_families_find_faces_and_what_is_none_is_refused() {
    let data = std::env::var_os("UNFACE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let models = data.join("../models");
    if !models.is_dir() {
        eprintln!("skipped: {} is not there", models.display());
        return;
    }
    let dir = folder(&["a.jpg"]);
    let photo = data.join("wider_dev/12--Group");
    let photo = fs::read_dir(photo).unwrap().next().unwrap().unwrap().path();
    let with = |model: &Path| {
        unface(dir.path())
            .args(["detect", "-q", "--model"])
            .arg(model)
            .arg(&photo)
            .output()
            .unwrap()
    };
    for model in [
        "yunet",
        "scrfd_2.5g",
        "ultraface_rfb640",
        "ultraface_masked640",
    ] {
        let out = with(&models.join(format!("{model}.onnx")));
        code(&out, 0);
        let line: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert!(
            !line["faces"].as_array().unwrap().is_empty(),
            "{model} finds nobody"
        );
    }
    let out = with(&models.join("mobilefacenet.onnx"));
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("CenterFace, YuNet, UltraFace or SCRFD"),
        "{}",
        text(&out.stderr)
    );
    let out = with(&dir.path().join("a.jpg"));
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("is no ONNX model"),
        "{}",
        text(&out.stderr)
    );
    let whole = fs::read(models.join("yunet.onnx")).unwrap();
    fs::write(dir.path().join("cut.onnx"), &whole[..whole.len() / 2]).unwrap();
    code(&with(&dir.path().join("cut.onnx")), 1);
}

#[test]
fn a_subcommand_behind_options_was_taken_for_a_file_and_the_others_were_covered() {
    let dir = folder(&["crowd.jpg"]);
    let out = run(dir.path(), &["-q", "detect", "crowd.jpg"], 2);
    let message = text(&out.stderr);
    assert!(message.contains("unface detect [OPTIONS]"), "{message}");
    assert_eq!(names(dir.path()), ["crowd.jpg"]);
    std::fs::rename(dir.path().join("crowd.jpg"), dir.path().join("detect")).unwrap();
    run(dir.path(), &["-q", "./detect", "-o", "out.jpg"], 0);
    run(
        dir.path(),
        &["-q", "detect", "-o", "out.jpg", "--overwrite"],
        0,
    );
}

#[test]
fn options_that_would_do_nothing_were_passed_over_in_silence() {
    let dir = folder(&["in.jpg"]);
    boxes(dir.path(), &["in.jpg"]);
    for options in [
        &["--image", "in.jpg", "--effect", "fill"][..],
        &["--boxes", "boxes", "--sensitivity", "max"],
        &["--boxes", "boxes", "--recheck", "thorough"],
        &["--boxes", "boxes", "--model", "small-int8"],
        &["--boxes", "boxes", "--threshold", "0.1"],
    ] {
        run(dir.path(), &[&["in.jpg"], options].concat(), 2);
    }
    let mut clip = b"YUV4MPEG2 W32 H32 F25:1 C420jpeg\nFRAME\n".to_vec();
    clip.extend([128; 32 * 32 * 3 / 2]);
    fs::write(dir.path().join("clip.y4m"), clip).unwrap();
    let lies = ["clip.y4m", "-o", "out.y4m", "--orientation", "6"];
    let out = run(dir.path(), &lies, 1);
    assert!(text(&out.stderr).contains("--orientation"));
    assert_eq!(names(dir.path()), ["boxes", "clip.y4m", "in.jpg"]);
    run(dir.path(), &lies[..3], 0);
}

#[test]
fn a_folder_of_frames_lost_all_pages_but_the_first() {
    use tiff::encoder::{TiffEncoder, colortype::RGB8};
    let dir = folder(&[]);
    fs::create_dir(dir.path().join("frames")).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    for _ in 0..2 {
        let page = vec![90; 64 * 64 * 3];
        encoder.write_image::<RGB8>(64, 64, &page).unwrap();
    }
    fs::write(dir.path().join("frames/1.tif"), bytes.into_inner()).unwrap();
    let out = run(dir.path(), &["frames", "--sequence", "-o", "out"], 1);
    assert!(text(&out.stderr).contains("several pages"), "{out:?}");
    assert_eq!(names(dir.path()), ["frames"]);
}
