//! What phones put into one file: clips, gain and depth maps, previews behind a JPEG; pages of a
//! TIFF. Everything but the picture is dropped and named, or covered as a file of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use image::{DynamicImage, GrayImage, RgbImage};
use unface::{
    Format,
    decode::{DecodeError, Options, Photo, from_upright_pixels, photo},
    encode::{self, encode_pages},
    redact::{self, Effect, Noise, Redacted},
    verify,
};

mod program;
use program::{code, names, sample, samples, text};

fn redacted(pixels: DynamicImage) -> Redacted {
    let options = redact::Options {
        effect: Effect::Fill { color: [0; 3] },
        region: 1.3,
    };
    let frame = from_upright_pixels(pixels);
    redact::cover(frame, &[], &[], &options, &mut Noise::from_seed(0)).unwrap()
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let pixels = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 90]));
    let covered = redacted(DynamicImage::ImageRgb8(pixels));
    encode::encode(&covered, Format::Jpeg, &encode::Options::default()).unwrap()
}

/// `jpeg` with one more segment behind its first two bytes.
fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, marker], &length, payload, &jpeg[2..]].concat()
}

fn xmp(text: &str) -> Vec<u8> {
    [b"http://ns.adobe.com/xap/1.0/\0", text.as_bytes()].concat()
}

fn sized_box(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], body].concat()
}

/// What begins and ends like a clip.
fn clip() -> Vec<u8> {
    [
        sized_box(b"ftyp", b"mp42\0\0\0\0mp42isom"),
        sized_box(b"moov", &[7; 300]),
        sized_box(b"mdat", &[0xFF; 5000]),
    ]
    .concat()
}

fn dropped(file: &[u8]) -> Vec<(String, u64)> {
    let photo = photo(file, &Options::default()).unwrap();
    photo
        .dropped
        .into_iter()
        .map(|d| (d.kind, d.bytes))
        .collect()
}

fn of(kind: &str, bytes: usize) -> (String, u64) {
    (kind.to_owned(), bytes as u64)
}

/// Samsung's trailer: blocks, then a directory of how far before it each begins.
fn samsung(blocks: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut entries = Vec::new();
    for (name, data) in blocks {
        entries.push((out.len(), 8 + name.len() + data.len()));
        out.extend([0, 0, 0x30, 0x0A]);
        out.extend((name.len() as u32).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(*data);
    }
    let directory = out.len();
    out.extend(b"SEFH\x6A\0\0\0");
    out.extend((entries.len() as u32).to_le_bytes());
    for (at, size) in entries {
        out.extend([0, 0, 0x30, 0x0A]);
        out.extend(((directory - at) as u32).to_le_bytes());
        out.extend((size as u32).to_le_bytes());
    }
    let length = (out.len() - directory) as u32;
    out.extend(length.to_le_bytes());
    out.extend(b"SEFT");
    out
}

#[test]
fn a_clip_behind_the_end_is_found_with_and_without_an_index() {
    let still = jpeg(64, 48);
    let clip = clip();
    let micro = xmp(&format!(
        "<x GCamera:MicroVideo=\"1\" GCamera:MicroVideoOffset=\"{}\"/>",
        clip.len()
    ));
    for still in [still.clone(), with_segment(&still, 0xE1, &micro)] {
        // Some phones fill up with zeros before the clip.
        for gap in [&b""[..], &[0; 24]] {
            let file = [&still[..], gap, &clip].concat();
            let Photo { motion, frame, .. } = photo(&file, &Options::default()).unwrap();
            assert_eq!(motion.unwrap(), still.len() + gap.len()..file.len());
            assert_eq!((frame.width(), frame.height()), (64, 48));
            let found = dropped(&file);
            assert!(found.contains(&of("motion video", clip.len())), "{found:?}");
            assert_eq!(
                found.contains(&of("bytes behind the end", gap.len())),
                !gap.is_empty()
            );
        }
    }
}

#[test]
fn samsungs_trailer_is_taken_apart() {
    let still = jpeg(64, 48);
    let clip = clip();
    let trailer = samsung(&[
        ("Image_UTC_Data", b"1600000000000"),
        ("MotionPhoto_Data", &clip),
        ("DualShot_DepthMap_1", &[9; 100]),
    ]);
    let file = [&still[..], &trailer].concat();
    let motion = photo(&file, &Options::default()).unwrap().motion.unwrap();
    assert_eq!(file[motion], clip);
    let found = dropped(&file);
    assert_eq!(found[1], of("motion video", clip.len()));
    assert_eq!(found[2], of("depth map", 8 + 19 + 100));
    assert_eq!(found[0].0, "Samsung's data");
    let all: u64 = found.iter().map(|d| d.1).sum();
    assert_eq!(all, trailer.len() as u64);
}

#[test]
fn gain_maps_depth_maps_and_previews_are_called_so() {
    let still = jpeg(64, 48);
    let gain = with_segment(&jpeg(16, 12), 0xE1, &xmp("<x hdrgm:Version=\"1.0\"/>"));
    let iso = with_segment(
        &jpeg(16, 12),
        0xE2,
        b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0",
    );
    let depth = with_segment(
        &jpeg(20, 12),
        0xE1,
        &xmp("<x apdi:AuxiliaryImageType=\"urn:com:apple:photo:2020:aux:disparity\"/>"),
    );
    for (behind, kind) in [
        (&gain, "gain map"),
        (&iso, "gain map"),
        (&depth, "depth map"),
    ] {
        let file = [&still[..], behind, &clip()].concat();
        let found = dropped(&file);
        assert_eq!(found[0], of(kind, behind.len()));
        assert_eq!(found[1], of("motion video", clip().len()));
    }
    // By the directory in XMP, and by MPF, where the picture itself says nothing.
    let plain = jpeg(24, 12);
    let listed = xmp(&format!(
        "<Container:Item Item:Semantic=\"Primary\" Item:Mime=\"image/jpeg\"/>\
         <Container:Item Item:Semantic=\"GainMap\" Item:Length=\"{}\"/>",
        plain.len()
    ));
    let file = [&with_segment(&still, 0xE1, &listed)[..], &plain].concat();
    assert!(dropped(&file).contains(&of("gain map", plain.len())));
    let mut mpf = b"MPF\0MM\0*\0\0\0\x08\0\x01\xB0\x02\0\x07\0\0\0\x10\0\0\0\x1A\0\0\0\0".to_vec();
    mpf.extend(0x0001_0002u32.to_be_bytes());
    mpf.extend((plain.len() as u32).to_be_bytes());
    mpf.extend([0; 8]);
    let file = [&with_segment(&still, 0xE2, &mpf)[..], &plain].concat();
    assert!(dropped(&file).contains(&of("preview", plain.len())));
}

#[test]
fn pictures_inside_xmp_are_named() {
    let still = jpeg(64, 48);
    let packet =
        xmp("<x GDepth:Format=\"RangeInverse\" GDepth:Data=\"iVBORw0K\" GImage:Data=\"/9j/\"/>");
    let found = dropped(&with_segment(&still, 0xE1, &packet));
    assert!(found.contains(&of("depth map", 0)), "{found:?}");
    assert!(found.contains(&of("further picture", 0)), "{found:?}");
}

#[test]
fn a_tail_of_anything_at_all_costs_no_more_than_its_bytes() {
    let still = jpeg(8, 8);
    let many = [&b"\xFF\xD8\xFF\xE0\0\x02"[..], b"\0\0\0\x08ftyp", b"SEFT"].concat();
    for tail in [
        many.repeat(20_000),
        b"\xFF\xD8\xFF".repeat(50_000),
        [&[0xFF; 70_000][..], b"\xFF\xFF\xFF\xFFSEFT"].concat(),
        samsung(&[("MotionPhoto_Data", b"")]),
        b"\0\0\0\0ftyp".to_vec(),
    ] {
        let found = dropped(&[&still[..], &tail].concat());
        let all: u64 = found.iter().map(|d| d.1).sum();
        assert_eq!(all, tail.len() as u64, "{found:?}");
    }
}

fn ffmpeg() -> bool {
    let there = ["ffmpeg", "ffprobe"].iter().all(|p| {
        Command::new(p)
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    });
    if !there {
        eprintln!("SKIPPED: ffmpeg is not installed");
    }
    there
}

fn unface(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir)
        .args(["--jobs", "2"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A clip in which the sample's faces stand still, rendered.
fn filmed(dir: &Path) -> Vec<u8> {
    let path = dir.join("made-clip.mp4");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-loop", "1", "-i"])
        .arg(samples().join("portrait.jpg"))
        .args([
            "-frames:v",
            "8",
            "-vf",
            "scale=320:-2,format=yuv420p",
            "-c:v",
            "libx264",
        ])
        .args(["-metadata", "title=secret", "-y"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}

#[test]
fn the_clip_of_a_motion_photo_is_dropped_and_said_or_covered_as_a_file_of_its_own() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let still = fs::read(samples().join("portrait.jpg")).unwrap();
    let clip = filmed(dir.path());
    fs::write(dir.path().join("a.jpg"), [&still[..], &clip].concat()).unwrap();
    let trailer = samsung(&[("MotionPhoto_Data", &clip)]);
    fs::write(dir.path().join("b.jpg"), [&still[..], &trailer].concat()).unwrap();
    let out = unface(dir.path(), &["a.jpg", "b.jpg", "-o", "plain/"]);
    code(&out, 0);
    let said = text(&out.stderr);
    assert!(said.contains("dropped: motion video"), "{said}");
    assert!(
        said.contains("2 motion videos dropped, --keep-motion"),
        "{said}"
    );
    assert_eq!(names(&dir.path().join("plain")), ["a.jpg", "b.jpg"]);

    let out = unface(
        dir.path(),
        &["a.jpg", "b.jpg", "--keep-motion", "--report", "r.json"],
    );
    code(&out, 0);
    let said = text(&out.stderr);
    assert!(!said.contains("dropped: motion video"), "{said}");
    let all = names(dir.path());
    for name in [
        "a.unface.jpg",
        "b.unface.jpg",
        "a.jpg.unface.mp4",
        "b.jpg.unface.mp4",
    ] {
        assert!(all.iter().any(|n| n == name), "{all:?}");
        let found = verify::inspect(&fs::read(dir.path().join(name)).unwrap());
        assert_eq!(found.leaks, [], "{name}");
    }
    for line in fs::read_to_string(dir.path().join("r.json"))
        .unwrap()
        .lines()
    {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["motion"]["frames"], 8);
        assert!(record["motion"]["tracks"].as_u64().unwrap() > 0, "{line}");
    }
    // What is there is not replaced, and is named before any work.
    fs::remove_file(dir.path().join("a.unface.jpg")).unwrap();
    let out = unface(dir.path(), &["a.jpg", "--keep-motion"]);
    code(&out, 1);
    assert!(text(&out.stderr).contains("a.jpg.unface.mp4: exists already"));
    code(
        &unface(
            dir.path(),
            &[
                "a.jpg",
                "--keep-motion",
                "--skip-existing",
                "--report",
                "r.json",
            ],
        ),
        0,
    );
    assert!(dir.path().join("a.unface.jpg").exists());
}

#[test]
fn neutral_names_of_a_photo_and_its_clip_tell_no_time_either() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let still = fs::read(samples().join("nobody.jpg")).unwrap();
    let clip = filmed(dir.path());
    fs::write(
        dir.path().join("IMG_2020.jpg"),
        [&still[..], &clip].concat(),
    )
    .unwrap();
    let neutral = [
        "IMG_2020.jpg",
        "--keep-motion",
        "--names",
        "neutral",
        "-o",
        "out/",
    ];
    code(&unface(dir.path(), &neutral), 0);
    let out = names(&dir.path().join("out"));
    assert_eq!(out.len(), 2, "{out:?}");
    for name in out {
        assert!(!name.contains("IMG"), "{name}");
        let file = fs::metadata(dir.path().join("out").join(&name)).unwrap();
        let time = file
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH);
        assert_eq!(time.unwrap(), unface::write::NO_TIME, "{name}");
    }
}

#[test]
fn a_clip_that_can_not_be_covered_leaves_nothing_of_its_photo() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let still = fs::read(samples().join("portrait.jpg")).unwrap();
    fs::write(dir.path().join("a.jpg"), [&still[..], &clip()].concat()).unwrap();
    let out = unface(dir.path(), &["a.jpg", "--keep-motion", "-o", "out/"]);
    code(&out, 1);
    let said = text(&out.stderr);
    assert!(
        said.contains("leave --keep-motion out to drop it"),
        "{said}"
    );
    assert!(!dir.path().join("out").exists() || names(&dir.path().join("out")).is_empty());
    code(&unface(dir.path(), &["a.jpg", "-o", "out/"]), 0);
}

#[test]
fn a_still_and_a_clip_of_one_name_as_apple_makes_them_are_both_covered() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let shots = dir.path().join("shots");
    fs::create_dir(&shots).unwrap();
    fs::copy(samples().join("portrait.jpg"), shots.join("IMG_1.jpg")).unwrap();
    fs::write(shots.join("IMG_1.mov"), filmed(dir.path())).unwrap();
    code(&unface(dir.path(), &["shots", "-o", "out/"]), 0);
    assert_eq!(names(&dir.path().join("out")), ["IMG_1.jpg", "IMG_1.mp4"]);
}

fn pages() -> Vec<DynamicImage> {
    let grey = GrayImage::from_fn(31, 17, |x, y| image::Luma([(x * 7 + y) as u8]));
    let colour = RgbImage::from_fn(301, 209, |x, y| image::Rgb([x as u8, y as u8, 9]));
    let deep = DynamicImage::ImageRgb8(colour.clone()).to_rgba16();
    vec![
        DynamicImage::ImageLuma8(grey),
        DynamicImage::ImageRgb8(colour),
        DynamicImage::ImageRgba16(deep),
    ]
}

fn tiff(pages: Vec<DynamicImage>) -> Vec<u8> {
    let covered: Vec<_> = pages.into_iter().map(redacted).collect();
    encode_pages(&covered, Format::Tiff, &encode::Options::default()).unwrap()
}

#[test]
fn pages_of_a_tiff_stay_pages_and_keep_their_pixels() {
    let file = tiff(pages());
    let Photo {
        frame,
        further,
        dropped,
        ..
    } = photo(&file, &Options::default()).unwrap();
    let read: Vec<_> = std::iter::once(frame)
        .chain(further)
        .map(unface::Frame::into_pixels)
        .collect();
    assert_eq!(read, pages());
    assert_eq!(dropped, []);
    assert_eq!(verify::inspect(&file).leaks, []);
}

#[test]
fn the_check_of_a_tiff_wants_exactly_the_pages_that_were_covered() {
    let file = tiff(pages());
    let sizes = [(31, 17), (301, 209), (301, 209)];
    let check = |sizes: &[(u32, u32)]| verify::check_pages(&file, Format::Tiff, sizes);
    assert_eq!(check(&sizes), Ok(()));
    assert!(check(&sizes[..1]).is_err());
    assert!(check(&sizes[..2]).is_err());
    assert!(check(&[sizes[0], sizes[1], sizes[2], (1, 1)]).is_err());
    assert!(check(&[sizes[1], sizes[0], sizes[2]]).is_err());
    assert!(verify::check(&file, Format::Tiff, 31, 17).is_err());
    // A directory that leads back to one before it.
    let mut circle = file.clone();
    let first: [u8; 4] = circle[4..8].try_into().unwrap();
    let last = circle.len() - 4;
    circle[last..].copy_from_slice(&first);
    assert_ne!(verify::inspect(&circle).leaks, []);
    assert!(photo(&circle, &Options::default()).is_err());
}

#[test]
fn pages_together_are_not_larger_than_allowed() {
    let file = tiff(pages());
    let options = Options {
        max_memory: 31 * 17 + 301 * 209 * 3 + 301 * 209 * 8 - 1,
        ..Options::default()
    };
    assert!(matches!(
        photo(&file, &options),
        Err(DecodeError::TooLarge { .. })
    ));
}

#[test]
fn faces_on_every_page_are_covered_and_boxes_name_their_page() {
    let dir = tempfile::tempdir().unwrap();
    let (portrait, nobody) = (sample("portrait.jpg"), sample("nobody.jpg"));
    fs::write(
        dir.path().join("a.tif"),
        tiff(vec![nobody, portrait.clone(), portrait]),
    )
    .unwrap();
    let out = unface(dir.path(), &["a.tif", "--report", "r.json"]);
    code(&out, 0);
    let said = text(&out.stderr);
    assert!(said.contains("on 3 pages"), "{said}");
    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("r.json")).unwrap()).unwrap();
    assert_eq!(record["pages"].as_array().unwrap().len(), 2);
    for page in record["pages"].as_array().unwrap() {
        assert!(!page["faces"].as_array().unwrap().is_empty(), "{record}");
    }
    let covered = photo(
        &fs::read(dir.path().join("a.unface.tif")).unwrap(),
        &Options::default(),
    )
    .unwrap();
    let before = photo(
        &fs::read(dir.path().join("a.tif")).unwrap(),
        &Options::default(),
    )
    .unwrap();
    assert_eq!(covered.further.len(), 2);
    for (a, b) in covered.further.iter().zip(&before.further) {
        assert_ne!(a.pixels(), b.pixels());
    }
    assert_eq!(covered.frame.pixels(), before.frame.pixels());

    let found = Command::new(env!("CARGO_BIN_EXE_unface"))
        .current_dir(dir.path())
        .args(["detect", "-q", "a.tif"])
        .output()
        .unwrap();
    let lines = text(&found.stdout);
    assert_eq!(lines.matches("\"page\":").count(), 3, "{lines}");
    fs::write(dir.path().join("b.json"), &lines).unwrap();
    let again = ["a.tif", "--boxes", "b.json", "-o", "out/"];
    code(&unface(dir.path(), &again), 0);
    // A page without a line would stay uncovered.
    let less: Vec<_> = lines
        .lines()
        .filter(|l| !l.contains("\"page\":2"))
        .collect();
    fs::write(dir.path().join("b.json"), less.join("\n")).unwrap();
    let out = unface(dir.path(), &[&again[..3], &["-o", "less/"]].concat());
    code(&out, 1);
    assert!(!dir.path().join("less").exists());
}

#[test]
fn formats_of_one_picture_refuse_pages_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.tif"), tiff(pages())).unwrap();
    let out = unface(dir.path(), &["a.tif", "--format", "png"]);
    code(&out, 1);
    let said = text(&out.stderr);
    assert!(
        said.contains("has 3 pages and PNG holds one; use --format tiff"),
        "{said}"
    );
    assert_eq!(names(dir.path()), ["a.tif"]);
}

#[test]
fn raw_pictures_are_refused_with_the_way_to_a_jpeg() {
    for head in [
        &b"II*\0\x10\0\0\0CR\x02\0"[..],
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
    ] {
        let error = photo(head, &Options::default()).unwrap_err();
        assert!(matches!(error, DecodeError::Raw(_)), "{error}");
        assert!(error.to_string().contains("darktable-cli"), "{error}");
    }
}
