//! Functions of the model itself.

use super::*;
use crate::device::Device;
use crate::tensor::Tensor;

fn function(name: &str, inputs: &[&str], outputs: &[&str], node: Vec<NodeProto>) -> FunctionProto {
    let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    let (input, output) = (owned(inputs), owned(outputs));
    FunctionProto { name: name.into(), domain: "own".into(), input, output, node, ..FunctionProto::default() }
}

fn call(name: &str, op: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto { name: name.into(), domain: "own".into(), ..node(op, inputs, outputs, attribute) }
}

/// An attribute `name` that takes the value of the call's `from`.
fn reference(name: &str, from: &str) -> AttributeProto {
    AttributeProto { name: name.into(), ref_attr_name: from.into(), kind: AttributeKind::Float as i32, ..Default::default() }
}

/// leaky(x; slope = 0.5) and twice(x) = leaky(leaky(x; 0.25))
fn functions() -> Vec<FunctionProto> {
    let mut leaky = function("Leaky", &["a"], &["b"], vec![node("LeakyRelu", &["a"], &["b"], vec![reference("alpha", "slope")])]);
    leaky.attribute_proto = vec![float("slope", 0.5)];
    let body = vec![call("in", "Leaky", &["x"], &["y"], vec![float("slope", 0.25)]), call("", "Leaky", &["y"], &["z"], vec![])];
    vec![leaky, function("Twice", &["x"], &["z"], body)]
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes().iter().map(|n| n.name.as_str()).collect()
}

#[test]
fn calls_are_replaced_by_what_they_compute() {
    let mut proto = model(vec![call("one", "Twice", &["x"], &["h"], vec![]), call("two", "Leaky", &["h"], &["y"], vec![])]);
    proto.functions = functions();
    let graph = loaded(&proto);
    assert_eq!(names(&graph), ["one/in/n_LeakyRelu", "one/Leaky_1/n_LeakyRelu", "two/n_LeakyRelu"]);
    assert_eq!(graph.value(graph.nodes()[0].outputs[0].unwrap()).name, "one/y");
    let x = Tensor::new([1, 4], vec![-16f32, -1.0, 0.0, 3.0]).unwrap();
    let outputs = Device::cpu().compile(graph).unwrap().run(&[("x", x.view())]).unwrap();
    assert_eq!(outputs[0].to_f64(), [-1.0, -0.0625, 0.0, 3.0]);
}

#[test]
fn names_inside_do_not_meet_names_outside() {
    let relu = |input: &str, output: &str| node("Relu", &[input], &[output], vec![]);
    let mut proto = model(vec![NodeProto { name: "other".into(), ..relu("x", "f/inner") }, call("f", "F", &["f/inner"], &["y"], vec![])]);
    proto.functions = vec![function("F", &["a"], &["b"], vec![relu("a", "inner"), relu("inner", "b")])];
    let graph = loaded(&proto);
    let values: Vec<_> = graph.nodes().iter().map(|n| graph.value(n.outputs[0].unwrap()).name.as_str()).collect();
    assert_eq!(values, ["f/inner", "f/inner_", "y"]);
}

#[test]
fn inputs_and_outputs_may_be_left_out() {
    let clip = node("Clip", &["a", "low", "high"], &["b"], vec![]);
    let mut proto = model(vec![call("f", "F", &["x", "", "h"], &["y", ""], vec![])]);
    proto.functions = vec![function("F", &["a", "low", "high"], &["b", "same"], vec![clip, node("Relu", &["a"], &["same"], vec![])])];
    proto.graph.as_mut().unwrap().initializer = vec![weights("h", &[], &[2.0])];
    let graph = loaded(&proto);
    let clip = &graph.nodes()[0];
    assert_eq!(clip.inputs.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(graph.nodes().len(), 2);

    let mut proto = model(vec![call("f", "Pass", &["x"], &["y"], vec![])]);
    proto.functions = vec![function("Pass", &["a"], &["a"], vec![])];
    assert_eq!(loaded(&proto).nodes()[0].op.name(), "Identity");
}

#[test]
fn functions_that_never_end_are_refused() {
    let mut proto = model(vec![call("f", "F", &["x"], &["y"], vec![])]);
    proto.functions = vec![
        function("F", &["a"], &["b"], vec![call("", "G", &["a"], &["b"], vec![])]),
        function("G", &["a"], &["b"], vec![call("", "F", &["a"], &["b"], vec![])]),
    ];
    fails(&proto, &["more than 64 deep, or in a circle: `F` → `G` → `F` → …"]);

    // Each function calls the one before twice: 2^40 nodes from 41 functions.
    let mut proto = model(vec![call("f", "F40", &["x"], &["y"], vec![])]);
    proto.functions = vec![function("F0", &["a"], &["b"], vec![node("Relu", &["a"], &["b"], vec![])])];
    for n in 1..=40 {
        let before = format!("F{}", n - 1);
        let body = vec![call("", &before, &["a"], &["m"], vec![]), call("", &before, &["m"], &["b"], vec![])];
        proto.functions.push(function(&format!("F{n}"), &["a"], &["b"], body));
    }
    fails(&proto, &["expand to 1099511627776 nodes, more than the limit of 262144"]);
}

#[test]
fn calls_that_do_not_fit_are_named() {
    let mut proto = model(vec![call("f", "Leaky", &["x", "x"], &["y"], vec![])]);
    proto.functions = functions();
    fails(&proto, &["node `f` has 2 inputs, function `own.Leaky` has 1"]);
    let mut proto = model(vec![call("f", "Leaky", &["x"], &["y"], vec![])]);
    proto.functions = functions();
    proto.functions[0].opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 11 }];
    fails(&proto, &["`own.Leaky` is written for opset 11, the model for opset 17"]);
    proto.functions = [functions(), functions()].concat();
    fails(&proto, &["function `own.Leaky` is defined twice"]);
}
