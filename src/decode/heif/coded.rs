//! Coded pictures → the stream of a video that `ffmpeg` decodes: HEVC or AV1, a picture each.

use super::super::DecodeError;
use super::items::Numbers;

/// What decodes a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Hevc,
    Av1,
}

/// What an item's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) codec: Codec,
    /// More than 8 bits a sample.
    pub(super) deep: bool,
    /// No colours.
    pub(super) grey: bool,
    /// Bytes of the length before each unit, for HEVC.
    length: usize,
    /// Parameter sets that come before the picture, as they stand in the stream.
    head: Vec<u8>,
}

fn broken() -> DecodeError {
    DecodeError::Damaged("the set-up of its codec is broken".into())
}

/// Begins each unit of HEVC.
const START: [u8; 4] = [0, 0, 0, 1];

impl Config {
    /// From an `hvcC` property (ISO/IEC 14496-15, 8.3.3).
    pub(super) fn hevc(property: &[u8]) -> Result<Self, DecodeError> {
        let read = || {
            let mut numbers = Numbers(property);
            numbers.take(16)?;
            let chroma = numbers.int(1)? & 3;
            let luma = numbers.int(1)? & 7;
            numbers.take(3)?;
            let length = (numbers.int(1)? & 3) as usize + 1;
            let mut head = Vec::new();
            for _ in 0..numbers.int(1)? {
                numbers.take(1)?;
                for _ in 0..numbers.int(2)? {
                    let size = numbers.int(2)? as usize;
                    head.extend(START);
                    head.extend(numbers.take(size)?);
                }
            }
            Some(Self {
                codec: Codec::Hevc,
                deep: luma > 0,
                grey: chroma == 0,
                length,
                head,
            })
        };
        read().ok_or_else(broken)
    }

    /// From an `av1C` property (AV1 in ISO base media files, 2.3).
    pub(super) fn av1(property: &[u8]) -> Result<Self, DecodeError> {
        let (head, units) = property.split_at_checked(4).ok_or_else(broken)?;
        Ok(Self {
            codec: Codec::Av1,
            deep: head[2] & 0x40 != 0,
            grey: head[2] & 0x10 != 0,
            length: 0,
            head: units.to_vec(),
        })
    }

    /// Appends an item's picture to a stream of the kind that [`begin`] began.
    pub(super) fn append(&self, data: &[u8], stream: &mut Vec<u8>) -> Result<(), DecodeError> {
        match self.codec {
            Codec::Hevc => self.units(data, stream),
            Codec::Av1 => {
                // A frame of IVF: its length, its time, a delimiter, what comes before pictures.
                let delimiter: &[u8] = &[0x12, 0];
                let head: &[u8] = if begins_with_header(data) {
                    &[]
                } else {
                    &self.head
                };
                let length = delimiter.len() + head.len() + data.len();
                let length = u32::try_from(length).map_err(|_| broken())?;
                stream.extend(length.to_le_bytes());
                stream.extend([0; 8]);
                stream.extend([delimiter, head, data].concat());
                Ok(())
            }
        }
    }

    fn units(&self, data: &[u8], stream: &mut Vec<u8>) -> Result<(), DecodeError> {
        stream.extend(&self.head);
        let mut numbers = Numbers(data);
        while !numbers.0.is_empty() {
            let unit = numbers
                .int(self.length)
                .and_then(|size| numbers.take(size as usize))
                .ok_or_else(|| DecodeError::Damaged("its picture's data are broken".into()))?;
            stream.extend(START);
            stream.extend(unit);
        }
        Ok(())
    }
}

/// Whether a sequence header comes before the picture.
fn begins_with_header(data: &[u8]) -> bool {
    const HEADER: u8 = 1;
    const DELIMITER: u8 = 2;
    let kind = |at: usize| data.get(at).map(|b| b >> 3 & 15);
    match kind(0) {
        Some(DELIMITER) => kind(2) == Some(HEADER),
        first => first == Some(HEADER),
    }
}

/// The beginning of a stream.
pub(super) fn begin(codec: Codec) -> Vec<u8> {
    match codec {
        Codec::Hevc => Vec::new(),
        // IVF: signature, version, length of this head, codec; size and count say nothing here;
        // 25 pictures a second.
        Codec::Av1 => [
            &b"DKIF\0\0\x20\0AV01"[..],
            &[0; 4],
            &25u32.to_le_bytes(),
            &1u32.to_le_bytes(),
            &[0; 8],
        ]
        .concat(),
    }
}

/// The demuxer for it, by its name in ffmpeg.
pub(super) const fn demuxer(codec: Codec) -> &'static str {
    match codec {
        Codec::Hevc => "hevc",
        Codec::Av1 => "ivf",
    }
}
