//! What is fuzzed: each takes any bytes and must neither panic nor hang. It gives a number that
//! stands for what came of them, so that bytes with a new outcome can be kept.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Cursor,
    path::Path,
};

use unface::{
    decode::{self, Options},
    detect::{onnx, session::Network},
    ffmpeg::{nut, probe::Probe},
    report::{Boxes, Moving},
    verify,
};

/// A target: its name, what it does, and which seeds it takes by their suffix.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]) -> u64,
    pub seeds: &'static [&'static str],
    /// A parser of this project alone: no third-party decoder behind it.
    pub own: bool,
}

const fn target(
    name: &'static str,
    run: fn(&[u8]) -> u64,
    seeds: &'static [&'static str],
    own: bool,
) -> Target {
    Target {
        name,
        run,
        seeds,
        own,
    }
}

pub const ALL: &[Target] = &[
    target("decode-jpeg", photo, &["jpg"], false),
    target("decode-png", photo, &["png"], false),
    target("decode-webp", photo, &["webp"], false),
    target("decode-tiff", photo, &["tif"], false),
    target("decode-bmp", photo, &["bmp"], false),
    target("decode-gif", photo, &["gif"], false),
    target("animation-gif", moving, &["moving.gif"], false),
    target("animation-png", moving, &["moving.png"], false),
    target("animation-webp", moving, &["moving.webp"], false),
    target("y4m", y4m, &["y4m"], true),
    target("heif-boxes", dimensions, &["avif"], true),
    target("verify-avif", inspect, &["avif"], true),
    target("exif", exif, &["exif"], true),
    target("jpeg-structure", jpeg_structure, &["jpg"], true),
    target(
        "dimensions",
        dimensions,
        &["jpg", "png", "webp", "tif", "bmp", "gif"],
        true,
    ),
    target("onnx", onnx_model, &["onnx"], true),
    target("boxes", boxes, &["jsonl"], true),
    target("nut", nut_stream, &["nut"], true),
    target("probe", probe, &["json"], true),
    target("verify-jpeg", inspect, &["jpg"], true),
    target("verify-png", inspect, &["png"], true),
    target("verify-webp", inspect, &["webp"], true),
    target("verify-tiff", inspect, &["tif"], true),
    target("verify-bmp", inspect, &["bmp"], true),
    target("verify-gif", inspect, &["gif"], true),
    target("verify-mp4", inspect, &["mp4"], true),
    target("verify-webm", inspect, &["webm"], true),
];

fn options() -> Options {
    Options {
        // What one execution may cost in memory and time.
        max_memory: 1 << 22,
        max_metadata: 1 << 20,
        ..Options::default()
    }
}

/// A text without its numbers, as a number.
fn outcome(text: &impl ToString) -> u64 {
    let mut hasher = DefaultHasher::new();
    for c in text.to_string().chars().filter(|c| !c.is_ascii_digit()) {
        c.hash(&mut hasher);
    }
    hasher.finish()
}

fn told<T>(result: &Result<T, impl ToString>, well: impl FnOnce(&T) -> u64) -> u64 {
    match result {
        Ok(value) => well(value),
        Err(error) => outcome(error),
    }
}

fn photo(bytes: &[u8]) -> u64 {
    let mut all = 0;
    for allow_damaged in [false, true] {
        let options = Options {
            allow_damaged,
            ..options()
        };
        let result = decode::photo(bytes, &options);
        // A caught panic is a panic all the same.
        if let Err(decode::DecodeError::Panicked(what)) = &result {
            panic!("the decoder panicked: {what}");
        }
        all ^= told(&result, |photo| {
            let kinds: Vec<_> = photo.dropped.iter().map(|d| d.kind.as_str()).collect();
            outcome(&format!(
                "{:?} {kinds:?} {:?}",
                photo.frame.pixels().color(),
                photo.damage
            ))
        })
        .rotate_left(u32::from(allow_damaged));
    }
    all
}

/// All frames of an animation.
fn moving(bytes: &[u8]) -> u64 {
    let _ = decode::animation::animated(bytes);
    let animation = match decode::animation::open(bytes.to_vec(), &options()) {
        Ok(animation) => animation,
        Err(error) => return panicked(&error),
    };
    let frames = match animation.frames() {
        Ok(frames) => frames,
        Err(error) => return panicked(&error),
    };
    let mut number = 0;
    for next in frames {
        match next {
            Ok((frame, _)) => {
                assert_eq!((frame.width(), frame.height()), animation.size());
                number += 1;
            }
            Err(error) => return panicked(&error),
        }
        // More of the same.
        if number == 64 {
            break;
        }
    }
    number
}

fn panicked(error: &decode::DecodeError) -> u64 {
    if let decode::DecodeError::Panicked(what) = error {
        panic!("the decoder panicked: {what}");
    }
    outcome(error)
}

fn y4m(bytes: &[u8]) -> u64 {
    let input = Box::new(Cursor::new(bytes.to_vec()));
    let mut stream = match decode::y4m::Y4m::open(input, 1000) {
        Ok(stream) => stream,
        Err(error) => return outcome(&error),
    };
    for number in 0..8 {
        match stream.picture(number) {
            Ok(Some(picture)) => {
                let _ = stream.reduce(&picture);
            }
            Ok(None) => return number as u64,
            Err(error) => return outcome(&error),
        }
    }
    8
}

/// The EXIF reader, by way of the smallest JPEG around the block.
fn exif(bytes: &[u8]) -> u64 {
    let length = bytes.len().min(60_000);
    let mut file = vec![0xFF, 0xD8, 0xFF, 0xE1];
    file.extend((length as u16 + 8).to_be_bytes());
    file.extend(b"Exif\0\0");
    file.extend(&bytes[..length]);
    file.extend(&crate::seeds::dot()[2..]);
    let result = decode::photo(&file, &options());
    if let Err(decode::DecodeError::Panicked(what)) = &result {
        panic!("{what}");
    }
    told(&result, |photo| {
        assert_eq!((photo.frame.width(), photo.frame.height()), (1, 1));
        outcome(&format!("{:?}", photo.dropped))
    })
}

fn jpeg_structure(bytes: &[u8]) -> u64 {
    let _ = unface::jpeg::size(bytes);
    let _ = unface::jpeg::audit(bytes);
    told(&unface::jpeg::walk(bytes), |structure| {
        // What it names must lie inside the file.
        for segment in &structure.segments {
            assert!(bytes.get(segment.whole.clone()).is_some());
            assert!(bytes.get(segment.payload.clone()).is_some());
            assert!(bytes.get(segment.data.clone()).is_some());
        }
        let pixels = u32::from(structure.header.width) * u32::from(structure.header.height);
        if structure.damage.is_none() && pixels < 1 << 18 {
            // What decoders get in its place is the same picture.
            let rebuilt = unface::jpeg::rebuilt(bytes, structure);
            let planes = |bytes| unface::jpeg::samples(bytes).map(|decoded| decoded.1);
            assert_eq!(planes(bytes), planes(&rebuilt));
        }
        let markers: Vec<_> = structure.segments.iter().map(|s| s.marker).collect();
        outcome(&format!("{:x?} {:?}", markers, structure.damage))
    })
}

fn dimensions(bytes: &[u8]) -> u64 {
    let kind = decode::sniff(&bytes[..bytes.len().min(decode::HEAD)]);
    let whole = decode::sniff_file(&mut std::io::Cursor::new(bytes)).ok();
    let size = decode::dimensions(bytes);
    outcome(&format!("{kind:?} {whole:?} {:?}", size.map(|s| s.2)))
}

fn onnx_model(bytes: &[u8]) -> u64 {
    let first = told(&onnx::signature(bytes), |s| outcome(&s.inputs.len()));
    let second = told(&onnx::mend(bytes, true), |mended| {
        // What was written must be readable by its own reader.
        told(&onnx::signature(mended), |_| 1)
    });
    first ^ second.rotate_left(1) ^ told(&Network::from_bytes(bytes.to_vec()), |_| 2)
}

fn boxes(bytes: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return 0;
    };
    told(&Boxes::parse(text), |boxes| {
        let mut all = 0;
        for (width, height) in [(1, 1), (640, 480), (u32::MAX, u32::MAX)] {
            all ^= told(
                &boxes.of(Path::new("a.jpg"), None, (width, height), 1),
                |f| f.len() as u64,
            );
        }
        let moving = Moving {
            size: (640, 480),
            frames: Some(100),
            orientations: &[1; 100],
        };
        let over = boxes.over_time(Path::new("a.mp4"), moving);
        all ^ told(&over, |_| 1)
    })
}

fn nut_stream(bytes: &[u8]) -> u64 {
    let mut reader = match nut::Reader::new(Cursor::new(bytes), 1 << 16) {
        Ok(reader) => reader,
        Err(error) => return outcome(&error),
    };
    for number in 0..1000 {
        match reader.packet() {
            Ok(Some(packet)) => assert!(packet.stream < reader.streams().len()),
            Ok(None) => return number,
            Err(error) => return outcome(&error),
        }
    }
    1000
}

fn probe(bytes: &[u8]) -> u64 {
    told(&Probe::parse(bytes, None), |probe| {
        outcome(&format!("{:?}", probe.video.turn.filters()))
    })
}

fn inspect(bytes: &[u8]) -> u64 {
    let inspection = verify::inspect(bytes);
    let mut kinds: Vec<String> = inspection
        .leaks
        .iter()
        .map(|l| format!("{:?} {}", l.kind, l.detail))
        .collect();
    kinds.sort();
    kinds.dedup();
    outcome(&format!("{:?} {kinds:?}", inspection.format))
}
