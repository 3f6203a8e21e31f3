//! Graph → graph: passes that do not change what a network computes, one a file.
//!
//! Early passes run once, before shapes are known; late ones on the specialised graph, in which every value has a type.

mod bound_dispatches;
mod chains;
mod fold_affine;
mod fold_constants;
mod fold_pad;
mod forward;
mod fuse_elementwise;
mod fuse_epilogues;
mod known;
mod merge_slices;
mod pattern;
mod recognize_activations;
mod recognize_norms;
mod remove_duplicates;
mod remove_identities;
mod remove_no_ops;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::Result;
use crate::graph::Graph;

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
        /// Identity, Dropout, Cast to the type that a value has: whoever reads the output reads the input instead.
        RemoveIdentities "remove-identities" remove_identities,
        /// Nodes that read constants alone are computed once.
        FoldConstants "fold-constants" fold_constants,
        /// Nodes that compute the same of the same: one of them.
        RemoveDuplicates "remove-duplicates" remove_duplicates,
        /// Activations that are written as several nodes: one. Before affine maps are folded, which would tear them apart.
        RecognizeActivations "recognize-activations" recognize_activations,
        /// Pad with zeros, then a convolution or an average: the window pads.
        FoldPad "fold-pad" fold_pad,
        /// Normalization by constants, scale and shift around a convolution or a matrix product: other weights.
        FoldAffine "fold-affine" fold_affine,
    }
    late {
        /// Nodes that change nothing at these shapes, and views of views.
        RemoveNoOps "remove-no-ops" remove_no_ops,
        /// Slices of slices: one slice.
        MergeSlices "merge-slices" merge_slices,
        /// Normalizations that are written as means and roots: one node.
        RecognizeNorms "recognize-norms" recognize_norms,
        /// Activations and residual additions into the convolution, matrix product or normalization before them.
        FuseEpilogues "fuse-epilogues" fuse_epilogues,
        /// Chains of elementwise operators into one.
        FuseElementwise "fuse-elementwise" fuse_elementwise,
        /// Nodes too long for a driver's watchdog: several, on parts of their inputs. On GPUs only.
        BoundDispatches "bound-dispatches" bound_dispatches,
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
    drop_unread_constants(graph);
    Ok(reports)
}

/// Lets go of the elements of constants that no node reads any more: weights that were folded into others.
fn drop_unread_constants(graph: &mut Graph) {
    let mut read = vec![false; graph.values.len()];
    graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten()).chain(&graph.outputs).for_each(|id| read[id.index()] = true);
    graph.values.iter_mut().zip(read).filter(|(_, read)| !read).for_each(|(value, _)| value.constant = None);
    graph.count_constants();
}

/// What the tests of the passes share.
#[cfg(test)]
mod testing;

#[cfg(test)]
mod random;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_have_names_of_their_own() {
        for pass in Pass::all() {
            assert_eq!(pass.name().parse(), Ok(pass));
        }
        assert!("fold".parse::<Pass>().unwrap_err().contains("fold-constants"));
    }
}
