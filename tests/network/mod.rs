//! What networks made up by tests say of themselves.

use unface::detect::{
    family::Family,
    model::{Arrangement, Channels, Spec},
};

/// Of CenterFace's family, colours as they are.
pub fn spec(arrangement: Arrangement) -> Spec {
    Spec {
        family: Family::Centerface,
        arrangement,
        channels: Channels::Rgb,
        mean: 0.0,
        scale: 1.0,
        multiple: 32,
        fixed: None,
    }
}
