//! The weights of a session on the GPU: packed and uploaded once, equal ones stored once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::transfer::for_each_piece;
use crate::error::Result;
use crate::plan::{Packing, Plan};
use crate::tensor::{DType, Tensor};

/// Weights are handed to the driver in pieces of this size.
const PIECE_BYTES: usize = 4 << 20;

/// Weights are submitted once so much is staged, which bounds the memory that staging takes.
const STAGING_BYTES: usize = 16 << 20;

/// The weights of a session on the GPU, shared by its programs.
#[derive(Default)]
pub(crate) struct WeightStore {
    uploaded: Mutex<HashMap<Key, Vec<Uploaded>>>,
}

/// What equal weights have in common and different ones rarely.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    dtype: DType,
    elements: usize,
    packing: Packing,
    /// Some of the bytes: the same for all zeros and all ones, different for what was trained.
    sample: [u8; 64],
}

impl Key {
    fn new(tensor: &Tensor, packing: Packing) -> Self {
        let bytes = tensor.bytes();
        let mut sample = [0; 64];
        let step = (bytes.len() / sample.len()).max(1);
        for (to, from) in sample.iter_mut().zip(bytes.iter().step_by(step)) {
            *to = *from;
        }
        Self { dtype: tensor.dtype(), elements: tensor.len(), packing, sample }
    }
}

/// A weight on the GPU, with the elements it was made from, which the graph holds as well.
struct Uploaded {
    tensor: Tensor,
    buffer: Arc<wgpu::Buffer>,
}

impl Uploaded {
    fn equals(&self, tensor: &Tensor) -> bool {
        self.tensor.identity() == tensor.identity() || self.tensor.bytes() == tensor.bytes()
    }
}

impl WeightStore {
    /// Drops the elements that uploaded weights are compared with; programs keep their buffers.
    pub fn forget(&self) {
        self.uploaded.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The buffers of a plan's weights.
    pub(super) fn upload(&self, context: &Context, plan: &Plan) -> Result<Vec<Arc<wgpu::Buffer>>> {
        let mut uploaded = self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
        // Tables and folded constants of shapes whose plans are gone.
        uploaded.retain(|_, equal| {
            equal.retain(|weight| Arc::strong_count(&weight.buffer) > 1);
            !equal.is_empty()
        });
        let mut staged = 0;
        let mut buffers = Vec::with_capacity(plan.weights.len());
        for weight in &plan.weights {
            let candidates = uploaded.entry(Key::new(&weight.tensor, weight.packing)).or_default();
            if let Some(known) = candidates.iter().find(|known| known.equals(&weight.tensor)) {
                buffers.push(known.buffer.clone());
                continue;
            }
            let buffer = Arc::new(upload(context, &weight.packing.apply(&weight.tensor), &mut staged)?);
            candidates.push(Uploaded { tensor: weight.tensor.clone(), buffer: buffer.clone() });
            buffers.push(buffer);
        }
        Ok(buffers)
    }
}

/// A buffer with a tensor's elements, of which `staged` bytes and those before may still be on their way.
fn upload(context: &Context, tensor: &Tensor, staged: &mut usize) -> Result<wgpu::Buffer> {
    let stored = crate::plan::Elem::storing(tensor.dtype()).map_or(0, |elem| elem.size() * tensor.len());
    let buffer = context.scoped(&format!("allocating a weight of {stored} bytes"), || {
        context.create_buffer(&wgpu::BufferDescriptor {
            label: Some("macula weight"),
            size: (stored as u64).next_multiple_of(32).max(32),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        })
    })?;
    for_each_piece(tensor.data_ref(), PIECE_BYTES, |offset, bytes| {
        context.scoped("uploading weights", || context.queue.write_buffer(&buffer, offset as u64, bytes))?;
        *staged += bytes.len();
        if *staged > STAGING_BYTES {
            let submission = context.scoped("uploading weights", || context.queue.submit([]))?;
            context.wait(submission)?;
            *staged = 0;
        }
        Ok(())
    })?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::super::program::Program;
    use super::*;
    use crate::graph::{GraphBuilder, InputSpec, Specialized, TensorType};
    use crate::ops::{Binary, Resize, ResizeMode};
    use crate::plan::{LowerOptions, lower};
    use crate::{DType, Device, Graph};

    fn device() -> Device {
        Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into())).expect("run tools/test.sh")
    }

    fn plan(context: &Context, graph: Graph, input: impl Into<crate::Shape>) -> Arc<Plan> {
        let spec = InputSpec { ty: TensorType::new(DType::F32, input.into()), value: None };
        let Ok(Specialized::Graph(graph)) = graph.specialize(&[spec]) else { panic!("no values are needed") };
        Arc::new(lower(graph, Some(context.capabilities()), &LowerOptions::default()).unwrap())
    }

    fn kept(store: &WeightStore) -> usize {
        store.uploaded.lock().unwrap().values().map(Vec::len).sum()
    }

    /// A linear resize, whose tables of taps are made anew for every shape.
    fn resize(context: &Context, height: usize) -> Arc<Plan> {
        let mut b = GraphBuilder::new("resize");
        let x = b.input("x", DType::F32, ["N".into(), crate::Dim::from(3), "H".into(), 7.into()]);
        let scales = b.constant("scales", Tensor::vector(vec![1f32, 1.0, 1.5, 2.5]));
        let op = Resize { mode: ResizeMode::Linear, ..Resize::default() };
        let y = b.nodes("y", op, &[Some(x), None, Some(scales)], 1).unwrap()[0];
        b.output("y", y);
        plan(context, b.finish().unwrap(), [2, 3, height, 7])
    }

    #[test]
    fn weights_of_dead_programs_are_dropped() {
        let device = device();
        let context = device.context().expect("a GPU has a context");
        let store = WeightStore::default();
        let program = |height| Program::new(context, resize(context, height), &store, false).unwrap();
        let first = program(5);
        let tables = kept(&store);
        assert!(tables > 0, "a linear resize reads tables");
        let second = program(8);
        let both = kept(&store);
        assert!(tables < both && both <= 2 * tables, "both programs are alive");
        drop((first, second));
        let _third = program(11);
        assert!(kept(&store) <= tables, "only the last one is");
    }

    #[test]
    fn equal_weights_are_stored_once_and_different_ones_are_not() {
        let device = device();
        let context = device.context().expect("a GPU has a context");
        let values = |last: f32| {
            let mut values = vec![0.5f32; 3 * 5 * 7];
            values[104] = last;
            Tensor::of([3, 5, 7], values)
        };
        for (weights, distinct) in [([values(0.5), values(0.5)], 1), ([values(0.5), values(0.25)], 2), ([values(0.5), values(-0.5)], 2)] {
            let mut b = GraphBuilder::new("equal weights");
            let mut value = b.input("x", DType::F32, [2, 3, 5, 7]);
            for (at, weight) in weights.into_iter().enumerate() {
                let weight = b.constant(format!("w{at}"), weight);
                value = b.node(format!("y{at}"), Binary::Mul, &[value, weight]).unwrap();
            }
            b.output("y", value);
            let store = WeightStore::default();
            let buffers = store.upload(context, &plan(context, b.finish().unwrap(), [2, 3, 5, 7])).unwrap();
            assert_eq!((buffers.len(), kept(&store)), (2, distinct));
            assert_eq!(Arc::ptr_eq(&buffers[0], &buffers[1]), distinct == 1);
        }
    }
}
