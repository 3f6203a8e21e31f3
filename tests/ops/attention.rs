//! Attention, and the rotation of positions.

use macula::ops::{Attention, RotaryEmbedding, Scores};
use macula::{DType, Tensor};

use crate::support::{Case, case, random, to_dtype, to_f16};

fn values(seed: u64, shape: &[usize]) -> Tensor {
    random(seed, shape, -2.0..2.0)
}

/// Queries, keys and values with four axes: `[n, heads, length, head]`.
fn heads(op: Attention, q: [usize; 4], k: [usize; 4], v: [usize; 4]) -> Case {
    case(op).runtime(values(1, &q)).runtime(values(2, &k)).runtime(values(3, &v))
}

#[test]
fn heads_of_every_extent() {
    for (q, k, v) in [
        ([2, 3, 4, 8], [2, 3, 6, 8], [2, 3, 6, 10]),
        ([1, 6, 17, 5], [1, 2, 9, 5], [1, 2, 9, 7]),
        ([3, 4, 1, 16], [3, 1, 33, 16], [3, 1, 33, 12]),
        ([1, 1, 5, 1], [1, 1, 1, 1], [1, 1, 1, 1]),
    ] {
        for is_causal in [false, true] {
            heads(Attention { is_causal, ..Attention::default() }, q, k, v).check();
        }
        heads(Attention { scale: Some(0.3), softcap: 1.5, ..Attention::default() }, q, k, v).check();
    }
}

#[test]
fn three_axes_hold_heads_side_by_side() {
    for (q_num_heads, kv_num_heads) in [(3, 3), (6, 3), (3, 1)] {
        let op = Attention { q_num_heads: Some(q_num_heads), kv_num_heads: Some(kv_num_heads), ..Attention::default() };
        let inputs = case(op).runtime(values(1, &[2, 5, q_num_heads * 8]));
        inputs.runtime(values(2, &[2, 7, kv_num_heads * 8])).runtime(values(3, &[2, 7, kv_num_heads * 6])).check();
    }
}

#[test]
fn masks_broadcast_and_end_early() {
    let masked = |mask: Tensor, is_causal| {
        let op = Attention { is_causal, scores: Scores::Masked, ..Attention::default() };
        heads(op, [2, 4, 5, 8], [2, 2, 7, 8], [2, 2, 7, 3]).runtime(mask).outputs(1)
    };
    for shape in [&[7][..], &[5, 7], &[1, 7], &[4, 5, 7], &[2, 1, 5, 7], &[2, 4, 5, 7], &[5, 3]] {
        let floats = values(4, shape);
        masked(floats.clone(), false).check();
        masked(floats.clone(), true).check();
        // The first key is always seen.
        let seen = floats.to_f64().iter().enumerate().map(|(i, x)| *x > 0.0 || i % shape[shape.len() - 1] == 0).collect();
        let booleans = Tensor::new(shape, seen).unwrap();
        masked(booleans.clone(), false).check();
        masked(booleans, true).check();
    }
}

#[test]
fn queries_without_keys_give_nan() {
    let mask = Tensor::new([3, 4], (0..12).map(|i| i >= 4).collect()).unwrap();
    heads(Attention::default(), [1, 2, 3, 4], [1, 2, 4, 4], [1, 2, 4, 5]).runtime(mask).check();
}

#[test]
fn a_past_goes_before_the_new_keys() {
    for scores in [Scores::Product, Scores::Masked, Scores::Capped, Scores::Softmax] {
        let op = Attention { is_causal: true, softcap: 2.0, scores, ..Attention::default() };
        let inputs = heads(op, [2, 4, 3, 8], [2, 2, 5, 8], [2, 2, 5, 6]).absent();
        inputs.runtime(values(4, &[2, 2, 9, 8])).runtime(values(5, &[2, 2, 9, 6])).outputs(4).check();
    }
    let packed = Attention { q_num_heads: Some(2), kv_num_heads: Some(1), ..Attention::default() };
    let inputs = case(packed).runtime(values(1, &[1, 3, 8])).runtime(values(2, &[1, 5, 4])).runtime(values(3, &[1, 5, 6]));
    inputs.runtime(values(6, &[3, 7])).runtime(values(4, &[1, 1, 2, 4])).runtime(values(5, &[1, 1, 2, 6])).outputs(3).check();
}

#[test]
fn samples_may_have_fewer_keys() {
    let lengths = Tensor::vector(vec![3i64, 7]);
    let inputs = || heads(Attention::default(), [2, 3, 4, 8], [2, 3, 7, 8], [2, 3, 7, 5]);
    inputs().absent().absent().absent().runtime(lengths.clone()).check();
    inputs().runtime(values(4, &[4, 7])).absent().absent().constant(lengths).check();
}

#[test]
fn other_precisions() {
    let half = |seed, shape: &[usize]| to_f16(&values(seed, shape));
    let op = Attention { scores: Scores::Softmax, softmax_precision: Some(DType::F32), ..Attention::default() };
    let inputs = case(op).runtime(half(1, &[2, 4, 5, 8])).runtime(half(2, &[2, 2, 7, 8])).runtime(half(3, &[2, 2, 7, 6]));
    inputs.runtime(half(4, &[5, 7])).absent().absent().outputs(4).check();
    let double = |seed, shape: &[usize]| to_dtype(&values(seed, shape), DType::F64);
    case(op).runtime(double(1, &[2, 4, 5, 8])).runtime(double(2, &[2, 2, 7, 8])).runtime(double(3, &[2, 2, 7, 6])).check_on_cpu();
}

#[test]
fn attention_refuses_in_numbers() {
    let op = Attention::default();
    heads(op, [2, 3, 4, 8], [2, 2, 6, 8], [2, 2, 6, 5]).fails_with("3 heads of Q cannot share 2 heads of K");
    heads(op, [2, 3, 4, 8], [2, 3, 6, 7], [2, 3, 6, 5]).fails_with("do not fit each other");
    heads(op, [2, 3, 4, 8], [2, 3, 6, 8], [2, 3, 6, 5]).runtime(values(4, &[4, 8])).fails_with("attn_mask [4,8] does not broadcast");
    heads(op, [2, 3, 4, 8], [2, 3, 6, 8], [2, 3, 6, 5]).absent().runtime(values(4, &[2, 3, 1, 8])).fails_with("go together");
    let flat = |op| case(op).runtime(values(1, &[2, 5, 9])).runtime(values(2, &[2, 5, 9])).runtime(values(3, &[2, 5, 9]));
    flat(op).fails_with("needs `q_num_heads` and `kv_num_heads`");
    flat(Attention { q_num_heads: Some(2), ..op }).fails_with("9 columns of Q [2,5,9] do not divide into 2 heads");
}

#[test]
fn rotations() {
    for interleaved in [false, true] {
        for (rotary_dim, half) in [(0, 4), (8, 4), (4, 2), (2, 1)] {
            let op = RotaryEmbedding { num_heads: None, rotary_dim, interleaved };
            let ids = Tensor::new([2, 3], vec![5i64, 0, 9, -1, 2, 2]).unwrap();
            let rows = || case(op).runtime(values(1, &[2, 5, 3, 8])).runtime(values(2, &[10, half])).runtime(values(3, &[10, half]));
            rows().runtime(ids.clone()).check();
            rows().constant(ids.clone()).check();
            let op = RotaryEmbedding { num_heads: Some(5), ..op };
            case(op).runtime(values(1, &[2, 3, 40])).constant(values(2, &[2, 3, half])).constant(values(3, &[2, 3, half])).check();
            let half_precision = case(op).runtime(to_f16(&values(1, &[2, 3, 40]))).runtime(to_f16(&values(2, &[2, 3, half])));
            half_precision.runtime(to_f16(&values(3, &[2, 3, half]))).check();
        }
    }
}

#[test]
fn rotations_refuse_in_numbers() {
    let x = |op, shape: &[usize], cache: &[usize]| case(op).runtime(values(1, shape)).runtime(values(2, cache)).runtime(values(3, cache));
    let op = RotaryEmbedding::default();
    x(op, &[2, 5, 3, 7], &[2, 3, 3]).fails_with("7 elements of a head of 7 cannot rotate in pairs");
    x(op, &[2, 5, 3, 8], &[2, 3, 3]).fails_with("must be [2,3,4]");
    x(op, &[2, 3, 8], &[2, 3, 4]).fails_with("needs `num_heads`");
    x(op, &[2, 5, 3, 8], &[10, 4]).constant(Tensor::new([2, 3], vec![10i64; 6]).unwrap()).fails_with("index 10");
}
