//! `profile --svg` and `--png`: the roofline, each layer a dot under the roof.

use std::sync::OnceLock;

use macula::LayerProfile;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::Report;
use crate::failure::Failure;
use crate::terminal::digits;

const SIZE: (u32, u32) = (1000, 640);
const FONT: &str = "sans-serif";
const MEMORY: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const ARITHMETIC: RGBColor = RGBColor(0xd6, 0x27, 0x28);
const LAUNCH: RGBColor = RGBColor(0x7f, 0x7f, 0x7f);

/// The plot in SVG.
pub fn svg(report: &Report) -> Result<String, Failure> {
    let mut text = String::new();
    draw(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area(), report)?;
    Ok(text)
}

/// The plot as a PNG file's bytes.
pub fn png(report: &Report) -> Result<Vec<u8>, Failure> {
    let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    draw(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area(), report)?;
    let picture = image::RgbImage::from_raw(SIZE.0, SIZE.1, pixels).expect("the buffer has the picture's size");
    let mut bytes = std::io::Cursor::new(vec![]);
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| Failure::failed(format!("the plot cannot be encoded: {error}")))?;
    Ok(bytes.into_inner())
}

/// Machines without fonts draw text too.
fn register() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        // Whether a font is the first of its name is of no interest.
        let _ = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
}

/// A dot: operations a byte, operations a second, share of the time, and what bounds it.
struct Dot {
    intensity: f64,
    gflops: f64,
    share: f64,
    colour: RGBColor,
}

fn dots(report: &Report) -> Vec<Dot> {
    let dot = |layer: &LayerProfile| {
        let colour = match report.bound(layer)? {
            "arithmetic" => ARITHMETIC,
            "memory" => MEMORY,
            _ => LAUNCH,
        };
        let drawn = layer.flops > 0 && layer.bytes > 0 && !layer.time.is_zero();
        let intensity = layer.flops as f64 / layer.bytes as f64;
        drawn.then(|| Dot { intensity, gflops: layer.gflops(), share: report.share(layer.time), colour })
    };
    report.profile.layers.iter().filter_map(dot).collect()
}

fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, report: &Report) -> Result<(), Failure> {
    register();
    drawn(area, report).map_err(|error| Failure::failed(format!("the roofline cannot be drawn: {error}")))
}

fn drawn<B: DrawingBackend>(area: &DrawingArea<B, Shift>, report: &Report) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let roofline = &report.profile.roofline;
    let dots = dots(report);
    let ridge = roofline.gflops / roofline.gigabytes;
    let least = |of: &dyn Fn(&Dot) -> f64, known: f64| dots.iter().map(of).fold(known, f64::min);
    let most = |of: &dyn Fn(&Dot) -> f64, known: f64| dots.iter().map(of).fold(known, f64::max);
    let x = least(&|d| d.intensity, ridge) / 2.0..most(&|d| d.intensity, ridge) * 2.0;
    let y = least(&|d| d.gflops, roofline.gflops) / 2.0..most(&|d| d.gflops, roofline.gflops) * 2.0;

    area.fill(&WHITE)?;
    let title = format!("{} on {}", report.model, report.device);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(x.clone().log_scale(), y.clone().log_scale())?;
    chart
        .configure_mesh()
        .x_desc("operations a byte")
        .y_desc("GFLOP/s")
        .axis_desc_style((FONT, 17))
        .label_style((FONT, 15))
        .x_label_formatter(&|v| short(*v))
        .y_label_formatter(&|v| short(*v))
        .light_line_style(BLACK.mix(0.04))
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    let roof = |intensity: f64| (intensity, (intensity * roofline.gigabytes).min(roofline.gflops));
    chart
        .draw_series(LineSeries::new([roof(x.start), roof(ridge), roof(x.end)], BLACK.stroke_width(2)))?
        .label(format!("roof: {} GFLOP/s, {} GB/s", digits(roofline.gflops), digits(roofline.gigabytes)))
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLACK.stroke_width(2)));
    for (colour, bound) in [(ARITHMETIC, "arithmetic"), (MEMORY, "memory"), (LAUNCH, "launches")] {
        let these: Vec<&Dot> = dots.iter().filter(|dot| dot.colour == colour).collect();
        if these.is_empty() {
            continue;
        }
        // The area of a dot is its share of the time.
        let circle =
            |dot: &&Dot| Circle::new((dot.intensity, dot.gflops), (3.0 + 40.0 * dot.share.sqrt()) as i32, colour.mix(0.55).filled());
        chart
            .draw_series(these.iter().map(circle))?
            .label(format!("bound by {bound}, as large as its share of the time"))
            .legend(move |(x, y)| Circle::new((x + 8, y), 6, colour.mix(0.55).filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font((FONT, 15))
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()
}

/// An axis label: powers of ten without a tail of zeros.
fn short(value: f64) -> String {
    if value >= 1.0 { format!("{value:.0}") } else { format!("{value:.3}").trim_end_matches('0').to_owned() }
}
