//! Files that are written whole or not at all, and read up to a limit.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::failure::Failure;

/// How names of files begin and end that are being written.
const TEMPORARY: [&str; 2] = [".macula-", ".part"];

/// A temporary file as old as this belongs to a program that died.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The bytes of a file of at most `limit`; pipes and devices are read as long. The message of an error does not name the file.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let too_large = || format!("larger than the limit of {} MiB", limit >> 20);
    if file.metadata().is_ok_and(|about| about.len() > limit) {
        return Err(too_large());
    }
    let mut bytes = vec![];
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Writes a file under another name first, so that no reader ever sees half of it. What is no regular file, such as a pipe or a device,
/// is written to.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = match Place::of(path) {
        Place::Stream => fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(bytes)),
        Place::File(target) => replace(&target, bytes),
    };
    written.map_err(|e| unwritable(path, &e))
}

/// Whether a file can be written, found out before long work for it.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    let created = match Place::of(path) {
        _ if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Place::Stream => Ok(()),
        Place::File(target) => create_beside(&target).and_then(|(_, temporary)| fs::remove_file(temporary)),
    };
    created.map_err(|e| unwritable(path, &e))
}

/// What lies where a file is to be written.
enum Place {
    /// A file, links followed, or nothing yet.
    File(PathBuf),
    /// A pipe or a device, which a file must not take the place of.
    Stream,
}

impl Place {
    fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(about) if about.is_file() => Place::File(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())),
            Ok(about) if !about.is_dir() => Place::Stream,
            _ => Place::File(path.to_owned()),
        }
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    remove_abandoned(folder_of(path));
    let (mut file, temporary) = create_beside(path)?;
    // Whoever may read a file may read the one that replaces it, and nobody else. Some disks tell that they are full at the very end.
    let written = match fs::metadata(path) {
        Ok(old) => file.set_permissions(old.permissions()),
        Err(_) => Ok(()),
    };
    let written = written.and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| {
        // The error that matters is the one being returned.
        let _ = fs::remove_file(&temporary);
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file in the folder of `path`, which no other program writes to: not one of this process's number on another machine, either.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let [start, end] = TEMPORARY;
    let mut number = 0;
    loop {
        // Short, for the name itself may be as long as the system allows.
        let temporary = folder_of(path).join(format!("{start}{}-{number}{end}", std::process::id()));
        match File::create_new(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            created => return created.map(|file| (file, temporary)),
        }
    }
}

/// Removes what programs that died have left in a folder.
fn remove_abandoned(folder: &Path) {
    let [start, end] = TEMPORARY;
    let ours = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(start) && name.ends_with(end));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| ours(&entry.file_name())) {
        let modified = entry.metadata().and_then(|about| about.modified()).unwrap_or_else(|_| SystemTime::now());
        if modified.elapsed().is_ok_and(|age| age > ABANDONED) {
            // Another program may have been quicker, and an old file does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
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

    /// A folder that goes when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("macula-files-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_replaced_whole_and_nothing_is_left() {
        let folder = Folder::new("replaced");
        let file = folder.0.join("a");
        std::thread::scope(|scope| {
            for byte in [1u8, 2, 3] {
                let file = &file;
                scope.spawn(move || (0..20).for_each(|_| write(file, &vec![byte; 100 + usize::from(byte)]).unwrap()));
            }
        });
        let bytes = read(&file, 1000).unwrap();
        assert!(bytes.len() == 100 + usize::from(bytes[0]) && bytes.iter().all(|byte| *byte == bytes[0]), "{bytes:?}");
        assert_eq!(folder.names(), ["a"]);
        check_writable(&file).unwrap();
        assert_eq!(folder.names(), ["a"]);
        assert!(write(&folder.0, b"x").is_err() && check_writable(&folder.0).is_err());
        // A name as long as names can be.
        let long = folder.0.join("n".repeat(255));
        write(&long, b"x").unwrap();
        assert_eq!(folder.names().len(), 2);
    }

    #[test]
    fn what_died_programs_left_goes_and_what_lives_stays() {
        let folder = Folder::new("abandoned");
        let old = |name: &str| {
            let file = File::create(folder.0.join(name)).unwrap();
            file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        };
        [".macula-7-0.part", "film.part", ".macula-notes"].into_iter().for_each(old);
        // A program that died had the number of this one.
        let own = format!(".macula-{}-0.part", std::process::id());
        fs::write(folder.0.join(&own), "half").unwrap();
        write(&folder.0.join("a"), b"whole").unwrap();
        assert_eq!(folder.names(), [own.as_str(), ".macula-notes", "a", "film.part"]);
        assert_eq!(fs::read(folder.0.join("a")).unwrap(), b"whole");
    }

    #[test]
    fn files_beyond_the_limit_are_not_read() {
        let folder = Folder::new("limit");
        let file = folder.0.join("a");
        write(&file, &[7; 100]).unwrap();
        assert_eq!(read(&file, 100).unwrap().len(), 100);
        assert!(read(&file, 99).unwrap_err().contains("limit"));
        assert!(read(&folder.0, 99).is_err());
        assert!(read(&folder.0.join("b"), 99).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_links_and_permissions_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        assert!(read(Path::new("/dev/zero"), 1 << 20).unwrap_err().contains("limit of 1 MiB"));
        check_writable(Path::new("/dev/null")).unwrap();
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        if cfg!(target_os = "linux") {
            assert!(write(Path::new("/dev/full"), b"x").unwrap_err().to_string().contains("/dev/full: cannot be written: No space left"));
        }
        let folder = Folder::new("links");
        let [real, link] = ["real", "link"].map(|name| folder.0.join(name));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&real, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
