//! Chains → a rectangle for every frame: between sightings, before the first, behind the last.

use super::{
    Moment, Options,
    link::{Chain, Knot},
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
    /// By the chain that begins with it: from where it may have come.
    leaps: Vec<(usize, Chain)>,
    /// By chain: how fast it ran at its first and at its last sighting, in pixels a second, if it did.
    runs: Vec<[Option<(f32, f32)>; 2]>,
    size: (u32, u32),
    options: Options,
    searched: Vec<bool>,
    /// As a person gave them: nothing is lengthened.
    given: bool,
}

/// Two places of one face are both covered if a side of one is further from the other's than this share of its
/// height.
const APART: f32 = 0.2;
/// A face nearer to the edge than this share of its size may be half outside.
const EDGE: f32 = 0.5;

impl Tracks {
    pub(super) fn new(
        mut moments: Vec<Moment>,
        chains: Vec<Chain>,
        size: (u32, u32),
        options: Options,
    ) -> Self {
        let searched = moments.iter().map(Moment::searched).collect();
        for moment in &mut moments {
            moment.sightings = None;
        }
        let spans = chains.iter().map(|c| span(c, &moments, &options)).collect();
        let leaps = leaps(&chains, &moments);
        let runs = runs(&chains, &leaps, &moments);
        Self {
            moments,
            chains,
            spans,
            leaps: leaps.into_iter().map(|l| (l.to, l.chain)).collect(),
            runs,
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
                glimpse: false,
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
            leaps: Vec::new(),
            runs: Vec::new(),
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
            let mut cover = |(rect, score): (Rect, f32)| {
                let rect = if self.given {
                    rect
                } else {
                    self.lengthened(&rect, score > 0.0)
                };
                covered.push(Covered {
                    track: index as u32 + 1,
                    rect,
                    score,
                });
            };
            let scene = chain.knots.first().map(|k| self.moments[k.frame].scene);
            // Where the face would be if it did not move with what is behind it: a person who holds the
            // camera, or a background whose motion was misjudged.
            let by_itself = || self.place(chain, frame, |k| self.moments[k.frame].shift);
            if scene != Some(moment.scene) {
                cover(by_itself());
                continue;
            }
            let with_camera = self.place(chain, frame, |_| moment.shift);
            cover(with_camera);
            if let Some(run) = self.run(index, frame, &with_camera.0) {
                cover((run, 0.0));
            }
            if self.given || with_camera.1 > 0.0 || self.away(chain, frame) > self.options.still {
                continue;
            }
            let by_itself = by_itself();
            if apart(&with_camera.0, &by_itself.0) > APART * with_camera.0.height() {
                cover(by_itself);
            }
        }
        for (index, leap) in &self.leaps {
            let inside = leap.knots[0].frame < frame && frame < leap.knots[1].frame;
            if inside {
                let (rect, _) = self.place(leap, frame, |_| moment.shift);
                covered.push(Covered {
                    track: *index as u32 + 1,
                    rect,
                    score: 0.0,
                });
            }
        }
        covered.retain(|c| !c.rect.clip(self.size.0, self.size.1).is_empty());
        covered
    }

    /// Where a chain is before its first and behind its last sighting if it went on as fast as it ran, where that is
    /// elsewhere than where it `stood`.
    fn run(&self, index: usize, frame: usize, stood: &Rect) -> Option<Rect> {
        let (chain, [before, behind]) = (self.chains.get(index)?, self.runs.get(index)?);
        let (first, last) = (chain.knots.first()?, chain.knots.last()?);
        let (knot, (vx, vy)) = match frame {
            f if f < first.frame => (first, (*before)?),
            f if f > last.frame => (last, (*behind)?),
            _ => return None,
        };
        let ahead = (self.moments[frame].time - self.moments[knot.frame].time) as f32;
        if ahead.abs() > FURTHER {
            return None;
        }
        let run = stood.moved(vx * ahead, vy * ahead);
        (apart(&run, stood) > APART * stood.height()).then_some(run)
    }

    /// Seconds to the nearest sighting of a chain, 0 between two of them.
    fn away(&self, chain: &Chain, frame: usize) -> f32 {
        let time = self.moments[frame].time;
        let of = |k: Option<&Knot>| k.map_or(0.0, |k| self.moments[k.frame].time);
        let (first, last) = (of(chain.knots.first()), of(chain.knots.last()));
        (first - time).max(time - last).max(0.0) as f32
    }

    /// Where a chain is in a frame of its span. `shift`: how far a sighting's place, less the camera's
    /// shift, is moved.
    fn place(
        &self,
        chain: &Chain,
        frame: usize,
        shift: impl Fn(&Knot) -> (f32, f32),
    ) -> (Rect, f32) {
        let knots = &chain.knots;
        let rect_of = |k: &Knot| {
            let (dx, dy) = shift(k);
            k.rect.moved(dx, dy)
        };
        let whole_of = |k: &Knot| {
            let (dx, dy) = shift(k);
            self.whole(chain, k).moved(dx, dy)
        };
        let next = knots.partition_point(|k| k.frame < frame);
        if let Some(knot) = knots.get(next).filter(|k| k.frame == frame) {
            return (rect_of(knot), knot.score);
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
                let (a, b) = (whole_of(a), whole_of(b));
                let rect = Rect::new(
                    mix(a.x1, b.x1),
                    mix(a.y1, b.y1),
                    mix(a.x2, b.x2),
                    mix(a.y2, b.y2),
                );
                (grown(rect, before.min(behind)), 0.0)
            }
            (Some(k), None) | (None, Some(k)) => (grown(whole_of(k), away(k)), 0.0),
            (None, None) => (Rect::new(0.0, 0.0, 0.0, 0.0), 0.0),
        }
    }

    /// A sighting that the picture's edge cut, with the size of the nearest one that it did not: in other frames the camera may show
    /// what lay beyond. Boxes that a person gave stay as they are.
    fn whole(&self, chain: &Chain, knot: &Knot) -> Rect {
        let cut = |k: &Knot| k.cut(&self.moments, self.size);
        let [left, top, right, bottom] = cut(knot);
        if self.given || !(left || top || right || bottom) {
            return knot.rect;
        }
        let uncut = chain.knots.iter().filter(|k| cut(k) == [false; 4]);
        let Some(k) = uncut.min_by_key(|k| k.frame.abs_diff(knot.frame)) else {
            return knot.rect;
        };
        let (rect, w, h) = (knot.rect, k.rect.width(), k.rect.height());
        let unless = |cut: bool, is: f32, would: f32| if cut { would } else { is };
        Rect::new(
            unless(left, rect.x1, rect.x1.min(rect.x2 - w)),
            unless(top, rect.y1, rect.y1.min(rect.y2 - h)),
            unless(right, rect.x2, rect.x2.max(rect.x1 + w)),
            unless(bottom, rect.y2, rect.y2.max(rect.y1 + h)),
        )
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
    // What was seen in windows only is where others lead; it is not held for itself.
    let glimpsed = chain.knots.iter().all(|k| moments[k.frame].glimpse);
    let hold = if glimpsed {
        0.0
    } else {
        f64::from(options.hold)
    };
    let (begin, end) = (
        moments[first.frame].time - hold,
        moments[last.frame].time + hold,
    );
    let (from, to) = (
        reach(moments, first.frame, false, begin),
        reach(moments, last.frame, true, end),
    );
    (from, to + 1)
}

/// The furthest frame from `start` that a track is held to, until the time `limit`: at least the next frame of its scene,
/// and at most one behind that, if both scenes are mixed in it.
fn reach(moments: &[Moment], start: usize, forwards: bool, limit: f64) -> usize {
    let mut at = start;
    while moments[at].scene == moments[start].scene {
        let next = if forwards {
            Some(at + 1)
        } else {
            at.checked_sub(1)
        };
        let Some(next) = next.filter(|&n| n < moments.len()) else {
            break;
        };
        if moments[next].scene != moments[start].scene && !mixed(moments, next) {
            break;
        }
        let time = moments[next].time;
        let held = if forwards {
            time <= limit
        } else {
            time >= limit
        };
        if !held && at != start {
            break;
        }
        at = next;
    }
    at
}

/// Whether a frame may be made of the scenes before and behind it: it is a scene of its own between two others, all of
/// them close in time.
fn mixed(moments: &[Moment], frame: usize) -> bool {
    let (Some(before), Some(behind)) = (frame.checked_sub(1), moments.get(frame + 1)) else {
        return false;
    };
    let (before, here) = (&moments[before], &moments[frame]);
    here.scene != before.scene
        && here.scene != behind.scene
        && !super::apart(before.time, here.time)
        && !super::apart(here.time, behind.time)
}

/// How far a side of one is from the other's, at most.
fn apart(a: &Rect, b: &Rect) -> f32 {
    [a.x1 - b.x1, a.y1 - b.y1, a.x2 - b.x2, a.y2 - b.y2]
        .into_iter()
        .fold(0.0, |most, d| d.abs().max(most))
}

/// Longest time of a leap in seconds: two looks.
const LEAP: f64 = 0.25;
/// Longest leap, in widths of the face.
const WIDTHS: f32 = 3.0;

/// From the last sighting of one chain to the first of another, which may be the same person.
struct Leap {
    from: usize,
    to: usize,
    /// With these two knots.
    chain: Chain,
}

/// Where a chain may be the one that ended a look ago, of somebody who ran too far to be followed: what lies between is
/// covered too. Both chains are held as if there were none, as it may be another person.
fn leaps(chains: &[Chain], moments: &[Moment]) -> Vec<Leap> {
    let ends = chains.iter().enumerate();
    let mut ends: Vec<(usize, &Knot)> = ends
        .filter_map(|(i, c)| Some((i, c.knots.last()?)))
        .collect();
    ends.sort_by_key(|(_, k)| k.frame);
    let mut found = Vec::new();
    for (index, chain) in chains.iter().enumerate() {
        let Some(to) = chain.knots.first() else {
            continue;
        };
        let (time, scene) = (moments[to.frame].time, moments[to.frame].scene);
        let before = ends.partition_point(|(_, k)| k.frame < to.frame);
        let near = ends[..before]
            .iter()
            .rev()
            .take_while(|(_, k)| time - moments[k.frame].time <= LEAP)
            .filter(|(_, k)| moments[k.frame].scene == scene)
            .map(|end| (distance(&end.1.rect, &to.rect), end))
            .filter(|(d, _)| *d <= WIDTHS * to.rect.width())
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, &(from, knot))) = near {
            let knots = vec![*knot, *to];
            found.push(Leap {
                from,
                to: index,
                chain: Chain { knots },
            });
        }
    }
    found
}

/// A speed is taken over so many seconds, if there are sightings so far apart; over at most [`LONG`].
const SHORT: f64 = 0.06;
/// What was seen so long before says nothing of the speed any more.
const LONG: f64 = 0.4;
/// For so many seconds somebody goes on as fast as he ran: further ahead it is a guess, and covers what nobody comes to.
const FURTHER: f32 = 0.35;
/// Slower than so many of its widths a second nobody runs: boxes jitter, and a cover that stands still is wide enough for
/// a look or two.
const FAST: f32 = 4.0;

/// How fast each chain ran at its first and its last sighting: from its own sightings, or from those of a chain that a leap
/// joins to it.
fn runs(chains: &[Chain], leaps: &[Leap], moments: &[Moment]) -> Vec<[Option<(f32, f32)>; 2]> {
    let mut runs: Vec<[Option<(f32, f32)>; 2]> = chains
        .iter()
        .map(|c| {
            let first = speed(c.knots.iter(), moments);
            [first, speed(c.knots.iter().rev(), moments)]
        })
        .collect();
    for leap in leaps {
        let leapt = speed(leap.chain.knots.iter(), moments);
        if chains[leap.from].knots.len() == 1 {
            runs[leap.from][0] = runs[leap.from][0].or(leapt);
        }
        if chains[leap.to].knots.len() == 1 {
            runs[leap.to][1] = runs[leap.to][1].or(leapt);
        }
    }
    runs
}

/// Pixels a second at the first of some sightings, if that is fast for a face of its size.
fn speed<'a>(mut knots: impl Iterator<Item = &'a Knot>, moments: &[Moment]) -> Option<(f32, f32)> {
    let at = |k: &Knot| moments[k.frame].time;
    let near = knots.next()?;
    let mut far = None;
    for knot in knots {
        let apart = (at(knot) - at(near)).abs();
        if apart > LONG {
            break;
        }
        far = Some(knot);
        if apart >= SHORT {
            break;
        }
    }
    let far = far?;
    let seconds = (at(near) - at(far)) as f32;
    let (n, f) = (near.rect.centre(), far.rect.centre());
    let (x, y) = ((n.0 - f.0) / seconds, (n.1 - f.1) / seconds);
    let fast = seconds.abs() > 1e-6 && x.hypot(y) >= FAST * near.rect.width();
    fast.then_some((x, y))
}

/// Between the centres of two boxes of about the same size; infinite between others.
fn distance(a: &Rect, b: &Rect) -> f32 {
    let ratio = a.height() / b.height().max(1.0);
    if !(0.6..=1.67).contains(&ratio) {
        return f32::INFINITY;
    }
    let (dx, dy) = (a.x1 + a.x2 - b.x1 - b.x2, a.y1 + a.y2 - b.y1 - b.y2);
    (dx * dx + dy * dy).sqrt() / 2.0
}
