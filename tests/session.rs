//! Sessions as a program uses them: names, shapes that change, threads, futures, encoded runs, errors.

mod support;

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use macula::ops::{self, Binary, Cast, Flatten, Tolerance, Unary};
use macula::plan::Placed;
use macula::{Comparison, CompileOptions, DType, Device, Dim, Error, GpuTensor, Graph, GraphBuilder, Pass, Tensor, TensorType};
use support::{gpu, own_device, random};

/// Two inputs, two outputs, a free batch: `p = sigmoid(relu(a))`, `q = exp(b)`.
fn network() -> Graph {
    let mut b = GraphBuilder::new("two in, two out");
    let first = b.input("a", DType::F32, [Dim::from("N"), 3.into(), 5.into()]);
    let second = b.input("b", DType::F32, [Dim::from("N"), 7.into()]);
    let relu = b.node("relu", Unary::Relu, &[first]).unwrap();
    let p = b.node("sigmoid", Unary::Sigmoid, &[relu]).unwrap();
    let q = b.node("exp", Unary::Exp, &[second]).unwrap();
    b.output("p", p);
    b.output("q", q);
    b.finish().unwrap()
}

fn devices() -> [Device; 2] {
    [Device::cpu(), gpu().clone()]
}

#[test]
fn inputs_and_outputs_go_by_name_and_batches_may_change() {
    for device in devices() {
        let session = device.compile(network()).unwrap();
        for batch in [1, 4, 2, 4] {
            let (a, b) = (random(1, [batch, 3, 5], -2.0..2.0), random(2, [batch, 7], -2.0..2.0));
            let outputs = session.run(&[("b", b.view()), ("a", a.view())]).unwrap();
            assert_eq!(
                outputs.iter().map(|(name, t)| (name, t.shape().to_vec())).collect::<Vec<_>>(),
                [("p", vec![batch, 3, 5]), ("q", vec![batch, 7])]
            );
            let (x, y) = (a.data::<f32>().unwrap(), outputs.get("p").unwrap().data::<f32>().unwrap());
            assert!(x.iter().zip(y).all(|(x, y)| (1.0 / (1.0 + (-x.max(0.0)).exp()) - y).abs() < 1e-5));
            assert!(outputs.get("r").is_none());
        }
    }
}

/// What lies inside comes out as it is there, even where passes would merge it with its neighbours, and changes nothing else.
#[test]
fn inner_values_may_be_outputs() {
    let network = || {
        let mut b = GraphBuilder::new("inner");
        let x = b.input("x", DType::F32, [Dim::from("N"), 3.into(), 5.into(), 4.into()]);
        let w = b.constant("w", random(1, [6, 3, 3, 2], -1.0..1.0));
        let conv = b.node("conv", ops::Conv::default(), &[x, w]).unwrap();
        let y = b.node("y", Unary::Relu, &[conv]).unwrap();
        b.output("y", y);
        b.finish().unwrap()
    };
    let x = random(2, [2, 3, 5, 4], -1.0..1.0);
    for device in devices() {
        let plain = device.compile(network()).unwrap().run(&[("x", x.view())]).unwrap();
        let mut graph = network();
        for name in ["conv", "y", "conv"] {
            graph.add_output(name).unwrap();
        }
        let outputs = device.compile(graph).unwrap().run(&[("x", x.view())]).unwrap();
        assert_eq!(outputs.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["y", "conv"]);
        assert_eq!(outputs.get("conv").unwrap().shape().dims(), [2, 6, 3, 3]);
        let (y, conv) = (outputs[0].data::<f32>().unwrap(), outputs[1].data::<f32>().unwrap());
        assert!(y.iter().zip(conv).all(|(y, conv)| *y == conv.max(0.0)));
        assert!(y.iter().zip(plain[0].data::<f32>().unwrap()).all(|(a, b)| (a - b).abs() < 1e-4));
        assert!(conv.iter().any(|v| *v < 0.0));
    }
    for name in ["x", "w", "nowhere"] {
        let error = network().add_output(name).unwrap_err().to_string();
        assert!(error.contains("graph `inner`") && error.contains(name), "{error}");
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    for device in devices() {
        let session = device.compile(network()).unwrap();
        let (a, b) = (random(1, [2, 3, 5], 0.0..1.0), random(2, [2, 7], 0.0..1.0));
        let wrong_type = Tensor::full([2, 7], 1i64);
        let wrong_shape = random(2, [2, 8], 0.0..1.0);
        let wrong_batch = random(2, [3, 7], 0.0..1.0);
        let empty = random(2, [0, 7], 0.0..1.0);
        type Case<'a> = (&'a [(&'a str, &'a Tensor)], &'a [&'a str]);
        let cases: [Case<'_>; 7] = [
            (&[("a", &a)], &["`b`", "missing", "`a`, `b`"]),
            (&[("a", &a), ("c", &b)], &["`c`", "no such input"]),
            (&[("a", &a), ("b", &b), ("b", &b)], &["`b`", "twice"]),
            (&[("a", &a), ("b", &wrong_type)], &["`b`", "f32[N,7]", "i64[2,7]"]),
            (&[("a", &a), ("b", &wrong_shape)], &["`b`", "f32[N,7]", "f32[2,8]"]),
            (&[("a", &a), ("b", &wrong_batch)], &["`b`", "`N` is 3", "2 in input `a`"]),
            (&[("a", &a), ("b", &empty)], &["`b`", "empty"]),
        ];
        for (inputs, texts) in cases {
            let views: Vec<_> = inputs.iter().map(|(n, t)| (*n, t.view())).collect();
            let message = session.run(&views).unwrap_err().to_string();
            assert!(texts.iter().all(|t| message.contains(t)), "{message} lacks one of {texts:?}");
        }
    }
}

#[test]
fn threads_share_a_session_and_agree_bit_by_bit() {
    for device in devices() {
        let session = device.compile(network()).unwrap();
        let (a, b) = (random(1, [2, 3, 5], -2.0..2.0), random(2, [2, 7], -2.0..2.0));
        let alone = session.run(&[("a", a.view()), ("b", b.view())]).unwrap().into_tensors();
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..5).map(|_| session.run(&[("a", a.view()), ("b", b.view())]).unwrap().into_tensors()).collect::<Vec<_>>()
                    })
                })
                .collect();
            for run in runs {
                assert!(run.join().unwrap().iter().all(|outputs| *outputs == alone));
            }
        });
    }
}

#[test]
fn two_futures_are_in_flight_at_once() {
    for device in devices() {
        let session = device.compile(network()).unwrap();
        let (a, b, c) = (random(1, [2, 3, 5], -2.0..2.0), random(2, [2, 7], -2.0..2.0), random(3, [2, 7], -2.0..2.0));
        let (first_inputs, second_inputs) = ([("a", a.view()), ("b", b.view())], [("a", a.view()), ("b", c.view())]);
        let (mut first, mut second) = (pin!(session.run_async(&first_inputs)), pin!(session.run_async(&second_inputs)));
        let (mut done_first, mut done_second) = (None, None);
        pollster::block_on(std::future::poll_fn(|cx| {
            if done_first.is_none()
                && let Poll::Ready(outputs) = first.as_mut().poll(cx)
            {
                done_first = Some(outputs);
            }
            if done_second.is_none()
                && let Poll::Ready(outputs) = second.as_mut().poll(cx)
            {
                done_second = Some(outputs);
            }
            if done_first.is_some() && done_second.is_some() { Poll::Ready(()) } else { Poll::Pending }
        }));
        let (first, second) = (done_first.unwrap().unwrap().into_tensors(), done_second.unwrap().unwrap().into_tensors());
        assert_eq!(first, session.run(&first_inputs).unwrap().into_tensors());
        assert_eq!(second, session.run(&second_inputs).unwrap().into_tensors());
        assert_ne!(first[1], second[1]);
    }
}

#[test]
fn sessions_and_futures_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    fn shared<T: Sync>(_: &T) {}
    let session = Device::cpu().compile(network()).unwrap();
    crosses(&session);
    shared(&session);
    crosses(&session.run_async(&[]));
    crosses(&session.run_all([[("x", Tensor::scalar(1f32))]], 2));
}

#[test]
fn a_weight_that_no_binding_holds_runs_in_parts() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: 4096, ..wgpu::Limits::default() };
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    let small = Device::from_wgpu(device, queue).unwrap();
    for (rows, transpose_b) in [(1, true), (1, false), (9, true), (9, false)] {
        let mut b = GraphBuilder::new("linear");
        let x = b.input("x", DType::F32, [rows, 33]);
        let w = b.constant("w", random(1, if transpose_b { [102, 33] } else { [33, 102] }, -1.0..1.0));
        let c = b.constant("c", random(2, [102], -1.0..1.0));
        let y = b.node("linear", ops::Gemm { transpose_b, ..ops::Gemm::default() }, &[x, w, c]).unwrap();
        b.output("y", y);
        let graph = b.finish().unwrap();
        let x = random(3, [rows, 33], -1.0..1.0);
        let inputs = [("x", x.view())];
        let expected = Device::cpu().compile(graph.clone()).unwrap().run(&inputs).unwrap();
        for kernel in ["matmul", "matmul_vector"] {
            let options = CompileOptions::new().strict(true).debug_memory(true).kernel(kernel);
            let session = small.compile_with(graph.clone(), options).unwrap();
            assert_eq!(session.plans_for(&inputs).unwrap()[0].weights.len(), 5, "four parts and the bias");
            let y = session.run(&inputs).unwrap();
            let comparison = Comparison::new(&y[0], &expected[0], Tolerance::accumulation(DType::F32));
            assert!(comparison.passed(), "{rows} rows, {kernel}: {comparison}");
        }
    }
}

#[test]
fn encoded_runs_stay_on_the_gpu() {
    let (device, queue) = own_device();
    let session = Device::from_wgpu(device.clone(), queue.clone()).unwrap().compile(network()).unwrap();
    let (a, b) = (random(1, [2, 3, 5], -2.0..2.0), random(2, [2, 7], -2.0..2.0));
    let buffer = |size, usage| device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let (source, target) =
        (wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST, wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST);
    let (in_a, in_b, out_q) = (buffer(128, source), buffer(64, source), buffer(64, target));
    let read_back = buffer(64, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    queue.write_buffer(&in_a, 0, a.bytes());
    queue.write_buffer(&in_b, 0, b.bytes());
    let mut encoder = device.create_command_encoder(&Default::default());
    let inputs = [
        ("a", GpuTensor { buffer: &in_a, ty: TensorType::new(DType::F32, [2, 3, 5]) }),
        ("b", GpuTensor { buffer: &in_b, ty: TensorType::new(DType::F32, [2, 7]) }),
    ];
    session.encode(&mut encoder, &inputs, &[("q", &out_q)]).unwrap();
    encoder.copy_buffer_to_buffer(&out_q, 0, &read_back, 0, 64);
    queue.submit([encoder.finish()]);
    read_back.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let bytes = read_back.get_mapped_range(..).unwrap()[..56].to_vec();
    let expected = session.run(&[("a", a.view()), ("b", b.view())]).unwrap();
    assert_eq!(bytes, expected.get("q").unwrap().bytes());

    let small = buffer(32, target);
    let mut encoder = device.create_command_encoder(&Default::default());
    let message = session.encode(&mut encoder, &inputs, &[("q", &small)]).unwrap_err().to_string();
    assert!(message.contains("`q`") && message.contains("32 bytes") && message.contains("64"), "{message}");
    let unusable = buffer(64, wgpu::BufferUsages::STORAGE);
    let message = session.encode(&mut encoder, &inputs, &[("q", &unusable)]).unwrap_err().to_string();
    assert!(message.contains("COPY_DST"), "{message}");
    assert!(session.encode(&mut encoder, &inputs, &[("nobody", &out_q)]).unwrap_err().to_string().contains("`nobody`"));
}

#[test]
fn the_cpu_device_encodes_nothing_and_says_so() {
    let (device, _queue) = own_device();
    let session = Device::cpu().compile(network()).unwrap();
    let mut encoder = device.create_command_encoder(&Default::default());
    assert!(matches!(session.encode(&mut encoder, &[], &[]), Err(Error::Device(_))));
}

#[test]
fn dispatches_are_timed_in_one_submission() {
    let (device, queue) = own_device();
    let device = Device::from_wgpu(device, queue).unwrap();
    let session = device.compile(network()).unwrap();
    let (a, b) = (random(1, [2, 3, 5], -1.0..1.0), random(2, [2, 7], -1.0..1.0));
    let inputs = [("a", a.view()), ("b", b.view())];
    let before = session.run(&inputs).unwrap();
    let submissions = device.statistics().submissions;
    session.time_dispatches(&inputs, 100).unwrap();
    assert_eq!(device.statistics().submissions, submissions + 2, "a run, and all that is timed");
    assert_eq!(session.run(&inputs).unwrap().into_tensors(), before.into_tensors());
    let on_cpu = Device::cpu().compile(network()).unwrap();
    assert!(matches!(on_cpu.time_dispatches(&inputs, 1), Err(Error::Device(_))));
    let x = Tensor::full([2, 3], 1f64);
    let strict = device.compile(double_precision()).unwrap().time_dispatches(&[("x", x.view())], 1);
    assert!(matches!(strict, Err(Error::Strict(nodes)) if nodes[0].contains("exp in f64")));
}

/// A network of which nothing has a kernel: WGSL has no `f64`.
fn double_precision() -> Graph {
    let mut b = GraphBuilder::new("doubles");
    let x = b.input("x", DType::F64, [2, 3]);
    let y = b.node("exp in f64", Unary::Exp, &[x]).unwrap();
    b.output("y", y);
    b.finish().unwrap()
}

#[test]
fn nodes_without_a_kernel_run_on_the_cpu_and_strict_refuses_them() {
    let session = gpu().compile(double_precision()).unwrap();
    let x = Tensor::new([2, 3], vec![0f64, 1.0, -1.0, 0.5, 2.0, 3.0]).unwrap();
    let outputs = session.run(&[("x", x.view())]).unwrap();
    assert_eq!(outputs[0].data::<f64>().unwrap()[1], 1f64.exp());
    let plan = session.plan(&[("x", TensorType::new(DType::F64, [2, 3]))]).unwrap();
    assert!(matches!(&plan.placed[..], [Placed::Cpu(reason)] if reason.contains("f64")), "{:?}", plan.placed);
    match gpu().compile_with(double_precision(), CompileOptions::new().strict(true)) {
        Err(Error::Strict(nodes)) => assert!(nodes[0].contains("exp in f64") && nodes[0].contains("f64"), "{nodes:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_crosses_to_the_cpu_and_back() {
    let mut b = GraphBuilder::new("there and back");
    let x = b.input("x", DType::F32, [Dim::from("N"), 3.into(), 5.into()]);
    let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
    let wide = b.node("to f64", Cast { to: DType::F64 }, &[relu]).unwrap();
    let exp = b.node("exp in f64", Unary::Exp, &[wide]).unwrap();
    let narrow = b.node("to f32", Cast { to: DType::F32 }, &[exp]).unwrap();
    let sum = b.node("sum", Binary::Add, &[narrow, relu]).unwrap();
    let flat = b.node("flat", Flatten { axis: 1 }, &[sum]).unwrap();
    b.output("relu", relu);
    b.output("flat", flat);
    let graph = b.finish().unwrap();
    let on_cpu = Device::cpu().compile(graph.clone()).unwrap();
    let session = gpu().compile_with(graph, CompileOptions::new().debug_memory(true)).unwrap();
    for batch in [2, 7] {
        let x = random(batch as u64, [batch, 3, 5], -2.0..2.0);
        let inputs = [("x", x.view())];
        let plan = session.plans_for(&inputs).unwrap().remove(0);
        assert_eq!(plan.host_nodes().map(|(n, _)| n.name.as_str()).collect::<Vec<_>>(), ["to f64", "exp in f64", "to f32"]);
        let (got, want) = (session.run(&inputs).unwrap(), on_cpu.run(&inputs).unwrap());
        assert_eq!(got[0], want[0]);
        assert_eq!(got[1].shape().dims(), [batch, 15]);
        let comparison = macula::Comparison::new(&got[1], &want[1], macula::ops::Tolerance::rounding(DType::F32));
        assert!(comparison.passed(), "{comparison}");
        let together: Vec<_> = session.run_all((0..5).map(|_| [("x", x.clone())]), 3).collect();
        assert!(together.into_iter().all(|outputs| outputs.unwrap().into_tensors() == got.clone().into_tensors()));
        let report = session.verify(&inputs).unwrap();
        assert!(report.passed() && report.nodes.len() == 6, "{report}");
        assert!(report.nodes.iter().any(|n| n.node == "exp in f64" && n.kernel.starts_with("CPU: ")), "{report:?}");
    }
}

#[test]
fn verification_passes_what_is_right() {
    let (a, b) = (random(1, [2, 3, 5], -2.0..2.0), random(2, [2, 7], -2.0..2.0));
    for device in devices() {
        for (without, nodes) in [(vec![], vec!["relu", "exp"]), (vec![Pass::FuseElementwise], vec!["relu", "sigmoid", "exp"])] {
            let session = device.compile_with(network(), CompileOptions::new().without(without)).unwrap();
            let report = session.verify(&[("a", a.view()), ("b", b.view())]).unwrap();
            assert!(report.passed(), "{report}");
            assert_eq!(report.nodes.iter().map(|n| n.node.as_str()).collect::<Vec<_>>(), nodes);
        }
    }
}

/// Truth values of `x`, and as many ones as its largest element says, from a graph whose shapes depend on what it computes.
#[test]
fn shapes_may_depend_on_what_is_computed() {
    let mut b = GraphBuilder::new("stages");
    let x = b.input("x", DType::F32, ["N".into(), Dim::from(3), 40.into(), 50.into()]);
    let relu = b.node("relu", ops::Unary::Relu, &[x]).unwrap();
    let max = ops::Reduce { function: ops::ReduceFunction::Max, keep_dims: false, noop_with_empty_axes: false };
    let largest = b.node("largest", max, &[relu]).unwrap();
    let count = b.node("count", ops::Cast { to: DType::I64 }, &[largest]).unwrap();
    let axis = b.constant("axis", Tensor::vector(vec![0i64]));
    let shape = b.node("shape", ops::Unsqueeze, &[count, axis]).unwrap();
    let ones = b.node("ones", ops::ConstantOfShape { value: Tensor::vector(vec![1f32]) }, &[shape]).unwrap();
    let y = b.node("y", ops::Binary::Mul, &[ones, largest]).unwrap();
    for (name, value) in [("relu", relu), ("count", count), ("y", y)] {
        b.output(name, value);
    }
    let graph = b.finish().unwrap();
    for device in [&Device::cpu(), gpu()] {
        let session = device.compile(graph.clone()).unwrap();
        for (images, most) in [(1, 3.5f32), (2, 5.25), (1, 3.75)] {
            let mut values = vec![-1f32; images * 6000];
            values[4321] = most;
            let x = Tensor::new([images, 3, 40, 50], values).unwrap();
            let outputs = session.run(&[("x", x.view())]).unwrap();
            assert_eq!(outputs.get("relu").unwrap().shape(), x.shape());
            assert_eq!(outputs.get("count").unwrap().to_i64().unwrap(), [most as i64]);
            assert_eq!(outputs.get("y").unwrap().to_f64(), vec![f64::from(most); most as usize]);
            let report = session.verify(&[("x", x.view())]).unwrap();
            assert!(report.passed(), "{report}");
            let names: Vec<_> = report.nodes.iter().map(|n| n.node.as_str()).collect();
            assert!(["relu", "largest", "count", "shape", "y"].iter().all(|name| names.contains(name)), "{names:?}");
            assert_eq!(session.plans_for(&[("x", x.view())]).unwrap().len(), 2);
            let together: Vec<_> = session.run_all((0..5).map(|_| [("x", x.clone())]), 3).collect();
            assert!(together.len() == 5 && together.into_iter().all(|o| o.unwrap().into_tensors() == outputs.clone().into_tensors()));
        }
        let error = session.plan(&[("x", TensorType::new(DType::F32, [1, 3, 40, 50]))]).unwrap_err().to_string();
        assert!(error.contains("shapes depend on elements"), "{error}");
    }
}

/// A product with a large constant on the GPU, and another of `f64`, which runs on the CPU; where `fixed`, for two rows.
fn two_large_weights(fixed: bool) -> Graph {
    let mut b = GraphBuilder::new("large weights");
    let rows = if fixed { Dim::from(2) } else { Dim::from("N") };
    let x = b.input("x", DType::F32, [rows, 33.into()]);
    let w = b.constant("w", random(1, [33, 65], -1.0..1.0));
    let y = b.node("product", ops::MatMul, &[x, w]).unwrap();
    let wide = b.node("wide", Cast { to: DType::F64 }, &[y]).unwrap();
    let v = b.constant("v", support::to_dtype(&random(2, [5, 1, 65], -1.0..1.0), DType::F64));
    let z = b.node("product in f64", Binary::Mul, &[wide, v]).unwrap();
    b.output("y", y);
    b.output("z", z);
    b.finish().unwrap()
}

#[test]
fn host_copies_of_weights_can_be_dropped() {
    let drop_weights = CompileOptions::new().drop_host_weights(true);
    let (x, longer) = (random(3, [2, 33], -1.0..1.0), random(4, [3, 33], -1.0..1.0));
    let inputs = [("x", x.view())];
    for device in devices() {
        let expected = device.compile(two_large_weights(true)).unwrap().run(&inputs).unwrap().into_tensors();
        let session = device.compile_with(two_large_weights(true), drop_weights.clone()).unwrap();
        for _ in 0..2 {
            assert_eq!(session.run(&inputs).unwrap().into_tensors(), expected);
        }
        assert_eq!(session.graph().parameters(), 33 * 65 + 5 * 65, "shapes stay");
        assert!(matches!(session.run(&[("x", longer.view())]), Err(Error::Input { .. })));
        let elements = |graph: &Graph| graph.values().iter().filter_map(|v| v.constant.as_ref()).map(|c| c.bytes().len()).sum::<usize>();
        let plan = session.plans_for(&inputs).unwrap().remove(0);
        if device.wgpu().is_some() {
            assert_eq!((elements(session.graph()), elements(&plan.graph)), (0, 5 * 65 * 8), "what the CPU reads stays");
            assert!(plan.weights.iter().all(|weight| weight.tensor.bytes().is_empty()));
            assert!(matches!(session.verify(&inputs), Err(Error::WeightsDropped(_))));
        } else {
            assert!(elements(session.graph()) > 33 * 65 * 4 && session.verify(&inputs).unwrap().passed());
        }
        // Where other shapes may come, the weights are kept.
        let session = device.compile_with(two_large_weights(false), drop_weights.clone()).unwrap();
        assert_eq!(session.run(&inputs).unwrap().into_tensors(), expected);
        assert_eq!(session.run(&[("x", longer.view())]).unwrap()[0].shape().dims(), [3, 65]);
        assert!(session.verify(&inputs).unwrap().passed());
    }
}

#[test]
fn frozen_inputs_are_constants() {
    let mut graph = network();
    let b = random(3, [2, 7], -1.0..1.0);
    let error = graph.freeze_input("b", random(3, [2, 6], -1.0..1.0)).unwrap_err().to_string();
    assert!(error.contains("expected f32[N,7], got f32[2,6]"), "{error}");
    assert!(graph.freeze_input("c", b.clone()).unwrap_err().to_string().contains("no such input"));
    graph.freeze_input("b", b.clone()).unwrap();
    let a = random(4, [2, 3, 5], -1.0..1.0);
    let outputs = gpu().compile(graph).unwrap().run(&[("a", a.view())]).unwrap();
    let expected: Vec<f64> = b.to_f64().iter().map(|x| x.exp()).collect();
    let exp = outputs.get("q").unwrap().to_f64();
    assert!(exp.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{exp:?}");
}

/// What is positive in `x`, found by a node whose output's shape depends on the elements; the data itself stays on the GPU.
#[test]
fn data_that_shapes_depend_on_is_not_folded() {
    let mut b = GraphBuilder::new("selection");
    let x = b.input("x", DType::F32, ["N".into(), Dim::from(3), 40.into(), 50.into()]);
    let relu = b.node("relu", Unary::Relu, &[x]).unwrap();
    let found = b.node("found", ops::NonZero, &[relu]).unwrap();
    let positions = b.node("positions", ops::Transpose { permutation: vec![1, 0] }, &[found]).unwrap();
    let values = b.node("values", ops::GatherNd { batch_dims: 0 }, &[relu, positions]).unwrap();
    let y = b.node("y", Unary::Exp, &[values]).unwrap();
    b.output("y", y);
    let graph = b.finish().unwrap();
    let mut values = vec![-1f32; 2 * 6000];
    (values[17], values[4321], values[11_999]) = (1.0, 2.0, 3.0);
    let x = Tensor::new([2, 3, 40, 50], values).unwrap();
    for device in [&Device::cpu(), gpu()] {
        let session = device.compile(graph.clone()).unwrap();
        let y = session.run(&[("x", x.view())]).unwrap()[0].to_f64();
        assert!(y.len() == 3 && y.iter().zip(1..).all(|(y, n)| (y - f64::from(n).exp()).abs() < 1e-4), "{y:?}");
        let report = session.verify(&[("x", x.view())]).unwrap();
        let names: Vec<_> = report.nodes.iter().map(|n| n.node.as_str()).collect();
        assert!(report.passed() && names == ["relu", "values", "y"], "{names:?}");
        if device.wgpu().is_some() {
            let plans = session.plans_for(&[("x", x.view())]).unwrap();
            assert!(plans.iter().all(|plan| plan.host_nodes().count() == 0));
        }
    }
}
