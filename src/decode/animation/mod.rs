//! GIF, WebP and PNG files of several pictures → upright [`Frame`]s of the whole canvas, one at a
//! time, each as a viewer shows it.
//!
//! The parts of a file are laid over each other here (`canvas`), not by the decoders, which each
//! do it in their own way. At any time only the canvas, what it was before, and one part are in
//! memory. An animation is read as often as [`Animation::frames`] is called.

mod canvas;
mod gif;
mod png;
mod webp;
pub mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::DynamicImage;

use super::{
    DecodeError, Dropped, HEAD, Kind, Options, clear_hidden, colour, orientation,
    orientation::Gathered, sniff,
};
use crate::{
    caution::Caution,
    format::Format,
    frame::{Delay, Frame},
};
use canvas::Canvas;

/// One part of an animation, as stored.
struct Part {
    /// 8 or 16 bits, red, green, blue and alpha.
    pixels: DynamicImage,
    left: u32,
    top: u32,
    delay: Delay,
    /// Drawn over what is there, rather than instead of it.
    blend: bool,
    after: After,
}

/// What becomes of a part once it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It stays.
    Stay,
    /// Its place becomes transparent.
    Clear,
    /// Its place becomes what it was before.
    Restore,
}

/// Gives the parts of one file, in order.
trait Parts {
    fn next(&mut self) -> Result<Option<Part>, DecodeError>;
}

/// A file of several pictures.
#[derive(Debug)]
pub struct Animation {
    bytes: Vec<u8>,
    format: Format,
    options: Options,
    /// Of the canvas as stored.
    size: (u32, u32),
    /// Bits a sample, 8 or 16.
    depth: u8,
    orientation: u8,
    profile: Option<Vec<u8>>,
    count: usize,
    plays: u32,
    lossless: bool,
    dropped: Vec<Dropped>,
    damage: Option<String>,
    cautions: Vec<Caution>,
    webp: Vec<super::webp::Part>,
    /// The first picture of a GIF fills the canvas, wherever it says that it lies.
    whole: bool,
    /// Its frames are decoded there, and not here.
    elsewhere: Option<Box<dyn wire::Elsewhere>>,
}

/// Whether a file holds several pictures that are shown one after the other.
#[must_use]
pub fn animated(bytes: &[u8]) -> bool {
    match sniff(&bytes[..bytes.len().min(HEAD)]) {
        Kind::Photo(Format::Gif) => super::gif::animated(bytes),
        Kind::Photo(Format::Png) => super::png::animated(bytes),
        Kind::Photo(Format::WebP) => super::webp::animated(bytes),
        _ => false,
    }
}

/// Looks at an animation; its pictures are decoded later.
///
/// # Errors
/// [`DecodeError`].
pub fn open(bytes: Vec<u8>, options: &Options) -> Result<Animation, DecodeError> {
    guarded(|| opened(bytes, options))
}

/// A decoder that panics is a file that can't be decoded.
fn guarded<T>(run: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(DecodeError::Panicked(what))
    })
}

fn opened(bytes: Vec<u8>, options: &Options) -> Result<Animation, DecodeError> {
    let broken = || DecodeError::Damaged("its header is broken".into());
    let mut gathered: Gathered;
    let (mut depth, mut lossless, mut parts, mut whole) = (8, true, Vec::new(), false);
    let (format, size, count, plays, damage);
    match sniff(&bytes[..bytes.len().min(HEAD)]) {
        Kind::Photo(Format::Gif) => {
            let walked = super::gif::walk(&bytes, options)?;
            (gathered, damage) = (walked.gathered, walked.damage);
            (format, size, count) = (Format::Gif, walked.size, walked.frames as usize);
            (plays, whole) = (gif::plays(&bytes), walked.whole);
        }
        Kind::Photo(Format::Png) => {
            let (w, h, _) = super::png::size(&bytes).ok_or_else(|| super::png::headless(&bytes))?;
            let walked = super::png::walk(&bytes, options)?;
            (gathered, damage) = (walked.gathered, walked.damage);
            let control = super::png::control(&bytes).ok_or_else(broken)?;
            (format, size, count, plays) = (Format::Png, (w, h), control.0, control.1);
            depth = if bytes.get(24) == Some(&16) { 16 } else { 8 };
        }
        Kind::Photo(Format::WebP) => {
            let (w, h, _) = super::webp::size(&bytes).ok_or_else(broken)?;
            let walked = super::webp::walk(&bytes, options)?;
            (gathered, damage) = (walked.gathered, walked.damage);
            (format, size, parts) = (Format::WebP, (w, h), walked.frames);
            (count, plays) = (parts.len(), walked.animation.unwrap_or(0));
            lossless = parts.iter().all(|p| p.picture.exact);
        }
        _ => return Err(DecodeError::NotMedia),
    }
    allow(options, size, depth, count)?;
    if let (Some(what), false) = (&damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    gathered.dropped.retain(|d| d.kind != "animation control");
    Ok(Animation {
        orientation: gathered.decide(options.orientation)?,
        profile: gathered.icc.take(),
        dropped: gathered.dropped,
        cautions: gathered.cautions,
        bytes,
        format,
        options: *options,
        size,
        depth,
        count,
        plays,
        lossless,
        damage,
        webp: parts,
        whole,
        elsewhere: None,
    })
}

/// Canvases in memory at the same time: what is shown, and the next part.
const CANVASES: u64 = 2;
/// All frames together may take this many times the memory that is allowed for one.
const FRAMES_MEMORY: u64 = 32;
/// A frame counts as this many bytes at least: the search of a small one takes its time, too.
const LEAST_FRAME: u64 = 1 << 20;

/// Refuses an animation that would take too much memory, or too much work over all its frames.
fn allow(
    options: &Options,
    (width, height): (u32, u32),
    depth: u8,
    count: usize,
) -> Result<(), DecodeError> {
    let pixel = 4 * u64::from(depth / 8);
    options.allow(width, height, CANVASES * pixel)?;
    let frame = u64::from(width) * u64::from(height) * pixel;
    let needs = frame.max(LEAST_FRAME).saturating_mul(count as u64);
    let limit = options.max_memory.saturating_mul(FRAMES_MEMORY);
    if needs > limit {
        return Err(DecodeError::LongAnimation {
            frames: count,
            needs,
            limit,
        });
    }
    Ok(())
}

impl Animation {
    /// The format it came in.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Width and height of its upright frames in pixels.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        if self.orientation > 4 {
            (self.size.1, self.size.0)
        } else {
            self.size
        }
    }

    /// Bytes of one frame in memory.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.size.0 as u64 * self.size.1 as u64 * 4 * (self.depth / 8) as u64
    }

    /// Whether it has 16 bits a sample.
    #[must_use]
    pub const fn deep(&self) -> bool {
        self.depth > 8
    }

    /// How many frames its structure promises.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// How often it is played; 0 for ever.
    #[must_use]
    pub const fn plays(&self) -> u32 {
        self.plays
    }

    /// Whether its coding lost nothing.
    #[must_use]
    pub const fn lossless(&self) -> bool {
        self.lossless
    }

    /// What else the file held.
    #[must_use]
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// What is wrong with it, where `allow_damaged` let it pass.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Reasons for a person to look at it.
    #[must_use]
    pub fn cautions(&self) -> &[Caution] {
        &self.cautions
    }

    /// Its frames, from the first on.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn frames(&self) -> Result<Frames<'_>, DecodeError> {
        let from = match &self.elsewhere {
            Some(elsewhere) => From::Elsewhere(wire::begin(&**elsewhere, self)?),
            None => From::Here {
                parts: self.parts()?,
                canvas: Canvas::new(self.size, self.depth),
            },
        };
        Ok(Frames {
            animation: self,
            from,
            given: 0,
            over: false,
            fault: None,
        })
    }

    fn parts(&self) -> Result<Box<dyn Parts + '_>, DecodeError> {
        guarded(|| {
            Ok(match self.format {
                Format::Gif => Box::new(gif::Pictures::new(
                    &self.bytes,
                    self.size,
                    self.whole,
                    &self.options,
                )?) as _,
                Format::Png => Box::new(png::Pictures::new(&self.bytes, &self.options)?) as _,
                _ => Box::new(webp::Pictures::new(&self.bytes, &self.webp, &self.options)) as _,
            })
        })
    }
}

/// Where frames come from.
enum From<'a> {
    Here {
        parts: Box<dyn Parts + 'a>,
        canvas: Canvas,
    },
    Elsewhere(Box<dyn wire::Pieces + 'a>),
}

/// The frames of an animation.
pub struct Frames<'a> {
    animation: &'a Animation,
    from: From<'a>,
    given: usize,
    over: bool,
    fault: Option<String>,
}

impl std::fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Frames(..)")
    }
}

impl Frames<'_> {
    /// What ended them before their end, where `allow_damaged` let it pass.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn step(&mut self) -> Result<Option<(Frame, Delay)>, DecodeError> {
        let (parts, canvas) = match &mut self.from {
            From::Here { parts, canvas } => (parts, canvas),
            From::Elsewhere(pieces) => {
                let step = wire::step(&mut **pieces, self.animation, self.given)?;
                self.given += usize::from(step.0.is_some());
                self.fault = step.1;
                return Ok(step.0);
            }
        };
        let Some(part) = parts.next()? else {
            return if self.given == self.animation.count {
                Ok(None)
            } else {
                let (is, due) = (self.given, self.animation.count);
                let what = format!("it has {is} pictures and says that there are {due}");
                Err(DecodeError::Damaged(what))
            };
        };
        canvas.lay(&part)?;
        self.given += 1;
        let mut pixels = canvas.pixels().clone();
        if let Some(profile) = &self.animation.profile {
            // A profile that nobody can read: viewers show the numbers as they are.
            let _ = colour::to_srgb(&mut pixels, profile);
        }
        clear_hidden(&mut pixels);
        let pixels = orientation::apply(pixels, self.animation.orientation);
        let frame = super::from_upright_pixels(pixels).applied(self.animation.orientation);
        Ok(Some((frame, part.delay)))
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<(Frame, Delay), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let stepped = guarded(|| self.step());
        match stepped {
            Ok(Some(frame)) => Some(Ok(frame)),
            Ok(None) => {
                self.over = true;
                None
            }
            Err(error) => {
                self.over = true;
                if self.animation.options.allow_damaged && self.given > 0 {
                    self.fault = Some(error.to_string());
                    None
                } else {
                    Some(Err(error))
                }
            }
        }
    }
}
