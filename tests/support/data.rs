//! The third-party models that some tests read: `MACULA_DATA`, by default `../shared/data` beside the project.

use std::io::Write;
use std::path::PathBuf;

/// A file or folder of the data; where it is absent, says so in one line.
pub fn find(path: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("MACULA_DATA") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    let found = folder.join(path);
    if found.exists() {
        return Some(found);
    }
    // Not `eprintln!`, which the test harness hides where tests pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED {path}: {} is absent", found.display());
    None
}
