//! The formats that unface writes.

use std::{fmt, path::Path, str::FromStr};

/// A format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG, baseline, 8 bits.
    Jpeg,
    /// PNG, 8 or 16 bits.
    Png,
    /// WebP, lossy or lossless, 8 bits.
    WebP,
    /// TIFF, 8 or 16 bits, deflated.
    Tiff,
    /// BMP, 8 bits, not compressed.
    Bmp,
    /// GIF, at most 256 colours a picture.
    Gif,
    /// AVIF, 8 or 10 bits; coded by `ffmpeg`.
    Avif,
    /// MP4, a video.
    Mp4,
    /// WebM, a video.
    WebM,
    /// YUV4MPEG2, a video without compression.
    Y4m,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 10] = [
        Self::Jpeg,
        Self::Png,
        Self::WebP,
        Self::Tiff,
        Self::Bmp,
        Self::Gif,
        Self::Avif,
        Self::Mp4,
        Self::WebM,
        Self::Y4m,
    ];

    /// Those of single pictures that need no other program.
    pub const STILLS: [Self; 6] = [
        Self::Jpeg,
        Self::Png,
        Self::WebP,
        Self::Tiff,
        Self::Bmp,
        Self::Gif,
    ];

    /// Whether it is a video's.
    #[must_use]
    pub const fn is_video(self) -> bool {
        matches!(self, Self::Mp4 | Self::WebM | Self::Y4m)
    }

    /// The usual suffix, without the dot.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Tiff => "tif",
            Self::Bmp => "bmp",
            Self::Gif => "gif",
            Self::Avif => "avif",
            Self::Mp4 => "mp4",
            Self::WebM => "webm",
            Self::Y4m => "y4m",
        }
    }

    /// All suffixes that name it, lower case.
    #[must_use]
    pub const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Self::Png => &["png"],
            Self::WebP => &["webp"],
            Self::Tiff => &["tif", "tiff"],
            Self::Bmp => &["bmp", "dib"],
            Self::Gif => &["gif"],
            Self::Avif => &["avif"],
            Self::Mp4 => &["mp4", "m4v"],
            Self::WebM => &["webm"],
            Self::Y4m => &["y4m"],
        }
    }

    /// The format that a path's suffix names, in any case of letters.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.parse().ok()
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|f| f.suffixes().contains(&lower.as_str()))
            .ok_or_else(|| {
                format!(
                    "'{}' is no format that unface writes; use jpg, png, webp, tiff, bmp, gif or avif, and mp4, webm or y4m for videos",
                    text.escape_debug()
                )
            })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Avif => "AVIF",
            Self::Mp4 => "MP4",
            Self::WebM => "WebM",
            Self::Y4m => "YUV4MPEG2",
        })
    }
}
