//! Every kernel that can serve a shape, beside its rivals: `cargo bench -p macula --bench kernels -- FILTER`.
//!
//! A group is one operator on one shape, the kernel that the planner takes first. Times are of the GPU's work alone, many dispatches in one
//! submission. The throughput is in GFLOP/s where arithmetic bounds the operator on this device and in GB/s where memory does, as if each
//! input, weight and output went over the bus once; the percentage is of the device's roofline, measured first. Winograd's kernels may
//! exceed it, since operations are counted as the definition has them. `MACULA_DEVICE` chooses the device, by default `gpu`.

mod cases;

use std::error::Error;
use std::time::Duration;

use cases::{Case, Operand, cases};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use macula::plan::Placed;
use macula::{CompileOptions, DType, Device, Graph, GraphBuilder, Roofline, Session, Summary, Tensor, TensorView};

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::from_name(&std::env::var("MACULA_DEVICE").unwrap_or_else(|_| "gpu".into()))?;
    let roofline = device.measure_roofline()?;
    println!("{}: {:.1} GFLOP/s of multiply-adds, {:.1} GB/s of copying", device.info().name, roofline.gflops, roofline.gigabytes);
    let mut criterion = Criterion::default()
        .with_measurement(OnGpu { roofline })
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for case in cases() {
        let mut group = criterion.benchmark_group(&case.name);
        group.sampling_mode(SamplingMode::Flat);
        bench(&device, &case, &roofline, &mut group)?;
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

fn bench(device: &Device, case: &Case, roofline: &Roofline, group: &mut BenchmarkGroup<'_, OnGpu>) -> Result<(), Box<dyn Error>> {
    let (graph, inputs) = network(case)?;
    let given: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let plans = device.compile(graph.clone())?.plans_for(&given)?;
    let plan = &plans[0];
    if let Some((node, reason)) = plan.host_nodes().next() {
        println!("{}: `{}` has no kernel on this device: {reason}", case.name, node.name);
        return Ok(());
    }
    let flops = Summary::new(&graph, plan).flops.unwrap_or(0);
    let types = plan.graph.inputs().iter().chain(plan.graph.outputs()).map(|id| plan.tensor_type(*id));
    let elements: usize = types.map(|ty| ty.shape.elements()).sum();
    let bytes = plan.weights_bytes() + (elements * size_of::<f32>()) as u64;
    let bound_by_memory = bytes as f64 / roofline.gigabytes > flops as f64 / roofline.gflops;
    group.throughput(if bound_by_memory { Throughput::BytesDecimal(bytes) } else { Throughput::Elements(flops) });
    let mut kernels: Vec<_> = plan.candidates.iter().flatten().map(|c| c.kernel).collect();
    let mut seen = std::collections::HashSet::new();
    kernels.retain(|kernel| seen.insert(*kernel));
    for kernel in kernels {
        group.bench_function(kernel, |bencher| {
            let session = forced(device, &graph, kernel, &given).expect("the plan names this kernel");
            bencher.iter_custom(|runs| session.time_dispatches(&given, runs as usize).expect("the device is alive"));
        });
    }
    Ok(())
}

/// The network with this kernel wherever it can serve.
fn forced(device: &Device, graph: &Graph, kernel: &str, inputs: &[(&str, TensorView<'_>)]) -> Result<Session, Box<dyn Error>> {
    let session = device.compile_with(graph.clone(), CompileOptions::new().strict(true).kernel(kernel))?;
    let plans = session.plans_for(inputs)?;
    let taken = |placed: &Placed| matches!(placed, Placed::Gpu(kernels) if kernels.iter().any(|k| k.split(' ').next() == Some(kernel)));
    match plans[0].placed.iter().any(taken) {
        true => Ok(session),
        false => Err(format!("`{kernel}` was asked for, {:?} serve", plans[0].placed).into()),
    }
}

/// A network of one node, and its inputs.
fn network(case: &Case) -> macula::Result<(Graph, Vec<(String, Tensor)>)> {
    let mut b = GraphBuilder::new(&case.name);
    let (mut values, mut inputs) = (vec![], vec![]);
    for (index, operand) in case.operands.iter().enumerate() {
        let name = format!("input {index}");
        values.push(match operand {
            Operand::Input(dims) => {
                let value = b.input(&name, DType::F32, dims.clone());
                inputs.push((name, random(index, dims)?));
                value
            }
            Operand::Weight(dims) => b.constant(name, random(index, dims)?),
            Operand::Axes(axes) => b.constant(name, Tensor::vector(axes.clone())),
        });
    }
    let y = b.node("y", case.op.clone(), &values)?;
    b.output("y", y);
    Ok((b.finish()?, inputs))
}

/// Numbers in (0, 1): variances may be among them.
fn random(seed: usize, dims: &[usize]) -> macula::Result<Tensor> {
    let hash = |i: usize| ((i + 1) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ (seed as u64) << 8) >> 40;
    Tensor::new(dims, (0..dims.iter().product()).map(|i| (hash(i) as f32 + 0.5) / (1 << 24) as f32).collect())
}

/// Wall time around a submission, with throughputs as shares of a roofline.
struct OnGpu {
    roofline: Roofline,
}

impl Measurement for OnGpu {
    type Intermediate = <WallTime as Measurement>::Intermediate;
    type Value = Duration;

    fn start(&self) -> Self::Intermediate {
        WallTime.start()
    }

    fn end(&self, start: Self::Intermediate) -> Duration {
        WallTime.end(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for OnGpu {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, _typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        // 10⁹ a second is one a nanosecond.
        let (amount, unit) = match throughput {
            Throughput::Elements(flops) => (*flops, "GFLOP/s"),
            Throughput::BytesDecimal(bytes) => (*bytes, "GB/s"),
            _ => unreachable!("the cases have no other throughput"),
        };
        values.iter_mut().for_each(|value| *value = amount as f64 / *value);
        unit
    }

    fn format_throughput(&self, throughput: &Throughput, nanoseconds: f64) -> String {
        let mut rate = [nanoseconds];
        let unit = self.scale_throughputs(nanoseconds, throughput, &mut rate);
        let roof = if matches!(throughput, Throughput::Elements(_)) { self.roofline.gflops } else { self.roofline.gigabytes };
        format!("{:.1} {unit} {:.0} %", rate[0], 100.0 * rate[0] / roof)
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
