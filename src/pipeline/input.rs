//! What an input is, by its first bytes.

use std::{
    io::{self, Cursor, Read},
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    Progress,
    patient::{Patient, leaving},
};
use crate::{decode, discover::Source};

/// What came on standard input.
pub(super) struct Piped {
    /// All of it, or of a stream its beginning.
    pub(super) bytes: Vec<u8>,
    /// The rest of a stream, which is read while it is worked on, and what ends that.
    pub(super) rest: Option<(Patient, Arc<AtomicBool>)>,
}

pub(super) fn read_stdin(limit: u64, progress: &dyn Progress) -> io::Result<Piped> {
    let over = Arc::new(AtomicBool::new(false));
    let mut stdin = Patient::stdin(Arc::clone(&over));
    let mut bytes = Vec::new();
    let head = decode::HEAD.min(usize::try_from(limit).unwrap_or(usize::MAX));
    let streams = leaving(&over, progress, || {
        (&mut stdin).take(head as u64).read_to_end(&mut bytes)?;
        let streams = bytes.starts_with(decode::y4m::SIGNATURE);
        if !streams {
            let rest = limit.saturating_add(1) - bytes.len() as u64;
            (&mut stdin).take(rest).read_to_end(&mut bytes)?;
        }
        Ok::<bool, io::Error>(streams)
    })?;
    Ok(Piped {
        bytes,
        rest: streams.then_some((stdin, over)),
    })
}

pub(super) fn format_of(source: &Source, stdin: Option<&Vec<u8>>) -> Option<crate::Format> {
    let kind = match source {
        Source::Stdin => stdin.and_then(|bytes| decode::sniff_file(&mut Cursor::new(bytes)).ok()),
        Source::File(_) => kind_of(source),
    };
    match kind? {
        decode::Kind::Photo(format) | decode::Kind::Heif(format) => Some(format),
        decode::Kind::Video(_, decode::Y4M) => Some(crate::Format::Y4m),
        decode::Kind::Video(_, demuxer) if *source != Source::Stdin => {
            let webm = demuxer == "matroska"
                && head_of(source).is_some_and(|h| h.windows(4).take(64).any(|w| w == b"webm"));
            Some(if webm {
                crate::Format::WebM
            } else {
                crate::Format::Mp4
            })
        }
        _ => None,
    }
}

/// An ordinary file, opened.
fn file_of(source: &Source) -> Option<std::fs::File> {
    let Source::File(path) = source else {
        return None;
    };
    // Opening a pipe twice would lose what it gives.
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
        return None;
    }
    std::fs::File::open(path).ok()
}

/// The first bytes of an ordinary file.
fn head_of(source: &Source) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    file_of(source)?
        .take(decode::HEAD as u64)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// Suffixes of videos.
const VIDEO_SUFFIXES: [&str; 52] = [
    "264", "265", "3g2", "3gp", "amv", "asf", "av1", "avi", "bik", "cine", "dav", "divx", "dv",
    "evo", "f4v", "flc", "fli", "flv", "gxf", "h264", "h265", "hevc", "insv", "ivf", "lrv", "m1v",
    "m2p", "m2t", "m2ts", "m2v", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts",
    "mxf", "nsv", "nut", "obu", "ogm", "ogv", "qt", "r3d", "rmvb", "vob", "webm", "wmv", "wtv",
];
/// How the side files begin that macOS writes beside others on foreign disks (AppleDouble).
const SIDE_FILE: &[u8] = b"\0\x05\x16\x07";

/// Whether a file that is not recognised has the name of a video and is not a text: it must not be skipped in
/// silence.
pub(super) fn named_as_video(source: &Source) -> bool {
    let suffix = source.path().extension().and_then(|s| s.to_str());
    let video = suffix.is_some_and(|s| VIDEO_SUFFIXES.iter().any(|v| v.eq_ignore_ascii_case(s)));
    let binary = |head: &[u8]| head.contains(&0) && !head.starts_with(SIDE_FILE);
    video && head_of(source).is_some_and(|head| binary(&head))
}

/// What an ordinary file is, by its content.
pub(super) fn kind_of(source: &Source) -> Option<decode::Kind> {
    decode::sniff_file(&mut file_of(source)?).ok()
}
