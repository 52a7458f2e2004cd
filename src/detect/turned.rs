//! Pictures that lie on their side or stand on their heads, with nothing in the file that says so: scans, screenshots, what a
//! messenger passed on, a telephone that lay flat.
//!
//! The networks learnt from upright people. Of the 1722 faces of 220 photos 1.2 % stay bare as they are, 26 to 35 % if the photos are turned.
//! Hardly a picture in which people stand upright shows none of them clearly; one that does not is looked at turned, small and
//! cheaply, and where somebody is seen better then, it is searched once more that way, whole.

use image::DynamicImage;
use rayon::prelude::*;

use super::{
    DetectError, Detector, Options, View, again::smaller, best, merge, rgb8, rule::Rule, views,
};
use crate::{face::Face, frame::Frame, geometry::Rect};

/// A picture whose best face has at least this score stands upright. Of 220 photos 34 have none; of the same turned, 174 to 209.
pub const UPRIGHT: f32 = 0.75;
/// Least score of somebody who is seen better in a turned picture.
pub const SEEN: f32 = 0.4;
/// Pictures of at most so many pixels are looked at in their size, larger ones at half of it at most: with a quarter of the size six times as many
/// faces of turned photos stay bare.
const SMALL: u64 = 200_000;
/// Most pixels of the copy that is looked at.
const MOST: u64 = 750_000;

/// How a picture must be turned for people in it to stand upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A quarter turn clockwise.
    Right,
    /// Upside down.
    Over,
    /// A quarter turn counterclockwise.
    Left,
}

impl Turn {
    const ALL: [Self; 3] = [Self::Right, Self::Over, Self::Left];

    fn turned<'a>(self, view: &View<'_>) -> View<'a> {
        let pixels: &DynamicImage = &view.pixels;
        let pixels = match self {
            Self::Right => pixels.rotate90(),
            Self::Over => pixels.rotate180(),
            Self::Left => pixels.rotate270(),
        };
        View::owned(pixels)
    }

    /// A place in the turned picture, in the picture of `width` × `height` pixels as it lies.
    fn back(self, place: &Rect, (width, height): (f32, f32)) -> Rect {
        let r = place;
        match self {
            Self::Right => Rect::new(r.y1, height - r.x2, r.y2, height - r.x1),
            Self::Over => Rect::new(width - r.x2, height - r.y2, width - r.x1, height - r.y1),
            Self::Left => Rect::new(width - r.y2, r.x1, width - r.y1, r.x2),
        }
    }
}

impl Detector {
    /// How a picture must be turned for people in it to stand upright, if somebody is seen then with more than this
    /// `score`. Costs a third of a search.
    ///
    /// # Errors
    /// When the network fails.
    pub fn turn(
        &self,
        frame: &Frame,
        options: &Options,
        score: f32,
    ) -> Result<Option<Turn>, DetectError> {
        let turn = self.turn_of(&rgb8(frame.pixels()), options, score)?;
        Ok(turn.map(|(turn, _)| turn))
    }

    /// The same, with those who are seen so, in pixels of the picture as it lies.
    pub(super) fn turn_of(
        &self,
        view: &View<'_>,
        options: &Options,
        score: f32,
    ) -> Result<Option<(Turn, Vec<Face>)>, DetectError> {
        let pixels = u64::from(view.width) * u64::from(view.height);
        let reduction = match pixels {
            0..=SMALL => 1,
            _ => (pixels as f64 / MOST as f64).sqrt().ceil().max(2.0) as u32,
        };
        let small = smaller(view, reduction)?;
        let options = Options {
            rule: Rule::flat(score),
            min_face: options.min_face / reduction as f32,
            glance: true,
            // A turn is tried for a face that fills the picture as for any other.
            again_sure: 1.0,
            ..*options
        };
        let seen = Turn::ALL.par_iter().map(|turn| {
            let found = self.search(&turn.turned(&small), &options)?;
            Ok((*turn, found))
        });
        let seen = seen.collect::<Result<Vec<_>, DetectError>>()?;
        let seen = seen.into_iter().filter(|(_, faces)| !faces.is_empty());
        let seen = seen.max_by(|a, b| best(&a.1).total_cmp(&best(&b.1)));
        let size = (small.width as f32, small.height as f32);
        let (sx, sy) = (view.width as f32 / size.0, view.height as f32 / size.1);
        Ok(seen.map(|(turn, faces)| {
            let lying = faces.into_iter().map(|f| Face {
                rect: turn.back(&f.rect, size).scaled(sx, sy),
                ..f
            });
            (turn, lying.collect())
        }))
    }

    /// All faces of a picture that must be turned so, best first, in pixels of the picture as it lies.
    ///
    /// # Errors
    /// When the network fails on any window.
    pub fn faces_turned(
        &self,
        frame: &Frame,
        turn: Turn,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let boxes = self.boxes_turned(&views(frame.pixels()), turn, options)?;
        Ok(merge::merge(boxes, options.merge, options.weak))
    }

    pub(super) fn boxes_turned(
        &self,
        views: &[View<'_>],
        turn: Turn,
        options: &Options,
    ) -> Result<Vec<Face>, DetectError> {
        let mut boxes = Vec::new();
        for view in views {
            let size = (view.width as f32, view.height as f32);
            let options = Options {
                rule: options.rule.times(view.surer),
                ..*options
            };
            let found = self.search(&turn.turned(view), &options)?.into_iter();
            boxes.extend(found.map(|f| Face {
                rect: turn.back(&f.rect, size),
                ..f
            }));
        }
        Ok(boxes)
    }
}
