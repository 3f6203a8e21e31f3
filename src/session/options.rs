//! Choices of the caller in compiling.

use std::collections::BTreeSet;

use crate::optimize::Pass;

/// How a network is compiled.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CompileOptions {
    /// Refuse a network of which a node has no GPU kernel.
    pub strict: bool,
    /// Prefer the kernel of this name wherever it can serve, or the one whose variants, as a plan shows them, begin so:
    /// `conv2d_pointwise_tiled f32 block_64x64x16` names a tile as well.
    pub kernel: Option<String>,
    /// Passes of the optimiser to leave out.
    pub without: BTreeSet<Pass>,
    /// On a GPU, drop the host's copies of the weights once they are uploaded, if the shapes of all inputs are fixed: a network that
    /// is planned again for other shapes reads them again. [`Session::verify`](crate::Session::verify) is an error then, and constants
    /// of [`Session::graph`](crate::Session::graph) and of the plan have type and shape only. A clone of the graph keeps its own.
    pub drop_host_weights: bool,
    /// Poison buffers with NaN before every run and check guard words after it. Slow; for tests and for hunting bugs.
    pub debug_memory: bool,
}

impl CompileOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`CompileOptions::strict`].
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets [`CompileOptions::kernel`].
    pub fn kernel(mut self, name: impl Into<String>) -> Self {
        self.kernel = Some(name.into());
        self
    }

    /// Adds to [`CompileOptions::without`]; all of them with [`Pass::all`].
    pub fn without(mut self, passes: impl IntoIterator<Item = Pass>) -> Self {
        self.without.extend(passes);
        self
    }

    /// Sets [`CompileOptions::drop_host_weights`].
    pub fn drop_host_weights(mut self, drop: bool) -> Self {
        self.drop_host_weights = drop;
        self
    }

    /// Sets [`CompileOptions::debug_memory`].
    pub fn debug_memory(mut self, debug: bool) -> Self {
        self.debug_memory = debug;
        self
    }
}
