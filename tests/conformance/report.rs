//! The tables of README.md: how many cases pass, by suite and by class.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::On;
use crate::case::SUITES;
use crate::classes;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// What the tables stand between.
const BEGIN: &str = "<!-- conformance: written by `CONFORMANCE_WRITE=1 cargo test --workspace --test conformance` -->\n";
const END: &str = "<!-- end of conformance -->\n";

/// Every case on each device, for those who look closer.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/conformance.tsv");

/// One case on one device.
pub struct Record {
    /// `node/test_abs`.
    pub case: String,
    /// The class of its operators, or the group that lists it.
    pub class: String,
    pub suite: &'static str,
    pub on: On,
    pub passed: bool,
    /// Nodes on the GPU and on the CPU.
    pub nodes: (usize, usize),
}

/// Every case that ran.
#[derive(Default)]
pub struct Report {
    pub records: Vec<Record>,
}

/// Cases, those that pass, and where their nodes run in a GPU session.
#[derive(Default)]
struct Row {
    cases: usize,
    passed_on_cpu: usize,
    passed_on_gpu: usize,
    nodes: (usize, usize),
}

impl Row {
    fn add(&mut self, record: &Record) {
        match record.on {
            On::Cpu => {
                self.cases += 1;
                self.passed_on_cpu += usize::from(record.passed);
            }
            On::Gpu => {
                self.passed_on_gpu += usize::from(record.passed);
                self.nodes = (self.nodes.0 + record.nodes.0, self.nodes.1 + record.nodes.1);
            }
        }
    }
}

impl Report {
    fn rows(&self, key: impl Fn(&Record) -> &str) -> BTreeMap<&str, Row> {
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        for record in &self.records {
            rows.entry(key(record)).or_default().add(record);
        }
        rows
    }

    fn tables(&self) -> String {
        let mut text = String::from("\n| suite | cases | pass on the CPU device | pass on the GPU |\n|---|--:|--:|--:|\n");
        let (suites, classes) = (self.rows(|r| r.suite), self.rows(|r| r.class.as_str()));
        for (name, row) in SUITES.iter().filter_map(|name| Some((name, suites.get(name)?))) {
            let _ = writeln!(text, "| `{name}` | {} | {} | {} |", row.cases, row.passed_on_cpu, row.passed_on_gpu);
        }
        text += "\n| class | cases | pass on the CPU device | pass on the GPU | of their nodes, on the GPU |\n|---|--:|--:|--:|--:|\n";
        let in_scope = classes::names();
        for (name, row) in in_scope.iter().filter_map(|name| Some((name, classes.get(name)?))) {
            let (gpu, cpu) = row.nodes;
            let _ = writeln!(text, "| {name} | {} | {} | {} | {gpu} of {} |", row.cases, row.passed_on_cpu, row.passed_on_gpu, gpu + cpu);
        }
        for (name, row) in classes.iter().filter(|(name, _)| !in_scope.contains(name)) {
            let _ = writeln!(text, "| {name} | {} | {} | {} | – |", row.cases, row.passed_on_cpu, row.passed_on_gpu);
        }
        text + "\n"
    }

    /// Writes every case, its nodes on the GPU and on the CPU included, to `target/conformance.tsv`.
    pub fn write_cases(&mut self) -> Result<(), String> {
        self.records.sort_by(|a, b| (&a.case, a.on.name()).cmp(&(&b.case, b.on.name())));
        let mut text = String::from("case\tdevice\tclass\tpassed\tnodes on the GPU\tnodes on the CPU\n");
        for Record { case, class, on, passed, nodes: (gpu, cpu), .. } in &self.records {
            let _ = writeln!(text, "{case}\t{}\t{class}\t{passed}\t{gpu}\t{cpu}", on.name());
        }
        std::fs::write(CASES, text).map_err(|error| format!("{CASES}: {error}"))
    }

    /// That README.md has these tables; writes them where `CONFORMANCE_WRITE` is set.
    pub fn check_readme(&self) -> Result<(), String> {
        let readme = std::fs::read_to_string(README).map_err(|error| format!("{README}: {error}"))?;
        let lost = || format!("{README} lacks the lines `{}` and `{}`", BEGIN.trim_end(), END.trim_end());
        let from = readme.find(BEGIN).ok_or_else(lost)? + BEGIN.len();
        let to = from + readme[from..].find(END).ok_or_else(lost)?;
        let tables = self.tables();
        if readme[from..to] == tables {
            return Ok(());
        }
        if std::env::var_os("CONFORMANCE_WRITE").is_none() {
            return Err(format!("the tables of README.md are out of date: set CONFORMANCE_WRITE=1 to write them\n{tables}"));
        }
        let text = format!("{}{tables}{}", &readme[..from], &readme[to..]);
        std::fs::write(README, text).map_err(|error| format!("{README}: {error}"))
    }
}
