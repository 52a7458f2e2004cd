//! The verifier: everything that is not a pixel is flagged, clean files never.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::DynamicImage;
use proptest::prelude::*;
use unface::{
    Format,
    decode::from_upright_pixels,
    encode::encode,
    redact::{Effect, Noise, Options, cover},
    verify::{check, inspect},
};

fn output(pixels: DynamicImage, format: Format) -> Vec<u8> {
    let options = Options {
        effect: Effect::Fill { color: [0; 3] },
        region: 1.3,
    };
    let redacted = cover(
        from_upright_pixels(pixels),
        &[],
        &[],
        &options,
        &mut Noise::from_seed(0),
    )
    .unwrap();
    encode(&redacted, format, &unface::encode::Options::default()).unwrap()
}

fn pictures() -> Vec<DynamicImage> {
    let mut all = Vec::new();
    for (w, h) in [(1, 1), (3, 7), (16, 16), (65, 33), (130, 200)] {
        let base = DynamicImage::ImageRgba8(image::RgbaImage::from_fn(w, h, |x, y| {
            image::Rgba([
                (x * 7) as u8,
                (y * 5) as u8,
                (x * y) as u8,
                ((x + y) * 16) as u8,
            ])
        }));
        all.extend([
            DynamicImage::ImageLuma8(base.to_luma8()),
            DynamicImage::ImageRgb8(base.to_rgb8()),
            DynamicImage::ImageLumaA8(base.to_luma_alpha8()),
            DynamicImage::ImageRgb16(base.to_rgb16()),
            DynamicImage::ImageRgba16(base.to_rgba16()),
            DynamicImage::ImageLuma16(base.to_luma16()),
            base,
        ]);
    }
    all
}

#[test]
fn clean_outputs_of_every_kind_pass() {
    for picture in pictures() {
        let (w, h) = (picture.width(), picture.height());
        for format in Format::ALL {
            let bytes = output(picture.clone(), format);
            assert_eq!(
                check(&bytes, format, w, h),
                Ok(()),
                "{format} {w}×{h} {:?}",
                picture.color()
            );
            assert!(check(&bytes, format, w + 1, h).is_err());
        }
    }
}

fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    [
        &[0xFF, marker][..],
        &(body.len() as u16 + 2).to_be_bytes(),
        body,
    ]
    .concat()
}

/// `jpeg` with `bytes` at each place between segments, and behind the end.
fn everywhere(jpeg: &[u8], bytes: &[u8]) -> Vec<Vec<u8>> {
    let structure = unface::jpeg::walk(jpeg).unwrap();
    let insert = |at: usize| [&jpeg[..at], bytes, &jpeg[at..]].concat();
    let mut all: Vec<_> = structure
        .segments
        .iter()
        .skip(1)
        .map(|s| insert(s.whole.start))
        .collect();
    all.push(insert(jpeg.len()));
    all
}

#[test]
fn every_leak_put_into_a_clean_jpeg_is_flagged() {
    for picture in pictures() {
        let clean = output(picture, Format::Jpeg);
        let mut bodies: Vec<Vec<u8>> = (0xE1..=0xEF).map(|m| segment(m, b"whatever")).collect();
        bodies.push(segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"));
        bodies.push(segment(0xE0, b"JFXX\0\x10thumbnail"));
        bodies.push(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"));
        bodies.push(segment(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0"));
        bodies.push(segment(0xFE, b"a comment"));
        bodies.push(segment(0xF0, b"JPG0"));
        bodies.push(segment(0xDB, &[&[3][..], &[1; 64]].concat()));
        bodies.push(segment(0xC4, &[&[0x13, 1][..], &[0; 15], &[0]].concat()));
        bodies.extend([b"junk".to_vec(), vec![0xFF], vec![0], vec![0xFF, 0x01]]);
        for body in bodies {
            for leaky in everywhere(&clean, &body) {
                assert_ne!(
                    inspect(&leaky).leaks,
                    [],
                    "{:02X?}",
                    &body[..body.len().min(12)]
                );
            }
        }
        assert_ne!(
            inspect(&[&clean[..], &clean[..]].concat()).leaks,
            [],
            "a second picture"
        );
        let mut version = clean.clone();
        version[16..20].copy_from_slice(&[0, 1, 1, 1]);
        assert_ne!(
            inspect(&version).leaks,
            [],
            "a thumbnail in the JFIF header"
        );
    }
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for &byte in kind.iter().chain(body) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    [
        &(body.len() as u32).to_be_bytes()[..],
        kind,
        body,
        &(!crc).to_be_bytes(),
    ]
    .concat()
}

/// Chunks of a PNG: kind and body.
fn chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let (mut at, mut all) = (8, Vec::new());
    while at < png.len() {
        let length = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        all.push((
            png[at + 4..at + 8].try_into().unwrap(),
            png[at + 8..at + 8 + length].to_vec(),
        ));
        at += 12 + length;
    }
    all
}

fn build(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1A\n".to_vec();
    chunks
        .iter()
        .for_each(|(kind, body)| out.extend(chunk(kind, body)));
    out
}

#[test]
fn every_leak_put_into_a_clean_png_is_flagged() {
    for picture in pictures() {
        let clean = output(picture, Format::Png);
        let parts = chunks(&clean);
        assert_eq!(build(&parts), clean);
        for kind in [
            b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"tIME", b"pHYs", b"gAMA", b"sRGB",
            b"acTL", b"fcTL", b"fdAT", b"prVt", b"PLTE", b"IDAT",
        ] {
            for at in 1..=parts.len() {
                let mut leaky = parts.clone();
                leaky.insert(at, (*kind, b"abc".to_vec()));
                assert_ne!(
                    inspect(&build(&leaky)).leaks,
                    [],
                    "{} at {at}",
                    kind.escape_ascii()
                );
            }
        }
        let data = parts.iter().position(|p| &p.0 == b"IDAT").unwrap();
        let mut slack = parts.clone();
        slack[data].1.push(0);
        assert_ne!(
            inspect(&build(&slack)).leaks,
            [],
            "a byte behind the zlib stream"
        );
        let mut cut = parts.clone();
        let length = cut[data].1.len();
        cut[data].1.truncate(length - 5);
        assert_ne!(inspect(&build(&cut)).leaks, [], "a stream cut short");
        let mut end = parts.clone();
        end.last_mut().unwrap().1.push(7);
        assert_ne!(inspect(&build(&end)).leaks, [], "bytes in the end chunk");
        assert_ne!(
            inspect(&[&clean[..], b"x"].concat()).leaks,
            [],
            "a byte behind the end"
        );
        let mut crc = clean.clone();
        crc[29] ^= 1;
        assert_ne!(inspect(&crc).leaks, [], "a wrong checksum");
    }
}

fn encoded(color: png::ColorType, data: &[u8], palette: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, 2, 2);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
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
fn hidden_pixels_and_spare_palette_entries_are_flagged() {
    use png::ColorType as C;
    assert_eq!(inspect(&encoded(C::Rgba, &[0; 16], None)).leaks, []);
    let mut hidden = [0; 16];
    hidden[13] = 1;
    assert_ne!(inspect(&encoded(C::Rgba, &hidden, None)).leaks, []);
    assert_ne!(
        inspect(&encoded(C::GrayscaleAlpha, &[5, 0, 0, 0, 0, 0, 0, 0], None)).leaks,
        []
    );
    assert_eq!(
        inspect(&encoded(
            C::Indexed,
            &[0, 1, 1, 0],
            Some(&[1, 2, 3, 4, 5, 6])
        ))
        .leaks,
        []
    );
    assert_ne!(
        inspect(&encoded(
            C::Indexed,
            &[0, 1, 1, 0],
            Some(&[1, 2, 3, 4, 5, 6, 7, 8, 9])
        ))
        .leaks,
        []
    );
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(at in 0usize..2000, value in any::<u8>(), cut in 0usize..2000) {
        for format in Format::ALL {
            let mut bytes = output(pictures()[12].clone(), format);
            let length = bytes.len();
            bytes[at % length] = value;
            let _ = inspect(&bytes);
            let _ = inspect(&bytes[..cut % length]);
        }
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), jpeg in any::<bool>()) {
        let head: &[u8] = if jpeg { &[0xFF, 0xD8, 0xFF] } else { b"\x89PNG\r\n\x1A\n" };
        bytes.splice(0..0, head.iter().copied());
        let _ = inspect(&bytes);
    }
}

#[test]
fn every_planted_jpeg_and_png_of_the_shared_corpus_is_flagged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data =
        std::env::var_os("UNFACE_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let Ok(files) = fs::read_dir(data.join("metadata")) else {
        eprintln!("skipped: {} is not there", data.display());
        return;
    };
    let mut flagged = 0;
    for file in files.map(|e| e.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "jpg" || e == "png") {
            assert_ne!(
                inspect(&fs::read(&file).unwrap()).leaks,
                [],
                "{}",
                file.display()
            );
            flagged += 1;
        }
    }
    assert!(flagged >= 30);
}
