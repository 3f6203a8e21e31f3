//! The file that compiled pipelines are kept in between runs of a program: its format.
//!
//! `macula pipelines 1\n`, the key, the pipelines, the driver's data, each after its length, and a checksum of all that.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::cache_folder::{CacheFile, hash};

const MAGIC: &[u8] = b"macula pipelines 1\n";

/// The file of pipelines of an adapter and driver.
#[derive(Debug)]
pub(super) struct PipelineFile(CacheFile);

/// What the file holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Contents {
    /// Hashes of the variants whose pipelines are in the data.
    pub variants: BTreeSet<u64>,
    /// What the driver gave.
    pub data: Vec<u8>,
}

impl PipelineFile {
    /// The file of an adapter below `folder`. Another driver or version of macula has another one.
    pub fn new(folder: &Path, adapter: &wgpu::AdapterInfo) -> Self {
        Self(CacheFile::new(folder, adapter, env!("CARGO_PKG_VERSION"), "pipelines"))
    }

    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What the file holds; nothing where it is absent, and, with a warning, where it is not what this program would have written.
    pub fn read(&self) -> Contents {
        match self.try_read() {
            Ok(contents) => contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Contents::default(),
            Err(error) => {
                log::warn!("{}: {error}; pipelines are compiled anew", self.path().display());
                Contents::default()
            }
        }
    }

    fn try_read(&self) -> io::Result<Contents> {
        self.decode(&self.0.read()?).map_err(io::Error::other)
    }

    /// Replaces the file.
    pub fn write(&self, contents: &Contents) -> io::Result<()> {
        self.0.replace(&self.encode(contents))
    }

    fn encode(&self, contents: &Contents) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let variants: Vec<u8> = contents.variants.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        for section in [self.0.key.as_bytes(), &variants, &contents.data] {
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
        if key != self.0.key.as_bytes() {
            return Err("for another adapter, driver or version".into());
        }
        let variants = variants.chunks_exact(8).map(|hash| u64::from_le_bytes(hash.try_into().expect("eight bytes"))).collect();
        Ok(Contents { variants, data: data.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::cache_folder::tests::{Folder, adapter};
    use super::*;

    fn cache(folder: &Folder, driver: &str) -> PipelineFile {
        PipelineFile::new(&folder.0, &adapter(driver))
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
        assert_eq!(folder.files(), [cache.path().to_owned()], "no temporary file is left");
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
            fs::write(cache.path(), bytes).unwrap();
            assert_eq!(cache.read(), Contents::default());
        }
        cache.write(&contents(5)).unwrap();
        assert_eq!(cache.read(), contents(5), "it is replaced");
    }

    #[test]
    fn files_of_another_driver_are_not_taken() {
        let folder = Folder::new("foreign");
        let (mine, other) = (cache(&folder, "driver 1"), cache(&folder, "driver 2"));
        assert_ne!(mine.path(), other.path());
        other.write(&contents(3)).unwrap();
        assert_eq!(mine.try_read().unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::rename(other.path(), mine.path()).unwrap();
        assert!(mine.try_read().unwrap_err().to_string().contains("another adapter"));
        assert_eq!(mine.read(), Contents::default());
    }
}
