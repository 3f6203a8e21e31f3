//! wonnx, on the file with inferred shapes.

use std::collections::HashMap;
use std::error::Error;

use protocol::Job;
use wonnx::Session;
use wonnx::utils::OutputTensor;

fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_args()?;
    let session = pollster::block_on(Session::from_path(&job.model))?;
    let inputs = HashMap::from([("x".to_owned(), job.input.as_slice().into())]);
    // It opens the adapter that wgpu prefers and does not say which.
    job.serve("wgpu", || {
        let mut outputs = pollster::block_on(session.run(&inputs))?;
        match outputs.remove("y") {
            Some(OutputTensor::F32(values)) => Ok(values),
            _ => Err("the output `y` is not f32".into()),
        }
    })
}
