//! What the detector needs of a network: two methods, so that tests can bring their own.

use ndarray::{ArrayD, ArrayView4};

use super::{DetectError, family::Family};

/// The order of the colours in the input's second dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// What a network wants and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// How its outputs are read.
    pub family: Family,
    /// Order of the colours.
    pub channels: Channels,
    /// Subtracted from each sample (0 to 255) first.
    pub mean: f32,
    /// What is left is multiplied by this.
    pub scale: f32,
    /// Both sides of the input must be multiples of this, in pixels.
    pub multiple: u32,
    /// Width and height of the input where the network takes one size only, in pixels.
    pub fixed: Option<(u32, u32)>,
}

/// A network.
pub trait Model: Send {
    /// What it wants and gives.
    fn spec(&self) -> &Spec;

    /// Runs it on one picture.
    ///
    /// `input` is `[1, 3, h, w]`, prepared as [`Model::spec`] says; the outputs come in the
    /// order in which the family's decoder reads them.
    ///
    /// # Errors
    /// When the runtime fails, or gives something else than numbers.
    fn run(&mut self, input: ArrayView4<'_, f32>) -> Result<Vec<ArrayD<f32>>, DetectError>;
}
