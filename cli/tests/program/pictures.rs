//! Photos in, pictures out: `macula run`, `detect`, `look` and `classify --heatmap`.

use image::RgbImage;

use crate::support::{Scratch, chelsea, cifar10, data, macula};

fn open(path: &str) -> image::DynamicImage {
    image::open(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Half of the pixels' bytes, at least, are this close to each other's.
fn median_difference(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    let mut all: Vec<u8> = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

#[test]
fn style_is_painted_in_the_photos_place() {
    let Some(model) = data("models/style-candy/model.onnx") else { return };
    let (scratch, photo) = (Scratch::new(), chelsea());
    let out = scratch.path("candy.png");
    let arguments =
        ["run", &model, "--image-in", photo.to_str().unwrap(), "--preset", "bytes", "--channel-order", "bgr", "--image-out", &out];
    let run = macula(arguments).ok();
    assert!(run.stdout.contains("candy.png: 720×720, outputImage"), "{}", run.stdout);
    let picture = open(&out).into_rgb8();
    // The style's own colours: far from the photo, not far from any range.
    let saturated = picture.as_raw().iter().filter(|&&v| v == 0 || v == 255).count();
    assert!(saturated < picture.as_raw().len() / 3, "{saturated}");
}

#[test]
fn super_resolution_is_close_to_the_photo_it_enlarges() {
    let Some(model) = data("models/super-resolution/model.onnx") else { return };
    let (scratch, photo) = (Scratch::new(), chelsea());
    let out = scratch.path("large.png");
    let json = macula(["run", &model, "--image-in", photo.to_str().unwrap(), "--image-out", &out, "--as", "luma", "--json"]).ok().json();
    assert_eq!(json[0]["pictures"][0]["width"], 672);
    let (photo, picture) = (open(photo.to_str().unwrap()).into_rgb8(), open(&out).into_rgb8());
    let side = photo.width().min(photo.height());
    let square = image::imageops::crop_imm(&photo, (photo.width() - side) / 2, (photo.height() - side) / 2, side, side).to_image();
    let expected = image::imageops::resize(&square, 672, 672, image::imageops::FilterType::CatmullRom);
    assert!(median_difference(&picture, &expected) <= 6);
}

#[test]
fn matting_keeps_the_photos_size_and_takes_a_mask() {
    let Some(model) = data("models/portrait-matting/model.onnx") else { return };
    let (scratch, photo) = (Scratch::new(), chelsea());
    let photo = photo.to_str().unwrap();
    let (mask, cut) = (scratch.path("mask.png"), scratch.path("cut.png"));
    let base = ["run", &model, "--image-in", photo, "--crop", "none", "--channel-order", "bgr", "--size", "96x128"];
    macula(base.into_iter().chain(["--image-out", &mask])).ok();
    assert_eq!((open(&mask).width(), open(&mask).height()), (128, 96));
    macula(base.into_iter().chain(["--mask-in", &mask, "--image-out", &cut, "--as", "alpha"])).ok();
    let cut = open(&cut);
    assert_eq!((cut.width(), cut.height(), cut.color().has_alpha()), (open(photo).width(), open(photo).height(), true));
    // Without --size the input follows the photo, 300 × 451, in steps of 32.
    let json = macula(["run", &model, "--image-in", photo, "--json"]).ok().json();
    assert_eq!(json[0]["outputs"][0]["shape"], serde_json::json!([1, 1, 288, 448]));
    let jpeg = scratch.path("cut.jpg");
    macula(base.into_iter().chain(["--image-out", &jpeg, "--as", "alpha"])).fails(2, &["cut.jpg: its format has no transparency", ".png"]);
}

#[test]
fn two_masks_share_a_picture() {
    let Some(model) = data("models/twinlitenet/model.onnx") else { return };
    let (scratch, photo) = (Scratch::new(), chelsea());
    let out = scratch.path("road.png");
    let (area, lanes) = (format!("drivable_area={out}"), format!("lanes={out}"));
    let base = ["run", &model, "--image-in", photo.to_str().unwrap(), "--crop", "none", "--image-out", &area, "--image-out", &lanes];
    let run = macula(base.into_iter().chain(["--as", "mask"])).ok();
    assert!(run.stdout.contains("drivable_area and lanes"), "{}", run.stdout);
    // A cat is no road.
    assert!(median_difference(&open(&out).into_rgb8(), &open(photo.to_str().unwrap()).into_rgb8()) <= 1);
    macula(base).fails(2, &["road.png: given for two outputs", "--as mask"]);
}

#[test]
fn photos_and_pictures_that_do_not_fit_are_told() {
    let (scratch, model, photo) = (Scratch::new(), cifar10(), chelsea());
    let (model, photo) = (model.to_str().unwrap(), photo.to_str().unwrap());
    let out = scratch.path("out.png");
    let run = |arguments: &[&str]| macula(["run", model].into_iter().chain(arguments.iter().copied()));
    run(&["--image-in", photo, "--image-out", &out]).fails(1, &["out.png: output `logits` is f32[1,10]", "no height and width"]);
    run(&["--image-in", photo, "--image-out", &format!("mask={out}")]).fails(2, &["--image-out", "NAME of `logits`"]);
    run(&["--image-in", photo, "--image-out", "out.xyz"]).fails(2, &["out.xyz", "name a picture file"]);
    run(&["--image-in", &scratch.file("a.jpg", "no photo")]).fails(1, &["a.jpg: not a picture"]);
    run(&["--image-in", photo, "--mask-in", photo]).fails(2, &["--mask-in", "no channel for a mask"]);
    run(&["--image-in", photo, "--image-in", photo]).fails(2, &["--image-in", "given twice"]);
    run(&["--random", "--image-out", &out, "--as", "alpha"]).fails(2, &["--image-in"]);
    let npy = scratch.npy("x.npy", "<f4", "(1, 3, 32, 32)", &[0; 3 * 32 * 32 * 4]);
    run(&["--image-in", photo, "--input", &npy]).fails(2, &["input `image` is given by --input and by --image-in"]);
    // A photo may be all there is.
    assert!(run(&["--image-in", photo, "--preset", "cifar10"]).ok().stdout.contains("f32[1,10]"));
}

#[test]
fn a_cup_is_found_where_it_stands() {
    let (Some(model), Some(photo)) = (data("models/yolox-nano/model.onnx"), data("images/skimage_coffee.png")) else { return };
    let scratch = Scratch::new();
    let out = scratch.path("boxes.png");
    let json = macula(["detect", &model, &photo, "--out", &out, "--json"]).ok().json().remove(0);
    let boxes = json["boxes"].as_array().unwrap();
    let cup = boxes.iter().find(|one| one["label"] == "cup").unwrap_or_else(|| panic!("no cup: {json}"));
    assert!(cup["score"].as_f64().unwrap() > 0.5, "{cup}");
    let sides: Vec<f64> = cup["box"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    for (got, expected) in sides.iter().zip([172.0, 20.0, 415.0, 300.0]) {
        assert!((got - expected).abs() < 40.0, "{sides:?}");
    }
    let (picture, photo) = (open(&out).into_rgb8(), open(&photo).into_rgb8());
    assert!(picture.dimensions() == photo.dimensions() && picture != photo && median_difference(&picture, &photo) == 0);
}

#[test]
fn a_face_is_found_and_other_networks_are_refused() {
    let Some(model) = data("models/ultraface-rfb-320/model.onnx") else { return };
    let (cat, classifier) = (chelsea(), cifar10());
    let (cat, classifier) = (cat.to_str().unwrap(), classifier.to_str().unwrap());
    let none = macula(["detect", &model, cat, "--score", "1"]).ok();
    assert!(none.stdout.starts_with("0 boxes in "), "{}", none.stdout);
    let many = macula(["detect", &model, cat, "--score", "0", "--iou", "1"]).ok();
    assert!(many.stdout.contains("face") && many.stdout.contains("4420 boxes"), "{}", many.stdout.lines().last().unwrap_or_default());
    macula(["detect", &model, cat, "--decoder", "yolox"])
        .fails(1, &["ultraface-rfb-320/model.onnx", "--decoder yolox needs one output [1,1570,5 + classes]"]);
    macula(["detect", classifier, cat])
        .fails(1, &["cifar10.onnx: the outputs are f32[1,10], of no detector known here", "use `macula run`"]);
    macula(["detect", &model, "nowhere.jpg"]).fails(1, &["nowhere.jpg"]);
    macula(["detect", &model, cat, "--out", "x"]).fails(2, &["x: name a picture file"]);
    macula(["detect", &model, cat, "--score", "2"]).fails(2, &["a number from 0 to 1"]);
}

#[test]
fn looking_gives_pictures_and_one_page() {
    let (scratch, model, photo) = (Scratch::new(), cifar10(), chelsea());
    let out = scratch.path("seen/here");
    let base = ["look", model.to_str().unwrap(), photo.to_str().unwrap(), "--preset", "cifar10", "--out", &out];
    let labels = scratch.file("labels.txt", "plane\ncar\nbird\n<cat>\ndeer\ndog\nfrog\nhorse\nship\ntruck\n");
    let run = macula(base.into_iter().chain(["--labels", &labels])).ok();
    assert!(run.stdout.contains("index.html") && run.stdout.contains("class activation map"), "{}", run.stdout);
    let page = std::fs::read_to_string(format!("{out}/index.html")).unwrap();
    assert!(page.contains("&lt;cat&gt;") && page.contains("sees 3×3 pixels of the input"), "{}", &page[..2000]);
    let embedded = page.matches("src=\"data:image/png;base64,").count();
    let files: Vec<String> = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    // The heat map, receptive fields, filters, and four layers.
    assert_eq!((embedded, files.iter().filter(|f| f.ends_with(".png")).count(), files.len()), (7, 7, 8), "{files:?}");
    for file in files.iter().filter(|f| f.ends_with(".png")) {
        open(&format!("{out}/{file}"));
    }
    macula(base.into_iter().chain(["--layer", "nowhere"])).fails(2, &["--layer nowhere", "macula inspect"]);
    macula(base.into_iter().chain(["--unit", "99,0"])).fails(2, &["--unit 99,0: layer"]);
    macula(base.into_iter().chain(["--class", "10"])).fails(2, &["there is no class 10", "has 10"]);
}

/// Where the cat is, not at the picture's edge, and the same place by all methods.
#[test]
fn methods_agree_on_where_the_cat_is() {
    let (scratch, model, photo) = (Scratch::new(), cifar10(), chelsea());
    for method in ["cam", "score-cam", "occlusion"] {
        let out = scratch.path(method);
        let arguments = ["look", model.to_str().unwrap(), photo.to_str().unwrap(), "--preset", "cifar10", "--method", method];
        macula(arguments.into_iter().chain(["--class", "3", "--out", &out])).ok();
        let heat = open(&format!("{out}/heat.png")).into_rgb8();
        let brightness = |cells: &dyn Fn(u32, u32) -> bool| {
            let pixels = heat.enumerate_pixels().filter(|(x, y, _)| cells(x * 8 / heat.width(), y * 8 / heat.height()));
            let all: Vec<f64> = pixels.map(|(_, _, p)| f64::from(p.0[0]) + f64::from(p.0[1])).collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let (middle, edge) = (brightness(&|x, y| (2..6).contains(&x) && (2..6).contains(&y)), brightness(&|x, y| x == 7 || y == 7));
        assert!(middle > edge, "{method}: {middle} in the middle, {edge} at the edge");
    }
}

#[test]
fn answers_come_with_a_heat_map() {
    let scratch = Scratch::new();
    let out = scratch.path("heat.png");
    let run = macula(["classify", "--heatmap", &out]).ok();
    assert!(run.stdout.contains("heat.png: what speaks for cat 9") && run.stdout.contains("class activation map"), "{}", run.stdout);
    // The network sees the centre square of 300 × 451; it is drawn twice as large, so that text fits on it.
    assert_eq!((open(&out).width(), open(&out).height()), (600, 600));
    let photo = chelsea();
    let photo = photo.to_str().unwrap();
    macula(["classify", photo, photo, "--heatmap", &out]).fails(2, &["one picture, there are 2"]);
    macula(["classify", "--heatmap", "heat"]).fails(2, &["heat: name a picture file"]);
}
