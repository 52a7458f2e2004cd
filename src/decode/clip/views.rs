//! The reduced copies of a video's frames in which faces are searched.
//!
//! Most videos need one copy. Where what players show is not certain, each way to show a frame gets one of its
//! own, and what is found in any of them counts.

use super::{Clip, MOST_SIDE};

/// Aspect ratios of pixels between these are near enough to square: faces in them are found as they are stored and as they
/// are shown. Also how far the ratio may stray from the container's midway.
const NEAR_SQUARE: (f64, f64) = (0.6, 1.7);
/// Ratios beyond this, or under its inverse, are written by no camera.
pub(crate) const MOST_ASPECT: f64 = 4.0;
/// Frames of fewer lines have no fields worth a search.
pub(crate) const LEAST_LINES: u32 = 32;
/// A copy is this much wider, in pixels, where the shape of the pixels changes midway: so the frame is recognised.
pub(super) const RESHAPED: u32 = 2;

/// Whether faces may be found in pixels of this aspect ratio as if they were square.
pub(crate) fn near_square(aspect: (u32, u32)) -> bool {
    let ratio = f64::from(aspect.0) / f64::from(aspect.1);
    (NEAR_SQUARE.0..=NEAR_SQUARE.1).contains(&ratio)
}

/// Whether pixels of this aspect ratio are too far from square to be believed.
pub(crate) fn absurd(aspect: (u32, u32)) -> bool {
    let ratio = f64::from(aspect.0) / f64::from(aspect.1);
    !(1.0 / MOST_ASPECT..=MOST_ASPECT).contains(&ratio)
}

/// Width and height of a copy of at most about `pixels` pixels; small frames are not enlarged. `size`: the frame's,
/// `aspect`: width to height of its pixels.
pub(crate) fn reduced(size: (u32, u32), aspect: (u32, u32), pixels: u32) -> (u32, u32) {
    let (w, h) = (
        f64::from(size.0) * f64::from(aspect.0) / f64::from(aspect.1),
        f64::from(size.1),
    );
    let scale = (f64::from(pixels) / (w * h)).sqrt().min(1.0);
    let side = |v: f64| (v * scale).round().clamp(1.0, f64::from(MOST_SIDE)) as u32;
    (side(w), side(h))
}

/// A field of an interlaced frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Top,
    Bottom,
}

/// One reduced copy.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Of the copy, in pixels.
    pub(super) size: (u32, u32),
    /// ffmpeg's filters from the decoded frame to the copy.
    pub(super) filters: Vec<String>,
}

/// What a copy is made of.
#[derive(Debug, Clone, Copy)]
struct Kind {
    field: Option<Field>,
    /// Width to height of a pixel.
    aspect: (u32, u32),
    /// High dynamic range is brought to the usual one.
    mapped: bool,
    pixels: u32,
}

impl Clip {
    /// The copies in which faces are searched, of at most about `pixels` pixels. The first one is what players show.
    pub(super) fn views(&self, pixels: u32) -> Vec<View> {
        let mut aspects = vec![self.aspect()];
        if !near_square(self.aspect()) {
            // Who takes no notice of the aspect ratio sees the stored shape.
            aspects.push((1, 1));
        }
        let mut ranges = vec![self.maps];
        if self.maps {
            // Who does not know PQ and HLG sees the numbers as they are.
            ranges.push(false);
        }
        let mut fields = vec![(None, pixels)];
        if self.probe.video.interlaced.is_some() && self.layout.height >= LEAST_LINES {
            // Fields may differ. Each has half of the lines, so half of the pixels hold all of it.
            fields.extend([Field::Top, Field::Bottom].map(|f| (Some(f), pixels / 2)));
        }
        let mut views = Vec::new();
        for &(field, pixels) in &fields {
            for &mapped in &ranges {
                for &aspect in &aspects {
                    views.push(self.view(Kind {
                        field,
                        aspect,
                        mapped,
                        pixels,
                    }));
                }
            }
        }
        views
    }

    /// One copy without a search: for its time alone.
    pub(super) fn timing(&self) -> View {
        self.view(Kind {
            field: None,
            aspect: self.aspect(),
            mapped: false,
            pixels: 4096,
        })
    }

    fn view(&self, kind: Kind) -> View {
        let size = (self.layout.width, self.layout.height);
        let (width, height) = reduced(size, kind.aspect, kind.pixels);
        let mut filters = self.upright();
        let field = kind.field.map(|f| match f {
            Field::Top => "field=top",
            Field::Bottom => "field=bottom",
        });
        // Behind the check of the size, before the turn.
        filters.splice(1..1, field.map(String::from));
        let (a, b) = self.aspect();
        let (low, high) = NEAR_SQUARE;
        filters.push(format!(
            "scale=w='if(between(sar*{b}/{a},{low},{high}),{width},{})':h={height}:flags=area:eval=frame",
            width + RESHAPED
        ));
        if kind.mapped {
            // Faces in pictures of high range are pale to a network that knows photos.
            filters.extend(self.mapping("yuv444p"));
            filters.push("scale=in_color_matrix=bt709".into());
        }
        filters.push("format=rgb24".into());
        View {
            size: (width, height),
            filters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_reduced_by_their_shape_and_never_enlarged() {
        assert_eq!(reduced((1920, 1080), (1, 1), 1_000_000), (1333, 750));
        assert_eq!(reduced((320, 240), (1, 1), 1_000_000), (320, 240));
        assert_eq!(reduced((100, 100), (3, 1), 1_000_000), (300, 100));
    }

    #[test]
    fn usual_aspect_ratios_are_near_square_and_wide_ones_are_not() {
        for usual in [(1, 1), (4, 3), (12, 11), (64, 45), (8, 9)] {
            assert!(near_square(usual), "{usual:?}");
        }
        assert!(!near_square((2, 1)) && !near_square((1, 2)));
        assert!(absurd((5, 1)) && absurd((1, 5)) && !absurd((4, 1)) && !absurd((1, 4)));
    }
}
