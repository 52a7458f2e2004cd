//! Another program in the cage: a child that locks itself in and then becomes that program.
//!
//! Nothing of this needs to run between `fork` and `exec` of the parent, where Rust promises little.

use std::{
    ffi::OsString,
    io,
    path::Path,
    process::{Command, ExitCode},
};

use super::{Launcher, WORD};

impl Launcher {
    /// A command that runs `program` in the cage. Its standard input and output, where they are
    /// files, are the only files that it may read and write, but for programs and libraries.
    ///
    /// # Errors
    /// When this executable can't be found.
    pub fn command(self, program: &Path) -> io::Result<Command> {
        let mut command = Command::new(super::own_executable()?);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::arg0(&mut command, "unface");
        command
            .args([WORD, "run"])
            .arg(std::process::id().to_string())
            .arg(program);
        Ok(command)
    }
}

/// Exit code of a child that could not become the program, as in shells.
const NOT_RUN: u8 = 126;

/// The child's side: `[parent, program, arguments…]`.
#[cfg(unix)]
pub(super) fn become_it(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let parent = args.next().and_then(|p| p.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return ExitCode::from(2);
    };
    // Links on the way to it may lead through what can't be seen any more.
    let real = std::fs::canonicalize(&program).unwrap_or_else(|_| (&program).into());
    if !lock(parent, &real) {
        return ExitCode::FAILURE;
    }
    let mut command = Command::new(real);
    std::os::unix::process::CommandExt::arg0(&mut command, program);
    let error = std::os::unix::process::CommandExt::exec(command.args(args));
    complain(&format!("can't be run in the sandbox: {error}"));
    ExitCode::from(NOT_RUN)
}

#[cfg(not(unix))]
pub(super) fn become_it(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let _parent = args.next();
    let Some(program) = args.next() else {
        return ExitCode::from(2);
    };
    match Command::new(program).args(args).status() {
        Ok(status) => ExitCode::from(
            status
                .code()
                .and_then(|c| u8::try_from(c).ok())
                .unwrap_or(1),
        ),
        Err(error) => {
            complain(&format!("can't be run: {error}"));
            ExitCode::from(NOT_RUN)
        }
    }
}

fn complain(text: &str) {
    use io::Write;
    let _ = writeln!(io::stderr(), "{text}");
}

/// Address space of ffmpeg: the frames that its threads hold, and 64 MiB reserved a thread. A
/// 4K video on 64 cores has been seen to ask for 12 GiB, nearly all of it never touched.
#[cfg(unix)]
fn most_memory() -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    (8 << 30) + cores * (256 << 20)
}

#[cfg(unix)]
fn lock(parent: u32, program: &Path) -> bool {
    use super::limits;
    let (input, output) = (regular(io::stdin()), regular(io::stdout()));
    #[cfg(target_os = "linux")]
    {
        let mut readable = readable();
        // Libraries that came with a program of somebody's own.
        let beside = program.parent().map(|folder| folder.join("../lib"));
        readable.extend(beside.and_then(|p| p.canonicalize().ok()));
        let mut shown = readable.clone();
        shown.extend([program.into(), "/proc/self".into()]);
        super::namespaces::enter(&shown);
        if !super::linux::die_with(parent) {
            return false;
        }
        super::linux::drop_powers(true);
        if !super::linux::only_files(program, &readable, input.as_ref(), output.as_ref()) {
            complain("can't be held by landlock; use --no-sandbox if you trust the files");
            return false;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (parent, program, input);
    limits::hold(&limits::Limits {
        memory: Some(most_memory()),
        // A video may take hours; the parent looks whether it goes on.
        seconds: None,
        files: 256,
        writes: output.is_some(),
    });
    #[cfg(target_os = "linux")]
    super::calls::program();
    true
}

/// A descriptor that is an ordinary file.
#[cfg(unix)]
fn regular(stream: impl std::os::fd::AsFd) -> Option<std::fs::File> {
    let file = std::fs::File::from(stream.as_fd().try_clone_to_owned().ok()?);
    file.metadata().is_ok_and(|m| m.is_file()).then_some(file)
}

/// Where programs, their libraries and what they ask of the machine lie.
#[cfg(target_os = "linux")]
fn readable() -> Vec<std::path::PathBuf> {
    [
        "/usr",
        "/lib",
        "/lib32",
        "/lib64",
        "/opt",
        "/nix/store",
        "/gnu/store",
        "/etc/ld.so.cache",
        "/etc/ld.so.preload",
        "/etc/alternatives",
        "/dev/null",
        "/dev/urandom",
        "/proc/cpuinfo",
        "/proc/meminfo",
        "/proc/stat",
        // Where libnuma, which x265 asks, learns what memory there is.
        "/proc/self/status",
        "/sys/devices/system/cpu",
        "/sys/devices/system/node",
    ]
    .map(Into::into)
    .into()
}
