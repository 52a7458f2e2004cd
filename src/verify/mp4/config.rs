//! What coders must know beforehand, as the index has it: parameters and nothing else.

use super::super::frames::sequence;

/// The first sequence parameter set of an H.264 configuration.
pub(super) fn avcc_set(b: &[u8]) -> Option<&[u8]> {
    let size = usize::from(u16::from_be_bytes([*b.get(6)?, *b.get(7)?]));
    b.get(8..8 + size)
}

/// The first sequence parameter set of an H.265 configuration.
pub(super) fn hvcc_set(b: &[u8]) -> Option<&[u8]> {
    let mut at = 23;
    for _ in 0..*b.get(22)? {
        let kind = *b.get(at)? & 0x3F;
        let count = u16::from_be_bytes([*b.get(at + 1)?, *b.get(at + 2)?]);
        at += 3;
        for _ in 0..count {
            let size = usize::from(u16::from_be_bytes([*b.get(at)?, *b.get(at + 1)?]));
            if kind == 33 {
                return b.get(at + 2..at + 2 + size);
            }
            at += 2 + size;
        }
    }
    None
}

/// Whether an H.264 configuration holds its parameters and nothing else.
pub(super) fn avcc(b: &[u8]) -> bool {
    let Some(&count) = b.get(5) else { return false };
    let mut at = 6;
    let sets = |count: u8, kind: u8, at: &mut usize| {
        (0..count).all(|_| {
            let Some(size) = b
                .get(*at..*at + 2)
                .map(|s| usize::from(u16::from_be_bytes([s[0], s[1]])))
            else {
                return false;
            };
            let right = b.get(*at + 2).is_some_and(|h| h & 0x1F == kind);
            *at += 2 + size;
            right && *at <= b.len()
        })
    };
    if !sets(count & 0x1F, 7, &mut at) {
        return false;
    }
    let Some(&count) = b.get(at) else {
        return false;
    };
    at += 1;
    if !sets(count, 8, &mut at) {
        return false;
    }
    // High profiles: chroma and depth, no extended parameters.
    at == b.len() || (at + 4 == b.len() && b[at + 3] == 0)
}

/// Whether an H.265 configuration holds its parameters and nothing else.
pub(super) fn hvcc(b: &[u8]) -> bool {
    let Some(&arrays) = b.get(22) else {
        return false;
    };
    let mut at = 23;
    for _ in 0..arrays {
        let Some(head) = b.get(at..at + 3) else {
            return false;
        };
        if !matches!(head[0] & 0x3F, 32..=34) {
            return false;
        }
        at += 3;
        for _ in 0..u16::from_be_bytes([head[1], head[2]]) {
            let Some(size) = b.get(at..at + 2) else {
                return false;
            };
            at += 2 + usize::from(u16::from_be_bytes([size[0], size[1]]));
        }
    }
    at == b.len()
}

/// Most bytes of all parameter sets together: the usual ones have about a hundred.
const MOST_SETS: usize = 512;

/// All parameter sets of an H.264 or H.265 configuration that was found right, whole.
pub(super) fn sets(b: &[u8], hevc: bool) -> Option<Vec<Vec<u8>>> {
    let (mut all, mut at) = (Vec::new(), if hevc { 23 } else { 5 });
    let groups = if hevc { *b.get(22)? } else { 2 };
    for group in 0..groups {
        let count = if hevc {
            at += 3;
            u16::from_be_bytes([*b.get(at - 2)?, *b.get(at - 1)?])
        } else {
            at += 1;
            let mask = if group == 0 { 0x1F } else { 0xFF };
            u16::from(*b.get(at - 1)? & mask)
        };
        for _ in 0..count {
            let size = usize::from(u16::from_be_bytes([*b.get(at)?, *b.get(at + 1)?]));
            all.push(b.get(at + 2..at + 2 + size)?.to_vec());
            at += 2 + size;
        }
    }
    (all.iter().map(Vec::len).sum::<usize>() <= MOST_SETS).then_some(all)
}

/// Whether an AV1 configuration holds four bytes, the sequence's header and nothing else.
pub(in super::super) fn av1c(b: &[u8]) -> bool {
    // Marker and version; kind 1 with a length of one byte and no extension.
    let Some((&[0x81, _, _, _, 0x0A, size], body)) = b.split_first_chunk::<6>() else {
        return false;
    };
    usize::from(size) == body.len() && sequence(body).is_some()
}

/// Whether VP9's parameters are numbers and nothing else.
pub(super) fn vpcc(b: &[u8]) -> bool {
    b.len() == 12 && b[..4] == [1, 0, 0, 0] && b[10..] == [0, 0]
}

/// Whether AAC's parameters are what players need and nothing else: a stream's, a decoder's, the
/// coder's own of two to five bytes, a packet's.
pub(super) fn esds(b: &[u8]) -> bool {
    // Tags with lengths of one byte or of four.
    fn part(b: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
        let (&found, mut rest) = b.split_first()?;
        let mut size = 0;
        for _ in 0..4 {
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            size = size << 7 | usize::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return (found == tag && size <= rest.len()).then(|| rest.split_at(size));
            }
        }
        None
    }
    let right = || {
        let (stream, behind) = part(b.strip_prefix(&[0; 4])?, 3)?;
        let (decoder, packet) = part(stream.get(3..)?, 4)?;
        let (own, after) = part(decoder.get(13..)?, 5)?;
        let (last, end) = part(packet, 6)?;
        let plain = stream[2] == 0 && (2..=5).contains(&own.len()) && last == [2];
        Some(plain && behind.is_empty() && after.is_empty() && end.is_empty())
    };
    right() == Some(true)
}

/// Whether Opus' parameters are numbers and nothing else; `head`: bytes before the channels.
pub(in super::super) fn opus(b: &[u8], head: usize) -> bool {
    let channels = b.get(head).copied().map_or(0, usize::from);
    match b.get(head + 9) {
        Some(0) => b.len() == head + 10,
        Some(_) => b.len() == head + 12 + channels,
        None => false,
    }
}
