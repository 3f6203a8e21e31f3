//! Choices of the caller in compiling.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::optimize::Pass;

/// How a network is compiled.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompileOptions {
    /// Refuse a network of which a node has no GPU kernel.
    pub strict: bool,
    /// Prefer the kernel of this name wherever it can serve; or a variant of it, by the beginning of
    /// [`Candidate::name`](crate::plan::Candidate::name).
    pub kernel: Option<String>,
    /// On a GPU, measure every way to compute each node whenever the network is planned for new shapes, and take the fastest whose output
    /// is right. What was measured is kept with the device's [`cache`](crate::DeviceOptions::cache), and used by every network from then on.
    pub tune: bool,
    /// What is told of the measurements as they go on.
    pub tune_progress: Option<TuneProgress>,
    /// Passes of the optimiser to leave out.
    pub without: BTreeSet<Pass>,
    /// On a GPU, drop the host's copies of the weights once they are uploaded, if the shapes of all inputs are fixed: a network that
    /// is planned again for other shapes reads them again. [`Session::verify`](crate::Session::verify) is an error then, and constants
    /// of [`Session::graph`](crate::Session::graph) and of the plan have type and shape only. A clone of the graph keeps its own.
    pub drop_host_weights: bool,
    /// Poison buffers with NaN before every run and check guard words after it. Slow; for tests and for hunting bugs.
    pub debug_memory: bool,
    /// The most bytes that a network may take for the shapes it is planned for: its constants, and the values alive at once in a run. What
    /// a kernel needs besides, such as padded copies of its input, is in proportion to them. 8 GiB by default.
    pub max_memory: u64,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            strict: false,
            kernel: None,
            tune: false,
            tune_progress: None,
            without: BTreeSet::new(),
            drop_host_weights: false,
            debug_memory: false,
            max_memory: 8 << 30,
        }
    }
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

    /// Sets [`CompileOptions::tune`].
    pub fn tune(mut self, tune: bool) -> Self {
        self.tune = tune;
        self
    }

    /// Sets [`CompileOptions::tune_progress`].
    pub fn tune_progress(mut self, told: impl Fn(&TuneStep<'_>) + Send + Sync + 'static) -> Self {
        self.tune_progress = Some(TuneProgress(Arc::new(told)));
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

    /// Sets [`CompileOptions::max_memory`].
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = bytes;
        self
    }
}

/// A node that was tuned.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TuneStep<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The operator.
    pub op: &'static str,
    /// How many ways there are to compute it.
    pub candidates: usize,
    /// How many nodes are done, this one included.
    pub done: usize,
    /// How many there are; nodes that are alike, and those measured before, are not among them.
    pub of: usize,
}

/// A function that is told of the nodes that are tuned.
#[derive(Clone)]
pub struct TuneProgress(pub(super) Arc<dyn Fn(&TuneStep<'_>) + Send + Sync>);

impl fmt::Debug for TuneProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TuneProgress")
    }
}
