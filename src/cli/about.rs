//! What `--version --verbose` says.

use std::{fs, path::PathBuf};

use unface::{
    ShownPath,
    cage::Launcher,
    decode,
    detect::{
        manifest::{self, Entry},
        session::{Network, Runtime},
    },
    pipeline::Caged,
    redact,
};

use super::{args::Finding, places, settings::models::built_in};

/// Version, model, runtime, effects and limits, as far as they can be had.
pub fn about(finding: &Finding, launcher: Launcher) -> String {
    let model = match (built_in(finding.model.as_deref()), &finding.model) {
        (Ok(Some(entry)), _) => ours(&entry),
        (_, Some(path)) => match fs::read(path) {
            Ok(bytes) => described(&bytes, &ShownPath(path.clone()).to_string()),
            Err(e) => format!("{}: can't be read ({e})", ShownPath(path.clone())),
        },
        (_, None) => "none".into(),
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

/// One that comes with the program; a line for each network in it.
fn ours(entry: &Entry) -> String {
    let part = |name: &String| manifest::named(name).ok().flatten();
    let files = match entry.parts.as_slice() {
        [] => vec![entry.clone()],
        parts => parts.iter().filter_map(part).collect(),
    };
    let lines: Vec<_> = files
        .iter()
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
