//! Bytes → upright [`Frame`]s. The only maker of frames.

use crate::{format::Format, frame::Frame};
use image::DynamicImage;

/// Proof that pixels are upright; only this room makes one.
#[derive(Debug, Clone, Copy)]
pub struct Upright(());

/// What may be decoded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Largest decoded size in bytes (width × height × channels × bytes a sample). Default 512 MiB.
    pub max_memory: u64,
    /// Largest size of metadata in one file that is looked at, in bytes. Default 64 MiB.
    pub max_metadata: u64,
    /// Take what is there of a truncated or damaged picture instead of refusing it.
    pub allow_damaged: bool,
    /// EXIF orientation (1 to 8) to apply instead of what the file says.
    pub orientation: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_memory: 512 << 20, max_metadata: 64 << 20, allow_damaged: false, orientation: None }
    }
}

/// Something of the input that the output will not hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// What it was, in a few words: `EXIF`, `EXIF thumbnail`, `GPS`, `XMP`, `bytes after the end`, …
    pub kind: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A decoded photo.
#[derive(Debug)]
pub struct Photo {
    /// Its upright pixels.
    pub frame: Frame,
    /// The format it came in.
    pub format: Format,
    /// What else the file held.
    pub dropped: Vec<Dropped>,
    /// What is wrong with the file, where `allow_damaged` let it pass.
    pub damage: Option<String>,
}

/// Why bytes could not be decoded. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A decoder's own complaint.
    #[error("{0}")]
    Damaged(String),
}

/// A frame from pixels that are upright already: for frames that never were in a file.
#[must_use]
pub fn from_upright_pixels(pixels: DynamicImage) -> Frame {
    Frame::new(pixels, Upright(()))
}
