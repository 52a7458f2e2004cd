//! What lies in a HEIF file: items, where their data are, what they are like and belong to.
//!
//! Source: ISO/IEC 14496-12 (8.11) and ISO/IEC 23008-12. Every number comes from outside.

use std::ops::Range;

use super::super::bmff::{self, Part};

/// Most items that are followed; a 12-megapixel photo of a phone has about 50 tiles.
const MOST_ITEMS: usize = 20_000;
/// Most pieces that an item's data come in.
const MOST_EXTENTS: usize = 4096;

/// Numbers one after the other, high byte first.
#[derive(Clone)]
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl<'a> Numbers<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    /// A number of 0 to 8 bytes.
    pub(super) fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.take(length)?;
        Some(bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    pub(super) fn int(&mut self, length: usize) -> Option<u32> {
        u32::try_from(self.number(length)?).ok()
    }

    /// Version and flags of a full box.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        let both = self.int(4)?;
        Some(((both >> 24) as u8, both & 0xFF_FFFF))
    }
}

/// One item.
#[derive(Debug, Clone, Default)]
pub(super) struct Item {
    pub(super) id: u32,
    pub(super) kind: [u8; 4],
    /// For `mime`: what it is.
    pub(super) content: String,
    /// Pieces of its data: whether they lie in the `idat` box, and where.
    pieces: Vec<(bool, Range<usize>)>,
    /// Its data lie elsewhere, or are locked.
    pub(super) strange: bool,
    /// Indices of its properties in [`File::properties`], and whether it makes no sense without.
    pub(super) properties: Vec<(usize, bool)>,
    /// What it is made of or refers to.
    pub(super) refers: Vec<([u8; 4], Vec<u32>)>,
}

impl Item {
    /// What it refers to in this way.
    pub(super) fn refers(&self, kind: &[u8; 4]) -> &[u32] {
        let found = self.refers.iter().find(|r| &r.0 == kind);
        found.map_or(&[], |r| &r.1)
    }

    /// Length of its data in bytes.
    pub(super) fn length(&self) -> u64 {
        let lengths = self.pieces.iter().map(|p| p.1.len() as u64);
        lengths.fold(0, u64::saturating_add)
    }
}

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) primary: u32,
    pub(super) items: Vec<Item>,
    /// Properties: kind and place in the file.
    pub(super) properties: Vec<([u8; 4], Range<usize>)>,
    idat: Range<usize>,
    /// Boxes beside those of the picture.
    pub(super) others: Vec<Part>,
    /// Where the boxes end.
    pub(super) end: usize,
}

impl File {
    /// Reads the boxes of a file, or as much of them as its beginning holds.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut file = Self::default();
        let mut meta = None;
        for part in bmff::parts(bytes, 0..bytes.len()) {
            file.end = part.whole.end;
            match &part.kind {
                b"meta" if meta.is_none() => meta = Some(part),
                b"ftyp" | b"mdat" => {}
                _ => file.others.push(part),
            }
        }
        file.meta(bytes, meta?)?;
        Some(file)
    }

    fn meta(&mut self, bytes: &[u8], meta: Part) -> Option<()> {
        let inside = meta.body.start.checked_add(4)?..meta.body.end;
        let parts: Vec<Part> = bmff::parts(bytes, inside).collect();
        let body = |kind: &[u8; 4]| {
            let part = parts.iter().find(|p| &p.kind == kind)?;
            Some((Numbers(bytes.get(part.body.clone())?), part.body.clone()))
        };
        let (mut pitm, _) = body(b"pitm")?;
        let (version, _) = pitm.version()?;
        self.primary = pitm.int(if version == 0 { 2 } else { 4 })?;
        if let Some((_, place)) = body(b"idat") {
            self.idat = place;
        }
        let (_, place) = body(b"iinf")?;
        self.infos(bytes, place)?;
        let (numbers, _) = body(b"iloc")?;
        self.locations(numbers, bytes.len())?;
        if let Some((_, place)) = body(b"iref") {
            self.references(bytes, place)?;
        }
        let (_, place) = body(b"iprp")?;
        for part in bmff::parts(bytes, place) {
            match &part.kind {
                b"ipco" => self.properties.extend(
                    bmff::parts(bytes, part.body)
                        .take(MOST_ITEMS)
                        .map(|p| (p.kind, p.body)),
                ),
                b"ipma" => self.associations(Numbers(bytes.get(part.body)?))?,
                _ => {}
            }
        }
        Some(())
    }

    pub(super) fn item(&self, id: u32) -> Option<&Item> {
        let at = self.items.binary_search_by_key(&id, |i| i.id).ok()?;
        self.items.get(at)
    }

    fn item_mut(&mut self, id: u32) -> Option<&mut Item> {
        let at = self.items.binary_search_by_key(&id, |i| i.id).ok()?;
        self.items.get_mut(at)
    }

    fn infos(&mut self, bytes: &[u8], place: Range<usize>) -> Option<()> {
        let mut numbers = Numbers(bytes.get(place.clone())?);
        let (version, _) = numbers.version()?;
        let head = if version == 0 { 6 } else { 8 };
        for part in bmff::parts(bytes, place.start.checked_add(head)?..place.end) {
            if &part.kind != b"infe" || self.items.len() == MOST_ITEMS {
                return None;
            }
            let mut info = Numbers(bytes.get(part.body)?);
            let (version, _) = info.version()?;
            let id = info.int(if version < 3 { 2 } else { 4 })?;
            let locked = info.int(2)? != 0;
            // Before version 2 there were no pictures.
            let kind = if version < 2 {
                *b"old "
            } else {
                info.take(4)?.try_into().ok()?
            };
            // A name, then for `mime` the type, each ended by zero.
            let content = info.0.split(|b| *b == 0).nth(1).unwrap_or_default();
            self.items.push(Item {
                id,
                kind,
                content: String::from_utf8_lossy(content).into_owned(),
                strange: locked,
                ..Item::default()
            });
        }
        self.items.sort_by_key(|i| i.id);
        let twice = self.items.windows(2).any(|w| w[0].id == w[1].id);
        (!twice).then_some(())
    }

    fn locations(&mut self, mut numbers: Numbers<'_>, end: usize) -> Option<()> {
        let (version, _) = numbers.version()?;
        let sizes = numbers.int(2)? as usize;
        let [offset, length, base, index] = [12, 8, 4, 0].map(|shift| sizes >> shift & 15);
        if [offset, length, base, index]
            .iter()
            .any(|s| ![0, 4, 8].contains(s))
        {
            return None;
        }
        let index = if version == 0 { 0 } else { index };
        let count = numbers.int(if version < 2 { 2 } else { 4 })?;
        for _ in 0..count {
            let id = numbers.int(if version < 2 { 2 } else { 4 })?;
            let method = if version == 0 {
                0
            } else {
                numbers.int(2)? & 15
            };
            let elsewhere = numbers.int(2)? != 0;
            let from = numbers.number(base)?;
            let pieces = numbers.int(2)? as usize;
            // Pieces that take no room in the list could be any number of them.
            let free = offset + length + index == 0;
            if pieces > if free { 1 } else { MOST_EXTENTS } {
                return None;
            }
            let inside = method == 1;
            let idat = self.idat.clone();
            let whole = if inside { idat } else { 0..end };
            let mut found = Vec::new();
            for _ in 0..pieces {
                numbers.take(index)?;
                let at = numbers.number(offset)?.checked_add(from)?;
                let at = usize::try_from(at).ok()?.checked_add(whole.start)?;
                let length = match usize::try_from(numbers.number(length)?).ok()? {
                    0 => whole.end.checked_sub(at)?,
                    length => length,
                };
                // What reaches too far is noticed when it is read.
                found.push((inside, at..at.checked_add(length)?));
            }
            if let Some(item) = self.item_mut(id) {
                item.strange |= method > 1 || elsewhere;
                item.pieces = found;
            }
        }
        Some(())
    }

    fn references(&mut self, bytes: &[u8], place: Range<usize>) -> Option<()> {
        let (version, _) = Numbers(bytes.get(place.clone())?).version()?;
        let size = if version == 0 { 2 } else { 4 };
        for part in bmff::parts(bytes, place.start.checked_add(4)?..place.end) {
            let mut numbers = Numbers(bytes.get(part.body)?);
            let from = numbers.int(size)?;
            let count = numbers.int(2)?;
            let to = (0..count)
                .map(|_| numbers.int(size))
                .collect::<Option<Vec<_>>>()?;
            if let Some(item) = self.item_mut(from) {
                item.refers.push((part.kind, to));
            }
        }
        Some(())
    }

    fn associations(&mut self, mut numbers: Numbers<'_>) -> Option<()> {
        let (version, flags) = numbers.version()?;
        let count = numbers.int(4)?;
        for _ in 0..count {
            let id = numbers.int(if version == 0 { 2 } else { 4 })?;
            let many = numbers.int(1)?;
            let size = if flags & 1 == 1 { 2 } else { 1 };
            let top = 1 << (8 * size - 1);
            let all = (0..many)
                .map(|_| {
                    let both = numbers.int(size)?;
                    // Counted from 1; 0 is none.
                    let index = (both & (top - 1)) as usize;
                    Some(index.checked_sub(1).map(|i| (i, both & top != 0)))
                })
                .collect::<Option<Vec<_>>>()?;
            if let Some(item) = self.item_mut(id) {
                item.properties.extend(all.into_iter().flatten());
            }
        }
        Some(())
    }

    /// An item's data; `None` where they reach beyond the end, or lie elsewhere.
    pub(super) fn data(&self, bytes: &[u8], item: &Item) -> Option<Vec<u8>> {
        if item.strange || item.length() > bytes.len() as u64 {
            return None;
        }
        let mut data = Vec::new();
        for (inside, place) in &item.pieces {
            let end = if *inside { self.idat.end } else { bytes.len() };
            data.extend(bytes.get(place.clone()).filter(|_| place.end <= end)?);
        }
        Some(data)
    }

    /// An item's properties, in order: kind and content.
    pub(super) fn properties<'a>(
        &'a self,
        bytes: &'a [u8],
        item: &'a Item,
    ) -> impl Iterator<Item = ([u8; 4], &'a [u8], bool)> {
        item.properties.iter().filter_map(|&(index, essential)| {
            let (kind, place) = self.properties.get(index)?;
            Some((*kind, bytes.get(place.clone())?, essential))
        })
    }

    /// The first property of a kind.
    pub(super) fn property<'a>(
        &'a self,
        bytes: &'a [u8],
        item: &'a Item,
        kind: &[u8; 4],
    ) -> Option<&'a [u8]> {
        let mut all = self.properties(bytes, item);
        all.find(|p| &p.0 == kind).map(|p| p.1)
    }

    /// Width and height that an item says it has.
    pub(super) fn size(&self, bytes: &[u8], item: &Item) -> Option<(u32, u32)> {
        let mut numbers = Numbers(self.property(bytes, item, b"ispe")?);
        numbers.version()?;
        Some((numbers.int(4)?, numbers.int(4)?))
    }
}
