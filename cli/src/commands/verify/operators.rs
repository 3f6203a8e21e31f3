//! How far each kind of operator is off.

use std::collections::BTreeMap;

use macula::{NodeCheck, VerifyReport};
use serde_json::{Value, json};

use crate::terminal::{self, Column, fitted_and_told};

/// The exponent of the first column of a histogram, which also counts what is smaller; the last counts 1 and more.
const LEAST: i32 = -9;
const COLUMNS: usize = 10;

/// The nodes of one operator.
struct Family<'a> {
    op: &'a str,
    /// Relative errors in order, NaN last.
    errors: Vec<f64>,
    beyond: usize,
}

impl Family<'_> {
    fn exact(&self) -> usize {
        self.errors.iter().filter(|error| **error == 0.0).count()
    }

    fn median(&self) -> f64 {
        self.errors[(self.errors.len() - 1) / 2]
    }

    fn worst(&self) -> f64 {
        self.errors[self.errors.len() - 1]
    }

    /// How many nodes have a relative error of each power of ten; those without any error are not among them.
    fn histogram(&self) -> [usize; COLUMNS] {
        let mut counts = [0; COLUMNS];
        for error in self.errors.iter().filter(|error| **error != 0.0) {
            // As many as there are columns for what is no number.
            let power = error.log10().floor();
            let column = if power.is_nan() { COLUMNS } else { (power as i32).saturating_sub(LEAST).max(0) as usize };
            counts[column.min(COLUMNS - 1)] += 1;
        }
        counts
    }
}

/// The worst first.
fn families(report: &VerifyReport) -> Vec<Family<'_>> {
    let mut by_op: BTreeMap<&str, Vec<&NodeCheck>> = BTreeMap::new();
    for check in &report.nodes {
        by_op.entry(check.op).or_default().push(check);
    }
    let family = |(op, checks): (_, Vec<&NodeCheck>)| {
        let relative =
            |check: &&NodeCheck| if check.comparison.mismatch.is_some() { f64::NAN } else { check.comparison.worst_relative.abs() };
        let mut errors: Vec<f64> = checks.iter().map(relative).collect();
        errors.sort_by(f64::total_cmp);
        Family { op, errors, beyond: checks.iter().filter(|check| !check.comparison.passed()).count() }
    };
    let mut families: Vec<Family<'_>> = by_op.into_iter().map(family).collect();
    families.sort_by(|a, b| b.beyond.cmp(&a.beyond).then(b.worst().total_cmp(&a.worst())));
    families
}

/// A row for each operator, in a table of at most `width` characters.
pub fn table(report: &VerifyReport, width: Option<usize>) -> String {
    let row = |family: Family<'_>| {
        vec![
            family.op.to_owned(),
            family.errors.len().to_string(),
            family.exact().to_string(),
            family.beyond.to_string(),
            terminal::error_size(family.worst()),
            terminal::error_size(family.median()),
            spark(&family.histogram()),
        ]
    };
    let columns = [
        Column::new("op", false, Some(9), None),
        Column::new("outputs", true, None, Some(1)),
        Column::new("exact", true, None, Some(0)),
        Column::new("beyond", true, None, None),
        Column::new("worst", true, None, None),
        Column::new("median", true, None, Some(2)),
        Column::new("10⁻⁹ … 1", false, None, Some(3)),
    ];
    fitted_and_told(&columns, &families(report).into_iter().map(row).collect::<Vec<_>>(), width)
}

/// For programs.
pub fn json(report: &VerifyReport) -> Value {
    let one = |family: Family<'_>| {
        json!({
            "op": family.op,
            "outputs": family.errors.len(),
            "exact": family.exact(),
            "beyond": family.beyond,
            "worst_relative": family.worst(),
            "median_relative": family.median(),
            "histogram": { "least_log10": LEAST, "counts": family.histogram() },
        })
    };
    families(report).into_iter().map(one).collect()
}

/// A column of eighths for each count, as high as its share of the largest; a dot for none.
fn spark(counts: &[usize]) -> String {
    const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    counts.iter().map(|&count| if count == 0 { '·' } else { EIGHTHS[(count * 8).div_ceil(most) - 1] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(errors: &[f64]) -> Family<'static> {
        Family { op: "Conv", errors: errors.to_vec(), beyond: 0 }
    }

    #[test]
    fn errors_are_counted_by_their_powers_of_ten() {
        let all = family(&[0.0, 0.0, 1e-30, 3e-9, 2e-7, 9.9e-7, 0.5, 1.0, 1e9, f64::INFINITY, f64::NAN]);
        assert_eq!(all.histogram(), [2, 0, 2, 0, 0, 0, 0, 0, 1, 4]);
        assert_eq!((all.exact(), all.median()), (2, 9.9e-7));
        assert!(all.worst().is_nan());
    }

    #[test]
    fn the_highest_column_is_full_and_none_is_lost() {
        assert_eq!(spark(&[0, 1, 400, 200]), "·▁█▄");
        assert_eq!(spark(&[0, 0]), "··");
    }
}
