//! JPEGs that cameras seldom write and decoders often get wrong: orders of scans, sampling, tables, colours, ends.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use unface::{
    decode::{DecodeError, Options, Photo, photo},
    jpeg::walk,
    verify::{LeakKind, inspect},
};

/// A picture of flat blocks, coded with the typical tables of Annex K.
#[derive(Clone)]
struct Flat {
    size: (u16, u16),
    /// Across and down, for each component.
    sampling: Vec<(u8, u8)>,
    /// Which components each scan holds.
    scans: Vec<Vec<usize>>,
    /// MCUs, 0 for none.
    restart: u16,
    /// Whether the Huffman tables are in the file.
    tables: bool,
    /// What it says beside its pixels.
    secret: Secret,
}

#[derive(Clone, Copy, PartialEq)]
enum Secret {
    None,
    /// Sixteen zeros before the end of some blocks.
    Zeros,
    /// Changes across the picture's right edge, in blocks beyond it.
    Beyond,
}

/// Code and length of a DC difference of `size` bits, and of the end of a block, in the typical tables for luminance.
const SIZES: [(u32, u32); 9] = [
    (0b00, 2),
    (0b010, 3),
    (0b011, 3),
    (0b100, 3),
    (0b101, 3),
    (0b110, 3),
    (0b1110, 4),
    (0b1_1110, 5),
    (0b11_1110, 6),
];
const END: (u32, u32) = (0b1010, 4);
/// Sixteen zeros, and a coefficient of 1 without zeros before it.
const ZEROS: (u32, u32) = (0b111_1111_1001, 11);
const ONE: (u32, u32) = (0b001, 3);

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    bits: u64,
    count: u32,
}

impl Writer {
    fn put(&mut self, (code, length): (u32, u32)) {
        self.bits = self.bits << length | u64::from(code);
        self.count += length;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.bits >> self.count) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
    }

    fn align(&mut self) {
        while !self.count.is_multiple_of(8) {
            self.put((1, 1));
        }
    }
}

impl Flat {
    /// What a block adds to 128.
    fn level(c: usize, x: u32, y: u32) -> i32 {
        let range = if c == 0 { 120 } else { 60 };
        ((x * 37 + y * 59 + c as u32 * 83) % range) as i32 - range as i32 / 2
    }

    fn most(&self) -> (u32, u32) {
        let h = self.sampling.iter().map(|s| s.0).max().unwrap();
        let v = self.sampling.iter().map(|s| s.1).max().unwrap();
        (u32::from(h), u32::from(v))
    }

    fn write(&self) -> Vec<u8> {
        let n = self.sampling.len() as u8;
        let mut out = vec![0xFF, 0xD8];
        out.extend(segment(0xDB, &[&[0][..], &[8; 64]].concat()));
        let mut frame = vec![8];
        frame.extend(self.size.1.to_be_bytes());
        frame.extend(self.size.0.to_be_bytes());
        frame.push(n);
        for (c, (h, v)) in self.sampling.iter().enumerate() {
            frame.extend([c as u8 + 1, h << 4 | v, 0]);
        }
        out.extend(segment(0xC0, &frame));
        if self.tables {
            out.extend(typical_tables());
        }
        if self.restart > 0 {
            out.extend(segment(0xDD, &self.restart.to_be_bytes()));
        }
        for scan in &self.scans {
            let mut head = vec![scan.len() as u8];
            scan.iter().for_each(|&c| head.extend([c as u8 + 1, 0]));
            head.extend([0, 63, 0]);
            out.extend(segment(0xDA, &head));
            out.extend(self.scan(scan));
        }
        out.extend([0xFF, 0xD9]);
        out
    }

    fn scan(&self, scan: &[usize]) -> Vec<u8> {
        let (w, h) = (u32::from(self.size.0), u32::from(self.size.1));
        let (hm, vm) = self.most();
        let factors = |c: usize| (u32::from(self.sampling[c].0), u32::from(self.sampling[c].1));
        let (columns, rows) = match scan {
            &[c] => {
                let (ch, cv) = factors(c);
                (
                    (w * ch).div_ceil(hm).div_ceil(8),
                    (h * cv).div_ceil(vm).div_ceil(8),
                )
            }
            _ => (w.div_ceil(8 * hm), h.div_ceil(8 * vm)),
        };
        let mut writer = Writer::default();
        let mut before = [0; 4];
        for mcu in 0..columns * rows {
            let restart = u32::from(self.restart);
            if restart > 0 && mcu > 0 && mcu.is_multiple_of(restart) {
                writer.align();
                writer
                    .out
                    .extend([0xFF, 0xD0 + (mcu / restart - 1) as u8 % 8]);
                before = [0; 4];
            }
            for &c in scan {
                let (ch, cv) = if scan.len() == 1 { (1, 1) } else { factors(c) };
                for block in 0..ch * cv {
                    let x = mcu % columns * ch + block % ch;
                    let y = mcu / columns * cv + block / ch;
                    let level = Self::level(c, x, y);
                    let difference = level - before[c];
                    before[c] = level;
                    let size = 32 - difference.unsigned_abs().leading_zeros();
                    writer.put(SIZES[size as usize]);
                    let value = if difference < 0 {
                        difference + (1 << size) - 1
                    } else {
                        difference
                    };
                    writer.put((value as u32, size));
                    if self.secret == Secret::Zeros && x % 2 == 1 {
                        writer.put(ZEROS);
                    }
                    let across = (w * u32::from(self.sampling[c].0)).div_ceil(8 * hm);
                    if self.secret == Secret::Beyond && x >= across {
                        writer.put(ONE);
                    }
                    writer.put(END);
                }
            }
        }
        writer.align();
        writer.out
    }

    /// Compares decoded pixels with what was coded, where no neighbouring block has a say.
    fn assert_right(&self, photo: &Photo) {
        let pixels = photo.frame.pixels().to_rgb8();
        assert_eq!(
            pixels.dimensions(),
            (u32::from(self.size.0), u32::from(self.size.1))
        );
        let (hm, vm) = self.most();
        let mut compared = 0;
        for (x, y, pixel) in pixels.enumerate_pixels() {
            let mut samples = [128.0f64; 3];
            let mut inside = true;
            for (c, &(h, v)) in self.sampling.iter().enumerate() {
                let (sx, sy) = (x * u32::from(h) / hm, y * u32::from(v) / vm);
                let middle = |s: u32, factor: u8, most: u32| {
                    u32::from(factor) == most || (1..=6).contains(&(s % 8))
                };
                inside &= middle(sx, h, hm) && middle(sy, v, vm);
                samples[c] += f64::from(Self::level(c, sx / 8, sy / 8));
            }
            if !inside {
                continue;
            }
            compared += 1;
            let [l, cb, cr] = [samples[0], samples[1] - 128.0, samples[2] - 128.0];
            let rgb = [
                l + 1.402 * cr,
                l - 0.344_136 * cb - 0.714_136 * cr,
                l + 1.772 * cb,
            ];
            for (is, should) in pixel.0.into_iter().zip(rgb) {
                let should = should.clamp(0.0, 255.0);
                assert!(
                    (f64::from(is) - should).abs() <= 2.5,
                    "{is} is not {should} at {x},{y}: {:?} {:?} {} {:?}",
                    self.sampling,
                    self.scans,
                    self.restart,
                    self.size
                );
            }
        }
        assert!(compared > 0 || self.size.0 < 8);
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

/// The segments of the typical tables for luminance, as another writer has them.
fn typical_tables() -> Vec<u8> {
    let whole = encoded(ColorType::Luma, |_| {});
    let segments = walk(&whole).unwrap().segments;
    let tables = segments
        .into_iter()
        .filter(|s| s.marker == 0xC4 && whole[s.payload.start] & 15 == 0);
    tables.flat_map(|s| whole[s.whole].to_vec()).collect()
}

fn decoded(bytes: &[u8]) -> Result<Photo, DecodeError> {
    photo(bytes, &Options::default())
}

const SAMPLINGS: [[(u8, u8); 3]; 9] = [
    [(1, 1), (1, 1), (1, 1)],
    [(2, 2), (1, 1), (1, 1)],
    [(2, 1), (1, 1), (1, 1)],
    [(1, 2), (1, 1), (1, 1)],
    [(4, 1), (1, 1), (1, 1)],
    [(2, 2), (2, 1), (1, 2)],
    [(1, 1), (1, 2), (2, 1)],
    [(1, 1), (2, 2), (1, 1)],
    [(3, 1), (1, 1), (1, 1)],
];

#[test]
fn sequential_jpeg_in_several_scans_is_decoded_right() {
    let orders: [&[&[usize]]; 8] = [
        &[&[0, 1, 2]],
        &[&[0], &[1], &[2]],
        &[&[2], &[1], &[0]],
        &[&[1], &[0], &[2]],
        &[&[0], &[1, 2]],
        &[&[1, 2], &[0]],
        &[&[0, 1], &[2]],
        &[&[0, 2], &[1]],
    ];
    for sampling in SAMPLINGS {
        for order in orders {
            for restart in [0, 1, 3, 7] {
                for size in [(64, 48), (77, 53), (17, 9), (3, 5)] {
                    let flat = Flat {
                        size,
                        sampling: sampling.to_vec(),
                        scans: order.iter().map(|scan| scan.to_vec()).collect(),
                        restart,
                        tables: true,
                        secret: Secret::None,
                    };
                    let bytes = flat.write();
                    assert_eq!(walk(&bytes).unwrap().damage, None);
                    let photo = decoded(&bytes);
                    flat.assert_right(&photo.unwrap_or_else(|e| {
                        panic!("{sampling:?} {order:?} {restart} {size:?}: {e}")
                    }));
                }
            }
        }
    }
}

fn noise(width: u16, height: u16, channels: usize) -> Vec<u8> {
    (0..usize::from(width) * usize::from(height) * channels)
        .map(|i| {
            (60.0 + 50.0 * ((i / channels) as f64 * 0.07).sin() + (i * 7919 % 31) as f64) as u8
        })
        .collect()
}

fn encoded(color: ColorType, prepare: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 90);
    prepare(&mut encoder);
    let channels = match color {
        ColorType::Luma => 1,
        ColorType::Rgb => 3,
        _ => 4,
    };
    encoder
        .encode(&noise(77, 53, channels), 77, 53, color)
        .unwrap();
    out
}

#[test]
fn scans_of_one_component_give_the_pixels_of_one_scan() {
    for factor in [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_2,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
    ] {
        let one = encoded(ColorType::Rgb, |e| e.set_sampling_factor(factor));
        // With tables of its own, this encoder writes a scan for each component.
        let three = encoded(ColorType::Rgb, |e| {
            e.set_sampling_factor(factor);
            e.set_optimized_huffman_tables(true);
        });
        assert_eq!(
            (walk(&one).unwrap().scans, walk(&three).unwrap().scans),
            (1, 3)
        );
        let pixels = [one, three].map(|bytes| decoded(&bytes).unwrap().frame.pixels().to_rgb8());
        let apart = pixels[0]
            .iter()
            .zip(pixels[1].iter())
            .map(|(a, b)| a.abs_diff(*b));
        assert!(apart.max().unwrap() <= 6, "{factor:?}");
    }
}

#[test]
fn a_jpeg_whose_two_decodes_differ_is_refused() {
    // In this order of scans, one of the two decoders reads too many blocks of the second component.
    let flat = Flat {
        size: (77, 53),
        sampling: vec![(4, 1), (2, 1), (1, 1)],
        scans: vec![vec![0], vec![1], vec![2]],
        restart: 0,
        tables: true,
        secret: Secret::None,
    };
    match decoded(&flat.write()) {
        // A later version of it may be right.
        Ok(photo) => flat.assert_right(&photo),
        Err(error) => {
            let said = error.to_string();
            assert!(matches!(error, DecodeError::Unsupported(_)), "{said}");
            assert!(
                said.contains("unusual coding") && said.contains("convert it"),
                "{said}"
            );
        }
    }
}

fn ordinary() -> Flat {
    Flat {
        size: (40, 24),
        sampling: vec![(2, 1), (1, 1), (1, 1)],
        scans: vec![vec![0, 1, 2]],
        restart: 0,
        tables: true,
        secret: Secret::None,
    }
}

#[test]
fn a_last_restart_marker_before_the_end_is_taken() {
    // 3 × 3 MCUs: the third marker stands after the last whole interval, where Lightroom puts it.
    let flat = Flat {
        restart: 3,
        ..ordinary()
    };
    let whole = flat.write();
    let mut bytes = whole.clone();
    bytes.splice(whole.len() - 2..whole.len() - 2, [0xFF, 0xD2]);
    flat.assert_right(&decoded(&bytes).unwrap());
    assert_eq!(decoded(&bytes).unwrap().damage, None);
    assert_ne!(inspect(&bytes).leaks, []);
    // The same in several scans, and one that is out of turn.
    let several = Flat {
        scans: vec![vec![0], vec![2], vec![1]],
        ..flat
    };
    let mut bytes = several.write();
    let at = bytes.len() - 2;
    bytes.splice(at..at, [0xFF, 0xD6]);
    several.assert_right(&decoded(&bytes).unwrap());
}

#[test]
fn a_missing_end_marker_is_taken_where_all_blocks_are_there() {
    let several = Flat {
        scans: vec![vec![0], vec![1, 2]],
        ..ordinary()
    };
    for flat in [ordinary(), several] {
        let bytes = flat.write();
        let open = &bytes[..bytes.len() - 2];
        for rest in [
            &b""[..],
            b"\xFF",
            &[0; 900],
            b"\0\0SEFH trailer",
            b"\xFF\xE1\xFF\xFFcut off",
        ] {
            let bytes = [open, rest].concat();
            let photo = decoded(&bytes).unwrap();
            assert_eq!(photo.damage, None);
            flat.assert_right(&photo);
            let dropped = photo
                .dropped
                .iter()
                .any(|d| d.kind.contains("bytes between"));
            assert_eq!(
                dropped,
                !rest.is_empty(),
                "{rest:02X?}: {:?}",
                photo.dropped
            );
            assert_ne!(inspect(&bytes).leaks, []);
        }
        // The last bits of the picture are in the last byte but one or two.
        for cut in 3..20 {
            let error = decoded(&bytes[..bytes.len() - 2 - cut]).unwrap_err();
            assert!(matches!(error, DecodeError::Damaged(_)), "{error}");
        }
    }
    // Progressive: nothing of the last pass may be missing.
    let bytes = encoded(ColorType::Rgb, |e| e.set_progressive(true));
    assert!(decoded(&bytes[..bytes.len() - 2]).is_ok());
    assert!(decoded(&bytes[..bytes.len() - 6]).is_err());
}

#[test]
fn a_jpeg_without_huffman_tables_means_the_typical_ones() {
    let several = Flat {
        scans: vec![vec![1], vec![0], vec![2]],
        ..ordinary()
    };
    for flat in [ordinary(), several] {
        let flat = Flat {
            tables: false,
            ..flat
        };
        let bytes = flat.write();
        let photo = decoded(&bytes).unwrap();
        assert_eq!(photo.damage, None);
        flat.assert_right(&photo);
        assert_ne!(inspect(&bytes).leaks, []);
    }
    // All four tables, with coefficients.
    let whole = encoded(ColorType::Rgb, |_| {});
    let mut bare = whole.clone();
    for table in walk(&whole)
        .unwrap()
        .segments
        .iter()
        .rev()
        .filter(|s| s.marker == 0xC4)
    {
        bare.drain(table.whole.clone());
    }
    assert_eq!(
        decoded(&bare).unwrap().frame.pixels(),
        decoded(&whole).unwrap().frame.pixels()
    );
    // A third slot has no typical table, and a progressive picture has none at all.
    let at = bare.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    bare[at + 6] = 0x22;
    assert!(decoded(&bare).is_err());
}

#[test]
fn junk_before_the_first_segment_and_between_segments_is_dropped() {
    let flat = ordinary();
    let whole = flat.write();
    for junk in [
        &[0; 6][..],
        b"some bytes \xFF\0 that mean nothing",
        &[7; 3000],
    ] {
        for segment in walk(&whole).unwrap().segments.iter().skip(1) {
            let mut bytes = whole.clone();
            bytes.splice(
                segment.whole.start..segment.whole.start,
                junk.iter().copied(),
            );
            let photo = decoded(&bytes).unwrap();
            flat.assert_right(&photo);
            let said = photo
                .dropped
                .iter()
                .find(|d| d.kind.contains("bytes between"));
            assert_eq!(
                said.unwrap().bytes,
                junk.len() as u64,
                "{:?}",
                photo.dropped
            );
            assert_ne!(inspect(&bytes).leaks, []);
        }
    }
}

#[test]
fn a_scan_whose_quantisation_table_is_missing_is_damaged() {
    let mut bytes = ordinary().write();
    bytes[6] = 1;
    let error = decoded(&bytes).unwrap_err();
    assert!(
        matches!(&error, DecodeError::Damaged(what) if what.contains("quantisation")),
        "{error}"
    );
}

/// A profile of four inks whose look-up table has two points a side: cyan is taken for green, black for dark grey.
fn ink_profile() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x04\x03\x02\0".to_vec();
    for i in 0..9 {
        table.extend(if i % 4 == 0 { 0x1_0000u32 } else { 0 }.to_be_bytes());
    }
    (0..4).for_each(|_| table.extend(0..=255u8));
    for node in 0..16u8 {
        let ink = |bit: u8| i32::from(node >> bit & 1);
        let (c, m, y, k) = (ink(3), ink(2), ink(1), ink(0));
        let l = (255 - 60 * c - 90 * m - 30 * y) * (4 - 3 * k) / 4;
        let a = 128 + 70 * m - 60 * c;
        let b = 128 + 70 * y - 20 * m;
        table.extend([l as u8, a as u8, b as u8]);
    }
    (0..3).for_each(|_| table.extend(0..=255u8));
    let mut profile = vec![0; 128];
    profile[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    profile[12..24].copy_from_slice(b"prtrCMYKLab ");
    profile[36..40].copy_from_slice(b"acsp");
    // The illuminant D50.
    for (at, value) in [(68, 0xF6D6u32), (72, 0x1_0000), (76, 0xD32D)] {
        profile[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    profile.extend(2u32.to_be_bytes());
    for name in [b"A2B0", b"A2B1"] {
        profile.extend(name);
        profile.extend(156u32.to_be_bytes());
        profile.extend((table.len() as u32).to_be_bytes());
    }
    profile.extend(&table);
    let length = profile.len() as u32;
    profile[..4].copy_from_slice(&length.to_be_bytes());
    profile
}

#[test]
fn the_profile_of_a_ycck_jpeg_is_applied_as_that_of_a_cmyk_one() {
    let pictures = |profile: Option<&[u8]>| {
        [ColorType::Cmyk, ColorType::CmykAsYcck].map(|color| {
            let bytes = encoded(color, |e| {
                if let Some(profile) = profile {
                    e.add_icc_profile(profile).unwrap();
                }
            });
            decoded(&bytes).unwrap().frame.pixels().to_rgb8()
        })
    };
    let mean = |a: &image::RgbImage, b: &image::RgbImage| {
        let sum: u32 = a
            .iter()
            .zip(b.iter())
            .map(|(a, b)| u32::from(a.abs_diff(*b)))
            .sum();
        f64::from(sum) / a.len() as f64
    };
    let profile = ink_profile();
    let [cmyk, ycck] = pictures(Some(&profile));
    let [plain, plain_ycck] = pictures(None);
    assert!(mean(&cmyk, &ycck) < 5.0, "{}", mean(&cmyk, &ycck));
    assert!(
        mean(&plain, &plain_ycck) < 5.0,
        "{}",
        mean(&plain, &plain_ycck)
    );
    assert!(
        mean(&ycck, &plain_ycck) > 10.0,
        "{}",
        mean(&ycck, &plain_ycck)
    );
    // What can't be used is named.
    let bytes = encoded(ColorType::CmykAsYcck, |e| {
        e.add_icc_profile(b"no profile").unwrap()
    });
    let dropped = decoded(&bytes).unwrap().dropped;
    assert!(
        dropped
            .iter()
            .any(|d| d.kind == "unreadable colour profile"),
        "{dropped:?}"
    );
}

#[test]
fn coefficients_beyond_what_8_bits_give_are_damage() {
    // Decoders differ on them, without an error: one gave noise where the others gave a picture.
    let flat = Flat {
        secret: Secret::Beyond,
        ..ordinary()
    };
    let mut bytes = flat.write();
    let tables = walk(&bytes).unwrap().segments;
    let table = tables.iter().filter(|s| s.marker == 0xC4).nth(1).unwrap();
    // The first symbol of the typical table: a coefficient of one bit.
    let at = table.payload.start + 17;
    assert_eq!(bytes[at], 0x01);
    bytes[at] = 0x0B;
    let damage = walk(&bytes).unwrap().damage.unwrap();
    assert!(damage.contains("means nothing"), "{damage}");
    assert!(decoded(&bytes).is_err());
}

#[track_caller]
fn flagged(bytes: &[u8], kind: LeakKind, what: &str) {
    assert_eq!(walk(bytes).unwrap().damage, None, "{what}");
    let leaks = inspect(bytes).leaks;
    let found = leaks
        .iter()
        .any(|l| l.kind == kind && l.detail.contains(what));
    assert!(found, "{what}: {leaks:?}");
}

#[test]
fn what_other_writers_write_of_pixels_alone_passes() {
    for sampling in SAMPLINGS {
        for scans in [
            vec![vec![0, 1, 2]],
            vec![vec![0], vec![1], vec![2]],
            vec![vec![1, 2], vec![0]],
        ] {
            for restart in [0, 3] {
                let flat = Flat {
                    size: (77, 53),
                    sampling: sampling.to_vec(),
                    scans: scans.clone(),
                    restart,
                    ..ordinary()
                };
                assert_eq!(
                    inspect(&flat.write()).leaks,
                    [],
                    "{sampling:?} {scans:?} {restart}"
                );
            }
        }
    }
    for factor in [
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_2,
        SamplingFactor::F_2_1,
    ] {
        for progressive in [false, true] {
            for optimized in [false, true] {
                let bytes = encoded(ColorType::Rgb, |e| {
                    e.set_sampling_factor(factor);
                    e.set_progressive(progressive);
                    e.set_optimized_huffman_tables(optimized);
                });
                assert_eq!(
                    inspect(&bytes).leaks,
                    [],
                    "{factor:?} {progressive} {optimized}"
                );
            }
        }
    }
}

/// `jpeg` with `bytes` before its `n`th segment of the kind `marker`.
fn before(jpeg: &[u8], marker: u8, n: usize, bytes: &[u8]) -> Vec<u8> {
    let segments = walk(jpeg).unwrap().segments;
    let at = segments
        .iter()
        .filter(|s| s.marker == marker)
        .nth(n)
        .unwrap()
        .whole
        .start;
    [&jpeg[..at], bytes, &jpeg[at..]].concat()
}

#[test]
fn tables_of_a_jpeg_held_a_text() {
    let flat = Flat {
        scans: vec![vec![0], vec![1], vec![2]],
        restart: 3,
        ..ordinary()
    };
    let clean = flat.write();
    assert_eq!(inspect(&clean).leaks, []);
    let mut text = [b' '; 65];
    text[0] = 0;
    for n in [1, 2] {
        let leaky = before(&clean, 0xDA, n, &segment(0xDB, &text));
        flagged(&leaky, LeakKind::Unknown, "after the first scan");
    }
    for marker in [0xDB, 0xC4] {
        let leaky = before(&clean, 0xDA, 0, &segment(marker, &[]));
        flagged(&leaky, LeakKind::Unknown, "without a table");
    }
    let wide: Vec<u8> = [0x10].into_iter().chain([0, 8].repeat(64)).collect();
    let replaced = |body: &[u8]| {
        let mut bytes = clean.clone();
        bytes.splice(2..2 + 4 + 65, segment(0xDB, body));
        bytes
    };
    flagged(
        &replaced(&wide),
        LeakKind::Unknown,
        "more bytes than they need",
    );
    let mut zero = [8; 65];
    (zero[0], zero[64]) = (0, 0);
    flagged(&replaced(&zero), LeakKind::Unknown, "step of 0");
    let mut bytes = flat.write();
    let segments = walk(&bytes).unwrap().segments;
    let table = segments.iter().filter(|s| s.marker == 0xC4).nth(1).unwrap();
    assert_eq!(bytes[table.payload.start], 0x10);
    // The last symbol of the typical table, which stands for nothing in a flat picture.
    let last = table.payload.end - 1;
    bytes[last] ^= 1;
    flagged(&bytes, LeakKind::Unused, "symbol that is not used");
}

#[test]
fn numbers_of_a_jpeg_held_a_text() {
    let flat = Flat {
        scans: vec![vec![0], vec![1, 2]],
        restart: 3,
        ..ordinary()
    };
    let clean = flat.write();
    assert_eq!(inspect(&clean).leaks, []);
    let segments = walk(&clean).unwrap().segments;
    let scans: Vec<_> = segments.iter().filter(|s| s.marker == 0xDA).collect();
    for scan in &scans {
        for (back, value) in [(3, 5), (2, 0), (2, 62), (1, 0x41)] {
            let mut leaky = clean.clone();
            leaky[scan.payload.end - back] = value;
            flagged(&leaky, LeakKind::Unknown, "range of coefficients");
        }
    }
    for interval in [0, 3, 5000u16] {
        let body = segment(0xDD, &interval.to_be_bytes());
        // Before the interval that is meant, or again after it.
        for marker in [0xDD, 0xDA] {
            let leaky = before(&clean, marker, 0, &body);
            let leaks = inspect(&leaky).leaks;
            assert!(
                leaks.iter().any(|l| l.detail.contains("restart interval")),
                "{leaks:?}"
            );
        }
    }
    flagged(
        &before(&clean, 0xD9, 0, &segment(0xDD, b"hi")),
        LeakKind::Unknown,
        "restart interval",
    );
    let mut ids = clean.clone();
    let frame = segments
        .iter()
        .find(|s| s.marker == 0xC0)
        .unwrap()
        .payload
        .start;
    for (c, id) in b"GPS".iter().enumerate() {
        ids[frame + 6 + 3 * c] = *id;
    }
    ids[scans[0].payload.start + 1] = b'G';
    ids[scans[1].payload.start + 1] = b'P';
    ids[scans[1].payload.start + 3] = b'S';
    flagged(&ids, LeakKind::Unknown, "numbers of components");
    let mut turned = clean.clone();
    let at = scans[1].payload.start + 1;
    turned[at..at + 4].rotate_left(2);
    flagged(&turned, LeakKind::Unknown, "out of order");
    // Tables that progressive scans name without a use: DC in those of AC, AC in those of DC.
    let progressive = encoded(ColorType::Rgb, |e| e.set_progressive(true));
    for scan in walk(&progressive)
        .unwrap()
        .segments
        .iter()
        .filter(|s| s.marker == 0xDA)
    {
        let mut leaky = progressive.clone();
        let range = scan.payload.end - 3;
        leaky[scan.payload.start + 2] ^= if leaky[range] == 0 { 0x03 } else { 0x30 };
        flagged(&leaky, LeakKind::Unknown, "names and does not use");
    }
}

#[test]
fn blocks_of_a_jpeg_held_more_than_pixels() {
    for scans in [vec![vec![0, 1, 2]], vec![vec![0, 1], vec![2]]] {
        let flat = Flat {
            scans,
            ..ordinary()
        };
        assert_eq!(inspect(&flat.write()).leaks, []);
        for (secret, what) in [
            (Secret::Zeros, "zeros before the end of a block"),
            (Secret::Beyond, "beyond the picture's edge"),
        ] {
            let leaky = Flat {
                secret,
                ..flat.clone()
            };
            flagged(&leaky.write(), LeakKind::Unused, what);
            leaky.assert_right(&decoded(&leaky.write()).unwrap());
        }
    }
}
