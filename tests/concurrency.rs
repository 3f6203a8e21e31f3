//! Several runs at once: in flight on one thread, on many threads, in several sessions of one device.

mod support;

use std::future::Future;
use std::pin::pin;

use macula::ops::{self, Unary};
use macula::{DType, Device, Dim, Graph, GraphBuilder, Tensor};
use support::{gpu, own_device, random};

fn devices() -> [Device; 2] {
    [Device::cpu(), gpu().clone()]
}

/// Five convolutions of 17 → 17 channels, long enough that a run is under way for a while, and the mean of each channel.
fn convolutions(seed: u64) -> Graph {
    let mut b = GraphBuilder::new("convolutions");
    let x = b.input("x", DType::F32, [Dim::from("N"), 17.into(), 31.into(), 37.into()]);
    let mut value = x;
    for layer in 0..5 {
        let w = b.constant(format!("w{layer}"), random(seed + layer, [17, 17, 3, 3], -0.1..0.1));
        let conv = ops::Conv { padding: ops::Padding::symmetric([1, 1]), ..ops::Conv::default() };
        let features = b.node(format!("conv{layer}"), conv, &[value, w]).unwrap();
        value = b.node(format!("relu{layer}"), Unary::Relu, &[features]).unwrap();
    }
    let y = b.node("means", ops::GlobalPool { kind: ops::PoolKind::Average }, &[value]).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

fn features(seed: u64, batch: usize) -> Tensor {
    random(seed, [batch, 17, 31, 37], -1.0..1.0)
}

#[test]
fn a_future_submits_when_it_is_first_polled_and_blocks_nothing() {
    // A device of its own, whose submissions nobody else counts up.
    let (device, queue) = own_device();
    let device = Device::from_wgpu(device, queue).unwrap();
    let session = device.compile(convolutions(1)).unwrap();
    let (a, b) = (features(1, 2), features(2, 2));
    let (inputs_a, inputs_b) = ([("x", a.view())], [("x", b.view())]);
    let expected = [session.run(&inputs_a).unwrap(), session.run(&inputs_b).unwrap()].map(|outputs| outputs.into_tensors());
    let before = device.statistics().submissions;
    let (mut first, mut second) = (pin!(session.run_async(&inputs_a)), pin!(session.run_async(&inputs_b)));
    let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.as_mut().poll(&mut nobody).is_pending());
    assert!(second.as_mut().poll(&mut nobody).is_pending());
    assert_eq!(device.statistics().submissions, before + 2, "both are in flight");
    // The later one may be awaited first.
    assert_eq!(pollster::block_on(second).unwrap().into_tensors(), expected[1]);
    assert_eq!(pollster::block_on(first).unwrap().into_tensors(), expected[0]);
    assert_ne!(expected[0], expected[1]);
}

#[test]
fn runs_in_flight_yield_in_order_and_errors_stay_where_they_are() {
    for device in devices() {
        let session = device.compile(convolutions(1)).unwrap();
        let inputs: Vec<Tensor> = [(1, 1), (2, 3), (3, 1), (4, 2), (5, 1), (6, 1)].map(|(seed, batch)| features(seed, batch)).into();
        let expected: Vec<_> = inputs.iter().map(|x| session.run(&[("x", x.view())]).unwrap().into_tensors()).collect();
        for in_flight in [0, 1, 2, 3, 100] {
            let outputs: Vec<_> = session.run_all(inputs.iter().map(|x| [("x", x.clone())]), in_flight).collect();
            assert_eq!(outputs.into_iter().map(|o| o.unwrap().into_tensors()).collect::<Vec<_>>(), expected, "{in_flight} in flight");
        }
        let named = |name, x: &Tensor| vec![(name, x.clone())];
        let mixed =
            [named("x", &inputs[0]), named("z", &inputs[1]), named("x", &random(1, [1, 16, 31, 37], 0.0..1.0)), named("x", &inputs[2])];
        let outputs: Vec<_> = session.run_all(mixed, 2).collect();
        let message = |at: usize| outputs[at].as_ref().unwrap_err().to_string();
        assert!(outputs.len() == 4 && message(1).contains("`z`") && message(2).contains("f32[1,16,31,37]"), "{outputs:?}");
        assert_eq!(outputs[0].as_ref().unwrap()[0], expected[0][0]);
        assert_eq!(outputs[3].as_ref().unwrap()[0], expected[2][0]);
        assert_eq!(session.run_all(std::iter::empty::<[(&str, Tensor); 1]>(), 3).count(), 0);
    }
}

#[test]
fn inputs_are_taken_as_they_are_needed_and_the_rest_may_be_dropped() {
    for device in devices() {
        let session = device.compile(convolutions(1)).unwrap();
        let x = features(1, 1);
        let expected = session.run(&[("x", x.view())]).unwrap()[0].clone();
        let taken = std::cell::Cell::new(0);
        let mut outputs = session.run_all((0..10).map(|_| [("x", x.clone())]).inspect(|_| taken.set(taken.get() + 1)), 3);
        assert_eq!((taken.get(), outputs.size_hint()), (0, (10, Some(10))));
        let in_flight = if device.wgpu().is_some() { 3 } else { 1 };
        for yielded in 1..=3 {
            assert_eq!(outputs.next().unwrap().unwrap()[0], expected);
            assert_eq!((taken.get(), outputs.size_hint().0), (in_flight + yielded - 1, 10 - yielded));
        }
        drop(outputs);
        assert_eq!(session.run(&[("x", x.view())]).unwrap()[0], expected, "what is forgotten does no harm");
    }
}

#[test]
fn eight_threads_on_two_sessions_of_one_device_agree_with_one_bit_by_bit() {
    for device in devices() {
        let sessions = [device.compile(convolutions(1)).unwrap(), device.compile(convolutions(50)).unwrap()];
        let inputs: Vec<Tensor> = (0..8).map(|seed| features(seed, 1 + seed as usize % 2)).collect();
        // On sessions of their own, so that the threads also meet while plans are made.
        let alone = [1, 50].map(|seed| -> Vec<Tensor> {
            let session = device.compile(convolutions(seed)).unwrap();
            inputs.iter().map(|x| session.run(&[("x", x.view())]).unwrap()[0].clone()).collect()
        });
        assert_ne!(alone[0], alone[1]);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (sessions, inputs, alone) = (&sessions, &inputs, &alone);
                scope.spawn(move || {
                    for turn in 0..6 {
                        let (which, at) = ((thread + turn) % 2, (thread * 3 + turn) % 8);
                        let x = &inputs[at];
                        let outputs = match turn % 3 {
                            0 => sessions[which].run(&[("x", x.view())]),
                            1 => pollster::block_on(sessions[which].run_async(&[("x", x.view())])),
                            _ => sessions[which].run_all([[("x", x.clone())]], 2).next().unwrap(),
                        };
                        assert_eq!(outputs.unwrap()[0], alone[which][at], "thread {thread}, turn {turn}");
                    }
                });
            }
        });
    }
}

#[test]
fn sessions_share_pipelines_and_compile_none_twice() {
    let (device, queue) = own_device();
    let device = Device::from_wgpu(device, queue).unwrap();
    let x = features(1, 1);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (device, x) = (&device, &x);
            scope.spawn(move || drop(device.compile(convolutions(seed)).unwrap().run(&[("x", x.view())]).unwrap()));
        }
    });
    let plan = device.compile(convolutions(9)).unwrap().plans_for(&[("x", x.view())]).unwrap().remove(0);
    let variants: std::collections::HashSet<_> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            macula::plan::Step::Dispatch { dispatch, .. } => Some(&dispatch.variant),
            _ => None,
        })
        .collect();
    assert_eq!(device.statistics().pipelines, variants.len() as u64);
}
