//! Tensor data in files beside the model, never outside its folder.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::proto::StringStringEntryProto;

/// Where tensors may find data that is not in the model itself.
pub(super) enum ExternalData {
    /// Nowhere: the model came from memory.
    Refused,
    /// In files of this folder.
    Folder {
        /// The folder as the caller named it.
        folder: PathBuf,
        /// Files that are open already, with their sizes.
        open: HashMap<String, (File, u64)>,
    },
}

impl ExternalData {
    /// For a model in the file `path`.
    pub fn beside(path: &Path) -> Self {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        ExternalData::Folder { folder: folder.to_owned(), open: HashMap::new() }
    }

    /// The `bytes` bytes that `entries` (`location`, `offset`, `length`) point at.
    pub fn find<'a>(&'a mut self, entries: &'a [StringStringEntryProto], bytes: usize) -> Result<Range<'a>, String> {
        let entry = |key: &str| entries.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let location = entry("location").ok_or("external data has no location")?;
        let number = |key: &str| {
            let parse = |v: &str| v.parse::<u64>().map_err(|_| format!("external data in `{location}`: {key} `{v}` is not a number"));
            entry(key).map(parse).transpose()
        };
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(bytes as u64);
        let ExternalData::Folder { folder, open } = self else {
            return Err(format!("its data is in the file `{location}`; load the model by its path"));
        };
        if length != bytes as u64 {
            return Err(format!("external data in `{location}` has {length} bytes, the tensor takes {bytes}"));
        }
        if !open.contains_key(location) {
            open.insert(location.to_owned(), open_inside(folder, location)?);
        }
        let (file, size) = open.get_mut(location).ok_or("external data is not open")?;
        if offset.checked_add(length).is_none_or(|end| end > *size) {
            return Err(format!("external data in `{location}` ends at byte {size}, before {offset} + {length}"));
        }
        Ok(Range { location, file, offset, bytes })
    }
}

/// Bytes of a file that are there.
pub(super) struct Range<'a> {
    location: &'a str,
    file: &'a mut File,
    offset: u64,
    bytes: usize,
}

impl Range<'_> {
    /// Reads them.
    pub fn read(self) -> Result<Vec<u8>, String> {
        let Self { location, file, offset, bytes } = self;
        let mut data = vec![];
        data.try_reserve_exact(bytes).map_err(|error| format!("external data in `{location}`: {bytes} bytes: {error}"))?;
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(bytes as u64).read_to_end(&mut data));
        match read {
            Ok(read) if read == bytes => Ok(data),
            Ok(read) => Err(format!("external data in `{location}` gave {read} of {bytes} bytes")),
            Err(error) => Err(format!("external data in `{location}`: {error}")),
        }
    }
}

/// Opens a regular file of `folder`, following links only where they stay in it.
fn open_inside(folder: &Path, location: &str) -> Result<(File, u64), String> {
    let fail = |what: &dyn std::fmt::Display| format!("external data in `{location}`: {what}");
    let relative = Path::new(location);
    let inside = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !inside {
        return Err(fail(&"only files inside the model's folder are read"));
    }
    let root = folder.canonicalize().map_err(|e| fail(&e))?;
    let path = root.join(relative).canonicalize().map_err(|e| fail(&e))?;
    if !path.starts_with(&root) {
        return Err(fail(&"a link leads out of the model's folder"));
    }
    // A pipe would block when opened, so look first.
    if !path.metadata().map_err(|e| fail(&e))?.is_file() {
        return Err(fail(&"is not a file"));
    }
    let file = File::open(&path).map_err(|e| fail(&e))?;
    let size = file.metadata().map_err(|e| fail(&e))?.len();
    Ok((file, size))
}
