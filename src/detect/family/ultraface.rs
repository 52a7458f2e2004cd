//! UltraFace (Linzaer, "Ultra-Light-Fast-Generic-Face-Detector-1MB"): one input size, anchors in the graph.

use ndarray::ArrayD;

use super::flat;
use crate::{
    detect::{DetectError, onnx::Port},
    face::Face,
    geometry::Rect,
};

pub(super) fn order(outputs: &[Port]) -> Option<Vec<String>> {
    let named = |name: &str| {
        outputs
            .iter()
            .find(|p| p.name == name)
            .map(|p| p.name.clone())
    };
    Some(vec![named("scores")?, named("boxes")?])
}

pub(super) fn fits(outputs: &[Port]) -> bool {
    order(outputs).is_some()
}

/// Outputs: scores `[1, n, classes]` (softmax; class 0 is the background, the others are bare
/// and, in one export, masked faces), boxes `[1, n, 4]` (corners, 0 to 1).
pub(super) fn decode(
    outputs: &[ArrayD<f32>],
    width: u32,
    height: u32,
    threshold: &dyn Fn(f32) -> f32,
) -> Result<Vec<Face>, DetectError> {
    let n = outputs.get(1).map_or(0, |b| b.len() / 4);
    let classes = outputs
        .first()
        .map_or(0, |s| s.len().checked_div(n).unwrap_or(0));
    if n == 0 || classes < 2 {
        return Err(DetectError::Run(
            "gave no scores or boxes; use another model".into(),
        ));
    }
    let (scores, boxes) = (flat(outputs, 0, n * classes)?, flat(outputs, 1, 4 * n)?);
    let (w, h) = (width as f32, height as f32);
    let faces = scores
        .chunks_exact(classes)
        .zip(boxes.chunks_exact(4))
        .filter_map(|(s, b)| {
            // A masked face is a face: the classes' probabilities add up.
            let score: f32 = s[1..].iter().sum();
            let rect = Rect::new(b[0] * w, b[1] * h, b[2] * w, b[3] * h);
            (score >= threshold(rect.height())).then_some(Face { rect, score })
        });
    Ok(faces.collect())
}
