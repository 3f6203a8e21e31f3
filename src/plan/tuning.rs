//! What was measured of the ways to compute a node: which one is the fastest on a device.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use super::Lowering;
use crate::graph::{Graph, Node, ValueId};

const HEADER: &str = "macula tuning 1";

/// A way to compute a node, measured on a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trial {
    /// What was dispatched: see [`Candidate::name`].
    pub candidate: String,
    /// How long one run of it takes; `None` where it failed or its output was wrong.
    pub time: Option<Duration>,
}

/// Trials by node: operator with attributes, types and shapes, whatever the node's name.
///
/// As text, one line a node and one a trial: `node`, or nanoseconds (`wrong` for none) and the candidate; at the end how many nodes there are.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tuning {
    nodes: BTreeMap<String, Vec<Trial>>,
}

/// A way to compute a node, as a plan remembers those it could choose from.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The kernel that does the main work.
    pub kernel: &'static str,
    /// Every variant that it dispatches with its workgroups: `unary f32 WORKGROUP_SIZE=64 [7,1,1]`, several with ` + ` between them.
    pub name: String,
    /// How long it takes where that was measured.
    pub time: Option<Duration>,
    /// Whether it was measured to fail or to be wrong, and so is not chosen.
    pub wrong: bool,
    /// Whether it is what runs.
    pub chosen: bool,
}

impl Candidate {
    /// What a plan remembers of a lowering.
    pub(super) fn new(lowering: &Lowering) -> Self {
        let mut name = String::new();
        for dispatch in &lowering.dispatches {
            let [x, y, z] = dispatch.workgroups;
            let plus = if name.is_empty() { "" } else { " + " };
            write!(name, "{plus}{} [{x},{y},{z}]", dispatch.variant).expect("a string takes any text");
        }
        Self { kernel: lowering.kernel(), name, time: None, wrong: false, chosen: false }
    }

    /// Whether it is meant by the name of its kernel, or by the beginning of its own, which has a type or a tile too.
    pub(super) fn is_called(&self, asked: &str) -> bool {
        let begins = || self.name.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        self.kernel == asked || asked.contains(' ') && begins()
    }
}

/// What of a node decides how long each way to compute it takes, on one line.
pub(crate) fn signature(graph: &Graph, node: &Node) -> String {
    let one = |id: &Option<ValueId>| match id {
        Some(id) => format!("{}{}", graph.tensor_type(*id), if graph.value(*id).constant.is_some() { "*" } else { "" }),
        None => "-".to_owned(),
    };
    let all = |ids: &[Option<ValueId>]| ids.iter().map(one).collect::<Vec<_>>().join(" ");
    format!("{:?} {} -> {}", node.op, all(&node.inputs), all(&node.outputs)).replace(['\n', '\r'], " ")
}

impl Tuning {
    /// A candidate must be faster than the one it displaces by this factor: measurements are not exact.
    const MARGIN: f64 = 1.03;

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every node and its trials.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &[Trial])> {
        self.nodes.iter().map(|(signature, trials)| (signature.as_str(), &trials[..]))
    }

    /// Those nodes alone of which another candidate than the first won, and of them the first and the winner.
    pub fn won(&self) -> Self {
        let winner = |trials: &Vec<Trial>| {
            let names: Vec<&str> = trials.iter().map(|t| t.candidate.as_str()).collect();
            let best = choose(&names, trials)?;
            (best != 0).then(|| vec![trials[0].clone(), trials[best].clone()])
        };
        Self { nodes: self.nodes.iter().filter_map(|(signature, trials)| Some((signature.clone(), winner(trials)?))).collect() }
    }

    /// Sets the trials of a node.
    pub(crate) fn set(&mut self, signature: String, trials: Vec<Trial>) {
        self.nodes.insert(signature, trials);
    }

    /// Takes over what `newer` has, in place of what was known of the same nodes.
    pub(crate) fn extend(&mut self, newer: &Tuning) {
        self.nodes.extend(newer.nodes.iter().map(|(signature, trials)| (signature.clone(), trials.clone())));
    }

    /// Whether each of `candidates` of the node was tried.
    pub(crate) fn has_tried<'a>(&self, signature: &str, mut candidates: impl Iterator<Item = &'a str>) -> bool {
        let trials = self.nodes.get(signature).map_or(&[][..], Vec::as_slice);
        candidates.all(|name| trials.iter().any(|trial| trial.candidate == name))
    }

    /// Says of each candidate what was measured, and which of them is best: the first where nothing better is known.
    pub(super) fn annotate(&self, signature: &str, candidates: &mut [Candidate]) -> usize {
        let Some(trials) = self.nodes.get(signature) else { return 0 };
        for candidate in candidates.iter_mut() {
            if let Some(trial) = trials.iter().find(|trial| trial.candidate == candidate.name) {
                (candidate.time, candidate.wrong) = (trial.time, trial.time.is_none());
            }
        }
        let names: Vec<&str> = candidates.iter().map(|c| c.name.as_str()).collect();
        choose(&names, trials).unwrap_or(0)
    }

    /// From what [`Tuning`]'s `Display` writes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return Err(format!("it does not begin with `{HEADER}`"));
        }
        let mut tuning = Self::default();
        let mut trials: Option<&mut Vec<Trial>> = None;
        for (at, line) in lines.by_ref().enumerate() {
            let wrong = || format!("line {} is neither a node nor a trial: `{line}`", at + 2);
            let (word, rest) = line.split_once(' ').ok_or_else(wrong)?;
            match (word, &mut trials) {
                ("end", _) => {
                    let complete = rest.parse() == Ok(tuning.len()) && lines.next().is_none();
                    return if complete { Ok(tuning) } else { Err(format!("it ends with `{line}`, but has {} nodes", tuning.len())) };
                }
                ("node", _) => trials = Some(tuning.nodes.entry(rest.to_owned()).or_default()),
                (time, Some(trials)) => {
                    let time = if time == "wrong" { None } else { Some(Duration::from_nanos(time.parse().map_err(|_| wrong())?)) };
                    trials.push(Trial { candidate: rest.to_owned(), time });
                }
                _ => return Err(wrong()),
            }
        }
        Err("its end is missing".into())
    }
}

/// The fastest of `names`, the first of which is what a rule would take; `None` where nothing is known of that one.
fn choose(names: &[&str], trials: &[Trial]) -> Option<usize> {
    let trial = |name: &&str| trials.iter().find(|trial| trial.candidate == **name);
    let first = trial(names.first()?)?;
    let timed = names.iter().enumerate().filter_map(|(at, name)| Some((at, trial(name)?.time?)));
    let (best, fastest) = timed.min_by_key(|(_, time)| *time)?;
    let stays = first.time.is_some_and(|time| time.as_secs_f64() < fastest.as_secs_f64() * Tuning::MARGIN);
    Some(if stays { 0 } else { best })
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        for (signature, trials) in &self.nodes {
            writeln!(f, "node {signature}")?;
            for Trial { candidate, time } in trials {
                match time {
                    Some(time) => writeln!(f, "{} {candidate}", time.as_nanos())?,
                    None => writeln!(f, "wrong {candidate}")?,
                }
            }
        }
        writeln!(f, "end {}", self.nodes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(candidate: &str, nanoseconds: Option<u64>) -> Trial {
        Trial { candidate: candidate.into(), time: nanoseconds.map(Duration::from_nanos) }
    }

    fn tuning(trials: &[(&str, Option<u64>)]) -> Tuning {
        let mut tuning = Tuning::default();
        tuning.set("conv 3×3".into(), trials.iter().map(|(name, time)| trial(name, *time)).collect());
        tuning
    }

    fn candidates(names: &[&str]) -> Vec<Candidate> {
        names.iter().map(|name| Candidate { kernel: "", name: name.to_string(), time: None, wrong: false, chosen: false }).collect()
    }

    #[test]
    fn the_fastest_displaces_the_first_by_more_than_a_margin() {
        let best = |trials: &[(&str, Option<u64>)]| tuning(trials).annotate("conv 3×3", &mut candidates(&["a", "b", "c"]));
        assert_eq!(best(&[("a", Some(1000)), ("b", Some(700)), ("c", Some(600))]), 2);
        assert_eq!(best(&[("a", Some(1000)), ("b", Some(980))]), 0, "within the margin");
        assert_eq!(best(&[("a", Some(1000)), ("gone", Some(1))]), 0, "what is no longer offered does not count");
        assert_eq!(best(&[("b", Some(5)), ("c", Some(4))]), 0, "nothing is known of the first: it may be newer than the trials");
    }

    #[test]
    fn what_was_wrong_is_never_chosen() {
        let mut offered = candidates(&["a", "b", "c"]);
        let tuning = tuning(&[("a", None), ("b", Some(900)), ("c", None)]);
        assert_eq!(tuning.annotate("conv 3×3", &mut offered), 1);
        assert_eq!(offered.iter().map(|c| c.wrong).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(offered[1].time, Some(Duration::from_nanos(900)));
        assert_eq!(tuning.annotate("another node", &mut offered), 0);
    }

    #[test]
    fn text_is_read_back_and_anything_else_is_refused() {
        let mut all = tuning(&[("a [1,2,3] + b", Some(1000)), ("c", None)]);
        all.set("matmul".into(), vec![]);
        let text = all.to_string();
        assert_eq!(Tuning::parse(&text), Ok(all));
        assert_eq!(Tuning::parse(&Tuning::default().to_string()), Ok(Tuning::default()));
        for end in 0..text.trim_end().len() {
            assert!(!text.is_char_boundary(end) || Tuning::parse(&text[..end]).is_err(), "{end} bytes");
        }
        for damaged in [text.replace("1000", "-1"), text.replacen("node ", "", 1), text.replace("end 2", "end 3"), text.clone() + "more\n"]
        {
            assert!(Tuning::parse(&damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn what_won_has_the_first_and_the_winner() {
        let mut all = tuning(&[("a", Some(10)), ("b", Some(9)), ("c", Some(5))]);
        all.set("unbeaten".into(), vec![trial("a", Some(5)), trial("b", Some(6))]);
        assert_eq!(all.won(), tuning(&[("a", Some(10)), ("c", Some(5))]));
    }

    #[test]
    fn a_name_means_a_kernel_and_more_of_it_a_variant() {
        let name = "matmul_tiled f32 rows_8 [1,2,3]";
        let candidate =
            Candidate { kernel: "matmul_tiled", name: format!("strided_copy f32 [7,1,1] + {name}"), ..candidates(&[""])[0].clone() };
        assert!(candidate.is_called("matmul_tiled") && !candidate.is_called("strided_copy") && candidate.is_called(&candidate.name));
        let candidate = Candidate { kernel: "matmul_tiled", name: name.into(), ..candidates(&[""])[0].clone() };
        assert!(candidate.is_called("matmul_tiled f32 rows_8") && candidate.is_called(name));
        assert!(!candidate.is_called("matmul_tiled f32 rows") && !candidate.is_called("matmul") && !candidate.is_called(""));
    }

    #[test]
    fn newer_trials_replace_older_ones() {
        let mut all = tuning(&[("a", Some(10))]);
        all.extend(&tuning(&[("b", Some(3))]));
        assert!(all.has_tried("conv 3×3", ["b"].into_iter()) && !all.has_tried("conv 3×3", ["a", "b"].into_iter()));
        assert!(!all.has_tried("another node", ["a"].into_iter()));
    }
}
