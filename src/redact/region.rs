//! Rectangles → regions: what overlaps is one.

use crate::geometry::PixelRect;

/// What is covered as one: rectangles that overlap, directly or through others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The rectangle around all.
    pub bounds: PixelRect,
    /// The rectangles; their union is covered.
    pub parts: Vec<PixelRect>,
}

impl Region {
    /// For each row of the bounds, the spans `x1..x2` that are covered, joined and in order.
    pub(super) fn spans(&self, y: u32) -> Vec<(u32, u32)> {
        let mut spans: Vec<_> = self
            .parts
            .iter()
            .filter(|p| p.y1 <= y && y < p.y2)
            .map(|p| (p.x1, p.x2))
            .collect();
        spans.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => joined.push((from, to)),
            }
        }
        joined
    }

    /// The same with all rectangles larger by `by` pixels on each side, inside a picture of `width` ×
    /// `height`.
    pub(super) fn grown(&self, by: u32, width: u32, height: u32) -> Self {
        let grow = |r: &PixelRect| grown(r, by, width, height);
        Self {
            bounds: grow(&self.bounds),
            parts: self.parts.iter().map(grow).collect(),
        }
    }
}

fn grown(r: &PixelRect, by: u32, width: u32, height: u32) -> PixelRect {
    PixelRect {
        x1: r.x1.saturating_sub(by),
        y1: r.y1.saturating_sub(by),
        x2: r.x2.saturating_add(by).min(width),
        y2: r.y2.saturating_add(by).min(height),
    }
}

/// Groups rectangles that share a pixel, directly or through others; those too that would if each were
/// larger by `reach` pixels on one of two facing sides. Order of the result: by the first rectangle
/// of each group from the top.
pub(super) fn join(mut rects: Vec<PixelRect>, reach: u32) -> Vec<Region> {
    // From the top, so that only those whose rows are still open need a look.
    rects.sort_unstable_by_key(|r| (r.y1, r.x1, r.y2, r.x2));
    rects.dedup();
    let mut groups: Vec<usize> = (0..rects.len()).collect();
    let mut open: Vec<usize> = Vec::new();
    for i in 0..rects.len() {
        open.retain(|&j| rects[j].y2.saturating_add(reach) > rects[i].y1);
        let wide = grown(&rects[i], reach, u32::MAX, u32::MAX);
        for &j in &open {
            if wide.overlaps(&rects[j]) {
                let (a, b) = (root(&mut groups, i), root(&mut groups, j));
                groups[a.max(b)] = a.min(b);
            }
        }
        open.push(i);
    }
    let mut regions: Vec<Region> = Vec::new();
    let mut index_of = vec![usize::MAX; rects.len()];
    for (i, rect) in rects.iter().enumerate() {
        let group = root(&mut groups, i);
        if index_of[group] == usize::MAX {
            index_of[group] = regions.len();
            regions.push(Region {
                bounds: *rect,
                parts: Vec::new(),
            });
        }
        let region = &mut regions[index_of[group]];
        region.bounds = region.bounds.hull(rect);
        region.parts.push(*rect);
    }
    regions
}

fn root(groups: &mut [usize], mut i: usize) -> usize {
    while groups[i] != i {
        groups[i] = groups[groups[i]];
        i = groups[i];
    }
    i
}
