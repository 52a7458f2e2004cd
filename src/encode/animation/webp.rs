//! WebP: each frame's part encoded as a picture of its own, drawn instead of what was there.

use image::{DynamicImage, RgbaImage};

use super::{NOTHING, Plan, Sink, changed};
use crate::{
    encode::{EncodeError, Options, sides, webp},
    format::Format,
    frame::Delay,
};

pub(super) struct Writer {
    size: (u32, u32),
    options: Options,
    plays: u16,
    alpha: bool,
    shown: Option<RgbaImage>,
    /// `ANMF` chunks.
    frames: Vec<u8>,
}

impl Writer {
    pub(super) fn new(plan: &Plan) -> Result<Self, EncodeError> {
        sides(plan.size, Format::WebP, webp::MOST)?;
        Ok(Self {
            size: plan.size,
            options: plan.options,
            plays: u16::try_from(plan.plays).unwrap_or(u16::MAX),
            alpha: false,
            shown: None,
            frames: Vec::new(),
        })
    }
}

fn three(value: u32) -> [u8; 3] {
    let b = value.to_le_bytes();
    [b[0], b[1], b[2]]
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    out.extend(kind);
    out.extend((content.len() as u32).to_le_bytes());
    out.extend(content);
    out.extend(std::iter::repeat_n(0, content.len() % 2));
}

impl Sink for Writer {
    fn push(&mut self, pixels: DynamicImage, units: u32, _said: Delay) -> Result<(), EncodeError> {
        let now = pixels.into_rgba8();
        let place = match &self.shown {
            Some(shown) => {
                let mut place = changed(shown, &now).unwrap_or(NOTHING);
                // Places are counted in pairs of pixels.
                (place.x1, place.y1) = (place.x1 / 2 * 2, place.y1 / 2 * 2);
                place
            }
            None => crate::geometry::PixelRect {
                x1: 0,
                y1: 0,
                x2: self.size.0,
                y2: self.size.1,
            },
        };
        let part =
            image::imageops::crop_imm(&now, place.x1, place.y1, place.width(), place.height())
                .to_image();
        let opaque = part.pixels().all(|p| p.0[3] == 255);
        let part = DynamicImage::ImageRgba8(part);
        let file = if opaque {
            webp::encode(&DynamicImage::ImageRgb8(part.into_rgb8()), &self.options)?
        } else {
            self.alpha = true;
            webp::encode(&part, &self.options)?
        };
        let mut content = Vec::with_capacity(file.len() + 16);
        content.extend(three(place.x1 / 2));
        content.extend(three(place.y1 / 2));
        content.extend(three(place.width() - 1));
        content.extend(three(place.height() - 1));
        content.extend(three(units));
        // Drawn instead of what was there; it stays.
        content.push(2);
        content.extend(pictures(&file));
        chunk(&mut self.frames, b"ANMF", &content);
        self.shown = Some(now);
        Ok(())
    }

    fn length(&self) -> usize {
        self.frames.len()
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, EncodeError> {
        let mut body = b"WEBP".to_vec();
        let mut header = vec![if self.alpha { 0x12 } else { 2 }, 0, 0, 0];
        header.extend(three(self.size.0 - 1));
        header.extend(three(self.size.1 - 1));
        chunk(&mut body, b"VP8X", &header);
        // No background colour.
        let mut control = vec![0; 4];
        control.extend(self.plays.to_le_bytes());
        chunk(&mut body, b"ANIM", &control);
        body.extend(&self.frames);
        let length = u32::try_from(body.len()).map_err(|_| EncodeError::TooLong(Format::WebP))?;
        let mut out = b"RIFF".to_vec();
        out.extend(length.to_le_bytes());
        out.extend(body);
        Ok(out)
    }
}

/// The chunks of a file that make its picture.
fn pictures(file: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), file.get(12..).unwrap_or_default());
    while let [a, b, c, d, l0, l1, l2, l3, tail @ ..] = rest {
        let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
        let Some(content) = tail.get(..length) else {
            break;
        };
        let kind = [*a, *b, *c, *d];
        if matches!(&kind, b"ALPH" | b"VP8 " | b"VP8L") {
            chunk(&mut out, &kind, content);
        }
        rest = tail.get(length + length % 2..).unwrap_or_default();
    }
    out
}
