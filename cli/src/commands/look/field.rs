//! Receptive fields, drawn on the photo: what one unit of each layer sees.

use image::RgbImage;
use macula::ReceptiveFields;
use macula::plan::Plan;

use crate::explain::Subject;
use crate::failure::Failure;
use crate::paint::{self, Area, Font};
use crate::pictures;

/// What one unit of a layer sees.
pub struct Field {
    pub layer: String,
    /// Row and column of the unit, and how many there are.
    pub unit: [usize; 2],
    units: [usize; 2],
    /// First and last row, first and last column of the input.
    seen: [[i64; 2]; 2],
}

impl Field {
    /// In words.
    pub fn text(&self) -> String {
        let [rows, columns] = self.seen.map(|[first, last]| last - first + 1);
        let ([y, x], [height, width]) = (self.unit, self.units);
        format!("unit {y},{x} of {height}×{width} in {} sees {rows}×{columns} pixels of the input", self.layer)
    }
}

/// The fields of one unit in each of these layers: the one asked for, or the middle one. Layers without rows and columns have none.
pub fn fields(plan: &Plan, input: &str, layers: &[String], unit: Option<[usize; 2]>) -> Result<Vec<Field>, Failure> {
    let fields = ReceptiveFields::new(plan);
    let Some(&input) = plan.graph.inputs().iter().find(|id| plan.graph.value(**id).name == input) else { return Ok(vec![]) };
    let mut found = vec![];
    for layer in layers {
        let Some(&value) = plan.graph.outputs().iter().find(|id| plan.graph.value(**id).name == *layer) else { continue };
        let [_, _, height, width] = *plan.tensor_type(value).shape.dims() else { continue };
        let unit = unit.unwrap_or([height / 2, width / 2]);
        if unit[0] >= height || unit[1] >= width {
            return Err(Failure::usage(format!("--unit {},{}: layer `{layer}` has {height}×{width} units, from 0 on", unit[0], unit[1])));
        }
        if let Some([rows, columns]) = fields.at(value, input, &[0, 0, unit[0], unit[1]]).as_deref() {
            found.push(Field { layer: layer.clone(), unit, units: [height, width], seen: [*rows, *columns] });
        }
    }
    Ok(found)
}

/// The photo with a frame around what each unit sees; of fields beyond the picture, the part within.
pub fn draw(subject: &Subject<'_>, fields: &[Field]) -> RgbImage {
    let (planes, size) = subject.canvas();
    let mut picture = pictures::from_planes(&planes, size);
    let (font, thick) = (Font::for_picture(picture.width(), picture.height()), size[0].min(size[1]) as i64 / 250 + 2);
    // Pixels of the photo from `first` to behind `last` of the input, at least one and within the picture.
    let span = |axis: usize, [first, last]: [i64; 2]| -> [i64; 2] {
        let scale = size[axis] as f64 / subject.size[axis] as f64;
        let edge = |at: i64| ((at as f64 * scale).round() as i64).clamp(0, size[axis] as i64);
        [edge(first), edge(last + 1).max(edge(first) + 1)]
    };
    let areas: Vec<Area> = fields
        .iter()
        .map(|field| {
            let ([top, bottom], [left, right]) = (span(0, field.seen[0]), span(1, field.seen[1]));
            Area { x: left, y: top, width: right - left, height: bottom - top }
        })
        .collect();
    // Larger fields first, so that small ones stay on top; their labels below one another.
    for (number, area) in areas.iter().enumerate().rev() {
        paint::frame(&mut picture, *area, thick, paint::colour(number));
    }
    for (number, field) in fields.iter().enumerate() {
        paint::label(&mut picture, [0, number as i64 * (font.height() + 2)], &field.layer, font, paint::colour(number));
    }
    picture
}
