//! The only writer to stderr and, for lines of text, to stdout.
#![allow(clippy::print_stderr)]

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use indicatif::MultiProgress;

use super::args::When;

/// Whether messages are coloured.
static COLOUR: AtomicBool = AtomicBool::new(false);

/// Settles whether messages are coloured. `NO_COLOR` and a terminal that knows none count for
/// `auto` only.
pub fn colour(when: When) {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
        || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    let on = match when {
        When::Always => true,
        When::Never => false,
        When::Auto => !unwanted && io::stderr().is_terminal(),
    };
    COLOUR.store(on, Ordering::Relaxed);
}

/// The bar, while there is one: messages go above it.
static BAR: std::sync::OnceLock<MultiProgress> = std::sync::OnceLock::new();

/// The place where bars are drawn.
pub fn bars() -> &'static MultiProgress {
    BAR.get_or_init(MultiProgress::new)
}

/// A line on stderr. A closed stderr is no reason to stop.
pub fn line(text: &str) {
    let write = || {
        let _ = writeln!(io::stderr().lock(), "{text}");
    };
    match BAR.get() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// A line on stderr that says what went wrong.
pub fn error(text: &str) {
    if COLOUR.load(Ordering::Relaxed) {
        line(&format!("\x1b[1;31munface:\x1b[0m {text}"));
    } else {
        line(&format!("unface: {text}"));
    }
}

/// A line on stdout.
pub fn out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
