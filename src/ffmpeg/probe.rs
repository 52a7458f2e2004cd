//! What `ffprobe` says of a video, as far as it matters here.

use serde_json::Value;

use super::{StreamError, nut::TimeBase};

/// A video.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Its picture stream.
    pub video: Video,
    /// Its sound, in order.
    pub audio: Vec<Audio>,
    /// What else it holds, by name: subtitles, data, attachments, cover pictures, chapters.
    pub others: Vec<String>,
    /// Seconds of the whole file, 0 where unknown.
    pub duration: f64,
    /// When the first stream begins, in seconds.
    pub start: f64,
}

/// A stream of pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// Its number in the file.
    pub index: u64,
    /// The codec by its name in ffmpeg.
    pub codec: String,
    /// As stored, in pixels.
    pub width: u32,
    /// As stored, in pixels.
    pub height: u32,
    /// The kind of pixels by its name in ffmpeg.
    pub pixels: String,
    /// What its times count.
    pub time_base: TimeBase,
    /// Width to height of a stored pixel; 1, 1 where unknown.
    pub aspect: (u32, u32),
    /// How the stored picture must be turned.
    pub turn: Turn,
    /// When it ends, in seconds from the file's start; `None` where neither the container nor
    /// Matroska's tag for it says so.
    pub end: Option<f64>,
    /// Frames, where the container says so.
    pub frames: Option<u64>,
    /// Frames a second on average, 0 where unknown.
    pub rate: f64,
    /// The top field comes first, or the bottom one; `None` if progressive.
    pub interlaced: Option<bool>,
    /// Colour, by its names in ffmpeg: range, primaries, transfer, matrix; `None` where unknown.
    pub colour: [Option<String>; 4],
    /// Transparency lies in a second picture that ffmpeg's own decoder passes over.
    pub transparent: bool,
}

/// A stream of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Its number in the file.
    pub index: u64,
    /// Samples a second.
    pub rate: u32,
    /// Channels.
    pub channels: u32,
    /// Their arrangement by its name in ffmpeg, where it has one.
    pub layout: String,
    /// The codec by its name or four letters, where ffmpeg has no decoder for it.
    pub undecodable: Option<String>,
}

impl Audio {
    /// Channels that are written: mono, stereo, or the arrangements of five, six and eight that the encoders of AAC
    /// and Opus both know. Others are mixed into the next smaller one.
    #[must_use]
    pub fn written_channels(&self) -> u32 {
        match self.channels {
            _ if self.downmix().is_some() => 2,
            0..=2 => self.channels,
            3 | 4 => 2,
            5 => 5,
            6 | 7 => 6,
            _ => 8,
        }
    }

    /// The filter for channels that ffmpeg can't mix by itself: sound fields (ambisonics, whose first channels are
    /// W and Y, left against right), and arrangements without a name, of which the even ones go left.
    #[must_use]
    pub fn downmix(&self) -> Option<String> {
        if self.layout.starts_with("ambisonic") && self.channels > 1 {
            return Some("pan=stereo|c0=0.7*c0+0.5*c1|c1=0.7*c0-0.5*c1".into());
        }
        let unnamed = self.layout.contains("channels");
        let listed = self.channels <= 8 || self.layout == "hexadecagonal";
        (self.channels > 2 && (unnamed || !listed)).then(|| {
            let share = 1.0 / f64::from(self.channels.div_ceil(2));
            let side = |first: u32| {
                let of = (first..self.channels).step_by(2);
                let parts: Vec<String> = of.map(|c| format!("{share:.3}*c{c}")).collect();
                parts.join("+")
            };
            format!("pan=stereo|c0={}|c1={}", side(0), side(1))
        })
    }
}

/// A turn in quarters clockwise, after a mirroring from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Mirrored first.
    pub mirrored: bool,
    /// 0 to 3 quarters clockwise.
    pub quarters: u8,
}

impl Turn {
    /// Whether width and height change places.
    #[must_use]
    pub const fn swaps(self) -> bool {
        self.quarters % 2 == 1
    }

    /// ffmpeg's filters for it.
    #[must_use]
    pub fn filters(self) -> Vec<String> {
        let mirror = self.mirrored.then_some("hflip");
        let turn: &[&str] = match self.quarters {
            1 => &["transpose=clock"],
            2 => &["hflip", "vflip"],
            3 => &["transpose=cclock"],
            _ => &[],
        };
        mirror
            .into_iter()
            .chain(turn.iter().copied())
            .map(String::from)
            .collect()
    }

    /// The turn in the side data of a stream or frame of `ffprobe`'s JSON; `None` where it has none.
    ///
    /// # Errors
    /// When it is not by quarters.
    pub(super) fn of_side_data(of: &Value) -> Result<Option<Self>, StreamError> {
        let mut turn = None;
        for data in of["side_data_list"].as_array().into_iter().flatten() {
            let Some(matrix) = data["displaymatrix"].as_str() else {
                continue;
            };
            let numbers: Vec<f64> = matrix
                .lines()
                .filter_map(|l| l.split_once(':'))
                .flat_map(|(_, row)| row.split_whitespace().filter_map(|n| n.parse().ok()))
                .collect();
            let read = (numbers.len() == 9).then(|| Self::of(&numbers)).flatten();
            turn = Some(read.ok_or_else(|| {
                bad("is to be shown turned by an angle that is no quarter, or stretched")
            })?);
        }
        Ok(turn)
    }

    /// From a display matrix, row by row in 16.16 (its third column passed over): where the
    /// picture's axes go.
    fn of(m: &[f64]) -> Option<Self> {
        let (a, b, c, d) = (m[0], m[1], m[3], m[4]);
        let one = a.abs().max(b.abs());
        let near = |v: f64, w: f64| (v - w * one).abs() <= one * 0.01;
        // Points are rows: x' = a·x + c·y, y' = b·x + d·y, with y pointing down.
        for quarters in 0..4u8 {
            let (cos, sin) =
                [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][usize::from(quarters)];
            for mirrored in [false, true] {
                let flip = if mirrored { -1.0 } else { 1.0 };
                if near(a, cos * flip) && near(b, sin * flip) && near(c, -sin) && near(d, cos) {
                    return Some(Self { mirrored, quarters });
                }
            }
        }
        None
    }
}

/// What a container tells of the whole video that the output will not hold: title, place, device, chapters.
fn told(all: &Value) -> Vec<String> {
    // What kind of container it is, and how long.
    const PLAIN: [&str; 4] = [
        "major_brand",
        "minor_version",
        "compatible_brands",
        "duration",
    ];
    let tags = all["format"]["tags"].as_object().into_iter().flatten();
    let mut told: Vec<String> = tags
        .map(|(key, _)| key.to_lowercase().escape_debug().to_string())
        .filter(|key| !PLAIN.contains(&key.as_str()))
        .map(|key| format!("tag {key}"))
        .take(MOST_TOLD)
        .collect();
    if all["chapters"].as_array().is_some_and(|c| !c.is_empty()) {
        told.push("chapters".into());
    }
    told
}

/// Most tags of a container that are named.
const MOST_TOLD: usize = 32;

fn bad(what: &str) -> StreamError {
    StreamError::Failed(format!("{what}; convert it with another program first"))
}

fn number(v: &Value) -> Option<f64> {
    v.as_f64()
        .or_else(|| v.as_str()?.parse().ok())
        .filter(|n| n.is_finite())
}

fn ratio(v: &Value, between: char) -> Option<(u32, u32)> {
    let (a, b) = v.as_str()?.split_once(between)?;
    let (a, b) = (a.parse().ok()?, b.parse().ok()?);
    (a > 0 && b > 0).then_some((a, b))
}

impl Probe {
    /// Reads `ffprobe`'s JSON. `stream`: which picture stream, counted from 1.
    ///
    /// # Errors
    /// When there is no picture stream, several of which none was chosen, or one that can't be handled rightly.
    pub fn parse(json: &[u8], stream: Option<u8>) -> Result<Self, StreamError> {
        let all: Value =
            serde_json::from_slice(json).map_err(|e| StreamError::Nut(e.to_string()))?;
        let none = Vec::new();
        let streams = all["streams"].as_array().unwrap_or(&none);
        let start = number(&all["format"]["start_time"]).unwrap_or(0.0);
        let duration = number(&all["format"]["duration"]).unwrap_or(0.0);
        let (mut videos, mut audio, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for stream in streams {
            let kind = stream["codec_type"].as_str().unwrap_or("unknown");
            let cover = stream["disposition"]["attached_pic"] == 1
                || stream["disposition"]["timed_thumbnails"] == 1;
            match kind {
                "video" if cover => others.push("cover picture".to_owned()),
                "video" => {
                    let sides = stream["side_data_list"].as_array().into_iter().flatten();
                    let bright = |d: &&Value| {
                        let kind = d["side_data_type"].as_str().unwrap_or("");
                        kind.starts_with("Mastering display") || kind.starts_with("Content light")
                    };
                    if sides.filter(bright).count() > 0 {
                        others.push("brightness of the mastering display".into());
                    }
                    videos.push(stream);
                }
                "audio" => audio.push(audio_of(stream)?),
                "subtitle" => others.push("subtitles".into()),
                "attachment" => others.push("attachment".into()),
                _ => {
                    let tag = stream["codec_tag_string"]
                        .as_str()
                        .unwrap_or("")
                        .escape_debug()
                        .to_string();
                    others.push(format!("data track {tag}"));
                }
            }
        }
        // Beside a track that can be decoded, one that can't is left out; alone it is refused where it is wanted.
        if audio.iter().any(|a| a.undecodable.is_none()) {
            let (known, unknown): (Vec<Audio>, Vec<Audio>) =
                audio.into_iter().partition(|a| a.undecodable.is_none());
            let named = |a: Audio| {
                format!(
                    "sound of an unknown kind ({})",
                    a.undecodable.unwrap_or_default()
                )
            };
            others.extend(unknown.into_iter().map(named));
            audio = known;
        }
        others.extend(told(&all));
        let video = video_of(chosen(&videos, stream)?, start)?;
        let left_out = videos.len() - 1;
        others.extend((0..left_out).map(|_| "another video".to_owned()));
        Ok(Self {
            video,
            audio,
            others,
            duration,
            start,
        })
    }
}

/// The one video, or the one that was chosen, counted from 1.
fn chosen<'a>(videos: &[&'a Value], stream: Option<u8>) -> Result<&'a Value, StreamError> {
    let listed = || {
        let one = |(i, v): (usize, &&Value)| {
            let codec = v["codec_name"].as_str().unwrap_or("unknown").escape_debug();
            format!("{} is {codec}, {} × {}", i + 1, v["width"], v["height"])
        };
        videos
            .iter()
            .enumerate()
            .map(one)
            .collect::<Vec<_>>()
            .join("; ")
    };
    match (videos, stream.map(usize::from)) {
        ([], _) => Err(bad("holds sound or data but no video")),
        ([one], None | Some(1)) => Ok(one),
        (_, Some(n)) => videos.get(n - 1).copied().ok_or_else(|| {
            StreamError::Failed(format!(
                "has no video {n} ({}); correct --video-stream",
                listed()
            ))
        }),
        (_, None) => Err(StreamError::Failed(format!(
            "holds {} videos at once ({}); choose one with --video-stream N",
            videos.len(),
            listed()
        ))),
    }
}

/// Hours, minutes and seconds that Matroska's writers leave in a tag, as seconds.
fn tagged(s: &Value) -> Option<f64> {
    let mut parts = s["tags"]["DURATION"].as_str()?.trim().splitn(3, ':');
    let mut seconds = 0.0;
    for _ in 0..3 {
        let part: f64 = parts.next()?.parse().ok()?;
        if !part.is_finite() || part < 0.0 {
            return None;
        }
        seconds = seconds * 60.0 + part;
    }
    Some(seconds)
}

fn audio_of(s: &Value) -> Result<Audio, StreamError> {
    let whole = |v: &Value| {
        number(v)
            .filter(|n| *n >= 1.0 && *n <= 1e6)
            .map(|n| n as u32)
    };
    let name = |v: &Value| {
        v.as_str()
            .filter(|n| !n.is_empty() && *n != "unknown")
            .map(|n| n.escape_debug().to_string())
    };
    let (rate, channels) = (whole(&s["sample_rate"]), whole(&s["channels"]));
    let codec = name(&s["codec_name"]);
    // ffprobe names the kind of samples where it has a decoder.
    let known = codec.is_some() && name(&s["sample_fmt"]).is_some();
    let undecodable = (!known || rate.is_none() || channels.is_none()).then(|| {
        let letters = name(&s["codec_tag_string"]).filter(|tag| !tag.starts_with('['));
        codec.or(letters).unwrap_or_else(|| "no name".into())
    });
    Ok(Audio {
        index: s["index"].as_u64().unwrap_or(0),
        rate: rate.unwrap_or(0),
        channels: channels.unwrap_or(0),
        layout: name(&s["channel_layout"]).unwrap_or_default(),
        undecodable,
    })
}

fn video_of(s: &Value, start: f64) -> Result<Video, StreamError> {
    let side = |v: &Value| {
        v.as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .filter(|&n| n > 0)
    };
    let (width, height) = side(&s["width"])
        .zip(side(&s["height"]))
        .ok_or_else(|| bad("holds a video without a size"))?;
    let (num, den) =
        ratio(&s["time_base"], '/').ok_or_else(|| bad("holds a video without times"))?;
    let text = |v: &Value| {
        v.as_str()
            .filter(|t| *t != "unknown" && *t != "unspecified" && !t.is_empty())
            .map(str::to_owned)
    };
    let turn = Turn::of_side_data(s)?.unwrap_or_default();
    let rate = ratio(&s["avg_frame_rate"], '/').or_else(|| ratio(&s["r_frame_rate"], '/'));
    let begin = number(&s["start_time"]).unwrap_or(start);
    let interlaced = match s["field_order"].as_str() {
        Some("tt" | "bt") => Some(true),
        Some("bb" | "tb") => Some(false),
        _ => None,
    };
    let transparent = s["tags"]
        .as_object()
        .into_iter()
        .flatten()
        .any(|(name, v)| name.eq_ignore_ascii_case("alpha_mode") && v.as_str() != Some("0"));
    Ok(Video {
        index: s["index"].as_u64().unwrap_or(0),
        codec: text(&s["codec_name"]).unwrap_or_default(),
        width,
        height,
        pixels: text(&s["pix_fmt"]).ok_or_else(|| bad("holds a video that ffmpeg can't decode"))?,
        time_base: TimeBase { num, den },
        aspect: ratio(&s["sample_aspect_ratio"], ':').unwrap_or((1, 1)),
        turn,
        end: number(&s["duration"])
            .map(|d| begin + d - start)
            .or_else(|| tagged(s).map(|end| end - start)),
        frames: number(&s["nb_frames"]).map(|n| n as u64),
        rate: rate.map_or(0.0, |(a, b)| f64::from(a) / f64::from(b)),
        interlaced,
        colour: [
            text(&s["color_range"]),
            text(&s["color_primaries"]),
            text(&s["color_transfer"]),
            text(&s["color_space"]),
        ],
        transparent,
    })
}
