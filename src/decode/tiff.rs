//! TIFF → pixels: the directories are walked here, the samples come from `tiff`.
//!
//! Pages of 1 to 16 bits a sample, grey, palette, RGB, CMYK or YCbCr, in strips or tiles. What is no
//! page (reduced copies, masks, pictures below a page) is dropped and named. Raw
//! pictures of cameras dress as TIFF: they are told apart and refused by name.

mod fax;
mod pixels;
mod source;
mod ycc;

use super::{
    DecodeError, Options, Stored,
    exif::orientations,
    gathered_profile,
    ifd::{Entry, Reader},
    orientation::Gathered,
};
use crate::jpeg;
use pixels::{picture, samples};

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
    pub const FILL_ORDER: u16 = 266;
    pub const MAKE: u16 = 271;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const PLANAR: u16 = 284;
    pub const T4_OPTIONS: u16 = 292;
    pub const PREDICTOR: u16 = 317;
    pub const COLOUR_MAP: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const SUB_DIRECTORIES: u16 = 330;
    pub const INK_SET: u16 = 332;
    pub const DOT_RANGE: u16 = 336;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;
    pub const COEFFICIENTS: u16 = 529;
    pub const SUBSAMPLING: u16 = 530;
    pub const REFERENCE: u16 = 532;
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
    pub const BLACK_IS_ZERO: u32 = 1;
    pub const PALETTE: u32 = 3;
    pub const CMYK: u32 = 5;
    pub const YCC: u32 = 6;
    pub const CFA: u32 = 32803;
    pub const LINEAR_RAW: u32 = 34892;
}

/// Compressions that only raw pictures use: Nikon, Sony, Pentax, Samsung.
const RAW_COMPRESSIONS: [u32; 5] = [34713, 32767, 65535, 32770, 65000];

/// Compressions that are told apart here.
mod compression {
    pub const NONE: u32 = 1;
    pub const HUFFMAN: u32 = 2;
    pub const GROUP_3: u32 = 3;
    /// Each strip is a JPEG of its own.
    pub const JPEG: u32 = 7;
}

/// A TIFF that holds `what`, which is not read.
fn rare(what: &str) -> DecodeError {
    DecodeError::Unsupported(format!("a TIFF of a rare kind ({what})"))
}

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
    let mut stored = Vec::with_capacity(pages.len());
    let mut metadata = 0u64;
    for &i in &pages {
        let page = decode_page(bytes, &directories[i], options)?;
        metadata += page.gathered.bytes;
        options.allow_metadata(metadata)?;
        stored.push(page);
    }
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
    page: &Directory<'_>,
    options: &Options,
) -> Result<Stored, DecodeError> {
    let size = page
        .size()
        .ok_or_else(|| DecodeError::Damaged("its header is broken".into()))?;
    let mut damage = cut_off(bytes, page);
    if damage.is_none() && page.number(tag::COMPRESSION) == Some(compression::JPEG) {
        damage = coded(bytes, page)?;
    }
    if let (Some(what), false) = (&damage, options.allow_damaged) {
        return Err(DecodeError::Damaged(what.clone()));
    }
    let mut gathered = gather(bytes, page, options)?;
    let (samples, fault) = samples(bytes, page, options)?;
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
        if !reader.is_whole(at) {
            return Err(DecodeError::Damaged("its directory is cut off".into()));
        }
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

/// Where the strips or tiles begin, and how long they are.
fn places(page: &Directory<'_>) -> (Vec<u32>, Vec<u32>) {
    const MOST: usize = 1 << 22;
    let both = |a: u16, b: u16| (page.numbers(a, MOST), page.numbers(b, MOST));
    let strips = both(tag::STRIP_OFFSETS, tag::STRIP_LENGTHS);
    if strips.0.is_empty() {
        both(tag::TILE_OFFSETS, tag::TILE_LENGTHS)
    } else {
        strips
    }
}

/// What is wrong with strips or tiles that are JPEGs, whose decoder fills what is missing with grey.
/// Tables that all of them need may stand in a tag of their own.
fn coded(bytes: &[u8], page: &Directory<'_>) -> Result<Option<String>, DecodeError> {
    let tables = page.entry(tag::JPEG_TABLES);
    let tables = tables.and_then(|e| page.reader.value(e));
    let tables = tables
        .and_then(|t| t.strip_suffix(&[0xFF, 0xD9]))
        .unwrap_or_default();
    let (offsets, lengths) = places(page);
    for (&offset, &length) in offsets.iter().zip(&lengths) {
        let (from, length) = (offset as usize, length as usize);
        let own = bytes
            .get(from..from.saturating_add(length))
            .unwrap_or_default();
        let whole = match tables {
            [] => own.to_vec(),
            _ => [tables, own.get(2..).unwrap_or_default()].concat(),
        };
        let structure =
            jpeg::walk(&whole).map_err(|e| DecodeError::Damaged(format!("a strip of it: {e}")))?;
        super::jpeg::usual(&structure)?;
        if let Some(what) = structure.damage {
            return Ok(Some(format!("a strip of it: {what}")));
        }
    }
    Ok(None)
}

/// What is wrong where the picture's data reaches beyond the end of the file.
fn cut_off(bytes: &[u8], page: &Directory<'_>) -> Option<String> {
    let (offsets, lengths) = places(page);
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
    for &(_, entry) in page.entries.iter().filter(|e| e.0 == tag::ORIENTATION) {
        let said = orientations(page.reader, entry);
        said.into_iter().for_each(|v| gathered.orientation(v));
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
    gathered.bytes = gathered.bytes.saturating_sub(own);
    options.allow_metadata(gathered.bytes)?;
    Ok(gathered)
}
