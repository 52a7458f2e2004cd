//! Coded pictures of AV1 and VP9, divided as far as that goes without decoding: kinds of units,
//! their lengths to the last byte, and that each sample shows exactly one picture.
//!
//! The last tile takes the rest of its frame, and only a decoder knows how much of that it needs:
//! bytes behind it are not found here.

use super::{LeakKind, bits::Bits};

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
    // A bit that must be 0, and one that is reserved.
    if head & 0x81 != 0 {
        return None;
    }
    if head & 4 != 0 {
        rest = rest.get(1..)?;
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

/// What is wrong with a sample of AV1 whose pictures have `size`.
pub(super) fn av1(mut bytes: &[u8], size: Option<(u32, u32)>) -> Option<Fault> {
    let mut shown = 0;
    while !bytes.is_empty() {
        let Some((kind, body, behind)) = obu(bytes) else {
            return Some(BROKEN);
        };
        bytes = behind;
        // A frame that is shown again, or one that is shown as it comes.
        let (again, at_once) = body
            .first()
            .map_or((false, false), |b| (b & 0x80 != 0, b & 0x10 != 0));
        match kind {
            1 if size.is_some() && sequence(body) == size => {}
            1 => return Some(OTHER),
            // A delimiter.
            2 if body.is_empty() => {}
            // A header that stands alone.
            3 if again && body.len() <= 8 => shown += 1,
            3 if !again && body.len() <= MOST_HEADER => shown += u32::from(at_once),
            // Tiles.
            4 => {}
            6 if !again => shown += u32::from(at_once),
            5 => return Some((LeakKind::Comment, "metadata units")),
            _ => return Some(UNKNOWN),
        }
    }
    (shown != 1).then_some(UNSHOWN)
}

/// Width and height in a moving AV1 sequence's header that is read to its last bit (AV1, 5.5);
/// `None` also where it tells of timing, which encoders leave to the container.
pub(super) fn sequence(body: &[u8]) -> Option<(u32, u32)> {
    let mut b = Bits::new(body);
    let profile = b.take(3)?;
    // Still, reduced, timing.
    if b.take(3)? != 0 {
        return None;
    }
    let delays = b.flag()?;
    for _ in 0..=b.take(5)? {
        b.take(12)?;
        if b.take(5)? > 7 {
            b.take(1)?;
        }
        if delays && b.flag()? {
            b.take(4)?;
        }
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
    colours(&mut b, profile)?;
    // Grain; then a 1 and zeros up to a whole byte.
    b.take(1)?;
    b.ends().then_some(size)
}

/// Past how colours are stored (AV1, 5.5.2).
pub(super) fn colours(b: &mut Bits<'_>, profile: u32) -> Option<()> {
    let deep = b.flag()?;
    let twelve = profile == 2 && deep && b.flag()?;
    let grey = profile != 1 && b.flag()?;
    let described = b.flag()?;
    // sRGB as red, green and blue says no more.
    let rgb = described && b.take(24)? == 0x01_0D_00;
    if !rgb || grey {
        b.take(1)?;
    }
    if grey {
        return Some(());
    }
    let across = match profile {
        _ if rgb => false,
        2 if twelve => b.flag()?,
        _ => profile != 1,
    };
    let down = across
        && match profile {
            2 if twelve => b.flag()?,
            _ => profile == 0,
        };
    if across && down {
        b.take(2)?;
    }
    b.take(1).map(drop)
}

/// What is wrong with a sample of VP9: a frame, or several with their lengths behind them.
pub(super) fn vp9(bytes: &[u8]) -> Option<Fault> {
    let Some(frames) = superframe(bytes) else {
        return Some(BROKEN);
    };
    let mut shown = 0;
    for frame in frames {
        let Some(&head) = frame.first().filter(|h| *h >> 6 == 2) else {
            return Some(BROKEN);
        };
        // The profile's fourth value has one more bit.
        let bits = head << if head & 0x30 == 0x30 { 5 } else { 4 };
        if bits & 0x80 != 0 {
            if frame.len() > 2 {
                return Some(UNKNOWN);
            }
            shown += 1;
        } else {
            shown += u32::from(bits & 0x20 != 0);
        }
    }
    (shown != 1).then_some(UNSHOWN)
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
