//! What runs where, in which order.

use macula::ops::{
    Binary, Concat, Conv, Gather, Gemm, GlobalPool, LayerNormalization, MatMul, Padding, PoolKind, Reshape, ShapeOf, Softmax, Transpose,
    Unary, Unsqueeze,
};
use macula::plan::{Candidate, Capabilities, LowerOptions, Placed, Step, lower};
use macula::{DType, Dim, Error, Graph, GraphBuilder, Shape, Tensor};

use super::{chain, host_node, integers, network, plan, plan_with, replay, specialized, steps};

#[test]
fn a_host_node_is_between_its_transfers() {
    let (graph, inputs) = network([1, 2, 5, 7], |b, x| {
        let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
        let first = host_node(b, "first", relu);
        let second = host_node(b, "second", first);
        let exp = b.node("exp", Unary::Exp, &[second]).unwrap();
        b.node("concat", Concat { axis: 1 }, &[exp, relu]).unwrap()
    });
    let plan = plan(graph, &inputs);
    let order = ["upload x", "dispatch relu", "download relu", "host first", "host second", "upload second", "dispatch exp"];
    assert_eq!(steps(&plan)[..7], order);
    assert_eq!(steps(&plan).last().unwrap(), "download y");
    let on_cpu: Vec<_> = plan.host_nodes().map(|(node, _)| node.name.as_str()).collect();
    assert_eq!(on_cpu, ["first", "second"]);
    assert!(plan.host_nodes().all(|(_, reason)| reason.contains("i64")), "{:?}", plan.placed);
}

#[test]
fn strict_lists_every_node_without_a_kernel() {
    let (graph, inputs) = network([1, 2, 5, 7], |b, x| {
        let first = host_node(b, "first", x);
        let relu = b.node("relu", Unary::Relu, &[first]).unwrap();
        host_node(b, "second", relu)
    });
    let strict = LowerOptions { strict: true, ..LowerOptions::default() };
    let graph = specialized(graph, &inputs);
    match lower(graph.clone(), Some(&Capabilities::default()), &strict) {
        Err(Error::Strict(nodes)) => {
            assert_eq!(nodes.len(), 2, "{nodes:?}");
            assert!(nodes[0].contains("`first` (MaxPool)") && nodes[1].contains("`second` (MaxPool)"), "{nodes:?}");
        }
        other => panic!("{other:?}"),
    }
    // On the CPU device nothing is out of place, and with 64-bit integers nothing needs it.
    let on_cpu = lower(graph.clone(), None, &strict).unwrap();
    assert!(on_cpu.buffers.is_empty() && on_cpu.steps.iter().all(|s| matches!(s, Step::Host { .. })));
    let capabilities = Capabilities { i64: true, ..Capabilities::default() };
    assert_eq!(lower(graph, Some(&capabilities), &strict).unwrap().host_nodes().count(), 0);
}

#[test]
fn equal_weights_are_uploaded_once() {
    let weight = Tensor::full([4, 4, 1, 1], 0.5f32);
    let copy = Tensor::full([4, 4, 1, 1], 0.5f32);
    let (graph, inputs) = network([1, 4, 5, 7], |b, x| {
        let mut v = x;
        for (i, tensor) in [&weight, &weight, &copy].into_iter().enumerate() {
            let w = b.constant(format!("w{i}"), tensor.clone());
            v = b.node(format!("conv{i}"), Conv::default(), &[v, w]).unwrap();
        }
        v
    });
    // The same elements in memory are one weight; a tensor that is merely equal is another.
    assert_eq!(plan(graph, &inputs).weights.len(), 2);
}

#[test]
fn shape_arithmetic_is_folded() {
    let mut b = GraphBuilder::new("shapes");
    let x = b.input("x", DType::F32, [Dim::from("N"), 3.into(), Dim::from("H"), 7.into()]);
    let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
    let shape = b.node("shape", ShapeOf { start: 0, end: None }, &[relu]).unwrap();
    let zero = b.constant("zero", Tensor::scalar(0i64));
    let batch = b.node("batch", Gather { axis: 0 }, &[shape, zero]).unwrap();
    let axes = b.constant("axes", integers(&[0]));
    let batch = b.node("unsqueeze", Unsqueeze, &[batch, axes]).unwrap();
    let rest = b.constant("rest", integers(&[-1]));
    let target = b.node("target", Concat { axis: 0 }, &[batch, rest]).unwrap();
    let flat = b.node("flat", Reshape { allow_zero: false }, &[relu, target]).unwrap();
    let y = b.node("exp", Unary::Exp, &[flat]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    for (batch, height) in [(1, 5), (3, 2)] {
        let plan = plan(graph.clone(), &[("x", Shape::from([batch, 3, height, 7]))]);
        let names: Vec<_> = plan.graph.nodes().iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["relu", "flat", "exp"]);
        assert_eq!(steps(&plan), ["upload x", "dispatch relu", "dispatch exp", "download y"]);
        assert_eq!(plan.tensor_type(plan.graph.outputs()[0]).shape.dims(), [batch, 21 * height]);
    }
}

/// The reason why the one node of a plan is on the CPU.
#[track_caller]
fn reason(graph: Graph, inputs: &[(&str, Shape)], capabilities: &Capabilities) -> String {
    match &plan_with(graph, inputs, capabilities, &LowerOptions::default()).placed[..] {
        [Placed::Cpu(reason)] => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_fit_the_device_runs_on_the_cpu() {
    let small = Capabilities { max_binding: 1024, ..Capabilities::default() };
    let relu = |elements: usize| network([elements], |b, x| chain(b, x, 1));
    let (graph, inputs) = relu(256);
    assert_eq!(plan_with(graph, &inputs, &small, &LowerOptions::default()).host_nodes().count(), 0);
    let (graph, inputs) = relu(257);
    assert_eq!(reason(graph, &inputs, &small), "unary binds 1056 bytes, the device allows 1024");

    let poor = Capabilities { max_storage_buffers: 1, ..Capabilities::default() };
    let (graph, inputs) = relu(5);
    assert_eq!(reason(graph, &inputs, &poor), "unary binds 2 buffers, the device allows 1");

    // Nine workgroups of 64 × 4 elements, folded three by three.
    let narrow = Capabilities { max_workgroups: 3, ..Capabilities::default() };
    let (graph, inputs) = relu(9 * 256);
    let plan = plan_with(graph, &inputs, &narrow, &LowerOptions::default());
    assert!(matches!(&plan.steps[1], Step::Dispatch { dispatch, .. } if dispatch.workgroups == [3, 3, 1]), "{:?}", plan.steps);
    let (graph, inputs) = relu(9 * 256 + 1);
    assert_eq!(reason(graph, &inputs, &narrow), "too many elements");
}

#[test]
fn a_weight_larger_than_a_binding_is_split_by_columns() {
    let small = Capabilities { max_binding: 1024, ..Capabilities::default() };
    let linear = |in_features: usize, transpose_b: bool| {
        network([5, in_features], |b, x| {
            let shape = if transpose_b { [50, in_features] } else { [in_features, 50] };
            let (w, c) = (b.constant("w", Tensor::full(shape, 0.1f32)), b.constant("c", Tensor::full([50], 1f32)));
            b.node("linear", Gemm { transpose_b, ..Gemm::default() }, &[x, w, c]).unwrap()
        })
    };
    for transpose_b in [false, true] {
        let (graph, inputs) = linear(7, transpose_b);
        let plan = plan_with(graph, &inputs, &small, &LowerOptions::default());
        assert_eq!(steps(&plan), ["upload x", "dispatch linear", "dispatch linear", "download y"]);
        let sizes: Vec<_> = plan.weights.iter().map(|w| w.packing.elements(w.tensor.len())).collect();
        // 36 columns of 7 elements fit in 1024 bytes; of the 14 others two more are padding.
        assert_eq!(sizes, [50, 7 * 36, 7 * 16]);
    }
    let (graph, inputs) = linear(65, true);
    let reason = reason(graph, &inputs, &small);
    assert!(reason.ends_with("the device allows 1024"), "{reason}");
}

#[test]
fn a_node_without_elements_runs_on_the_cpu() {
    let (graph, inputs) = network([2, 0, 3], |b, x| chain(b, x, 1));
    assert_eq!(reason(graph, &inputs, &Capabilities::default()), "a tensor without elements");
}

#[test]
fn a_kernel_may_be_asked_for() {
    let (graph, inputs) = network([1, 8, 9, 7], |b, x| {
        let w = b.constant("w", Tensor::full([8, 1, 3, 3], 0.1f32));
        b.node("conv", Conv { groups: 8, ..Conv::default() }, &[x, w]).unwrap()
    });
    let graph = specialized(graph, &inputs);
    let with = |kernel: Option<&str>| {
        let options = LowerOptions { kernel: kernel.map(str::to_owned), ..LowerOptions::default() };
        let plan = lower(graph.clone(), Some(&Capabilities::default()), &options).unwrap();
        replay(&plan, &Capabilities::default()).unwrap();
        plan
    };
    let default = with(None);
    assert!(default.candidates[0].len() > 1, "{:?}", default.candidates);
    for Candidate { kernel, name, .. } in &default.candidates[0] {
        let placed = with(Some(kernel)).placed[0].to_string();
        assert!(placed.split(" + ").last().unwrap().starts_with(kernel), "asked for {kernel}, got {placed}");
        let chosen = with(Some(name)).candidates[0].iter().find(|c| c.chosen).map(|c| c.name.clone());
        assert_eq!(chosen.as_ref(), Some(name));
    }
    assert_eq!(with(Some("no_such_kernel")).placed, default.placed);
}

/// The kernels of a convolution `[1, 20, 28, 14]` → `channels` with a square kernel of `size`, on a software device with such subgroups.
fn convolution_kernels(subgroup: u32, channels: usize, size: usize) -> Vec<String> {
    let (graph, inputs) = network([1, 20, 28, 14], |b, x| {
        let w = b.constant("w", Tensor::full([channels, 20, size, size], 0.1f32));
        let half = [size / 2; 2];
        b.node("conv", Conv { padding: Padding::Explicit { before: half.into(), after: half.into() }, ..Conv::default() }, &[x, w]).unwrap()
    });
    let software = Capabilities { software: true, subgroup, ..Capabilities::default() };
    match &plan_with(graph, &inputs, &software, &LowerOptions::default()).placed[..] {
        [Placed::Gpu(variants)] => variants.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn kernels_for_subgroups_of_eight_serve_only_these() {
    for (size, kernel) in [(1, "conv2d_pointwise_subgroup f32"), (5, "conv2d_same_subgroup f32")] {
        assert!(convolution_kernels(8, 24, size)[0].starts_with(kernel), "{:?}", convolution_kernels(8, 24, size));
        for other in [0, 4, 16] {
            let kernels = convolution_kernels(other, 24, size);
            assert!(kernels.iter().all(|k| !k.contains("_subgroup")), "subgroups of {other}: {kernels:?}");
        }
    }
}

/// The kernels that serve one node on input `[1, 12, 16, 20]`, best first.
fn serving(capabilities: &Capabilities, build: impl Fn(&mut GraphBuilder, macula::ValueId) -> macula::ValueId) -> Vec<&'static str> {
    let (graph, inputs) = network([1, 12, 16, 20], |b, x| build(b, x));
    plan_with(graph, &inputs, capabilities, &LowerOptions::default()).candidates.iter().flatten().map(|c| c.kernel).collect()
}

#[test]
fn software_devices_have_kernels_of_their_own_for_what_memory_bounds() {
    let software = Capabilities { software: true, subgroup: 8, ..Capabilities::default() };
    let gpu = Capabilities::default();
    let transpose =
        |permutation: [usize; 4]| move |b: &mut GraphBuilder, x| b.node("y", Transpose { permutation: permutation.into() }, &[x]).unwrap();
    assert_eq!(serving(&software, transpose([0, 2, 3, 1])), ["transpose_blocks", "strided_copy", "transpose_tiles"]);
    assert_eq!(serving(&software, transpose([0, 2, 1, 3])), ["strided_copy_runs", "strided_copy"]);
    assert_eq!(serving(&gpu, transpose([0, 2, 3, 1])), ["transpose_tiles", "strided_copy"]);
    assert_eq!(serving(&gpu, transpose([0, 2, 1, 3])), ["strided_copy"]);
    // Four of [1, 12, 16, 20] are too few for a tile.
    let narrow = |b: &mut GraphBuilder, x| {
        let rows = b.constant("rows", integers(&[-1, 4]));
        let matrix = b.node("matrix", Reshape { allow_zero: false }, &[x, rows]).unwrap();
        b.node("y", Transpose { permutation: vec![1, 0] }, &[matrix]).unwrap()
    };
    assert_eq!(serving(&gpu, narrow), ["strided_copy"]);
    let odd = |b: &mut GraphBuilder, x| {
        let rows = b.constant("rows", integers(&[4, 64, 15]));
        let rows = b.node("rows", Reshape { allow_zero: false }, &[x, rows]).unwrap();
        b.node("y", Transpose { permutation: vec![1, 0, 2] }, &[rows]).unwrap()
    };
    assert_eq!(serving(&software, odd), ["strided_copy_rows", "strided_copy"]);
    assert_eq!(serving(&gpu, odd), ["strided_copy"]);
    let columns = |b: &mut GraphBuilder, x| b.node("y", Softmax { axis: 1, log: false, flatten: false }, &[x]).unwrap();
    assert_eq!(serving(&software, columns), ["softmax_columns", "softmax_strided"]);
    assert_eq!(serving(&gpu, columns), ["softmax_strided", "softmax_columns"]);
    let softmax = |b: &mut GraphBuilder, x| b.node("y", Softmax { axis: -1, log: false, flatten: false }, &[x]).unwrap();
    assert_eq!(serving(&software, softmax), ["softmax_rows", "softmax_rows_subgroup"]);
    assert_eq!(serving(&gpu, softmax), ["softmax_rows"]);
    let pool = |b: &mut GraphBuilder, x| b.node("y", GlobalPool { kind: PoolKind::Average }, &[x]).unwrap();
    assert_eq!(serving(&software, pool), ["reduce_rows", "global_average_pool"]);
    let scale = |b: &mut GraphBuilder, x| {
        let channel = b.constant("c", Tensor::full([12, 1, 1], 2f32));
        b.node("y", Binary::Mul, &[x, channel]).unwrap()
    };
    assert_eq!(serving(&software, scale), ["binary_runs", "binary", "binary_broadcast"]);
}

#[test]
fn kernels_for_subgroups_of_any_size_serve_devices_that_have_some() {
    let sizes = [
        Capabilities { subgroups: true, ..Capabilities::default() },
        Capabilities { subgroups: true, subgroup: 32, ..Capabilities::default() },
    ];
    let flat = |b: &mut GraphBuilder, x| {
        let rows = b.constant("rows", integers(&[12, 320]));
        b.node("rows", Reshape { allow_zero: false }, &[x, rows]).unwrap()
    };
    let softmax = |b: &mut GraphBuilder, x| {
        let rows = flat(b, x);
        b.node("y", Softmax { axis: -1, log: false, flatten: false }, &[rows]).unwrap()
    };
    let norm = |b: &mut GraphBuilder, x| {
        let (rows, scale) = (flat(b, x), b.constant("scale", Tensor::full([320], 1f32)));
        b.node("y", LayerNormalization { axis: -1, eps: 1e-5 }, &[rows, scale]).unwrap()
    };
    let pool = |b: &mut GraphBuilder, x| b.node("y", GlobalPool { kind: PoolKind::Average }, &[x]).unwrap();
    for subgroups in &sizes {
        assert_eq!(serving(subgroups, softmax), ["softmax_rows_any_subgroup", "softmax_rows"]);
        assert_eq!(serving(subgroups, norm), ["layer_norm_any_subgroup", "layer_norm"]);
        assert_eq!(serving(subgroups, pool), ["reduce_rows_any_subgroup", "reduce_rows", "global_average_pool"]);
    }
    let none = Capabilities::default();
    assert_eq!(serving(&none, softmax), ["softmax_rows"]);
    assert_eq!(serving(&none, norm), ["layer_norm"]);
    assert_eq!(serving(&none, pool), ["global_average_pool", "reduce_rows"]);
}

#[test]
fn small_work_has_tiles_that_compile_fast() {
    let tall = |kernels: Vec<String>| kernels[0].contains("rows_64") || kernels[0].contains("rows_32_vectors_2");
    // 24 · 20 · 392 multiply-adds, and 640 · 20 · 25 · 392.
    assert!(!tall(convolution_kernels(8, 24, 1)) && tall(convolution_kernels(8, 640, 5)));
}

/// The kernels of a product `[rows, 36]` by a constant or a runtime matrix `[36, columns]`, on such a device.
fn product_kernels(capabilities: &Capabilities, rows: usize, columns: usize, constant: bool) -> Vec<String> {
    let mut b = GraphBuilder::new("product");
    let a = b.input("a", DType::F32, [rows.into(), Dim::from(36)]);
    let mut inputs = vec![("a", Shape::from([rows, 36]))];
    let right = if constant {
        b.constant("b", Tensor::full([36, columns], 0.1f32))
    } else {
        inputs.push(("b", Shape::from([36, columns])));
        b.input("b", DType::F32, [Dim::from(36), columns.into()])
    };
    let y = b.node("product", MatMul, &[a, right]).unwrap();
    b.output("y", y);
    match &plan_with(b.finish().unwrap(), &inputs, capabilities, &LowerOptions::default()).placed[..] {
        [Placed::Gpu(variants)] => variants.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn products_on_software_devices_share_their_loads() {
    let software = |subgroup| Capabilities { software: true, subgroup, ..Capabilities::default() };
    for (columns, constant, kernel, layout) in [
        (40, true, "matmul_subgroup ", 0),
        (40, false, "matmul_subgroup ", 0),
        (41, true, "matmul_subgroup_elements ", 0),
        (41, false, "matmul_subgroup_elements ", 1),
    ] {
        let kernels = product_kernels(&software(8), 20, columns, constant);
        assert!(kernels.len() == 1 && kernels[0].starts_with(kernel), "{kernels:?}");
        assert!(kernels[0].contains(&format!("B_LAYOUT={layout}")), "{kernels:?}");
        let others = product_kernels(&software(4), 20, columns, constant);
        assert!(others.iter().all(|k| !k.contains("_subgroup")), "{others:?}");
    }
}

#[test]
fn products_of_few_rows_on_software_devices_read_a_constant_once() {
    let software = Capabilities { software: true, subgroup: 8, ..Capabilities::default() };
    for (rows, tile) in [(1, "rows_1_vectors_1"), (2, "rows_2_vectors_1"), (3, "rows_4_vectors_1"), (4, "rows_4_vectors_1")] {
        let kernels = product_kernels(&software, rows, 40, true);
        assert!(kernels[0].starts_with("matmul_vector_subgroup ") && kernels[0].contains(tile), "{rows} rows: {kernels:?}");
    }
    assert!(product_kernels(&software, 4, 40, false)[0].starts_with("matmul_subgroup "));
    assert!(product_kernels(&software, 1, 9, false)[0].starts_with("matmul_direct "));
}

#[test]
fn a_constant_that_no_binding_holds_is_split_by_columns() {
    // A panel of 32 columns and 36 rows takes 4608 bytes, the whole constant 32,256.
    let small = Capabilities { software: true, subgroup: 8, max_binding: 3 * 4608, ..Capabilities::default() };
    for (rows, kernel) in [(1, "matmul_vector_subgroup "), (10, "matmul_subgroup ")] {
        let kernels = product_kernels(&small, rows, 7 * 32, true);
        assert!(kernels.len() >= 3 && kernels.iter().all(|k| k.starts_with(kernel)), "{kernels:?}");
        assert_eq!(product_kernels(&Capabilities { max_binding: 1 << 20, ..small }, rows, 7 * 32, true).len(), 1);
    }
}

#[test]
fn products_on_gpus_take_blocks_where_they_are_large() {
    let gpu = Capabilities::default();
    for constant in [false, true] {
        let large = product_kernels(&gpu, 600, 640, constant);
        assert!(large.len() == 1 && large[0].starts_with("matmul_block f32 block_64x32x32"), "{large:?}");
        assert!(product_kernels(&gpu, 5, 40, constant)[0].starts_with("matmul f32 rows_4"));
    }
    assert!(product_kernels(&gpu, 3, 640, true)[0].starts_with("matmul_vector f32 rows_4"));
}
