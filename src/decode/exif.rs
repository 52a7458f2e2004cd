//! As much of EXIF as must be known: which way is up, and what is being dropped.
//!
//! Source: CIPA DC-008 (Exif 2.32) and TIFF 6.0. Every offset and count comes from outside.

/// What an EXIF block says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exif {
    /// Orientation tags of the first directory, as written (1 to 8 have a meaning).
    pub(super) orientations: Vec<u16>,
    /// Kinds of things in it that a person would not want to publish.
    pub(super) holds: Vec<&'static str>,
}

/// Most entries that are read of one directory; real ones have under 100.
const MAX_ENTRIES: usize = 1000;

struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Reader<'_> {
    fn u16(&self, at: usize) -> Option<u16> {
        let b = self.bytes.get(at..at.checked_add(2)?)?;
        let b = [b[0], b[1]];
        Some(if self.little {
            u16::from_le_bytes(b)
        } else {
            u16::from_be_bytes(b)
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let b = self.bytes.get(at..at.checked_add(4)?)?;
        let b = [b[0], b[1], b[2], b[3]];
        Some(if self.little {
            u32::from_le_bytes(b)
        } else {
            u32::from_be_bytes(b)
        })
    }

    /// Entries of the directory at `at` (tag, offset of its value field), and the next one's place.
    fn directory(&self, at: usize) -> Option<(Vec<(u16, usize)>, usize)> {
        let count = usize::from(self.u16(at)?);
        let entries = (0..count.min(MAX_ENTRIES))
            .map_while(|i| {
                let entry = at.checked_add(2 + 12 * i)?;
                self.u32(entry + 8)?;
                Some((self.u16(entry)?, entry))
            })
            .collect();
        let next = at
            .checked_add(2 + 12 * count)
            .and_then(|n| self.u32(n))
            .unwrap_or(0);
        Some((entries, next as usize))
    }

    /// The number in an entry, if it is one short or long.
    fn number(&self, entry: usize) -> Option<u32> {
        match (self.u16(entry + 2)?, self.u32(entry + 4)?) {
            (3, 1) => self.u16(entry + 8).map(u32::from),
            (4, 1) => self.u32(entry + 8),
            _ => None,
        }
    }
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
    let little = match bytes.get(..4) {
        Some(b"II*\0") => true,
        Some(b"MM\0*") => false,
        _ => return exif,
    };
    let reader = Reader { bytes, little };
    let Some((entries, next)) = reader.u32(4).and_then(|at| reader.directory(at as usize)) else {
        return exif;
    };
    let mut hold = |what: &'static str| {
        if !exif.holds.contains(&what) {
            exif.holds.push(what);
        }
    };
    for (name, entry) in entries {
        match name {
            tag::ORIENTATION => exif
                .orientations
                .extend(reader.number(entry).map(|v| v.min(0xFFFF) as u16)),
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
