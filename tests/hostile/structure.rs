//! Files that are cut or changed, graphs that are no graphs, functions without an end.

use super::*;

fn relu(input: &str, output: &str) -> NodeProto {
    node("Relu", input, output, vec![])
}

/// A convolution, a pooling and an activation, in a few hundred bytes.
fn small() -> ModelProto {
    let conv = node("Conv", "x w", "c", vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])]);
    let pool = node("MaxPool", "c", "p", vec![ints("kernel_shape", &[2, 2]), text("auto_pad", "SAME_UPPER")]);
    model(vec![conv, pool, relu("p", "y")], vec![full("w", &[2, 3, 3, 3], 0.5)])
}

#[test]
fn a_model_cut_at_any_byte_is_an_error() {
    let bytes = small().encode_to_vec();
    assert!(attempt(&bytes, &LoadOptions::new(), CompileOptions::new()).is_ok());
    for cut in 0..bytes.len() {
        let (result, peak) = peak_of(|| attempt(&bytes[..cut], &LoadOptions::new(), CompileOptions::new()));
        assert!(matches!(result, Err(Error::Model { .. })), "cut at {cut}: {result:?}");
        assert!(peak <= SMALL, "cut at {cut}: {peak} bytes");
    }
}

#[test]
fn a_model_changed_at_any_byte_is_an_error_or_runs() {
    let bytes = small().encode_to_vec();
    for at in 0..bytes.len() {
        for change in [0xFF, 0x01, 0x80, 0x02, 0x10] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            let limits = (LoadOptions::new().max_memory(SMALL as u64), CompileOptions::new().max_memory(1 << 20));
            let (_, peak) = peak_of(|| {
                macula::onnx::from_bytes_with(&changed, &limits.0).map(|graph| {
                    // Inputs may have become huge; then they are not made.
                    let small = graph.inputs().iter().all(|id| {
                        let extents = graph.value(*id).dims.iter().flatten();
                        extents.map(|d| if let Dim::Fixed(n) = d { *n } else { 2 }).fold(1, usize::saturating_mul) < 1 << 18
                    });
                    if small {
                        let _ = attempt(&changed, &limits.0, limits.1);
                    }
                })
            });
            assert!(peak <= SMALL, "{change:#x} at {at}: {peak} bytes");
        }
    }
}

#[test]
fn graphs_that_are_no_graphs_are_named() {
    refused(&model(vec![relu("b", "a"), relu("a", "b"), relu("b", "y")], vec![]), &["in a cycle: `n_a` ← `n_b`"]);
    refused(&model(vec![relu("y", "y")], vec![]), &["in a cycle: `n_y`"]);
    refused(&model(vec![relu("ghost", "y")], vec![]), &["node `n_y` (Relu) reads `ghost`, which no node, input or initializer defines"]);
    refused(&model(vec![relu("x", "z")], vec![]), &["output `y` is written by no node"]);
    refused(&model(vec![relu("x", "y"), relu("x", "y")], vec![]), &["value `y` is defined twice"]);
    refused(&model(vec![relu("x", "y")], vec![full("y", &[1], 0.0)]), &["value `y` is defined twice"]);
    let twice = with(model(vec![relu("x", "y")], vec![]), |graph| graph.input.push(value("x", 1, &[1])));
    refused(&twice, &["value `x` is defined twice"]);
    let unnamed = with(model(vec![relu("x", "y")], vec![]), |graph| graph.input.push(value("", 1, &[1])));
    refused(&unnamed, &["an input has no name"]);
    refused(&model(vec![relu("x", "y")], vec![full("", &[1], 0.0)]), &["an initializer has no name"]);
    refused(&with(model(vec![relu("x", "y")], vec![]), |graph| graph.output.clear()), &["has no outputs"]);
    refused(&model(vec![node("Relu", "x x", "y", vec![])], vec![]), &["has 2 inputs, at most 1"]);
    refused(&model(vec![node("Relu", "x", "y z", vec![])], vec![]), &["has 2 outputs, at most 1"]);
    refused(&model(vec![node("Relu", "-", "y", vec![])], vec![]), &["input 0", "is missing"]);
    refused(&model(vec![node("Loop", "x", "y", vec![])], vec![]), &["1 node is not supported", "`n_y` (Loop): operator is not supported"]);
}

#[test]
fn opsets_that_do_not_exist_are_refused() {
    for version in [9999, 0, -1, i64::MAX, i64::MIN] {
        let model = ModelProto { opset_import: vec![opset(version)], ..small() };
        refused(&model, &[&format!("opset {version} is not supported, only 1 to 28"), "version_converter"]);
    }
    refused(&ModelProto { opset_import: vec![opset(20), opset(21)], ..small() }, &["asks for opset 20 and for opset 21"]);
}

fn function(name: &str, nodes: Vec<NodeProto>) -> FunctionProto {
    let (input, output) = (vec!["a".into()], vec!["b".into()]);
    FunctionProto { name: name.into(), domain: "own".into(), input, output, node: nodes, ..FunctionProto::default() }
}

fn call(name: &str, op: &str, input: &str, output: &str) -> NodeProto {
    NodeProto { name: name.into(), domain: "own".into(), ..node(op, input, output, vec![]) }
}

#[test]
fn functions_that_call_themselves_are_refused() {
    let mut model = model(vec![call("f", "F", "x", "y")], vec![]);
    model.functions = vec![function("F", vec![call("", "F", "a", "b")])];
    refused(&model, &["more than 64 deep, or in a circle: `F` → `F` → `F` → …"]);
    model.functions = vec![function("F", vec![call("", "G", "a", "b")]), function("G", vec![call("", "F", "a", "b")])];
    refused(&model, &["more than 64 deep, or in a circle: `F` → `G` → `F` → …"]);
}

#[test]
fn functions_that_double_are_refused_before_they_are_expanded() {
    // Each calls the one before twice; the first is one node, or none at all.
    for (innermost, outermost) in [(vec![relu("a", "b")], "F40"), (vec![], "F40")] {
        let mut model = model(vec![call("f", outermost, "x", "y")], vec![]);
        model.functions = vec![function("F0", innermost)];
        for n in 1..=40 {
            let before = format!("F{}", n - 1);
            model.functions.push(function(&format!("F{n}"), vec![call("", &before, "a", "m"), call("", &before, "m", "b")]));
        }
        refused(&model, &["its functions expand to 1099511627776 nodes, more than the limit of 262144; raise `max_nodes`"]);
    }
}

#[test]
fn names_that_functions_make_are_counted() {
    // 2^12 nodes, each under the names of all calls around it, of 4 KB each.
    let long = "n".repeat(4096);
    let mut model = model(vec![call(&long, "F12", "x", "y")], vec![]);
    model.functions = vec![function("F0", vec![relu("a", "b")])];
    for n in 1..=12 {
        let before = format!("F{}", n - 1);
        let nodes = vec![call(&format!("{long}1"), &before, "a", "m"), call(&format!("{long}2"), &before, "m", "b")];
        model.functions.push(function(&format!("F{n}"), nodes));
    }
    let expected =
        ["its functions in place of their calls would bring what is loaded to", "more than the limit of 33554432; raise `max_memory`"];
    let options = LoadOptions::new().max_memory(32 << 20);
    refused_within(3 * SMALL, &model.encode_to_vec(), &options, CompileOptions::new(), &expected);
}

#[test]
fn calls_of_one_name_do_not_grow_longer() {
    // Each call would add an underscore to what those before it took.
    let count = 3000;
    let value_at = |at: usize| {
        if at == 0 {
            "x".into()
        } else if at == count {
            "y".into()
        } else {
            format!("v{at}")
        }
    };
    let calls = (0..count).map(|at| call("same", "F", &value_at(at), &value_at(at + 1))).collect();
    let mut model = model(calls, vec![]);
    model.functions = vec![function("F", vec![relu("a", "inside"), node("Neg", "inside", "b", vec![])])];
    let bytes = model.encode_to_vec();
    let (graph, peak) = peak_of(|| macula::onnx::from_bytes(&bytes).unwrap());
    assert_eq!(graph.nodes().len(), 2 * count);
    assert!(graph.values().iter().all(|value| value.name.len() < 30));
    assert!(peak < 32 << 20, "{peak}");
}
