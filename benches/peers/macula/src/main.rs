//! macula, from this checkout.

use std::error::Error;

use macula::{Device, Tensor, onnx};
use protocol::Job;

fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_args()?;
    let graph = onnx::load(&job.model)?;
    let name = graph.value(graph.inputs()[0]).name.clone();
    let device = Device::from_name(&job.device)?;
    let image = Tensor::new(job.shape, job.input.clone())?;
    let session = device.compile(graph)?;
    job.serve(&device.info().name, || {
        let outputs = session.run(&[(&name, image.view())])?;
        Ok(outputs[0].data::<f32>().ok_or("the output is not f32")?.to_vec())
    })
}
