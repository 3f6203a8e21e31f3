//! rten.

use std::error::Error;
use std::sync::Arc;

use protocol::Job;
use rten::{Model, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

fn main() -> Result<(), Box<dyn Error>> {
    let job = Job::from_args()?;
    let model = Model::load_file(&job.model)?;
    let image = NdTensorView::from_data(job.shape, job.input.as_slice());
    let mut options = RunOptions::default();
    options.thread_pool = Some(Arc::new(ThreadPool::with_num_threads(job.threads)));
    job.serve("CPU", || {
        let output: NdTensor<f32, 2> = model.run_one(image.into(), Some(options.clone()))?.try_into()?;
        Ok(output.to_vec())
    })
}
