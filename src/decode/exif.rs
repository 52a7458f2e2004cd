//! As much of EXIF as must be known: which way is up, and what is being dropped.
//!
//! Source: CIPA DC-008 (Exif 2.32) and TIFF 6.0. Every offset and count comes from outside.

use super::ifd::Reader;

/// What an EXIF block says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exif {
    /// Orientation tags of the first directory, as written (1 to 8 have a meaning).
    pub(super) orientations: Vec<u16>,
    /// Kinds of things in it that a person would not want to publish.
    pub(super) holds: Vec<&'static str>,
}

mod tag {
    pub const ORIENTATION: u16 = 0x0112;
    pub const MAKE: u16 = 0x010F;
    pub const MODEL: u16 = 0x0110;
    pub const DATE: u16 = 0x0132;
    pub const ARTIST: u16 = 0x013B;
    pub const COPYRIGHT: u16 = 0x8298;
    pub const EXIF: u16 = 0x8769;
    pub const GPS: u16 = 0x8825;
    pub const DATE_ORIGINAL: u16 = 0x9003;
    pub const MAKER_NOTE: u16 = 0x927C;
    pub const OWNER: u16 = 0xA430;
    pub const SERIAL: u16 = 0xA431;
    pub const LENS_SERIAL: u16 = 0xA435;
}

/// Reads a TIFF block (what follows `Exif\0\0`). Broken parts are left out.
pub(super) fn read(bytes: &[u8]) -> Exif {
    let mut exif = Exif::default();
    let Some(reader) = Reader::new(bytes) else {
        return exif;
    };
    let Some((entries, next)) = reader.directory(reader.first()) else {
        return exif;
    };
    let mut hold = |what: &'static str| {
        if !exif.holds.contains(&what) {
            exif.holds.push(what);
        }
    };
    for (name, entry) in entries {
        match name {
            tag::ORIENTATION => exif.orientations.extend(orientations(&reader, entry)),
            tag::GPS => hold("GPS"),
            tag::MAKE | tag::MODEL => hold("camera"),
            tag::DATE => hold("time"),
            tag::ARTIST | tag::COPYRIGHT => hold("name"),
            tag::EXIF => {
                let inner = reader
                    .number(entry)
                    .and_then(|at| reader.directory(at as usize));
                for (name, _) in inner.map(|d| d.0).unwrap_or_default() {
                    match name {
                        tag::MAKER_NOTE => hold("maker note"),
                        tag::SERIAL | tag::LENS_SERIAL => hold("serial number"),
                        tag::OWNER => hold("name"),
                        tag::DATE_ORIGINAL => hold("time"),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if next != 0 {
        hold("thumbnail");
    }
    exif
}

/// What an entry says of the orientation. It must be one short; of anything else some programs
/// (browsers) take no notice and others do, which is as if two places disagreed.
pub(super) fn orientations(reader: &Reader<'_>, entry: usize) -> Vec<u16> {
    const SHORT: u16 = 3;
    if reader.kind(entry) == Some((SHORT, 1)) {
        return reader.u16(entry + 8).into_iter().collect();
    }
    let stored = reader.first_of(entry).and_then(|v| u16::try_from(v).ok());
    // Who looks at neither type nor count reads a short where the value begins.
    let turned = [stored, reader.u16(entry + 8)]
        .into_iter()
        .flatten()
        .find(|v| (2..=8).contains(v));
    turned.map_or_else(Vec::new, |v| vec![1, v])
}

/// Properties of XMP that hold a picture in themselves, and what it is: depth maps, the picture before
/// it was blurred by them, thumbnails.
pub(super) const XMP_PICTURES: [(&[u8], &str); 4] = [
    (b"GDepth:Data", "depth map"),
    (b"GImage:Data", "further picture"),
    (b"GAudio:Data", "sound"),
    (b"xmpGImg:image", "thumbnail"),
];

/// Values of `tiff:Orientation` in an XMP packet, as an attribute or an element.
pub(super) fn xmp_orientations(packet: &[u8]) -> Vec<u16> {
    let key = b"tiff:Orientation";
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = packet
        .get(at..)
        .and_then(|rest| rest.windows(key.len()).position(|w| w == key))
    {
        at += next + key.len();
        let value = packet[at..]
            .iter()
            .take(16)
            .skip_while(|b| !b.is_ascii_digit() && **b != b'<')
            .take_while(|b| b.is_ascii_digit())
            .fold(None, |n: Option<u16>, b| {
                Some(
                    n.unwrap_or(0)
                        .saturating_mul(10)
                        .saturating_add(u16::from(b - b'0')),
                )
            });
        found.extend(value);
    }
    found
}
