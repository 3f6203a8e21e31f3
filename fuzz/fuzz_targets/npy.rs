//! Bytes as a `.npy` file, read by the program's own reader.

#![no_main]

#[path = "../../cli/src/failure.rs"]
#[allow(dead_code)]
mod failure;
#[path = "../../cli/src/files.rs"]
#[allow(dead_code)]
mod files;
#[path = "../../cli/src/npy.rs"]
#[allow(dead_code)]
mod npy;
#[path = "../../cli/src/terminal.rs"]
#[allow(dead_code)]
mod terminal;

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("macula-fuzz-{}.npy", std::process::id()))
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let Ok(tensor) = npy::read(&FILE) else { return };
    // What was read is written and read again unchanged.
    npy::write(&FILE, &tensor).unwrap();
    assert_eq!(npy::read(&FILE).unwrap(), tensor);
});
