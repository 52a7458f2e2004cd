//! Embeds the default model. Where it is missing the build succeeds all the same, and the program
//! looks for it in the data directory when it starts.

use std::{fs, path::Path};

fn main() {
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let model = Path::new(&root).join("models/centerface-int8.onnx");
    println!("cargo::rustc-check-cfg=cfg(embedded_model)");
    println!("cargo::rerun-if-changed=models/centerface-int8.onnx");
    println!("cargo::rerun-if-changed=models/manifest.toml");
    let Ok(bytes) = fs::read(&model) else {
        println!(
            "cargo::warning=the detector is not embedded, as models/centerface-int8.onnx is missing; `git checkout models` brings it back"
        );
        return;
    };
    // A wrong model is worse than none: it would find nothing and say nothing.
    let manifest =
        fs::read_to_string(Path::new(&root).join("models/manifest.toml")).unwrap_or_default();
    use sha2::Digest;
    let hash: String = sha2::Sha256::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert!(
        manifest.contains(&hash),
        "models/centerface-int8.onnx is not the file that models/manifest.toml describes; `git checkout models` brings it back"
    );
    println!("cargo::rustc-cfg=embedded_model");
}
