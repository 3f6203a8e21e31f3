//! Convolutional networks on any GPU: an ONNX file in, hand-written WGSL kernels through wgpu, every kernel provable
//! against a CPU reference.
//!
//! Load a network with [`onnx::load`] or write one with [`GraphBuilder`], choose a [`Device`], [`compile`](Device::compile) to a
//! [`Session`], and [`run`](Session::run) it. [`Session::verify`] tells which node is wrong, [`Session::plan`] what runs where,
//! [`Session::encode`] runs on buffers of a wgpu device that the program owns.
//!
//! ```
//! use macula::{DType, Device, GraphBuilder, Tensor, ops};
//!
//! # fn main() -> Result<(), macula::Error> {
//! let mut b = GraphBuilder::new("smallest");
//! let x = b.input("x", DType::F32, [2, 3]);
//! let y = b.node("y", ops::Unary::Relu, &[x])?;
//! b.output("y", y);
//!
//! let session = Device::auto().compile(b.finish()?)?;
//! let x = Tensor::new([2, 3], vec![-1f32, 2.0, -3.0, 4.0, -5.0, 6.0])?;
//! let outputs = session.run(&[("x", x.view())])?;
//! assert_eq!(outputs[0].data::<f32>(), Some(&[0.0, 2.0, 0.0, 4.0, 0.0, 6.0][..]));
//! # Ok(()) }
//! ```
//!
//! Tensors are dense and row-major, images `[N, C, H, W]`. A node that has no GPU kernel for its types runs on the CPU inside
//! the same session, is named in a log line and in the plan, and is refused under [`CompileOptions::strict`].

#![deny(missing_docs, unsafe_code)]
#![cfg_attr(not(test), warn(unused_crate_dependencies))]

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

pub use device::{CacheFolder, Device, DeviceInfo, DeviceOptions};
pub use error::{Error, OpError, Result};
pub use gpu::{AdapterReport, DeviceKind, DeviceStatistics, Roofline};
pub use graph::{Dim, Graph, GraphBuilder, Node, NodeId, TensorType, Value, ValueId};
pub use inspect::{
    AxisField, Bisection, Bound, Clock, Comparison, DispatchProfile, KernelCheck, Layer, LayerProfile, Memory, NodeCheck, Probe, Profile,
    ReceptiveField, ReceptiveFields, Summary, Verdict, VerifyReport, Worst, WorstValues,
};
pub use optimize::{Pass, PassReport};
pub use session::{CompileOptions, GpuTensor, Outputs, RunAll, Session, TuneProgress, TuneStep};
pub use shape::Shape;
pub use tensor::{DType, Element, Tensor, TensorView};

/// Has the README's code compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
