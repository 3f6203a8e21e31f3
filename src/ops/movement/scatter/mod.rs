//! `ScatterElements`, `ScatterND`, `TensorScatter`.

mod elements;
mod nd;
mod tensor;

pub(crate) use elements::SCATTER_ELEMENTS;
pub use elements::ScatterElements;
pub use nd::ScatterNd;
pub(crate) use nd::{SCATTER_LISTED, SCATTER_SEARCH};
pub(crate) use tensor::TENSOR_SCATTER;
pub use tensor::TensorScatter;

use crate::ops::Tolerance;
use crate::plan::{Override, Part, part};
use crate::tensor::DType;

/// What becomes of an element that an update falls on. Several updates of one element are taken in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ScatterReduction {
    /// The update replaces it.
    #[default]
    None,
    /// Their sum.
    Add,
    /// Their product.
    Mul,
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// `reduce`, by the number of the reduction.
const REDUCE: Part = part!("shared/scatter.wgsl");

const REDUCTION: Override = Override { name: "REDUCTION", values: &[0, 1, 2, 3, 4] };

impl ScatterReduction {
    /// That the kernels compute in this type as the reference does.
    fn on_gpu(self, dtype: DType) -> Result<(), String> {
        match (self, dtype) {
            (ScatterReduction::None, _) | (_, DType::F32 | DType::F16 | DType::I32 | DType::U32 | DType::I64) => Ok(()),
            _ => Err(format!("the kernel has no arithmetic in {dtype}")),
        }
    }

    fn tolerance(self, dtype: DType) -> Tolerance {
        match self {
            ScatterReduction::Add | ScatterReduction::Mul => Tolerance::accumulation(dtype),
            _ => Tolerance::EXACT,
        }
    }
}
