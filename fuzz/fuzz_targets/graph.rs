//! Small networks of arbitrary operators, attributes and shapes, as ONNX: the CPU device against the reference, node by node, and the
//! network as it is optimised against the network as it is. With `MACULA_FUZZ_GPU` set, the GPU against the reference too.

#![no_main]

#[path = "graph/generate.rs"]
mod generate;
mod harness;
#[path = "graph/operators.rs"]
mod operators;
#[path = "../../src/onnx/proto.rs"]
#[allow(dead_code)]
mod proto;

use std::sync::LazyLock;

use arbitrary::Unstructured;
use generate::AttributeForm;
use libfuzzer_sys::{Corpus, fuzz_target};
use macula::{Device, Pass};
use prost::Message;

static GPU: LazyLock<Option<Device>> =
    LazyLock::new(|| std::env::var_os("MACULA_FUZZ_GPU").map(|_| Device::gpu().expect("a GPU, software or not")));

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(model) = generate::model(&mut Unstructured::new(bytes)) else { return Corpus::Reject };
    let encoded = model.encode_to_vec();
    if let Some(path) = std::env::var_os("MACULA_FUZZ_MODEL") {
        std::fs::write(path, &encoded).unwrap();
    }
    let Ok(graph) = macula::onnx::from_bytes_with(&encoded, &harness::load_options()) else { return Corpus::Keep };
    let cpu = Device::cpu();
    for (device, without) in [(Some(&cpu), vec![]), (Some(&cpu), Pass::all().collect()), (GPU.as_ref(), vec![])] {
        let Some(device) = device else { continue };
        let options = harness::compile_options().without(without);
        let Some((session, inputs)) = harness::session(device, &graph, options) else { continue };
        let views: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        if let Ok(report) = session.verify(&views)
            && let Some(wrong) = report.first_failure()
        {
            panic!("{wrong:?}\n{:?}", graph.nodes());
        }
    }
    Corpus::Keep
});
