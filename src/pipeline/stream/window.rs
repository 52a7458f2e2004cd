//! The pictures that wait until faces are followed far enough ahead, and what is known around them.

use std::collections::{HashMap, VecDeque};

use crate::{
    geometry::Rect,
    pipeline::{follow::following, looks::Seen, moving::numbered},
    planes::Planes,
    track::{self, Covered, Sighting, Tracker, Tracks},
};

/// Seconds of pictures that are handed on at a time: faces are linked anew for each.
pub(super) const STEP: f64 = 0.5;
/// Two boxes of one track in two links overlap by at least this (IoU).
const SAME: f32 = 0.3;

/// Seconds that must be known before a picture is handed on.
pub(super) fn ahead(options: &track::Options) -> f64 {
    f64::from(options.gap + options.hold)
}

/// One picture as the tracker knows it.
pub(super) struct Moment {
    pub(super) time: f64,
    pub(super) frame: Seen,
}

/// The pictures that wait, and what is known before and behind them.
pub(super) struct Window {
    pub(super) options: track::Options,
    /// Of the reduced copies, and from there to the pictures.
    pub(super) size: (u32, u32),
    pub(super) scale: (f32, f32),
    pub(super) moments: VecDeque<Moment>,
    /// Number of the first of them.
    pub(super) base: usize,
    pub(super) pictures: VecDeque<Planes>,
    /// Number of the first of them.
    pub(super) next: usize,
    /// Tracks by their lasting numbers in the last pictures that were handed on.
    pub(super) told: VecDeque<(usize, Vec<(u32, Rect)>)>,
    pub(super) tracks: u32,
}

impl Window {
    pub(super) fn new(size: (u32, u32), scale: (f32, f32)) -> Self {
        Self {
            options: following(),
            size,
            scale,
            moments: VecDeque::new(),
            base: 0,
            pictures: VecDeque::new(),
            next: 0,
            told: VecDeque::new(),
            tracks: 0,
        }
    }

    fn end(&self) -> usize {
        self.base + self.moments.len()
    }

    /// The number behind the last picture that can be handed on.
    pub(super) fn due(&self, over: bool) -> usize {
        if over {
            return self.end();
        }
        let last = self.moments.back().map_or(0.0, |m| m.time);
        let limit = last - ahead(&self.options);
        let due = self.base + self.moments.partition_point(|m| m.time <= limit);
        let first = self
            .moments
            .get(self.next - self.base)
            .map_or(0.0, |m| m.time);
        if limit - first >= STEP {
            due
        } else {
            self.next
        }
    }

    pub(super) fn link(&self) -> Tracks {
        let mut tracker = Tracker::new(self.options, self.size);
        for (i, m) in self.moments.iter().enumerate() {
            m.frame.tell(&mut tracker, m.time, i == 0);
        }
        tracker.finish()
    }

    /// Lasting numbers of tracks that were covered before.
    pub(super) fn known(&self, tracks: &Tracks) -> HashMap<u32, u32> {
        let mut known: HashMap<u32, u32> = HashMap::new();
        for (frame, told) in self.told.iter().rev() {
            for c in tracks.at(frame - self.base) {
                if known.contains_key(&c.track) {
                    continue;
                }
                let free = told
                    .iter()
                    .filter(|(id, _)| !known.values().any(|k| k == id));
                let best = free
                    .map(|(id, rect)| (*id, rect.iou(&c.rect)))
                    .max_by(|a, b| a.1.total_cmp(&b.1));
                if let Some((id, _)) = best.filter(|(_, iou)| *iou >= SAME) {
                    known.insert(c.track, id);
                }
            }
        }
        known
    }

    /// What is to be covered in the next picture, by lasting numbers, in pixels of the reduced
    /// copy; it counts as handed on.
    pub(super) fn tell(
        &mut self,
        tracks: &Tracks,
        known: &mut HashMap<u32, u32>,
    ) -> (bool, Vec<Covered>) {
        let place = self.next - self.base;
        let mut seen = tracks.at(place);
        for c in &mut seen {
            c.track = *known.entry(c.track).or_insert_with(|| {
                self.tracks += 1;
                self.tracks
            });
        }
        // What was covered stays so: its sightings are sure ones from now on. Faint ones that led
        // nowhere can't be covered any more.
        let frame = &mut self.moments[place].frame;
        let searched = frame.searched();
        if frame.any() {
            let sure = seen.iter().filter(|c| c.score > 0.0).map(|c| Sighting {
                rect: c.rect,
                score: c.score,
                strength: 2.0,
            });
            frame.replace(sure.collect());
        }
        self.told.push_back((self.next, numbered(&seen)));
        self.next += 1;
        (searched, seen)
    }

    /// Forgets what can't reach forwards any more.
    pub(super) fn forget(&mut self) {
        let Some(now) = self.moments.get(self.next - self.base).map(|m| m.time) else {
            return;
        };
        let before = now - ahead(&self.options) - STEP;
        while self.base < self.next && self.moments.front().is_some_and(|m| m.time < before) {
            self.moments.pop_front();
            self.base += 1;
        }
        while self.told.front().is_some_and(|(f, _)| *f < self.base) {
            self.told.pop_front();
        }
    }
}
