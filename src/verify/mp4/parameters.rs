//! What H.264 and H.265 parameters say of the picture's size: of what is coded, how much is shown,
//! and whether pixels are hidden behind an edge.

use crate::verify::bits::Bits;

/// A unit without the bytes that keep start codes apart.
fn plain(unit: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(unit.len());
    for &byte in unit {
        if !(byte == 3 && bytes.ends_with(&[0, 0])) {
            bytes.push(byte);
        }
    }
    bytes
}

/// What is shown of what is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Pixels left out on the left, right, top and bottom.
    pub hidden: [u32; 4],
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
    if bits.take(1)? == 1 {
        for value in &mut four {
            *value = bits.number()?;
        }
    }
    Some(four)
}

/// Of an H.264 sequence parameter set, from its first byte on.
pub(super) fn avc(unit: &[u8]) -> Option<Shown> {
    let bytes = plain(unit);
    let mut b = Bits::new(&bytes);
    b.skip(8)?;
    let profile = b.take(8)?;
    b.skip(16)?;
    b.number()?;
    let mut chroma = 1;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma = b.number()?;
        if chroma == 3 {
            b.skip(1)?;
        }
        b.number()?;
        b.number()?;
        b.skip(1)?;
        // Scaling lists: this program's encoder writes none.
        if b.take(1)? == 1 {
            return None;
        }
    }
    b.number()?;
    match b.number()? {
        0 => {
            b.number()?;
        }
        1 => {
            b.skip(1)?;
            b.number()?;
            b.number()?;
            for _ in 0..b.number()?.min(255) {
                b.number()?;
            }
        }
        _ => {}
    }
    b.number()?;
    b.skip(1)?;
    let (wide, high) = (b.number()? + 1, b.number()? + 1);
    let frames = b.take(1)?;
    if frames == 0 {
        b.skip(1)?;
    }
    b.skip(1)?;
    let by = four(&mut b)?;
    let rows = 2 - frames;
    let unit = match chroma {
        1 => (2, 2 * rows),
        2 => (2, rows),
        _ => (1, rows),
    };
    let coded = (
        wide.checked_mul(16)?,
        high.checked_mul(16)?.checked_mul(rows)?,
    );
    cut(coded, by, unit)
}

/// Of an H.265 sequence parameter set, from its first byte on.
pub(super) fn hevc(unit: &[u8]) -> Option<Shown> {
    let bytes = plain(unit);
    let mut b = Bits::new(&bytes);
    b.skip(16 + 4)?;
    let layers = b.take(3)?;
    b.skip(1)?;
    // Profile and level of the whole, then which of the layers have their own.
    b.skip(88 + 8)?;
    let mut own = Vec::new();
    for _ in 0..layers {
        own.push((b.take(1)?, b.take(1)?));
    }
    if layers > 0 {
        b.skip(2 * (8 - layers as usize))?;
    }
    for (profile, level) in own {
        b.skip(88 * profile as usize + 8 * level as usize)?;
    }
    b.number()?;
    let chroma = b.number()?;
    if chroma == 3 {
        b.skip(1)?;
    }
    let coded = (b.number()?, b.number()?);
    let by = four(&mut b)?;
    let unit = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    cut(coded, by, unit)
}
