//! Decoders and the verifier in the cage: what the child does, and how it is asked.

use std::{
    io::{self, Read},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    cage::{self, Allowance, Answer, CageError, Launcher, Pool, Strength},
    decode::{self, DecodeError, Kind, Options, Photo, animation, wire},
    verify::{self, Inspection, Leak},
};

/// The first byte of a question: what is to be done with a file.
const DECODE: u8 = 0;
/// The same.
const INSPECT: u8 = 1;

/// To be called first in the `main` of a program that wants its decoders in children: those
/// children are the same program, and end here.
///
/// # Errors
/// The code to exit with, in a child.
pub fn enter_cage() -> Result<Launcher, ExitCode> {
    cage::enter(&|question, answer| {
        // One thread: there are as many children as there are cores, and none may start others.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .use_current_thread();
        let _ = pool.build_global();
        let (task, rest) = match question.split_first() {
            Some((task, rest)) => (*task, rest),
            None => (DECODE, &question[..]),
        };
        if task == INSPECT {
            return wire::write_text(answer, &Found::from(verify::inspect(rest)));
        }
        let result = match wire::question(rest) {
            Some((options, true, file)) => {
                // The animation keeps the file itself.
                let (file, options) = (file.to_vec(), options);
                drop(question);
                return animation::wire::send(file, &options, answer);
            }
            Some((options, false, file)) => decode::photo(file, &options),
            None => Err(DecodeError::Empty),
        };
        drop(question);
        wire::send(&result, answer)
    })
}

/// Decoders in children of this program.
#[derive(Debug)]
pub struct Caged {
    pool: Arc<Pool>,
}

/// Seconds that any picture may take.
const TIME: Duration = Duration::from_secs(20);
/// Bytes of decoded pixels a second that the slowest decoder gives at least; measured are 15 MiB
/// a second for TIFF with LZW in a build that is hardly optimised.
const PACE: u64 = 4 << 20;
/// Bytes that a decoder may hold, per byte of its decoded pixels: the pixels, coefficients of two
/// bytes, and a converted or turned copy.
const COPIES: u64 = 5;

/// Bytes that decoding so many bytes of pixels from so many of a file may take.
const fn memory(pixels: u64, options: &Options, file: u64) -> u64 {
    pixels
        .saturating_mul(COPIES)
        .saturating_add(file.saturating_mul(2))
        .saturating_add(options.max_metadata)
}

impl Caged {
    /// Starts the first child, and holds `ffmpeg` from now on. `options`: those of which no question
    /// asks for more.
    ///
    /// # Errors
    /// [`CageError::Start`].
    pub fn new(launcher: Launcher, options: &Options) -> Result<Self, CageError> {
        let most = memory(options.max_memory, options, options.max_memory);
        let pool = Arc::new(Pool::new(launcher, most)?);
        cage::hold_programs(launcher);
        Ok(Self { pool })
    }

    /// What holds the children on this system.
    #[must_use]
    pub fn strength(&self) -> Strength {
        self.pool.strength()
    }

    /// Decodes a photo, as [`decode::photo`] does.
    ///
    /// # Errors
    /// When the decoder came to no answer; within, as [`decode::photo`].
    pub fn photo(
        &self,
        bytes: &[u8],
        options: &Options,
    ) -> Result<Result<Photo, DecodeError>, CageError> {
        let kind = decode::sniff(&bytes[..bytes.len().min(decode::HEAD)]);
        if matches!(kind, Kind::Heif(_)) {
            // Boxes are read here, in safe Rust; what decodes the pictures is `ffmpeg`, held itself,
            // which a child that may start nothing could not ask.
            return Ok(decode::photo(bytes, options));
        }
        // What the header does not promise may be as much as is allowed; pages add up.
        let promised =
            decode::dimensions(bytes).filter(|_| kind != Kind::Photo(crate::Format::Tiff));
        let pixels = promised.map_or(options.max_memory, |(w, h, size)| {
            u64::from(w)
                .saturating_mul(u64::from(h))
                .saturating_mul(u64::from(size))
                .min(options.max_memory)
        });
        let time = TIME + Duration::from_secs(pixels / PACE);
        let allowance = Allowance {
            memory: memory(pixels, options, bytes.len() as u64),
            time,
            patience: 3 * time,
        };
        let head = wire::options_to_bytes(options, false);
        self.pool
            .ask(&[&[DECODE], &head, bytes], allowance, true, |answer| {
                wire::receive(answer, options, bytes.len())
            })
    }

    /// Looks at an animation, as [`animation::open`] does; its frames are decoded in children too.
    ///
    /// # Errors
    /// As [`animation::open`].
    pub fn animation(
        &self,
        bytes: Vec<u8>,
        options: &Options,
    ) -> Result<animation::Animation, DecodeError> {
        let moving = Moving {
            pool: Arc::clone(&self.pool),
            head: wire::options_to_bytes(options, true),
            allowance: Allowance {
                memory: memory(options.max_memory, options, bytes.len() as u64),
                time: FILM,
                patience: 3 * TIME,
            },
            bytes,
        };
        animation::wire::from_elsewhere(Box::new(moving), options)
    }
}

/// Bytes of a file a second that the slowest part of the verifier gets through; animations, whose
/// pictures it decodes, are the slowest.
const PACE_OF_FILES: u64 = 1 << 20;
/// Bytes of decoded pixels a second that it gets through.
const PACE_OF_PIXELS: u64 = 16 << 20;
/// Bytes of a file in which its size in pixels is looked up.
const START: u64 = 1 << 16;

impl Caged {
    /// Reads a file as [`verify::inspect`] does, which of an animation leaves out how it moves.
    ///
    /// `bytes`: its length; `limit`: bytes that the pictures in it may take in memory.
    ///
    /// # Errors
    /// When the verifier came to no answer.
    pub fn inspect(
        &self,
        (file, bytes): (&mut dyn Read, u64),
        limit: u64,
    ) -> Result<Inspection, CageError> {
        let mut start = Vec::new();
        let read = Read::take(&mut *file, START.min(bytes)).read_to_end(&mut start);
        read.map_err(|e| CageError::Answer(e.to_string()))?;
        let promised = decode::dimensions(&start).map_or(0, |(w, h, size)| {
            u64::from(w) * u64::from(h) * u64::from(size)
        });
        let seconds = bytes / PACE_OF_FILES + promised.min(limit) / PACE_OF_PIXELS;
        let time = TIME + Duration::from_secs(seconds);
        let allowance = Allowance {
            memory: limit.saturating_add(bytes.saturating_mul(2)),
            time,
            patience: 3 * time,
        };
        let rest = bytes - start.len() as u64;
        let found: Found =
            self.pool
                .ask_about(&[&[INSPECT], &start], (file, rest), allowance, |answer| {
                    wire::read_text(answer)
                })?;
        Ok(found.into())
    }
}

/// What the verifier found, as it comes from a child.
#[derive(Serialize, Deserialize)]
struct Found {
    format: Option<String>,
    size: Option<(u32, u32)>,
    further: Vec<(u32, u32)>,
    leaks: Vec<Leak>,
    unchecked: Vec<String>,
}

impl From<Inspection> for Found {
    fn from(is: Inspection) -> Self {
        Self {
            format: is.format.map(|f| f.suffix().into()),
            size: is.size,
            further: is.further,
            leaks: is.leaks,
            unchecked: is.unchecked,
        }
    }
}

impl From<Found> for Inspection {
    fn from(found: Found) -> Self {
        Self {
            // An unknown one is reported as such.
            format: found.format.and_then(|f| f.parse().ok()),
            size: found.size,
            further: found.further,
            leaks: found.leaks,
            unchecked: found.unchecked,
            moving: None,
        }
    }
}

/// Seconds of work that all frames of an animation may take together.
const FILM: Duration = Duration::from_secs(3600);

/// An animation that children decode, from the first frame on each time it is asked for.
#[derive(Debug)]
struct Moving {
    pool: Arc<Pool>,
    head: [u8; 19],
    allowance: Allowance,
    bytes: Vec<u8>,
}

impl animation::wire::Elsewhere for Moving {
    fn begin(&self) -> Result<Box<dyn animation::wire::Pieces + '_>, DecodeError> {
        let question = [&[DECODE][..], &self.head, &self.bytes];
        let answer = self.pool.begin(&question, self.allowance).map_err(caged)?;
        Ok(Box::new(Frames(answer)))
    }
}

/// The answer, as frames are taken from it. Its child is ended with it: not every one is read to
/// its end.
struct Frames<'a>(Answer<'a>);

impl animation::wire::Pieces for Frames<'_> {
    fn piece(
        &mut self,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), DecodeError> {
        self.0.part(|from| read(from)).map_err(caged)
    }
}

fn caged(error: CageError) -> DecodeError {
    DecodeError::Caged(error.to_string())
}
