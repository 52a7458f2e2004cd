//! What coders must know beforehand, as the index has it: parameters and nothing else.

use super::{
    super::frames::sequence,
    parameters::{self, Shown},
};

/// Most bytes of all parameter sets together: the usual ones have about a hundred.
const MOST_SETS: usize = 512;
/// Most picture parameter sets: the usual encoders write one.
const MOST_PICTURE_SETS: usize = 4;

/// Parameter sets of an H.264 or H.265 configuration, and what is shown by them.
pub(super) struct Sets {
    /// All of them, whole.
    pub(super) all: Vec<Vec<u8>>,
    /// Numbers of the picture parameter sets.
    pub(super) pictures: Vec<u32>,
    pub(super) shown: Shown,
}

/// A set behind its length of two bytes, and the place behind it.
fn set(b: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let size = usize::from(u16::from_be_bytes([*b.get(at)?, *b.get(at + 1)?]));
    let end = at + 2 + size;
    Some((b.get(at + 2..end)?, end))
}

/// As many sets from a place on.
fn several<'a>(b: &'a [u8], count: usize, at: &mut usize) -> Option<Vec<&'a [u8]>> {
    (0..count)
        .map(|_| {
            let (unit, end) = set(b, *at)?;
            *at = end;
            Some(unit)
        })
        .collect()
}

/// The numbers of picture parameter sets; they must rise, so that none comes twice.
fn numbers(units: &[&[u8]], read: fn(&[u8]) -> Option<u32>) -> Option<Vec<u32>> {
    let all: Vec<u32> = units.iter().map(|u| read(u)).collect::<Option<_>>()?;
    let few = (1..=MOST_PICTURE_SETS).contains(&all.len());
    (few && all.windows(2).all(|w| w[0] < w[1])).then_some(all)
}

fn together(units: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    let few = units.iter().map(|u| u.len()).sum::<usize>() <= MOST_SETS;
    few.then(|| units.iter().map(|u| u.to_vec()).collect())
}

/// The sets of an H.264 configuration that holds its parameters and nothing else.
pub(super) fn avcc(b: &[u8]) -> Option<Sets> {
    // Version 1, reserved bits, one sequence parameter set.
    if *b.first()? != 1 || !matches!(b.get(4)?, 0xFC | 0xFD | 0xFF) || *b.get(5)? != 0xE1 {
        return None;
    }
    let (sequence, mut at) = set(b, 6)?;
    let first = parameters::avc(sequence)?;
    // Profile and level are those of the set.
    if b.get(1..4)? != sequence.get(1..4)? {
        return None;
    }
    let count = usize::from(*b.get(at)?);
    at += 1;
    let pictures = several(b, count, &mut at)?;
    // High profiles: chroma and depths, no extended parameters.
    let (chroma, luma, depth) = first.kind;
    let more = [
        0xFC | chroma as u8,
        0xF8 | luma as u8,
        0xF8 | depth as u8,
        0,
    ];
    let rest = &b[at..];
    let right = rest.is_empty() || rest == more && parameters::high(b[1].into());
    if !right {
        return None;
    }
    Some(Sets {
        pictures: numbers(&pictures, parameters::avc_picture)?,
        all: together(&[&[sequence], &pictures[..]].concat())?,
        shown: first.shown,
    })
}

/// The first sequence parameter set of an H.265 configuration, whatever else it holds.
pub(super) fn hvcc_sequence(b: &[u8]) -> Option<&[u8]> {
    let mut at = 23;
    for _ in 0..*b.get(22)? {
        let kind = *b.get(at)? & 0x3F;
        let count = u16::from_be_bytes([*b.get(at + 1)?, *b.get(at + 2)?]);
        at += 3;
        for _ in 0..count {
            let (unit, end) = set(b, at)?;
            if kind == 33 {
                return Some(unit);
            }
            at = end;
        }
    }
    None
}

/// The sets of an H.265 configuration that holds its parameters and nothing else.
pub(super) fn hvcc(b: &[u8]) -> Option<Sets> {
    let head = b.get(..23)?;
    let mut at = 23;
    let mut all = Vec::new();
    // Of each kind one array: of videos, sequences, pictures.
    if head[22] != 3 {
        return None;
    }
    for kind in 32..=34u8 {
        let array = b.get(at..at + 3)?;
        let count = usize::from(u16::from_be_bytes([array[1], array[2]]));
        at += 3;
        let units = several(b, count, &mut at)?;
        let right = array[0] & 0x7F == kind
            && (kind == 34 || count == 1)
            && units.iter().all(|u| u.starts_with(&[kind << 1, 1]));
        if !right {
            return None;
        }
        all.push(units);
    }
    let (video, sequence) = (all[0][0], all[1][0]);
    let first = parameters::hevc(sequence)?;
    parameters::hevc_video(video)?;
    let (chroma, luma, depth) = first.kind;
    // Smallest segment in space, kind of parallel decoding; the picture rate is not said.
    let right = head[0] == 1
        && parameters::hevc_profile(sequence)? == head[1..13]
        && head[13] & 0xF0 == 0xF0
        && head[15] & 0xFC == 0xFC
        && head[16] == 0xFC | chroma as u8
        && head[17] == 0xF8 | luma as u8
        && head[18] == 0xF8 | depth as u8
        && head[19..21] == [0, 0]
        && head[21] >> 6 == 0
        && matches!(head[21] & 3, 0 | 1 | 3)
        && at == b.len();
    if !right {
        return None;
    }
    Some(Sets {
        pictures: numbers(&all[2], parameters::hevc_picture)?,
        all: together(&all.concat())?,
        shown: first.shown,
    })
}

/// Whether an AV1 configuration holds four bytes, the sequence's header and nothing else.
pub(in super::super) fn av1c(b: &[u8]) -> bool {
    // Marker and version; kind 1 with a length of one byte and no extension.
    let Some((&[0x81, level, depth, 0, 0x0A, size], body)) = b.split_first_chunk::<6>() else {
        return false;
    };
    let Some(sequence) = sequence(body) else {
        return false;
    };
    usize::from(size) == body.len() && [level, depth] == sequence.said
}

/// Whether VP9's parameters are numbers and nothing else: profile, level, depth and colours.
pub(super) fn vpcc(b: &[u8]) -> bool {
    let Some(
        &[
            1,
            0,
            0,
            0,
            profile,
            level,
            depth,
            primaries,
            transfer,
            matrix,
            0,
            0,
        ],
    ) = b.first_chunk::<12>()
    else {
        return false;
    };
    let colours = [primaries, transfer, matrix];
    b.len() == 12
        && profile < 4
        && (level == 0 || level % 10 < 3 && (10..63).contains(&level))
        && matches!(depth >> 4, 8 | 10 | 12)
        && depth >> 1 & 7 < 4
        && (0..3).all(|i| self::colours(i, colours[i]))
}

/// Whether a number of colour primaries (0), transfer (1) or matrix (2) is one that has a meaning.
pub(in super::super) const fn colours(which: usize, value: u8) -> bool {
    match which {
        0 => matches!(value, 1 | 2 | 4..=12 | 22),
        1 => matches!(value, 1 | 2 | 4..=18),
        _ => value <= 14 && value != 3,
    }
}

/// Whether a rate of sound in Hertz is a usual one; 0 where it does not fit.
pub(in super::super) const fn rate(hertz: u32) -> bool {
    matches!(
        hertz,
        0 | 7350 | 8000 | 11025 | 12000 | 16000 | 22050 | 24000 | 32000 | 44100 | 48000
    )
}

/// Whether width and height of a pixel are in lowest terms and not absurd.
pub(super) fn shape((wide, high): (u32, u32)) -> bool {
    let (mut a, mut b) = (wide, high);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1 && wide < 1 << 16 && high < 1 << 16
}

/// Whether AAC's parameters are what players need and nothing else: a stream's, a decoder's, the
/// coder's own, a packet's.
pub(super) fn esds(b: &[u8]) -> bool {
    // Tags with lengths of one byte or of four.
    fn part(b: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
        let (&found, rest) = b.split_first()?;
        let (size, rest) = match *rest {
            [0x80, 0x80, 0x80, size, ..] => (size, &rest[4..]),
            [size, ..] => (size, &rest[1..]),
            [] => return None,
        };
        let inside = size < 0x80 && usize::from(size) <= rest.len();
        (found == tag && inside).then(|| rest.split_at(size.into()))
    }
    let number = |b: &[u8]| b.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
    let right = || {
        let (stream, behind) = part(b.strip_prefix(&[0; 4])?, 3)?;
        let (decoder, packet) = part(stream.get(3..)?, 4)?;
        let (own, after) = part(decoder.get(13..)?, 5)?;
        let (last, end) = part(packet, 6)?;
        // The stream's number and no flags; sound in MPEG-4; a buffer and rates in bits a second.
        let plain = number(&stream[..2]) <= 16
            && stream[2] == 0
            && decoder[..2] == [0x40, 0x15]
            && number(&decoder[2..5]) <= 1 << 16
            && number(&decoder[5..9]) <= 1 << 21
            && number(&decoder[9..13]) <= 1 << 21
            && aac(own)
            && last == [2];
        Some(plain && behind.is_empty() && after.is_empty() && end.is_empty())
    };
    right() == Some(true)
}

/// Whether AAC's own parameters are a kind, a rate and channels, and nothing else.
fn aac(own: &[u8]) -> bool {
    let bits =
        own.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) << (64 - 8 * own.len().clamp(1, 8));
    let (kind, rate) = (bits >> 59, bits >> 55 & 15);
    // Low complexity: no rest of the second byte; then, perhaps, that no band is added.
    let low = kind == 2 && bits >> 48 & 7 == 0;
    let plain = own.len() == 2 || own.len() == 5 && own[2..] == [0x56, 0xE5, 0];
    // With bands added: another rate, the first kind again, three bits, and nothing in the rest.
    let more = matches!(kind, 5 | 29)
        && own.len() == 4
        && bits >> 47 & 15 < 13
        && bits >> 42 & 31 == 2
        && bits << 22 == 0;
    rate < 13 && (low && plain || more)
}

/// Whether Opus' parameters are numbers and nothing else; `head`: bytes before the channels. `big`:
/// numbers begin with their highest byte.
pub(in super::super) fn opus(b: &[u8], head: usize, big: bool) -> bool {
    let Some(fixed) = b.get(head..head + 10) else {
        return false;
    };
    let mut fields = [
        [0, 0, fixed[1], fixed[2]],
        [fixed[3], fixed[4], fixed[5], fixed[6]],
    ];
    if !big {
        fields[0] = [0, 0, fixed[2], fixed[1]];
        fields[1].reverse();
    }
    let [skipped, hertz] = fields.map(u32::from_be_bytes);
    let channels = fixed[0];
    // Samples that are skipped at the beginning; the rate before it was coded; no gain.
    let plain = skipped <= 8192 && (rate(hertz) || hertz == 96_000) && fixed[7..9] == [0, 0];
    let mapped = || {
        let map = b.get(head + 10..)?;
        let (streams, coupled) = (*map.first()?, *map.get(1)?);
        let mut order: Vec<u8> = map.get(2..)?.to_vec();
        order.sort_unstable();
        let all = order.iter().copied().eq(0..channels);
        Some(all && streams.checked_add(coupled) == Some(channels) && coupled <= streams)
    };
    plain
        && match fixed[9] {
            0 => b.len() == head + 10 && (1..=2).contains(&channels),
            1 => (1..=8).contains(&channels) && mapped() == Some(true),
            _ => false,
        }
}
