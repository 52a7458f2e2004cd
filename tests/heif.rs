//! HEIF and AVIF in and out. The files are put together here from pictures that ffmpeg codes.
//! Skipped, and said so, where ffmpeg is not installed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use image::{DynamicImage, GrayImage, Rgb, RgbImage};
use unface::{
    Caution, Format,
    decode::{DecodeError, Options, Photo, from_upright_pixels, photo},
    encode::{self, encode},
    redact::{self, Effect, Noise},
    verify::{LeakKind, check, inspect},
};

mod program;
use program::{code, names, samples, text};

fn ffmpeg() -> bool {
    let encoders = Command::new("ffmpeg")
        .args(["-v", "quiet", "-encoders"])
        .output();
    let has = encoders.is_ok_and(|o| {
        let all = text(&o.stdout);
        all.contains("libx265") && all.contains("libaom-av1")
    });
    if !has {
        eprintln!("SKIPPED: ffmpeg with libx265 and libaom is not installed");
    }
    has
}

/// What a coder makes of pixels: HEVC units each behind its start, or AV1's.
fn stream(pixels: &DynamicImage, coder: &[&str]) -> Vec<u8> {
    let size = format!("{}x{}", pixels.width(), pixels.height());
    let from = if pixels.color().has_color() {
        "rgb24"
    } else {
        "gray"
    };
    let mut child = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pixel_format",
            from,
            "-video_size",
            &size,
            "-i",
            "-",
        ])
        .args([
            "-vf",
            "scale=out_color_matrix=bt601:out_range=full:flags=full_chroma_int+accurate_rnd",
        ])
        .args([
            "-frames:v",
            "1",
            "-color_range",
            "pc",
            "-colorspace",
            "smpte170m",
        ])
        .args(coder)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(pixels.as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    out.stdout
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], body].concat()
}

/// A file in the making.
#[derive(Clone, Default)]
struct Heif {
    brand: [u8; 4],
    /// Kind, data, properties by number, counted from 1.
    items: Vec<([u8; 4], Vec<u8>, Vec<u8>)>,
    properties: Vec<Vec<u8>>,
    references: Vec<([u8; 4], u16, Vec<u16>)>,
    behind: Vec<u8>,
}

impl Heif {
    fn new(brand: &[u8; 4]) -> Self {
        Self {
            brand: *brand,
            ..Self::default()
        }
    }

    /// Adds a property, one that must be understood where `essential`.
    fn property(&mut self, kind: &[u8; 4], body: &[u8], essential: bool) -> u8 {
        self.properties.push(boxed(kind, body));
        self.properties.len() as u8 | if essential { 0x80 } else { 0 }
    }

    fn size(&mut self, width: u32, height: u32) -> u8 {
        let body = [[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat();
        self.property(b"ispe", &body, false)
    }

    fn item(&mut self, kind: &[u8; 4], data: &[u8], properties: &[u8]) -> u16 {
        self.items.push((*kind, data.to_vec(), properties.to_vec()));
        self.items.len() as u16
    }

    fn refer(&mut self, kind: &[u8; 4], from: u16, to: &[u16]) {
        self.references.push((*kind, from, to.to_vec()));
    }

    /// Adds a picture coded as HEVC, of 8 or 10 bits.
    fn hevc(&mut self, pixels: &DynamicImage, deep: bool, more: &[u8]) -> u16 {
        let format = match (pixels.color().has_color(), deep) {
            (false, _) => "gray",
            (true, false) => "yuv444p",
            (true, true) => "yuv444p10le",
        };
        let quiet = "log-level=none:info=0:lossless=1:range=full:colormatrix=smpte170m";
        let coder = [
            "-pix_fmt",
            format,
            "-c:v",
            "libx265",
            "-x265-params",
            quiet,
            "-f",
            "hevc",
        ];
        let (mut sets, mut picture) = (Vec::new(), Vec::new());
        let stream = stream(pixels, &coder);
        for unit in units(&stream) {
            match unit[0] >> 1 {
                32..=34 => sets.push(unit),
                39 | 40 => {}
                _ => {
                    picture.extend((unit.len() as u32).to_be_bytes());
                    picture.extend(unit);
                }
            }
        }
        let chroma = if pixels.color().has_color() { 3 } else { 0 };
        let mut config = vec![1; 16];
        config.extend([
            0xFC | chroma,
            0xF8 | (u8::from(deep) * 2),
            0xF8,
            0,
            0,
            3,
            sets.len() as u8,
        ]);
        for set in sets {
            config.extend([set[0] >> 1, 0, 1]);
            config.extend((set.len() as u16).to_be_bytes());
            config.extend(set);
        }
        let size = self.size(pixels.width(), pixels.height());
        let config = self.property(b"hvcC", &config, true);
        self.item(b"hvc1", &picture, &[&[size, config], more].concat())
    }

    fn bytes(&self) -> Vec<u8> {
        let kind = boxed(b"ftyp", &[&self.brand[..], &[0; 4], b"mif1"].concat());
        let length = self.meta(0).len();
        let meta = self.meta((kind.len() + length + 8) as u32);
        let data: Vec<u8> = self.items.iter().flat_map(|i| i.1.clone()).collect();
        [kind, meta, boxed(b"mdat", &data), self.behind.clone()].concat()
    }

    fn meta(&self, place: u32) -> Vec<u8> {
        let count = (self.items.len() as u16).to_be_bytes();
        let mut places = [&[0, 0, 0, 0, 0x44, 0], &count[..]].concat();
        let mut infos = [&[0; 4], &count[..]].concat();
        let mut links = [&[0; 6], &count[..]].concat();
        let mut at = place;
        for (i, (kind, data, properties)) in self.items.iter().enumerate() {
            let id = (i as u16 + 1).to_be_bytes();
            places.extend([&id[..], &[0, 0, 0, 1]].concat());
            places.extend(at.to_be_bytes());
            places.extend((data.len() as u32).to_be_bytes());
            at += data.len() as u32;
            let mut info = [&[2, 0, 0, 0], &id[..], &[0, 0], kind, b"\0"].concat();
            if kind == b"mime" {
                info.extend(b"application/rdf+xml\0");
            }
            infos.extend(boxed(b"infe", &info));
            links.extend([&id[..], &[properties.len() as u8], properties].concat());
        }
        let mut references = vec![0; 4];
        for (kind, from, to) in &self.references {
            let mut body = from.to_be_bytes().to_vec();
            body.extend((to.len() as u16).to_be_bytes());
            to.iter().for_each(|t| body.extend(t.to_be_bytes()));
            references.extend(boxed(kind, &body));
        }
        let properties = boxed(b"ipco", &self.properties.concat());
        let body = [
            vec![0; 4],
            boxed(b"hdlr", b"\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            boxed(b"pitm", &[0, 0, 0, 0, 0, 1]),
            boxed(b"iloc", &places),
            boxed(b"iinf", &infos),
            boxed(b"iref", &references),
            boxed(b"iprp", &[properties, boxed(b"ipma", &links)].concat()),
        ];
        boxed(b"meta", &body.concat())
    }
}

/// Units of a stream, without what begins them.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..stream.len().saturating_sub(3))
        .filter(|&i| stream[i..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len() + 1]);
    starts
        .iter()
        .zip(ends)
        .map(|(&from, to)| {
            stream[from + 3..to.min(stream.len())]
                .strip_suffix(&[0])
                .unwrap_or(&stream[from + 3..to.min(stream.len())])
        })
        .collect()
}

fn drawn(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        Rgb([
            (x * 255 / width) as u8,
            (y * 255 / height) as u8,
            if x * 3 < width && y * 3 < height {
                220
            } else {
                40
            },
        ])
    }))
}

fn read(bytes: &[u8]) -> DynamicImage {
    photo(bytes, &Options::default())
        .unwrap()
        .frame
        .into_pixels()
}

#[track_caller]
fn near(a: &DynamicImage, b: &DynamicImage, most: f64) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let (a, b) = (a.to_rgb8(), b.to_rgb8());
    let sum: u64 = a
        .iter()
        .zip(b.iter())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    let mean = sum as f64 / a.len() as f64;
    assert!(mean <= most, "{mean} off on average");
}

/// One picture of 96 × 64, made once.
static PLAIN: LazyLock<Heif> = LazyLock::new(|| {
    let mut heif = Heif::new(b"heic");
    heif.hevc(&drawn(96, 64), false, &[]);
    heif
});

#[test]
fn a_picture_comes_out_as_it_went_in_with_8_and_10_bits_and_without_colours() {
    if !ffmpeg() {
        return;
    }
    let one = read(&PLAIN.bytes());
    assert_eq!(one.color(), image::ColorType::Rgb8);
    near(&one, &drawn(96, 64), 1.0);
    let mut deep = Heif::new(b"heix");
    deep.hevc(&drawn(96, 64), true, &[]);
    let deep = read(&deep.bytes());
    assert_eq!(deep.color(), image::ColorType::Rgb16);
    near(&deep, &drawn(96, 64), 1.0);
    let mut grey = Heif::new(b"mif1");
    let shades = DynamicImage::ImageLuma8(drawn(64, 64).to_luma8());
    grey.hevc(&shades, false, &[]);
    let grey = read(&grey.bytes());
    assert_eq!(grey.color(), image::ColorType::L8);
    near(&grey, &shades, 1.0);
}

#[test]
fn turns_and_mirrors_of_the_file_count_once_and_those_of_exif_not_at_all() {
    if !ffmpeg() {
        return;
    }
    let exif = b"\0\0\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let upright = read(&PLAIN.bytes());
    for angle in 0..4u8 {
        for mirror in [None, Some(0u8), Some(1)] {
            let mut heif = PLAIN.clone();
            let turn = heif.property(b"irot", &[angle], true);
            heif.items[0].2.push(turn);
            if let Some(axis) = mirror {
                let axis = heif.property(b"imir", &[axis], true);
                heif.items[0].2.push(axis);
            }
            let meta = heif.item(b"Exif", exif, &[]);
            heif.refer(b"cdsc", meta, &[1]);
            let turned = match angle {
                1 => upright.rotate270(),
                2 => upright.rotate180(),
                3 => upright.rotate90(),
                _ => upright.clone(),
            };
            let turned = match mirror {
                Some(0) => turned.flipv(),
                Some(_) => turned.fliph(),
                None => turned,
            };
            let file = heif.bytes();
            assert_eq!(read(&file), turned, "{angle} {mirror:?}");
            let person = Options {
                orientation: Some(1),
                ..Options::default()
            };
            assert_eq!(photo(&file, &person).unwrap().frame.into_pixels(), upright);
        }
    }
}

/// EXIF that names one orientation, as an item holds it.
fn exif(orientation: u8) -> Vec<u8> {
    let head = b"\0\0\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0";
    [&head[..], &[orientation, 0, 0, 0, 0, 0, 0]].concat()
}

#[test]
fn exif_that_turns_a_heif_without_turns_of_its_own_needs_a_person() {
    if !ffmpeg() {
        return;
    }
    let with = |turns: &[u8], orientation: u8| {
        let mut heif = PLAIN.clone();
        for angle in turns {
            let turn = heif.property(b"irot", &[*angle], true);
            heif.items[0].2.push(turn);
        }
        let meta = heif.item(b"Exif", &exif(orientation), &[]);
        heif.refer(b"cdsc", meta, &[1]);
        heif.bytes()
    };
    let read = |bytes: &[u8]| photo(bytes, &Options::default());
    let error = read(&with(&[], 6)).unwrap_err();
    assert_eq!(error, DecodeError::Orientation(1, 6));
    assert!(error.to_string().contains("--orientation"));
    let person = Options {
        orientation: Some(6),
        ..Options::default()
    };
    let turned = photo(&with(&[], 6), &person).unwrap();
    assert_eq!((turned.frame.width(), turned.frame.height()), (64, 96));
    assert_eq!(turned.cautions, []);
    assert_eq!(read(&with(&[], 1)).unwrap().cautions, []);
    // Phones say the same in both places; programs that turned the picture leave 1 in EXIF.
    for same in [6, 1] {
        assert_eq!(read(&with(&[3], same)).unwrap().cautions, []);
    }
    let conflict = |applied, other| [Caution::OrientationConflict { applied, other }];
    assert_eq!(read(&with(&[3], 8)).unwrap().cautions, conflict(6, 8));
    assert_eq!(read(&with(&[0], 6)).unwrap().cautions, conflict(1, 6));
    assert_eq!(read(&with(&[1, 1], 6)).unwrap().cautions, conflict(3, 6));
    // No viewer turns a HEIF by XMP.
    let mut heif = PLAIN.clone();
    heif.item(b"mime", b"<x tiff:Orientation=\"6\"/>", &[]);
    assert_eq!(read(&heif.bytes()).unwrap().cautions, conflict(1, 6));
    // EXIF of another picture says nothing of this one.
    let mut heif = PLAIN.clone();
    let other = heif.hevc(&drawn(96, 64), false, &[]);
    let meta = heif.item(b"Exif", &exif(6), &[]);
    heif.refer(b"cdsc", meta, &[other]);
    assert_eq!(read(&heif.bytes()).unwrap().cautions, []);
}

#[test]
fn colours_that_only_the_tiles_of_a_grid_name_are_applied() {
    if !ffmpeg() {
        return;
    }
    // Display P3, the curve of sRGB, full range.
    let wide = |heif: &mut Heif| heif.property(b"colr", b"nclx\0\x0C\0\x0D\0\x06\x80", false);
    let mut above = grid();
    let colours = wide(&mut above);
    above.items[0].2.push(colours);
    let right = read(&above.bytes());
    assert!(right != read(&grid().bytes()));
    let mut below = grid();
    let colours = wide(&mut below);
    below.items[1..].iter_mut().for_each(|i| i.2.push(colours));
    assert_eq!(read(&below.bytes()), right);
    below.items[3].2.pop();
    let error = photo(&below.bytes(), &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("tiles in different colours"),
        "{error}"
    );
}

#[test]
fn grey_of_limited_range_becomes_black_and_white() {
    if !ffmpeg() {
        return;
    }
    let shades = GrayImage::from_fn(64, 64, |x, y| [(16 + (x + 3 * y) % 220) as u8].into());
    for (range, limited) in [(0, true), (0x80, false)] {
        let mut heif = Heif::new(b"mif1");
        let colours = heif.property(
            b"colr",
            &[b"nclx\0\x01\0\x0D\0\x06", &[range][..]].concat(),
            false,
        );
        heif.hevc(&DynamicImage::ImageLuma8(shades.clone()), false, &[colours]);
        let shown = read(&heif.bytes()).into_luma8();
        for (is, coded) in shown.pixels().zip(shades.pixels()) {
            let coded = f64::from(coded.0[0]);
            let due = if limited {
                (coded - 16.0) * 255.0 / 219.0
            } else {
                coded
            };
            assert!((f64::from(is.0[0]) - due).abs() < 1.5, "{is:?}, not {due}");
        }
    }
}

#[test]
fn pictures_of_other_codecs_are_called_by_their_kind() {
    if !ffmpeg() {
        return;
    }
    for (brand, kind, words) in [
        (b"avci", b"avc1", "coded as H.264"),
        (b"jpeg", b"jpeg", "coded as JPEG"),
        (b"j2ki", b"j2k1", "coded as JPEG 2000"),
        (b"vvic", b"vvc1", "coded as H.266"),
        (b"mif1", b"unci", "not compressed"),
        (b"none", b"evc1", "coded as EVC"),
    ] {
        let mut heif = Heif::new(brand);
        let size = heif.size(8, 8);
        let setup = heif.property(b"avcC", &[1; 20], true);
        heif.item(kind, &[1; 99], &[size, setup]);
        let said = photo(&heif.bytes(), &Options::default())
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("a HEIF picture of a rare kind") && said.contains(words),
            "{said}"
        );
    }
}

#[test]
fn metadata_that_share_their_bytes_are_refused_before_they_are_read() {
    let mut heif = Heif::new(b"heic");
    let size = heif.size(8, 8);
    heif.item(b"hvc1", &[1], &[size]);
    heif.item(b"mime", &[b' '; 1 << 16], &[]);
    for _ in 0..2000 {
        heif.item(b"mime", &[], &[]);
    }
    let mut file = heif.bytes();
    // All items lie where the first packet does: 125 MiB in a file of 0.2.
    let list = file.windows(4).position(|w| w == b"iloc").unwrap() + 12;
    let place = file[list + 14 + 6..list + 28].to_vec();
    for item in 2..2002 {
        file[list + 14 * item + 6..][..8].copy_from_slice(&place);
    }
    assert!(file.len() < 1 << 18);
    let error = photo(&file, &Options::default()).unwrap_err();
    assert_eq!(error, DecodeError::Metadata(64));
}

#[test]
fn a_crop_is_applied_and_one_that_reaches_out_of_the_picture_refused() {
    if !ffmpeg() {
        return;
    }
    let clap = |n: [u32; 8]| n.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>();
    let mut heif = PLAIN.clone();
    // 50 × 40 pixels, their middle 10 right and 5 above the picture's.
    let crop = heif.property(b"clap", &clap([50, 1, 40, 1, 10, 1, -5i32 as u32, 1]), true);
    heif.items[0].2.push(crop);
    assert_eq!(
        read(&heif.bytes()),
        read(&PLAIN.bytes()).crop_imm(33, 7, 50, 40)
    );
    let mut wide = PLAIN.clone();
    let crop = wide.property(b"clap", &clap([50, 1, 40, 1, 40, 1, 0, 1]), true);
    wide.items[0].2.push(crop);
    assert!(photo(&wide.bytes(), &Options::default()).is_err());
}

/// A grid of 3 × 2 tiles of 64 × 64 pixels, cut to 170 × 100, as phones write it.
fn grid() -> Heif {
    let whole = drawn(192, 128);
    let mut heif = Heif::new(b"heic");
    let size = heif.size(170, 100);
    heif.item(b"grid", &[0, 0, 1, 2, 0, 170, 0, 100], &[size]);
    let tiles: Vec<u16> = (0..6)
        .map(|i| heif.hevc(&whole.crop_imm(i % 3 * 64, i / 3 * 64, 64, 64), false, &[]))
        .collect();
    heif.refer(b"dimg", 1, &tiles);
    heif
}

#[test]
fn a_grid_is_put_together_and_one_with_tiles_amiss_refused() {
    if !ffmpeg() {
        return;
    }
    let good = grid();
    let found = photo(&good.bytes(), &Options::default()).unwrap();
    assert_eq!(found.dropped, []);
    near(
        found.frame.pixels(),
        &drawn(192, 128).crop_imm(0, 0, 170, 100),
        1.0,
    );
    let refused = |change: &dyn Fn(&mut Heif)| {
        let mut heif = good.clone();
        change(&mut heif);
        let error = photo(&heif.bytes(), &Options::default()).unwrap_err();
        assert!(!matches!(error, DecodeError::Panicked(_)), "{error}");
    };
    refused(&|h| h.references[0].2.truncate(5));
    refused(&|h| h.references[0].2[5] = 2);
    refused(&|h| h.references[0].2[5] = 1);
    refused(&|h| h.references[0].2[5] = 99);
    // A tile that is two pictures, one without any, one that ends early.
    refused(&|h| h.items[3].1 = h.items[3].1.repeat(2));
    refused(&|h| h.items[3].1.clear());
    refused(&|h| h.items[3].1.truncate(20));
    // A grid larger than its tiles, or with rows that nothing shows.
    refused(&|h| h.items[0].1 = vec![0, 0, 1, 2, 0, 200, 0, 100]);
    refused(&|h| {
        h.items[0].1 = vec![0, 0, 1, 2, 0, 170, 0, 60];
        h.properties[0] = boxed(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 170, 0, 0, 0, 60]);
    });
    // Tiles that say they have another size.
    refused(&|h| h.properties[1] = boxed(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 64]));
}

#[test]
fn pictures_that_are_not_what_they_say_are_refused() {
    if !ffmpeg() {
        return;
    }
    let refused = |change: &dyn Fn(&mut Heif)| {
        let mut heif = PLAIN.clone();
        change(&mut heif);
        let error = photo(&heif.bytes(), &Options::default()).unwrap_err();
        assert!(!matches!(error, DecodeError::Panicked(_)), "{error}");
        error
    };
    refused(&|h| h.properties[0] = boxed(b"ispe", &[0, 0, 0, 0, 0, 0, 0, 90, 0, 0, 0, 64]));
    refused(&|h| h.items[0].1.truncate(100));
    refused(&|h| h.items[0].0 = *b"iovl");
    refused(&|h| h.items[0].2 = vec![]);
    let unknown = refused(&|h| {
        let new = h.property(b"nEwP", &[1, 2, 3], true);
        h.items[0].2.push(new);
    });
    assert!(unknown.to_string().contains("nEwP"), "{unknown}");
    let bright = refused(&|h| {
        let colours = h.property(b"colr", b"nclx\0\x09\0\x10\0\x09\x80", false);
        h.items[0].2.push(colours);
    });
    assert!(bright.to_string().contains("dynamic range"), "{bright}");
    let huge = refused(&|h| {
        h.properties[0] = boxed(b"ispe", &[0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 255, 255])
    });
    assert!(matches!(huge, DecodeError::TooLarge { .. }), "{huge}");
}

#[test]
fn every_cut_of_a_heif_is_refused_and_no_flipped_bit_breaks_anything() {
    if !ffmpeg() {
        return;
    }
    let file = PLAIN.bytes();
    for cut in (0..file.len()).step_by(file.len() / 25 + 1) {
        assert!(photo(&file[..cut], &Options::default()).is_err(), "{cut}");
    }
    let head = file.windows(4).position(|w| w == b"mdat").unwrap();
    for at in (0..head).step_by(7) {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << (at % 8);
        if let Err(DecodeError::Panicked(what)) = photo(&flipped, &Options::default()) {
            panic!("byte {at}: {what}");
        }
    }
}

#[test]
fn colours_given_as_numbers_become_srgb() {
    if !ffmpeg() {
        return;
    }
    let flat = DynamicImage::ImageRgb8(RgbImage::from_pixel(64, 64, Rgb([200, 100, 100])));
    let mut heif = Heif::new(b"heic");
    let colours = heif.property(b"colr", b"nclx\0\x0C\0\x0D\0\x06\x80", false);
    heif.hevc(&flat, false, &[colours]);
    let Rgb([r, g, b]) = *read(&heif.bytes()).to_rgb8().get_pixel(30, 30);
    // Display P3 (200, 100, 100) in sRGB, computed with the matrices of CSS Color 4: 212, 96, 97.
    for (is, due) in [(r, 212u8), (g, 96), (b, 97)] {
        assert!(is.abs_diff(due) <= 3, "{r} {g} {b}");
    }
}

#[test]
fn what_else_is_in_a_heif_is_dropped_and_named() {
    if !ffmpeg() {
        return;
    }
    let mut heif = PLAIN.clone();
    let small = heif.hevc(&drawn(48, 32), false, &[]);
    heif.refer(b"thmb", small, &[1]);
    let grey = DynamicImage::ImageLuma8(GrayImage::new(48, 32));
    for name in [
        "urn:mpeg:hevc:2015:auxid:2",
        "urn:com:apple:photo:2020:aux:hdrgainmap",
        "urn:com:apple:photo:2018:aux:portraiteffectsmatte",
    ] {
        let kind = heif.property(
            b"auxC",
            &[b"\0\0\0\0", name.as_bytes(), b"\0"].concat(),
            true,
        );
        let one = heif.hevc(&grey, false, &[kind]);
        heif.refer(b"auxl", one, &[1]);
    }
    heif.hevc(&drawn(48, 32), false, &[]);
    heif.item(b"mime", b"<x/>", &[]);
    let gps = b"\0\0\0\0MM\0*\0\0\0\x08\0\x01\x88\x25\0\x04\0\0\0\x01\0\0\0\0\0\0\0\0";
    heif.item(b"Exif", gps, &[]);
    let clip = [boxed(b"ftyp", b"mp42\0\0\0\0"), boxed(b"moov", &[1; 50])].concat();
    heif.behind = [
        boxed(b"free", &[0; 9]),
        boxed(b"mpvd", &clip),
        b"tail".to_vec(),
    ]
    .concat();
    let file = heif.bytes();
    let Photo {
        frame,
        dropped,
        motion,
        ..
    } = photo(&file, &Options::default()).unwrap();
    near(frame.pixels(), &drawn(96, 64), 1.0);
    assert_eq!(file[motion.unwrap()], clip);
    let kinds: Vec<&str> = dropped.iter().map(|d| d.kind.as_str()).collect();
    let due = [
        "thumbnail",
        "depth map",
        "gain map",
        "matte",
        "further picture",
        "XMP",
        "EXIF (GPS)",
        "filling",
        "motion video",
        "bytes behind the end",
    ];
    assert_eq!(kinds, due);
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

#[test]
fn a_heic_becomes_a_jpeg_an_avif_stays_one_and_faces_are_covered() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let portrait = read(&fs::read(samples().join("portrait.jpg")).unwrap());
    let mut heif = Heif::new(b"heic");
    let turn = heif.property(b"irot", &[1], true);
    heif.hevc(&portrait.rotate90(), false, &[turn]);
    fs::write(dir.path().join("IMG_1.HEIC"), heif.bytes()).unwrap();
    fs::write(dir.path().join("b.avif"), output(portrait.clone(), 90)).unwrap();
    let out = unface(
        dir.path(),
        &["IMG_1.HEIC", "b.avif", "-o", "out/", "--report", "r.json"],
    );
    code(&out, 0);
    assert_eq!(names(&dir.path().join("out")), ["IMG_1.jpg", "b.avif"]);
    for line in fs::read_to_string(dir.path().join("r.json"))
        .unwrap()
        .lines()
    {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(!record["faces"].as_array().unwrap().is_empty(), "{line}");
        assert_eq!(record["height"], portrait.height());
    }
    for name in ["IMG_1.jpg", "b.avif"] {
        let bytes = fs::read(dir.path().join("out").join(name)).unwrap();
        assert_eq!(inspect(&bytes).leaks, [], "{name}");
    }
}

#[test]
fn without_ffmpeg_heif_and_avif_are_refused_with_advice() {
    if !ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.heic"), PLAIN.bytes()).unwrap();
    fs::copy(samples().join("portrait.jpg"), dir.path().join("b.jpg")).unwrap();
    let run = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_unface"))
            .current_dir(dir.path())
            .env("PATH", dir.path())
            .args(args)
            .output()
            .unwrap()
    };
    let out = run(&["a.heic"]);
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("install ffmpeg 5.1"),
        "{}",
        text(&out.stderr)
    );
    let out = run(&["b.jpg", "--format", "avif"]);
    code(&out, 1);
    assert!(
        text(&out.stderr).contains("install ffmpeg 5.1"),
        "{}",
        text(&out.stderr)
    );
    assert_eq!(names(dir.path()), ["a.heic", "b.jpg"]);
}

/// An AVIF of this program.
fn output(pixels: DynamicImage, quality: u8) -> Vec<u8> {
    let options = redact::Options {
        effect: Effect::Fill { color: [0; 3] },
        region: 1.3,
    };
    let frame = from_upright_pixels(pixels);
    let covered = redact::cover(frame, &[], &[], &options, &mut Noise::from_seed(0)).unwrap();
    let options = encode::Options {
        quality,
        lossless: false,
    };
    encode(&covered, Format::Avif, &options).unwrap()
}

fn kinds() -> Vec<DynamicImage> {
    let opaque = drawn(67, 41);
    let mut clear = opaque.to_rgba8();
    clear.enumerate_pixels_mut().for_each(|(x, y, p)| {
        p.0[3] = if x < 20 { 0 } else { 255 - y as u8 };
    });
    let clear = from_upright_pixels(DynamicImage::ImageRgba8(clear)).into_pixels();
    vec![
        DynamicImage::ImageLuma8(opaque.to_luma8()),
        DynamicImage::ImageLumaA8(clear.to_luma_alpha8()),
        DynamicImage::ImageRgb16(opaque.to_rgb16()),
        DynamicImage::ImageRgba16(clear.to_rgba16()),
        opaque,
        clear,
    ]
}

#[test]
fn avif_comes_near_keeps_depth_greys_and_transparency() {
    if !ffmpeg() {
        return;
    }
    for pixels in kinds() {
        for quality in [92, 100] {
            let bytes = output(pixels.clone(), quality);
            assert_eq!(
                check(&bytes, Format::Avif, 67, 41),
                Ok(()),
                "{:?}",
                pixels.color()
            );
            let back = read(&bytes);
            assert_eq!(back.color().has_alpha(), pixels.color().has_alpha());
            let deep = |p: &DynamicImage| {
                p.color().bits_per_pixel() / u16::from(p.color().channel_count())
            };
            assert_eq!(deep(&back), deep(&pixels));
            let alphas =
                |p: &DynamicImage| p.to_rgba8().pixels().map(|p| p.0[3]).collect::<Vec<_>>();
            assert_eq!(alphas(&back), alphas(&pixels), "{:?}", pixels.color());
            if !pixels.color().has_alpha() {
                assert_eq!(back.color().has_color(), pixels.color().has_color());
            }
            let solid = |p: &DynamicImage| {
                let mut p = p.to_rgba8();
                p.pixels_mut()
                    .filter(|p| p.0[3] == 0)
                    .for_each(|p| p.0 = [0; 4]);
                DynamicImage::ImageRgba8(p)
            };
            near(
                &solid(&back),
                &solid(&pixels),
                if quality == 100 { 1.5 } else { 4.0 },
            );
        }
    }
}

#[test]
fn sizes_of_one_pixel_and_odd_ones_become_avif() {
    if !ffmpeg() {
        return;
    }
    for (width, height) in [(1, 1), (7, 3), (301, 1)] {
        let bytes = output(drawn(width, height), 92);
        assert_eq!(check(&bytes, Format::Avif, width, height), Ok(()));
        assert_eq!(
            (read(&bytes).width(), read(&bytes).height()),
            (width, height)
        );
    }
}

/// `avif` with `bytes` put in at `at`; the boxes around are made longer, the data's places moved.
fn with(avif: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    fn grow(avif: &mut [u8], from: usize, to: usize, at: usize, by: u32) {
        let mut place = from;
        while place + 8 <= to {
            let size = u32::from_be_bytes(avif[place..place + 4].try_into().unwrap()) as usize;
            let end = place + size;
            if place + 8 <= at && at <= end && !(at == end && end < to) {
                avif[place..place + 4].copy_from_slice(&(size as u32 + by).to_be_bytes());
                let inside = match &avif[place + 4..place + 8] {
                    b"meta" => 12,
                    b"iprp" | b"ipco" => 8,
                    b"iinf" => 14,
                    _ => return,
                };
                return grow(avif, place + inside, end, at, by);
            }
            place = end;
        }
    }
    let mut out = avif.to_vec();
    grow(&mut out, 0, avif.len(), at, bytes.len() as u32);
    let find = |name: &[u8]| avif.windows(4).position(|w| w == name).unwrap();
    let (data, places) = (find(b"mdat") - 4, find(b"iloc") + 12);
    if at <= data {
        let place = places + 6;
        let moved =
            u32::from_be_bytes(avif[place..place + 4].try_into().unwrap()) + bytes.len() as u32;
        out[place..place + 4].copy_from_slice(&moved.to_be_bytes());
    }
    out.splice(at..at, bytes.iter().copied());
    out
}

#[track_caller]
fn flagged(bytes: &[u8], kind: LeakKind, what: &str) {
    let leaks = inspect(bytes).leaks;
    assert!(leaks.iter().any(|l| l.kind == kind), "{what}: {leaks:?}");
    assert!(check(bytes, Format::Avif, 67, 41).is_err());
}

#[test]
fn every_leak_put_into_a_clean_avif_is_flagged() {
    if !ffmpeg() {
        return;
    }
    use LeakKind as K;
    let clean = output(drawn(67, 41), 92);
    assert_eq!(inspect(&clean).leaks, []);
    let find = |name: &[u8]| clean.windows(4).position(|w| w == name).unwrap() - 4;
    let (meta, data) = (find(b"meta"), find(b"mdat"));
    for kind in [
        b"free", b"uuid", b"Exif", b"mpvd", b"moov", b"sefd", b"idat", b"grpl",
    ] {
        let secret = boxed(kind, b"secret");
        for at in [meta, find(b"iloc"), data, clean.len()] {
            assert_ne!(
                inspect(&with(&clean, at, &secret)).leaks,
                [],
                "{} at {at}",
                kind.escape_ascii()
            );
        }
    }
    flagged(
        &[&clean[..], b"x"].concat(),
        K::Trailing,
        "a byte behind the end",
    );
    for (kind, body) in [
        (b"irot", &[1][..]),
        (b"imir", &[1]),
        (b"clap", &[0; 32]),
        (b"colr", b"prof secret"),
        (b"udes", b"secret"),
    ] {
        let all = find(b"ipma");
        assert_ne!(inspect(&with(&clean, all, &boxed(kind, body))).leaks, []);
        let property = boxed(kind, body);
        let inside = with(&clean, find(b"av1C"), &property);
        assert_ne!(inspect(&inside).leaks, [], "{}", kind.escape_ascii());
    }
    for (at, bytes) in [
        (clean.len(), &b"secret"[..]),
        (clean.len(), &[0]),
        (data + 8, b"secret"),
    ] {
        assert_ne!(
            inspect(&with(&clean, at, bytes)).leaks,
            [],
            "in the data at {at}"
        );
    }
    // Units of metadata, of padding, and the picture once more, counted to the picture.
    let length = find(b"iloc") + 12 + 4 + 10;
    let picture = clean[data + 8..].to_vec();
    for unit in [
        &[0x2A, 4, 4, b'a', b'b', b'c'][..],
        &[0x7A, 1, 0x80],
        &picture,
    ] {
        let mut leaky = with(&clean, clean.len(), unit);
        let grown = (picture.len() + unit.len()) as u32;
        leaky[length..length + 4].copy_from_slice(&grown.to_be_bytes());
        assert_ne!(inspect(&leaky).leaks, [], "{unit:?}");
    }
    // Whatever is changed before the data is seen, or makes another size of it.
    for at in 0..data + 8 {
        let mut leaky = clean.clone();
        leaky[at] ^= 0x15;
        assert!(check(&leaky, Format::Avif, 67, 41).is_err(), "byte {at}");
    }
    for cut in [1, 100, clean.len() - data] {
        assert_ne!(inspect(&clean[..clean.len() - cut]).leaks, []);
    }
}

#[test]
fn bytes_behind_the_header_inside_its_unit_of_an_avif_passed() {
    if !ffmpeg() {
        return;
    }
    for pixels in kinds().into_iter().filter(|p| !p.color().has_alpha()) {
        let clean = output(pixels, 92);
        assert_eq!(inspect(&clean).leaks, []);
        let find = |name: &[u8]| clean.windows(4).position(|w| w == name).unwrap() - 4;
        let unit = find(b"mdat") + 8;
        // The header's unit: its kind, its length in one byte.
        assert_eq!((clean[unit], clean[unit + 1] & 0x80), (0x0A, 0));
        let end = unit + 2 + usize::from(clean[unit + 1]);
        for secret in [&b"secret"[..], b"\0", b"\x80"] {
            let mut leaky = with(&clean, end, secret);
            leaky[unit + 1] += secret.len() as u8;
            let length = find(b"iloc") + 12 + 4 + 10;
            let whole = u32::from_be_bytes(leaky[length..length + 4].try_into().unwrap());
            let grown = whole + secret.len() as u32;
            leaky[length..length + 4].copy_from_slice(&grown.to_be_bytes());
            flagged(&leaky, LeakKind::Slack, "bytes behind a header");
        }
    }
}
