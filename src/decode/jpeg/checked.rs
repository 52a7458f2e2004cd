//! JPEGs that are coded in a way which decoders get wrong without an error: decoded twice, by this project's own plain
//! decoder and by `jpeg-decoder`, which share no code, and refused where the two differ.

use jpeg_decoder::{ColorTransform, Decoder};

use super::super::DecodeError;
use crate::jpeg::{self, Structure};

/// How far two samples may lie apart, of 255: the decoders round differently. Measured: never more than 1 apart in 3,985
/// pictures of all samplings, orders of scans and qualities, noise among them; where one of the two reads a picture
/// wrongly, at least 8 apart somewhere.
const APART: u8 = 4;

/// The samples of all components, interleaved, as they are coded: no colours are converted.
///
/// `bytes` are whole, or damaged and allowed to be: then there is nothing to compare.
pub(super) fn samples(bytes: &[u8], structure: &Structure) -> Result<Vec<u8>, DecodeError> {
    let damaged = |what: String| DecodeError::Damaged(what);
    let (_, planes) = jpeg::samples(bytes).map_err(|e| damaged(e.to_string()))?;
    let header = &structure.header;
    let stride = usize::from(header.width) * planes.len();
    let size = stride * usize::from(header.height);
    let mut pixels = if structure.damage.is_some() {
        vec![0; size]
    } else {
        second(&jpeg::rebuilt(bytes, structure), planes.len())?
    };
    if pixels.len() != size {
        return Err(differ());
    }
    let compare = structure.damage.is_none();
    let mut line = vec![0; usize::from(header.width)];
    for (y, row) in pixels.chunks_exact_mut(stride).enumerate() {
        for (c, plane) in planes.iter().enumerate() {
            plane.row(y, &mut line);
            let places = row.iter_mut().skip(c).step_by(planes.len());
            for (value, &own) in places.zip(&line) {
                if compare && value.abs_diff(own) > APART {
                    return Err(differ());
                }
                *value = own;
            }
        }
    }
    Ok(pixels)
}

fn differ() -> DecodeError {
    DecodeError::Unsupported(
        "a JPEG picture of an unusual coding that two decoders read differently".into(),
    )
}

/// What `jpeg-decoder` says of it.
fn second(bytes: &[u8], components: usize) -> Result<Vec<u8>, DecodeError> {
    let failed = |e: jpeg_decoder::Error| {
        DecodeError::Unsupported(format!(
            "a JPEG picture of an unusual coding that only one of two decoders reads ({e})"
        ))
    };
    let mut decoder = Decoder::new(bytes);
    decoder.set_color_transform(match components {
        1 => ColorTransform::Grayscale,
        3 => ColorTransform::RGB,
        _ => ColorTransform::CMYK,
    });
    let mut samples = decoder.decode().map_err(failed)?;
    if components == 4 {
        // It takes all inks for inverted.
        samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    Ok(samples)
}

/// Luma and two chromas → red, green and blue (JFIF), in place; further samples of a pixel stay.
pub(super) fn to_rgb(pixels: &mut [u8], samples: usize) {
    for pixel in pixels.chunks_exact_mut(samples) {
        let [y, cb, cr] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        let rgb = [
            y + 1.402 * cr,
            y - 0.344_136 * cb - 0.714_136 * cr,
            y + 1.772 * cb,
        ];
        for (value, colour) in pixel.iter_mut().zip(rgb) {
            // Casting holds the value within 0 and 255.
            *value = (colour + 0.5) as u8;
        }
    }
}
