//! TIFF → pixels: the directories are walked here, the samples come from `tiff`.
//!
//! Pages of 1 to 16 bits a sample, grey, palette, RGB, CMYK or YCbCr, in strips or tiles. What is no
//! page (reduced copies, masks, pictures below a page) is dropped and named. Raw
//! pictures of cameras dress as TIFF: they are told apart and refused by name.

use std::io::Cursor;

use ::tiff::{
    ColorType, TiffError,
    decoder::{Decoder, DecodingResult, Limits},
};
use image::{ColorType as Kind, DynamicImage};

use super::{
    DecodeError, Options, Stored, colour, gathered_profile,
    ifd::{Entry, Reader},
    orientation::Gathered,
    pixels_from,
};

/// Most directories that are looked at, pages and others.
const MAX_DIRECTORIES: usize = 1000;

mod tag {
    pub const SUBFILE: u16 = 254;
    pub const OLD_SUBFILE: u16 = 255;
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const MAKE: u16 = 271;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES: u16 = 277;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const COLOUR_MAP: u16 = 320;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const SUB_DIRECTORIES: u16 = 330;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const XMP: u16 = 700;
    pub const IPTC: u16 = 33723;
    pub const PHOTOSHOP: u16 = 34377;
    pub const ICC: u16 = 34675;
    pub const EXIF: u16 = 34665;
    pub const GPS: u16 = 34853;
    pub const PHOTOSHOP_LAYERS: u16 = 37724;
    pub const DNG: u16 = 50706;
    pub const MODEL_TRANSFORM: u16 = 34264;
}

/// Photometric interpretations.
mod is {
    pub const WHITE_IS_ZERO: u32 = 0;
    pub const BLACK_IS_ZERO: u16 = 1;
    pub const PALETTE: u32 = 3;
    pub const CFA: u32 = 32803;
    pub const LINEAR_RAW: u32 = 34892;
}

/// Compressions that only raw pictures use: Nikon, Sony, Pentax, Samsung.
const RAW_COMPRESSIONS: [u32; 5] = [34713, 32767, 65535, 32770, 65000];

/// One directory of the file.
struct Directory<'a> {
    reader: &'a Reader<'a>,
    entries: Vec<Entry>,
}

impl Directory<'_> {
    fn entry(&self, tag: u16) -> Option<usize> {
        self.entries.iter().find(|e| e.0 == tag).map(|e| e.1)
    }

    fn number(&self, tag: u16) -> Option<u32> {
        let entry = self.entry(tag)?;
        self.reader
            .number(entry)
            .or_else(|| self.reader.numbers(entry, 1)?.first().copied())
    }

    fn numbers(&self, tag: u16, most: usize) -> Vec<u32> {
        self.entry(tag)
            .and_then(|e| self.reader.numbers(e, most))
            .unwrap_or_default()
    }

    /// What it is, if it holds no picture of its own.
    fn beside(&self) -> Option<&'static str> {
        let subfile = self.number(tag::SUBFILE).unwrap_or(0);
        if subfile & 4 != 0 {
            Some("masks")
        } else if subfile & 1 != 0 || self.number(tag::OLD_SUBFILE) == Some(2) {
            Some("reduced copies")
        } else if self.entry(tag::WIDTH).is_none() {
            Some("further directories")
        } else {
            None
        }
    }

    fn size(&self) -> Option<(u32, u32)> {
        self.number(tag::WIDTH).zip(self.number(tag::HEIGHT))
    }

    fn is_raw(&self) -> bool {
        matches!(
            self.number(tag::PHOTOMETRIC),
            Some(is::CFA | is::LINEAR_RAW)
        ) || self
            .number(tag::COMPRESSION)
            .is_some_and(|c| RAW_COMPRESSIONS.contains(&c))
    }
}

/// Decodes all pages, at least one.
pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Vec<Stored>, DecodeError> {
    let broken = || DecodeError::Damaged("its header is broken".into());
    let reader = Reader::new(bytes).ok_or_else(broken)?;
    let directories = directories(&reader)?;
    if directories.is_empty() {
        return Err(DecodeError::Damaged(
            "it is cut off or broken: its directory can't be read".into(),
        ));
    }
    refuse_raw(&reader, &directories)?;
    let mut pages: Vec<usize> = (0..directories.len())
        .filter(|&i| directories[i].beside().is_none())
        .collect();
    // Where nothing calls itself a page, viewers show the first.
    if pages.is_empty() {
        pages.push(0);
    }
    let mut needs = 0u64;
    for page in pages.iter().map(|&i| &directories[i]) {
        let (width, height) = page.size().ok_or_else(broken)?;
        let a_pixel = bytes_a_pixel(page);
        options.allow(width, height, a_pixel)?;
        needs = needs.saturating_add(u64::from(width) * u64::from(height) * a_pixel);
    }
    if needs > options.max_memory {
        let limit = options.max_memory;
        return Err(DecodeError::TooLarge { needs, limit });
    }
    let mut stored = pages
        .iter()
        .map(|&i| decode_page(bytes, i, &directories[i], options))
        .collect::<Result<Vec<_>, _>>()?;
    for (i, directory) in directories.iter().enumerate() {
        if let (Some(what), false, Some(first)) =
            (directory.beside(), pages.contains(&i), stored.first_mut())
        {
            first.gathered.drop(what, 0);
        }
    }
    Ok(stored)
}

fn decode_page(
    bytes: &[u8],
    index: usize,
    page: &Directory<'_>,
    options: &Options,
) -> Result<Stored, DecodeError> {
    let size = page
        .size()
        .ok_or_else(|| DecodeError::Damaged("its header is broken".into()))?;
    let damage = cut_off(bytes, page);
    if let (Some(what), false) = (&damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let mut gathered = gather(bytes, page, options)?;
    let (samples, fault) = samples(bytes, index, page, options)?;
    let pixels = picture(page, size, samples, &mut gathered)?;
    Ok(Stored {
        pixels,
        gathered,
        damage: damage.or(fault),
    })
}

/// Width, height and bytes a pixel once decoded, where the directory lies in `bytes`.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32, u8)> {
    let reader = Reader::new(bytes)?;
    let (entries, next) = reader.directory(reader.first())?;
    // Where there are further pages, the first does not tell.
    if next != 0 {
        return None;
    }
    let page = Directory {
        reader: &reader,
        entries,
    };
    let a_pixel = bytes_a_pixel(&page).min(8) as u8;
    let (width, height) = page.size()?;
    Some((width, height, a_pixel))
}

fn bytes_a_pixel(page: &Directory<'_>) -> u64 {
    let bits = page.number(tag::BITS).unwrap_or(1);
    let palette = page.number(tag::PHOTOMETRIC) == Some(is::PALETTE);
    let channels = if palette {
        4
    } else {
        page.number(tag::SAMPLES).unwrap_or(1).clamp(1, 64)
    };
    u64::from(channels) * u64::from(bits.div_ceil(8).clamp(1, 8))
}

fn directories<'a>(reader: &'a Reader<'a>) -> Result<Vec<Directory<'a>>, DecodeError> {
    let mut seen = std::collections::HashSet::new();
    let mut all = Vec::new();
    let mut at = reader.first();
    while at != 0 {
        if !seen.insert(at) {
            return Err(DecodeError::Damaged(
                "its directories run in a circle".into(),
            ));
        }
        if all.len() == MAX_DIRECTORIES {
            return Err(DecodeError::Unsupported(format!(
                "a TIFF of more than {MAX_DIRECTORIES} pages"
            )));
        }
        let Some((entries, next)) = reader.directory(at) else {
            break;
        };
        all.push(Directory { reader, entries });
        at = next;
    }
    Ok(all)
}

fn refuse_raw(reader: &Reader<'_>, directories: &[Directory<'_>]) -> Result<(), DecodeError> {
    let Some(first) = directories.first() else {
        return Ok(());
    };
    let inner = first
        .numbers(tag::SUB_DIRECTORIES, 16)
        .into_iter()
        .filter_map(|at| reader.directory(at as usize))
        .map(|(entries, _)| Directory { reader, entries });
    let dng = first.entry(tag::DNG).is_some();
    if !dng && !directories.iter().any(Directory::is_raw) && !inner.into_iter().any(|d| d.is_raw())
    {
        return Ok(());
    }
    let make = first
        .entry(tag::MAKE)
        .and_then(|e| reader.value(e))
        .unwrap_or_default()
        .to_ascii_lowercase();
    let makes = |name: &[u8]| make.windows(name.len()).any(|w| w == name);
    let name = if dng {
        "a DNG raw picture"
    } else if makes(b"nikon") {
        "a Nikon raw picture (NEF)"
    } else if makes(b"sony") {
        "a Sony raw picture (ARW)"
    } else if makes(b"pentax") {
        "a Pentax raw picture (PEF)"
    } else {
        "a camera's raw picture"
    };
    Err(DecodeError::Raw(name.into()))
}

/// What is wrong where the picture's data reaches beyond the end of the file.
fn cut_off(bytes: &[u8], page: &Directory<'_>) -> Option<String> {
    const MOST: usize = 1 << 22;
    let both = |a: u16, b: u16| (page.numbers(a, MOST), page.numbers(b, MOST));
    let (mut offsets, mut lengths) = both(tag::STRIP_OFFSETS, tag::STRIP_LENGTHS);
    if offsets.is_empty() {
        (offsets, lengths) = both(tag::TILE_OFFSETS, tag::TILE_LENGTHS);
    }
    if offsets.is_empty() {
        return Some("its directory names no data".into());
    }
    // Old programs leave the lengths out of files that are not compressed.
    let beyond = offsets.iter().enumerate().any(|(i, &offset)| {
        let length = lengths.get(i).copied().unwrap_or(0);
        u64::from(offset) + u64::from(length) > bytes.len() as u64
    });
    beyond.then(|| "it is cut off: its data should reach further".into())
}

fn gather(bytes: &[u8], page: &Directory<'_>, options: &Options) -> Result<Gathered, DecodeError> {
    let mut gathered = Gathered::default();
    // The file is one large EXIF block, as far as that matters.
    gathered.exif_of(bytes);
    if let Some(orientation) = page.number(tag::ORIENTATION) {
        gathered.orientation(orientation.min(0xFFFF) as u16);
    }
    for &(name, entry) in &page.entries {
        let Some(value) = page.reader.value(entry) else {
            continue;
        };
        let whole = value.len() as u64;
        gathered.bytes += whole;
        match name {
            tag::XMP => gathered.xmp(value, whole),
            tag::IPTC => gathered.drop("IPTC", whole),
            tag::PHOTOSHOP => gathered.drop("Photoshop's data", whole),
            tag::PHOTOSHOP_LAYERS => gathered.drop("layers", whole),
            tag::EXIF | tag::GPS => gathered.drop("further directories", whole),
            tag::SUB_DIRECTORIES => gathered.drop("hidden pictures", 0),
            tag::ICC => gathered_profile(&mut gathered, value.to_vec())?,
            // Text, dates, maker's tags.
            269..=272 | 285 | 305..=306 | 315..=316 | 33432 | tag::MODEL_TRANSFORM | 32768.. => {
                gathered.drop("descriptive tags", whole);
            }
            _ => {}
        }
    }
    // Offsets of strips grow with the picture and are no metadata.
    let own = page.numbers(tag::STRIP_OFFSETS, usize::MAX).len() as u64 * 8;
    options.allow_metadata(gathered.bytes.saturating_sub(own))?;
    Ok(gathered)
}

/// Samples as stored, planes behind each other, and what went wrong with them.
struct Samples {
    values: DecodingResult,
    color: ColorType,
    planes: usize,
}

fn samples(
    bytes: &[u8],
    index: usize,
    page: &Directory<'_>,
    options: &Options,
) -> Result<(Samples, Option<String>), DecodeError> {
    let failed = |e: TiffError| match e {
        TiffError::UnsupportedError(what) => {
            DecodeError::Unsupported(format!("a TIFF of a rare kind ({what})"))
        }
        other => DecodeError::Damaged(format!("the decoder says: {other}")),
    };
    // The decoder knows no palettes; the indices are read as grey.
    let palette = page.number(tag::PHOTOMETRIC) == Some(is::PALETTE);
    let patched = palette
        .then(|| page.entry(tag::PHOTOMETRIC))
        .flatten()
        .map(|entry| {
            let mut copy = bytes.to_vec();
            let one = if copy[0] == b'I' {
                is::BLACK_IS_ZERO.to_le_bytes()
            } else {
                is::BLACK_IS_ZERO.to_be_bytes()
            };
            copy[entry + 8..entry + 10].copy_from_slice(&one);
            copy
        });
    let limit = usize::try_from(options.max_memory).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = limit;
    limits.intermediate_buffer_size = limit;
    limits.ifd_value_size = 16 << 20;
    let source = Cursor::new(patched.as_deref().unwrap_or(bytes));
    let mut decoder = Decoder::new(source).map_err(failed)?.with_limits(limits);
    decoder.seek_to_image(index).map_err(failed)?;
    let color = decoder.colortype().map_err(failed)?;
    let layout = decoder.image_buffer_layout().map_err(failed)?;
    if layout.complete_len as u64 > options.max_memory {
        return Err(DecodeError::TooLarge {
            needs: layout.complete_len as u64,
            limit: options.max_memory,
        });
    }
    let mut values = DecodingResult::U8(Vec::new());
    let fault = match decoder.read_image_to_buffer(&mut values) {
        Ok(_) => None,
        Err(e) if options.allow_damaged && !values.as_buffer(0).as_bytes().is_empty() => {
            Some(format!("the decoder says: {e}"))
        }
        Err(e) => return Err(failed(e)),
    };
    let samples = Samples {
        values,
        color,
        planes: layout.planes.max(1),
    };
    Ok((samples, fault))
}

fn rare(what: &str) -> DecodeError {
    DecodeError::Unsupported(format!("a TIFF of a rare kind ({what})"))
}

fn picture(
    page: &Directory<'_>,
    (width, height): (u32, u32),
    samples: Samples,
    gathered: &mut Gathered,
) -> Result<DynamicImage, DecodeError> {
    let (bits, channels) = match samples.color {
        ColorType::Multiband {
            bit_depth,
            num_samples,
        } => (bit_depth, usize::from(num_samples)),
        other => (other.bit_depth(), usize::from(other.num_samples())),
    };
    let pixels = width as usize * height as usize;
    let values = match samples.values {
        DecodingResult::U16(values) => Depth::Sixteen(values),
        DecodingResult::U8(values) if bits == 8 => Depth::Eight(values),
        DecodingResult::U8(values) if matches!(bits, 1 | 2 | 4) => {
            let scale = page.number(tag::PHOTOMETRIC) != Some(is::PALETTE);
            let row = width as usize * if samples.planes > 1 { 1 } else { channels };
            Depth::Eight(unpacked(&values, bits, row, scale))
        }
        _ => return Err(rare("samples that are no whole numbers of 1 to 16 bits")),
    };
    let values = if samples.planes > 1 {
        values.interleaved(pixels)
    } else {
        values
    };
    if values.len() != pixels * channels {
        return Err(DecodeError::Damaged(
            "the decoder gave another number of samples than the header promises".into(),
        ));
    }
    let extra = page.numbers(tag::EXTRA_SAMPLES, 8);
    let alpha = match extra.first() {
        Some(1) => Alpha::Premultiplied,
        Some(2) => Alpha::Plain,
        // Undefined fourth samples of RGB are taken for alpha by all viewers.
        _ if matches!(samples.color, ColorType::RGBA(_)) => Alpha::Plain,
        _ => Alpha::None,
    };
    match samples.color {
        ColorType::Gray(_) if page.number(tag::PHOTOMETRIC) == Some(is::PALETTE) => coloured(
            &values,
            &page.numbers(tag::COLOUR_MAP, 3 << 16),
            bits,
            (width, height),
        ),
        ColorType::Gray(_) => values.built(width, height, 1),
        ColorType::Multiband { num_samples, .. }
            if page.number(tag::PHOTOMETRIC) != Some(is::WHITE_IS_ZERO) =>
        {
            let keep = if alpha == Alpha::None { 1 } else { 2 };
            let mut values = values.kept(usize::from(num_samples), keep);
            values.unmultiply(2, alpha);
            values.built(width, height, keep)
        }
        ColorType::RGB(_) => values.built(width, height, 3),
        ColorType::RGBA(_) => {
            let mut values = values;
            values.unmultiply(4, alpha);
            values.built(width, height, 4)
        }
        ColorType::YCbCr(8) => {
            let Depth::Eight(mut values) = values else {
                return Err(rare("deep YCbCr"));
            };
            values.chunks_exact_mut(3).for_each(from_ycc);
            Depth::Eight(values).built(width, height, 3)
        }
        ColorType::CMYK(_) => {
            let icc = gathered.icc.take();
            let (rgb, _) = colour::cmyk_to_rgb(&values.eight(), icc.as_deref());
            Depth::Eight(rgb).built(width, height, 3)
        }
        other => Err(rare(&format!("{other:?}"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alpha {
    None,
    Plain,
    Premultiplied,
}

/// Interleaved samples.
enum Depth {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

fn interleave<T: Copy>(planes: &[T], pixels: usize) -> Vec<T> {
    let count = planes.len() / pixels.max(1);
    (0..pixels)
        .flat_map(|i| (0..count).map(move |plane| planes[plane * pixels + i]))
        .collect()
}

impl Depth {
    fn len(&self) -> usize {
        match self {
            Self::Eight(v) => v.len(),
            Self::Sixteen(v) => v.len(),
        }
    }

    fn interleaved(self, pixels: usize) -> Self {
        match self {
            Self::Eight(v) => Self::Eight(interleave(&v, pixels)),
            Self::Sixteen(v) => Self::Sixteen(interleave(&v, pixels)),
        }
    }

    /// The first `keep` of each `all` samples.
    fn kept(self, all: usize, keep: usize) -> Self {
        fn take<T: Copy>(v: &[T], all: usize, keep: usize) -> Vec<T> {
            v.chunks_exact(all)
                .flat_map(|p| &p[..keep])
                .copied()
                .collect()
        }
        match self {
            Self::Eight(v) => Self::Eight(take(&v, all, keep)),
            Self::Sixteen(v) => Self::Sixteen(take(&v, all, keep)),
        }
    }

    fn eight(self) -> Vec<u8> {
        match self {
            Self::Eight(v) => v,
            Self::Sixteen(v) => v.into_iter().map(|s| (s >> 8) as u8).collect(),
        }
    }

    /// Takes the multiplication by alpha back.
    fn unmultiply(&mut self, channels: usize, alpha: Alpha) {
        if alpha != Alpha::Premultiplied {
            return;
        }
        match self {
            Self::Eight(v) => v.chunks_exact_mut(channels).for_each(|p| {
                let a = u32::from(p[channels - 1]);
                for s in &mut p[..channels - 1] {
                    *s = (u32::from(*s) * 255 + a / 2)
                        .checked_div(a)
                        .unwrap_or(0)
                        .min(255) as u8;
                }
            }),
            Self::Sixteen(v) => v.chunks_exact_mut(channels).for_each(|p| {
                let a = u64::from(p[channels - 1]);
                for s in &mut p[..channels - 1] {
                    *s = (u64::from(*s) * 65535 + a / 2)
                        .checked_div(a)
                        .unwrap_or(0)
                        .min(65535) as u16;
                }
            }),
        }
    }

    fn built(self, width: u32, height: u32, channels: usize) -> Result<DynamicImage, DecodeError> {
        let (kind, bytes) = match self {
            Self::Eight(v) => {
                let kind = match channels {
                    1 => Kind::L8,
                    2 => Kind::La8,
                    3 => Kind::Rgb8,
                    _ => Kind::Rgba8,
                };
                (kind, v)
            }
            Self::Sixteen(v) => {
                let kind = match channels {
                    1 => Kind::L16,
                    2 => Kind::La16,
                    3 => Kind::Rgb16,
                    _ => Kind::Rgba16,
                };
                (kind, v.iter().flat_map(|s| s.to_ne_bytes()).collect())
            }
        };
        pixels_from(width, height, kind, bytes)
    }
}

/// Samples of 1, 2 or 4 bits, rows padded to bytes, as bytes of 0 to 255 (or as indices).
fn unpacked(values: &[u8], bits: u8, row: usize, scale: bool) -> Vec<u8> {
    let full = (1u16 << bits) - 1;
    let stride = (row * usize::from(bits)).div_ceil(8);
    let mut out = Vec::with_capacity(row * (values.len() / stride.max(1)));
    for line in values.chunks_exact(stride.max(1)) {
        for i in 0..row {
            let bit = i * usize::from(bits);
            let shift = 8 - usize::from(bits) - bit % 8;
            let value = u16::from(line[bit / 8]) >> shift & full;
            out.push(if scale {
                (value * 255 / full) as u8
            } else {
                value as u8
            });
        }
    }
    out
}

/// Indices → colours. The map holds all reds, then greens, then blues, 16 bits each.
fn coloured(
    indices: &Depth,
    map: &[u32],
    bits: u8,
    (width, height): (u32, u32),
) -> Result<DynamicImage, DecodeError> {
    let entries = 1usize << bits;
    if map.len() < 3 * entries {
        return Err(DecodeError::Damaged("its palette is cut off".into()));
    }
    // Some programs write 8 bits where 16 are asked for.
    let shift = if map.iter().any(|&v| v > 255) { 8 } else { 0 };
    let colour = |i: usize| [0, 1, 2].map(|c| (map[c * entries + i] >> shift) as u8);
    let rgb: Vec<u8> = match indices {
        Depth::Eight(v) => v.iter().flat_map(|&i| colour(usize::from(i))).collect(),
        Depth::Sixteen(v) => v.iter().flat_map(|&i| colour(usize::from(i))).collect(),
    };
    Depth::Eight(rgb).built(width, height, 3)
}

/// BT.601 at full range, as JPEG has it; TIFF's default coefficients are the same.
fn from_ycc(pixel: &mut [u8]) {
    let [y, cb, cr] = [0, 1, 2].map(|i| f32::from(pixel[i]));
    let (cb, cr) = (cb - 128.0, cr - 128.0);
    let rgb = [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ];
    for (sample, value) in pixel.iter_mut().zip(rgb) {
        *sample = (value + 0.5) as u8;
    }
}
