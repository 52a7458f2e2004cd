//! What a viewer shows: parts laid over each other.

use image::{DynamicImage, ImageBuffer, Primitive, Rgba};

use super::{After, Part};
use crate::decode::DecodeError;

pub(super) struct Canvas {
    pixels: DynamicImage,
    /// Where the last part lies, and what becomes of it.
    last: Option<([u32; 4], After)>,
    /// What was there before it, if that is to come back.
    before: Option<DynamicImage>,
}

impl Canvas {
    /// All transparent: viewers pass over background colours.
    pub(super) fn new((width, height): (u32, u32), depth: u8) -> Self {
        Self {
            pixels: if depth == 16 {
                DynamicImage::new_rgba16(width, height)
            } else {
                DynamicImage::new_rgba8(width, height)
            },
            last: None,
            before: None,
        }
    }

    pub(super) const fn pixels(&self) -> &DynamicImage {
        &self.pixels
    }

    /// Does to the last part what it asked for, then draws the next.
    pub(super) fn lay(&mut self, part: &Part) -> Result<(), DecodeError> {
        match self.last.take() {
            Some((place, After::Clear)) => match &mut self.pixels {
                DynamicImage::ImageRgba8(p) => clear(p, place),
                DynamicImage::ImageRgba16(p) => clear(p, place),
                _ => {}
            },
            Some((_, After::Restore)) => {
                if let Some(before) = self.before.take() {
                    self.pixels = before;
                }
            }
            _ => {}
        }
        let (w, h) = (part.pixels.width(), part.pixels.height());
        let inside =
            |at: u32, side: u32, most: u32| at.checked_add(side).is_some_and(|end| end <= most);
        if !inside(part.left, w, self.pixels.width()) || !inside(part.top, h, self.pixels.height())
        {
            return Err(DecodeError::Damaged(
                "one of its pictures lies outside".into(),
            ));
        }
        self.before = (part.after == After::Restore).then(|| self.pixels.clone());
        match (&mut self.pixels, &part.pixels) {
            (DynamicImage::ImageRgba8(to), DynamicImage::ImageRgba8(from)) => {
                draw(to, from, part, over8);
            }
            (DynamicImage::ImageRgba16(to), DynamicImage::ImageRgba16(from)) => {
                draw(to, from, part, over16);
            }
            _ => {
                return Err(DecodeError::Damaged(
                    "its pictures are of several kinds".into(),
                ));
            }
        }
        self.last = Some(([part.left, part.top, w, h], part.after));
        Ok(())
    }
}

type Buffer<T> = ImageBuffer<Rgba<T>, Vec<T>>;

fn clear<T: Primitive>(pixels: &mut Buffer<T>, [left, top, width, height]: [u32; 4])
where
    Rgba<T>: image::Pixel<Subpixel = T>,
{
    let stride = pixels.width() as usize * 4;
    let (from, to) = (left as usize * 4, (left + width) as usize * 4);
    for row in pixels
        .chunks_exact_mut(stride)
        .skip(top as usize)
        .take(height as usize)
    {
        row[from..to].fill(T::DEFAULT_MIN_VALUE);
    }
}

fn draw<T: Primitive>(
    to: &mut Buffer<T>,
    from: &Buffer<T>,
    part: &Part,
    over: impl Fn(&mut [T], &[T]),
) where
    Rgba<T>: image::Pixel<Subpixel = T>,
{
    let (stride, across) = (to.width() as usize * 4, from.width() as usize * 4);
    let left = part.left as usize * 4;
    let rows = to.chunks_exact_mut(stride).skip(part.top as usize);
    for (row, new) in rows.zip(from.chunks_exact(across.max(1))) {
        let row = &mut row[left..left + across];
        if part.blend {
            row.chunks_exact_mut(4)
                .zip(new.chunks_exact(4))
                .for_each(|(below, above)| over(below, above));
        } else {
            row.copy_from_slice(new);
        }
    }
}

/// Colours that are not multiplied by their alpha, one over the other.
macro_rules! over {
    ($name:ident, $sample:ty, $wide:ty) => {
        fn $name(below: &mut [$sample], above: &[$sample]) {
            const FULL: $wide = <$sample>::MAX as $wide;
            let (a, b) = (<$wide>::from(above[3]), <$wide>::from(below[3]));
            if a == FULL || b == 0 {
                if a > 0 {
                    below.copy_from_slice(above);
                }
                return;
            }
            // What the lower one still contributes, in FULL² parts.
            let rest = b * (FULL - a);
            let alpha = a * FULL + rest;
            if a == 0 {
                return;
            }
            for c in 0..3 {
                let mixed = <$wide>::from(above[c]) * a * FULL + <$wide>::from(below[c]) * rest;
                below[c] = ((mixed + alpha / 2) / alpha) as $sample;
            }
            below[3] = ((alpha + FULL / 2) / FULL) as $sample;
        }
    };
}

over!(over8, u8, u32);
over!(over16, u16, u64);
