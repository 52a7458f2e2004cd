//! Whether an MP4 or MOV file is to be played at other speeds than it was recorded, which ffmpeg takes no notice of: the
//! frames would come at other times than its players show them.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

/// Largest index that is looked into, in bytes.
const MOST: u64 = 256 << 20;
/// The usual speed in 16.16.
const USUAL: u32 = 0x1_0000;

/// Whether an edit list asks for another speed, or for a picture that stands. What can't be read is for ffmpeg to judge.
pub(super) fn other_speeds(file: &File) -> bool {
    let index = index(file);
    let _ = (&*file).seek(SeekFrom::Start(0));
    index.is_ok_and(|index| {
        let lists = parts(&index)
            .filter(|(name, _)| name == b"trak")
            .flat_map(|(_, track)| parts(track))
            .filter(|(name, _)| name == b"edts")
            .flat_map(|(_, edits)| parts(edits));
        lists
            .filter(|(name, _)| name == b"elst")
            .any(|(_, list)| speeds(list).any(|s| s != USUAL))
    })
}

/// The file's `moov` box, without its head; empty if there is none.
fn index(file: &File) -> io::Result<Vec<u8>> {
    let mut from = BufReader::new(file);
    let mut at = from.seek(SeekFrom::Start(0))?;
    loop {
        let mut head = [0; 16];
        from.read_exact(&mut head[..8])?;
        let (mut size, mut before) = (u64::from(number(&head[..4])), 8);
        if size == 1 {
            from.read_exact(&mut head[8..])?;
            let (high, low) = (number(&head[8..12]), number(&head[12..]));
            (size, before) = (u64::from(high) << 32 | u64::from(low), 16);
        }
        if &head[4..8] == b"moov" {
            let mut index = Vec::new();
            let inside = size.saturating_sub(before).min(MOST);
            from.take(inside).read_to_end(&mut index)?;
            return Ok(index);
        }
        if size < before {
            return Ok(Vec::new());
        }
        at = at.saturating_add(size);
        from.seek(SeekFrom::Start(at))?;
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

/// The boxes in a box: names and contents.
fn parts(inside: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
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
