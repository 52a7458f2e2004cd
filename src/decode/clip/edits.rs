//! Whether an MP4 or MOV file is to be played at other speeds than it was recorded, which ffmpeg takes no notice of: the
//! frames would come at other times than its players show them.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
};

use super::cut::Parts;

/// Largest index that is looked into, in bytes.
const MOST: u64 = 256 << 20;
/// The usual speed in 16.16.
const USUAL: u32 = 0x1_0000;

/// Whether an edit list asks for another speed, or for a picture that stands. What can't be read is for ffmpeg to judge.
pub(super) fn other_speeds(file: &File) -> bool {
    let index = index(file);
    let _ = (&*file).seek(SeekFrom::Start(0));
    index.is_ok_and(|index| {
        let lists = boxes(&index)
            .filter(|(name, _)| name == b"trak")
            .flat_map(|(_, track)| boxes(track))
            .filter(|(name, _)| name == b"edts")
            .flat_map(|(_, edits)| boxes(edits));
        lists
            .filter(|(name, _)| name == b"elst")
            .any(|(_, list)| speeds(list).any(|s| s != USUAL))
    })
}

/// When a track's last frame ends by the track's own header, in seconds of the whole film; `None` where it does not
/// say so. The durations of the track's samples count from the first time of decoding, and end too early where frames
/// are stored in another order than they are shown in. `track`: counted from 0.
pub(super) fn shown_until(file: &File, track: u64) -> Option<f64> {
    let index = index(file);
    let _ = (&*file).seek(SeekFrom::Start(0));
    let index = index.ok()?;
    let inside = |name: [u8; 4]| move |(n, body): (&[u8], _)| (n == name).then_some(body);
    let mvhd: &[u8] = boxes(&index).find_map(inside(*b"mvhd"))?;
    let scale = if mvhd.first() == Some(&1) { 20 } else { 12 };
    let scale = number(mvhd.get(scale..scale + 4)?);
    let mut tracks = boxes(&index).filter_map(inside(*b"trak"));
    let tkhd: &[u8] =
        boxes(tracks.nth(usize::try_from(track).ok()?)?).find_map(inside(*b"tkhd"))?;
    let wide = tkhd.first() == Some(&1);
    let length = tkhd.get(if wide { 28..36 } else { 20..24 })?;
    // All ones: unknown.
    let known = scale > 0 && length.iter().any(|b| *b != 0xFF);
    let units = length.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    (known && units > 0).then(|| units as f64 / f64::from(scale))
}

/// The file's `moov` box, without its head; empty if there is none.
fn index(file: &File) -> io::Result<Vec<u8>> {
    let mut parts = Parts::of(file)?;
    loop {
        let head = parts.head()?;
        let end = parts.end(&head)?;
        if head.name == *b"moov" {
            return parts.inside(end, MOST);
        }
        if !parts.over(end)? {
            return Ok(Vec::new());
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

/// The boxes in a box: names and contents.
fn boxes(inside: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = inside;
    std::iter::from_fn(move || {
        let size = number(rest.get(..4)?) as usize;
        let part = rest.get(..size.max(8))?;
        rest = &rest[part.len()..];
        Some((&part[4..8], &part[8..]))
    })
}

/// The speeds in an edit list, but for those of edits that show nothing.
fn speeds(list: &[u8]) -> impl Iterator<Item = u32> {
    let wide = list.first() == Some(&1);
    let (time, step) = if wide { (8..16, 20) } else { (4..8, 12) };
    let entries = list.get(8..).unwrap_or_default().chunks_exact(step);
    entries
        .filter(move |e| e[time.clone()].iter().any(|b| *b != 0xff))
        .map(move |e| number(&e[step - 4..]))
}
