//! Many boxes → faces. Covering is not counting: a box thrown away might have covered a neighbour.

use std::collections::{BTreeSet, HashMap};

use crate::face::Face;

/// Non-maximum suppression: keeps a box unless a better one overlaps it by more than
/// `iou` (intersection over union, 0 to 1). Best first.
#[must_use]
pub fn suppress(mut faces: Vec<Face>, iou: f32) -> Vec<Face> {
    sort(&mut faces);
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if kept.iter().all(|k| k.rect.iou(&face.rect) <= iou) {
            kept.push(face);
        }
    }
    kept
}

/// Joins each box with the best one that it overlaps by more than `iou`. A face's rectangle is the
/// hull of its boxes, those left out whose score is below `weak` times the best one's: faint boxes
/// around a clear face say little of where it is, and much of the picture would be covered for
/// nothing. Best first.
#[must_use]
pub fn merge(mut faces: Vec<Face>, iou: f32, weak: f32) -> Vec<Face> {
    sort(&mut faces);
    let mut seeds = Seeds::default();
    let mut hulls: Vec<Face> = Vec::new();
    for face in faces {
        match seeds.nearest(&face, iou) {
            Some((seed, index)) => {
                if face.score >= weak * seed.score {
                    hulls[index].rect = hulls[index].rect.hull(&face.rect);
                }
            }
            None => {
                seeds.add(face, hulls.len());
                hulls.push(face);
            }
        }
    }
    hulls
}

/// The best box of each face, in squares of the picture, so that a crowd of thousands is not
/// compared each with each.
#[derive(Default)]
struct Seeds {
    squares: HashMap<(i32, i32, i32), Vec<(Face, usize)>>,
    sizes: BTreeSet<i32>,
}

impl Seeds {
    /// The power of two that holds the larger side: squares are as large as the boxes in them.
    fn size(face: &Face) -> i32 {
        face.rect
            .width()
            .max(face.rect.height())
            .max(1.0)
            .log2()
            .ceil() as i32
    }

    fn square(face: &Face, size: i32) -> (i32, i32) {
        let side = 2f32.powi(size);
        let (x, y) = face.rect.centre();
        ((x / side).floor() as i32, (y / side).floor() as i32)
    }

    fn add(&mut self, face: Face, index: usize) {
        let size = Self::size(&face);
        let (x, y) = Self::square(&face, size);
        self.sizes.insert(size);
        self.squares
            .entry((size, x, y))
            .or_default()
            .push((face, index));
    }

    /// The seed that `face` overlaps most, by more than `iou`.
    fn nearest(&self, face: &Face, iou: f32) -> Option<(Face, usize)> {
        let mut best: Option<(f32, Face, usize)> = None;
        for &size in &self.sizes {
            // Sides that differ by more than four overlap by less than a quarter.
            if (Self::size(face) - size).abs() >= 3 && iou >= 0.25 {
                continue;
            }
            // Centres of boxes that overlap are less than the larger side apart; where the face
            // is the larger one, more squares are near.
            let reach = 1 << (Self::size(face) - size).clamp(0, 8);
            let (x, y) = Self::square(face, size);
            for dy in -reach..=reach {
                for dx in -reach..=reach {
                    for (seed, index) in self
                        .squares
                        .get(&(size, x + dx, y + dy))
                        .into_iter()
                        .flatten()
                    {
                        let overlap = seed.rect.iou(&face.rect);
                        let better =
                            best.is_none_or(|(o, _, i)| overlap > o || overlap == o && *index < i);
                        if overlap > iou && better {
                            best = Some((overlap, *seed, *index));
                        }
                    }
                }
            }
        }
        best.map(|(_, seed, index)| (seed, index))
    }
}

/// Best score first; equal scores in reading order, so that the result does not depend on which
/// worker finished first.
fn sort(faces: &mut [Face]) {
    faces.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.rect.y1.total_cmp(&b.rect.y1))
            .then(a.rect.x1.total_cmp(&b.rect.x1))
            .then(a.rect.y2.total_cmp(&b.rect.y2))
            .then(a.rect.x2.total_cmp(&b.rect.x2))
    });
}
