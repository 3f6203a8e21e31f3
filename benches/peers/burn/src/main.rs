//! burn on its wgpu backend, with fusion and autotuning, on the code that its importer makes of the ONNX file when this is built.

use std::error::Error;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use protocol::Job;

mod models {
    use burn::tensor::Tensor;

    include!(concat!(env!("OUT_DIR"), "/models.rs"));
}

fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_args()?;
    let name = Path::new(&job.model).parent().and_then(|folder| folder.file_name()?.to_str()).ok_or("the model is in no folder")?;
    let network = models::network(name).ok_or("burn does not import this model")?;
    let device = Device::default();
    let image = TensorData::new(job.input.clone(), job.shape);
    job.serve("wgpu", || {
        let output = network(Tensor::from_data(image.clone(), &device)).into_data();
        Ok(output.try_into_vec::<f32>().map_err(|error| format!("{error:?}"))?)
    })
}
