//! Rectangles in pictures. No I/O, no pixels.

use serde::{Deserialize, Serialize};

/// A half-open rectangle in pixels: `x1 <= x < x2`, `y1 <= y < y2`, origin at the
/// top left of the upright picture. Coordinates may lie outside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge, excluded.
    pub x2: f32,
    /// Bottom edge, excluded.
    pub y2: f32,
}

impl std::fmt::Display for Rect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{} to {},{}", self.x1, self.y1, self.x2, self.y2)
    }
}

impl Rect {
    /// A rectangle from its corners, in pixels.
    #[must_use]
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// Width in pixels, 0 for an inverted rectangle.
    #[must_use]
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Height in pixels, 0 for an inverted rectangle.
    #[must_use]
    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    /// Area in square pixels.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// Whether it covers nothing, or has a coordinate that is not a number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !(self.x2 > self.x1 && self.y2 > self.y1)
    }

    /// Whether all four coordinates are finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.x1.is_finite() && self.y1.is_finite() && self.x2.is_finite() && self.y2.is_finite()
    }

    /// Its centre.
    #[must_use]
    pub fn centre(&self) -> (f32, f32) {
        ((self.x1 + self.x2) / 2.0, (self.y1 + self.y2) / 2.0)
    }

    /// `dx` pixels further to the right and `dy` further down.
    #[must_use]
    pub fn moved(&self, dx: f32, dy: f32) -> Self {
        Self::new(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)
    }

    /// In pixels that are `x` times as many across and `y` times as many down.
    #[must_use]
    pub fn scaled(&self, x: f32, y: f32) -> Self {
        Self::new(self.x1 * x, self.y1 * y, self.x2 * x, self.y2 * y)
    }

    /// The common part; empty (see [`Rect::is_empty`]) where there is none.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self::new(
            self.x1.max(other.x1),
            self.y1.max(other.y1),
            self.x2.min(other.x2),
            self.y2.min(other.y2),
        )
    }

    /// The smallest rectangle that holds both.
    #[must_use]
    pub fn hull(&self, other: &Self) -> Self {
        Self::new(
            self.x1.min(other.x1),
            self.y1.min(other.y1),
            self.x2.max(other.x2),
            self.y2.max(other.y2),
        )
    }

    /// Intersection over union, 0 to 1; 0 when either is empty.
    #[must_use]
    pub fn iou(&self, other: &Self) -> f32 {
        let common = self.intersect(other).area();
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }

    /// The same centre, both sides times `factor` (1.3 adds 15 % on each side).
    #[must_use]
    pub fn inflate(&self, factor: f32) -> Self {
        let (dx, dy) = (
            self.width() * (factor - 1.0) / 2.0,
            self.height() * (factor - 1.0) / 2.0,
        );
        Self::new(self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy)
    }

    /// The part inside a picture of `width` × `height` pixels.
    #[must_use]
    pub fn clip(&self, width: u32, height: u32) -> Self {
        self.intersect(&Self::new(0.0, 0.0, width as f32, height as f32))
    }

    /// The whole pixels that it touches inside a picture of `width` × `height`
    /// pixels, rounded outwards; `None` where it touches none.
    #[must_use]
    pub fn to_pixels(&self, width: u32, height: u32) -> Option<PixelRect> {
        let r = self.clip(width, height);
        if r.is_empty() {
            return None;
        }
        Some(PixelRect {
            x1: r.x1.floor() as u32,
            y1: r.y1.floor() as u32,
            x2: (r.x2.ceil() as u32).min(width),
            y2: (r.y2.ceil() as u32).min(height),
        })
    }
}

/// A half-open rectangle of whole pixels inside a picture, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PixelRect {
    /// First column.
    pub x1: u32,
    /// First row.
    pub y1: u32,
    /// Column after the last.
    pub x2: u32,
    /// Row after the last.
    pub y2: u32,
}

impl PixelRect {
    /// Columns.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.x2 - self.x1
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.y2 - self.y1
    }

    /// Whether the two share a pixel.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.x1 < other.x2 && other.x1 < self.x2 && self.y1 < other.y2 && other.y1 < self.y2
    }

    /// The smallest rectangle that holds both.
    #[must_use]
    pub fn hull(&self, other: &Self) -> Self {
        Self {
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
            x2: self.x2.max(other.x2),
            y2: self.y2.max(other.y2),
        }
    }
}
