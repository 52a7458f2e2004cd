//! Which way is up: decided once from all that a file says, applied once to its pixels.

use std::ops::Range;

use image::{DynamicImage, metadata::Orientation};

use super::{DecodeError, Dropped};
use crate::caution::Caution;

/// What the metadata of one file says, gathered while it is walked.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    exif: Vec<u16>,
    xmp: Vec<u16>,
    pub(super) icc: Option<Vec<u8>>,
    pub(super) dropped: Vec<Dropped>,
    /// Metadata that was looked at so far, in bytes.
    pub(super) bytes: u64,
    /// The longest clip that came with the picture.
    pub(super) motion: Option<Range<usize>>,
    /// Reasons for a person to look at the picture.
    pub(super) cautions: Vec<Caution>,
}

impl Gathered {
    /// Notes an EXIF block (from the TIFF header on).
    pub(super) fn exif(&mut self, block: &[u8], whole: u64) {
        let exif = super::exif::read(block);
        self.exif.extend(exif.orientations);
        let what = if exif.holds.is_empty() {
            "EXIF".into()
        } else {
            format!("EXIF ({})", exif.holds.join(", "))
        };
        self.drop(what, whole);
    }

    /// Notes an EXIF block of a file that has properties of its own for its orientation. Returns the
    /// orientations that the block names.
    pub(super) fn exif_beside(&mut self, block: &[u8], whole: u64) -> Vec<u16> {
        let known = self.exif.len();
        self.exif(block, whole);
        self.exif.split_off(known)
    }

    /// Notes what a TIFF file, read as an EXIF block, holds; not its orientation.
    pub(super) fn exif_of(&mut self, file: &[u8]) {
        let mut exif = super::exif::read(file);
        // A second directory is a page here.
        exif.holds.retain(|what| *what != "thumbnail");
        if !exif.holds.is_empty() {
            self.drop(format!("tags ({})", exif.holds.join(", ")), 0);
        }
    }

    /// Notes an EXIF block whose orientation few programs obey.
    pub(super) fn rarely(&mut self, block: &[u8], whole: u64) {
        let known = self.exif.len();
        self.exif(block, whole);
        self.xmp.extend(self.exif.split_off(known));
    }

    /// Notes an orientation.
    pub(super) fn orientation(&mut self, value: u16) {
        self.exif.push(value);
    }

    /// Notes an XMP packet.
    pub(super) fn xmp(&mut self, packet: &[u8], whole: u64) {
        self.xmp.extend(super::exif::xmp_orientations(packet));
        self.further_xmp(packet, whole);
    }

    /// Notes a part of an XMP packet that has no place in the first.
    pub(super) fn further_xmp(&mut self, packet: &[u8], whole: u64) {
        self.drop("XMP", whole);
        // Whole pictures stand in it as text; their size is that of the packet.
        for (key, what) in super::exif::XMP_PICTURES {
            if packet.windows(key.len()).any(|w| w == key) {
                self.drop(what, 0);
            }
        }
    }

    /// Notes a clip that came with the picture.
    pub(super) fn clip(&mut self, place: Range<usize>) {
        if self.motion.as_ref().is_none_or(|m| m.len() < place.len()) {
            self.motion = Some(place);
        }
    }

    /// Notes something that the output will not hold; equal kinds add up.
    pub(super) fn drop(&mut self, kind: impl Into<String>, bytes: u64) {
        let kind = kind.into();
        match self.dropped.iter_mut().find(|d| d.kind == kind) {
            Some(same) => same.bytes = same.bytes.saturating_add(bytes),
            None => self.dropped.push(Dropped { kind, bytes }),
        }
    }

    /// The one orientation that the file means. Values without a meaning count as upright, as
    /// viewers treat them. EXIF counts, as in browsers; that XMP names another is noted.
    ///
    /// # Errors
    /// Where two places in EXIF disagree: programs differ in which they obey.
    pub(super) fn decide(&mut self, chosen: Option<u8>) -> Result<u8, DecodeError> {
        if let Some(chosen) = chosen {
            return Ok(chosen.clamp(1, 8));
        }
        let mut all = self.exif.iter().map(meant);
        let applied = all.next().unwrap_or(1);
        if let Some(other) = all.find(|&o| o != applied) {
            return Err(DecodeError::Orientation(applied, other));
        }
        let elsewhere = self.xmp.iter().map(meant).find(|&o| o != applied);
        if let Some(other) = elsewhere {
            self.cautions
                .push(Caution::OrientationConflict { applied, other });
        }
        Ok(applied)
    }
}

/// The orientation that a value stands for.
pub(super) fn meant(value: &u16) -> u8 {
    let value = u8::try_from(*value).unwrap_or(1);
    if (1..=8).contains(&value) { value } else { 1 }
}

/// Turns the pixels upright.
pub(super) fn apply(mut pixels: DynamicImage, orientation: u8) -> DynamicImage {
    if let Some(o) = Orientation::from_exif(orientation) {
        pixels.apply_orientation(o);
    }
    pixels
}
