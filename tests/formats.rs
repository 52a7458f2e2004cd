//! Every still format in and out: pixels kept, turned upright, refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use image::{DynamicImage, metadata::Orientation};
use proptest::prelude::*;
use unface::{
    Caution, Format, Rect,
    decode::{DecodeError, Options, from_upright_pixels, photo},
    encode::{self, encode},
    redact::{self, Effect, Noise},
};

const EXACT: encode::Options = encode::Options {
    quality: 90,
    lossless: true,
};

fn redacted(pixels: DynamicImage, faces: &[Rect]) -> redact::Redacted {
    let options = redact::Options {
        effect: Effect::Fill { color: [9, 8, 7] },
        region: 1.3,
    };
    redact::cover(
        from_upright_pixels(pixels),
        faces,
        &[],
        &options,
        &mut Noise::from_seed(0),
    )
    .unwrap()
}

fn written(pixels: &DynamicImage, format: Format, options: &encode::Options) -> Vec<u8> {
    encode(&redacted(pixels.clone(), &[]), format, options).unwrap()
}

fn read(bytes: &[u8]) -> DynamicImage {
    photo(bytes, &Options::default())
        .unwrap()
        .frame
        .into_pixels()
}

fn smooth(width: u32, height: u32) -> image::RgbaImage {
    image::RgbaImage::from_fn(width, height, |x, y| {
        let alpha = if (x / 8 + y / 8) % 3 == 0 { 0 } else { 255 };
        image::Rgba([(x * 3) as u8, (y * 2) as u8, ((x + y) / 2) as u8, alpha])
    })
}

fn kinds() -> Vec<DynamicImage> {
    let base = DynamicImage::ImageRgba8(smooth(67, 41));
    let deep = |d: &DynamicImage| {
        let mut p = d.to_rgba16();
        for (i, pixel) in p.pixels_mut().enumerate() {
            pixel.0[0] = pixel.0[0].wrapping_add(i as u16);
            if pixel.0[3] == 0 {
                pixel.0 = [0; 4];
            }
        }
        DynamicImage::ImageRgba16(p)
    };
    let deep = deep(&base);
    vec![
        DynamicImage::ImageLuma8(base.to_luma8()),
        DynamicImage::ImageLumaA8(base.to_luma_alpha8()),
        DynamicImage::ImageRgb8(base.to_rgb8()),
        base,
        DynamicImage::ImageLuma16(deep.to_luma16()),
        DynamicImage::ImageLumaA16(deep.to_luma_alpha16()),
        DynamicImage::ImageRgb16(deep.to_rgb16()),
        deep,
    ]
}

#[test]
fn png_and_tiff_keep_every_kind_of_pixel_exactly() {
    for pixels in kinds() {
        let pixels = from_upright_pixels(pixels).into_pixels();
        for format in [Format::Png, Format::Tiff] {
            let back = read(&written(&pixels, format, &EXACT));
            assert_eq!(back, pixels, "{format} {:?}", pixels.color());
        }
    }
}

#[test]
fn bmp_and_lossless_webp_keep_eight_bits_and_alpha_exactly() {
    for pixels in kinds() {
        let pixels = from_upright_pixels(pixels).into_pixels();
        for format in [Format::Bmp, Format::WebP] {
            let back = read(&written(&pixels, format, &EXACT));
            assert_eq!(
                back.color().has_alpha(),
                pixels.color().has_alpha(),
                "{format} {:?}",
                pixels.color()
            );
            assert_eq!(back.to_rgba8(), pixels.to_rgba8(), "{format}");
        }
    }
}

fn difference(a: &DynamicImage, b: &DynamicImage) -> f64 {
    let (a, b) = (a.to_rgb8(), b.to_rgb8());
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a
        .iter()
        .zip(b.iter())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.len() as f64
}

#[test]
fn lossy_webp_and_jpeg_come_near_and_webp_keeps_alpha_exactly() {
    let opaque = DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(smooth(160, 120)).to_rgb8());
    for format in [Format::Jpeg, Format::WebP] {
        let bytes = written(&opaque, format, &encode::Options::default());
        assert!(difference(&read(&bytes), &opaque) < 3.0, "{format}");
        assert!(!photo(&bytes, &Options::default()).unwrap().lossless);
    }
    let clear = DynamicImage::ImageRgba8(smooth(160, 120));
    let back = read(&written(&clear, Format::WebP, &encode::Options::default())).to_rgba8();
    let alphas = |p: &image::RgbaImage| p.pixels().map(|p| p.0[3]).collect::<Vec<_>>();
    assert_eq!(alphas(&back), alphas(&clear.to_rgba8()));
    let exact = written(&clear, Format::WebP, &EXACT);
    assert!(photo(&exact, &Options::default()).unwrap().lossless);
}

#[test]
fn gif_keeps_up_to_256_colours_and_transparency_exactly_and_comes_near_with_more() {
    let few = DynamicImage::ImageRgba8(image::RgbaImage::from_fn(50, 40, |x, y| {
        if x < 5 {
            image::Rgba([0; 4])
        } else {
            image::Rgba([(x % 16 * 16) as u8, (y % 15 * 17) as u8, 3, 255])
        }
    }));
    let back = read(&written(&few, Format::Gif, &EXACT));
    assert_eq!(back.to_rgba8(), few.to_rgba8());
    let many = DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(smooth(160, 120)).to_rgb8());
    let back = read(&written(&many, Format::Gif, &EXACT));
    assert!(difference(&back, &many) < 8.0);
}

/// A RIFF file of these chunks.
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

fn exif(orientation: u16) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    block.extend(orientation.to_be_bytes());
    block.extend([0; 6]);
    block
}

/// The chunk of a lossless WebP.
fn content(webp: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(webp[16..20].try_into().unwrap()) as usize;
    &webp[20..20 + length]
}

fn webp_with(pixels: &DynamicImage, extra: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let plain = written(pixels, Format::WebP, &EXACT);
    assert_eq!(&plain[12..16], b"VP8L");
    let mut header = vec![0x0C, 0, 0, 0];
    header.extend(&(pixels.width() - 1).to_le_bytes()[..3]);
    header.extend(&(pixels.height() - 1).to_le_bytes()[..3]);
    let mut chunks: Vec<(&[u8; 4], &[u8])> = vec![(b"VP8X", &header), (b"VP8L", content(&plain))];
    chunks.extend(extra);
    riff(&chunks)
}

/// A TIFF of this program with one more tag, its directory written anew at the end.
fn tiff_with(tiff: &[u8], tag: u16, value: u16) -> Vec<u8> {
    let place = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let count = u16::from_le_bytes(tiff[place..place + 2].try_into().unwrap());
    let mut entries: Vec<Vec<u8>> = tiff[place + 2..place + 2 + 12 * usize::from(count)]
        .chunks(12)
        .map(<[u8]>::to_vec)
        .collect();
    let mut entry = tag.to_le_bytes().to_vec();
    entry.extend([3, 0, 1, 0, 0, 0]);
    entry.extend(value.to_le_bytes());
    entry.extend([0, 0]);
    entries.push(entry);
    entries.sort_by_key(|e| u16::from_le_bytes([e[0], e[1]]));
    let mut out = tiff[..place].to_vec();
    out.extend((count + 1).to_le_bytes());
    out.extend(entries.concat());
    out.extend([0; 4]);
    out
}

#[test]
fn all_eight_orientations_of_webp_and_tiff_are_applied_once() {
    let pixels = DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(smooth(31, 17)).to_rgb8());
    let tiff = written(&pixels, Format::Tiff, &EXACT);
    for orientation in 1..=8u16 {
        let mut upright = pixels.clone();
        upright.apply_orientation(Orientation::from_exif(orientation as u8).unwrap());
        let webp = webp_with(&pixels, &[(b"EXIF", &exif(orientation))]);
        for file in [webp, tiff_with(&tiff, 274, orientation)] {
            assert_eq!(read(&file).to_rgb8(), upright.to_rgb8(), "{orientation}");
        }
    }
}

#[test]
fn exif_counts_where_xmp_names_another_orientation_until_a_person_decides() {
    let pixels = DynamicImage::ImageRgb8(image::RgbImage::new(4, 2));
    let xmp = b"<x tiff:Orientation=\"3\"/>";
    let file = webp_with(&pixels, &[(b"EXIF", &exif(6)), (b"XMP ", xmp)]);
    let decided = photo(&file, &Options::default()).unwrap();
    let (applied, other) = (6, 3);
    let conflict = Caution::OrientationConflict { applied, other };
    assert_eq!(decided.cautions, [conflict]);
    assert_eq!((decided.frame.width(), decided.frame.height()), (2, 4));
    let options = Options {
        orientation: Some(3),
        ..Options::default()
    };
    let chosen = photo(&file, &options).unwrap();
    assert_eq!((chosen.frame.width(), chosen.frame.height()), (4, 2));
    assert_eq!(chosen.cautions, []);
}

#[track_caller]
fn refused(bytes: &[u8], name: &str) {
    match photo(bytes, &Options::default()) {
        Err(DecodeError::Unsupported(what)) => assert!(what.contains(name), "{what}"),
        other => panic!("{name}: {:?}", other.map(|p| p.format)),
    }
}

#[test]
fn what_can_not_be_kept_faithfully_is_refused_by_its_name() {
    let pixels = DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(smooth(20, 10)).to_rgb8());
    let gif = written(&pixels, Format::Gif, &EXACT);
    let table = 13 + (3 << ((gif[10] & 7) + 1));
    let again = &gif[table..];
    let animated = [&gif[..gif.len() - 1], again].concat();
    refused(&animated, "an animated GIF");
    refused(
        &webp_with(&pixels, &[(b"ANMF", b"frame")]),
        "an animated WebP",
    );
    let tiff = written(&pixels, Format::Tiff, &EXACT);
    let raw = photo(&tiff_with(&tiff, 50706, 1), &Options::default()).unwrap_err();
    assert_eq!(raw, DecodeError::Raw("a DNG raw picture".into()));
}

#[test]
fn a_reduced_copy_in_a_tiff_is_dropped_and_a_page_is_not() {
    let pixels = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(9, 9, image::Luma([7])));
    let one = written(&pixels, Format::Tiff, &EXACT);
    let place = u32::from_le_bytes(one[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes([one[place], one[place + 1]]));
    let directory = one[place..].to_vec();
    let mut two = one.clone();
    let second = two.len() as u32;
    two[place + 2 + 12 * count..place + 6 + 12 * count].copy_from_slice(&second.to_le_bytes());
    two.extend(&directory);
    let both = photo(&two, &Options::default()).unwrap();
    assert_eq!((both.further.len(), both.dropped.len()), (1, 0));
    // The same, the second marked as a reduced copy.
    let mut reduced = two[..second as usize].to_vec();
    reduced.extend((count as u16 + 1).to_le_bytes());
    reduced.extend([254, 0, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    reduced.extend(&directory[2..]);
    let photo = photo(&reduced, &Options::default()).unwrap();
    assert!(photo.dropped.iter().any(|d| d.kind == "reduced copies"));
    assert_eq!(photo.frame.into_pixels(), pixels);
}

#[test]
fn masks_and_pictures_below_a_page_are_dropped_and_named() {
    let pixels = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(9, 9, image::Luma([7])));
    let one = written(&pixels, Format::Tiff, &EXACT);
    let place = u32::from_le_bytes(one[4..8].try_into().unwrap()) as usize;
    let directory = one[place..].to_vec();
    // Tag 330 leads to a further directory, here to the old copy of its own.
    let hidden = tiff_with(&one, 330, place as u16);
    let found = photo(&hidden, &Options::default()).unwrap();
    assert!(found.dropped.iter().any(|d| d.kind == "hidden pictures"));
    assert!(found.further.is_empty());
    let count = u16::from_le_bytes([directory[0], directory[1]]);
    let mut mask = one.clone();
    let end = place + 2 + 12 * usize::from(count);
    mask[end..end + 4].copy_from_slice(&(one.len() as u32).to_le_bytes());
    mask.extend((count + 1).to_le_bytes());
    mask.extend([254, 0, 4, 0, 1, 0, 0, 0, 4, 0, 0, 0]);
    mask.extend(&directory[2..]);
    let found = photo(&mask, &Options::default()).unwrap();
    assert!(found.dropped.iter().any(|d| d.kind == "masks"));
    assert!(found.further.is_empty());
}

/// A TIFF as other programs write them: not compressed, one strip.
fn plain_tiff(tags: &[(u16, u16, Vec<u8>)], data: &[u8]) -> Vec<u8> {
    let mut out = b"II*\0\0\0\0\0".to_vec();
    out.extend(data);
    let mut all = tags.to_vec();
    all.push((259, 3, 1u16.to_le_bytes().to_vec()));
    all.push((273, 4, 8u32.to_le_bytes().to_vec()));
    all.push((279, 4, (data.len() as u32).to_le_bytes().to_vec()));
    all.sort_by_key(|t| t.0);
    let mut entries = Vec::new();
    for (tag, kind, value) in &all {
        let size = if *kind == 3 { 2 } else { 4 };
        entries.extend(tag.to_le_bytes());
        entries.extend(kind.to_le_bytes());
        entries.extend((value.len() as u32 / size).to_le_bytes());
        if value.len() <= 4 {
            let mut value = value.clone();
            value.resize(4, 0);
            entries.extend(value);
        } else {
            entries.extend((out.len() as u32).to_le_bytes());
            out.extend(value);
        }
    }
    let place = out.len() as u32;
    out.extend((all.len() as u16).to_le_bytes());
    out.extend(entries);
    out.extend([0; 4]);
    out[4..8].copy_from_slice(&place.to_le_bytes());
    out
}

fn shorts(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn palettes_bits_planes_inks_and_multiplied_alpha_of_tiff_become_the_colours_they_mean() {
    let size = |w: u16, h: u16| vec![(256, 3, shorts(&[w])), (257, 3, shorts(&[h]))];
    let with = |mut tags: Vec<(u16, u16, Vec<u8>)>, more: &[(u16, &[u16])], data: &[u8]| {
        tags.extend(more.iter().map(|(tag, v)| (*tag, 3, shorts(v))));
        read(&plain_tiff(&tags, data)).to_rgba8().into_raw()
    };
    // Four bits, palette of 16: index 1 is red, 2 is green.
    let mut map = vec![0u16; 48];
    (map[1], map[16 + 2]) = (0xFFFF, 0xFFFF);
    let palette = with(
        size(2, 1),
        &[(258, &[4]), (262, &[3]), (277, &[1]), (320, &map)],
        &[0x12],
    );
    assert_eq!(palette, [255, 0, 0, 255, 0, 255, 0, 255]);
    // One bit, white is 0.
    let bits = with(
        size(2, 1),
        &[(258, &[1]), (262, &[0]), (277, &[1])],
        &[0x40],
    );
    assert_eq!(bits, [255, 255, 255, 255, 0, 0, 0, 255]);
    // Planes behind each other.
    let mut planes = size(2, 1);
    planes.push((278, 3, shorts(&[1])));
    let three = |data: &[u8]| {
        let mut tags = planes.clone();
        for (tag, v) in [
            (258, vec![8, 8, 8]),
            (262, vec![2]),
            (277, vec![3]),
            (284, vec![2]),
        ] {
            tags.push((tag, 3, shorts(&v)));
        }
        let mut file = plain_tiff(&tags, data);
        // Three strips instead of one.
        let place = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
        let count = usize::from(u16::from_le_bytes([file[place], file[place + 1]]));
        for (tag, values) in [(273u16, [8u32, 10, 12]), (279, [2, 2, 2])] {
            let at = file.len() as u32;
            file.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            for i in 0..count {
                let entry = place + 2 + 12 * i;
                if file[entry..entry + 2] == tag.to_le_bytes() {
                    file[entry + 4..entry + 8].copy_from_slice(&3u32.to_le_bytes());
                    file[entry + 8..entry + 12].copy_from_slice(&at.to_le_bytes());
                }
            }
        }
        read(&file).to_rgb8().into_raw()
    };
    assert_eq!(three(&[1, 2, 3, 4, 5, 6]), [1, 3, 5, 2, 4, 6]);
    // Inks: none, then all of black.
    let inks = with(
        size(2, 1),
        &[(258, &[8, 8, 8, 8]), (262, &[5]), (277, &[4])],
        &[0, 0, 0, 0, 0, 0, 0, 255],
    );
    assert_eq!(inks, [255, 255, 255, 255, 0, 0, 0, 255]);
    // Colours multiplied by an alpha of one half.
    let multiplied = with(
        size(1, 1),
        &[(258, &[8, 8, 8, 8]), (262, &[2]), (277, &[4]), (338, &[1])],
        &[100, 50, 0, 128],
    );
    assert_eq!(multiplied, [199, 100, 0, 128]);
}

#[test]
fn every_cut_of_every_format_is_refused() {
    let pixels = DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(smooth(90, 70)).to_rgb8());
    for format in Format::STILLS {
        let whole = written(&pixels, format, &EXACT);
        for percent in (1..=99).chain([10, 50, 90]) {
            let cut = &whole[..whole.len() * percent / 100];
            assert!(
                photo(cut, &Options::default()).is_err(),
                "{format} cut at {percent} %"
            );
        }
    }
}

#[test]
fn a_large_colour_profile_is_refused_in_every_place() {
    let profile = vec![7; (4 << 20) + 1];
    let pixels = DynamicImage::ImageRgb8(image::RgbImage::new(4, 2));
    let webp = webp_with(&pixels, &[(b"ICCP", &profile)]);
    assert_eq!(
        photo(&webp, &Options::default()).unwrap_err(),
        DecodeError::Profile(4)
    );
}

#[test]
fn sides_that_a_format_can_not_hold_are_refused_with_another_format() {
    let long = DynamicImage::ImageLuma8(image::GrayImage::new(16384, 1));
    let error = encode(&redacted(long, &[]), Format::WebP, &EXACT).unwrap_err();
    assert!(error.to_string().contains("--format png"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_filled_picture_tells_nothing_of_what_is_under_the_fill_in_any_format(
        x in -10.0f32..60.0, y in -10.0f32..50.0, w in 1.0f32..40.0, h in 1.0f32..40.0,
        secret in any::<[u8; 7]>(), alpha in any::<bool>(),
    ) {
        let face = Rect::new(x, y, x + w, y + h);
        let base = smooth(52, 44);
        let region = face.inflate(1.3).to_pixels(52, 44);
        let mut other = base.clone();
        for (px, py, pixel) in other.enumerate_pixels_mut() {
            if region.is_some_and(|r| r.x1 <= px && px < r.x2 && r.y1 <= py && py < r.y2) {
                let i = (px * 31 + py * 17) as usize;
                pixel.0 = [secret[i % 7], secret[(i + 1) % 7], secret[(i + 2) % 7], secret[(i + 3) % 7]];
            }
        }
        let kind = |p: image::RgbaImage| {
            let p = DynamicImage::ImageRgba8(p);
            if alpha { p } else { DynamicImage::ImageRgb8(p.to_rgb8()) }
        };
        for format in Format::STILLS {
            let one = encode(&redacted(kind(base.clone()), &[face]), format, &EXACT).unwrap();
            let two = encode(&redacted(kind(other.clone()), &[face]), format, &EXACT).unwrap();
            prop_assert_eq!(one, two, "{}", format);
        }
    }
}
