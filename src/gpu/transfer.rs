//! Elements between the host and the GPU: types that WGSL cannot store are widened on the way.

use half::f16;

use crate::error::Result;
use crate::shape::Shape;
use crate::tensor::{DType, DataRef, Tensor};

/// Calls `f` with a tensor's bytes as the GPU stores them, in pieces of at most `piece` bytes and whole words, each with its offset.
pub(super) fn for_each_piece(data: DataRef<'_>, piece: usize, f: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
    match data {
        DataRef::F32(v) => as_they_are(bytemuck::cast_slice(v), piece, f),
        DataRef::F16(v) => as_they_are(bytemuck::cast_slice(v), piece, f),
        DataRef::I32(v) => as_they_are(bytemuck::cast_slice(v), piece, f),
        DataRef::I64(v) => as_they_are(bytemuck::cast_slice(v), piece, f),
        DataRef::U32(v) => as_they_are(bytemuck::cast_slice(v), piece, f),
        DataRef::I8(v) => widened(v, i32::from, piece, f),
        DataRef::I16(v) => widened(v, i32::from, piece, f),
        DataRef::U8(v) => widened(v, u32::from, piece, f),
        DataRef::U16(v) => widened(v, u32::from, piece, f),
        DataRef::Bool(v) => widened(v, u32::from, piece, f),
        DataRef::F64(_) | DataRef::U64(_) => unreachable!("plans place no f64 or u64 on the GPU"),
    }
}

fn as_they_are(bytes: &[u8], piece: usize, mut f: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
    let whole = bytes.len() / 4 * 4;
    for (index, bytes) in bytes[..whole].chunks(piece).enumerate() {
        f(index * piece, bytes)?;
    }
    // Half a word at the end of an odd number of halves.
    if whole < bytes.len() {
        let mut word = [0; 4];
        word[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
        f(whole, &word)?;
    }
    Ok(())
}

fn widened<T: Copy, U: bytemuck::NoUninit>(
    values: &[T],
    widen: impl Fn(T) -> U,
    piece: usize,
    mut f: impl FnMut(usize, &[u8]) -> Result<()>,
) -> Result<()> {
    let most = piece / size_of::<U>();
    let mut words = Vec::with_capacity(most.min(values.len()));
    for (index, values) in values.chunks(most).enumerate() {
        words.clear();
        words.extend(values.iter().map(|&value| widen(value)));
        f(index * most * size_of::<U>(), bytemuck::cast_slice(&words))?;
    }
    Ok(())
}

/// A tensor from the bytes that the GPU stored.
pub(super) fn from_device(bytes: &[u8], dtype: DType, shape: &Shape) -> Tensor {
    fn read<T: bytemuck::Pod>(bytes: &[u8], n: usize) -> Vec<T> {
        bytemuck::pod_collect_to_vec(&bytes[..n * size_of::<T>()])
    }
    let n = shape.elements();
    match dtype {
        DType::F32 => Tensor::of(shape, read::<f32>(bytes, n)),
        DType::F16 => Tensor::of(shape, read::<f16>(bytes, n)),
        DType::I32 => Tensor::of(shape, read::<i32>(bytes, n)),
        DType::I64 => Tensor::of(shape, read::<i64>(bytes, n)),
        DType::U32 => Tensor::of(shape, read::<u32>(bytes, n)),
        DType::I8 => Tensor::of(shape, read::<i32>(bytes, n).into_iter().map(|x| x as i8).collect()),
        DType::I16 => Tensor::of(shape, read::<i32>(bytes, n).into_iter().map(|x| x as i16).collect()),
        DType::U8 => Tensor::of(shape, read::<u32>(bytes, n).into_iter().map(|x| x as u8).collect()),
        DType::U16 => Tensor::of(shape, read::<u32>(bytes, n).into_iter().map(|x| x as u16).collect()),
        DType::Bool => Tensor::of(shape, read::<u32>(bytes, n).into_iter().map(|x| x != 0).collect()),
        DType::F64 | DType::U64 => unreachable!("plans place no f64 or u64 on the GPU"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_type_survives_the_round_trip() {
        let tensors = [
            Tensor::vector(vec![1.5f32, -0.0, f32::INFINITY]),
            Tensor::vector(vec![f16::from_f32(1.5), f16::MIN, f16::MAX]),
            Tensor::vector(vec![i32::MIN, 0, 7]),
            Tensor::vector(vec![i64::MIN, 0, i64::MAX]),
            Tensor::vector(vec![u32::MAX, 0, 7]),
            Tensor::vector(vec![i8::MIN, -1, 127]),
            Tensor::vector(vec![i16::MIN, -1, 7]),
            Tensor::vector(vec![0u8, 255, 7]),
            Tensor::vector(vec![0u16, u16::MAX, 7]),
            Tensor::vector(vec![true, false, true]),
        ];
        for tensor in tensors {
            for piece in [4, 8, 4096] {
                let mut stored = vec![];
                let append = |offset, bytes: &[u8]| {
                    assert!(offset == stored.len() && bytes.len().is_multiple_of(4) && bytes.len() <= piece);
                    stored.extend_from_slice(bytes);
                    Ok(())
                };
                for_each_piece(tensor.data_ref(), piece, append).unwrap();
                assert_eq!(from_device(&stored, tensor.dtype(), tensor.shape()), tensor);
            }
        }
    }
}
