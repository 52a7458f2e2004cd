//! What was typed → what is done, resolved once.

pub(super) mod models;
mod taken;

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    sync::Arc,
};

use unface::{
    Error, Settings,
    cage::Launcher,
    decode, detect,
    detect::{
        Detector,
        manifest::Thresholds,
        rule::{Rule, Sensitivity},
        session::Runtime,
    },
    discover::{List, Request},
    pipeline::{Caged, Doubt, Faces, Recheck, Task},
    redact,
};

use super::{
    Refusal,
    args::{ChromaName, Command, Cover, EffectName, Finding, Inputs, Names, RecheckName},
    messages, places,
    report::{Present, Report},
    usage,
};
use models::networks;
use taken::{
    check_streams, check_strength, codec, open_list, read_boxes, sticker, take_finding,
    take_reading,
};

/// Pixels in memory at the same time, at most, unless one picture alone needs more.
const MEMORY: u64 = 1 << 30;
/// The score that counts in an enlarged copy, as a multiple of the first search's rule; fitted on 290 photos held back from training.
const AGAIN_LARGE: f32 = 1.3;
/// The same in the covered picture at a quarter of its size. The first search has seen that copy before it was covered: what only
/// shows now is a face less often.
const AGAIN_COVERED: f32 = 3.0;
/// What is named for a person to look at, as a share of what counts.
const UNCERTAIN: f32 = 0.85;
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
    /// Inputs that come while others are worked on; taken by the run.
    list: RefCell<Option<List>>,
    decode: decode::Options,
    sandbox: Sandbox,
    jobs: usize,
}

/// Whether decoders run in children that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sandbox {
    Off,
    /// As far as the system can.
    On,
    /// Fully, or not at all.
    Required,
}

impl Resolved {
    pub fn new(command: Command) -> Result<Self, Refusal> {
        let (inputs, finding, reading, cover, raw) = match command {
            Command::Cover(mut a) => {
                let (sequence, rate) = (a.inputs.sequence, a.inputs.rate);
                let inputs = std::mem::replace(
                    &mut a.inputs,
                    Inputs {
                        inputs: Vec::new(),
                        files_from: None,
                        files_from0: None,
                        sequence,
                        rate,
                    },
                );
                let (finding, reading) =
                    (take_finding(&mut a.finding), take_reading(&mut a.reading));
                (inputs, finding, reading, Some(a), false)
            }
            Command::Detect(a) => (a.inputs, a.finding, a.reading, None, a.raw),
            Command::Verify(_) => return Err(usage("verify searches nothing")),
        };
        let list = inputs.files_from.is_some() || inputs.files_from0.is_some();
        if list && !inputs.inputs.is_empty() {
            return Err(usage(
                "inputs and a list can't be mixed; put all names into the list",
            ));
        }
        let mut request = Request {
            inputs: inputs.inputs,
            listed: Vec::new(),
            list,
            look_only: cover.is_none(),
            sequence: inputs.sequence,
            rate: inputs.rate,
            ..Request::default()
        };
        if let Some(a) = &cover {
            request.output.clone_from(&a.output);
            request.format = a.format;
            request.overwrite = a.overwrite;
            request.keep_motion = a.keep_motion;
            request.skip_existing = a.skip_existing;
            request.report = a.report.clone().filter(|r| r != "-").map(PathBuf::from);
            request.digests = a.report.is_some();
            let reads = [&a.boxes, &a.image, &inputs.files_from, &inputs.files_from0];
            request.reads = reads.into_iter().flatten().cloned().collect();
            request.reads.retain(|path| path != Path::new("-"));
            request.neutral = a.names == Names::Neutral;
            if request.sequence && (a.skip_existing || request.neutral) {
                return Err(usage(
                    "--sequence keeps the frames' names, and needs all of them to follow faces; leave --skip-existing and --names neutral out",
                ));
            }
            if request.sequence && request.format.is_some_and(unface::Format::is_video) {
                return Err(usage(
                    "frames can't become a video; pipe them through ffmpeg",
                ));
            }
            if request.neutral && a.skip_existing {
                return Err(usage(
                    "--names neutral gives new names in every run, so that --skip-existing finds none; leave one of them out",
                ));
            }
            check_streams(a, &request)?;
        }
        let mut stream = match (&inputs.files_from, &inputs.files_from0) {
            (Some(file), _) => Some(open_list(file, b'\n')?),
            (_, Some(file)) => Some(open_list(file, 0)?),
            _ => None,
        };
        // What goes into one place must be known whole before any work.
        let whole = request.output.as_deref() == Some(std::ffi::OsStr::new("-"))
            || cover.as_ref().is_some_and(|a| a.dry_run);
        if whole && let Some(list) = stream.take() {
            request.listed = list.all().map_err(|source| Error::Read {
                path: Path::new("the list of inputs").into(),
                source,
            })?;
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
            list: RefCell::new(stream),
            decode: decode::Options {
                max_memory: reading.max_memory << 20,
                allow_damaged: reading.allow_damaged,
                fit: reading.fit,
                video_stream: reading.video_stream,
                orientation: reading.orientation,
                ..decode::Options::default()
            },
            sandbox: match (reading.no_sandbox, reading.require_sandbox) {
                (true, _) => Sandbox::Off,
                (_, true) => Sandbox::Required,
                _ => Sandbox::On,
            },
            jobs: reading.jobs.map_or(cores, usize::from),
        })
    }

    /// The children that decode; what this system can't hold them with is told once.
    pub fn cage(&self, launcher: Launcher) -> Result<Option<Caged>, Refusal> {
        if self.sandbox == Sandbox::Off {
            return Ok(None);
        }
        let failed = |message: String| Refusal {
            message,
            exit: super::Exit::Failed,
        };
        let cage = Caged::new(launcher, &self.decode).map_err(|e| failed(e.to_string()))?;
        if let Some(missing) = cage.strength().missing() {
            if self.sandbox == Sandbox::Required {
                return Err(failed(format!(
                    "this system has no {missing}, and --require-sandbox asks for all; use a newer kernel, or leave it out"
                )));
            }
            // Elsewhere it never has; the documentation says so.
            if cfg!(target_os = "linux") && !self.quiet {
                messages::line(&format!(
                    "this system has no {missing}: hostile files are held by less than usual"
                ));
            }
        }
        Ok(Some(cage))
    }

    /// The detector, unless boxes are given, and the thresholds that count for it.
    pub fn detector(&self) -> Result<Option<(Detector, Thresholds)>, Refusal> {
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
        let (networks, thresholds) = networks(self.finding.model.as_deref())?;
        let folders: Vec<PathBuf> = places::data_directory().into_iter().collect();
        let runtime =
            Runtime::load(self.finding.onnxruntime.as_deref(), &folders).map_err(Error::Setup)?;
        let detector = Detector::new(move || networks.open(&runtime)).map_err(Error::Setup)?;
        Ok(Some((detector, thresholds)))
    }

    /// The run's settings.
    pub fn settings<'a>(
        &self,
        detector: Option<&'a (Detector, Thresholds)>,
        cage: Option<&'a Caged>,
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
            (Some((detector, thresholds)), _) => Faces::Search(detector, self.options(thresholds)),
            (None, Some(path)) => Faces::Given(read_boxes(path)?),
            (None, None) => return Err(usage("there is no detector and no boxes")),
        };
        Ok(Settings {
            request: self.request.clone(),
            list: self.list.take(),
            decode: self.decode,
            cage,
            faces,
            task: self.cover.as_deref().map_or(Ok(Task::Detect), |a| {
                self.task(a, detector.map(|d| &d.1), cage)
            })?,
            workers: self.jobs,
            memory: MEMORY.max(self.decode.max_memory),
        })
    }

    fn options(&self, thresholds: &Thresholds) -> detect::Options {
        let rule = match self.finding.threshold {
            Some(score) => Rule::flat(score),
            None => {
                let sensitivity: Sensitivity = self.finding.sensitivity.unwrap_or_default();
                thresholds.at(sensitivity)
            }
        };
        detect::Options {
            min_face: self.finding.min_face,
            ..detect::Options::new(rule)
        }
    }

    fn task(
        &self,
        a: &Cover,
        thresholds: Option<&Thresholds>,
        cage: Option<&Caged>,
    ) -> Result<Task, Refusal> {
        let name = a.effect.unwrap_or(if a.image.is_some() {
            EffectName::Image
        } else {
            EffectName::Blur
        });
        check_strength(a, name)?;
        if a.image.is_some() && name != EffectName::Image {
            return Err(usage(
                "--image is for --effect image; leave one of the two out",
            ));
        }
        let effect = match (name, &a.image) {
            (EffectName::Blur, _) => redact::Effect::Blur { cells: a.cells },
            (EffectName::Pixelate, _) => redact::Effect::Pixelate { cells: a.cells },
            (EffectName::Erase, _) => redact::Effect::Erase,
            (EffectName::Fill, _) => redact::Effect::Fill { color: a.color },
            (EffectName::Image, Some(path)) => redact::Effect::Image {
                sticker: Arc::new(sticker(path, &self.decode, cage)?),
                under: a.color,
            },
            (EffectName::Image, None) => return Err(usage("--effect image needs --image FILE")),
        };
        let factors = redact::LEAST_REGION..=redact::LARGEST_REGION;
        if !factors.contains(&a.region) {
            let message = redact::RedactError::Region(a.region).to_string();
            return Err(usage(message));
        }
        if !a.mute.is_empty() && a.audio == unface::sound::Audio::Drop {
            return Err(usage(
                "--mute silences parts of sound that is kept; add --audio keep or --audio disguise",
            ));
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
            noise: a.noise,
            recheck: thresholds.and_then(|t| self.recheck(t, a.recheck)),
            scramble: a.scramble,
            video: unface::pipeline::VideoOptions {
                choice: unface::encode::clip::Choice {
                    codec: a.codec.map(codec),
                    crf: a.crf,
                    preset: a.preset.clone(),
                    keep_chroma: a.chroma == ChromaName::Source,
                },
                audio: a.audio,
                mute: a.mute.clone(),
                tone_map: a.tone_map,
            },
        })
    }

    /// How covered photos are searched again.
    fn recheck(&self, thresholds: &Thresholds, name: RecheckName) -> Option<Recheck> {
        let rule = self.options(thresholds).rule;
        let doubt = |sure: f32, unsure: f32| Doubt {
            rule: rule.times(sure),
            uncertain: rule.times(unsure),
        };
        let before = match name {
            RecheckName::Off => return None,
            RecheckName::Quick => None,
            RecheckName::Thorough => Some(doubt(AGAIN_LARGE, AGAIN_LARGE * UNCERTAIN)),
        };
        Some(Recheck {
            covered: doubt(AGAIN_COVERED, detect::AGAIN_SURE * UNCERTAIN),
            before,
        })
    }

    /// Where the report's lines go.
    pub fn report(&self) -> Option<Report> {
        let a = self.cover.as_deref()?;
        let target = a.report.clone()?;
        let present = match (a.overwrite, a.skip_existing) {
            (true, _) => Present::Replace,
            (_, true) => Present::Append,
            _ => Present::Refuse,
        };
        Some(Report::new(target, present))
    }
}
