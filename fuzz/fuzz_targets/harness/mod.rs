//! What the targets share: limits, an allocator that holds macula to them, inputs for whatever a model takes.

use std::alloc::{GlobalAlloc, Layout, System};

use macula::onnx::LoadOptions;
use macula::{CompileOptions, DType, Device, Dim, Graph, Session, Shape, Summary, Tensor, TensorType};

/// What a model and its tensors may take.
const MAX_MEMORY: u64 = 16 << 20;

/// No single allocation may be larger: a tensor widened to `f64`, with room for copies of a kernel.
const MAX_ALLOCATION: usize = 256 << 20;

/// Operations of a run that are worth waiting for.
const MAX_WORK: u64 = 20_000_000;

struct Limited;

/// Ends the process without allocating, so that the fuzzer keeps the input.
fn check(size: usize) {
    if size > MAX_ALLOCATION {
        eprintln!("an allocation of {size} bytes");
        std::process::abort();
    }
}

// SAFETY: everything is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// How models of strangers are loaded here.
pub fn load_options() -> LoadOptions {
    LoadOptions::new().max_memory(MAX_MEMORY).max_nodes(4096)
}

/// How they are compiled.
pub fn compile_options() -> CompileOptions {
    CompileOptions::new().max_memory(MAX_MEMORY)
}

/// Elements for each input of a network; extents that are open are small and equal where their names are.
pub fn inputs(graph: &Graph) -> Option<Vec<(String, Tensor)>> {
    let input = |id: &macula::ValueId| {
        let value = graph.value(*id);
        let extent = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(extent) => *extent,
            Dim::Symbol(name) if !name.is_empty() => 1 + name.len() % 3,
            _ => 2 + axis % 2,
        };
        let dims = value.dims.as_ref()?;
        let shape: Shape = dims.iter().enumerate().map(extent).collect();
        let elements = shape.checked_elements().filter(|&n| n <= 1 << 16)?;
        let numbers = (0..elements).map(|i| ((i * 37 + 11) % 101) as f64 / 25.0 - 2.0).collect();
        Some((value.name.clone(), Tensor::from_f64(value.dtype.unwrap_or(DType::F32), shape, numbers).ok()?))
    };
    graph.inputs().iter().map(input).collect()
}

/// A session and inputs for it, where a run is worth waiting for. What shapes depend on elements for is not known before.
pub fn session(device: &Device, graph: &Graph, options: CompileOptions) -> Option<(Session, Vec<(String, Tensor)>)> {
    let inputs = inputs(graph)?;
    let session = device.compile_with(graph.clone(), options).ok()?;
    let types: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), TensorType::new(tensor.dtype(), tensor.shape()))).collect();
    let plan = match session.plan(&types) {
        Ok(plan) => plan,
        Err(macula::Error::NeedsElements(_)) => return Some((session, inputs)),
        Err(_) => return None,
    };
    let flops = Summary::new(graph, &plan).flops?;
    (flops <= MAX_WORK).then_some((session, inputs))
}
