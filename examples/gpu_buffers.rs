//! Inference inside a program that owns its wgpu device: a shader of the program draws the input, the network reads that
//! buffer and writes another, and nothing goes through the host: `cargo run --release --example gpu_buffers`.

use macula::{DType, Device, GpuTensor, TensorType, onnx};

/// The program's own shader: a batch of two 3 × 32 × 32 images, a bright disc on dark ground and its negative.
const DRAW: &str = "
@group(0) @binding(0) var<storage, read_write> image: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let p = vec2<f32>(f32(id.x % 32u), f32(id.x / 32u % 32u)) - 15.5;
    let bright = select(-1.5, 1.5, length(p) < 10.0);
    image[id.x] = select(bright, -bright, id.x >= 3072u);
}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What a program with a renderer has anyway.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;

    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/cifar10.onnx");
    let session = Device::from_wgpu(device.clone(), queue.clone())?.compile(onnx::load(model)?)?;

    let buffer = |label, elements: u64, usage| {
        let size = (4 * elements).next_multiple_of(32);
        device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
    };
    let image = buffer("image", 2 * 3 * 32 * 32, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let logits = buffer("logits", 2 * 10, wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST);
    let shown = buffer("shown", 2 * 10, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);

    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(DRAW.into()) });
    let draw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("draw"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &draw.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: image.as_entire_binding() }],
    });

    // One encoder: the program's drawing, the network, the program's use of the answer.
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&draw);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(2 * 3 * 32 * 32 / 64, 1, 1);
    }
    let input = GpuTensor { buffer: &image, ty: TensorType::new(DType::F32, [2, 3, 32, 32]) };
    session.encode(&mut encoder, &[("image", input)], &[("logits", &logits)])?;
    encoder.copy_buffer_to_buffer(&logits, 0, &shown, 0, shown.size());
    queue.submit([encoder.finish()]);

    shown.map_async(wgpu::MapMode::Read, .., |mapped| mapped.expect("the device is alive"));
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&shown.get_mapped_range(..)?[..80]);
    println!("on {}", adapter.get_info().name);
    for (n, logits) in values.chunks(10).enumerate() {
        println!("image {n}: {logits:.2?}");
    }
    Ok(())
}
