//! Stills whose numbers mean something else than usual: the right pixels, or a refusal by name.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use fax::{BitWriter, Color, VecWriter, maps};
use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};
use unface::{
    Caution,
    decode::{DecodeError, Options, animation, photo},
};

fn read(bytes: &[u8]) -> DynamicImage {
    photo(bytes, &Options::default())
        .unwrap()
        .frame
        .into_pixels()
}

#[track_caller]
fn refused(bytes: &[u8]) -> String {
    photo(bytes, &Options::default()).unwrap_err().to_string()
}

/// Tag, type (3: short, 4: long, 5: fraction as two numbers) and values.
type Entry = (u16, u16, Vec<u32>);

fn short(tag: u16, values: &[u32]) -> Entry {
    (tag, 3, values.to_vec())
}

/// A TIFF, low bytes first, with these tags and strips.
fn tiff(entries: &[Entry], strips: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"II*\0\0\0\0\0".to_vec();
    let mut entries = entries.to_vec();
    let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
    for strip in strips {
        offsets.push(out.len() as u32);
        lengths.push(strip.len() as u32);
        out.extend(strip);
        out.resize(out.len().next_multiple_of(2), 0);
    }
    entries.extend([(273, 4, offsets), (279, 4, lengths)]);
    entries.sort_by_key(|e| e.0);
    let place = out.len();
    out[4..8].copy_from_slice(&(place as u32).to_le_bytes());
    out.extend((entries.len() as u16).to_le_bytes());
    let mut beside = place + 2 + 12 * entries.len() + 4;
    let mut behind = Vec::new();
    for (tag, kind, values) in entries {
        let value: Vec<u8> = match kind {
            3 => values
                .iter()
                .flat_map(|v| (*v as u16).to_le_bytes())
                .collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let count = values.len() / if kind == 5 { 2 } else { 1 };
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u32).to_le_bytes());
        if value.len() <= 4 {
            out.extend(&value);
            out.resize(out.len() + 4 - value.len(), 0);
        } else {
            out.extend((beside as u32).to_le_bytes());
            beside += value.len();
            behind.extend(value);
        }
    }
    out.extend([0; 4]);
    out.extend(behind);
    out
}

/// The tags of a picture in strips of `rows`, not compressed unless `more` says otherwise.
fn tags(size: (u32, u32), rows: u32, bits: &[u32], photometric: u32, more: &[Entry]) -> Vec<Entry> {
    let mut all = vec![
        short(256, &[size.0]),
        short(257, &[size.1]),
        short(258, bits),
        short(262, &[photometric]),
        short(277, &[bits.len() as u32]),
        short(278, &[rows]),
    ];
    all.extend(more.iter().cloned());
    all
}

fn reversed(strips: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let strip = |s: &Vec<u8>| s.iter().map(|b| b.reverse_bits()).collect();
    strips.iter().map(strip).collect()
}

/// Numbers without an order that a mistake could keep.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6)
}

/// PackBits of literal runs only.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let run = |run: &[u8]| [&[run.len() as u8 - 1], run].concat();
    bytes.chunks(100).flat_map(run).collect()
}

#[test]
fn tiff_of_fill_order_2_is_read_with_its_bits_in_order() {
    let order = short(266, &[2]);
    type Coder = fn(&[u8]) -> Vec<u8>;
    let codings: [(u32, Coder); 3] = [(1, <[u8]>::to_vec), (32773, packed), (8, deflated)];
    for (bits, photometric) in [
        (vec![1], 0),
        (vec![4], 3),
        (vec![8], 1),
        (vec![16], 1),
        (vec![8; 3], 2),
    ] {
        let row = (37 * bits.iter().sum::<u32>()).div_ceil(8) as usize;
        let rows = noise(row * 20);
        for (coding, coder) in codings {
            let strips: Vec<Vec<u8>> = rows.chunks(row * 8).map(coder).collect();
            let map = short(320, &(0..48).map(|i| i * 1300).collect::<Vec<_>>());
            let more = [short(259, &[coding]), map];
            let usual = tags((37, 20), 8, &bits, photometric, &more);
            let other = [&usual[..], std::slice::from_ref(&order)].concat();
            let right = read(&tiff(&usual, &strips));
            assert_eq!(
                read(&tiff(&other, &reversed(&strips))),
                right,
                "{bits:?} {coding}"
            );
            // Orders that nobody knows are no orders.
            let unknown = [&usual[..], &[short(266, &[7])]].concat();
            assert_eq!(read(&tiff(&unknown, &strips)), right);
        }
    }
}

#[test]
fn every_page_of_a_tiff_keeps_its_own_fill_order() {
    let pixels = noise(30 * 10);
    let usual = tags((30, 10), 10, &[8], 1, &[short(259, &[1])]);
    let second = [&usual[..], &[short(266, &[2])]].concat();
    let mut file = tiff(&usual, std::slice::from_ref(&pixels));
    // The second file behind the first: its directory becomes the next one.
    let other = tiff(&second, &reversed(std::slice::from_ref(&pixels)));
    let place = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    let moved = file.len() as u32;
    let from = u32::from_le_bytes(other[4..8].try_into().unwrap()) as usize;
    let mut other = other;
    for i in 0..usize::from(u16::from_le_bytes([other[from], other[from + 1]])) {
        let entry = from + 2 + 12 * i;
        if u16::from_le_bytes([other[entry], other[entry + 1]]) == 273 {
            let at = u32::from_le_bytes(other[entry + 8..entry + 12].try_into().unwrap());
            other[entry + 8..entry + 12].copy_from_slice(&(at + moved).to_le_bytes());
        }
    }
    let count = usize::from(u16::from_le_bytes([file[place], file[place + 1]]));
    let next = place + 2 + 12 * count;
    file[next..next + 4].copy_from_slice(&(moved + from as u32).to_le_bytes());
    file.extend(other);
    let photo = photo(&file, &Options::default()).unwrap();
    assert_eq!(photo.further.len(), 1);
    assert_eq!(photo.frame.pixels().as_bytes(), pixels);
    assert_eq!(photo.further[0].pixels().as_bytes(), pixels);
}

/// Whether a pixel of the pictures of fax is black.
fn black(x: u32, y: u32) -> bool {
    (x / 3 + y) % 7 < 2 || (x > 60 && y.is_multiple_of(3)) || y == 5
}

const FAX: (u32, u32) = (171, 24);

fn runs(y: u32) -> Vec<u16> {
    let mut runs = vec![0];
    let mut color = false;
    for x in 0..FAX.0 {
        if black(x, y) != color {
            color = !color;
            runs.push(0);
        }
        *runs.last_mut().unwrap() += 1;
    }
    runs
}

fn put_runs(to: &mut VecWriter, y: u32) {
    for (i, run) in runs(y).into_iter().enumerate() {
        let encode = |n| {
            if i % 2 == 0 {
                maps::white::encode(n)
            } else {
                maps::black::encode(n)
            }
        };
        if run >= 64 {
            to.write(encode(run / 64 * 64).unwrap()).unwrap();
        }
        to.write(encode(run % 64).unwrap()).unwrap();
    }
}

fn bit(value: u16, len: u8) -> fax::Bits {
    fax::Bits { data: value, len }
}

/// A line as Group 3 of two dimensions has it: only horizontal and vertical codes.
fn put_differences(to: &mut VecWriter, y: u32) {
    let edges = |y: u32| -> Vec<u32> {
        let mut at = 0;
        let ends = runs(y).into_iter().map(|r| {
            at += u32::from(r);
            at
        });
        ends.collect()
    };
    let (before, now) = (edges(y - 1), edges(y));
    let (mut at, mut i, mut begun) = (0, 0, false);
    while at < FAX.0 {
        let b1 = before.iter().skip(i % 2).step_by(2);
        let b1 = b1.copied().find(|&b| !begun || b > at).unwrap_or(FAX.0);
        let a1 = now.get(i).copied().unwrap_or(FAX.0);
        let by = a1 as i64 - i64::from(b1);
        if (-3..=3).contains(&by) {
            let mode = maps::Mode::Vertical(by as i8);
            to.write(maps::mode::encode(mode).unwrap()).unwrap();
            (at, i) = (a1, i + 1);
        } else {
            let a2 = now.get(i + 1).copied().unwrap_or(FAX.0);
            to.write(maps::mode::encode(maps::Mode::Horizontal).unwrap())
                .unwrap();
            for (n, run) in [(i, a1 - at), (i + 1, a2 - a1)] {
                let encode = |r: u32| {
                    if n % 2 == 0 {
                        maps::white::encode(r as u16)
                    } else {
                        maps::black::encode(r as u16)
                    }
                };
                if run >= 64 {
                    to.write(encode(run / 64 * 64).unwrap()).unwrap();
                }
                to.write(encode(run % 64).unwrap()).unwrap();
            }
            (at, i) = (a2, i + 2);
        }
        begun = true;
    }
}

/// The picture of fax, coded: compression, `T4Options`, strip.
fn faxes() -> Vec<(&'static str, u32, u32, Vec<u8>)> {
    let end = bit(1, 12);
    let mut huffman = Vec::new();
    let mut one = VecWriter::new();
    let mut unmarked = VecWriter::new();
    let mut filled = Vec::new();
    let mut two = VecWriter::new();
    for y in 0..FAX.1 {
        let mut line = VecWriter::new();
        put_runs(&mut line, y);
        huffman.extend(line.finish());
        one.write(end).unwrap();
        put_runs(&mut one, y);
        put_runs(&mut unmarked, y);
        // Zeros before the mark, so that it ends with a byte.
        let mut line = VecWriter::new();
        line.write(bit(1, 16)).unwrap();
        put_runs(&mut line, y);
        filled.extend(line.finish());
        two.write(end).unwrap();
        let whole = y % 4 == 0;
        two.write(bit(whole.into(), 1)).unwrap();
        if whole {
            put_runs(&mut two, y);
        } else {
            put_differences(&mut two, y);
        }
    }
    for _ in 0..6 {
        one.write(end).unwrap();
    }
    vec![
        ("Huffman", 2, 0, huffman),
        ("Group 3", 3, 0, one.finish()),
        ("without marks", 3, 0, unmarked.finish()),
        ("filled", 3, 4, filled),
        ("two dimensions", 3, 1, two.finish()),
    ]
}

#[test]
fn every_kind_of_fax_in_a_tiff_is_read() {
    let mut right = GrayImage::new(FAX.0, FAX.1);
    for (x, y, pixel) in right.enumerate_pixels_mut() {
        pixel.0 = [if black(x, y) { 0 } else { 255 }];
    }
    let right = DynamicImage::ImageLuma8(right);
    let mut group_4 = fax::encoder::Encoder::new(VecWriter::new());
    for y in 0..FAX.1 {
        let line = (0..FAX.0).map(|x| {
            if black(x, y) {
                Color::Black
            } else {
                Color::White
            }
        });
        group_4.encode_line(line, FAX.0 as u16).unwrap();
    }
    let mut all = faxes();
    all.push(("Group 4", 4, 0, group_4.finish().unwrap().finish()));
    for (name, coding, said, strip) in all {
        for whole in [FAX.1, u32::MAX] {
            let mut entries = tags(
                FAX,
                0,
                &[1],
                0,
                &[short(259, &[coding]), (292, 4, vec![said])],
            );
            entries.retain(|e| e.0 != 278);
            entries.push((278, 4, vec![whole]));
            let strips = [strip.clone()];
            assert_eq!(read(&tiff(&entries, &strips)), right, "{name}");
            entries.push(short(266, &[2]));
            assert_eq!(
                read(&tiff(&entries, &reversed(&strips))),
                right,
                "{name} turned"
            );
        }
        // Cut off, it is damaged: no white where lines are missing.
        let entries = tags(
            FAX,
            FAX.1,
            &[1],
            0,
            &[short(259, &[coding]), (292, 4, vec![said])],
        );
        let cut = [strip[..strip.len() / 2].to_vec()];
        assert!(
            refused(&tiff(&entries, &cut)).contains("is damaged"),
            "{name}"
        );
    }
}

/// Red, green and blue as Y, Cb, Cr by these parts in luma, of full range or that of video.
fn ycc([r, g, b]: [f64; 3], luma: [f64; 3], video: bool) -> [u8; 3] {
    let y = r * luma[0] + g * luma[1] + b * luma[2];
    let (cb, cr) = (
        (b - y) / (2.0 - 2.0 * luma[2]),
        (r - y) / (2.0 - 2.0 * luma[0]),
    );
    let [y, cb, cr] = if video {
        [
            16.0 + y * 219.0 / 255.0,
            128.0 + cb * 224.0 / 255.0,
            128.0 + cr * 224.0 / 255.0,
        ]
    } else {
        [y, 128.0 + cb, 128.0 + cr]
    };
    [y, cb, cr].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

fn colours(x: u32, y: u32) -> [f64; 3] {
    [30 + x * 4, 200 - y * 6, 60 + (x * y) % 150].map(f64::from)
}

#[track_caller]
fn near(got: &DynamicImage, most: f64, name: &str) {
    for (x, y, pixel) in got.to_rgb8().enumerate_pixels() {
        for (is, due) in pixel.0.iter().zip(colours(x, y)) {
            assert!(
                (f64::from(*is) - due).abs() <= most,
                "{name} at {x}, {y}: {pixel:?}"
            );
        }
    }
}

#[test]
fn ycbcr_tiff_follows_its_own_coefficients_and_reference() {
    let size = (40, 24);
    let usual = [0.299, 0.587, 0.114];
    let hd = [0.2126, 0.7152, 0.0722];
    let fractions = |values: &[f64]| {
        values
            .iter()
            .flat_map(|v| [(v * 10_000.0).round() as u32, 10_000])
            .collect()
    };
    let range = |v: [u32; 6]| (532, 5, v.iter().flat_map(|v| [*v, 1]).collect::<Vec<_>>());
    let cases = [
        ("usual", usual, false, vec![]),
        ("hd", hd, false, vec![(529, 5, fractions(&hd))]),
        (
            "video",
            usual,
            true,
            vec![range([16, 235, 128, 240, 128, 240])],
        ),
        (
            "both",
            hd,
            true,
            vec![
                (529, 5, fractions(&hd)),
                range([16, 235, 128, 240, 128, 240]),
            ],
        ),
        (
            "said",
            usual,
            false,
            vec![
                (529, 5, fractions(&usual)),
                range([0, 255, 128, 255, 128, 255]),
            ],
        ),
    ];
    for (name, luma, video, mut more) in cases {
        let strip: Vec<u8> = (0..size.0 * size.1)
            .flat_map(|i| ycc(colours(i % size.0, i / size.0), luma, video))
            .collect();
        more.push(short(530, &[1, 1]));
        let entries = tags(size, size.1, &[8; 3], 6, &more);
        near(&read(&tiff(&entries, &[strip])), 3.0, name);
    }
    let strip = vec![128; (size.0 * size.1 * 3) as usize];
    for odd in [
        (529, 5, vec![0, 1, 0, 1, 0, 1]),
        (529, 5, vec![1, 0, 1, 0, 1, 0]),
        range([9, 9, 1, 1, 1, 1]),
    ] {
        let entries = tags(size, size.1, &[8; 3], 6, &[short(530, &[1, 1]), odd]);
        let said = refused(&tiff(&entries, std::slice::from_ref(&strip)));
        assert!(
            said.contains("YCbCr by a rule that makes no sense"),
            "{said}"
        );
    }
}

#[test]
fn subsampled_ycbcr_tiff_is_read_whatever_its_compression() {
    type Coder = fn(&[u8]) -> Vec<u8>;
    let codings: [(u32, Coder); 3] = [(1, <[u8]>::to_vec), (32773, packed), (8, deflated)];
    // Neither side is a multiple of a block.
    let size = (39u32, 23u32);
    for (across, down) in [(2u32, 2u32), (2, 1), (1, 2), (4, 1), (4, 4)] {
        let block = |column: u32, row: u32| -> Vec<u8> {
            let place = |i: u32| (column * across + i % across, row * down + i / across);
            let luma = (0..across * down).map(|i| (place(i).0 * 5 + place(i).1) as u8);
            luma.chain([100, 150]).collect()
        };
        let rows = 8;
        let strips: Vec<Vec<u8>> = (0..size.1.div_ceil(rows))
            .map(|strip| {
                let first = strip * rows / down;
                let last = ((strip + 1) * rows).min(size.1).div_ceil(down);
                let rows = first..last;
                rows.flat_map(|r| (0..size.0.div_ceil(across)).flat_map(move |c| block(c, r)))
                    .collect()
            })
            .collect();
        let plain: Vec<u8> = (0..size.0 * size.1)
            .flat_map(|i| [(i % size.0 * 5 + i / size.0) as u8, 100, 150])
            .collect();
        let right = read(&tiff(
            &tags(size, size.1, &[8; 3], 6, &[short(530, &[1, 1])]),
            &[plain],
        ));
        for (coding, coder) in codings {
            let strips: Vec<Vec<u8>> = strips.iter().map(|s| coder(s)).collect();
            let mut more = vec![short(259, &[coding])];
            // 2 × 2 is what a file means that does not say.
            if (across, down) != (2, 2) {
                more.push(short(530, &[across, down]));
            }
            let entries = tags(size, rows, &[8; 3], 6, &more);
            assert_eq!(
                read(&tiff(&entries, &strips)),
                right,
                "{across} × {down}, {coding}"
            );
        }
    }
}

#[test]
fn subsampling_that_makes_no_sense_is_refused_by_name() {
    for (across, down) in [(0, 2), (2, 0), (0, 0), (3, 1), (2, 8)] {
        let entries = tags((16, 8), 8, &[8; 3], 6, &[short(530, &[across, down])]);
        let said = refused(&tiff(&entries, &[noise(16 * 8 * 3)]));
        assert!(said.contains("YCbCr of rare subsampling"), "{said}");
    }
    // Strips that end inside a block.
    let entries = tags((16, 9), 3, &[8; 3], 6, &[short(530, &[2, 2])]);
    let said = refused(&tiff(&entries, &[noise(99), noise(99), noise(99)]));
    assert!(said.contains("YCbCr of rare subsampling"), "{said}");
}

#[test]
fn tiff_of_inks_and_alpha_keeps_both() {
    let size = (16, 8);
    let inks = noise(16 * 8 * 4);
    let with: Vec<u8> = inks
        .chunks(4)
        .flat_map(|p| [p, &[p[0] | 1]].concat())
        .collect();
    let plain = read(&tiff(&tags(size, 8, &[8; 4], 5, &[]), &[inks]));
    let entries = tags(size, 8, &[8; 5], 5, &[short(338, &[2])]);
    let clear = read(&tiff(&entries, std::slice::from_ref(&with))).to_rgba8();
    assert_eq!(
        DynamicImage::ImageRgba8(clear.clone()).to_rgb8(),
        plain.to_rgb8()
    );
    let alphas: Vec<u8> = with.iter().skip(4).step_by(5).copied().collect();
    assert_eq!(clear.pixels().map(|p| p.0[3]).collect::<Vec<_>>(), alphas);
}

#[test]
fn tiff_whose_tags_change_what_samples_mean_is_refused_by_name() {
    let size = (16, 8);
    let map = short(320, &(0..768).collect::<Vec<_>>());
    let cases = [
        (tags(size, 8, &[8; 5], 5, &[]), 5, "more than four inks"),
        (
            tags(size, 8, &[8; 4], 5, &[short(332, &[2])]),
            4,
            "inks other than",
        ),
        (
            tags(size, 8, &[8; 4], 5, &[short(336, &[20, 200])]),
            4,
            "a narrow range",
        ),
        (
            tags(size, 8, &[8; 2], 3, &[map, short(338, &[2])]),
            2,
            "a palette with further samples",
        ),
        (
            tags(size, 8, &[8], 1, &[short(339, &[2])]),
            1,
            "not unsigned numbers",
        ),
        (tags(size, 8, &[8; 3], 8, &[]), 3, "Lab colours"),
        (
            tags(size, 8, &[8], 1, &[short(259, &[34926])]),
            1,
            "Zstandard",
        ),
    ];
    for (entries, samples, words) in cases {
        let said = refused(&tiff(&entries, &[noise(16 * 8 * samples)]));
        assert!(
            said.contains("a TIFF of a rare kind") && said.contains(words),
            "{said}"
        );
    }
}

/// A chunk of a PNG, with its checksum.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let named = [&kind[..], body].concat();
    let crc = named.iter().fold(u32::MAX, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    });
    [
        &(body.len() as u32).to_be_bytes()[..],
        &named,
        &(!crc).to_be_bytes(),
    ]
    .concat()
}

/// A PNG with chunks before its pixels, grey or coloured.
fn png(pixels: &DynamicImage, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, pixels.width(), pixels.height());
    if pixels.color().has_color() {
        encoder.set_color(png::ColorType::Rgb);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels.as_bytes()).unwrap();
    writer.finish().unwrap();
    png.splice(33..33, chunks.concat());
    png
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

#[test]
fn png_with_gamma_and_primaries_is_shown_as_browsers_show_it() {
    let ramp: Vec<u8> = (0..=255).collect();
    let grey = DynamicImage::ImageLuma8(GrayImage::from_raw(16, 16, ramp).unwrap());
    let rgb = DynamicImage::ImageRgb8(grey.to_rgb8());
    let srgb = |linear: f64| {
        let coded = if linear <= 0.003_130_8 {
            linear * 12.92
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        };
        coded * 255.0
    };
    let gamma = |g: u32| chunk(b"gAMA", &words(&[g]));
    for (name, exponent, coded) in [("linear", 1.0, 100_000), ("old Macintosh", 1.8, 55_556)] {
        for pixels in [&grey, &rgb] {
            let shown = read(&png(pixels, &[gamma(coded)])).to_luma8();
            for (i, pixel) in shown.pixels().enumerate() {
                let due = srgb((i as f64 / 255.0).powf(exponent));
                assert!(
                    (f64::from(pixel.0[0]) - due).abs() < 2.5,
                    "{name}: {i} is {pixel:?}, not {due}"
                );
            }
        }
    }
    // What other chunks or common sense say counts instead.
    let usual = chunk(
        b"cHRM",
        &words(&[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000]),
    );
    let said = chunk(b"sRGB", &[0]);
    for chunks in [
        vec![gamma(45455)],
        vec![usual.clone()],
        vec![gamma(45455), usual],
        vec![said, gamma(100_000)],
        vec![gamma(0)],
    ] {
        assert_eq!(read(&png(&rgb, &chunks)), rgb);
    }
    // A green of Adobe RGB is greener than sRGB can be.
    let adobe = chunk(
        b"cHRM",
        &words(&[31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000]),
    );
    let green = DynamicImage::ImageRgb8(RgbImage::from_pixel(4, 4, image::Rgb([100, 200, 100])));
    let shown = photo(&png(&green, &[gamma(45455), adobe]), &Options::default()).unwrap();
    let pixel = shown.frame.pixels().to_rgb8().get_pixel(0, 0).0;
    assert!(pixel[0] < 60 && pixel[1].abs_diff(201) < 6, "{pixel:?}");
    assert!(shown.dropped.iter().any(|d| d.kind == "colours as numbers"));
}

#[test]
fn compressed_text_of_a_png_counts_as_the_metadata_that_it_becomes() {
    let grey = DynamicImage::ImageLuma8(GrayImage::new(8, 8));
    let text = [
        &b"Raw profile type xmp\0\0"[..],
        &deflated(&vec![b' '; 15 << 20]),
    ]
    .concat();
    let texts = |count: usize| png(&grey, &vec![chunk(b"zTXt", &text); count]);
    assert!(texts(6).len() < 1 << 20);
    assert!(photo(&texts(2), &Options::default()).is_ok());
    let error = photo(&texts(6), &Options::default()).unwrap_err();
    assert_eq!(error, DecodeError::Metadata(64));
}

#[test]
fn pages_of_a_tiff_share_the_limit_of_metadata() {
    let limit = Options {
        max_metadata: 1 << 20,
        ..Options::default()
    };
    // One packet of 0.4 MiB that each of the pages names.
    let pages = |count: usize| {
        let mut file = b"II*\0\x08\0\x06\0".to_vec();
        file.resize(8 + (400 << 10), b' ');
        let mut next = 4;
        for _ in 0..count {
            let place = file.len() as u32;
            file[next..next + 4].copy_from_slice(&place.to_le_bytes());
            let entries = [
                (256u16, 4u16, 1u32, 4u32),
                (257, 4, 1, 2),
                (258, 3, 1, 8),
                (262, 3, 1, 1),
                (273, 4, 1, 8),
                (279, 4, 1, 8),
                (700, 1, 400 << 10, 8),
            ];
            file.extend((entries.len() as u16).to_le_bytes());
            for (tag, kind, count, value) in entries {
                file.extend(tag.to_le_bytes());
                file.extend(kind.to_le_bytes());
                file.extend(count.to_le_bytes());
                file.extend(value.to_le_bytes());
            }
            next = file.len();
            file.extend([0; 4]);
        }
        file
    };
    assert_eq!(photo(&pages(2), &limit).unwrap().further.len(), 1);
    assert_eq!(
        photo(&pages(3), &limit).unwrap_err(),
        DecodeError::Metadata(1)
    );
}

#[test]
fn png_of_an_iphone_app_is_called_by_its_kind() {
    let grey = DynamicImage::ImageLuma8(GrayImage::new(8, 8));
    let mut file = png(&grey, &[]);
    file.splice(8..8, chunk(b"CgBI", &[0x50, 0, 0x20, 2]));
    let said = refused(&file);
    assert!(
        said.contains("an iPhone-optimised PNG (CgBI)") && said.contains("convert it"),
        "{said}"
    );
    assert!(!said.contains("damaged"));
}

#[test]
fn what_is_wrong_with_a_file_is_said_without_words_of_its_decoder() {
    let rgb = DynamicImage::ImageRgb8(RgbImage::from_raw(64, 64, noise(64 * 64 * 3)).unwrap());
    let mut broken = png(&rgb, &[]);
    let end = broken.len() - 16;
    broken[end..end + 4].fill(0);
    let said = refused(&broken);
    assert!(said.contains("is damaged (its data are broken)"), "{said}");
    let deep = tags((16, 8), 8, &[12], 1, &[]);
    let said = refused(&tiff(&deep, &[noise(16 * 12)]));
    assert!(said.contains("(grey in 1 × 12 bits)"), "{said}");
}

/// A GIF of pictures in black, red, green, blue: left, top, width, height and colour of each.
fn gif(screen: (u16, u16), pictures: &[([u16; 4], u8)]) -> Vec<u8> {
    let mut out = Vec::new();
    let palette = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(&mut out, screen.0, screen.1, &palette).unwrap();
    for &([left, top, width, height], colour) in pictures {
        let pixels = vec![colour; usize::from(width) * usize::from(height)];
        let mut frame = gif::Frame::from_indexed_pixels(width, height, pixels, None);
        (frame.left, frame.top, frame.delay) = (left, top, 10);
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    out
}

fn frames(bytes: &[u8]) -> Vec<RgbaImage> {
    let animation = animation::open(bytes.to_vec(), &Options::default()).unwrap();
    let frames = animation.frames().unwrap();
    frames
        .map(|f| f.unwrap().0.into_pixels().into_rgba8())
        .collect()
}

#[test]
fn gif_pictures_are_cut_at_the_screen() {
    let (red, blue) = ([255, 0, 0, 255], [0, 0, 255, 255]);
    let still = read(&gif((20, 10), &[([15, 5, 20, 10], 1)])).to_rgba8();
    let moving = frames(&gif(
        (20, 10),
        &[
            ([0, 0, 20, 10], 3),
            ([15, 5, 20, 10], 1),
            ([30, 30, 4, 4], 2),
        ],
    ));
    assert_eq!(moving.len(), 3);
    for (frame, around) in [(&still, [0; 4]), (&moving[1], blue), (&moving[2], blue)] {
        assert_eq!(frame.dimensions(), (20, 10));
        for (x, y, pixel) in frame.enumerate_pixels() {
            assert_eq!(
                pixel.0,
                if x >= 15 && y >= 5 { red } else { around },
                "{x}, {y}"
            );
        }
    }
    // A first picture that is larger than the screen is the screen.
    let still = read(&gif((4, 4), &[([3, 3, 20, 10], 1)])).to_rgba8();
    let moving = frames(&gif((4, 4), &[([3, 3, 20, 10], 1), ([19, 9, 4, 4], 3)]));
    assert!(still.pixels().all(|p| p.0 == red));
    assert_eq!(still.dimensions(), (20, 10));
    assert_eq!(moving[0], still);
    assert_eq!(moving[1].dimensions(), (20, 10));
    assert_eq!(moving[1].pixels().filter(|p| p.0 == blue).count(), 1);
}

/// The smallest lossless WebP of a size that shows one colour.
fn lossless(side: u32) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut put = |value: u32, count: u32| bits.extend((0..count).map(|i| value >> i & 1 == 1));
    put(0x2F, 8);
    put(side - 1, 14);
    put(side - 1, 14);
    // No alpha, version 0; no transforms, no cache, one group of codes.
    put(0, 4);
    put(0, 3);
    // Five codes of one symbol, each 0 in one bit.
    for _ in 0..5 {
        put(1, 1);
        put(0, 3);
    }
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |b, bit| b << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

fn webp(side: u32, count: usize) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        let mut out = [&kind[..], &(body.len() as u32).to_le_bytes(), body].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out
    };
    let three = |v: u32| v.to_le_bytes()[..3].to_vec();
    let sides = [three(side - 1), three(side - 1)].concat();
    let picture = chunk(b"VP8L", &lossless(side));
    let frame = [&[0; 6][..], &sides, &three(100), &[2], &picture].concat();
    let mut body = [
        &b"WEBP"[..],
        &chunk(b"VP8X", &[&[2, 0, 0, 0][..], &sides].concat()),
    ]
    .concat();
    body.extend(chunk(b"ANIM", &[0; 6]));
    for _ in 0..count {
        body.extend(chunk(b"ANMF", &frame));
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

#[test]
fn animations_of_more_pixels_than_are_allowed_are_refused_before_a_frame_is_decoded() {
    let open = |bytes: Vec<u8>| animation::open(bytes, &Options::default());
    // 900 frames of 64 million pixels in 50 kB.
    let bomb = webp(8000, 900);
    assert!(bomb.len() < 60_000);
    let error = open(bomb.clone()).unwrap_err();
    assert!(
        matches!(error, DecodeError::LongAnimation { frames: 900, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("--max-memory"), "{error}");
    // Tiny frames take their time, too.
    assert!(matches!(
        open(webp(1, 20_000)),
        Err(DecodeError::LongAnimation { .. })
    ));
    // A person may allow more.
    let more = Options {
        max_memory: 16 << 30,
        ..Options::default()
    };
    assert!(animation::open(bomb, &more).is_ok());
    // The canvas and a part of its size are in memory at the same time.
    assert!(matches!(
        open(webp(11_000, 2)),
        Err(DecodeError::TooLarge { .. })
    ));
    for (side, count) in [(600, 400), (640, 5000), (1, 3000)] {
        let animation = open(webp(side, count)).unwrap();
        assert_eq!(animation.count(), count);
    }
    assert_eq!(frames(&webp(3, 2)).len(), 2);
}

#[test]
fn orientation_of_exif_counts_and_another_in_xmp_is_reported() {
    let rgb = DynamicImage::ImageRgb8(RgbImage::new(8, 4));
    let exif = |o: u8| {
        chunk(
            b"eXIf",
            &[
                &b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..],
                &[o, 0, 0, 0, 0, 0, 0],
            ]
            .concat(),
        )
    };
    let xmp = |o: u8| {
        chunk(
            b"iTXt",
            format!("XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation=\"{o}\"/>").as_bytes(),
        )
    };
    let conflict = |applied, other| vec![Caution::OrientationConflict { applied, other }];
    let cases = [
        (vec![exif(6), xmp(1)], 6, conflict(6, 1)),
        (vec![exif(1), xmp(6)], 1, conflict(1, 6)),
        (vec![xmp(6)], 1, conflict(1, 6)),
        (vec![exif(6), xmp(6)], 6, vec![]),
        (vec![exif(6)], 6, vec![]),
        (vec![xmp(1)], 1, vec![]),
    ];
    for (chunks, applied, cautions) in cases {
        let photo = photo(&png(&rgb, &chunks), &Options::default()).unwrap();
        assert_eq!(photo.cautions, cautions);
        assert_eq!(photo.frame.width(), if applied == 6 { 4 } else { 8 });
    }
    // What a person says settles it.
    let chosen = Options {
        orientation: Some(1),
        ..Options::default()
    };
    let photo = photo(&png(&rgb, &[exif(6), xmp(1)]), &chosen).unwrap();
    assert_eq!((photo.frame.width(), photo.cautions.len()), (8, 0));
}
