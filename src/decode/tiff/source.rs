//! One page of a TIFF as a file of its own, in which `tiff` finds the samples in the form it reads.
//!
//! The new file is a directory of the tags that the samples depend on, followed by the old file's
//! data, or by strips that were changed here: bits put into order (`FillOrder`), fax codings that
//! `tiff` does not read. Nothing is copied where nothing has to change.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use super::{Directory, compression, fax, is, places, rare, tag};
use crate::decode::{DecodeError, Options};

/// Tags of whole numbers that `tiff` needs to read samples.
const KEPT: [u16; 14] = [
    tag::WIDTH,
    tag::HEIGHT,
    tag::BITS,
    tag::COMPRESSION,
    tag::PHOTOMETRIC,
    tag::SAMPLES,
    tag::ROWS_PER_STRIP,
    tag::PLANAR,
    tag::PREDICTOR,
    tag::TILE_WIDTH,
    tag::TILE_HEIGHT,
    tag::EXTRA_SAMPLES,
    tag::SAMPLE_FORMAT,
    tag::SUBSAMPLING,
];

/// Samples of unknown format, which readers take for unsigned numbers.
const UNDEFINED: u32 = 4;

/// How many pixels share a pair of colour differences, across and down.
pub(super) type Subsampling = (u32, u32);

/// A page in the form that `tiff` reads.
pub(super) struct Source<'a> {
    head: Vec<u8>,
    data: Cow<'a, [u8]>,
    at: u64,
    /// Its samples are packed blocks of subsampled YCbCr, given as rows of bytes.
    pub(super) packed: Option<Subsampling>,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        page: &Directory<'_>,
        options: &Options,
    ) -> Result<Self, DecodeError> {
        let mut tags = tags(page)?;
        let mut chunks = chunks(page, &tags)?;
        let mut data = Cow::Borrowed(bytes);
        let coding = tags.one(tag::COMPRESSION, compression::NONE);
        // JPEG is a sequence of bytes in which the order of bits is fixed.
        if page.number(tag::FILL_ORDER) == Some(2) && coding != compression::JPEG {
            data = Cow::Owned(reversed(bytes, &mut chunks)?);
        }
        if fax::is_read(coding) {
            data = Cow::Owned(fax::decoded(&data, page, &tags, &mut chunks, options)?);
            tags.set(tag::COMPRESSION, &[compression::NONE]);
        }
        if tags.one(tag::PHOTOMETRIC, u32::MAX) == is::PALETTE {
            // `tiff` reads no palettes; the indices are read as grey.
            if tags.one(tag::SAMPLES, 1) != 1 {
                return Err(rare("a palette with further samples"));
            }
            tags.set(tag::PHOTOMETRIC, &[is::BLACK_IS_ZERO]);
        }
        let packed = subsampled(&mut tags, coding)?;
        let head = tags.written(page.reader.little(), &chunks)?;
        Ok(Self {
            head,
            data,
            at: 0,
            packed,
        })
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let part = self.head.get(at..).filter(|p| !p.is_empty());
        let part = part.or_else(|| self.data.get(at.checked_sub(self.head.len())?..));
        let part = part.unwrap_or_default();
        let length = part.len().min(buffer.len());
        buffer[..length].copy_from_slice(&part[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = (self.head.len() + self.data.len()) as u64;
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The tags of a page that are whole numbers, and tables of JPEG.
pub(super) struct Tags {
    numbers: BTreeMap<u16, Vec<u32>>,
    tables: Option<Vec<u8>>,
}

impl Tags {
    /// The first number of a tag.
    pub(super) fn one(&self, tag: u16, default: u32) -> u32 {
        let values = self.numbers.get(&tag);
        values.and_then(|v| v.first()).map_or(default, |v| *v)
    }

    fn set(&mut self, tag: u16, values: &[u32]) {
        self.numbers.insert(tag, values.to_vec());
    }

    /// Rows of pixels in a strip or tile, and pixels in a row.
    pub(super) fn chunk_size(&self) -> (u32, u32) {
        let (width, height) = (self.one(tag::WIDTH, 0), self.one(tag::HEIGHT, 0));
        if self.numbers.contains_key(&tag::TILE_WIDTH) {
            (self.one(tag::TILE_WIDTH, 0), self.one(tag::TILE_HEIGHT, 0))
        } else {
            (width, self.one(tag::ROWS_PER_STRIP, height))
        }
    }

    /// The beginning of a file with these tags, in front of the data that `chunks` lie in.
    fn written(&self, little: bool, chunks: &Chunks) -> Result<Vec<u8>, DecodeError> {
        let too_long = || DecodeError::Damaged("its directory is too long".into());
        let two = |v: u16| {
            if little {
                v.to_le_bytes()
            } else {
                v.to_be_bytes()
            }
        };
        let four = |v: u32| {
            if little {
                v.to_le_bytes()
            } else {
                v.to_be_bytes()
            }
        };
        let tiled = self.numbers.contains_key(&tag::TILE_WIDTH);
        let (offsets, lengths) = if tiled {
            (tag::TILE_OFFSETS, tag::TILE_LENGTHS)
        } else {
            (tag::STRIP_OFFSETS, tag::STRIP_LENGTHS)
        };
        let mut entries: BTreeMap<u16, (u16, u32, Vec<u8>)> = BTreeMap::new();
        for (&name, values) in &self.numbers {
            let short: Option<Vec<u16>> = values.iter().map(|&v| u16::try_from(v).ok()).collect();
            let (kind, value) = match short {
                Some(short) => (3, short.into_iter().flat_map(two).collect()),
                None => (4, values.iter().copied().flat_map(four).collect()),
            };
            entries.insert(name, (kind, values.len() as u32, value));
        }
        if let Some(tables) = &self.tables {
            entries.insert(tag::JPEG_TABLES, (7, tables.len() as u32, tables.clone()));
        }
        let count = chunks.0.len() as u32;
        let sizes = chunks.0.iter().map(|c| c.len() as u32).flat_map(four);
        entries.insert(lengths, (4, count, sizes.collect()));
        entries.insert(offsets, (4, count, vec![0; 4 * chunks.0.len()]));
        let directory = 8 + 2 + 12 * entries.len() + 4;
        let beside = entries.values().map(|e| e.2.len()).filter(|&n| n > 4);
        let length = directory + beside.map(|n| n + n % 2).sum::<usize>();
        let moved: Option<Vec<u32>> = chunks
            .0
            .iter()
            .map(|c| u32::try_from(c.start.checked_add(length)?).ok())
            .collect();
        let moved = moved.ok_or_else(too_long)?;
        entries.insert(
            offsets,
            (4, count, moved.into_iter().flat_map(four).collect()),
        );
        let mut head = if little {
            b"II".to_vec()
        } else {
            b"MM".to_vec()
        };
        head.extend(two(42));
        head.extend(four(8));
        head.extend(two(entries.len() as u16));
        let mut behind = Vec::new();
        for (name, (kind, count, mut value)) in entries {
            head.extend(two(name));
            head.extend(two(kind));
            head.extend(four(count));
            if value.len() <= 4 {
                value.resize(4, 0);
                head.extend(value);
            } else {
                let at = u32::try_from(directory + behind.len()).map_err(|_| too_long())?;
                head.extend(four(at));
                behind.extend(&value);
                behind.resize(behind.len() + value.len() % 2, 0);
            }
        }
        head.extend([0; 4]);
        head.extend(behind);
        Ok(head)
    }
}

fn tags(page: &Directory<'_>) -> Result<Tags, DecodeError> {
    let mut numbers = BTreeMap::new();
    for name in KEPT {
        let Some(entry) = page.entry(name) else {
            continue;
        };
        let values = page.reader.numbers(entry, 1 << 16);
        let values = values.filter(|v| !v.is_empty());
        let values = values
            .ok_or_else(|| DecodeError::Damaged("a tag of its directory is broken".into()))?;
        numbers.insert(name, values);
    }
    let tables = page.entry(tag::JPEG_TABLES);
    let tables = tables
        .and_then(|e| page.reader.value(e))
        .map(<[u8]>::to_vec);
    let mut tags = Tags { numbers, tables };
    if tags.one(tag::SAMPLE_FORMAT, 1) == UNDEFINED {
        tags.numbers.remove(&tag::SAMPLE_FORMAT);
    }
    let height = tags.one(tag::HEIGHT, 0);
    if tags.one(tag::ROWS_PER_STRIP, 0) > height {
        tags.set(tag::ROWS_PER_STRIP, &[height]);
    }
    Ok(tags)
}

/// Where the strips or tiles lie in the data.
pub(super) struct Chunks(pub(super) Vec<Range<usize>>);

fn chunks(page: &Directory<'_>, tags: &Tags) -> Result<Chunks, DecodeError> {
    let (offsets, mut lengths) = places(page);
    // Old programs leave the lengths out, or at 0, of data that are not compressed.
    if tags.one(tag::COMPRESSION, compression::NONE) == compression::NONE {
        lengths.resize(offsets.len(), 0);
    }
    if offsets.len() != lengths.len() {
        return Err(DecodeError::Damaged(
            "its directory gives a length for some of its data only".into(),
        ));
    }
    let range = |(&from, &length): (&u32, &u32)| {
        let from = from as usize;
        Some(from..from.checked_add(length as usize)?)
    };
    let all: Option<Vec<_>> = offsets.iter().zip(&lengths).map(range).collect();
    let mut all = all.ok_or_else(|| DecodeError::Damaged("its data lie too far out".into()))?;
    if lengths.contains(&0) {
        let length = uncompressed(tags);
        for chunk in all.iter_mut().filter(|c| c.start == c.end) {
            chunk.end = chunk.start.saturating_add(length);
        }
    }
    Ok(Chunks(all))
}

/// Bytes of a whole strip or tile that is not compressed.
fn uncompressed(tags: &Tags) -> usize {
    let (width, height) = tags.chunk_size();
    let planar = tags.one(tag::PLANAR, 1) == 2;
    let samples = if planar { 1 } else { tags.one(tag::SAMPLES, 1) };
    let bits = [width, samples, tags.one(tag::BITS, 1)]
        .into_iter()
        .fold(1u64, |n, v| n.saturating_mul(v.into()));
    let all = bits.div_ceil(8).saturating_mul(height.into());
    usize::try_from(all).unwrap_or(usize::MAX)
}

/// The strips or tiles one behind the other, the bits of each byte in the other order.
fn reversed(bytes: &[u8], chunks: &mut Chunks) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    for chunk in &mut chunks.0 {
        // A last strip whose length is not given may be shorter than the others.
        let end = chunk.end.min(bytes.len());
        let part = bytes.get(chunk.start..end).unwrap_or_default();
        if out.len() + part.len() > bytes.len() {
            return Err(DecodeError::Damaged("its strips overlap".into()));
        }
        let from = out.len();
        out.extend(part.iter().map(|b| b.reverse_bits()));
        *chunk = from..out.len();
    }
    Ok(out)
}

/// Turns subsampled YCbCr that is not JPEG into grey of one row for each row of blocks.
fn subsampled(tags: &mut Tags, coding: u32) -> Result<Option<Subsampling>, DecodeError> {
    if tags.one(tag::PHOTOMETRIC, u32::MAX) != is::YCC || coding == compression::JPEG {
        return Ok(None);
    }
    let (across, down) = match tags.numbers.get(&tag::SUBSAMPLING).map(Vec::as_slice) {
        None => (2, 2),
        Some(&[across, down]) => (across, down),
        Some(_) => {
            return Err(DecodeError::Damaged(
                "a tag of its directory is broken".into(),
            ));
        }
    };
    if (across, down) == (1, 1) {
        return Ok(None);
    }
    if ![across, down].iter().all(|v| matches!(v, 1 | 2 | 4)) {
        return Err(rare("YCbCr of rare subsampling"));
    }
    let (wide, high) = tags.chunk_size();
    let tiled = tags.numbers.contains_key(&tag::TILE_WIDTH);
    let (width, height) = (tags.one(tag::WIDTH, 0), tags.one(tag::HEIGHT, 0));
    let aligned = (!tiled || wide % across == 0) && (high % down == 0 || high >= height);
    let plain = tags.one(tag::SAMPLES, 1) == 3
        && tags.one(tag::PLANAR, 1) == 1
        && tags.one(tag::PREDICTOR, 1) == 1
        && tags.one(tag::SAMPLE_FORMAT, 1) == 1
        && tags
            .numbers
            .get(&tag::BITS)
            .is_some_and(|b| b.iter().all(|&b| b == 8));
    if !aligned || !plain {
        return Err(rare("YCbCr of rare subsampling"));
    }
    let block = across * down + 2;
    let row = |pixels: u32| pixels.div_ceil(across).checked_mul(block);
    let rows = |pixels: u32| pixels.div_ceil(down);
    let broken = || DecodeError::Damaged("its header is broken".into());
    if tiled {
        tags.set(tag::TILE_WIDTH, &[row(wide).ok_or_else(broken)?]);
        tags.set(tag::TILE_HEIGHT, &[rows(high)]);
    } else {
        tags.set(tag::ROWS_PER_STRIP, &[rows(high)]);
    }
    tags.set(tag::WIDTH, &[row(width).ok_or_else(broken)?]);
    tags.set(tag::HEIGHT, &[rows(height)]);
    tags.set(tag::PHOTOMETRIC, &[is::BLACK_IS_ZERO]);
    tags.set(tag::SAMPLES, &[1]);
    tags.set(tag::BITS, &[8]);
    tags.numbers.remove(&tag::SUBSAMPLING);
    tags.numbers.remove(&tag::SAMPLE_FORMAT);
    Ok(Some((across, down)))
}
