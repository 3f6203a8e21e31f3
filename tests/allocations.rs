//! That a run costs nothing but the kernels once its shape is known: no buffer, bind group or pipeline is created, and the host
//! allocates nothing of a tensor's size but the outputs.
//!
//! One test, alone in its binary: the allocator counts for the whole process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use macula::ops::{Binary, Conv, GlobalPool, Padding, PoolKind, Unary};
use macula::{DType, Device, DeviceStatistics, Dim, Graph, GraphBuilder, Session, Tensor};
use support::{gpu, random};

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
