//! What `--version --verbose` says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use unface::{
    ShownPath,
    cage::Launcher,
    decode,
    detect::{
        manifest,
        session::{Network, Runtime},
    },
    pipeline::Caged,
    redact,
};

use super::{args::Finding, places};

/// Version, model, runtime, effects and limits, as far as they can be had.
pub fn about(finding: &Finding, launcher: Launcher) -> String {
    let model = match &finding.model {
        Some(path) if path.exists() => match fs::read(path) {
            Ok(bytes) => described(&bytes, &ShownPath(path.clone()).to_string()),
            Err(e) => format!("{}: can't be read ({e})", ShownPath(path.clone())),
        },
        chosen => built_in(chosen.as_deref()),
    };
    let folders: Vec<PathBuf> = places::data_directory().into_iter().collect();
    let runtime = match Runtime::load(finding.onnxruntime.as_deref(), &folders) {
        Ok(runtime) => format!(
            "ONNX Runtime {}, {}",
            runtime
                .version()
                .unwrap_or_else(|| "of unknown version".into()),
            ShownPath(runtime.path().to_path_buf())
        ),
        Err(e) => format!("none ({e})"),
    };
    let sandbox = match Caged::new(launcher, &decode::Options::default()) {
        Ok(cage) => cage.strength().to_string(),
        Err(e) => format!("none ({e})"),
    };
    let defaults = decode::Options::default();
    let (cells, most) = (redact::effect::DEFAULT_CELLS, redact::effect::MOST_CELLS);
    let formats: Vec<_> = unface::Format::ALL
        .iter()
        .map(ToString::to_string)
        .collect();
    format!(
        "unface {}\n\
         model     {model}\n\
         runtime   {runtime}\n\
         formats   {}\n\
         effects   blur and pixelate: {cells} × {cells} averages a face, at most {most} × {most}, \
         rounded and with noise; erase, fill and image: nothing of a face\n\
         limits    {} MiB a decoded picture (--max-memory), {} MiB of metadata, 4 MiB a colour profile, \
         16383 pixels a side in WebP, 65535 in JPEG and GIF\n\
         sandbox   {sandbox}",
        env!("CARGO_PKG_VERSION"),
        formats.join(", "),
        defaults.max_memory >> 20,
        defaults.max_metadata >> 20,
    )
}

/// One of ours, the default one without a name.
fn built_in(name: Option<&Path>) -> String {
    let entries = manifest::entries().unwrap_or_default();
    let entry = entries
        .iter()
        .find(|e| name.is_none_or(|n| n == Path::new(&e.name)));
    let Some(entry) = entry else {
        return "no such file and no such name".into();
    };
    let files = entries
        .iter()
        .filter(|e| e.name == entry.name || entry.parts.contains(&e.name))
        .filter(|e| e.parts.is_empty());
    let lines: Vec<_> = files
        .map(|e| match manifest::embedded(&e.file) {
            Some(bytes) => described(bytes, &format!("{}, embedded", e.name)),
            None => format!("{}: looked for in the data directory", e.name),
        })
        .collect();
    lines.join("\n          ")
}

fn described(bytes: &[u8], place: &str) -> String {
    let family = Network::from_bytes(bytes.to_vec()).map_or_else(
        |e| format!("no model: {e}"),
        |n| n.spec().family.name().into(),
    );
    format!("{family}, {place}, SHA-256 {}", manifest::sha256(bytes))
}
