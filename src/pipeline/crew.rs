//! Many pictures at once, results in order, memory bounded.
//!
//! Pictures are taken by threads of their own, and each picture's windows go to rayon's pool, so
//! that one large picture keeps all cores as busy as a thousand small ones. The threads are not
//! the pool's: a worker that waits for its windows would take up another whole
//! picture meanwhile, and so on, and memory would know no bound.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
};

use super::{Outcome, Progress, Settings};
use crate::{
    decode,
    discover::{Job, Source},
    error::Error,
};

/// Memory a picture takes at its peak, per byte of its decoded pixels: the pixels, the encoded
/// bytes, and a turned or converted copy.
const FACTOR: u64 = 3;

/// Does `job` for each of `jobs` on so many threads, and gives the outcomes to `sink` in order,
/// until it says `false`. Gives whether something was left undone.
pub(super) fn work(
    jobs: &[Job],
    settings: &Settings<'_>,
    job: impl Fn((usize, &Job)) -> Option<Outcome> + Sync,
    progress: &dyn Progress,
    mut sink: impl FnMut(Outcome) -> bool,
) -> bool {
    let workers = settings.workers.max(1);
    let next = AtomicUsize::new(0);
    let halt = AtomicBool::new(false);
    let budget = Budget {
        left: Mutex::new(settings.memory.max(1)),
        all: settings.memory.max(1),
        freed: Condvar::new(),
    };
    // One more than the pool, so that a picture is read and decoded while another is searched.
    let threads = if workers == 1 {
        1
    } else {
        (workers + 1).min(jobs.len().max(1))
    };
    let (send, receive) = mpsc::sync_channel::<(usize, Option<Outcome>)>(2 * threads);
    let mut undone = false;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let send = send.clone();
            scope.spawn(|| {
                let send = send;
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = jobs.get(index) else { return };
                    if halt.load(Ordering::Relaxed) || progress.stop() {
                        let _ = send.send((index, None));
                        return;
                    }
                    let held = budget.take(need(one));
                    let outcome = guarded(index, one, &job);
                    budget.give(held);
                    if send.send((index, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        for (index, outcome) in &receive {
            waiting.insert(index, outcome);
            while let Some(outcome) = waiting.remove(&due) {
                due += 1;
                match outcome {
                    Some(outcome) if !halt.load(Ordering::Relaxed) => {
                        if !sink(outcome) {
                            halt.store(true, Ordering::Relaxed);
                        }
                    }
                    _ => undone = true,
                }
            }
        }
        // What was finished behind something that was dropped still counts.
        for outcome in waiting.into_values().flatten() {
            sink(outcome);
        }
        undone |= due < jobs.len();
    });
    undone
}

/// Does one job; a panic is that job's failure alone.
fn guarded(
    index: usize,
    one: &Job,
    job: &(impl Fn((usize, &Job)) -> Option<Outcome> + Sync),
) -> Option<Outcome> {
    let run = AssertUnwindSafe(|| job((index, one)));
    catch_unwind(run).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let path = one.source.path().into();
        let what = what.escape_debug().to_string();
        Some(Outcome::failed(
            one.source.clone(),
            Error::Panicked { path, what },
        ))
    })
}

/// Bytes that a job will hold, by its header; 0 where that can't be said.
fn need(job: &Job) -> u64 {
    let Source::File(path) = &job.source else {
        return 0;
    };
    let mut head = Vec::new();
    // The frame header of a JPEG stands behind its metadata.
    const FAR: u64 = 1 << 18;
    let read = std::fs::File::open(path)
        .and_then(|f| std::io::Read::read_to_end(&mut std::io::Read::take(f, FAR), &mut head));
    match (read, decode::dimensions(&head)) {
        (Ok(_), Some((w, h, bytes))) => u64::from(w) * u64::from(h) * u64::from(bytes) * FACTOR,
        _ => 0,
    }
}

/// Memory to share. Who needs more than there is at all gets all of it, alone.
struct Budget {
    left: Mutex<u64>,
    all: u64,
    freed: Condvar,
}

impl Budget {
    fn take(&self, need: u64) -> u64 {
        let need = need.min(self.all);
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self
            .freed
            .wait_while(left, |left| *left < need)
            .unwrap_or_else(PoisonError::into_inner);
        *left -= need;
        need
    }

    fn give(&self, held: u64) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) += held;
        self.freed.notify_all();
    }
}
