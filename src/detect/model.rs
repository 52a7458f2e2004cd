//! What the detector needs of a network: two methods, so that tests can bring their own.

use ndarray::{Array4, ArrayD};

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

/// How a picture of `h` × `w` pixels is laid out for a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// `[1, 3, h, w]`, a plane a colour.
    Planes,
    /// `[1, h/2, w/2, 28]`: what a 3 × 3 convolution of stride 2 reads for each of its outputs, as it stands: rows 2y - 1 to
    /// 2y + 1, in each columns 2x - 1 to 2x + 1, in each red, green, blue, then one 0. The network's first layer
    /// is then a product of matrices, with the same result; in 8 bits it takes a fifth of the time.
    Patches,
}

/// Numbers a place in [`Arrangement::Patches`]: 27, and one more as products go by fours.
pub const PATCH: usize = 28;

/// A picture as a network takes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor {
    /// [`Arrangement::Planes`], normalised.
    Planes(Array4<f32>),
    /// [`Arrangement::Patches`], 0 to 255.
    Patches(Array4<u8>),
}

/// What a network wants and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// How its outputs are read.
    pub family: Family,
    /// How the picture is laid out.
    pub arrangement: Arrangement,
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
    /// `input` is prepared as [`Model::spec`] says; the outputs come in the order in which the
    /// family's decoder reads them.
    ///
    /// # Errors
    /// When the runtime fails, or gives something else than numbers.
    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError>;

    /// A first opinion, in the same form, from the cheapest part of a network that is made of several.
    ///
    /// # Errors
    /// As [`Model::run`].
    fn glance(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        self.run(input)
    }
}
