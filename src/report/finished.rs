//! What the reports of earlier runs say was done.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::VERSION;

/// How each line of a report begins.
const START: &str = "{\"version\":";
/// Longest line that is read, in bytes: a picture of a million faces.
const LONGEST: u64 = 128 << 20;

/// What a file held, by its length and its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal, lower case.
    pub sha256: String,
}

impl Digest {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn of(file: &mut impl Read) -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 17];
        let mut bytes = 0;
        loop {
            match file.read(&mut block) {
                Ok(0) => break,
                Ok(n) => {
                    bytes += n as u64;
                    hash.update(&block[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let sha256 = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { bytes, sha256 })
    }

    /// Reads the file of this name to its end.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        Self::of(&mut File::open(path)?)
    }
}

/// Why a file can't be read as a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishedError {
    /// The system's complaint.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It holds something else.
    #[error("line {0} is not a line of a report")]
    Foreign(usize),
}

/// Which outputs earlier runs made of which inputs, by the content of both: names and folders may
/// have changed since, and a name alone proves nothing.
#[derive(Debug, Default)]
pub struct Finished(HashSet<[u8; 32]>);

/// The fields of a report's line that count here.
#[derive(Deserialize)]
struct Line {
    version: u32,
    #[serde(rename = "path")]
    _path: String,
    status: String,
    #[serde(default)]
    input: Option<Digest>,
    #[serde(default)]
    written: Option<Digest>,
    #[serde(default)]
    motion: Option<Clip>,
}

#[derive(Deserialize)]
struct Clip {
    #[serde(default)]
    written: Option<Digest>,
}

impl Finished {
    /// Reads a report. A line that a killed run left incomplete counts for nothing.
    ///
    /// # Errors
    /// When it can't be read, or holds anything else than lines of a report.
    pub fn read(path: &Path) -> Result<Self, FinishedError> {
        let mut finished = Self::default();
        finished.add(path)?;
        Ok(finished)
    }

    /// Reads a further one.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn add(&mut self, path: &Path) -> Result<(), FinishedError> {
        self.add_lines(BufReader::new(File::open(path)?))
    }

    fn add_lines(&mut self, mut file: impl BufRead) -> Result<(), FinishedError> {
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            if (&mut file).take(LONGEST).read_until(b'\n', &mut text)? == 0 {
                break;
            }
            let line = text.trim_ascii();
            match serde_json::from_slice::<Line>(line) {
                Ok(line) if line.version == VERSION => self.note(line),
                Err(error) if !error.is_data() && torn(line, number) => {}
                _ => return Err(FinishedError::Foreign(number)),
            }
        }
        Ok(())
    }

    fn note(&mut self, line: Line) {
        let Some(input) = line.input.filter(|_| line.status == "done") else {
            return;
        };
        let clip = line.motion.and_then(|m| m.written);
        for written in line.written.into_iter().chain(clip) {
            self.0.insert(pair(&input, &written));
        }
    }

    /// Whether a run that covered an input of this content wrote an output of this content.
    #[must_use]
    pub fn holds(&self, input: &Digest, output: &Digest) -> bool {
        self.0.contains(&pair(input, output))
    }
}

/// An input and its output as one number: reports of millions of lines are held in memory.
fn pair(input: &Digest, output: &Digest) -> [u8; 32] {
    let of = |d: &Digest| format!("{} {}\n", d.bytes, d.sha256);
    Sha256::digest(of(input) + &of(output)).into()
}

/// Whether a text is the beginning of a report's line. Of the first line enough must be there to
/// tell it from other files.
fn torn(line: &[u8], number: usize) -> bool {
    let start = START.as_bytes();
    line.starts_with(start) || number > 1 && start.starts_with(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DONE: &str = r#"{"version":1,"path":"a.jpg","output":"o","status":"done","input":{"bytes":1,"sha256":"aa"},"written":{"bytes":2,"sha256":"bb"}}"#;

    fn digest(bytes: u64, sha256: &str) -> Digest {
        Digest {
            bytes,
            sha256: sha256.into(),
        }
    }

    fn read(text: &str) -> Result<Finished, FinishedError> {
        let mut finished = Finished::default();
        finished.add_lines(text.as_bytes())?;
        Ok(finished)
    }

    #[test]
    fn only_pairs_of_lines_that_are_done_count() {
        let failed = DONE.replace("done", "failed").replace("bb", "cc");
        let finished = read(&format!("{DONE}\n{failed}\n")).unwrap();
        assert!(finished.holds(&digest(1, "aa"), &digest(2, "bb")));
        for (input, output) in [("aa", "cc"), ("bb", "aa"), ("bb", "bb")] {
            assert!(!finished.holds(&digest(1, input), &digest(2, output)));
        }
        assert!(!finished.holds(&digest(2, "aa"), &digest(2, "bb")));
    }

    #[test]
    fn lines_that_killed_runs_left_count_for_nothing_and_hide_no_other() {
        for cut in [1, 5, 12, 60, DONE.len() - 1] {
            let text = format!("{DONE}\n{}\n{DONE}\n{}", &DONE[..cut], &DONE[..cut]);
            let finished = read(&text).unwrap();
            assert!(finished.holds(&digest(1, "aa"), &digest(2, "bb")));
        }
        assert!(read("").is_ok());
        assert!(read(&DONE[..20]).is_ok());
    }

    #[test]
    fn other_files_are_refused() {
        for foreign in [
            "hello",
            "{",
            "\n",
            "{\"path\":\"a.jpg\",\"width\":1,\"height\":1,\"faces\":[]}\n",
            "{\"version\":2,\"path\":\"a.jpg\",\"status\":\"done\"}\n",
            "\u{fffd}\u{fffd}JFIF",
        ] {
            assert!(read(foreign).is_err(), "{foreign}");
            let second = format!("{DONE}\n{foreign}\n");
            if foreign.len() > 1 {
                assert!(read(&second).is_err(), "{foreign}");
            }
        }
    }
}
