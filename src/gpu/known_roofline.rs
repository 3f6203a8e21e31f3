//! What a device was measured to reach, in this program or, by a file, an earlier one.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::cache_folder::{CacheFile, version};
use super::roofline::Roofline;
use crate::plan::roofline::{COPY, MULTIPLY_ADD};

/// The roofline of a device, once it was measured.
pub(crate) struct KnownRoofline {
    file: Option<CacheFile>,
    known: Mutex<Option<Roofline>>,
}

impl KnownRoofline {
    /// Of an adapter, with a file in `folder`.
    pub(super) fn new(adapter: &wgpu::AdapterInfo, folder: Option<&Path>) -> Self {
        let mut version = version(&[&MULTIPLY_ADD, &COPY]);
        if adapter.device_type == wgpu::DeviceType::Cpu {
            // A software device is as fast as its machine, and a home folder may be on several.
            version += &format!(", {} threads", std::thread::available_parallelism().map_or(1, |n| n.get()));
        }
        let file = folder.map(|folder| CacheFile::new(folder, adapter, &version, "roofline"));
        Self { file, known: Mutex::default() }
    }

    /// What was measured.
    pub fn get(&self) -> Option<Roofline> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = self.file.as_ref().and_then(read);
        }
        *known
    }

    /// Remembers what was measured, here and in the file.
    pub(super) fn learn(&self, roofline: Roofline) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(roofline);
        let Some(file) = &self.file else { return };
        if let Err(error) = file.replace_text(Kept(roofline)) {
            log::warn!("{}: {error}; the roofline is not kept", file.path.display());
        }
    }
}

/// What the file holds; nothing where it is absent, and, with a warning, where it is not what macula has written for this device.
fn read(file: &CacheFile) -> Option<Roofline> {
    let parse = |text: Option<String>| text.map(|text| parse(&text).ok_or_else(|| io::Error::other("it is damaged"))).transpose();
    file.read_text().and_then(parse).unwrap_or_else(|error| {
        log::warn!("{}: {error}; the roofline is to be measured anew", file.path.display());
        None
    })
}

/// A roofline as the file has it: a line a number, and a last one that tells a whole file.
struct Kept(Roofline);

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Roofline { gflops, gigabytes, launch, .. } = self.0;
        write!(f, "gflops {gflops}\ngigabytes {gigabytes}\nlaunch_ns {}\nend\n", launch.as_nanos())
    }
}

fn parse(text: &str) -> Option<Roofline> {
    let mut lines = text.lines();
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
    let rate = |text: String| text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    let (gflops, gigabytes) = (rate(field("gflops")?)?, rate(field("gigabytes")?)?);
    let launch = Duration::from_nanos(field("launch_ns")?.parse().ok()?);
    lines.eq(["end"]).then_some(Roofline { gflops, gigabytes, launch, kept: true })
}

#[cfg(test)]
mod tests {
    use super::super::cache_folder::tests::{Folder, adapter};
    use super::*;
    use crate::{CacheFolder, Device, DeviceOptions};

    const MEASURED: Roofline = Roofline { gflops: 97.25, gigabytes: 1.0 / 3.0, launch: Duration::from_nanos(27_013), kept: false };

    fn known(folder: &Folder, driver: &str) -> Option<Roofline> {
        KnownRoofline::new(&adapter(driver), Some(&folder.0)).get()
    }

    #[test]
    fn what_was_measured_is_there_for_the_next_program() {
        let folder = Folder::new("roofline");
        let device = KnownRoofline::new(&adapter("1"), Some(&folder.0));
        assert_eq!(device.get(), None);
        device.learn(MEASURED);
        assert_eq!(device.get(), Some(MEASURED), "measured by this program");
        assert_eq!(known(&folder, "1"), Some(Roofline { kept: true, ..MEASURED }));
        assert_eq!(known(&folder, "2"), None, "another driver");
        device.learn(Roofline { gflops: 5.0, ..MEASURED });
        assert_eq!(known(&folder, "1"), Some(Roofline { gflops: 5.0, kept: true, ..MEASURED }), "the last one counts");
        let without = KnownRoofline::new(&adapter("1"), None);
        without.learn(MEASURED);
        assert_eq!((without.get(), folder.files().len()), (Some(MEASURED), 1));
    }

    #[test]
    fn a_file_that_is_damaged_or_of_another_device_is_ignored() {
        let folder = Folder::new("damaged-roofline");
        let device = KnownRoofline::new(&adapter("1"), Some(&folder.0));
        device.learn(MEASURED);
        let path = folder.files().remove(0);
        let whole = std::fs::read_to_string(&path).unwrap();
        let spoiled = [
            whole[..whole.len() - 3].to_owned(),
            whole.replace("97.25", "-97.25"),
            whole.replace("97.25", "NaN"),
            whole.replace("launch_ns", "launch"),
            whole.replace("10de", "1002"),
            whole.clone() + "end\n",
            String::new(),
        ];
        for text in spoiled {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(known(&folder, "1"), None, "{text}");
        }
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(known(&folder, "1"), None);
        device.learn(MEASURED);
        assert_eq!(known(&folder, "1"), Some(Roofline { kept: true, ..MEASURED }), "it is replaced");
    }

    #[test]
    fn devices_read_what_devices_measured() {
        let folder = Folder::new("roofline-of-a-device");
        let name = std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into());
        let open = || {
            let options = DeviceOptions::new().cache(CacheFolder::At(folder.0.clone()));
            Device::from_name_with(&name, &options).expect("run tools/test.sh")
        };
        let kept = || folder.files().into_iter().find(|path| path.extension().is_some_and(|ending| ending == "roofline"));
        assert_eq!(kept(), None);
        let measured = open().roofline().unwrap();
        assert!(!measured.kept);
        assert_eq!(open().roofline().unwrap(), Roofline { kept: true, ..measured });
        assert!(!open().measure_roofline().unwrap().kept, "measured anew where it is known");
        std::fs::write(kept().unwrap(), "spoiled").unwrap();
        assert!(!open().roofline().unwrap().kept, "measured anew where the file is spoiled");
        assert!(open().roofline().unwrap().kept);
    }
}
