//! AVIF: one coded picture and its transparency, what says how they lie, and nothing else. Every byte
//! of `mdat` belongs to one of them, no property is unused, no picture is larger than it is shown.

use std::ops::Range;

use super::{
    Findings, LeakKind,
    bits::Bits,
    frames::{self, Fault},
    mp4::{CODED, unlisted},
};

const ALPHA: &[u8] = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0";

/// Whether a file is of this kind, by its first box.
pub(super) fn is_avif(bytes: &[u8]) -> bool {
    bytes.get(4..12) == Some(b"ftypavif")
}

/// A box: its name, all of it, its content.
struct Part {
    name: [u8; 4],
    whole: Range<usize>,
    body: Range<usize>,
}

struct Walk<'a> {
    bytes: &'a [u8],
    findings: &'a mut Findings,
    /// Profile and level of each item, as its configuration has them.
    configs: Vec<u8>,
}

/// A part of an item: the item's number and the place of its data.
type Piece = (u32, Range<usize>);

pub(super) fn inspect(bytes: &[u8], findings: &mut Findings) -> Option<(u32, u32)> {
    let mut walk = Walk {
        bytes,
        findings,
        configs: Vec::new(),
    };
    let parts = walk.boxes(0..bytes.len(), LeakKind::Trailing);
    walk.exactly(&parts, &[b"ftyp", b"meta", b"mdat"], 0..bytes.len());
    for part in &parts {
        match &part.name {
            b"ftyp" => {
                let brands = &bytes[part.body.clone()];
                let right = brands == b"avif\0\0\0\0avifmif1miaf";
                walk.require(right, "brands that are not the usual ones", &part.whole);
            }
            b"meta" | b"mdat" => {}
            name => unlisted(name, part.whole.clone(), walk.findings),
        }
    }
    let of = |name: &[u8; 4]| parts.iter().find(|p| &p.name == name);
    let (meta, data) = (of(b"meta")?, of(b"mdat")?);
    let size = walk.meta(meta, &data.body);
    walk.findings.unchecked(CODED);
    if size.is_none() {
        let what = "an index that can't be followed";
        walk.findings
            .add(LeakKind::Malformed, what, meta.whole.clone());
    }
    size
}

impl Walk<'_> {
    /// The boxes in a place; what is none is a finding.
    fn boxes(&mut self, place: Range<usize>, rest: LeakKind) -> Vec<Part> {
        let mut all = Vec::new();
        let mut at = place.start;
        while at < place.end {
            let head = self.bytes[..place.end].get(at..at + 8);
            let size = head.map_or(0, |h| u32::from_be_bytes([h[0], h[1], h[2], h[3]]) as usize);
            let (Some(head), true) = (head, size >= 8 && size <= place.end - at) else {
                self.findings
                    .add(rest, "bytes that are no box", at..place.end);
                break;
            };
            all.push(Part {
                name: [head[4], head[5], head[6], head[7]],
                whole: at..at + size,
                body: at + 8..at + size,
            });
            at += size;
        }
        all
    }

    fn require(&mut self, right: bool, what: &str, place: &Range<usize>) {
        if !right {
            self.findings.add(LeakKind::Unknown, what, place.clone());
        }
    }

    /// Each of `names` once.
    fn exactly(&mut self, parts: &[Part], names: &[&[u8; 4]], whole: Range<usize>) {
        for name in names {
            let count = parts.iter().filter(|p| &&p.name == name).count();
            if count != 1 {
                let what = format!("{count} boxes '{}'", name.escape_ascii());
                self.findings.add(LeakKind::Malformed, what, whole.clone());
            }
        }
    }

    fn number(&self, at: usize, size: usize, end: usize) -> Option<u32> {
        let bytes = self.bytes[..end].get(at..at.checked_add(size)?)?;
        Some(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    fn meta(&mut self, meta: &Part, data: &Range<usize>) -> Option<(u32, u32)> {
        let plain = self.bytes.get(meta.body.start..meta.body.start + 4) == Some(&[0; 4]);
        self.require(plain, "flags of the index", &meta.whole);
        let parts = self.boxes(
            (meta.body.start + 4).min(meta.body.end)..meta.body.end,
            LeakKind::Slack,
        );
        let names = [b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp"];
        self.exactly(&parts, &names, meta.whole.clone());
        let bytes = self.bytes;
        let mut pieces = Vec::new();
        let (mut count, mut refers, mut size) = (0, 0, None);
        for part in &parts {
            let body = &bytes[part.body.clone()];
            match &part.name {
                b"hdlr" => {
                    let right = body == b"\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0";
                    self.require(right, "a handler that is not the usual one", &part.whole);
                }
                b"pitm" => {
                    let right = body == [0, 0, 0, 0, 0, 1];
                    self.require(right, "another first picture", &part.whole);
                }
                b"iloc" => pieces = self.locations(part)?,
                b"iinf" => count = self.infos(part)?,
                b"iref" => {
                    // One reference: the second item is auxiliary to the first.
                    let right = body == b"\0\0\0\0\0\0\0\x0Eauxl\0\x02\0\x01\0\x01";
                    self.require(right, "references that are not the usual ones", &part.whole);
                    refers += 1;
                }
                b"iprp" => size = self.properties(part),
                name => unlisted(name, part.whole.clone(), self.findings),
            }
        }
        let (shown, alpha) = size?;
        let sound = pieces.len() == count
            && (1..=2).contains(&count)
            && refers == count - 1
            && alpha == (count == 2);
        self.require(sound, "items that do not fit each other", &meta.whole);
        self.data(&pieces, data, shown);
        Some(shown)
    }

    /// Where the items lie: 4-byte places and lengths, one piece each.
    fn locations(&mut self, part: &Part) -> Option<Vec<Piece>> {
        let (at, end) = (part.body.start, part.body.end);
        let head = self.bytes[..end].get(at..at + 6)?;
        self.require(head == [0, 0, 0, 0, 0x44, 0], "a rare index", &part.whole);
        let count = self.number(at + 6, 2, end)? as usize;
        let right = end - at == 8 + count * 14;
        self.require(right, "bytes behind the index", &part.whole);
        (0..count)
            .map(|i| {
                let at = at + 8 + 14 * i;
                let id = self.number(at, 2, end)?;
                let plain = self.number(at + 2, 4, end)? == 1;
                let from = self.number(at + 6, 4, end)? as usize;
                let to = from.checked_add(self.number(at + 10, 4, end)? as usize)?;
                (plain && id as usize == i + 1).then_some((id, from..to))
            })
            .collect()
    }

    /// Number of items; each is a coded picture without a name.
    fn infos(&mut self, part: &Part) -> Option<usize> {
        let (at, end) = (part.body.start, part.body.end);
        let count = self.number(at + 4, 2, end)?;
        let right = self.number(at, 4, end)? == 0;
        self.require(right, "flags of the items", &part.whole);
        let infos = self.boxes(at + 6..end, LeakKind::Slack);
        self.require(
            infos.len() == count as usize,
            "a wrong number of items",
            &part.whole,
        );
        for (info, id) in infos.iter().zip(1u8..) {
            let right = &info.name == b"infe"
                && self.bytes[info.body.clone()]
                    == *[&[2, 0, 0, 0, 0, id, 0, 0][..], b"av01\0"].concat();
            if !right {
                let kind = match self.bytes.get(info.body.start + 8..info.body.start + 12) {
                    Some(b"Exif") => LeakKind::Exif,
                    Some(b"mime") => LeakKind::Xmp,
                    _ => LeakKind::SecondPicture,
                };
                let what = "an item that is no coded picture";
                self.findings.add(kind, what, info.whole.clone());
            }
        }
        Some(infos.len())
    }

    /// Size of the pictures, and whether one is a transparency.
    fn properties(&mut self, part: &Part) -> Option<((u32, u32), bool)> {
        let parts = self.boxes(part.body.clone(), LeakKind::Slack);
        self.exactly(&parts, &[b"ipco", b"ipma"], part.whole.clone());
        for other in parts
            .iter()
            .filter(|p| !matches!(&p.name, b"ipco" | b"ipma"))
        {
            unlisted(&other.name, other.whole.clone(), self.findings);
        }
        let of = |name: &[u8; 4]| parts.iter().find(|p| &p.name == name);
        let (all, belongs) = (of(b"ipco")?, of(b"ipma")?);
        let all = self.boxes(all.body.clone(), LeakKind::Slack);
        let (mut size, mut alpha) = (None, false);
        let bytes = self.bytes;
        for property in &all {
            let body = &bytes[property.body.clone()];
            let right = match &property.name {
                b"ispe" => {
                    size = (body.len() == 12)
                        .then(|| self.number(property.body.start + 4, 4, property.body.end))
                        .flatten()
                        .zip(self.number(property.body.start + 8, 4, property.body.end));
                    body.starts_with(&[0; 4])
                }
                b"pixi" => matches!(
                    body,
                    [0, 0, 0, 0, 1, 8 | 10]
                        | [0, 0, 0, 0, 3, 8, 8, 8]
                        | [0, 0, 0, 0, 3, 10, 10, 10]
                ),
                b"colr" if body.starts_with(b"prof") || body.starts_with(b"rICC") => {
                    let what = "colour profile";
                    self.findings
                        .add(LeakKind::ColourProfile, what, property.whole.clone());
                    true
                }
                b"colr" => body == b"nclx\0\x01\0\x0D\0\x06\x80",
                b"av1C" => {
                    self.configs.extend(body.get(1).copied());
                    // Depth of 8 or 10 bits; colours of a quarter, all or none.
                    matches!(body, [0x81, _, 0 | 0x40 | 0x0C | 0x4C | 0x1C | 0x5C, 0])
                }
                b"auxC" => {
                    alpha = true;
                    body == [&[0; 4], ALPHA].concat()
                }
                name => {
                    unlisted(name, property.whole.clone(), self.findings);
                    true
                }
            };
            self.require(
                right,
                "a property that is not the usual one",
                &property.whole,
            );
        }
        let kinds: Vec<_> = all.iter().map(|p| &p.name).collect();
        let still: [&[u8; 4]; 4] = [b"ispe", b"colr", b"pixi", b"av1C"];
        let clear: [&[u8; 4]; 3] = [b"pixi", b"av1C", b"auxC"];
        let meant: Vec<_> = still
            .into_iter()
            .chain(clear)
            .take(if alpha { 7 } else { 4 })
            .collect();
        self.require(
            kinds == meant,
            "properties that are not the usual ones",
            &part.whole,
        );
        let links: &[u8] = if alpha {
            &[
                0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 4, 1, 2, 3, 0x84, 0, 2, 4, 1, 5, 0x86, 7,
            ]
        } else {
            &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 4, 1, 2, 3, 0x84]
        };
        let right = &bytes[belongs.body.clone()] == links;
        self.require(right, "properties that belong to nothing", &belongs.whole);
        Some((size?, alpha))
    }

    /// Every byte of the data belongs to one item, in order, and is a picture of the right size.
    fn data(&mut self, pieces: &[Piece], data: &Range<usize>, shown: (u32, u32)) {
        let mut at = data.start;
        let configs = std::mem::take(&mut self.configs);
        for ((_, place), config) in pieces.iter().zip(configs) {
            let inside = place.start >= data.start && place.end <= data.end;
            if !inside || place.start != at {
                let kind = if inside {
                    LeakKind::Between
                } else {
                    LeakKind::Malformed
                };
                self.findings
                    .add(kind, "data that do not follow each other", place.clone());
            }
            at = at.max(place.end.min(data.end));
            if inside && let Err((kind, what)) = units(&self.bytes[place.clone()], shown, config) {
                self.findings.add(kind, what, place.clone());
            }
        }
        if at < data.end {
            let what = "data that nothing points to";
            self.findings.add(LeakKind::Slack, what, at..data.end);
        }
    }
}

/// One header of a still picture, of the size that is shown, and one frame.
fn units(mut data: &[u8], shown: (u32, u32), config: u8) -> Result<(), Fault> {
    const HEADER: u8 = 1;
    const METADATA: u8 = 5;
    const FRAME: u8 = 6;
    const BROKEN: Fault = (
        LeakKind::Malformed,
        "a coded picture that can't be followed",
    );
    for due in [HEADER, FRAME] {
        let (kind, unit, rest) = unit(data).ok_or(BROKEN)?;
        match kind {
            METADATA => return Err((LeakKind::Comment, "metadata units")),
            _ if kind != due => return Err((LeakKind::Unknown, "units that no picture needs")),
            HEADER if sides(&mut Bits::new(unit)) != Some(shown) => {
                return Err((LeakKind::HiddenPixels, "a coded picture of another size"));
            }
            HEADER if !ends(unit) => {
                return Err((LeakKind::Slack, "bytes behind a header"));
            }
            HEADER if level(unit) != Some(config) => {
                return Err((LeakKind::Malformed, "a level that is not the picture's"));
            }
            _ => {}
        }
        data = rest;
    }
    match unit(data) {
        None if data.is_empty() => Ok(()),
        Some((METADATA, ..)) => Err((LeakKind::Comment, "metadata units")),
        Some((FRAME, ..)) => Err((LeakKind::SecondPicture, "a further picture")),
        _ => Err((LeakKind::Slack, "bytes behind a picture")),
    }
}

/// The first unit's kind and content, and what follows it. Units say their length and have no
/// extension.
fn unit(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let plain = data.first().is_some_and(|head| head & 0x87 == 2);
    plain.then(|| frames::obu(data)).flatten()
}

/// Profile and level in the header of a still picture, as a configuration has them.
fn level(header: &[u8]) -> Option<u8> {
    let [first, second, ..] = *header else {
        return None;
    };
    // Three bits of profile, two that say still and reduced, five of level.
    Some(first & 0xE0 | (first & 7) << 2 | second >> 6)
}

/// Width and height in the header of a still picture (AV1, 5.5.1), read up to what follows them.
fn sides(b: &mut Bits<'_>) -> Option<(u32, u32)> {
    // Profile, still, reduced, level; then how many bits the sides have.
    b.take(3)?;
    if b.take(2)? != 3 {
        return None;
    }
    b.take(5)?;
    let (wide, high) = (b.take(4)? as usize + 1, b.take(4)? as usize + 1);
    Some((b.take(wide)? + 1, b.take(high)? + 1))
}

/// Whether a still picture's header ends where its unit does.
fn ends(header: &[u8]) -> bool {
    let mut b = Bits::new(header);
    let rest = |b: &mut Bits<'_>| {
        sides(b)?;
        // Superblocks, four tools and restoration; how colours are stored; grain.
        b.take(6)?;
        frames::colours(b, u32::from(header.first()? >> 5))?;
        b.take(1)
    };
    rest(&mut b).is_some() && b.ends()
}
