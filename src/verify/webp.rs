//! WebP: one picture, `VP8 ` or `VP8L`, with `ALPH` and a `VP8X` that says no more where there is
//! transparency; or several of them in `ANMF`, which say where and how long, and an `ANIM`. The picture is decoded, by another program than the one that wrote it.
//!
//! What lies behind the last pixel's bits, and what decoders skip, shows by following all codes
//! ([`vp8`], [`vp8l`]). Of lossy pictures that does not tell what lies beyond their edge, up to
//! whole blocks.

use std::{
    io::Cursor,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use image_webp::WebPDecoder;

use super::{
    Findings, LeakKind, Moving,
    vp8::{self, Oddity},
    vp8l,
};

/// `RIFF`, size, `WEBP`.
const HEAD: usize = 12;
/// The flag of `VP8X` that says there is transparency.
const ALPHA: u8 = 0x10;
/// Most that the pixels of a block that can't be seen may differ.
const FLAT: u8 = 24;
/// Pixels that any picture may have, and how many more a byte of it may make.
const PLAUSIBLE: (u64, u64) = (1 << 24, 1 << 12);
/// Pixels that all pictures of a file may have together.
const MOST_PIXELS: u64 = 1 << 28;
/// The flag of `VP8X` that says there are several pictures.
const ANIMATION: u8 = 2;

pub(super) fn is_webp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
}

#[derive(Default)]
struct Chunks {
    extended: Option<Range<usize>>,
    alpha: Option<Range<usize>>,
    picture: Option<(bool, Range<usize>)>,
    control: Option<Range<usize>>,
    frames: Vec<Range<usize>>,
}

/// Gives the size; in `moving`, how the pictures follow each other, if they do.
pub(super) fn inspect(
    bytes: &[u8],
    findings: &mut Findings,
    moving: &mut Option<Moving>,
) -> Option<(u32, u32)> {
    let stated = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    let end = stated.saturating_add(8);
    if end > bytes.len() {
        findings.add(LeakKind::Malformed, "a size beyond the file's end", 4..8);
    } else if end < bytes.len() {
        findings.add(LeakKind::Trailing, "bytes behind the end", end..bytes.len());
    }
    let chunks = walk(&bytes[..end.min(bytes.len())], HEAD, findings);
    if chunks.control.is_some() || !chunks.frames.is_empty() {
        return animation(bytes, &chunks, findings, moving);
    }
    let (size, exact) = picture(bytes, &chunks, findings)?;
    extended(bytes, &chunks, exact, size, findings);
    Some(size)
}

/// Several pictures: the canvas, how often they are shown, and each one's place and time.
fn animation(
    bytes: &[u8],
    chunks: &Chunks,
    findings: &mut Findings,
    moving: &mut Option<Moving>,
) -> Option<(u32, u32)> {
    let (Some(extended), Some(control)) = (&chunks.extended, &chunks.control) else {
        findings.add(
            LeakKind::SecondPicture,
            "an animation without its control",
            0..0,
        );
        return None;
    };
    let three = |b: &[u8], i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], 0]);
    let header = &bytes[extended.clone()];
    if header.len() != 10 || header[0] & !(ALPHA | ANIMATION) != 0 || header[0] & ANIMATION == 0 {
        findings.add(
            LeakKind::SecondPicture,
            "a header that says other things than an animation",
            extended.clone(),
        );
        return None;
    }
    if header[1..4] != [0; 3] || bytes[control.clone()].get(..4) != Some(&[0; 4]) {
        findings.add(
            LeakKind::Unknown,
            "a background colour or unused flags",
            control.clone(),
        );
    }
    if chunks.picture.is_some() || chunks.alpha.is_some() {
        findings.add(LeakKind::SecondPicture, "a picture that is not shown", 0..0);
    }
    let size = (three(header, 4) + 1, three(header, 7) + 1);
    if chunks.frames.is_empty() {
        findings.add(LeakKind::Malformed, "no picture", control.clone());
    }
    let mut delays = Vec::new();
    for frame in &chunks.frames {
        let Some(head) = bytes.get(frame.start..frame.start + 16) else {
            findings.add(LeakKind::Malformed, "a picture cut short", frame.clone());
            continue;
        };
        delays.push(f64::from(three(head, 12)) / 1000.0);
        // Drawn instead of what was there, and staying.
        if head[15] != 2 {
            findings.add(
                LeakKind::Unknown,
                "unused flags of a picture",
                frame.clone(),
            );
        }
        let inner = walk(&bytes[..frame.end], frame.start + 16, findings);
        if inner.extended.is_some() || inner.control.is_some() || !inner.frames.is_empty() {
            findings.add(LeakKind::Unknown, "chunks inside a picture", frame.clone());
        }
        let place = [2 * three(head, 0), 2 * three(head, 3)];
        let said = (three(head, 6) + 1, three(head, 9) + 1);
        let is = picture(bytes, &inner, findings);
        let fits = place[0] + said.0 <= size.0 && place[1] + said.1 <= size.1;
        if is.map(|(size, _)| size) != Some(said) || !fits {
            findings.add(
                LeakKind::Malformed,
                "a picture of another size or beyond the canvas",
                frame.clone(),
            );
        }
    }
    let plays = bytes[control.clone()].get(4..6);
    *moving = Some(Moving {
        delays,
        plays: plays.map_or(0, |b| u16::from_le_bytes([b[0], b[1]]).into()),
    });
    Some(size)
}

/// Decodes one picture; gives its size, and whether its coding lost nothing.
fn picture(bytes: &[u8], chunks: &Chunks, findings: &mut Findings) -> Option<((u32, u32), bool)> {
    let Some((exact, picture)) = chunks.picture.clone() else {
        findings.add(LeakKind::Malformed, "no picture", 0..0);
        return None;
    };
    let simple = if exact { b"VP8L" } else { b"VP8 " };
    let content = &bytes[picture.clone()];
    let declared = if exact {
        vp8l::header(content).map(|h| h.0)
    } else {
        vp8::size(content)
    };
    // Limits before the work: a header must not make this reader decode, or allocate, for long.
    let count = declared.map_or(0, |(w, h)| u64::from(w) * u64::from(h));
    let held = count > 0 && count <= PLAUSIBLE.0.max(content.len() as u64 * PLAUSIBLE.1);
    let all = findings.work.saturating_add(count);
    if !held || all > MOST_PIXELS.max(bytes.len() as u64 * PLAUSIBLE.1) {
        findings.add(
            LeakKind::Malformed,
            "no pixels, or more pixels than its data can hold",
            picture,
        );
        return None;
    }
    findings.worked(count);
    let followed = exact.then(|| vp8l::picture(content));
    let alone = [(simple, content)];
    let decode = |chunks: &[(&[u8; 4], &[u8])]| decoded(&riff(chunks));
    // Pixels are needed only where colours may hide under transparency.
    let alpha = match &followed {
        Some(Ok(found)) => found.alpha,
        _ => false,
    };
    if let Some(Err(what)) = followed {
        findings.add(LeakKind::Malformed, what, picture);
        return None;
    }
    if let Some(Ok(found)) = followed {
        let spare = content.len() - found.consumed;
        slack(spare, &picture, "bytes behind the picture's data", findings);
        if let Some(odd) = found.odd {
            findings.add(LeakKind::Unused, odd, picture.clone());
        }
    } else {
        parts(content, &picture, findings);
    }
    if alpha || !exact && chunks.alpha.is_none() {
        let Some((size, pixels)) = decode(&alone) else {
            findings.add(
                LeakKind::Malformed,
                "a picture that can't be decoded",
                picture,
            );
            return None;
        };
        if alpha {
            let hidden = pixels
                .chunks_exact(4)
                .filter(|p| p[3] == 0 && p[..3] != [0; 3]);
            findings.hidden(hidden.count() as u64);
        }
        return Some((size, exact));
    }
    let size = declared?;
    if let (Some(alpha), false) = (&chunks.alpha, exact) {
        transparency(bytes, alpha, &picture, size, findings);
    }
    Some((size, exact))
}

fn slack(spare: usize, place: &Range<usize>, what: &str, findings: &mut Findings) {
    if spare > 0 {
        findings.add(LeakKind::Slack, what, place.end - spare..place.end);
    }
}

/// A file of these chunks.
fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, content) in chunks {
        body.extend(*kind);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend(*content);
        body.extend(std::iter::repeat_n(0, content.len() % 2));
    }
    let mut out = b"RIFF".to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out
}

/// Size and pixels; RGBA for pictures with transparency and for all of `VP8L` that say so.
fn decoded(file: &[u8]) -> Option<((u32, u32), Vec<u8>)> {
    let run = || {
        let mut decoder = WebPDecoder::new(Cursor::new(file)).ok()?;
        let alpha = decoder.has_alpha();
        let mut pixels = vec![0; decoder.output_buffer_size()?];
        decoder.read_image(&mut pixels).ok()?;
        let size = decoder.dimensions();
        if alpha {
            return Some((size, pixels));
        }
        let full = pixels.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]);
        Some((size, full.collect()))
    };
    // Whatever a hostile file does to the decoder is one file that can't be decoded.
    catch_unwind(AssertUnwindSafe(run)).ok().flatten()
}

/// The chunks from `at` to the end of `bytes`.
fn walk(bytes: &[u8], mut at: usize, findings: &mut Findings) -> Chunks {
    let mut chunks = Chunks::default();
    while at < bytes.len() {
        let body = bytes.get(at..at + 8).and_then(|head| {
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let body = at + 8..(at + 8).checked_add(length)?;
            (body.end + length % 2 <= bytes.len()).then_some(body)
        });
        let Some(body) = body else {
            findings.add(LeakKind::Malformed, "a chunk cut short", at..bytes.len());
            break;
        };
        let kind = &bytes[at..at + 4];
        let whole = at..body.end;
        if body.len() % 2 == 1 && bytes[body.end] != 0 {
            findings.add(
                LeakKind::Slack,
                "padding that is not 0",
                body.end..body.end + 1,
            );
        }
        at = body.end + body.len() % 2;
        let first = chunks.extended.is_none() && chunks.alpha.is_none() && chunks.picture.is_none();
        match kind {
            b"VP8X" if first => chunks.extended = Some(body),
            b"ANIM"
                if chunks.extended.is_some()
                    && chunks.control.is_none()
                    && chunks.alpha.is_none()
                    && chunks.picture.is_none()
                    && body.len() == 6 =>
            {
                chunks.control = Some(body);
            }
            b"ANMF" if chunks.control.is_some() => chunks.frames.push(body),
            b"ALPH" if chunks.alpha.is_none() && chunks.picture.is_none() => {
                chunks.alpha = Some(body);
            }
            b"VP8 " if chunks.picture.is_none() => chunks.picture = Some((false, body)),
            b"VP8L" if chunks.picture.is_none() && chunks.alpha.is_none() => {
                chunks.picture = Some((true, body));
            }
            _ => unlisted(kind, whole, findings),
        }
    }
    chunks
}

fn unlisted(kind: &[u8], whole: Range<usize>, findings: &mut Findings) {
    let (leak, name) = match kind {
        b"EXIF" => (LeakKind::Exif, "EXIF".to_string()),
        b"XMP " => (LeakKind::Xmp, "XMP".into()),
        b"ICCP" => (LeakKind::ColourProfile, "colour profile".into()),
        b"ANIM" | b"ANMF" => (LeakKind::SecondPicture, "animation".into()),
        b"VP8 " | b"VP8L" | b"ALPH" => (LeakKind::SecondPicture, "a further picture".into()),
        _ => (
            LeakKind::Unknown,
            format!("chunk '{}'", kind.escape_ascii()),
        ),
    };
    findings.add(leak, name, whole);
}

/// `VP8X` may say that there is transparency, and how large the picture is.
fn extended(
    bytes: &[u8],
    chunks: &Chunks,
    exact: bool,
    (width, height): (u32, u32),
    findings: &mut Findings,
) {
    let Some(place) = &chunks.extended else {
        if let Some(alpha) = &chunks.alpha {
            findings.add(
                LeakKind::Malformed,
                "transparency without a header",
                alpha.clone(),
            );
        }
        return;
    };
    let mut wanted = vec![ALPHA, 0, 0, 0];
    wanted.extend(&(width - 1).to_le_bytes()[..3]);
    wanted.extend(&(height - 1).to_le_bytes()[..3]);
    if bytes[place.clone()] != wanted || chunks.alpha.is_none() && !exact {
        findings.add(
            LeakKind::Unknown,
            "a header that says more than transparency",
            place.clone(),
        );
    }
}

/// The parts of a lossy picture.
fn parts(content: &[u8], place: &Range<usize>, findings: &mut Findings) {
    for oddity in vp8::follow(content) {
        match oddity {
            Oddity::Spare(r) => findings.add(
                LeakKind::Slack,
                "bytes behind the picture's data",
                place.start + r.start..place.start + r.end,
            ),
            Oddity::Unused(what) => findings.add(LeakKind::Unused, what, place.clone()),
            Oddity::Broken(what) => findings.add(LeakKind::Malformed, what, place.clone()),
        }
    }
}

/// The transparency of a lossy picture.
fn transparency(
    bytes: &[u8],
    alpha: &Range<usize>,
    picture: &Range<usize>,
    (width, height): (u32, u32),
    findings: &mut Findings,
) {
    let mut header = vec![ALPHA, 0, 0, 0];
    header.extend(&(width - 1).to_le_bytes()[..3]);
    header.extend(&(height - 1).to_le_bytes()[..3]);
    let whole = |part: &[u8]| {
        decoded(&riff(&[
            (b"VP8X", &header),
            (b"ALPH", part),
            (b"VP8 ", &bytes[picture.clone()]),
        ]))
    };
    let content = &bytes[alpha.clone()];
    let Some((_, pixels)) = whole(content) else {
        findings.add(
            LeakKind::Malformed,
            "transparency that can't be decoded",
            alpha.clone(),
        );
        return;
    };
    // Reserved bits, a note on how it was prepared, a filter, and whether it is coded.
    let head = content.first().copied().unwrap_or(0);
    if head >> 6 != 0 || head >> 4 & 3 > 1 || head & 3 > 1 {
        findings.add(
            LeakKind::Unknown,
            "unused flags of transparency",
            alpha.start..alpha.start + 1,
        );
    }
    let rest = &content[1.min(content.len())..];
    let spare = if head & 3 == 0 {
        rest.len().saturating_sub((width * height) as usize)
    } else {
        match vp8l::transparency(rest, (width, height)) {
            Ok(found) => {
                if let Some(odd) = found.odd {
                    findings.add(LeakKind::Unused, odd, alpha.clone());
                }
                rest.len() - found.consumed
            }
            Err(what) => {
                findings.add(LeakKind::Malformed, what, alpha.clone());
                0
            }
        }
    };
    slack(spare, alpha, "bytes behind the transparency", findings);
    findings.hidden(uneven(&pixels, width as usize));
}

/// How many blocks of 16 × 16 pixels that can't be seen, and have no neighbour that can be, hold
/// more than one colour. A coder with loss can't keep colours at 0; encoders make such blocks flat.
fn uneven(pixels: &[u8], width: usize) -> u64 {
    const SIDE: usize = 16;
    let height = pixels.len() / 4 / width.max(1);
    let (across, down) = (width.div_ceil(SIDE), height.div_ceil(SIDE));
    // Of each block: whether it is clear, and the darkest and brightest value of each channel.
    let mut blocks = vec![(true, [255u8; 3], [0u8; 3]); across * down];
    for (y, row) in pixels.chunks_exact(4 * width.max(1)).enumerate() {
        for (x, pixel) in row.chunks_exact(4).enumerate() {
            let (clear, least, most) = &mut blocks[y / SIDE * across + x / SIDE];
            *clear &= pixel[3] == 0;
            for channel in 0..3 {
                least[channel] = least[channel].min(pixel[channel]);
                most[channel] = most[channel].max(pixel[channel]);
            }
        }
    }
    let near = |n: usize, end: usize| n.saturating_sub(1)..(n + 2).min(end);
    let alone = |x: usize, y: usize| {
        near(y, down).all(|y| near(x, across).all(|x| blocks[y * across + x].0))
    };
    let mut count = 0;
    for y in 0..down {
        for x in 0..across {
            let (_, least, most) = blocks[y * across + x];
            let range = (0..3).map(|c| most[c].saturating_sub(least[c])).max();
            count += u64::from(alone(x, y) && range > Some(FLAT));
        }
    }
    count
}
