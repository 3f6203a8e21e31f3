//! Files that are written whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Writes a file under another name first, so that no reader ever sees half of it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let temporary = temporary(path);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // The error that matters is the one being returned.
        let _ = fs::remove_file(&temporary);
    });
    written.map_err(|e| unwritable(path, &e))
}

/// Whether a file can be written, found out before long work for it.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    let temporary = temporary(path);
    let created = if path.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { fs::write(&temporary, []) };
    created.and_then(|()| fs::remove_file(&temporary)).map_err(|e| unwritable(path, &e))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: cannot be written: {error}", path.display()))
}

/// Makes a directory for outputs, with those above it.
pub fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|e| Failure::failed(format!("{}: cannot be made a directory for outputs: {e}", path.display())))
}

/// A value's name as a file name that every system takes and that stays in its directory.
pub fn stem(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let stem: String = name.chars().map(keep).take(120).collect();
    let stem = stem.trim_matches(['_', '.']);
    if stem.is_empty() { "output".to_owned() } else { stem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_files_that_stay_in_their_directory() {
        assert_eq!(stem("/model/Softmax:0"), "model_Softmax_0");
        assert_eq!(stem("../../etc/passwd"), "etc_passwd");
        assert_eq!(stem("日本"), "output");
        assert_eq!(stem("a.b-c"), "a.b-c");
    }
}
