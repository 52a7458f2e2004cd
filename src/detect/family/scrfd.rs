//! SCRFD (Guo et al. 2021, arXiv:2105.04714): strides 8, 16 and 32, two anchors a cell.

use ndarray::ArrayD;

use super::flat;
use crate::{
    detect::{DetectError, onnx::Port},
    face::Face,
    geometry::Rect,
};

const STRIDES: [u32; 3] = [8, 16, 32];
const ANCHORS: usize = 2;

fn last(port: &Port) -> Option<i64> {
    port.dims.last().copied().flatten()
}

/// Three scores, three distances and, in most exports, three landmarks.
pub(super) fn fits(outputs: &[Port]) -> bool {
    let lasts: Vec<_> = outputs.iter().map(last).collect();
    lasts.len() % 3 == 0
        && lasts.len() >= 6
        && lasts[..3].iter().all(|&l| l == Some(1))
        && lasts[3..6].iter().all(|&l| l == Some(4))
}

pub(super) fn order(outputs: &[Port]) -> Option<Vec<String>> {
    Some(outputs.get(..6)?.iter().map(|p| p.name.clone()).collect())
}

/// Outputs: scores `[n, 1]` a stride, then distances `[n, 4]` a stride from the cell's corner to
/// left, top, right and bottom, in strides.
pub(super) fn decode(
    outputs: &[ArrayD<f32>],
    width: u32,
    height: u32,
    threshold: &dyn Fn(f32) -> f32,
) -> Result<Vec<Face>, DetectError> {
    let mut faces = Vec::new();
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let columns = (width / stride) as usize;
        let n = columns * (height / stride) as usize * ANCHORS;
        let (scores, distances) = (flat(outputs, level, n)?, flat(outputs, 3 + level, 4 * n)?);
        let stride = stride as f32;
        for (index, &score) in scores.iter().enumerate() {
            let cell = index / ANCHORS;
            let (x, y) = (
                (cell % columns) as f32 * stride,
                (cell / columns) as f32 * stride,
            );
            let d = &distances[4 * index..4 * index + 4];
            let rect = Rect::new(
                x - d[0] * stride,
                y - d[1] * stride,
                x + d[2] * stride,
                y + d[3] * stride,
            );
            if score >= threshold(rect.height()) {
                faces.push(Face { rect, score });
            }
        }
    }
    Ok(faces)
}
