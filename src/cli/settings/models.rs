//! `--model`, or its absence → the networks that look, and the thresholds for them.

use std::{fs, path::Path};

use unface::{
    Error, ShownPath,
    detect::{
        DetectError,
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

/// The entry of what is asked for, the first without a name; none where that is a file, which goes before a name.
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
    match path.to_str() {
        Some(name) if !path.exists() => manifest::named(name).map_err(|e| Error::Setup(e).into()),
        _ => Ok(None),
    }
}

/// What is asked for: a file or, where there is none of that name, one of ours.
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
