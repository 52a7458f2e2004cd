//! Frames of an animation or of a folder of pictures + places → [`Redacted`], frame by frame.
//!
//! As [`super::clip`] does it for videos: the cells of blur and pixelate are measured once a
//! track, in the first frame that it covers, with their noise, and drawn from then on wherever the
//! track goes, so that nothing can be averaged over many frames. Where tracks overlap, the later
//! one is drawn over the earlier one; neither reads what it covers.

use std::collections::HashMap;

use image::DynamicImage;

use super::{
    Effect, LARGEST_REGION, LEAST_REGION, Noise, Options, RedactError, Redacted, Region,
    clip::Spot,
    effect::{
        self, Raster, Sample, blur,
        cells::{self, Cells},
        pixelate, with_raster,
    },
    region,
};
use crate::{frame::Frame, geometry::PixelRect};

/// Covers frames, in order.
#[derive(Debug)]
pub struct FramesCover {
    options: Options,
    noise: Noise,
    cells: HashMap<u32, Cells>,
}

impl FramesCover {
    /// Begins with the first frame.
    ///
    /// # Errors
    /// Options out of range.
    pub fn new(options: &Options, noise: Noise) -> Result<Self, RedactError> {
        if !(LEAST_REGION..=LARGEST_REGION).contains(&options.region) {
            return Err(RedactError::Region(options.region));
        }
        options.effect.check()?;
        Ok(Self {
            options: options.clone(),
            noise,
            cells: HashMap::new(),
        })
    }

    /// Covers the next frame.
    ///
    /// # Errors
    /// [`RedactError`]; nothing is left out in silence.
    pub fn cover(&mut self, frame: Frame, spots: &[Spot]) -> Result<Redacted, RedactError> {
        if let Some(bad) = spots.iter().find(|s| !s.rect.is_finite()) {
            return Err(RedactError::NotFinite(bad.rect));
        }
        let (width, height) = (frame.width(), frame.height());
        for spot in spots.iter().filter(|s| s.exact) {
            super::inside(&spot.rect, width, height)?;
        }
        let places: Vec<(u32, PixelRect)> = spots
            .iter()
            .filter_map(|s| {
                let rect = if s.exact {
                    s.rect
                } else {
                    s.rect.inflate(self.options.region)
                };
                Some((s.track, rect.to_pixels(width, height)?))
            })
            .collect();
        let regions = region::join(
            places.iter().map(|(_, r)| *r).collect(),
            self.options.effect.reach(),
        );
        let mut pixels = frame.into_pixels();
        match self.options.effect {
            Effect::Blur { cells } => self.grids(&mut pixels, &places, cells, true)?,
            Effect::Pixelate { cells } => self.grids(&mut pixels, &places, cells, false)?,
            _ => effect::apply(&mut pixels, &regions, &self.options.effect, &mut self.noise)?,
        }
        Ok(Redacted { pixels, regions })
    }

    fn grids(
        &mut self,
        pixels: &mut DynamicImage,
        places: &[(u32, PixelRect)],
        cells: u32,
        smooth: bool,
    ) -> Result<(), RedactError> {
        with_raster!(pixels, |raster| self.raster(raster, places, cells, smooth));
        Ok(())
    }

    fn raster<T: Sample>(
        &mut self,
        raster: &mut Raster<'_, T>,
        places: &[(u32, PixelRect)],
        cells: u32,
        smooth: bool,
    ) {
        let alone = |rect: &PixelRect| Region {
            bounds: *rect,
            parts: vec![*rect],
        };
        // All measured before anything is drawn, so that no cell depends on another's cover.
        for (track, rect) in places {
            if !self.cells.contains_key(track) {
                let measured = cells::measure(raster, &alone(rect), cells, &mut self.noise);
                self.cells.insert(*track, measured);
            }
        }
        for (track, rect) in places {
            if let Some(grid) = self.cells.get(track) {
                if smooth {
                    blur::draw(raster, &alone(rect), grid);
                } else {
                    pixelate::draw(raster, &alone(rect), grid);
                }
            }
        }
    }
}
