//! Attention.

use super::super::tensor::dtype;
use super::NodeReader;
use crate::ops::{Attention, Op, RotaryEmbedding, Scores};

pub(super) fn attention(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let softmax_precision = node.attributes.int("softmax_precision")?.map(|number| {
        let number = i32::try_from(number).map_err(|_| format!("element type number {number} is not supported"))?;
        // 16 is bfloat16, which f32 contains.
        if number == 16 { Ok(crate::DType::F32) } else { dtype(number) }
    });
    let scores = match node.attributes.int("qk_matmul_output_mode")?.unwrap_or(0) {
        0 => Scores::Product,
        1 => Scores::Masked,
        2 => Scores::Capped,
        3 => Scores::Softmax,
        other => return Err(format!("attribute `qk_matmul_output_mode` must be 0 to 3, got {other}")),
    };
    let attention = Attention {
        is_causal: node.attributes.flag("is_causal", false)?,
        q_num_heads: node.attributes.count("q_num_heads")?,
        kv_num_heads: node.attributes.count("kv_num_heads")?,
        scale: node.attributes.float("scale")?,
        softcap: node.attributes.float("softcap")?.unwrap_or(0.0),
        scores,
        softmax_precision: softmax_precision.transpose()?,
    };
    Ok(attention.into())
}

pub(super) fn rotary_embedding(node: &mut NodeReader<'_>) -> Result<Op, String> {
    let rotary_dim = node.attributes.int("rotary_embedding_dim")?.unwrap_or(0);
    let rotary_dim = usize::try_from(rotary_dim).map_err(|_| format!("attribute `rotary_embedding_dim` is {rotary_dim}"))?;
    let num_heads = node.attributes.int("num_heads")?.unwrap_or(0);
    let num_heads = usize::try_from(num_heads).map_err(|_| format!("attribute `num_heads` is {num_heads}"))?;
    let interleaved = node.attributes.flag("interleaved", false)?;
    Ok(RotaryEmbedding { num_heads: (num_heads > 0).then_some(num_heads), rotary_dim, interleaved }.into())
}
