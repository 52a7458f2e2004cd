//! `--model`, or its absence → the networks that look, and the thresholds for them.

use std::{fs, path::Path};

use unface::{
    Error, ShownPath,
    detect::{
        DetectError,
        library::open_to_all,
        manifest::{self, Entry, Thresholds},
        session::{Network, Networks},
    },
};

use crate::cli::{Refusal, places, usage};

/// A model that comes with the program: embedded, else from the data directory.
fn shipped(entry: &Entry) -> Result<Network, Refusal> {
    if let Some(bytes) = manifest::embedded(&entry.file) {
        return Network::from_bytes(bytes).map_err(|e| Error::Setup(e).into());
    }
    let path = places::data_directory().map(|d| d.join(&entry.file)).filter(|p| p.is_file()).ok_or_else(|| {
        usage(format!(
            "there is no detector in this build; put models/{} into the data directory, or name one with --model FILE", entry.file
        ))
    })?;
    let bytes = read_model(&path)?;
    if manifest::sha256(&bytes) != entry.sha256 {
        return Err(usage(format!(
            "{}: is not the detector that it should be; replace it by models/{} of this version",
            ShownPath(path),
            entry.file
        )));
    }
    Network::from_bytes(bytes).map_err(|e| of_model(&path, e))
}

/// One half of a pair.
fn part(name: &str) -> Result<Network, Refusal> {
    let entry = manifest::named(name).map_err(Error::Setup)?;
    shipped(&entry.ok_or_else(|| usage("the manifest of models has a pair that is none"))?)
}

/// A model of the user's, and the thresholds for it.
fn named_file(path: &Path) -> Result<(Networks, Thresholds), Refusal> {
    if open_to_all(path) {
        return Err(usage(format!(
            "{}: belongs to another user, and every user of this system may change it or its folder; name another model",
            ShownPath(path.into())
        )));
    }
    let bytes = read_model(path)?;
    let sum = manifest::sha256(&bytes);
    let network = Network::from_bytes(bytes).map_err(|e| of_model(path, e))?;
    let entry = manifest::of_file(&sum, network.spec().family).map_err(Error::Setup)?;
    Ok((Networks::One(network), entry.thresholds))
}

fn read_model(path: &Path) -> Result<Vec<u8>, Refusal> {
    fs::read(path).map_err(|source| {
        Error::Read {
            path: path.into(),
            source,
        }
        .into()
    })
}

fn of_model(path: &Path, source: DetectError) -> Refusal {
    Refusal::from(Error::Detect {
        path: path.into(),
        source,
    })
}

/// The entry of what is asked for, the first without a name; none where that is a file. A name of ours
/// goes before a file of that name, which could have come into the current folder with others.
pub(in crate::cli) fn built_in(model: Option<&Path>) -> Result<Option<Entry>, Refusal> {
    let Some(path) = model else {
        let first = manifest::entries()
            .map_err(Error::Setup)?
            .into_iter()
            .next();
        return first
            .map(Some)
            .ok_or_else(|| usage("the manifest of models is empty"));
    };
    let folder = path.parent().is_some_and(|p| !p.as_os_str().is_empty());
    if folder
        || path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("onnx"))
    {
        return Ok(None);
    }
    let entry = path.to_str().map_or(Ok(None), manifest::named);
    entry.map_err(Error::Setup)?.map(Some).ok_or_else(|| {
        usage(format!(
            "{}: is not a model that comes with the program; a file of your own needs its folder, as in ./{0}, or a name that ends in .onnx",
            ShownPath(path.into())
        ))
    })
}

/// What is asked for: one of ours, or a file.
pub(super) fn networks(model: Option<&Path>) -> Result<(Networks, Thresholds), Refusal> {
    let entry = match (built_in(model)?, model) {
        (Some(entry), _) => entry,
        (None, Some(path)) => return named_file(path),
        (None, None) => return Err(usage("the manifest of models is empty")),
    };
    let networks = match entry.parts.as_slice() {
        [] => Networks::One(shipped(&entry)?),
        [cheap, dear] => Networks::Two(part(cheap)?, part(dear)?),
        _ => return Err(usage("the manifest of models has a pair that is none")),
    };
    Ok((networks, entry.thresholds))
}
