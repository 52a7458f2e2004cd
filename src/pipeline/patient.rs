//! Standard input and pipes that can be left: whoever waits for them can be told to stop, although
//! nothing comes and nothing ends.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    time::Duration,
};

use super::Progress;

/// How often it is asked whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// Bytes that are read at a time, and how many of these may wait.
const BLOCK: usize = 1 << 18;
const WAITING: usize = 4;

/// Standard input or a pipe, read by a thread that is left alone when nobody wants more: it ends with the
/// program at the latest.
pub(super) struct Patient {
    blocks: Receiver<io::Result<Vec<u8>>>,
    block: Cursor<Vec<u8>>,
    over: Arc<AtomicBool>,
}

impl Patient {
    /// Begins to read standard input. Reading fails once `over` is set.
    pub(super) fn stdin(over: Arc<AtomicBool>) -> Self {
        Self::of(|| Ok(io::stdin().lock()), over)
    }

    /// The same for a file that may keep who opens it waiting.
    pub(super) fn file(path: &Path, over: Arc<AtomicBool>) -> Self {
        let path = path.to_path_buf();
        Self::of(move || File::open(path), over)
    }

    fn of<R: Read>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        over: Arc<AtomicBool>,
    ) -> Self {
        let (send, blocks) = sync_channel(WAITING);
        std::thread::spawn(move || {
            let mut from = match open() {
                Ok(from) => from,
                Err(error) => {
                    let _ = send.send(Err(error));
                    return;
                }
            };
            loop {
                let mut block = vec![0; BLOCK];
                let read = match from.read(&mut block) {
                    Ok(0) => return,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(n) => {
                        block.truncate(n);
                        Ok(block)
                    }
                    Err(e) => Err(e),
                };
                let failed = read.is_err();
                if send.send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self {
            blocks,
            block: Cursor::new(Vec::new()),
            over,
        }
    }
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.block.read(into)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            if self.over.load(Ordering::Acquire) {
                return Err(io::Error::other("stopped"));
            }
            match self.blocks.recv_timeout(TICK) {
                Ok(block) => self.block = Cursor::new(block?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
    }
}

/// Does something that may wait for standard input, and sets `over` when `progress` says stop.
pub(super) fn leaving<T>(
    over: &AtomicBool,
    progress: &dyn Progress,
    work: impl FnOnce() -> T,
) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                if progress.stop() {
                    over.store(true, Ordering::Release);
                    return;
                }
                std::thread::park_timeout(TICK);
            }
        });
        let result = work();
        done.store(true, Ordering::Release);
        watch.thread().unpark();
        result
    })
}
