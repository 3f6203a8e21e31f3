//! What `verify` found, as tables.

use std::io::Write;

use macula::{Graph, NodeCheck, VerifyReport};

use super::{Subject, operators, ops_of};
use crate::failure::Failure;
use crate::terminal::{self, Column, fitted_and_told};

/// A mismatch of shapes is told in the place of the worst element.
const COLUMNS: [Column; 10] = [
    Column::new("node", false, Some(12), None),
    Column::new("op", false, Some(9), Some(2)),
    Column::new("kernel", false, Some(14), Some(3)),
    Column::new("output", false, None, Some(0)),
    Column::new("abs. error", true, None, None),
    Column::new("rel. error", true, None, Some(4)),
    Column::new("at", false, Some(12), None),
    Column::new("got", true, None, Some(1)),
    Column::new("expected", true, None, Some(1)),
    Column::new("beyond", true, None, Some(5)),
];

/// A table of nodes of at most `width` characters.
pub fn table<'a>(checks: impl IntoIterator<Item = &'a NodeCheck>, file: &Graph, width: Option<usize>) -> String {
    fitted_and_told(&COLUMNS, &checks.into_iter().map(|check| row(check, file)).collect::<Vec<_>>(), width)
}

/// Prints the first node that is wrong, the worst ones, and a row for each kind of operator.
pub fn print(out: &mut dyn Write, subject: &Subject<'_>, report: &VerifyReport, top: usize) -> Result<(), Failure> {
    writeln!(out, "{} on {}, every node against the reference", subject.model.name, subject.device)?;
    let (file, width) = (&subject.model.graph, terminal::width());
    let bad = report.nodes.iter().filter(|n| !n.comparison.passed()).count();
    if let Some(first) = report.first_failure() {
        writeln!(out, "\nFirst node beyond its tolerance:\n{}", table([first], file, width))?;
    }
    let worst: Vec<_> = report.worst(top).into_iter().filter(|n| n.comparison.severity > 0.0).collect();
    if !worst.is_empty() {
        writeln!(out, "\nThe worst, by their tolerance:\n{}", table(worst, file, width))?;
    }
    if !report.nodes.is_empty() {
        writeln!(
            out,
            "\nBy operator, with the relative errors of its nodes as powers of ten from ≤ -9 to ≥ 0:\n{}",
            operators::table(report, width)
        )?;
    }
    let total = report.nodes.len();
    match bad {
        0 => writeln!(out, "\nAll {total} node outputs are within tolerance.")?,
        _ => writeln!(out, "\n{bad} of {total} node outputs are beyond tolerance.")?,
    }
    Ok(())
}

/// A node's cells.
pub fn row(check: &NodeCheck, file: &Graph) -> Vec<String> {
    let c = &check.comparison;
    let (at, got, expected) = match (&c.worst, &c.mismatch) {
        (_, Some(mismatch)) => (mismatch.clone(), "–".into(), "–".into()),
        (Some(w), _) => (format!("{:?}", w.at), format!("{:.6}", w.got), format!("{:.6}", w.expected)),
        (None, None) => ("–".into(), "–".into(), "–".into()),
    };
    vec![
        check.node.clone(),
        ops_of(check, file),
        terminal::kernel_names(&check.kernel),
        format!("{}{}", check.dtype, c.shape),
        terminal::error_size(c.worst_absolute),
        terminal::error_size(c.worst_relative),
        at,
        got,
        expected,
        if c.beyond == 0 { "–".into() } else { format!("{} of {}", c.beyond, c.shape.elements()) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use macula::{DType, Device, GraphBuilder, Tensor, ops};

    #[test]
    fn narrow_terminals_get_a_line_a_node() {
        let mut b = GraphBuilder::new("waves");
        let x = b.input("x", DType::F32, [2, 3, 5, 7]);
        let y = b.node("/features/features.3/features.3.0/block/block.2/Sin", ops::Unary::Sin, &[x]).unwrap();
        b.output("y", y);
        let graph = b.finish().unwrap();
        let x = Tensor::new([2, 3, 5, 7], (0..210).map(|i| i as f32 * 0.37).collect::<Vec<_>>()).unwrap();
        let report = Device::cpu().compile(graph.clone()).unwrap().verify(&[("x", x.view())]).unwrap();
        let of = |width| [table(&report.nodes, &graph, width), operators::table(&report, width)];
        assert!(of(None)[0].contains("block.2/Sin") && !of(None)[0].contains("Left out"));
        for width in [50, 60, 80, 120] {
            let [nodes, operators] = of(Some(width));
            assert!(nodes.contains("/feat") && nodes.contains("abs. error") && nodes.contains("  at"), "{nodes}");
            for text in [nodes, operators] {
                let lines = || text.lines().filter(|line| !line.starts_with("Left out"));
                assert!(lines().all(|line| line.chars().count() <= width) && lines().count() == 5, "{width}: {text}");
            }
        }
        assert!(of(Some(50))[0].contains("Left out for want of width: "));
    }
}
