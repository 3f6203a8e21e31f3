//! Names of classes.

use std::path::Path;

use crate::failure::Failure;
use crate::files;

/// Larger files are not names of classes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The classes of the embedded network.
pub const CIFAR10: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The classes of COCO's detection task, in the order of its published detectors.
pub const COCO: [&str; 80] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
];

/// The labels of a file: one a line, in the order of the model's classes.
///
/// Where every line starts with a WordNet id, as in `n02123045 tabby, tabby cat`, the ids are left out.
pub fn load(path: &Path) -> Result<Vec<String>, Failure> {
    let bytes = files::read(path, MAX_FILE_BYTES).map_err(|why| Failure::failed(format!("{}: {why}", path.display())))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::failed(format!("{}: not a text file in UTF-8; labels are one a line", path.display())))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').trim_end().lines().map(str::trim).collect();
    let bare: Option<Vec<&str>> = lines.iter().map(|line| without_wordnet_id(line)).collect();
    bare.unwrap_or(lines).into_iter().map(str::to_owned).collect()
}

fn without_wordnet_id(line: &str) -> Option<&str> {
    let (id, name) = line.split_once(char::is_whitespace)?;
    let digits = id.strip_prefix('n')?;
    (digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| name.trim_start())
}

/// Fails unless there is one label for each of the model's classes.
pub fn check(labels: &[String], file: &Path, model: &str, classes: usize) -> Result<(), Failure> {
    if labels.len() == classes {
        return Ok(());
    }
    let (file, count) = (file.display(), labels.len());
    Err(Failure::failed(format!("{file} has {count} labels, {model} has {classes} classes; give the labels the model was trained with")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordnet_ids_are_left_out() {
        assert_eq!(parse("n02123045 tabby, tabby cat\nn02123159 tiger cat\n"), ["tabby, tabby cat", "tiger cat"]);
    }

    #[test]
    fn plain_lines_stay_as_they_are() {
        assert_eq!(parse("\u{feff}background\r\ntench, Tinca tinca\r\n\r\n"), ["background", "tench, Tinca tinca"]);
        assert_eq!(parse("n02123045 tabby\nnot an id"), ["n02123045 tabby", "not an id"]);
        assert_eq!(parse("a\n\nb"), ["a", "", "b"]);
    }

    #[test]
    fn counts_are_compared() {
        let labels = vec!["a".to_owned(); 3];
        let error = check(&labels, Path::new("l.txt"), "m.onnx", 4).unwrap_err().to_string();
        assert!(error.contains("l.txt has 3 labels, m.onnx has 4 classes"), "{error}");
        assert!(check(&labels, Path::new("l.txt"), "m.onnx", 3).is_ok());
    }
}
