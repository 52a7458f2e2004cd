//! Frame + faces → [`Redacted`]. The only maker of what `encode` takes.
//!
//! How much of a face an effect lets through is bounded by construction, whatever its name: see
//! [`effect`]. Overlapping regions become one, with one grid, so that no second pass reads what a
//! first one let through.

pub mod clip;
pub mod effect;
pub mod frames;
mod membrane;
mod noise;
mod outline;
mod region;
mod scramble;

use image::DynamicImage;

use crate::{
    frame::Frame,
    geometry::{PixelRect, Rect},
};
pub use effect::Effect;
pub use noise::Noise;
pub use region::Region;

/// Least size factor: below it, ears, hair line and chin stay visible.
pub const LEAST_REGION: f32 = 1.3;
/// Largest size factor; more would be a mistake.
pub const LARGEST_REGION: f32 = 5.0;

/// Points across and down at which a rectangle is looked at.
const POINTS: u32 = 16;

/// Of a face's middle, half as wide and high, at most this share is covered if it is to be seen.
const CLEAR: f32 = 0.25;
/// A cover that overlaps a box by this much (IoU) covers what the box shows.
const SAME_PLACE: f32 = 0.2;

/// How to cover.
#[derive(Debug, Clone)]
pub struct Options {
    /// With what.
    pub effect: Effect,
    /// A face's box is enlarged about its centre by this factor, at least [`LEAST_REGION`].
    pub region: f32,
}

/// Why a picture can't be covered. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// A box with coordinates that are no numbers: leaving it out would expose somebody.
    #[error("a box to cover has coordinates that are no numbers ({0}); correct it")]
    NotFinite(Rect),
    /// A place that a person named has no pixel in the picture: covering nothing would expose somebody.
    #[error(
        "the place to cover, {:.0},{:.0} to {:.0},{:.0}, lies outside this picture of {width} × {height} pixels; correct it",
        place.x1, place.y1, place.x2, place.y2
    )]
    Outside {
        /// The place, in pixels of the upright picture.
        place: Rect,
        /// Columns of the picture.
        width: u32,
        /// Rows of the picture.
        height: u32,
    },
    /// The size factor is out of range.
    #[error("the region factor {0} is out of range; use {LEAST_REGION} to {LARGEST_REGION}")]
    Region(f32),
    /// The effect's number of cells is out of range.
    #[error("{0} cells are out of range; use 1 to {max}", max = effect::MOST_CELLS)]
    Cells(u32),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers ({0}); nothing can be covered safely")]
    Random(String),
    /// Pixels of a kind that no effect knows.
    #[error("its kind of pixels can't be covered; convert it to 8 or 16 bits a sample")]
    Pixels,
    /// The sensor's pattern in pictures that are shown one after the other.
    #[error("--scramble is for single pictures; leave it out")]
    Scramble,
}

/// A covered picture.
#[derive(Debug, Clone)]
pub struct Redacted {
    pixels: DynamicImage,
    regions: Vec<Region>,
}

impl Redacted {
    /// The pixels, covered.
    #[must_use]
    pub fn pixels(&self) -> &DynamicImage {
        &self.pixels
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }

    /// What was covered, in the order of covering; those of [`Redacted::more`] may overlap earlier ones.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Which share of `rect`, inside the picture, is covered, 0 to 1; 1 where nothing of it is inside.
    #[must_use]
    pub fn share(&self, rect: &Rect) -> f32 {
        let Some(pixels) = rect.to_pixels(self.width(), self.height()) else {
            return 1.0;
        };
        let parts: Vec<&PixelRect> = self
            .regions
            .iter()
            .filter(|r| r.bounds.overlaps(&pixels))
            .flat_map(|r| r.parts.iter().filter(|p| p.overlaps(&pixels)))
            .collect();
        let at = |from: u32, side: u32, i: u32| from + (side * (2 * i + 1)) / (2 * POINTS);
        let covered = (0..POINTS * POINTS).filter(|i| {
            let x = at(pixels.x1, pixels.width(), i % POINTS);
            let y = at(pixels.y1, pixels.height(), i / POINTS);
            parts
                .iter()
                .any(|p| p.x1 <= x && x < p.x2 && p.y1 <= y && y < p.y2)
        });
        covered.count() as f32 / (POINTS * POINTS) as f32
    }

    /// Whether a face may be seen at `rect`: hardly anything of its middle is covered, and no cover is
    /// about as large and in the same place. What lies round a cover, a shoulder, the cover's own edge, is
    /// taken for a face often; but a cover at its side, a neighbour's, hides no face.
    #[must_use]
    pub fn is_open(&self, rect: &Rect) -> bool {
        let seen = rect.clip(self.width(), self.height());
        self.share(&seen.inflate(0.5)) <= CLEAR
            && self.regions.iter().flat_map(|r| &r.parts).all(|p| {
                let [x1, y1, x2, y2] = [p.x1, p.y1, p.x2, p.y2].map(|v| v as f32);
                Rect::new(x1, y1, x2, y2).iou(rect) < SAME_PLACE
            })
    }

    /// Covers further `faces`, enlarged by the region factor. What reads from under its region
    /// otherwise is drawn as [`Effect::Erase`] here, so that nothing is measured a second time
    /// where an earlier region is touched.
    ///
    /// # Errors
    /// [`RedactError`]; nothing is left out in silence.
    pub fn more(
        &mut self,
        faces: &[Rect],
        options: &Options,
        noise: &mut Noise,
    ) -> Result<(), RedactError> {
        if let Some(bad) = faces.iter().find(|r| !r.is_finite()) {
            return Err(RedactError::NotFinite(*bad));
        }
        let rects = faces
            .iter()
            .filter_map(|f| {
                f.inflate(options.region)
                    .to_pixels(self.width(), self.height())
            })
            .collect();
        let effect = match &options.effect {
            Effect::Blur { .. } | Effect::Pixelate { .. } => Effect::Erase,
            other => other.clone(),
        };
        let regions = region::join(rects, effect.reach());
        effect::apply(&mut self.pixels, &regions, &effect, noise)?;
        self.regions.extend(regions);
        Ok(())
    }

    /// Makes the sensor's pattern fainter; see the module. What is covered moves with the picture, by
    /// up to 1.2 % of its sides.
    pub fn scramble(&mut self, noise: &mut Noise) {
        scramble::scramble(&mut self.pixels, noise);
    }

    /// Draws outlines of faces with their numbers over the covered picture, for a person to check.
    pub fn outline(&mut self, faces: &[(u32, Rect)]) {
        outline::draw(&mut self.pixels, faces);
    }
}

/// Covers `faces`, enlarged by the region factor, and `places`, exactly as given.
///
/// # Errors
/// [`RedactError`]; nothing is left out in silence.
pub fn cover(
    frame: Frame,
    faces: &[Rect],
    places: &[Rect],
    options: &Options,
    noise: &mut Noise,
) -> Result<Redacted, RedactError> {
    if !(LEAST_REGION..=LARGEST_REGION).contains(&options.region) {
        return Err(RedactError::Region(options.region));
    }
    options.effect.check()?;
    if let Some(bad) = faces.iter().chain(places).find(|r| !r.is_finite()) {
        return Err(RedactError::NotFinite(*bad));
    }
    let (width, height) = (frame.width(), frame.height());
    for place in places {
        inside(place, width, height)?;
    }
    let rects: Vec<PixelRect> = faces
        .iter()
        .map(|face| face.inflate(options.region))
        .chain(places.iter().copied())
        .filter_map(|r| r.to_pixels(width, height))
        .collect();
    let regions = region::join(rects, options.effect.reach());
    let mut pixels = frame.into_pixels();
    effect::apply(&mut pixels, &regions, &options.effect, noise)?;
    Ok(Redacted { pixels, regions })
}

/// Refuses a place that a person named and that has no pixel in the picture.
fn inside(place: &Rect, width: u32, height: u32) -> Result<(), RedactError> {
    match place.to_pixels(width, height) {
        Some(_) => Ok(()),
        None => Err(RedactError::Outside {
            place: *place,
            width,
            height,
        }),
    }
}
