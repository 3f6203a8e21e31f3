//! The public ONNX backend tests: every case on the CPU device and on the GPU, each a test of its own.
//!
//! `expectations.toml` lists the cases that do not pass; every group of it is a test too, which fails if a listed case passes.
//! After a full run the tables of README.md are compared with what was seen; `CONFORMANCE_WRITE=1` writes them.

mod allclose;
mod case;
mod classes;
mod expectations;
mod report;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use macula::Device;

use case::{Case, Suite};
use expectations::{Expectations, Group};
use report::{Record, Report};

/// A device by the name that tests carry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum On {
    Cpu,
    Gpu,
}

impl On {
    const ALL: [On; 2] = [On::Cpu, On::Gpu];

    fn name(self) -> &'static str {
        if self == On::Cpu { "cpu" } else { "gpu" }
    }

    /// The GPU is `MACULA_DEVICE`, or the best adapter, a software one included.
    fn device(self) -> Result<Device, Failed> {
        static GPU: OnceLock<Result<Device, String>> = OnceLock::new();
        let name = || std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
        match self {
            On::Cpu => Ok(Device::cpu()),
            On::Gpu => Ok(GPU.get_or_init(|| Device::from_name(&name()).map_err(|error| error.to_string())).clone()?),
        }
    }
}

/// A case that must pass.
fn passing(case: Arc<Case>, on: On, report: Arc<Mutex<Report>>) -> Trial {
    Trial::test(format!("{}::{}", case.name, on.name()), move || {
        let outcome = case.run(&on.device()?);
        let nodes = outcome.as_ref().map(|ran| (ran.on_gpu, ran.on_cpu)).unwrap_or_default();
        let passed = outcome.as_ref().is_ok_and(|ran| on == On::Cpu || ran.misplaced.is_empty());
        let record = Record { case: case.name.clone(), class: classes::of(&case), suite: case.suite, on, passed, nodes };
        report.lock().map_err(|_| "another test panicked")?.records.push(record);
        let ran = outcome?;
        match on == On::Gpu && !ran.misplaced.is_empty() {
            true => Err(format!("should not be on the CPU: {}", ran.misplaced.join("; ")).into()),
            false => Ok(()),
        }
    })
}

/// A group of cases that must fail, on both devices.
fn failing(group: Group, suite: Arc<Suite>, report: Arc<Mutex<Report>>) -> Trial {
    Trial::test(format!("listed::{}", group.name), move || {
        let mut passing = vec![];
        for name in &group.cases {
            let case = suite.find(name).ok_or_else(|| format!("expectations.toml lists `{name}`, which the suite does not have"))?;
            for on in On::ALL {
                let passed = case.run(&on.device()?).is_ok();
                if passed {
                    passing.push(format!("{name}::{}", on.name()));
                }
                let record = Record { case: name.clone(), class: group.name.clone(), suite: case.suite, on, passed, nodes: (0, 0) };
                report.lock().map_err(|_| "another test panicked")?.records.push(record);
            }
        }
        match passing.is_empty() {
            true => Ok(()),
            false => Err(format!("listed in expectations.toml, but passes: {}", passing.join(", ")).into()),
        }
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(suite) = Suite::find_folder() else {
        let conclusion = libtest_mimic::run(&arguments, allclose::proofs());
        return conclusion.exit_code();
    };
    let suite = Arc::new(suite);
    let expectations = match Expectations::read() {
        Ok(expectations) => expectations,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let listed: BTreeSet<&str> = expectations.group.iter().flat_map(|g| g.cases.iter().map(String::as_str)).collect();
    let report = Arc::new(Mutex::new(Report::default()));

    let mut trials = allclose::proofs();
    for case in suite.cases.iter().filter(|case| !listed.contains(case.name.as_str())) {
        trials.extend(On::ALL.map(|on| passing(case.clone(), on, report.clone())));
    }
    trials.extend(expectations.group.iter().map(|group| failing(group.clone(), suite.clone(), report.clone())));
    let whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list && !arguments.ignored;
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !whole || conclusion.has_failed() {
        return conclusion.exit_code();
    }
    let mut report = std::mem::take(&mut *report.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    let cases = report.write_cases();
    let tables = Trial::test("readme_tables_are_what_was_seen", move || cases.and_then(|()| report.check_readme()).map_err(Failed::from));
    libtest_mimic::run(&arguments, vec![tables]).exit_code()
}
