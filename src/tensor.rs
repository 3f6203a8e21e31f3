//! Tensors on the host: element types, owned tensors, borrowed views.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use half::f16;

use crate::error::Error;
use crate::shape::Shape;

macro_rules! dtypes {
    ($($variant:ident $rust:ty, $name:literal;)*) => {
        /// The element type of a tensor.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum DType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl DType {
            /// Every element type.
            pub const ALL: &'static [DType] = &[$(DType::$variant),*];

            /// The size of one element in bytes.
            pub const fn size(self) -> usize {
                match self { $(DType::$variant => size_of::<$rust>(),)* }
            }

            /// The name used in messages: `f32`, `i64`, `bool`, …
            pub const fn name(self) -> &'static str {
                match self { $(DType::$variant => $name,)* }
            }
        }

        /// The elements of an owned tensor, shared between clones.
        #[derive(Clone)]
        pub enum Data { $($variant(Arc<Vec<$rust>>),)* }

        /// The elements of a borrowed tensor.
        #[derive(Clone, Copy)]
        pub enum DataRef<'a> { $($variant(&'a [$rust]),)* }

        impl Data {
            fn view(&self) -> DataRef<'_> {
                match self { $(Data::$variant(v) => DataRef::$variant(v),)* }
            }
        }

        impl<'a> DataRef<'a> {
            fn dtype(&self) -> DType {
                match self { $(DataRef::$variant(_) => DType::$variant,)* }
            }

            fn no_data(&self) -> Data {
                match self { $(DataRef::$variant(_) => Data::$variant(Arc::default()),)* }
            }

            fn to_data(self) -> Data {
                match self { $(DataRef::$variant(v) => Data::$variant(Arc::new(v.to_vec())),)* }
            }
        }

        $(
            impl sealed::Sealed for $rust {
                fn into_data(values: Vec<Self>) -> Data { Data::$variant(Arc::new(values)) }
                fn borrow_data(values: &[Self]) -> DataRef<'_> { DataRef::$variant(values) }
                fn slice<'a>(data: &DataRef<'a>) -> Option<&'a [Self]> {
                    match data { DataRef::$variant(v) => Some(v), _ => None }
                }
                fn make_mut(data: &mut Data) -> Option<&mut [Self]> {
                    match data { Data::$variant(v) => Some(Arc::make_mut(v).as_mut_slice()), _ => None }
                }
            }
            impl Element for $rust {
                const DTYPE: DType = DType::$variant;
            }
        )*

        /// Runs `$body` with `$values` bound to the tensor's typed slice, whatever its type.
        macro_rules! for_each_dtype {
            ($view:expr, $values:ident => $body:expr) => {
                match $view { $($crate::tensor::DataRef::$variant($values) => $body,)* }
            };
        }
        pub(crate) use for_each_dtype;
    };
}

mod sealed {
    use super::{Data, DataRef};
    pub trait Sealed: Sized {
        fn into_data(values: Vec<Self>) -> Data;
        fn borrow_data(values: &[Self]) -> DataRef<'_>;
        fn slice<'a>(data: &DataRef<'a>) -> Option<&'a [Self]>;
        fn make_mut(data: &mut Data) -> Option<&mut [Self]>;
    }
}

/// A Rust type that a tensor can hold.
pub trait Element: sealed::Sealed + Copy + Default + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The element type it stands for.
    const DTYPE: DType;
}

dtypes! {
    F32 f32, "f32";
    F16 f16, "f16";
    F64 f64, "f64";
    I8 i8, "i8";
    I16 i16, "i16";
    I32 i32, "i32";
    I64 i64, "i64";
    U8 u8, "u8";
    U16 u16, "u16";
    U32 u32, "u32";
    U64 u64, "u64";
    Bool bool, "bool";
}

impl DType {
    /// Whether this is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F16 | DType::F64)
    }

    /// Whether this is a signed or unsigned integer type (`bool` is not).
    pub const fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, DType::Bool)
    }

    /// Whether this is an integer type with negative numbers.
    pub const fn is_signed(self) -> bool {
        matches!(self, DType::I8 | DType::I16 | DType::I32 | DType::I64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A dense, row-major tensor that owns its elements. Clones share them.
#[derive(Clone)]
pub struct Tensor {
    shape: Shape,
    data: Data,
}

/// A dense, row-major tensor borrowed from the caller.
#[derive(Clone)]
pub struct TensorView<'a> {
    shape: Cow<'a, Shape>,
    data: DataRef<'a>,
}

impl Tensor {
    /// A tensor of `shape` holding `values` in row-major order.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the number of values is not the product of the shape.
    pub fn new<T: Element>(shape: impl Into<Shape>, values: Vec<T>) -> Result<Self, Error> {
        let shape = shape.into();
        check_len(&shape, values.len())?;
        Ok(Self { shape, data: T::into_data(values) })
    }

    /// A tensor with no axes.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self { shape: Shape::scalar(), data: T::into_data(vec![value]) }
    }

    /// A tensor with one axis holding `values`.
    pub fn vector<T: Element>(values: Vec<T>) -> Self {
        Self { shape: Shape::from([values.len()]), data: T::into_data(values) }
    }

    /// A tensor of `shape` with `value` everywhere.
    pub fn full<T: Element>(shape: impl Into<Shape>, value: T) -> Self {
        let shape = shape.into();
        let data = T::into_data(vec![value; shape.elements()]);
        Self { shape, data }
    }

    /// For operators, whose shape rule has already fixed the length.
    pub(crate) fn of<T: Element>(shape: impl Into<Shape>, values: Vec<T>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.elements(), values.len(), "an operator filled {shape} with {} values", values.len());
        Self { shape, data: T::into_data(values) }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.view().dtype()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.elements()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in row-major order, or `None` when the tensor holds another type.
    pub fn data<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.data.view())
    }

    /// The elements for writing, copied first where clones share them; `None` for another type.
    pub fn data_mut<T: Element>(&mut self) -> Option<&mut [T]> {
        T::make_mut(&mut self.data)
    }

    /// The elements, where they are `f32` and no clone shares them.
    pub(crate) fn into_f32(self) -> Option<Vec<f32>> {
        match self.data {
            Data::F32(elements) => Arc::try_unwrap(elements).ok(),
            _ => None,
        }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the number of elements differs.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self, Error> {
        let shape = shape.into();
        check_len(&shape, self.len())?;
        Ok(Self { shape, data: self.data.clone() })
    }

    /// Type and shape, without the elements: nothing may read them any more.
    pub(crate) fn without_elements(&self) -> Self {
        Self { shape: self.shape.clone(), data: self.data.view().no_data() }
    }

    /// A borrowed view of the whole tensor.
    pub fn view(&self) -> TensorView<'_> {
        TensorView { shape: Cow::Borrowed(&self.shape), data: self.data.view() }
    }

    pub(crate) fn data_ref(&self) -> DataRef<'_> {
        self.data.view()
    }

    /// The elements as bytes in the host's order.
    pub fn bytes(&self) -> &[u8] {
        bytes_of(&self.data.view())
    }

    /// An address that is the same for all clones sharing these elements and no others alive.
    pub(crate) fn identity(&self) -> usize {
        self.bytes().as_ptr() as usize
    }

    /// Every element as `f64`: the reference's arithmetic, and comparisons.
    pub fn to_f64(&self) -> Vec<f64> {
        self.view().to_f64()
    }

    /// Every element as `i64`; `None` for floating-point types and values out of range.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        Some(match self.data.view() {
            DataRef::I8(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::I16(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::I32(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::I64(v) => v.to_vec(),
            DataRef::U8(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::U16(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::U32(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::U64(v) => v.iter().map(|&x| i64::try_from(x).ok()).collect::<Option<_>>()?,
            DataRef::Bool(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::F32(_) | DataRef::F16(_) | DataRef::F64(_) => return None,
        })
    }

    /// A tensor of `dtype` from `f64` values, rounded to nearest, integers saturated.
    pub fn from_f64(dtype: DType, shape: impl Into<Shape>, values: Vec<f64>) -> Result<Self, Error> {
        let shape = shape.into();
        Ok(match dtype {
            DType::F64 => Tensor::new(shape, values)?,
            DType::F32 => Tensor::new(shape, values.into_iter().map(|x| x as f32).collect())?,
            DType::F16 => Tensor::new(shape, values.into_iter().map(f16::from_f64).collect())?,
            DType::Bool => Tensor::new(shape, values.into_iter().map(|x| x != 0.0).collect())?,
            DType::I8 => Tensor::new(shape, values.into_iter().map(|x| x as i8).collect())?,
            DType::I16 => Tensor::new(shape, values.into_iter().map(|x| x as i16).collect())?,
            DType::I32 => Tensor::new(shape, values.into_iter().map(|x| x as i32).collect())?,
            DType::I64 => Tensor::new(shape, values.into_iter().map(|x| x as i64).collect())?,
            DType::U8 => Tensor::new(shape, values.into_iter().map(|x| x as u8).collect())?,
            DType::U16 => Tensor::new(shape, values.into_iter().map(|x| x as u16).collect())?,
            DType::U32 => Tensor::new(shape, values.into_iter().map(|x| x as u32).collect())?,
            DType::U64 => Tensor::new(shape, values.into_iter().map(|x| x as u64).collect())?,
        })
    }
}

impl<'a> TensorView<'a> {
    /// A view of `values` as a tensor of `shape`, row-major.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the number of values is not the product of the shape.
    pub fn new<T: Element>(shape: impl Into<Shape>, values: &'a [T]) -> Result<Self, Error> {
        let shape = shape.into();
        check_len(&shape, values.len())?;
        Ok(Self { shape: Cow::Owned(shape), data: T::borrow_data(values) })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The elements in row-major order, or `None` when the view holds another type.
    pub fn data<T: Element>(&self) -> Option<&'a [T]> {
        T::slice(&self.data)
    }

    /// A tensor with a copy of the elements.
    pub fn to_tensor(&self) -> Tensor {
        Tensor { shape: self.shape.clone().into_owned(), data: self.data.to_data() }
    }

    /// The elements as bytes in the host's order.
    pub fn bytes(&self) -> &'a [u8] {
        bytes_of(&self.data)
    }

    pub(crate) fn data_ref(&self) -> DataRef<'a> {
        self.data
    }

    /// Every element as `f64`.
    pub fn to_f64(&self) -> Vec<f64> {
        match self.data {
            DataRef::F32(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::F16(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::F64(v) => v.to_vec(),
            DataRef::I8(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::I16(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::I32(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::I64(v) => v.iter().map(|&x| x as f64).collect(),
            DataRef::U8(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::U16(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::U32(v) => v.iter().map(|&x| x.into()).collect(),
            DataRef::U64(v) => v.iter().map(|&x| x as f64).collect(),
            DataRef::Bool(v) => v.iter().map(|&x| f64::from(u8::from(x))).collect(),
        }
    }
}

impl<'a> From<&'a Tensor> for TensorView<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        tensor.view()
    }
}

fn bytes_of<'a>(data: &DataRef<'a>) -> &'a [u8] {
    match *data {
        DataRef::F32(v) => bytemuck::cast_slice(v),
        DataRef::F16(v) => bytemuck::cast_slice(v),
        DataRef::F64(v) => bytemuck::cast_slice(v),
        DataRef::I8(v) => bytemuck::cast_slice(v),
        DataRef::I16(v) => bytemuck::cast_slice(v),
        DataRef::I32(v) => bytemuck::cast_slice(v),
        DataRef::I64(v) => bytemuck::cast_slice(v),
        DataRef::U8(v) => v,
        DataRef::U16(v) => bytemuck::cast_slice(v),
        DataRef::U32(v) => bytemuck::cast_slice(v),
        DataRef::U64(v) => bytemuck::cast_slice(v),
        DataRef::Bool(v) => bytemuck::cast_slice(v),
    }
}

fn check_len(shape: &Shape, len: usize) -> Result<(), Error> {
    if shape.checked_elements() == Some(len) {
        return Ok(());
    }
    Err(Error::Tensor(format!("shape {shape} holds {} elements, got {len} values", shape.elements())))
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.dtype() == other.dtype() && self.shape == other.shape && self.bytes() == other.bytes()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype(), self.shape)?;
        let shown = &self.to_f64();
        if shown.len() <= 16 { write!(f, " {shown:?}") } else { write!(f, " {:?}…", &shown[..16]) }
    }
}

impl fmt::Debug for TensorView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype(), self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked() {
        let error = Tensor::new([2, 3], vec![0f32; 5]).unwrap_err().to_string();
        assert!(error.contains("[2,3]") && error.contains("5 values"), "{error}");
        assert!(TensorView::new([usize::MAX, 2], &[0u8; 4]).is_err());
    }

    #[test]
    fn clones_share_until_written() {
        let a = Tensor::vector(vec![1i64, 2, 3]);
        let mut b = a.clone();
        assert_eq!(a.identity(), b.identity());
        b.data_mut::<i64>().unwrap()[0] = 7;
        assert_eq!(a.data::<i64>().unwrap(), [1, 2, 3]);
        assert_eq!(b.to_i64().unwrap(), [7, 2, 3]);
        assert!(a.data::<f32>().is_none());
    }
}
