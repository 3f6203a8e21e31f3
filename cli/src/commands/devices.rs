//! `macula devices`: what this machine offers, and what `auto` takes of it.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use macula::{AdapterReport, Device, DeviceKind, DeviceOptions};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::model::CacheArgs;
use crate::terminal;

/// List the devices of this machine, what macula uses of each, and which one `--device auto` takes
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  macula devices --json\n  macula devices --tuned gpu")]
pub struct DevicesArgs {
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// What --tune has found on a device that its rules would not take, as a table that can be shipped with macula
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    tuned: Option<String>,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Runs the command.
pub fn devices(args: &DevicesArgs, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.tuned {
        let device = Device::from_name_with(name, &DeviceOptions::new().cache(args.cache.folder()))?;
        let tuning = device.tuning().ok_or_else(|| Failure::usage("--tuned cpu: the CPU device has one way to compute each layer"))?;
        write!(out, "{}", tuning.won())?;
        return Ok(ExitCode::SUCCESS);
    }
    let adapters = Device::list();
    let (auto, cpu) = (Device::auto(), Device::cpu());
    let (chosen, cpu) = (auto.info(), &cpu.info().name);
    let taken = match chosen.kind {
        DeviceKind::Cpu => "cpu".to_owned(),
        // The adapters are listed best first, and automatic choice never skips one.
        _ => adapters.first().map_or_else(String::new, |a| a.index.to_string()),
    };
    if args.json {
        let mut devices: Vec<Value> = adapters.iter().map(as_json).collect();
        devices.push(
            json!({ "device": "cpu", "name": cpu, "type": DeviceKind::Cpu.to_string(), "backend": "native", "f16": true, "i64": true }),
        );
        writeln!(out, "{}", json!({ "auto": { "device": taken, "name": chosen.name, "reason": chosen.reason }, "devices": devices }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let numbers: Vec<String> = adapters.iter().map(|a| a.index.to_string()).collect();
    let mut header = vec!["--device"];
    header.extend(numbers.iter().map(String::as_str));
    header.push("cpu");
    writeln!(out, "{}", terminal::table(&header, rows(&adapters, cpu), &[]))?;
    writeln!(out, "`auto` takes {taken}, {}: {}", chosen.name, chosen.reason)?;
    if adapters.is_empty() {
        writeln!(out, "No GPU adapter was found; a driver for Vulkan, Metal or DX12 brings one.")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One row a property, one column a device.
fn rows(adapters: &[AdapterReport], cpu: &str) -> Vec<Vec<String>> {
    let row = |name: &str, of: &dyn Fn(&AdapterReport) -> String, cpu: &str| {
        let mut row = vec![name.to_owned()];
        row.extend(adapters.iter().map(of));
        row.push(cpu.to_owned());
        row
    };
    let yes = |b: bool| if b { "yes".to_owned() } else { "–".to_owned() };
    let or_none = |text: String| if text.is_empty() { "–".to_owned() } else { text };
    vec![
        row("name", &|a| a.name.clone(), cpu),
        row("type", &|a| a.kind.to_string(), &DeviceKind::Cpu.to_string()),
        row("backend", &|a| a.backend.clone(), "native"),
        row("driver", &|a| or_none(a.driver.clone()), "–"),
        row("f16", &|a| yes(a.f16), "yes"),
        row("i64", &|a| yes(a.i64), "yes"),
        row("subgroups", &|a| subgroups(a).unwrap_or_else(|| "–".into()), "–"),
        row("timestamps", &|a| yes(a.timestamps), "–"),
        row("cooperative matrices", &|a| or_none(a.cooperative_matrices.join("\n")), "–"),
        row("largest binding", &|a| terminal::bytes(a.max_binding), "–"),
        row("workgroup memory", &|a| terminal::bytes(a.workgroup_memory.into()), "–"),
    ]
}

fn subgroups(adapter: &AdapterReport) -> Option<String> {
    let (smallest, largest) = adapter.subgroups?;
    Some(if smallest == largest { smallest.to_string() } else { format!("{smallest}–{largest}") })
}

fn as_json(adapter: &AdapterReport) -> Value {
    json!({
        "device": adapter.index.to_string(),
        "name": adapter.name,
        "type": adapter.kind.to_string(),
        "backend": adapter.backend,
        "driver": adapter.driver,
        "f16": adapter.f16,
        "i64": adapter.i64,
        "subgroups": adapter.subgroups.map(|(smallest, largest)| [smallest, largest]),
        "timestamps": adapter.timestamps,
        "cooperative_matrices": adapter.cooperative_matrices,
        "max_binding_bytes": adapter.max_binding,
        "workgroup_memory_bytes": adapter.workgroup_memory,
    })
}
