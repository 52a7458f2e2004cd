//! Where things lie on this system. `scripts/setup.py` has the same paths.

use std::{env, path::PathBuf};

/// The data directory: ONNX Runtime and models that are not embedded.
pub fn data_directory() -> Option<PathBuf> {
    let from = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let home = || from("HOME");
    if cfg!(windows) {
        from("LOCALAPPDATA").map(|p| p.join("unface"))
    } else if cfg!(target_os = "macos") {
        home().map(|p| p.join("Library/Application Support/unface"))
    } else {
        from("XDG_DATA_HOME")
            .or_else(|| home().map(|p| p.join(".local/share")))
            .map(|p| p.join("unface"))
    }
}
