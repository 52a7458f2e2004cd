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
    /// The names of the two that it is made of, the cheap one first; all that describes a file is empty then.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Its file's name in `models/` and in the data directory.
    #[serde(default)]
    pub file: String,
    /// SHA-256 of the file in hexadecimal; empty where any export of the family will do.
    #[serde(default)]
    pub sha256: String,
    /// Licence of the weights.
    #[serde(default)]
    pub licence: String,
    /// Where they come from.
    #[serde(default)]
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

/// The entry that `--model` calls by this name, if it can be opened without a file of the user's.
///
/// # Errors
/// Only if the program was built with a broken manifest.
pub fn named(name: &str) -> Result<Option<Entry>, DetectError> {
    let entry = entries()?.into_iter().find(|e| e.name == name);
    Ok(entry.filter(|e| !e.parts.is_empty() || SHIPPED.iter().any(|(file, _)| *file == e.file)))
}

/// The entry whose thresholds count for a model file of this SHA-256: the one that describes it, else the first of its family.
///
/// # Errors
/// Only if the program was built with a broken manifest, or with one that lacks a family.
pub fn of_file(sum: &str, family: Family) -> Result<Entry, DetectError> {
    let mut alike = entries()?;
    alike.retain(|e| e.family == family && e.parts.is_empty());
    let known = alike.iter().find(|e| e.sha256 == sum);
    known.or(alike.first()).cloned().ok_or_else(|| {
        DetectError::Internal(format!(
            "the manifest of models has none of {}",
            family.name()
        ))
    })
}

/// The models that are embedded if they were there when the program was built, by their files' names.
#[cfg(embedded_models)]
const SHIPPED: [(&str, Option<&[u8]>); 2] = [
    (
        "small-int8.onnx",
        Some(include_bytes!("../../models/small-int8.onnx")),
    ),
    (
        "centerface-int8.onnx",
        Some(include_bytes!("../../models/centerface-int8.onnx")),
    ),
];
#[cfg(not(embedded_models))]
const SHIPPED: [(&str, Option<&[u8]>); 2] =
    [("small-int8.onnx", None), ("centerface-int8.onnx", None)];

/// The content of a model's file, if it was there when the program was built.
#[must_use]
pub fn embedded(file: &str) -> Option<&'static [u8]> {
    SHIPPED.iter().find(|(name, _)| *name == file)?.1
}
