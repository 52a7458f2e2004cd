//! What a file is where its first bytes alone don't tell: JPEG pictures in a row, MP4 and MOV files that begin with
//! other boxes than the usual ones, transport streams behind something else.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::{HEAD, Kind, known_video, sniff};
use crate::format::Format;

/// Boxes that may stand before the ones by which an MP4 or MOV file is recognised.
const BEFORE: [&[u8; 4]; 9] = [
    b"free", b"skip", b"udta", b"uuid", b"wide", b"junk", b"pict", b"PICT", b"meta",
];
/// Boxes by which it is recognised.
const DECISIVE: [&[u8; 4]; 6] = [b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"pnot"];
/// Most boxes that are read before one of those.
const MOST_BOXES: usize = 64;

/// A transport stream is searched for in this many bytes, as ffmpeg does.
const RESYNC: u64 = 1 << 16;
/// Sizes of its packets: plain, with a time before each, with a checksum behind each.
const PACKETS: [usize; 3] = [188, 192, 204];
/// Packets in a row that are enough.
const ENOUGH_PACKETS: usize = 8;

/// Frames of one size in a row from which JPEG pictures are a video.
const ENOUGH_FRAMES: usize = 3;
/// Longest JPEG picture that is walked through, in bytes.
const LONGEST_FRAME: u64 = 256 << 20;
/// Most bytes of padding between two of them.
const MOST_PADDING: usize = 64;

/// Says what a whole file is, read from its beginning.
///
/// # Errors
/// What reading it gives.
pub fn sniff_file(file: &mut (impl Read + Seek)) -> io::Result<Kind> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(match sniff(&head) {
        Kind::Photo(Format::Jpeg) if jpegs_in_a_row(file)? => known_video("Motion JPEG video"),
        Kind::Other => match boxes(file)? {
            Some(kind) => kind,
            None if transport_stream(file, &head)? => known_video("MPEG-TS video"),
            None => Kind::Other,
        },
        kind => kind,
    })
}

/// What a file is that begins with boxes of the ISO base media format, by the first decisive one.
fn boxes(file: &mut (impl Read + Seek)) -> io::Result<Option<Kind>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut at = 0;
    for _ in 0..MOST_BOXES {
        if at + 8 > length {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let mut head = Vec::new();
        file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        let Some((size, name)) = head.split_first_chunk::<4>() else {
            break;
        };
        let is = |names: &[&[u8; 4]]| names.iter().any(|n| name.starts_with(*n));
        if is(&DECISIVE) {
            let kind = sniff(&head);
            let known = kind.is_media();
            return Ok(Some(if known {
                kind
            } else {
                known_video("QuickTime video (MOV)")
            }));
        }
        let size = match (u32::from_be_bytes(*size), head.get(8..16)) {
            (1, Some(long)) => long.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
            (size, _) => size.into(),
        };
        if size < 8 || !is(&BEFORE) {
            break;
        }
        at = at.saturating_add(size);
    }
    Ok(None)
}

/// Whether packets of a transport stream follow each other somewhere near the beginning, or behind an ID3 tag.
fn transport_stream(file: &mut (impl Read + Seek), head: &[u8]) -> io::Result<bool> {
    // Ten bytes of head; the size has seven bits in each byte.
    let tag = head.get(..10).filter(|h| h.starts_with(b"ID3"));
    let start = tag.map_or(0, |h| {
        10 + h[6..].iter().fold(0, |n, b| n << 7 | u64::from(b & 0x7F))
    });
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(RESYNC).read_to_end(&mut bytes)?;
    // No transport error, and a payload or an adaptation field.
    let begins = |at: usize| {
        bytes
            .get(at..at + 4)
            .is_some_and(|p| p[0] == 0x47 && p[1] & 0x80 == 0 && p[3] & 0x30 != 0)
    };
    let follow = |at: usize, size: usize| (0..ENOUGH_PACKETS).all(|i| begins(at + i * size));
    Ok((0..bytes.len()).any(|at| begins(at) && PACKETS.iter().any(|size| follow(at, *size))))
}

/// Whether JPEG pictures of one size follow each other from the file's beginning on, as a camera's raw stream has
/// them. Pictures with a multi-picture index (stereo pairs, previews) are a photo, and so is what is followed by
/// smaller pictures (gain and depth maps).
fn jpegs_in_a_row(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut from = BufReader::with_capacity(1 << 16, file);
    let mut size = None;
    for frame in 1..=ENOUGH_FRAMES {
        let walk = walk_jpeg(&mut from, frame == ENOUGH_FRAMES);
        let next = match walk {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            other => other?,
        };
        if next.is_none() || size.is_some() && size != next {
            return Ok(false);
        }
        size = next;
    }
    Ok(true)
}

/// Walks over one JPEG picture, or up to its size only. Gives its height and width; `None` where none begins here, or
/// one that belongs to a multi-picture file.
fn walk_jpeg(from: &mut (impl BufRead + Seek), only_size: bool) -> io::Result<Option<[u8; 4]>> {
    let mut byte = byte_of(from)?;
    for _ in 0..MOST_PADDING {
        if !matches!(byte, 0 | 0xFF) {
            break;
        }
        let before = byte;
        byte = byte_of(from)?;
        if before == 0xFF && byte == 0xD8 {
            return segments(from, only_size);
        }
    }
    Ok(None)
}

fn byte_of(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// The rest of a JPEG picture behind its first marker.
fn segments(from: &mut (impl BufRead + Seek), only_size: bool) -> io::Result<Option<[u8; 4]>> {
    let (mut size, mut walked) = (None, 0);
    loop {
        let (marker, over) = next_marker(from)?;
        walked += over;
        if walked > LONGEST_FRAME {
            return Ok(None);
        }
        match marker {
            0xD9 => return Ok(size),
            // One inside another is not a stream of pictures.
            0xD8 => return Ok(None),
            0x00 | 0x01 | 0xD0..=0xD7 => continue,
            _ => {}
        }
        let mut length = [0; 2];
        from.read_exact(&mut length)?;
        let length = usize::from(u16::from_be_bytes(length)).saturating_sub(2);
        let mut begin = [0; 5];
        let read = length.min(begin.len());
        from.read_exact(&mut begin[..read])?;
        match marker {
            0xE2 if begin.starts_with(b"MPF\0") => return Ok(None),
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                size = Some([begin[1], begin[2], begin[3], begin[4]]);
                if only_size {
                    return Ok(size);
                }
            }
            _ => {}
        }
        let rest = length - read;
        io::copy(&mut from.by_ref().take(rest as u64), &mut io::sink())?;
        walked += rest as u64;
    }
}

/// The next marker, and over how many bytes it was found: compressed data has none but those of restarts.
fn next_marker(from: &mut impl BufRead) -> io::Result<(u8, u64)> {
    let mut over = 0;
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let found = buffer.iter().position(|b| *b == 0xFF);
        let used = found.map_or(buffer.len(), |at| at + 1);
        from.consume(used);
        over += used as u64;
        if over > LONGEST_FRAME {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if found.is_none() {
            continue;
        }
        let mut marker = byte_of(from)?;
        while marker == 0xFF {
            marker = byte_of(from)?;
        }
        if !matches!(marker, 0x00 | 0xD0..=0xD7) {
            return Ok((marker, over));
        }
    }
}
