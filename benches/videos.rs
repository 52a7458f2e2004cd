//! How long each part of a video takes. Run: `cargo bench --bench videos`; needs ffmpeg. The clip
//! is rendered from samples/: a pan of 60 frames of 960 × 540 over a crowd. `ffmpeg alone` decodes
//! and encodes the same clip with the same settings: the limit of all others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::{
    fs::{self, File},
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use unface::{
    Format, Rect, decode,
    decode::clip::{Clip, ClipOptions, FirstPass, Uncut},
    detect::{
        self, Detector, manifest,
        rule::Sensitivity,
        session::{Network, Networks, Runtime},
    },
    discover::Request,
    encode::clip::{Choice, ClipEncoder, Plan, Timing},
    pipeline::{Faces, Outcome, Progress, Settings, Task, VideoOptions},
    redact::{
        self, Effect, Noise,
        clip::{ClipCover, CoveredPlanes, Spot},
    },
};

const FRAMES: u64 = 60;

fn clip(dir: &Path) -> PathBuf {
    let crowd = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/crowd.jpg");
    let path = dir.join("in.mp4");
    let pan = "scale=1200:-2,crop=960:540:n*3:10";
    let args = [
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-loop",
        "1",
        "-framerate",
        "30",
        "-i",
    ];
    let rest = [
        "-vf",
        pan,
        "-frames:v",
        "60",
        "-pix_fmt",
        "yuv420p",
        "-preset",
        "medium",
        "-crf",
        "20",
    ];
    let status = Command::new("ffmpeg")
        .args(args)
        .arg(crowd)
        .args(rest)
        .arg(&path)
        .status();
    assert!(status.is_ok_and(|s| s.success()), "ffmpeg renders the clip");
    path
}

fn open(path: &Path) -> Clip {
    let options = ClipOptions {
        allow_damaged: false,
        max_memory: 512 << 20,
        tone_map: false,
        keep_chroma: false,
        fit: false,
        stream: None,
    };
    Clip::open(File::open(path).unwrap(), path, "mov", options).unwrap()
}

fn detector() -> Option<Detector> {
    let folder = std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/share/unface"));
    let runtime = Runtime::load(None, &folder.into_iter().collect::<Vec<_>>()).ok()?;
    let network = |file| Network::from_bytes(manifest::embedded(file)?).ok();
    let networks = Networks::Two(
        network("small-int8.onnx")?,
        network("centerface-int8.onnx")?,
    );
    Detector::new(move || networks.open(&runtime)).ok()
}

fn options() -> detect::Options {
    let entry = manifest::entries().unwrap().remove(0);
    detect::Options::new(entry.thresholds.at(Sensitivity::default()))
}

struct Silent;

impl Progress for Silent {
    fn finished(&self, outcome: &Outcome) -> std::io::Result<()> {
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        Ok(())
    }
}

fn decoded(clip: &Clip) -> Vec<CoveredPlanes> {
    let options = redact::Options {
        effect: Effect::Blur { cells: 4 },
        region: 1.3,
    };
    let mut cover = ClipCover::new(&options, clip.colours(), Noise::from_seed(1)).unwrap();
    let spots: Vec<Spot> = (0..20u32)
        .map(|track| Spot {
            track,
            rect: Rect::new(
                40.0 * track as f32,
                100.0,
                40.0 * track as f32 + 30.0,
                140.0,
            ),
            exact: false,
        })
        .collect();
    let mut pictures = clip.planes(false, None).unwrap();
    let mut all = Vec::new();
    while let Some(part) = pictures.part().unwrap() {
        if let Uncut::Picture(picture) = part {
            all.push(cover.cover(picture, &spots).unwrap());
        }
    }
    all
}

fn encode(clip: &Clip, pictures: &[CoveredPlanes], to: &Path) {
    let plan = Plan {
        format: Format::Mp4,
        layout: clip.layout(),
        full: false,
        time_base: clip.time_base(),
        timing: Timing::of(clip.time_base(), &[0, 1], 2),
        aspect: (1, 1),
        interlaced: None,
        colour: [None, None, None, None],
        sound: Vec::new(),
        rate: clip.probe().video.rate,
        choice: Choice::default(),
    };
    let file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(to)
        .unwrap();
    let mut encoder = ClipEncoder::start(plan, file, to).unwrap();
    for picture in pictures {
        encoder.picture(picture).unwrap();
    }
    let last = pictures.last().map_or(0, CoveredPlanes::pts);
    encoder.finish(last + 1).unwrap();
}

fn whole(detector: &Detector, path: &Path, to: &Path) {
    let settings = Settings {
        request: Request {
            inputs: vec![path.to_path_buf()],
            output: Some(to.as_os_str().to_os_string()),
            overwrite: true,
            ..Request::default()
        },
        list: None,
        decode: decode::Options::default(),
        faces: Faces::Search(detector, options()),
        task: Task::Cover {
            redact: redact::Options {
                effect: Effect::Blur { cells: 4 },
                region: 1.3,
            },
            quality: 92,
            places: Vec::new(),
            preview: false,
            seed: Some(1),
            noise: 1.0,
            recheck: None,
            scramble: false,
            video: VideoOptions::default(),
        },
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        memory: 1 << 30,
        cage: None,
    };
    let summary = unface::run(&settings, &Silent).unwrap();
    assert_eq!(summary.done, 1);
}

fn videos(c: &mut Criterion) {
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        eprintln!("skipped: ffmpeg is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = clip(dir.path());
    let to = dir.path().join("out.mp4");
    let clip = open(&path);
    let mut group = c.benchmark_group("60 frames of 960 × 540");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(10))
        .throughput(Throughput::Elements(FRAMES));
    group.bench_function("ffmpeg alone", |b| {
        b.iter(|| {
            let status = Command::new("ffmpeg")
                .args(["-v", "error", "-nostdin", "-y", "-i"])
                .arg(&path)
                .args(["-preset", "medium", "-crf", "20"])
                .arg(&to)
                .status();
            assert!(status.is_ok_and(|s| s.success()));
        })
    });
    group.bench_function("decode for the search", |b| {
        b.iter(|| {
            let mut search = clip.search(&first_pass()).unwrap();
            let mut count = 0;
            while search.picture().unwrap().is_some() {
                count += 1;
            }
            assert_eq!(count, FRAMES);
        })
    });
    group.bench_function("decode and cover", |b| b.iter(|| black_box(decoded(&clip))));
    let pictures = decoded(&clip);
    group.bench_function("encode", |b| b.iter(|| encode(&clip, &pictures, &to)));
    if let Some(detector) = detector() {
        let mut search = clip.search(&first_pass()).unwrap();
        let (copies, _) = search.picture().unwrap().unwrap();
        let frame = copies.main;
        let options = options();
        group.throughput(Throughput::Elements(1));
        group.bench_function("search one frame", |b| {
            b.iter(|| detector.faces(black_box(&frame), &options).unwrap())
        });
        group.throughput(Throughput::Elements(FRAMES));
        group.bench_function("the whole", |b| b.iter(|| whole(&detector, &path, &to)));
    }
    group.finish();
    let _ = fs::remove_file(&to);
}

/// A search without sound, as for covering.
const fn first_pass() -> FirstPass {
    FirstPass {
        pixels: Some(1_000_000),
        audio: false,
        fingerprints: true,
    }
}

criterion_group!(benches, videos);
criterion_main!(benches);
