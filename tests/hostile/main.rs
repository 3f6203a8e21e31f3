//! Model files of strangers: whatever they hold, macula answers with an error that says why, or with the right result; it never panics,
//! never hangs and allocates in proportion to the limits.

mod attributes;
mod memory;
#[path = "../../src/onnx/proto.rs"]
#[allow(dead_code)]
mod proto;
mod scale;
mod structure;
mod tensors;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use macula::onnx::LoadOptions;
use macula::{CompileOptions, DType, Device, Dim, Error, Graph, Outputs, Shape, Tensor};
use prost::Message;
use proto::*;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts the bytes alive, and the most there were.
struct Counting;

fn add(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: everything is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives and the most bytes it had allocated; what it is measured by is the whole process, so one at a time.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

/// What a model under a few hundred bytes may take, thread pools and all.
const SMALL: usize = 48 << 20;

/// Elements for a network's inputs; open extents are 2.
fn inputs(graph: &Graph) -> Vec<(String, Tensor)> {
    let input = |id: &macula::ValueId| {
        let value = graph.value(*id);
        let extent = |dim: &Dim| if let Dim::Fixed(extent) = dim { *extent } else { 2 };
        let shape: Shape = value.dims.as_deref().unwrap_or_default().iter().map(extent).collect();
        // What is too large for a test is not run, and must not be asked for.
        assert!(shape.elements() < 1 << 20, "{}", value.declared());
        let numbers = (0..shape.elements()).map(|i| (i % 7) as f64 - 3.0).collect();
        (value.name.clone(), Tensor::from_f64(value.dtype.unwrap_or(DType::F32), shape, numbers).unwrap())
    };
    graph.inputs().iter().map(input).collect()
}

/// Loads, compiles for the CPU device and runs.
fn attempt(bytes: &[u8], load: &LoadOptions, compile: CompileOptions) -> Result<Outputs, Error> {
    let graph = macula::onnx::from_bytes_with(bytes, load)?;
    let session = Device::cpu().compile_with(graph.clone(), compile)?;
    let inputs = inputs(&graph);
    let views: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    session.run(&views)
}

/// That a model is refused with a message that holds each of `expected`, within `memory` bytes and a few seconds.
#[track_caller]
fn refused_within(memory: usize, bytes: &[u8], load: &LoadOptions, compile: CompileOptions, expected: &[&str]) {
    let start = Instant::now();
    let (result, peak) = peak_of(|| attempt(bytes, load, compile));
    let Err(error) = result else { panic!("the model runs; expected {expected:?}") };
    let message = error.to_string();
    for text in expected {
        assert!(message.contains(text), "`{message}` does not contain `{text}`");
    }
    assert!(peak <= memory, "{peak} bytes allocated for: {message}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?} for: {message}", start.elapsed());
}

#[track_caller]
fn refused(model: &ModelProto, expected: &[&str]) {
    refused_within(SMALL, &model.encode_to_vec(), &LoadOptions::new(), CompileOptions::new(), expected);
}

/// That a model runs with and without the optimiser, within `memory` bytes, every node as the reference says; what it gives.
#[track_caller]
fn runs_within(memory: usize, model: &ModelProto) -> Vec<Tensor> {
    let bytes = model.encode_to_vec();
    let (outputs, peak) = peak_of(|| {
        let outputs = attempt(&bytes, &LoadOptions::new(), CompileOptions::new()).unwrap_or_else(|error| panic!("{error}"));
        let graph = macula::onnx::from_bytes(&bytes).unwrap();
        let session = Device::cpu().compile_with(graph.clone(), CompileOptions::new().without(macula::Pass::all())).unwrap();
        let inputs = inputs(&graph);
        let views: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        let report = session.verify(&views).unwrap();
        assert!(report.passed(), "{:?}", report.first_failure());
        outputs
    });
    assert!(peak <= memory, "{peak} bytes allocated");
    outputs.into_tensors()
}

/// A model of opset 21 with these nodes and initializers, from `x: f32[1,3,5,7]` to the output `y`.
fn model(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let graph = GraphProto {
        name: "hostile".into(),
        node: nodes,
        initializer,
        input: vec![value("x", 1, &[1, 3, 5, 7])],
        output: vec![value("y", 1, &[])],
        ..GraphProto::default()
    };
    ModelProto { graph: Some(graph), opset_import: vec![opset(21)], ..ModelProto::default() }
}

fn opset(version: i64) -> OperatorSetIdProto {
    OperatorSetIdProto { domain: String::new(), version }
}

/// `model` with its graph changed.
fn with(mut model: ModelProto, change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    change(model.graph.as_mut().unwrap());
    model
}

fn value(name: &str, elem_type: i32, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&d| Dimension { dim_value: Some(d), dim_param: None }).collect();
    let tensor_type = TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

/// A node `n_<output>` whose inputs and outputs are lists separated by spaces; `-` is one that is left out.
fn node(op_type: &str, inputs: &str, outputs: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let names = |list: &str| list.split_whitespace().map(|name| if name == "-" { String::new() } else { name.to_owned() }).collect();
    NodeProto {
        input: names(inputs),
        output: names(outputs),
        name: format!("n_{outputs}"),
        op_type: op_type.into(),
        attribute,
        ..NodeProto::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(i), kind: AttributeKind::Int as i32, ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.into(), kind: AttributeKind::Ints as i32, ..AttributeProto::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(f), kind: AttributeKind::Float as i32, ..AttributeProto::default() }
}

fn text(name: &str, s: &'static str) -> AttributeProto {
    AttributeProto { name: name.into(), s: Some(s.into()), kind: AttributeKind::String as i32, ..AttributeProto::default() }
}

/// An `f32` initializer with `number` everywhere.
fn full(name: &str, dims: &[i64], number: f32) -> TensorProto {
    let float_data = vec![number; dims.iter().product::<i64>() as usize];
    TensorProto { name: name.into(), dims: dims.into(), data_type: 1, float_data, ..TensorProto::default() }
}

fn floats(name: &str, numbers: &[f32]) -> TensorProto {
    TensorProto { name: name.into(), dims: vec![numbers.len() as i64], data_type: 1, float_data: numbers.into(), ..TensorProto::default() }
}

/// An `i64` initializer with one axis.
fn integers(name: &str, numbers: &[i64]) -> TensorProto {
    TensorProto { name: name.into(), dims: vec![numbers.len() as i64], data_type: 7, int64_data: numbers.into(), ..TensorProto::default() }
}

/// An `i64` initializer with no axis.
fn integer(name: &str, number: i64) -> TensorProto {
    TensorProto { dims: vec![], ..integers(name, &[number]) }
}

#[test]
fn allocations_are_counted() {
    let (kept, peak) = peak_of(|| {
        drop(vec![1u8; 3 << 20]);
        vec![1u8; 1 << 20]
    });
    assert_eq!(kept.len(), 1 << 20);
    assert!(peak >= 3 << 20, "{peak}");
    let relu = model(vec![node("Relu", "x", "y", vec![])], vec![]);
    let result = std::panic::catch_unwind(|| refused(&relu, &["never"]));
    assert!(result.is_err(), "a model that runs is not refused");
    assert_eq!(runs_within(SMALL, &relu)[0].shape().dims(), [1, 3, 5, 7]);
}
