//! YuNet (Wu et al. 2023): anchor-free, strides 8, 16 and 32.

use ndarray::ArrayD;

use super::flat;
use crate::{
    detect::{DetectError, onnx::Port},
    face::Face,
    geometry::Rect,
};

const STRIDES: [u32; 3] = [8, 16, 32];

pub(super) fn order(outputs: &[Port]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for stride in STRIDES {
        for kind in ["cls", "obj", "bbox"] {
            let name = format!("{kind}_{stride}");
            names.push(outputs.iter().find(|p| p.name == name)?.name.clone());
        }
    }
    Some(names)
}

pub(super) fn fits(outputs: &[Port]) -> bool {
    order(outputs).is_some()
}

/// Outputs a stride: class `[1, n, 1]`, objectness `[1, n, 1]`, box `[1, n, 4]` (dx, dy,
/// log w, log h in cells), n cells row by row. Score: the geometric mean of the first two.
pub(super) fn decode(
    outputs: &[ArrayD<f32>],
    width: u32,
    height: u32,
    threshold: &dyn Fn(f32) -> f32,
) -> Result<Vec<Face>, DetectError> {
    let mut faces = Vec::new();
    let least = threshold(0.0);
    for (level, stride) in STRIDES.into_iter().enumerate() {
        let columns = (width / stride) as usize;
        let cells = columns * (height / stride) as usize;
        let class = flat(outputs, 3 * level, cells)?;
        let object = flat(outputs, 3 * level + 1, cells)?;
        let boxes = flat(outputs, 3 * level + 2, 4 * cells)?;
        let stride = stride as f32;
        for cell in 0..cells {
            let score = (class[cell].clamp(0.0, 1.0) * object[cell].clamp(0.0, 1.0)).sqrt();
            if score < least {
                continue;
            }
            let b = &boxes[4 * cell..4 * cell + 4];
            let (w, h) = (b[2].exp() * stride, b[3].exp() * stride);
            if score < threshold(h) {
                continue;
            }
            let x = ((cell % columns) as f32 + b[0]) * stride;
            let y = ((cell / columns) as f32 + b[1]) * stride;
            let rect = Rect::new(x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0);
            faces.push(Face { rect, score });
        }
    }
    Ok(faces)
}
