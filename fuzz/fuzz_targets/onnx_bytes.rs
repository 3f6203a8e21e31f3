//! Bytes as an ONNX file: loaded, optimised, planned and run on the CPU device. Nothing may panic, hang or allocate beyond the limits.

#![no_main]

mod harness;

use libfuzzer_sys::fuzz_target;
use macula::Device;

fuzz_target!(|bytes: &[u8]| {
    let Ok(graph) = macula::onnx::from_bytes_with(bytes, &harness::load_options()) else { return };
    if let Some((session, inputs)) = harness::session(&Device::cpu(), &graph, harness::compile_options()) {
        let views: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        let _ = session.run(&views);
    }
});
