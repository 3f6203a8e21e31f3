use macula::ops::{Flatten, Identity, Op, Reshape, Squeeze, Unsqueeze};
use macula::{DType, Device, GraphBuilder, Tensor};

use crate::support::{case, every_type, gpu, integers, random};

#[test]
fn shapes_change_without_a_copy() {
    let x = || random(1, [2, 3, 1, 5], -9.0..9.0);
    let with_list: [(Op, &[i64]); 5] = [
        (Reshape::default().into(), &[0, -1]),
        (Reshape::default().into(), &[5, 3, 2]),
        (Reshape { allow_zero: true }.into(), &[-1]),
        (Squeeze.into(), &[-2]),
        (Unsqueeze.into(), &[0, -1, 2]),
    ];
    for (op, list) in with_list {
        case(op).runtime(x()).constant(integers(list)).check();
    }
    for op in [Flatten { axis: 2 }.into(), Flatten { axis: -4 }.into(), Flatten { axis: 4 }.into(), Squeeze.into(), Identity.into()] {
        let op: Op = op;
        case(op).runtime(x()).check();
    }
}

#[test]
fn every_element_type_keeps_its_bits() {
    for x in every_type(2, [2, 3, 5, 7]) {
        case(Reshape::default()).runtime(x).constant(integers(&[7, -1])).check();
    }
}

#[test]
fn a_shape_may_be_given_at_run_time() {
    let mut b = GraphBuilder::new("reshape");
    let inputs = [b.input("x", DType::F32, [2, 3, 5]), b.input("shape", DType::I64, [2])];
    let y = b.node("y", Reshape::default(), &inputs).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let x = random(3, [2, 3, 5], -1.0..1.0);
    for device in [gpu(), &Device::cpu()] {
        let session = device.compile(graph.clone()).unwrap();
        for (list, want) in [([0, 15], [2, 15]), ([-1, 3], [10, 3])] {
            let outputs = session.run(&[("x", x.view()), ("shape", integers(&list).view())]).unwrap();
            assert_eq!(outputs[0], x.reshape(want).unwrap());
        }
    }
}

#[test]
fn tensors_without_elements_change_shape_on_the_cpu() {
    case(Reshape::default()).runtime(Tensor::full([0, 3], 0f32)).constant(integers(&[3, 0, 7])).fails_with("cannot reshape [0,3]");
    case(Reshape { allow_zero: true }).runtime(Tensor::full([0, 3], 0f32)).constant(integers(&[3, 0, 7])).check_on_cpu();
}

#[test]
fn impossible_shapes_are_refused() {
    let x = || random(4, [2, 3, 5], -1.0..1.0);
    case(Reshape::default()).runtime(x()).constant(integers(&[4, -1])).fails_with("cannot reshape [2,3,5] with 30 elements to [4, -1]");
    case(Reshape::default()).runtime(x()).constant(random(5, [2], 0.0..1.0)).fails_with("must hold integers, got f32");
    case(Flatten { axis: 4 }).runtime(x()).fails_with("axis 4 is outside -3..=3");
    case(Squeeze).runtime(x()).constant(integers(&[1])).fails_with("its extent is 3, not 1");
    case(Unsqueeze).runtime(x()).constant(integers(&[1, 1])).fails_with("name axis 1 twice");
}
