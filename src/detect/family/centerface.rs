//! CenterFace (Xu et al. 2019, arXiv:1911.03599): one heat map at stride 4.

use ndarray::ArrayD;

use super::flat;
use crate::{
    detect::{DetectError, onnx::Port},
    face::Face,
    geometry::Rect,
};

/// Pixels of the input a cell of the outputs.
const STRIDE: u32 = 4;

fn channels(port: &Port) -> Option<i64> {
    if port.dims.len() == 4 {
        port.dims[1]
    } else {
        None
    }
}

/// Heat map, sizes, offsets, and in most exports five landmarks.
pub(super) fn fits(outputs: &[Port]) -> bool {
    let channels: Vec<_> = outputs.iter().map(channels).collect();
    matches!(
        channels.as_slice(),
        [Some(1), Some(2), Some(2)] | [Some(1), Some(2), Some(2), Some(10)]
    )
}

pub(super) fn order(outputs: &[Port]) -> Option<Vec<String>> {
    Some(outputs.get(..3)?.iter().map(|p| p.name.clone()).collect())
}

/// Outputs: heat map `[1, 1, h/4, w/4]` (sigmoid applied), log size / 4 `[1, 2, h/4, w/4]`
/// (height, width), offset `[1, 2, h/4, w/4]` (y, x). Every cell counts, not only the peaks:
/// a neighbouring cell's box often covers what the peak's misses.
pub(super) fn decode(
    outputs: &[ArrayD<f32>],
    width: u32,
    height: u32,
    threshold: &dyn Fn(f32) -> f32,
) -> Result<Vec<Face>, DetectError> {
    let (columns, rows) = ((width / STRIDE) as usize, (height / STRIDE) as usize);
    let cells = columns * rows;
    let (heat, size, offset) = (
        flat(outputs, 0, cells)?,
        flat(outputs, 1, 2 * cells)?,
        flat(outputs, 2, 2 * cells)?,
    );
    let stride = STRIDE as f32;
    let least = threshold(0.0);
    let mut faces = Vec::new();
    for (cell, &score) in heat.iter().enumerate() {
        if score < least {
            continue;
        }
        let h = size[cell].exp() * stride;
        if score < threshold(h) {
            continue;
        }
        let w = size[cells + cell].exp() * stride;
        let y = ((cell / columns) as f32 + offset[cell] + 0.5) * stride;
        let x = ((cell % columns) as f32 + offset[cells + cell] + 0.5) * stride;
        let rect = Rect::new(x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0);
        faces.push(Face { rect, score });
    }
    Ok(faces)
}
