//! The `ffmpeg` and `ffprobe` programs as child processes: the only place that starts programs.
//!
//! They run in the [`cage`](crate::cage) where this program has one. They get an empty environment, no standard input to ask questions on, a forced demuxer, files
//! and pipes as their only protocols, and end at the first error. What they say is data from
//! outside. A child whose handle is dropped is killed and waited for.

mod clock;
mod frames;
pub mod nut;
pub mod probe;
mod running;

use std::{
    ffi::OsString,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Stdio},
};

pub use clock::Timed;
pub use frames::FirstFrames;
use running::start;
pub use running::{Handed, Running, things_said};

/// Why a video can't be followed. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The programs are not there.
    #[error(
        "is a video, and {0} is not installed; install ffmpeg 5.1 or newer (Debian, Ubuntu: apt install ffmpeg; \
         Fedora: dnf install ffmpeg; macOS: brew install ffmpeg; Windows: winget install ffmpeg); photos need it not"
    )]
    Missing(&'static str),
    /// What has a program's name is a script, which the sandbox can't run.
    #[error(
        "is a video, and {name} at {} is a script, which the sandbox can't run; put the folder of the real program first in PATH, or use --no-sandbox if you trust the files",
        .path.display().to_string().escape_debug()
    )]
    Script {
        /// The program.
        name: &'static str,
        /// The script.
        path: PathBuf,
    },
    /// A program could not be started.
    #[error("{0} can't be started ({1}); check its installation")]
    Start(&'static str, String),
    /// A program ended with an error.
    #[error("{0}")]
    Failed(String),
    /// The pipe from or to a program broke.
    #[error("the pipe to ffmpeg broke ({0}); try again")]
    Pipe(String),
    /// What came through the pipe is not what was asked for.
    #[error(
        "ffmpeg gave something that can't be followed ({0}); get an undamaged copy, or convert it first"
    )]
    Nut(String),
    /// The frames do not stay of one size.
    #[error(
        "changes the size of its frames midway; use --fit to scale them all to the first size, or cut it where that happens"
    )]
    Resized,
    /// The times of the frames go back.
    #[error(
        "has frames whose times go back by more than a second; make a new file of it first, as with `ffmpeg -i VIDEO -fps_mode cfr NEW.mp4`, or use --allow-damaged, which shows such frames right after the one before"
    )]
    Backwards,
    /// The second pass gave other frames than the first one.
    #[error("changed while it was read; run again when no other program writes to it")]
    Changed,
    /// The shape of the pixels does not stay the same.
    #[error(
        "changes the shape of its pixels midway; cut it where that happens, or give it square ones first, for example with ffmpeg -i VIDEO -vf setsar=1 OUTPUT"
    )]
    Reshaped,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
}

impl Programs {
    /// Looks for them beside this program and along `PATH`, absolute folders only.
    ///
    /// # Errors
    /// [`StreamError::Missing`].
    pub fn find() -> Result<Self, StreamError> {
        let beside = std::env::current_exe()
            .ok()
            .and_then(|p| p.parent().map(Path::to_path_buf));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = beside
            .into_iter()
            .chain(std::env::split_paths(&path))
            .filter(|p| p.is_absolute())
            .collect();
        let look = |name: &'static str| {
            let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
            let path = folders
                .iter()
                .map(|f| f.join(&file))
                .find(|p| p.is_file())
                .ok_or(StreamError::Missing(name))?;
            if crate::cage::holds_programs() && is_script(&path) {
                return Err(StreamError::Script { name, path });
            }
            Ok(path)
        };
        Ok(Self {
            ffmpeg: look("ffmpeg")?,
            ffprobe: look("ffprobe")?,
        })
    }
}

/// Whether a file is to be run by an interpreter, which would have to be started in the sandbox too. What can't be
/// read is left to the system to judge.
fn is_script(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    let program = cfg!(not(target_os = "linux")) || head == *b"\x7FELF";
    read.is_ok() && (head.starts_with(b"#!") || !program)
}

/// Pictures and sound pass and nothing beside them: no subtitles, data, tags, chapters, versions.
const NOTHING_ELSE: [&str; 8] = [
    "-sn",
    "-dn",
    "-map_metadata",
    "-1",
    "-map_chapters",
    "-1",
    "-fflags",
    "+bitexact",
];

fn words<const N: usize>(words: [&str; N]) -> impl Iterator<Item = OsString> {
    words.map(OsString::from).into_iter()
}

/// How an input is read.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The file.
    pub input: &'a Handed,
    /// The demuxer, by its name in ffmpeg.
    pub demuxer: &'a str,
    /// Go on after errors.
    pub damaged: bool,
}

impl Reading<'_> {
    fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> =
            words(["-v", "error", "-protocol_whitelist", "file,pipe"]).collect();
        if self.damaged {
            // What several threads conceal of damage depends on which of them was faster, and both passes must show the same.
            args.extend(words(["-threads", "1"]));
        } else {
            args.extend(words(["-err_detect", "explode"]));
        }
        args.extend(words(["-f", self.demuxer]));
        args
    }
}

impl Programs {
    /// Whether this build of ffmpeg has a filter.
    #[must_use]
    pub fn has_filter(&self, name: &str) -> bool {
        let args = words(["-v", "error", "-hide_banner", "-filters"]).collect();
        let Ok(mut child) = start(&self.ffmpeg, "ffmpeg", args, Stdio::null(), Stdio::piped())
        else {
            return false;
        };
        let mut text = String::new();
        if let Some(pipe) = child.stdout() {
            let _ = pipe.take(1 << 20).read_to_string(&mut text);
        }
        text.lines()
            .any(|l| l.split_whitespace().nth(1) == Some(name))
    }

    /// What `ffprobe` says of a file, as JSON.
    ///
    /// # Errors
    /// When it can't read it.
    pub fn probe(&self, reading: &Reading<'_>) -> Result<(Vec<u8>, String), StreamError> {
        let mut args = reading.args();
        args.extend(words([
            "-of",
            "json",
            "-show_format",
            "-show_streams",
            "-show_chapters",
            "-i",
        ]));
        args.push(reading.input.address(0));
        let mut child = start(
            &self.ffprobe,
            "ffprobe",
            args,
            reading.input.stdio()?,
            Stdio::piped(),
        )?;
        let mut text = Vec::new();
        if let Some(pipe) = child.stdout() {
            pipe.take(1 << 24)
                .read_to_end(&mut text)
                .map_err(|e| StreamError::Pipe(e.to_string()))?;
        }
        let said = child.finish("can't be read by ffmpeg").map_err(damaged)?;
        Ok((text, said))
    }

    /// Starts a decoder whose frames come as NUT. `output`: what is wanted of the input, without
    /// the container.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn decoder(
        &self,
        reading: &Reading<'_>,
        output: &[String],
    ) -> Result<(Running, Timed<ChildStdout>), StreamError> {
        let mut args: Vec<OsString> = words(["-nostdin", "-hide_banner"]).collect();
        if !reading.damaged {
            args.extend(words(["-xerror"]));
        }
        args.extend(reading.args());
        args.extend(words(["-noautorotate", "-i"]));
        args.push(reading.input.address(0));
        args.extend(output.iter().map(OsString::from));
        args.extend(words(NOTHING_ELSE));
        args.extend(words(["-f", "nut", "pipe:1"]));
        let mut child = start(
            &self.ffmpeg,
            "ffmpeg",
            args,
            reading.input.stdio()?,
            Stdio::piped(),
        )?;
        let pipe = child
            .stdout()
            .ok_or_else(|| StreamError::Pipe("no pipe".into()))?;
        wide(&pipe.pipe);
        Ok((child, pipe))
    }

    /// Starts a conversion of pictures from pipe to pipe: `input` and `output` say how the `stream`
    /// that goes in is to be read, and what is to come out.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn through(
        &self,
        input: &[&str],
        stream: Vec<u8>,
        output: &[&str],
    ) -> Result<(Running, Timed<ChildStdout>), StreamError> {
        let mut args: Vec<OsString> = words([
            "-nostdin",
            "-hide_banner",
            "-v",
            "error",
            "-protocol_whitelist",
            "pipe",
        ])
        .collect();
        args.extend(input.iter().map(OsString::from));
        args.extend(words(["-i", "pipe:0", "-map", "0:v:0", "-noautoscale"]));
        args.extend(words(["-fps_mode", "passthrough"]));
        args.extend(output.iter().map(OsString::from));
        args.push("pipe:1".into());
        let (stdin, stdout) = (Stdio::piped(), Stdio::piped());
        let mut child = start(&self.ffmpeg, "ffmpeg", args, stdin, stdout)?;
        let no_pipe = || StreamError::Pipe("no pipe".into());
        let mut to = child.stdin().ok_or_else(no_pipe)?;
        let from = child.stdout().ok_or_else(no_pipe)?;
        wide(&to.pipe);
        wide(&from.pipe);
        // Ends when all is written, or when the child does.
        std::thread::spawn(move || {
            let _ = std::io::Write::write_all(&mut to, &stream);
        });
        Ok((child, from))
    }

    /// Starts an encoder that takes NUT and writes into `output`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn encoder(
        &self,
        output: &Handed,
        muxer: &str,
        how: &[String],
    ) -> Result<(Running, Timed<ChildStdin>), StreamError> {
        let mut args: Vec<OsString> = words([
            "-nostdin",
            "-hide_banner",
            "-v",
            "error",
            "-xerror",
            "-protocol_whitelist",
            "file,pipe",
            "-copyts",
            "-f",
            "nut",
            "-i",
            "pipe:0",
        ])
        .collect();
        args.extend(how.iter().map(OsString::from));
        args.extend(words(NOTHING_ELSE));
        args.extend(words(["-y", "-f", muxer]));
        args.push(output.address(1));
        let mut child = start(
            &self.ffmpeg,
            "ffmpeg",
            args,
            Stdio::piped(),
            output.stdio()?,
        )?;
        let pipe = child
            .stdin()
            .ok_or_else(|| StreamError::Pipe("no pipe".into()))?;
        wide(&pipe.pipe);
        Ok((child, pipe))
    }
}

/// What failed because of the file, with what can be done about it.
#[must_use]
pub fn damaged(error: StreamError) -> StreamError {
    match error {
        StreamError::Failed(what) => StreamError::Failed(format!(
            "{what}; the video is damaged or of an unknown kind: get an undamaged copy, or use --allow-damaged to cover what is there"
        )),
        other => other,
    }
}

/// A file in memory alone, for a child to read: what is in it goes to no disk.
///
/// # Errors
/// When there is no memory, or the system has no such files.
#[cfg(target_os = "linux")]
pub fn in_memory(bytes: &[u8]) -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    let mut file = File::from(memfd_create("unface", MemfdFlags::CLOEXEC)?);
    std::io::Write::write_all(&mut file, bytes)?;
    std::io::Seek::rewind(&mut file)?;
    Ok(file)
}

/// A file in memory alone, for a child to read: what is in it goes to no disk.
///
/// # Errors
/// Always: this system has no such files.
#[cfg(not(target_os = "linux"))]
pub fn in_memory(_bytes: &[u8]) -> std::io::Result<File> {
    Err(std::io::Error::other(
        "only Linux has files in memory; uncovered frames are not written to a disk",
    ))
}

/// A larger pipe, where the system can: fewer switches between the processes.
#[cfg(target_os = "linux")]
fn wide(pipe: &impl std::os::fd::AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
}

#[cfg(not(target_os = "linux"))]
fn wide<T>(_pipe: &T) {}
