//! Elements between the host and the GPU: types that WGSL cannot store are widened on the way.

use std::borrow::Cow;

use half::f16;

use crate::shape::Shape;
use crate::tensor::{DType, DataRef, Tensor};

/// The bytes of a tensor as the GPU stores them, a whole number of words.
pub(super) fn to_device(data: DataRef<'_>) -> Cow<'_, [u8]> {
    fn words<T: Copy, U: bytemuck::NoUninit>(values: &[T], widen: impl Fn(T) -> U) -> Cow<'static, [u8]> {
        let widened: Vec<U> = values.iter().map(|&v| widen(v)).collect();
        Cow::Owned(bytemuck::cast_slice(&widened).to_vec())
    }
    let bytes: Cow<'_, [u8]> = match data {
        DataRef::F32(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        DataRef::F16(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        DataRef::I32(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        DataRef::I64(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        DataRef::U32(v) => Cow::Borrowed(bytemuck::cast_slice(v)),
        DataRef::I8(v) => words(v, i32::from),
        DataRef::I16(v) => words(v, i32::from),
        DataRef::U8(v) => words(v, u32::from),
        DataRef::U16(v) => words(v, u32::from),
        DataRef::Bool(v) => words(v, u32::from),
        DataRef::F64(_) | DataRef::U64(_) => unreachable!("plans place no f64 or u64 on the GPU"),
    };
    match bytes.len() % 4 {
        0 => bytes,
        odd => {
            let mut padded = bytes.into_owned();
            padded.resize(padded.len() + 4 - odd, 0);
            Cow::Owned(padded)
        }
    }
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
            let bytes = to_device(tensor.data_ref());
            assert_eq!(bytes.len() % 4, 0);
            assert_eq!(from_device(&bytes, tensor.dtype(), tensor.shape()), tensor);
        }
    }
}
