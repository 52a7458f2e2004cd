//! The parent's side: children that wait for questions, and a thread that starts them and looks at
//! the clock.
//!
//! The thread is there because on Linux a child dies with the *thread* that started it.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{Allowance, CageError, Launcher, Strength, WORD};

/// Until a child must have greeted: a machine may be busy.
const GREETING: Duration = Duration::from_secs(60);
/// Bytes of a greeting that are believed.
const MOST_HELLO: u64 = 4096;

/// Children that answer questions, as many as ask at the same time.
#[derive(Debug)]
pub struct Pool {
    keeper: Keeper,
    idle: Mutex<Vec<Worker>>,
    strength: Strength,
}

/// One child.
#[derive(Debug)]
struct Worker {
    life: Arc<Life>,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    answers: u64,
}

/// What the keeper shares with who asks.
#[derive(Debug)]
struct Life {
    child: Mutex<Child>,
    /// The keeper ended it, as its time was up.
    expired: AtomicBool,
}

impl Life {
    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) -> Option<ExitStatus> {
        let mut child = self.child();
        let _ = child.kill();
        child.wait().ok()
    }

    /// How it ended, if it did so by itself within a moment after its pipe broke.
    fn ended(&self) -> Option<ExitStatus> {
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

impl Pool {
    /// Starts the first child and asks it what holds it. `most`: bytes of address space beyond what
    /// an idle child has, that no question may ask for more of.
    ///
    /// # Errors
    /// [`CageError::Start`].
    pub fn new(launcher: Launcher, most: u64) -> Result<Self, CageError> {
        let keeper = Keeper::new(launcher, most)?;
        let (worker, strength) = keeper.worker()?;
        Ok(Self {
            keeper,
            idle: Mutex::new(vec![worker]),
            strength,
        })
    }

    /// What holds the children.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        self.strength
    }

    /// Asks one question and reads the answer with `read`, which must read all of it and trust
    /// none of it. `again`: whether the child may answer others after this one.
    ///
    /// # Errors
    /// When the child ended, took too long or gave no answer.
    pub fn ask<T>(
        &self,
        question: &[&[u8]],
        allowance: Allowance,
        again: bool,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, CageError> {
        let mut worker = self.take()?;
        let watch = self.keeper.watch(&worker, allowance.patience);
        let result = worker.ask(question, allowance, read);
        drop(watch);
        match result {
            Ok(answer) => {
                if again {
                    let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    idle.push(worker);
                }
                Ok(answer)
            }
            Err(error) => Err(worker.why(&error, allowance.time)),
        }
    }

    /// An idle child, or a new one.
    fn take(&self) -> Result<Worker, CageError> {
        loop {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(worker) = idle.pop() else { break };
            drop(idle);
            // One that was ended from outside while it waited is nobody's fault.
            if matches!(worker.life.child().try_wait(), Ok(None)) {
                return Ok(worker);
            }
        }
        self.keeper.worker().map(|(worker, _)| worker)
    }
}

impl Worker {
    fn ask<T>(
        &mut self,
        question: &[&[u8]],
        allowance: Allowance,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> io::Result<T> {
        let length: u64 = question.iter().map(|part| part.len() as u64).sum();
        for word in [length, allowance.memory, seconds(allowance.time)] {
            self.input.write_all(&word.to_le_bytes())?;
        }
        for part in question {
            self.input.write_all(part)?;
        }
        self.input.flush()?;
        let answer = read(&mut self.output)?;
        let mut number = [0; 8];
        self.output.read_exact(&mut number)?;
        self.answers += 1;
        if u64::from_le_bytes(number) == self.answers {
            Ok(answer)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it went on behind its end",
            ))
        }
    }

    /// Why there was no answer.
    fn why(&self, error: &io::Error, time: Duration) -> CageError {
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
fn told(status: ExitStatus) -> String {
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
fn told(status: ExitStatus) -> String {
    status.to_string()
}

/// What the keeper is told.
enum Word {
    Start(mpsc::SyncSender<io::Result<Child>>),
    Watch(u64, Instant, Arc<Life>),
    Done(u64),
}

/// The thread that starts children and ends those whose time is up.
#[derive(Debug)]
struct Keeper {
    /// `None` once the thread is to end.
    words: Option<mpsc::Sender<Word>>,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// While it exists, the clock runs for a child.
struct Watch<'a>(&'a Keeper, u64);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.say(Word::Done(self.1));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.words = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Keeper {
    fn new(launcher: Launcher, most: u64) -> Result<Self, CageError> {
        let (words, heard) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("cage".into())
            .spawn(move || keep(launcher, most, &heard))
            .map_err(|e| CageError::Start(e.to_string()))?;
        Ok(Self {
            words: Some(words),
            next: AtomicU64::new(0),
            thread: Some(thread),
        })
    }

    fn say(&self, word: Word) {
        if let Some(words) = &self.words {
            let _ = words.send(word);
        }
    }

    fn watch(&self, worker: &Worker, patience: Duration) -> Watch<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + patience;
        self.say(Word::Watch(number, until, Arc::clone(&worker.life)));
        Watch(self, number)
    }

    /// Starts a child and waits for its greeting.
    fn worker(&self) -> Result<(Worker, Strength), CageError> {
        let failed = |e: io::Error| CageError::Start(e.to_string());
        let (send, receive) = mpsc::sync_channel(1);
        self.say(Word::Start(send));
        let mut child = receive
            .recv()
            .map_err(|e| CageError::Start(e.to_string()))?
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(CageError::Start("it has no pipes".into()));
        };
        #[cfg(target_os = "linux")]
        for result in [
            rustix::pipe::fcntl_setpipe_size(&input, 1 << 20),
            rustix::pipe::fcntl_setpipe_size(&output, 1 << 20),
        ] {
            // Fewer switches between the processes, where the system can.
            let _ = result;
        }
        let mut worker = Worker {
            life: Arc::new(Life {
                child: Mutex::new(child),
                expired: AtomicBool::new(false),
            }),
            input,
            output: BufReader::with_capacity(1 << 16, output),
            answers: 0,
        };
        let watch = self.watch(&worker, GREETING);
        let strength = worker.hello();
        drop(watch);
        match strength {
            Ok(strength) => Ok((worker, strength)),
            Err(error) => Err(CageError::Start(match worker.life.ended() {
                Some(status) => told(status),
                None => error.to_string(),
            })),
        }
    }
}

impl Worker {
    fn hello(&mut self) -> io::Result<Strength> {
        let mut length = [0; 8];
        self.output.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        let mut text = Vec::new();
        (&mut self.output)
            .take(length.min(MOST_HELLO))
            .read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

fn keep(launcher: Launcher, most: u64, words: &mpsc::Receiver<Word>) {
    let mut watched: BTreeMap<u64, (Instant, Arc<Life>)> = BTreeMap::new();
    loop {
        let now = Instant::now();
        watched.retain(|_, (until, life)| {
            let over = *until <= now;
            if over {
                life.expired.store(true, Ordering::Release);
                let _ = life.child().kill();
            }
            !over
        });
        let next = watched.values().map(|(until, _)| *until).min();
        let word = match next {
            Some(until) => words.recv_timeout(until.saturating_duration_since(now)),
            None => words.recv().map_err(Into::into),
        };
        match word {
            Ok(Word::Start(answer)) => {
                let _ = answer.send(spawn(launcher, most));
            }
            Ok(Word::Watch(number, until, life)) => {
                watched.insert(number, (until, life));
            }
            Ok(Word::Done(number)) => {
                watched.remove(&number);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn spawn(_launcher: Launcher, most: u64) -> io::Result<Child> {
    let mut command = Command::new(super::own_executable()?);
    #[cfg(unix)]
    {
        std::os::unix::process::CommandExt::arg0(&mut command, "unface");
        // Ctrl-C reaches the parent, which ends its children in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.current_dir("/");
    }
    command
        .args([WORD, "worker"])
        .arg(std::process::id().to_string())
        .arg(most.to_string())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    #[cfg(windows)]
    if let Some(root) = std::env::var_os("SystemRoot") {
        command.env("SystemRoot", root);
    }
    command.spawn()
}
