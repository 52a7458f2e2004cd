//! A plain decoder of samples, slow and without cleverness, that shares nothing with the decoders whose work it checks.
//!
//! Source: ITU-T T.81, sections A.3.3 (inverse transform) and A.3.4 (dequantisation).

use super::{Header, NotJpeg, Structure, Walker, scan::Grid};

/// Natural place of each coefficient of the zigzag order.
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The samples of one component, as they were coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// Samples across and down that belong to the picture.
    size: (usize, usize),
    /// Samples a row, padding included.
    stride: usize,
    /// Pixels that a sample stands for, across and down: numerator and denominator.
    across: (usize, usize),
    down: (usize, usize),
    samples: Vec<u8>,
}

impl Plane {
    /// Row `y` of the picture, a sample a pixel. Halved components are interpolated linearly between their samples'
    /// centres, as `libjpeg` does; others are repeated. `y` is below the picture's height.
    pub fn row(&self, y: usize, out: &mut [u8]) {
        let line = |row: usize| {
            let start = row.min(self.size.1 - 1) * self.stride;
            &self.samples[start..start + self.size.0]
        };
        let whole = |(a, b): (usize, usize)| {
            if a.is_multiple_of(b) {
                a / b
            } else {
                usize::MAX
            }
        };
        let (across, down) = (whole(self.across), whole(self.down));
        let near = y * self.down.1 / self.down.0;
        if across > 2 || down > 2 {
            let row = line(near);
            for (x, value) in out.iter_mut().enumerate() {
                *value = row[(x * self.across.1 / self.across.0).min(row.len() - 1)];
            }
            return;
        }
        let far = match down {
            2 if y.is_multiple_of(2) => near.saturating_sub(1),
            2 => near + 1,
            _ => near,
        };
        let (near, far) = (line(near), line(far));
        let at = |x: usize| 3 * u32::from(near[x]) + u32::from(far[x]);
        let last = near.len() - 1;
        for (x, value) in out.iter_mut().enumerate() {
            let (here, beside) = match across {
                2 if x.is_multiple_of(2) => (x / 2, (x / 2).saturating_sub(1)),
                2 => (x / 2, x / 2 + 1),
                _ => (x, x),
            };
            let mixed = 3 * at(here.min(last)) + at(beside.min(last));
            *value = ((mixed + 8) >> 4) as u8;
        }
    }
}

/// Decodes the samples of every component. Takes about as much memory as they have, twice that for coefficients where
/// the picture is progressive.
///
/// # Errors
/// As [`super::walk`]; what is damaged is said in the structure, and samples that never came are missing or wrong.
pub fn samples(bytes: &[u8]) -> Result<(Structure, Vec<Plane>), NotJpeg> {
    let mut walker = Walker::new(bytes);
    walker.keep = true;
    walker.run()?;
    let kept = walker.state.as_mut().and_then(|state| state.kept.take());
    let structure = walker.finish()?;
    let planes = kept.map(Kept::planes).unwrap_or_default();
    if planes.len() != structure.header.components.len() {
        return Err(NotJpeg("a picture in which a colour component is missing"));
    }
    Ok((structure, planes))
}

/// What is kept of each component while the scans are walked.
#[derive(Default)]
pub(super) struct Kept {
    components: Vec<Option<Component>>,
    /// The quantisation tables as they stand when a scan begins, in zigzag order.
    pub(super) tables: [Option<[u16; 64]>; 4],
}

struct Component {
    plane: Plane,
    /// The table that stood when its first scan began.
    table: [u16; 64],
    /// 64 a block in zigzag order; progressive only.
    coefficients: Vec<i16>,
}

impl Kept {
    /// Makes room for a component at its first scan.
    pub(super) fn begin(&mut self, index: usize, header: &Header, grid: &Grid) {
        self.components
            .resize_with(header.components.len(), || None);
        let component = header.components[index];
        let Some(table) = self.tables[usize::from(component.table)] else {
            return;
        };
        if self.components[index].is_some() {
            return;
        }
        let most = |of: fn(&super::Component) -> u8| {
            usize::from(header.components.iter().map(of).max().unwrap_or(1))
        };
        let across = (most(|c| c.h), usize::from(component.h));
        let down = (most(|c| c.v), usize::from(component.v));
        let (columns, rows) = (grid.padded_columns as usize, grid.padded_rows as usize);
        let samples = columns * rows * 64;
        self.components[index] = Some(Component {
            plane: Plane {
                size: (
                    (usize::from(header.width) * across.1).div_ceil(across.0),
                    (usize::from(header.height) * down.1).div_ceil(down.0),
                ),
                stride: columns * 8,
                across,
                down,
                samples: vec![0; samples],
            },
            table,
            coefficients: vec![0; if header.progressive() { samples } else { 0 }],
        });
    }

    /// The coefficients of a block of a progressive picture, in zigzag order.
    pub(super) fn block(&mut self, index: usize, at: usize) -> Option<&mut [i16]> {
        let component = self.components.get_mut(index)?.as_mut()?;
        component.coefficients.get_mut(at * 64..at * 64 + 64)
    }

    /// Takes a block whose coefficients are all there.
    pub(super) fn finish(&mut self, index: usize, at: usize, block: &[i16; 64]) {
        if let Some(Some(component)) = self.components.get_mut(index) {
            component.transform(at, block);
        }
    }

    fn planes(self) -> Vec<Plane> {
        let mut planes = Vec::new();
        for mut component in self.components.into_iter().flatten() {
            let coefficients = std::mem::take(&mut component.coefficients);
            for (at, block) in coefficients.as_chunks().0.iter().enumerate() {
                component.transform(at, block);
            }
            planes.push(component.plane);
        }
        planes
    }
}

/// For each place in a row of eight, the weight of each of the eight frequencies.
static WEIGHTS: std::sync::LazyLock<[[f32; 8]; 8]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|x| {
        std::array::from_fn(|u| {
            let scale = if u == 0 { 0.125f64.sqrt() } else { 0.5 };
            let angle = (2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0;
            (scale * angle.cos()) as f32
        })
    })
});

impl Component {
    /// Coefficients of a block in zigzag order → its samples.
    fn transform(&mut self, at: usize, block: &[i16; 64]) {
        let mut natural = [[0f32; 8]; 8];
        for (k, (&value, &step)) in block.iter().zip(&self.table).enumerate() {
            let place = usize::from(ZIGZAG[k]);
            natural[place / 8][place % 8] = f32::from(value) * f32::from(step);
        }
        let weights = &*WEIGHTS;
        let columns = self.plane.stride / 8;
        let start = at / columns * 8 * self.plane.stride + at % columns * 8;
        // Rows first: for each row of frequencies, its values at the eight places.
        let rows = natural.map(|frequencies| {
            weights.map(|weight| {
                frequencies
                    .iter()
                    .zip(weight)
                    .map(|(f, w)| f * w)
                    .sum::<f32>()
            })
        });
        for (y, weight) in weights.iter().enumerate() {
            let mut line = [128.5f32; 8];
            for (row, w) in rows.iter().zip(weight) {
                line.iter_mut().zip(row).for_each(|(sum, v)| *sum += v * w);
            }
            let from = start + y * self.plane.stride;
            if let Some(out) = self.plane.samples.get_mut(from..from + 8) {
                // Casting holds the value within 0 and 255.
                out.iter_mut().zip(line).for_each(|(o, v)| *o = v as u8);
            }
        }
    }
}
