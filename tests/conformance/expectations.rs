//! `expectations.toml`: the cases that do not pass, in groups, each with its reason.

use std::collections::BTreeSet;

use serde::Deserialize;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/expectations.toml");

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    /// Groups by reason.
    #[serde(default)]
    pub group: Vec<Group>,
}

/// Cases that do not pass for one reason.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// `out of scope: strings`.
    pub name: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Their names: `node/test_…`.
    pub cases: Vec<String>,
}

impl Expectations {
    /// Reads the file; no case may be listed twice, and every group says why.
    pub fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
        let file: Self = toml::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
        let mut seen = BTreeSet::new();
        for group in &file.group {
            if group.reason.is_empty() {
                return Err(format!("{FILE}: group `{}` has no reason", group.name));
            }
            if let Some(twice) = group.cases.iter().find(|case| !seen.insert(case.as_str())) {
                return Err(format!("{FILE}: `{twice}` is listed twice"));
            }
        }
        Ok(file)
    }
}
