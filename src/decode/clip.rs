//! Videos → frames, by way of the `ffmpeg` program: upright, none left out, each with its time.
//!
//! A video is read twice: once reduced and in RGB for the search, once as it is stored for
//! covering. Both times the same frames must come with the same times, or the video is refused.

use std::{
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use image::{DynamicImage, RgbImage};

use super::{Upright, from_upright_pixels};
use crate::{
    ffmpeg::{
        Handed, Programs, Reading, Running, StreamError, Timed, damaged,
        nut::{Content, Packet, Reader, Stream, TimeBase},
        probe::Probe,
        things_said,
    },
    frame::Frame,
    planes::{Chroma, Colours, Layout, Planes},
};

/// Largest side of a video's picture, in pixels.
const MOST_SIDE: u32 = 16384;
/// Sound that comes out of the decoder is brought to at most this many channels.
const MOST_CHANNELS: u32 = 8;
/// Largest packet of sound that is believed, in bytes.
const MOST_SOUND: u64 = 1 << 24;

/// What may be decoded of a video.
#[derive(Debug, Clone, Copy)]
pub struct ClipOptions {
    /// Go on after errors in the file.
    pub allow_damaged: bool,
    /// Largest picture in bytes.
    pub max_memory: u64,
    /// Bring colours of high dynamic range (PQ, HLG) to the usual ones (BT.709).
    pub tone_map: bool,
}

/// What was wrong with a video and was let pass, as ffmpeg said it.
#[derive(Debug, Clone, Default)]
struct Faults(Arc<Mutex<Vec<String>>>);

impl Faults {
    fn note(&self, said: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for thing in things_said(said) {
            if !all.contains(&thing) {
                all.push(thing);
            }
        }
    }
}

/// A video that can be read.
#[derive(Debug)]
pub struct Clip {
    programs: Programs,
    input: Handed,
    demuxer: &'static str,
    probe: Probe,
    layout: Layout,
    /// The pixels' old name for full range.
    full: bool,
    options: ClipOptions,
    faults: Faults,
    /// The program can bring high dynamic range to the usual one.
    maps: bool,
}

impl Clip {
    /// Looks at a video. `demuxer`: ffmpeg's name for its container, by its content.
    ///
    /// # Errors
    /// When ffmpeg is missing, or the video can't be handled rightly.
    pub fn open(
        file: File,
        path: &Path,
        demuxer: &'static str,
        options: ClipOptions,
    ) -> Result<Self, StreamError> {
        let programs = Programs::find()?;
        let input = Handed::new(file, path);
        let reading = Reading {
            input: &input,
            demuxer,
            damaged: options.allow_damaged,
        };
        let faults = Faults::default();
        let (json, said) = programs.probe(&reading)?;
        if options.allow_damaged {
            faults.note(&said);
        }
        let probe = Probe::parse(&json)?;
        let video = &probe.video;
        if video.width > MOST_SIDE || video.height > MOST_SIDE {
            return Err(StreamError::Failed(format!(
                "has pictures of {} × {} pixels where {MOST_SIDE} are allowed; make it smaller first",
                video.width, video.height
            )));
        }
        let (mut layout, full) = layout(&probe);
        let maps = hdr(&probe).is_some() && programs.has_filter("zscale");
        if hdr(&probe).is_some() && options.tone_map {
            if !maps {
                return Err(StreamError::Failed(
                    "can't be tone-mapped by this ffmpeg, which lacks zscale; leave --tone-map out, or install an ffmpeg with libzimg"
                        .into(),
                ));
            }
            layout.depth = 8;
        }
        if layout.bytes() as u64 > options.max_memory {
            return Err(StreamError::Failed(format!(
                "has pictures of {} MiB; raise --max-memory if you trust it",
                layout.bytes() >> 20
            )));
        }
        Ok(Self {
            programs,
            input,
            demuxer,
            probe,
            layout,
            full,
            options,
            faults,
            maps,
        })
    }

    /// What the container says.
    #[must_use]
    pub const fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The shape of its upright pictures as they are covered.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// How its numbers become colours.
    #[must_use]
    pub fn colours(&self) -> Colours {
        let colour = self.colour();
        let mut colours = Colours::named(colour[0].as_deref(), colour[3].as_deref());
        colours.full |= self.full && !self.tone_maps();
        colours
    }

    /// Colour of what it gives, by its names in ffmpeg: range, primaries, transfer, matrix.
    #[must_use]
    pub fn colour(&self) -> [Option<String>; 4] {
        if self.tone_maps() {
            ["tv", "bt709", "bt709", "bt709"].map(|name| Some(name.to_owned()))
        } else {
            self.probe.video.colour.clone()
        }
    }

    /// The name of its high dynamic range, if it has one.
    #[must_use]
    pub fn hdr(&self) -> Option<&'static str> {
        hdr(&self.probe)
    }

    /// Whether it is brought to the usual range.
    #[must_use]
    pub fn tone_maps(&self) -> bool {
        self.options.tone_map && self.hdr().is_some()
    }

    /// What was wrong with it so far, where `allow_damaged` let it pass.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let all = self.faults.0.lock();
        all.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Filters from high dynamic range to the usual one, in `pixels` at the end. What is not said
    /// of the colours is what goes with their transfer.
    fn mapping(&self, pixels: &str) -> Vec<String> {
        let [range, primaries, transfer, matrix] = &self.probe.video.colour;
        let or = |v: &Option<String>, usual: &str| v.clone().unwrap_or_else(|| usual.into());
        let range = if range.as_deref() == Some("pc") {
            "full"
        } else {
            "limited"
        };
        vec![
            format!(
                "zscale=rin={range}:pin={}:tin={}:min={}:t=linear:npl={NOMINAL}",
                or(primaries, "bt2020"),
                or(transfer, "smpte2084"),
                or(matrix, "bt2020nc"),
            ),
            "format=gbrpf32le".into(),
            "zscale=p=bt709".into(),
            "tonemap=tonemap=hable:desat=0".into(),
            "zscale=t=bt709:m=bt709:r=limited".into(),
            format!("format={pixels}"),
        ]
    }

    /// What its times count, in what it gives.
    #[must_use]
    pub const fn time_base(&self) -> TimeBase {
        self.probe.video.time_base
    }

    /// Width to height of an upright pixel.
    #[must_use]
    pub const fn aspect(&self) -> (u32, u32) {
        let (w, h) = self.probe.video.aspect;
        if self.probe.video.turn.swaps() {
            (h, w)
        } else {
            (w, h)
        }
    }

    /// The kind of pixels it was stored in, where that can't be written as it is.
    #[must_use]
    pub fn converted(&self) -> Option<&str> {
        let stored = self.probe.video.pixels.as_str();
        (!self.tone_maps() && stored != self.layout.name(self.full)).then_some(stored)
    }

    fn reading(&self) -> Reading<'_> {
        Reading {
            input: &self.input,
            demuxer: self.demuxer,
            damaged: self.options.allow_damaged,
        }
    }

    /// Filters that turn a stored picture upright, and fail where its size changes midway.
    fn upright(&self) -> Vec<String> {
        let v = &self.probe.video;
        // Expressions that give a size that can't be, unless it is the one expected.
        let same = format!(
            "crop=w='if(eq(iw,{})*eq(ih,{}),iw,-1)':h=ih:x=0:y=0:exact=1",
            v.width, v.height
        );
        std::iter::once(same).chain(v.turn.filters()).collect()
    }

    fn output(&self, filters: &[String]) -> Vec<String> {
        let v = &self.probe.video;
        let base = format!("{}:{}", v.time_base.num, v.time_base.den);
        let index = format!("0:{}", v.index);
        [
            "-map",
            &index,
            "-c:v",
            "rawvideo",
            "-vf",
            &filters.join(","),
            "-noautoscale",
            "-fps_mode",
            "passthrough",
            // Of the pictures alone: samples of sound are counted finer than these.
            "-enc_time_base:v",
            &base,
        ]
        .map(String::from)
        .into()
    }

    /// Starts the search's pass: upright pictures of at most about `pixels` pixels, square ones.
    ///
    /// # Errors
    /// When the decoder can't be started.
    pub fn search(&self, pixels: u32) -> Result<Search, StreamError> {
        let (width, height) = self.reduced(pixels);
        let mut filters = self.upright();
        filters.push(format!("scale={width}:{height}:flags=area"));
        if self.maps {
            // Faces in pictures of high range are pale to a network that knows photos.
            filters.extend(self.mapping("yuv444p"));
            filters.push("scale=in_color_matrix=bt709".into());
        }
        filters.push("format=rgb24".into());
        let (child, pipe) = self
            .programs
            .decoder(&self.reading(), &self.output(&filters))?;
        let packets = Packets::new(child, pipe, u64::from(width) * u64::from(height) * 3)?;
        packets.expect(0, width, height)?;
        Ok(Search {
            packets,
            width,
            height,
            base: self.time_base(),
            damaged: self.options.allow_damaged.then(|| self.faults.clone()),
        })
    }

    fn reduced(&self, pixels: u32) -> (u32, u32) {
        let (a, b) = self.aspect();
        let (w, h) = (
            f64::from(self.layout.width) * f64::from(a) / f64::from(b),
            f64::from(self.layout.height),
        );
        let scale = (f64::from(pixels) / (w * h)).sqrt().min(1.0);
        // A tiny video is not enlarged; one with pixels far from square not made absurd.
        let side = |v: f64| (v * scale).round().clamp(1.0, f64::from(MOST_SIDE)) as u32;
        (side(w), side(h))
    }

    /// Starts the covering pass, with sound where `audio` asks for it: 16 bits, interleaved.
    ///
    /// # Errors
    /// When the decoder can't be started.
    pub fn planes(&self, audio: bool) -> Result<Uncovered, StreamError> {
        let mut filters = self.upright();
        if self.tone_maps() {
            filters.extend(self.mapping(self.layout.name(false)));
        } else {
            filters.push(format!("format={}", self.layout.name(self.full)));
        }
        let mut output = self.output(&filters);
        let sound: Vec<_> = if audio {
            self.probe.audio.iter().collect()
        } else {
            Vec::new()
        };
        for (i, one) in sound.iter().enumerate() {
            if one.rate == 0 || one.channels == 0 {
                return Err(StreamError::Failed(
                    "has sound that ffmpeg can't decode; use --audio drop".into(),
                ));
            }
            output.extend(["-map".into(), format!("0:{}", one.index)]);
            output.extend([
                format!("-ac:a:{i}"),
                one.channels.min(MOST_CHANNELS).to_string(),
            ]);
        }
        if audio {
            // Gaps are filled and overlaps cut, so that samples can be counted.
            output.extend(
                [
                    "-c:a",
                    "pcm_s16le",
                    "-af",
                    "aresample=async=1:first_pts=0,asetpts=N/SR/TB",
                ]
                .map(String::from),
            );
        }
        let (child, pipe) = self.programs.decoder(&self.reading(), &output)?;
        let largest =
            (self.layout.bytes() as u64).max(if sound.is_empty() { 0 } else { MOST_SOUND });
        let packets = Packets::new(child, pipe, largest)?;
        packets.expect(sound.len(), self.layout.width, self.layout.height)?;
        Ok(Uncovered {
            packets,
            layout: self.layout,
            base: self.time_base(),
            damaged: self.options.allow_damaged.then(|| self.faults.clone()),
        })
    }
}

/// Brightness of usual white in pictures of high range, in candela a square metre (ITU-R BT.2408).
const NOMINAL: u32 = 203;

/// The name of a video's high dynamic range.
fn hdr(probe: &Probe) -> Option<&'static str> {
    match probe.video.colour[2].as_deref() {
        Some("smpte2084") => Some("PQ"),
        Some("arib-std-b67") => Some("HLG"),
        _ => None,
    }
}

/// The nearest layout that can be covered, and whether its pixels have the old name for full range.
fn layout(probe: &Probe) -> (Layout, bool) {
    let v = &probe.video;
    let name = v.pixels.as_str();
    let old = name.starts_with("yuvj");
    let deep = ["9", "10", "12", "14", "16"]
        .iter()
        .any(|d| name.ends_with(&format!("{d}le")) || name.ends_with(&format!("{d}be")))
        || [
            "p010", "p210", "p410", "x2rgb10", "x2bgr10", "rgb48", "bgr48", "rgba64", "bgra64",
            "xv30", "v210", "y210",
        ]
        .iter()
        .any(|n| name.starts_with(n))
        || name.ends_with("f32le")
        || name.ends_with("f32be");
    let has = |part: &str| name.contains(part);
    let chroma = if has("420")
        || has("410")
        || name.starts_with("nv12")
        || name.starts_with("nv21")
        || has("p010")
        || has("gray")
        || has("mono")
    {
        Chroma::Quarter
    } else if has("422") || has("411") || has("nv16") || has("p210") || has("yvyu") || has("y210") {
        Chroma::Half
    } else {
        Chroma::Full
    };
    let (width, height) = if v.turn.swaps() {
        (v.height, v.width)
    } else {
        (v.width, v.height)
    };
    // Encoders take no halves of pixels.
    let chroma = match chroma {
        Chroma::Quarter if width % 2 == 1 || height % 2 == 1 => Chroma::Full,
        Chroma::Half if width % 2 == 1 => Chroma::Full,
        // Turned by a quarter, what was half as wide is half as high, which is written as neither.
        Chroma::Half if v.turn.swaps() => Chroma::Full,
        other => other,
    };
    (
        Layout {
            width,
            height,
            depth: if deep { 10 } else { 8 },
            chroma,
        },
        old && !deep,
    )
}

/// A decoder's packets. At the end the decoder must have ended well.
#[derive(Debug)]
struct Packets {
    child: Option<Running>,
    reader: Reader<std::io::BufReader<Timed<std::process::ChildStdout>>>,
}

impl std::fmt::Debug for Reader<std::io::BufReader<Timed<std::process::ChildStdout>>> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader(..)")
    }
}

impl Packets {
    fn new(
        child: Running,
        pipe: Timed<std::process::ChildStdout>,
        largest: u64,
    ) -> Result<Self, StreamError> {
        match Reader::new(
            std::io::BufReader::with_capacity(1 << 18, pipe),
            largest + 4096,
        ) {
            Ok(reader) => Ok(Self {
                child: Some(child),
                reader,
            }),
            // A decoder that gave nothing says why.
            Err(error) => Err(child
                .finish("can't be decoded")
                .map_err(damaged)
                .err()
                .unwrap_or(error)),
        }
    }

    /// Checks that the streams are one of pictures of this size and so many of sound.
    fn expect(&self, sound: usize, width: u32, height: u32) -> Result<(), StreamError> {
        let streams = self.reader.streams();
        let right = streams.len() == 1 + sound
            && matches!(streams[0].content, Content::Video { width: w, height: h, .. } if (w, h) == (width, height))
            && streams[1..]
                .iter()
                .all(|s| matches!(s.content, Content::Audio { .. }));
        if right {
            Ok(())
        } else {
            Err(StreamError::Nut("other streams than were asked for".into()))
        }
    }

    /// The next packet. `harmless`: where to note what a decoder complained of, if that is let pass.
    fn next(
        &mut self,
        doing: &str,
        harmless: Option<&Faults>,
    ) -> Result<Option<Packet>, StreamError> {
        match self.reader.packet() {
            Ok(Some(packet)) => Ok(Some(packet)),
            Ok(None) => {
                let Some(child) = self.child.take() else {
                    return Ok(None);
                };
                match (child.finish(doing), harmless) {
                    (Ok(said), Some(faults)) => {
                        faults.note(&said);
                        Ok(None)
                    }
                    (Ok(_), None) => Ok(None),
                    (Err(error), Some(faults)) => {
                        faults.note(&error.to_string());
                        Ok(None)
                    }
                    (Err(error), None) => Err(damaged(error)),
                }
            }
            Err(error) => {
                let said = self.child.take().map(|c| c.finish(doing));
                Err(said.and_then(Result::err).map_or(error, damaged))
            }
        }
    }
}

fn whole(bytes: usize, expected: usize) -> Result<(), StreamError> {
    if bytes == expected {
        return Ok(());
    }
    Err(StreamError::Failed(
        "changes the size of its pictures midway; cut it where that happens".into(),
    ))
}

/// The search's pass.
#[derive(Debug)]
pub struct Search {
    packets: Packets,
    width: u32,
    height: u32,
    base: TimeBase,
    /// Faults are let pass and noted.
    damaged: Option<Faults>,
}

impl Search {
    /// Size of its pictures in pixels.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The next picture, and when it is shown.
    ///
    /// # Errors
    /// When the video breaks off or is damaged.
    pub fn picture(&mut self) -> Result<Option<(Frame, i64)>, StreamError> {
        let Some(packet) = self
            .packets
            .next("can't be decoded", self.damaged.as_ref())?
        else {
            return Ok(None);
        };
        let pts = self
            .base
            .from(packet.pts, self.packets.reader.streams()[0].time_base);
        whole(
            packet.data.len(),
            self.width as usize * self.height as usize * 3,
        )?;
        let pixels = RgbImage::from_raw(self.width, self.height, packet.data)
            .ok_or_else(|| StreamError::Nut("a picture of the wrong size".into()))?;
        Ok(Some((
            from_upright_pixels(DynamicImage::ImageRgb8(pixels)),
            pts,
        )))
    }
}

/// What the covering pass gives.
#[derive(Debug)]
pub enum Uncut {
    /// A picture.
    Picture(Planes),
    /// Some samples of a track of sound, 16 bits, interleaved.
    Sound {
        /// Which track, counted from 0.
        track: usize,
        /// When it is heard, in samples.
        pts: i64,
        /// Low byte first.
        data: Vec<u8>,
    },
}

/// The covering pass.
#[derive(Debug)]
pub struct Uncovered {
    packets: Packets,
    layout: Layout,
    base: TimeBase,
    /// Faults are let pass and noted.
    damaged: Option<Faults>,
}

impl Uncovered {
    /// The tracks of sound: samples a second and channels.
    #[must_use]
    pub fn sound(&self) -> Vec<(u32, u32)> {
        let of = |s: &Stream| match s.content {
            Content::Audio { rate, channels } => Some((rate, channels)),
            Content::Video { .. } => None,
        };
        self.packets
            .reader
            .streams()
            .iter()
            .filter_map(of)
            .collect()
    }

    /// The next picture or samples.
    ///
    /// # Errors
    /// When the video breaks off or is damaged.
    pub fn part(&mut self) -> Result<Option<Uncut>, StreamError> {
        let Some(packet) = self
            .packets
            .next("can't be decoded", self.damaged.as_ref())?
        else {
            return Ok(None);
        };
        let base = self.packets.reader.streams()[packet.stream].time_base;
        if packet.stream > 0 {
            let rate = match self.packets.reader.streams()[packet.stream].content {
                Content::Audio { rate, .. } => rate,
                Content::Video { .. } => 1,
            };
            let pts = TimeBase { num: 1, den: rate }.from(packet.pts, base);
            return Ok(Some(Uncut::Sound {
                track: packet.stream - 1,
                pts,
                data: packet.data,
            }));
        }
        whole(packet.data.len(), self.layout.bytes())?;
        let pts = self.base.from(packet.pts, base);
        Ok(Some(Uncut::Picture(Planes::new(
            self.layout,
            packet.data,
            pts,
            Upright(()),
        ))))
    }
}

/// A picture from samples that are upright already: for pictures that never were in a file. `None` where
/// there are not as many bytes as the layout asks for.
#[must_use]
pub fn from_samples(layout: Layout, data: Vec<u8>, pts: i64) -> Option<Planes> {
    (data.len() == layout.bytes()).then(|| Planes::new(layout, data, pts, super::Upright(())))
}
