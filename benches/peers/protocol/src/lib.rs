//! What a peer's program and `peers.py` say to one another: `runners/protocol.py` in Rust.
//!
//! The program is started as `PROGRAM MODEL INPUT OUTPUT DEVICE THREADS N C H W`: INPUT holds the elements of the image as little-endian
//! `f32`, OUTPUT gets those of the network's first output, DEVICE is `gpu` or `cpu`. It loads and compiles, runs once, writes OUTPUT and
//! says `peer: {"device": …, "first_ms": …}`. For each line `N` that it reads it then runs N times and says how long each run took in
//! milliseconds, `peer: […]`; it ends with its input. Lines without `peer:` are the library's own chatter.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

/// What a program was asked for.
pub struct Job {
    /// The ONNX file, or what was made of it for this peer.
    pub model: String,
    /// `gpu` or `cpu`.
    pub device: String,
    /// How many threads the CPU device may use.
    pub threads: usize,
    /// Batch, channels, height, width.
    pub shape: [usize; 4],
    /// The image's elements.
    pub input: Vec<f32>,
    output: String,
    start: Instant,
}

impl Job {
    /// From the command line.
    pub fn from_args() -> Result<Self, Box<dyn Error>> {
        let start = Instant::now();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [model, input, output, device, threads, shape @ ..] = &arguments[..] else {
            return Err("usage: MODEL INPUT OUTPUT DEVICE THREADS N C H W".into());
        };
        let shape: Vec<usize> = shape.iter().map(|extent| extent.parse()).collect::<Result<_, _>>()?;
        let shape = shape.try_into().map_err(|_| "the shape has four extents")?;
        let bytes = std::fs::read(input)?;
        let input = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let (model, device) = (model.clone(), device.clone());
        Ok(Self { model, device, threads: threads.parse()?, shape, input, output: output.clone(), start })
    }

    /// Runs once, then as often as asked for. `run` takes the image from the host and brings the output there.
    pub fn serve(&self, device: &str, mut run: impl FnMut() -> Result<Vec<f32>, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
        let output = run()?;
        let first = milliseconds(self.start);
        std::fs::write(&self.output, output.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
        say(&format!("{{\"device\": {device:?}, \"first_ms\": {first}}}"))?;
        for line in std::io::stdin().lock().lines() {
            let times = (0..line?.trim().parse::<usize>()?)
                .map(|_| {
                    let start = Instant::now();
                    run()?;
                    Ok(milliseconds(start).to_string())
                })
                .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            say(&format!("[{}]", times.join(", ")))?;
        }
        Ok(())
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "peer: {line}")?;
    out.flush()
}
