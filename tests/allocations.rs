//! That a run costs nothing but the kernels once its shape is known: no buffer, bind group or pipeline is created, the host
//! allocates nothing of a tensor's size but the outputs, and a driver compiles nothing again.
//!
//! The tests take turns, alone in their binary: what they count is the whole process's.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use macula::ops::{Binary, Conv, GlobalPool, Padding, PoolKind, Unary};
use macula::{DType, Device, DeviceStatistics, Dim, Graph, GraphBuilder, Session, Tensor};
use support::{gpu, random};

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as a tensor: the smallest activation below is nine times as large, wgpu's lists of commands are not.
const LARGE: usize = 32 << 10;

static LARGE_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn count(bytes: usize) {
    LARGE_ALLOCATIONS.fetch_add(usize::from(bytes >= LARGE), Ordering::Relaxed);
}

// SAFETY: everything is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Six convolutions with residuals on images of 8 bits, in `f32`: the features, and their means.
fn network() -> Graph {
    let mut b = GraphBuilder::new("residual network");
    let image = b.input("image", DType::U8, [Dim::from("N"), 3.into(), 57.into(), 80.into()]);
    let mut value = b.node("cast", macula::ops::Cast { to: DType::F32 }, &[image]).unwrap();
    let conv = Conv { padding: Padding::symmetric([1, 1]), ..Conv::default() };
    for layer in 0..6 {
        let weight = random(layer, [16, if layer == 0 { 3 } else { 16 }, 3, 3], -0.1..0.1);
        let weight = b.constant(format!("weight {layer}"), weight);
        let features = b.node(format!("conv {layer}"), conv, &[value, weight]).unwrap();
        let features = b.node(format!("relu {layer}"), Unary::Relu, &[features]).unwrap();
        value = if layer == 0 { features } else { b.node(format!("add {layer}"), Binary::Add, &[features, value]).unwrap() };
    }
    let means = b.node("means", GlobalPool { kind: PoolKind::Average }, &[value]).unwrap();
    b.output("features", value);
    b.output("means", means);
    b.finish().unwrap()
}

fn images(count: usize) -> Tensor {
    Tensor::new([count, 3, 57, 80], (0..count * 3 * 57 * 80).map(|i| (i % 251) as u8).collect()).unwrap()
}

/// Large allocations on the host, and what was created on the device, meanwhile.
fn made_by(device: &Device, work: impl FnOnce()) -> (usize, DeviceStatistics) {
    let (host, before) = (LARGE_ALLOCATIONS.load(Ordering::Relaxed), device.statistics());
    work();
    let mut made = device.statistics();
    made.buffers -= before.buffers;
    made.bind_groups -= before.bind_groups;
    made.pipelines -= before.pipelines;
    made.cached_pipelines = 0;
    made.submissions = 0;
    (LARGE_ALLOCATIONS.load(Ordering::Relaxed) - host, made)
}

fn run_all(session: &Session, image: &Tensor, runs: usize, in_flight: usize) {
    let inputs = (0..runs).map(|_| [("image", image.clone())]);
    assert!(session.run_all(inputs, in_flight).all(|outputs| outputs.unwrap().len() == 2));
}

#[test]
fn a_run_of_a_known_shape_allocates_its_outputs_only() {
    let _turn = turn();
    let device = gpu();
    let session = device.compile(network()).unwrap();
    let (one, two) = (images(1), images(2));
    let run = |image: &Tensor| drop(session.run(&[("image", image.view())]).unwrap());
    let run_async = |image: &Tensor| drop(pollster::block_on(session.run_async(&[("image", image.view())])).unwrap());

    // Every counter can count: a new shape takes memory, pipelines, and on the host its weights' and inputs' way to the GPU.
    let (host, made) = made_by(device, || run(&one));
    assert!(host > 0 && made.buffers > 6 && made.bind_groups > 6 && made.pipelines > 0, "{host} {made:?}");
    assert!(made_by(device, || run(&two)).1.bind_groups > 6, "another shape has bind groups of its own");

    let nothing = DeviceStatistics::default();
    run_async(&one);
    for image in [&one, &two] {
        // The features are the only output that is large.
        assert_eq!(made_by(device, || (0..5).for_each(|_| run(image))), (5, nothing));
        assert_eq!(made_by(device, || (0..5).for_each(|_| run_async(image))), (5, nothing));
    }

    // Runs in flight take memory each, once; how many overlap is up to the device.
    let arena = made_by(device, || run_all(&session, &one, 2, 2)).1.bind_groups;
    let mut extra = arena;
    for _ in 0..50 {
        if arena > 0 && extra >= 3 * arena {
            break;
        }
        extra += made_by(device, || run_all(&session, &one, 4, 4)).1.bind_groups;
    }
    assert_eq!(extra, 3 * arena, "four runs in flight take four times the memory of one");
    assert_eq!(made_by(device, || run_all(&session, &one, 16, 4)), (16, nothing));
}

/// What a software driver compiles shows as mappings of machine code, on Linux.
#[cfg(target_os = "linux")]
mod compiled_code {
    use macula::ops::{AveragePool, Conv, ConvTranspose, LpPool, MatMul, MaxPool, Op, Padding, Window};
    use macula::{CompileOptions, DeviceKind, GraphBuilder, Tensor};

    use super::support::{gpu, random};
    use super::turn;

    /// Mappings of machine code that no file backs.
    fn compiled() -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains(" r-xp ") && line.split_whitespace().count() == 5).count()
    }

    /// Operators whose kernels have short loops: each with its number of outputs, its input and, where it takes one, its constant weight.
    fn short_loops() -> Vec<(Op, usize, Tensor, Option<Tensor>)> {
        let window = Window {
            kernel_size: [5, 3].into(),
            stride: [1, 1].into(),
            dilation: [1, 1].into(),
            padding: Padding::Valid,
            ceil_mode: false,
        };
        let weight = |extents: [usize; 4]| Some(random(2, extents, -1.0..1.0));
        let transposed = ConvTranspose { stride: Some([3, 2].into()), ..ConvTranspose::default() };
        let max = MaxPool { window, column_major: false };
        vec![
            (MatMul.into(), 1, random(1, [2, 17, 3], -1.0..1.0), Some(random(2, [3, 40], -1.0..1.0))),
            (MatMul.into(), 1, random(1, [1, 8], -1.0..1.0), Some(random(2, [8, 64], -1.0..1.0))),
            (Conv::default().into(), 1, random(1, [2, 1, 12, 15], -1.0..1.0), weight([24, 1, 1, 1])),
            (Conv { groups: 4, ..Conv::default() }.into(), 1, random(1, [2, 8, 20, 23], -1.0..1.0), weight([32, 2, 3, 3])),
            (transposed.into(), 1, random(1, [2, 3, 6, 9], -1.0..1.0), weight([3, 4, 3, 3])),
            (max.into(), 1, random(1, [2, 9, 12, 15], -1.0..1.0), None),
            (max.into(), 2, random(1, [2, 9, 12, 15], -1.0..1.0), None),
            (AveragePool { window, count_include_pad: false }.into(), 1, random(1, [2, 9, 12, 15], -1.0..1.0), None),
            (LpPool { window, p: 2 }.into(), 1, random(1, [2, 9, 12, 15], -1.0..1.0), None),
        ]
    }

    #[test]
    fn no_kernel_is_compiled_again_by_a_run() {
        let _turn = turn();
        let device = gpu();
        let first = compiled();
        for (op, outputs, x, w) in short_loops() {
            let mut b = GraphBuilder::new("node");
            let mut inputs = vec![Some(b.input("x", x.dtype(), x.shape().to_vec()))];
            inputs.extend(w.map(|w| Some(b.constant("w", w))));
            for (i, y) in b.nodes("node", op.clone(), &inputs, outputs).unwrap().into_iter().enumerate() {
                b.output(format!("y{i}"), y);
            }
            let graph = b.finish().unwrap();
            let feed = [("x", x.view())];
            let plan = device.compile(graph.clone()).unwrap().plans_for(&feed).unwrap().remove(0);
            assert!(!plan.candidates[0].is_empty(), "{op:?} has no kernel");
            for candidate in &plan.candidates[0] {
                let session = device.compile_with(graph.clone(), CompileOptions::new().kernel(&candidate.name)).unwrap();
                let run = |times| (0..times).for_each(|_| drop(session.run(&feed).unwrap()));
                run(3);
                let before = compiled();
                run(8);
                // Mapped in pieces now and then, but not once a run.
                assert!(compiled() < before + 4, "{}: {} mappings of machine code in eight runs", candidate.name, compiled() - before);
            }
        }
        // Where the driver computes on the processor, what it compiled was counted.
        assert!(device.info().kind != DeviceKind::SoftwareGpu || compiled() > first + 8, "mappings are not counted");
    }
}
