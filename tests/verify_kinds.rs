//! The verifier against bytes that decoders skip: one function for each kind of hiding place, in
//! files made here, which are clean before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::single_range_in_vec_init,
    missing_docs
)]

use std::{collections::BTreeMap, io::Write};

use flate2::{Compression, write::ZlibEncoder};
use unface::verify::inspect;

#[track_caller]
fn clean(bytes: &[u8], what: &str) {
    let found = inspect(bytes);
    assert!(found.format.is_some(), "{what}");
    assert_eq!(found.leaks, [], "{what}");
}

#[track_caller]
fn hides(bytes: &[u8], what: &str) {
    assert_ne!(inspect(bytes).leaks, [], "{what}");
}

// ---- PNG and deflate

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(body);
    [
        &(body.len() as u32).to_be_bytes(),
        &kind[..],
        body,
        &crc.sum().to_be_bytes(),
    ]
    .concat()
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::new(6));
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

fn png(head: [u8; 2], size: (u32, u32), between: &[Vec<u8>], data: &[&[u8]]) -> Vec<u8> {
    let header = [
        &size.0.to_be_bytes()[..],
        &size.1.to_be_bytes(),
        &head,
        &[0; 3],
    ]
    .concat();
    let mut out = b"\x89PNG\r\n\x1A\n".to_vec();
    out.extend(chunk(b"IHDR", &header));
    between.iter().for_each(|c| out.extend(c));
    data.iter().for_each(|d| out.extend(chunk(b"IDAT", d)));
    out.extend(chunk(b"IEND", &[]));
    out
}

const GREY: [u8; 2] = [8, 0];

/// Zlib around these blocks of deflate.
fn zlib(blocks: &[u8], plain: &[u8]) -> Vec<u8> {
    let (mut a, mut b) = (1u32, 0u32);
    for byte in plain {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    [&[0x78, 0x01], blocks, &(b << 16 | a).to_be_bytes()].concat()
}

fn stored(head: u8, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    [
        &[head][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn bits_before_stored_blocks_and_blocks_without_data_of_a_png_are_found() {
    let rows = [0u8, 7, 0, 9];
    let made = |blocks: &[u8]| png(GREY, (1, 2), &[], &[&zlib(blocks, &rows)]);
    clean(&made(&stored(1, &rows)), "one stored block");
    hides(&made(&stored(0xF1, &rows)), "bits before a length");
    let empty = stored(0, &[]).repeat(3);
    hides(&made(&[empty, stored(1, &rows)].concat()), "empty blocks");
    let split: Vec<u8> = rows.iter().flat_map(|r| stored(0, &[*r])).collect();
    let many = [split, stored(1, &[])].concat();
    hides(&made(&many), "a block a byte");
}

#[test]
fn a_png_stream_with_another_length_code_or_bits_behind_its_end_is_found() {
    // 258 zeros and one: a literal, a length of 258, its distance of 1, the end.
    let plain = [0u8; 259];
    let stream = |parts: &[(u32, u32)]| png(GREY, (258, 1), &[], &[&zlib(&packed(parts), &plain)]);
    let code = |value: u32, bits: u32| (value.reverse_bits() >> (32 - bits), bits);
    let head = (0b011, 3);
    let short = [head, code(0x30, 8), code(0xC5, 8), code(0, 5), code(0, 7)];
    clean(&stream(&short), "the length's own code");
    let long = [
        head,
        code(0x30, 8),
        code(0xC4, 8),
        (31, 5),
        code(0, 5),
        code(0, 7),
    ];
    hides(&stream(&long), "another code for the same length");
    let behind = [&short[..], &[(1, 1)]].concat();
    hides(&stream(&behind), "a bit behind the end");
}

#[test]
fn data_of_a_png_that_is_divided_at_will_is_found() {
    let rows: Vec<u8> = (0..64u32).flat_map(|y| [0, (y * 37) as u8]).collect();
    let data = deflated(&rows);
    let made = |parts: &[&[u8]]| png(GREY, (1, 64), &[], parts);
    clean(&made(&[&data]), "one part");
    let half = data.len().div_ceil(2);
    clean(&made(&[&data[..half], &data[half..]]), "equal parts");
    hides(&made(&[&data[..5], &data[5..]]), "a longer last part");
    hides(
        &made(&[&data[..9], &data[9..11], &data[11..20], &data[20..]]),
        "parts of any length",
    );
    hides(&made(&[&data, &[]]), "an empty part");
}

#[test]
fn bits_behind_rows_and_colours_that_look_the_same_of_a_png_are_found() {
    let made = |row: u8| png([1, 0], (3, 1), &[], &[&deflated(&[0, row])]);
    clean(&made(0b1010_0000), "three pixels");
    for bit in 0..5 {
        hides(&made(0b1010_0000 | 1 << bit), "a bit behind the row");
    }
    let palette = |colours: &[u8], data: &[u8]| {
        let row = [&[0], data].concat();
        let between = [chunk(b"PLTE", colours)];
        png([8, 3], (data.len() as u32, 1), &between, &[&deflated(&row)])
    };
    clean(&palette(&[1, 2, 3, 4, 5, 6], &[0, 1]), "two colours");
    hides(&palette(&[1, 2, 3, 1, 2, 3], &[0, 1]), "the same twice");
    hides(&palette(&[1, 2, 3], &[0, 7]), "a pixel beyond the palette");
}

#[test]
fn times_of_an_animated_png_are_written_in_one_way() {
    let made = |times: &[(u16, u16)], plays: u32| {
        let data = deflated(&[0, 5]);
        let mut between = vec![chunk(
            b"acTL",
            &[(times.len() as u32).to_be_bytes(), plays.to_be_bytes()].concat(),
        )];
        let (mut number, mut parts) = (0u32, Vec::new());
        for (i, (a, b)) in times.iter().enumerate() {
            let words = [number, 1, 1, 0, 0].map(u32::to_be_bytes).concat();
            let control = [&words[..], &a.to_be_bytes(), &b.to_be_bytes(), &[0, 0]].concat();
            number += 1;
            let control = chunk(b"fcTL", &control);
            if i == 0 {
                between.push(control);
            } else {
                parts.extend(control);
                parts.extend(chunk(b"fdAT", &[&number.to_be_bytes(), &data[..]].concat()));
                number += 1;
            }
        }
        let plain = png(GREY, (1, 1), &between, &[&data]);
        let end = plain.len() - 12;
        [&plain[..end], &parts, &plain[end..]].concat()
    };
    clean(&made(&[(0, 1), (1, 10), (1, 25)], 0), "lowest terms");
    clean(&made(&[(0, 1000), (100, 1000), (40, 1000)], 0), "one unit");
    hides(&made(&[(0, 0x6162), (0, 0x6364)], 0), "nothing of any unit");
    hides(
        &made(&[(1, 10), (2, 20), (3, 30)], 0),
        "the same in three ways",
    );
    hides(
        &made(&[(1, 10), (1, 25)], 0x6162_6364),
        "a number of rounds",
    );
}

// ---- GIF

fn gif(flags: u8, palette: &[u8], pictures: &[Vec<u8>]) -> Vec<u8> {
    let head = [&b"GIF89a\x03\0\x02\0"[..], &[flags, 0, 0], palette].concat();
    [&head[..], &pictures.concat(), b"\x3B"].concat()
}

/// Values of as many bits as stand beside them, the lowest bit first.
fn packed(all: &[(u32, u32)]) -> Vec<u8> {
    let (mut held, mut count, mut out) = (0u64, 0, Vec::new());
    for &(code, bits) in all {
        held |= u64::from(code) << count;
        count += bits;
        while count >= 8 {
            out.push(held as u8);
            (held, count) = (held >> 8, count - 8);
        }
    }
    if count > 0 {
        out.push(held as u8);
    }
    out
}

fn gif_picture(place: [u8; 4], size: [u8; 2], flags: u8, blocks: &[&[u8]]) -> Vec<u8> {
    let [x, y, w, h] = [place[0], place[1], size[0], size[1]];
    let mut out = vec![0x2C, x, 0, y, 0, w, 0, h, 0, flags, 2];
    for block in blocks {
        out.push(block.len() as u8);
        out.extend(*block);
    }
    out.push(0);
    out
}

const FOUR: [u8; 12] = [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0];
/// Clear, 0 1 2, the string 0 1, 2, the end.
const SIX: [(u32, u32); 7] = [(4, 3), (0, 3), (1, 3), (2, 3), (6, 4), (2, 4), (5, 4)];

#[test]
fn fields_and_palettes_of_a_gif_are_as_they_must_be() {
    let data = packed(&SIX);
    let picture = gif_picture([0; 4], [3, 2], 0, &[&data]);
    let made = |flags: u8| gif(flags, &FOUR, std::slice::from_ref(&picture));
    clean(&made(0x91), "a picture");
    hides(&made(0xA1), "an unusual depth");
    hides(&made(0x99), "a sorted palette");
    let sized = gif_picture([0; 4], [3, 2], 3, &[&data]);
    hides(&gif(0x91, &FOUR, &[sized]), "the size of no palette");
    let same = [1, 1, 1, 1, 1, 1, 3, 3, 3, 0, 0, 0];
    hides(
        &gif(0x91, &same, std::slice::from_ref(&picture)),
        "colours that look the same",
    );
    hides(
        &gif(0x90, &FOUR[..6], std::slice::from_ref(&picture)),
        "pixels beyond the palette",
    );
}

#[test]
fn pictures_of_a_gif_that_show_nothing_are_found() {
    let data = packed(&SIX);
    let picture = gif_picture([0; 4], [3, 2], 0, &[&data]);
    let nothing = packed(&[(4, 3), (5, 3)]);
    let empty = gif_picture([1, 2, 0, 0], [0, 0], 0, &[&nothing]);
    hides(&gif(0x91, &FOUR, &[picture.clone(), empty]), "no pixels");
    let control = b"\x21\xF9\x04\x05\x61\x62\x03\0".to_vec();
    let one = packed(&[(4, 3), (3, 3), (5, 3)]);
    let clear = |place| gif_picture(place, [1, 1], 0, &[&one]);
    let made = |place| {
        gif(
            0x91,
            &FOUR,
            &[picture.clone(), control.clone(), clear(place)],
        )
    };
    clean(&made([0; 4]), "a picture that waits");
    hides(&made([2, 1, 0, 0]), "a place of nothing");
}

#[test]
fn codes_and_blocks_of_a_gif_are_those_of_an_encoder() {
    let made = |all: &[(u32, u32)]| {
        let data = packed(all);
        gif(0x91, &FOUR, &[gif_picture([0; 4], [3, 2], 0, &[&data])])
    };
    clean(&made(&SIX), "the longest strings");
    // Nothing but literals, cleared after every second one.
    let plain = [
        (4, 3),
        (0, 3),
        (1, 3),
        (4, 3),
        (2, 3),
        (0, 3),
        (4, 3),
        (1, 3),
        (2, 3),
        (5, 3),
    ];
    clean(&made(&plain), "no strings");
    let mut twice = plain.to_vec();
    twice.insert(3, (4, 3));
    hides(&made(&twice), "cleared twice");
    let at_will = [
        (4, 3),
        (0, 3),
        (4, 3),
        (1, 3),
        (2, 3),
        (4, 3),
        (0, 3),
        (1, 3),
        (4, 3),
        (2, 3),
        (5, 3),
    ];
    hides(&made(&at_will), "cleared at will");
    let data = packed(&SIX);
    let split = gif_picture([0; 4], [3, 2], 0, &[&data[..1], &data[1..]]);
    hides(&gif(0x91, &FOUR, &[split]), "blocks of any length");
}

// ---- TIFF

fn tiff(entries: &[(u16, u16, u32, u32)], data: &[u8]) -> Vec<u8> {
    let place = 8 + data.len() as u32;
    let mut out = b"II*\0".to_vec();
    out.extend(place.to_le_bytes());
    out.extend(data);
    out.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend([0; 4]);
    out
}

#[test]
fn numbers_of_a_tiff_have_their_types_and_values() {
    let data = [1, 2, 3, 4];
    let entries = [
        (256, 3, 1, 2),
        (257, 3, 1, 2),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 3, 1, 2),
        (279, 4, 1, 4),
    ];
    let with = |tag: u16, kind: u16, value: u32| {
        let mut all = entries.to_vec();
        all.retain(|e| e.0 != tag);
        all.push((tag, kind, 1, value));
        all.sort_unstable();
        tiff(&all, &data)
    };
    clean(&tiff(&entries, &data), "a picture");
    clean(&with(278, 4, u32::MAX), "as many rows as there are");
    hides(&with(278, 4, 0x6162_6364), "rows of a strip");
    hides(&with(317, 3, 2), "a predictor of what is not coded");
    hides(&with(259, 4, 1), "another type");
    hides(&with(262, 1, 1), "a byte");
    hides(&with(254, 3, 0), "a short kind of picture");
    let deflate = |blocks: &[u8]| {
        let data = zlib(blocks, &data);
        let mut all = entries.to_vec();
        all[3].3 = 8;
        all[8].3 = data.len() as u32;
        tiff(&all, &data)
    };
    let even = stored(1, &data);
    let padded = stored(0xF1, &data);
    clean(&deflate(&even), "a stored strip");
    hides(&deflate(&padded), "bits before a stored block");
}

// ---- WebP

fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, content) in chunks {
        body.extend(*kind);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend(*content);
        body.extend(std::iter::repeat_n(0, content.len() % 2));
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// Bits, the lowest first.
#[derive(Default, Clone)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(mut self, value: u32, bits: usize) -> Self {
        self.0.extend((0..bits).map(|i| value >> i & 1 == 1));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |c: &[bool]| c.iter().rev().fold(0u8, |n, b| n << 1 | u8::from(*b));
        self.0.chunks(8).map(byte).collect()
    }
}

/// A code of one symbol.
fn one(bits: Bits, symbol: u32) -> Bits {
    if symbol < 2 {
        bits.put(0b001, 3).put(symbol, 1)
    } else {
        bits.put(0b101, 3).put(symbol, 8)
    }
}

/// A lossless picture of 4 × 1 pixels without transparency: its head, up to the transforms.
fn lossless() -> Bits {
    Bits::default()
        .put(0x2F, 8)
        .put(3, 14)
        .put(0, 14)
        .put(0, 1)
        .put(0, 3)
}

/// Codes of one colour, no cache.
fn colour(bits: Bits, green: u32, red: u32, blue: u32, alpha: u32) -> Bits {
    let bits = [green, red, blue, alpha]
        .into_iter()
        .fold(bits.put(0, 1), one);
    one(bits, 0)
}

#[test]
fn what_decoders_of_lossless_webp_skip_is_found() {
    let made = |bits: &Bits| riff(&[(b"VP8L", &bits.bytes())]);
    // No transform, no cache, one group; the picture has no bits of its own.
    let plain = |alpha| colour_main(lossless().put(0, 1), 7, 8, 9, alpha);
    clean(&made(&plain(255)), "one colour");
    hides(&made(&plain(0x61)), "an alpha that is not shown");
    let behind = Bits([&plain(255).0[..], &[true]].concat());
    hides(&made(&behind), "a bit behind the picture");
    // A palette of two entries: of four pixels, packed in one.
    let palette = |second: u32, indices: u32, red: u32| {
        let bits = lossless().put(1, 1).put(3, 2).put(1, 8).put(0, 1);
        // Green has two symbols of one bit, the others one of none.
        let bits = bits.put(0b111, 3).put(2, 8).put(second, 8);
        let bits = [0u32, 0, 255].into_iter().fold(bits, one);
        let bits = one(bits, 0).put(0, 1).put(1, 1).put(0, 1);
        colour_main(bits, indices, red, 0, 255)
    };
    clean(&made(&palette(5, 0b0101, 0)), "a palette");
    hides(
        &made(&palette(5, 0b0000, 0)),
        "a palette entry that nothing uses",
    );
    hides(&made(&palette(5, 0b11_0101, 0)), "bits behind a row");
    hides(
        &made(&palette(5, 0b0101, 0x61)),
        "a channel that nothing uses",
    );
}

/// The main picture: no cache, one group of codes of one colour.
fn colour_main(bits: Bits, green: u32, red: u32, blue: u32, alpha: u32) -> Bits {
    let bits = bits.put(0, 1).put(0, 1);
    let bits = [green, red, blue, alpha].into_iter().fold(bits, one);
    one(bits, 0)
}

#[test]
fn a_lossy_webp_picture_under_full_transparency_is_found() {
    let side = 96;
    let made = |hidden: bool| {
        let pixels: Vec<u8> = (0..side * side)
            .flat_map(|i| {
                let (x, y) = (i % side, i / side);
                let bright = if hidden && (x / 8 + y / 8) % 2 == 0 {
                    255
                } else {
                    0
                };
                [bright, bright, bright, 0]
            })
            .collect();
        let mut config = webp::WebPConfig::new().unwrap();
        config.exact = 1;
        config.quality = 90.0;
        let encoder = webp::Encoder::from_rgba(&pixels, side as u32, side as u32);
        encoder.encode_advanced(&config).unwrap().to_vec()
    };
    clean(&made(false), "nothing");
    hides(&made(true), "a picture under transparency");
}

#[test]
fn webp_that_declares_more_pixels_than_its_data_holds_is_refused_before_the_work() {
    let huge = Bits::default().put(0x2F, 8).put(16382, 14).put(16382, 14);
    let huge = colour(huge.put(0, 1).put(0, 3).put(0, 1), 1, 1, 1, 1);
    let found = inspect(&riff(&[(b"VP8L", &huge.bytes())]));
    assert!(found.leaks.iter().any(|l| l.detail.contains("more pixels")));
}

// ---- YUV4MPEG2

#[test]
fn parameters_of_yuv4mpeg2_come_once_in_order_and_in_lowest_terms() {
    let made = |line: &str| [line.as_bytes(), b"\nFRAME\n\x01\x02\x03\x04"].concat();
    clean(&made("YUV4MPEG2 W2 H2 F25:1 Ip A1:1 Cmono"), "a picture");
    for line in [
        "YUV4MPEG2 H2 W2 F25:1 Ip A1:1 Cmono",
        "YUV4MPEG2 W2 H2 F25:1 F25:1 Ip A1:1 Cmono",
        "YUV4MPEG2 W02 H2 F25:1 Ip A1:1 Cmono",
        "YUV4MPEG2 W+2 H2 F25:1 Ip A1:1 Cmono",
        "YUV4MPEG2 W2 H2 F50:2 Ip A1:1 Cmono",
        "YUV4MPEG2 W2 H2 F25:1 Ip A1633837924:1 Cmono",
    ] {
        hides(&made(line), line);
    }
}

// ---- MP4

fn boxed(name: &str, body: &[u8]) -> Vec<u8> {
    [
        &(body.len() as u32 + 8).to_be_bytes(),
        name.as_bytes(),
        body,
    ]
    .concat()
}

fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|w| w.to_be_bytes()).collect()
}

const SEQUENCE: &[u8] = b"\x67\x42\x00\x0A\xDD\xE4";
const PICTURE: &[u8] = b"\x68\xCE\x38\x80";
/// A slice that stands alone, and one that does not, behind their lengths.
const ALONE: &[u8] = b"\0\0\0\x06\x65\x88\x84\x21\x43\x65";
const OTHER: &[u8] = b"\0\0\0\x05\x41\x9A\x21\x43\x65";
const MATRIX: [u32; 9] = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000];

type Boxes = BTreeMap<&'static str, Vec<u8>>;

/// The boxes of a clip of three pictures of 16 × 16 pixels.
fn clip() -> Boxes {
    let mut avcc = b"\x01\x42\x00\x0A\xFF\xE1\0\x06".to_vec();
    avcc.extend(SEQUENCE);
    avcc.extend(b"\x01\0\x04");
    avcc.extend(PICTURE);
    let mut entry = words(&[0, 1, 0, 0, 0, 0, 0x10_0010, 0x48_0000, 0x48_0000, 0]);
    entry.extend([0, 1]);
    entry.extend([0; 32]);
    entry.extend([0, 0x18, 0xFF, 0xFF]);
    let header = [0, 0, 0, 1000, 120, 0x10000, 0x100_0000, 0, 0];
    let mvhd = [&header[..], &MATRIX, &[0; 6], &[2]].concat();
    let track = [3, 0, 0, 1, 0, 120, 0, 0, 0, 0];
    let tkhd = [&track[..], &MATRIX, &[16 << 16, 16 << 16]].concat();
    let handler = [&[0; 8][..], b"vide", &[0; 13]].concat();
    BTreeMap::from([
        ("ftyp", b"isom\0\0\x02\0isomavc1".to_vec()),
        ("mvhd", words(&mvhd)),
        ("tkhd", words(&tkhd)),
        ("elst", words(&[0, 1, 120, 0, 0x10000])),
        ("mdhd", words(&[0, 0, 0, 25, 3, 0x55C4_0000])),
        ("hdlr", handler),
        ("vmhd", words(&[1, 0, 0])),
        ("dref", words(&[0, 1, 12, 0x7572_6C20, 1])),
        ("entry", entry),
        ("avcC", avcc),
        ("stts", words(&[0, 1, 3, 1])),
        ("stss", words(&[0, 1, 1])),
        ("stsc", words(&[0, 1, 1, 3, 1])),
        ("stsz", words(&[0, 0, 3, 10, 9, 9])),
        ("data", [ALONE, OTHER, OTHER].concat()),
    ])
}

fn mp4(boxes: &Boxes) -> Vec<u8> {
    let get = |name: &str| boxes.get(name).map_or(Vec::new(), |b| boxed(name, b));
    let start = get("ftyp").len() + get("free").len() + 8;
    let entry = [
        &boxes["entry"][..],
        &get("avcC"),
        &get("pasp"),
        &get("colr"),
    ]
    .concat();
    let stsd = [words(&[0, 1]), boxed("avc1", &entry)].concat();
    let stco = boxes.get("stco").cloned();
    let stco = stco.unwrap_or_else(|| words(&[0, 1, start as u32]));
    let tables = [
        "stts", "ctts", "stss", "sdtp", "stsc", "stsz", "sgpd", "sbgp",
    ];
    let tables: Vec<u8> = tables.iter().flat_map(|t| get(t)).collect();
    let stbl = [boxed("stsd", &stsd), tables, boxed("stco", &stco)].concat();
    let dinf = boxed("dinf", &get("dref"));
    let minf = [get("vmhd"), dinf, boxed("stbl", &stbl)].concat();
    let mdia = [get("mdhd"), get("hdlr"), boxed("minf", &minf)].concat();
    let trak = [
        get("tkhd"),
        boxed("edts", &get("elst")),
        boxed("mdia", &mdia),
    ]
    .concat();
    let moov = [get("mvhd"), boxed("trak", &trak)].concat();
    let data = boxed("mdat", &boxes["data"]);
    [get("ftyp"), get("free"), data, boxed("moov", &moov)].concat()
}

#[test]
fn every_field_of_an_mp4_index_has_one_value() {
    clean(&mp4(&clip()), "a clip");
    // All but: units of time, sizes that are compared, and what is a choice.
    let free: [(&str, &[std::ops::Range<usize>]); 6] = [
        ("ftyp", &[0..16]),
        ("mvhd", &[0..1, 12..16]),
        ("tkhd", &[0..4, 34..36]),
        ("mdhd", &[0..1, 12..16, 20..22]),
        ("elst", &[0..1]),
        ("avcC", &[8..24]),
    ];
    for (name, body) in clip() {
        let skipped = free.iter().find(|f| f.0 == name).map_or(&[][..], |f| f.1);
        if name == "data" {
            continue;
        }
        for at in (0..body.len()).filter(|at| !skipped.iter().any(|r| r.contains(at))) {
            let mut boxes = clip();
            boxes.get_mut(name).unwrap()[at] ^= 0x41;
            hides(&mp4(&boxes), &format!("byte {at} of {name}"));
        }
    }
}

#[test]
fn tables_of_an_mp4_hold_no_more_than_its_samples_need() {
    for (name, table) in [
        ("stss", words(&[0, 2, 1, 9])),
        ("stss", words(&[0, 3, 1, 1, 1])),
        ("stss", words(&[0, 2, 1, 2])),
        ("stss", words(&[0, 0])),
        ("stts", words(&[0, 3, 3, 1, 0, 0x6162_6364, 0, 7])),
        ("stts", words(&[0, 2, 1, 1, 2, 1])),
        ("stts", words(&[0, 3, 0, 9, 0, 8, 3, 1])),
        ("ctts", words(&[0, 2, 3, 0, 0, 0x6162])),
        ("ctts", words(&[0, 2, 1, 0, 2, 0])),
        ("stsc", words(&[0, 2, 1, 3, 1, 9, 0x6162, 1])),
        ("stsc", words(&[0, 2, 1, 3, 1, 1, 3, 1])),
        ("stsc", words(&[0, 1, 1, 5, 1])),
        (
            "sdtp",
            words(&[0]).into_iter().chain([0x20, 0x14, 0x1C]).collect(),
        ),
        ("pasp", words(&[1000, 1000])),
        ("pasp", words(&[0x6162_6364, 0x6566_6768])),
        ("colr", b"nclx\x61\x62\x63\x64\x65\x66\x67".to_vec()),
        ("colr", b"nclx\0\x01\0\x01\0\x01\x55".to_vec()),
        ("sgpd", b"\x01\0\0\0roll\0\0\0\x02\0\0\0\x01ab".to_vec()),
        ("free", b"secret".to_vec()),
        ("ftyp", b"isomabcdisomavc1".to_vec()),
        ("ftyp", b"isom\0\0\x02\0isomisomisom".to_vec()),
    ] {
        let mut boxes = clip();
        boxes.insert(name, table);
        hides(&mp4(&boxes), &format!("{name}: {:?}", boxes[name]));
    }
    let mut room = clip();
    room.insert("free", Vec::new());
    clean(&mp4(&room), "room for a longer length of the data");
    let bytes = mp4(&clip());
    for name in ["free", "wide", "mdat"] {
        let behind = [&bytes[..], &boxed(name, &[])].concat();
        hides(&behind, &format!("an empty {name} behind the index"));
    }
}

#[test]
fn chunks_of_an_mp4_are_not_divided_at_will() {
    let start = 32;
    let mut boxes = clip();
    boxes.insert("stsc", words(&[0, 2, 1, 1, 1, 2, 2, 1]));
    boxes.insert("stco", words(&[0, 2, start, start + 10]));
    hides(&mp4(&boxes), "chunks that lie behind each other");
    boxes.insert("stsc", words(&[0, 1, 1, 1, 1]));
    boxes.insert("stco", words(&[0, 3, start, start + 10, start + 19]));
    clean(&mp4(&boxes), "a chunk a sample");
    boxes.insert("stsz", words(&[0, 0, 3, 10, 9, 9]));
    boxes.insert("stco", words(&[0, 3, start, start + 19, start + 10]));
    hides(&mp4(&boxes), "chunks out of order");
}

#[test]
fn units_of_an_mp4_sample_are_slices_and_nothing_that_decoders_skip() {
    let with = |first: &[u8]| {
        let mut boxes = clip();
        let data = [first, OTHER, OTHER].concat();
        boxes.insert("stsz", words(&[0, 0, 3, first.len() as u32, 9, 9]));
        boxes.insert("data", data);
        mp4(&boxes)
    };
    let unit = |body: &[u8]| [&(body.len() as u32).to_be_bytes(), body].concat();
    let delimiter = unit(&[9, 0x10]);
    clean(&with(&[&delimiter, ALONE].concat()), "a delimiter");
    let sets = [unit(SEQUENCE), unit(PICTURE), ALONE.to_vec()].concat();
    clean(&with(&sets), "the index's parameters");
    for (what, data) in [
        (
            "two delimiters",
            [&delimiter[..], &delimiter, ALONE].concat(),
        ),
        ("bits of a delimiter", [&unit(&[9, 0x1F]), ALONE].concat()),
        (
            "parameters twice",
            [unit(PICTURE), unit(PICTURE), ALONE.to_vec()].concat(),
        ),
        ("a slice twice", [ALONE, ALONE].concat().replaced()),
        (
            "supplemental data",
            [&unit(b"\x06\x05\x01a\x80"), ALONE].concat(),
        ),
        ("filler", [&unit(b"\x0C\xFF\x80"), ALONE].concat()),
        ("a needless byte", unit(b"\x65\x88\x84\0\0\x03\x61\x80")),
        ("zeros behind a unit", unit(b"\x65\x88\x84\x21\0\0")),
        ("words of zeros", unit(b"\x65\x88\x84\x21\0\0\x03")),
        ("a reserved bit", unit(b"\xE5\x88\x84\x21")),
        ("other parameters", unit(b"\x65\x88\x44\x21")),
    ] {
        hides(&with(&data), what);
    }
}

/// The same with the second slice at the first one's place.
trait Replaced {
    fn replaced(self) -> Self;
}

impl Replaced for Vec<u8> {
    fn replaced(mut self) -> Self {
        // The second slice begins at block 2, the third at block 1.
        self[14 + 1] = 0b0110_0010;
        let third = self[10..].to_vec();
        self.extend(third);
        self[24 + 1] = 0b0100_0100;
        self
    }
}

#[test]
fn coded_data_that_is_not_looked_into_is_named() {
    assert_eq!(inspect(&mp4(&clip())).unchecked.len(), 1);
    let rows = deflated(&[0, 7]);
    assert!(
        inspect(&png(GREY, (1, 1), &[], &[&rows]))
            .unchecked
            .is_empty()
    );
}

// ---- WebM

fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 127);
    [id, &[0x80 | body.len() as u8], body].concat()
}

/// A key frame of 16 × 16 pixels, as far as that shows, and one that needs others.
const KEY: &[u8] = b"\x82\x49\x83\x42\x00\x00\xF0\x00\xF0\x12\x34";
const NEXT: &[u8] = b"\x86\x12\x34";

fn webm(change: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
    let part = |name: &str, id: &[u8], body: Vec<u8>| {
        let mut whole = element(id, &body);
        change(name, &mut whole);
        whole
    };
    let head = [
        element(b"\x42\x86", &[1]),
        element(b"\x42\xF7", &[1]),
        element(b"\x42\xF2", &[4]),
        element(b"\x42\xF3", &[8]),
        element(b"\x42\x82", b"webm"),
        element(b"\x42\x87", &[2]),
        element(b"\x42\x85", &[2]),
    ];
    let info = [
        element(b"\x2A\xD7\xB1", &[0x0F, 0x42, 0x40]),
        element(b"\x4D\x80", b"none"),
        element(b"\x57\x41", b"none"),
        element(b"\x44\x89", &80f64.to_be_bytes()),
    ];
    let sides = [part("width", b"\xB0", vec![16]), element(b"\xBA", &[16])];
    let track = [
        part("number", b"\xD7", vec![1]),
        part("identifier", b"\x73\xC5", vec![1]),
        element(b"\x83", &[1]),
        element(b"\x86", b"V_VP9"),
        part("pictures", b"\xE0", sides.concat()),
    ];
    let tracks = element(b"\xAE", &track.concat());
    let block = |time: u8, flags: u8, data: &[u8]| [&[0x81, 0, time, flags], data].concat();
    let cluster = [
        part("time", b"\xE7", vec![0]),
        part("first", b"\xA3", block(0, 0x80, KEY)),
        part("second", b"\xA3", block(40, 0, NEXT)),
    ];
    let segment = [
        part("info", b"\x15\x49\xA9\x66", info.concat()),
        part("tracks", b"\x16\x54\xAE\x6B", tracks),
        part("cluster", b"\x1F\x43\xB6\x75", cluster.concat()),
    ]
    .concat();
    let length = 1u64 << 56 | segment.len() as u64;
    let head = part("head", b"\x1A\x45\xDF\xA3", head.concat());
    let segment = [&b"\x18\x53\x80\x67"[..], &length.to_be_bytes(), &segment].concat();
    [head, segment].concat()
}

#[test]
fn elements_of_a_webm_file_come_once_in_their_place_with_their_value() {
    clean(&webm(|_, _| ()), "a clip");
    let cues = |cluster: u8, frame: u8, time: u8| {
        let place = [
            element(b"\xF7", &[1]),
            element(b"\xF1", &[cluster]),
            element(b"\xF0", &[frame]),
        ];
        let point = [element(b"\xB3", &[time]), element(b"\xB7", &place.concat())];
        element(b"\x1C\x53\xBB\x6B", &element(b"\xBB", &point.concat()))
    };
    let at = |name: &'static str, more: Vec<u8>| {
        webm(move |part, bytes| {
            if part == name {
                bytes.extend(&more);
            }
        })
    };
    let number = |id: &[u8], value: &[u8]| element(id, value);
    let clustered = 49 + 43;
    let place = webm(|_, _| ())
        .windows(4)
        .position(|w| w == b"\x1F\x43\xB6\x75");
    let segment = webm(|_, _| ())
        .windows(4)
        .position(|w| w == b"\x18\x53\x80\x67");
    let place = (place.unwrap() - segment.unwrap() - 12) as u8;
    assert!(place < clustered + 30);
    clean(&at("cluster", cues(place, 3, 0)), "an index");
    for (what, bytes) in [
        ("a width twice", at("width", number(b"\xB0", &[16]))),
        ("a number anywhere", at("time", number(b"\xB0", &[16]))),
        ("a time twice", at("time", number(b"\xE7", &[0]))),
        ("leading zeros", at("pictures", number(b"\x9C", &[0, 0]))),
        (
            "a default length",
            at("pictures", number(b"\x23\xE3\x83", &[0x61; 8])),
        ),
        ("a flag", at("pictures", number(b"\x88", &[0x61]))),
        (
            "colours",
            at("width", element(b"\x55\xB0", &number(b"\x55\xBA", &[0x61]))),
        ),
        (
            "a size that is shown",
            at("width", number(b"\x54\xBA", &[17])),
        ),
        ("filled room", at("info", element(b"\xEC", b"secret"))),
        ("a cue of no cluster", at("cluster", cues(place + 1, 3, 0))),
        ("a cue of no frame", at("cluster", cues(place, 4, 0))),
        ("a cue of another time", at("cluster", cues(place, 3, 7))),
        (
            "a longer length",
            webm(|part, bytes| {
                if part == "width" {
                    bytes.splice(1..2, [0x40, 1]);
                }
            }),
        ),
    ] {
        hides(&bytes, what);
    }
}

#[test]
fn blocks_of_a_webm_file_are_listed_as_what_they_are() {
    let change = |name: &'static str, at: usize, value: u8| {
        webm(move |part, bytes| {
            if part == name {
                bytes[at] = value;
            }
        })
    };
    for (what, bytes) in [
        ("a key frame that is none", change("second", 5, 0x80)),
        ("reserved bits", change("first", 5, 0xF0)),
        ("a frame to be left out", change("second", 5, 1)),
        ("a frame that is not shown", change("second", 5, 8)),
        ("a track that is not there", change("second", 2, 0x82)),
        ("a frame of another size", change("first", 13, 0xE0)),
        (
            "a cluster before its frame",
            webm(|part, bytes| match part {
                "time" => bytes[2] = 9,
                "first" => bytes[4] = 7,
                _ => {}
            }),
        ),
        ("a track of another number", change("identifier", 3, 2)),
    ] {
        hides(&bytes, what);
    }
}
