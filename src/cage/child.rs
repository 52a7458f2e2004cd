//! The child's side: locks itself in, then answers until its input ends.
//!
//! A question is `[length, memory, seconds]`, 8 bytes each, low byte first, and the bytes. After an
//! answer follows its number, counted from 1, so that the parent knows that it was all.

use std::{
    io::{self, BufWriter, Read, Write},
    process::ExitCode,
};

use super::{Handler, Strength, limits};

/// Address space of an idle child: the program, its libraries, the allocator's reserves, a stack a
/// thread. Measured: 80 MiB in a release build of Debian 12, of which hardly any is in memory.
const IDLE: u64 = 512 << 20;
/// Bytes of a question that are believed.
const MOST_ASKED: u64 = 1 << 40;
/// Seconds of work in a child's whole life, in case nobody stops it.
const LIFE: u64 = 24 * 3600;

/// Locks this process in. `namespaces`: whether it is in its own already. Gives what holds.
fn lock(most: u64, namespaces: bool) -> Strength {
    #[cfg(target_os = "linux")]
    let landlock = {
        super::linux::drop_powers(false);
        super::linux::no_files()
    };
    #[cfg(not(target_os = "linux"))]
    let landlock = false;
    let limits = limits::hold(&limits::Limits {
        memory: Some(IDLE.saturating_add(most)),
        seconds: Some(LIFE),
        // Standard input, output and error; nothing can be opened besides.
        files: 3,
        writes: false,
    });
    #[cfg(target_os = "linux")]
    let seccomp = super::calls::few_calls();
    #[cfg(not(target_os = "linux"))]
    let seccomp = false;
    Strength {
        limits,
        landlock,
        seccomp,
        namespaces,
    }
}

/// A child that answers questions.
pub(super) fn work(handler: &Handler) -> ExitCode {
    let mut numbers = std::env::args_os()
        .skip(3)
        .map(|a| a.to_str().and_then(|a| a.parse::<u64>().ok()));
    let mut number = || numbers.next().flatten().unwrap_or(0);
    let (parent, most) = (number(), number());
    #[cfg(target_os = "linux")]
    let namespaces = {
        let entered = super::namespaces::enter(&[]);
        if !super::linux::die_with(parent as u32) {
            return ExitCode::FAILURE;
        }
        entered
    };
    #[cfg(not(target_os = "linux"))]
    let (_, namespaces) = (parent, false);
    let strength = lock(most, namespaces);
    match serve(strength, handler) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent went away; there is nobody to tell.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(strength: Strength, handler: &Handler) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let hello = serde_json::to_vec(&strength)?;
    output.write_all(&(hello.len() as u64).to_le_bytes())?;
    output.write_all(&hello)?;
    output.flush()?;
    let mut number: u64 = 0;
    loop {
        let mut head = [0; 24];
        if let Err(error) = input.read_exact(&mut head) {
            let over = error.kind() == io::ErrorKind::UnexpectedEof;
            return if over { Ok(()) } else { Err(error) };
        }
        let mut words = head
            .chunks_exact(8)
            .map(|w| w.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)));
        let mut word = || words.next().unwrap_or(0);
        let (length, memory, seconds) = (word().min(MOST_ASKED), word(), word());
        limits::allow(IDLE.saturating_add(memory), seconds);
        let mut question = Vec::new();
        question.try_reserve_exact(length as usize)?;
        (&mut input).take(length).read_to_end(&mut question)?;
        if question.len() as u64 != length {
            return Ok(());
        }
        handler(question, &mut output)?;
        number += 1;
        output.write_all(&number.to_le_bytes())?;
        output.flush()?;
    }
}
