use macula::ops::{
    AveragePool, Concat, DequantizeLinear, DynamicQuantizeLinear, ImageScaler, Padding, QLinear, QLinearFunction, QuantizeLinear, Spatial,
    Window,
};
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype, to_f16};

const INTEGERS: [DType; 4] = [DType::U8, DType::I8, DType::U16, DType::I16];

fn quantized(seed: u64, shape: &[usize], dtype: DType) -> Tensor {
    let range = if dtype.is_signed() { -120.0..120.0 } else { 0.0..250.0 };
    to_dtype(&random(seed, shape, range), dtype)
}

#[test]
fn one_scale_for_the_tensor() {
    let x = random(1, [2, 3, 5, 7], -9.0..9.0);
    for dtype in INTEGERS {
        let zero = || quantized(2, &[], dtype);
        let scale = || Tensor::scalar(0.043f32);
        case(QuantizeLinear::default()).runtime(x.clone()).constant(scale()).constant(zero()).check();
        case(QuantizeLinear::default()).runtime(x.clone()).runtime(scale()).runtime(zero()).check();
        case(QuantizeLinear { output: Some(dtype), ..Default::default() }).runtime(x.clone()).constant(Tensor::full([1], 0.1f32)).check();
        case(QuantizeLinear::default()).runtime(to_f16(&x)).constant(to_f16(&scale())).constant(zero()).check();
        let q = quantized(3, &[2, 3, 5, 7], dtype);
        case(DequantizeLinear::default()).runtime(q.clone()).constant(scale()).constant(zero()).check();
        case(DequantizeLinear::default()).runtime(q.clone()).runtime(scale()).check();
        case(DequantizeLinear::default()).runtime(q).constant(to_f16(&scale())).constant(zero()).check();
    }
    case(QuantizeLinear::default()).runtime(x).constant(Tensor::scalar(0.1f32)).check();
    let wide = Tensor::vector(vec![i32::MIN, i32::MAX, -7, 16_777_217]);
    case(DequantizeLinear::default()).runtime(wide.clone()).constant(Tensor::scalar(0.5f32)).check();
    case(DequantizeLinear::default()).runtime(wide).constant(Tensor::scalar(0.5f32)).constant(Tensor::scalar(0i32)).check_on_cpu();
}

#[test]
fn scales_along_an_axis() {
    for (axis, extent) in [(1, 3), (-1, 7), (0, 2), (2, 5)] {
        for dtype in INTEGERS {
            let (scale, zero) = (random(4, [extent], 0.02..0.5), quantized(5, &[extent], dtype));
            let op = QuantizeLinear { axis, ..Default::default() };
            case(op).runtime(random(1, [2, 3, 5, 7], -20.0..20.0)).constant(scale.clone()).constant(zero.clone()).check();
            let op = DequantizeLinear { axis, ..Default::default() };
            case(op).runtime(quantized(2, &[2, 3, 5, 7], dtype)).constant(scale).constant(zero).check();
        }
    }
    let (scale, zero) = (random(6, [3], 0.02..0.5), quantized(7, &[3], DType::I8));
    let large = random(8, [5, 3, 131, 97], -20.0..20.0);
    case(QuantizeLinear::default()).runtime(large).constant(scale.clone()).constant(zero.clone()).check();
    case(DequantizeLinear::default()).runtime(quantized(9, &[5, 3, 131, 97], DType::I8)).constant(scale).constant(zero).check();
}

#[test]
fn scales_in_blocks() {
    for (axis, block_size, blocks) in [(1, 2, [3, 3, 7]), (0, 2, [2, 5, 7]), (2, 3, [3, 5, 3]), (-1, 7, [3, 5, 1]), (1, 9, [3, 1, 7])] {
        for dtype in INTEGERS {
            let (scale, zero) = (random(4, blocks, 0.02..0.5), quantized(5, &blocks, dtype));
            let op = QuantizeLinear { axis, block_size, ..Default::default() };
            case(op).runtime(random(1, [3, 5, 7], -20.0..20.0)).constant(scale.clone()).constant(zero.clone()).check();
            let op = DequantizeLinear { axis, block_size, ..Default::default() };
            case(op).runtime(quantized(2, &[3, 5, 7], dtype)).runtime(scale).runtime(zero).check();
        }
    }
}

#[test]
fn ties_round_to_even_and_what_is_out_of_range_saturates() {
    let halves: Vec<f32> = (-9..=9).map(|n| n as f32 / 2.0).collect();
    let ends = vec![1e30, -1e30, 300.0, -300.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, -0.0];
    let x = Tensor::vector([halves, ends].concat());
    for dtype in INTEGERS {
        for zero in [0.0f32, 5.0] {
            let zero = to_dtype(&Tensor::scalar(zero), dtype);
            case(QuantizeLinear::default()).runtime(x.clone()).constant(Tensor::scalar(1f32)).constant(zero.clone()).check();
            case(QuantizeLinear::default()).runtime(to_f16(&x)).constant(to_f16(&Tensor::scalar(1f32))).constant(zero).check();
        }
    }
}

#[test]
fn types_mix() {
    let (single, half) = (|| Tensor::scalar(0.3f32), || to_f16(&Tensor::scalar(0.3f32)));
    let x = || random(1, [2, 3, 5], -20.0..20.0);
    case(QuantizeLinear::default()).runtime(to_f16(&x())).constant(single()).check();
    case(QuantizeLinear::default()).runtime(x()).constant(half()).check();
    case(QuantizeLinear { precision: Some(DType::F32), ..Default::default() }).runtime(to_f16(&x())).constant(half()).check();
    case(QuantizeLinear { precision: Some(DType::F16), ..Default::default() }).runtime(x()).constant(single()).check();
    case(QuantizeLinear::default()).runtime(to_dtype(&x(), DType::I32)).constant(single()).check();
    let q = || quantized(2, &[2, 3, 5], DType::U8);
    for output in [DType::F32, DType::F16] {
        let op = DequantizeLinear { output: Some(output), ..Default::default() };
        case(op).runtime(q()).constant(single()).check();
        case(op).runtime(q()).constant(half()).constant(Tensor::scalar(7u8)).check();
    }
}

#[test]
fn quantization_refuses_what_does_not_fit() {
    let x = || random(1, [2, 3, 5], -2.0..2.0);
    let scale = |n: usize| Tensor::full([n], 0.1f32);
    case(QuantizeLinear::default()).runtime(x()).constant(scale(2)).fails_with("must be a scalar or [3], the extent of axis 1, got [2]");
    case(QuantizeLinear { axis: 3, ..Default::default() }).runtime(x()).constant(scale(2)).fails_with("axis 3 is outside -3..3");
    case(QuantizeLinear { block_size: 2, ..Default::default() })
        .runtime(x())
        .constant(scale(2))
        .fails_with("blocks of 2 along axis 1 of [2,3,5] need scales [2,2,5], got [2]");
    case(QuantizeLinear::default()).runtime(x()).constant(scale(3)).constant(Tensor::scalar(1u8)).fails_with("both must have one shape");
    case(QuantizeLinear::default()).runtime(x()).constant(scale(1)).constant(Tensor::scalar(1i32)).fails_with("the output is to be i32");
    case(QuantizeLinear { output: Some(DType::I8), ..Default::default() })
        .runtime(x())
        .constant(scale(1))
        .constant(Tensor::scalar(1u8))
        .fails_with("the output is to be i8, the zero point is u8");
    let q = || quantized(2, &[2, 3, 5], DType::U8);
    case(DequantizeLinear::default()).runtime(q()).constant(scale(1)).constant(Tensor::scalar(1i8)).fails_with("the zero point i8");
    case(DequantizeLinear::default()).runtime(x()).constant(scale(1)).fails_with("input 0 (`x`) is f32");
}

#[test]
fn the_range_gives_scale_and_zero_point() {
    for (seed, range) in [(1, -3.0..5.0), (2, 1.0..4.0), (3, -4.0..-0.5)] {
        case(DynamicQuantizeLinear).runtime(random(seed, [2, 3, 5, 7], range)).outputs(3).check();
    }
    case(DynamicQuantizeLinear).runtime(Tensor::full([2, 3], 0f32)).outputs(3).check();
    case(DynamicQuantizeLinear).runtime(Tensor::full([2, 3], 1i32)).outputs(3).fails_with("input 0 (`x`) is i32");
}

#[test]
fn quantized_operators_of_two_operands() {
    for dtype in [DType::U8, DType::I8] {
        for function in [QLinearFunction::Add, QLinearFunction::Mul] {
            case(QLinear { function })
                .runtime(quantized(1, &[2, 3, 5, 7], dtype))
                .constant(Tensor::scalar(0.031f32))
                .constant(quantized(3, &[], dtype))
                .runtime(quantized(2, &[3, 1, 1], dtype))
                .constant(Tensor::scalar(0.017f32))
                .constant(quantized(4, &[], dtype))
                .constant(Tensor::scalar(0.053f32))
                .constant(quantized(5, &[], dtype))
                .check();
        }
    }
}

#[test]
fn quantized_operators_of_one_operand() {
    let window = Window {
        kernel_size: Spatial::from([3, 2]),
        stride: Spatial::from([2, 1]),
        dilation: Spatial::from([1, 1]),
        padding: Padding::Explicit { before: Spatial::from([1, 0]), after: Spatial::from([0, 1]) },
        ceil_mode: false,
    };
    for dtype in [DType::U8, DType::I8] {
        for function in [
            QLinearFunction::GlobalAveragePool,
            QLinearFunction::AveragePool(AveragePool { window, count_include_pad: false }),
            QLinearFunction::LeakyRelu { alpha: 0.1 },
            QLinearFunction::Sigmoid,
        ] {
            case(QLinear { function })
                .runtime(quantized(1, &[2, 3, 5, 7], dtype))
                .constant(Tensor::scalar(0.031f32))
                .constant(quantized(3, &[], dtype))
                .constant(Tensor::scalar(0.013f32))
                .constant(quantized(4, &[], dtype))
                .check();
            case(QLinear { function })
                .runtime(quantized(1, &[2, 3, 5, 7], dtype))
                .constant(Tensor::scalar(0.031f32))
                .absent()
                .constant(Tensor::scalar(0.023f32))
                .check();
        }
    }
}

#[test]
fn quantized_concatenation() {
    let op = QLinear { function: QLinearFunction::Concat(Concat { axis: 1 }) };
    case(op)
        .constant(Tensor::scalar(0.05f32))
        .constant(Tensor::scalar(7u8))
        .runtime(quantized(1, &[2, 3, 5], DType::U8))
        .constant(Tensor::scalar(0.031f32))
        .constant(Tensor::scalar(100u8))
        .runtime(quantized(2, &[2, 1, 5], DType::U8))
        .constant(Tensor::scalar(0.07f32))
        .absent()
        .check();
    case(op)
        .constant(Tensor::scalar(0.05f32))
        .constant(Tensor::scalar(7u8))
        .runtime(quantized(1, &[2, 3, 5], DType::U8))
        .constant(Tensor::full([3], 0.031f32))
        .fails_with("a scale must have one element, got [3]");
}

#[test]
fn images_are_scaled_by_channel() {
    let x = || random(1, [2, 3, 5, 7], 0.0..255.0);
    case(ImageScaler { scale: 1.0, bias: vec![-103.9, -116.8, 2.5] }).runtime(x()).check();
    case(ImageScaler { scale: 0.017, bias: vec![-1.5, 0.0, 2.5] }).runtime(x()).check();
    case(ImageScaler { scale: 0.017, bias: vec![-1.5, 0.0, 2.5] }).runtime(to_f16(&x())).check();
    case(ImageScaler { scale: 1.0, bias: vec![0.0; 2] }).runtime(x()).fails_with("bias has 2 channels, the input is [2,3,5,7]");
}
