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
    verify::{LeakKind, check, inspect},
};

mod png_chunk;
use png_chunk::chunk;

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
        for format in Format::STILLS {
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

#[test]
fn transparency_that_shows_nothing_hid_colours_in_a_png() {
    use png::ColorType as C;
    let with = |png: Vec<u8>, kind: &[u8; 4], body: &[u8]| {
        let mut parts = chunks(&png);
        let data = parts.iter().position(|p| &p.0 == b"IDAT").unwrap();
        parts.insert(data, (*kind, body.to_vec()));
        build(&parts)
    };
    // A colour that counts as transparent, beside no alpha channel.
    for (colour, data, body) in [
        (C::Rgb, &[7; 12][..], &b"leaked"[..]),
        (C::Grayscale, &[7; 4], b"le"),
    ] {
        let plain = encoded(colour, data, None);
        assert_eq!(inspect(&plain).leaks, []);
        flagged(
            &with(plain, b"tRNS", body),
            LeakKind::Unused,
            "a transparent colour",
        );
    }
    let indexed = |palette: &[u8]| encoded(C::Indexed, &[0, 1, 1, 0], Some(palette));
    let clear = with(indexed(&[0, 0, 0, 4, 5, 6]), b"tRNS", &[0]);
    assert_eq!(inspect(&clear).leaks, []);
    let hidden = with(indexed(&[1, 2, 3, 4, 5, 6]), b"tRNS", &[0]);
    flagged(
        &hidden,
        LeakKind::HiddenPixels,
        "a colour under transparency",
    );
}

#[test]
fn a_palette_of_a_png_had_bytes_behind_its_last_colour() {
    let mut parts = chunks(&encoded(
        png::ColorType::Indexed,
        &[0, 1, 1, 0],
        Some(&[1, 2, 3, 4, 5, 6]),
    ));
    for _ in 0..2 {
        parts
            .iter_mut()
            .find(|p| &p.0 == b"PLTE")
            .unwrap()
            .1
            .push(b'x');
        flagged(&build(&parts), LeakKind::Slack, "bytes behind a palette");
    }
}

#[test]
fn restart_intervals_and_densities_of_a_jpeg_held_numbers() {
    let clean = output(pictures().swap_remove(12), Format::Jpeg);
    assert_eq!(&clean[6..11], b"JFIF\0");
    // Version, unit, and both densities.
    for at in 11..18 {
        let mut leaky = clean.clone();
        leaky[at] ^= 3;
        flagged(&leaky, LeakKind::Unknown, "a field of the JFIF header");
    }
    for interval in [[0, 0], [0xBE, 0xEF]] {
        for leaky in everywhere(&clean, &segment(0xDD, &interval)) {
            assert_ne!(inspect(&leaky).leaks, [], "{interval:?}");
        }
    }
}

/// The same without loss, for WebP.
fn exact(pixels: DynamicImage, format: Format) -> Vec<u8> {
    let options = Options {
        effect: Effect::Fill { color: [0; 3] },
        region: 1.3,
    };
    let noise = &mut Noise::from_seed(0);
    let redacted = cover(from_upright_pixels(pixels), &[], &[], &options, noise).unwrap();
    let lossless = unface::encode::Options {
        lossless: true,
        ..Default::default()
    };
    encode(&redacted, format, &lossless).unwrap()
}

#[track_caller]
fn flagged(bytes: &[u8], kind: LeakKind, what: &str) {
    let leaks = inspect(bytes).leaks;
    assert!(leaks.iter().any(|l| l.kind == kind), "{what}: {leaks:?}");
}

/// Chunks of a WebP: kind and content.
fn webp_chunks(webp: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let (mut at, mut all) = (12, Vec::new());
    while at < webp.len() {
        let length = u32::from_le_bytes(webp[at + 4..at + 8].try_into().unwrap()) as usize;
        all.push((
            webp[at..at + 4].try_into().unwrap(),
            webp[at + 8..at + 8 + length].to_vec(),
        ));
        at += 8 + length + length % 2;
    }
    all
}

fn webp(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, content) in chunks {
        body.extend(kind);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend(content);
        body.extend(std::iter::repeat_n(0, content.len() % 2));
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

#[test]
fn every_leak_put_into_a_clean_webp_is_flagged() {
    use LeakKind as K;
    for picture in pictures() {
        for clean in [
            output(picture.clone(), Format::WebP),
            exact(picture.clone(), Format::WebP),
        ] {
            assert_eq!(inspect(&clean).leaks, []);
            let parts = webp_chunks(&clean);
            assert_eq!(webp(&parts), clean);
            for (kind, leak) in [
                (b"EXIF", K::Exif),
                (b"XMP ", K::Xmp),
                (b"ICCP", K::ColourProfile),
                (b"ANIM", K::SecondPicture),
                (b"ANMF", K::SecondPicture),
                (b"junk", K::Unknown),
            ] {
                for at in 0..=parts.len() {
                    let mut leaky = parts.clone();
                    leaky.insert(at, (*kind, b"secret".to_vec()));
                    flagged(&webp(&leaky), leak, &kind.escape_ascii().to_string());
                }
            }
            flagged(
                &[&clean[..], b"x"].concat(),
                K::Trailing,
                "a byte behind the end",
            );
            for i in 0..parts.len() {
                if &parts[i].0 == b"VP8X" {
                    for (byte, bit) in [(0, 0x20), (0, 0x08), (0, 0x04), (0, 2), (1, 1), (3, 1)] {
                        let mut leaky = parts.clone();
                        leaky[i].1[byte] |= bit;
                        flagged(&webp(&leaky), K::Unknown, "a flag");
                    }
                    continue;
                }
                for secret in [&b"a"[..], b"ab", b"\0\0\0\0", b"a secret behind the data"] {
                    let mut leaky = parts.clone();
                    leaky[i].1.extend(secret);
                    let leaks = inspect(&webp(&leaky)).leaks;
                    assert_ne!(leaks, [], "{} with {secret:?}", parts[i].0.escape_ascii());
                }
                let mut twice = parts.clone();
                twice.push(parts[i].clone());
                flagged(&webp(&twice), K::SecondPicture, "a part twice");
                let mut cut = parts.clone();
                let half = cut[i].1.len() / 2;
                cut[i].1.truncate(half);
                assert_ne!(inspect(&webp(&cut)).leaks, [], "a part cut short");
            }
            let mut odd = parts.clone();
            odd.retain(|p| p.1.len() % 2 == 1);
            if !odd.is_empty() && parts.last().unwrap().1.len() % 2 == 1 {
                let mut padded = clean.clone();
                *padded.last_mut().unwrap() = 7;
                flagged(&padded, K::Slack, "padding that is not 0");
            }
        }
    }
    // Colours under transparency, which a lossless encoder keeps when asked to.
    let hidden = [9, 9, 9, 0, 1, 2, 3, 255];
    let mut config = webp_config();
    config.exact = 1;
    let leaky = ::webp::Encoder::from_rgba(&hidden, 2, 1)
        .encode_advanced(&config)
        .unwrap();
    flagged(&leaky, K::HiddenPixels, "hidden colours");
}

fn webp_config() -> ::webp::WebPConfig {
    let mut config = ::webp::WebPConfig::new().unwrap();
    config.lossless = 1;
    config
}

#[test]
fn a_lossy_webp_with_bytes_behind_the_modes_is_flagged() {
    let clean = output(pictures()[29].clone(), Format::WebP);
    let mut parts = webp_chunks(&clean);
    let at = parts.iter().position(|p| &p.0 == b"VP8 ").unwrap();
    let frame = &mut parts[at].1;
    let tag = u32::from_le_bytes([frame[0], frame[1], frame[2], 0]);
    let first = (tag >> 5) as usize;
    frame.splice(10 + first..10 + first, *b"secret");
    let tag = ((first as u32 + 6) << 5 | tag & 0x1F).to_le_bytes();
    frame[..3].copy_from_slice(&tag[..3]);
    assert_ne!(inspect(&webp(&parts)).leaks, []);
}

/// Our TIFF's directory: its place, its entries, and the bytes before it.
fn directory(tiff: &[u8]) -> (usize, Vec<[u8; 12]>) {
    let place = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes([tiff[place], tiff[place + 1]]));
    let entries = tiff[place + 2..place + 2 + 12 * count]
        .chunks(12)
        .map(|e| e.try_into().unwrap())
        .collect();
    (place, entries)
}

fn tiff(before: &[u8], entries: &[[u8; 12]], next: u32) -> Vec<u8> {
    let mut out = before.to_vec();
    out[4..8].copy_from_slice(&(before.len() as u32).to_le_bytes());
    out.extend((entries.len() as u16).to_le_bytes());
    out.extend(entries.concat());
    out.extend(next.to_le_bytes());
    out
}

#[test]
fn every_leak_put_into_a_clean_tiff_is_flagged() {
    use LeakKind as K;
    for picture in pictures() {
        let clean = output(picture, Format::Tiff);
        let (place, entries) = directory(&clean);
        let before = &clean[..place];
        assert_eq!(tiff(before, &entries, 0), clean);
        for (tag, leak) in [
            (270u16, K::Comment),
            (271, K::Exif),
            (274, K::Exif),
            (305, K::Comment),
            (306, K::Comment),
            (330, K::SecondPicture),
            (700, K::Xmp),
            (33432, K::Comment),
            (33723, K::Iptc),
            (34377, K::Unknown),
            (34665, K::Exif),
            (34675, K::ColourProfile),
            (34853, K::Exif),
            (37724, K::Unknown),
            (50341, K::Unknown),
        ] {
            for inside in [true, false] {
                let mut body = before.to_vec();
                let mut entry = [0; 12];
                entry[..2].copy_from_slice(&tag.to_le_bytes());
                entry[2] = 7;
                entry[4] = if inside { 4 } else { 8 };
                if inside {
                    entry[8..].copy_from_slice(b"leak");
                } else {
                    entry[8..].copy_from_slice(&(body.len() as u32).to_le_bytes());
                    body.extend(b"a secret"[..8].iter());
                }
                let mut more = entries.clone();
                more.push(entry);
                more.sort_by_key(|e| u16::from_le_bytes([e[0], e[1]]));
                flagged(&tiff(&body, &more, 0), leak, &format!("tag {tag}"));
            }
        }
        flagged(
            &[&clean[..], b"x"].concat(),
            K::Trailing,
            "bytes behind the end",
        );
        let gap = [before, b"secret"].concat();
        flagged(
            &tiff(&gap, &entries, 0),
            K::Between,
            "bytes that nothing points to",
        );
        let page = [
            &tiff(before, &entries, clean.len() as u32)[..],
            &clean[place..],
        ]
        .concat();
        flagged(&page, K::Malformed, "the same page once more");
        let size = inspect(&clean).size.unwrap();
        assert!(check(&page, Format::Tiff, size.0, size.1).is_err());
        // The only strip once more, with something behind its data.
        let of = |tag: u16| {
            entries
                .iter()
                .position(|e| e[..2] == tag.to_le_bytes())
                .unwrap()
        };
        let length = u32::from_le_bytes(entries[of(279)][8..].try_into().unwrap());
        if entries[of(279)][4..8] == [1, 0, 0, 0] {
            let strip = &before[8..8 + length as usize];
            let mut moved = entries.clone();
            moved[of(273)][8..].copy_from_slice(&(place as u32).to_le_bytes());
            moved[of(279)][8..].copy_from_slice(&(length + 6).to_le_bytes());
            let leaky = tiff(&[before, strip, b"secret"].concat(), &moved, 0);
            flagged(&leaky, K::Slack, "bytes behind a strip");
        }
    }
}

#[test]
fn tags_of_a_tiff_held_bytes_that_no_reader_looks_at() {
    for picture in pictures() {
        let clean = output(picture, Format::Tiff);
        let (place, entries) = directory(&clean);
        let before = &clean[..place];
        // Resolution and its unit, which nothing needs; and what has a usual value without them.
        for tag in [282u16, 283, 296, 254, 278, 284, 317, 338, 339] {
            for (kind, count) in [(7u8, 4u8), (2, 8), (12, 1), (5, 1), (1, 8), (3, 2), (13, 1)] {
                let mut body = before.to_vec();
                let mut entry = [0; 12];
                entry[..2].copy_from_slice(&tag.to_le_bytes());
                (entry[2], entry[4]) = (kind, count);
                if count == 8 || matches!(kind, 5 | 12) {
                    entry[8..].copy_from_slice(&(body.len() as u32).to_le_bytes());
                    body.extend(b"a secret");
                } else {
                    entry[8..].copy_from_slice(b"leak");
                }
                let mut more: Vec<_> = entries.clone();
                more.retain(|e| e[..2] != tag.to_le_bytes());
                more.push(entry);
                more.sort_by_key(|e| u16::from_le_bytes([e[0], e[1]]));
                let leaks = inspect(&tiff(&body, &more, 0)).leaks;
                assert_ne!(leaks, [], "tag {tag} of type {kind}");
            }
        }
    }
}

#[test]
fn a_channel_of_a_tiff_without_a_meaning_hid_a_picture() {
    let picture = pictures()
        .into_iter()
        .find(|p| p.color() == image::ColorType::Rgba8);
    let clean = output(picture.unwrap(), Format::Tiff);
    let (place, mut entries) = directory(&clean);
    assert_eq!(inspect(&clean).leaks, []);
    let extra = entries.iter_mut().find(|e| e[..2] == 338u16.to_le_bytes());
    extra.unwrap()[8] = 0;
    assert_ne!(inspect(&tiff(&clean[..place], &entries, 0)).leaks, []);
}

#[test]
fn every_leak_put_into_a_clean_bmp_is_flagged() {
    for picture in pictures() {
        let clean = output(picture.clone(), Format::Bmp);
        let start = usize::from(clean[10]);
        flagged(
            &[&clean[..], b"x"].concat(),
            LeakKind::Trailing,
            "bytes behind the end",
        );
        let mut gap = [&clean[..start], b"abcd", &clean[start..]].concat();
        gap[10] += 4;
        let length = (gap.len() as u32).to_le_bytes();
        gap[2..6].copy_from_slice(&length);
        flagged(&gap, LeakKind::Between, "bytes before the pixels");
        for at in (2..start).filter(|at| !(18..26).contains(at)) {
            let mut leaky = clean.clone();
            leaky[at] ^= 0x55;
            assert_ne!(inspect(&leaky).leaks, [], "byte {at} of the header");
        }
        let row = (picture.width() as usize * 3).div_ceil(4) * 4;
        if !picture.color().has_alpha() && row > picture.width() as usize * 3 {
            let mut leaky = clean.clone();
            leaky[start + row - 1] = 1;
            flagged(&leaky, LeakKind::Slack, "padding of a row");
        }
        if picture.color().has_alpha() {
            let mut leaky = clean.clone();
            let hidden = leaky[start..].chunks(4).position(|p| p[3] == 0);
            if let Some(hidden) = hidden {
                leaky[start + 4 * hidden] = 1;
                flagged(&leaky, LeakKind::HiddenPixels, "a hidden colour");
            }
        }
    }
}

#[test]
fn every_leak_put_into_a_clean_gif_is_flagged() {
    use LeakKind as K;
    for picture in pictures() {
        let clean = output(picture, Format::Gif);
        let table = 3 << ((clean[10] & 7) + 1);
        let blocks = 13 + table;
        let extensions: [(&[u8], LeakKind); 7] = [
            (b"\x21\xFE\x06secret\0", K::Comment),
            (b"\x21\x01\x0C\0\0\0\0\0\0\0\0\0\0\0\0\x01a\0", K::Comment),
            (b"\x21\xFF\x0BXMP DataXMP\x01a\0", K::Xmp),
            (b"\x21\xFF\x0BICCRGBG1012\x01a\0", K::ColourProfile),
            (b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0", K::Unknown),
            (b"\x21\xFF\x0BMGKprivate1\x01a\0", K::Unknown),
            (b"\x21\x77\x01a\0", K::Unknown),
        ];
        for at in [blocks, clean.len() - 1] {
            for (extension, leak) in extensions {
                let leaky = [&clean[..at], extension, &clean[at..]].concat();
                flagged(&leaky, leak, &extension.escape_ascii().to_string());
            }
        }
        flagged(
            &[&clean[..], b"x"].concat(),
            K::Trailing,
            "bytes behind the end",
        );
        let again = [&clean[..clean.len() - 1], &clean[blocks..]].concat();
        // Two pictures without a fault are an animation, which a still picture must not become.
        let found = inspect(&again);
        assert!(found.moving.is_some_and(|m| m.delays.len() == 2));
        let (w, h) = found.size.unwrap();
        let wrong = unface::verify::check(&again, Format::Gif, w, h).unwrap_err();
        assert!(wrong.leaks.iter().any(|l| l.kind == K::SecondPicture));
        // Before the empty block that ends the data: one more block.
        let end = clean.len() - 2;
        let slack = [&clean[..end], b"\x06secret", &clean[end..]].concat();
        flagged(&slack, K::Slack, "a block behind the codes");
        for at in [11, 12] {
            let mut leaky = clean.clone();
            leaky[at] = 1;
            flagged(&leaky, K::Unknown, "a field of the screen");
        }
        // A palette twice as long, the rest of it used by nothing.
        if clean[10] & 7 < 7 {
            let mut leaky = clean.clone();
            leaky[10] += 1;
            leaky.splice(blocks..blocks, std::iter::repeat_n(5, table));
            flagged(&leaky, K::Unused, "spare colours");
        }
    }
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(at in 0usize..2000, value in any::<u8>(), cut in 0usize..2000) {
        for format in Format::STILLS {
            let mut bytes = output(pictures()[12].clone(), format);
            let length = bytes.len();
            bytes[at % length] = value;
            let _ = inspect(&bytes);
            let _ = inspect(&bytes[..cut % length]);
        }
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0usize..8) {
        let heads: [&[u8]; 8] = [
            &[0xFF, 0xD8, 0xFF],
            b"\x89PNG\r\n\x1A\n",
            b"RIFF\xFF\0\0\0WEBPVP8 \x80\0\0\0",
            b"RIFF\xFF\0\0\0WEBPVP8L\x80\0\0\0\x2F",
            b"II*\0\x08\0\0\0\x0A\0",
            b"MM\0*\0\0\0\x08\0\x0A",
            b"BM",
            b"GIF89a\x08\0\x08\0\x80\0\0",
        ];
        let head = heads[kind];
        bytes.splice(0..0, head.iter().copied());
        let _ = inspect(&bytes);
    }
}

#[test]
fn every_planted_photo_of_the_shared_corpus_is_flagged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data =
        std::env::var_os("UNFACE_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let Ok(files) = fs::read_dir(data.join("metadata")) else {
        eprintln!("skipped: {} is not there", data.display());
        return;
    };
    let mut flagged = 0;
    for file in files.map(|e| e.unwrap().path()) {
        let kinds = ["jpg", "png", "webp", "tif", "gif", "bmp"];
        if file
            .extension()
            .is_some_and(|e| kinds.iter().any(|k| e == *k))
        {
            assert_ne!(
                inspect(&fs::read(&file).unwrap()).leaks,
                [],
                "{}",
                file.display()
            );
            flagged += 1;
        }
    }
    assert!(flagged >= 50);
}

#[test]
fn a_png_header_of_long_rows_made_the_verifier_allocate_gigabytes() {
    // By fuzzing: 2 × 25 GB for a file of 200 bytes, which ended the program.
    let mut png = output(pictures().remove(0), Format::Png);
    png[16..20].copy_from_slice(&0x7FFF_FFFFu32.to_be_bytes());
    assert!(
        inspect(&png)
            .leaks
            .iter()
            .any(|l| l.detail.contains("rows longer"))
    );
}

#[test]
fn a_tiff_whose_value_points_into_its_own_entry_broke_the_verifier() {
    // By fuzzing.
    let bytes =
        b"\x49\x49\x2a\x00\x54\x00\x00\x00\x78\x9c\x8d\xc0\x61\x06\xc0\x20\x00\x05\xe0\xdd\xe2\xfd\
        \x1f\x63\x3b\xcb\x18\x1b\x3b\x4b\x14\x9d\x25\x8a\xe8\x2c\x45\x74\x96\x22\xa2\xae\xf0\xbe\
        \xed\x0f\x13\xa4\x4b\x14\x13\xa4\xcf\x8f\x17\x24\x95\x0f\x09\x92\xeb\x8f\x05\x29\xed\x22\
        \x82\xd4\x6e\x53\x49\x5a\xcf\x18\x28\x8f\x08\x00\x08\x00\x08\x00\x08\x00\x0b\x00\x00\x01\
        \x04\x00\x01\x00\x00\x00\x0b\x00\x00\x00\x01\x01\x04\x00\x01\x00\x00\x00\x07\x00\x00\x00\
        \x02\x01\x03\x00\x04\x00\x00\x00\x76\x00\x00\x00\x03\x01\x03\x00\x01\x00\x00\x00\x08\x00\
        \x00\x00\x06\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00\x11\x01\x04\x00\x01\x00\x00\x00\
        \x08\x00\x00\x00\x15\x01\x03\x00\x01\x00\x00\x00\x04\x00\x00\x00\x14\x01\x04\x00\x01\x00\
        \x00\x00\x07\x00\x00\x00\x17\x01\x04\x00\x01\x00\x00\x00\x44\x00\x00\x00\x0e\x01\x03\x00\
        \x01\x00\x00\x00\x02\x00\x00\x00\x52\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\xfe\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\xff\xfe";
    assert_ne!(inspect(bytes).leaks, []);
}
