//! Covered pictures → a video file, by way of the `ffmpeg` program; then `moov` writes the
//! index anew.
//!
//! Settings are constants but for what the person chose: nothing of the input's encoder, its
//! settings or its container reaches the output. Sound is encoded anew too.

use std::{fs::File, io::BufWriter, path::Path, process::ChildStdin};

use super::{EncodeError, moov};
use crate::{
    ffmpeg::{
        Handed, Programs, Running, StreamError, Timed,
        nut::{Content, Stream, TimeBase, Writer},
    },
    format::Format,
    planes::{Chroma, Layout},
    redact::clip::CoveredPlanes,
};

/// How pictures are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// H.264, which everything plays.
    H264,
    /// H.265.
    Hevc,
    /// AV1.
    Av1,
    /// VP9.
    Vp9,
}

/// What a person chose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// `None`: by the format and depth.
    pub codec: Option<Codec>,
    /// Constant quality, lower is better; `None`: the codec's usual one.
    pub crf: Option<u8>,
    /// The encoder's speed by its name; `None`: the codec's usual one.
    pub preset: Option<String>,
    /// Colour is stored as finely as in the input; otherwise as 4:2:0, which everything plays.
    pub keep_chroma: bool,
}

impl Choice {
    /// Why pictures can't be compressed so, and what to do. The encoder of AV1 would store colour
    /// coarser than it is without a word, and takes no odd sides.
    #[must_use]
    pub fn refused(&self, format: Format, layout: Layout) -> Option<&'static str> {
        let codec = self.codec(format, layout);
        let coarse = !self.keep_chroma || layout.chroma == Chroma::Quarter;
        (codec == Codec::Av1 && !coarse).then_some(
            "has colour finer than 4:2:0 or odd sides, which the encoder of AV1 can't keep; use --codec hevc, h264 or vp9, or bring it to yuv420p and even sides first",
        )
    }

    fn codec(&self, format: Format, layout: Layout) -> Codec {
        self.codec.unwrap_or(match (format, layout.depth > 8) {
            (Format::WebM, _) => Codec::Vp9,
            // Nothing plays H.264 of 10 bits.
            (_, true) => Codec::Hevc,
            _ => Codec::H264,
        })
    }
}

/// What the times of an output count, and whether frames may be stored in another order than they are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// What the times count.
    pub unit: TimeBase,
    /// Frames may refer to later ones (B-frames). MP4 then stores the times of decoding beside those of showing,
    /// which players follow only where frames lie regularly and not too far apart.
    pub reorders: bool,
}

/// Coarser units for times that lie too far apart for fine ones, per second.
const COARSER: [u32; 2] = [90_000, 1000];
/// Longest time between two frames in units: players read 31 bits.
const LONGEST_STEP: i64 = 1 << 30;
/// Longest time between frames that are reordered: ffmpeg ignores offsets of more than 2^28 units, and an encoder
/// may look this many frames ahead.
const LONGEST_REORDERED: i64 = (1 << 28) / 8;
/// Most frames by which encoders move the times of decoding.
const MOST_REORDERED: usize = 4;

impl Timing {
    /// For frames that are shown at `times`, the last one until `end`, all counted in `base`.
    #[must_use]
    pub fn of(base: TimeBase, times: &[i64], end: i64) -> Self {
        let all: Vec<i64> = times.iter().copied().chain([end]).collect();
        let steps = |unit: TimeBase| {
            let times: Vec<i64> = all.iter().map(|&t| unit.from(t, base)).collect();
            let steps = times.windows(2).map(|w| w[1] - w[0]);
            let least = steps.clone().min().unwrap_or(1);
            (least, steps.max().unwrap_or(1))
        };
        let fits = |unit: TimeBase| {
            let (least, longest) = steps(unit);
            // ffmpeg takes the number of units in a second as 31 bits.
            least > 0 && longest < LONGEST_STEP && i32::try_from(unit.den).is_ok()
        };
        let coarser = COARSER.map(|den| TimeBase { num: 1, den });
        let mut units = [Self::fine(base)].into_iter().chain(coarser);
        let unit = units.find(|u| fits(*u)).unwrap_or(coarser[0]);
        // Times of decoding begin earlier than those of showing; all durations must still fit before the end.
        let last = times.len().saturating_sub(1);
        let regular = (1..=MOST_REORDERED.min(last)).all(|k| all[k] - all[0] < end - all[last - k]);
        Self {
            unit,
            reorders: regular && steps(unit).1 < LONGEST_REORDERED,
        }
    }

    /// Times are written in whole units below the line only, and not in coarse ones.
    fn fine(base: TimeBase) -> TimeBase {
        let mut den = base.den;
        while den < 1000 {
            den *= 10;
        }
        TimeBase { num: 1, den }
    }
}

/// Everything that the encoder must know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// [`Format::Mp4`] or [`Format::WebM`].
    pub format: Format,
    /// The pictures' shape.
    pub layout: Layout,
    /// Numbers from 0 to full.
    pub full: bool,
    /// What the pictures' times count.
    pub time_base: TimeBase,
    /// How times are written.
    pub timing: Timing,
    /// Pictures a second on average, 0 where unknown: AV1's encoder plans by it, and takes the times'
    /// unit for one picture where it is not told.
    pub rate: f64,
    /// Width to height of a pixel.
    pub aspect: (u32, u32),
    /// The top field comes first, or the bottom one; `None` if progressive.
    pub interlaced: Option<bool>,
    /// Range, primaries, transfer, matrix by ffmpeg's names.
    pub colour: [Option<String>; 4],
    /// Tracks of sound: samples a second, channels.
    pub sound: Vec<(u32, u32)>,
    /// What the person chose.
    pub choice: Choice,
}

/// Quality of H.264 unless chosen otherwise: hardly to be told from the input.
pub const H264_CRF: u8 = 20;

/// Speeds by the names that people know from x264, the slowest first.
const SPEEDS: [&str; 10] = [
    "placebo",
    "veryslow",
    "slower",
    "slow",
    "medium",
    "fast",
    "faster",
    "veryfast",
    "superfast",
    "ultrafast",
];

/// A speed for encoders that count theirs: their `number` for one of [`SPEEDS`]; their own numbers stay what they are.
fn by_number(preset: Option<&str>, number: fn(usize) -> usize, usual: &str) -> String {
    let preset = preset.unwrap_or(usual);
    let named = SPEEDS.iter().position(|name| *name == preset);
    named.map_or_else(|| preset.to_owned(), |n| number(n).to_string())
}

/// Bits a second of each channel of sound.
const SOUND: u32 = 80_000;

impl Plan {
    /// The codec that is used.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.choice.codec(self.format, self.layout)
    }

    /// The shape of what is written. 4:2:0 has no odd sides in H.264 and AV1: a line is added.
    #[must_use]
    pub const fn written(&self) -> Layout {
        if self.choice.keep_chroma {
            return self.layout;
        }
        Layout {
            width: self.layout.width.next_multiple_of(2),
            height: self.layout.height.next_multiple_of(2),
            chroma: Chroma::Quarter,
            ..self.layout
        }
    }

    /// Filters that repeat the last column and row where a side is odd.
    fn padding(&self) -> Option<String> {
        let (width, height) = (self.layout.width, self.layout.height);
        let to = self.written();
        ((to.width, to.height) != (width, height)).then(|| {
            format!(
                "pad={}:{}:0:0,fillborders=right={}:bottom={}:mode=smear",
                to.width,
                to.height,
                to.width - width,
                to.height - height
            )
        })
    }

    fn args(&self) -> Vec<String> {
        let base = self.timing.unit;
        let mut args: Vec<String> = [
            "-map",
            "0:v:0",
            "-fps_mode",
            "passthrough",
            "-enc_time_base:v",
        ]
        .map(String::from)
        .into();
        args.push(format!("{}:{}", base.num, base.den));
        args.extend([
            "-vf".into(),
            self.filters(),
            "-pix_fmt".into(),
            self.written().name(self.full).into(),
        ]);
        args.extend(self.colour_args());
        args.extend(self.codec_args());
        // x265 takes this among its own settings; the others store frames in the order in which they are shown.
        if !self.timing.reorders && self.codec() == Codec::H264 {
            args.extend(["-bf:v", "0"].map(String::from));
        }
        if self.interlaced.is_some() && self.codec() == Codec::H264 {
            args.extend(["-flags:v", "+bitexact+ilme+ildct"].map(String::from));
        } else {
            args.extend(["-flags:v", "+bitexact"].map(String::from));
        }
        for (i, (_, channels)) in self.sound.iter().enumerate() {
            args.extend([
                "-map".into(),
                format!("0:a:{i}"),
                format!("-b:a:{i}"),
                (SOUND * channels).to_string(),
            ]);
        }
        if !self.sound.is_empty() {
            let codec = if self.format == Format::WebM {
                "libopus"
            } else {
                "aac"
            };
            args.extend(["-c:a", codec, "-flags:a", "+bitexact"].map(String::from));
        }
        if self.format == Format::Mp4 {
            args.extend(["-video_track_timescale".into(), base.den.to_string()]);
            args.extend(["-movie_timescale".into(), moov::TIMESCALE.to_string()]);
        }
        args
    }

    /// Filters that touch no pixel: what the numbers mean.
    fn filters(&self) -> String {
        let names = ["range", "color_primaries", "color_trc", "colorspace"];
        let set: Vec<String> = names
            .iter()
            .zip(&self.colour)
            .filter_map(|(n, v)| Some(format!("{n}={}", v.as_ref()?)))
            .collect();
        let mut filters = Vec::new();
        if !set.is_empty() {
            filters.push(format!("setparams={}", set.join(":")));
        }
        if let Some(top) = self.interlaced {
            filters.push(format!("setfield={}", if top { "tff" } else { "bff" }));
        }
        filters.extend(self.padding());
        if filters.is_empty() {
            "null".into()
        } else {
            filters.join(",")
        }
    }

    fn colour_args(&self) -> Vec<String> {
        let names = [
            "-color_range",
            "-color_primaries",
            "-color_trc",
            "-colorspace",
        ];
        names
            .iter()
            .zip(&self.colour)
            .filter_map(|(n, v)| Some([(*n).to_owned(), v.clone()?]))
            .flatten()
            .collect()
    }

    fn codec_args(&self) -> Vec<String> {
        let preset = self.choice.preset.as_deref();
        let crf = |usual: u8| self.choice.crf.unwrap_or(usual).to_string();
        let with =
            |args: &[&str]| -> Vec<String> { args.iter().map(|a| (*a).to_owned()).collect() };
        match self.codec() {
            // Supplemental data is where encoders write their names and settings.
            Codec::H264 => {
                let mut args = with(&[
                    "-c:v",
                    "libx264",
                    "-preset",
                    preset.unwrap_or("medium"),
                    "-crf",
                    &crf(H264_CRF),
                    "-bsf:v",
                    "filter_units=remove_types=6",
                ]);
                if preset.is_none() {
                    // Twice as many frames, as `medium` keeps, take 537 instead of 403 MB at 1080p, for files as large.
                    args.extend(with(&["-x264-params", "rc-lookahead=20"]));
                }
                args
            }
            Codec::Hevc => with(&[
                "-c:v",
                "libx265",
                "-preset",
                preset.unwrap_or("fast"),
                "-crf",
                &crf(22),
                "-x265-params",
                if self.timing.reorders {
                    "info=0:log-level=error"
                } else {
                    "info=0:log-level=error:bframes=0"
                },
                "-tag:v",
                "hvc1",
                "-bsf:v",
                "filter_units=remove_types=39-40",
            ]),
            Codec::Av1 => with(&[
                "-c:v",
                "libsvtav1",
                "-preset",
                &by_number(preset, |n| n + 3, "8"),
                "-crf",
                &crf(30),
                "-svtav1-params",
                &self.pace(),
            ]),
            Codec::Vp9 => with(&[
                "-c:v",
                "libvpx-vp9",
                "-b:v",
                "0",
                "-crf",
                &crf(30),
                "-deadline",
                "good",
                "-cpu-used",
                &by_number(preset, |n| n.saturating_sub(1), "4"),
                "-row-mt",
                "1",
            ]),
        }
    }

    /// Pictures a second for AV1's encoder, which believes no more than 240.
    fn pace(&self) -> String {
        let rate = if self.rate > 0.0 { self.rate } else { 25.0 };
        let thousandths = (rate.clamp(1.0, 240.0) * 1000.0).round();
        format!("fps-num={thousandths}:fps-denom=1000")
    }

    /// A time of the pictures in the units that are written.
    fn unit_time(&self, time: i64) -> i64 {
        self.timing.unit.from(time, self.time_base)
    }

    fn fourcc(&self) -> Vec<u8> {
        match (self.layout.chroma, self.layout.depth > 8) {
            (Chroma::Quarter, false) => b"I420".to_vec(),
            (Chroma::Half, false) => b"Y42B".to_vec(),
            (Chroma::Full, false) => b"444P".to_vec(),
            (Chroma::Quarter, true) => vec![b'Y', b'3', 11, 10],
            (Chroma::Half, true) => vec![b'Y', b'3', 10, 10],
            (Chroma::Full, true) => vec![b'Y', b'3', 0, 10],
        }
    }
}

/// A video being written.
#[derive(Debug)]
pub struct ClipEncoder {
    plan: Plan,
    output: Handed,
    child: Running,
    /// `None` once the pipe is closed.
    writer: Option<Writer<BufWriter<Timed<ChildStdin>>>>,
    first: Option<i64>,
    last: i64,
}

impl std::fmt::Debug for Writer<BufWriter<Timed<ChildStdin>>> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer(..)")
    }
}

fn pipe(error: std::io::Error) -> EncodeError {
    EncodeError::Video(StreamError::Pipe(error.to_string()))
}

impl ClipEncoder {
    /// Starts the encoder, which writes into `file`. `path`: the file's, for systems where a child
    /// can't be given an open file.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(plan: Plan, file: File, path: &Path) -> Result<Self, EncodeError> {
        let muxer = match plan.format {
            Format::WebM => "webm",
            _ => "mp4",
        };
        let output = Handed::new(file, path);
        let programs = Programs::find().map_err(EncodeError::Video)?;
        let (child, stdin) = programs
            .encoder(&output, muxer, &plan.args())
            .map_err(EncodeError::Video)?;
        let video = Stream {
            fourcc: plan.fourcc(),
            time_base: plan.timing.unit,
            content: Content::Video {
                width: plan.layout.width,
                height: plan.layout.height,
                aspect: plan.aspect,
            },
        };
        let sound = plan.sound.iter().map(|&(rate, channels)| Stream {
            fourcc: vec![b'P', b'S', b'D', 16],
            time_base: TimeBase { num: 1, den: rate },
            content: Content::Audio { rate, channels },
        });
        let streams = std::iter::once(video).chain(sound).collect();
        let writer = Writer::new(BufWriter::with_capacity(1 << 18, stdin), streams);
        let mut encoder = Self {
            plan,
            output,
            child,
            writer: None,
            first: None,
            last: 0,
        };
        match writer {
            Ok(writer) => encoder.writer = Some(writer),
            Err(error) => return Err(encoder.hung_up(error)),
        }
        Ok(encoder)
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// What the encoder complained of, rather than the pipe that broke because of it.
    pub fn picture(&mut self, picture: &CoveredPlanes) -> Result<(), EncodeError> {
        if *picture.layout() != self.plan.layout {
            return Err(EncodeError::Video(StreamError::Nut(
                "a frame of another shape".into(),
            )));
        }
        let pts = self.plan.unit_time(picture.pts());
        self.first.get_or_insert(pts);
        self.last = self.last.max(pts);
        self.write(0, pts, picture.data())
    }

    /// Adds samples to a track of sound, 16 bits, interleaved.
    ///
    /// # Errors
    /// As [`ClipEncoder::picture`].
    pub fn sound(&mut self, track: usize, pts: i64, samples: &[u8]) -> Result<(), EncodeError> {
        self.write(track + 1, pts, samples)
    }

    fn write(&mut self, stream: usize, pts: i64, data: &[u8]) -> Result<(), EncodeError> {
        let result = match &mut self.writer {
            Some(writer) => writer.write(stream, pts, &[data]),
            None => Ok(()),
        };
        result.map_err(|e| self.hung_up(e))
    }

    /// The cause of a broken pipe.
    fn hung_up(&mut self, error: std::io::Error) -> EncodeError {
        self.writer = None;
        let said = self.child.said();
        if said.is_empty() {
            pipe(error)
        } else {
            EncodeError::Video(StreamError::Failed(format!("can't be encoded ({said})")))
        }
    }

    /// Ends the file. `end`: when the last picture ends, in the video's time base.
    ///
    /// # Errors
    /// When the encoder failed, or wrote something else than was asked for.
    pub fn finish(mut self, end: i64) -> Result<(), EncodeError> {
        if let Some(writer) = self.writer.take() {
            match writer.finish() {
                // The pipe closes here.
                Ok(pipe) => drop(pipe),
                Err(error) => return Err(self.hung_up(error)),
            }
        }
        self.child
            .finish("can't be encoded")
            .map_err(EncodeError::Video)?;
        if self.plan.format == Format::Mp4 {
            let end = self.plan.unit_time(end).max(self.last + 1);
            moov::tidy(self.output.file(), end - self.first.unwrap_or(0))?;
        }
        if self.plan.format == Format::WebM {
            super::ebml::tidy(self.output.file(), self.plan.time_base.seconds(end))?;
        }
        self.output
            .file()
            .sync_all()
            .map_err(|e| EncodeError::Video(StreamError::Pipe(e.to_string())))
    }
}
