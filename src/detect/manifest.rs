//! The models that the program knows, from `models/manifest.toml`.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    DetectError,
    family::Family,
    rule::{Rule, Sensitivity},
};

/// One model.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// What `--model` may call it.
    pub name: String,
    /// How its outputs are read.
    pub family: Family,
    /// Its file's name in `models/` and in the data directory.
    pub file: String,
    /// SHA-256 of the file in hexadecimal; empty where any export of the family will do.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where they come from.
    pub source: String,
    /// Thresholds for each sensitivity.
    pub thresholds: Thresholds,
}

/// Thresholds for each sensitivity.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Thresholds {
    low: Rule,
    normal: Rule,
    high: Rule,
    max: Rule,
}

impl Thresholds {
    /// The rule for a sensitivity.
    #[must_use]
    pub const fn at(&self, sensitivity: Sensitivity) -> Rule {
        match sensitivity {
            Sensitivity::Low => self.low,
            Sensitivity::Normal => self.normal,
            Sensitivity::High => self.high,
            Sensitivity::Max => self.max,
        }
    }
}

#[derive(Deserialize)]
struct File {
    model: Vec<Entry>,
}

/// All entries, the default first.
///
/// # Errors
/// Only if the program was built with a broken manifest.
pub fn entries() -> Result<Vec<Entry>, DetectError> {
    toml::from_str::<File>(include_str!("../../models/manifest.toml"))
        .map(|file| file.model)
        .map_err(|e| DetectError::Internal(format!("the manifest of models: {}", e.message())))
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// The default model, if it was there when the program was built.
#[must_use]
pub const fn embedded() -> Option<&'static [u8]> {
    #[cfg(embedded_model)]
    return Some(include_bytes!("../../models/centerface-int8.onnx"));
    #[cfg(not(embedded_model))]
    return None;
}
