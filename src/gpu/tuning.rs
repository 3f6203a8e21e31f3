//! What a device is known to run fastest: shipped, measured in this program, and kept on disk between programs.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cache_folder::{CacheFile, version};
use super::context::Context;
use crate::plan::{Capabilities, KERNELS, Trial, Tuning, shipped};

/// The file is written at most so often while nodes are measured, and once more at the end.
const BETWEEN_WRITES: Duration = Duration::from_secs(5);

/// The tuning of a context.
pub(super) struct DeviceTuning {
    file: Option<CacheFile>,
    state: Mutex<State>,
}

struct State {
    /// Shipped and measured.
    all: Arc<Tuning>,
    /// Measured on this device, now or by an earlier program.
    measured: Tuning,
    saved: Instant,
}

impl DeviceTuning {
    /// What comes with macula for this adapter, and what was measured on it, from a file in `folder`.
    pub fn new(adapter: &wgpu::AdapterInfo, capabilities: &Capabilities, folder: Option<&Path>) -> Self {
        let file = folder.map(|folder| CacheFile::new(folder, adapter, &version(KERNELS), "tuning"));
        let measured = file.as_ref().map(read).unwrap_or_default();
        let mut all = shipped(&adapter.name, capabilities);
        all.extend(&measured);
        Self { file, state: Mutex::new(State { all: all.into(), measured, saved: Instant::now() }) }
    }
}

/// What the file holds; nothing where it is absent, and, with a warning, where it is not what macula has written for this device.
fn read(file: &CacheFile) -> Tuning {
    let parse = |text: Option<String>| text.map_or_else(|| Ok(Tuning::default()), |text| Tuning::parse(&text).map_err(io::Error::other));
    file.read_text().and_then(parse).unwrap_or_else(|error| {
        log::warn!("{}: {error}; nodes are to be tuned anew", file.path.display());
        Tuning::default()
    })
}

impl Context {
    /// What is known of this device.
    pub fn tuning(&self) -> Arc<Tuning> {
        self.tuning.state.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    /// What was measured on this device.
    pub fn measured(&self) -> Tuning {
        self.tuning.state.lock().unwrap_or_else(PoisonError::into_inner).measured.clone()
    }

    /// Remembers what was measured of a node.
    pub fn learn(&self, signature: String, trials: Vec<Trial>) {
        let mut state = self.tuning.state.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut state.all).set(signature.clone(), trials.clone());
        state.measured.set(signature, trials);
        if state.saved.elapsed() > BETWEEN_WRITES {
            self.tuning.save(&mut state);
        }
    }

    /// Has the file keep what was measured.
    pub fn keep_tuning(&self) {
        self.tuning.save(&mut self.tuning.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl DeviceTuning {
    fn save(&self, state: &mut State) {
        state.saved = Instant::now();
        let Some(file) = &self.file else { return };
        // Another program may have measured meanwhile.
        let mut kept = read(file);
        kept.extend(&state.measured);
        if let Err(error) = file.replace_text(kept) {
            log::warn!("{}: {error}; what was measured is not kept", file.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache_folder::tests::{Folder, adapter};
    use super::*;

    fn device(folder: &Folder, driver: &str) -> DeviceTuning {
        DeviceTuning::new(&adapter(driver), &Capabilities::default(), Some(&folder.0))
    }

    fn learn(device: &DeviceTuning, signature: &str, nanoseconds: u64) {
        let mut state = device.state.lock().unwrap();
        state.measured.set(signature.into(), vec![Trial { candidate: "a".into(), time: Some(Duration::from_nanos(nanoseconds)) }]);
        device.save(&mut state);
    }

    fn measured(device: &DeviceTuning) -> Vec<(String, u128)> {
        let state = device.state.lock().unwrap();
        let all = state.measured.nodes().map(|(signature, trials)| (signature.to_owned(), trials[0].time.unwrap().as_nanos()));
        all.collect()
    }

    #[test]
    fn what_was_measured_is_there_for_the_next_program_and_those_beside() {
        let folder = Folder::new("tuning");
        let (one, beside) = (device(&folder, "1"), device(&folder, "1"));
        assert!(measured(&one).is_empty());
        learn(&one, "conv", 7);
        learn(&beside, "matmul", 5);
        assert_eq!(measured(&device(&folder, "1")), [("conv".into(), 7), ("matmul".into(), 5)]);
        learn(&one, "matmul", 4);
        assert_eq!(measured(&device(&folder, "1")), [("conv".into(), 7), ("matmul".into(), 4)]);
        assert!(measured(&device(&folder, "2")).is_empty(), "another driver");
        let next = device(&folder, "1");
        assert_eq!(next.state.lock().unwrap().all.len(), 2, "the planner sees it");
    }

    #[test]
    fn a_file_that_is_damaged_or_of_another_device_is_ignored() {
        let folder = Folder::new("damaged-tuning");
        let one = device(&folder, "1");
        learn(&one, "conv", 7);
        let path = folder.files().remove(0);
        let whole = std::fs::read(&path).unwrap();
        for bytes in [&whole[..whole.len() - 3], b"", b"\xff\xfe", b"macula tuning 1\nend 0\n"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(measured(&device(&folder, "1")).is_empty());
        }
        learn(&one, "conv", 8);
        assert_eq!(measured(&device(&folder, "1")), [("conv".into(), 8)], "it is replaced");
    }
}
