//! The head of a WebM file, mended where it lies: names that say nothing, and a duration that
//! holds the last picture's.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
};

use super::EncodeError;
use crate::ffmpeg::StreamError;

/// The head is looked for in so many bytes.
const HEAD: u64 = 4096;
/// The elements with names: of the muxing and the writing program, four letters each.
const NAMES: [&[u8]; 2] = [b"\x4D\x80\x84Lavf", b"\x57\x41\x84Lavf"];
/// The name of a tag, as it stands behind the head of its element.
const ENCODER: &[u8] = b"\x45\xA3\x87ENCODER";
/// The duration, a number of eight bytes, in milliseconds.
const DURATION: &[u8] = b"\x44\x89\x88";

fn io(error: std::io::Error) -> EncodeError {
    EncodeError::Video(StreamError::Pipe(error.to_string()))
}

/// Mends the head. `end`: when the last picture ends, in seconds.
pub(super) fn tidy(mut file: &File, end: f64) -> Result<(), EncodeError> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    file.take(HEAD).read_to_end(&mut head).map_err(io)?;
    let find = |head: &[u8], what: &[u8]| head.windows(what.len()).position(|w| w == what);
    for name in NAMES {
        if let Some(at) = find(&head, name) {
            head[at + 3..at + 7].copy_from_slice(b"none");
        }
    }
    // A tag with the encoder's name becomes unused room: its own head has three bytes, and so has
    // that of the room.
    while let Some(at) = find(&head, ENCODER) {
        let start = at.saturating_sub(3);
        let end = start + 3 + usize::from(head[at - 1] & 0x7F);
        let Some(tag) = head
            .get_mut(start..end)
            .filter(|t| t.starts_with(&[0x67, 0xC8]))
        else {
            return Err(EncodeError::Video(StreamError::Nut(
                "a WebM file with an unusual tag".into(),
            )));
        };
        tag[3..].fill(0);
        (tag[0], tag[1], tag[2]) = (0xEC, 0x40, tag[2] & 0x7F);
    }
    if let Some(at) = find(&head, DURATION)
        && let Some(number) = head.get_mut(at + 3..at + 11)
    {
        let was = f64::from_be_bytes([
            number[0], number[1], number[2], number[3], number[4], number[5], number[6], number[7],
        ]);
        number.copy_from_slice(&was.max(end * 1000.0).to_be_bytes());
    }
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    file.write_all(&head).map_err(io)
}
