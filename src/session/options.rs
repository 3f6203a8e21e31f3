//! Choices of the caller in compiling.

use std::collections::BTreeSet;

use crate::optimize::Pass;

/// How a network is compiled.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CompileOptions {
    /// Refuse a network of which a node has no GPU kernel.
    pub strict: bool,
    /// Prefer the kernel of this name wherever it can serve.
    pub kernel: Option<String>,
    /// Passes of the optimiser to leave out.
    pub without: BTreeSet<Pass>,
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

    /// Sets [`CompileOptions::debug_memory`].
    pub fn debug_memory(mut self, debug: bool) -> Self {
        self.debug_memory = debug;
        self
    }
}
