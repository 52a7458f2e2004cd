//! Colour profiles → sRGB.

use image::{DynamicImage, ImageBuffer, Pixel};
use moxcms::{
    Chromaticity, ColorPrimaries, ColorProfile, DataColorSpace, Layout, ToneReprCurve,
    TransformExecutor, TransformOptions,
};
use rayon::prelude::*;

/// The profile can't be used for these pixels.
pub(super) struct Unreadable;

/// Pixels a task: a few hundred kilobytes.
const CHUNK: usize = 1 << 16;

fn options() -> TransformOptions {
    TransformOptions::default()
}

fn srgb_grey() -> ColorProfile {
    let mut grey = ColorProfile::new_gray_with_gamma(2.2);
    grey.gray_trc = ColorProfile::new_srgb().red_trc;
    grey
}

/// The profile of colours that a file gives as numbers (ISO/IEC 23091-2), as ICC; `None` where they
/// are sRGB, or nobody could tell the difference.
///
/// # Errors
/// Names what is not converted: colours beyond white (PQ, HLG) and rare curves.
pub(super) fn numbered(primaries: u32, transfer: u32) -> Result<Option<Vec<u8>>, &'static str> {
    match transfer {
        // BT.709 and its like are shown by all viewers as sRGB.
        1 | 2 | 4 | 6 | 13 | 14 | 15 => {}
        16 | 18 => return Err("high dynamic range; save it in standard range first"),
        _ => return Err("colours of a rare curve"),
    }
    let mut profile = match primaries {
        1 | 2 | 5 | 6 | 7 => return Ok(None),
        9 => ColorProfile::new_bt2020(),
        11 => ColorProfile::new_dci_p3(),
        12 => ColorProfile::new_display_p3(),
        _ => return Err("rare primary colours"),
    };
    let srgb = ColorProfile::new_srgb();
    (profile.red_trc, profile.green_trc, profile.blue_trc) =
        (srgb.red_trc, srgb.green_trc, srgb.blue_trc);
    profile.encode().map(Some).map_err(|_| "rare colours")
}

/// The profile of colours that a PNG describes by a power of its samples (`gAMA`, 1 / 2.2 as a rule) and
/// by the places of white, red, green and blue (`cHRM`, x and y each), as ICC. `None` where they are
/// those of sRGB, or make no sense.
pub(super) fn simple(
    gamma: Option<f64>,
    primaries: Option<[f64; 8]>,
    grey: bool,
) -> Option<Vec<u8>> {
    // What sRGB writes here: programs that mean it leave the better chunk out.
    const SRGB_GAMMA: f64 = 0.45455;
    const SRGB: [f64; 8] = [0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06];
    let gamma = gamma.filter(|g| (0.05..=20.0).contains(g));
    let sound = |p: &[f64; 8]| p.iter().all(|v| (0.0..=1.0).contains(v)) && p[1] > 0.0;
    let near = |p: &[f64; 8]| p.iter().zip(SRGB).all(|(a, b)| (a - b).abs() < 0.005);
    let primaries = primaries.filter(|p| !grey && sound(p) && !near(p));
    // A difference of a twentieth can't be seen.
    let gamma = gamma.filter(|g| primaries.is_some() || (g / SRGB_GAMMA - 1.0).abs() > 0.05);
    let curve = gamma.map(|g| ToneReprCurve::Parametric(vec![(1.0 / g) as f32]));
    let profile = if grey {
        let mut profile = srgb_grey();
        profile.gray_trc = Some(curve?);
        profile
    } else {
        if curve.is_none() && primaries.is_none() {
            return None;
        }
        let mut profile = ColorProfile::new_srgb();
        if let Some(curve) = curve {
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
            profile.cicp = None;
        }
        if let Some([wx, wy, rx, ry, gx, gy, bx, by]) = primaries {
            let place = |x: f64, y: f64| Chromaticity {
                x: x as f32,
                y: y as f32,
            };
            let primaries = ColorPrimaries {
                red: place(rx, ry),
                green: place(gx, gy),
                blue: place(bx, by),
            };
            profile.update_rgb_colorimetry(place(wx, wy).to_xyyb(), primaries);
        }
        profile
    };
    profile.encode().ok()
}

/// Converts pixels from what `icc` describes to sRGB, in place.
pub(super) fn to_srgb(pixels: &mut DynamicImage, icc: &[u8]) -> Result<(), Unreadable> {
    let profile = ColorProfile::new_from_slice(icc).map_err(|_| Unreadable)?;
    let grey = !pixels.color().has_color();
    let wanted = if grey {
        DataColorSpace::Gray
    } else {
        DataColorSpace::Rgb
    };
    if profile.color_space != wanted {
        return Err(Unreadable);
    }
    let target = if grey {
        srgb_grey()
    } else {
        ColorProfile::new_srgb()
    };
    if same(&profile, &target, grey)? {
        return Ok(());
    }
    use DynamicImage as D;
    match pixels {
        D::ImageLuma8(p) => eight(p, &profile, &target, Layout::Gray),
        D::ImageLumaA8(p) => eight(p, &profile, &target, Layout::GrayAlpha),
        D::ImageRgb8(p) => eight(p, &profile, &target, Layout::Rgb),
        D::ImageRgba8(p) => eight(p, &profile, &target, Layout::Rgba),
        D::ImageLuma16(p) => sixteen(p, &profile, &target, Layout::Gray),
        D::ImageLumaA16(p) => sixteen(p, &profile, &target, Layout::GrayAlpha),
        D::ImageRgb16(p) => sixteen(p, &profile, &target, Layout::Rgb),
        D::ImageRgba16(p) => sixteen(p, &profile, &target, Layout::Rgba),
        _ => Err(Unreadable),
    }
}

/// Whether the conversion would change nothing by more than a rounding step: most profiles are
/// sRGB under some name, and converting is as much work as decoding.
fn same(profile: &ColorProfile, target: &ColorProfile, grey: bool) -> Result<bool, Unreadable> {
    let layout = if grey { Layout::Gray } else { Layout::Rgb };
    let transform = profile
        .create_transform_8bit(layout, target, layout, options())
        .map_err(|_| Unreadable)?;
    let steps: Vec<u8> = (0..=16u32).map(|i| (i * 255 / 16) as u8).collect();
    let probe: Vec<u8> = if grey {
        steps
    } else {
        let pair = |r: u8| {
            steps
                .iter()
                .flat_map(|&g| steps.iter().map(move |&b| [g, b]))
                .map(move |[g, b]| [r, g, b])
        };
        steps.iter().flat_map(|&r| pair(r)).flatten().collect()
    };
    let mut out = vec![0; probe.len()];
    transform
        .transform(&probe, &mut out)
        .map_err(|_| Unreadable)?;
    Ok(probe.iter().zip(&out).all(|(a, b)| a.abs_diff(*b) <= 1))
}

fn eight<P: Pixel<Subpixel = u8>>(
    pixels: &mut ImageBuffer<P, Vec<u8>>,
    from: &ColorProfile,
    to: &ColorProfile,
    layout: Layout,
) -> Result<(), Unreadable> {
    let transform = from
        .create_transform_8bit(layout, to, layout, options())
        .map_err(|_| Unreadable)?;
    run(pixels, P::CHANNEL_COUNT, &*transform)
}

fn sixteen<P: Pixel<Subpixel = u16>>(
    pixels: &mut ImageBuffer<P, Vec<u16>>,
    from: &ColorProfile,
    to: &ColorProfile,
    layout: Layout,
) -> Result<(), Unreadable> {
    let transform = from
        .create_transform_16bit(layout, to, layout, options())
        .map_err(|_| Unreadable)?;
    run(pixels, P::CHANNEL_COUNT, &*transform)
}

fn run<T: Copy + Default + Send + Sync>(
    samples: &mut [T],
    channels: u8,
    transform: &(dyn TransformExecutor<T> + Send + Sync),
) -> Result<(), Unreadable> {
    samples
        .par_chunks_mut(CHUNK * usize::from(channels))
        .try_for_each(|part| {
            let source = part.to_vec();
            transform.transform(&source, part).map_err(|_| Unreadable)
        })
}

/// Four inks a pixel (0 is no ink) → sRGB, through the profile if there is one that fits,
/// otherwise by the usual rule `(1 − ink)(1 − black)`.
pub(super) fn cmyk_to_rgb(inks: &[u8], icc: Option<&[u8]>) -> (Vec<u8>, bool) {
    let mut rgb = vec![0; inks.len() / 4 * 3];
    let by_profile = icc.and_then(|icc| {
        let profile = ColorProfile::new_from_slice(icc)
            .ok()
            .filter(|p| p.color_space == DataColorSpace::Cmyk)?;
        // moxcms names four inks by the layout of four samples.
        profile
            .create_transform_8bit(
                Layout::Rgba,
                &ColorProfile::new_srgb(),
                Layout::Rgb,
                options(),
            )
            .ok()
    });
    if let Some(transform) = by_profile {
        let done = rgb
            .par_chunks_mut(CHUNK * 3)
            .zip(inks.par_chunks(CHUNK * 4))
            .try_for_each(|(out, part)| transform.transform(part, out).map_err(|_| ()));
        if done.is_ok() {
            return (rgb, true);
        }
    }
    for (out, ink) in rgb.chunks_exact_mut(3).zip(inks.chunks_exact(4)) {
        let left = u32::from(255 - ink[3]);
        for (value, &ink) in out.iter_mut().zip(ink) {
            *value = ((u32::from(255 - ink) * left + 127) / 255) as u8;
        }
    }
    (rgb, false)
}
