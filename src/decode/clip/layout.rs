//! Kinds of pixels by their names in ffmpeg → the nearest layout that can be covered.

use crate::{
    ffmpeg::probe::Probe,
    planes::{Chroma, Layout},
};

/// The nearest layout that can be covered, and whether its pixels have the old name for full range. Colour becomes
/// 4:2:0 unless it is to be kept.
pub(super) fn layout(probe: &Probe, keep_chroma: bool) -> (Layout, bool) {
    let v = &probe.video;
    let name = v.pixels.as_str();
    let old = name.starts_with("yuvj");
    let deep = ["9", "10", "12", "14", "16"]
        .iter()
        .any(|d| name.ends_with(&format!("{d}le")) || name.ends_with(&format!("{d}be")))
        || [
            "p010", "p210", "p410", "x2rgb10", "x2bgr10", "rgb48", "bgr48", "rgba64", "bgra64",
            "xv30", "v210", "y210",
        ]
        .iter()
        .any(|n| name.starts_with(n))
        || name.ends_with("f32le")
        || name.ends_with("f32be");
    let has = |part: &str| name.contains(part);
    let chroma = if has("420")
        || has("410")
        || name.starts_with("nv12")
        || name.starts_with("nv21")
        || has("p010")
        || has("gray")
        || has("mono")
    {
        Chroma::Quarter
    } else if has("422") || has("411") || has("nv16") || has("p210") || has("yvyu") || has("y210") {
        Chroma::Half
    } else {
        Chroma::Full
    };
    let (width, height) = if v.turn.swaps() {
        (v.height, v.width)
    } else {
        (v.width, v.height)
    };
    // Encoders take no halves of pixels.
    let chroma = match chroma {
        Chroma::Quarter if width % 2 == 1 || height % 2 == 1 => Chroma::Full,
        Chroma::Half if width % 2 == 1 => Chroma::Full,
        _ if !keep_chroma && width % 2 == 0 && height % 2 == 0 => Chroma::Quarter,
        // Turned by a quarter, what was half as wide is half as high, which is written as neither.
        Chroma::Half if v.turn.swaps() => Chroma::Full,
        other => other,
    };
    (
        Layout {
            width,
            height,
            depth: if deep { 10 } else { 8 },
            chroma,
        },
        old && !deep,
    )
}

fn begins(name: &str, with: &[&str]) -> bool {
    with.iter().any(|w| name.starts_with(w))
}

/// Whether pixels of this name have transparency. Of palettes nobody knows: theirs is not counted.
pub(super) fn transparent(name: &str) -> bool {
    let kinds = [
        "yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "ayuv", "vuya",
    ];
    begins(name, &kinds)
}

/// Whether pixels of this name are colours and not yet brightness and two differences.
pub(super) fn rgb(name: &str) -> bool {
    let kinds = [
        "rgb", "bgr", "gbr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "bayer", "xyz",
    ];
    begins(name, &kinds)
}
