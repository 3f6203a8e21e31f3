//! Which tile serves a convolution or a matrix product on a GPU.

use macula::ops::{Conv, MatMul, Padding};
use macula::plan::{Elem, KERNELS};

use super::*;

/// The plan of a convolution of `x` with `channels` square kernels of `size`, as large as its input at stride 1.
fn convolution(x: [usize; 4], channels: usize, size: usize, stride: usize, capabilities: &Capabilities) -> Plan {
    convolution_with(x, channels, size, stride, capabilities, &LowerOptions::default())
}

fn convolution_with(
    x: [usize; 4],
    channels: usize,
    size: usize,
    stride: usize,
    capabilities: &Capabilities,
    options: &LowerOptions,
) -> Plan {
    let (graph, inputs) = network(x, |b, value| {
        let w = b.constant("w", Tensor::full([channels, x[1], size, size], 0.1f32));
        let op = Conv { stride: Some([stride, stride].into()), padding: Padding::symmetric([size / 2, size / 2]), ..Conv::default() };
        b.node("conv", op, &[value, w]).unwrap()
    });
    plan_with(graph, &inputs, capabilities, options)
}

#[test]
fn blocks_follow_the_shape_of_the_product() {
    for (x, channels, size, stride, expected) in [
        // Much work has wide blocks, little has narrow ones.
        ([32, 256, 56, 56], 128, 1, 1, "conv2d_pointwise_tiled f32 block_128x128x16"),
        ([32, 128, 56, 56], 128, 3, 2, "conv2d_implicit_gemm_tiled f32 block_128x128x16"),
        ([1, 64, 56, 56], 256, 1, 1, "conv2d_pointwise_tiled f32 block_64x32x32"),
        // Rows that wider blocks would pad.
        ([32, 64, 56, 56], 64, 1, 1, "conv2d_pointwise_tiled f32 block_64x64x16"),
        ([32, 24, 56, 56], 144, 1, 1, "conv2d_pointwise_tiled f32 block_32x256x8"),
        ([32, 64, 56, 56], 16, 1, 1, "conv2d_pointwise f32 rows_16_vectors_2"),
        // Maps whose rows are no whole vectors; images share columns.
        ([32, 512, 7, 7], 2048, 1, 1, "conv2d_implicit_gemm_tiled f32 block_128x128x16"),
        // Few channels: taps and channels fill the inner dimension together.
        ([4, 3, 224, 224], 64, 7, 2, "conv2d_implicit_gemm_folded f32 block_64x64x8"),
    ] {
        let placed = convolution(x, channels, size, stride, &Capabilities::default()).placed[0].to_string();
        assert!(placed.starts_with(expected), "{x:?} to {channels}: {placed}, expected {expected}");
    }
}

#[test]
fn products_too_small_for_a_gpu_are_cut_into_slices() {
    for (x, channels, size, sliced) in [([1, 2048, 7, 7], 512, 1, true), ([1, 64, 7, 7], 512, 1, false), ([32, 512, 28, 28], 512, 1, false)]
    {
        let plan = convolution(x, channels, size, 1, &Capabilities::default());
        let dispatches: Vec<_> = plan.placed[0].to_string().split(" + ").map(str::to_owned).collect();
        assert_eq!(dispatches.len(), if sliced { 2 } else { 1 }, "{x:?}: {dispatches:?}");
        assert_eq!(dispatches.iter().any(|d| d.starts_with("conv2d_slice_sum")), sliced, "{x:?}: {dispatches:?}");
        let workgroups = plan.steps.iter().find_map(|step| match step {
            Step::Dispatch { dispatch, .. } => Some(dispatch.workgroups),
            _ => None,
        });
        assert_eq!(workgroups.unwrap()[2] > 1, sliced, "{workgroups:?}");
    }
}

/// The kernels able to serve the first node.
fn kernels(plan: &Plan) -> Vec<&'static str> {
    plan.candidates[0].iter().map(|c| c.kernel).collect()
}

#[test]
fn blocks_are_the_last_that_software_devices_try() {
    let tiled = |kernel: &&str| kernel.ends_with("_tiled") || kernel.ends_with("_folded");
    for subgroup in [0, 8] {
        let software = Capabilities { software: true, subgroup, ..Capabilities::default() };
        for (channels, size) in [(48, 1), (48, 3), (3, 5)] {
            let plan = convolution([2, channels, 28, 28], 64, size, 1, &software);
            let kernels = kernels(&plan);
            let direct = kernels.iter().position(|kernel| *kernel == "conv2d_direct").unwrap();
            assert!(!kernels[..direct].iter().any(tiled) && kernels[direct..].iter().any(tiled), "{kernels:?}");
        }
    }
}

#[test]
fn blocks_that_would_be_mostly_padding_are_not_offered() {
    let few = convolution([2, 3, 28, 28], 64, 5, 1, &Capabilities::default());
    assert!(!kernels(&few).contains(&"conv2d_implicit_gemm_tiled"), "{:?}", kernels(&few));
    let thin = convolution([2, 3, 28, 28], 64, 1, 1, &Capabilities::default());
    assert!(!kernels(&thin).iter().any(|kernel| kernel.contains("tiled") || kernel.contains("folded")), "{:?}", kernels(&thin));
}

/// A variant may be asked for by its beginning, of those that cost no more than a few times the least.
#[test]
fn a_tile_may_be_asked_for() {
    let asked = |x, channels, variant: &str| {
        let options = LowerOptions { kernel: Some(variant.to_owned()), ..LowerOptions::default() };
        let placed = convolution_with(x, channels, 1, 1, &Capabilities::default(), &options).placed[0].to_string();
        placed.starts_with(variant) && !placed[variant.len()..].starts_with(|c: char| c.is_ascii_digit())
    };
    let (wide, narrow) = ("conv2d_pointwise_tiled f32 block_128x128x16", "conv2d_pointwise_tiled f32 block_64x64x16");
    assert!(asked([2, 64, 28, 28], 128, wide) && asked([2, 64, 28, 28], 128, narrow));
    assert!(!asked([2, 64, 28, 28], 128, "conv2d_pointwise_tiled f32 block_64x64x1"), "words are whole");
    assert!(!asked([64, 256, 56, 56], 2, wide));
}

#[test]
fn tiles_of_64_bit_integers_fit_registers() {
    let mut b = GraphBuilder::new("plan");
    let shapes = [("a", [96, 40]), ("b", [40, 1024])];
    let factors = shapes.map(|(name, shape)| b.input(name, DType::I64, shape));
    let y = b.node("y", MatMul, &factors).unwrap();
    b.output("y", y);
    let types = shapes.map(|(name, shape)| (name, TensorType::new(DType::I64, shape)));
    let session = Device::cpu().compile_with(b.finish().unwrap(), CompileOptions::new().without(Pass::all())).unwrap();
    let graph = session.plan(&types).unwrap().graph.clone();
    let capabilities = Capabilities { i64: true, ..Capabilities::default() };
    let plan = lower(graph, Some(&capabilities), &LowerOptions::default()).unwrap();
    assert!(plan.placed.iter().any(|placed| placed.to_string().contains("matmul i64 rows_")), "{:?}", plan.placed);
    let matmul = KERNELS.iter().find(|kernel| kernel.name == "matmul").unwrap();
    let tall = |elem: Elem| matmul.variants().iter().any(|v| v.types == [elem] && v.tile.unwrap().file.contains("rows_16"));
    assert!(tall(Elem::F32) && !tall(Elem::I64));
}
