//! The frames of an animation through a pipe, from the child that decodes them to the process that
//! goes on: a head, then a step for each frame, then the end.
//!
//! As with photos, what comes out of the pipe is as hostile as the file was.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::{Animation, allow, open};
use crate::{
    caution::Caution,
    decode::{
        DecodeError, Dropped, Options,
        wire::{Page, read_text, write_text, wrong},
    },
    format::Format,
    frame::{Delay, Frame},
};

/// What decodes an animation elsewhere.
pub trait Elsewhere: std::fmt::Debug + Send + Sync {
    /// Begins to decode it, from the first frame on.
    ///
    /// # Errors
    /// Why it can't.
    fn begin(&self) -> Result<Box<dyn Pieces + '_>, DecodeError>;
}

/// What comes from elsewhere, piece by piece.
pub trait Pieces {
    /// Lets `read` take a piece; gives why none came.
    ///
    /// # Errors
    /// Why none came.
    fn piece(
        &mut self,
        read: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), DecodeError>;
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: String,
    width: u32,
    height: u32,
    depth: u8,
    count: usize,
    plays: u32,
    lossless: bool,
    dropped: Vec<Dropped>,
    damage: Option<String>,
    cautions: Vec<Caution>,
}

/// What comes for each frame, before its pixels, and at the end.
#[derive(Debug, Serialize, Deserialize)]
enum Step {
    Frame { num: u32, den: u32, page: Page },
    End { fault: Option<String> },
}

/// Decodes an animation and writes all of it.
///
/// # Errors
/// When the pipe breaks.
pub fn send(bytes: Vec<u8>, options: &Options, to: &mut dyn Write) -> io::Result<()> {
    let animation = match open(bytes, options) {
        Ok(animation) => animation,
        Err(error) => return write_text(to, &Err::<Head, _>(error)),
    };
    let (width, height) = animation.size();
    let head = Head {
        format: animation.format.suffix().into(),
        width,
        height,
        depth: animation.depth,
        count: animation.count,
        plays: animation.plays,
        lossless: animation.lossless,
        dropped: animation.dropped.clone(),
        damage: animation.damage.clone(),
        cautions: animation.cautions.clone(),
    };
    write_text(to, &Ok::<_, DecodeError>(head))?;
    let mut frames = match animation.frames() {
        Ok(frames) => frames,
        Err(error) => return write_text(to, &Err::<Step, _>(error)),
    };
    for next in &mut frames {
        match next {
            Ok((frame, delay)) => {
                let step = Step::Frame {
                    num: delay.num,
                    den: delay.den,
                    page: Page::of(&frame),
                };
                write_text(to, &Ok::<_, DecodeError>(step))?;
                to.write_all(frame.pixels().as_bytes())?;
            }
            Err(error) => return write_text(to, &Err::<Step, _>(error)),
        }
    }
    let fault = frames.fault().map(str::to_owned);
    write_text(to, &Ok::<_, DecodeError>(Step::End { fault }))
}

/// Reads a text through `pieces`.
fn text<T: serde::de::DeserializeOwned>(
    pieces: &mut (dyn Pieces + '_),
) -> Result<Result<T, DecodeError>, DecodeError> {
    let mut got = None;
    pieces.piece(&mut |from| {
        got = Some(read_text::<Result<T, DecodeError>>(from)?);
        Ok(())
    })?;
    got.ok_or_else(|| DecodeError::Damaged("nothing came".into()))
}

/// An animation that is decoded elsewhere.
///
/// # Errors
/// [`DecodeError`].
pub fn from_elsewhere(
    elsewhere: Box<dyn Elsewhere>,
    options: &Options,
) -> Result<Animation, DecodeError> {
    let head = {
        let mut pieces = elsewhere.begin()?;
        text::<Head>(&mut *pieces)??
    };
    let strange = || DecodeError::Damaged("its decoder gave what makes no sense".into());
    let format: Format = head.format.parse().map_err(|_| strange())?;
    if !matches!(format, Format::Gif | Format::Png | Format::WebP) || !matches!(head.depth, 8 | 16)
    {
        return Err(strange());
    }
    allow(options, (head.width, head.height), head.depth, head.count)?;
    Ok(Animation {
        bytes: Vec::new(),
        format,
        options: *options,
        size: (head.width, head.height),
        depth: head.depth,
        orientation: 1,
        profile: None,
        count: head.count,
        plays: head.plays,
        lossless: head.lossless,
        dropped: head.dropped,
        damage: head.damage,
        cautions: head.cautions,
        webp: Vec::new(),
        whole: false,
        elsewhere: Some(elsewhere),
    })
}

/// Begins again, and reads the head, which must be the one that was read before.
pub(super) fn begin<'a>(
    elsewhere: &'a dyn Elsewhere,
    animation: &Animation,
) -> Result<Box<dyn Pieces + 'a>, DecodeError> {
    let mut pieces = elsewhere.begin()?;
    let head = text::<Head>(&mut *pieces)??;
    let same = (head.width, head.height) == animation.size && head.count == animation.count;
    if same {
        Ok(pieces)
    } else {
        Err(DecodeError::Damaged(
            "its decoder gave something else the second time".into(),
        ))
    }
}

/// The next frame, or none and what ended them before their end. `given`: frames so far.
#[allow(clippy::type_complexity)]
pub(super) fn step(
    pieces: &mut (dyn Pieces + '_),
    animation: &Animation,
    given: usize,
) -> Result<(Option<(Frame, Delay)>, Option<String>), DecodeError> {
    let (num, den, page) = match text::<Step>(pieces)?? {
        Step::End { fault } => return Ok((None, fault)),
        Step::Frame { num, den, page } => (num, den.max(1), page),
    };
    let mut frame = None;
    pieces.piece(&mut |from| {
        if page.size() != animation.size || given >= animation.count {
            return Err(wrong("a frame of another size, or one too many"));
        }
        let mut left = animation.options.max_memory;
        frame = Some(page.receive(from, &animation.options, &mut left)?);
        Ok(())
    })?;
    let frame = frame.ok_or_else(|| DecodeError::Damaged("nothing came".into()))?;
    Ok((Some((frame, Delay { num, den })), None))
}
