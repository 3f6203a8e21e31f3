//! Graph → graph: passes that do not change what a network computes, one a file.
//!
//! Early passes run once, before shapes are known; late ones on the specialised graph, in which every value has a type.

mod chains;
mod fold_batch_norm;
mod fold_constants;
mod fuse_elementwise;
mod fuse_epilogues;
mod remove_identities;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::Result;
use crate::graph::{Graph, ValueId};

macro_rules! passes {
    (
        early { $($(#[$early_doc:meta])* $early:ident $early_name:literal $early_module:ident,)* }
        late { $($(#[$late_doc:meta])* $late:ident $late_name:literal $late_module:ident,)* }
    ) => {
        /// A pass of the optimiser, in the order they run.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Pass { $($(#[$early_doc])* $early,)* $($(#[$late_doc])* $late,)* }

        impl Pass {
            /// The passes that run before shapes are known.
            pub const EARLY: &[Pass] = &[$(Pass::$early),*];

            /// The passes that run when every shape is known.
            pub const LATE: &[Pass] = &[$(Pass::$late),*];

            /// The name on the command line: `fold-constants`.
            pub fn name(self) -> &'static str {
                match self { $(Pass::$early => $early_name,)* $(Pass::$late => $late_name,)* }
            }

            /// Runs the pass and says how many nodes it removed, replaced or merged.
            fn run(self, graph: &mut Graph) -> Result<usize> {
                match self { $(Pass::$early => $early_module::run(graph),)* $(Pass::$late => $late_module::run(graph),)* }
            }
        }
    };
}

passes! {
    early {
        /// Identity and Dropout: whoever reads the output reads the input instead.
        RemoveIdentities "remove-identities" remove_identities,
        /// Nodes that read constants alone are computed once.
        FoldConstants "fold-constants" fold_constants,
        /// Convolution, then batch normalization: one convolution.
        FoldBatchNorm "fold-batch-norm" fold_batch_norm,
    }
    late {
        /// Activations and residual additions into the convolution, matrix product or normalization before them.
        FuseEpilogues "fuse-epilogues" fuse_epilogues,
        /// Chains of elementwise operators into one.
        FuseElementwise "fuse-elementwise" fuse_elementwise,
    }
}

impl Pass {
    /// All passes in the order they run.
    pub fn all() -> impl Iterator<Item = Pass> {
        Self::EARLY.iter().chain(Self::LATE).copied()
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Pass {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|pass| pass.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Pass::name).collect();
            format!("`{name}` is not a pass; there are {}", names.join(", "))
        })
    }
}

/// What a pass did to a graph.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PassReport {
    /// The pass.
    pub pass: Pass,
    /// How many nodes it removed, replaced or merged.
    pub changes: usize,
    /// How many nodes the graph had before.
    pub nodes_before: usize,
    /// How many nodes it had after.
    pub nodes_after: usize,
}

/// Runs `passes` but those in `without`, each followed by the removal of nodes that nothing needs any more.
pub(crate) fn optimize(graph: &mut Graph, passes: &[Pass], without: &BTreeSet<Pass>) -> Result<Vec<PassReport>> {
    let mut reports = vec![];
    for &pass in passes.iter().filter(|pass| !without.contains(pass)) {
        let nodes_before = graph.nodes.len();
        let changes = pass.run(graph)?;
        graph.remove_dead_nodes();
        reports.push(PassReport { pass, changes, nodes_before, nodes_after: graph.nodes.len() });
    }
    Ok(reports)
}

/// How many nodes and graph outputs read each value.
fn count_uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.values.len()];
    let reads = graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&graph.outputs);
    reads.for_each(|id| uses[id.index()] += 1);
    uses
}

/// The position of the node that writes each value.
fn producers(graph: &Graph) -> Vec<Option<usize>> {
    let mut producers = vec![None; graph.values.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        for id in node.outputs.iter().flatten() {
            producers[id.index()] = Some(at);
        }
    }
    producers
}

/// Has every node read `to` where it read `from`, and says how many inputs changed.
fn replace_uses(graph: &mut Graph, from: ValueId, to: ValueId) -> usize {
    let mut changed = 0;
    for input in graph.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
        if *input == Some(from) {
            *input = Some(to);
            changed += 1;
        }
    }
    changed
}

/// What the tests of the passes share.
#[cfg(test)]
mod testing {
    use super::*;
    use crate::graph::Node;
    use crate::tensor::Tensor;
    use crate::{CompileOptions, Device, TensorView};

    /// The graph after the passes that run before shapes are known, up to and including `pass`.
    pub fn after(mut graph: Graph, pass: Pass) -> Graph {
        let passes: Vec<Pass> = Pass::all().filter(|p| *p <= pass).collect();
        optimize(&mut graph, &passes, &BTreeSet::new()).unwrap();
        graph
    }

    /// The outputs on the CPU device, without these passes.
    pub fn outputs(graph: &Graph, inputs: &[(&str, TensorView<'_>)], without: impl IntoIterator<Item = Pass>) -> Vec<Tensor> {
        let session = Device::cpu().compile_with(graph.clone(), CompileOptions::new().without(without)).unwrap();
        session.run(inputs).unwrap().into_tensors()
    }

    /// The nodes of the specialised graph after the late passes up to and including `pass`.
    pub fn late(graph: &Graph, inputs: &[(&str, TensorView<'_>)], pass: Pass) -> Vec<Node> {
        let without = Pass::LATE.iter().copied().filter(|p| *p > pass);
        let session = Device::cpu().compile_with(graph.clone(), CompileOptions::new().without(without)).unwrap();
        session.plans_for(inputs).unwrap()[0].graph.nodes().to_vec()
    }

    /// A node's name, what it computes, and what it stands for: `conv: Conv + Relu [conv, relu]`.
    pub fn title(node: &Node) -> String {
        format!("{}: {} [{}]", node.name, node.op, node.origins.join(", "))
    }

    #[test]
    fn passes_have_names_of_their_own() {
        for pass in Pass::all() {
            assert_eq!(pass.name().parse(), Ok(pass));
        }
        assert!("fold".parse::<Pass>().unwrap_err().contains("fold-constants"));
    }
}
