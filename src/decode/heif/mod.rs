//! HEIF and AVIF → pixels: the boxes are read here, the coded pictures by the `ffmpeg` program.
//!
//! Only the primary picture is decoded: one coded picture or a grid of them, with its transparency;
//! whatever else there is (thumbnails, depth and gain maps, further pictures, clips) is dropped and
//! named. What is up is what the file's own properties say (`irot`, `imir`). EXIF does not count
//! beside them, but some viewers obey it: where it disagrees with them that is noted, and where there
//! are none a person has to decide.
//!
//! Boxes are read in safe Rust, and decoders of other people's code run as a process of their own,
//! as for videos: no library that parses files of strangers comes into this one, and no build needs
//! one. ffmpeg 5.1 reads no grids of HEIF files, but the HEVC and AV1 pictures in them.

mod coded;
mod grey;
mod items;
mod picture;

use std::collections::HashSet;

use image::{DynamicImage, GrayImage};

use super::{
    DecodeError, MOTION, Options, Stored, bmff, gathered_profile,
    orientation::{self, Gathered},
};
use crate::{caution::Caution, ffmpeg::Programs};
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
    options.allow_metadata(metadata(&file))?;
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
    let said = name_others(&file, bytes, &used, &mut gathered);
    if options.orientation.is_none() {
        let own = own_orientation(&file, bytes, primary);
        gathered.cautions.extend(conflict(own, &said)?);
    }
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

/// Bytes of all items that are EXIF or XMP; one that is named twice counts twice.
fn metadata(file: &File) -> u64 {
    let all = file.items.iter().filter(|i| is_exif(i) || is_xmp(i));
    all.map(Item::length).fold(0, u64::saturating_add)
}

fn is_exif(item: &Item) -> bool {
    &item.kind == b"Exif"
}

fn is_xmp(item: &Item) -> bool {
    &item.kind == b"mime" && item.content.contains("rdf+xml")
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
        if &kind == b"clap" {
            pixels = cropped(body, &pixels)?;
        } else if options.orientation.is_none() {
            // What a person says counts instead of what the file says.
            pixels = turned_once(&kind, body, pixels);
        }
    }
    Ok(pixels)
}

/// Turns or mirrors as one property says.
fn turned_once(kind: &[u8; 4], body: &[u8], pixels: DynamicImage) -> DynamicImage {
    let first = body.first().copied().unwrap_or(0);
    match (kind, first & 3) {
        // Quarters of a turn against the clock.
        (b"irot", 1) => pixels.rotate270(),
        (b"irot", 2) => pixels.rotate180(),
        (b"irot", 3) => pixels.rotate90(),
        // 0 exchanges above and below, 1 left and right, as all readers have it.
        (b"imir", 0 | 2) => pixels.flipv(),
        (b"imir", _) => pixels.fliph(),
        _ => pixels,
    }
}

/// The EXIF orientation that does the same as an item's turns and mirrors; `None` where it has none.
fn own_orientation(file: &File, bytes: &[u8], item: &Item) -> Option<u8> {
    // Four different pixels show every turn.
    let probe =
        DynamicImage::ImageLuma8(GrayImage::from_fn(2, 2, |x, y| [(2 * y + x) as u8].into()));
    let mut turns = file
        .properties(bytes, item)
        .filter(|p| matches!(&p.0, b"irot" | b"imir"))
        .peekable();
    turns.peek()?;
    let turned = turns.fold(probe.clone(), |pixels, (kind, body, _)| {
        turned_once(&kind, body, pixels)
    });
    (1..=8).find(|&o| orientation::apply(probe.clone(), o) == turned)
}

/// Where metadata name another orientation than `own`, that of the file's properties.
///
/// # Errors
/// Where EXIF says that the picture has to be turned and no property says anything: the standard
/// would leave it as it is, and viewers differ.
fn conflict(own: Option<u8>, said: &Said) -> Result<Option<Caution>, DecodeError> {
    let applied = own.unwrap_or(1);
    let other = |all: &[u16]| all.iter().map(orientation::meant).find(|&o| o != applied);
    if let (Some(other), None) = (other(&said.exif), own) {
        return Err(DecodeError::Orientation(applied, other));
    }
    // Upright is also what a program writes that has turned the picture and keeps metadata beside it.
    let other = other(&said.exif).or_else(|| other(&said.xmp));
    let other = other.filter(|&o| o != 1);
    Ok(other.map(|other| Caution::OrientationConflict { applied, other }))
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

/// Whether two items have the same colours.
fn same_colours(file: &File, bytes: &[u8], one: &Item, other: &Item) -> bool {
    /// Most bytes that are compared: each of thousands of tiles could name as many.
    const MOST: usize = 1 << 16;
    if one.properties == other.properties {
        return true;
    }
    let colours = |item| {
        let all = file.properties(bytes, item);
        all.filter(|p| &p.0 == b"colr").map(|p| p.1)
    };
    let length: usize = colours(one).map(<[u8]>::len).sum();
    length <= MOST && colours(one).eq(colours(other))
}

/// Colours, as an ICC profile or as numbers (ISO/IEC 23091-2). Those of a grid may be said by its
/// tiles alone.
fn profile(
    file: &File,
    bytes: &[u8],
    primary: &Item,
    gathered: &mut Gathered,
) -> Result<(), DecodeError> {
    let mut item = primary;
    if file.property(bytes, primary, b"colr").is_none() && &primary.kind == b"grid" {
        let mut tiles = primary.refers(b"dimg").iter().filter_map(|&t| file.item(t));
        if let Some(first) = tiles.next() {
            if tiles.any(|t| !same_colours(file, bytes, first, t)) {
                return Err(rare("a grid of tiles in different colours"));
            }
            item = first;
        }
    }
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

/// Orientations that metadata give the primary picture.
#[derive(Default)]
struct Said {
    exif: Vec<u16>,
    xmp: Vec<u16>,
}

/// Names what is not in the output. `used`: items that are. Returns what it says of the orientation.
fn name_others(file: &File, bytes: &[u8], used: &HashSet<u32>, gathered: &mut Gathered) -> Said {
    let mut said = Said::default();
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
                let data = file.data(bytes, item).unwrap_or_default();
                // Four bytes say how much comes before the block itself.
                let block = Numbers(&data)
                    .int(4)
                    .and_then(|n| data.get(4..)?.get(n as usize..));
                let exif = gathered.exif_beside(block.unwrap_or_default(), whole);
                if describes(file, item) {
                    said.exif.extend(exif);
                }
            }
            _ if is_xmp(item) => {
                let data = file.data(bytes, item).unwrap_or_default();
                gathered.further_xmp(&data, whole);
                if describes(file, item) {
                    said.xmp.extend(super::exif::xmp_orientations(&data));
                }
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
                let first = bmff::parts(bytes, part.body.clone()).next();
                if first.is_some_and(|p| &p.kind == b"ftyp") {
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
    said
}

/// Whether metadata belong to the primary picture.
fn describes(file: &File, item: &Item) -> bool {
    let of = item.refers(b"cdsc");
    of.is_empty() || of.contains(&file.primary)
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
