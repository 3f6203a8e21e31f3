//! Errors in two layers: an operator says what is wrong in numbers, the graph adds node, operator and input shapes once.

use std::path::PathBuf;
use std::time::Duration;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A model that is not valid ONNX, or that asks for more than the limits allow.
    #[error("{origin}: {message}")]
    Model {
        /// The file, or `model` for bytes in memory.
        origin: String,
        /// What is wrong and what to do.
        message: String,
    },

    /// A valid model that uses what macula does not implement. Every unsupported node is listed.
    #[error("{origin}: {} not supported:\n  {}", count(.items.len(), "node is", "nodes are"), .items.join("\n  "))]
    Unsupported {
        /// The file, or `model` for bytes in memory.
        origin: String,
        /// One line per node: its name, operator and what is not supported.
        items: Vec<String>,
    },

    /// An operator rejected its inputs or attributes.
    #[error("node `{node}` ({op}): {source} [inputs: {inputs}]")]
    Node {
        /// The node's name in the file.
        node: String,
        /// The operator's ONNX name.
        op: String,
        /// The types and shapes of the node's inputs.
        inputs: String,
        /// What is wrong.
        source: OpError,
    },

    /// A graph that is not well formed: an unknown value, a duplicate name, a cycle.
    #[error("graph `{graph}`: {message}")]
    Graph {
        /// The graph's name.
        graph: String,
        /// What is wrong.
        message: String,
    },

    /// A network that takes more memory than [`CompileOptions::max_memory`](crate::CompileOptions::max_memory) allows.
    #[error(
        "graph `{graph}`: {what} would take {bytes} bytes, more than the limit of {limit}; raise `max_memory` if you trust the network"
    )]
    Memory {
        /// The graph's name.
        graph: String,
        /// What takes it.
        what: String,
        /// How much, in bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },

    /// An input of a run that does not fit the network.
    #[error("input `{name}`: {message}")]
    Input {
        /// The input's name.
        name: String,
        /// What was expected, what was given.
        message: String,
    },

    /// Values that do not fit a tensor's shape or type.
    #[error("tensor: {0}")]
    Tensor(String),

    /// No device answers the request.
    #[error("device: {0}")]
    Device(String),

    /// The GPU or its driver rejected or failed an operation.
    #[error("GPU error in {during}: {message}")]
    Gpu {
        /// The kernel or the operation.
        during: String,
        /// What the driver said.
        message: String,
    },

    /// There is no plan for types alone: [`Session::plans_for`](crate::Session::plans_for) takes the elements.
    #[error("graph `{0}`: shapes depend on elements, so what runs where is known only for given inputs")]
    NeedsElements(String),

    /// [`CompileOptions::drop_host_weights`](crate::CompileOptions::drop_host_weights) was asked for and the weights are needed.
    #[error("graph `{0}`: the host's copies of its weights were dropped, so it runs what it was compiled for and verifies nothing")]
    WeightsDropped(String),

    /// The GPU has no memory left for what was asked, or for more than [`DeviceOptions::memory_percent`](crate::DeviceOptions::memory_percent)
    /// of it. Nothing was computed; the device goes on to work.
    #[error("the GPU is out of memory in {during}: {message}; run smaller batches or pictures, or on the CPU device")]
    OutOfMemory {
        /// What the memory was for.
        during: String,
        /// What the driver said.
        message: String,
    },

    /// The GPU did not finish within [`DeviceOptions::timeout`](crate::DeviceOptions::timeout).
    #[error("the GPU did not finish within {0:?}: its driver hangs, or the work takes longer; allow more with `DeviceOptions::timeout`")]
    Timeout(Duration),

    /// The GPU device is gone: [`Session::rebuild`](crate::Session::rebuild) makes its networks ready on a new one.
    #[error("the GPU device was lost: {0}; open a new device and rebuild the session on it")]
    DeviceLost(String),

    /// `strict` was asked for and some nodes have no GPU kernel.
    #[error("strict: {} no GPU kernel:\n  {}", count(.0.len(), "node has", "nodes have"), .0.join("\n  "))]
    Strict(Vec<String>),
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// What an operator finds wrong, in numbers; the graph adds where.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// Inputs whose shapes, types or values the operator does not accept.
    #[error("{0}")]
    Invalid(String),

    /// A valid use that macula does not implement.
    #[error("{0} is not supported")]
    Unsupported(String),

    /// An input that must be known before shapes can be, and is computed from data instead.
    #[error("input {input} (`{name}`) must be a constant or follow from the input shapes")]
    NeedsValue {
        /// The position of the input.
        input: usize,
        /// The operator's name for it.
        name: &'static str,
    },
}

impl OpError {
    /// An [`OpError::Invalid`] from a message.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}

/// This crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;
