//! A photo in, a class out: `cargo run --release --example classify [photo]`.

use macula::{Device, Tensor, onnx};

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
const STD: [f32; 3] = [0.2470, 0.2435, 0.2616];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::init(); // nodes that run on the CPU are named in log lines
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
    let photo = std::env::args().nth(1).unwrap_or(format!("{models}/chelsea.png"));

    // The network's input: [1, 3, 32, 32], RGB, normalised as in training.
    let side = 32;
    let photo = image::open(photo)?.resize_to_fill(side, side, image::imageops::FilterType::Triangle).to_rgb8();
    let normalised = |c: usize, y: u32, x: u32| (f32::from(photo.get_pixel(x, y)[c]) / 255.0 - MEAN[c]) / STD[c];
    let pixels = (0..3).flat_map(|c| (0..side).flat_map(move |y| (0..side).map(move |x| (c, y, x))));
    let input = Tensor::new([1, 3, 32, 32], pixels.map(|(c, y, x)| normalised(c, y, x)).collect())?;

    let device = Device::auto();
    println!("on {} ({})", device.info().name, device.info().reason);
    let session = device.compile(onnx::load(format!("{models}/cifar10.onnx"))?)?;
    let outputs = session.run(&[("image", input.view())])?;

    let logits = outputs[0].data::<f32>().ok_or("the logits are f32")?;
    let sum: f32 = logits.iter().map(|x| x.exp()).sum();
    for (class, logit) in CLASSES.iter().zip(logits) {
        println!("{class:>10} {:5.1} %", 100.0 * logit.exp() / sum);
    }
    Ok(())
}
