//! Occlusion sensitivity: no more than runs. Source: M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
//!
//! Squares of a quarter of the picture agree more with class activation maps than smaller ones, and there are fewer of them.

use super::{Heat, Method, Subject};
use crate::failure::Failure;
use crate::resample::{Filter, resize};

/// How many squares side by side make the picture's shorter side; they move by half of one.
const SQUARES: usize = 4;

/// How much less probable the class is with a square in the picture's mean colour, averaged over the squares that hide a place.
pub fn heat(subject: &Subject<'_>, prepared: &[f32], class: Option<usize>) -> Result<Heat, Failure> {
    let (probabilities, _) = subject.run(subject.plain()?, prepared)?;
    let class = subject.class(class, &probabilities)?;
    let [height, width] = subject.size;
    let squares = squares(subject.size);
    let means = subject.means(prepared);
    let hidden = |number: usize| -> Vec<f32> {
        let [[top, bottom], [left, right]] = squares[number];
        let mut values = prepared.to_vec();
        for (channel, plane) in values.chunks_exact_mut(height * width).enumerate() {
            for line in plane.chunks_exact_mut(width).take(bottom).skip(top) {
                line[left..right].fill(means[channel]);
            }
        }
        values
    };
    let scores = subject.many(squares.len(), class, &hidden)?;
    let (mut sum, mut count) = (vec![0f32; height * width], vec![0f32; height * width]);
    for ([[top, bottom], [left, right]], score) in squares.iter().zip(&scores) {
        for y in *top..*bottom {
            for at in y * width + left..y * width + right {
                sum[at] += (probabilities[class] - score) as f32;
                count[at] += 1.0;
            }
        }
    }
    sum.iter_mut().zip(&count).for_each(|(sum, count)| *sum /= count.max(1.0));
    // A place for each step of the squares: finer edges would be theirs, not what the network sees.
    let step = (side(subject.size) / 2).max(1);
    let cells = subject.size.map(|extent| extent.div_ceil(step));
    Ok(Heat::new(Method::Occlusion, class, probabilities, resize(&sum, subject.size, cells, Filter::Area), cells))
}

/// Pixels of a square's side.
fn side(size: [usize; 2]) -> usize {
    size[0].min(size[1]).div_ceil(SQUARES)
}

/// `[[top, bottom], [left, right]]` of squares that cover the whole picture, moved by half a side.
fn squares([height, width]: [usize; 2]) -> Vec<[[usize; 2]; 2]> {
    let side = side([height, width]);
    let along = |extent: usize| -> Vec<[usize; 2]> {
        let last = extent - side;
        let starts = (0..last).step_by((side / 2).max(1)).chain([last]);
        starts.map(|start| [start, start + side]).collect()
    };
    let columns = along(width);
    along(height).into_iter().flat_map(|rows| columns.iter().map(move |columns| [rows, *columns])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_cover_every_place() {
        for size in [[224, 224], [30, 47], [7, 9], [3, 2], [1, 1]] {
            let mut covered = vec![0; size[0] * size[1]];
            for [[top, bottom], [left, right]] in squares(size) {
                assert_eq!(bottom - top, right - left);
                (top..bottom).for_each(|y| covered[y * size[1] + left..y * size[1] + right].iter_mut().for_each(|n| *n += 1));
            }
            assert!(covered.iter().all(|n| *n > 0), "{size:?}");
        }
        assert_eq!(squares([224, 224]).len(), 7 * 7, "as `--help` says");
    }
}
