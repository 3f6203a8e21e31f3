//! Running the program and making files for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one run of the program did.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Whether there is a GPU adapter to test on, a software one included; where there is none, says so.
pub fn has_gpu() -> bool {
    let found = macula(["devices", "--json"]).ok().json()[0]["devices"].as_array().is_some_and(|devices| devices.len() > 1);
    if !found {
        // Not `eprintln!`, which the test harness hides where tests pass.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED on the GPU: no adapter was found\n");
    }
    found
}

/// Runs the program, on the CPU device where the arguments do not say otherwise.
pub fn macula<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_macula"));
    command.args(arguments).env("MACULA_DEVICE", "cpu").env_remove("RUST_LOG");
    // What busy machines measure in tests is not for the user's folder.
    command.env("MACULA_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    let output = command.output().expect("the program starts");
    let run = Run {
        code: output.status.code().unwrap_or_else(|| panic!("{command:?}: {}", output.status)),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    };
    assert!(!run.stderr.contains("panicked"), "{command:?} panicked:\n{}", run.stderr);
    run
}

impl Run {
    /// The run succeeded.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The run failed with this exit code, one line of error, and these words in it.
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in: {}", self.stderr);
        }
        self
    }

    /// Every line of the output as JSON.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A directory that goes when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("macula-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.0.join(name), bytes).unwrap();
        self.path(name)
    }

    /// Writes a `.npy` file of version 1.0.
    pub fn npy(&self, name: &str, descr: &str, shape: &str, data: &[u8]) -> String {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        self.file(name, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A field of a protobuf message that holds bytes, few enough for a length of one byte.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 128).expect("few bytes");
    [&[number << 3 | 2, length], bytes].concat()
}

/// The embedded network's file.
pub fn cifar10() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/cifar10.onnx")
}

/// The embedded picture's file.
pub fn chelsea() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/chelsea.png")
}

/// A file of the third-party test data in `MACULA_DATA`, by default `../shared/data` beside the project; where it is absent, says so.
pub fn data(path: &str) -> Option<String> {
    let folder = match std::env::var_os("MACULA_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    let found = folder.join(path);
    if !found.exists() {
        println!("SKIPPED {path}: {} is absent", found.display());
        return None;
    }
    Some(found.to_str().expect("UTF-8").to_owned())
}
