//! `Resize` in all its modes.

use macula::ops::{AspectRatio, NearestMode, Resize, ResizeCoordinates, ResizeMode};
use macula::{DType, Tensor};

use crate::support::{Case, case, every_type, integers, random, to_dtype, to_f16};

const COORDINATES: [ResizeCoordinates; 5] = [
    ResizeCoordinates::HalfPixel,
    ResizeCoordinates::HalfPixelSymmetric,
    ResizeCoordinates::PytorchHalfPixel,
    ResizeCoordinates::AlignCorners,
    ResizeCoordinates::Asymmetric,
];

const MODES: [ResizeMode; 3] =
    [ResizeMode::Nearest(NearestMode::RoundPreferCeil), ResizeMode::Linear, ResizeMode::Cubic { coefficient: -0.75 }];

fn scaled(op: &Resize, x: Tensor, scales: &[f32]) -> Case {
    case(op.clone()).runtime(x).absent().constant(Tensor::vector(scales.to_vec()))
}

fn sized(op: &Resize, x: Tensor, sizes: &[i64]) -> Case {
    case(op.clone()).runtime(x).absent().absent().constant(integers(sizes))
}

fn linear() -> Resize {
    Resize { mode: ResizeMode::Linear, ..Resize::default() }
}

#[test]
fn whole_factors() {
    let nearest = Resize::default();
    for factors in [[1., 1., 2., 2.], [1., 1., 3., 2.], [2., 3., 1., 5.], [1., 1., 1., 4.], [1., 1., 1., 1.]] {
        scaled(&nearest, random(1, [2, 3, 5, 7], -4.0..4.0), &factors).check();
        scaled(&linear(), random(1, [2, 3, 5, 7], -4.0..4.0), &factors).check();
    }
    scaled(&nearest, random(2, [3, 2, 9, 4], -4.0..4.0), &[1., 1., 2., 2.]).check();
    scaled(&nearest, random(3, [65], -4.0..4.0), &[7.]).check();
    case(nearest).runtime(random(3, [2, 5], -4.0..4.0)).constant(Tensor::vector(vec![2f32, 1.0])).check();
}

#[test]
fn every_mode_and_position() {
    for mode in MODES {
        for coordinates in COORDINATES {
            for exclude_outside in [false, true] {
                let op = Resize { mode, coordinates, exclude_outside, ..Resize::default() };
                sized(&op, random(4, [2, 3, 5, 7], -4.0..4.0), &[2, 3, 11, 4]).check();
                scaled(&op, random(5, [1, 2, 9, 6], -4.0..4.0), &[1.0, 1.0, 0.6, 1.7]).check();
            }
        }
    }
}

#[test]
fn every_way_of_rounding() {
    for rounding in [NearestMode::RoundPreferFloor, NearestMode::RoundPreferCeil, NearestMode::Floor, NearestMode::Ceil] {
        for coordinates in COORDINATES {
            let op = Resize { mode: ResizeMode::Nearest(rounding), coordinates, ..Resize::default() };
            sized(&op, random(6, [2, 3, 4, 9], -4.0..4.0), &[2, 3, 8, 6]).check();
        }
    }
}

#[test]
fn axes_apart_and_of_any_rank() {
    for mode in MODES {
        let op = Resize { mode, ..Resize::default() };
        // Channels last, volumes, rows alone, axes that are no neighbours, and all axes at once.
        sized(&op, random(7, [2, 5, 7, 3], -4.0..4.0), &[2, 9, 4, 3]).check();
        sized(&op, random(7, [1, 2, 3, 5, 4], -4.0..4.0), &[1, 2, 5, 9, 7]).check();
        sized(&op, random(7, [3, 6], -4.0..4.0), &[5, 6]).check();
        sized(&op, random(7, [3, 4, 5, 2], -4.0..4.0), &[6, 4, 7, 2]).check();
        sized(&op, random(7, [2, 3, 4, 5], -4.0..4.0), &[3, 5, 3, 7]).check();
        sized(&op, random(7, [67], -4.0..4.0), &[130]).check();
    }
    let some = Resize { axes: Some(vec![-1, 1]), ..linear() };
    sized(&some, random(8, [2, 3, 4, 5], -4.0..4.0), &[7, 4]).check();
    scaled(&some, random(8, [2, 3, 4, 5], -4.0..4.0), &[0.5, 2.0]).check();
}

#[test]
fn antialiasing() {
    for mode in [ResizeMode::Linear, ResizeMode::Cubic { coefficient: -0.5 }] {
        for exclude_outside in [false, true] {
            let op = Resize { mode, antialias: true, exclude_outside, ..Resize::default() };
            sized(&op, random(9, [2, 3, 17, 23], -4.0..4.0), &[2, 3, 5, 4]).check();
            sized(&op, random(9, [1, 2, 5, 40], -4.0..4.0), &[1, 2, 9, 7]).check();
        }
    }
}

#[test]
fn regions_of_interest() {
    for mode in MODES {
        let op = Resize { mode, coordinates: ResizeCoordinates::CropAndResize, extrapolation_value: 7.5, ..Resize::default() };
        let roi = |values: [f32; 8]| Tensor::vector(values.to_vec());
        for region in [[0., 0., 0.4, 0.6, 1., 1., 0.6, 0.8], [0., 0., -0.3, 0.5, 1., 1., 0.9, 1.4]] {
            let case = case(op.clone()).runtime(random(10, [2, 3, 6, 5], -4.0..4.0)).constant(roi(region));
            case.absent().constant(integers(&[2, 3, 4, 7])).check();
        }
    }
    let op = Resize { coordinates: ResizeCoordinates::CropAndResize, extrapolation_value: 300.0, axes: Some(vec![1]), ..Resize::default() };
    let roi = || Tensor::vector(vec![-0.5f32, 1.5]);
    for x in [to_dtype(&random(10, [3, 5], 0.0..100.0), DType::U8), Tensor::full([3, 5], false)] {
        case(op.clone()).runtime(x).constant(roi()).absent().constant(integers(&[9])).check();
    }
}

#[test]
fn aspect_ratios() {
    for aspect_ratio in [AspectRatio::NotLarger, AspectRatio::NotSmaller] {
        let op = Resize { aspect_ratio, axes: Some(vec![2, 3]), ..linear() };
        sized(&op, random(11, [2, 3, 4, 7], -4.0..4.0), &[9, 9]).check();
        sized(&op, random(11, [2, 3, 9, 7], -4.0..4.0), &[4, 5]).check();
    }
}

#[test]
fn element_types() {
    for x in every_type(12, [2, 3, 5, 7]) {
        sized(&Resize::default(), x.clone(), &[2, 3, 10, 28]).check();
        sized(&Resize::default(), x, &[2, 3, 8, 3]).check();
    }
    for mode in MODES {
        let op = Resize { mode, ..Resize::default() };
        sized(&op, to_f16(&random(13, [2, 3, 5, 7], -4.0..4.0)), &[2, 3, 9, 4]).check();
        sized(&op, random(13, [2, 3, 4], -4.0..4.0).reshape([4, 3, 2]).unwrap(), &[4, 5, 2]).check();
    }
    let pixels = to_dtype(&random(14, [2, 3, 5, 7], 0.0..255.0), DType::U8);
    sized(&linear(), pixels, &[2, 3, 9, 4]).check_on_cpu();
    sized(&linear(), Tensor::full([1, 2, 3], f32::NAN), &[1, 3, 5]).check();
}

#[test]
fn what_cannot_be_resized() {
    let x = || random(6, [1, 2, 3, 4], -4.0..4.0);
    scaled(&linear(), x(), &[1., 1., -0.5, 2.]).fails_with("must be above 0");
    scaled(&linear(), x(), &[1., 1.]).fails_with("2 scales for 4 axes of [1,2,3,4]");
    scaled(&linear(), x(), &[1., 1., 1e30, 1.]).fails_with("filtered over too many elements");
    sized(&linear(), x(), &[1, 2, -3, 4]).fails_with("have an extent below 0");
    case(linear()).runtime(x()).absent().fails_with("takes one of inputs 2");
    sized(&linear(), x(), &[1, 2, 0, 4]).check_on_cpu();
}
