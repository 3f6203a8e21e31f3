//! `profile` for people.

use std::io::Write;

use macula::LayerProfile;

use super::Report;
use crate::failure::Failure;
use crate::terminal::{Column, bar, count, digits, fitted_and_told, kernel_names, time};

const LAYERS: [Column; 11] = [
    Column::new("layer", false, Some(14), None),
    Column::new("op", false, Some(9), Some(5)),
    Column::new("output", false, None, Some(2)),
    Column::new("runs as", false, Some(14), Some(4)),
    Column::new("time", true, None, None),
    Column::new("%", true, None, None),
    Column::new("", false, None, Some(1)),
    Column::new("GFLOP/s", true, None, Some(6)),
    Column::new("GB/s", true, None, Some(3)),
    Column::new("% of roof", true, None, Some(7)),
    Column::new("bound by", false, None, Some(0)),
];

/// The width of a bar of the whole time.
const BAR: usize = 20;

/// The device, the slowest layers or all in their order, and the kernels, in tables of at most `width` characters.
pub fn write(out: &mut dyn Write, report: &Report, top: Option<usize>, width: Option<usize>) -> Result<(), Failure> {
    let profile = report.profile;
    let roofline = &profile.roofline;
    writeln!(out, "{} on {}", report.model, report.device)?;
    write!(out, "roof: {} GFLOP/s of multiply-adds, {} GB/s of copying", digits(roofline.gflops), digits(roofline.gigabytes))?;
    if !roofline.launch.is_zero() {
        write!(out, ", {} a launch", time(roofline.launch))?;
    }
    writeln!(out, " ({})", if roofline.kept { "measured earlier; --measure-roofline measures anew" } else { "measured now" })?;
    writeln!(
        out,
        "a run takes {}, its layers {} {} (medians of {})",
        time(profile.run),
        time(profile.total()),
        report.clock(),
        report.runs
    )?;

    let mut layers: Vec<&LayerProfile> = profile.layers.iter().filter(|layer| !layer.time.is_zero()).collect();
    let all = layers.len();
    if let Some(top) = top {
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.time));
        layers.truncate(top);
    }
    let longest = layers.iter().map(|layer| report.share(layer.time)).fold(0.0, f64::max);
    let row = |layer: &&LayerProfile| {
        let (share, bound) = (report.share(layer.time), report.bound(layer));
        let or_none = |number: f64| if number > 0.0 { digits(number) } else { "–".to_owned() };
        vec![
            layer.name.clone(),
            layer.op.to_owned(),
            layer.outputs.first().map_or_else(|| "–".to_owned(), |ty| ty.shape.to_string()),
            kernel_names(&layer.placed.to_string()),
            time(layer.time),
            format!("{:.1}", 100.0 * share),
            if longest > 0.0 { bar(share / longest, BAR) } else { String::new() },
            or_none(layer.gflops()),
            or_none(layer.gigabytes()),
            bound.map_or_else(|| "–".to_owned(), |_| format!("{:.0}", 100.0 * layer.share(roofline))),
            bound.unwrap_or("–").to_owned(),
        ]
    };
    writeln!(out, "\n{}", fitted_and_told(&LAYERS, &layers.iter().map(row).collect::<Vec<_>>(), width))?;
    if layers.len() < all {
        writeln!(out, "The slowest {} of {} layers.", layers.len(), all)?;
    }

    let kernels: Vec<Vec<String>> = report
        .kernels()
        .iter()
        .map(|k| {
            let seconds = k.time.as_secs_f64();
            let rate = if seconds > 0.0 { digits(k.bytes as f64 * 1e-9 / seconds) } else { "–".into() };
            let share = report.share(k.time);
            vec![k.kernel.clone(), count(k.dispatches as u64), time(k.time), format!("{:.1}", 100.0 * share), bar(share, BAR), rate]
        })
        .collect();
    let columns = [
        Column::new("kernel", false, Some(14), None),
        Column::new("runs", true, None, None),
        Column::new("time", true, None, None),
        Column::new("%", true, None, None),
        Column::new("", false, None, Some(0)),
        Column::new("GB/s bound", true, None, Some(1)),
    ];
    writeln!(out, "\n{}", fitted_and_told(&columns, &kernels, width))?;
    Ok(())
}
