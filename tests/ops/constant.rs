use macula::ops::{ConstantOfShape, Gather, ShapeOf};
use macula::{DType, Device, GraphBuilder, Tensor, ops};

use crate::support::{case, gpu, integers, random};

#[test]
fn constants_of_a_shape_given_at_run_time() {
    let op = ConstantOfShape { value: Tensor::vector(vec![2.5f32]) };
    let mut b = GraphBuilder::new("filled");
    let shape = b.input("shape", DType::I64, [2]);
    let filled = b.node("filled", op, &[shape]).unwrap();
    b.output("y", filled);
    let graph = b.finish().unwrap();
    for device in [gpu(), &Device::cpu()] {
        let session = device.compile(graph.clone()).unwrap();
        let outputs = session.run(&[("shape", integers(&[3, 5]).view())]).unwrap();
        assert_eq!(outputs[0], Tensor::full([3, 5], 2.5f32));
    }
}

#[test]
fn impossible_constants_are_refused() {
    let value = || Tensor::vector(vec![1i64]);
    case(ConstantOfShape { value: value() }).runtime(integers(&[2, -1])).fails_with("[2, -1] has an extent below 0");
    case(ConstantOfShape { value: value() }).runtime(integers(&[1 << 40, 1 << 40])).fails_with("larger than the limit");
    case(ConstantOfShape { value: Tensor::vector(vec![1i64, 2]) }).runtime(integers(&[2])).fails_with("got 2 of shape [2]");
}

#[test]
fn shape_arithmetic_is_folded_and_never_dispatched() {
    let mut b = GraphBuilder::new("flatten");
    let x = b.input("x", DType::F32, ["N".into(), 3.into(), "H".into(), 5.into()] as [macula::Dim; 4]);
    let shape = b.node("shape", ShapeOf { start: 0, end: None }, &[x]).unwrap();
    let first = b.constant("first", Tensor::scalar(0i64));
    let batch = b.node("batch", Gather { axis: 0 }, &[shape, first]).unwrap();
    let axes = b.constant("axes", integers(&[0]));
    let batch = b.node("row", ops::Unsqueeze, &[batch, axes]).unwrap();
    let rest = b.constant("rest", integers(&[-1]));
    let target = b.node("target", ops::Concat { axis: 0 }, &[batch, rest]).unwrap();
    let y = b.node("flat", ops::Reshape::default(), &[x, target]).unwrap();
    b.output("y", y);
    let session = gpu().compile(b.finish().unwrap()).unwrap();
    for (n, h) in [(2, 7), (3, 4)] {
        let data = random(6, [n, 3, h, 5], -1.0..1.0);
        let plan = session.plan(&[("x", macula::TensorType::new(DType::F32, data.shape()))]).unwrap();
        assert_eq!(plan.graph.nodes().len(), 1, "only the reshape is left");
        assert_eq!(session.run(&[("x", data.view())]).unwrap()[0], data.reshape([n, 3 * h * 5]).unwrap());
    }
}
