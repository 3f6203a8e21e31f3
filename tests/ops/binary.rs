use macula::ops::{Binary, Comparison, Not, PRelu, Variadic, Where};
use macula::{DType, Tensor};

use crate::support::{case, every_type, random, to_dtype, to_f16};

const OPERATORS: &[Binary] = &[
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Max,
    Binary::Min,
    Binary::Mod { fmod: true },
    Binary::Mod { fmod: false },
];

const COMPARISONS: &[Comparison] =
    &[Comparison::Equal, Comparison::Less, Comparison::LessOrEqual, Comparison::Greater, Comparison::GreaterOrEqual];

/// Pairs of shapes that broadcast, one of every pattern the kernels tell apart.
const SHAPES: &[(&[usize], &[usize])] = &[
    (&[2, 3, 5, 7], &[2, 3, 5, 7]),
    (&[2, 3, 5, 7], &[3, 1, 1]),
    (&[2, 3, 4, 5], &[1, 3, 1, 1]),
    (&[2, 37, 7, 9], &[37, 1, 1]),
    (&[3, 40, 4, 13], &[40, 1, 1]),
    (&[3, 1, 1], &[2, 3, 4, 5]),
    (&[2, 3, 5, 7], &[]),
    (&[1], &[2, 3, 5, 7]),
    (&[5, 8], &[8]),
    (&[9], &[5, 9]),
    (&[5, 9], &[5, 1]),
    (&[2, 1, 5, 1], &[3, 1, 7]),
    (&[2, 3, 5, 7], &[2, 1, 5, 7]),
    (&[2, 3, 1, 7], &[2, 3, 5, 7]),
    (&[4, 1, 6], &[3, 6]),
    (&[1], &[1]),
    (&[], &[]),
    (&[2, 1, 2, 1, 3, 1, 2, 1], &[1, 3, 1, 2, 1, 2, 1, 5]),
];

#[test]
fn every_broadcast_pattern() {
    for (seed, (a, b)) in SHAPES.iter().enumerate() {
        for operator in OPERATORS {
            let a = random(seed as u64, *a, -4.0..4.0);
            let b = random(100 + seed as u64, *b, 0.5..4.0);
            case(*operator).runtime(a.clone()).runtime(b.clone()).check();
            case(*operator).constant(a).runtime(b).check();
        }
    }
}

#[test]
fn half_precision() {
    for (seed, (a, b)) in SHAPES.iter().enumerate() {
        for operator in OPERATORS {
            let a = random(seed as u64, *a, -4.0..4.0);
            let b = random(100 + seed as u64, *b, 0.5..4.0);
            case(*operator).runtime(to_f16(&a)).runtime(to_f16(&b)).check();
        }
    }
}

#[test]
fn integers() {
    for dtype in [DType::I32, DType::I64, DType::U32] {
        let a = to_dtype(&random(1, [2, 3, 5, 7], -90.0..90.0), dtype);
        for b in [vec![2, 3, 5, 7], vec![3, 1, 1], vec![2, 1, 5, 1], vec![]] {
            let b = to_dtype(&random(2, b, 1.0..9.0), dtype);
            for operator in OPERATORS {
                case(*operator).runtime(a.clone()).constant(b.clone()).check();
            }
        }
    }
    let extremes = || Tensor::vector(vec![i32::MIN, i32::MAX, -7, 7, 7]);
    case(Binary::Div).runtime(extremes()).constant(Tensor::vector(vec![-1, 1, 2, -2, 3])).check();
    case(Binary::Mul).runtime(extremes()).runtime(Tensor::vector(vec![3, 5, 2, -2, 3])).check();
}

#[test]
fn narrow_integers_wrap() {
    for dtype in [DType::I8, DType::I16, DType::U8, DType::U16] {
        let wide = if dtype.size() == 1 { 128.0 } else { 32768.0 };
        let range = if dtype.is_signed() { -wide..wide } else { 0.0..2.0 * wide };
        let a = to_dtype(&random(1, [2, 3, 5, 7], range.clone()), dtype);
        for b in [vec![2, 3, 5, 7], vec![3, 1, 1], vec![2, 1, 5, 1], vec![]] {
            let b = to_dtype(&random(2, b, range.clone()), dtype);
            for operator in OPERATORS.iter().chain(&[Binary::Pow]) {
                case(*operator).runtime(a.clone()).runtime(b.clone()).check();
            }
        }
    }
    case(Binary::Div).runtime(Tensor::vector(vec![-128i8, 5])).runtime(Tensor::vector(vec![-1i8, 0])).check();
    case(PRelu).runtime(Tensor::vector(vec![-128i8, 100])).constant(Tensor::scalar(3i8)).check();
}

#[test]
fn what_is_divided_by_zero_is_zero() {
    let operators = [Binary::Div, Binary::Mod { fmod: true }, Binary::Mod { fmod: false }];
    for operator in operators {
        case(operator)
            .runtime(Tensor::vector(vec![7i32, -7, 0, i32::MIN, i32::MIN, 9, -9]))
            .runtime(Tensor::vector(vec![0i32, 0, 0, -1, 0, -1, -4]))
            .check();
        case(operator)
            .runtime(Tensor::vector(vec![7i64, -7, 0, i64::MIN, i64::MIN, 1 << 40]))
            .runtime(Tensor::vector(vec![0i64, 0, 0, -1, 0, -3]))
            .check();
        case(operator).runtime(Tensor::vector(vec![7u32, u32::MAX, 5])).runtime(Tensor::vector(vec![0u32, u32::MAX, u32::MAX])).check();
        case(operator).runtime(Tensor::vector(vec![7u64, u64::MAX, 5])).runtime(Tensor::vector(vec![0u64, u64::MAX, 2])).check_on_cpu();
    }
    let zeros = Tensor::vector(vec![0f32, -0.0, 1.0]);
    case(Binary::Div).runtime(Tensor::vector(vec![1f32, 1.0, 0.0])).runtime(zeros).check();
}

#[test]
fn remainders_of_floats_are_exact() {
    let values = [0.0f32, 1.0, -1.0, 2.5, -7.25, 1e20, -1e30, 3e-30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    for fmod in [true, false] {
        for x in values {
            for y in values {
                case(Binary::Mod { fmod }).runtime(Tensor::full([1, 2], x)).runtime(Tensor::full([1, 2], y)).check();
            }
        }
        let (a, b) = (random(1, [2, 3, 5, 7], -1e6..1e6), random(2, [3, 1, 7], -3.0..3.0));
        case(Binary::Mod { fmod }).runtime(a).runtime(b).check();
    }
}

#[test]
fn nan_is_the_largest_and_the_smallest() {
    let values = [f32::NAN, 1.0, -2.0, f32::INFINITY, f32::NEG_INFINITY, 0.0];
    for x in values {
        for y in values {
            let pair = || (Tensor::full([1, 3], x), Tensor::full([1, 3], y));
            for operator in [Binary::Max, Binary::Min] {
                case(operator).runtime(pair().0).runtime(pair().1).check();
                case(operator).runtime(to_f16(&pair().0)).runtime(to_f16(&pair().1)).check();
            }
            for comparison in COMPARISONS {
                case(*comparison).runtime(pair().0).runtime(pair().1).check();
            }
        }
    }
}

#[test]
fn comparisons_of_every_type() {
    for (a, b) in every_type(1, [2, 3, 5, 7]).into_iter().zip(every_type(1, [5, 7])) {
        for comparison in COMPARISONS.iter().filter(|c| a.dtype() != DType::Bool || **c == Comparison::Equal) {
            case(*comparison).runtime(a.clone()).runtime(b.clone()).check();
            case(*comparison).runtime(b.clone()).constant(a.clone()).check();
        }
    }
    for (seed, (a, b)) in SHAPES.iter().enumerate() {
        let (a, b) = (random(seed as u64, *a, -4.0..4.0), random(100 + seed as u64, *b, -4.0..4.0));
        case(Comparison::Greater).runtime(a).runtime(b).check();
    }
    let doubles = Tensor::vector(vec![1f64, 2.0]);
    case(Comparison::Less).runtime(doubles.clone()).runtime(doubles).check_on_cpu();
    case(Comparison::Less).runtime(Tensor::full([2], true)).runtime(Tensor::full([2], true)).fails_with("input 0 (`A`) is bool");
    case(Comparison::Equal).runtime(Tensor::full([2], 1f32)).runtime(Tensor::full([2], 1i32)).fails_with("both must have one type");
    case(Comparison::Equal).runtime(Tensor::full([2], 1f32)).runtime(Tensor::full([3], 1f32)).fails_with("[2] and [3] do not broadcast");
}

#[test]
fn truth_values_combine() {
    let truth = |seed, shape: &[usize]| {
        let values = random(seed, shape, -1.0..1.0);
        Tensor::new(values.shape(), values.to_f64().iter().map(|x| *x > 0.0).collect()).unwrap()
    };
    for operator in [Binary::And, Binary::Or, Binary::Xor] {
        for (a, b) in SHAPES {
            case(operator).runtime(truth(1, a)).runtime(truth(2, b)).check();
        }
    }
    case(Not::Logical).runtime(truth(3, &[2, 3, 5, 7])).check();
    case(Binary::And).runtime(Tensor::full([2], 1i32)).runtime(Tensor::full([2], 1i32)).fails_with("input 0 (`A`) is i32, expected bool");
    case(Not::Logical).runtime(Tensor::full([2], 1u8)).fails_with("input 0 (`X`) is u8, expected bool");
}

#[test]
fn bits_combine_and_shift() {
    for x in every_type(4, [2, 3, 5, 7]).into_iter().filter(|x| x.dtype().is_integer()) {
        let y = to_dtype(&random(5, [3, 1, 7], if x.dtype().is_signed() { -100.0..100.0 } else { 0.0..40.0 }), x.dtype());
        for operator in [Binary::BitwiseAnd, Binary::BitwiseOr, Binary::BitwiseXor] {
            case(operator).runtime(x.clone()).runtime(y.clone()).check();
        }
        case(Not::Bitwise).runtime(x.clone()).check();
        for operator in [Binary::ShiftLeft, Binary::ShiftRight].into_iter().filter(|_| !x.dtype().is_signed()) {
            case(operator).runtime(x.clone()).runtime(y.clone()).check();
        }
    }
    let huge = || Tensor::vector(vec![u32::MAX, 1, 1, 1 << 31, 1 << 31]);
    for operator in [Binary::ShiftLeft, Binary::ShiftRight] {
        case(operator).runtime(huge()).runtime(Tensor::vector(vec![1u32, 31, 32, 31, u32::MAX])).check();
        case(operator).runtime(Tensor::vector(vec![u64::MAX, 1])).runtime(Tensor::vector(vec![3u64, 64])).check_on_cpu();
    }
    case(Binary::ShiftLeft).runtime(Tensor::full([2], 1i32)).runtime(Tensor::full([2], 1i32)).fails_with("input 0 (`A`) is i32");
    case(Not::Bitwise).runtime(Tensor::full([2], true)).fails_with("input 0 (`X`) is bool");
}

#[test]
fn any_number_of_operands() {
    let x = |seed, shape: &[usize]| random(seed, shape, -4.0..4.0);
    for op in [Variadic::Max, Variadic::Min, Variadic::Sum, Variadic::Mean] {
        case(op).runtime(x(1, &[2, 3, 5, 7])).check();
        case(op).runtime(x(1, &[2, 3, 5, 7])).runtime(x(2, &[3, 1, 1])).check();
        case(op).runtime(x(1, &[5, 1])).runtime(x(2, &[2, 1, 1, 7])).constant(x(3, &[])).runtime(x(4, &[3, 5, 1])).check();
        case(op).runtime(to_f16(&x(1, &[2, 3, 5, 7]))).runtime(to_f16(&x(2, &[7]))).runtime(to_f16(&x(3, &[5, 1]))).check();
        case(op).runtime(x(1, &[2, 3])).runtime(x(2, &[4])).fails_with("input 1 [4] does not broadcast with [2,3]");
        case(op).runtime(x(1, &[2])).runtime(Tensor::full([2], 1i32)).fails_with("input 0 is f32, input 1 is i32");
    }
    for op in [Variadic::Max, Variadic::Min] {
        for (a, b) in every_type(1, [2, 3, 5, 7]).into_iter().zip(every_type(2, [5, 1])).filter(|(a, _)| a.dtype() != DType::Bool) {
            case(op).runtime(a.clone()).runtime(b).runtime(a).check();
        }
    }
    case(Variadic::Sum).runtime(Tensor::full([2], 1i32)).fails_with("input 0 (`data_0`) is i32");
}

#[test]
fn conditions_choose() {
    let truth = |shape: &[usize]| {
        let values = random(9, shape, -1.0..1.0);
        Tensor::new(values.shape(), values.to_f64().iter().map(|x| *x > 0.0).collect()).unwrap()
    };
    let shapes: &[[&[usize]; 3]] = &[
        [&[2, 3, 5, 7], &[2, 3, 5, 7], &[2, 3, 5, 7]],
        [&[3, 1, 1], &[2, 3, 5, 7], &[]],
        [&[2, 1, 5, 1], &[7], &[3, 1, 1]],
        [&[], &[5, 1], &[2, 5, 9]],
        [&[1], &[1], &[1]],
    ];
    for [condition, a, b] in shapes {
        for (a, b) in every_type(1, *a).into_iter().zip(every_type(2, *b)) {
            case(Where).runtime(truth(condition)).runtime(a).runtime(b).check();
        }
    }
    let (large, row) = (random(1, [3, 301, 257], -1.0..1.0), random(2, [257], -1.0..1.0));
    case(Where).runtime(truth(&[3, 301, 1])).runtime(large).constant(row).check();
    let nan = Tensor::full([2, 3], f32::NAN);
    case(Where).runtime(truth(&[2, 3])).runtime(nan).constant(Tensor::scalar(1f32)).check();
    case(Where).runtime(truth(&[2])).runtime(Tensor::full([2], 1f32)).runtime(Tensor::full([2], 1i32)).fails_with("input 2 (`Y`) is i32");
    case(Where).runtime(truth(&[2])).runtime(Tensor::full([3], 1f32)).runtime(Tensor::scalar(1f32)).fails_with("do not broadcast");
    case(Where).runtime(Tensor::scalar(1u8)).runtime(Tensor::scalar(1f32)).runtime(Tensor::scalar(1f32)).fails_with("expected bool");
}

#[test]
fn powers() {
    let shape = [2, 3, 5, 7];
    for exponent in [2.0f32, 3.0, 0.5, 1.0, 0.0, -1.0, -2.0, 1.7, 31.0, 33.0, -0.3] {
        case(Binary::Pow).runtime(random(1, shape, 0.1..4.0)).constant(Tensor::scalar(exponent)).check();
    }
    for exponent in [2.0f32, 3.0, -3.0, 0.0, 1.0, 35.0, 36.0, 0.5] {
        case(Binary::Pow).runtime(random(2, shape, -2.0..2.0)).constant(Tensor::scalar(exponent)).check();
    }
    case(Binary::Pow).runtime(random(3, shape, 0.1..9.0)).runtime(random(4, [3, 1, 7], -3.0..3.0)).check();
    case(Binary::Pow).runtime(to_f16(&random(3, shape, 0.1..4.0))).runtime(to_f16(&random(4, shape, -2.0..2.0))).check();
}

#[test]
fn powers_at_the_ends() {
    // No power of these is subnormal, which WGSL allows a device to flush to 0.
    let values = [0.0f32, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e15, 41.0];
    for x in values {
        for y in values {
            case(Binary::Pow).runtime(Tensor::full([1, 2], x)).runtime(Tensor::full([1, 2], y)).check();
        }
    }
}

#[test]
fn powers_of_mixed_types() {
    let x = random(5, [2, 3, 4], -2.0..2.0);
    case(Binary::Pow).runtime(x.clone()).constant(Tensor::scalar(2i64)).check();
    for dtype in [DType::I64, DType::I32, DType::I8, DType::U8, DType::F16] {
        let exponents = to_dtype(&random(6, [3, 1], 0.0..5.0), dtype);
        case(Binary::Pow).runtime(x.clone()).runtime(exponents.clone()).check();
        case(Binary::Pow).runtime(to_f16(&x)).runtime(exponents).check();
    }
    case(Binary::Pow).runtime(x).runtime(Tensor::scalar(2f64)).check_on_cpu();
}

#[test]
fn powers_of_integers() {
    let bases = || Tensor::vector(vec![2i32, -3, 2, -1, 10, 0, 0, 1, -1, 7]);
    let exponents = || Tensor::vector(vec![10i32, 3, -1, -3, 40, 0, -2, -5, 6, 1]);
    for dtype in [DType::I32, DType::I64, DType::I8, DType::I16] {
        case(Binary::Pow).runtime(to_dtype(&bases(), dtype)).runtime(to_dtype(&exponents(), dtype)).check();
        case(Binary::Pow).runtime(to_dtype(&bases(), dtype)).runtime(to_dtype(&exponents(), DType::I64)).check();
        case(Binary::Pow).runtime(to_dtype(&bases(), dtype)).constant(Tensor::scalar(3f32)).check();
    }
    case(Binary::Pow).runtime(Tensor::vector(vec![3u32, 5, 0])).runtime(Tensor::vector(vec![3i32, -1, 2])).check();
    for dtype in [DType::I32, DType::I64, DType::U8, DType::I8] {
        let roots = || to_dtype(&Tensor::vector(vec![9f32, 16.0, 27.0, 100.0, 2.0, 0.0]), dtype);
        for exponent in [0.5f32, 1.5, 3.0, 0.0, 2.0] {
            case(Binary::Pow).runtime(roots()).runtime(Tensor::scalar(exponent)).check();
        }
        case(Binary::Pow).runtime(roots()).constant(Tensor::vector(vec![0.5f32, 2.0, 1.0 / 3.0, 0.25, 7.0, -1.0])).check();
        case(Binary::Pow).runtime(roots()).runtime(to_f16(&Tensor::vector(vec![0.5f32, 2.0, 0.25, 0.75, -2.0, 3.0]))).check();
    }
    case(Binary::Pow).runtime(bases()).runtime(Tensor::scalar(2f64)).check_on_cpu();
}

#[test]
fn large_operands_fold_their_workgroups() {
    let (a, b) = (random(6, [3, 1201, 1203], -4.0..4.0), random(7, [1201, 1], -4.0..4.0));
    case(Binary::Add).runtime(a.clone()).runtime(b).check();
    case(Binary::Mul).runtime(a).constant(Tensor::scalar(0.5f32)).check();
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let x = |shape: &[usize]| random(1, shape, -1.0..1.0);
    case(Binary::Add).runtime(x(&[2, 3])).runtime(x(&[2])).fails_with("[2,3] and [2] do not broadcast");
    case(Binary::Add).runtime(x(&[2])).runtime(Tensor::full([2], 1i32)).fails_with("input 0 is f32, input 1 is i32");
    case(Binary::Mul).runtime(Tensor::full([2], true)).runtime(x(&[2])).fails_with("input 0 (`A`) is bool");
    case(Binary::Sub).runtime(x(&[2])).fails_with("input 1 (`B`) is missing");
}
