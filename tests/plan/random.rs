//! Networks wired at random.

use macula::ops::{Binary, Concat, Flatten, Gather, Op, Reshape, Split, Transpose, Unary};
use macula::plan::{Capabilities, LowerOptions, Placed, Step, lower};
use macula::{Graph, Shape, Tensor};

use super::{host_node, integers, network, replay, specialized, steps};

/// A directed graph of views, dispatches, host nodes, splits and joins.
fn random_network(seed: u64, shape: [usize; 4]) -> (Graph, [(&'static str, Shape); 1]) {
    let mut state = seed;
    let mut below = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let [_, channels, height, _] = shape;
    network(shape, |b, x| {
        let mut values = vec![x, b.constant("constant", Tensor::full(shape, 0.5f32))];
        for i in 0..14 {
            // Recent values more often, so that chains are long and lifetimes differ.
            let back = below(3) + below(3);
            let v = values[values.len().saturating_sub(1 + back)];
            let (name, other) = (format!("n{i}"), values[below(values.len())]);
            let reshape = Reshape { allow_zero: false };
            let as_before = b.constant(format!("shape{i}"), integers(&[1, channels as i64, height as i64, -1]));
            let value = match below(9) {
                0 => {
                    let turned = b.node(format!("{name}.turned"), Transpose { permutation: vec![0, 1, 3, 2] }, &[v]).unwrap();
                    b.node(name, reshape, &[turned, as_before]).unwrap()
                }
                1 => b.node(name, reshape, &[v, as_before]).unwrap(),
                2 => host_node(b, &name, v),
                3 => {
                    // Half of one value and half of another, or of the same.
                    let halves = [v, other].map(|v| {
                        let flat = b.node(format!("{name}.flat{}", v.index()), Flatten { axis: 0 }, &[v]).unwrap();
                        b.nodes(format!("{name}.split{}", v.index()), Split { axis: 1 }, &[Some(flat)], 2).unwrap()
                    });
                    let pair = [halves[0][below(2)], halves[1][below(2)]];
                    let joined = b.node(format!("{name}.concat"), Concat { axis: 1 }, &pair).unwrap();
                    b.node(name, reshape, &[joined, as_before]).unwrap()
                }
                4 => {
                    let flat = [v, other, v].map(|v| b.node(format!("{name}.flat{}", v.index()), Flatten { axis: 0 }, &[v]).unwrap());
                    let joined = b.node(format!("{name}.concat"), Concat { axis: 0 }, &flat[..2 + below(2)]).unwrap();
                    let row = b.constant(format!("row{i}"), integers(&[below(2) as i64]));
                    let row = b.node(format!("{name}.row"), Gather { axis: 0 }, &[joined, row]).unwrap();
                    b.node(name, reshape, &[row, as_before]).unwrap()
                }
                5 => b.node(name, Binary::Add, &[v, other]).unwrap(),
                _ => {
                    let op: Op = Unary::Relu.into();
                    b.node(name, op, &[v]).unwrap()
                }
            };
            values.push(value);
        }
        let flat: Vec<_> =
            values.iter().skip(11).map(|v| b.node(format!("end{}", v.index()), Flatten { axis: 0 }, &[*v]).unwrap()).collect();
        b.node("join", Concat { axis: 1 }, &flat).unwrap()
    })
}

#[test]
fn random_networks_never_lose_a_value() {
    // On the GPU, as a view, on the CPU, in place; and copies that are not made, with bindings aligned to 32 and to 256 bytes.
    let (mut kinds, mut elided) = ([0; 4], [0; 2]);
    // Halves of 128 bytes, of 80 bytes, and of 60 bytes, which are padded.
    for (seed, shape) in (0..240).map(|seed| (seed, [[1, 2, 4, 8], [1, 2, 4, 5], [1, 2, 3, 5]][seed as usize % 3])) {
        let (graph, inputs) = random_network(seed, shape);
        let graph = specialized(graph.clone(), &inputs);
        let plan = |storage_alignment, reuse_memory| {
            let capabilities = Capabilities { storage_alignment, ..Capabilities::default() };
            let options = LowerOptions { reuse_memory, ..LowerOptions::default() };
            let plan = lower(graph.clone(), Some(&capabilities), &options).unwrap();
            replay(&plan, &capabilities).unwrap_or_else(|message| panic!("seed {seed}: {message} in {:#?}", steps(&plan)));
            assert!(plan.lower_bound_bytes <= plan.peak_bytes() && plan.peak_bytes() <= plan.no_reuse_bytes, "seed {seed}");
            plan
        };
        let apart = plan(256, false);
        for (kind, storage_alignment) in [32, 256].into_iter().enumerate() {
            let plan = plan(storage_alignment, true);
            elided[kind] += apart.steps.len() - plan.steps.len();
            for placed in &plan.placed {
                kinds[match placed {
                    Placed::Gpu(_) => 0,
                    Placed::View => 1,
                    Placed::Cpu(_) => 2,
                }] += 1;
            }
            kinds[3] += plan.steps.iter().filter(|s| matches!(s, Step::Dispatch { dispatch, .. } if dispatch.variant.in_place)).count();
        }
    }
    assert!(kinds.iter().all(|&n| n > 100), "the networks are all of one kind: {kinds:?}");
    assert!(elided.iter().all(|&n| n > 100) && elided[0] > elided[1], "few copies are elided: {elided:?}");
}
