//! The parent's side: children that wait for questions, as many as are asked at the same time.

use std::{
    io::{self, Read},
    sync::{Mutex, PoisonError},
};

use super::{
    Allowance, CageError, Launcher, Strength,
    keeper::Keeper,
    worker::{Rest, Worker},
};

/// Children that answer questions, as many as ask at the same time.
#[derive(Debug)]
pub struct Pool {
    keeper: Keeper,
    idle: Mutex<Vec<Worker>>,
    strength: Strength,
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
        let mut answer = self.begin(question, allowance)?;
        let read = answer.part(read)?;
        answer.end(again)?;
        Ok(read)
    }

    /// Asks one question that ends with `length` bytes of `file`, which are never in this process all at
    /// once; the rest is as for [`ask`](Self::ask).
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and when `file` ends early.
    pub fn ask_about<T>(
        &self,
        head: &[&[u8]],
        (file, length): (&mut dyn Read, u64),
        allowance: Allowance,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, CageError> {
        let mut answer = self.begin_with(head, (file, length), allowance)?;
        let read = answer.part(read)?;
        answer.end(true)?;
        Ok(read)
    }

    /// Asks a question whose answer comes in parts.
    ///
    /// # Errors
    /// When the child ended.
    pub fn begin(&self, question: &[&[u8]], allowance: Allowance) -> Result<Answer<'_>, CageError> {
        self.begin_with(question, (&mut io::empty(), 0), allowance)
    }

    fn begin_with(
        &self,
        question: &[&[u8]],
        rest: Rest<'_>,
        allowance: Allowance,
    ) -> Result<Answer<'_>, CageError> {
        let mut answer = Answer {
            pool: self,
            worker: self.take()?,
            allowance,
        };
        answer.timed(|worker| worker.send(question, rest, allowance))?;
        Ok(answer)
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

/// An answer that comes in parts. Dropped before its end, its child is ended too.
#[derive(Debug)]
pub struct Answer<'a> {
    pool: &'a Pool,
    worker: Worker,
    allowance: Allowance,
}

impl Answer<'_> {
    /// Reads a part with `read`, which must trust none of it. The clock runs for this part alone.
    ///
    /// # Errors
    /// As [`Pool::ask`].
    pub fn part<T>(
        &mut self,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> Result<T, CageError> {
        self.timed(|worker| read(&mut worker.output))
    }

    /// All was read. `again`: whether the child may answer other questions.
    ///
    /// # Errors
    /// As [`Pool::ask`].
    pub fn end(mut self, again: bool) -> Result<(), CageError> {
        self.timed(Worker::end)?;
        if again {
            let mut idle = self
                .pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            idle.push(self.worker);
        }
        Ok(())
    }

    fn timed<T>(
        &mut self,
        work: impl FnOnce(&mut Worker) -> io::Result<T>,
    ) -> Result<T, CageError> {
        let watch = self
            .pool
            .keeper
            .watch(&self.worker, self.allowance.patience);
        let result = work(&mut self.worker);
        drop(watch);
        result.map_err(|error| self.worker.why(&error, self.allowance.time))
    }
}
