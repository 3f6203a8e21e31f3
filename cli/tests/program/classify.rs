//! `macula classify`.

use crate::support::{Scratch, chelsea, cifar10, data, has_gpu, macula};

#[test]
fn without_arguments_the_embedded_cat_is_a_cat() {
    let run = macula(["classify"]).ok();
    let (device, rest) = run.stdout.split_once('\n').unwrap();
    assert!(device.starts_with("device  CPU, ") && device.ends_with(": asked for"), "{device}");
    assert!(rest.contains("model   the embedded CIFAR-10 network, 611,882 parameters"), "{rest}");
    let first = rest.lines().skip_while(|l| !l.starts_with("chelsea.png, embedded")).nth(1).unwrap();
    assert!(first.trim_start().starts_with("cat ") && first.contains('█') && first.ends_with('%'), "{first}");
    let time = rest.lines().last().unwrap();
    for what in ["load ", "compile ", "first run ", "steady "] {
        assert!(time.contains(what), "{time}");
    }
    assert!(!run.stdout.contains('\u{1b}'), "colours belong on a terminal");
}

#[test]
fn the_embedded_network_is_sure_of_the_cat() {
    let run = macula(["classify", "--json", "--top", "10"]).ok();
    let answer = &run.json()[0];
    assert_eq!(answer["top"][0]["label"], "cat");
    assert_eq!(answer["top"][0]["index"], 3);
    let probability = answer["top"][0]["probability"].as_f64().unwrap();
    assert!((probability - 0.96).abs() < 0.02, "{probability}");
    let sum: f64 = answer["top"].as_array().unwrap().iter().map(|c| c["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    assert!(answer["ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn one_line_of_json_a_picture_even_where_one_fails() {
    let scratch = Scratch::new();
    std::fs::copy(chelsea(), scratch.path("a.png")).unwrap();
    scratch.file("b.jpg", "not a picture");
    std::fs::copy(chelsea(), scratch.path("c.png")).unwrap();
    let run = macula(["classify", &scratch.path(""), "missing.jpg", "--json", "--batch", "2"]);
    let run = run.fails(1, &["b.jpg: not a picture", "error: missing.jpg: "]);
    let lines = run.json();
    assert_eq!(lines.len(), 4);
    let file = |at: usize| lines[at]["file"].as_str().unwrap().rsplit(['/', '\\']).next().unwrap().to_owned();
    assert_eq!([file(0), file(1), file(2), file(3)], ["a.png", "b.jpg", "c.png", "missing.jpg"]);
    assert_eq!((&lines[0]["top"][0]["label"], &lines[2]["top"][0]["label"]), (&"cat".into(), &"cat".into()));
    assert_eq!(lines[0]["top"][0]["probability"], lines[2]["top"][0]["probability"]);
    assert!(lines[1]["error"].as_str().unwrap().contains("not a picture") && lines[1]["top"].is_null());
    for line in &lines {
        assert!(line["model"].is_string() && line["device"].is_string(), "{line}");
    }
}

#[test]
fn batches_and_globs_give_the_same_answers() {
    let scratch = Scratch::new();
    for name in ["1.png", "2.png", "3.png"] {
        std::fs::copy(chelsea(), scratch.path(name)).unwrap();
    }
    let one = macula(["classify", &scratch.path("*.png"), "--json", "--batch", "1"]).ok().json();
    let three = macula(["classify", &scratch.path("*.png"), "--json", "--batch", "3"]).ok().json();
    assert_eq!((one.len(), three.len()), (3, 3));
    for (one, three) in one.iter().zip(&three) {
        let p = |answer: &serde_json::Value| answer["top"][0]["probability"].as_f64().unwrap();
        assert!((p(one) - p(three)).abs() < 1e-5, "{one} {three}");
    }
}

#[test]
fn a_model_without_labels_numbers_its_classes() {
    let model = cifar10();
    let run = macula(["classify", "--model", model.to_str().unwrap(), "--preset", "cifar10"]).ok();
    assert!(run.stdout.contains("class 3 "), "{}", run.stdout);
    let json = macula(["classify", "--model", model.to_str().unwrap(), "--preset", "cifar10", "--json"]).ok().json();
    assert!(json[0]["top"][0]["label"].is_null());
}

#[test]
fn without_a_cache_nothing_is_written() {
    if !has_gpu() {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.path("cache");
    let arguments = ["classify", "--device", "gpu", "--cache-dir", &folder];
    let run = macula(arguments.iter().chain(&["--no-cache"])).ok();
    assert!(!std::path::Path::new(&folder).exists(), "{folder}");
    assert!(run.stdout.lines().last().unwrap().contains(" pipelines)"), "{}", run.stdout);
    // What cannot be a folder is no error.
    let run = macula(["classify", "--device", "gpu", "--json", "--cache-dir", &scratch.file("file", "")]).ok();
    assert_eq!(run.json()[0]["top"][0]["label"], "cat");
}

/// SqueezeNet's published answers, with Caffe's preprocessing.
fn squeezenet_knows_its_pictures(device: &str) {
    let (Some(model), Some(labels), Some(images)) =
        (data("models/squeezenet1.1/model.onnx"), data("labels/imagenet_1000.txt"), data("images"))
    else {
        return;
    };
    let golden = [("dog_winml.jpg", "golden retriever"), ("skimage_coffee.png", "espresso"), ("skimage_chelsea.png", "Egyptian cat")];
    let files = golden.map(|(file, _)| format!("{images}/{file}"));
    let flags = ["--model", &model, "--labels", &labels, "--preset", "caffe", "--json", "--top", "1", "--device", device];
    let run = macula(["classify"].into_iter().chain(files.iter().map(String::as_str)).chain(flags)).ok();
    for ((file, expected), answer) in golden.iter().zip(run.json()) {
        assert_eq!(answer["top"][0]["label"], *expected, "{file}: {answer}");
    }
}

#[test]
fn squeezenet_on_the_cpu_device() {
    squeezenet_knows_its_pictures("cpu");
}

#[test]
fn squeezenet_on_the_gpu() {
    if has_gpu() {
        squeezenet_knows_its_pictures("gpu");
    }
}

/// TensorFlow's preprocessing, 1001 classes, a dynamic batch.
#[test]
fn mobilenet_knows_the_dog() {
    let (Some(model), Some(labels), Some(dog)) =
        (data("models/mobilenet-v2-1.0-224/model.onnx"), data("labels/imagenet_1001.txt"), data("images/dog_winml.jpg"))
    else {
        return;
    };
    let run = macula(["classify", &dog, "--model", &model, "--labels", &labels, "--preset", "tf", "--json"]).ok();
    assert_eq!(run.json()[0]["top"][0]["label"], "golden retriever");
}

/// Orientation, grayscale, 16 bits, CMYK, palettes, transparency; three files are broken.
#[test]
fn awkward_pictures_are_decoded_or_reported() {
    let Some(images) = data("images/awkward") else { return };
    let run = macula(["classify", &images, "--json"]).fails(1, &["cannot be decoded"]);
    let failed: Vec<String> = run.json().iter().filter(|a| !a["error"].is_null()).map(|a| a["file"].as_str().unwrap().to_owned()).collect();
    let broken = ["pil_broken.png", "pil_broken_data_stream.png", "pil_truncated_image.png"];
    assert_eq!(run.json().len(), 15);
    assert!(failed.len() == 3 && failed.iter().zip(broken).all(|(file, name)| file.ends_with(name)), "{failed:?}");
}

/// The same photo in every EXIF orientation gives the same answer once it is turned.
#[test]
fn a_turned_photo_is_turned_back() {
    let scratch = Scratch::new();
    let picture = image::open(chelsea()).unwrap();
    let exif = |orientation: u8| {
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        tiff[18] = orientation;
        tiff
    };
    for (name, orientation, turned) in [("0.png", 1, picture.clone()), ("1.png", 6, picture.rotate270()), ("2.png", 3, picture.rotate180())]
    {
        let mut bytes = vec![];
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        image::ImageEncoder::set_exif_metadata(&mut encoder, exif(orientation)).unwrap();
        turned.write_with_encoder(encoder).unwrap();
        scratch.file(name, bytes);
    }
    let answers = macula(["classify", &scratch.path(""), "--json"]).ok().json();
    let top: Vec<_> = answers.iter().map(|a| &a["top"][0]["probability"]).collect();
    assert!(top.len() == 3 && top[0] == top[1] && top[0] == top[2], "{top:?}");
}
