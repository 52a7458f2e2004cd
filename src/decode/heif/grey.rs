//! Pictures coded without colours: from YUV4MPEG2, which says the range of their samples, to samples
//! of full range.

/// Longest first line, in bytes.
const HEAD: u64 = 256;
/// Begins each picture.
const FRAME: &[u8] = b"FRAME\n";

/// Most bytes that come beside the samples of this many pictures.
pub(super) const fn heads(count: usize) -> u64 {
    HEAD + (count * FRAME.len()) as u64
}

/// The samples of all pictures at full range, 16-bit ones in this machine's byte order. `one`: bytes
/// of a picture. `full`: the range that the file gives, instead of that of the coded pictures.
pub(super) fn spread(stream: &[u8], one: usize, deep: bool, full: Option<bool>) -> Option<Vec<u8>> {
    let end = stream
        .iter()
        .take(HEAD as usize)
        .position(|b| *b == b'\n')?;
    let (head, mut rest) = stream.split_at(end + 1);
    let head = head.trim_ascii_end();
    let mut words = head.split(|b| *b == b' ');
    let bits = words.clone().find_map(|w| match w {
        b"Cmono" => Some(8),
        b"Cmono10" => Some(10),
        b"Cmono12" => Some(12),
        _ => None,
    })?;
    if deep != (bits > 8) {
        return None;
    }
    let full = full.unwrap_or_else(|| words.any(|w| w == b"XCOLORRANGE=FULL"));
    let mut out = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let samples = rest.strip_prefix(FRAME)?;
        let (samples, next) = samples.split_at_checked(one)?;
        rest = next;
        if deep {
            let values = samples.chunks_exact(2);
            let values = values.map(|b| u16::from_le_bytes([b[0], b[1]]));
            out.extend(
                values.flat_map(|v| at_full_range(v.into(), bits, full, 65535).to_ne_bytes()),
            );
        } else {
            let values = samples
                .iter()
                .map(|&v| at_full_range(v.into(), 8, full, 255));
            out.extend(values.map(|v| v as u8));
        }
    }
    Some(out)
}

/// A sample of `bits` bits as one of 0 to `most`.
fn at_full_range(value: u32, bits: u32, full: bool, most: u32) -> u16 {
    // Black is 16 and white 235 of 8 bits where the range is limited.
    let (black, white) = if full {
        (0, (1 << bits) - 1)
    } else {
        (16 << (bits - 8), 235 << (bits - 8))
    };
    let above = value.clamp(black, white) - black;
    ((above * most + (white - black) / 2) / (white - black)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_grey_is_spread_to_black_and_white() {
        let stream = [
            &b"YUV4MPEG2 W3 H1 Cmono XCOLORRANGE=LIMITED\nFRAME\n"[..],
            &[16, 125, 235],
        ]
        .concat();
        assert_eq!(spread(&stream, 3, false, None), Some(vec![0, 127, 255]));
        assert_eq!(
            spread(&stream, 3, false, Some(true)),
            Some(vec![16, 125, 235])
        );
        assert_eq!(spread(&stream, 4, false, None), None);
        let deep = [
            &b"YUV4MPEG2 W2 H1 Cmono10 XCOLORRANGE=LIMITED\nFRAME\n"[..],
            &[64, 0, 172, 3],
        ]
        .concat();
        let white = [0u16, 65535].map(u16::to_ne_bytes).concat();
        assert_eq!(spread(&deep, 4, true, None), Some(white));
    }
}
