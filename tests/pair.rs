//! Two networks that look together, with networks that see what is written into the picture.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ndarray::{Array4, ArrayD, IxDyn};
use proptest::prelude::*;
use unface::detect::{
    DetectError,
    model::{Arrangement, Model, PATCH, Spec, Tensor},
    pair::Pair,
};

mod network;
use network::spec;

/// Takes its heat from one colour of each cell's first patch, and the sizes from another.
struct Reader {
    spec: Spec,
    colour: usize,
    /// Blocks of 32 × 32 pixels looked at.
    seen: Arc<AtomicUsize>,
}

fn score(value: u8) -> f32 {
    f32::from(value) / 256.0
}

impl Model for Reader {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<ArrayD<f32>>, DetectError> {
        let Tensor::Patches(input) = input else {
            unreachable!()
        };
        let (_, rows, columns, _) = input.dim();
        self.seen
            .fetch_add(rows / 16 * (columns / 16), Ordering::Relaxed);
        let map = |channels: usize, of: &dyn Fn(usize, usize, usize) -> f32| {
            ArrayD::from_shape_fn(IxDyn(&[1, channels, rows / 2, columns / 2]), |i| {
                of(i[1], i[2], i[3])
            })
        };
        let at = |y: usize, x: usize, c: usize| input[[0, 2 * y, 2 * x, c]];
        Ok(vec![
            map(1, &|_, y, x| score(at(y, x, self.colour))),
            map(2, &|_, y, x| f32::from(at(y, x, 2)) / 100.0),
            map(2, &|axis, y, x| {
                self.colour as f32 + axis as f32 + f32::from(at(y, x, 3)) / 256.0
            }),
        ])
    }
}

fn pair() -> (Pair, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let reader = |colour, seen: &Arc<AtomicUsize>| {
        Box::new(Reader {
            spec: spec(Arrangement::Patches),
            colour,
            seen: Arc::clone(seen),
        }) as Box<dyn Model>
    };
    let pair = Pair::new(reader(0, &Arc::default()), reader(1, &seen)).unwrap();
    (pair, seen)
}

fn together(cheap: f32, dear: f32) -> f32 {
    let logit = |p: f32| (p.clamp(1e-6, 1.0 - 1e-6) / (1.0 - p.clamp(1e-6, 1.0 - 1e-6))).ln();
    1.0 / (1.0 + (-(0.65 * logit(dear) + 0.35 * logit(cheap))).exp())
}

#[test]
fn without_a_trace_the_dear_network_does_not_look() {
    let (mut pair, seen) = pair();
    let mut input = Array4::<u8>::zeros((1, 64, 96, PATCH));
    // Sure of everything, but the other one sees nothing anywhere.
    input.slice_mut(ndarray::s![.., .., .., 1]).fill(255);
    let outputs = pair.run(&Tensor::Patches(input)).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    assert_eq!(outputs[0].shape(), [1, 1, 32, 48]);
    assert!(outputs[0].iter().all(|&p| p < 0.001));
}

#[test]
fn the_dear_network_looks_at_a_part_that_holds_the_trace_with_its_surroundings() {
    let (mut pair, seen) = pair();
    let mut input = Array4::<u8>::zeros((1, 16 * 20, 16 * 30, PATCH));
    input[[0, 2 * 84, 2 * 84, 0]] = 100;
    input[[0, 2 * 84, 2 * 84, 1]] = 200;
    let outputs = pair.run(&Tensor::Patches(input)).unwrap();
    // Its block, one around, one for the margin.
    assert_eq!(seen.load(Ordering::Relaxed), 25);
    let found = outputs[0][[0, 0, 84, 84]];
    assert!((found - together(score(100), score(200))).abs() < 1e-5);
    assert!((outputs[2][[0, 1, 84, 84]] - 1.65).abs() < 1e-5, "offsets");
}

#[test]
fn what_a_large_box_reaches_is_looked_at() {
    let (mut pair, seen) = pair();
    let mut input = Array4::<u8>::zeros((1, 16 * 20, 16 * 30, PATCH));
    input[[0, 2 * 84, 2 * 84, 0]] = 100;
    // A box of e^2.55 = 12.8 cells reaches from block 9 to 11.
    input[[0, 2 * 84, 2 * 84, 2]] = 255;
    pair.run(&Tensor::Patches(input)).unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 49);
}

#[test]
fn networks_that_take_pictures_in_another_way_are_refused() {
    let reader = |arrangement| {
        Box::new(Reader {
            spec: spec(arrangement),
            colour: 0,
            seen: Arc::default(),
        }) as Box<dyn Model>
    };
    for (a, b) in [
        (Arrangement::Planes, Arrangement::Patches),
        (Arrangement::Patches, Arrangement::Planes),
        (Arrangement::Planes, Arrangement::Planes),
    ] {
        assert!(matches!(
            Pair::new(reader(a), reader(b)),
            Err(DetectError::Model(_))
        ));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn in_windows_each_place_with_a_trace_has_what_both_say_of_it(
        width in 1usize..24, height in 1usize..16,
        traces in proptest::collection::vec((0usize..4000, 6u8..255), 0..20), seed in any::<u64>(),
    ) {
        let (mut pair, seen) = pair();
        let mut input = Array4::<u8>::zeros((1, height * 16, width * 16, PATCH));
        for (i, value) in input.slice_mut(ndarray::s![.., .., .., 1]).iter_mut().enumerate() {
            *value = (seed.rotate_left((i % 61) as u32) ^ i as u64) as u8;
        }
        let cells = (height * 8, width * 8);
        let places: Vec<_> = traces.iter().map(|&(i, v)| ((i / cells.1) % cells.0, i % cells.1, v)).collect();
        for &(y, x, value) in &places {
            input[[0, 2 * y, 2 * x, 0]] = value;
        }
        let outputs = pair.run(&Tensor::Patches(input.clone())).unwrap();
        for (y, x) in (0..cells.0).flat_map(|y| (0..cells.1).map(move |x| (y, x))) {
            let (cheap, dear) = (score(input[[0, 2 * y, 2 * x, 0]]), score(input[[0, 2 * y, 2 * x, 1]]));
            let near = |d: usize| places.iter().any(|&(py, px, _)| (py / 8).abs_diff(y / 8) <= d && (px / 8).abs_diff(x / 8) <= d);
            let is = outputs[0][[0, 0, y, x]];
            if near(1) {
                prop_assert!((is - together(cheap, dear)).abs() < 1e-5, "{is} at {x}, {y}");
            } else {
                prop_assert!(is < 0.001, "{is} at {x}, {y}");
            }
        }
        // Where windows would be much of the picture it is looked at as a whole.
        prop_assert!(seen.load(Ordering::Relaxed) <= width * height);
    }
}
