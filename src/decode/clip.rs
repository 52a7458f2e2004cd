//! Videos → frames, by way of the `ffmpeg` program: upright, none left out, each with its time.
//!
//! A video is read twice: once reduced and in RGB for the search, once as it is stored for
//! covering. Both times the same frames must come with the same times, or the video is refused.

mod cut;
mod edits;
mod layout;
mod pass;
mod views;

use std::{fs::File, path::Path};

use crate::{
    ffmpeg::{Handed, Programs, Reading, StreamError, damaged, nut::TimeBase, probe::Probe},
    planes::{Colours, Layout},
};
use cut::cut;
use layout::layout;
pub use pass::{Copies, Fingerprints, Search, Uncovered, Uncut, from_samples};
use pass::{Faults, Packets};
use views::View;
pub(crate) use views::{LEAST_LINES, absurd, near_square, reduced};

/// Largest side of a video's picture, in pixels.
const MOST_SIDE: u32 = 16384;
/// A frame whose time lies at most this much before the previous one's, in seconds, is shown right after that one.
const FURTHEST_BACK: f64 = 1.0;
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
    /// Keep colour as fine as it is stored; otherwise it becomes 4:2:0 where both sides are even.
    pub keep_chroma: bool,
    /// Scale frames of other sizes to the size of the first ones.
    pub fit: bool,
    /// Which stream of frames, counted from 1, where there are several.
    pub stream: Option<u8>,
}

/// What the search's pass is to give.
#[derive(Debug, Clone, Copy)]
pub struct FirstPass {
    /// Faces are searched in copies of at most about this many pixels; `None`: only the times are wanted.
    pub pixels: Option<u32>,
    /// Sound will be asked of the covering pass.
    pub audio: bool,
    /// What the covering pass gives is to be compared with what was searched.
    pub fingerprints: bool,
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
    /// When its last frame ends by the header of its track, in seconds from its start.
    shown_until: Option<f64>,
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
        if let Some(fault) = cut(input.file(), demuxer) {
            if !options.allow_damaged {
                return Err(damaged(StreamError::Failed(fault.into())));
            }
            faults.note(fault);
        }
        if demuxer == "mov" && edits::other_speeds(input.file()) {
            return Err(StreamError::Failed(
                "is to be played at other speeds than it was recorded, by its edit list; save it as a new video with the program that you play it with".into(),
            ));
        }
        let mut probe = Probe::parse(&json, options.stream)?;
        let first = programs.first_frames(&reading, probe.video.index)?;
        first.complete(&mut probe.video)?;
        let video = &probe.video;
        let mp4 = demuxer == "mov";
        let shown_until = mp4
            .then(|| edits::shown_until(input.file(), video.index))
            .flatten();
        let shown_until = shown_until.map(|end| end - probe.start);
        if video.width > MOST_SIDE || video.height > MOST_SIDE {
            return Err(StreamError::Failed(format!(
                "has frames of {} × {} pixels where {MOST_SIDE} are allowed; make it smaller first",
                video.width, video.height
            )));
        }
        if absurd(video.aspect) {
            let (a, b) = video.aspect;
            return Err(StreamError::Failed(format!(
                "has pixels of {a} to {b}, which no camera writes and in which faces can't be found; give it square ones first, for example with ffmpeg -i VIDEO -vf setsar=1 OUTPUT"
            )));
        }
        if video.transparent || layout::transparent(&video.pixels) {
            return Err(StreamError::Failed(format!(
                "has transparency ({}), which covered videos can't keep, and without it what it hides would show; lay it over a colour first, for example with ffmpeg's filter overlay (WebM: with -c:v libvpx-vp9 before -i)",
                video.pixels
            )));
        }
        let (mut layout, full) = layout(&probe, options.keep_chroma);
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
                "has frames of {} MiB; raise --max-memory if you trust it",
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
            shown_until,
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
            return ["tv", "bt709", "bt709", "bt709"].map(|name| Some(name.to_owned()));
        }
        let [range, primaries, transfer, matrix] = self.probe.video.colour.clone();
        if let Some(matrix) = self.differenced() {
            let matrix = if matrix == "bt2020" {
                "bt2020nc"
            } else {
                matrix
            };
            return [Some("tv".into()), primaries, transfer, Some(matrix.into())];
        }
        let matrix = matrix.filter(|m| m != "gbr");
        [range, primaries, transfer, matrix]
    }

    /// The matrix by which pixels that are stored as colours become brightness and differences, by
    /// its name in ffmpeg's filter; `None` where they are that already.
    fn differenced(&self) -> Option<&'static str> {
        let video = &self.probe.video;
        let wide = video.colour[1].as_deref() == Some("bt2020");
        layout::rgb(&video.pixels).then_some(if wide { "bt2020" } else { "bt709" })
    }

    /// Filters to the kind of pixels that is covered. Numbers keep their range, which ffmpeg would
    /// narrow where it has to convert.
    fn stored(&self) -> Vec<String> {
        let mut filters = Vec::new();
        if self.converted().is_some() {
            let range = if self.colours().full { "pc" } else { "tv" };
            let matrix = self.differenced().map(|m| format!(":out_color_matrix={m}"));
            let matrix = matrix.unwrap_or_default();
            // The colour of interlaced frames is halved field by field.
            let fields = if self.probe.video.interlaced.is_some() {
                ":interl=1"
            } else {
                ""
            };
            filters.push(format!("scale=out_range={range}{matrix}{fields}"));
        }
        filters.push(format!("format={}", self.layout.name(self.full)));
        filters
    }

    /// When its last frame may end, in seconds from its start: by its stream, then by the header of its track.
    pub fn ends(&self) -> impl Iterator<Item = f64> {
        [self.probe.video.end, self.shown_until]
            .into_iter()
            .flatten()
    }

    /// Whether the container says when its last picture ends, and does not guess it.
    #[must_use]
    pub fn tells_its_end(&self) -> bool {
        ["mov", "matroska"]
            .iter()
            .any(|d| self.demuxer.starts_with(d))
    }

    /// The kind of its sound, where ffmpeg can't decode it.
    #[must_use]
    pub fn undecodable_sound(&self) -> Option<&str> {
        let mut audio = self.probe.audio.iter();
        audio.find_map(|one| one.undecodable.as_deref())
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
        self.faults.all()
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

    /// Filters that turn a stored picture upright. Where its size changes midway they fail, or scale it into the
    /// first size.
    fn upright(&self) -> Vec<String> {
        let v = &self.probe.video;
        if self.options.fit {
            let (w, h) = (v.width, v.height);
            let fit = format!(
                "scale={w}:{h}:force_original_aspect_ratio=decrease,pad={w}:{h}:(ow-iw)/2:(oh-ih)/2"
            );
            return std::iter::once(fit).chain(v.turn.filters()).collect();
        }
        // Expressions that give a size that can't be, unless it is the one expected.
        let same = format!(
            "crop=w='if(eq(iw,{})*eq(ih,{}),iw,-1)':h=ih:x=0:y=0:exact=1",
            v.width, v.height
        );
        std::iter::once(same).chain(v.turn.filters()).collect()
    }

    /// A filter that gives frames with one and the same time, or with none, distinct times in the order in which they
    /// are decoded: each comes a millisecond (at least one unit of the time base) after the one before, and no earlier
    /// than the file says. Times that go far back are left alone, so that the pipe refuses them, unless damage is
    /// allowed.
    fn distinct_times(&self) -> String {
        let TimeBase { num, den } = self.time_base();
        let millisecond = den.div_ceil(1000 * num.max(1)).max(1);
        let back = if self.options.allow_damaged {
            1e18
        } else {
            (FURTHEST_BACK * f64::from(den) / f64::from(num)).ceil()
        };
        let gap = "(PTS-PREV_INPTS)";
        let least = format!("if(gt({gap},0),min({gap},{millisecond}),{millisecond})");
        let ahead = format!("max(PTS,PREV_OUTPTS+{least})");
        format!("setpts='if(isnan(PREV_OUTPTS),PTS,if(lt({gap},-{back}),PTS,{ahead}))'")
    }

    /// Arguments for one stream of raw frames per chain of filters.
    fn outputs(&self, chains: &[Vec<String>]) -> Vec<String> {
        let v = &self.probe.video;
        let base = format!("{}:{}", v.time_base.num, v.time_base.den);
        let mut args = Vec::new();
        for (i, filters) in chains.iter().enumerate() {
            args.extend(["-map".into(), format!("0:{}", v.index)]);
            args.extend([
                format!("-filter:v:{i}"),
                [&filters[..], &[self.distinct_times()]].concat().join(","),
            ]);
        }
        let all = [
            "-c:v",
            "rawvideo",
            "-noautoscale",
            "-fps_mode",
            "passthrough",
            // Of the pictures alone: samples of sound are counted finer than these.
            "-enc_time_base:v",
            &base,
        ];
        args.extend(all.map(String::from));
        args
    }

    /// Filters from the decoded frame to what is covered.
    fn covered(&self) -> Vec<String> {
        let mut filters = self.upright();
        if self.tone_maps() {
            filters.extend(self.mapping(self.layout.name(false)));
        } else {
            filters.extend(self.stored());
        }
        filters
    }

    /// Starts the search's pass.
    ///
    /// # Errors
    /// When the decoder can't be started.
    pub fn search(&self, pass: &FirstPass) -> Result<Search, StreamError> {
        let views = match pass.pixels {
            Some(pixels) => self.views(pixels),
            None => vec![self.timing()],
        };
        let mut chains: Vec<Vec<String>> = views.iter().map(|v| v.filters.clone()).collect();
        let mut sizes: Vec<(u32, u32)> = views.iter().map(|v| v.size).collect();
        // Shape that changes midway makes copies wider.
        let bytes = |v: &View| u64::from(v.size.0 + views::RESHAPED) * u64::from(v.size.1) * 3;
        let mut largest = views.iter().map(bytes).max().unwrap_or(0);
        if pass.fingerprints {
            chains.push(self.covered());
            sizes.push((self.layout.width, self.layout.height));
            largest = largest.max(self.layout.bytes() as u64);
        }
        // Times of a transport stream are counted from the first packet of the streams that are
        // read, so both passes must read the same ones.
        let mut heard = Vec::new();
        for one in self.probe.audio.iter().filter(|_| pass.audio) {
            heard.extend(["-map".into(), format!("0:{}", one.index)]);
        }
        if !heard.is_empty() {
            heard.extend(["-c", "copy", "-f", "null", "-"].map(String::from));
        }
        let args = [heard, self.outputs(&chains)].concat();
        let (child, pipe) = self.programs.decoder(&self.reading(), &args)?;
        let packets = Packets::new(child, pipe, largest)?;
        packets.expect(&sizes, 0)?;
        let sizes = views.iter().map(|v| v.size).collect();
        let fingerprints = pass.fingerprints.then(Fingerprints::default);
        let damaged = self.options.allow_damaged.then(|| self.faults.clone());
        Ok(Search::new(
            packets,
            sizes,
            self.time_base(),
            fingerprints,
            damaged,
        ))
    }

    /// Starts the covering pass, with sound where `audio` asks for it: 16 bits, interleaved. `fingerprints`: of the frames
    /// that were searched; another frame is an error.
    ///
    /// # Errors
    /// When the decoder can't be started.
    pub fn planes(
        &self,
        audio: bool,
        fingerprints: Option<Fingerprints>,
    ) -> Result<Uncovered, StreamError> {
        let mut output = self.outputs(&[self.covered()]);
        let sound: Vec<_> = if audio {
            self.probe.audio.iter().collect()
        } else {
            Vec::new()
        };
        for (i, one) in sound.iter().enumerate() {
            output.extend(["-map".into(), format!("0:{}", one.index)]);
            // Gaps are filled and overlaps cut, so that samples can be counted.
            let mix = one.downmix().map(|f| format!("{f},")).unwrap_or_default();
            output.extend([
                format!("-ac:a:{i}"),
                one.written_channels().to_string(),
                format!("-filter:a:{i}"),
                format!("{mix}aresample=async=1:first_pts=0,asetpts=N/SR/TB"),
            ]);
        }
        if audio {
            output.extend(["-c:a", "pcm_s16le"].map(String::from));
        }
        let (child, pipe) = self.programs.decoder(&self.reading(), &output)?;
        let largest =
            (self.layout.bytes() as u64).max(if sound.is_empty() { 0 } else { MOST_SOUND });
        let packets = Packets::new(child, pipe, largest)?;
        packets.expect(&[(self.layout.width, self.layout.height)], sound.len())?;
        Ok(Uncovered {
            packets,
            layout: self.layout,
            base: self.time_base(),
            damaged: self.options.allow_damaged.then(|| self.faults.clone()),
            fingerprints,
            given: 0,
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
