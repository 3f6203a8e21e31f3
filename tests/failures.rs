//! GPUs that fail: lost, out of memory, too slow. Each failure is a typed error, nothing hangs, and the host's own handlers stay.

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use macula::ops::{Conv, Padding, Unary};
use macula::{CacheFolder, CompileOptions, DType, Device, DeviceOptions, Dim, Error, Graph, GraphBuilder, Tensor};

use support::{own_device, random};

/// Longer than any run here takes on any machine: past it something hangs.
const HANGS: Duration = Duration::from_secs(120);

/// Outputs as large as inputs.
fn same() -> Conv {
    Conv { padding: Padding::SameUpper, ..Conv::default() }
}

/// Convolutions that take a software driver a while: `[N, 24, 40, 56]`.
fn network(layers: usize) -> Graph {
    let mut b = GraphBuilder::new("deep");
    let mut value = b.input("x", DType::F32, [Dim::from("N"), 24.into(), 40.into(), 56.into()]);
    let w = b.constant("w", random(5, [24, 24, 3, 3], -0.1..0.1));
    for layer in 0..layers {
        value = b.node(format!("conv {layer}"), same(), &[value, w]).unwrap();
        value = b.node(format!("relu {layer}"), Unary::Relu, &[value]).unwrap();
    }
    b.output("y", value);
    b.finish().unwrap()
}

fn options() -> DeviceOptions {
    DeviceOptions::new().cache(CacheFolder::Off)
}

fn name() -> String {
    std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into())
}

fn open() -> Device {
    Device::from_name_with(&name(), &options()).expect("run tools/test.sh")
}

fn x(batch: usize) -> Tensor {
    random(1, [batch, 24, 40, 56], -2.0..2.0)
}

#[test]
fn a_lost_device_is_an_error_and_the_session_is_rebuilt_on_another() {
    let device = open();
    let session = device.compile(network(2)).unwrap();
    let x = x(2);
    let inputs = [("x", x.view())];
    let before = session.run(&inputs).unwrap();
    device.wgpu().unwrap().0.destroy();
    for _ in 0..2 {
        for error in [session.run(&inputs).unwrap_err(), pollster::block_on(session.run_async(&inputs)).unwrap_err()] {
            assert!(matches!(error, Error::DeviceLost(_)), "{error}");
            assert!(error.to_string().contains("open a new device and rebuild"), "{error}");
        }
    }
    let rebuilt = session.rebuild(&open()).unwrap();
    assert_eq!(rebuilt.run(&inputs).unwrap()[0], before[0]);
    assert!(rebuilt.verify(&inputs).unwrap().passed());
}

#[test]
fn without_its_weights_a_session_is_not_rebuilt() {
    let mut b = GraphBuilder::new("fixed");
    let input = b.input("x", DType::F32, [2, 24, 5, 7]);
    let w = b.constant("w", random(5, [3, 24, 1, 1], -1.0..1.0));
    let y = b.node("conv", same(), &[input, w]).unwrap();
    b.output("y", y);
    let session = open().compile_with(b.finish().unwrap(), CompileOptions::new().drop_host_weights(true)).unwrap();
    let error = session.rebuild(&open()).unwrap_err();
    assert!(matches!(&error, Error::WeightsDropped(graph) if graph == "fixed"), "{error}");
}

#[test]
fn a_device_lost_in_mid_run_ends_every_run_in_flight() {
    let device = open();
    let session = Arc::new(device.compile(network(4)).unwrap());
    session.run(&[("x", x(1).view())]).unwrap();
    let (ended, ends) = mpsc::channel();
    for thread in 0..4 {
        let (session, ended) = (session.clone(), ended.clone());
        thread::spawn(move || {
            let x = x(1 + thread % 2);
            let error = loop {
                let inputs = [("x", x.view())];
                let done = if thread < 2 { session.run(&inputs) } else { pollster::block_on(session.run_async(&inputs)) };
                if let Err(error) = done {
                    break error;
                }
            };
            let _ = ended.send(error);
        });
    }
    thread::sleep(Duration::from_millis(200));
    device.wgpu().unwrap().0.destroy();
    for _ in 0..4 {
        let error = ends.recv_timeout(HANGS).expect("a run hangs");
        assert!(matches!(error, Error::DeviceLost(_) | Error::Gpu { .. }), "{error:?}");
    }
}

#[test]
fn memory_past_the_threshold_is_an_error_before_it_is_allocated() {
    // Nothing at all is granted.
    let opened = Device::from_name_with(&name(), &options().memory_percent(0));
    match opened.and_then(|device| device.compile(network(1))?.run(&[("x", x(1).view())]).map(drop)) {
        // Not `eprintln!`, which the test harness hides where tests pass.
        Ok(()) => writeln!(std::io::stderr(), "SKIPPED the threshold of memory: the driver does not tell how much is in use").unwrap(),
        Err(error) => {
            let typed = matches!(&error, Error::OutOfMemory { .. });
            assert!(typed || matches!(&error, Error::Device(refused) if refused.contains("memory")), "{error:?}");
        }
    }
}

#[test]
fn a_run_past_its_time_limit_is_an_error() {
    let limit = Duration::from_millis(1);
    let device = Device::from_name_with(&name(), &options().timeout(limit)).expect("run tools/test.sh");
    let session = device.compile(network(12)).unwrap();
    let (ended, ends) = mpsc::channel();
    // Not joined: it may hang.
    thread::spawn(move || {
        let x = x(7);
        let inputs = [("x", x.view())];
        let errors = [session.run(&inputs).unwrap_err(), pollster::block_on(session.run_async(&inputs)).unwrap_err()];
        let _ = ended.send(errors);
    });
    for error in ends.recv_timeout(HANGS).expect("a run hangs") {
        assert!(matches!(error, Error::Timeout(past) if past == limit), "{error:?}");
        assert!(error.to_string().contains("within 1ms"), "{error}");
    }
}

#[test]
fn a_program_keeps_the_error_handler_of_its_own_device() {
    let (device, queue) = own_device();
    let caught = Arc::new(AtomicUsize::new(0));
    let counter = caught.clone();
    device.on_uncaptured_error(Arc::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let session = Device::from_wgpu(device.clone(), queue).unwrap().compile(network(1)).unwrap();
    let x = x(1);
    session.run(&[("x", x.view())]).unwrap();
    assert_eq!(caught.load(Ordering::Relaxed), 0);
    // An error of the program's own: a buffer that may be mapped for reading and writing.
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE;
    let _ = device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false });
    assert_eq!(caught.load(Ordering::Relaxed), 1);
    // An error of macula's is its own.
    device.destroy();
    let error = session.run(&[("x", x.view())]).unwrap_err();
    assert!(matches!(error, Error::DeviceLost(_) | Error::Gpu { .. }), "{error:?}");
    assert_eq!(caught.load(Ordering::Relaxed), 1);
}
