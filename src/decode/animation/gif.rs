//! The pictures of a GIF file, by way of `gif`.

use std::{io::Cursor, num::NonZeroU64};

use ::gif::{ColorOutput, DecodeOptions, Decoder, DisposalMethod, MemoryLimit, Repeat};
use image::{DynamicImage, RgbaImage};

use super::{After, Part, Parts};
use crate::{
    decode::{DecodeError, Options},
    frame::Delay,
};

fn failed(e: ::gif::DecodingError) -> DecodeError {
    DecodeError::Damaged(format!("the decoder says: {e}"))
}

pub(super) struct Pictures<'a>(Decoder<Cursor<&'a [u8]>>);

impl<'a> Pictures<'a> {
    pub(super) fn new(bytes: &'a [u8], options: &Options) -> Result<Self, DecodeError> {
        let mut settings = DecodeOptions::new();
        settings.set_color_output(ColorOutput::RGBA);
        settings.allow_unknown_blocks(true);
        let limit = NonZeroU64::new(options.max_memory);
        settings.set_memory_limit(limit.map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
        settings
            .read_info(Cursor::new(bytes))
            .map(Self)
            .map_err(failed)
    }
}

impl Parts for Pictures<'_> {
    fn next(&mut self) -> Result<Option<Part>, DecodeError> {
        let Some(frame) = self.0.next_frame_info().map_err(failed)? else {
            return Ok(None);
        };
        let (left, top) = (u32::from(frame.left), u32::from(frame.top));
        let (width, height) = (u32::from(frame.width), u32::from(frame.height));
        let delay = Delay {
            num: frame.delay.into(),
            den: 100,
        };
        let after = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => After::Stay,
            DisposalMethod::Background => After::Clear,
            DisposalMethod::Previous => After::Restore,
        };
        let mut data = vec![0; width as usize * height as usize * 4];
        if !data.is_empty() {
            self.0.read_into_buffer(&mut data).map_err(failed)?;
        }
        let pixels = RgbaImage::from_raw(width, height, data)
            .map(DynamicImage::ImageRgba8)
            .ok_or_else(|| DecodeError::Damaged("it has too few pixels".into()))?;
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
    let Ok(mut pictures) = Pictures::new(bytes, &options) else {
        return 1;
    };
    let _ = pictures.0.next_frame_info();
    match pictures.0.repeat() {
        Repeat::Infinite => 0,
        Repeat::Finite(again) => u32::from(again) + 1,
    }
}
