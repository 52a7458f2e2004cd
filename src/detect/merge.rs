//! Many boxes → faces. Covering is not counting: a box thrown away might have covered a neighbour.

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

/// Joins each box with the best one that overlaps it by more than `iou`; a face's rectangle is
/// the hull of its boxes, so everything that any of them would have covered stays covered.
/// Best first.
#[must_use]
pub fn merge(mut faces: Vec<Face>, iou: f32) -> Vec<Face> {
    sort(&mut faces);
    let mut seeds: Vec<Face> = Vec::new();
    let mut hulls: Vec<Face> = Vec::new();
    for face in faces {
        let best = seeds
            .iter()
            .enumerate()
            .map(|(i, s)| (i, s.rect.iou(&face.rect)))
            .filter(|&(_, overlap)| overlap > iou)
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match best {
            Some((i, _)) => hulls[i].rect = hulls[i].rect.hull(&face.rect),
            None => {
                seeds.push(face);
                hulls.push(face);
            }
        }
    }
    hulls
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
