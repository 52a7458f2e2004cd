//! YCbCr of TIFF → RGB, by the rule that the file gives.

use super::{Directory, compression, rare, source::Subsampling, tag};
use crate::decode::DecodeError;

/// How luma and colour differences become red, green and blue (TIFF 6.0, section 21).
pub(super) struct Rule {
    /// Parts of red, green and blue in luma.
    luma: [f32; 3],
    /// Numbers of black and white of luma, of no colour and full colour of Cb and Cr.
    reference: [f32; 6],
}

const USUAL: Rule = Rule {
    luma: [0.299, 0.587, 0.114],
    reference: [0.0, 255.0, 128.0, 255.0, 128.0, 255.0],
};

impl Rule {
    pub(super) fn of(page: &Directory<'_>) -> Result<Self, DecodeError> {
        let mut rule = USUAL;
        let fill = |tag: u16, values: &mut [f32]| {
            let Some(entry) = page.entry(tag) else {
                return Some(());
            };
            let given = page.reader.fractions(entry, values.len())?;
            if given.len() != values.len() {
                return None;
            }
            for (value, given) in values.iter_mut().zip(given) {
                *value = given as f32;
            }
            Some(())
        };
        let read = fill(tag::COEFFICIENTS, &mut rule.luma)
            .and_then(|()| fill(tag::REFERENCE, &mut rule.reference));
        let [black, white, ..] = rule.reference;
        let range = |from: f32, to: f32| (1.0..=1024.0).contains(&(to - from));
        let sound = rule.luma.iter().all(|l| (0.0..1.0).contains(l))
            && (rule.luma.iter().sum::<f32>() - 1.0).abs() < 0.02
            && rule.luma[1] > 0.01
            && range(black, white)
            && range(rule.reference[2], rule.reference[3])
            && range(rule.reference[4], rule.reference[5]);
        if read.is_none() || !sound {
            return Err(rare("YCbCr by a rule that makes no sense"));
        }
        // Most programs leave the conversion to the JPEG decoder, which knows one rule only.
        if page.number(tag::COMPRESSION) == Some(compression::JPEG) && !rule.is_usual() {
            return Err(rare("JPEG whose colours follow a rule of its own"));
        }
        Ok(rule)
    }

    fn is_usual(&self) -> bool {
        let near = |a: &[f32], b: &[f32], by: f32| a.iter().zip(b).all(|(a, b)| (a - b).abs() < by);
        near(&self.luma, &USUAL.luma, 0.0006) && near(&self.reference, &USUAL.reference, 1.5)
    }

    /// Turns a pixel of Y, Cb, Cr into red, green, blue.
    pub(super) fn convert(&self, pixel: &mut [u8]) {
        let [red, green, blue] = self.luma;
        let [black, white, cb_none, cb_full, cr_none, cr_full] = self.reference;
        let [y, cb, cr] = [0, 1, 2].map(|i| f32::from(pixel[i]));
        let y = (y - black) * 255.0 / (white - black);
        let cb = (cb - cb_none) * 127.0 / (cb_full - cb_none);
        let cr = (cr - cr_none) * 127.0 / (cr_full - cr_none);
        let (to_red, to_blue) = (2.0 - 2.0 * red, 2.0 - 2.0 * blue);
        let rgb = [
            y + to_red * cr,
            y - (to_blue * blue * cb + to_red * red * cr) / green,
            y + to_blue * cb,
        ];
        for (sample, value) in pixel.iter_mut().zip(rgb) {
            *sample = (value + 0.5) as u8;
        }
    }

    /// Blocks of `across` × `down` luma samples and a pair of colour differences → RGB.
    pub(super) fn unpacked(
        &self,
        blocks: &[u8],
        (width, height): (u32, u32),
        (across, down): Subsampling,
    ) -> Result<Vec<u8>, DecodeError> {
        let (width, height) = (width as usize, height as usize);
        let (across, down) = (across as usize, down as usize);
        let block = across * down + 2;
        let row = width.div_ceil(across) * block;
        if blocks.len() < row * height.div_ceil(down) {
            return Err(DecodeError::Damaged("it has too few samples".into()));
        }
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            let line = &blocks[y / down * row..][..row];
            for x in 0..width {
                let block = &line[x / across * block..][..block];
                let luma = block[y % down * across + x % across];
                let mut pixel = [luma, block[across * down], block[across * down + 1]];
                self.convert(&mut pixel);
                rgb.extend(pixel);
            }
        }
        Ok(rgb)
    }
}
