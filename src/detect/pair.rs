//! Two networks that look together: a cheap one everywhere, a dear one where the first sees as much as
//! a trace of a face. What both think counts.
//!
//! Two networks that learnt apart err apart. On 290 photos held back from training 52 instead of 69 of 1947
//! faces stay exposed at 2 % false area, 25 instead of 33 at 4.3 %, beside the dear one alone; looking with it at
//! the traces only changes none of these.

use std::collections::VecDeque;

use ndarray::{Array4, ArrayD, s};

use super::{
    DetectError,
    family::{Family, flat},
    model::{Arrangement, Model, PATCH, Spec, Tensor},
};

/// The dear network's share of the logit, the cheap one has the rest; .5 and .75 were worse on held-back photos.
const DEEP: f32 = 0.65;
/// Score from which a place counts as a trace. With .01 and .03 the figures above are the same, for 78 and 54 % of the area
/// searched by the dear network instead of 62; in photos enlarged to 3 to 9 megapixels .03 leaves 27 instead of 23 of 1519 bare.
const TRACE: f32 = 0.02;
/// Scores nearer to 0 or 1 than this are as sure.
const SURE: f32 = 1e-6;

/// Pixels a block, the unit in which windows are cut: both networks take multiples of it.
const BLOCK: usize = 32;
/// Cells of the outputs, at stride 4, a block.
const CELLS: usize = BLOCK / 4;
/// Patches of the input, at stride 2, a block.
const PATCHES: usize = BLOCK / 2;
/// Blocks around a trace where what the dear network says counts. Less finds as many faces in photos, but in moving clips it left 5 to 7
/// instead of 3 of 142 people bare (models/training/README.md).
const AROUND: usize = 1;
/// Blocks around those that it sees besides: near a window's edge it lacks half of what it goes by.
const MARGIN: usize = 1;
/// Two windows become one if that adds at most so many blocks: each window has a cost of its own.
const WORTH: usize = 8;
/// From this share of the picture on it is searched whole.
const WHOLE: f32 = 0.8;

/// A network made of two of CenterFace's family.
pub struct Pair {
    cheap: Box<dyn Model>,
    dear: Box<dyn Model>,
}

/// Blocks from (`x1`, `y1`) to before (`x2`, `y2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    x1: usize,
    y1: usize,
    x2: usize,
    y2: usize,
}

/// Blocks of a picture, each marked or not.
struct Grid {
    width: usize,
    height: usize,
    marked: Vec<bool>,
}

/// What a network of the family puts out, as it lies: heat map, log sizes (height, width), offsets (y, x).
struct Maps<'a> {
    heat: &'a [f32],
    size: &'a [f32],
    offset: &'a [f32],
}

/// The same of both together.
struct Joined {
    heat: Vec<f32>,
    size: Vec<f32>,
    offset: Vec<f32>,
}

impl Pair {
    /// `cheap` looks everywhere, `dear` where that sees a trace.
    ///
    /// # Errors
    /// When one of them is of another family or takes pictures in another way.
    pub fn new(cheap: Box<dyn Model>, dear: Box<dyn Model>) -> Result<Self, DetectError> {
        let fits = |s: &Spec| {
            s.family == Family::Centerface
                && s.arrangement == Arrangement::Patches
                && s.multiple as usize == BLOCK
        };
        if !fits(cheap.spec()) || cheap.spec() != dear.spec() {
            return Err(DetectError::Model(
                "can't look together with the other one; both must be of CenterFace's family and take patches".into(),
            ));
        }
        Ok(Self { cheap, dear })
    }
}

impl Model for Pair {
    fn spec(&self) -> &Spec {
        self.cheap.spec()
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let Tensor::Patches(patches) = input else {
            return Err(DetectError::Internal("a pair was given planes".into()));
        };
        let (_, rows, columns, _) = patches.dim();
        let (width, height) = (columns / PATCHES, rows / PATCHES);
        if (width * PATCHES, height * PATCHES) != (columns, rows) {
            return Err(DetectError::Internal("a window of an odd size".into()));
        }
        let outputs = self.cheap.run(input)?;
        let cheap = Maps::of(&outputs, width, height)?;
        let wanted = traces(&cheap, width, height);
        let mut joined = Joined {
            // Where the dear network does not look there is no face: the cheap one saw no trace there.
            heat: vec![0.0; cheap.heat.len()],
            size: cheap.size.to_vec(),
            offset: cheap.offset.to_vec(),
        };
        // How far inside of the window that it was taken from each block lies; 0 where none was.
        let mut depths = vec![0; width * height];
        for window in wanted.windows() {
            let seen = if window.area() == width * height {
                self.dear.run(input)?
            } else {
                self.dear.run(&Tensor::Patches(window.cut(patches)?))?
            };
            let seen = Maps::of(&seen, window.width(), window.height())?;
            for y in window.y1..window.y2 {
                for x in window.x1..window.x2 {
                    let (block, depth) = (y * width + x, window.depth(x, y, &wanted));
                    if wanted.marked[block] && depth > depths[block] {
                        joined.join(&cheap, &seen, &window, (x, y), width);
                        depths[block] = depth;
                    }
                }
            }
        }
        joined.into_outputs(width, height)
    }

    fn glance(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        self.cheap.run(input)
    }
}

fn logit(p: f32) -> f32 {
    let p = p.clamp(SURE, 1.0 - SURE);
    (p / (1.0 - p)).ln()
}

/// The score that two logits make together.
fn mean(dear: f32, cheap: f32) -> f32 {
    1.0 / (1.0 + (-(DEEP * dear + (1.0 - DEEP) * cheap)).exp())
}

/// Blocks where the dear network is to look: those with a trace, all that its box reaches, and some around.
fn traces(maps: &Maps<'_>, width: usize, height: usize) -> Grid {
    let mut grid = Grid {
        width,
        height,
        marked: vec![false; width * height],
    };
    let (columns, cells) = (width * CELLS, maps.heat.len());
    for (cell, _) in maps.heat.iter().enumerate().filter(|&(_, &p)| p >= TRACE) {
        let half = |axis: usize| {
            let half = (maps.size[axis * cells + cell].exp() / 2.0) as usize;
            half.min(columns.max(cells / columns))
        };
        let (x, y, w, h) = (cell % columns, cell / columns, half(1), half(0));
        for by in y.saturating_sub(h) / CELLS..=((y + h) / CELLS).min(height - 1) {
            let line = by * width;
            grid.marked
                [line + x.saturating_sub(w) / CELLS..=line + ((x + w) / CELLS).min(width - 1)]
                .fill(true);
        }
    }
    grid.grown()
}

impl Grid {
    /// With [`AROUND`] blocks more on every side.
    fn grown(&self) -> Self {
        let mut marked = vec![false; self.marked.len()];
        for (block, _) in self.marked.iter().enumerate().filter(|(_, m)| **m) {
            let around = Window::at(block % self.width, block / self.width).wider(AROUND, self);
            for y in around.y1..around.y2 {
                marked[y * self.width + around.x1..y * self.width + around.x2].fill(true);
            }
        }
        Self { marked, ..*self }
    }

    /// Windows that together hold every marked block, with [`MARGIN`] blocks around it.
    fn windows(&self) -> Vec<Window> {
        let mut windows = self.islands();
        loop {
            let pairs = (0..windows.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
            let added = |&(i, j): &(usize, usize)| {
                let apart = windows[i].area() + windows[j].area();
                windows[i].with(&windows[j]).area().saturating_sub(apart)
            };
            match pairs.min_by_key(added).filter(|pair| added(pair) <= WORTH) {
                Some((i, j)) => {
                    windows[j] = windows[i].with(&windows[j]);
                    windows.swap_remove(i);
                }
                None => break,
            }
        }
        let searched: usize = windows.iter().map(Window::area).sum();
        if searched as f32 >= WHOLE * self.marked.len() as f32 {
            return vec![Window {
                x1: 0,
                y1: 0,
                x2: self.width,
                y2: self.height,
            }];
        }
        windows
    }

    /// What holds each group of marked blocks that touch, corners too, with its margin.
    fn islands(&self) -> Vec<Window> {
        let (mut left, mut islands) = (self.marked.clone(), Vec::new());
        for start in 0..left.len() {
            if !std::mem::take(&mut left[start]) {
                continue;
            }
            let mut island = Window::at(start % self.width, start / self.width);
            let mut queue = VecDeque::from([island]);
            while let Some(block) = queue.pop_front() {
                island = island.with(&block);
                let around = block.wider(1, self);
                for y in around.y1..around.y2 {
                    for x in around.x1..around.x2 {
                        if std::mem::take(&mut left[y * self.width + x]) {
                            queue.push_back(Window::at(x, y));
                        }
                    }
                }
            }
            islands.push(island.wider(MARGIN, self));
        }
        islands
    }
}

impl Window {
    fn at(x: usize, y: usize) -> Self {
        Self {
            x1: x,
            y1: y,
            x2: x + 1,
            y2: y + 1,
        }
    }

    fn width(&self) -> usize {
        self.x2 - self.x1
    }

    fn height(&self) -> usize {
        self.y2 - self.y1
    }

    fn area(&self) -> usize {
        self.width() * self.height()
    }

    fn with(&self, other: &Self) -> Self {
        Self {
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
            x2: self.x2.max(other.x2),
            y2: self.y2.max(other.y2),
        }
    }

    fn wider(&self, by: usize, grid: &Grid) -> Self {
        Self {
            x1: self.x1.saturating_sub(by),
            y1: self.y1.saturating_sub(by),
            x2: (self.x2 + by).min(grid.width),
            y2: (self.y2 + by).min(grid.height),
        }
    }

    /// How many blocks a block of this window lies inside of it, itself counted; nothing is missing beyond the picture's edges.
    fn depth(&self, x: usize, y: usize, grid: &Grid) -> usize {
        let side = |at: usize, from: usize, to: usize, full: usize| {
            let before = if from == 0 { full } else { at - from };
            let behind = if to == full { full } else { to - 1 - at };
            before.min(behind)
        };
        let across = side(x, self.x1, self.x2, grid.width);
        1 + across.min(side(y, self.y1, self.y2, grid.height))
    }

    fn cut(&self, patches: &Array4<u8>) -> Result<Array4<u8>, DetectError> {
        let of = |from: usize, to: usize| from * PATCHES..to * PATCHES;
        let (rows, columns) = (of(self.y1, self.y2), of(self.x1, self.x2));
        let shape = (1, rows.len(), columns.len(), PATCH);
        let part = patches.slice(s![0, rows, columns, ..]);
        let mut cut = Vec::with_capacity(part.len());
        // Whole rows: element by element it took a twentieth of the time that searching the window takes.
        for row in part.outer_iter() {
            match row.as_slice() {
                Some(row) => cut.extend_from_slice(row),
                None => cut.extend(row.iter()),
            }
        }
        Array4::from_shape_vec(shape, cut).map_err(|e| DetectError::Internal(e.to_string()))
    }
}

impl<'a> Maps<'a> {
    /// Outputs of a network for `width` × `height` blocks.
    fn of(outputs: &'a [ArrayD<f32>], width: usize, height: usize) -> Result<Self, DetectError> {
        let cells = width * height * CELLS * CELLS;
        Ok(Self {
            heat: flat(outputs, 0, cells)?,
            size: flat(outputs, 1, 2 * cells)?,
            offset: flat(outputs, 2, 2 * cells)?,
        })
    }
}

impl Joined {
    /// One block, at (`x`, `y`), of what both networks say; `dear` begins where `window` does, a row has `width` blocks.
    fn join(
        &mut self,
        cheap: &Maps<'_>,
        dear: &Maps<'_>,
        window: &Window,
        (x, y): (usize, usize),
        width: usize,
    ) {
        let (all, some) = (cheap.heat.len(), dear.heat.len());
        for row in 0..CELLS {
            let to = (y * CELLS + row) * width * CELLS + x * CELLS;
            let from =
                ((y - window.y1) * CELLS + row) * window.width() * CELLS + (x - window.x1) * CELLS;
            for cell in 0..CELLS {
                let (to, from) = (to + cell, from + cell);
                self.heat[to] = mean(logit(dear.heat[from]), logit(cheap.heat[to]));
                for axis in 0..2 {
                    let (to, from) = (axis * all + to, axis * some + from);
                    self.size[to] = DEEP * dear.size[from] + (1.0 - DEEP) * cheap.size[to];
                    self.offset[to] = DEEP * dear.offset[from] + (1.0 - DEEP) * cheap.offset[to];
                }
            }
        }
    }

    fn into_outputs(self, width: usize, height: usize) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let (w, h) = (width * CELLS, height * CELLS);
        [(self.heat, 1), (self.size, 2), (self.offset, 2)]
            .into_iter()
            .map(|(numbers, channels)| {
                ArrayD::from_shape_vec(vec![1, channels, h, w], numbers)
                    .map_err(|e| DetectError::Internal(e.to_string()))
            })
            .collect()
    }
}
