//! `profile --trace`: the Trace Event Format that Chrome and Perfetto read.
//! Source: <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.

use std::time::Duration;

use serde_json::{Value, json};

use super::Report;

const LAYERS: u32 = 1;
const DISPATCHES: u32 = 2;

/// One run: layers one after the other on one row, their dispatches on the row below, without the gaps between them.
pub fn events(report: &Report) -> Value {
    let name = |what: &str, tid: u32, name: &str| json!({ "ph": "M", "name": what, "pid": 1, "tid": tid, "args": { "name": name } });
    let process = format!("{} on {}", report.model, report.device);
    let mut events =
        vec![name("process_name", 0, &process), name("thread_name", LAYERS, "layers"), name("thread_name", DISPATCHES, "dispatches")];
    let span = |tid: u32, name: &str, category: &str, from: Duration, time: Duration, args: Value| {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        json!({ "ph": "X", "name": name, "cat": category, "pid": 1, "tid": tid, "ts": us(from), "dur": us(time), "args": args })
    };
    let mut now = Duration::ZERO;
    for layer in report.profile.layers.iter().filter(|layer| !layer.time.is_zero()) {
        let args = json!({
            "op": layer.op,
            "nodes of the file": layer.origins,
            "outputs": layer.outputs.iter().map(|ty| ty.to_string()).collect::<Vec<_>>(),
            "GFLOP/s": layer.gflops(),
            "GB/s": layer.gigabytes(),
            "bound by": report.bound(layer),
        });
        events.push(span(LAYERS, &layer.name, layer.op, now, layer.time, args));
        let mut from = now;
        for dispatch in &layer.dispatches {
            let args =
                json!({ "variant": dispatch.variant, "workgroups": dispatch.workgroups, "bytes": dispatch.bytes, "layer": layer.name });
            events.push(span(DISPATCHES, dispatch.kernel, "dispatch", from, dispatch.time, args));
            from += dispatch.time;
        }
        // Medians of parts may add up to more than the median of the whole.
        now = from.max(now + layer.time);
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}
