//! Whether a file breaks off where ffmpeg would not notice: an MPEG transport stream is packets of
//! one size, and one that ends inside a packet lost what came behind it too.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

/// Sizes of packets in bytes, and where in them the byte stands that begins them all: the usual
/// ones, those of cameras with a time before each, those with a checksum behind each.
const PACKETS: [(u64, usize); 3] = [(188, 0), (192, 4), (204, 0)];
const BEGIN: u8 = 0x47;
/// Packets that are looked at.
const LOOKED: usize = 5;

/// What is wrong with the length of a file, if it can be told.
pub(super) fn cut(mut file: &File, demuxer: &str) -> Option<&'static str> {
    if demuxer != "mpegts" {
        return None;
    }
    let length = file.metadata().ok()?.len();
    let mut head = Vec::new();
    file.rewind().ok()?;
    file.take(LOOKED as u64 * 204).read_to_end(&mut head).ok()?;
    file.seek(SeekFrom::Start(0)).ok()?;
    let (size, _) = PACKETS.into_iter().find(|&(size, at)| {
        let mut begins = head.iter().skip(at).step_by(size as usize).take(LOOKED);
        begins.all(|b| *b == BEGIN)
    })?;
    (length % size != 0).then_some("breaks off inside a packet")
}
