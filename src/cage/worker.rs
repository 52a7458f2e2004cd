//! One child, as its parent sees it.

use std::{
    io::{self, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, ExitStatus},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Allowance, CageError, Strength};

/// Bytes of a greeting that are believed.
const MOST_HELLO: u64 = 4096;

/// What follows the parts of a question that are in memory, and its bytes.
pub(super) type Rest<'a> = (&'a mut dyn Read, u64);

/// One child.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) life: Arc<Life>,
    input: ChildStdin,
    pub(super) output: BufReader<ChildStdout>,
    answers: u64,
}

/// What the keeper shares with who asks.
#[derive(Debug)]
pub(super) struct Life {
    child: Mutex<Child>,
    /// The keeper ended it, as its time was up.
    pub(super) expired: AtomicBool,
}

impl Life {
    pub(super) fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) -> Option<ExitStatus> {
        let mut child = self.child();
        let _ = child.kill();
        child.wait().ok()
    }

    /// How it ended, if it did so by itself within a moment after its pipe broke.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child().try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.life.kill();
    }
}

impl Worker {
    /// A child that was just started.
    pub(super) fn new(mut child: Child) -> Option<Self> {
        let (input, output) = (child.stdin.take()?, child.stdout.take()?);
        #[cfg(target_os = "linux")]
        {
            // Fewer switches between the processes, where the system can.
            let _ = rustix::pipe::fcntl_setpipe_size(&input, 1 << 20);
            let _ = rustix::pipe::fcntl_setpipe_size(&output, 1 << 20);
        }
        Some(Self {
            life: Arc::new(Life {
                child: Mutex::new(child),
                expired: AtomicBool::new(false),
            }),
            input,
            output: BufReader::with_capacity(1 << 16, output),
            answers: 0,
        })
    }

    pub(super) fn hello(&mut self) -> io::Result<Strength> {
        let mut length = [0; 8];
        self.output.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let mut text = Vec::new();
        (&mut self.output)
            .take(length.min(MOST_HELLO))
            .read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub(super) fn send(
        &mut self,
        question: &[&[u8]],
        rest: Rest<'_>,
        allowance: Allowance,
    ) -> io::Result<()> {
        let (rest, behind) = rest;
        let length: u64 = question.iter().map(|part| part.len() as u64).sum();
        for word in [length + behind, allowance.memory, seconds(allowance.time)] {
            self.input.write_all(&word.to_le_bytes())?;
        }
        for part in question {
            self.input.write_all(part)?;
        }
        if io::copy(&mut rest.take(behind), &mut self.input)? < behind {
            return Err(io::Error::other(
                "the file became shorter while it was read",
            ));
        }
        self.input.flush()
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        let mut number = [0; 8];
        self.output.read_exact(&mut number)?;
        self.answers += 1;
        if u64::from_le_bytes(number) == self.answers {
            return Ok(());
        }
        let kind = io::ErrorKind::InvalidData;
        Err(io::Error::new(kind, "it went on behind its end"))
    }

    /// Why there was no answer.
    pub(super) fn why(&self, error: &io::Error, time: Duration) -> CageError {
        let broken = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe
        );
        let status = if broken { self.life.ended() } else { None };
        let slow = CageError::Slow(seconds(time));
        if self.life.expired.load(Ordering::Acquire) {
            return slow;
        }
        match status {
            Some(status) if out_of_time(status) => slow,
            Some(status) => CageError::Ended(told(status)),
            None => CageError::Answer(error.to_string().escape_debug().take(160).collect()),
        }
    }
}

/// Whole seconds, at least one.
fn seconds(time: Duration) -> u64 {
    time.as_secs().max(1)
}

#[cfg(unix)]
fn out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

#[cfg(not(unix))]
fn out_of_time(_status: ExitStatus) -> bool {
    false
}

/// How a child ended, in words.
#[cfg(unix)]
pub(super) fn told(status: ExitStatus) -> String {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt;
    let Some(signal) = status.signal() else {
        return status.to_string();
    };
    let what = [
        (Signal::ABORT, "it gave up, as when memory runs out"),
        (Signal::SEGV, "it reached for memory that is not its own"),
        (Signal::BUS, "it reached for memory that is not its own"),
        (
            Signal::KILL,
            "it was ended from outside, as when memory runs out",
        ),
        (Signal::SYS, "it asked the system for what no decoder needs"),
    ];
    what.iter()
        .find(|(s, _)| s.as_raw() == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, what)| (*what).into())
}

#[cfg(not(unix))]
pub(super) fn told(status: ExitStatus) -> String {
    status.to_string()
}
