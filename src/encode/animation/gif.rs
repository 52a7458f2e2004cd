//! GIF: each frame with a palette of its own; what did not change is transparent in it.

use ::gif::{DisposalMethod, Encoder, Frame, Repeat};
use image::{DynamicImage, RgbaImage};

use super::{NOTHING, Plan, Sink, changed};
use crate::{
    encode::{
        EncodeError,
        gif::{OPAQUE, indexed},
        sides,
    },
    format::Format,
    frame::Delay,
    geometry::PixelRect,
};

pub(super) struct Writer {
    encoder: Encoder<Vec<u8>>,
    /// What a viewer shows before the frame that waits.
    shown: RgbaImage,
    /// A frame waits for the next one, which says how it must be cleared away.
    waiting: Option<(RgbaImage, u16)>,
}

fn failed(e: impl std::fmt::Display) -> EncodeError {
    EncodeError::Encoder(e.to_string())
}

impl Writer {
    pub(super) fn new(plan: &Plan) -> Result<Self, EncodeError> {
        let (width, height) = sides(plan.size, Format::Gif, u32::from(u16::MAX))?;
        let mut encoder = Encoder::new(Vec::new(), width, height, &[]).map_err(failed)?;
        let repeat = match plan.plays {
            // Nothing comes round where nothing moves.
            _ if plan.frames == 1 => Repeat::Finite(0),
            0 => Repeat::Infinite,
            plays => Repeat::Finite(u16::try_from(plays - 1).unwrap_or(u16::MAX)),
        };
        encoder.set_repeat(repeat).map_err(failed)?;
        Ok(Self {
            encoder,
            shown: RgbaImage::new(plan.size.0, plan.size.1),
            waiting: None,
        })
    }

    /// The pixels of a place, and whether one is transparent; with `spare`, what did not change is.
    fn part(&self, now: &RgbaImage, place: PixelRect, spare: bool) -> (Vec<u8>, bool) {
        let mut part = Vec::with_capacity(place.width() as usize * place.height() as usize * 4);
        let mut transparent = false;
        for y in place.y1..place.y2 {
            for x in place.x1..place.x2 {
                let pixel = now.get_pixel(x, y).0;
                let same = pixel[3] == 0 || spare && pixel == self.shown.get_pixel(x, y).0;
                transparent |= same;
                part.extend(if same { [0; 4] } else { pixel });
            }
        }
        (part, transparent)
    }

    /// Writes a frame. `clear`: the next one has transparent pixels where this one has none.
    fn write(&mut self, now: RgbaImage, delay: u16, clear: bool) -> Result<(), EncodeError> {
        let whole = PixelRect {
            x1: 0,
            y1: 0,
            x2: now.width(),
            y2: now.height(),
        };
        let place = if clear {
            whole
        } else {
            changed(&self.shown, &now).unwrap_or(NOTHING)
        };
        let (mut part, mut transparent) = self.part(&now, place, true);
        if transparent && !few(&part, 255) {
            // What did not change may need the one colour that transparency takes.
            let (all, hole) = self.part(&now, place, false);
            if few(&all, if hole { 255 } else { 256 }) {
                (part, transparent) = (all, hole);
            }
        }
        let (palette, indices) = indexed(&part, transparent);
        let frame = Frame {
            delay,
            left: place.x1 as u16,
            top: place.y1 as u16,
            width: place.width() as u16,
            height: place.height() as u16,
            buffer: indices.into(),
            palette: Some(palette),
            transparent: transparent.then_some(0),
            dispose: if clear {
                DisposalMethod::Background
            } else {
                DisposalMethod::Keep
            },
            ..Frame::default()
        };
        self.encoder.write_frame(&frame).map_err(failed)?;
        self.shown = if clear {
            RgbaImage::new(now.width(), now.height())
        } else {
            now
        };
        Ok(())
    }
}

/// Whether opaque pixels have at most so many colours.
fn few(rgba: &[u8], most: usize) -> bool {
    let mut colours = std::collections::HashSet::new();
    rgba.chunks_exact(4).filter(|p| p[3] != 0).all(|p| {
        colours.insert([p[0], p[1], p[2]]);
        colours.len() <= most
    })
}

impl Sink for Writer {
    fn push(&mut self, pixels: DynamicImage, units: u32, _said: Delay) -> Result<(), EncodeError> {
        let mut next = pixels.into_rgba8();
        for pixel in next.pixels_mut() {
            if pixel.0[3] < OPAQUE {
                pixel.0 = [0; 4];
            } else {
                pixel.0[3] = 255;
            }
        }
        if let Some((now, delay)) = self.waiting.take() {
            let clear = now
                .pixels()
                .zip(next.pixels())
                .any(|(a, b)| a.0[3] > b.0[3]);
            self.write(now, delay, clear)?;
        }
        self.waiting = Some((next, units as u16));
        Ok(())
    }

    fn length(&self) -> usize {
        self.encoder.get_ref().len()
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>, EncodeError> {
        if let Some((now, delay)) = self.waiting.take() {
            self.write(now, delay, false)?;
        }
        self.encoder.into_inner().map_err(failed)
    }
}
