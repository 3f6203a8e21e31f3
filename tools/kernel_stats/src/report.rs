//! What people and programs read.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};
use serde_json::{Value, json};

use crate::measure::{Measured, Outcome, Row};

/// A column of numbers: its title, and the statistics that it sums up.
const COLUMNS: [(&str, &[&str]); 10] = [
    ("VGPRs", &["VGPRs"]),
    ("SGPRs", &["SGPRs"]),
    ("spilled", &["Spilled VGPRs", "Spilled SGPRs"]),
    ("scratch B", &["Scratch size"]),
    ("LDS B", &["LDS size"]),
    ("waves/SIMD", &["Subgroups per SIMD"]),
    ("instructions", &["Instructions"]),
    ("code B", &["Code size"]),
    ("latency", &["Latency"]),
    ("inv. throughput", &["Inverse Throughput"]),
];

/// A table with a row for each shader.
pub fn table(rows: &[Row], markdown: bool) -> String {
    let mut table = Table::new();
    table.load_style(if markdown { presets::ASCII_MARKDOWN } else { presets::UTF8_HORIZONTAL_ONLY });
    table.set_content_arrangement(if markdown { ContentArrangement::Disabled } else { ContentArrangement::Dynamic });
    let titles = COLUMNS.iter().map(|(title, _)| *title);
    table.set_header(["variant"].into_iter().chain(titles).chain(["multiply-adds", "remarks"]));
    table.add_rows(rows.iter().map(cells));
    if !markdown {
        let style = table.style().row_separator(LineStyle::none());
        table.load_style(style);
    }
    for column in 1..=COLUMNS.len() + 1 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![row.name.clone()];
    match &row.outcome {
        Outcome::NotCompiled { not_compiled } => {
            cells.extend(COLUMNS.iter().map(|_| String::new()));
            cells.extend([String::new(), format!("not compiled: {}", not_compiled.lines().next().unwrap_or_default())]);
        }
        Outcome::Measured(measured) => {
            let sum = |names: &[&str]| names.iter().map(|name| measured.statistics.get(name)).sum::<u64>().to_string();
            cells.extend(COLUMNS.iter().map(|(_, names)| sum(names)));
            cells.extend([share(measured), measured.broken.join("; ")]);
        }
    }
    cells
}

/// The share of multiply-adds: `128 of 141, 91 %`.
fn share(measured: &Measured) -> String {
    let mix = measured.hot_loop.as_ref().map(|hot| hot.mix);
    mix.and_then(|mix| Some(format!("{} of {}, {:.0} %", mix.multiply_adds, mix.vector(), 100.0 * mix.multiply_add_share()?)))
        .unwrap_or_default()
}

/// The disassembly of a shader, its hot loop marked, with what the loop is made of.
pub fn assembly(row: &Row) -> String {
    let measured = match &row.outcome {
        Outcome::NotCompiled { not_compiled } => return format!("{}: not compiled: {not_compiled}\n", row.name),
        Outcome::Measured(measured) if measured.assembly.is_empty() => return format!("{}: the driver has no disassembler\n", row.name),
        Outcome::Measured(measured) => measured,
    };
    let mut text = format!("{}:\n", row.name);
    for (number, line) in measured.assembly.lines().enumerate() {
        let code = line.split(';').next().unwrap_or_default().trim_end().replace('\t', "    ");
        let hot = measured.hot_loop.as_ref().is_some_and(|hot| hot.lines.contains(&number));
        text.push_str(if hot { "| " } else { "  " });
        text.push_str(&code);
        text.push('\n');
    }
    if let Some(hot) = &measured.hot_loop {
        text.push_str(&format!("hot loop {}: {}\n", hot.label, json!(hot.mix)));
    }
    text
}

/// How many shaders break a bar.
pub fn breaking(rows: &[Row]) -> usize {
    rows.iter().filter(|row| matches!(&row.outcome, Outcome::Measured(m) if !m.broken.is_empty())).count()
}

/// The last line: how many were compiled, and how many break a bar.
pub fn summary(rows: &[Row]) -> String {
    let left = rows.iter().filter(|row| matches!(row.outcome, Outcome::NotCompiled { .. })).count();
    let left = if left > 0 { format!("; {left} not compiled") } else { String::new() };
    format!("{} of {} variants break a bar{left}", breaking(rows), rows.len())
}

/// All of it for programs.
pub fn json(family: &str, device: &str, rows: &[Row]) -> Value {
    json!({ "family": family, "device": device, "breaking": breaking(rows), "variants": rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::hot_loop;
    use crate::vulkan::Statistics;

    fn rows() -> Vec<Row> {
        let assembly = "BB1:\n\tv_fmac_f32_e32 v0, v1, v2 ; 0\n\tv_mov_b32_e32 v3, v0 ; 0\n\ts_branch BB1 ; 0\n\ts_endpgm ; 0\n".to_owned();
        let statistics = Statistics([("VGPRs".to_owned(), 24), ("Spilled VGPRs".to_owned(), 2), ("Spilled SGPRs".to_owned(), 3)].into());
        let measured = Measured {
            statistics,
            main_tile: true,
            hot_loop: hot_loop(&assembly),
            broken: vec!["registers".into(), "share".into()],
            assembly,
        };
        vec![
            Row { name: "matmul f32".into(), outcome: Outcome::Measured(Box::new(measured)) },
            Row { name: "matmul f16".into(), outcome: Outcome::NotCompiled { not_compiled: "no 16-bit floats\nat all".into() } },
        ]
    }

    #[test]
    fn the_table_has_every_shader() {
        for markdown in [false, true] {
            let text = table(&rows(), markdown);
            assert!(text.contains("1 of 2, 50 %") && text.contains("registers; share"), "{text}");
            assert!(text.contains("not compiled: no 16-bit floats") && !text.contains("at all"), "{text}");
            let first = text.lines().find(|l| l.contains("matmul f32")).unwrap();
            assert!(first.split(|c: char| !c.is_alphanumeric()).any(|word| word == "5"), "both kinds of registers are counted: {first}");
        }
    }

    #[test]
    fn the_summary_counts_what_breaks_and_what_is_missing() {
        assert_eq!(summary(&rows()), "1 of 2 variants break a bar; 1 not compiled");
        assert_eq!(summary(&rows()[..1]), "1 of 1 variants break a bar");
        assert_eq!(breaking(&rows()[1..]), 0, "what is not compiled breaks nothing");
    }

    #[test]
    fn the_disassembly_marks_the_hot_loop() {
        let text = assembly(&rows()[0]);
        assert!(text.contains("|     v_fmac_f32_e32 v0, v1, v2\n") && text.contains("      s_endpgm\n"), "{text}");
        assert!(text.contains("hot loop BB1: {") && text.contains("\"moves\":1"), "{text}");
        assert!(assembly(&rows()[1]).contains("not compiled"));
    }

    #[test]
    fn programs_get_everything() {
        let value = json("navi21", "Null hardware", &rows());
        assert_eq!(value["breaking"], 1);
        assert_eq!(value["variants"][0]["statistics"]["VGPRs"], 24);
        assert_eq!(value["variants"][0]["hot_loop"]["mix"]["multiply_adds"], 1);
        assert_eq!(value["variants"][0]["broken"][1], "share");
        assert_eq!(value["variants"][1]["not_compiled"], "no 16-bit floats\nat all");
    }
}
