//! GIF: one picture, a palette of the colours that are used and no other.

use std::collections::HashMap;

use ::gif::{DisposalMethod, Encoder, Frame};
use color_quant::NeuQuant;
use image::DynamicImage;

use super::{EncodeError, sides};
use crate::format::Format;

/// Every so many pixels are looked at for the palette, 1 to 30.
const SAMPLING: i32 = 10;
/// Alpha from which a pixel counts as opaque.
pub(super) const OPAQUE: u8 = 128;

pub(super) fn encode(pixels: &DynamicImage) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = sides(
        (pixels.width(), pixels.height()),
        Format::Gif,
        u32::from(u16::MAX),
    )?;
    let rgba = match pixels {
        DynamicImage::ImageRgba8(p) => p.clone(),
        other => other.to_rgba8(),
    };
    let mut rgba = rgba.into_raw();
    let mut transparent = false;
    for pixel in rgba.chunks_exact_mut(4) {
        if pixel[3] < OPAQUE {
            pixel.fill(0);
            transparent = true;
        } else {
            pixel[3] = 255;
        }
    }
    let (palette, indices) = indexed(&rgba, transparent);
    let failed = |e: ::gif::EncodingError| EncodeError::Encoder(e.to_string());
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, width, height, &palette).map_err(failed)?;
    let frame = Frame {
        width,
        height,
        buffer: indices.into(),
        transparent: transparent.then_some(0),
        dispose: DisposalMethod::Any,
        ..Frame::default()
    };
    encoder.write_frame(&frame).map_err(failed)?;
    drop(encoder);
    Ok(out)
}

/// Colours (red, green, blue behind each other) and an index a pixel. Where something is
/// transparent, that is index 0 and black.
pub(super) fn indexed(rgba: &[u8], transparent: bool) -> (Vec<u8>, Vec<u8>) {
    let word = |p: &[u8]| u32::from_le_bytes([p[0], p[1], p[2], p[3]]);
    let room = if transparent { 255 } else { 256 };
    let mut map: HashMap<u32, u32> = HashMap::new();
    let mut colours: Vec<u32> = Vec::new();
    let mut last = None;
    for p in rgba.chunks_exact(4).filter(|p| p[3] != 0) {
        let colour = word(p);
        if last != Some(colour) && !map.contains_key(&colour) {
            if colours.len() == room {
                return reduced(rgba, transparent, room);
            }
            map.insert(colour, 0);
            colours.push(colour);
        }
        last = Some(colour);
    }
    // In an order that does not tell where in the picture a colour came first.
    colours.sort_unstable();
    let first = u32::from(transparent);
    for (i, colour) in colours.iter().enumerate() {
        map.insert(*colour, first + i as u32);
    }
    let indices = rgba
        .chunks_exact(4)
        .map(|p| {
            if p[3] == 0 {
                0
            } else {
                map.get(&word(p)).map_or(0, |i| *i as u8)
            }
        })
        .collect();
    let mut palette = vec![0; first as usize * 3];
    palette.extend(colours.iter().flat_map(|c| c.to_le_bytes()[..3].to_vec()));
    (palette, indices)
}

/// The same with colours that come near, unused ones left out.
fn reduced(rgba: &[u8], transparent: bool, room: usize) -> (Vec<u8>, Vec<u8>) {
    let network = NeuQuant::new(SAMPLING, room, rgba);
    let map = network.color_map_rgb();
    let mut known: HashMap<u32, u8> = HashMap::new();
    let mut used = [false; 256];
    let mut indices: Vec<u8> = rgba
        .chunks_exact(4)
        .map(|p| {
            if p[3] == 0 {
                return 0;
            }
            let key = u32::from_le_bytes([p[0], p[1], p[2], p[3]]);
            let index = *known
                .entry(key)
                .or_insert_with(|| network.index_of(p) as u8);
            used[usize::from(index)] = true;
            index
        })
        .collect();
    let first = usize::from(transparent);
    let mut palette = vec![0; first * 3];
    let mut place = [0u8; 256];
    let mut places: HashMap<&[u8], u8> = HashMap::new();
    for index in (0..256).filter(|&i| used[i]) {
        // Of two equal colours one is enough; which of them a pixel had could say something.
        let colour = &map[index * 3..index * 3 + 3];
        place[index] = *places.entry(colour).or_insert_with(|| {
            palette.extend(colour);
            (palette.len() / 3 - 1) as u8
        });
    }
    for (index, p) in indices.iter_mut().zip(rgba.chunks_exact(4)) {
        *index = if p[3] == 0 {
            0
        } else {
            place[usize::from(*index)]
        };
    }
    (palette, indices)
}
