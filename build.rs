//! Embeds the models. Where one is missing the build succeeds all the same, and the program
//! looks for them in the data directory when it starts.

use std::{fs, path::Path};

/// As in `src/detect/manifest.rs`.
const SHIPPED: [&str; 2] = ["small-int8.onnx", "centerface-int8.onnx"];

fn main() {
    let models = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("models");
    println!("cargo::rustc-check-cfg=cfg(embedded_models)");
    println!("cargo::rerun-if-changed=models/manifest.toml");
    for file in SHIPPED {
        println!("cargo::rerun-if-changed=models/{file}");
    }
    let manifest = fs::read_to_string(models.join("manifest.toml")).unwrap_or_default();
    for file in SHIPPED {
        let Ok(bytes) = fs::read(models.join(file)) else {
            println!(
                "cargo::warning=the detector is not embedded, as models/{file} is missing; `git checkout models` brings it back"
            );
            return;
        };
        // A wrong model is worse than none: it would find nothing and say nothing.
        use sha2::Digest;
        let hash: String = sha2::Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert!(
            manifest.contains(&hash),
            "models/{file} is not the file that models/manifest.toml describes; `git checkout models` brings it back"
        );
    }
    println!("cargo::rustc-cfg=embedded_models");
}
