//! tract, which runs on one thread.

use std::error::Error;

use protocol::Job;
use tract_onnx::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_args()?;
    let model = tract_onnx::onnx().model_for_path(&job.model)?.with_input_fact(0, f32::fact(job.shape).into())?;
    let model = model.into_optimized()?.into_runnable()?;
    let image: TValue = Tensor::from_shape(&job.shape, &job.input)?.into();
    job.serve("CPU", || {
        let outputs = model.run(tvec!(image.clone()))?;
        Ok(outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect())
    })
}
