use macula::ops::{Cast, CastLike};
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype};

fn on_gpu(dtype: DType) -> bool {
    !matches!(dtype, DType::F64 | DType::U64)
}

#[test]
fn every_pair_of_types() {
    let small = random(1, [2, 3, 5, 7], -100.0..100.0);
    let wide = random(2, [3, 5, 11], -70_000.0..70_000.0);
    for values in [small, wide] {
        for &from in DType::ALL {
            for &to in DType::ALL {
                let case = case(Cast { to }).runtime(to_dtype(&values, from));
                if on_gpu(from) && on_gpu(to) { case.check() } else { case.check_on_cpu() }
            }
        }
    }
}

#[test]
fn floats_truncate_and_saturate() {
    let ends = [0.5f32, -0.5, 1.99, -1.99, 127.9, 128.0, -128.9, -129.0, 255.9, 256.0, 65535.9, 65536.0, 2147483520.0, 2147483648.0];
    let more =
        [-2147483648.0f32, 4294967040.0, 4294967296.0, 9.2e18, 9.3e18, -9.3e18, 1e30, -1e30, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let x = Tensor::vector(ends.into_iter().chain(more).collect());
    for to in [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32, DType::Bool] {
        case(Cast { to }).runtime(x.clone()).check();
    }
}

#[test]
fn integers_wrap_and_extend() {
    let x = Tensor::vector(vec![0i64, 1, -1, 127, 128, 255, 256, 32768, 65535, 0x8000_0000, 0x1_0000_0081, i64::MIN, i64::MAX]);
    for &to in DType::ALL {
        let case = case(Cast { to }).runtime(x.clone());
        if on_gpu(to) { case.check() } else { case.check_on_cpu() }
    }
    for to in [DType::U32, DType::I64, DType::U8, DType::F32] {
        case(Cast { to }).runtime(Tensor::vector(vec![i32::MIN, -1, 0, 1, i32::MAX])).check();
        case(Cast { to }).runtime(Tensor::vector(vec![i8::MIN, -1, 0, 1, i8::MAX])).check();
    }
    for to in [DType::I32, DType::I64, DType::I8, DType::F32] {
        case(Cast { to }).runtime(Tensor::vector(vec![0, 1, u32::MAX, 1 << 31, (1 << 24) + 1])).check();
    }
}

#[test]
fn anything_but_zero_is_true() {
    let x = vec![0.0f32, -0.0, 1e-30, -1e-30, 0.3, f32::NAN, f32::INFINITY];
    case(Cast { to: DType::Bool }).runtime(Tensor::vector(x)).check();
    case(Cast { to: DType::Bool }).runtime(Tensor::vector(vec![0i64, 1 << 32, -1])).check();
    for to in [DType::F32, DType::F16, DType::I64, DType::U8] {
        case(Cast { to }).runtime(Tensor::vector(vec![true, false, true, true, false])).check();
    }
}

#[test]
fn the_type_of_another_tensor() {
    let x = || random(1, [2, 3, 5], -100.0..100.0);
    for to in [DType::I8, DType::U16, DType::F16, DType::I64, DType::Bool] {
        case(CastLike).runtime(x()).constant(to_dtype(&Tensor::scalar(1f32), to)).check();
        case(CastLike).runtime(x()).runtime(to_dtype(&Tensor::full([2, 2], 1f32), to)).check();
    }
    case(CastLike).runtime(x()).fails_with("input 1 (`target_type`) is missing");
}
