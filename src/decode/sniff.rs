//! What a file is, by its first bytes and never by its name.

mod whole;

use crate::format::Format;

pub use whole::sniff_file;

/// Bytes of a file that [`sniff`] wants to see; fewer will do for short files.
pub const HEAD: usize = 4096;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A picture that unface reads.
    Photo(Format),
    /// A HEIF or AVIF picture, and the format that it is written in unless another is chosen.
    Heif(Format),
    /// A video that `ffmpeg` reads: what it is called, and the demuxer for it.
    Video(&'static str, &'static str),
    /// A picture or video of a kind that unface does not read, by its name.
    Unsupported(&'static str),
    /// No picture or video.
    Other,
    /// Nothing at all.
    Empty,
}

impl Kind {
    /// Whether it is a picture or a video, which must never be passed over in silence.
    #[must_use]
    pub const fn is_media(self) -> bool {
        matches!(
            self,
            Self::Photo(_) | Self::Heif(_) | Self::Video(..) | Self::Unsupported(_)
        )
    }
}

/// Brands that say which kind of picture it is.
const SPECIFIC: usize = 10;

/// ISO base media files by their brands; anything else with `ftyp` is some video.
const BRANDS: [(&[u8], &str); 26] = [
    (b"avif", "AVIF picture"),
    (b"avis", "AVIF animation"),
    (b"heic", "HEIC picture"),
    (b"heix", "HEIC picture"),
    (b"heim", "HEIC picture"),
    (b"heis", "HEIC picture"),
    (b"hevc", "HEIC animation"),
    (b"hevx", "HEIC animation"),
    (b"hevm", "HEIC animation"),
    (b"hevs", "HEIC animation"),
    (b"mif1", "HEIF picture"),
    (b"msf1", "HEIF animation"),
    // Pictures coded in other ways than those above.
    (b"jpeg", "HEIF picture"),
    (b"jpgs", "HEIF animation"),
    (b"avci", "HEIF picture"),
    (b"avcs", "HEIF animation"),
    (b"j2ki", "HEIF picture"),
    (b"j2is", "HEIF animation"),
    (b"vvic", "HEIF picture"),
    (b"vvis", "HEIF animation"),
    (b"mif2", "HEIF picture"),
    (b"unif", "HEIF picture"),
    (b"crx ", "Canon raw picture (CR3)"),
    (b"qt  ", "QuickTime video (MOV)"),
    (b"3gp", "3GP video"),
    (b"jp2 ", "JPEG 2000 picture"),
];

/// Signatures at fixed places: offset, bytes, name.
const SIGNATURES: [(usize, &[u8], &str); 72] = [
    (0, b"II*\0\x10\0\0\0CR", "Canon raw picture (CR2)"),
    (0, b"RIFF\0\0\0\0AVI ", "AVI video"),
    (0, b"II+\0", "BigTIFF picture"),
    (0, b"MM\0+", "BigTIFF picture"),
    (0, b"IIRO", "Olympus raw picture (ORF)"),
    (0, b"IIRS", "Olympus raw picture (ORF)"),
    (0, b"MMOR", "Olympus raw picture (ORF)"),
    (0, b"IIU\0", "Panasonic raw picture (RW2)"),
    (0, b"II\xBC\x01", "JPEG XR picture"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm raw picture (RAF)"),
    (0, b"\0MRM", "Minolta raw picture (MRW)"),
    (0, b"FOVb", "Sigma raw picture (X3F)"),
    (0, b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000 picture"),
    (0, b"\xFFO\xFFQ", "JPEG 2000 picture"),
    (0, b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL picture"),
    (0, b"\xFF\x0A", "JPEG XL picture"),
    (0, b"\xFF\xD8", "damaged JPEG picture"),
    (0, b"8BPS", "Photoshop picture"),
    (0, b"qoif", "QOI picture"),
    (0, b"farbfeld", "farbfeld picture"),
    (0, b"\0\0\x01\0", "Windows icon"),
    (0, b"\0\0\x02\0", "Windows cursor"),
    (0, b"DDS ", "DDS picture"),
    (0, b"\x76\x2F\x31\x01", "OpenEXR picture"),
    (0, b"#?RADIANCE", "Radiance HDR picture"),
    (0, b"gimp xcf ", "GIMP picture"),
    (0, b"\x8AMNG\r\n\x1A\n", "MNG animation"),
    (0, b"\x8BJNG\r\n\x1A\n", "JNG picture"),
    (0, b"\x1A\x45\xDF\xA3", "Matroska or WebM video"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"OggS", "Ogg video or sound"),
    (
        0,
        b"\x30\x26\xB2\x75\x8E\x66\xCF\x11",
        "Windows Media video",
    ),
    (0, b"YUV4MPEG2", "YUV4MPEG2 video"),
    (0, b"\0\0\x01\xBA", "MPEG video"),
    (0, b"\0\0\x01\xB3", "MPEG video without a container"),
    (0, b"\0\0\x01\x67", "H.264 video"),
    (0, b"\0\0\0\x01", "H.264 or H.265 video"),
    (0, b"DKIF", "IVF video"),
    (0, b".RMF", "RealMedia video"),
    (0, b"\x06\x0E\x2B\x34\x02\x05\x01\x01", "MXF video"),
    (0, b"%PDF-", "PDF document, which may hold pictures"),
    (0, b"nut/multimedia container\0", "NUT video"),
    (0, b"RIFF\0\0\0\0AVIX", "AVI video"),
    (0, b"RIFF\0\0\0\0AMV ", "AVI video"),
    (0, b"RIFF\0\0\0\0CDXA", "Video CD video"),
    (0, b"\x1F\x07\0\x3F", "DV video"),
    (0, b"\x1F\x07\0\xBF", "DV video"),
    (
        0,
        b"\xB7\xD8\0\x20\x37\x49\xDA\x11\xA6\x4E\0\x07\xE9\x5E\xAD\x8D",
        "Windows recorded television",
    ),
    (0, b"DHAV", "Dahua video"),
    (0, b"\0\0\0\0\x01\xBC", "GXF video"),
    (0, b"\0\0\x01\xB0", "MPEG-4 video without a container"),
    (0, b"\0\0\x01\x09", "H.264 video"),
    (0, b"\0\0\x01\x40", "H.265 video"),
    (0, b"\0\0\x01\x0F", "VC-1 video without a container"),
    (0, b"BBCD\0", "Dirac video"),
    (0, b"\0\0\x02\x80\x01", "DNxHD video without a container"),
    (0, b"LEITCH\0", "LXF video"),
    (0, b"NuppelVideo", "NuppelVideo video"),
    (0, b"MythTVVideo", "NuppelVideo video"),
    (0, b"\xF5\x46\x7A\xBD", "TiVo video"),
    (0, b"NSVf", "Nullsoft video"),
    (0, b"NSVs", "Nullsoft video"),
    (0, b".R1M", "RealMedia video"),
    (0, b".REC", "RealMedia video"),
    (4, b"RED1", "RED raw video (R3D)"),
    (4, b"RED2", "RED raw video (R3D)"),
    (0, b"MLVI", "Magic Lantern raw video (MLV)"),
    (0, b"CI\x2C\0", "Phantom raw video (CINE)"),
    (0, b"SMK2", "Smacker video"),
    (0, b"SMK4", "Smacker video"),
    (0, b"BIKi", "Bink video"),
    (0, b"THP\0", "THP video"),
];

/// Says what a file is. `head`: its first [`HEAD`] bytes, or all of it.
#[must_use]
pub fn sniff(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Empty;
    }
    if jpeg(head) {
        return Kind::Photo(Format::Jpeg);
    }
    if head.starts_with(b"\x89PNG\r\n\x1A\n") {
        return Kind::Photo(Format::Png);
    }
    if let Some(format) = further_photo(head) {
        return Kind::Photo(format);
    }
    if let Some(name) = iso_media(head)
        .or_else(|| signature(head))
        .or_else(|| transport_stream(head))
        .or_else(|| flic(head))
        .or_else(|| text(head))
    {
        if let Some(&(_, format)) = HEIFS.iter().find(|(n, _)| *n == name) {
            return Kind::Heif(format);
        }
        return known_video(name);
    }
    Kind::Other
}

/// A video by its name: to be read with a demuxer, or one that is not read.
fn known_video(name: &'static str) -> Kind {
    match DEMUXERS.iter().find(|(n, _)| *n == name) {
        Some(&(name, demuxer)) => Kind::Video(name, demuxer),
        None => Kind::Unsupported(name),
    }
}

/// Pictures in boxes that are read, and what they become.
const HEIFS: [(&str, Format); 3] = [
    ("AVIF picture", Format::Avif),
    ("HEIC picture", Format::Jpeg),
    ("HEIF picture", Format::Jpeg),
];

/// The demuxer of YUV4MPEG2, which needs no other program either.
pub const Y4M: &str = "yuv4mpegpipe";

/// The demuxer that is forced for a kind of video, so that no file can choose one that would read
/// other files.
const DEMUXERS: [(&str, &str); 19] = [
    ("MP4 video", "mov"),
    ("QuickTime video (MOV)", "mov"),
    ("3GP video", "mov"),
    ("Matroska or WebM video", "matroska"),
    ("AVI video", "avi"),
    ("MPEG-TS video", "mpegts"),
    ("MPEG video", "mpeg"),
    ("Flash video", "flv"),
    ("Ogg video or sound", "ogg"),
    ("Windows Media video", "asf"),
    ("MXF video", "mxf"),
    ("YUV4MPEG2 video", Y4M),
    ("Motion JPEG video", "mjpeg"),
    ("MPEG video without a container", "mpegvideo"),
    ("DV video", "dv"),
    ("Windows recorded television", "wtv"),
    ("Dahua video", "dhav"),
    ("GXF video", "gxf"),
    ("FLIC animation", "flic"),
];

/// Whether it is a JPEG: its first marker, and behind it a segment that JPEGs begin with, at once or after bytes that a
/// careless camera left there.
fn jpeg(head: &[u8]) -> bool {
    let Some(rest) = head.strip_prefix(b"\xFF\xD8") else {
        return false;
    };
    let begins = |w: &[u8]| {
        w[0] == 0xFF
            && matches!(w[1], 0xC0..=0xC2 | 0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE)
            && w[2] == 0
    };
    rest.starts_with(b"\xFF") || rest.windows(3).any(begins)
}

fn further_photo(head: &[u8]) -> Option<Format> {
    let is = |bytes: &[u8]| head.starts_with(bytes);
    if is(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Some(Format::WebP);
    }
    if is(b"GIF87a") || is(b"GIF89a") {
        return Some(Format::Gif);
    }
    // Raw pictures that dress as TIFF are told apart when their directories are read.
    if (is(b"II*\0") || is(b"MM\0*")) && head.get(8..10) != Some(b"CR") {
        return Some(Format::Tiff);
    }
    // Two letters alone could begin a text: the size of the second header must be one there is.
    let sizes = [12, 16, 40, 52, 56, 64, 108, 124];
    let known = |b: &[u8]| sizes.contains(&u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    (is(b"BM") && head.get(14..18).is_none_or(known)).then_some(Format::Bmp)
}

fn signature(head: &[u8]) -> Option<&'static str> {
    SIGNATURES.iter().find_map(|&(at, bytes, name)| {
        let here = head.get(at..at + bytes.len())?;
        // The size field of RIFF files can be anything.
        let riff = bytes.starts_with(b"RIFF");
        let same = here
            .iter()
            .zip(bytes)
            .enumerate()
            .all(|(i, (a, b))| a == b || riff && (4..8).contains(&i));
        same.then_some(name)
    })
}

fn iso_media(head: &[u8]) -> Option<&'static str> {
    let kind = head.get(4..8)?;
    if kind == b"ftyp" {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let brands = head.get(8..size.clamp(8, head.len())).unwrap_or_default();
        // The compatible brands tell AVIF from HEIF where the major brand is a general one.
        return Some(
            brands
                .chunks(4)
                .find_map(|brand| {
                    BRANDS[..SPECIFIC]
                        .iter()
                        .find(|(b, _)| brand.starts_with(b))
                        .map(|b| b.1)
                })
                .or_else(|| {
                    BRANDS
                        .iter()
                        .find(|(b, _)| brands.starts_with(b))
                        .map(|b| b.1)
                })
                .unwrap_or_else(|| other_media(brands)),
        );
    }
    // QuickTime files without ftyp.
    matches!(kind, b"moov" | b"mdat" | b"wide" | b"pnot").then_some("QuickTime video (MOV)")
}

/// What a file is whose major brand says nothing.
fn other_media(brands: &[u8]) -> &'static str {
    let has = |brand: &[u8]| brands.chunks(4).any(|b| b.starts_with(brand));
    let picture = has(b"mif1") || has(b"mif2");
    if picture && !has(b"iso") && !has(b"mp4") && !has(b"qt") {
        "HEIF picture"
    } else {
        "MP4 video"
    }
}

fn transport_stream(head: &[u8]) -> Option<&'static str> {
    // 188-byte packets; cameras (AVCHD) put four bytes of time before each.
    let every = |first: usize, step: usize| {
        head.len() > first + 2 * step
            && head[first..]
                .iter()
                .step_by(step)
                .take(8)
                .all(|&b| b == 0x47)
    };
    (every(0, 188) || every(4, 192)).then_some("MPEG-TS video")
}

/// An animation of Autodesk's kind: its mark, a size, and a known number of bits a pixel.
fn flic(head: &[u8]) -> Option<&'static str> {
    let field = |at: usize| Some(u16::from_le_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let marked = matches!(field(4)?, 0xAF11 | 0xAF12 | 0xAF44);
    let sized = (1..=4096).contains(&field(8)?) && (1..=4096).contains(&field(10)?);
    (marked && sized && matches!(field(12)?, 1 | 8 | 15 | 16 | 24)).then_some("FLIC animation")
}

/// Whether it is a network camera's answer: JPEG pictures as the parts of a MIME message.
fn mime(head: &[u8]) -> bool {
    let start = head.iter().position(|b| !b.is_ascii_whitespace());
    let rest = start.map_or(head, |at| &head[at..]);
    let named = b"content-type: image/jpeg";
    rest.starts_with(b"--")
        && rest[..rest.len().min(512)]
            .windows(named.len())
            .any(|w| w.eq_ignore_ascii_case(named))
}

fn text(head: &[u8]) -> Option<&'static str> {
    if mime(head) {
        return Some("Motion JPEG video in parts (MIME)");
    }
    // Netpbm: P1 to P7 and white space.
    if head.len() > 2
        && head[0] == b'P'
        && (b'1'..=b'7').contains(&head[1])
        && head[2].is_ascii_whitespace()
    {
        return Some("Netpbm picture");
    }
    let start = head
        .iter()
        .position(|b| !b.is_ascii_whitespace() && !matches!(b, 0xEF | 0xBB | 0xBF))?;
    let rest = &head[start..];
    let svg = rest.starts_with(b"<svg")
        || (rest.starts_with(b"<?xml") || rest.starts_with(b"<!"))
            && rest.windows(4).any(|w| w == b"<svg");
    svg.then_some("SVG picture")
}
