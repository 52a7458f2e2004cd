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
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use super::{Outcome, Progress, Settings};
use crate::{
    decode,
    discover::{Job, Source},
    error::Error,
};

/// What there is to do: a job, or an input whose fate is known already.
pub(super) enum Item {
    Job(Job),
    Known(Box<Outcome>),
}

/// Memory a picture takes at its peak, per byte of its decoded pixels: the pixels, the encoded
/// bytes, and a turned or converted copy.
const FACTOR: u64 = 3;

/// Does `job` for each of `items` on so many threads, and gives the outcomes to `sink` in the order
/// of their numbers, which are those from 0 on, until it says `false`. Gives whether something was
/// left undone.
pub(super) fn work(
    items: impl Iterator<Item = (usize, Item)> + Send,
    settings: &Settings<'_>,
    job: impl Fn((usize, &Job)) -> Option<Outcome> + Sync,
    progress: &dyn Progress,
    mut sink: impl FnMut(Outcome) -> bool,
) -> bool {
    let workers = settings.workers.max(1);
    let items = Mutex::new(items);
    let halt = AtomicBool::new(false);
    let budget = Budget {
        left: Mutex::new(settings.memory.max(1)),
        all: settings.memory.max(1),
        freed: Condvar::new(),
    };
    // One more than the pool, so that a picture is read and decoded while another is searched.
    let threads = if workers == 1 { 1 } else { workers + 1 };
    let (send, receive) = mpsc::sync_channel::<(usize, Option<Outcome>)>(2 * threads);
    let mut undone = false;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let send = send.clone();
            scope.spawn(|| {
                let send = send;
                loop {
                    let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((index, item)) = next else { return };
                    if halt.load(Ordering::Relaxed) || progress.stop() {
                        let _ = send.send((index, None));
                        return;
                    }
                    let outcome = match item {
                        Item::Known(outcome) => Some(*outcome),
                        Item::Job(one) => {
                            let held = budget.take(need(&one, settings));
                            let outcome = guarded(index, &one, &job);
                            budget.give(held);
                            outcome
                        }
                    };
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

/// Bytes that a job will hold, by its header; where that does not say, by its length.
fn need(job: &Job, settings: &Settings<'_>) -> u64 {
    let Source::File(path) = &job.source else {
        return 0;
    };
    // What a pipe gives once is for who reads it.
    let Some(meta) = std::fs::metadata(path).ok().filter(|m| m.is_file()) else {
        return 0;
    };
    let mut head = Vec::new();
    // The frame header of a JPEG stands behind its metadata.
    const FAR: u64 = 1 << 18;
    let read = std::fs::File::open(path)
        .and_then(|f| std::io::Read::read_to_end(&mut std::io::Read::take(f, FAR), &mut head));
    let pixels = match (read, decode::dimensions(&head)) {
        (Ok(_), Some((w, h, bytes))) => u64::from(w)
            .saturating_mul(u64::from(h))
            .saturating_mul(u64::from(bytes)),
        // The directory of a TIFF file may stand at its end; most are hardly compressed.
        _ => meta.len().saturating_mul(2),
    };
    // More than this is not decoded.
    pixels
        .min(settings.decode.max_memory)
        .saturating_mul(FACTOR)
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
