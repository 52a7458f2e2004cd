//! The pictures of a GIF file, by way of `gif`.

use std::{io::Cursor, num::NonZeroU64};

use ::gif::{ColorOutput, DecodeOptions, Decoder, DisposalMethod, MemoryLimit, Repeat};
use image::{DynamicImage, RgbaImage};

use super::{After, Part, Parts};
use crate::{
    decode::{DecodeError, Options, gif::said},
    frame::Delay,
};

fn failed(e: ::gif::DecodingError) -> DecodeError {
    DecodeError::Damaged(said(&e).into())
}

pub(super) struct Pictures<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    options: Options,
    /// The canvas in pixels.
    size: (u32, u32),
    /// The next picture fills the canvas, wherever it says that it lies.
    whole: bool,
}

impl<'a> Pictures<'a> {
    /// `size`: of the canvas in pixels. `whole`: the first picture fills it.
    pub(super) fn new(
        bytes: &'a [u8],
        size: (u32, u32),
        whole: bool,
        options: &Options,
    ) -> Result<Self, DecodeError> {
        let mut settings = DecodeOptions::new();
        settings.set_color_output(ColorOutput::RGBA);
        settings.allow_unknown_blocks(true);
        let limit = NonZeroU64::new(options.max_memory);
        settings.set_memory_limit(limit.map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
        let decoder = settings.read_info(Cursor::new(bytes)).map_err(failed)?;
        Ok(Self {
            decoder,
            options: *options,
            size,
            whole,
        })
    }
}

impl Pictures<'_> {
    /// What of a picture lies on the canvas, as browsers show it.
    fn clipped(&self, pixels: RgbaImage, (left, top): (&mut u32, &mut u32)) -> RgbaImage {
        (*left, *top) = ((*left).min(self.size.0), (*top).min(self.size.1));
        let width = pixels.width().min(self.size.0 - *left);
        let height = pixels.height().min(self.size.1 - *top);
        if (width, height) == pixels.dimensions() {
            return pixels;
        }
        image::imageops::crop_imm(&pixels, 0, 0, width, height).to_image()
    }
}

impl Parts for Pictures<'_> {
    fn next(&mut self) -> Result<Option<Part>, DecodeError> {
        let Some(frame) = self.decoder.next_frame_info().map_err(failed)? else {
            return Ok(None);
        };
        let (mut left, mut top) = (u32::from(frame.left), u32::from(frame.top));
        let (width, height) = (u32::from(frame.width), u32::from(frame.height));
        if std::mem::take(&mut self.whole) {
            (left, top) = (0, 0);
        }
        let delay = Delay {
            num: frame.delay.into(),
            den: 100,
        };
        let after = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => After::Stay,
            DisposalMethod::Background => After::Clear,
            DisposalMethod::Previous => After::Restore,
        };
        if width > 0 && height > 0 {
            self.options.allow(width, height, 4)?;
        }
        let mut data = vec![0; width as usize * height as usize * 4];
        if !data.is_empty() {
            self.decoder.read_into_buffer(&mut data).map_err(failed)?;
        }
        let pixels = RgbaImage::from_raw(width, height, data)
            .ok_or_else(|| DecodeError::Damaged("it has too few pixels".into()))?;
        let pixels = DynamicImage::ImageRgba8(self.clipped(pixels, (&mut left, &mut top)));
        Ok(Some(Part {
            pixels,
            left,
            top,
            delay,
            // A pixel is there or it is not.
            blend: true,
            after,
        }))
    }
}

/// How often it is played: as often as the loop extension says, and once before that.
pub(super) fn plays(bytes: &[u8]) -> u32 {
    let options = Options::default();
    let Ok(mut pictures) = Pictures::new(bytes, (0, 0), false, &options) else {
        return 1;
    };
    let _ = pictures.decoder.next_frame_info();
    match pictures.decoder.repeat() {
        Repeat::Infinite => 0,
        Repeat::Finite(again) => u32::from(again) + 1,
    }
}
