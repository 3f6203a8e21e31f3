//! Score-CAM: no gradients, but one run for each map. Source: H. Wang et al., "Score-CAM", CVPR Workshops 2020.
//!
//! Maps that are alike are tried together, as their mean: 24 groups give nearly the picture of 128 single maps. What a map hides is shown as
//! the picture's mean colour, and its weight is how much more probable the class is than for the mean colour alone, without the paper's
//! softmax over maps, which levels probabilities.

use macula::plan::Plan;

use super::{Heat, Method, Subject};
use crate::failure::Failure;
use crate::resample::{Filter, resize};

/// How many groups of maps are tried.
const GROUPS: usize = 24;

/// Rows and columns of larger maps, which are made smaller.
const SIDE: usize = 56;

/// How often groups are made anew at most.
const ROUNDS: usize = 10;

/// Whether maps with height and width reach into the network's second half.
pub fn reaches_far(plan: &Plan) -> bool {
    super::maps(plan).last().is_some_and(|(number, _)| number * 2 >= plan.graph.nodes().len())
}

/// The maps of the last layer that has a height and width, weighted.
pub fn heat(subject: &Subject<'_>, prepared: &[f32], class: Option<usize>) -> Result<Heat, Failure> {
    let none = || Failure::failed(format!("{}: no layer has maps with a height and width; use occlusion", subject.model));
    let plan = subject.plan(subject.plain()?)?;
    let &(_, id) = super::maps(&plan).last().ok_or_else(none)?;
    let session = subject.session(&[&plan.graph.value(id).name])?;
    let (probabilities, further) = subject.run(&session, prepared)?;
    let class = subject.class(class, &probabilities)?;
    let maps = further.first().ok_or_else(none)?;
    let [_, channels, height, width] = *maps.shape().dims() else { return Err(none()) };
    let values: Vec<f32> = maps.to_f64().iter().map(|v| *v as f32).collect();
    let size = [height, width].map(|extent| extent.min(SIDE));
    let small = |map| unit(&resize(map, [height, width], size, Filter::Area));
    let maps = groups(values.chunks_exact(height * width).take(channels).map(small).collect());

    let means = subject.means(prepared);
    let plane = subject.size[0] * subject.size[1];
    let shown = |number: usize| -> Vec<f32> {
        let mask = match maps.get(number) {
            Some(map) => resize(map, size, subject.size, Filter::Triangle),
            None => vec![0.0; plane],
        };
        let of = |(channel, values): (usize, &[f32])| -> Vec<f32> {
            values.iter().zip(&mask).map(|(v, m)| means[channel] + (v - means[channel]) * m).collect()
        };
        prepared.chunks_exact(plane).enumerate().flat_map(of).collect()
    };
    let mut scores = subject.many(maps.len() + 1, class, &shown)?;
    let nothing = scores.pop().unwrap_or_default();
    let mut heat = vec![0f32; size[0] * size[1]];
    for (map, score) in maps.iter().zip(&scores) {
        let weight = (score - nothing).max(0.0) as f32;
        heat.iter_mut().zip(map).for_each(|(sum, v)| *sum += weight * v);
    }
    Ok(Heat::new(Method::ScoreCam, class, probabilities, heat, size))
}

/// A map from 0 for its smallest value to 1 for its largest; zeros where all are equal.
fn unit(map: &[f32]) -> Vec<f32> {
    let [least, most] = [map.iter().copied().fold(f32::INFINITY, f32::min), map.iter().copied().fold(f32::NEG_INFINITY, f32::max)];
    map.iter().map(|v| if most > least { (v - least) / (most - least) } else { 0.0 }).collect()
}

/// Means of at most [`GROUPS`] groups of maps that are alike, each from 0 to 1; maps without variation belong to none.
///
/// Groups start from the map that varies most, and from those furthest from all before them, so that they are always the same. Source: S. Lloyd,
/// "Least squares quantization in PCM", 1982; T. Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
fn groups(mut maps: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    maps.retain(|map| map.iter().any(|v| *v > 0.0));
    let variance = |map: &[f32]| distance(map, &vec![map.iter().sum::<f32>() / map.len() as f32; map.len()]);
    let Some(first) = furthest(&maps.iter().map(|map| variance(map)).collect::<Vec<_>>()) else { return vec![] };
    let mut means = vec![maps[first].clone()];
    let mut nearest: Vec<f32> = maps.iter().map(|map| distance(map, &means[0])).collect();
    while means.len() < GROUPS {
        let Some(next) = furthest(&nearest) else { break };
        nearest.iter_mut().zip(&maps).for_each(|(least, map)| *least = least.min(distance(map, &maps[next])));
        means.push(maps[next].clone());
    }
    let mut belongs = vec![];
    for _ in 0..ROUNDS {
        let before = std::mem::replace(&mut belongs, maps.iter().map(|map| closest(map, &means)).collect::<Vec<_>>());
        if belongs == before {
            break;
        }
        for (group, mean) in means.iter_mut().enumerate() {
            let members = || maps.iter().zip(&belongs).filter(|(_, belongs)| **belongs == group).map(|(map, _)| map);
            let count = members().count();
            if count > 0 {
                mean.fill(0.0);
                members().for_each(|map| mean.iter_mut().zip(map).for_each(|(sum, v)| *sum += v / count as f32));
            }
        }
    }
    means.iter().map(|mean| unit(mean)).collect()
}

/// The place of the largest number above 0, the first of equals.
fn furthest(distances: &[f32]) -> Option<usize> {
    let places = (0..distances.len()).filter(|at| distances[*at] > 0.0);
    places.max_by(|a, b| distances[*a].total_cmp(&distances[*b]).then(b.cmp(a)))
}

/// The group whose mean a map is closest to.
fn closest(map: &[f32], means: &[Vec<f32>]) -> usize {
    let distances: Vec<f32> = means.iter().map(|mean| distance(map, mean)).collect();
    (0..means.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap_or_default()
}

/// The square of how far two maps are apart.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_scaled() {
        assert_eq!(unit(&[2., 4., 3.]), [0.0, 1.0, 0.5]);
        assert_eq!(unit(&[7., 7.]), [0.0, 0.0]);
    }

    #[test]
    fn maps_that_are_alike_are_one_group() {
        let maps = vec![vec![0., 0., 1.], vec![0., 0., 0.], vec![0., 1., 0.5], vec![0., 0., 1.]];
        assert_eq!(groups(maps), [[0., 0., 1.], [0., 1., 0.5]], "each once, flat ones left out");
        assert_eq!(groups(vec![vec![0., 1.]; 500]), [[0., 1.]]);
        assert_eq!(groups(vec![vec![0.; 4]]), Vec::<Vec<f32>>::new());
    }

    /// Forty noisy variants each of as many shapes as there are groups: every mean is its shape, to the noise.
    #[test]
    fn groups_are_the_shapes_that_maps_have() {
        let noise = |seed: usize| (seed as f32 * 12.9898).sin() * 0.02;
        let shape = |which: usize, at: usize| if at == which || at == (which + 5) % GROUPS { 1.0 } else { 0.1 };
        let variant = |n: usize| (0..GROUPS).map(|at| shape(n % GROUPS, at) + noise(n * GROUPS + at)).collect();
        let means = groups((0..40 * GROUPS).map(variant).collect());
        assert_eq!(means.len(), GROUPS);
        for which in 0..GROUPS {
            let right = unit(&(0..GROUPS).map(|at| shape(which, at)).collect::<Vec<_>>());
            let best = means.iter().map(|mean| distance(mean, &right)).fold(f32::INFINITY, f32::min);
            assert!(best < 0.01, "{which}: {best}");
        }
    }
}
