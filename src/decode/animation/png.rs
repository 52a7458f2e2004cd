//! The pictures of an animated PNG file, by way of `png`.

use std::io::Cursor;

use ::png::{BlendOp, Decoder, DisposeOp, Limits, Reader, Transformations};
use image::DynamicImage;

use super::{After, Part, Parts};
use crate::{
    decode::{
        DecodeError, Options,
        png::{built, said},
    },
    frame::Delay,
};

fn failed(e: ::png::DecodingError) -> DecodeError {
    DecodeError::Damaged(said(&e).into())
}

pub(super) struct Pictures<'a> {
    reader: Reader<Cursor<&'a [u8]>>,
    left: u32,
    /// The picture for viewers that show no animations comes first and is none of its frames.
    apart: bool,
    first: bool,
    wide: bool,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(bytes: &'a [u8], options: &Options) -> Result<Self, DecodeError> {
        let limits = Limits {
            bytes: usize::try_from(options.max_memory).unwrap_or(usize::MAX),
        };
        let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_transformations(Transformations::EXPAND);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let reader = decoder.read_info().map_err(failed)?;
        let left = reader
            .info()
            .animation_control()
            .map_or(0, |c| c.num_frames);
        let apart = reader.info().frame_control().is_none();
        let wide = reader.output_color_type().1 == ::png::BitDepth::Sixteen;
        Ok(Self {
            reader,
            left,
            apart,
            first: true,
            wide,
        })
    }

    fn picture(&mut self) -> Result<DynamicImage, DecodeError> {
        let size = self
            .reader
            .output_buffer_size()
            .ok_or_else(|| DecodeError::Damaged("it has no size".into()))?;
        let mut data = vec![0; size];
        let info = self.reader.next_frame(&mut data).map_err(failed)?;
        let (width, height) = (info.width, info.height);
        if self.reader.info().interlaced {
            // Rows of interlaced parts come as far apart as those of the whole.
            let full = self.reader.info().width as usize;
            let pixel = info.color_type.samples() * if self.wide { 2 } else { 1 };
            let rows = data.chunks_exact(full * pixel).take(height as usize);
            data = rows
                .flat_map(|row| row[..width as usize * pixel].iter().copied())
                .collect();
        } else {
            data.truncate(info.buffer_size());
        }
        let pixels = built(info.color_type, info.bit_depth, (width, height), data)
            .ok_or_else(|| DecodeError::Damaged("it has an unknown kind of pixels".into()))?;
        Ok(if self.wide {
            DynamicImage::ImageRgba16(pixels.into_rgba16())
        } else {
            DynamicImage::ImageRgba8(pixels.into_rgba8())
        })
    }
}

impl Parts for Pictures<'_> {
    fn next(&mut self) -> Result<Option<Part>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        if std::mem::replace(&mut self.first, false) && self.apart {
            self.picture()?;
        }
        let pixels = self.picture()?;
        let control = *self
            .reader
            .info()
            .frame_control()
            .ok_or_else(|| DecodeError::Damaged("a picture has no place".into()))?;
        if (control.width, control.height) != (pixels.width(), pixels.height()) {
            return Err(DecodeError::Damaged("a picture has two sizes".into()));
        }
        self.left -= 1;
        Ok(Some(Part {
            pixels,
            left: control.x_offset,
            top: control.y_offset,
            delay: Delay {
                num: control.delay_num.into(),
                den: match control.delay_den {
                    0 => 100,
                    den => den.into(),
                },
            },
            blend: control.blend_op == BlendOp::Over,
            after: match control.dispose_op {
                DisposeOp::None => After::Stay,
                DisposeOp::Background => After::Clear,
                DisposeOp::Previous => After::Restore,
            },
        }))
    }
}
