//! Matrix products.

use macula::ops::{Gemm, MatMul};
use macula::{DType, Tensor};

use crate::support::{Case, case, random, to_dtype, to_f16};

fn matmul(a: &[usize], b: &[usize]) -> [Case; 2] {
    let a = || random(1, a, -1.0..1.0);
    let b = || random(2, b, -1.0..1.0);
    [case(MatMul).runtime(a()).runtime(b()), case(MatMul).runtime(a()).constant(b())]
}

fn check_both(a: &[usize], b: &[usize]) {
    for case in matmul(a, b) {
        case.check();
    }
}

#[test]
fn around_the_tiles() {
    for m in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33] {
        check_both(&[m, 7], &[7, 12]);
    }
    for n in [1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 260] {
        check_both(&[5, 9], &[9, n]);
        check_both(&[1, 9], &[9, n]);
    }
}

#[test]
fn inner_axes_of_every_kind() {
    for k in [1, 2, 3, 15, 16, 17, 96, 104, 440] {
        check_both(&[6, k], &[k, 8]);
        check_both(&[2, k], &[k, 5]);
    }
}

#[test]
fn vectors() {
    check_both(&[7], &[7]);
    check_both(&[7], &[7, 5]);
    check_both(&[6, 7], &[7]);
    check_both(&[7], &[2, 3, 7, 4]);
    check_both(&[2, 3, 6, 7], &[7]);
}

#[test]
fn batches() {
    check_both(&[3, 5, 6], &[3, 6, 8]);
    check_both(&[2, 3, 5, 6], &[6, 7]);
    check_both(&[5, 6], &[2, 3, 6, 8]);
    check_both(&[2, 1, 5, 6], &[3, 6, 4]);
    check_both(&[2, 1, 5, 6], &[3, 6, 7]);
    check_both(&[2, 1, 4, 1, 2, 6], &[3, 1, 5, 6, 4]);
}

#[test]
fn batches_that_alternate_on_more_than_four_axes_run_on_the_cpu() {
    let [case, _] = matmul(&[2, 1, 2, 1, 2, 3, 4], &[1, 2, 1, 2, 1, 4, 4]);
    case.check_on_cpu();
}

#[test]
fn a_constant_on_the_left() {
    case(MatMul).constant(random(1, [6, 7], -1.0..1.0)).runtime(random(2, [3, 7, 8], -1.0..1.0)).check();
}

#[test]
fn a_bias_for_each_column() {
    // One matrix on the right, one for each on the left, batches of both; around the tiles.
    for (a, b) in [
        (&[1, 9][..], &[9, 10][..]),
        (&[9], &[9, 10]),
        (&[7, 33], &[33, 12]),
        (&[2, 3, 5, 6], &[6, 7]),
        (&[3, 2, 5, 6], &[2, 6, 9]),
        (&[2, 1, 4, 1, 2, 6], &[3, 1, 5, 6, 4]),
    ] {
        let n = b[b.len() - 1];
        let inputs = || case(MatMul).runtime(random(1, a, -1.0..1.0));
        inputs().constant(random(2, b, -1.0..1.0)).constant(random(3, [n], -9.0..9.0)).check();
        inputs().runtime(random(2, b, -1.0..1.0)).runtime(random(3, [n], -9.0..9.0)).check();
        let half = |seed, shape: &[usize]| to_f16(&random(seed, shape, -1.0..1.0));
        case(MatMul).runtime(half(1, a)).constant(half(2, b)).constant(half(3, &[n])).check();
    }
    let integer = |seed, shape: &[usize]| to_dtype(&random(seed, shape, -99.0..99.0), DType::I32);
    case(MatMul).runtime(integer(1, &[2, 3, 7])).runtime(integer(2, &[2, 7, 4])).runtime(integer(3, &[4])).check();
    let bad = |b: &[usize], bias: &[usize]| {
        case(MatMul).runtime(random(1, [2, 5, 6], 0.0..1.0)).runtime(random(2, b, 0.0..1.0)).runtime(random(3, bias, 0.0..1.0))
    };
    bad(&[6, 7], &[6]).fails_with("bias has shape [6]");
    bad(&[6, 7], &[1, 7]).fails_with("bias has shape [1,7]");
    bad(&[6], &[1]).fails_with("bias has shape [1]");
}

#[test]
fn gemm_in_all_transpositions() {
    for (transpose_a, a) in [(false, [5, 7]), (true, [7, 5])] {
        for (transpose_b, b) in [(false, [7, 6]), (true, [6, 7])] {
            let op = Gemm { alpha: 0.75, beta: -1.5, transpose_a, transpose_b };
            let inputs = || case(op).runtime(random(1, a, -1.0..1.0));
            inputs().constant(random(2, b, -1.0..1.0)).constant(random(3, [6], -1.0..1.0)).check();
            inputs().runtime(random(2, b, -1.0..1.0)).runtime(random(3, [5, 6], -1.0..1.0)).check();
        }
    }
}

#[test]
fn gemm_addends_broadcast() {
    for m in [1, 3, 9] {
        for c in [&[m, 10][..], &[1, 10], &[10], &[m, 1], &[1, 1], &[1], &[]] {
            let op = Gemm { alpha: 2.0, beta: 0.5, transpose_b: true, ..Gemm::default() };
            let inputs = case(op).runtime(random(1, [m, 13], -1.0..1.0)).constant(random(2, [10, 13], -1.0..1.0));
            inputs.constant(random(3, c, -1.0..1.0)).check();
        }
    }
    case(Gemm::default()).runtime(random(1, [3, 4], -1.0..1.0)).constant(random(2, [4, 6], -1.0..1.0)).absent().check();
}

#[test]
fn linear_layers_of_real_size() {
    for m in [1, 2, 4, 5] {
        let op = Gemm { transpose_b: true, ..Gemm::default() };
        let inputs = case(op).runtime(random(1, [m, 515], -1.0..1.0)).constant(random(2, [201, 515], -1.0..1.0));
        inputs.constant(random(3, [201], -1.0..1.0)).check();
    }
}

#[test]
fn integers() {
    for dtype in [DType::I32, DType::U32] {
        let integer = |seed, shape: &[usize]| to_dtype(&random(seed, shape, 0.0..1e5), dtype);
        for m in [1, 5] {
            case(MatMul).runtime(integer(1, &[2, m, 7])).runtime(integer(2, &[2, 7, 4])).check();
            case(Gemm::default()).runtime(integer(1, &[m, 7])).constant(integer(2, &[7, 5])).constant(integer(3, &[5])).check();
        }
    }
    let large = |seed, shape: [usize; 2], dtype| to_dtype(&random(seed, shape, 0.0..1e12), dtype);
    for n in [5, 8, 9] {
        case(MatMul).runtime(large(1, [3, 4], DType::I64)).runtime(large(2, [4, n], DType::I64)).check();
        case(MatMul).runtime(large(1, [1, 4], DType::I64)).constant(large(2, [4, n], DType::I64)).check();
        case(MatMul).runtime(large(1, [3, 4], DType::U64)).runtime(large(2, [4, n], DType::U64)).check_on_cpu();
    }
}

#[test]
fn double_precision_runs_on_the_cpu() {
    let double = |seed, shape: &[usize]| to_dtype(&random(seed, shape, -1.0..1.0), DType::F64);
    case(MatMul).runtime(double(1, &[2, 3, 33])).runtime(double(2, &[33, 5])).check_on_cpu();
    case(MatMul).runtime(double(1, &[2, 1, 3, 33])).runtime(double(2, &[3, 33, 5])).check_on_cpu();
    let op = Gemm { alpha: 0.5, beta: 2.0, transpose_a: true, transpose_b: true };
    case(op).runtime(double(1, &[33, 3])).runtime(double(2, &[5, 33])).runtime(double(3, &[3, 1])).check_on_cpu();
}

#[test]
fn factors_that_are_activations() {
    for [heads, m, k, n] in [[3, 17, 16, 17], [2, 16, 5, 33], [1, 15, 33, 64], [2, 33, 8, 31], [3, 1, 16, 65], [2, 40, 3, 7]] {
        let (q, k) = (random(1, [heads, m, k], -1.0..1.0), random(2, [heads, k, n], -1.0..1.0));
        case(MatMul).runtime(q.clone()).runtime(k.clone()).check();
        case(MatMul).runtime(to_f16(&q)).runtime(to_f16(&k)).check();
    }
}

#[test]
fn tiles_that_subgroups_share() {
    // Rows, columns and steps around the tiles and their vectors; one matrix, batches of both, one on the right for all on the left.
    for [m, k, n] in [[33, 64, 35], [65, 30, 64], [17, 7, 130], [70, 12, 61], [8, 5, 29], [9, 8, 257]] {
        check_both(&[m, k], &[k, n]);
        check_both(&[2, 3, m, k], &[3, k, n]);
        check_both(&[2, m, k], &[k, n]);
        check_both(&[m, k], &[2, k, n]);
    }
    // Large enough for the tallest tiles.
    for [m, k, n] in [[197, 192, 1000], [331, 129, 811], [200, 1030, 166]] {
        check_both(&[m, k], &[k, n]);
    }
}

#[test]
fn few_rows_share_one_reading_of_each_matrix() {
    for m in [1, 2, 3, 4] {
        for (k, n) in [(64, 33), (37, 64), (4, 30), (129, 7)] {
            check_both(&[3, m, k], &[3, k, n]);
            check_both(&[2, 1, m, k], &[3, k, n]);
            for dtype in [DType::F32, DType::F16] {
                let tensor = |seed, shape: &[usize]| to_dtype(&random(seed, shape, -1.0..1.0), dtype);
                for (transpose_a, a) in [(false, [m, k]), (true, [k, m])] {
                    let op = Gemm { alpha: 0.5, beta: -2.0, transpose_a, transpose_b: true };
                    case(op).runtime(tensor(1, &a)).constant(tensor(2, &[n, k])).constant(tensor(3, &[m, n])).check();
                }
            }
        }
    }
}

#[test]
fn every_block_of_a_gpu() {
    let blocks = |elem: &str| {
        let blocks = ["128x128x16", "128x64x16", "64x64x16", "64x64x8", "64x32x32", "32x256x8"];
        blocks.map(|block| format!("matmul_block {elem} block_{block}"))
    };
    for [m, k, n] in [[70, 37, 131], [131, 50, 70]] {
        for case in matmul(&[2, 1, m, k], &[3, k, n]) {
            case.check_variants(blocks("f32"));
        }
        for (transpose_a, a) in [(false, [m, k]), (true, [k, m])] {
            for (transpose_b, b) in [(false, [k, n]), (true, [n, k])] {
                let op = Gemm { alpha: 0.75, beta: -1.5, transpose_a, transpose_b };
                let inputs = |a: Tensor, b: Tensor, c: Tensor| case(op).runtime(a).runtime(b).runtime(c);
                let [a, b] = [random(1, a, -1.0..1.0), random(2, b, -1.0..1.0)];
                inputs(a.clone(), b.clone(), random(3, [m, n], -1.0..1.0)).check_variants(blocks("f32"));
                inputs(to_f16(&a), to_f16(&b), to_f16(&random(3, [n], -1.0..1.0))).check_variants(blocks("f16"));
            }
        }
    }
}

#[test]
fn linear_layers_of_many_rows() {
    for (m, k, n) in [(6, 12, 24), (19, 37, 50), (40, 64, 36), (35, 20, 33)] {
        for dtype in [DType::F32, DType::F16] {
            let tensor = |seed, shape: &[usize]| to_dtype(&random(seed, shape, -1.0..1.0), dtype);
            for (transpose_b, b) in [(true, [n, k]), (false, [k, n])] {
                let op = Gemm { alpha: 0.5, beta: 2.0, transpose_b, ..Gemm::default() };
                for c in [&[n][..], &[m, 1], &[m, n]] {
                    case(op).runtime(tensor(1, &[m, k])).constant(tensor(2, &b)).constant(tensor(3, c)).check();
                    case(op).runtime(tensor(1, &[m, k])).runtime(tensor(2, &b)).runtime(tensor(3, c)).check();
                }
            }
        }
    }
}

#[test]
fn nan_and_infinities_stay_in_their_rows_and_columns() {
    // Also behind the last step of an inner axis that does not fill its vectors: the next row's elements, and the next matrix's.
    for (k, n) in [(6, 4), (6, 5), (6, 12), (7, 8), (5, 9), (9, 34)] {
        let (mut a, mut b) = (random(1, [2, 5, k], -1.0..1.0), random(2, [2, k, n], -1.0..1.0));
        for (at, x) in [(k + 2, f32::NAN), (5 * k, f32::INFINITY)] {
            a.data_mut::<f32>().unwrap()[at] = x;
        }
        for (at, x) in [(3, f32::INFINITY), (k * n, f32::NAN)] {
            b.data_mut::<f32>().unwrap()[at] = x;
        }
        case(MatMul).runtime(a.clone()).runtime(b.clone()).check();
        case(MatMul).runtime(a).constant(b).check();
    }
}

#[test]
fn sums_of_nothing_are_zero() {
    let empty = |shape: &[usize]| Tensor::full(shape, 0f32);
    case(MatMul).runtime(empty(&[2, 3, 0])).runtime(empty(&[0, 5])).check_on_cpu();
    case(MatMul).runtime(empty(&[0])).runtime(empty(&[0])).check_on_cpu();
    case(MatMul).runtime(empty(&[2, 0, 4])).runtime(random(1, [4, 5], -1.0..1.0)).check_on_cpu();
    case(Gemm::default()).runtime(empty(&[3, 0])).runtime(empty(&[0, 5])).runtime(random(1, [5], -1.0..1.0)).check_on_cpu();
}

#[test]
fn half_precision() {
    let half = |seed, shape: &[usize]| to_f16(&random(seed, shape, -1.0..1.0));
    for m in [1, 9] {
        case(MatMul).runtime(half(1, &[m, 33])).constant(half(2, &[33, 10])).check();
        case(Gemm::default()).runtime(half(1, &[m, 33])).runtime(half(2, &[33, 12])).runtime(half(3, &[12])).check();
    }
}

#[test]
fn what_does_not_fit_is_refused_in_numbers() {
    let bad = |a: &[usize], b: &[usize]| case(MatMul).runtime(random(1, a, 0.0..1.0)).runtime(random(2, b, 0.0..1.0));
    bad(&[5, 6], &[7, 8]).fails_with("A [5,6] has 6 columns, B [7,8] has 7 rows");
    bad(&[2, 5, 6], &[3, 6, 8]).fails_with("the leading axes of [2,5,6] and [3,6,8] do not broadcast");
    bad(&[], &[3, 6, 8]).fails_with("a factor has no axes");
    let gemm = |op: Gemm, a: &[usize], b: &[usize]| case(op).runtime(random(1, a, 0.0..1.0)).runtime(random(2, b, 0.0..1.0));
    gemm(Gemm::default(), &[5, 6], &[7, 8]).fails_with("A has 6 columns and B 7 rows");
    gemm(Gemm { transpose_a: true, ..Gemm::default() }, &[5, 6], &[7, 8]).fails_with("A has 5 columns and B 7 rows");
    gemm(Gemm::default(), &[2, 5, 6], &[6, 8]).fails_with("A [2,5,6] must be a matrix");
    gemm(Gemm::default(), &[5, 6], &[6, 8]).runtime(random(3, [5], 0.0..1.0)).fails_with("C [5] does not broadcast to [5,8]");
    gemm(Gemm::default(), &[5, 6], &[6, 8]).runtime(random(3, [1, 5, 8], 0.0..1.0)).fails_with("C [1,5,8] does not broadcast");
    let integers = Tensor::full([2, 2], 3i32);
    case(Gemm { alpha: 0.5, ..Gemm::default() }).runtime(integers.clone()).runtime(integers).fails_with("alpha 0.5");
}
