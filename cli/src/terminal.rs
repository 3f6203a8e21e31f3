//! What people see: bars, tables, and numbers with units.

use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of `width` cells filled to `fraction`, in eighths of a cell, without trailing blanks.
pub fn bar(fraction: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let filled = (fraction.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    "█".repeat(filled / 8) + EIGHTHS[filled % 8]
}

/// A time in the unit that shows three digits.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    format!("{} {unit}", digits(value))
}

/// A number with three significant digits below a thousand.
pub fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// A size in bytes with its binary unit.
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value >= 1024.0 {
            (value, unit) = (value / 1024.0, larger);
        }
    }
    if value.fract() == 0.0 { format!("{value} {unit}") } else { format!("{} {unit}", digits(value)) }
}

/// A count with its thousands apart.
pub fn count(count: impl TryInto<u64>) -> String {
    indicatif::HumanCount(count.try_into().unwrap_or(u64::MAX)).to_string()
}

/// An error as `verify` prints it.
pub fn error_size(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:.1e}") }
}

/// The names of the kernels in `name type overrides + name type overrides`; the rest is for those who ask for JSON.
pub fn kernel_names(kernels: &str) -> String {
    if kernels.starts_with("CPU") {
        return kernels.to_owned();
    }
    kernels.split(" + ").map(|kernel| kernel.split(' ').next().unwrap_or_default()).collect::<Vec<_>>().join(" + ")
}

/// A table as wide as the terminal allows; `right` are the columns of numbers.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    table.add_rows(rows);
    // Rows are told apart by their first column; lines between them would only be noise.
    let style = table.style().row_separator(comfy_table::LineStyle::none());
    table.load_style(style);
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// A progress bar on the standard error; nothing where that is not a terminal, where there is little to wait for or `quiet` is set.
pub fn progress(total: usize, what: &'static str, quiet: bool) -> ProgressBar {
    if quiet || total < 2 {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    let template = "{bar:40} {pos}/{len} {msg} {per_sec:>12} {eta:>4}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_eighths() {
        assert_eq!(bar(0.5, 10), "█████");
        assert_eq!(bar(1.0 / 16.0, 2), "▏");
        assert_eq!(bar(7.0, 3), "███");
        assert_eq!(bar(0.0, 3), "");
    }

    #[test]
    fn kernels_go_by_their_names() {
        assert_eq!(kernel_names("conv2d_direct f32 rows_16 HAS_BIAS=1 + unary f32 ACTIVATION=1"), "conv2d_direct + unary");
        assert_eq!(kernel_names("CPU: the device has no f64 in shaders"), "CPU: the device has no f64 in shaders");
        assert_eq!(kernel_names("view"), "view");
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(128 << 20), "128 MiB");
        assert_eq!(bytes(1_500_000), "1.43 MiB");
    }

    #[test]
    fn times_choose_their_unit() {
        assert_eq!(time(Duration::from_micros(4_120)), "4.12 ms");
        assert_eq!(time(Duration::from_nanos(31_400)), "31.4 µs");
        assert_eq!(time(Duration::from_millis(12_340)), "12.3 s");
    }

    #[test]
    fn tables_align_numbers_to_the_right() {
        let text = table(&["node", "ms"], [vec!["a".into(), "1.5".into()], vec!["b".into(), "12.25".into()]], &[1]);
        assert!(text.lines().any(|l| l.ends_with("  1.5") || l.ends_with("  1.5 ")), "{text}");
    }
}
