//! Runs a second, one at a time and with several in flight: `cargo bench -p macula --bench throughput`, `-- --device cpu` for another device.
//!
//! Rounds of the ways alternate, and each is compared with the round of one-at-a-time beside it, so that a machine that slows down
//! slows all of them down. mobilenet is measured where the test data lies (`MACULA_DATA`).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use macula::{Device, Graph, Session, Tensor, onnx};

const ROUNDS: usize = 9;
const IN_FLIGHT: [usize; 2] = [2, 4];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let device = match arguments.iter().position(|a| a == "--device").and_then(|at| arguments.get(at + 1)) {
        Some(name) => Device::from_name(name)?,
        None => Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into()))?,
    };
    println!("{}", device.info().name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    measure(&device, "CIFAR-10", onnx::load(root.join("models/cifar10.onnx"))?, [1, 3, 32, 32])?;
    let data = std::env::var_os("MACULA_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let mobilenet = data.join("models/mobilenet-v2-1.0-224/model.onnx");
    match mobilenet.exists() {
        true => measure(&device, "mobilenet", onnx::load(mobilenet)?, [1, 3, 224, 224]),
        false => {
            println!("mobilenet: {} is absent", mobilenet.display());
            Ok(())
        }
    }
}

fn measure(device: &Device, name: &str, graph: Graph, shape: [usize; 4]) -> Result<(), Box<dyn Error>> {
    let input = graph.value(graph.inputs()[0]).name.clone();
    let session = device.compile(graph)?;
    let values = (0..shape.iter().product()).map(|i| (i as f32 * 0.37).sin()).collect();
    let image = Tensor::new(shape, values)?;
    let run = |in_flight, count| time(&session, &input, &image, in_flight, count);
    for in_flight in [1, 2, 4] {
        run(in_flight, 8)?;
    }
    // Rounds of about half a second.
    let count = (0.5 / run(1, 4)?.as_secs_f64() * 4.0).clamp(4.0, 2000.0) as usize;
    let mut alone = vec![];
    let mut ratios = IN_FLIGHT.map(|_| vec![]);
    for _ in 0..ROUNDS {
        let one = run(1, count)?.as_secs_f64();
        alone.push(one / count as f64);
        for (ratios, in_flight) in ratios.iter_mut().zip(IN_FLIGHT) {
            ratios.push(one / run(in_flight, count)?.as_secs_f64());
        }
    }
    print!("{name}: {:.2} ms a run, {:.1} runs/s one at a time", median(&mut alone) * 1e3, 1.0 / median(&mut alone));
    for (ratios, in_flight) in ratios.iter_mut().zip(IN_FLIGHT) {
        print!("; × {:.2} with {in_flight} in flight", median(ratios));
    }
    println!();
    Ok(())
}

/// How long `count` runs take, one at a time with [`Session::run`].
fn time(session: &Session, input: &str, image: &Tensor, in_flight: usize, count: usize) -> Result<Duration, macula::Error> {
    let start = Instant::now();
    if in_flight == 1 {
        for _ in 0..count {
            session.run(&[(input, image.view())])?;
        }
    } else {
        for outputs in session.run_all((0..count).map(|_| [(input, image.clone())]), in_flight) {
            outputs?;
        }
    }
    Ok(start.elapsed())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
