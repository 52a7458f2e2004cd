//! Single options → what the library takes.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Read},
    path::Path,
};

use unface::{
    Error, decode,
    discover::{List, Request},
    pipeline::Caged,
    redact,
    report::{Boxes, MAX_FILE},
};

use crate::cli::{
    Refusal,
    args::{CodecName, Cover, EffectName, Finding, Reading},
    usage,
};

/// Lighter looks than can be shown to be safe need a word.
pub(super) fn check_strength(a: &Cover, name: EffectName) -> Result<(), Refusal> {
    let keeps = matches!(name, EffectName::Blur | EffectName::Pixelate);
    let most = redact::effect::DEFAULT_CELLS;
    if !keeps || a.weak_effect_i_accept_the_risk || (a.cells <= most && a.noise >= 1.0) {
        return Ok(());
    }
    Err(usage(format!(
        "more than {most} cells, or less noise, let an attacker who knows other photos of people name them more \
         often than a guess does; leave it, use --effect erase or fill, or say --weak-effect-i-accept-the-risk"
    )))
}

pub(super) const fn codec(name: CodecName) -> unface::encode::clip::Codec {
    use unface::encode::clip::Codec;
    match name {
        CodecName::H264 => Codec::H264,
        CodecName::Hevc => Codec::Hevc,
        CodecName::Av1 => Codec::Av1,
        CodecName::Vp9 => Codec::Vp9,
    }
}

pub(super) fn take_finding(f: &mut Finding) -> Finding {
    Finding {
        sensitivity: f.sensitivity.take(),
        threshold: f.threshold.take(),
        min_face: f.min_face,
        model: f.model.take(),
        onnxruntime: f.onnxruntime.take(),
    }
}

pub(super) fn take_reading(r: &mut Reading) -> Reading {
    Reading {
        allow_damaged: r.allow_damaged,
        orientation: r.orientation,
        fit: r.fit,
        video_stream: r.video_stream,
        max_memory: r.max_memory,
        no_sandbox: r.no_sandbox,
        require_sandbox: r.require_sandbox,
        jobs: r.jobs,
        strict: r.strict,
        quiet: r.quiet,
        colour: r.colour,
    }
}

/// Pictures and text can't share standard output, and a terminal is no place for a picture.
pub(super) fn check_streams(a: &Cover, request: &Request) -> Result<(), Refusal> {
    let only_stdin = request.inputs.len() == 1 && request.inputs[0] == Path::new("-");
    let to_stdout = match &request.output {
        Some(output) => output == "-",
        None => only_stdin,
    };
    if to_stdout && a.report.as_deref() == Some(std::ffi::OsStr::new("-")) {
        return Err(usage(
            "the picture and the report can't both go to standard output; give the report a file",
        ));
    }
    if to_stdout && a.keep_motion {
        return Err(usage(
            "--keep-motion writes two files where standard output holds one; name a file or folder with -o",
        ));
    }
    if to_stdout && !a.dry_run && io::stdout().is_terminal() {
        return Err(usage(
            "a picture is no use on a terminal; name a file with -o, or send standard output elsewhere",
        ));
    }
    Ok(())
}

/// Begins to read a list.
pub(super) fn open_list(file: &Path, end: u8) -> Result<List, Refusal> {
    if file == Path::new("-") {
        return Ok(List::read(io::stdin(), end));
    }
    let file = File::open(file).map_err(|source| Error::Read {
        path: file.into(),
        source,
    })?;
    Ok(List::read(file, end))
}

pub(super) fn read_boxes(path: &Path) -> Result<Boxes, Refusal> {
    let failed = |source| Error::Boxes {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|e| failed(e.into()))?;
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|e| failed(e.into()))?;
    Boxes::parse(&text).map_err(|e| failed(e).into())
}

pub(super) fn sticker(
    path: &Path,
    options: &decode::Options,
    cage: Option<&Caged>,
) -> Result<image::RgbaImage, Refusal> {
    let bytes = fs::read(path).map_err(|source| Error::Read {
        path: path.into(),
        source,
    })?;
    // The person's word on how the inputs lie is none on this one.
    let options = &decode::Options {
        orientation: None,
        ..*options
    };
    let decoded = match cage {
        Some(cage) => cage.photo(&bytes, options).map_err(|source| Error::Cage {
            path: path.into(),
            source,
        })?,
        None => decode::photo(&bytes, options),
    };
    let photo = decoded.map_err(|source| Error::Decode {
        path: path.into(),
        source,
    })?;
    Ok(photo.frame.into_pixels().into_rgba8())
}
