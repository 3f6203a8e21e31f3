//! The third-party models that some tests read: `MACULA_DATA`, by default `../shared/data` beside the project.

use std::path::PathBuf;

/// The folder, whether it is there or not.
pub fn folder() -> PathBuf {
    match std::env::var_os("MACULA_DATA") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    }
}

/// A file or folder of it; where it is absent, says so in one line.
pub fn find(path: &str) -> Option<PathBuf> {
    let found = folder().join(path);
    if !found.exists() {
        println!("SKIPPED {path}: {} is absent", found.display());
        return None;
    }
    Some(found)
}
