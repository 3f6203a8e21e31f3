//! Products of quantised matrices.

use macula::ops::{MatMulInteger, QLinearMatMul};
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype, to_f16};

fn bytes(seed: u64, shape: &[usize], dtype: DType) -> Tensor {
    let range = if dtype == DType::U8 { 0.0..255.9 } else { -128.9..127.9 };
    to_dtype(&random(seed, shape, range), dtype)
}

const TYPES: [(DType, DType); 4] = [(DType::U8, DType::U8), (DType::U8, DType::I8), (DType::I8, DType::U8), (DType::I8, DType::I8)];

#[test]
fn integer_products() {
    for (of_a, of_b) in TYPES {
        for (a, b) in
            [(&[5, 7][..], &[7, 9][..]), (&[2, 3, 17], &[2, 17, 8]), (&[3, 1, 2, 5], &[4, 5, 3]), (&[7], &[7, 4]), (&[6, 7], &[7])]
        {
            let inputs = || case(MatMulInteger).runtime(bytes(1, a, of_a));
            inputs().runtime(bytes(2, b, of_b)).check();
            let zeros = (bytes(3, &[], of_a), bytes(4, &[1], of_b));
            inputs().runtime(bytes(2, b, of_b)).runtime(zeros.0.clone()).runtime(zeros.1.clone()).check();
            inputs().constant(bytes(2, b, of_b)).constant(zeros.0).constant(zeros.1.clone()).check();
            inputs().constant(bytes(2, b, of_b)).absent().runtime(zeros.1).check();
        }
    }
}

#[test]
fn zero_points_of_rows_and_columns() {
    let (a, b) = (bytes(1, &[5, 7], DType::U8), bytes(2, &[7, 9], DType::I8));
    let zeros = case(MatMulInteger).runtime(a).constant(b).constant(bytes(3, &[5], DType::U8));
    zeros.constant(bytes(4, &[9], DType::I8)).check();
    let (a, b) = (bytes(1, &[2, 5, 7], DType::I8), bytes(2, &[2, 7, 9], DType::U8));
    let zeros = case(MatMulInteger).runtime(a).runtime(b).runtime(bytes(3, &[2, 5, 1], DType::I8));
    zeros.runtime(bytes(4, &[2, 1, 9], DType::U8)).check();
}

#[test]
fn requantised_products() {
    let scale = |value: f32| Tensor::scalar(value);
    for (of_a, of_b) in TYPES {
        for of_y in [DType::U8, DType::I8] {
            for (a, b) in [(&[5, 17][..], &[17, 9][..]), (&[2, 3, 7], &[2, 7, 8]), (&[7], &[7, 4])] {
                let inputs = case(QLinearMatMul).runtime(bytes(1, a, of_a)).constant(scale(0.0371)).constant(bytes(3, &[1], of_a));
                let inputs = inputs.constant(bytes(2, b, of_b)).constant(scale(0.0113)).constant(bytes(4, &[], of_b));
                inputs.constant(scale(0.517)).constant(bytes(5, &[], of_y)).check();
            }
        }
    }
}

#[test]
fn scales_of_rows_and_columns() {
    let scales = |seed, shape: &[usize]| random(seed, shape, 0.01..0.1);
    let (u8, i8) = (DType::U8, DType::I8);
    let inputs = case(QLinearMatMul).runtime(bytes(1, &[5, 17], u8)).runtime(scales(6, &[5])).runtime(bytes(3, &[5], u8));
    let inputs = inputs.runtime(bytes(2, &[17, 9], i8)).runtime(scales(7, &[9])).runtime(bytes(4, &[9], i8));
    inputs.runtime(scales(8, &[5])).runtime(bytes(5, &[5], u8)).check();
    let half = |seed| to_f16(&scales(seed, &[1]));
    let inputs = case(QLinearMatMul).runtime(bytes(1, &[2, 5, 7], i8)).runtime(half(6)).runtime(bytes(3, &[1], i8));
    let inputs = inputs.runtime(bytes(2, &[2, 7, 9], i8)).runtime(half(7)).runtime(bytes(4, &[1], i8));
    inputs.runtime(half(8)).runtime(bytes(5, &[1], i8)).check();
}

#[test]
fn what_does_not_fit_is_refused_in_numbers() {
    let (a, b) = (bytes(1, &[5, 7], DType::U8), bytes(2, &[7, 9], DType::U8));
    let inputs = || case(MatMulInteger).runtime(a.clone()).runtime(b.clone());
    inputs().runtime(bytes(3, &[4], DType::U8)).fails_with("a_zero_point [4] is neither one for all of [5,7] nor one a row");
    inputs().absent().runtime(bytes(3, &[5], DType::U8)).fails_with("b_zero_point [5] is neither one for all of [7,9] nor one a column");
    inputs().runtime(bytes(3, &[], DType::I8)).fails_with("is i8, expected u8");
    case(MatMulInteger).runtime(a.clone()).runtime(bytes(2, &[6, 9], DType::U8)).fails_with("has 7 columns");
}
