//! Models built field by field, as no exporter would.

mod functions;
mod nodes;
mod structure;
mod tensors;

use prost::Message;

use super::from_bytes;
use super::proto::*;
use crate::error::{Error, Result};
use crate::graph::Graph;

/// A model of opset 17 with these nodes, from the input `x: f32[N,4]` to the output `y`.
fn model(nodes: Vec<NodeProto>) -> ModelProto {
    model_of(17, nodes)
}

fn model_of(opset: i64, nodes: Vec<NodeProto>) -> ModelProto {
    let graph = GraphProto {
        name: "test".into(),
        node: nodes,
        input: vec![value("x", 1, &[Err("N"), Ok(4)])],
        output: vec![value("y", 1, &[])],
        ..Default::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: opset }];
    ModelProto { graph: Some(graph), opset_import, ..Default::default() }
}

/// A declared value; extents are numbers or names.
fn value(name: &str, elem_type: i32, dims: &[Result<i64, &str>]) -> ValueInfoProto {
    let dim = dims.iter().map(|d| Dimension { dim_value: d.ok(), dim_param: d.err().map(str::to_owned) }).collect();
    let tensor_type = TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

/// A node named `n_<op>` with attributes.
fn node(op_type: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    NodeProto {
        input: owned(inputs),
        output: owned(outputs),
        name: format!("n_{op_type}"),
        op_type: op_type.into(),
        attribute,
        ..NodeProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(i), kind: AttributeKind::Int as i32, ..Default::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(f), kind: AttributeKind::Float as i32, ..Default::default() }
}

fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto { name: name.into(), floats: floats.into(), kind: AttributeKind::Floats as i32, ..Default::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.into(), kind: AttributeKind::Ints as i32, ..Default::default() }
}

fn string(name: &str, s: &'static str) -> AttributeProto {
    AttributeProto { name: name.into(), s: Some(s.into()), kind: AttributeKind::String as i32, ..Default::default() }
}

/// An `f32` initializer.
fn weights(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto { name: name.into(), dims: dims.into(), data_type: 1, float_data: values.into(), ..Default::default() }
}

fn load(model: &ModelProto) -> Result<Graph> {
    let graph = from_bytes(&model.encode_to_vec())?;
    graph.check()?;
    Ok(graph)
}

#[track_caller]
fn loaded(model: &ModelProto) -> Graph {
    load(model).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn fails(model: &ModelProto, expected: &[&str]) -> Error {
    let error = load(model).expect_err("the model must not load");
    for text in expected {
        assert!(error.to_string().contains(text), "`{error}` does not contain `{text}`");
    }
    error
}
