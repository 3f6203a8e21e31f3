//! Files that are kept between runs of a program, one of a kind for each adapter and driver: their folder, their names, and writing them
//! whole or not at all.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use crate::plan::Kernel;

/// A larger file is started anew: drivers never forget a pipeline.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// So many files of a kind are kept in the folder, the newest ones: adapters and drivers change.
pub(super) const MAX_FILES: usize = 8;

/// A temporary file as old as this belongs to a program that died.
pub(super) const ABANDONED: Duration = Duration::from_secs(3600);

/// The folder for cached files of this user: below `XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`.
pub(super) fn user_folder() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(windows) {
        from("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        from("HOME").map(|home| home.join("Library/Caches"))
    } else {
        from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("macula"))
}

/// A kept file and whom it is for.
#[derive(Debug)]
pub(super) struct CacheFile {
    pub path: PathBuf,
    /// The adapter, its driver, and what else the file depends on.
    pub key: String,
    ending: &'static str,
}

impl CacheFile {
    /// The file with this ending of an adapter, below `folder`. Another driver or `version` has another one.
    pub fn new(folder: &Path, adapter: &wgpu::AdapterInfo, version: &str, ending: &'static str) -> Self {
        let wgpu::AdapterInfo { name, vendor, device, driver, driver_info, backend, .. } = adapter;
        let key = format!("macula {version}\n{backend}\n{vendor:x}:{device:x} {name}\n{driver}\n{driver_info}");
        let file = format!("{backend}-{vendor:04x}-{device:04x}-{:016x}.{ending}", hash(key.as_bytes())).to_lowercase();
        Self { path: folder.join(file), key, ending }
    }

    /// Its bytes.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        File::open(&self.path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::Error::other(format!("larger than {MAX_BYTES} bytes")));
        }
        Ok(bytes)
    }

    /// What [`CacheFile::replace_text`] has written; `None` where there is no file.
    pub fn read_text(&self) -> io::Result<Option<String>> {
        let bytes = match self.read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not text"))?;
        match text.strip_prefix(&self.head()) {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(io::Error::other("it is for another adapter, driver or version")),
        }
    }

    /// Replaces the file by a text, with the key before it.
    pub fn replace_text(&self, text: impl Display) -> io::Result<()> {
        self.replace(format!("{}{text}", self.head()).as_bytes())
    }

    fn head(&self) -> String {
        format!("{}\n\n", self.key)
    }

    /// Replaces the file: readers see the old one or the new one, and of two writers the last one wins. Too many bytes are not kept.
    pub fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > MAX_BYTES {
            log::debug!("{}: {} bytes are too many to keep", self.path.display(), bytes.len());
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let (mut file, temporary) = self.create_temporary()?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.tidy(folder)
    }

    /// A new file beside this one. A program that died may have had the number of this one, and in containers all have the same.
    fn create_temporary(&self) -> io::Result<(File, PathBuf)> {
        static WRITES: AtomicU32 = AtomicU32::new(0);
        loop {
            let unique = format!("{}-{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
            let temporary = self.path.with_extension(unique);
            match File::create_new(&temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(|file| (file, temporary)),
            }
        }
    }

    /// Removes the oldest files of this kind beyond [`MAX_FILES`], and what programs that died have left.
    fn tidy(&self, folder: &Path) -> io::Result<()> {
        let mut files = vec![];
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let modified = entry.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if path.extension() == Some(OsStr::new(self.ending)) && path != self.path {
                files.push((modified, path));
            } else if name.ends_with(".tmp") && modified.elapsed().is_ok_and(|age| age > ABANDONED) {
                remove(&path)?;
            }
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(MAX_FILES);
        files.iter().take(surplus).try_for_each(|(_, path)| remove(path))
    }
}

/// Another program may have been quicker.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The version of what was measured with these kernels: kernels that have changed are others.
pub(super) fn version(kernels: &[&Kernel]) -> String {
    let sources = kernels.iter().flat_map(|k| k.parts.iter().chain([&k.body]).chain(k.tiles)).map(|part| hash(part.source.as_bytes()));
    let bytes: Vec<u8> = sources.flat_map(u64::to_le_bytes).collect();
    format!("{} kernels {:016x}", env!("CARGO_PKG_VERSION"), hash(&bytes))
}

/// FNV-1a, which is the same on every machine and in every version of Rust.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder that goes when the test ends.
    pub struct Folder(pub PathBuf);

    impl Folder {
        pub fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("macula-cache-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        pub fn files(&self) -> Vec<PathBuf> {
            let mut files: Vec<_> = fs::read_dir(&self.0).map_or(vec![], |entries| entries.map(|e| e.unwrap().path()).collect());
            files.sort();
            files
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    pub fn adapter(driver: &str) -> wgpu::AdapterInfo {
        let mut adapter = wgpu::AdapterInfo::new(wgpu::DeviceType::Other, wgpu::Backend::Vulkan);
        (adapter.name, adapter.driver, adapter.vendor, adapter.device) = ("GPU".into(), driver.into(), 0x10de, 7);
        adapter
    }

    fn file(folder: &Folder, driver: &str, ending: &'static str) -> CacheFile {
        CacheFile::new(&folder.0, &adapter(driver), "1", ending)
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_of_the_write_only() {
        let folder = Folder::new("unwritable");
        fs::write(&folder.0, "a file where the folder would be").unwrap();
        let file = file(&folder, "driver 1", "kind");
        assert!(file.replace(b"bytes").is_err());
        assert!(file.read().is_err());
        fs::remove_file(&folder.0).unwrap();
    }

    #[test]
    fn readers_see_one_writer_or_the_other() {
        let folder = Folder::new("writers");
        let file = file(&folder, "driver 1", "kind");
        let bytes = |seed: u8| (0..997u32).map(|i| (i as u8).wrapping_mul(seed)).collect::<Vec<_>>();
        file.replace(&bytes(2)).unwrap();
        std::thread::scope(|scope| {
            for seed in [3, 5, 7] {
                let file = &file;
                scope.spawn(move || (0..20).for_each(|_| file.replace(&bytes(seed)).unwrap()));
            }
            for _ in 0..200 {
                let read = file.read().unwrap();
                assert!([2, 3, 5, 7].iter().any(|seed| read == bytes(*seed)));
            }
        });
        assert_eq!(folder.files(), std::slice::from_ref(&file.path), "no temporary file is left");
    }

    #[test]
    fn what_a_program_of_the_same_number_left_is_not_in_the_way() {
        let folder = Folder::new("same-number");
        let file = file(&folder, "driver 1", "kind");
        fs::create_dir_all(&folder.0).unwrap();
        // As many as tests beside this one may take numbers of meanwhile.
        let left: Vec<_> = (0..500).map(|n| file.path.with_extension(format!("{}-{n}.tmp", std::process::id()))).collect();
        left.iter().for_each(|path| fs::write(path, "half").unwrap());
        file.replace(b"bytes").unwrap();
        assert_eq!(file.read().unwrap(), b"bytes");
        assert!(left.iter().all(|path| path.exists()), "another program may be writing them");
    }

    #[test]
    fn size_and_number_of_files_are_bounded_for_each_kind() {
        let folder = Folder::new("bounded");
        let other_kind = file(&folder, "driver 1", "other");
        other_kind.replace(b"other").unwrap();
        let files: Vec<_> = (0..12).map(|n| file(&folder, &format!("driver {n}"), "kind")).collect();
        for file in &files {
            file.replace(b"bytes").unwrap();
        }
        assert_eq!(folder.files().len(), MAX_FILES + 1);
        assert_eq!(other_kind.read().unwrap(), b"other");
        let last = &files[11];
        assert_eq!(last.read().unwrap(), b"bytes");
        last.replace(&vec![7; MAX_BYTES as usize + 1]).unwrap();
        assert_eq!(last.read().unwrap(), b"bytes", "too much is not written");
        File::create(&last.path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(last.read().unwrap_err().to_string().contains("larger"));
        let abandoned = last.path.with_extension("1-0.tmp");
        let file = File::create(&abandoned).unwrap();
        file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        last.replace(b"again").unwrap();
        assert!(!abandoned.exists());
    }
}
