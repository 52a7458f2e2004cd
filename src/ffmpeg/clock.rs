//! A clock beside each child: one that gives or takes nothing for too long while this process
//! waits for it is ended, as it may never go on.

use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a child may keep this process waiting. The slowest encoder at its slowest speed gives a
/// 4K frame in a few seconds, and thinks about some sixty frames before the first.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is looked at.
const TICK: Duration = Duration::from_millis(500);

/// When this process began to wait, and what came of it.
#[derive(Debug)]
pub(super) struct Clock {
    begun: Instant,
    /// Milliseconds from `begun` on, plus one; 0: nobody waits.
    waits: AtomicU64,
    over: AtomicBool,
    expired: AtomicBool,
}

impl Clock {
    /// A clock that calls `end` when the time is up.
    pub(super) fn start(end: impl Fn() + Send + 'static) -> Arc<Self> {
        let clock = Arc::new(Self {
            begun: Instant::now(),
            waits: AtomicU64::new(0),
            over: AtomicBool::new(false),
            expired: AtomicBool::new(false),
        });
        let own = Arc::clone(&clock);
        std::thread::spawn(move || {
            while !own.over.load(Ordering::Acquire) {
                std::thread::park_timeout(TICK);
                let since = own.waits.load(Ordering::Acquire);
                let now = own.now();
                if since > 0 && u128::from(now.saturating_sub(since)) > PATIENCE.as_millis() {
                    own.expired.store(true, Ordering::Release);
                    end();
                    return;
                }
            }
        });
        clock
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64 + 1
    }

    /// Does something for which this process has to wait.
    pub(super) fn wait<T>(&self, work: impl FnOnce() -> T) -> T {
        self.waits.store(self.now(), Ordering::Release);
        let result = work();
        self.waits.store(0, Ordering::Release);
        result
    }

    /// The child has ended, and its number may be another's soon.
    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// For how many seconds nothing came, where that ended it.
    pub(super) fn expired(&self) -> Option<u64> {
        self.expired
            .load(Ordering::Acquire)
            .then_some(PATIENCE.as_secs())
    }
}

/// A pipe from or to a child, with its clock.
#[derive(Debug)]
pub struct Timed<P> {
    pub(super) pipe: P,
    pub(super) clock: Arc<Clock>,
}

impl<P: Read> Read for Timed<P> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut self.pipe;
        self.clock.wait(|| pipe.read(into))
    }
}

impl<P: Write> Write for Timed<P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pipe = &mut self.pipe;
        self.clock.wait(|| pipe.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}
