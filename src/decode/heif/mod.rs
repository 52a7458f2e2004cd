//! HEIF and AVIF → pixels: the boxes are read here, the coded pictures by the `ffmpeg` program.
//!
//! Only the primary picture is decoded: one coded picture or a grid of them, with its transparency;
//! whatever else there is (thumbnails, depth and gain maps, further pictures, clips) is dropped and
//! named. What is up is what the file's own properties say; EXIF has no say in these files.
//!
//! Boxes are read in safe Rust, and decoders of other people's code run as a process of their own,
//! as for videos: no library that parses files of strangers comes into this one, and no build needs
//! one. ffmpeg 5.1 reads no grids of HEIF files, but the HEVC and AV1 pictures in them.

mod coded;
mod items;
mod picture;

use std::collections::HashSet;

use image::DynamicImage;

use super::{DecodeError, MOTION, Options, Stored, bmff, gathered_profile, orientation::Gathered};
use crate::ffmpeg::Programs;
use items::{File, Item, Numbers};

fn broken() -> DecodeError {
    DecodeError::Damaged("its boxes can't be followed".into())
}

fn rare(what: impl Into<String>) -> DecodeError {
    DecodeError::Unsupported(format!("a HEIF picture of a rare kind ({})", what.into()))
}

pub(super) fn decode(bytes: &[u8], options: &Options) -> Result<Stored, DecodeError> {
    let file = File::read(bytes).ok_or_else(broken)?;
    let primary = file.item(file.primary).ok_or_else(broken)?;
    let programs = Programs::find().map_err(picture::failed)?;
    let mut gathered = Gathered::default();
    let mut used = Vec::new();
    let reader = picture::Reader {
        bytes,
        file: &file,
        options,
        programs: &programs,
    };
    let mut pixels = reader.picture(primary, &mut used)?;
    if let Some(alpha) = alpha_of(&file, bytes, primary) {
        if !primary.refers(b"prem").is_empty() {
            return Err(rare("colours multiplied by their transparency"));
        }
        let alpha = reader.alpha(alpha, &mut used)?;
        pixels = picture::with_alpha(pixels, &alpha)?;
    }
    let pixels = turned(&file, bytes, primary, pixels, options)?;
    profile(&file, bytes, primary, &mut gathered)?;
    let used: HashSet<u32> = used.into_iter().collect();
    name_others(&file, bytes, &used, &mut gathered);
    options.allow_metadata(gathered.bytes)?;
    Ok(Stored {
        pixels,
        gathered,
        damage: None,
    })
}

/// Width, height and bytes a pixel once decoded, from the beginning of a file.
pub(super) fn size(head: &[u8]) -> Option<(u32, u32, u8)> {
    let file = File::read(head)?;
    let primary = file.item(file.primary)?;
    let (width, height) = file.size(head, primary)?;
    // At most four samples of two bytes; most have three of one.
    Some((width, height, 4))
}

/// The kind of auxiliary picture that an item is, as its property says.
fn auxiliary(file: &File, bytes: &[u8], item: &Item) -> Option<String> {
    let property = file.property(bytes, item, b"auxC")?;
    let name = property.get(4..)?.split(|b| *b == 0).next()?;
    Some(String::from_utf8_lossy(name).to_lowercase())
}

fn alpha_of<'a>(file: &'a File, bytes: &[u8], primary: &Item) -> Option<&'a Item> {
    file.items.iter().find(|i| {
        i.refers(b"auxl").contains(&primary.id)
            && auxiliary(file, bytes, i)
                .is_some_and(|n| n.ends_with(":alpha") || n == "urn:mpeg:hevc:2015:auxid:1")
    })
}

/// Crops, turns and mirrors, in the order of the file.
fn turned(
    file: &File,
    bytes: &[u8],
    item: &Item,
    mut pixels: DynamicImage,
    options: &Options,
) -> Result<DynamicImage, DecodeError> {
    for (kind, body, _) in file.properties(bytes, item) {
        let first = body.first().copied().unwrap_or(0);
        // What a person says counts instead of what the file says.
        let asked = options.orientation.is_none();
        pixels = match &kind {
            b"clap" => cropped(body, &pixels)?,
            // Quarters of a turn against the clock.
            b"irot" if asked => match first & 3 {
                1 => pixels.rotate270(),
                2 => pixels.rotate180(),
                3 => pixels.rotate90(),
                _ => pixels,
            },
            // 0 exchanges above and below, 1 left and right, as all readers have it.
            b"imir" if asked => match first & 1 {
                0 => pixels.flipv(),
                _ => pixels.fliph(),
            },
            _ => pixels,
        };
    }
    Ok(pixels)
}

/// The clean aperture: a rectangle about the middle (ISO/IEC 14496-12, 12.1.4).
fn cropped(property: &[u8], pixels: &DynamicImage) -> Result<DynamicImage, DecodeError> {
    let read = || {
        let mut numbers = Numbers(property);
        let mut ratio = || Some((numbers.int(4)?, numbers.int(4)?));
        let [width, height, x, y] = [ratio()?, ratio()?, ratio()?, ratio()?];
        let size = |(n, d): (u32, u32)| n.checked_div(d).filter(|v| *v > 0);
        let place = |whole: u32, part: u32, (n, d): (u32, u32)| {
            // Where the middle lies off the picture's; the offset has a sign.
            let off = f64::from(n as i32) / f64::from(d.max(1) as i32);
            let from = (f64::from(whole) - f64::from(part)) / 2.0 + off;
            let from = from.round();
            (from >= 0.0 && from + f64::from(part) <= f64::from(whole)).then_some(from as u32)
        };
        let (w, h) = (size(width)?, size(height)?);
        let left = place(pixels.width(), w, x)?;
        let top = place(pixels.height(), h, y)?;
        Some(pixels.crop_imm(left, top, w, h))
    };
    read().ok_or_else(|| DecodeError::Damaged("its crop lies outside the picture".into()))
}

/// Colours, as an ICC profile or as numbers (ISO/IEC 23091-2).
fn profile(
    file: &File,
    bytes: &[u8],
    item: &Item,
    gathered: &mut Gathered,
) -> Result<(), DecodeError> {
    for (kind, body, _) in file.properties(bytes, item) {
        if &kind != b"colr" {
            continue;
        }
        match body.split_at_checked(4) {
            Some((b"prof" | b"rICC", icc)) => gathered_profile(gathered, icc.to_vec())?,
            Some((b"nclx", numbers)) if gathered.icc.is_none() => {
                let mut numbers = Numbers(numbers);
                if let (Some(primaries), Some(transfer)) = (numbers.int(2), numbers.int(2)) {
                    gathered.icc = super::colour::numbered(primaries, transfer).map_err(rare)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Names what is not in the output. `used`: items that are.
fn name_others(file: &File, bytes: &[u8], used: &HashSet<u32>, gathered: &mut Gathered) {
    // Tiles go with the grid that is made of them.
    let tiles: HashSet<u32> = file
        .items
        .iter()
        .filter(|i| &i.kind == b"grid")
        .flat_map(|i| i.refers(b"dimg"))
        .copied()
        .collect();
    let others = file.items.iter();
    for item in others.filter(|i| !used.contains(&i.id) && !tiles.contains(&i.id)) {
        let parts = item.refers(b"dimg").iter().filter_map(|id| file.item(*id));
        let whole = parts
            .map(Item::length)
            .fold(item.length(), u64::saturating_add);
        match &item.kind {
            b"Exif" => {
                gathered.bytes += whole;
                let data = file.data(bytes, item).unwrap_or_default();
                // Four bytes say how much comes before the block itself.
                let block = Numbers(&data)
                    .int(4)
                    .and_then(|n| data.get(4..)?.get(n as usize..));
                gathered.told(block.unwrap_or_default(), whole);
            }
            b"mime" if item.content.contains("rdf+xml") => {
                gathered.bytes += whole;
                let data = file.data(bytes, item).unwrap_or_default();
                gathered.further_xmp(&data, whole);
            }
            b"mime" | b"uri " | b"old " => gathered.drop("application data", whole),
            _ => gathered.drop(picture_kind(file, bytes, item), whole),
        }
    }
    for part in &file.others {
        let whole = part.whole.len() as u64;
        match &part.kind {
            b"free" | b"skip" | b"wide" => gathered.drop("filling", whole),
            b"mpvd" => {
                gathered.drop(MOTION, part.body.len() as u64);
                if bmff::file(bytes, part.body.start).is_some() {
                    gathered.clip(part.body.clone());
                }
            }
            b"moov" => gathered.drop("image sequence", whole),
            b"sefd" => gathered.drop("Samsung's data", whole),
            _ => gathered.drop("application data", whole),
        }
    }
    let tail = bytes.len().saturating_sub(file.end);
    if tail > 0 {
        gathered.drop("bytes behind the end", tail as u64);
    }
}

fn picture_kind(file: &File, bytes: &[u8], item: &Item) -> &'static str {
    if &item.kind == b"tmap" {
        return "gain map";
    }
    if !item.refers(b"thmb").is_empty() {
        return "thumbnail";
    }
    match auxiliary(file, bytes, item) {
        Some(n) if n.contains("depth") || n.contains("disparity") || n.ends_with("auxid:2") => {
            "depth map"
        }
        Some(n) if n.contains("gainmap") => "gain map",
        Some(n) if n.contains("matte") => "matte",
        Some(_) => "auxiliary picture",
        None => "further picture",
    }
}
