//! Network outputs → boxes, one file a model family. All in pixels of the network's input.

mod centerface;
mod scrfd;
mod ultraface;
mod yunet;

use ndarray::ArrayD;
use serde::Deserialize;

use super::{
    DetectError,
    model::{Arrangement, Channels, PATCH, Spec},
    onnx::{Port, Signature},
};
use crate::face::Face;

/// A family of networks that share the shape and the meaning of their outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// CenterFace: heat map, sizes and offsets at stride 4.
    Centerface,
    /// YuNet: class, objectness and boxes at strides 8, 16, 32.
    Yunet,
    /// UltraFace: softmax scores and corners relative to the picture.
    Ultraface,
    /// SCRFD: scores and distances at strides 8, 16, 32, two anchors a cell.
    Scrfd,
}

impl Family {
    /// Its name as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Centerface => "CenterFace",
            Self::Yunet => "YuNet",
            Self::Ultraface => "UltraFace",
            Self::Scrfd => "SCRFD",
        }
    }

    /// Recognises a family by what a model file declares.
    ///
    /// # Errors
    /// When the input is no picture or the outputs fit no family.
    pub fn recognise(signature: &Signature) -> Result<Self, DetectError> {
        let [input] = signature.inputs.as_slice() else {
            return Err(DetectError::Model(format!(
                "takes {} inputs where one picture is expected; give a CenterFace, YuNet, UltraFace or SCRFD export",
                signature.inputs.len()
            )));
        };
        if input.dims.len() != 4 || input.dims[1].is_some_and(|c| c != 3) {
            return Err(DetectError::Model(format!(
                "has an input of shape {} where [1, 3, h, w] is expected; give a CenterFace, YuNet, UltraFace or SCRFD export",
                shown(&input.dims)
            )));
        }
        let outputs = &signature.outputs;
        [
            (Self::Yunet, yunet::fits(outputs)),
            (Self::Ultraface, ultraface::fits(outputs)),
            (Self::Scrfd, scrfd::fits(outputs)),
            (Self::Centerface, centerface::fits(outputs)),
        ]
        .into_iter()
        .find_map(|(family, fits)| fits.then_some(family))
        // Patches are not normalised.
        .filter(|&family| family == Self::Centerface || arrangement(input) == Arrangement::Planes)
        .ok_or_else(|| {
            let list: Vec<_> = outputs.iter().map(|o| shown(&o.dims)).take(12).collect();
            DetectError::Model(format!(
                "is of no family that unface reads (outputs {}); give a CenterFace, YuNet, UltraFace or SCRFD export",
                list.join(" ")
            ))
        })
    }

    /// What networks of this family want, as their authors trained them.
    #[must_use]
    pub fn spec(self, signature: &Signature) -> Spec {
        let (channels, mean, scale) = match self {
            Self::Centerface => (Channels::Rgb, 0.0, 1.0),
            Self::Yunet => (Channels::Bgr, 0.0, 1.0),
            Self::Ultraface => (Channels::Rgb, 127.0, 1.0 / 128.0),
            Self::Scrfd => (Channels::Rgb, 127.5, 1.0 / 128.0),
        };
        let fixed = match self {
            // Its anchors are constants in the graph: no other size works.
            Self::Ultraface => {
                let side =
                    |i: usize| signature.inputs[0].dims[i].and_then(|v| u32::try_from(v).ok());
                side(3).zip(side(2))
            }
            _ => None,
        };
        Spec {
            family: self,
            arrangement: arrangement(&signature.inputs[0]),
            channels,
            mean,
            scale,
            multiple: 32,
            fixed,
        }
    }

    /// Names of the outputs in the order in which [`Family::decode`] reads them.
    ///
    /// # Errors
    /// When outputs are missing.
    pub(crate) fn order(self, signature: &Signature) -> Result<Vec<String>, DetectError> {
        let outputs = &signature.outputs;
        match self {
            Self::Centerface => centerface::order(outputs),
            Self::Yunet => yunet::order(outputs),
            Self::Ultraface => ultraface::order(outputs),
            Self::Scrfd => scrfd::order(outputs),
        }
        .ok_or_else(|| {
            DetectError::Model(format!(
                "lacks outputs that a {} model has; export it again",
                self.name()
            ))
        })
    }

    /// All boxes whose score is at least `threshold(height)`, height in pixels of the input.
    ///
    /// `width`, `height`: the input's size in pixels.
    ///
    /// # Errors
    /// When an output has another shape than the input's size asks for.
    pub fn decode(
        self,
        outputs: &[ArrayD<f32>],
        width: u32,
        height: u32,
        threshold: &dyn Fn(f32) -> f32,
    ) -> Result<Vec<Face>, DetectError> {
        let mut faces = match self {
            Self::Centerface => centerface::decode(outputs, width, height, threshold),
            Self::Yunet => yunet::decode(outputs, width, height, threshold),
            Self::Ultraface => ultraface::decode(outputs, width, height, threshold),
            Self::Scrfd => scrfd::decode(outputs, width, height, threshold),
        }?;
        // Weights gone wrong give infinities; a box of them covers nothing and hides that.
        if faces
            .iter()
            .any(|f| !f.rect.is_finite() || !f.score.is_finite())
        {
            return Err(DetectError::Run(
                "gave boxes that are not numbers; use another model".into(),
            ));
        }
        faces.retain(|f| !f.rect.is_empty());
        Ok(faces)
    }
}

/// How a model's input is laid out, by its dimensions.
fn arrangement(input: &Port) -> Arrangement {
    match input.dims.as_slice() {
        [_, None, None, Some(n)] if usize::try_from(*n) == Ok(PATCH) => Arrangement::Patches,
        _ => Arrangement::Planes,
    }
}

fn shown(dims: &[Option<i64>]) -> String {
    let dims: Vec<_> = dims
        .iter()
        .map(|d| d.map_or("?".into(), |d| d.to_string()))
        .collect();
    format!("[{}]", dims.join(", "))
}

/// One output as flat numbers, after its element count has been checked.
pub(super) fn flat(
    outputs: &[ArrayD<f32>],
    index: usize,
    len: usize,
) -> Result<&[f32], DetectError> {
    outputs.get(index).filter(|o| o.len() == len).and_then(|o| o.as_slice()).ok_or_else(|| {
        DetectError::Run(format!(
            "gave output {index} of shape {:?} where {len} numbers are expected; use another model",
            outputs.get(index).map(|o| o.shape().to_vec())
        ))
    })
}
