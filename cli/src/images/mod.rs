//! Pictures: which files are meant, and their pixels as they are meant to be seen.

mod decode;
mod structure;

use std::path::{Path, PathBuf};

use image::RgbImage;

pub use decode::decode;

use crate::failure::Failure;
use crate::files;

/// The endings of the files that a directory stands for.
const ENDINGS: [&str; 15] = ["bmp", "gif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "pam", "tif", "tiff", "webp", "jfif"];

/// Larger files are not pictures that anyone wants classified.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// The files that the arguments stand for, in their order: files, all pictures of a directory, all matches of a glob.
pub fn expand(arguments: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = vec![];
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_dir() {
            files.extend(pictures_in(path)?);
        } else if path.exists() || !argument.contains(['*', '?', '[']) {
            files.push(path.to_owned());
        } else {
            files.extend(matches(argument)?);
        }
    }
    Ok(files)
}

fn pictures_in(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |e: std::io::Error| Failure::failed(format!("{}: {e}", directory.display()));
    let mut files = vec![];
    for entry in std::fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if is_picture(&path) && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::failed(format!("{}: no pictures in this directory ({})", directory.display(), ENDINGS.join(", "))));
    }
    files.sort();
    Ok(files)
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let paths = glob::glob(pattern).map_err(|e| Failure::usage(format!("{pattern}: not a pattern: {e}")))?;
    let mut files = vec![];
    for path in paths {
        let path = path.map_err(|e| Failure::failed(format!("{}: {}", e.path().display(), e.error())))?;
        if path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::failed(format!("{pattern}: no file matches")));
    }
    Ok(files)
}

/// Whether a file's name says that it is a picture.
pub fn is_picture(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
}

/// The pixels of a picture file, turned upright, transparency over white; of an animation, the first frame. The message of an error does
/// not name the file.
pub fn open(path: &Path) -> Result<RgbImage, String> {
    decode(&files::read(path, MAX_FILE_BYTES)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_expanded() {
        let none = expand(&["no/such/*.jpg".into()]).unwrap_err().to_string();
        assert!(none.contains("no file matches"), "{none}");
        assert_eq!(expand(&["missing.jpg".into()]).unwrap(), [PathBuf::from("missing.jpg")]);
        assert!(is_picture(Path::new("a/B.JPG")) && !is_picture(Path::new("x.npy")));
    }
}
