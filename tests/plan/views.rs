//! Copies that are not made: pieces of concatenations, parts of splits, slices.

use macula::ops::{Concat, Gather, Reshape, Slice, Split, Unary};
use macula::plan::{Binding, Capabilities, LowerOptions, Placed, Plan, Step};
use macula::{DType, Dim, GraphBuilder, Shape, Tensor, ValueId};

use super::{host_node, integers, network, places, plan, plan_with, pool, steps};

/// The plan of `build` on an input `[1, 4, 8, 8]` of 1024 bytes.
fn of(build: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Plan {
    let (graph, inputs) = network([1, 4, 8, 8], build);
    plan(graph, &inputs)
}

fn concat(b: &mut GraphBuilder, name: &str, inputs: &[ValueId]) -> ValueId {
    b.node(name, Concat { axis: 1 }, inputs).unwrap()
}

/// Channels `start..end`.
fn slice(b: &mut GraphBuilder, name: &str, x: ValueId, start: i64, end: i64) -> ValueId {
    let bounds = [("start", start), ("end", end), ("axes", 1)].map(|(what, n)| b.constant(format!("{name}.{what}"), integers(&[n])));
    b.node(name, Slice, &[x, bounds[0], bounds[1], bounds[2]]).unwrap()
}

/// How many bytes the copies of a node move, in units of one channel of the input.
fn copied(plan: &Plan, name: &str) -> usize {
    let is_its = |step: &&Step| matches!(step, Step::Dispatch { node, .. } if plan.graph.node(*node).name == name);
    plan.steps.iter().filter(is_its).map(channels).sum()
}

fn channels(step: &Step) -> usize {
    let Step::Dispatch { dispatch, .. } = step else { return 0 };
    assert_eq!(dispatch.variant.kernel.name, "strided_copy");
    let Binding::Buffer { bytes, .. } = dispatch.bindings[0] else { return 0 };
    bytes as usize / 256
}

#[track_caller]
fn lies_in(plan: &Plan, piece: &str, whole: &str, offset: u64) {
    let (piece, whole) = (places(plan, piece)[0], places(plan, whole)[0]);
    assert_eq!(piece, (whole.0, whole.1 + offset));
}

#[test]
fn producers_write_the_pieces_of_a_concatenation() {
    let plan = of(|b, x| {
        let pieces = [pool(b, "left", x), pool(b, "middle", x), pool(b, "right", x)];
        concat(b, "concat", &pieces)
    });
    assert_eq!(plan.placed[3], Placed::View);
    for (piece, offset) in [("left", 0), ("middle", 1024), ("right", 2048)] {
        lies_in(&plan, piece, "concat", offset);
    }
    assert_eq!(plan.buffers.iter().sum::<u64>(), 4096);
}

#[test]
fn concatenations_nest() {
    let plan = of(|b, x| {
        let inner = [pool(b, "a", x), pool(b, "b", x)];
        let inner = concat(b, "inner", &inner);
        let last = pool(b, "d", x);
        concat(b, "outer", &[last, inner])
    });
    assert!(plan.placed.iter().filter(|p| **p == Placed::View).count() == 2, "{:?}", plan.placed);
    for (piece, offset) in [("d", 0), ("inner", 1024), ("a", 1024), ("b", 2048)] {
        lies_in(&plan, piece, "outer", offset);
    }
}

#[test]
fn views_of_pieces_are_pieces() {
    let plan = of(|b, x| {
        let square = b.constant("square", integers(&[1, 4, 4, 16]));
        let wide = b.node("wide", Reshape { allow_zero: false }, &[x, square]).unwrap();
        let (left, right) = (pool(b, "left", x), pool(b, "right", wide));
        let left = b.node("view", Reshape { allow_zero: false }, &[left, square]).unwrap();
        concat(b, "concat", &[left, right])
    });
    lies_in(&plan, "left", "concat", 0);
    lies_in(&plan, "right", "concat", 1024);
}

/// As in DenseNet: each layer reads all before it, and all of them are one buffer.
#[test]
fn concatenations_of_a_common_prefix_are_views_of_one_buffer() {
    let plan = of(|b, x| {
        let mut features = vec![pool(b, "stem", x)];
        for layer in 0..5 {
            let all = concat(b, &format!("concat{layer}"), &features);
            let few = slice(b, &format!("slice{layer}"), all, 0, 4);
            let turned = b.node(format!("turned{layer}"), macula::ops::Transpose { permutation: vec![0, 1, 3, 2] }, &[few]).unwrap();
            features.push(pool(b, &format!("layer{layer}"), turned));
        }
        concat(b, "end", &features)
    });
    assert_eq!((0..5).map(|i| copied(&plan, &format!("concat{i}")) + copied(&plan, &format!("slice{i}"))).sum::<usize>(), 0);
    assert_eq!(copied(&plan, "end"), 0);
    for layer in 0..5 {
        lies_in(&plan, &format!("concat{layer}"), "end", 0);
        lies_in(&plan, &format!("layer{layer}"), "end", 1024 * (layer + 1));
    }
}

/// As in SPP: pools of `x` beside `x` itself, which they read.
#[test]
fn of_pieces_that_read_one_another_the_fewest_bytes_are_copied() {
    let star = of(|b, x| {
        let x = pool(b, "x", x);
        let pieces = [x, pool(b, "a", x), pool(b, "b", x), pool(b, "c", x)];
        concat(b, "concat", &pieces)
    });
    assert_eq!(copied(&star, "concat"), 4);
    lies_in(&star, "c", "concat", 3072);
    // Each reads the one before it.
    let chain = of(|b, x| {
        let a = pool(b, "a", x);
        let c = pool(b, "c", a);
        let d = pool(b, "d", c);
        let e = pool(b, "e", d);
        concat(b, "concat", &[a, c, d, e])
    });
    assert_eq!(copied(&chain, "concat"), 8);
    // The heavy one stays.
    let heavy = of(|b, x| {
        let a = pool(b, "a", x);
        let few = slice(b, "few", a, 0, 1);
        let few = pool(b, "pooled", few);
        concat(b, "concat", &[a, few])
    });
    assert_eq!(copied(&heavy, "concat"), 1);
    lies_in(&heavy, "a", "concat", 0);
}

#[test]
fn what_comes_from_elsewhere_is_a_piece_too() {
    let uploads = of(|b, x| {
        let host = host_node(b, "host", x);
        let made = pool(b, "made", x);
        let other = concat(b, "joined", &[made, host]);
        b.node("end", Unary::Exp, &[other]).unwrap()
    });
    assert_eq!(copied(&uploads, "joined"), 0);
    lies_in(&uploads, "host", "joined", 1024);
    // The graph input itself, whose reader writes elsewhere.
    let input = of(|b, x| {
        let turned = b.node("turned", macula::ops::Transpose { permutation: vec![0, 1, 3, 2] }, &[x]).unwrap();
        let turned = pool(b, "piece", turned);
        concat(b, "joined", &[x, turned])
    });
    assert_eq!(copied(&input, "joined"), 0);
    assert_eq!(steps(&input), ["upload x", "dispatch turned", "dispatch piece", "download y"]);
    // A constant is copied, beside a piece that is not.
    let constant = of(|b, x| {
        let (piece, c) = (pool(b, "piece", x), b.constant("c", Tensor::full([1, 2, 8, 8], 7f32)));
        concat(b, "joined", &[c, piece])
    });
    assert_eq!(steps(&constant), ["upload x", "dispatch piece", "dispatch joined", "download y"]);
    lies_in(&constant, "piece", "joined", 512);
}

#[test]
fn an_input_that_is_used_twice_is_copied() {
    let twice = of(|b, x| {
        let a = pool(b, "a", x);
        let c = pool(b, "c", x);
        concat(b, "concat", &[a, c, a])
    });
    assert_eq!(copied(&twice, "concat"), 8);
    lies_in(&twice, "c", "concat", 1024);
    // A piece of two concatenations lies in one of them, or in both where they fit into one another.
    let two = |a_first: bool| {
        of(|b, x| {
            let (a, c, d) = (pool(b, "a", x), pool(b, "c", x), pool(b, "d", x));
            let first = concat(b, "first", &[a, c]);
            let second = concat(b, "second", &if a_first { [a, d] } else { [d, a] });
            let (first, second) = (pool(b, "p", first), pool(b, "q", second));
            b.node("add", macula::ops::Binary::Add, &[first, second]).unwrap()
        })
    };
    assert_eq!((copied(&two(true), "first"), copied(&two(true), "second")), (0, 4));
    let both = two(false);
    assert_eq!((copied(&both, "first"), copied(&both, "second")), (0, 0));
    lies_in(&both, "first", "second", 1024);
}

#[test]
fn a_piece_may_be_an_output_too() {
    let mut b = GraphBuilder::new("outputs");
    let x = b.input("x", DType::F32, [1, 4, 8, 8].map(Dim::from));
    let (left, right) = (pool(&mut b, "left", x), pool(&mut b, "right", x));
    let joined = concat(&mut b, "joined", &[left, right]);
    let end = b.node("end", Unary::Exp, &[joined]).unwrap();
    b.output("end", end);
    b.output("right", right);
    let plan = plan(b.finish().unwrap(), &[("x", Shape::from([1, 4, 8, 8]))]);
    assert_eq!(copied(&plan, "joined"), 0);
    // `end` would overwrite it.
    assert_ne!(places(&plan, "end")[0].0, places(&plan, "right")[0].0);
}

#[test]
fn pieces_lie_where_bindings_may_begin() {
    // Pieces of 280 bytes: only the first one begins at a multiple of 32. What it overwrites behind itself is copied afterwards.
    let odd = |storage_alignment| {
        let (graph, inputs) = network([1, 2, 5, 7], |b, x| {
            let pieces = [pool(b, "left", x), pool(b, "middle", x), pool(b, "right", x)];
            concat(b, "concat", &pieces)
        });
        plan_with(graph, &inputs, &Capabilities { storage_alignment, ..Capabilities::default() }, &LowerOptions::default())
    };
    for plan in [odd(32), odd(256)] {
        let order = ["upload x", "dispatch left", "dispatch middle", "dispatch right", "dispatch concat", "dispatch concat", "download y"];
        assert_eq!(steps(&plan), order);
        lies_in(&plan, "left", "concat", 0);
    }
    // Pieces of 288 bytes: where 32 is enough, all of them.
    let even = |storage_alignment| {
        let (graph, inputs) = network([1, 2, 4, 9], |b, x| {
            let pieces = [pool(b, "left", x), pool(b, "middle", x), pool(b, "right", x)];
            concat(b, "concat", &pieces)
        });
        plan_with(graph, &inputs, &Capabilities { storage_alignment, ..Capabilities::default() }, &LowerOptions::default())
    };
    assert_eq!((even(32).steps.len(), even(256).steps.len()), (5, 7));
}

#[test]
fn pieces_that_are_not_contiguous_are_copied() {
    let (graph, inputs) = network([2, 4, 8, 8], |b, x| {
        let pieces = [pool(b, "left", x), pool(b, "right", x)];
        concat(b, "concat", &pieces)
    });
    assert_eq!(copied(&plan(graph, &inputs), "concat"), 16);
}

#[test]
fn parts_are_read_where_they_are() {
    let plan = of(|b, x| {
        let x = pool(b, "x", x);
        let parts = b.nodes("split", Split { axis: 1 }, &[Some(x)], 2).unwrap();
        let (left, right) = (pool(b, "left", parts[0]), pool(b, "right", parts[1]));
        b.node("add", macula::ops::Binary::Add, &[left, right]).unwrap()
    });
    assert_eq!(plan.placed[1], Placed::View);
    let (x, parts) = (places(&plan, "x")[0], places(&plan, "split"));
    assert_eq!(parts, [x, (x.0, x.1 + 512)]);
    let sliced = of(|b, x| {
        let x = pool(b, "x", x);
        let some = slice(b, "slice", x, 1, 3);
        let index = b.constant("index", integers(&[-1]));
        let last = b.node("gather", Gather { axis: 1 }, &[x, index]).unwrap();
        let (some, last) = (pool(b, "some", some), pool(b, "last", last));
        b.node("add", macula::ops::Binary::Add, &[some, last]).unwrap()
    });
    lies_in(&sliced, "slice", "x", 256);
    lies_in(&sliced, "gather", "x", 768);
    assert_eq!(sliced.placed.iter().filter(|p| **p == Placed::View).count(), 2);
}

/// As in ShuffleNet: one half stays, the other goes through layers and comes back to its place.
#[test]
fn a_half_comes_back_to_its_place() {
    let plan = of(|b, x| {
        let x = pool(b, "x", x);
        let parts = b.nodes("split", Split { axis: 1 }, &[Some(x)], 2).unwrap();
        let first = pool(b, "first", parts[1]);
        let second = pool(b, "second", first);
        concat(b, "concat", &[parts[0], second])
    });
    assert_eq!(copied(&plan, "concat") + copied(&plan, "split"), 0);
    assert_eq!(places(&plan, "concat"), places(&plan, "x"));
    lies_in(&plan, "second", "x", 512);
    // One layer alone would read and write one buffer.
    let short = of(|b, x| {
        let x = pool(b, "x", x);
        let parts = b.nodes("split", Split { axis: 1 }, &[Some(x)], 2).unwrap();
        let first = pool(b, "first", parts[1]);
        concat(b, "concat", &[parts[0], first])
    });
    assert_eq!(copied(&short, "concat"), 2);
}

#[test]
fn a_kernel_that_is_asked_for_makes_its_copies() {
    let (graph, inputs) = network([1, 4, 8, 8], |b, x| {
        let pieces = [pool(b, "left", x), pool(b, "right", x)];
        concat(b, "concat", &pieces)
    });
    let options = LowerOptions { kernel: Some("strided_copy".into()), ..LowerOptions::default() };
    assert_eq!(copied(&plan_with(graph, &inputs, &Capabilities::default(), &options), "concat"), 8);
}
