//! What H.264 and H.265 parameter sets say, read to their last bit: how much of what is coded is
//! shown, and that nothing else stands in them.

use crate::verify::{bits::Bits, mp4::config::colours};

/// The beginning of a unit without the bytes that keep start codes apart.
pub(super) fn head(unit: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        bytes.push(byte);
    }
    bytes
}

/// A unit without those bytes; `None` where one is missing, or stands where none is needed.
pub(super) fn plain(unit: &[u8]) -> Option<Vec<u8>> {
    apart(unit).then(|| head(unit))
}

/// Whether bytes that keep start codes apart stand where they must, and nowhere else.
pub(super) fn apart(unit: &[u8]) -> bool {
    let mut at = 0;
    while let Some(zero) = unit[at..].iter().position(|b| *b == 0) {
        at += zero + 1;
        if unit.get(at) != Some(&0) {
            continue;
        }
        match unit.get(at + 1) {
            Some(0..=2) => return false,
            Some(3) => match unit.get(at + 2) {
                Some(0..=3) => at += 2,
                _ => return false,
            },
            _ => {}
        }
    }
    unit.last() != Some(&0)
}

/// What is shown of what is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Pixels left out on the left, right, top and bottom.
    pub hidden: [u32; 4],
}

/// What a sequence parameter set says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    pub shown: Shown,
    /// How colours are stored, and bits of luma and chroma beyond 8.
    pub kind: (u32, u32, u32),
}

impl Shown {
    /// Whether what is left out is no more than filling up to whole blocks, which are added on the
    /// right and at the bottom.
    pub(super) const fn fills_only(self, block: u32) -> bool {
        let [left, right, top, bottom] = self.hidden;
        left == 0 && top == 0 && right < block && bottom < block
    }
}

fn cut(coded: (u32, u32), by: [u32; 4], unit: (u32, u32)) -> Option<Shown> {
    let hidden = [
        by[0].checked_mul(unit.0)?,
        by[1].checked_mul(unit.0)?,
        by[2].checked_mul(unit.1)?,
        by[3].checked_mul(unit.1)?,
    ];
    Some(Shown {
        size: (
            coded.0.checked_sub(hidden[0].checked_add(hidden[1])?)?,
            coded.1.checked_sub(hidden[2].checked_add(hidden[3])?)?,
        ),
        hidden,
    })
}

fn four(bits: &mut Bits<'_>) -> Option<[u32; 4]> {
    let mut four = [0; 4];
    if bits.flag()? {
        for value in &mut four {
            *value = bits.number()?;
        }
    }
    Some(four)
}

/// Reads past `count` numbers.
fn numbers(b: &mut Bits<'_>, count: usize) -> Option<()> {
    (0..count).try_for_each(|_| b.number().map(drop))
}

/// Whether a condition holds.
fn must(right: bool) -> Option<()> {
    right.then_some(())
}

/// Whether an H.264 profile says how colours are stored.
pub(super) const fn high(profile: u32) -> bool {
    matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

/// Of an H.264 sequence parameter set, from its first byte on.
pub(super) fn avc(unit: &[u8]) -> Option<Sequence> {
    let bytes = plain(unit)?;
    let mut b = Bits::new(&bytes);
    must(matches!(b.take(8)?, 0x27 | 0x47 | 0x67))?;
    let profile = b.take(8)?;
    // Constraints, two bits of which are reserved, and a level; then the set's number.
    must(b.take(8)? & 3 == 0)?;
    b.take(8)?;
    must(b.number()? < 32)?;
    let mut kind = (1, 0, 0);
    if high(profile) {
        kind.0 = b.number()?;
        must(kind.0 < 4)?;
        if kind.0 == 3 {
            b.skip(1)?;
        }
        (kind.1, kind.2) = (b.number()?, b.number()?);
        must(kind.1 < 7 && kind.2 < 7)?;
        // No loss in some blocks; scaling lists, which this program's encoder does not write.
        b.skip(1)?;
        must(!b.flag()?)?;
    }
    must(b.number()? <= 12)?;
    match b.number()? {
        0 => must(b.number()? <= 12)?,
        1 => {
            b.skip(1)?;
            numbers(&mut b, 2)?;
            let count = b.number()?;
            must(count < 256)?;
            numbers(&mut b, count as usize)?;
        }
        2 => {}
        _ => return None,
    }
    must(b.number()? <= 16)?;
    b.skip(1)?;
    let (wide, high) = (b.number()?.checked_add(1)?, b.number()?.checked_add(1)?);
    let frames = b.take(1)?;
    if frames == 0 {
        b.skip(1)?;
    }
    b.skip(1)?;
    let by = four(&mut b)?;
    if b.flag()? {
        usability(&mut b, false)?;
    }
    must(b.ends())?;
    let rows = 2 - frames;
    let unit = match kind.0 {
        1 => (2, 2 * rows),
        2 => (2, rows),
        _ => (1, rows),
    };
    let coded = (
        wide.checked_mul(16)?,
        high.checked_mul(16)?.checked_mul(rows)?,
    );
    Some(Sequence {
        shown: cut(coded, by, unit)?,
        kind,
    })
}

/// Past what a sequence says of its use (Annex E of both): shapes, colours and times, but no model
/// of buffers, which may have hundreds of numbers.
fn usability(b: &mut Bits<'_>, hevc: bool) -> Option<()> {
    if b.flag()? {
        let shape = b.take(8)?;
        must(shape <= 16 || shape == 255)?;
        if shape == 255 {
            b.skip(32)?;
        }
    }
    if b.flag()? {
        b.skip(1)?;
    }
    if b.flag()? {
        must(b.take(3)? < 6)?;
        b.skip(1)?;
        if b.flag()? {
            for which in 0..3 {
                must(colours(which, b.take(8)? as u8))?;
            }
        }
    }
    if b.flag()? {
        must(b.number()? < 6 && b.number()? < 6)?;
    }
    if hevc {
        // Neutral chroma, fields, no second window.
        b.skip(3)?;
        must(!b.flag()?)?;
    }
    if b.flag()? {
        times(b)?;
        if hevc {
            if b.flag()? {
                b.number()?;
            }
            must(!b.flag()?)?;
        } else {
            b.skip(1)?;
        }
    }
    if !hevc {
        // No models of buffers; whether fields are told.
        must(b.take(2)? == 0)?;
        b.skip(1)?;
    }
    if b.flag()? {
        b.skip(if hevc { 3 } else { 1 })?;
        numbers(b, if hevc { 5 } else { 6 })?;
    }
    Some(())
}

/// Past a unit of time and how many of them a second has.
fn times(b: &mut Bits<'_>) -> Option<()> {
    let (unit, scale) = (b.take(32)?, b.take(32)?);
    must((1..1 << 20).contains(&unit) && (1..1 << 28).contains(&scale))
}

/// The number of an H.264 picture parameter set that is read to its end.
pub(super) fn avc_picture(unit: &[u8]) -> Option<u32> {
    let bytes = plain(unit)?;
    let mut b = Bits::new(&bytes);
    must(matches!(b.take(8)?, 0x28 | 0x48 | 0x68))?;
    let number = b.number()?;
    must(number < 256 && b.number()? < 32)?;
    b.skip(2)?;
    // One group of slices.
    must(b.number()? == 0)?;
    must(b.number()? < 32 && b.number()? < 32)?;
    b.skip(3)?;
    numbers(&mut b, 3)?;
    b.skip(2)?;
    // No slices that repeat others.
    must(!b.flag()?)?;
    if !b.ends() {
        b.skip(1)?;
        must(!b.flag()?)?;
        b.number()?;
    }
    b.ends().then_some(number)
}

/// Past profile and level of all layers in time, of which there are one more than `further`.
fn profile(b: &mut Bits<'_>, further: usize) -> Option<()> {
    must(b.take(2)? == 0)?;
    b.skip(1)?;
    let kind = b.take(5)?;
    // Profiles it is compatible with: of those that there are.
    must(b.take(32)? & 0xF_FFFF == 0)?;
    b.skip(4)?;
    let (tools, rest) = (b.take(9)?, (b.take(32)?, b.take(2)?));
    must(rest == (0, 0) && (tools == 0 || kind >= 4))?;
    b.skip(1 + 8)?;
    let mut own = Vec::new();
    for _ in 0..further {
        own.push((b.take(1)?, b.take(1)?));
    }
    if further > 0 {
        must(b.take(2 * (8 - further))? == 0)?;
    }
    for (profile, level) in own {
        b.skip(88 * profile as usize + 8 * level as usize)?;
    }
    Some(())
}

/// Past how many pictures are held back, of each layer in time or of all together.
fn ordering(b: &mut Bits<'_>, further: usize) -> Option<()> {
    let each = b.flag()?;
    numbers(b, 3 * if each { further + 1 } else { 1 })
}

/// The bytes of an H.265 sequence parameter set that a configuration repeats.
pub(super) fn hevc_profile(unit: &[u8]) -> Option<Vec<u8>> {
    plain(unit)?.get(3..15).map(<[u8]>::to_vec)
}

/// Reads an H.265 video parameter set to its end.
pub(super) fn hevc_video(unit: &[u8]) -> Option<()> {
    let bytes = plain(unit)?;
    let mut b = Bits::new(&bytes);
    b.skip(16 + 4)?;
    // Base layer, of one layer; layers in time, and reserved bits.
    must(b.take(2)? == 3 && b.take(6)? == 0)?;
    let further = b.take(3)? as usize;
    b.skip(1)?;
    must(further < 7 && b.take(16)? == 0xFFFF)?;
    profile(&mut b, further)?;
    ordering(&mut b, further)?;
    must(b.take(6)? == 0 && b.number()? == 0)?;
    if b.flag()? {
        times(&mut b)?;
        if b.flag()? {
            b.number()?;
        }
        must(b.number()? == 0)?;
    }
    must(!b.flag()?)?;
    must(b.ends())
}

/// Of an H.265 sequence parameter set, from its first byte on.
pub(super) fn hevc(unit: &[u8]) -> Option<Sequence> {
    let bytes = plain(unit)?;
    let mut b = Bits::new(&bytes);
    b.skip(16 + 4)?;
    let further = b.take(3)? as usize;
    b.skip(1)?;
    must(further < 7)?;
    profile(&mut b, further)?;
    must(b.number()? < 16)?;
    let chroma = b.number()?;
    must(chroma < 4)?;
    if chroma == 3 {
        b.skip(1)?;
    }
    let coded = (b.number()?, b.number()?);
    let by = four(&mut b)?;
    let kind = (chroma, b.number()?, b.number()?);
    must(kind.1 < 8 && kind.2 < 8)?;
    let order = b.number()? as usize;
    must(order <= 12)?;
    ordering(&mut b, further)?;
    numbers(&mut b, 6)?;
    // Scaling lists of the standard, none of its own.
    if b.flag()? {
        must(!b.flag()?)?;
    }
    b.skip(2)?;
    if b.flag()? {
        b.skip(8)?;
        numbers(&mut b, 2)?;
        b.skip(1)?;
    }
    let sets = b.number()?;
    must(sets <= 64)?;
    for index in 0..sets {
        references(&mut b, index)?;
    }
    if b.flag()? {
        let count = b.number()? as usize;
        must(count <= 32)?;
        b.skip(count * (order + 5))?;
    }
    b.skip(2)?;
    if b.flag()? {
        usability(&mut b, true)?;
    }
    // No extensions.
    must(!b.flag()?)?;
    must(b.ends())?;
    let unit = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    Some(Sequence {
        shown: cut(coded, by, unit)?,
        kind,
    })
}

/// What an H.265 sequence parameter set shows.
pub(super) fn hevc_shown(unit: &[u8]) -> Option<Shown> {
    hevc(unit).map(|sequence| sequence.shown)
}

/// Past a set of pictures that others need; none is described by another set.
fn references(b: &mut Bits<'_>, index: u32) -> Option<()> {
    if index > 0 {
        must(!b.flag()?)?;
    }
    let (before, behind) = (b.number()?, b.number()?);
    must(before <= 16 && behind <= 16)?;
    (0..before + behind).try_for_each(|_| {
        b.number()?;
        b.skip(1)
    })
}

/// The number of an H.265 picture parameter set that is read to its end.
pub(super) fn hevc_picture(unit: &[u8]) -> Option<u32> {
    let bytes = plain(unit)?;
    let mut b = Bits::new(&bytes);
    b.skip(16)?;
    let number = b.number()?;
    must(number < 64 && b.number()? < 16)?;
    // Dependent slices, output; no further bits in slices.
    b.skip(2)?;
    must(b.take(3)? == 0)?;
    b.skip(2)?;
    numbers(&mut b, 3)?;
    b.skip(2)?;
    if b.flag()? {
        b.number()?;
    }
    numbers(&mut b, 2)?;
    b.skip(4)?;
    let (tiles, _) = (b.flag()?, b.flag()?);
    if tiles {
        let (columns, rows) = (b.number()? as usize, b.number()? as usize);
        must(columns < 20 && rows < 22)?;
        if !b.flag()? {
            numbers(&mut b, columns + rows)?;
        }
        b.skip(1)?;
    }
    b.skip(1)?;
    if b.flag()? {
        b.skip(1)?;
        if !b.flag()? {
            numbers(&mut b, 2)?;
        }
    }
    // No scaling lists, no extensions of slices or of this set.
    must(!b.flag()?)?;
    b.skip(1)?;
    b.number()?;
    must(b.take(2)? == 0)?;
    b.ends().then_some(number)
}
