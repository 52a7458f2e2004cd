//! Searches the frames of moving pictures: one in a few all over, those between two of them where a face is seen in one
//! of the two and is not near in the other.
//!
//! Whoever runs, comes in or goes out is somewhere else in every frame, and what lies between two places says little
//! of it; to look into a few small windows of each frame costs little.

use std::collections::HashMap;

use rayon::prelude::*;

use super::follow::{Look, begins, faint};
use crate::{
    decode::clip::Copies,
    detect::{
        self, DetectError, Detector,
        turned::{Turn, UPRIGHT},
    },
    face::Face,
    frame::Frame,
    geometry::Rect,
    track::{Motion, Sighting, Tracker, link::overlap},
};

/// Boxes of a frame that overlap by more than this (IoU) are one face, and it is where its best box is. The
/// hull of all of them, as in photos, reaches over neighbours, so that tracks of a crowd run together:
/// on 24 clips from training photos (186 people) as many were visible, and a quarter less was covered for nothing.
const ONE_FACE: f32 = 0.45;
/// A face is near where it was if its box overlaps that by at least this (IoU, of boxes enlarged by half): it moved by
/// half its width at most.
const NEAR: f32 = 0.45;
/// A box is a part of a face if more than this share of it lies on that.
const PART: f32 = 0.3;
/// Least strength of what is seen in a window: what a photo's rule asks for.
const CLEAR: f32 = 0.48;
/// A window is so many times as large as the face that is looked for: it may have moved by twice its size.
const WINDOW: f32 = 5.0;
/// The same for what only one frame shows, which is a whole face or more.
const AROUND: f32 = 1.5;
/// Least side of a window in pixels: a face is told from what is around it.
const LEAST: f32 = 160.0;
/// Windows that are more than this share of the picture together are the whole picture.
const ALL_OVER: f32 = 0.6;

/// Of so many frames that are searched one at most is looked at turned: about twice a second, so that whoever is found is held back to where
/// nobody had looked.
const TURNED: usize = 8;
/// Least score of somebody who is seen better in a turned frame: people are in many frames, and clearly in some. With .4, as for photos, a
/// clip of printed matter has three times as much covered for nothing.
const CLEARLY: f32 = 0.7;

/// A frame, and what was seen in it.
pub(super) struct Seen {
    pub(super) pts: i64,
    motion: Option<Motion>,
    sightings: Option<Vec<Sighting>>,
    /// Searched all over.
    whole: bool,
}

impl Seen {
    /// Faces that begin a track.
    pub(super) fn sure(&self) -> usize {
        let all = self.sightings.iter().flatten();
        all.filter(|s| s.sure()).count()
    }

    /// Tells a tracker of it; `first`: there is none before it.
    pub(super) fn tell(&self, tracker: &mut Tracker, time: f64, first: bool) {
        let motion = self.motion.filter(|_| !first);
        match (&self.sightings, self.whole) {
            (Some(found), false) => tracker.push_glimpse(time, motion, found.clone()),
            (found, _) => tracker.push(time, motion, found.clone()),
        }
    }

    /// Whether it was searched all over.
    pub(super) const fn searched(&self) -> bool {
        self.whole
    }

    /// Whether any of it was searched.
    pub(super) const fn any(&self) -> bool {
        self.sightings.is_some()
    }

    /// Puts other sightings in their place.
    pub(super) fn replace(&mut self, sightings: Vec<Sighting>) {
        self.sightings = Some(sightings);
    }
}

/// A frame, and what was seen in it if it was searched all over.
type Waiting = (Look, Option<Vec<Sighting>>);

/// Searches frames in the order of time.
pub(super) struct Looks<'a> {
    search: Option<Search<'a>>,
    /// The last two frames that were searched, and those behind the first of them.
    waiting: Vec<Waiting>,
    /// So many of these were given away.
    told: usize,
    /// How frames must be turned for people in them to stand upright.
    turn: Option<Turn>,
    /// So many frames are searched before the next one is looked at turned.
    until: usize,
}

/// How one frame is searched.
struct Search<'a> {
    detector: &'a Detector,
    options: detect::Options,
    /// Of a photo.
    rule: detect::rule::Rule,
}

impl<'a> Looks<'a> {
    /// `scale`: pixels of the pictures to one of the frames.
    pub(super) fn new(search: Option<(&'a Detector, detect::Options)>, scale: (f32, f32)) -> Self {
        let search = search.map(|(detector, options)| {
            let faint = detect::Options {
                min_face: options.min_face / scale.1,
                merge: ONE_FACE,
                weak: 1.0,
                upright: 0.0,
                ..faint(&options)
            };
            Search {
                detector,
                options: faint,
                rule: options.rule,
            }
        });
        Self {
            search,
            waiting: Vec::new(),
            told: 0,
            turn: None,
            until: 0,
        }
    }

    /// Takes the next frames; gives those of which all is known. `over`: there is none behind them.
    ///
    /// # Errors
    /// When the network fails on any of them.
    pub(super) fn search(
        &mut self,
        looks: Vec<Look>,
        over: bool,
    ) -> Result<Vec<Seen>, DetectError> {
        let Some(search) = &self.search else {
            let unseen = |look: Look| Seen {
                pts: look.pts,
                motion: look.motion,
                sightings: None,
                whole: false,
            };
            return Ok(looks.into_iter().map(unseen).collect());
        };
        let mut found: Vec<_> = looks
            .par_iter()
            .map(|look| match &look.copies {
                Some(copies) if look.due => search.all_over(copies).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_, _>>()?;
        let turns = search.turns(&looks, &found, &mut self.turn, &mut self.until)?;
        found
            .par_iter_mut()
            .zip(turns)
            .zip(&looks)
            .try_for_each(|((found, turn), look)| {
                if let (Some(seen), Some(turn), Some(copies)) = (found, turn, &look.copies) {
                    seen.extend(search.turned(&copies.main, turn)?);
                }
                Ok(())
            })?;
        self.waiting.extend(looks.into_iter().zip(found));
        let mut glimpses = search.glimpses(&self.waiting, self.told)?;
        let mut due = self.waiting.iter().map(|(look, _)| look.due);
        let known = if over {
            self.waiting.len()
        } else {
            due.rposition(|due| due).map_or(0, |last| last + 1)
        };
        let mut given = Vec::new();
        for (i, (look, found)) in self.waiting.iter().enumerate().take(known).skip(self.told) {
            let glimpse = glimpses.remove(&i);
            given.push(Seen {
                pts: look.pts,
                motion: look.motion,
                whole: found.is_some(),
                sightings: found.clone().or(glimpse),
            });
        }
        // The one before the last is for what stood still until there.
        let earlier = self.waiting[..known.saturating_sub(1)].iter();
        let keep = earlier.rev().position(|(look, _)| look.due);
        let keep = keep.map_or(0, |back| known - 2 - back);
        self.told = known - keep;
        self.waiting.drain(..keep);
        Ok(given)
    }
}

impl Search<'_> {
    fn sightings(&self, faces: &[Face]) -> Vec<Sighting> {
        let begins = |f: &Face| begins(self.rule.threshold(f.rect.height()));
        faces.iter().map(|f| Sighting::new(f, begins(f))).collect()
    }

    /// Faces in any of a frame's copies, in pixels of the first one.
    fn all_over(&self, copies: &Copies) -> Result<Vec<Sighting>, DetectError> {
        let main = &copies.main;
        let mut faces = self.detector.faces(main, &self.options)?;
        for copy in &copies.others {
            let (x, y) = (
                main.width() as f32 / copy.width() as f32,
                main.height() as f32 / copy.height() as f32,
            );
            let options = detect::Options {
                min_face: self.options.min_face / y,
                ..self.options
            };
            for face in self.detector.faces(copy, &options)? {
                let rect = face.rect.scaled(x, y);
                add(&mut faces, Face { rect, ..face });
            }
        }
        Ok(self.sightings(&faces))
    }

    fn turned(&self, frame: &Frame, turn: Turn) -> Result<Vec<Sighting>, DetectError> {
        let faces = self.detector.faces_turned(frame, turn, &self.options)?;
        Ok(self.sightings(&faces))
    }

    /// How each frame must be searched once more. `turn`, `until`: as in [`Looks`].
    fn turns(
        &self,
        looks: &[Look],
        found: &[Option<Vec<Sighting>>],
        turn: &mut Option<Turn>,
        until: &mut usize,
    ) -> Result<Vec<Option<Turn>>, DetectError> {
        let mut turns = Vec::new();
        for (look, found) in looks.iter().zip(found) {
            if look.motion.is_some_and(|m| m.cut) {
                (*turn, *until) = (None, 0);
            }
            if let (Some(found), Some(Copies { main: frame, .. })) = (found, &look.copies) {
                let best = found.iter().map(|s| s.score).fold(0.0, f32::max);
                if best >= UPRIGHT {
                    *turn = None;
                } else if *until == 0 {
                    *turn = self
                        .detector
                        .turn(frame, &self.options, best.max(CLEARLY))?;
                    *until = TURNED;
                }
                *until = until.saturating_sub(1);
            }
            turns.push(*turn);
        }
        Ok(turns)
    }

    /// Sightings in windows of the frames that are not searched all over, by their places in `frames`; not in the first `told`,
    /// which have been looked into.
    fn glimpses(
        &self,
        frames: &[Waiting],
        told: usize,
    ) -> Result<HashMap<usize, Vec<Sighting>>, DetectError> {
        let due: Vec<usize> = (0..frames.len()).filter(|&i| frames[i].0.due).collect();
        let mut gaps: HashMap<usize, Gap> = HashMap::new();
        for (i, pair) in due.windows(2).enumerate() {
            let (from, to) = (pair[0], pair[1]);
            if to < told {
                continue;
            }
            let before = i.checked_sub(1).map(|b| &frames[due[b]..=from]);
            let behind = due.get(i + 2).map(|&b| &frames[to..=b]);
            let between = gaps_of(&frames[from..=to], before, behind).into_iter();
            gaps.extend(between.enumerate().map(|(i, gap)| (from + 1 + i, gap)));
        }
        let mut parts: Vec<(usize, &Frame, Rect)> = Vec::new();
        for (&index, gap) in &gaps {
            let Some(Copies { main: frame, .. }) = &frames[index].0.copies else {
                continue;
            };
            let wide = gap.lost.iter().map(|r| widened(r, WINDOW));
            let news = frames[index].0.news.iter().map(|r| widened(r, AROUND));
            let windows = windows(wide.chain(news), (frame.width(), frame.height()));
            parts.extend(windows.into_iter().map(|w| (index, frame, w)));
        }
        let found: Vec<(usize, Vec<Sighting>)> = parts
            .par_iter()
            .map(|(index, frame, part)| {
                let mut faces = self.detector.within(frame, part, &self.options)?;
                faces.retain(|f| !gaps[index].knows(&f.rect));
                Ok((*index, self.sightings(&faces)))
            })
            .collect::<Result<_, DetectError>>()?;
        let mut glimpses: HashMap<usize, Vec<Sighting>> = HashMap::new();
        for (index, mut sightings) in found {
            sightings.retain(|s| s.strength >= CLEAR);
            glimpses.entry(index).or_default().extend(sightings);
        }
        Ok(glimpses)
    }
}

/// Adds a face of another copy: where there is one already, the box of the higher score stays.
fn add(faces: &mut Vec<Face>, face: Face) {
    let same = |f: &&mut Face| f.rect.iou(&face.rect) > ONE_FACE;
    match faces.iter_mut().find(same) {
        Some(same) if same.score < face.score => *same = face,
        Some(_) => {}
        None => faces.push(face),
    }
}

/// What is known of a frame between two that were searched.
#[derive(Default)]
struct Gap {
    /// Where faces may be that are seen in one of the two and are not near in the other.
    lost: Vec<Rect>,
    /// Where those are that are near in both.
    known: Vec<Rect>,
}

impl Gap {
    /// Whether a box is a part of a face whose place is known: that tells it better than a look into a window.
    fn knows(&self, rect: &Rect) -> bool {
        self.known
            .iter()
            .any(|k| k.intersect(rect).area() > PART * rect.area())
    }
}

/// How far the camera has moved the content since the first of some frames; `None` across a cut.
fn shifts(frames: &[Waiting]) -> Option<Vec<(f32, f32)>> {
    let mut shifts = vec![(0.0, 0.0)];
    for (look, _) in &frames[1..] {
        let motion = look.motion.filter(|m| !m.cut)?;
        let (x, y) = shifts[shifts.len() - 1];
        shifts.push((x + motion.dx, y + motion.dy));
    }
    Some(shifts)
}

fn near(a: &Rect, b: &Rect) -> bool {
    overlap(a, b) >= NEAR
}

/// Whether a face that is seen at one end of some frames is near there at the other: of the last `forwards` in time, of the
/// first backwards.
fn still(rect: &Rect, frames: &[Waiting], forwards: bool) -> bool {
    let Some(&(dx, dy)) = shifts(frames).as_ref().and_then(|s| s.last()) else {
        return false;
    };
    let (other, place) = if forwards {
        (frames.len() - 1, rect.moved(dx, dy))
    } else {
        (0, rect.moved(-dx, -dy))
    };
    let mut seen = frames[other].1.iter().flatten();
    seen.any(|s| near(&s.rect, &place))
}

/// What is known of each frame between the first and the last of some; nothing of those where nobody is lost and
/// that show nothing new. Who stood still `before`
/// or does so `behind` turned away or was hidden: the cover there is held.
fn gaps_of(frames: &[Waiting], before: Option<&[Waiting]>, behind: Option<&[Waiting]>) -> Vec<Gap> {
    let last = frames.len() - 1;
    let (Some(shifts), Some(first_seen), Some(last_seen)) =
        (shifts(frames), &frames[0].1, &frames[last].1)
    else {
        return Vec::new();
    };
    let (dx, dy) = shifts[last];
    // In places of the first frame.
    let then = |s: &Sighting| s.rect.moved(-dx, -dy);
    let (mut lost, mut known) = (Vec::new(), Vec::new());
    for seen in first_seen {
        let again = last_seen.iter().map(then).find(|r| near(&seen.rect, r));
        let still = || before.is_some_and(|b| still(&seen.rect, b, false));
        match again {
            Some(then) => known.push((seen.rect, then)),
            None if seen.sure() && !still() => lost.push(seen.rect),
            None => {}
        }
    }
    for seen in last_seen.iter().filter(|s| s.sure()) {
        let place = then(seen);
        let still = || behind.is_some_and(|b| still(&seen.rect, b, true));
        if !first_seen.iter().any(|s| near(&s.rect, &place)) && !still() {
            lost.push(place);
        }
    }
    let gap = |i: usize| {
        if lost.is_empty() && frames[i].0.news.is_empty() {
            return Gap::default();
        }
        let ((x, y), t) = (shifts[i], i as f32 / last as f32);
        let mix = |p: f32, q: f32| p + (q - p) * t;
        let between = |a: &Rect, b: &Rect| {
            let (x1, y1) = (mix(a.x1, b.x1), mix(a.y1, b.y1));
            Rect::new(x1, y1, mix(a.x2, b.x2), mix(a.y2, b.y2)).moved(x, y)
        };
        Gap {
            lost: lost.iter().map(|r| r.moved(x, y)).collect(),
            known: known.iter().map(|(a, b)| between(a, b)).collect(),
        }
    };
    (1..last).map(gap).collect()
}

/// A window around a place, `times` as large.
fn widened(place: &Rect, times: f32) -> Rect {
    let (x, y) = place.centre();
    let half = |side: f32| (times * side).max(LEAST) / 2.0;
    let (w, h) = (half(place.width()), half(place.height()));
    Rect::new(x - w, y - h, x + w, y + h)
}

/// The parts of a picture in some windows; those that overlap are one. Beyond [`ALL_OVER`] the whole picture.
fn windows(wanted: impl Iterator<Item = Rect>, (width, height): (u32, u32)) -> Vec<Rect> {
    let picture = Rect::new(0.0, 0.0, width as f32, height as f32);
    let mut windows: Vec<Rect> = Vec::new();
    for window in wanted {
        let mut window = window.intersect(&picture);
        if window.is_empty() {
            continue;
        }
        while let Some(other) = windows
            .iter()
            .position(|o| !o.intersect(&window).is_empty())
        {
            window = window.hull(&windows.swap_remove(other));
        }
        windows.push(window);
    }
    let area: f32 = windows.iter().map(Rect::area).sum();
    if area > ALL_OVER * picture.area() {
        return vec![picture];
    }
    windows
}
