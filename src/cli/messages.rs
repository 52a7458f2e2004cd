//! The only writer to stderr and, for lines of text, to stdout.
#![allow(clippy::print_stderr)]

use std::io::{self, Write};

use indicatif::MultiProgress;

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
    line(&format!("unface: {text}"));
}

/// A line on stdout.
pub fn out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}
