//! What a PNG's text may hold: XMP, and the blocks of metadata that ImageMagick writes as text.

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::orientation::Gathered;

/// Text that becomes longer than this is passed over: no program writes so much, and none reads it.
const MOST: usize = 16 << 20;
/// Keywords of such text, before the name of the block.
const RAW: &[u8] = b"Raw profile type ";

/// Notes what the body of a `tEXt`, `zTXt` or `iTXt` chunk holds.
pub(super) fn text(gathered: &mut Gathered, kind: &[u8; 4], body: &[u8], whole: u64) {
    let mut parts = body.splitn(2, |&b| b == 0);
    let (keyword, rest) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let xmp = keyword == b"XML:com.adobe.xmp";
    let raw = keyword.strip_prefix(RAW);
    if !xmp && raw.is_none() {
        return gathered.drop("text", whole);
    }
    let text = match kind {
        b"tEXt" => Some(rest.to_vec()),
        // The method, and a zlib stream.
        b"zTXt" => rest.get(1..).and_then(|stream| inflated(gathered, stream)),
        _ => international(gathered, rest),
    };
    let text = text.unwrap_or_default();
    match raw {
        Some(_) => block(gathered, &unhexed(&text), whole),
        None => gathered.xmp(&text, whole),
    }
}

/// A text as it was, which counts as metadata: a short chunk can hold a long one.
fn inflated(gathered: &mut Gathered, stream: &[u8]) -> Option<Vec<u8>> {
    let inflated = decompress_to_vec_zlib_with_limit(stream, MOST);
    let text = inflated.as_ref().unwrap_or_else(|e| &e.output);
    gathered.bytes += text.len() as u64;
    inflated.ok()
}

/// Of an `iTXt` chunk, behind its keyword: whether it is compressed, how, a language, the keyword in it, the text.
fn international(gathered: &mut Gathered, rest: &[u8]) -> Option<Vec<u8>> {
    let (&[compressed, _], rest) = rest.split_first_chunk()?;
    let text = rest.splitn(3, |&b| b == 0).nth(2)?;
    if compressed == 0 {
        Some(text.to_vec())
    } else {
        inflated(gathered, text)
    }
}

/// The bytes of a block: a line break, its name, a line break, its length, a line break, and hexadecimal digits in lines.
fn unhexed(text: &[u8]) -> Vec<u8> {
    let mut lines = text.trim_ascii_start().splitn(3, |&b| b == b'\n');
    let digits = lines.nth(2).unwrap_or_default();
    let value = |b: &u8| (*b as char).to_digit(16).map(|d| d as u8);
    let values: Vec<u8> = digits.iter().filter_map(value).collect();
    values.chunks_exact(2).map(|p| p[0] << 4 | p[1]).collect()
}

/// A block of EXIF or of XMP. Some programs obey its orientation, and most do not.
fn block(gathered: &mut Gathered, block: &[u8], whole: u64) {
    const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
    if let Some(packet) = block.strip_prefix(XMP) {
        return gathered.xmp(packet, whole);
    }
    let exif = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    if exif.starts_with(b"II") || exif.starts_with(b"MM") {
        gathered.rarely(exif, whole);
    } else {
        // XMP without its head, IPTC, a profile.
        gathered.xmp(block, whole);
    }
}
