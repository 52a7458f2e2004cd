//! Coarse to fine: what a copy of half the size shows → the windows of the picture that are worth a look at its own
//! resolution.
//!
//! A face that is seen well at full size leaves a trace at half of it, if only a faint one. So the copy is searched all
//! over, for a quarter of the cost, and the picture only around the traces. On 390 labelled photos that the project trains
//! with (3716 faces) the program left 33 faces visible at 4.9 % false area; searching every pixel, and half the size once
//! more, it left 34 at 4.8 %, for 1.7 times the time.

use super::tiling::Tile;
use crate::geometry::Rect;

/// How the picture is looked at more closely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coarse {
    /// A box in the copy is a trace if its score is at least this share of what the rule asks of a small box, 0 to 1.
    pub trace: f32,
    /// Boxes higher than this, in pixels of the picture, need no closer look: the copy shows them at the size that the
    /// network knows best.
    pub tallest: f32,
    /// Boxes of the copy cover by themselves from this height on, in pixels of the picture.
    pub least: f32,
    /// By what the score that the rule asks for is multiplied for those.
    pub surer: f32,
    /// The same for boxes of the picture: a trace in the copy speaks for them, so as little is covered for nothing as all over.
    pub looser: f32,
}

impl Default for Coarse {
    /// Chosen on those 390 photos. Traces of scores .015, .02 (what this is at `normal`) and .03 left 44, 46 and 63 faces
    /// visible at 4.3 % false area for .92, .82 and .67 of what every pixel costs; `surer` 1, 2, 3: 138, 108, 113 at 2 %, and
    /// of 168 faces of 128 pixels and more 4, 3, 8; `tallest` 64, 96, 128: 5, 3, 3 of these.
    fn default() -> Self {
        Self {
            trace: 0.4,
            tallest: 96.0,
            least: 64.0,
            surer: 1.9,
            looser: 0.94,
        }
    }
}

/// Side of the squares in which places are told apart, in pixels; windows are made of them.
const SQUARE: u32 = 32;
/// Squares around a window's own: a face is told from what is around it.
const MARGIN: u32 = 1;
/// The same where the window's neighbours are for another window to report: a face on the border must be whole in one.
const SHARED: u32 = 2;
/// Around a trace, so many times its size is looked at, and at least this many pixels: with 1.5 and 32 a tenth less was
/// searched, and more faces of 16 to 24 pixels missed.
const AROUND: f32 = 2.5;
const LEAST_AROUND: f32 = 48.0;
/// What a window costs beside its pixels, in squares.
const CALL: u32 = 4;
/// A cut that costs up to this much more than no cut is followed further: the next ones may make up for it.
const PATIENCE: f32 = 1.15;
/// Pixels by which own parts of neighbouring windows overlap: two windows place the same face a little differently.
const SLACK: f32 = 8.0;

/// The squares of a picture that are looked at more closely.
#[derive(Debug)]
pub(super) struct Places {
    columns: u32,
    rows: u32,
    chosen: Vec<bool>,
}

/// A part of the picture and the window in which it is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// What the network sees, in pixels of the picture.
    pub(super) tile: Tile,
    own: Squares,
}

/// Columns `x1..x2` of rows `y1..y2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Squares {
    x1: u32,
    y1: u32,
    x2: u32,
    y2: u32,
}

impl Places {
    /// None, in a picture of `width` × `height` pixels.
    pub(super) fn new(width: u32, height: u32) -> Self {
        let (columns, rows) = (width.div_ceil(SQUARE), height.div_ceil(SQUARE));
        Self {
            columns,
            rows,
            chosen: vec![false; columns as usize * rows as usize],
        }
    }

    /// Looks around a trace, in pixels of the picture; it may reach over its edge.
    pub(super) fn add(&mut self, trace: &Rect) {
        let (x, y) = trace.centre();
        let half = (AROUND * trace.width().max(trace.height())).max(LEAST_AROUND) / 2.0;
        let square = |at: f32, most: u32| (at.max(0.0) as u32 / SQUARE).min(most.saturating_sub(1));
        for row in square(y - half, self.rows)..=square(y + half, self.rows) {
            for column in square(x - half, self.columns)..=square(x + half, self.columns) {
                let at = row as usize * self.columns as usize + column as usize;
                if let Some(chosen) = self.chosen.get_mut(at) {
                    *chosen = true;
                }
            }
        }
    }

    fn has(&self, column: u32, row: u32) -> bool {
        self.chosen[row as usize * self.columns as usize + column as usize]
    }

    /// Windows that hold all places, none of more than `most` pixels if that is enough for a square and its margins.
    pub(super) fn parts(&self, most: u32) -> Vec<Part> {
        let all = Squares {
            x1: 0,
            y1: 0,
            x2: self.columns,
            y2: self.rows,
        };
        let mut parts = Vec::new();
        if let Some(all) = self.shrunk(all) {
            self.cut(all, most, &mut parts);
        }
        parts.into_iter().map(|own| self.part(own)).collect()
    }

    /// Adds the cheapest windows found for some squares; gives their cost. Cuts straight through, again and again.
    fn cut(&self, all: Squares, most: u32, parts: &mut Vec<Squares>) -> u32 {
        let whole = self.cost(all);
        let large = whole - CALL > most / (SQUARE * SQUARE);
        let worth_a_try = |cost: u32| large || (cost as f32) < PATIENCE * whole as f32;
        if let Some((_, a, b)) = self.cheapest(all, large).filter(|c| worth_a_try(c.0)) {
            let before = parts.len();
            let cost = self.cut(a, most, parts) + self.cut(b, most, parts);
            if large || cost < whole {
                return cost;
            }
            parts.truncate(before);
        }
        parts.push(all);
        whole
    }

    /// The straight cut through some squares behind which both halves, shrunk to their places, cost least; `balanced`: what
    /// must be cut anyway is not cut into slices.
    fn cheapest(&self, all: Squares, balanced: bool) -> Option<(u32, Squares, Squares)> {
        let by_row = cuts(&self.rows_of(all)).map(|(a, b)| (a.rows(all), b.rows(all)));
        let by_column = cuts(&self.columns_of(all)).map(|(a, b)| (a.columns(all), b.columns(all)));
        by_row
            .chain(by_column)
            .map(|(a, b)| (self.cost(a), self.cost(b), a, b))
            .min_by_key(|&(a, b, ..)| {
                let unlike = a.abs_diff(b);
                (a + b + if balanced { unlike / 4 } else { 0 }, unlike)
            })
            .map(|(cost_a, cost_b, a, b)| (cost_a + cost_b, a, b))
    }

    /// What searching some squares costs, in squares.
    fn cost(&self, own: Squares) -> u32 {
        let tile = self.part(own).tile;
        (tile.width / SQUARE) * (tile.height / SQUARE) + CALL
    }

    /// The squares without empty rows and columns around them; `None` if there is no place in them.
    fn shrunk(&self, all: Squares) -> Option<Squares> {
        let lines = self.rows_of(all);
        Some(hulls(lines.iter().copied().enumerate()).pop()??.rows(all))
    }

    /// First and last column of the places in each row, from the first of `all`.
    fn rows_of(&self, all: Squares) -> Vec<Option<(u32, u32)>> {
        let row = |y| {
            let has = |x: &u32| self.has(*x, y);
            Some(((all.x1..all.x2).find(has)?, (all.x1..all.x2).rfind(has)?))
        };
        (all.y1..all.y2).map(row).collect()
    }

    /// First and last row of the places in each column, from the first of `all`.
    fn columns_of(&self, all: Squares) -> Vec<Option<(u32, u32)>> {
        let column = |x| {
            let has = |y: &u32| self.has(x, *y);
            Some(((all.y1..all.y2).find(has)?, (all.y1..all.y2).rfind(has)?))
        };
        (all.x1..all.x2).map(column).collect()
    }

    /// The window for some squares.
    fn part(&self, own: Squares) -> Part {
        let any = |mut columns: std::ops::Range<u32>, rows: std::ops::Range<u32>| {
            columns.any(|x| rows.clone().any(|y| self.has(x, y)))
        };
        let (columns, rows) = (own.x1..own.x2, own.y1..own.y2);
        let beyond = |from: u32, most: u32| from.min(most)..(from + 1).min(most);
        let around = |shared: bool| if shared { SHARED } else { MARGIN };
        let left = around(own.x1 > 0 && any(own.x1 - 1..own.x1, rows.clone()));
        let above = around(own.y1 > 0 && any(columns.clone(), own.y1 - 1..own.y1));
        let right = around(any(beyond(own.x2, self.columns), rows));
        let below = around(any(columns, beyond(own.y2, self.rows)));
        let (x1, y1) = (own.x1.saturating_sub(left), own.y1.saturating_sub(above));
        let (x2, y2) = (
            (own.x2 + right).min(self.columns),
            (own.y2 + below).min(self.rows),
        );
        Part {
            tile: Tile {
                x: (x1 * SQUARE) as i32,
                y: (y1 * SQUARE) as i32,
                width: (x2 - x1) * SQUARE,
                height: (y2 - y1) * SQUARE,
            },
            own,
        }
    }

    /// Whether a box, in pixels of the picture, is for this part's window to report: its centre lies in a square that is
    /// looked at, and the window does not cut it. (What a window cuts, the copy shows whole.)
    pub(super) fn owns(&self, part: &Part, rect: &Rect) -> bool {
        let (x, y) = rect.centre();
        let square = |at: f32, most: u32| (at.max(0.0) as u32 / SQUARE).min(most.saturating_sub(1));
        let within = |at: f32, from: u32, to: u32, most: u32| {
            let (start, end) = ((from * SQUARE) as f32, (to * SQUARE) as f32);
            (from == 0 || at >= start - SLACK) && (to >= most || at < end + SLACK)
        };
        let whole = |low: f32, high: f32, from: i32, side: u32, most: u32| {
            let to = from as u32 + side;
            (from == 0 || low >= from as f32) && (to >= most * SQUARE || high <= to as f32)
        };
        let (own, tile) = (&part.own, &part.tile);
        within(x, own.x1, own.x2, self.columns)
            && within(y, own.y1, own.y2, self.rows)
            && self.has(square(x, self.columns), square(y, self.rows))
            && whole(rect.x1, rect.x2, tile.x, tile.width, self.columns)
            && whole(rect.y1, rect.y2, tile.y, tile.height, self.rows)
    }
}

/// The smallest rectangle around the places in some lines: first and last line, least and greatest place in them.
#[derive(Debug, Clone, Copy)]
struct Hull {
    lines: (u32, u32),
    places: (u32, u32),
}

impl Hull {
    const fn with(self, other: Self) -> Self {
        let (a, b) = (self.places, other.places);
        Self {
            lines: (
                if self.lines.0 < other.lines.0 {
                    self.lines.0
                } else {
                    other.lines.0
                },
                if self.lines.1 > other.lines.1 {
                    self.lines.1
                } else {
                    other.lines.1
                },
            ),
            places: (
                if a.0 < b.0 { a.0 } else { b.0 },
                if a.1 > b.1 { a.1 } else { b.1 },
            ),
        }
    }

    const fn rows(self, all: Squares) -> Squares {
        Squares {
            x1: self.places.0,
            y1: all.y1 + self.lines.0,
            x2: self.places.1 + 1,
            y2: all.y1 + self.lines.1 + 1,
        }
    }

    const fn columns(self, all: Squares) -> Squares {
        Squares {
            x1: all.x1 + self.lines.0,
            y1: self.places.0,
            x2: all.x1 + self.lines.1 + 1,
            y2: self.places.1 + 1,
        }
    }
}

/// The hull of all lines up to each one.
fn hulls(lines: impl Iterator<Item = (usize, Option<(u32, u32)>)>) -> Vec<Option<Hull>> {
    lines
        .scan(None, |hull: &mut Option<Hull>, (line, places)| {
            let line = line as u32;
            let here = places.map(|places| Hull {
                lines: (line, line),
                places,
            });
            *hull = match (*hull, here) {
                (Some(a), Some(b)) => Some(a.with(b)),
                (a, b) => a.or(b),
            };
            Some(*hull)
        })
        .collect()
}

/// What lies on both sides of each cut between two lines, where there is something on both.
fn cuts(lines: &[Option<(u32, u32)>]) -> impl Iterator<Item = (Hull, Hull)> + use<> {
    let before = hulls(lines.iter().copied().enumerate());
    let mut behind = hulls(lines.iter().copied().enumerate().rev());
    behind.reverse();
    before
        .into_iter()
        .zip(behind.into_iter().skip(1))
        .filter_map(|(a, b)| Some((a?, b?)))
}
