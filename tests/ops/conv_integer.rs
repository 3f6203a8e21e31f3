//! Convolution of eight-bit integers, exact.

use macula::ops::{Conv, ConvInteger, Padding, QLinearConv, Spatial};
use macula::{DType, Shape, Tensor};

use crate::support::{Case, case, random, to_dtype};

/// Seeded bytes over the whole range of the type.
fn bytes(dtype: DType, seed: u64, shape: impl Into<Shape>) -> Tensor {
    let range = if dtype == DType::U8 { 0.0..256.0 } else { -128.5..127.5 };
    to_dtype(&random(seed, shape, range), dtype)
}

/// Scales by powers of two: exact on every device, and with many ties between two numbers.
fn scales(seed: u64, channels: usize, exponents: std::ops::Range<f32>) -> Tensor {
    let values = random(seed, [channels], exponents).to_f64();
    Tensor::vector(values.into_iter().map(|e| 2f32.powf(e.floor() as f32)).collect())
}

fn padded(padding: impl Into<Spatial>) -> Conv {
    Conv { padding: Padding::symmetric(padding), ..Conv::default() }
}

/// Activations of one type, weights of another, a zero point for each channel.
fn integer<const N: usize>(conv: Conv, x: (DType, [usize; N]), w: (DType, [usize; N])) -> Case {
    case(ConvInteger { conv }).runtime(bytes(x.0, 1, x.1)).constant(bytes(w.0, 2, w.1)).constant(bytes(x.0, 3, [])).constant(bytes(
        w.0,
        4,
        [w.1[0]],
    ))
}

/// A scale and a zero point for each channel of the weight, and a bias.
fn quantized<const N: usize>(conv: Conv, x: (DType, [usize; N]), w: (DType, [usize; N]), y: DType) -> Case {
    let channels = w.1[0];
    case(QLinearConv { conv })
        .runtime(bytes(x.0, 1, x.1))
        .constant(Tensor::scalar(0.25f32))
        .constant(bytes(x.0, 3, []))
        .constant(bytes(w.0, 2, w.1))
        .constant(scales(5, channels, -8.0..-3.0))
        .constant(bytes(w.0, 4, [channels]))
        .constant(Tensor::scalar(2f32))
        .constant(bytes(y, 6, []))
        .constant(to_dtype(&random(7, [channels], -3000.0..3000.0), DType::I32))
}

const BYTES: [DType; 2] = [DType::U8, DType::I8];

#[test]
fn every_pair_of_types() {
    for x in BYTES {
        for w in BYTES {
            integer(padded([1, 0]), (x, [2, 3, 7, 6]), (w, [5, 3, 3, 2])).check();
            for y in BYTES {
                quantized(padded([1, 0]), (x, [2, 3, 7, 6]), (w, [5, 3, 3, 2]), y).check();
            }
        }
    }
}

#[test]
fn layers_of_a_mobile_network() {
    let (x, w) = (DType::U8, DType::I8);
    let down = Conv { stride: Some([2, 2].into()), ..padded([1, 1]) };
    quantized(down, (x, [1, 3, 15, 18]), (w, [24, 3, 3, 3]), x).check();
    quantized(Conv::default(), (x, [1, 58, 7, 6]), (w, [33, 58, 1, 1]), x).check();
    quantized(Conv { groups: 12, ..down }, (x, [2, 12, 9, 7]), (w, [12, 1, 3, 3]), x).check();
    quantized(Conv { groups: 3, ..padded([1, 1]) }, (x, [2, 6, 5, 7]), (w, [15, 2, 3, 3]), DType::I8).check();
}

#[test]
fn around_the_tiles() {
    for m in [1, 4, 5, 8, 9, 16, 17, 33] {
        integer(padded([1, 1]), (DType::U8, [1, 2, 3, 5]), (DType::I8, [m, 2, 3, 3])).check();
    }
    for width in [31, 32, 33, 63, 64, 65] {
        quantized(padded([0, 1]), (DType::I8, [1, 3, 1, width]), (DType::U8, [8, 3, 1, 3]), DType::U8).check();
    }
}

/// More than 2²⁴ in a sum, which `f32` would round.
#[test]
fn sums_beyond_what_floats_hold() {
    let (x, w) = (Tensor::full([1, 440, 3, 4], 255u8), Tensor::full([3, 440, 2, 3], -127i8));
    case(ConvInteger::default()).runtime(x.clone()).constant(w.clone()).check();
    case(ConvInteger { conv: padded([1, 2]) }).runtime(x).constant(w).constant(Tensor::scalar(2u8)).check();
    integer(padded([1, 1]), (DType::U8, [1, 300, 4, 5]), (DType::U8, [4, 300, 3, 3])).check();
}

/// Rows of sixteen bytes less one, whole, and one more; weights with and without zero points that are known, computed, left out.
#[test]
fn bytes_around_the_vectors() {
    for in_channels in [1, 3, 4, 15, 16, 17, 33] {
        for (x, w) in BYTES.into_iter().flat_map(|x| BYTES.map(|w| (x, w))) {
            let case =
                || case(ConvInteger::default()).runtime(bytes(x, 1, [2, in_channels, 3, 5])).constant(bytes(w, 2, [6, in_channels, 1, 1]));
            case().check();
            case().runtime(bytes(x, 3, [])).absent().check();
            case().constant(bytes(x, 3, [])).constant(to_dtype(&Tensor::full([6], 0f32), w)).check();
            case().absent().runtime(bytes(w, 4, [6])).check();
        }
    }
    let one = Conv {
        stride: Some([2, 1].into()),
        dilation: Some([1, 3].into()),
        padding: Padding::Explicit { before: [0, 3].into(), after: [2, 1].into() },
        ..Conv::default()
    };
    quantized(one, (DType::U8, [2, 5, 6, 9]), (DType::U8, [7, 5, 3, 2]), DType::I8).check();
}

/// Outputs enough for the tiles of a large layer.
#[test]
fn a_million_outputs() {
    let conv = Conv { stride: Some([2, 1].into()), ..padded([1, 0]) };
    quantized(conv, (DType::U8, [2, 3, 261, 129]), (DType::U8, [33, 3, 3, 1]), DType::I8).check();
}

#[test]
fn one_dimension_and_three() {
    integer(padded([2]), (DType::U8, [2, 3, 17]), (DType::I8, [5, 3, 4])).check();
    let conv = Conv { stride: Some([2, 1, 3].into()), dilation: Some([1, 2, 1].into()), groups: 2, ..padded([1, 0, 2]) };
    integer(conv, (DType::I8, [2, 4, 5, 6, 7]), (DType::U8, [6, 2, 2, 3, 3])).check();
    quantized(padded([1, 0, 1]), (DType::U8, [1, 3, 4, 5, 6]), (DType::U8, [4, 3, 3, 2, 3]), DType::I8).check();
}

#[test]
fn same_padding_on_odd_sizes() {
    for padding in [Padding::SameUpper, Padding::SameLower] {
        let conv = Conv { stride: Some([2, 3].into()), padding, ..Conv::default() };
        quantized(conv, (DType::U8, [2, 3, 7, 10]), (DType::I8, [4, 3, 3, 4]), DType::U8).check();
    }
}

/// Zero points left out, weights and scales that are computed, one scale for all channels.
#[test]
fn inputs_of_every_kind() {
    let (x, w) = (bytes(DType::U8, 1, [2, 3, 5, 6]), bytes(DType::I8, 2, [4, 3, 2, 3]));
    case(ConvInteger::default()).runtime(x.clone()).constant(w.clone()).check();
    case(ConvInteger::default()).runtime(x.clone()).runtime(w.clone()).absent().runtime(Tensor::scalar(-3i8)).check();
    let one = |v: f32| Tensor::scalar(v);
    case(QLinearConv::default())
        .runtime(x)
        .runtime(one(0.5))
        .runtime(Tensor::scalar(120u8))
        .runtime(w)
        .runtime(Tensor::vector(vec![0.125f32]))
        .runtime(Tensor::vector(vec![7i8]))
        .runtime(one(16.0))
        .constant(Tensor::scalar(100u8))
        .check();
}

/// Scales that are no powers of two, as networks have them.
#[test]
fn scales_of_a_trained_network() {
    let (x, w) = (bytes(DType::U8, 1, [1, 5, 6, 7]), bytes(DType::I8, 2, [9, 5, 3, 3]));
    case(QLinearConv { conv: padded([1, 1]) })
        .runtime(x)
        .constant(Tensor::scalar(0.018_658_448f32))
        .constant(Tensor::scalar(114u8))
        .constant(w)
        .constant(random(3, [9], 0.001..0.02))
        .constant(Tensor::full([9], 0i8))
        .constant(Tensor::scalar(0.043_1f32))
        .constant(Tensor::scalar(128u8))
        .check();
}

#[test]
fn what_does_not_fit_is_refused_in_numbers() {
    let (x, w) = (bytes(DType::U8, 1, [1, 3, 5, 6]), bytes(DType::I8, 2, [4, 3, 2, 3]));
    let plain = || case(ConvInteger::default()).runtime(x.clone());
    plain().constant(bytes(DType::I8, 2, [4, 2, 2, 3])).fails_with("weight has 2 input channels per group × 1 groups, input has 3");
    plain().constant(random(2, [4, 3, 2, 3], 0.0..1.0)).fails_with("is f32, expected u8, i8");
    plain().constant(w.clone()).constant(Tensor::scalar(1i8)).fails_with("is i8, expected u8");
    plain().constant(w.clone()).constant(Tensor::vector(vec![1u8, 2])).fails_with("`x_zero_point` has shape [2], expected one element");
    plain().constant(w.clone()).absent().constant(Tensor::vector(vec![1i8; 3])).fails_with("expected one element or 4");
    let one = || Tensor::scalar(1f32);
    let quantized = |scales: Tensor, y: Tensor| {
        let zero = Tensor::scalar(0i8);
        let case = case(QLinearConv::default()).runtime(x.clone()).constant(one()).constant(Tensor::scalar(1u8)).constant(w.clone());
        case.constant(scales).constant(zero).constant(one()).constant(y)
    };
    quantized(random(1, [5], 0.0..1.0), Tensor::scalar(0u8)).fails_with("`w_scale` has shape [5], expected one element or 4");
    quantized(one(), Tensor::scalar(0i32)).fails_with("is i32, expected u8, i8");
    quantized(one(), Tensor::scalar(0i8)).constant(Tensor::vector(vec![0i32; 3])).fails_with("bias has shape [3], the weight has 4");
}
