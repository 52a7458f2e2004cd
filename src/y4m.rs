//! What the first line of a YUV4MPEG2 stream says. No I/O: `decode` reads it, `encode` writes it.

use crate::planes::{Colours, Layout};

/// What the first line says, as far as it is known and goes on to the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The pictures' shape. Grey ones get planes of no colour.
    pub layout: Layout,
    /// Pictures in so many seconds: numerator, denominator.
    pub rate: (u32, u32),
    /// `p`, `t`, `b` or nothing: which field comes first.
    pub fields: Option<char>,
    /// Width to height of a pixel, where it is said.
    pub aspect: Option<(u32, u32)>,
    /// The name of how colour is stored, where it is said.
    pub chroma: Option<&'static str>,
    /// Only brightness is stored.
    pub grey: bool,
    /// Numbers from 0 to full; `None` where nothing is said.
    pub full: Option<bool>,
}

impl Header {
    /// When a picture is shown, in seconds.
    #[must_use]
    pub fn time(&self, picture: usize) -> f64 {
        picture as f64 * f64::from(self.rate.1) / f64::from(self.rate.0)
    }

    /// Bytes of a picture as it is stored.
    #[must_use]
    pub const fn stored(&self) -> usize {
        if self.grey {
            self.layout.width as usize * self.layout.height as usize * self.layout.sample()
        } else {
            self.layout.bytes()
        }
    }

    /// How its numbers become colours.
    #[must_use]
    pub fn colours(&self) -> Colours {
        let range = (self.full == Some(true)).then_some("pc");
        // As players do where nothing is said: by the size.
        let matrix = (self.layout.height >= 720).then_some("bt709");
        Colours::named(range, matrix)
    }
}
