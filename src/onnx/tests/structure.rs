//! Inputs, constants, order, names.

use super::*;
use crate::graph::Dim;
use crate::ops::Op;
use crate::tensor::Tensor;

fn relu(input: &str, output: &str) -> NodeProto {
    NodeProto { name: format!("{input}_to_{output}"), ..node("Relu", &[input], &[output], vec![]) }
}

/// `model` with its graph changed.
fn with(mut model: ModelProto, change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    change(model.graph.as_mut().unwrap());
    model
}

fn node_names(graph: &Graph) -> Vec<&str> {
    graph.nodes().iter().map(|n| n.name.as_str()).collect()
}

#[test]
fn nodes_are_sorted_and_keep_the_order_of_the_file() {
    let graph = loaded(&model(vec![relu("b", "y"), relu("a", "b"), relu("x", "a"), relu("x", "unused")]));
    assert_eq!(node_names(&graph), ["x_to_a", "a_to_b", "b_to_y", "x_to_unused"]);
}

#[test]
fn cycles_and_dangling_values_are_named() {
    let cycle = vec![node("Add", &["x", "b"], &["a"], vec![]), relu("a", "b"), relu("b", "y")];
    fails(&model(cycle), &["cycle", "`n_Add`", "`a_to_b`"]);
    let own = vec![node("Add", &["x", "y"], &["y"], vec![])];
    fails(&model(own), &["cycle: `n_Add`"]);
    fails(&model(vec![relu("ghost", "y")]), &["node `ghost_to_y` (Relu) reads `ghost`, which no node, input or initializer defines"]);
    fails(&model(vec![relu("x", "z")]), &["output `y` is written by no node"]);
}

#[test]
fn values_are_written_once() {
    fails(&model(vec![relu("x", "y"), NodeProto { name: "again".into(), ..relu("x", "y") }]), &["value `y`", "twice", "`again`"]);
    fails(&model(vec![relu("x", "y"), relu("y", "x")]), &["value `x`", "twice", "`y_to_x`"]);
    let twice = |graph: &mut GraphProto| graph.initializer = vec![weights("w", &[1], &[1.0]), weights("w", &[1], &[2.0])];
    fails(&with(model(vec![relu("x", "y")]), twice), &["value `w`", "twice"]);
    let inputs = |graph: &mut GraphProto| graph.input.push(value("x", 1, &[]));
    fails(&with(model(vec![relu("x", "y")]), inputs), &["value `x`", "twice", "graph input"]);
    let outputs = |graph: &mut GraphProto| graph.output.push(value("y", 1, &[]));
    fails(&with(model(vec![relu("x", "y")]), outputs), &["output `y` is listed twice"]);
}

#[test]
fn inputs_with_initializers_are_constants() {
    let graph = loaded(&with(model(vec![node("Add", &["x", "w"], &["y"], vec![])]), |graph| {
        graph.input.insert(0, value("w", 1, &[Ok(4)]));
        graph.input.push(value("unused", 1, &[Ok(2)]));
        graph.initializer = vec![weights("w", &[4], &[1.0, 2.0, 3.0, 4.0]), weights("unused", &[2], &[5.0, 6.0])];
    }));
    assert_eq!(graph.inputs().len(), 1);
    assert_eq!(graph.value(graph.inputs()[0]).name, "x");
    let weight = graph.value(graph.nodes()[0].inputs[1].unwrap());
    assert_eq!(weight.constant.as_ref().unwrap().to_f64(), [1.0, 2.0, 3.0, 4.0]);
    assert!(graph.values().iter().all(|v| v.name != "unused"));
}

#[test]
fn extents_may_be_numbers_names_or_unknown() {
    let dims = [Ok(3), Ok(0), Ok(-1), Err("batch size"), Err("None"), Err("")];
    let graph = loaded(&with(model(vec![relu("x", "y")]), |graph| graph.input = vec![value("x", 10, &dims)]));
    let x = graph.value(graph.inputs()[0]);
    assert_eq!(x.declared(), "f16[3,0,?,batch size,?,?]");
    assert_eq!(x.dims.as_ref().unwrap()[1..3], [Dim::Any, Dim::Symbol(String::new())]);
    assert_eq!(x.ty, None);

    let fixed = loaded(&with(model(vec![relu("x", "y")]), |graph| graph.input = vec![value("x", 1, &[Ok(3), Ok(5)])]));
    assert_eq!(fixed.value(fixed.inputs()[0]).ty.as_ref().unwrap().to_string(), "f32[3,5]");

    let unranked = loaded(&with(model(vec![relu("x", "y")]), |graph| {
        graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape = None;
    }));
    assert_eq!(unranked.value(unranked.inputs()[0]).dims, None);
}

#[test]
fn inputs_of_other_types_are_not_supported() {
    let text = |graph: &mut GraphProto| graph.input = vec![value("x", 8, &[])];
    fails(&with(model(vec![relu("x", "y")]), text), &["input `x`: element type string is not supported"]);
    let sequence = |graph: &mut GraphProto| graph.input[0].r#type = Some(TypeProto::default());
    fails(&with(model(vec![relu("x", "y")]), sequence), &["input `x`: a type other than a tensor"]);
}

#[test]
fn unnamed_and_doubly_named_nodes_get_names() {
    let named = |name: &str, from: &str, to: &str| NodeProto { name: name.into(), ..relu(from, to) };
    let graph = loaded(&model(vec![named("", "x", "a"), named("same", "a", "b"), named("same", "b", "c"), named("Relu_0", "c", "y")]));
    assert_eq!(node_names(&graph), ["Relu_0_", "same", "same_2", "Relu_0"]);
}

#[test]
fn left_out_inputs_and_outputs_have_no_value() {
    let graph = loaded(&model(vec![
        node("Clip", &["x", "", "max"], &["a"], vec![]),
        node("Constant", &[], &["max"], vec![float("value_float", 6.0)]),
        node("LayerNormalization", &["a", "max"], &["y", "", "inverse"], vec![]),
    ]));
    let [clip, norm] = graph.nodes() else { panic!("{graph:?}") };
    assert_eq!(clip.inputs.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(norm.outputs.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn constants_come_in_all_forms() {
    let floats = AttributeProto { name: "value_floats".into(), floats: vec![1.5, 2.5], kind: 6, ..Default::default() };
    let tensor = AttributeProto { name: "value".into(), t: Some(weights("", &[], &[9.0])), kind: 4, ..Default::default() };
    let forms = [
        (float("value_float", 0.5), Tensor::scalar(0.5f32)),
        (int("value_int", -3), Tensor::scalar(-3i64)),
        (ints("value_ints", &[4, 5]), Tensor::vector(vec![4i64, 5])),
        (floats, Tensor::vector(vec![1.5f32, 2.5])),
        (tensor, Tensor::scalar(9f32)),
    ];
    for (attribute, expected) in forms {
        let nodes = vec![node("Add", &["x", "c"], &["y"], vec![]), node("Constant", &[], &["c"], vec![attribute])];
        let graph = loaded(&model(nodes));
        assert_eq!(graph.nodes().len(), 1);
        assert_eq!(graph.value(graph.nodes()[0].inputs[1].unwrap()).constant, Some(expected));
    }
    for (attributes, expected) in [
        (vec![], "has no value"),
        (vec![float("value_float", 1.0), int("value_int", 1)], "has more than one value"),
        (vec![string("value_string", "a")], "attribute `value_string` is not supported"),
    ] {
        let nodes = vec![node("Add", &["x", "c"], &["y"], vec![]), node("Constant", &[], &["c"], attributes)];
        fails(&model(nodes), &["`n_Constant` (Constant): ", expected]);
    }
}

#[test]
fn opsets_out_of_range_or_missing_say_what_to_do() {
    let opsets = |imports: &[(&str, i64)]| {
        let opset_import = imports.iter().map(|&(domain, version)| OperatorSetIdProto { domain: domain.into(), version }).collect();
        ModelProto { opset_import, ..model(vec![relu("x", "y")]) }
    };
    for good in [7, 13, 23, 28] {
        loaded(&opsets(&[("ai.onnx.ml", 2), ("ai.onnx", good)]));
    }
    fails(&opsets(&[("", 0)]), &["opset 0 is not supported, only 1 to 28", "version_converter"]);
    fails(&opsets(&[("", i64::MAX)]), &["not supported"]);
    fails(&opsets(&[]), &["has no opset_import", "Export it again"]);
    fails(&opsets(&[("com.microsoft", 1)]), &["has no opset_import"]);
    fails(&opsets(&[("", 7), ("ai.onnx", 8)]), &["opset 7 and for opset 8"]);
}

#[test]
fn graphs_without_outputs_are_errors() {
    fails(&with(model(vec![relu("x", "y")]), |graph| graph.output.clear()), &["has no outputs"]);
    fails(&ModelProto { graph: None, ..model(vec![]) }, &["holds no graph"]);
}

#[test]
fn an_input_may_be_an_output() {
    let graph = loaded(&with(model(vec![]), |graph| graph.output = vec![value("x", 1, &[])]));
    assert_eq!(graph.inputs(), graph.outputs());
}

#[test]
fn attributes_of_old_opsets_become_inputs_of_the_right_type() {
    let bounds = vec![float("min", 0.0), float("max", 6.0)];
    let nodes = vec![relu("x", "a"), node("Clip", &["a"], &["y"], bounds)];
    let graph = loaded(&with(model_of(7, nodes), |graph| graph.input = vec![value("x", 10, &[Ok(4)])]));
    let clip = &graph.nodes()[1];
    assert!(matches!(clip.op, Op::Clip(_)));
    let max = graph.value(clip.inputs[2].unwrap());
    assert_eq!((max.name.as_str(), max.ty.as_ref().unwrap().to_string().as_str()), ("n_Clip.max", "f16[]"));
    assert_eq!(max.constant.as_ref().unwrap().to_f64(), [6.0]);
}

#[test]
fn operands_of_opset_6_broadcast_from_an_axis() {
    let add = |axis| vec![node("Add", &["x", "b"], &["y"], vec![int("broadcast", 1), int("axis", axis)])];
    let bias = |model: ModelProto| {
        with(model, |graph| {
            graph.input[0] = value("x", 1, &[Err("N"), Ok(2), Ok(3)]);
            graph.initializer = vec![weights("b", &[2], &[10.0, 20.0])];
        })
    };
    let graph = loaded(&bias(model_of(6, add(1))));
    assert_eq!(node_names(&graph), ["n_Add.Unsqueeze", "n_Add"]);
    let x = Tensor::new([1, 2, 3], vec![0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    let outputs = crate::Device::cpu().compile(graph).unwrap().run(&[("x", x.view())]).unwrap();
    assert_eq!(outputs[0].to_f64(), [10.0, 11.0, 12.0, 23.0, 24.0, 25.0]);

    fails(&bias(model_of(6, add(3))), &["`axis` 3 does not align 1 axes with 3"]);
    fails(&bias(model_of(7, add(1))), &["`broadcast`, `axis` are not supported"]);
    let unknown = vec![node("Relu", &["x"], &["r"], vec![]), node("Add", &["r", "b"], &["y"], vec![int("broadcast", 1), int("axis", 1)])];
    fails(&bias(model_of(6, unknown)), &["needs inputs of known rank", "version_converter"]);
    fails(&model_of(6, vec![node("Dropout", &["x"], &["y"], vec![])]), &["`is_test` 0, training"]);
}
