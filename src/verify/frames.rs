//! Coded pictures of AV1 and VP9, divided as far as that goes without decoding: kinds of units,
//! their lengths to the last byte, and that each sample shows exactly one picture.
//!
//! The last tile takes the rest of its frame, and only a decoder knows how much of that it needs:
//! bytes behind it are not found here.

use super::{LeakKind, bits::Bits, mp4};

pub(super) type Fault = (LeakKind, &'static str);

pub(super) const UNKNOWN: Fault = (LeakKind::Unknown, "units that no picture needs");
pub(super) const BROKEN: Fault = (LeakKind::Malformed, "a picture that can't be followed");
const UNSHOWN: Fault = (
    LeakKind::HiddenPixels,
    "a sample that does not show one picture",
);
const OTHER: Fault = (
    LeakKind::Unknown,
    "a sequence header of another size, or with more in it",
);

/// Longest frame header of AV1 that stands alone, in bytes.
const MOST_HEADER: usize = 256;

/// One unit of AV1: its kind, its body, what follows.
pub(super) fn obu(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&head, mut rest) = bytes.split_first()?;
    // A bit that must be 0, one that is reserved, and no extension: there are no layers.
    if head & 0x85 != 0 {
        return None;
    }
    let kind = head >> 3 & 0xF;
    if head & 2 == 0 {
        return Some((kind, rest, &[]));
    }
    let (mut size, mut shift) = (0usize, 0);
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        size |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            // No longer than it must be.
            if byte == 0 && shift > 7 {
                return None;
            }
            break;
        }
        if shift > 28 {
            return None;
        }
    }
    (size <= rest.len()).then(|| {
        let (body, behind) = rest.split_at(size);
        (kind, body, behind)
    })
}

/// Follows a sample of AV1 whose pictures have `size`; gives whether it can be shown without
/// others.
pub(super) fn av1(mut bytes: &[u8], size: Option<(u32, u32)>) -> Result<bool, Fault> {
    let (mut shown, mut units, mut sequences, mut key) = (0, 0, 0, None);
    while !bytes.is_empty() {
        let (kind, body, behind) = obu(bytes).ok_or(BROKEN)?;
        bytes = behind;
        let head = body.first().copied().unwrap_or(0);
        // A frame that is shown again, or one that is shown as it comes.
        let (again, at_once) = (head & 0x80 != 0, head & 0x10 != 0);
        if matches!(kind, 3 | 6) {
            // A frame that is drawn without others and shown as it comes.
            key.get_or_insert(head & 0xF0 == 0x10);
        }
        match kind {
            1 if size.is_some() && sequence(body).map(|s| s.size) == size && key.is_none() => {
                sequences += 1;
            }
            1 => return Err(OTHER),
            // A delimiter, before all others.
            2 if body.is_empty() && units == 0 => {}
            // A header that stands alone: which frame is shown again, or one before its tiles.
            3 if again && body.len() == 1 && head & 0xF == 8 => shown += 1,
            3 if !again && body.len() <= MOST_HEADER => shown += u32::from(at_once),
            // Tiles.
            4 if key.is_some() => {}
            6 if !again => shown += u32::from(at_once),
            5 => return Err((LeakKind::Comment, "metadata units")),
            _ => return Err(UNKNOWN),
        }
        units += 1;
    }
    if shown != 1 {
        return Err(UNSHOWN);
    }
    if sequences > 1 {
        return Err(OTHER);
    }
    Ok(key == Some(true))
}

/// What an AV1 sequence's header says.
pub(super) struct Sequence {
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Profile, level, depth and colours as a configuration repeats them.
    pub(super) said: [u8; 2],
}

/// A moving AV1 sequence's header that is read to its last bit (AV1, 5.5); `None` also where it
/// tells of timing, which encoders leave to the container, or of layers.
pub(super) fn sequence(body: &[u8]) -> Option<Sequence> {
    let mut b = Bits::new(body);
    let profile = b.take(3)?;
    // Still, reduced, timing.
    if profile > 2 || b.take(3)? != 0 {
        return None;
    }
    let delays = b.flag()?;
    // One way to decode it, of all layers.
    if b.take(5)? != 0 || b.take(12)? != 0 {
        return None;
    }
    let level = b.take(5)?;
    let tier = if level > 7 { b.take(1)? } else { 0 };
    if delays && b.flag()? {
        b.take(4)?;
    }
    let (wide, high) = (b.take(4)? as usize + 1, b.take(4)? as usize + 1);
    let size = (b.take(wide)? + 1, b.take(high)? + 1);
    if b.flag()? {
        b.take(7)?;
    }
    // Superblocks, two tools of single pictures, four of several.
    b.take(7)?;
    let ordered = b.flag()?;
    if ordered {
        b.take(2)?;
    }
    let screens = b.flag()? || b.flag()?;
    if screens && !b.flag()? {
        b.take(1)?;
    }
    if ordered {
        b.take(3)?;
    }
    b.take(3)?;
    let kind = colours(&mut b, profile)?;
    // Grain; then a 1 and zeros up to a whole byte.
    b.take(1)?;
    let said = [(profile << 5 | level) as u8, (tier << 7) as u8 | kind];
    b.ends().then_some(Sequence { size, said })
}

/// How colours are stored (AV1, 5.5.2), as a configuration has it: deep, twelve, grey, halved
/// across and down, and their place.
pub(super) fn colours(b: &mut Bits<'_>, profile: u32) -> Option<u8> {
    let deep = b.flag()?;
    let twelve = profile == 2 && deep && b.flag()?;
    let grey = profile != 1 && b.flag()?;
    let described = b.flag()?;
    // sRGB as red, green and blue says no more.
    let numbers = if described { b.take(24)? } else { 0x02_02_02 };
    let [_, numbers @ ..] = numbers.to_be_bytes();
    if !(0..3).all(|i| mp4::colours(i, numbers[i])) {
        return None;
    }
    let rgb = numbers == [1, 13, 0];
    if !rgb || grey {
        b.take(1)?;
    }
    let said = u8::from(deep) << 6 | u8::from(twelve) << 5;
    if grey {
        return Some(said | 0x1C);
    }
    let across = match profile {
        _ if rgb => false,
        2 if twelve => b.flag()?,
        2 => true,
        _ => profile != 1,
    };
    let down = across
        && match profile {
            2 if twelve => b.flag()?,
            _ => profile == 0,
        };
    let place = if across && down { b.take(2)? } else { 0 };
    b.take(1)?;
    Some(said | u8::from(across) << 3 | u8::from(down) << 2 | place as u8)
}

/// Follows a sample of VP9: a frame, or several with their lengths behind them. Gives whether it
/// can be shown without others.
pub(super) fn vp9(bytes: &[u8], size: Option<(u32, u32)>) -> Result<bool, Fault> {
    let (mut shown, mut key) = (0, None);
    for frame in superframe(bytes).ok_or(BROKEN)? {
        let mut b = Bits::new(frame);
        let head = |b: &mut Bits<'_>| {
            let mark = b.take(2)?;
            let profile = b.take(1)? | b.take(1)? << 1;
            // The profile's fourth value has one more bit.
            let reserved = profile == 3 && b.flag()?;
            (mark == 2 && !reserved).then_some(profile)
        };
        let profile = head(&mut b).ok_or(BROKEN)?;
        if b.flag().ok_or(BROKEN)? {
            // Which frame is shown again, and nothing else.
            b.take(3).ok_or(BROKEN)?;
            let rest = if profile == 3 { 7 } else { 0 };
            if frame.len() != if rest == 0 { 1 } else { 2 } || b.take(rest) != Some(0) {
                return Err(UNKNOWN);
            }
            shown += 1;
            key.get_or_insert(false);
            continue;
        }
        let is_key = !b.flag().ok_or(BROKEN)?;
        key.get_or_insert(is_key);
        shown += u32::from(b.flag().ok_or(BROKEN)?);
        b.take(1).ok_or(BROKEN)?;
        let right = !is_key || vp9_size(&mut b, profile).is_some_and(|s| Some(s) == size);
        if !right {
            return Err((LeakKind::HiddenPixels, "a coded picture of another size"));
        }
    }
    if shown == 1 {
        Ok(key == Some(true))
    } else {
        Err(UNSHOWN)
    }
}

/// The size of a VP9 key frame, which must be shown as it is coded.
fn vp9_size(b: &mut Bits<'_>, profile: u32) -> Option<(u32, u32)> {
    if b.take(24)? != 0x49_83_42 {
        return None;
    }
    if profile >= 2 {
        b.take(1)?;
    }
    // Red, green and blue have no range.
    if b.take(3)? == 7 {
        if profile % 2 == 1 && b.flag()? {
            return None;
        }
    } else {
        b.take(1)?;
        // How colours are halved, and a reserved bit.
        if profile % 2 == 1 && b.take(3)? & 1 == 1 {
            return None;
        }
    }
    let size = (b.take(16)? + 1, b.take(16)? + 1);
    // Shown in another size.
    (!b.flag()?).then_some(size)
}

/// Follows a packet of Opus (RFC 6716, 3.2) as far as that goes without decoding: its padding is
/// nothing.
pub(super) fn opus(bytes: &[u8]) -> Result<(), Fault> {
    let (&head, rest) = bytes.split_first().ok_or(BROKEN)?;
    if head & 3 != 3 {
        return Ok(());
    }
    let (&count, mut rest) = rest.split_first().ok_or(BROKEN)?;
    if count & 0x40 == 0 {
        return Ok(());
    }
    let mut padding = 0;
    loop {
        let (&byte, behind) = rest.split_first().ok_or(BROKEN)?;
        rest = behind;
        padding += usize::from(byte.min(254));
        if byte < 255 {
            break;
        }
    }
    let start = rest.len().checked_sub(padding).ok_or(BROKEN)?;
    if rest[start..].iter().any(|b| *b != 0) {
        return Err((LeakKind::Slack, "padding with something in it"));
    }
    Ok(())
}

/// The frames of a sample; their lengths must give the whole.
fn superframe(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let &mark = bytes.last()?;
    if mark & 0xE0 != 0xC0 {
        return Some(vec![bytes]);
    }
    let (count, width) = (usize::from(mark & 7) + 1, usize::from(mark >> 3 & 3) + 1);
    let index = 2 + count * width;
    let start = bytes.len().checked_sub(index)?;
    // Data that happens to end as an index does.
    if bytes[start] != mark {
        return Some(vec![bytes]);
    }
    let (mut rest, index) = bytes.split_at(start);
    let mut frames = Vec::new();
    for size in index[1..index.len() - 1].chunks(width) {
        let size = size
            .iter()
            .rev()
            .fold(0usize, |n, b| n << 8 | usize::from(*b));
        let (frame, behind) = rest.split_at_checked(size)?;
        frames.push(frame);
        rest = behind;
    }
    rest.is_empty().then_some(frames)
}
