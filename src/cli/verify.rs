//! `unface verify`: what files hold besides pixels.

use serde::Serialize;
use unface::{
    ShownPath,
    cage::Launcher,
    decode,
    pipeline::{self, Caged, Checked},
    report::{VERSION, json_line, names},
    verify::Leak,
};

use super::{args::Verify, exit::Exit, messages};

/// One file's line.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    /// Absent if it is unknown.
    format: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    /// Nothing but pixels in it.
    clean: bool,
    leaks: &'a [Leak],
    /// Kinds of data that were not looked into; empty if every byte was accounted for.
    unchecked: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

const UNKNOWN: &str = "unknown format; unface verifies what it writes itself";

/// Checks all files, each in a child that can do nothing else; silent where there is nothing to say.
pub fn run(command: &Verify, launcher: Launcher) -> Exit {
    let (mut all, mut bad) = (0, 0);
    let mut closed = false;
    let limit = command.max_memory << 20;
    let most = decode::Options {
        max_memory: limit,
        ..decode::Options::default()
    };
    // Where no child can be started they are read here: it gives up nothing but the limits.
    let cage = Caged::new(launcher, &most).ok();
    pipeline::check(&command.files, limit, cage.as_ref(), |checked| {
        all += 1;
        let (clean, written) = if command.json {
            json(&checked)
        } else {
            text(&checked)
        };
        bad += usize::from(!clean);
        closed = written.is_err();
        !closed
    });
    if bad > 0 && !command.json && !closed {
        messages::line(&format!(
            "{bad} of {all} files hold more than pixels, or can't be read"
        ));
    }
    if bad > 0 || closed || all == 0 {
        Exit::Failed
    } else {
        Exit::Done
    }
}

/// Whether the file is clean, and whether that could be told.
fn text(checked: &Checked) -> (bool, std::io::Result<()>) {
    let shown = ShownPath(checked.path.clone());
    let inspection = match &checked.result {
        Err(error) => {
            messages::error(&error.to_string());
            return (false, Ok(()));
        }
        Ok(inspection) if inspection.format.is_none() => {
            messages::error(&format!("{shown}: {UNKNOWN}"));
            return (false, Ok(()));
        }
        Ok(inspection) => inspection,
    };
    for leak in &inspection.leaks {
        if let Err(error) = messages::out(&format!("{shown}: {leak}")) {
            return (false, Err(error));
        }
    }
    if !inspection.unchecked.is_empty() {
        let unchecked = inspection.unchecked.join(", ");
        messages::line(&format!("{shown}: not looked into: {unchecked}"));
    }
    (inspection.leaks.is_empty(), Ok(()))
}

fn json(checked: &Checked) -> (bool, std::io::Result<()>) {
    let (path, path_hex) = names(&checked.path);
    let found = checked.result.as_ref().ok();
    let format = found.and_then(|i| i.format);
    let leaks = found.map_or(&[][..], |i| &i.leaks);
    let unchecked = found.map_or(&[][..], |i| &i.unchecked);
    let error = match &checked.result {
        Err(error) => Some(error.to_string()),
        Ok(_) if format.is_none() => Some(UNKNOWN.to_string()),
        Ok(_) => None,
    };
    let clean = error.is_none() && leaks.is_empty();
    let line = Line {
        version: VERSION,
        path,
        path_hex,
        format: format.map(|f| f.to_string()),
        width: found.and_then(|i| i.size).map(|s| s.0),
        height: found.and_then(|i| i.size).map(|s| s.1),
        clean,
        leaks,
        unchecked,
        error,
    };
    let written = json_line(&line)
        .map_err(std::io::Error::from)
        .and_then(|line| messages::out(&line));
    (clean, written)
}
