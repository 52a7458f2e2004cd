//! Names of outputs.

use std::{
    ffi::{OsStr, OsString},
    path::{Component, Path, PathBuf},
};

use crate::format::Format;

/// Stands before the suffix of an output that lies beside its input.
pub const OWN_MARK: &str = ".unface";

/// Whether a name is one that this program gives (`*.unface.*`).
pub(super) fn is_own_output(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| {
        let stem = stem.as_encoded_bytes();
        stem.len() > OWN_MARK.len() && stem.ends_with(OWN_MARK.as_bytes())
    })
}

/// Whether a folder's name is one that this program gives to frames (`*.unface`).
pub(super) fn is_own_folder(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.as_encoded_bytes();
        name.len() > OWN_MARK.len() && name.ends_with(OWN_MARK.as_bytes())
    })
}

/// A listed path as it stands below the output folder: relative ones keep their folders, others
/// could lead out of it.
pub(super) fn kept_folders(path: &Path) -> PathBuf {
    let inside = path
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if !inside {
        return file_only(path);
    }
    path.components()
        .filter(|c| matches!(c, Component::Normal(_)))
        .collect()
}

/// Twelve hexadecimal digits that nobody can guess and that hardly come twice.
pub(super) fn random() -> Result<String, String> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

pub(super) fn file_only(path: &Path) -> PathBuf {
    path.file_name()
        .map_or_else(|| PathBuf::from("unnamed"), PathBuf::from)
}

/// The suffix that an output needs: the input's own where it names the format.
fn suffix(path: &Path, format: Format) -> OsString {
    match path.extension() {
        Some(old) if Format::from_path(path) == Some(format) => old.to_os_string(),
        _ => OsString::from(format.suffix()),
    }
}

fn stem(path: &Path, keep_suffix: bool) -> OsString {
    let name = if keep_suffix {
        path.file_name()
    } else {
        path.file_stem()
    };
    name.unwrap_or(OsStr::new("unnamed")).to_os_string()
}

/// `a/b.jpeg` → `a/b.png`; with `keep_suffix` → `a/b.jpeg.png`.
pub(super) fn with_format(path: &Path, format: Format, keep_suffix: bool) -> PathBuf {
    let mut name = stem(path, keep_suffix);
    name.push(".");
    name.push(suffix(path, format));
    path.with_file_name(name)
}

/// `a/b.jpg` → `a/b.unface.jpg`; with `keep_suffix` → `a/b.jpg.unface.jpg`.
pub(super) fn beside(path: &Path, format: Format, keep_suffix: bool) -> PathBuf {
    let mut name = stem(path, keep_suffix);
    name.push(OWN_MARK);
    name.push(".");
    name.push(suffix(path, format));
    path.with_file_name(name)
}
