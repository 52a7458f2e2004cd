//! What a person sees while it works. The only file that names indicatif.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use unface::{
    Progress, ShownPath, Summary,
    decode::MOTION,
    discover::{Job, Output, Source, named_as_media},
    pipeline::{Outcome, Pass},
    report::{Reason, Record, Status, json_line},
};

use super::{Stop, boxes_lines, messages, report::Report};

/// Most names in the closing line.
const MOST_NAMES: usize = 8;

/// Tells of each input as it is finished.
pub struct Teller {
    stop: Arc<Stop>,
    quiet: bool,
    report: Option<Report>,
    records: Mutex<Option<Box<dyn Write + Send>>>,
    detects: bool,
    bar: OnceLock<ProgressBar>,
    /// The video that is worked on, and its pass.
    film: Mutex<Option<(ProgressBar, Pass)>>,
    faces: AtomicUsize,
}

impl Teller {
    pub fn new(stop: Arc<Stop>, quiet: bool, report: Option<Report>, detects: bool) -> Self {
        Self {
            stop,
            quiet,
            report,
            records: Mutex::new(None),
            detects,
            bar: OnceLock::new(),
            film: Mutex::new(None),
            faces: AtomicUsize::new(0),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Teller {
    fn planned(&self, jobs: Option<usize>) -> io::Result<()> {
        if let Some(report) = &self.report {
            let begun = report.begin()?;
            *self.records.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        }
        let Some(jobs) = jobs.filter(|n| *n > 0) else {
            return Ok(());
        };
        if self.quiet || !io::stderr().is_terminal() {
            return Ok(());
        }
        let bar = messages::bars().add(ProgressBar::new(jobs as u64));
        if let Ok(style) = ProgressStyle::with_template(
            "{wide_bar} {pos}/{len} files, {msg}, {per_sec}, {eta} left",
        ) {
            bar.set_style(style);
        }
        bar.set_message("0 faces");
        bar.enable_steady_tick(Duration::from_millis(250));
        let _ = self.bar.set(bar);
        Ok(())
    }

    fn finished(&self, outcome: &Outcome) -> io::Result<()> {
        let record = &outcome.record;
        let found = record.faces();
        let faces = self.faces.fetch_add(found, Ordering::Relaxed) + found;
        if let Some(error) = &outcome.error {
            messages::error(&error.to_string());
        } else if let Some(damage) = &record.damage {
            messages::line(&format!(
                "{}: damaged, covered what is there ({damage})",
                shown(outcome)
            ));
        }
        if let Some(note) = uncertain(outcome) {
            messages::line(&note);
        }
        if let Some(note) = unread(outcome) {
            messages::line(&note);
        }
        for caution in &record.cautions {
            messages::line(&format!("{}: {caution}", shown(outcome)));
        }
        if outcome.film.is_some()
            && let Some((bar, _)) = self
                .film
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        {
            bar.finish_and_clear();
        }
        if !self.quiet && outcome.error.is_none() {
            video_notes(outcome)
                .iter()
                .for_each(|note| messages::line(note));
        }
        if let Some(bar) = self.bar.get() {
            bar.set_message(format!("{faces} faces"));
            bar.inc(1);
        } else if !self.quiet
            && outcome.error.is_none()
            && !self.detects
            && unread(outcome).is_none()
        {
            messages::line(&plain(outcome));
        }
        if self.detects && record.status == Status::Done {
            for line in boxes_lines(outcome) {
                messages::out(&line)?;
            }
        }
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = records.as_mut() {
            let line = json_line(record).map_err(io::Error::from)?;
            // In one piece, as other runs may add to the same file.
            sink.write_all(format!("{line}\n").as_bytes())?;
            sink.flush()?;
        }
        Ok(())
    }

    fn frames(&self, source: &Path, pass: Pass, done: usize, of: Option<usize>, faces: usize) {
        if self.bar.get().is_none() {
            return;
        }
        let mut film = self.film.lock().unwrap_or_else(PoisonError::into_inner);
        if film.as_ref().is_none_or(|(_, p)| *p != pass) {
            if let Some((old, _)) = film.take() {
                old.finish_and_clear();
            }
            let bar = messages::bars().add(ProgressBar::new(of.unwrap_or(0) as u64));
            let length = if of.is_some() { "{pos}/{len}" } else { "{pos}" };
            let template = format!("  {{msg}}: {length} frames, {{per_sec}}, {{eta}} left");
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            *film = Some((bar, pass));
        }
        if let Some((bar, _)) = &*film {
            let name = ShownPath(source.to_path_buf());
            bar.set_message(match pass {
                Pass::Search => format!("{name}, searching (1 of 2), {faces} sightings"),
                Pass::Cover => format!("{name}, covering (2 of 2), {faces} faces"),
            });
            bar.set_position(done as u64);
        }
    }

    fn stop(&self) -> bool {
        self.stop.said()
    }
}

fn shown(outcome: &Outcome) -> ShownPath {
    ShownPath(outcome.source.path().to_path_buf())
}

fn plain(outcome: &Outcome) -> String {
    let record = &outcome.record;
    match record.status {
        Status::Done => {
            let output = record.output.as_deref().map_or_else(String::new, |o| {
                format!(" → {}", ShownPath(PathBuf::from(o)))
            });
            format!(
                "{}: {}{output}{}{}",
                shown(outcome),
                record.video.as_ref().map_or_else(
                    || on_pages(record),
                    |v| format!(
                        "{} in {}",
                        count(v.tracks, "face"),
                        count(v.frames, "frame")
                    )
                ),
                motion(record),
                dropped(record),
            )
        }
        Status::Skipped if record.reason == Some(Reason::Repeated) => format!(
            "{}: skipped, the list named it before and it has not changed since",
            shown(outcome)
        ),
        Status::Skipped => format!(
            "{}: skipped, the report says that its output is done",
            shown(outcome)
        ),
        Status::PassedOver => format!("{}: skipped, {}", shown(outcome), why(outcome)),
        Status::Failed => format!("{}: failed", shown(outcome)),
    }
}

/// Why something in a folder was not read.
const fn why(outcome: &Outcome) -> &'static str {
    match outcome.record.reason {
        Some(Reason::Link) => {
            "it is a link, and links in folders are not followed; name it, or the file that it leads to"
        }
        Some(Reason::Special) => "it is a pipe, socket or device, and not a file",
        Some(Reason::Empty) => "it is empty; copy it again",
        Some(Reason::Unrecognised) => {
            "its name is that of a picture or video, but its content is not of a known kind; look at it, and convert it or copy it again"
        }
        _ => "not a picture or video",
    }
}

/// What was not read in a folder although it may show somebody.
fn unread(outcome: &Outcome) -> Option<String> {
    let path = outcome.source.path();
    (outcome.record.status == Status::PassedOver && named_as_media(path))
        .then(|| format!("{}: not read, {}", shown(outcome), why(outcome)))
}

/// Places that may show a face and are not covered.
fn uncertain(outcome: &Outcome) -> Option<String> {
    let record = &outcome.record;
    let places: Vec<String> = record
        .uncertain
        .iter()
        .take(MOST_NAMES)
        .map(|f| {
            let r = &f.rect;
            format!(
                "{:.0},{:.0},{:.0},{:.0}",
                r.x1.max(0.0),
                r.y1.max(0.0),
                r.width(),
                r.height()
            )
        })
        .collect();
    let more = record.uncertain.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    (!places.is_empty()).then(|| {
        format!(
            "{}: may show a face at {}{more}; look, and cover it with --cover X,Y,W,H",
            shown(outcome),
            places.join(" ")
        )
    })
}

fn on_pages(record: &Record) -> String {
    let faces = count(record.faces(), "face");
    match record.pages.len() {
        0 => faces,
        n => format!("{faces} on {} pages", n + 1),
    }
}

/// The clip of a motion photo that was covered.
fn motion(record: &Record) -> String {
    record.motion.as_ref().map_or_else(String::new, |m| {
        format!(
            "; motion video: {} in {} → {}",
            count(m.facts.tracks, "face"),
            count(m.facts.frames, "frame"),
            ShownPath(PathBuf::from(&m.output))
        )
    })
}

/// What was in the file and is not in the output; what weighs something with its size.
fn dropped(record: &Record) -> String {
    const HEAVY: u64 = 10_000;
    let mut parts: Vec<_> = record.dropped.iter().collect();
    parts.sort_by_key(|d| d.kind != MOTION);
    let parts: Vec<_> = parts
        .into_iter()
        .map(|d| match d.bytes {
            0..HEAVY => d.kind.clone(),
            n @ HEAVY..1_000_000 => format!("{} {} kB", d.kind, n / 1000),
            n => format!("{} {:.1} MB", d.kind, n as f64 / 1e6),
        })
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("; dropped: {}", parts.join(", "))
}

/// What a person should know of a video: its sound, and pixels that were converted.
fn video_notes(outcome: &Outcome) -> Vec<String> {
    let Some(video) = &outcome.record.video else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    match video.sound.as_deref() {
        Some("dropped") => notes.push(format!(
            "{}: its sound is dropped, as voices identify people; --audio disguise or keep",
            shown(outcome)
        )),
        Some("kept") => notes.push(format!(
            "{}: its sound is kept; voices identify people",
            shown(outcome)
        )),
        _ => {}
    }
    match video.hdr.as_deref().and_then(|h| h.split_once(", ")) {
        Some((name, "kept")) => notes.push(format!(
            "{}: its high dynamic range ({name}) is kept; --tone-map makes colours that every screen shows",
            shown(outcome)
        )),
        Some((name, _)) => notes.push(format!(
            "{}: its high dynamic range ({name}) was brought to usual colours (BT.709)",
            shown(outcome)
        )),
        None => {}
    }
    if let (Some(pixels), true) = (&video.converted, outcome.record.output.is_some()) {
        notes.push(format!(
            "{}: its pixels ({pixels}) were converted to the nearest kind that is written; --chroma source keeps finer colour than 4:2:0",
            shown(outcome)
        ));
    }
    notes
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The line of a dry run.
pub fn planned(job: &Job) -> String {
    let source = ShownPath(job.source.path().to_path_buf());
    match (&job.output, job.skip) {
        (Some(_), true) => {
            format!("{source}: would be skipped, the report says that its output is done")
        }
        (Some(Output::File(path)), _) => format!("{source} → {}", ShownPath(path.clone())),
        (Some(Output::Stdout), _) => format!("{source} → standard output"),
        (None, _) if job.source == Source::Stdin => format!("{source}: looked at when it is read"),
        (None, _) => format!("{source}: not a picture that is read"),
    }
}

/// Failures from which on they are summed up by cause.
const MANY: usize = 5;
/// Most causes that are named.
const MOST_CAUSES: usize = 10;

/// Why many inputs failed, where several did for one reason.
pub fn causes(summary: &Summary) -> Vec<String> {
    let common = summary.causes.iter().any(|(_, count)| *count > 1);
    if summary.failed < MANY || !common {
        return Vec::new();
    }
    let mut lines: Vec<String> = summary
        .causes
        .iter()
        .take(MOST_CAUSES)
        .map(|(cause, count)| format!("  {count} × {cause}"))
        .collect();
    if summary.causes.len() > MOST_CAUSES {
        let more = summary.causes.len() - MOST_CAUSES;
        lines.push(format!("  and {}", count(more, "other cause")));
    }
    lines
}

/// What was done, by its kinds.
fn what(summary: &Summary) -> String {
    let [videos, animations, sequences] = summary.kinds;
    let pictures = summary.done - summary.kinds.iter().sum::<usize>();
    let kinds = [
        (pictures, "picture"),
        (videos, "video"),
        (animations, "animation"),
        (sequences, "sequence"),
    ];
    let named: Vec<String> = kinds
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, name)| count(*n, name))
        .collect();
    if named.is_empty() {
        count(0, "file")
    } else {
        named.join(", ")
    }
}

/// Some names of many, and how many more there are.
fn named(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .take(MOST_NAMES)
        .map(|p| ShownPath(p.clone()).to_string())
        .collect();
    let more = match paths.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names.join(", "))
}

/// What was not done, and what to do next.
fn rest(summary: &Summary, detects: bool, reports: bool) -> Vec<String> {
    let mut parts = Vec::new();
    if summary.skipped > 0 {
        parts.push(format!("{} skipped", summary.skipped));
    }
    if !summary.unread.is_empty() {
        parts.push(format!(
            "{} not read although named as pictures or videos: {}",
            count(summary.unread.len(), "file"),
            named(&summary.unread)
        ));
    }
    let others = [(summary.links, "link"), (summary.specials, "special file")];
    for (n, what) in others.into_iter().filter(|(n, _)| *n > 0) {
        parts.push(format!("{} in folders not followed", count(n, what)));
    }
    if summary.passed_over > 0 {
        parts.push(format!(
            "{} passed over as no pictures",
            summary.passed_over
        ));
    }
    parts.push(format!("{} failed", summary.failed));
    if summary.interrupted {
        parts.push(
            match (detects, reports) {
                (true, _) => "stopped before the end",
                (_, true) => {
                    "stopped before the end; --skip-existing with the same --report goes on from here"
                }
                _ => {
                    "stopped before the end; what is finished stays, and the next run can only go on from where it stops if it has --report FILE"
                }
            }
            .into(),
        );
    }
    parts
}

/// The closing line. `reports`: a report is written to a file.
pub fn summary(summary: &Summary, detects: bool, reports: bool) -> String {
    let mut parts = vec![
        format!(
            "{} {}",
            what(summary),
            if detects { "searched" } else { "done" }
        ),
        format!(
            "{} {}",
            count(summary.faces, "face"),
            if detects { "found" } else { "covered" }
        ),
    ];
    if !summary.without_faces.is_empty() {
        parts.push(format!(
            "{} without a face, have a look: {}",
            summary.without_faces.len(),
            named(&summary.without_faces)
        ));
    }
    if !summary.uncertain.is_empty() {
        parts.push(format!(
            "{} may still show a face, as said above",
            summary.uncertain.len()
        ));
    }
    if summary.cautions > 0 {
        parts.push(format!(
            "{} to be looked at, as said above",
            count(summary.cautions, "file")
        ));
    }
    if summary.motion > 0 && !detects {
        parts.push(format!(
            "{} dropped, --keep-motion covers them too",
            count(summary.motion, "motion video")
        ));
    }
    parts.extend(rest(summary, detects, reports));
    parts.join("; ")
}
