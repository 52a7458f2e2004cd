//! Children that touch what strangers made, held so that they can do no harm.
//!
//! A decoder is the part that a hostile file takes over, if it takes over anything. So decoders run
//! in children of the same executable, which are given bytes and give bytes and can do nothing
//! else: no files, no network, no programs, bounded memory and time. A child that crashes, hangs or
//! asks for what it must not is one failed input; another takes its place. `ffmpeg` and `ffprobe`
//! are held likewise, by a child that locks itself in and then becomes them.
//!
//! What holds on Linux, each as far as the system has it:
//!
//! | | decoders, verifier | ffmpeg, ffprobe |
//! |---|---|---|
//! | descriptors | standard input, output and error | the same |
//! | limits | memory, time, no file opened or written, no core file | memory, files, no core file |
//! | landlock | no file, port or signal | programs and libraries, its input to read, its output to write |
//! | seccomp | some 30 calls, anything else ends it | some 150 calls; none that changes other files' names, modes, owners, times or attributes, none that reaches other processes or makes one, no sockets, no shared memory |
//! | namespaces | an empty root folder, no network, no shared memory | programs and libraries in the root folder, the rest the same |
//!
//! Namespaces are refused by many systems (containers, AppArmor, a kernel setting). Without them a program that
//! was taken over can learn by `stat` which files there are. Other systems of the Unix family have the limits, on
//! Windows it is a process of its own and nothing more.
//!
//! This room knows processes, limits and the kernel; what is asked and answered is its users'
//! business.

#[cfg(target_os = "linux")]
mod calls;
mod child;
mod keeper;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod namespaces;
mod pool;
mod program;
mod worker;

use std::{
    io,
    io::Write,
    path::Path,
    process::{Command, ExitCode},
    sync::OnceLock,
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use pool::{Answer, Pool};

/// The first argument of a child. No option of the program has this name.
const WORD: &str = "--in-the-cage";

/// What a child that answers questions does with one: bytes in, an answer out.
pub type Handler = dyn Fn(Vec<u8>, &mut dyn Write) -> io::Result<()>;

/// Proof that this executable becomes a caged child when it is started as one.
#[derive(Debug, Clone, Copy)]
pub struct Launcher(());

/// To be called first in `main`: where this process was started as a caged child, it does what
/// that child is there for and gives the code to exit with.
///
/// # Errors
/// The exit code of a child.
pub fn enter(handler: &Handler) -> Result<Launcher, ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|a| a != WORD) {
        return Ok(Launcher(()));
    }
    #[cfg(target_os = "linux")]
    linux::close_inherited();
    Err(match args.next() {
        Some(kind) if kind == "worker" => child::work(handler),
        Some(kind) if kind == "run" => program::become_it(args),
        _ => ExitCode::from(2),
    })
}

/// Whether other programs are held too, and how they are started then. One for the whole process, as
/// what starts them is deep inside rooms that know nothing of it.
static PROGRAMS: OnceLock<Launcher> = OnceLock::new();

/// From now on all programs that this process starts are held as well.
pub fn hold_programs(launcher: Launcher) {
    PROGRAMS.get_or_init(|| launcher);
}

/// Whether programs that this process starts run in the sandbox.
#[must_use]
pub fn holds_programs() -> bool {
    cfg!(unix) && PROGRAMS.get().is_some()
}

/// Takes the network from this process, its threads and its children, for good: whatever a library in it may try. To be called
/// before there are threads. Only Linux can do it, where it has what [`Strength`] calls seccomp.
pub fn stay_offline() {
    #[cfg(target_os = "linux")]
    calls::offline();
}

/// A command that runs `program`, in the cage where [`hold_programs`] was called.
///
/// # Errors
/// When this executable can't be found.
pub fn command(program: &Path) -> io::Result<Command> {
    match PROGRAMS.get() {
        // Elsewhere nothing would hold it, and the one in between could be ended without it.
        Some(launcher) if cfg!(unix) => launcher.command(program),
        _ => Ok(Command::new(program)),
    }
}

/// Why a child gave no answer. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CageError {
    /// It can't be started.
    #[error("the sandbox can't be started ({0}); use --no-sandbox if you trust the files")]
    Start(String),
    /// It ended.
    #[error(
        "broke its decoder ({0}), as damaged and hostile files do; get an undamaged copy, or convert it with another program"
    )]
    Ended(String),
    /// It went on for too long.
    #[error(
        "kept its decoder busy for more than {0} s, as hostile files do; convert it with another program"
    )]
    Slow(u64),
    /// What it gave is no answer.
    #[error(
        "its decoder gave what makes no sense ({0}), as damaged and hostile files may do; convert it with another program"
    )]
    Answer(String),
}

/// What one question may cost.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Bytes of address space beyond what an idle child has.
    pub memory: u64,
    /// Of work, in whole seconds.
    pub time: Duration,
    /// By the clock, as a child may be kept from working.
    pub patience: Duration,
}

/// What holds a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    /// Limits of memory, time, files.
    pub limits: bool,
    /// Landlock: nothing of the file system.
    pub landlock: bool,
    /// Seccomp: few system calls.
    pub seccomp: bool,
    /// Namespaces: an empty root folder, a network without devices. Many systems refuse them, so they
    /// are not counted as [missing](Self::missing).
    pub namespaces: bool,
}

impl Strength {
    /// What this system lacks, by name; `None` where nothing is missing.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let all = [
            (self.landlock, "landlock"),
            (self.seccomp, "seccomp"),
            (self.limits, "limits"),
        ];
        join(all.iter().filter(|(has, _)| !has).map(|(_, name)| *name))
    }
}

impl std::fmt::Display for Strength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            (true, "a process of its own"),
            (self.limits, "limits of memory, time and files"),
            (self.landlock, "landlock"),
            (self.seccomp, "seccomp"),
            (self.namespaces, "namespaces"),
        ];
        let held = join(all.iter().filter(|(has, _)| *has).map(|(_, name)| *name));
        f.write_str(&held.unwrap_or_default())?;
        if let Some(missing) = self.missing() {
            write!(f, "; this system has no {missing}")?;
        }
        if cfg!(target_os = "linux") && !self.namespaces {
            f.write_str("; this system refuses namespaces")?;
        }
        Ok(())
    }
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// This executable, even where another one has taken its name meanwhile.
fn own_executable() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") {
        Ok("/proc/self/exe".into())
    } else {
        std::env::current_exe()
    }
}
