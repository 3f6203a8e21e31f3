//! `bench` for people.

use std::io::Write;
use std::time::Duration;

use super::compare::Comparison;
use super::record::Record;
use crate::failure::Failure;
use crate::terminal::{Column, bytes, count, digits, fitted_and_told, time};

const COLUMNS: [Column; 15] = [
    Column::new("model", false, Some(10), None),
    Column::new("device", false, None, None),
    Column::new("batch", true, None, None),
    Column::new("size", true, None, None),
    Column::new("median", true, None, None),
    Column::new("min", true, None, Some(5)),
    Column::new("p10", true, None, Some(3)),
    Column::new("p90", true, None, Some(4)),
    Column::new("images/s", true, None, Some(8)),
    Column::new("first run", true, None, Some(2)),
    Column::new("compile", true, None, Some(1)),
    Column::new("weights", true, None, Some(0)),
    Column::new("activations", true, None, Some(0)),
    Column::new("on the CPU", true, None, None),
    Column::new("old ÷ new", true, None, None),
];

/// Nodes on the CPU are listed up to here; `macula inspect` has all.
const LISTED: usize = 8;

/// The devices, a row a line, and what is to be known of them, in tables of at most `width` characters.
pub fn write(out: &mut dyn Write, records: &[Record], comparison: Option<&Comparison>, width: Option<usize>) -> Result<(), Failure> {
    let mut devices: Vec<(&str, &str)> = records.iter().map(|record| (record.label.as_str(), record.adapter.as_str())).collect();
    devices.sort();
    devices.dedup();
    for (label, adapter) in devices {
        writeln!(out, "{label:5}  {adapter}")?;
    }
    let counted = || records.iter().map(|record| record.runs as u64);
    let (fewest, most) = (counted().min().unwrap_or(0), counted().max().unwrap_or(0));
    let to = if fewest < most { format!(" to {}", count(most)) } else { String::new() };
    writeln!(out, "medians of {}{to} runs", count(fewest))?;

    let rows: Vec<Vec<String>> = records.iter().enumerate().map(|(at, record)| row(record, comparison, at)).collect();
    // A column that says nothing of these networks is not one that the terminal was too narrow for.
    let told: Vec<usize> = (0..COLUMNS.len()).filter(|&at| rows.iter().any(|row| row[at] != "–")).collect();
    let columns: Vec<Column> = told.iter().map(|&at| COLUMNS[at]).collect();
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| told.iter().map(|&at| row[at].clone()).collect()).collect();
    writeln!(out, "\n{}", fitted_and_told(&columns, &rows, width))?;
    fallbacks(out, records)?;
    if let Some(comparison) = comparison {
        compared(out, comparison)?;
    }
    Ok(())
}

fn row(record: &Record, comparison: Option<&Comparison>, at: usize) -> Vec<String> {
    let (none, ms) = (|| "–".to_owned(), |ms: f64| time(Duration::from_secs_f64(ms * 1e-3)));
    vec![
        record.model.clone(),
        record.label.clone(),
        record.batch.to_string(),
        record.size.map_or_else(none, |[height, width]| format!("{height}×{width}")),
        ms(record.median_ms),
        ms(record.min_ms),
        ms(record.p10_ms),
        ms(record.p90_ms),
        digits(record.images_per_s),
        ms(record.first_ms),
        ms(record.compile_ms),
        bytes(record.weights_bytes),
        record.peak_bytes.map_or_else(none, bytes),
        match record.fallbacks.len() {
            0 => none(),
            1 => "1 node".into(),
            many => format!("{many} nodes"),
        },
        match comparison.map(|comparison| comparison.old_median(at)) {
            None => none(),
            Some(None) => "new".into(),
            Some(Some(old)) => digits(old / record.median_ms),
        },
    ]
}

/// Which nodes ran on the CPU, once for lines that have the same.
fn fallbacks(out: &mut dyn Write, records: &[Record]) -> Result<(), Failure> {
    let of = |record: &Record| (record.model.clone(), record.label.clone(), record.fallbacks.clone());
    let mut told = vec![];
    for record in records.iter().filter(|record| !record.fallbacks.is_empty()) {
        if told.contains(&of(record)) {
            continue;
        }
        told.push(of(record));
        writeln!(out, "\n{} on {} runs nodes on the CPU:", record.model, record.label)?;
        for fallback in record.fallbacks.iter().take(LISTED) {
            writeln!(out, "  `{}` ({}): {}", fallback.node, fallback.op, fallback.reason)?;
        }
        match record.fallbacks.len() {
            0..=LISTED => {}
            all => writeln!(out, "  and {} more; `macula inspect` names them", count((all - LISTED) as u64))?,
        }
    }
    Ok(())
}

fn compared(out: &mut dyn Write, comparison: &Comparison) -> Result<(), Failure> {
    writeln!(out, "\nold ÷ new is of medians: above 1, it has become faster.")?;
    match comparison.new_lines() {
        0 => {}
        1 => writeln!(out, "1 line is new: the older figures have none for it.")?,
        lines => writeln!(out, "{} lines are new: the older figures have none for them.", count(lines as u64))?,
    }
    for name in &comparison.gone {
        writeln!(out, "Not measured now: {name}.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::record::{Fallback, tests::record};
    use super::*;

    fn text(records: &[Record], width: Option<usize>) -> String {
        let mut out = vec![];
        write(&mut out, records, None, width).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn on_gpu(nodes: usize) -> Record {
        let node = |at| Fallback { node: format!("node{at}"), op: "Conv", reason: "no kernel".into() };
        Record { device: "gpu".into(), label: "gpu".into(), adapter: "GPU".into(), fallbacks: (0..nodes).map(node).collect(), ..record() }
    }

    #[test]
    fn narrow_terminals_lose_columns_but_never_nodes_on_the_cpu() {
        let records = [Record { runs: 1200, ..record() }, on_gpu(2)];
        let all = text(&records, None);
        for what in ["cpu    CPU, 3 threads\n", "gpu    GPU\n", "medians of 11 to 1,200 runs", "5×7", "20.0 ms", "200", "3 MiB", "2 nodes"]
        {
            assert!(all.contains(what), "no `{what}` in\n{all}");
        }
        assert!(!all.contains("old ÷ new") && !all.contains("activations"), "columns that say nothing:\n{all}");
        for width in 55..140 {
            let text = text(&records, Some(width));
            let table: Vec<&str> = text.lines().skip(4).take(6).collect();
            assert!(table.iter().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            assert!(text.contains("2 nodes") && text.contains("`node1` (Conv): no kernel"));
        }
        assert!(text(&records, Some(60)).contains("Left out for want of width: weights"));
    }

    #[test]
    fn nodes_on_the_cpu_are_named_once() {
        let text = text(&[on_gpu(10), Record { batch: 5, ..on_gpu(10) }, on_gpu(1)], None);
        assert_eq!(text.matches("runs nodes on the CPU").count(), 2, "{text}");
        assert!(text.contains("`node7` (Conv)") && !text.contains("`node8` (Conv)") && text.contains("and 2 more;"), "{text}");
        assert!(text.contains("1 node ") || text.contains("1 node\n"), "{text}");
    }
}
