//! What was typed.

mod parse;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum, error::ErrorKind};
use unface::{Format, Rect, detect::rule::Sensitivity};

use super::{exit::Exit, messages};
use parse::{color, pixels, place, preset, rate, score, stretch};

const USAGE: &str = "unface [OPTIONS] INPUT...\n       unface detect [OPTIONS] INPUT...\n       unface verify [OPTIONS] FILE...";
const AFTER: &str = "\
erase, fill and image keep nothing of a face; blur and pixelate keep a trace: of 38 people an
attacker with other photos of them named 2 to 5 of 100 right, where a guess names 3. Publish one
cover of a photo only. Faces are missed sometimes: look at every picture before you post it.
Clothes, tattoos, places and voices identify people too. `unface --help-all` lists every option,
`unface detect --help` and `unface verify --help` are about finding faces and checking files.";

/// Makes people in photos and videos unrecognisable and strips everything else from the files.
#[derive(Parser, Debug)]
#[command(name = "unface", version, disable_version_flag = true, disable_help_flag = true, override_usage = USAGE, after_help = AFTER, max_term_width = 100)]
pub struct Cover {
    #[command(flatten)]
    pub inputs: Inputs,

    /// Folder, file or - [default: NAME.unface.SUFFIX beside the input]
    #[arg(short, long, value_name = "PATH", help_heading = "Output")]
    pub output: Option<OsString>,
    /// jpg, png, webp, tiff, bmp, gif or avif [default: the input's; jpg for HEIC]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<Format>,
    /// Quality of JPEG, AVIF and lossy WebP, 1 to 100
    #[arg(long, value_name = "N", default_value_t = unface::encode::DEFAULT_QUALITY, value_parser = clap::value_parser!(u8).range(1..=100), hide_short_help = true, help_heading = "Output")]
    pub quality: u8,
    /// keep, or neutral: names and times that tell nothing
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "keep",
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = "Output"
    )]
    pub names: Names,
    /// Replace outputs that exist
    #[arg(long, conflicts_with = "skip_existing", help_heading = "Output")]
    pub overwrite: bool,
    /// Go on after a stop: skip what --report FILE of the earlier run says is done, and add to it
    #[arg(long, help_heading = "Output")]
    pub skip_existing: bool,
    /// Draw numbered outlines over the covered picture
    #[arg(long, help_heading = "Output")]
    pub preview_boxes: bool,
    /// Only print what would be written where
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
    /// JSON line on every input; ties names to faces: keep it safe
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    pub report: Option<OsString>,

    /// blur, pixelate, erase, fill or image [default: blur; image with --image]
    #[arg(
        long,
        value_enum,
        value_name = "EFFECT",
        hide_possible_values = true,
        help_heading = "Covering"
    )]
    pub effect: Option<EffectName>,
    /// Averages across a face that blur and pixelate keep; 3 to 6 are weak
    #[arg(long, value_name = "N", default_value_t = unface::redact::effect::DEFAULT_CELLS, value_parser = clap::value_parser!(u32).range(1..=6), hide_short_help = true, help_heading = "Covering")]
    pub cells: u32,
    /// Let blur and pixelate keep more than a trace
    #[arg(long, hide = true, help_heading = "Covering")]
    pub weak_effect_i_accept_the_risk: bool,
    /// Share of the usual noise in blur and pixelate, 0 to 1; below 1 is weak
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = score, hide = true)]
    pub noise: f32,
    /// Search covered photos again: quick, thorough or off
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "quick",
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = "Finding"
    )]
    pub recheck: RecheckName,
    /// Make the pattern of the camera's sensor fainter, in photos
    #[arg(long, hide_short_help = true, help_heading = "Covering")]
    pub scramble: bool,
    /// Colour of fill, and behind --image
    #[arg(long, value_name = "RRGGBB", default_value = "000000", value_parser = color, hide_short_help = true, help_heading = "Covering")]
    pub color: [u8; 3],
    /// Picture to put over faces
    #[arg(
        long,
        value_name = "FILE",
        hide_short_help = true,
        help_heading = "Covering"
    )]
    pub image: Option<PathBuf>,
    /// Size of what is covered, times the face, 1.3 to 5
    #[arg(long, value_name = "FACTOR", default_value_t = unface::redact::LEAST_REGION, hide_short_help = true, help_heading = "Covering")]
    pub region: f32,
    /// Cover one more place, in pixels of the upright picture; repeatable
    #[arg(long, value_name = "X,Y,W,H", value_parser = place, allow_hyphen_values = true, help_heading = "Covering")]
    pub cover: Vec<Rect>,
    /// Cover these boxes, as `unface detect` prints them; no search
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sensitivity", "threshold", "model", "recheck"], help_heading = "Covering")]
    pub boxes: Option<PathBuf>,

    /// Sound of videos: drop, keep or disguise
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "drop",
        help_heading = "Videos"
    )]
    pub audio: unface::sound::Audio,
    /// Silence this stretch, in seconds or [H:]M:S; repeatable
    #[arg(long, value_name = "FROM-TO", value_parser = stretch, hide_short_help = true, help_heading = "Videos")]
    pub mute: Vec<(f64, f64)>,
    /// h264, hevc, av1 or vp9 [default: h264; hevc for 10 bits; vp9 for WebM]
    #[arg(
        long,
        value_enum,
        value_name = "CODEC",
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = "Videos"
    )]
    pub codec: Option<CodecName>,
    /// Cover the clips of motion photos too, as NAME.mp4 [default: drop them]
    #[arg(
        long,
        conflicts_with = "boxes",
        hide_short_help = true,
        help_heading = "Videos"
    )]
    pub keep_motion: bool,
    /// Quality of videos, lower is better [default: 20 for h264]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=63), hide_short_help = true, help_heading = "Videos")]
    pub crf: Option<u8>,
    /// Bring high dynamic range (PQ, HLG) to usual colours (BT.709)
    #[arg(long, hide_short_help = true, help_heading = "Videos")]
    pub tone_map: bool,
    /// Colour of videos: 420, which everything plays, or source: as fine as in the input [default: 420]
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        default_value = "420",
        hide_possible_values = true,
        hide_default_value = true,
        hide_short_help = true,
        help_heading = "Videos"
    )]
    pub chroma: ChromaName,
    /// Speed of the video encoder, from ultrafast to veryslow; AV1 and VP9 know numbers too [default: medium for h264]
    #[arg(long, value_name = "NAME", value_parser = preset, hide_short_help = true, help_heading = "Videos")]
    pub preset: Option<String>,

    #[command(flatten)]
    pub finding: Finding,
    #[command(flatten)]
    pub reading: Reading,

    /// Print this
    #[arg(short, long, action = clap::ArgAction::HelpShort, help_heading = "Other")]
    pub help: Option<bool>,
    /// Print every option
    #[arg(long, action = clap::ArgAction::HelpLong, help_heading = "Other")]
    pub help_all: Option<bool>,
    /// Print the licences of all parts
    #[arg(long, hide_short_help = true, help_heading = "Other")]
    pub licenses: bool,
    /// Print the version; with --verbose model, runtime, effects and limits
    #[arg(short = 'V', long, help_heading = "Other")]
    pub version: bool,
    /// Say more with --version
    #[arg(long, requires = "version", hide = true)]
    pub verbose: bool,
    /// Print the man page of unface, or of its detect or verify
    #[arg(long, value_name = "PAGE", num_args = 0..=1, default_missing_value = "unface", hide = true)]
    pub man: Option<String>,
    /// Print completions for a shell: bash, zsh, fish, powershell or elvish
    #[arg(long, value_name = "SHELL", hide = true)]
    pub completions: Option<clap_complete::Shell>,
    /// Seed of the noise, for tests: whoever knows it can subtract the noise
    #[arg(long, hide = true)]
    pub seed: Option<u64>,
}

/// Finds faces and prints them as JSON lines; writes no pictures.
#[derive(Parser, Debug)]
#[command(
    name = "unface detect",
    bin_name = "unface detect",
    version,
    max_term_width = 100
)]
pub struct Detect {
    #[command(flatten)]
    pub inputs: Inputs,
    #[command(flatten)]
    pub finding: Finding,
    /// One pass at native size, no size rule, no least size: for measuring a model
    #[arg(long, help_heading = "Finding")]
    pub raw: bool,
    #[command(flatten)]
    pub reading: Reading,
}

/// Names everything in files that is no pixel, and fails if there is something.
#[derive(Parser, Debug)]
#[command(
    name = "unface verify",
    bin_name = "unface verify",
    version,
    max_term_width = 100
)]
pub struct Verify {
    /// Files, folders with all files in them, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// A JSON line on every file
    #[arg(long)]
    pub json: bool,
    /// Largest file that is read, and memory that its pictures may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub max_memory: u64,
    #[command(flatten)]
    pub colour: Colour,
}

#[derive(Args, Debug, Clone, Copy)]
pub struct Colour {
    /// Colours in messages: auto, always or never
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = "Other"
    )]
    pub color_output: When,
}

/// When messages are coloured.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Auto,
    Always,
    Never,
}

/// How finely the colour of videos is stored.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChromaName {
    /// Half as wide and high as the brightness.
    #[value(name = "420")]
    Quarter,
    /// As in the input.
    Source,
}

/// What outputs are called.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Keep,
    Neutral,
}

#[derive(Args, Debug)]
pub struct Inputs {
    /// Photos, folders, or - for standard input
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Take inputs from a list, a name a line
    #[arg(long, value_name = "FILE|-", help_heading = "Input")]
    pub files_from: Option<PathBuf>,
    /// The same, names ended by NUL, as find -print0 writes them
    #[arg(
        long,
        value_name = "FILE|-",
        conflicts_with = "files_from",
        hide_short_help = true,
        help_heading = "Input"
    )]
    pub files_from0: Option<PathBuf>,
    /// Each input is a folder of numbered frames of one scene
    #[arg(long, conflicts_with_all = ["files_from", "files_from0"], help_heading = "Input")]
    pub sequence: bool,
    /// Frames a second of --sequence, as people move by them
    #[arg(long, value_name = "FPS", requires = "sequence", default_value_t = 25.0, value_parser = rate, hide_short_help = true, help_heading = "Input")]
    pub rate: f64,
}

#[derive(Args, Debug)]
pub struct Finding {
    /// How readily a face is seen: low, normal, high or max [default: normal]
    #[arg(long, value_name = "LEVEL", help_heading = "Finding")]
    pub sensitivity: Option<Sensitivity>,
    /// Least score for every size, 0 to 1, instead of --sensitivity
    #[arg(long, value_name = "SCORE", conflicts_with = "sensitivity", value_parser = score, hide_short_help = true, help_heading = "Finding")]
    pub threshold: Option<f32>,
    /// Pass over faces lower than this
    #[arg(long, value_name = "PIXELS", default_value_t = unface::detect::MIN_FACE, value_parser = pixels, hide_short_help = true, help_heading = "Finding")]
    pub min_face: f32,
    /// Another CenterFace, YuNet, UltraFace or SCRFD detector; `small-int8`: our fast one alone
    #[arg(
        long,
        value_name = "FILE",
        hide_short_help = true,
        help_heading = "Finding"
    )]
    pub model: Option<PathBuf>,
    /// The ONNX Runtime library
    #[arg(
        long,
        value_name = "FILE",
        hide_short_help = true,
        help_heading = "Finding"
    )]
    pub onnxruntime: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Reading {
    /// Take what is there of damaged pictures
    #[arg(long, hide_short_help = true, help_heading = "Reading")]
    pub allow_damaged: bool,
    /// EXIF orientation, 1 to 8, instead of what the files say; pictures only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8), hide_short_help = true, help_heading = "Reading")]
    pub orientation: Option<u8>,
    /// Scale frames of videos whose size changes midway to the first size
    #[arg(long, hide_short_help = true, help_heading = "Reading")]
    pub fit: bool,
    /// Which video of files that hold several, counted from 1 [default: refuse them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..), hide_short_help = true, help_heading = "Reading")]
    pub video_stream: Option<u8>,
    /// Largest decoded picture in MiB; all frames of an animation together may take 32 times as much
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1 << 20), hide_short_help = true, help_heading = "Reading")]
    pub max_memory: u64,
    /// Decode in this process, not in children that can do nothing else
    #[arg(
        long,
        conflicts_with = "require_sandbox",
        hide_short_help = true,
        help_heading = "Reading"
    )]
    pub no_sandbox: bool,
    /// Refuse to work where the system can't hold those children fully
    #[arg(long, hide_short_help = true, help_heading = "Reading")]
    pub require_sandbox: bool,
    /// Pictures at the same time [default: number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), hide_short_help = true, help_heading = "Other")]
    pub jobs: Option<u16>,
    /// Exit with 1 if a file has no face, or something in it that a person should check
    #[arg(long, help_heading = "Other")]
    pub strict: bool,
    /// Say only what went wrong
    #[arg(short, long, help_heading = "Other")]
    pub quiet: bool,
    #[command(flatten)]
    pub colour: Colour,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectName {
    Blur,
    Pixelate,
    Erase,
    Fill,
    Image,
}

/// How covered photos are searched again.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecheckName {
    Quick,
    Thorough,
    Off,
}

/// How videos are compressed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecName {
    H264,
    Hevc,
    Av1,
    Vp9,
}

/// What is to be done.
pub enum Command {
    Cover(Box<Cover>),
    Detect(Box<Detect>),
    Verify(Verify),
}

/// Clap's own answer: help, version or what is wrong with the command.
pub struct Answer(clap::Error);

impl Answer {
    pub fn print(self) -> Exit {
        let asked = !self.0.use_stderr();
        if asked {
            let _ = messages::out(self.0.render().to_string().trim_end());
            Exit::Done
        } else {
            messages::line(self.0.render().to_string().trim_end());
            Exit::Usage
        }
    }
}

impl Command {
    /// Reads the arguments. The main job has no subcommand, so `detect` and `verify` count only as the
    /// first word; a file of that name is `./detect`.
    pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, Answer> {
        let mut args: Vec<OsString> = args.collect();
        if args.get(1).is_some_and(|a| a == "detect") {
            args.remove(1);
            return read::<Detect>(args).map(|a| Self::Detect(Box::new(a)));
        }
        if args.get(1).is_some_and(|a| a == "verify") {
            args.remove(1);
            return read::<Verify>(args).map(Self::Verify);
        }
        let cover = read::<Cover>(args)?;
        let misplaced = |p: &&PathBuf| {
            ["detect", "verify"].iter().any(|s| p.as_os_str() == *s)
                && p.symlink_metadata().is_err()
        };
        if let Some(word) = cover.inputs.inputs.iter().find(misplaced) {
            let word = word.display();
            return Err(Answer(Cover::command().error(
                ErrorKind::InvalidSubcommand,
                format!("{word} stands before all options: `unface {word} [OPTIONS] ...`"),
            )));
        }
        Ok(Self::Cover(Box::new(cover)))
    }

    /// Whether a picture without a face counts as a failure.
    pub fn strict(&self) -> bool {
        match self {
            Self::Cover(a) => a.reading.strict,
            Self::Detect(a) => a.reading.strict,
            Self::Verify(_) => true,
        }
    }

    /// When messages are coloured.
    pub fn colour(&self) -> When {
        match self {
            Self::Cover(a) => a.reading.colour.color_output,
            Self::Detect(a) => a.reading.colour.color_output,
            Self::Verify(a) => a.colour.color_output,
        }
    }
}

fn read<T: CommandFactory + FromArgMatches>(args: Vec<OsString>) -> Result<T, Answer> {
    T::command()
        .try_get_matches_from(args)
        .and_then(|m| T::from_arg_matches(&m))
        .map_err(Answer)
}
