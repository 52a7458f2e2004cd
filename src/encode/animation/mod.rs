//! Covered frames → a GIF, WebP or PNG animation: of each frame the rectangle that differs from
//! the one before, so that size and time follow what moves.
//!
//! Nothing of the input's parts is taken over: neither how it divided its frames nor its palettes.

mod gif;
mod png;
mod webp;

use image::{DynamicImage, GenericImageView, Pixel};

use super::{EncodeError, Options};
use crate::{format::Format, frame::Delay, geometry::PixelRect, redact::Redacted};

/// What must be known before the first frame.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// [`Format::Gif`], [`Format::WebP`] or [`Format::Png`].
    pub format: Format,
    /// Quality, and whether WebP is to lose nothing.
    pub options: Options,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Frames that will come.
    pub frames: usize,
    /// How often it is played, 0 for ever.
    pub plays: u32,
    /// No pixel of any frame is transparent.
    pub opaque: bool,
    /// 16 bits a sample, for PNG.
    pub deep: bool,
    /// Largest file in bytes, as it is made in memory.
    pub limit: u64,
}

/// One way of writing.
trait Sink {
    /// The next frame and how long it is shown, in the format's units and as it was said.
    fn push(&mut self, pixels: DynamicImage, units: u32, said: Delay) -> Result<(), EncodeError>;

    /// Bytes so far.
    fn length(&self) -> usize;

    fn finish(self: Box<Self>) -> Result<Vec<u8>, EncodeError>;
}

/// An animation being written.
pub struct AnimationEncoder {
    plan: Plan,
    sink: Box<dyn Sink>,
    /// In seconds, and in the format's units.
    time: (f64, u64),
    /// What is meant by the format's units.
    delays: Vec<f64>,
}

impl std::fmt::Debug for AnimationEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AnimationEncoder").field(&self.plan).finish()
    }
}

/// Whether a format can hold an animation.
#[must_use]
pub const fn can_hold(format: Format) -> bool {
    matches!(format, Format::Gif | Format::WebP | Format::Png)
}

impl AnimationEncoder {
    /// Begins a file.
    ///
    /// # Errors
    /// [`EncodeError`]: a format without animations, too many pixels.
    pub fn new(plan: Plan) -> Result<Self, EncodeError> {
        let sink: Box<dyn Sink> = match plan.format {
            Format::Gif => Box::new(gif::Writer::new(&plan)?),
            Format::WebP => Box::new(webp::Writer::new(&plan)?),
            Format::Png => Box::new(png::Writer::new(&plan)?),
            other => return Err(EncodeError::Still(other)),
        };
        Ok(Self {
            plan,
            sink,
            time: (0.0, 0),
            delays: Vec::new(),
        })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// [`EncodeError`].
    pub fn push(&mut self, frame: &Redacted, delay: Delay) -> Result<(), EncodeError> {
        if (frame.width(), frame.height()) != self.plan.size {
            return Err(EncodeError::Encoder("a frame of another size".into()));
        }
        let (second, most) = match self.plan.format {
            Format::Gif => (100, u32::from(u16::MAX)),
            // PNG counts as each frame likes, in 16 bits; thousandths where that is too little.
            Format::Png if png::exact(delay).is_some() => (1000, u32::MAX),
            Format::Png => (1000, u32::from(u16::MAX)),
            _ => (1000, 0xFF_FFFF),
        };
        self.delays.push(delay.seconds());
        // Rounded from the beginning on, so that nothing adds up.
        self.time.0 += delay.seconds();
        let end = (self.time.0 * f64::from(second)).round() as u64;
        let units = end.saturating_sub(self.time.1);
        self.time.1 = end;
        let units = u32::try_from(units)
            .ok()
            .filter(|u| *u <= most)
            .ok_or(EncodeError::Slow(self.plan.format))?;
        self.sink.push(frame.pixels().clone(), units, delay)?;
        if self.sink.length() as u64 > self.plan.limit {
            return Err(EncodeError::Large(self.plan.limit >> 20));
        }
        Ok(())
    }

    /// Ends the file; gives it, and how long each frame was meant to be shown, in seconds.
    ///
    /// # Errors
    /// When there were more or fewer frames than promised.
    pub fn finish(self) -> Result<(Vec<u8>, Vec<f64>), EncodeError> {
        if self.delays.len() != self.plan.frames {
            return Err(EncodeError::Encoder("another number of frames".into()));
        }
        Ok((self.sink.finish()?, self.delays))
    }
}

/// The smallest rectangle outside of which two pictures of one size and kind are the same; of no
/// pixels if they are equal.
fn changed<P, I>(before: &I, now: &I) -> Option<PixelRect>
where
    P: Pixel,
    P::Subpixel: PartialEq,
    I: GenericImageView<Pixel = P> + std::ops::Deref<Target = [P::Subpixel]>,
{
    let (width, height) = now.dimensions();
    let stride = width as usize * usize::from(P::CHANNEL_COUNT);
    let mut found: Option<PixelRect> = None;
    for y in 0..height {
        let at = y as usize * stride;
        let (a, b) = (&before[at..at + stride], &now[at..at + stride]);
        if a == b {
            continue;
        }
        let differs = |(p, q): (&P::Subpixel, &P::Subpixel)| p != q;
        let channels = usize::from(P::CHANNEL_COUNT);
        let first = a.iter().zip(b).position(differs).unwrap_or(0) / channels;
        let last = a.iter().zip(b).rposition(differs).unwrap_or(0) / channels;
        let row = PixelRect {
            x1: first as u32,
            y1: y,
            x2: last as u32 + 1,
            y2: y + 1,
        };
        found = Some(found.map_or(row, |f| f.hull(&row)));
    }
    found
}

/// What is written where nothing changed: a frame needs a pixel.
const NOTHING: PixelRect = PixelRect {
    x1: 0,
    y1: 0,
    x2: 1,
    y2: 1,
};
