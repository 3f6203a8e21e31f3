//! Convolutional networks on any GPU.

mod cpu;
mod device;
mod error;
mod gpu;
mod graph;
mod inspect;
pub mod onnx;
pub mod ops;
mod optimize;
pub mod plan;
mod reference;
mod session;
mod shape;
mod tensor;

pub use device::{Device, DeviceInfo};
pub use error::{Error, OpError, Result};
pub use gpu::{AdapterReport, DeviceKind};
pub use graph::{Dim, Graph, GraphBuilder, Node, NodeId, TensorType, Value, ValueId};
pub use inspect::{Comparison, NodeCheck, VerifyReport, Worst};
pub use session::{CompileOptions, GpuTensor, Outputs, Session};
pub use shape::Shape;
pub use tensor::{DType, Element, Tensor, TensorView};
