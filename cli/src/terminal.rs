//! What people see: bars, tables, and numbers with units.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

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

/// The names of the kernels in `name type overrides + name type overrides`, with `×3` where three in a row are the same; the rest is
/// for those who ask for JSON.
pub fn kernel_names(kernels: &str) -> String {
    if kernels.starts_with("CPU") {
        return kernels.to_owned();
    }
    let names: Vec<&str> = kernels.split(" + ").map(|kernel| kernel.split(' ').next().unwrap_or_default()).collect();
    let runs =
        names.chunk_by(|a, b| a == b).map(|run| if run.len() > 1 { format!("{} ×{}", run[0], run.len()) } else { run[0].to_owned() });
    runs.collect::<Vec<_>>().join(" + ")
}

/// The terminal's columns; `None` where the output goes elsewhere and may be as wide as it likes.
pub fn width() -> Option<usize> {
    Table::new().width().map(usize::from)
}

/// A text of at most `width` characters, shortened in the middle: both ends of a name tell layers apart.
pub fn shortened(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let tail = width.saturating_sub(1) / 2;
    let head = width.saturating_sub(1 + tail);
    let ends: String = text.chars().take(head).collect();
    ends + "…" + &text.chars().skip(count - tail).collect::<String>()
}

/// A column of a [`fitted`] table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// Whether it holds numbers.
    pub number: bool,
    /// The narrowest that its cells may be shortened to; `None` for cells that are printed whole or not at all.
    pub least: Option<usize>,
    /// How soon it is left out where the table is too wide: the lowest first; `None` for columns that stay.
    pub dispensable: Option<u8>,
}

impl Column {
    /// A column with all that is to be known of it.
    pub const fn new(title: &'static str, number: bool, least: Option<usize>, dispensable: Option<u8>) -> Self {
        Self { title, number, least, dispensable }
    }
}

/// As [`fitted`], with a line below the table that names the columns left out.
pub fn fitted_and_told(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let (table, mut left_out) = fitted(columns, rows, width);
    // Bars have no title.
    left_out.retain(|title| !title.is_empty());
    match &left_out[..] {
        [] => table,
        titles => format!("{table}\nLeft out for want of width: {}.", titles.join(", ")),
    }
}

/// A table of at most `width` characters, if that is possible: cells are shortened, then columns left out. Also the titles of those.
pub fn fitted(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> (String, Vec<&'static str>) {
    let natural = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([columns[at].title.chars().count()]).max().unwrap_or(0)
    };
    let mut shown: Vec<(usize, usize)> = (0..columns.len()).map(|at| (at, natural(at))).collect();
    let mut left_out = vec![];
    if let Some(width) = width {
        let least = |&(at, natural): &(usize, usize)| {
            columns[at].least.map_or(natural, |least| least.max(columns[at].title.chars().count()).min(natural))
        };
        let total = |widths: &mut dyn Iterator<Item = usize>| widths.map(|w| w + 2).sum::<usize>().saturating_sub(1);
        while total(&mut shown.iter().map(least)) > width {
            let next = shown.iter().enumerate().filter_map(|(place, (at, _))| Some((columns[*at].dispensable?, place))).min();
            let Some((_, place)) = next else { break };
            left_out.push(columns[shown.remove(place).0].title);
        }
        let lasts: Vec<usize> = shown.iter().map(least).collect();
        while total(&mut shown.iter().map(|(_, w)| *w)) > width {
            let widest = (0..shown.len()).filter(|&i| shown[i].1 > lasts[i]).max_by_key(|&i| shown[i].1);
            let Some(widest) = widest else { break };
            shown[widest].1 -= 1;
        }
    }
    let header: Vec<&str> = shown.iter().map(|(at, _)| columns[*at].title).collect();
    let right: Vec<usize> = (0..shown.len()).filter(|&place| columns[shown[place].0].number).collect();
    let rows = rows.iter().map(|row| shown.iter().map(|&(at, width)| shortened(&row[at], width)).collect());
    let mut table = styled(&header, rows, &right);
    table.set_content_arrangement(ContentArrangement::Disabled);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    (table.trim_fmt(), left_out)
}

/// A table as wide as the terminal allows; `right` are the columns of numbers.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, right: &[usize]) -> String {
    styled(header, rows, right).trim_fmt()
}

fn styled(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, right: &[usize]) -> Table {
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
    table
}

/// Whether `--quiet` was given: the standard error has warnings and errors only.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From here on there is no progress bar.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// A progress bar on the standard error that counts `what`; nothing where there is little to wait for, and where no bar is drawn.
pub fn progress(total: usize, what: &'static str) -> ProgressBar {
    match total {
        0 | 1 => ProgressBar::hidden(),
        _ => drawn(total, "{bar:40} {pos}/{len} {msg} {per_sec:>12} {eta:>4}").with_message(what),
    }
}

/// A progress bar on the standard error with a message that changes.
pub fn progress_with_message(total: usize) -> ProgressBar {
    drawn(total, "{bar:30} {wide_msg}")
}

/// Every bar, on the standard error.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Nothing is drawn where the standard error is not a terminal, nor with `--quiet`.
fn drawn(total: usize, template: &str) -> ProgressBar {
    if QUIET.load(Ordering::Relaxed) {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    BARS.add(ProgressBar::new(total as u64).with_style(style))
}

/// Prints while no bar is drawn; what is printed within may do so too.
pub fn without_bars<T>(print: impl FnOnce() -> T) -> T {
    thread_local!(static WITHIN: Cell<bool> = const { Cell::new(false) });
    // Bars are locked meanwhile, and would wait for themselves.
    if WITHIN.replace(true) {
        return print();
    }
    let printed = BARS.suspend(print);
    WITHIN.set(false);
    printed
}

/// The standard error, where a bar makes room for what is written; colours reach a terminal only, and nothing else that commands one.
pub struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        without_bars(|| anstream::stderr().write_all(&printable(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        anstream::stderr().flush()
    }
}

/// A writer that passes text, line ends and colours on. Other control characters are written out, as JSON writes them: names in files and of
/// files are anybody's, and could command the terminal.
pub struct Printable<W>(pub W);

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(&printable(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Bytes without control characters but line ends, tabs and colours. Source: ECMA-48, 5.2 to 5.4 and 8.3.117 (SGR).
fn printable(bytes: &[u8]) -> Cow<'_, [u8]> {
    let plain = |byte: &u8| matches!(byte, b'\n' | b'\t' | b' '..=b'~' | 0x80..) && *byte != 0xc2;
    if bytes.iter().all(plain) {
        return bytes.into();
    }
    let (mut printed, mut rest) = (Vec::with_capacity(bytes.len() + 16), bytes);
    while let [first, after @ ..] = rest {
        let colour = rest.strip_prefix(b"\x1b[").and_then(|codes| {
            let length = codes.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')).count();
            (codes.get(length) == Some(&b'm')).then_some(length + 3)
        });
        // The second half of the controls is two bytes in UTF-8.
        let (control, length) = match (first, after.first()) {
            (0xc2, Some(second @ 0x80..=0x9f)) => (Some(second), 2),
            (b'\n' | b'\t', _) => (None, 1),
            (0..b' ' | 0x7f, _) => (Some(first), 1),
            _ => (None, 1),
        };
        let length = colour.unwrap_or(length);
        match control.filter(|_| colour.is_none()) {
            Some(control) => printed.extend(format!("\\u{control:04x}").into_bytes()),
            None => printed.extend_from_slice(&rest[..length]),
        }
        rest = &rest[length..];
    }
    printed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_command_the_terminal() {
        let print = |text: &str| String::from_utf8(printable(text.as_bytes()).into_owned()).unwrap();
        for plain in ["", "größer 日本 █▏ ±µ°\u{a0}\u{85a}", "a\tb\n", "\u{1b}[1m\u{1b}[38;5;9mred\u{1b}[0m"] {
            assert_eq!(print(plain), plain);
        }
        assert_eq!(print("a\u{1b}]0;title\u{7}b"), "a\\u001b]0;title\\u0007b");
        assert_eq!(print("\u{1b}[2J\u{1b}[1\u{1b}[1;m\u{1b}"), "\\u001b[2J\\u001b[1\u{1b}[1;m\\u001b");
        assert_eq!(print("\r\u{8}\u{7f}\u{9b}2J\u{84}\0é"), "\\u000d\\u0008\\u007f\\u009b2J\\u0084\\u0000é");
        // In JSON the same text comes out, whether written as it is or escaped.
        let json = print(&serde_json::to_string("\u{1b}\u{7f}\u{9b}\"\\ é").unwrap());
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "\u{1b}\u{7f}\u{9b}\"\\ é");
        let mut written = vec![];
        Printable(&mut written).write_all(b"a\x1bc").unwrap();
        assert_eq!(written, b"a\\u001bc");
    }

    #[test]
    fn what_is_printed_without_bars_may_print_without_bars() {
        let bar = progress(5, "pictures");
        assert_eq!(without_bars(|| without_bars(|| StandardError.write(b"").map(|bytes| bytes + 7)).unwrap()), 7);
        bar.inc(1);
        assert_eq!((without_bars(|| 3), bar.position()), (3, 1), "bars go on");
    }

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
        assert_eq!(kernel_names("strided_copy f32 AXES=2 + strided_copy f32 AXES=4 + unary f32"), "strided_copy ×2 + unary");
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
    fn names_are_shortened_in_the_middle() {
        assert_eq!(shortened("layer1.0.conv1", 14), "layer1.0.conv1");
        assert_eq!(shortened("layer1.0.conv1", 9), "laye…onv1");
        assert_eq!(shortened("größer", 4), "gr…r");
        assert_eq!(shortened("abc", 1), "…");
    }

    #[test]
    fn fitted_tables_shorten_then_leave_out() {
        let column = |title, number, least, dispensable| Column { title, number, least, dispensable };
        let columns = [
            column("layer", false, Some(8), None),
            column("MFLOP", true, None, None),
            column("runs as", false, Some(9), Some(1)),
            column("centre", true, None, Some(0)),
        ];
        let rows = vec![
            vec!["features.denseblock4.denselayer16.conv2".into(), "12.5".into(), "conv2d_implicit_gemm".into(), "15.5".into()],
            vec!["relu".into(), "0.25".into(), "unary".into(), "1".into()],
        ];
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap();
        let (all, left_out) = fitted(&columns, &rows, None);
        assert!(all.contains("features.denseblock4.denselayer16.conv2") && left_out.is_empty(), "{all}");
        for width in 22..90 {
            let (text, left_out) = fitted(&columns, &rows, Some(width));
            assert!(widest(&text) <= width, "{width}: {text}");
            assert_eq!(text.lines().count(), 6, "no line is wrapped: {text}");
            assert_eq!(left_out.contains(&"runs as"), !text.contains("runs as"));
            assert!(left_out.first().is_none_or(|first| *first == "centre"));
        }
        let (narrow, left_out) = fitted(&columns, &rows, Some(26));
        assert_eq!(left_out, ["centre", "runs as"]);
        assert!(narrow.contains("features.…16.conv2"), "{narrow}");
    }

    #[test]
    fn tables_align_numbers_to_the_right() {
        let text = table(&["node", "ms"], [vec!["a".into(), "1.5".into()], vec!["b".into(), "12.25".into()]], &[1]);
        assert!(text.lines().any(|l| l.ends_with("  1.5") || l.ends_with("  1.5 ")), "{text}");
    }
}
