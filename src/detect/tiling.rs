//! Which windows of a picture are searched, at which scale.
//!
//! A picture is searched at its own resolution in overlapping tiles, so that a small face in a
//! large crowd is found and memory stays flat; in copies reduced by [`REDUCTION`], where faces
//! that are larger than the overlap fit into one tile, until the whole copy is a single tile; and
//! once more at a quarter of that, as networks miss faces that fill what they are shown.

/// How much smaller each copy is than the one before. Faces of 30 pixels and more count there, so of 120 before, a little more than
/// windows share. Of 1519 faces in photos enlarged to 3 to 9 megapixels 22 stay exposed, 23 with a factor of 3 (and 40 pixels).
pub const REDUCTION: u32 = 4;

/// How much smaller the copy is that shows once more what was searched whole. Of 70 faces brought to 700 pixels in pictures of
/// 1400 × 1100, 16 stay exposed without it, 5 with a half, 2 with a third or a quarter; of 1000 pixels 61, 14, 10 and 5.
pub const AGAIN: u32 = 4;

/// One window of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Left edge in pixels of the copy; negative where the window reaches over the edge.
    pub x: i32,
    /// Top edge, likewise.
    pub y: i32,
    /// Width in pixels of the copy, a multiple of what the network wants.
    pub width: u32,
    /// Height, likewise.
    pub height: u32,
}

/// One copy of the picture and its windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The copy is the picture reduced by this factor, 1 for the picture itself.
    pub reduction: u32,
    /// Size of the copy in pixels.
    pub width: u32,
    /// Size of the copy in pixels.
    pub height: u32,
    /// Least number of pixels that neighbouring windows share, across and down.
    pub overlap: (u32, u32),
    /// Whether the copy before was searched as one window: this one shows nothing new, only smaller.
    pub again: bool,
    /// Its windows.
    pub tiles: Vec<Tile>,
}

impl Level {
    /// Whether a box with its centre at (`x`, `y`), in pixels of the copy, is for this window to
    /// report. Where windows overlap, the one counts that sees more around the place: objects cut
    /// by a window's edge are taken for faces more often (they doubled the false area), and a face
    /// near the edge of one window lies well inside the other.
    #[must_use]
    pub fn owns(&self, tile: &Tile, x: f32, y: f32) -> bool {
        let inside = |start: i32, side: u32, full: u32, overlap: u32, at: f32| {
            let (from, to) = (start as f32, start as f32 + side as f32);
            let margin = overlap as f32 / 2.0;
            // Nothing lies beyond the picture's own edges.
            (start <= 0 || at >= from + margin - SLACK)
                && (to >= full as f32 || at < to - margin + SLACK)
        };
        inside(tile.x, tile.width, self.width, self.overlap.0, x)
            && inside(tile.y, tile.height, self.height, self.overlap.1, y)
    }
}

/// Pixels by which neighbouring windows' own parts overlap: two windows place the same face a
/// little differently, and neither must leave it to the other.
const SLACK: f32 = 8.0;

/// How windows are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// A copy of at most this many pixels, its padding included, is one window.
    pub whole: u32,
    /// Larger ones are cut into windows of at most this many pixels.
    pub tile: u32,
    /// Pixels that neighbouring windows share at least.
    pub overlap: u32,
    /// Pixels added on each side of the copy, so that faces cut by the picture's edge are found.
    pub pad: u32,
    /// Sides of windows are multiples of this.
    pub multiple: u32,
    /// A picture that is one window is searched once more, reduced by [`AGAIN`], if its longer side is at
    /// least this, in pixels; so is the last copy of one that was cut into windows, always.
    pub again_from: u32,
}

impl Layout {
    /// Levels and windows for a picture of `width` × `height` pixels. Each pixel of each level
    /// is in some window, and every two neighbouring windows share at least `overlap` pixels.
    #[must_use]
    pub fn levels(&self, width: u32, height: u32) -> Vec<Level> {
        let mut levels = Vec::new();
        let mut reduction = 1;
        loop {
            let level = self.level(width, height, reduction);
            let whole = level.tiles.len() == 1;
            let longer = level.width.max(level.height);
            levels.push(level);
            let next = reduction.checked_mul(if whole { AGAIN } else { REDUCTION });
            match next {
                Some(next) if !whole => reduction = next,
                // Behind windows the last copy shows what is larger than a window.
                Some(next) if longer >= self.again_from || reduction > 1 => {
                    levels.push(Level {
                        again: true,
                        ..self.level(width, height, next)
                    });
                    return levels;
                }
                _ => return levels,
            }
        }
    }

    fn level(&self, width: u32, height: u32, reduction: u32) -> Level {
        let (width, height) = (
            width.div_ceil(reduction).max(1),
            height.div_ceil(reduction).max(1),
        );
        let tiles = self.tiles(width, height);
        let overlap = (
            shared(tiles.iter().map(|t| (t.x, t.width))),
            shared(tiles.iter().map(|t| (t.y, t.height))),
        );
        Level {
            reduction,
            width,
            height,
            overlap,
            again: false,
            tiles,
        }
    }

    fn tiles(&self, width: u32, height: u32) -> Vec<Tile> {
        let (full_w, full_h) = (width + 2 * self.pad, height + 2 * self.pad);
        let round = |side: u32| side.next_multiple_of(self.multiple.max(1));
        if u64::from(round(full_w)) * u64::from(round(full_h)) <= u64::from(self.whole) {
            return vec![Tile {
                x: -(self.pad as i32),
                y: -(self.pad as i32),
                width: round(full_w),
                height: round(full_h),
            }];
        }
        let (columns, rows) = self.grid(full_w, full_h);
        let (tile_w, tile_h) = (
            round(self.side(full_w, columns)),
            round(self.side(full_h, rows)),
        );
        let starts = |full: u32, side: u32, n: u32| -> Vec<i32> {
            let reach = full.saturating_sub(side);
            (0..n)
                .map(|i| {
                    (u64::from(reach) * u64::from(i) / u64::from((n - 1).max(1))) as i32
                        - self.pad as i32
                })
                .collect()
        };
        let xs = starts(full_w, tile_w, columns);
        starts(full_h, tile_h, rows)
            .into_iter()
            .flat_map(|y| {
                xs.iter().map(move |&x| Tile {
                    x,
                    y,
                    width: tile_w,
                    height: tile_h,
                })
            })
            .collect()
    }

    /// The side of `n` equal windows that overlap and together cover `full` pixels.
    fn side(&self, full: u32, n: u32) -> u32 {
        (full + (n - 1) * self.overlap).div_ceil(n)
    }

    /// The number of columns and rows that searches the fewest pixels with windows small enough.
    fn grid(&self, full_w: u32, full_h: u32) -> (u32, u32) {
        let round = |side: u32| u64::from(side.next_multiple_of(self.multiple.max(1)));
        let mut best = (1, 1);
        let mut least = u64::MAX;
        for columns in 1..=full_w.div_ceil(self.overlap.max(1)).max(1) {
            let w = round(self.side(full_w, columns));
            // Rows needed so that a window of this width is small enough.
            let most_h = u64::from(self.tile) / w;
            if most_h <= u64::from(self.overlap) + u64::from(self.multiple) {
                continue;
            }
            let mut rows = 1;
            while round(self.side(full_h, rows)) > most_h {
                rows += 1;
            }
            let searched =
                w * round(self.side(full_h, rows)) * u64::from(columns) * u64::from(rows);
            if searched < least {
                (least, best) = (searched, (columns, rows));
            }
        }
        best
    }
}

/// The least overlap of neighbouring intervals (start, length).
fn shared(intervals: impl Iterator<Item = (i32, u32)>) -> u32 {
    let mut intervals: Vec<_> = intervals.collect();
    intervals.sort_unstable();
    intervals.dedup();
    intervals
        .windows(2)
        .map(|pair| (pair[0].0 + pair[0].1 as i32 - pair[1].0).max(0) as u32)
        .min()
        .unwrap_or(0)
}
