//! Bytes to upright pixels: cuts, turns, hidden pixels, hostile files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use image::DynamicImage;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use unface::{
    Format,
    decode::{DecodeError, Kind, Options, from_upright_pixels, photo, sniff},
    encode::encode,
    redact,
};

fn data() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data =
        std::env::var_os("UNFACE_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    if !data.is_dir() {
        eprintln!("skipped: {} is not there", data.display());
        return None;
    }
    Some(data)
}

fn rgb(width: u16, height: u16) -> Vec<u8> {
    (0..usize::from(width) * usize::from(height) * 3)
        .map(|i| ((i * 7) ^ (i >> 5)) as u8)
        .collect()
}

fn jpeg(
    width: u16,
    height: u16,
    factor: SamplingFactor,
    progressive: bool,
    restart: Option<u16>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 85);
    encoder.set_sampling_factor(factor);
    encoder.set_progressive(progressive);
    if let Some(interval) = restart {
        encoder.set_restart_interval(interval);
    }
    encoder
        .encode(&rgb(width, height), width, height, ColorType::Rgb)
        .unwrap();
    out
}

/// Where the components of a JPEG stand in its frame header, three bytes each.
fn components(jpeg: &[u8]) -> usize {
    let frame = unface::jpeg::walk(jpeg).unwrap();
    let frame = frame
        .segments
        .into_iter()
        .find(|s| matches!(s.marker, 0xC0..=0xC2));
    frame.unwrap().payload.start + 6
}

fn with_exif(jpeg: &[u8], blocks: &[u16]) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    for orientation in blocks {
        let mut body = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
        body.extend(orientation.to_be_bytes());
        body.extend([0, 0, 0, 0, 0, 0]);
        out.extend([0xFF, 0xE1]);
        out.extend((body.len() as u16 + 2).to_be_bytes());
        out.extend(body);
    }
    out.extend(&jpeg[2..]);
    out
}

#[test]
fn whole_files_of_every_kind_of_jpeg_pass() {
    for (w, h) in [(1, 1), (7, 9), (16, 16), (33, 65), (200, 131)] {
        for factor in [
            SamplingFactor::F_1_1,
            SamplingFactor::F_2_2,
            SamplingFactor::F_2_1,
            SamplingFactor::F_1_2,
        ] {
            for progressive in [false, true] {
                for restart in [None, Some(1), Some(5)] {
                    let bytes = jpeg(w, h, factor, progressive, restart);
                    let photo = photo(&bytes, &Options::default());
                    assert!(
                        photo.is_ok(),
                        "{w}×{h} {factor:?} {progressive} {restart:?}: {:?}",
                        photo.err()
                    );
                }
            }
        }
    }
}

#[test]
fn every_cut_of_a_jpeg_is_refused_also_with_an_end_marker_put_behind_it() {
    for progressive in [false, true] {
        for (factor, restart) in [
            (SamplingFactor::F_1_1, None),
            (SamplingFactor::F_2_2, None),
            (SamplingFactor::F_2_2, Some(4)),
        ] {
            let whole = jpeg(160, 120, factor, progressive, restart);
            // The last two bytes are the end marker: a cut before it with one put back is whole.
            for percent in 1..=99 {
                let cut = whole.len() * percent / 100;
                let bytes = whole[..cut].to_vec();
                let ended = [&bytes[..], &[0xFF, 0xD9]].concat();
                for bytes in [bytes, ended] {
                    let result = photo(&bytes, &Options::default());
                    assert!(
                        result.is_err(),
                        "cut at {percent} % passed (progressive {progressive}, {factor:?}, {restart:?})"
                    );
                }
            }
        }
    }
}

#[test]
fn a_damaged_jpeg_is_taken_when_allowed_and_said_to_be_damaged() {
    let whole = jpeg(160, 120, SamplingFactor::F_2_2, false, None);
    let options = Options {
        allow_damaged: true,
        ..Options::default()
    };
    let taken = photo(&whole[..whole.len() / 2], &options).unwrap();
    assert!(taken.damage.is_some());
    assert_eq!((taken.frame.width(), taken.frame.height()), (160, 120));
}

#[test]
fn chroma_that_is_sampled_finer_than_luma_came_out_with_black_columns() {
    for (factor, wide) in [
        (SamplingFactor::F_2_1, "1x1,2x1,1x1"),
        (SamplingFactor::F_1_2, "1x1,1x2,1x1"),
    ] {
        // Its scans hold one component each, so that any of them may come first in the header.
        let mut bytes = jpeg(40, 24, factor, true, None);
        let at = components(&bytes);
        bytes[at..at + 6].rotate_left(3);
        assert_eq!(unface::jpeg::walk(&bytes).unwrap().damage, None);
        // The fast decoder is wrong here: two others must agree.
        assert!(unface::jpeg::walk(&bytes).unwrap().unusual, "{wide}");
        let pixels = photo(&bytes, &Options::default()).unwrap();
        let pixels = pixels.frame.pixels().to_rgb8();
        for x in 0..40 {
            let sum: u32 = (0..24).map(|y| u32::from(pixels.get_pixel(x, y)[1])).sum();
            assert!(sum > 24 * 20, "column {x} of {wide} is black");
        }
        // What is damaged besides can't be compared.
        let cut = &bytes[..bytes.len() - 40];
        let error = photo(cut, &Options::default()).unwrap_err();
        assert!(
            matches!(&error, DecodeError::Unsupported(what) if what.contains(wide)),
            "{error:?}"
        );
        assert!(error.to_string().contains("convert it"));
    }
}

#[test]
fn a_jpeg_sampled_by_three_was_called_damaged() {
    let bytes = jpeg(40, 24, SamplingFactor::F_1_1, false, None);
    let at = components(&bytes);
    for (component, factors) in [(0, 0x31), (0, 0x13), (2, 0x33), (1, 0x41)] {
        let mut bytes = bytes.clone();
        bytes[at + 3 * component + 1] = factors;
        let error = photo(&bytes, &Options::default()).unwrap_err();
        assert!(
            matches!(error, DecodeError::Unsupported(_)),
            "{factors:x}: {error:?}"
        );
    }
}

#[test]
fn each_orientation_is_applied_once_before_anything_else() {
    let plain = jpeg(48, 32, SamplingFactor::F_1_1, false, None);
    let upright = photo(&plain, &Options::default())
        .unwrap()
        .frame
        .into_pixels();
    for orientation in 1..=8u16 {
        let turned = photo(&with_exif(&plain, &[orientation]), &Options::default())
            .unwrap()
            .frame
            .into_pixels();
        let mut expected = upright.clone();
        expected
            .apply_orientation(image::metadata::Orientation::from_exif(orientation as u8).unwrap());
        assert_eq!(turned, expected, "{orientation}");
        let ignored = Options {
            orientation: Some(1),
            ..Options::default()
        };
        assert_eq!(
            photo(&with_exif(&plain, &[orientation]), &ignored)
                .unwrap()
                .frame
                .into_pixels(),
            upright
        );
    }
}

#[test]
fn places_that_disagree_on_the_orientation_are_refused_with_what_to_do() {
    let plain = jpeg(48, 32, SamplingFactor::F_1_1, false, None);
    let error = photo(&with_exif(&plain, &[6, 3]), &Options::default()).unwrap_err();
    assert_eq!(error, DecodeError::Orientation(6, 3));
    assert!(error.to_string().contains("--orientation"));
    assert!(photo(&with_exif(&plain, &[6, 6]), &Options::default()).is_ok());
    for meaningless in [0, 9, 255, 65535] {
        assert!(photo(&with_exif(&plain, &[meaningless, 1]), &Options::default()).is_ok());
    }
}

/// A JPEG with an EXIF block of one entry, the orientation, of any type and count.
fn with_entry(jpeg: &[u8], kind: u16, count: u32, value: [u8; 4]) -> Vec<u8> {
    let mut body = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12".to_vec();
    body.extend(kind.to_be_bytes());
    body.extend(count.to_be_bytes());
    body.extend(value);
    body.extend([0; 4]);
    let head = [&[0xFF, 0xE1][..], &(body.len() as u16 + 2).to_be_bytes()].concat();
    [&jpeg[..2], &head, &body, &jpeg[2..]].concat()
}

#[test]
fn an_orientation_that_only_some_programs_obey_turned_the_picture_or_did_not() {
    let plain = jpeg(48, 32, SamplingFactor::F_1_1, false, None);
    // Type, count, value: two shorts, bytes, a long, three shorts, a kind without numbers.
    let doubtful: [(u16, u32, [u8; 4]); 6] = [
        (3, 2, [0, 6, 0, 0]),
        (1, 1, [6, 0, 0, 0]),
        (1, 4, [6, 6, 6, 6]),
        (4, 1, [0, 0, 0, 6]),
        (3, 3, [0, 6, 0, 0]),
        (2, 2, [0, 6, 0, 0]),
    ];
    for (kind, count, value) in doubtful {
        let bytes = with_entry(&plain, kind, count, value);
        let error = photo(&bytes, &Options::default()).unwrap_err();
        assert_eq!(error, DecodeError::Orientation(1, 6), "{kind} × {count}");
        let chosen = Options {
            orientation: Some(6),
            ..Options::default()
        };
        let frame = photo(&bytes, &chosen).unwrap().frame;
        assert_eq!((frame.width(), frame.height()), (32, 48));
    }
    // Nobody turns these.
    for (kind, count, value) in [
        (3, 2, [0, 1, 0, 0]),
        (1, 1, [1, 0, 0, 0]),
        (4, 1, [0, 0, 0, 1]),
    ] {
        assert!(photo(&with_entry(&plain, kind, count, value), &Options::default()).is_ok());
    }
}

#[test]
fn an_orientation_of_two_numbers_turned_a_tiff() {
    let pixels = DynamicImage::ImageRgb8(image::RgbImage::from_pixel(8, 4, image::Rgb([9; 3])));
    let fill = redact::Options {
        effect: redact::Effect::Fill { color: [0; 3] },
        region: 1.3,
    };
    let noise = &mut redact::Noise::from_seed(0);
    let covered = redact::cover(from_upright_pixels(pixels), &[], &[], &fill, noise).unwrap();
    let plain = encode(&covered, Format::Tiff, &Default::default()).unwrap();
    let place = u32::from_le_bytes(plain[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes([plain[place], plain[place + 1]]));
    let entries = &plain[place + 2..place + 2 + 12 * count];
    let with = |kind: u16, number: u32, value: [u8; 4]| {
        let mut entry = 274u16.to_le_bytes().to_vec();
        entry.extend(kind.to_le_bytes());
        entry.extend(number.to_le_bytes());
        entry.extend(value);
        let mut all: Vec<&[u8]> = entries.chunks(12).chain([&entry[..]]).collect();
        all.sort_by_key(|e| u16::from_le_bytes([e[0], e[1]]));
        let mut out = plain.clone();
        out[4..8].copy_from_slice(&(plain.len() as u32).to_le_bytes());
        out.extend((count as u16 + 1).to_le_bytes());
        out.extend(all.concat());
        out.extend([0; 4]);
        out
    };
    let turned = photo(&with(3, 1, [6, 0, 0, 0]), &Options::default()).unwrap();
    assert_eq!(turned.frame.width(), 4);
    for bytes in [with(3, 2, [6, 0, 0, 0]), with(1, 1, [6, 0, 0, 0])] {
        let error = photo(&bytes, &Options::default()).unwrap_err();
        assert_eq!(error, DecodeError::Orientation(1, 6));
    }
}

/// A TIFF of one strip, which is a JPEG.
fn tiff_of(jpeg: &[u8], width: u32, height: u32) -> Vec<u8> {
    let (jpeg_at, directory) = (16, 16 + jpeg.len().next_multiple_of(2));
    let entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, 8),
        (259, 3, 1, 7),
        (262, 3, 1, 6),
        (273, 4, 1, jpeg_at),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, jpeg.len() as u32),
    ];
    let mut out = b"II*\0".to_vec();
    out.extend((directory as u32).to_le_bytes());
    out.extend([8, 0, 8, 0, 8, 0, 0, 0]);
    out.extend(jpeg);
    out.resize(directory, 0);
    out.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        out.extend((tag as u16).to_le_bytes());
        out.extend((kind as u16).to_le_bytes());
        out.extend((count as u32).to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend([0; 4]);
    out
}

#[test]
fn a_cut_jpeg_inside_a_tiff_came_out_grey_in_silence() {
    let whole = jpeg(160, 120, SamplingFactor::F_1_1, false, None);
    let tiff = |jpeg: &[u8]| photo(&tiff_of(jpeg, 160, 120), &Options::default());
    assert_eq!(tiff(&whole).unwrap().frame.width(), 160);
    for percent in (10..100).step_by(10) {
        let mut cut = whole[..whole.len() * percent / 100].to_vec();
        cut.extend([0xFF, 0xD9]);
        cut.resize(whole.len(), 0);
        let error = tiff(&cut).unwrap_err();
        assert!(
            matches!(error, DecodeError::Damaged(_)),
            "{percent} %: {error:?}"
        );
    }
    let mut finer = jpeg(160, 120, SamplingFactor::F_2_1, true, None);
    let at = components(&finer);
    finer[at..at + 6].rotate_left(3);
    let error = tiff(&finer).unwrap_err();
    assert!(matches!(error, DecodeError::Unsupported(_)), "{error:?}");
}

/// A PNG of 4 × 2 with a chunk before its data.
fn with_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let data: Vec<u8> = (0..24).map(|i| i * 10).collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, 4, 2);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer
        .write_chunk(png::chunk::ChunkType(*kind), body)
        .unwrap();
    writer.write_image_data(&data).unwrap();
    drop(writer);
    out
}

#[test]
fn colours_that_a_png_gives_as_numbers_were_taken_for_srgb() {
    let colours = |body: &[u8]| {
        photo(&with_chunk(b"cICP", body), &Options::default())
            .map(|p| p.frame.into_pixels().into_rgb8())
    };
    let plain = colours(&[1, 13, 0, 1]).unwrap();
    assert_eq!(plain.as_raw()[..3], [0, 10, 20]);
    assert_eq!(
        colours(&[9, 16, 0]).unwrap(),
        plain,
        "a chunk without a meaning"
    );
    // Display P3 is wider: its numbers are not those of sRGB.
    let wide = colours(&[12, 13, 0, 1]).unwrap();
    assert_ne!(wide, plain);
    for rare in [[9, 16, 0, 1], [9, 18, 0, 1], [1, 8, 0, 1], [1, 13, 0, 0]] {
        let error = colours(&rare).unwrap_err();
        assert!(
            matches!(error, DecodeError::Unsupported(_)),
            "{rare:?}: {error:?}"
        );
    }
}

fn png(
    color: png::ColorType,
    depth: png::BitDepth,
    data: &[u8],
    palette: Option<&[u8]>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, 4, 2);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    encoder
        .write_header()
        .unwrap()
        .write_image_data(data)
        .unwrap();
    out
}

#[test]
fn png_depths_and_channels_are_kept() {
    use png::{BitDepth as B, ColorType as C};
    let kind = |bytes: Vec<u8>| {
        photo(&bytes, &Options::default())
            .unwrap()
            .frame
            .into_pixels()
            .color()
    };
    assert_eq!(
        kind(png(C::Grayscale, B::One, &[0xA0, 0x50], None)),
        image::ColorType::L8
    );
    assert_eq!(
        kind(png(C::Grayscale, B::Sixteen, &[1; 16], None)),
        image::ColorType::L16
    );
    assert_eq!(
        kind(png(C::GrayscaleAlpha, B::Eight, &[1; 16], None)),
        image::ColorType::La8
    );
    assert_eq!(
        kind(png(C::Rgb, B::Sixteen, &[1; 48], None)),
        image::ColorType::Rgb16
    );
    assert_eq!(
        kind(png(C::Rgba, B::Sixteen, &[1; 64], None)),
        image::ColorType::Rgba16
    );
    assert_eq!(
        kind(png(
            C::Indexed,
            B::Four,
            &[0x01, 0x01, 0x10, 0x10],
            Some(&[1, 2, 3, 4, 5, 6])
        )),
        image::ColorType::Rgb8
    );
}

#[test]
fn colours_under_full_transparency_are_gone_before_anything_looks() {
    let data: Vec<u8> = (0..8u8)
        .flat_map(|i| [9, 9, 9, if i % 2 == 0 { 0 } else { 1 }])
        .collect();
    let bytes = png(png::ColorType::Rgba, png::BitDepth::Eight, &data, None);
    let DynamicImage::ImageRgba8(pixels) = photo(&bytes, &Options::default())
        .unwrap()
        .frame
        .into_pixels()
    else {
        panic!()
    };
    assert_eq!(pixels.get_pixel(0, 0).0, [0, 0, 0, 0]);
    assert_eq!(pixels.get_pixel(1, 0).0, [9, 9, 9, 1]);
}

#[test]
fn every_cut_of_a_png_is_refused() {
    let whole = png(
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        &(0..24).collect::<Vec<u8>>(),
        None,
    );
    for cut in 8..whole.len() {
        assert!(
            photo(&whole[..cut], &Options::default()).is_err(),
            "cut at {cut} of {}",
            whole.len()
        );
    }
}

#[test]
fn a_picture_larger_than_allowed_is_refused_by_its_header() {
    let options = Options {
        max_memory: 1000,
        ..Options::default()
    };
    let bytes = jpeg(48, 32, SamplingFactor::F_1_1, false, None);
    assert_eq!(
        photo(&bytes, &options).unwrap_err(),
        DecodeError::TooLarge {
            needs: 48 * 32 * 3,
            limit: 1000
        }
    );
}

#[test]
fn kinds_are_told_by_content_and_media_is_never_taken_for_something_else() {
    let heifs: [(&[u8], Format); 5] = [
        (b"\0\0\0\x1cftypheim\0\0\0\0mif1heim", Format::Jpeg),
        (b"\0\0\0\x1cftypheis\0\0\0\0mif1heis", Format::Jpeg),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", Format::Jpeg),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heix", Format::Jpeg),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", Format::Avif),
    ];
    for (head, format) in heifs {
        assert_eq!(sniff(head), Kind::Heif(format));
    }
    let cases: [(&[u8], &str); 2] = [
        (b"\0\0\0\x1cftypmsf1\0\0\0\0msf1hevc", "HEIC animation"),
        (b"II*\0\x10\0\0\0CR\x02\0", "Canon raw picture (CR2)"),
    ];
    for (head, name) in cases {
        assert_eq!(sniff(head), Kind::Unsupported(name));
    }
    let videos: [(&[u8], &str, &str); 3] = [
        (b"\0\0\0\x14ftypisom\0\0\0\0isom", "MP4 video", "mov"),
        (
            b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
            "QuickTime video (MOV)",
            "mov",
        ),
        (
            b"\x1A\x45\xDF\xA3\x01\0\0\0",
            "Matroska or WebM video",
            "matroska",
        ),
    ];
    for (head, name, demuxer) in videos {
        assert_eq!(sniff(head), Kind::Video(name, demuxer));
    }
    let photos: [(&[u8], Format); 5] = [
        (b"RIFF\x10\0\0\0WEBPVP8 ", Format::WebP),
        (b"GIF89a\x01\0\x01\0", Format::Gif),
        (b"II*\0\x08\0\0\0", Format::Tiff),
        (b"MM\0*\0\0\0\x08", Format::Tiff),
        (b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Format::Bmp),
    ];
    for (head, format) in photos {
        assert_eq!(sniff(head), Kind::Photo(format));
    }
    assert_eq!(sniff(b"BMW drives past the march"), Kind::Other);
    assert_eq!(sniff(b"hello"), Kind::Other);
    assert_eq!(sniff(b""), Kind::Empty);
}

#[test]
fn every_hostile_file_ends_in_a_picture_or_an_error_and_soon() {
    let Some(data) = data() else { return };
    let mut files = Vec::new();
    for folder in ["hostile", "hostile/mutated"] {
        files.extend(
            fs::read_dir(data.join(folder))
                .unwrap()
                .map(|e| e.unwrap().path())
                .filter(|p| p.is_file()),
        );
    }
    assert!(files.len() > 300);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for allow_damaged in [false, true] {
            let begun = Instant::now();
            let result = photo(
                &bytes,
                &Options {
                    allow_damaged,
                    ..Options::default()
                },
            );
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{}",
                file.display()
            );
            assert!(
                !matches!(result, Err(DecodeError::Panicked(_))),
                "{}: {:?}",
                file.display(),
                result.err()
            );
        }
    }
}

#[test]
fn real_photos_pass_the_check_for_completeness() {
    let Some(data) = data() else { return };
    let mut checked = 0;
    for folder in fs::read_dir(data.join("wider_dev"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
    {
        for file in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            let bytes = fs::read(&file).unwrap();
            let structure = unface::jpeg::walk(&bytes).unwrap();
            assert_eq!(structure.damage, None, "{}", file.display());
            checked += 1;
        }
    }
    assert!(checked > 200);
}

#[test]
fn a_gif_whose_picture_lies_outside_its_screen_broke_the_decoder() {
    // By fuzzing: the walk ends at a broken part, and the decoder finds a picture behind it.
    let bytes =
        b"\x47\x49\x46\x38\x39\x61\x0b\x00\x07\x00\xc4\x00\x00\x00\x00\x00\x85\xda\x2f\x8a\xdf\x34\
        \x92\xe7\x3c\x97\xec\x41\x9c\xf1\x46\xa1\xf6\x4b\xa4\xf9\x4e\xa9\xfe\x53\xae\x03\x5a\xb3\
        \x08\x5d\xb8\x80\xdf\xbb\x10\x65\xc0\x15\x6a\xc5\x1a\x6f\xca\x1f\x74\xcd\x22\x77\xcf\x24\
        \x79\xd2\x27\x7c\xd7\x2c\x81\xdc\x31\x17\xe1\x36\x8b\xe4\x39\x8e\xe6\x3b\x90\xe9\x3e\x93\
        \xee\x43\x98\xf3\x48\x9d\xf6\x4b\xa0\xf8\x4d\x50\xa5\x00\x55\xaa\x00\x00\x01\x21\x79\x04\
        \x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x0b\x00\x07\xee\x00\x05\x29\xa0\x07\x8c\xa3\x60\
        \x2c\xd1\x45\x02\x41\xa1\x3c\x15\xb7\x02\x89\xe9\xe9\xe9\xee\x34\x53\xb6\x02\x07\x86\x04\
        \x23\x5a\xff\xff\x96\xde\xaf\xa5\xd8\xfc\x00\x34\x5b\x08\x00\x3b";
    for allow_damaged in [false, true] {
        let options = Options {
            allow_damaged,
            ..Options::default()
        };
        let result = photo(bytes, &options);
        assert!(matches!(result, Err(DecodeError::Damaged(_))), "{result:?}");
    }
}

#[test]
fn a_tiff_of_seven_bits_a_sample_overflowed_where_samples_are_unpacked() {
    // By fuzzing: samples that lie across two bytes; a build without checks gave other pixels.
    let bytes = b"\x49\x49\x2a\x00\x2c\x00\x00\x00\x78\x9c\x3d\xc0\x31\x01\x00\x02\x00\x00\x80\x00\
        \x00\x00\x00\xea\xa8\xa3\x8e\x3a\x66\xdb\x5f\xa0\x44\x85\x1a\x0d\x5a\x74\xe8\x01\
        \x55\x25\x09\xa8\x0a\x00\x00\x01\x04\x00\x01\x00\x00\x00\x0b\x00\x00\x00\x01\x01\
        \x04\x00\x01\x00\x00\x00\x07\x00\x00\x00\x02\x01\x03\x00\x01\x00\x00\x00\x07\x00\
        \x00\x00\x17\x01\x04\x00\x01\x00\x00\x00\x24\x00\x00\x00\x3d\x01\x03\x00\x01\x00\
        \x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00\x03\x01\
        \x03\x00\x01\x00\x00\x00\x08\x00\x00\x00\x06\x01\x03\x00\x01\x00\x00\x00\x01\x00\
        \x00\x00\x11\x01\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00\x15\x01\x03\x00\x01\x00\
        \x00\x00\x01\x00\x00\x00\x16\x01\x04\x00\x01\x00\x00\x00\x07\x00\x00\x00\x17\x01\
        \x04\x00\x01\x00\x00\x00\x24\x00\x00\x00\x3d\x01\x03\x00\x01\x00\x00\x00\x02\x00\
        \x00\x00\x00\x00\x00\x00";
    for allow_damaged in [false, true] {
        let options = Options {
            allow_damaged,
            ..Options::default()
        };
        let result = photo(bytes, &options);
        assert!(
            matches!(result, Err(DecodeError::Unsupported(_))),
            "{result:?}"
        );
    }
}
