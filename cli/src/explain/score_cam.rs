//! Score-CAM: no gradients, but one run for each map. Source: H. Wang et al., "Score-CAM", CVPR Workshops 2020.
//!
//! Of many maps the 128 that vary most are tried. What a map hides is shown as the picture's mean colour, and its weight is how much
//! more probable the class is than for the mean colour alone, without the paper's softmax over maps, which levels probabilities.

use macula::plan::Plan;

use super::{Heat, Method, Subject};
use crate::failure::Failure;
use crate::resample::{Filter, resize};

/// How many maps are tried.
const MAPS: usize = 128;

/// Whether maps with height and width reach into the network's second half.
pub fn reaches_far(plan: &Plan) -> bool {
    super::maps(plan).last().is_some_and(|(number, _)| number * 2 >= plan.graph.nodes().len())
}

/// The maps of the last layer that has a height and width, weighted.
pub fn heat(subject: &Subject<'_>, prepared: &[f32], class: Option<usize>) -> Result<Heat, Failure> {
    let none = || Failure::failed(format!("{}: no layer has maps with a height and width; use occlusion", subject.model));
    let plain = subject.session(&[])?;
    let plan = subject.plan(&plain)?;
    let &(_, id) = super::maps(&plan).last().ok_or_else(none)?;
    let session = subject.session(&[&plan.graph.value(id).name])?;
    let (probabilities, further) = subject.run(&session, prepared)?;
    let class = subject.class(class, &probabilities)?;
    let maps = further.first().ok_or_else(none)?;
    let [_, channels, height, width] = *maps.shape().dims() else { return Err(none()) };
    let values: Vec<f32> = maps.to_f64().iter().map(|v| *v as f32).collect();
    let maps = most_varied(values.chunks_exact(height * width).take(channels).map(unit).collect());

    let means = subject.means(prepared);
    let plane = subject.size[0] * subject.size[1];
    let shown = |number: usize| -> Vec<f32> {
        let mask = match maps.get(number) {
            Some(map) => resize(map, [height, width], subject.size, Filter::Triangle),
            None => vec![0.0; plane],
        };
        let of = |(channel, values): (usize, &[f32])| -> Vec<f32> {
            values.iter().zip(&mask).map(|(v, m)| means[channel] + (v - means[channel]) * m).collect()
        };
        prepared.chunks_exact(plane).enumerate().flat_map(of).collect()
    };
    let mut scores = subject.many(&plain, maps.len() + 1, class, &shown)?;
    let nothing = scores.pop().unwrap_or_default();
    let mut heat = vec![0f32; height * width];
    for (map, score) in maps.iter().zip(&scores) {
        let weight = (score - nothing).max(0.0) as f32;
        heat.iter_mut().zip(map).for_each(|(sum, v)| *sum += weight * v);
    }
    Ok(Heat::new(Method::ScoreCam, class, probabilities, heat, [height, width]))
}

/// A map from 0 for its smallest value to 1 for its largest; zeros where all are equal.
fn unit(map: &[f32]) -> Vec<f32> {
    let [least, most] = [map.iter().copied().fold(f32::INFINITY, f32::min), map.iter().copied().fold(f32::NEG_INFINITY, f32::max)];
    map.iter().map(|v| if most > least { (v - least) / (most - least) } else { 0.0 }).collect()
}

/// The maps that vary most, without those that do not.
fn most_varied(maps: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let variance = |map: &[f32]| {
        let mean = map.iter().sum::<f32>() / map.len() as f32;
        map.iter().map(|v| (v - mean).powi(2)).sum::<f32>()
    };
    let mut maps: Vec<_> = maps.into_iter().map(|map| (variance(&map), map)).filter(|(variance, _)| *variance > 0.0).collect();
    maps.sort_by(|a, b| b.0.total_cmp(&a.0));
    maps.truncate(MAPS);
    maps.into_iter().map(|(_, map)| map).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_scaled_and_the_varied_ones_kept() {
        assert_eq!(unit(&[2., 4., 3.]), [0.0, 1.0, 0.5]);
        assert_eq!(unit(&[7., 7.]), [0.0, 0.0]);
        assert_eq!(most_varied(vec![vec![0., 0., 1.], vec![0., 0., 0.], vec![0., 1., 0.5]]), [[0., 0., 1.], [0., 1., 0.5]]);
        assert_eq!(most_varied(vec![vec![0., 1.]; 500]).len(), MAPS);
    }
}
