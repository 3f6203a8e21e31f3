//! `profile --json`.

use macula::LayerProfile;
use serde_json::{Value, json};

use super::{Report, ms};

/// Everything, as one object.
pub fn object(report: &Report) -> Value {
    let profile = report.profile;
    let roofline = &profile.roofline;
    json!({
        "model": report.model,
        "device": report.device,
        "clock": format!("{:?}", profile.clock).to_lowercase(),
        "runs": report.runs,
        "run_ms": ms(profile.run),
        "layers_ms": ms(profile.total()),
        "roofline": {
            "gflops": roofline.gflops,
            "gigabytes_per_s": roofline.gigabytes,
            "launch_us": roofline.launch.as_secs_f64() * 1e6,
            "kept": roofline.kept,
        },
        "layers": profile.layers.iter().map(|layer| self::layer(report, layer)).collect::<Vec<_>>(),
        "kernels": report.kernels().iter().map(|k| json!({
            "kernel": k.kernel,
            "dispatches": k.dispatches,
            "ms": ms(k.time),
            "share": report.share(k.time),
            "bytes": k.bytes,
        })).collect::<Vec<_>>(),
    })
}

fn layer(report: &Report, layer: &LayerProfile) -> Value {
    let bound = report.bound(layer);
    json!({
        "name": layer.name,
        "op": layer.op,
        "origins": layer.origins,
        "outputs": layer.outputs.iter().map(|ty| ty.to_string()).collect::<Vec<_>>(),
        "ms": ms(layer.time),
        "share": report.share(layer.time),
        "flops": layer.flops,
        "bytes": layer.bytes,
        "gflops": layer.gflops(),
        "gigabytes_per_s": layer.gigabytes(),
        "of_roof": bound.map(|_| layer.share(&report.profile.roofline)),
        "bound": bound,
        "dispatches": layer.dispatches.iter().map(|d| json!({
            "kernel": d.kernel,
            "variant": d.variant,
            "workgroups": d.workgroups,
            "ms": ms(d.time),
            "bytes": d.bytes,
        })).collect::<Vec<_>>(),
    })
}
