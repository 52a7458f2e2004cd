//! What was typed → what is done, resolved once.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use unface::{
    Error, Settings, ShownPath, decode, detect,
    detect::{
        Detector,
        family::Family,
        manifest::{self, Entry},
        model::Model,
        rule::{Rule, Sensitivity},
        session::{Network, Runtime},
    },
    discover::Request,
    pipeline::{Faces, Task},
    redact,
    report::{Boxes, MAX_FILE},
};

use super::{
    Refusal,
    args::{CodecName, Command, Cover, EffectName, Finding, Inputs, Reading},
    messages, places, usage,
};

/// Pixels in memory at the same time, at most, unless one picture alone needs more.
const MEMORY: u64 = 1 << 30;
/// Overlap above which one of two boxes goes, for `detect --raw`.
const RAW_NMS: f32 = 0.4;

/// The whole command, resolved.
pub struct Resolved {
    pub request: Request,
    pub quiet: bool,
    pub dry_run: bool,
    pub detects: bool,
    cover: Option<Box<Cover>>,
    raw: bool,
    finding: Finding,
    decode: decode::Options,
    jobs: usize,
}

impl Resolved {
    pub fn new(command: Command) -> Result<Self, Refusal> {
        let (inputs, finding, reading, cover, raw) = match command {
            Command::Cover(mut a) => {
                if a.licenses {
                    return Err(licenses());
                }
                let inputs = std::mem::replace(
                    &mut a.inputs,
                    Inputs {
                        inputs: Vec::new(),
                        files_from: None,
                        files_from0: None,
                    },
                );
                let (finding, reading) =
                    (take_finding(&mut a.finding), take_reading(&mut a.reading));
                (inputs, finding, reading, Some(a), false)
            }
            Command::Detect(a) => (a.inputs, a.finding, a.reading, None, a.raw),
        };
        let list = inputs.files_from.is_some() || inputs.files_from0.is_some();
        if list && !inputs.inputs.is_empty() {
            return Err(usage(
                "inputs and a list can't be mixed; put all names into the list",
            ));
        }
        let listed = match (&inputs.files_from, &inputs.files_from0) {
            (Some(file), _) => read_list(file, b'\n')?,
            (_, Some(file)) => read_list(file, 0)?,
            _ => Vec::new(),
        };
        let mut request = Request {
            inputs: inputs.inputs,
            listed,
            list,
            look_only: cover.is_none(),
            ..Request::default()
        };
        if let Some(a) = &cover {
            request.output.clone_from(&a.output);
            request.format = a.format;
            request.overwrite = a.overwrite;
            request.skip_existing = a.skip_existing;
            check_streams(a, &request)?;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            request,
            quiet: reading.quiet,
            dry_run: cover.as_ref().is_some_and(|a| a.dry_run),
            detects: cover.is_none(),
            cover,
            raw,
            finding,
            decode: decode::Options {
                max_memory: reading.max_memory << 20,
                allow_damaged: reading.allow_damaged,
                orientation: reading.orientation,
                ..decode::Options::default()
            },
            jobs: reading.jobs.map_or(cores, usize::from),
        })
    }

    /// The network, unless boxes are given, and its family.
    pub fn detector(&self) -> Result<Option<(Detector, Family)>, Refusal> {
        // The pool whose size everything else takes from.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.jobs)
            .build_global();
        pool.map_err(|e| {
            usage(format!(
                "no threads can be made ({e}); use a smaller --jobs"
            ))
        })?;
        if self.cover.as_ref().is_some_and(|a| a.boxes.is_some()) {
            return Ok(None);
        }
        let network = self.network()?;
        let family = network.spec().family;
        let folders: Vec<PathBuf> = places::data_directory().into_iter().collect();
        let runtime =
            Runtime::load(self.finding.onnxruntime.as_deref(), &folders).map_err(Error::Setup)?;
        let open = move || {
            network
                .open(&runtime)
                .map(|m| Box::new(m) as Box<dyn Model>)
        };
        Ok(Some((Detector::new(open).map_err(Error::Setup)?, family)))
    }

    fn network(&self) -> Result<Network, Refusal> {
        let from = |path: &Path| -> Result<Vec<u8>, Refusal> {
            fs::read(path).map_err(|source| {
                Error::Read {
                    path: path.into(),
                    source,
                }
                .into()
            })
        };
        let named = |path: &Path, e: detect::DetectError| {
            Refusal::from(Error::Detect {
                path: path.into(),
                source: e,
            })
        };
        if let Some(path) = &self.finding.model {
            return Network::from_bytes(from(path)?).map_err(|e| named(path, e));
        }
        if let Some(bytes) = manifest::embedded() {
            return Network::from_bytes(bytes).map_err(|e| Error::Setup(e).into());
        }
        let entry = default_entry()?;
        let path = places::data_directory().map(|d| d.join(&entry.file)).filter(|p| p.is_file()).ok_or_else(|| {
            usage("there is no detector; run `python3 scripts/setup.py` and build again, or name one with --model FILE")
        })?;
        let bytes = from(&path)?;
        if manifest::sha256(&bytes) != entry.sha256 {
            return Err(usage(format!(
                "{}: is not the detector that it should be; remove it and run `python3 scripts/setup.py`",
                ShownPath(path)
            )));
        }
        Network::from_bytes(bytes).map_err(|e| named(&path, e))
    }

    /// The run's settings.
    pub fn settings<'a>(
        &self,
        detector: Option<&'a (Detector, Family)>,
    ) -> Result<Settings<'a>, Refusal> {
        let faces = match (
            detector,
            self.cover.as_ref().and_then(|a| a.boxes.as_deref()),
        ) {
            (Some((detector, _)), _) if self.raw => {
                let threshold = self.finding.threshold.unwrap_or(0.01);
                Faces::Raw(
                    detector,
                    detect::Raw {
                        threshold,
                        nms: RAW_NMS,
                    },
                )
            }
            (Some((detector, family)), _) => Faces::Search(detector, self.options(*family)?),
            (None, Some(path)) => Faces::Given(read_boxes(path)?),
            (None, None) => return Err(usage("there is no detector and no boxes")),
        };
        Ok(Settings {
            request: self.request.clone(),
            decode: self.decode,
            faces,
            task: self
                .cover
                .as_deref()
                .map_or(Ok(Task::Detect), |a| self.task(a))?,
            workers: self.jobs,
            memory: MEMORY.max(self.decode.max_memory),
        })
    }

    fn options(&self, family: Family) -> Result<detect::Options, Refusal> {
        let rule = match self.finding.threshold {
            Some(score) => Rule::flat(score),
            None => {
                let sensitivity: Sensitivity = self.finding.sensitivity.unwrap_or_default();
                entry(family)?.thresholds.at(sensitivity)
            }
        };
        Ok(detect::Options {
            min_face: self.finding.min_face,
            ..detect::Options::new(rule)
        })
    }

    fn task(&self, a: &Cover) -> Result<Task, Refusal> {
        let name = a.effect.unwrap_or(if a.image.is_some() {
            EffectName::Image
        } else {
            EffectName::Blur
        });
        let effect = match (name, &a.image) {
            (EffectName::Blur, _) => redact::Effect::Blur { cells: a.cells },
            (EffectName::Pixelate, _) => redact::Effect::Pixelate { cells: a.cells },
            (EffectName::Fill, _) => redact::Effect::Fill { color: a.color },
            (EffectName::Image, Some(path)) => redact::Effect::Image {
                sticker: Arc::new(sticker(path, &self.decode)?),
                under: a.color,
            },
            (EffectName::Image, None) => return Err(usage("--effect image needs --image FILE")),
        };
        let factors = redact::LEAST_REGION..=redact::LARGEST_REGION;
        if !factors.contains(&a.region) {
            let message = redact::RedactError::Region(a.region).to_string();
            return Err(usage(message));
        }
        Ok(Task::Cover {
            redact: redact::Options {
                effect,
                region: a.region,
            },
            quality: a.quality,
            places: a.cover.clone(),
            preview: a.preview_boxes,
            seed: a.seed,
            video: unface::pipeline::VideoOptions {
                choice: unface::encode::clip::Choice {
                    codec: a.codec.map(codec),
                    crf: a.crf,
                    preset: a.preset.clone(),
                },
                audio: a.audio,
                mute: a.mute.clone(),
            },
        })
    }

    /// Where the report's lines go.
    pub fn records(&self) -> Result<Option<Box<dyn Write + Send>>, Refusal> {
        let Some(a) = self.cover.as_deref() else {
            return Ok(None);
        };
        let Some(target) = &a.report else {
            return Ok(None);
        };
        if target == "-" {
            return Ok(Some(Box::new(io::stdout())));
        }
        let path = Path::new(target);
        // Never over something that is there: it could be a photo.
        let file = if a.overwrite {
            File::create(path)
        } else {
            File::create_new(path)
        };
        file.map(|f| Some(Box::new(f) as Box<dyn Write + Send>))
            .map_err(|e| Refusal {
                message: format!(
                    "{}: the report can't be written ({e}); give another name",
                    ShownPath(path.into())
                ),
                exit: super::Exit::Failed,
            })
    }
}

const fn codec(name: CodecName) -> unface::encode::clip::Codec {
    use unface::encode::clip::Codec;
    match name {
        CodecName::H264 => Codec::H264,
        CodecName::Hevc => Codec::Hevc,
        CodecName::Av1 => Codec::Av1,
        CodecName::Vp9 => Codec::Vp9,
    }
}

fn take_finding(f: &mut Finding) -> Finding {
    Finding {
        sensitivity: f.sensitivity.take(),
        threshold: f.threshold.take(),
        min_face: f.min_face,
        model: f.model.take(),
        onnxruntime: f.onnxruntime.take(),
    }
}

fn take_reading(r: &mut Reading) -> Reading {
    Reading {
        allow_damaged: r.allow_damaged,
        orientation: r.orientation,
        max_memory: r.max_memory,
        jobs: r.jobs,
        strict: r.strict,
        quiet: r.quiet,
    }
}

/// The manifest's entry whose thresholds count for a family.
fn entry(family: Family) -> Result<Entry, Refusal> {
    let entries = manifest::entries().map_err(Error::Setup)?;
    entries
        .into_iter()
        .find(|e| e.family == family)
        .ok_or_else(|| {
            usage(format!(
                "the manifest has no thresholds for {}",
                family.name()
            ))
        })
}

fn default_entry() -> Result<Entry, Refusal> {
    let entries = manifest::entries().map_err(Error::Setup)?;
    entries
        .into_iter()
        .next()
        .ok_or_else(|| usage("the manifest of models is empty"))
}

/// Pictures and text can't share standard output, and a terminal is no place for a picture.
fn check_streams(a: &Cover, request: &Request) -> Result<(), Refusal> {
    let only_stdin = request.inputs.len() == 1 && request.inputs[0] == Path::new("-");
    let to_stdout = match &request.output {
        Some(output) => output == "-",
        None => only_stdin,
    };
    if to_stdout && a.report.as_deref() == Some(std::ffi::OsStr::new("-")) {
        return Err(usage(
            "the picture and the report can't both go to standard output; give the report a file",
        ));
    }
    if to_stdout && !a.dry_run && io::stdout().is_terminal() {
        return Err(usage(
            "a picture is no use on a terminal; name a file with -o, or send standard output elsewhere",
        ));
    }
    Ok(())
}

fn read_list(file: &Path, end: u8) -> Result<Vec<PathBuf>, Refusal> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|mut f| f.read_to_end(&mut bytes))
    };
    read.map_err(|source| Error::Read {
        path: file.into(),
        source,
    })?;
    Ok(bytes
        .split(|&b| b == end)
        .map(|name| {
            if end == b'\n' {
                name.strip_suffix(b"\r").unwrap_or(name)
            } else {
                name
            }
        })
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(os_string(name)))
        .collect())
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn read_boxes(path: &Path) -> Result<Boxes, Refusal> {
    let failed = |source| Error::Boxes {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|e| failed(e.into()))?;
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|e| failed(e.into()))?;
    Boxes::parse(&text).map_err(|e| failed(e).into())
}

fn sticker(path: &Path, options: &decode::Options) -> Result<image::RgbaImage, Refusal> {
    let bytes = fs::read(path).map_err(|source| Error::Read {
        path: path.into(),
        source,
    })?;
    let photo = decode::photo(&bytes, options).map_err(|source| Error::Decode {
        path: path.into(),
        source,
    })?;
    Ok(photo.frame.into_pixels().into_rgba8())
}

/// Prints the licences; as a refusal, since nothing else is to be done.
fn licenses() -> Refusal {
    let text = include_str!("../../THIRD-PARTY.md");
    let written = messages::out(text.trim_end());
    Refusal {
        message: String::new(),
        exit: if written.is_ok() {
            super::Exit::Done
        } else {
            super::Exit::Failed
        },
    }
}
