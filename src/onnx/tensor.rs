//! `TensorProto` → [`Tensor`].

use half::f16;

use super::external::ExternalData;
use super::limits::{Budget, LoadOptions};
use super::proto::TensorProto;
use crate::shape::{MAX_RANK, Shape};
use crate::tensor::{DType, Element, Tensor};

/// What is wrong with a tensor.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum TensorProblem {
    /// It breaks the format.
    Invalid(String),
    /// It is valid, and macula does not read it.
    Unsupported(String),
}

impl From<String> for TensorProblem {
    fn from(message: String) -> Self {
        TensorProblem::Invalid(message)
    }
}

impl TensorProblem {
    pub fn into_message(self) -> String {
        match self {
            TensorProblem::Invalid(message) | TensorProblem::Unsupported(message) => message,
        }
    }
}

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// The element type that the number `code` of `TensorProto.DataType` stands for.
pub(super) fn dtype(code: i32) -> Result<DType, String> {
    let name = match code {
        1 => return Ok(DType::F32),
        2 => return Ok(DType::U8),
        3 => return Ok(DType::I8),
        4 => return Ok(DType::U16),
        5 => return Ok(DType::I16),
        6 => return Ok(DType::I32),
        7 => return Ok(DType::I64),
        9 => return Ok(DType::Bool),
        10 => return Ok(DType::F16),
        11 => return Ok(DType::F64),
        12 => return Ok(DType::U32),
        13 => return Ok(DType::U64),
        0 => return Err("the element type is missing".into()),
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        16 => "bfloat16",
        17 => "float8e4m3fn",
        18 => "float8e4m3fnuz",
        19 => "float8e5m2",
        20 => "float8e5m2fnuz",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        _ => return Err(format!("element type number {code} is not supported")),
    };
    Err(format!("element type {name} is not supported"))
}

/// Decodes tensors, from other files where they say so, as many as the budget allows.
pub(super) struct TensorReader {
    external: ExternalData,
    pub budget: Budget,
}

impl TensorReader {
    pub fn new(external: ExternalData, options: &LoadOptions) -> Self {
        Self { external, budget: Budget::new(options) }
    }

    /// Decodes a tensor.
    pub fn read(&mut self, proto: &TensorProto) -> Result<Tensor, TensorProblem> {
        let dtype = dtype(proto.data_type).map_err(TensorProblem::Unsupported)?;
        if proto.segment.is_some() {
            return Err(TensorProblem::Unsupported("a tensor in segments is not supported".into()));
        }
        let shape = shape(&proto.dims)?;
        let bytes = shape.checked_elements().and_then(|n| n.checked_mul(dtype.size()));
        let bytes = bytes.ok_or_else(|| format!("shape {shape} is too large"))?;
        if proto.data_location == EXTERNAL {
            let found = self.external.find(&proto.external_data, bytes)?;
            self.budget.take(bytes as u64, "its data")?;
            return Ok(decode_raw(dtype, shape, &found.read()?));
        }
        if !proto.raw_data.is_empty() {
            if proto.raw_data.len() != bytes {
                return Err(format!("{dtype}{shape} takes {bytes} bytes, raw_data has {}", proto.raw_data.len()).into());
            }
            self.budget.take(bytes as u64, "its data")?;
            return Ok(decode_raw(dtype, shape, &proto.raw_data));
        }
        // What is decoded is what there is in the file, which was counted before.
        Ok(decode_typed(dtype, shape, proto)?)
    }
}

fn shape(dims: &[i64]) -> Result<Shape, String> {
    if dims.len() > MAX_RANK {
        return Err(format!("has {} axes, more than the limit of {MAX_RANK}", dims.len()));
    }
    let extent = |&d: &i64| usize::try_from(d).map_err(|_| format!("extent {d} of shape {dims:?} is negative"));
    dims.iter().map(extent).collect()
}

/// From little-endian elements, as many as the shape holds.
fn decode_raw(dtype: DType, shape: Shape, raw: &[u8]) -> Tensor {
    fn read<T: Element, const N: usize>(shape: Shape, raw: &[u8], element: fn([u8; N]) -> T) -> Tensor {
        Tensor::of(shape, raw.as_chunks::<N>().0.iter().map(|bytes| element(*bytes)).collect())
    }
    match dtype {
        DType::F32 => read(shape, raw, f32::from_le_bytes),
        DType::F16 => read(shape, raw, f16::from_le_bytes),
        DType::F64 => read(shape, raw, f64::from_le_bytes),
        DType::I8 => read(shape, raw, i8::from_le_bytes),
        DType::I16 => read(shape, raw, i16::from_le_bytes),
        DType::I32 => read(shape, raw, i32::from_le_bytes),
        DType::I64 => read(shape, raw, i64::from_le_bytes),
        DType::U8 => read(shape, raw, u8::from_le_bytes),
        DType::U16 => read(shape, raw, u16::from_le_bytes),
        DType::U32 => read(shape, raw, u32::from_le_bytes),
        DType::U64 => read(shape, raw, u64::from_le_bytes),
        DType::Bool => read(shape, raw, |[byte]| byte != 0),
    }
}

/// From the field that the schema assigns to the element type.
fn decode_typed(dtype: DType, shape: Shape, proto: &TensorProto) -> Result<Tensor, String> {
    fn read<S: Copy + std::fmt::Display, T: Element>(
        shape: Shape,
        field: &'static str,
        values: &[S],
        element: impl Fn(S) -> Result<T, S>,
    ) -> Result<Tensor, String> {
        if shape.checked_elements() != Some(values.len()) {
            return Err(format!("{}{shape} has {} elements, {field} has {}", T::DTYPE, shape.elements(), values.len()));
        }
        let element = |&value: &S| element(value).map_err(|v| format!("{v} in {field} does not fit in {}", T::DTYPE));
        Ok(Tensor::of(shape, values.iter().map(element).collect::<Result<_, _>>()?))
    }
    fn narrow<S: Copy, T: TryFrom<S>>(value: S) -> Result<T, S> {
        T::try_from(value).map_err(|_| value)
    }
    let (ints, unsigned) = (&proto.int32_data, &proto.uint64_data);
    match dtype {
        DType::F32 => read(shape, "float_data", &proto.float_data, Ok),
        DType::F64 => read(shape, "double_data", &proto.double_data, Ok),
        DType::I64 => read(shape, "int64_data", &proto.int64_data, Ok),
        DType::U64 => read(shape, "uint64_data", unsigned, Ok),
        DType::U32 => read(shape, "uint64_data", unsigned, narrow::<u64, u32>),
        DType::I32 => read(shape, "int32_data", ints, Ok),
        DType::I16 => read(shape, "int32_data", ints, narrow::<i32, i16>),
        DType::I8 => read(shape, "int32_data", ints, narrow::<i32, i8>),
        DType::U16 => read(shape, "int32_data", ints, narrow::<i32, u16>),
        DType::U8 => read(shape, "int32_data", ints, narrow::<i32, u8>),
        DType::Bool => read(shape, "int32_data", ints, |v| Ok(v != 0)),
        DType::F16 => read(shape, "int32_data", ints, |v| narrow::<i32, u16>(v).map(f16::from_bits)),
    }
}
