//! More of everything than networks have.

use super::*;

/// Well above what these take, and far below what they would with work that grows with the square.
const PATIENCE: Duration = Duration::from_secs(60);

fn encoded(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>, outputs: &[String]) -> Vec<u8> {
    let output = outputs.iter().map(|name| value(name, 1, &[])).collect();
    with(model(nodes, initializers), |graph| (graph.output, graph.input) = (output, vec![value("x", 1, &[4])])).encode_to_vec()
}

#[track_caller]
fn loads_in_time(bytes: &[u8], nodes: usize) {
    let start = Instant::now();
    let (graph, peak) = peak_of(|| macula::onnx::from_bytes(bytes).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(graph.nodes().len(), nodes);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(peak < 60 * bytes.len() + SMALL, "{peak} bytes for a file of {}", bytes.len());
}

#[test]
fn a_hundred_thousand_nodes_load() {
    let count = 100_000;
    let name = |at: usize| if at == 0 { "x".into() } else { format!("v{at}") };
    // One behind the other, and listed backwards; side by side; all of one name.
    let chain = || (0..count).map(|at| node("Relu", &name(at), &name(at + 1), vec![]));
    loads_in_time(&encoded(chain().collect(), vec![], &[name(count)]), count);
    loads_in_time(&encoded(chain().rev().collect(), vec![], &[name(count)]), count);
    let side = (0..count).map(|at| node("Relu", "x", &name(at + 1), vec![])).collect();
    let all: Vec<_> = (1..=count).map(name).collect();
    loads_in_time(&encoded(side, vec![], &all), count);
    let same = chain().map(|node| NodeProto { name: "same".into(), ..node }).collect();
    loads_in_time(&encoded(same, vec![], &[name(count)]), count);
}

#[test]
fn a_hundred_thousand_constants_and_inputs_of_a_node_load() {
    let count = 100_000;
    let names: Vec<_> = (0..count).map(|at| format!("c{at}")).collect();
    let constants = names.iter().map(|name| full(name, &[4], 1.0)).collect();
    let mut sum = node("Sum", "x", "y", vec![]);
    sum.input.extend(names);
    loads_in_time(&encoded(vec![sum], constants, &["y".into()]), 1);
}

#[test]
fn a_chain_of_ten_thousand_runs() {
    let count = 10_000;
    let name = |at: usize| match at {
        0 => "x".to_owned(),
        _ if at == count => "y".to_owned(),
        _ => format!("v{at}"),
    };
    // What the optimiser merges, and what it leaves alone.
    let operators: [fn(&str, &str) -> NodeProto; 2] =
        [|from, to| node("Neg", from, to, vec![]), |from, to| node("MaxPool", from, to, vec![ints("kernel_shape", &[1, 1])])];
    for operator in operators {
        let nodes = (0..count).map(|at| operator(&name(at), &name(at + 1))).collect();
        let start = Instant::now();
        let outputs = runs_within(512 << 20, &model(nodes, vec![]));
        assert_eq!(outputs[0].to_f64()[..4], [-3.0, -2.0, -1.0, 0.0]);
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    }
}

#[test]
fn a_chain_of_shapes_that_depend_on_data_is_refused() {
    let nodes = (0..100).flat_map(|at| {
        let before = if at == 0 { "x".to_owned() } else { format!("v{}", at - 1) };
        let after = if at == 99 { "y".to_owned() } else { format!("v{at}") };
        // Where it is not zero; how many there are is known once it ran. The first of them, as numbers that are not zero and not known
        // either: the input is too large to be a shape.
        [
            node("LeakyRelu", "x", &format!("large{at}"), vec![float("alpha", 1.0 + at as f32)]),
            node("ReduceMax", &format!("large{at}"), &format!("data{at}"), vec![int("keepdims", 0)]),
            node("NonZero", &before, &format!("all{at}"), vec![]),
            node("Gather", &format!("all{at} first"), &format!("one{at}"), vec![int("axis", 1)]),
            node("Cast", &format!("one{at}"), &format!("number{at}"), vec![int("to", 1)]),
            node("Add", &format!("number{at} data{at}"), &after, vec![]),
        ]
    });
    let chain = model(nodes.collect(), vec![integers("first", &[0])]);
    let chain = with(chain, |graph| graph.input = vec![value("x", 1, &[1, 3, 41, 43])]);
    refused_within(512 << 20, &chain.encode_to_vec(), &LoadOptions::new(), CompileOptions::new(), &["more than 64 times in turn"]);
}

#[test]
fn limits_of_nodes_are_checked_before_nodes_are_made() {
    let limit = |nodes| LoadOptions::new().max_nodes(nodes);
    let nodes = vec![node("Relu", "x", "a", vec![]), node("Relu", "a", "y", vec![])];
    let bytes = model(nodes, vec![]).encode_to_vec();
    assert!(macula::onnx::from_bytes_with(&bytes, &limit(2)).is_ok());
    let expected = ["has 2 nodes, more than the limit of 1; raise `max_nodes` if you trust the file"];
    refused_within(SMALL, &bytes, &limit(1), CompileOptions::new(), &expected);

    // A node of two bytes takes two hundred in memory.
    let mut graph = [0x0A, 0x00].repeat(2 << 20);
    let mut bytes = vec![0x3A];
    prost::encoding::encode_varint(graph.len() as u64, &mut bytes);
    bytes.append(&mut graph);
    let expected = ["has 2097152 nodes, more than the limit of 262144; raise `max_nodes`"];
    refused_within(3 * bytes.len() + SMALL, &bytes, &LoadOptions::new(), CompileOptions::new(), &expected);
}

#[test]
fn limits_of_memory_are_checked_before_structure_is_decoded() {
    // Sparse tensors of nothing, and texts of nothing.
    for (field, inside) in [(0x7A, None), (0x0A, Some(0x0A))] {
        let mut graph = vec![];
        match inside {
            None => graph = [field, 0x00].repeat(1 << 20),
            Some(input) => {
                graph.push(field);
                prost::encoding::encode_varint(2 << 20, &mut graph);
                graph.extend([input, 0x00].repeat(1 << 20));
            }
        }
        let mut bytes = vec![0x3A];
        prost::encoding::encode_varint(graph.len() as u64, &mut bytes);
        bytes.extend(graph);
        let options = LoadOptions::new().max_memory(16 << 20);
        let expected =
            ["its structure would bring what is loaded to", "more than the limit of 16777216; raise `max_memory` if you trust the file"];
        refused_within(3 * bytes.len() + SMALL, &bytes, &options, CompileOptions::new(), &expected);
    }
}
