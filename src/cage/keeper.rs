//! A thread that starts children and looks at the clock for them.
//!
//! It is there because on Linux a child dies with the *thread* that started it.

use std::{
    collections::BTreeMap,
    io,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    CageError, Launcher, Strength, WORD,
    worker::{Life, Worker, told},
};

/// Until a child must have greeted: a machine may be busy.
const GREETING: Duration = Duration::from_secs(60);
/// What the keeper is told.
enum Word {
    Start(mpsc::SyncSender<io::Result<Child>>),
    Watch(u64, Instant, Arc<Life>),
    Done(u64),
}

/// The thread that starts children and ends those whose time is up.
#[derive(Debug)]
pub(super) struct Keeper {
    /// `None` once the thread is to end.
    words: Option<mpsc::Sender<Word>>,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// While it exists, the clock runs for a child.
pub(super) struct Watch<'a>(&'a Keeper, u64);

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
    pub(super) fn new(launcher: Launcher, most: u64) -> Result<Self, CageError> {
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

    pub(super) fn watch(&self, worker: &Worker, patience: Duration) -> Watch<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + patience;
        self.say(Word::Watch(number, until, Arc::clone(&worker.life)));
        Watch(self, number)
    }

    /// Starts a child and waits for its greeting.
    pub(super) fn worker(&self) -> Result<(Worker, Strength), CageError> {
        let failed = |e: io::Error| CageError::Start(e.to_string());
        let (send, receive) = mpsc::sync_channel(1);
        self.say(Word::Start(send));
        let child = receive
            .recv()
            .map_err(|e| CageError::Start(e.to_string()))?
            .map_err(failed)?;
        let no_pipes = || CageError::Start("it has no pipes".into());
        let mut worker = Worker::new(child).ok_or_else(no_pipes)?;
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
