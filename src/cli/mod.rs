//! The command line. The library knows no terminal; this knows nothing else.

mod about;
mod args;
mod exit;
mod manual;
mod messages;
mod places;
mod progress;
mod report;
mod settings;
mod verify;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use unface::{
    Error,
    cage::Launcher,
    discover::Source,
    pipeline,
    report::{Line, json_line},
};

use args::Command;
pub use exit::Exit;
use progress::Teller;
use settings::Resolved;

/// Runs the program.
pub fn main(launcher: Launcher) -> Exit {
    let command = match Command::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(answer) => return answer.print(),
    };
    messages::colour(command.colour());
    // Nothing in this program has a use for it, and a library in it shall have none either. Where the system can't, `cage` says so.
    unface::cage::stay_offline();
    let stop = Arc::new(Stop::default());
    on_interrupt(Arc::clone(&stop));
    bear_limits();
    match run(command, stop, launcher) {
        Ok(exit) => exit,
        Err(refusal) => {
            if !refusal.message.is_empty() {
                messages::error(&refusal.message);
            }
            refusal.exit
        }
    }
}

/// What to say when the program itself broke.
pub fn broken() -> Exit {
    unface::write::remove_all();
    messages::error(
        "the program broke; report this as a bug. What was finished is sound, nothing partial was left",
    );
    Exit::Failed
}

/// Why a run was not begun, or could not go on.
struct Refusal {
    message: String,
    exit: Exit,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let exit = Exit::of(&error);
        Self {
            message: error.to_string(),
            exit,
        }
    }
}

fn usage(message: impl Into<String>) -> Refusal {
    Refusal {
        message: message.into(),
        exit: Exit::Usage,
    }
}

fn run(command: Command, stop: Arc<Stop>, launcher: Launcher) -> Result<Exit, Refusal> {
    let strict = command.strict();
    let command = match command {
        Command::Verify(a) => return Ok(verify::run(&a, launcher)),
        Command::Cover(a) => {
            if let Some(exit) = asked(&a, launcher)? {
                return Ok(exit);
            }
            Command::Cover(a)
        }
        other => other,
    };
    let resolved = Resolved::new(command)?;
    if resolved.dry_run {
        return dry_run(&resolved);
    }
    let detector = resolved.detector()?;
    let cage = resolved.cage(launcher)?;
    let settings = resolved.settings(detector.as_ref(), cage.as_ref())?;
    let teller = Teller::new(
        Arc::clone(&stop),
        resolved.quiet,
        resolved.report(),
        resolved.detects,
    );
    stop.gently();
    let summary = pipeline::run(&settings, &teller);
    teller.end();
    let summary = summary?;
    if !resolved.quiet || summary.failed > 0 || summary.interrupted {
        let reports = resolved.request.report.is_some();
        messages::line(&progress::summary(&summary, resolved.detects, reports));
        progress::causes(&summary)
            .iter()
            .for_each(|l| messages::line(l));
    }
    Ok(Exit::after(&summary, strict))
}

/// What is only printed: licences, version, man page, completions.
fn asked(a: &args::Cover, launcher: Launcher) -> Result<Option<Exit>, Refusal> {
    let print = |text: &str| match messages::out(text.trim_end()) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    };
    if a.licenses {
        return Ok(Some(print(include_str!("../../THIRD-PARTY.md"))));
    }
    if let Some(shell) = a.completions {
        return Ok(Some(manual::completions(shell)));
    }
    if let Some(page) = &a.man {
        let exit = manual::man(page);
        return exit.map(Some).ok_or_else(|| {
            usage("there is no such man page; use --man, --man detect or --man verify")
        });
    }
    if a.version && a.verbose {
        return Ok(Some(print(&about::about(&a.finding, launcher))));
    }
    Ok(a.version
        .then(|| print(concat!("unface ", env!("CARGO_PKG_VERSION")))))
}

fn dry_run(resolved: &Resolved) -> Result<Exit, Refusal> {
    let plan = pipeline::plan(&resolved.request)?;
    let existing = pipeline::Existing::read(&resolved.request)?;
    let mut exit = Exit::Done;
    for (path, source) in plan.failed {
        let path = path.as_path().into();
        messages::error(&Error::Read { path, source }.to_string());
        exit = Exit::Failed;
    }
    for job in &plan.jobs {
        if job.skip
            && let Err(error) = existing.check(job)
        {
            messages::error(&error.to_string());
            exit = Exit::Failed;
            continue;
        }
        if let (Source::File(path), true, None) = (&job.source, job.named, &job.output) {
            // What was named must be done, and this can't be.
            exit = Exit::Failed;
            if let Err(source) = std::fs::metadata(path) {
                let path = path.as_path().into();
                messages::error(&Error::Read { path, source }.to_string());
                continue;
            }
        }
        if messages::out(&progress::planned(job)).is_err() {
            return Ok(Exit::Failed);
        }
    }
    Ok(exit)
}

/// A person's wish to stop.
#[derive(Debug, Default)]
struct Stop {
    /// How often it was said.
    said: AtomicUsize,
    /// Something is in flight that is to be dropped cleanly.
    gently: AtomicBool,
}

impl Stop {
    /// From now on the first wish lets what is in flight be dropped cleanly.
    fn gently(&self) {
        self.gently.store(true, Ordering::SeqCst);
    }

    fn said(&self) -> bool {
        self.said.load(Ordering::Relaxed) > 0
    }
}

/// While files are written, the first Ctrl-C lets what is in flight be dropped cleanly and the second
/// ends at once. Before that, and where nothing is written, the first does: whatever is read may
/// wait for ever, as a pipe to which nobody writes.
fn on_interrupt(stop: Arc<Stop>) {
    let handler = move || {
        let first = stop.said.fetch_add(1, Ordering::SeqCst) == 0;
        if first && stop.gently.load(Ordering::SeqCst) {
            messages::line("stopping; press again to stop at once");
        } else {
            unface::write::remove_all();
            end(Exit::Interrupted);
        }
    };
    // Without a handler Ctrl-C ends the program at once, which leaves nothing partial either.
    let _ = ctrlc::set_handler(handler);
}

/// Ends the program at once: every line and file is written and flushed by then. ONNX Runtime has code of its own
/// that runs at a program's usual end: it would take from workers what they are using, and whatever goes wrong in it
/// must not change the exit code that scripts rely on.
pub fn end(exit: Exit) -> ! {
    let _ = std::io::Write::flush(&mut std::io::stdout());
    #[cfg(unix)]
    signal_hook::low_level::exit(exit.code());
    #[cfg(not(unix))]
    std::process::exit(exit.code())
}

/// A file that grows over the limit of the system is that file's failure: without this the system ends the program.
fn bear_limits() {
    #[cfg(unix)]
    {
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    }
}

/// JSON lines for a picture or a video's frames that were searched.
fn boxes_lines(outcome: &pipeline::Outcome) -> Box<dyn Iterator<Item = String> + '_> {
    match &outcome.film {
        Some(film) => Box::new((0..film.frames()).filter_map(|f| frame_line(outcome, film, f))),
        None => Box::new(picture_lines(outcome).into_iter()),
    }
}

fn frame_line(outcome: &pipeline::Outcome, film: &pipeline::Film, frame: usize) -> Option<String> {
    let record = &outcome.record;
    let (path, path_hex) = unface::report::names(outcome.source.path());
    let faces = film
        .at(frame)
        .into_iter()
        .map(|c| unface::report::TrackedFace {
            face: unface::Face {
                rect: c.rect,
                score: c.score,
            },
            track: c.track,
        });
    let line = unface::report::FrameLine {
        path,
        path_hex,
        frame,
        time: film.time(frame),
        orientation: film.orientation(frame),
        width: record.width?,
        height: record.height?,
        faces: faces.collect(),
    };
    json_line(&line).ok()
}

/// One line, or one for each page where there are several.
fn picture_lines(outcome: &pipeline::Outcome) -> Vec<String> {
    let record = &outcome.record;
    let line = |page: usize, width, height, faces: &[unface::Face]| {
        Line::new(outcome.source.path(), width, height, faces.to_vec())
            .turned(outcome.orientations.get(page).copied())
    };
    let Some((width, height)) = record.width.zip(record.height) else {
        return Vec::new();
    };
    let first = line(0, width, height, &record.faces);
    let lines = if record.pages.is_empty() {
        vec![first]
    } else {
        let further = (1..).zip(&record.pages);
        let further = further.map(|(n, p)| line(n, p.width, p.height, &p.faces));
        let numbered = std::iter::once(first).chain(further).zip(1..);
        numbered.map(|(line, n)| line.on_page(n)).collect()
    };
    let texts = lines.iter().map(json_line);
    texts.filter_map(Result::ok).collect()
}
