//! The shapes: layers of torchvision's networks and of DeepBench, one operator each.

use macula::ops::{
    AveragePool, BatchNormalization, Binary, Concat, Conv, ConvTranspose, Gemm, GlobalPool, GroupNormalization, InstanceNormalization,
    LayerNormalization, MatMul, MaxPool, Op, Padding, PoolKind, Reduce, ReduceFunction, Softmax, Spatial, Transpose, Unary, Window,
};

/// What an operator is applied to.
pub enum Operand {
    /// Given in a run.
    Input(Vec<usize>),
    /// A part of the network, which kernels may have packed.
    Weight(Vec<usize>),
    /// The axes of a reduction.
    Axes(Vec<i64>),
}

fn input(dims: &[usize]) -> Operand {
    Operand::Input(dims.to_vec())
}

fn weight(dims: &[usize]) -> Operand {
    Operand::Weight(dims.to_vec())
}

/// One operator on one shape.
pub struct Case {
    /// Family and shape: the group of the benchmark.
    pub name: String,
    /// The operator.
    pub op: Op,
    /// What it is applied to.
    pub operands: Vec<Operand>,
}

fn case(name: String, op: impl Into<Op>, operands: Vec<Operand>) -> Case {
    Case { name, op: op.into(), operands }
}

fn join(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// A square convolution with bias, padded so that a stride of 1 keeps the size.
fn conv(x: [usize; 4], out_channels: usize, kernel_size: usize, stride: usize, groups: usize) -> Case {
    let grouped = if groups > 1 { format!(" groups {groups}") } else { String::new() };
    let name = format!("conv {kernel_size}x{kernel_size} stride {stride}{grouped} {} to {out_channels}", join(&x));
    let op = Conv {
        stride: Some(Spatial::splat(2, stride)),
        padding: Padding::symmetric(Spatial::splat(2, kernel_size / 2)),
        groups,
        ..Conv::default()
    };
    let filters = weight(&[out_channels, x[1] / groups, kernel_size, kernel_size]);
    case(name, op, vec![input(&x), filters, weight(&[out_channels])])
}

fn depthwise(x: [usize; 4], kernel_size: usize, stride: usize) -> Case {
    conv(x, x[1], kernel_size, stride, x[1])
}

/// A transposed convolution that doubles the size.
fn upsampling(x: [usize; 4], out_channels: usize, kernel_size: usize) -> Case {
    let name = format!("transposed conv {kernel_size}x{kernel_size} stride 2 {} to {out_channels}", join(&x));
    let padding = Padding::symmetric(Spatial::splat(2, (kernel_size - 2) / 2));
    let op = ConvTranspose { stride: Some(Spatial::splat(2, 2)), padding, ..ConvTranspose::default() };
    let filters = weight(&[x[1], out_channels, kernel_size, kernel_size]);
    case(name, op, vec![input(&x), filters, weight(&[out_channels])])
}

fn linear(batch: usize, inputs: usize, outputs: usize) -> Case {
    let op = Gemm { transpose_b: true, ..Gemm::default() };
    let operands = vec![input(&[batch, inputs]), weight(&[outputs, inputs]), weight(&[outputs])];
    case(format!("linear {batch}x{inputs} to {outputs}"), op, operands)
}

fn product(a: &[usize], b: &[usize]) -> Case {
    case(format!("product {} by {}", join(a), join(b)), MatMul, vec![input(a), input(b)])
}

fn window(kernel_size: usize, stride: usize, padding: usize) -> Window {
    Window {
        kernel_size: Spatial::splat(2, kernel_size),
        stride: Spatial::splat(2, stride),
        dilation: Spatial::splat(2, 1),
        padding: Padding::symmetric(Spatial::splat(2, padding)),
        ceil_mode: false,
    }
}

fn unary(name: &str, op: impl Into<Op>, x: &[usize]) -> Case {
    case(format!("{name} {}", join(x)), op, vec![input(x)])
}

fn reduce(function: ReduceFunction, x: &[usize], axes: &[i64]) -> Case {
    let op = Reduce { function, keep_dims: true, noop_with_empty_axes: false };
    let mut reduced = unary(&format!("reduce {function:?} over {axes:?}"), op, x);
    reduced.operands.push(Operand::Axes(axes.to_vec()));
    reduced
}

fn normalization(name: &str, op: impl Into<Op>, x: &[usize], parameters: usize, extent: usize) -> Case {
    let mut normalized = unary(name, op, x);
    normalized.operands.extend((0..parameters).map(|_| weight(&[extent])));
    normalized
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut all = convolutions();
    all.extend(products());
    all.extend(passes());
    all
}

fn convolutions() -> Vec<Case> {
    vec![
        // ResNet: its first layer, then each stage's.
        conv([1, 3, 224, 224], 64, 7, 2, 1),
        conv([1, 64, 56, 56], 64, 1, 1, 1),
        conv([1, 64, 56, 56], 256, 1, 1, 1),
        conv([1, 256, 56, 56], 512, 1, 2, 1),
        conv([1, 1024, 14, 14], 256, 1, 1, 1),
        conv([1, 2048, 7, 7], 512, 1, 1, 1),
        conv([1, 64, 56, 56], 64, 3, 1, 1),
        conv([1, 64, 56, 56], 128, 3, 2, 1),
        conv([1, 128, 28, 28], 128, 3, 1, 1),
        conv([1, 256, 14, 14], 256, 3, 1, 1),
        conv([1, 512, 7, 7], 512, 3, 1, 1),
        conv([16, 64, 56, 56], 64, 3, 1, 1),
        conv([16, 256, 14, 14], 1024, 1, 1, 1),
        // ResNeXt and ShuffleNet's kin.
        conv([1, 128, 56, 56], 128, 3, 1, 32),
        conv([1, 240, 28, 28], 240, 3, 2, 10),
        // MobileNet and EfficientNet: first layer, expansion, projection, depthwise; ConvNeXt's 7×7.
        conv([1, 3, 224, 224], 32, 3, 2, 1),
        conv([1, 16, 112, 112], 96, 1, 1, 1),
        conv([1, 144, 56, 56], 24, 1, 1, 1),
        depthwise([1, 32, 112, 112], 3, 1),
        depthwise([1, 96, 112, 112], 3, 2),
        depthwise([1, 384, 14, 14], 3, 1),
        depthwise([1, 240, 28, 28], 5, 1),
        depthwise([1, 144, 56, 56], 5, 2),
        depthwise([1, 240, 28, 28], 3, 2),
        depthwise([1, 672, 14, 14], 5, 2),
        depthwise([1, 96, 56, 56], 7, 1),
        // VGG and DeepBench's image layers.
        conv([8, 64, 112, 112], 128, 3, 1, 1),
        conv([16, 3, 224, 224], 64, 3, 1, 1),
        conv([8, 192, 28, 28], 32, 5, 1, 1),
        // Super-resolution and a U-Net's way up.
        conv([1, 1, 224, 224], 64, 5, 1, 1),
        upsampling([1, 256, 28, 28], 128, 2),
        upsampling([1, 128, 28, 28], 64, 4),
    ]
}

fn products() -> Vec<Case> {
    vec![
        linear(1, 512, 1000),
        linear(1, 2048, 1000),
        linear(16, 2048, 1000),
        linear(1, 4096, 4096),
        linear(2, 4096, 4096),
        linear(4, 4096, 4096),
        linear(16, 4096, 4096),
        product(&[512, 512], &[512, 512]),
        product(&[1760, 1760], &[1760, 128]),
        product(&[197, 768], &[768, 3072]),
        product(&[12, 197, 64], &[12, 64, 197]),
        product(&[12, 197, 197], &[12, 197, 64]),
        // ConvNeXt's and a vision transformer's layers.
        linear(3136, 96, 384),
        linear(49, 3072, 768),
        linear(197, 768, 2304),
    ]
}

fn passes() -> Vec<Case> {
    let image: &[usize] = &[1, 64, 112, 112];
    let images: &[usize] = &[4, 64, 112, 112];
    let batch_norm = BatchNormalization { eps: 1e-5, momentum: 0.9, training: false };
    vec![
        unary("max pool 3x3 stride 2", MaxPool { window: window(3, 2, 1), column_major: false }, image),
        unary("max pool 2x2 stride 2", MaxPool { window: window(2, 2, 0), column_major: false }, &[8, 64, 112, 112]),
        unary("average pool 2x2 stride 2", AveragePool { window: window(2, 2, 0), count_include_pad: false }, &[1, 128, 56, 56]),
        unary("global average pool", GlobalPool { kind: PoolKind::Average }, &[1, 1280, 7, 7]),
        unary("global average pool", GlobalPool { kind: PoolKind::Average }, &[16, 512, 28, 28]),
        normalization("batch norm", batch_norm, image, 4, 64),
        normalization("group norm", GroupNormalization { groups: 32, eps: 1e-5 }, image, 2, 64),
        normalization("instance norm", InstanceNormalization { eps: 1e-5 }, image, 2, 64),
        normalization("layer norm", LayerNormalization { axis: -1, eps: 1e-5 }, &[197, 768], 2, 768),
        normalization("layer norm", LayerNormalization { axis: -1, eps: 1e-5 }, &[3136, 96], 2, 96),
        normalization("layer norm", LayerNormalization { axis: -1, eps: 1e-5 }, &[16, 197, 768], 2, 768),
        reduce(ReduceFunction::Mean, image, &[2, 3]),
        reduce(ReduceFunction::Max, image, &[1]),
        reduce(ReduceFunction::Max, &[197, 768], &[1]),
        reduce(ReduceFunction::Sum, &[2048, 2048], &[1]),
        reduce(ReduceFunction::Sum, &[2048, 2048], &[0]),
        unary("softmax", Softmax { axis: -1, log: false, flatten: false }, &[12, 197, 197]),
        unary("softmax", Softmax { axis: -1, log: false, flatten: false }, &[64, 1000]),
        unary("softmax", Softmax { axis: 1, log: false, flatten: false }, &[1, 21, 224, 224]),
        unary("relu", Unary::Relu, images),
        unary("sigmoid", Unary::Sigmoid, images),
        case("add 4x64x112x112".into(), Binary::Add, vec![input(images), input(images)]),
        case("scale 4x64x112x112 by channel".into(), Binary::Mul, vec![input(images), weight(&[64, 1, 1])]),
        case("scale 1x144x56x56 by channel".into(), Binary::Mul, vec![input(&[1, 144, 56, 56]), input(&[1, 144, 1, 1])]),
        case("scale 1x672x7x7 by channel".into(), Binary::Mul, vec![input(&[1, 672, 7, 7]), input(&[1, 672, 1, 1])]),
        case("scale 4x64x56x56 by channel and sample".into(), Binary::Mul, vec![input(&[4, 64, 56, 56]), input(&[4, 64, 1, 1])]),
        case("concat 4x64x56x56 with 4x32x56x56".into(), Concat { axis: 1 }, vec![input(&[4, 64, 56, 56]), input(&[4, 32, 56, 56])]),
        unary("transpose to NHWC", Transpose { permutation: vec![0, 2, 3, 1] }, images),
        unary("transpose to NHWC", Transpose { permutation: vec![0, 2, 3, 1] }, &[1, 96, 56, 56]),
        unary("transpose to NHWC", Transpose { permutation: vec![0, 2, 3, 1] }, &[1, 768, 7, 7]),
        unary("transpose to NCHW", Transpose { permutation: vec![0, 3, 1, 2] }, &[1, 56, 56, 96]),
        unary("transpose heads", Transpose { permutation: vec![0, 2, 1, 3] }, &[1, 197, 12, 64]),
        unary("transpose keys", Transpose { permutation: vec![0, 2, 1] }, &[12, 197, 64]),
        unary("transpose", Transpose { permutation: vec![1, 0] }, &[2048, 2048]),
        unary("shuffle channels", Transpose { permutation: vec![0, 2, 1, 3, 4] }, &[1, 2, 58, 28, 28]),
        unary("shuffle channels", Transpose { permutation: vec![0, 2, 1, 3, 4] }, &[1, 2, 232, 7, 7]),
    ]
}
