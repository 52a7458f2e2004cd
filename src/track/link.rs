//! Sightings → chains: those that are one face, in order of time.
//!
//! Forwards first: each frame's sightings are given to the chains whose expected place they
//! overlap most, sure ones before faint ones; sure ones that are left begin chains. Then each
//! chain is followed backwards through faint sightings that nobody took, as a face that turns
//! towards the camera was there before it was clear. What was seen in windows only, between two frames that were searched
//! all over, comes last: it leads a chain on that ends at one of the two, or, if it is sure, stands alone, and takes no chain from
//! where the two see it.

use super::{Moment, Options, Sighting};
use crate::geometry::Rect;

/// A sighting of a chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knot {
    /// The frame, counted from 0.
    pub frame: usize,
    /// Where, in pixels of the frame less the camera's shift.
    pub rect: Rect,
    /// The detector's score.
    pub score: f32,
}

impl Knot {
    fn of(sighting: &Sighting, frame: usize, moment: &Moment) -> Self {
        let (dx, dy) = moment.shift;
        Self {
            frame,
            rect: sighting.rect.moved(-dx, -dy),
            score: sighting.score,
        }
    }

    /// Whether the left, the upper, the right and the lower edge of a picture of `size` pixels cut it.
    pub(super) fn cut(&self, moments: &[Moment], size: (u32, u32)) -> [bool; 4] {
        let (dx, dy) = moments[self.frame].shift;
        let at = self.rect.moved(dx, dy);
        [
            at.x1 < CUT,
            at.y1 < CUT,
            at.x2 > size.0 as f32 - CUT,
            at.y2 > size.1 as f32 - CUT,
        ]
    }
}

/// Pixels from the picture's edge within which a box ends that the edge cut.
const CUT: f32 = 2.0;

/// The sightings of one face.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chain {
    /// At least one, in order of time.
    pub knots: Vec<Knot>,
}

/// How much of the measured speed counts: a box jitters more than a face moves.
const SPEED: f32 = 0.6;

/// Where a face is expected at `time`, from its two nearest sightings in the direction of travel
/// (`near` the nearer one), with their times.
fn expected(near: &Rect, near_time: f64, far: Option<(&Rect, f64)>, time: f64) -> Rect {
    let Some((far, far_time)) = far else {
        return *near;
    };
    let between = (near_time - far_time) as f32;
    if between.abs() < 1e-6 {
        return *near;
    }
    let (a, b) = (far.centre(), near.centre());
    let ahead = (time - near_time) as f32 / between;
    // Far ahead nobody knows: at most its own size.
    let reach = |v: f32, side: f32| (v * ahead * SPEED).clamp(-side, side);
    near.moved(
        reach(b.0 - a.0, near.width()),
        reach(b.1 - a.1, near.height()),
    )
}

/// How much two boxes, enlarged by half, overlap (IoU); 0 for those of very different sizes.
pub(crate) fn overlap(a: &Rect, b: &Rect) -> f32 {
    // Boxes of very different sizes are different faces, or a part of one.
    let ratio = a.height() / b.height().max(1.0);
    if !(0.4..=2.5).contains(&ratio) {
        return 0.0;
    }
    a.inflate(1.5).iou(&b.inflate(1.5))
}

struct Open {
    chain: Chain,
    scene: u32,
}

/// Links all sightings.
#[must_use]
pub fn link(moments: &[Moment], options: &Options) -> Vec<Chain> {
    let mut taken: Vec<Vec<bool>> = moments
        .iter()
        .map(|m| vec![false; m.sightings.as_ref().map_or(0, Vec::len)])
        .collect();
    let mut open: Vec<Open> = Vec::new();
    let mut done: Vec<Chain> = Vec::new();
    for (frame, moment) in moments.iter().enumerate() {
        let Some(sightings) = moment.all_over() else {
            continue;
        };
        open.retain_mut(|o| {
            let last = o.chain.knots.last().map_or(0, |k| k.frame);
            let alive = o.scene == moment.scene
                && moment.time - moments[last].time <= f64::from(options.gap);
            if !alive {
                done.push(std::mem::take(&mut o.chain));
            }
            alive
        });
        let knots: Vec<Knot> = sightings
            .iter()
            .map(|s| Knot::of(s, frame, moment))
            .collect();
        let places: Vec<Rect> = open
            .iter()
            .map(|o| forward(&o.chain, moments, moment.time))
            .collect();
        let mut busy = vec![false; open.len()];
        for sure in [true, false] {
            let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
            for (i, knot) in knots
                .iter()
                .enumerate()
                .filter(|(i, _)| sightings[*i].sure() == sure && !taken[frame][*i])
            {
                for (j, place) in places.iter().enumerate().filter(|(j, _)| !busy[*j]) {
                    let o = overlap(&knot.rect, place);
                    if o >= options.overlap {
                        pairs.push((o, i, j));
                    }
                }
            }
            pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (_, i, j) in pairs {
                if !taken[frame][i] && !busy[j] {
                    taken[frame][i] = true;
                    busy[j] = true;
                    open[j].chain.knots.push(knots[i]);
                }
            }
        }
        for (i, knot) in knots.iter().enumerate() {
            if sightings[i].sure() && !taken[frame][i] {
                taken[frame][i] = true;
                open.push(Open {
                    chain: Chain { knots: vec![*knot] },
                    scene: moment.scene,
                });
            }
        }
    }
    done.extend(open.into_iter().map(|o| o.chain));
    let first = |c: &Chain| c.knots.first().map_or(0, |k| k.frame);
    done.sort_by_key(first);
    for chain in &mut done {
        back(chain, moments, &mut taken, options);
    }
    for chain in &mut done {
        lead(chain, true, moments, &mut taken, options);
        lead(chain, false, moments, &mut taken, options);
    }
    for (frame, moment) in moments.iter().enumerate().filter(|(_, m)| m.glimpse) {
        let seen = moment.sightings.iter().flatten().enumerate();
        for (_, sighting) in seen.filter(|(i, s)| s.sure() && !taken[frame][*i]) {
            let knot = Knot::of(sighting, frame, moment);
            if !join(&mut done, knot, moments) {
                done.push(Chain { knots: vec![knot] });
            }
        }
    }
    done.sort_by_key(first);
    done
}

/// Least overlap of a sighting with where a chain passes for it to be the same face.
const JOINED: f32 = 0.45;

/// Puts a sighting into a chain that passes its place between two others; whether there is one.
fn join(chains: &mut [Chain], knot: Knot, moments: &[Moment]) -> bool {
    let time = |k: &Knot| moments[k.frame].time;
    for chain in chains {
        let next = chain.knots.partition_point(|k| k.frame < knot.frame);
        let before = next.checked_sub(1).and_then(|i| chain.knots.get(i));
        let (Some(a), Some(b)) = (before, chain.knots.get(next)) else {
            continue;
        };
        let share = ((time(&knot) - time(a)) / (time(b) - time(a)).max(1e-6)) as f32;
        let mix = |p: f32, q: f32| p + (q - p) * share;
        let (x1, y1) = (mix(a.rect.x1, b.rect.x1), mix(a.rect.y1, b.rect.y1));
        let (x2, y2) = (mix(a.rect.x2, b.rect.x2), mix(a.rect.y2, b.rect.y2));
        let place = Rect::new(x1, y1, x2, y2);
        if b.frame != knot.frame && overlap(&knot.rect, &place) >= JOINED {
            chain.knots.insert(next, knot);
            return true;
        }
    }
    false
}

/// Of the sightings that nobody took the one that overlaps `place` most, and its number.
fn best(
    frame: usize,
    moment: &Moment,
    taken: &[bool],
    place: &Rect,
    options: &Options,
) -> Option<(usize, Knot)> {
    let sightings = moment.sightings.iter().flatten().enumerate();
    sightings
        .filter(|(i, _)| !taken[*i])
        .map(|(i, s)| (i, Knot::of(s, frame, moment)))
        .map(|(i, k)| (overlap(&k.rect, place), i, k))
        .filter(|(o, ..)| *o >= options.overlap)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, i, k)| (i, k))
}

/// Leads a chain on through what was seen in windows, up to the next frame that was searched all over: `late`r than its last
/// sighting, or earlier than its first.
fn lead(
    chain: &mut Chain,
    late: bool,
    moments: &[Moment],
    taken: &mut [Vec<bool>],
    options: &Options,
) {
    let knots = &chain.knots;
    let (near, far) = if late {
        (knots.last(), knots.iter().nth_back(1))
    } else {
        (knots.first(), knots.get(1))
    };
    let (Some(mut near), mut far) = (near.copied(), far.copied()) else {
        return;
    };
    let (mut frame, scene) = (near.frame, moments[near.frame].scene);
    loop {
        let next = if late {
            Some(frame + 1)
        } else {
            frame.checked_sub(1)
        };
        let Some(next) = next.filter(|n| *n < moments.len()) else {
            return;
        };
        let moment = &moments[next];
        if moment.scene != scene || moment.searched() {
            return;
        }
        frame = next;
        let before = far.as_ref().map(|k| (&k.rect, moments[k.frame].time));
        let place = expected(&near.rect, moments[near.frame].time, before, moment.time);
        if let Some((i, knot)) = best(frame, moment, &taken[frame], &place, options) {
            taken[frame][i] = true;
            (near, far) = (knot, Some(near));
            let at = if late { chain.knots.len() } else { 0 };
            chain.knots.insert(at, knot);
        }
    }
}

fn forward(chain: &Chain, moments: &[Moment], time: f64) -> Rect {
    let mut late = chain.knots.iter().rev();
    let Some(near) = late.next() else {
        return Rect::new(0.0, 0.0, 0.0, 0.0);
    };
    expected(
        &near.rect,
        moments[near.frame].time,
        late.next().map(|k| (&k.rect, moments[k.frame].time)),
        time,
    )
}

/// Follows a chain backwards through faint sightings.
fn back(chain: &mut Chain, moments: &[Moment], taken: &mut [Vec<bool>], options: &Options) {
    let Some(first) = chain.knots.first().copied() else {
        return;
    };
    let scene = moments[first.frame].scene;
    let mut earlier: Vec<Knot> = Vec::new();
    for frame in (0..first.frame).rev() {
        let moment = &moments[frame];
        let near = earlier.last().copied().unwrap_or(first);
        if moment.scene != scene || moments[near.frame].time - moment.time > f64::from(options.gap)
        {
            break;
        }
        if !moment.searched() {
            continue;
        }
        let far = match earlier.len() {
            0 => chain.knots.get(1).copied(),
            1 => Some(first),
            n => Some(earlier[n - 2]),
        };
        let place = expected(
            &near.rect,
            moments[near.frame].time,
            far.as_ref().map(|k| (&k.rect, moments[k.frame].time)),
            moment.time,
        );
        let best = best(frame, moment, &taken[frame], &place, options);
        if let Some((i, knot)) = best {
            taken[frame][i] = true;
            earlier.push(knot);
        }
    }
    earlier.reverse();
    chain.knots.splice(0..0, earlier);
}
