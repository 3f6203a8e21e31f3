//! The file that compiled pipelines are kept in between runs of a program: its name, its format, and writing it whole or not at all.
//!
//! `macula pipelines 1\n`, the key, the pipelines, the driver's data, each after its length, and a checksum of all that.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

const MAGIC: &[u8] = b"macula pipelines 1\n";

/// A larger file is started anew: drivers never forget a pipeline.
const MAX_BYTES: u64 = 64 << 20;

/// So many files are kept in the folder, the newest ones: adapters and drivers change.
const MAX_FILES: usize = 8;

/// A temporary file as old as this belongs to a program that died.
const ABANDONED: Duration = Duration::from_secs(3600);

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

/// A cache file and whom it is for.
#[derive(Debug)]
pub(super) struct DiskCache {
    path: PathBuf,
    key: String,
}

/// What a cache file holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Contents {
    /// Hashes of the variants whose pipelines are in the data.
    pub variants: BTreeSet<u64>,
    /// What the driver gave.
    pub data: Vec<u8>,
}

impl DiskCache {
    /// The file of an adapter below `folder`. Another driver or version of macula has another one.
    pub fn new(folder: &Path, adapter: &wgpu::AdapterInfo) -> Self {
        let wgpu::AdapterInfo { name, vendor, device, driver, driver_info, backend, .. } = adapter;
        let version = env!("CARGO_PKG_VERSION");
        let key = format!("macula {version}\n{backend}\n{vendor:x}:{device:x} {name}\n{driver}\n{driver_info}");
        let file = format!("{backend}-{vendor:04x}-{device:04x}-{:016x}.pipelines", hash(key.as_bytes())).to_lowercase();
        Self { path: folder.join(file), key }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file holds; nothing where it is absent, and, with a warning, where it is not what this program would have written.
    pub fn read(&self) -> Contents {
        match self.try_read() {
            Ok(contents) => contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Contents::default(),
            Err(error) => {
                log::warn!("{}: {error}; pipelines are compiled anew", self.path.display());
                Contents::default()
            }
        }
    }

    fn try_read(&self) -> io::Result<Contents> {
        let mut bytes = vec![];
        File::open(&self.path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::Error::other(format!("larger than {MAX_BYTES} bytes")));
        }
        self.decode(&bytes).map_err(io::Error::other)
    }

    /// Replaces the file: readers see the old one or the new one, and of two writers the last one wins.
    pub fn write(&self, contents: &Contents) -> io::Result<()> {
        let bytes = self.encode(contents);
        if bytes.len() as u64 > MAX_BYTES {
            log::debug!("{} bytes of pipelines are too many to keep", bytes.len());
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        static WRITES: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{}-{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let temporary = self.path.with_extension(unique);
        let written = File::create_new(&temporary)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.tidy(folder)
    }

    /// Removes the oldest cache files beyond [`MAX_FILES`], and what programs that died have left.
    fn tidy(&self, folder: &Path) -> io::Result<()> {
        let mut files = vec![];
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let modified = entry.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if name.ends_with(".pipelines") && path != self.path {
                files.push((modified, path));
            } else if name.ends_with(".tmp") && modified.elapsed().is_ok_and(|age| age > ABANDONED) {
                remove(&path)?;
            }
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(MAX_FILES);
        files.iter().take(surplus).try_for_each(|(_, path)| remove(path))
    }

    fn encode(&self, contents: &Contents) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let variants: Vec<u8> = contents.variants.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        for section in [self.key.as_bytes(), &variants, &contents.data] {
            bytes.extend_from_slice(&(section.len() as u64).to_le_bytes());
            bytes.extend_from_slice(section);
        }
        bytes.extend_from_slice(&hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(&self, bytes: &[u8]) -> Result<Contents, String> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or("not a cache file of this version")?;
        let mut section = || -> Option<&[u8]> {
            let (length, after) = rest.split_first_chunk::<8>()?;
            let (section, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            rest = after;
            Some(section)
        };
        let (Some(key), Some(variants), Some(data)) = (section(), section(), section()) else {
            return Err("truncated".into());
        };
        let checksum = <[u8; 8]>::try_from(rest).map_err(|_| "truncated, or longer than it says")?;
        if u64::from_le_bytes(checksum) != hash(&bytes[..bytes.len() - checksum.len()]) {
            return Err("damaged: its checksum is another".into());
        }
        if key != self.key.as_bytes() {
            return Err("for another adapter, driver or version".into());
        }
        let variants = variants.chunks_exact(8).map(|hash| u64::from_le_bytes(hash.try_into().expect("eight bytes"))).collect();
        Ok(Contents { variants, data: data.to_vec() })
    }
}

/// Another program may have been quicker.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// FNV-1a, which is the same on every machine and in every version of Rust.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
pub(super) mod tests {
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

    fn cache(folder: &Folder, driver: &str) -> DiskCache {
        let mut adapter = wgpu::AdapterInfo::new(wgpu::DeviceType::Other, wgpu::Backend::Vulkan);
        (adapter.name, adapter.driver, adapter.vendor, adapter.device) = ("GPU".into(), driver.into(), 0x10de, 7);
        DiskCache::new(&folder.0, &adapter)
    }

    fn contents(seed: u8) -> Contents {
        Contents { variants: BTreeSet::from([1, u64::MAX, seed.into()]), data: (0..997).map(|i| (i as u8).wrapping_mul(seed)).collect() }
    }

    #[test]
    fn what_is_written_is_read_and_replaced() {
        let folder = Folder::new("written");
        let cache = cache(&folder, "driver 1");
        assert_eq!(cache.try_read().unwrap_err().kind(), io::ErrorKind::NotFound);
        for seed in [3, 5] {
            cache.write(&contents(seed)).unwrap();
            assert_eq!(cache.read(), contents(seed));
        }
        assert_eq!(folder.files(), std::slice::from_ref(&cache.path), "no temporary file is left");
    }

    #[test]
    fn what_is_truncated_or_damaged_anywhere_is_ignored() {
        let folder = Folder::new("damaged");
        let cache = cache(&folder, "driver 1");
        let whole = cache.encode(&contents(3));
        assert_eq!(cache.decode(&whole), Ok(contents(3)));
        fs::create_dir_all(&folder.0).unwrap();
        for length in 0..whole.len() {
            assert!(cache.decode(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(cache.decode(&damaged).is_err(), "byte {at}");
        }
        for bytes in [&b""[..], b"\0", &[0xff; 5000], &whole[..40], &[&whole[..], b"more"].concat()] {
            fs::write(&cache.path, bytes).unwrap();
            assert_eq!(cache.read(), Contents::default());
        }
        cache.write(&contents(5)).unwrap();
        assert_eq!(cache.read(), contents(5), "it is replaced");
    }

    #[test]
    fn files_of_another_driver_are_not_taken() {
        let folder = Folder::new("foreign");
        let (mine, other) = (cache(&folder, "driver 1"), cache(&folder, "driver 2"));
        assert_ne!(mine.path, other.path);
        other.write(&contents(3)).unwrap();
        assert_eq!(mine.try_read().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::rename(&other.path, &mine.path).unwrap();
        assert!(mine.try_read().unwrap_err().to_string().contains("another adapter"));
        assert_eq!(mine.read(), Contents::default());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_of_the_write_only() {
        let folder = Folder::new("unwritable");
        fs::write(&folder.0, "a file where the folder would be").unwrap();
        let cache = cache(&folder, "driver 1");
        assert!(cache.write(&contents(3)).is_err());
        assert_eq!(cache.read(), Contents::default());
        fs::remove_file(&folder.0).unwrap();
    }

    #[test]
    fn readers_see_one_writer_or_the_other() {
        let folder = Folder::new("writers");
        let cache = cache(&folder, "driver 1");
        cache.write(&contents(2)).unwrap();
        std::thread::scope(|scope| {
            for seed in [3, 5, 7] {
                let cache = &cache;
                scope.spawn(move || (0..20).for_each(|_| cache.write(&contents(seed)).unwrap()));
            }
            for _ in 0..200 {
                let read = cache.try_read().unwrap();
                assert!([2, 3, 5, 7].iter().any(|seed| read == contents(*seed)));
            }
        });
        assert_eq!(folder.files().len(), 1);
    }

    #[test]
    fn size_and_number_of_files_are_bounded() {
        let folder = Folder::new("bounded");
        let caches: Vec<_> = (0..12).map(|n| cache(&folder, &format!("driver {n}"))).collect();
        for cache in &caches {
            cache.write(&contents(3)).unwrap();
        }
        assert_eq!(folder.files().len(), MAX_FILES);
        let last = &caches[11];
        assert_eq!(last.read(), contents(3));
        last.write(&Contents { data: vec![7; MAX_BYTES as usize], ..Contents::default() }).unwrap();
        assert_eq!(last.read(), contents(3), "too much is not written");
        File::create(&last.path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(last.try_read().unwrap_err().to_string().contains("larger"));
        let abandoned = last.path.with_extension("1-0.tmp");
        let file = File::create(&abandoned).unwrap();
        file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        last.write(&contents(5)).unwrap();
        assert!(!abandoned.exists());
    }
}
