//! Chains → a rectangle for every frame: between sightings, before the first, behind the last.

use super::{
    Moment, Options,
    link::{Chain, Knot, moved},
};
use crate::geometry::Rect;

/// What a track covers in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covered {
    /// The track, counted from 1 in order of first sight.
    pub track: u32,
    /// Where, in pixels of the frame the tracker was given.
    pub rect: Rect,
    /// The sighting's score; 0 where nothing was seen in this frame and it is bridged or held.
    pub score: f32,
}

/// All faces of a video over time.
#[derive(Debug)]
pub struct Tracks {
    moments: Vec<Moment>,
    chains: Vec<Chain>,
    spans: Vec<(usize, usize)>,
    size: (u32, u32),
    options: Options,
    searched: Vec<bool>,
    /// As a person gave them: nothing is lengthened.
    given: bool,
}

/// A face nearer to the edge than this share of its size may be half outside.
const EDGE: f32 = 0.5;

impl Tracks {
    pub(super) fn new(
        mut moments: Vec<Moment>,
        chains: Vec<Chain>,
        size: (u32, u32),
        options: Options,
    ) -> Self {
        let searched = moments.iter().map(|m| m.sightings.is_some()).collect();
        for moment in &mut moments {
            moment.sightings = None;
        }
        let spans = chains.iter().map(|c| span(c, &moments, &options)).collect();
        Self {
            moments,
            chains,
            spans,
            size,
            options,
            searched,
            given: false,
        }
    }

    /// Frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.moments.len()
    }

    /// Tracks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Whether nobody was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Stretches of time in which a track was searched for and not seen, between two sightings.
    #[must_use]
    pub fn bridged(&self) -> usize {
        let missed = |p: &[Knot]| (p[0].frame + 1..p[1].frame).any(|f| self.searched[f]);
        self.chains
            .iter()
            .flat_map(|c| c.knots.windows(2))
            .filter(|p| missed(p))
            .count()
    }

    /// Boxes that a person gave, for a video of `size` pixels: for each track, frames and
    /// rectangles in order of frames. Between two of them they are interpolated; nothing is added.
    #[must_use]
    pub fn given(times: &[f64], given: Vec<Vec<(usize, Rect, f32)>>, size: (u32, u32)) -> Self {
        let moments = times
            .iter()
            .map(|&time| Moment {
                time,
                shift: (0.0, 0.0),
                scene: 0,
                sightings: None,
            })
            .collect();
        let chains: Vec<Chain> = given
            .into_iter()
            .map(|knots| Chain {
                knots: knots
                    .into_iter()
                    .map(|(frame, rect, score)| Knot { frame, rect, score })
                    .collect(),
            })
            .collect();
        let spans = chains
            .iter()
            .map(|c| {
                (
                    c.knots.first().map_or(0, |k| k.frame),
                    c.knots.last().map_or(0, |k| k.frame + 1),
                )
            })
            .collect();
        let options = Options {
            growth: 0.0,
            ..Options::default()
        };
        Self {
            moments,
            chains,
            spans,
            size,
            options,
            searched: vec![false; times.len()],
            given: true,
        }
    }

    /// Tracks that cover something in `frame`, in order of their numbers.
    #[must_use]
    pub fn at(&self, frame: usize) -> Vec<Covered> {
        let Some(moment) = self.moments.get(frame) else {
            return Vec::new();
        };
        let mut covered = Vec::new();
        for (index, (chain, (from, to))) in self.chains.iter().zip(&self.spans).enumerate() {
            if !(*from..*to).contains(&frame) {
                continue;
            }
            let (rect, score) = self.place(chain, frame);
            let rect = moved(&rect, moment.shift.0, moment.shift.1);
            let rect = if self.given {
                rect
            } else {
                self.lengthened(&rect, score > 0.0)
            };
            if !rect.clip(self.size.0, self.size.1).is_empty() {
                covered.push(Covered {
                    track: index as u32 + 1,
                    rect,
                    score,
                });
            }
        }
        covered
    }

    /// Where a chain is in a frame of its span, less the camera's shift.
    fn place(&self, chain: &Chain, frame: usize) -> (Rect, f32) {
        let knots = &chain.knots;
        let next = knots.partition_point(|k| k.frame < frame);
        if let Some(knot) = knots.get(next).filter(|k| k.frame == frame) {
            return (knot.rect, knot.score);
        }
        let time = self.moments[frame].time;
        let away = |k: &Knot| (time - self.moments[k.frame].time).abs() as f32;
        let grown = |rect: Rect, by: f32| {
            rect.inflate((1.0 + by * self.options.growth).min(self.options.most_growth))
        };
        match (next.checked_sub(1).map(|i| &knots[i]), knots.get(next)) {
            (Some(a), Some(b)) => {
                let (before, behind) = (away(a), away(b));
                let t = before / (before + behind).max(1e-6);
                let mix = |p: f32, q: f32| p + (q - p) * t;
                let rect = Rect::new(
                    mix(a.rect.x1, b.rect.x1),
                    mix(a.rect.y1, b.rect.y1),
                    mix(a.rect.x2, b.rect.x2),
                    mix(a.rect.y2, b.rect.y2),
                );
                (grown(rect, before.min(behind)), 0.0)
            }
            (Some(k), None) | (None, Some(k)) => (grown(k.rect, away(k)), 0.0),
            (None, None) => (Rect::new(0.0, 0.0, 0.0, 0.0), 0.0),
        }
    }

    /// A face that is cut by the picture's edge, or leaves it, is covered to the edge.
    fn lengthened(&self, rect: &Rect, seen: bool) -> Rect {
        let (w, h) = (self.size.0 as f32, self.size.1 as f32);
        let near = if seen { EDGE / 4.0 } else { EDGE };
        let (nx, ny) = (rect.width() * near, rect.height() * near);
        Rect::new(
            if rect.x1 < nx {
                rect.x1.min(0.0)
            } else {
                rect.x1
            },
            if rect.y1 < ny {
                rect.y1.min(0.0)
            } else {
                rect.y1
            },
            if rect.x2 > w - nx {
                rect.x2.max(w)
            } else {
                rect.x2
            },
            if rect.y2 > h - ny {
                rect.y2.max(h)
            } else {
                rect.y2
            },
        )
    }
}

/// First frame, and the one behind the last, in which a chain covers something.
fn span(chain: &Chain, moments: &[Moment], options: &Options) -> (usize, usize) {
    let (Some(first), Some(last)) = (chain.knots.first(), chain.knots.last()) else {
        return (0, 0);
    };
    let hold = f64::from(options.hold);
    let scene = moments[first.frame].scene;
    let (begin, end) = (
        moments[first.frame].time - hold,
        moments[last.frame].time + hold,
    );
    let from = (0..first.frame)
        .rev()
        .take_while(|&f| moments[f].scene == scene && moments[f].time >= begin)
        .last()
        .unwrap_or(first.frame);
    let to = (last.frame + 1..moments.len())
        .take_while(|&f| moments[f].scene == scene && moments[f].time <= end)
        .last()
        .unwrap_or(last.frame);
    (from, to + 1)
}
