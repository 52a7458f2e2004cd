//! PNG: each frame's part, drawn instead of what was there. The first frame is also what viewers
//! without animations show.

use ::png::{BitDepth, BlendOp, ColorType, DisposeOp, Encoder};
use image::{DynamicImage, ImageBuffer, Rgba, RgbaImage};

use super::{NOTHING, Plan, Sink, changed};
use crate::{encode::EncodeError, frame::Delay, geometry::PixelRect};

type Deep = ImageBuffer<Rgba<u16>, Vec<u16>>;

enum Shown {
    Nothing,
    Plain(RgbaImage),
    Deep(Deep),
}

pub(super) struct Writer {
    writer: ::png::Writer<Out>,
    out: Out,
    whole: PixelRect,
    opaque: bool,
    deep: bool,
    shown: Shown,
}

/// Bytes that can be counted while they are written.
#[derive(Clone, Default)]
struct Out(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

impl std::io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn failed(e: ::png::EncodingError) -> EncodeError {
    EncodeError::Encoder(e.to_string())
}

/// A delay as PNG can say it.
pub(super) fn exact(delay: Delay) -> Option<(u16, u16)> {
    u16::try_from(delay.num)
        .ok()
        .zip(u16::try_from(delay.den).ok())
}

impl Writer {
    pub(super) fn new(plan: &Plan) -> Result<Self, EncodeError> {
        let out = Out::default();
        let (width, height) = plan.size;
        let mut encoder = Encoder::new(out.clone(), width, height);
        encoder.set_color(if plan.opaque {
            ColorType::Rgb
        } else {
            ColorType::Rgba
        });
        encoder.set_depth(if plan.deep {
            BitDepth::Sixteen
        } else {
            BitDepth::Eight
        });
        encoder.set_compression(::png::Compression::Fast);
        let frames = u32::try_from(plan.frames).unwrap_or(0);
        encoder.set_animated(frames, plan.plays).map_err(failed)?;
        encoder.set_blend_op(BlendOp::Source).map_err(failed)?;
        encoder.set_dispose_op(DisposeOp::None).map_err(failed)?;
        Ok(Self {
            writer: encoder.write_header().map_err(failed)?,
            out,
            whole: PixelRect {
                x1: 0,
                y1: 0,
                x2: width,
                y2: height,
            },
            opaque: plan.opaque,
            deep: plan.deep,
            shown: Shown::Nothing,
        })
    }

    fn data<T: Copy>(
        &self,
        pixels: &[T],
        place: PixelRect,
        bytes: impl Fn(T, &mut Vec<u8>),
    ) -> Vec<u8> {
        let channels = if self.opaque { 3 } else { 4 };
        let mut data = Vec::new();
        for y in place.y1..place.y2 {
            let at = |x: u32| (y as usize * self.whole.x2 as usize + x as usize) * 4;
            for pixel in pixels[at(place.x1)..at(place.x2)].chunks_exact(4) {
                pixel[..channels].iter().for_each(|v| bytes(*v, &mut data));
            }
        }
        data
    }
}

impl Sink for Writer {
    fn push(&mut self, pixels: DynamicImage, units: u32, said: Delay) -> Result<(), EncodeError> {
        let (place, data, shown);
        if self.deep {
            let now = pixels.into_rgba16();
            place = match &self.shown {
                Shown::Deep(before) => changed(before, &now).unwrap_or(NOTHING),
                _ => self.whole,
            };
            // PNG wants the high byte first.
            data = self.data(&now, place, |v, out| out.extend(v.to_be_bytes()));
            shown = Shown::Deep(now);
        } else {
            let now = pixels.into_rgba8();
            place = match &self.shown {
                Shown::Plain(before) => changed(before, &now).unwrap_or(NOTHING),
                _ => self.whole,
            };
            data = self.data(&now, place, |v, out| out.push(v));
            shown = Shown::Plain(now);
        }
        self.shown = shown;
        let (num, den) = exact(said).unwrap_or((units as u16, 1000));
        let writer = &mut self.writer;
        writer.reset_frame_position().map_err(failed)?;
        writer
            .set_frame_dimension(place.width(), place.height())
            .and_then(|()| writer.set_frame_position(place.x1, place.y1))
            .and_then(|()| writer.set_frame_delay(num, den))
            .and_then(|()| writer.write_image_data(&data))
            .map_err(failed)
    }

    fn length(&self) -> usize {
        self.out.0.borrow().len()
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, EncodeError> {
        self.writer.finish().map_err(failed)?;
        Ok(self.out.0.take())
    }
}
