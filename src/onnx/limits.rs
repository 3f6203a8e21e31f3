//! What a file may ask for, counted before anything is allocated for it.

/// How a file is loaded: how much of the machine it may take.
///
/// ```
/// # fn main() -> Result<(), macula::Error> {
/// use macula::onnx::{self, LoadOptions};
///
/// let graph = onnx::load_with("models/cifar10.onnx", &LoadOptions::new().max_nodes(100).max_memory(16 << 20))?;
/// # assert_eq!(graph.nodes().len(), 31);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The most bytes that the file may have, and that its structure in memory and its tensors, those in files beside it too, may take
    /// together. 4 GiB by default.
    pub max_memory: u64,
    /// The most nodes that a network may have, those of its functions and of their calls included. 262144 by default.
    pub max_nodes: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { max_memory: 4 << 30, max_nodes: 1 << 18 }
    }
}

impl LoadOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`LoadOptions::max_memory`].
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Sets [`LoadOptions::max_nodes`].
    pub fn max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// That a network may have so many nodes.
    pub(super) fn check_nodes(&self, nodes: usize, what: &str) -> Result<(), String> {
        if nodes <= self.max_nodes {
            return Ok(());
        }
        let limit = self.max_nodes;
        Err(format!("{what} {nodes} nodes, more than the limit of {limit}; raise `max_nodes` if you trust the file"))
    }
}

/// The bytes that a file has asked for, against [`LoadOptions::max_memory`].
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    pub fn new(options: &LoadOptions) -> Self {
        Self { limit: options.max_memory, used: 0 }
    }

    /// Notes `bytes` that are about to be allocated for `what`.
    pub fn take(&mut self, bytes: u64, what: &str) -> Result<(), String> {
        let total = self.used.saturating_add(bytes);
        if total > self.limit {
            let limit = self.limit;
            return Err(format!(
                "{what} would bring what is loaded to {total} bytes, more than the limit of {limit}; raise `max_memory` if you trust the file"
            ));
        }
        self.used = total;
        Ok(())
    }
}
