//! A child of `ffmpeg`: begun, held, listened to, ended.

use std::{
    ffi::OsString,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

use super::{
    StreamError,
    clock::{Clock, Timed},
};

/// A file that a child reads or writes, held open by this process, so that nobody can put another
/// one in its place meanwhile and its name stands in no process list.
#[derive(Debug)]
pub struct Handed {
    file: File,
    #[cfg_attr(target_os = "linux", allow(dead_code))]
    path: PathBuf,
}

impl Handed {
    /// A file and its path, which only systems without `/proc` need.
    #[must_use]
    pub fn new(file: File, path: &Path) -> Self {
        Self {
            file,
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
        }
    }

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn stdio(&self) -> Result<Stdio, StreamError> {
        self.file
            .try_clone()
            .map(Stdio::from)
            .map_err(|e| StreamError::Pipe(e.to_string()))
    }

    /// Its address for a child that has it as descriptor `fd`.
    pub(super) fn address(&self, fd: u8) -> OsString {
        #[cfg(target_os = "linux")]
        return format!("file:/proc/self/fd/{fd}").into();
        #[cfg(not(target_os = "linux"))]
        {
            let _ = fd;
            let mut address = OsString::from("file:");
            address.push(&self.path);
            address
        }
    }
}

/// A running child.
#[derive(Debug)]
pub struct Running {
    child: Child,
    said: Option<JoinHandle<String>>,
    clock: Arc<Clock>,
}

/// Most that is kept of what a child says, in bytes.
const MOST_SAID: usize = 1 << 14;

pub(super) fn start(
    program: &Path,
    name: &'static str,
    args: Vec<OsString>,
    stdin: Stdio,
    stdout: Stdio,
) -> Result<Running, StreamError> {
    let failed = |e: std::io::Error| StreamError::Start(name, e.to_string());
    let mut command = crate::cage::command(program).map_err(failed)?;
    command
        .env_clear()
        .args(args)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(Stdio::piped());
    // Ctrl-C reaches this process, which ends its children in order.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(windows)]
    if let Some(root) = std::env::var_os("SystemRoot") {
        command.env("SystemRoot", root);
    }
    let mut child = command.spawn().map_err(failed)?;
    let said = child.stderr.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let (mut kept, mut block) = (Vec::new(), [0; 4096]);
            while let Ok(n) = pipe.read(&mut block) {
                if n == 0 {
                    break;
                }
                if kept.len() < MOST_SAID {
                    kept.extend_from_slice(&block[..n]);
                }
            }
            String::from_utf8_lossy(&kept).into_owned()
        })
    });
    let number = child.id();
    let clock = Clock::start(move || kill(number));
    Ok(Running { child, said, clock })
}

/// Ends a child that nobody has waited for yet.
#[cfg(unix)]
fn kill(number: u32) {
    let pid = i32::try_from(number)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill(number: u32) {
    let number = number.to_string();
    let _ = std::process::Command::new("taskkill")
        .args(["/F", "/PID", &number])
        .status();
}

impl Running {
    pub(super) fn stdout(&mut self) -> Option<Timed<ChildStdout>> {
        let clock = Arc::clone(&self.clock);
        let pipe = self.child.stdout.take()?;
        Some(Timed { pipe, clock })
    }

    pub(super) fn stdin(&mut self) -> Option<Timed<ChildStdin>> {
        let clock = Arc::clone(&self.clock);
        let pipe = self.child.stdin.take()?;
        Some(Timed { pipe, clock })
    }

    pub(super) fn end(&mut self) -> Result<(ExitStatus, String), StreamError> {
        let child = &mut self.child;
        let status = self
            .clock
            .wait(|| child.wait())
            .map_err(|e| StreamError::Pipe(e.to_string()))?;
        self.clock.stop();
        let said = self
            .said
            .take()
            .and_then(|t| t.join().ok())
            .unwrap_or_default();
        Ok((status, said))
    }

    /// Waits for the end of a child whose pipe broke; gives what it complained of.
    pub fn said(&mut self) -> String {
        match self.end() {
            Ok((_, said)) => first(&said).unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits for the end; gives what was said.
    ///
    /// # Errors
    /// With what it said, when it did not end well. `doing`: what it was there for.
    pub fn finish(mut self, doing: &str) -> Result<String, StreamError> {
        let (status, said) = self.end()?;
        if let Some(seconds) = self.clock.expired() {
            return Err(StreamError::Failed(format!(
                "{doing} (nothing came of it for {seconds} s)"
            )));
        }
        if status.success() {
            return Ok(said);
        }
        Err(StreamError::Failed(complaint(doing, &said, status)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.clock.stop();
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The first thing that a child said, safe to show.
pub(super) fn complaint(doing: &str, said: &str, status: ExitStatus) -> String {
    let line = first(said).unwrap_or_else(|| status.to_string());
    format!("{doing} ({line})")
}

/// The first line that complains: some encoders greet before they do.
fn first(said: &str) -> Option<String> {
    let greets = |l: &&str| l.to_ascii_lowercase().contains("[info]");
    let mut lines = said.lines().filter(|l| !greets(l)).map(strip);
    lines.find(|l| !l.is_empty())
}

/// What was said, safe to show: each thing once, and only the first few.
#[must_use]
pub fn things_said(said: &str) -> Vec<String> {
    const MOST: usize = 6;
    let mut things: Vec<String> = Vec::new();
    for line in said.lines().map(strip).filter(|l| !l.is_empty()) {
        if things.len() < MOST && !things.contains(&line) {
            things.push(line);
        }
    }
    things
}

/// A line without the address of ffmpeg's part, cut and escaped.
fn strip(line: &str) -> String {
    let line = line.trim();
    let line = match line
        .find(" @ 0x")
        .and_then(|at| line[at..].find(']').map(|end| (at, at + end)))
    {
        Some((at, end)) => format!(
            "{}:{}",
            line[..at].trim_start_matches('['),
            &line[end + 1..]
        ),
        None => line.to_owned(),
    };
    line.replace("file:/proc/self/fd/0", "the video")
        .chars()
        .take(160)
        .collect::<String>()
        .escape_debug()
        .to_string()
}
