//! Convolutional networks on any GPU.

mod cpu;
mod error;
mod graph;
pub mod onnx;
pub mod ops;
mod optimize;
pub mod plan;
mod reference;
mod shape;
mod tensor;

pub use error::{Error, OpError, Result};
pub use graph::{Dim, Graph, GraphBuilder, Node, NodeId, TensorType, Value, ValueId};
pub use shape::Shape;
pub use tensor::{DType, Element, Tensor, TensorView};
