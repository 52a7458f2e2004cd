//! Sound files to begin with: small, made here by the project's own writers.

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use unface::{
    Format,
    decode::from_upright_pixels,
    encode,
    encode::animation::{AnimationEncoder, Plan},
    ffmpeg::nut::{Content, Stream, TimeBase, Writer},
    frame::Delay,
    redact::{self, Effect, Noise, cover},
};

/// The smallest JPEG: one grey pixel.
pub fn dot() -> Vec<u8> {
    written(
        DynamicImage::ImageLuma8(GrayImage::from_pixel(1, 1, Luma([128]))),
        Format::Jpeg,
        false,
    )
}

fn written(pixels: DynamicImage, format: Format, lossless: bool) -> Vec<u8> {
    let options = redact::Options {
        effect: Effect::Fill { color: [0; 3] },
        region: redact::LEAST_REGION,
    };
    let noise = &mut Noise::from_seed(0);
    let covered = cover(from_upright_pixels(pixels), &[], &[], &options, noise);
    let options = encode::Options {
        lossless,
        ..encode::Options::default()
    };
    covered
        .ok()
        .and_then(|c| encode::encode(&c, format, &options).ok())
        .unwrap_or_default()
}

fn pictures() -> Vec<DynamicImage> {
    let (w, h) = (11, 7);
    let value = |x: u32, y: u32, c: u32| (x * 23 + y * 41 + c * 85) as u8;
    let grey = GrayImage::from_fn(w, h, |x, y| Luma([value(x, y, 0)]));
    let rgb = RgbImage::from_fn(w, h, |x, y| Rgb([0, 1, 2].map(|c| value(x, y, c))));
    let rgba = RgbaImage::from_fn(w, h, |x, y| Rgba([0, 1, 2, 3].map(|c| value(x, y, c))));
    let deep = DynamicImage::ImageRgb8(rgb.clone()).into_rgb16();
    vec![
        DynamicImage::ImageLuma8(grey),
        DynamicImage::ImageRgb8(rgb),
        DynamicImage::ImageRgba8(rgba),
        DynamicImage::ImageRgb16(deep),
    ]
}

/// An EXIF block: orientation, camera, an inner directory with a serial number, GPS, a thumbnail.
fn exif(big: bool) -> Vec<u8> {
    let short = |n: u16| {
        if big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let long = |n: u32| {
        if big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&short(tag)[..], &short(kind), &long(count), &value].concat()
    };
    let half = |n: u16| [short(n)[0], short(n)[1], 0, 0];
    let mut block = if big {
        b"MM\0*".to_vec()
    } else {
        b"II*\0".to_vec()
    };
    block.extend(long(8));
    let outer = [
        entry(0x010F, 2, 4, *b"ABC\0"),
        entry(0x0112, 3, 1, half(6)),
        entry(0x8769, 4, 1, long(8 + 2 + 5 * 12 + 4)),
        entry(0x8825, 4, 1, long(8 + 2 + 5 * 12 + 4 + 2 + 12 + 4)),
        entry(0x0132, 2, 4, *b"now\0"),
    ];
    block.extend(short(outer.len() as u16));
    block.extend(outer.concat());
    block.extend(long(8));
    for inner in [
        entry(0xA431, 2, 4, *b"123\0"),
        entry(0x0001, 2, 2, *b"N\0\0\0"),
    ] {
        block.extend(short(1));
        block.extend(inner);
        block.extend(long(0));
    }
    block
}

/// A graph of one convolution with a size that is not free, in protobuf.
fn onnx() -> Vec<u8> {
    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = body.len();
        while length > 0x7F {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(body);
        bytes
    }
    let dims: Vec<u8> = [1u8, 3, 32, 32]
        .iter()
        .flat_map(|&d| field(1, &[8, d]))
        .collect();
    let shape = field(1, &[&[8, 1][..], &field(2, &dims)].concat());
    let value = |name: &str| [field(1, name.as_bytes()), field(2, &shape)].concat();
    let node = [field(1, b"input"), field(2, b"output"), field(4, b"Relu")].concat();
    let graph = [
        field(1, &node),
        field(2, b"graph"),
        field(11, &value("input")),
        field(12, &value("output")),
        field(12, &value("537")),
    ]
    .concat();
    [&[8, 7][..], &field(7, &graph), &field(8, &[16, 11])].concat()
}

fn nut() -> Vec<u8> {
    let streams = vec![
        Stream {
            fourcc: b"I420".to_vec(),
            time_base: TimeBase { num: 1, den: 15360 },
            content: Content::Video {
                width: 4,
                height: 2,
                aspect: (4, 3),
            },
        },
        Stream {
            fourcc: vec![b'P', b'S', b'D', 16],
            time_base: TimeBase { num: 1, den: 44100 },
            content: Content::Audio {
                rate: 44100,
                channels: 2,
            },
        },
    ];
    let write = || -> std::io::Result<Vec<u8>> {
        let mut writer = Writer::new(Vec::new(), streams)?;
        writer.write(0, 0, &[b"abcdefghijkl"])?;
        writer.write(1, 5, &[b"sound"])?;
        writer.write(0, 7_000_000_000, &[b"late"])?;
        writer.finish()
    };
    write().unwrap_or_default()
}

const BOXES: &str = r#"{"path":"a.jpg","width":640,"height":480,"faces":[{"x1":10.0,"y1":20.5,"x2":110.0,"y2":140.0,"score":0.91}]}
{"path":"a.mp4","frame":0,"time":0.0,"width":640,"height":480,"faces":[{"x1":1e1,"y1":2,"x2":11,"y2":14,"score":1,"track":3}]}
{"path":"a.mp4","frame":99,"time":3.3,"width":640,"height":480,"faces":[]}
{"path_hex":"612eff","path":"a.\ufffd","faces":[]}
"#;

const PROBE: &str = r#"{"streams":[{"index":0,"codec_name":"h264","codec_type":"video","width":64,"height":48,"pix_fmt":"yuv420p","time_base":"1/15360","r_frame_rate":"30/1","avg_frame_rate":"30/1","nb_frames":"30","duration":"1.0","sample_aspect_ratio":"4:3","field_order":"tt","color_range":"tv","color_space":"bt709","side_data_list":[{"side_data_type":"Display Matrix","displaymatrix":"\n00000000:            0       65536           0\n00000001:       -65536           0           0\n00000002:            0           0  1073741824\n","rotation":-90}]},{"index":1,"codec_type":"audio","sample_rate":"48000","channels":2},{"index":2,"codec_type":"subtitle"}],"format":{"duration":"1.5","start_time":"0.0"}}"#;

fn y4m(kind: &str, bytes: usize) -> Vec<u8> {
    let mut file =
        format!("YUV4MPEG2 W11 H7 F30:1 Ip A1:1 C{kind} XCOLORRANGE=FULL\n").into_bytes();
    for frame in 0..2 {
        file.extend(b"FRAME\n");
        file.extend((0..bytes).map(|i| (i * 7 + frame) as u8));
    }
    file
}

/// An animation of three frames.
fn moving(suffix: &str) -> Vec<u8> {
    let make = || {
        let options = redact::Options {
            effect: Effect::Fill { color: [0; 3] },
            region: redact::LEAST_REGION,
        };
        let mut encoder = AnimationEncoder::new(Plan {
            format: suffix.parse().ok()?,
            options: encode::Options::default(),
            size: (11, 7),
            frames: 3,
            plays: 0,
            opaque: false,
            deep: false,
            limit: 1 << 20,
        })
        .ok()?;
        for frame in 0..3u8 {
            let pixels = RgbaImage::from_fn(11, 7, |x, y| {
                Rgba([
                    x as u8 * 20,
                    y as u8 * 30,
                    frame * 90,
                    if x == u32::from(frame) { 0 } else { 255 },
                ])
            });
            let frame = from_upright_pixels(DynamicImage::ImageRgba8(pixels));
            let noise = &mut Noise::from_seed(0);
            let covered = cover(frame, &[], &[], &options, noise).ok()?;
            encoder.push(&covered, Delay { num: 1, den: 10 }).ok()?;
        }
        Some(encoder.finish().ok()?.0)
    };
    make().unwrap_or_default()
}

/// A clip of some pictures and sound, by the `ffmpeg` program; nothing where there is none.
fn clip(suffix: &str) -> Vec<u8> {
    let path = std::env::temp_dir().join(format!("unface-fuzz-{}.{suffix}", std::process::id()));
    let mut command = std::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"]);
    command.args([
        "testsrc=size=32x32:rate=5:duration=1",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=1",
    ]);
    if suffix == "webm" {
        command.args(["-c:v", "libvpx-vp9", "-b:v", "20k", "-c:a", "libopus"]);
    }
    let made = command.arg(&path).status().is_ok_and(|s| s.success());
    let bytes = if made {
        std::fs::read(&path)
    } else {
        Ok(Vec::new())
    };
    let _ = std::fs::remove_file(&path);
    bytes.unwrap_or_default()
}

/// All seeds of one kind.
pub fn of(suffix: &str) -> Vec<Vec<u8>> {
    let mut all = match suffix {
        "exif" => vec![exif(true), exif(false)],
        "onnx" => vec![onnx()],
        "nut" => vec![nut()],
        "jsonl" => vec![BOXES.into()],
        "json" => vec![PROBE.into()],
        "y4m" => vec![
            y4m("420jpeg", 11 * 7 + 2 * 6 * 4),
            y4m("444p10", 2 * 3 * 11 * 7),
        ],
        "moving.gif" | "moving.png" | "moving.webp" => vec![moving(&suffix[7..])],
        "mp4" | "webm" => vec![clip(suffix)],
        _ => stills(suffix),
    };
    all.retain(|seed| !seed.is_empty());
    all
}

fn stills(suffix: &str) -> Vec<Vec<u8>> {
    let Ok(format) = suffix.parse::<Format>() else {
        return Vec::new();
    };
    let mut all: Vec<Vec<u8>> = pictures()
        .into_iter()
        .flat_map(|p| [false, true].map(|lossless| written(p.clone(), format, lossless)))
        .collect();
    if format == Format::Jpeg {
        let block = exif(false);
        for jpeg in all.clone() {
            let length = (block.len() as u16 + 8).to_be_bytes();
            let head = [&jpeg[..2], &[0xFF, 0xE1], &length, b"Exif\0\0", &block].concat();
            all.push([head, jpeg[2..].to_vec()].concat());
        }
    }
    all.dedup();
    all
}
