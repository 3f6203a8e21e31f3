//! Networks in a few bytes whose values take all memory there is.

use super::*;

/// What a constant node's output is added to, so that it is needed: the sum of its elements.
fn summed(mut nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> ModelProto {
    nodes.extend([
        node("Cast", "made", "numbers", vec![int("to", 1)]),
        node("ReduceSum", "numbers", "sum", vec![int("keepdims", 0)]),
        node("Add", "x sum", "y", vec![]),
    ]);
    model(nodes, initializers)
}

const EXPECTED: &str = "more than the limit of 8589934592; raise `max_memory` if you trust the network";

#[test]
fn constants_that_follow_from_few_bytes_are_refused() {
    // 2^33 elements of four bytes, where a single tensor may have 2^34 bytes; then far more.
    for (extents, expected) in [
        (vec![1 << 16, 3 << 14], EXPECTED),
        (vec![1 << 20, 1 << 20], "is larger than the limit of 17179869184 bytes"),
        (vec![i64::MAX, i64::MAX], "is larger than the limit of 17179869184 bytes"),
        (vec![-1], "has an extent below 0"),
    ] {
        refused(&summed(vec![node("ConstantOfShape", "s", "made", vec![])], vec![integers("s", &extents)]), &["`n_made`", expected]);
    }
    let tile = |repeats| summed(vec![node("Tile", "c r", "made", vec![])], vec![full("c", &[2, 8], 1.0), integers("r", repeats)]);
    refused(&tile(&[1 << 14, 1 << 14]), &["the constants and the outputs of node `n_made` (Tile) would take", EXPECTED]);
    refused(&tile(&[1 << 62, 1 << 62]), &["`n_made` (Tile)"]);
    let expand = |shape| summed(vec![node("Expand", "c s", "made", vec![])], vec![full("c", &[1, 1], 1.0), integers("s", shape)]);
    refused(&expand(&[1 << 16, 3 << 14]), &["`n_made` (Expand)", EXPECTED]);
    refused(&expand(&[1 << 40, 1 << 40]), &["`n_made` (Expand)", "is larger than the limit"]);
    let range = |limit| summed(vec![node("Range", "a b c", "made", vec![])], vec![integer("a", 0), integer("b", limit), integer("c", 1)]);
    refused(&range(3 << 29), &["`n_made` (Range)", EXPECTED]);
    refused(&range(1 << 62), &["`n_made` (Range)", "is larger than the limit"]);
    let pad = |pads| summed(vec![node("Pad", "c p", "made", vec![])], vec![full("c", &[1, 1], 1.0), integers("p", pads)]);
    refused(&pad(&[0, 0, 1 << 16, 3 << 14]), &["`n_made` (Pad)", EXPECTED]);
    refused(&pad(&[0, 0, i64::MAX, i64::MAX]), &["`n_made` (Pad)"]);
    let resize = |sizes| {
        let nodes = vec![node("Resize", "c - - s", "made", vec![text("mode", "linear")])];
        summed(nodes, vec![full("c", &[1, 1, 2, 2], 1.0), integers("s", sizes)])
    };
    refused(&resize(&[1, 1, 1 << 16, 3 << 14]), &["`n_made` (Resize)", EXPECTED]);
    refused(&resize(&[1, 1, 1 << 40, 1 << 40]), &["`n_made` (Resize)", "too many elements"]);
    let one_hot = |depth| {
        let nodes = vec![node("OneHot", "i d v", "made", vec![])];
        summed(nodes, vec![integers("i", &[0; 64]), integer("d", depth), floats("v", &[0.0, 1.0])])
    };
    refused(&one_hot(3 << 24), &["`n_made` (OneHot)", EXPECTED]);
    refused(&one_hot(1 << 40), &["`n_made` (OneHot)", "depth must be one number from 0 to 2^31"]);
    let eye = vec![node("ConstantOfShape", "s", "c", vec![]), node("EyeLike", "c", "made", vec![int("dtype", 11)])];
    let eye = summed(eye, vec![integers("s", &[768, 768])]).encode_to_vec();
    let expected = ["node `n_made` (EyeLike) would take", "more than the limit of 4194304; raise `max_memory`"];
    refused_within(SMALL, &eye, &LoadOptions::new(), CompileOptions::new().max_memory(4 << 20), &expected);
}

#[test]
fn many_constants_of_allowed_sizes_are_refused_together() {
    // Each twice the one before; none alone is too large.
    let value = |at: usize| {
        if at == 0 {
            "c".to_owned()
        } else if at == 20 {
            "made".to_owned()
        } else {
            format!("v{at}")
        }
    };
    let nodes = (0..20).map(|at| node("Concat", &format!("{0} {0}", value(at)), &value(at + 1), vec![int("axis", 0)])).collect();
    let model = summed(nodes, vec![full("c", &[64], 1.0)]);
    let options = CompileOptions::new().max_memory(8 << 20);
    let expected =
        ["the constants and the outputs of node `n_v", "(Concat) would take", "more than the limit of 8388608; raise `max_memory`"];
    refused_within(SMALL, &model.encode_to_vec(), &LoadOptions::new(), options, &expected);
    runs_within(10 * (256 << 20), &model);
}

#[test]
fn values_of_a_run_are_refused_before_it() {
    let expected = ["the constants and the values of a run would take", EXPECTED];
    let resize = vec![node("Resize", "x - s", "y", vec![])];
    refused(&model(resize, vec![floats("s", &[1.0, 1.0, 5000.0, 5000.0])]), &["`n_y` (Resize)", EXPECTED]);
    // Each value is allowed, all at once are not.
    let mut nodes = vec![node("Resize", "x - s", "r", vec![])];
    let window = |width| vec![ints("kernel_shape", &[1, width]), text("auto_pad", "SAME_UPPER")];
    nodes.extend((0..9).map(|at| node("MaxPool", "r", &format!("v{at}"), window(1 + at))));
    nodes.push(node("Sum", "v0 v1 v2 v3 v4 v5 v6 v7 v8", "y", vec![]));
    refused(&model(nodes, vec![floats("s", &[1.0, 1.0, 1550.0, 1550.0])]), &expected);
    // As large as is allowed here, one byte less than it takes, and what it takes.
    let relu = model(vec![node("Relu", "x", "y", vec![])], vec![]).encode_to_vec();
    let limit = |bytes| CompileOptions::new().max_memory(bytes);
    let taken = 2 * 4 * 3 * 5 * 7;
    let expected = ["the constants and the values of a run would take 840 bytes, more than the limit of 839"];
    refused_within(SMALL, &relu, &LoadOptions::new(), limit(taken - 1), &expected);
    assert!(attempt(&relu, &LoadOptions::new(), limit(taken)).is_ok());
}

#[test]
fn memory_is_limited_on_a_gpu_too() {
    let Ok(device) = Device::gpu() else { panic!("{:?}", Device::list()) };
    let resize = model(vec![node("Resize", "x - s", "y", vec![])], vec![floats("s", &[1.0, 1.0, 5000.0, 5000.0])]);
    let graph = macula::onnx::from_bytes(&resize.encode_to_vec()).unwrap();
    let error = device.compile(graph).unwrap_err();
    assert!(matches!(error, Error::Memory { limit: 8_589_934_592, .. }), "{error}");
}

#[test]
fn memory_is_limited_for_shapes_that_a_run_chooses() {
    let open = with(model(vec![node("Tile", "x r", "y", vec![])], vec![integers("r", &[1, 1, 64, 64])]), |graph| {
        let dim = |extent: Option<i64>| Dimension { dim_value: extent, dim_param: extent.is_none().then(|| "N".into()) };
        let shape = Some(TensorShapeProto { dim: vec![dim(None), dim(Some(1)), dim(Some(8)), dim(Some(8))] });
        graph.input[0].r#type = Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type: 1, shape }) });
    });
    let graph = macula::onnx::from_bytes(&open.encode_to_vec()).unwrap();
    let session = Device::cpu().compile_with(graph, CompileOptions::new().max_memory(4 << 20)).unwrap();
    let run = |batch: usize| session.run(&[("x", Tensor::full([batch, 1, 8, 8], 1f32).view())]);
    assert_eq!(run(2).unwrap()[0].shape().dims(), [2, 1, 512, 512]);
    let (result, peak) = peak_of(|| run(5));
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Memory { limit: 4_194_304, .. }) && peak < SMALL, "{peak}: {error}");
    assert!(run(2).is_ok(), "a run that was refused does no harm");
}

#[test]
fn long_work_on_constants_is_left_to_the_run() {
    // 2^36 multiplications of constants, which a run would need and compiling does not wait for.
    let ones = |name, output| node("ConstantOfShape", name, output, vec![]);
    let nodes = vec![ones("s", "a"), node("MatMul", "a a", "b", vec![]), node("ReduceSum", "b", "sum", vec![int("keepdims", 0)])];
    let nodes = [nodes, vec![node("Add", "x sum", "y", vec![])]].concat();
    let bytes = model(nodes, vec![integers("s", &[1 << 12, 1 << 12])]).encode_to_vec();
    let graph = macula::onnx::from_bytes(&bytes).unwrap();
    let start = Instant::now();
    let session = Device::cpu().compile(graph.clone()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // What it costs is known before it is run.
    let types = [("x", macula::TensorType::new(DType::F32, [1, 3, 5, 7]))];
    let plan = session.plan(&types).unwrap();
    assert!(plan.graph.nodes().iter().any(|node| node.op.name() == "MatMul"));
    assert!(macula::Summary::new(&graph, &plan).flops.unwrap() >= 1 << 36);
}
