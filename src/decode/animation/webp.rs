//! The pictures of an animated WebP file, each decoded as if it were alone.

use image::DynamicImage;

use super::{After, Part, Parts};
use crate::{
    decode::{DecodeError, Options, webp},
    frame::Delay,
};

pub(super) struct Pictures<'a> {
    bytes: &'a [u8],
    left: std::slice::Iter<'a, webp::Part>,
    options: Options,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(bytes: &'a [u8], parts: &'a [webp::Part], options: &Options) -> Self {
        Self {
            bytes,
            left: parts.iter(),
            options: *options,
        }
    }
}

impl Parts for Pictures<'_> {
    fn next(&mut self) -> Result<Option<Part>, DecodeError> {
        let Some(part) = self.left.next() else {
            return Ok(None);
        };
        let [left, top, width, height] = part.place;
        self.options.allow(width, height, 4)?;
        let (pixels, fault) = part
            .picture
            .decode(self.bytes, (width, height), &self.options)?;
        if let Some(fault) = fault {
            return Err(DecodeError::Damaged(fault));
        }
        Ok(Some(Part {
            pixels: DynamicImage::ImageRgba8(pixels.into_rgba8()),
            left,
            top,
            delay: Delay {
                num: part.delay,
                den: 1000,
            },
            blend: part.blend,
            after: if part.clear {
                After::Clear
            } else {
                After::Stay
            },
        }))
    }
}
