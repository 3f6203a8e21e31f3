//! Winograd's transform of 3×3 kernels, and the points it is made from.

/// √½ and √2, with their negatives, 0 and infinity the points of F(4×4, 3×3).
///
/// Error of the output at 512 channels, uniform inputs and weights, sums in `f32`, against `f64` and relative to the largest output:
///
/// | points beside 0 and infinity | largest | root mean square |
/// |---|---|---|
/// | ±1, ±2 | 14.3e-6 | 1.41e-6 |
/// | ±1, ±½ | 17.6e-6 | 1.45e-6 |
/// | ±½, ±2 | 6.5e-6 | 0.87e-6 |
/// | ±5/6, ±6/5 | 5.4e-6 | 1.26e-6 |
/// | ±2/3, ±3/2 | 4.8e-6 | 0.60e-6 |
/// | ±5/8, ±8/5 | 4.3e-6 | 0.63e-6 |
/// | ±3/4, ±4/3 | 4.1e-6 | 0.71e-6 |
/// | ±5/8, ±3/2 | 3.6e-6 | 0.59e-6 |
/// | ±√½, ±√2 | 3.3e-6 | 0.64e-6 |
/// | the direct sum | 2.4e-6 | 0.36e-6 |
/// | F(2×2, 3×3): ±1 | 1.0e-6 | 0.25e-6 |
///
/// Points and their reciprocals with both signs: Alam et al., "Winograd Convolution for Deep Neural Networks: Efficient Point Selection",
/// 2022; what decides the error: Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural
/// Networks", 2020.
const NEAR: f64 = std::f64::consts::FRAC_1_SQRT_2;
const FAR: f64 = std::f64::consts::SQRT_2;

/// A row of G is `[1, p, p²] / Π (p − q)` for a point p and the other points q, `[0, 0, 1]` for infinity; F(2, 3) has the signs of
/// its row of 0 in the tile's transform instead.
const G2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
const G4: [[f64; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [-2.0 / 3.0, -2.0 / 3.0 * NEAR, -1.0 / 3.0],
    [-2.0 / 3.0, 2.0 / 3.0 * NEAR, -1.0 / 3.0],
    [1.0 / 6.0, 1.0 / 6.0 * FAR, 1.0 / 3.0],
    [1.0 / 6.0, -1.0 / 6.0 * FAR, 1.0 / 3.0],
    [0.0, 0.0, 1.0],
];

fn matrix(outputs: usize) -> &'static [[f64; 3]] {
    if outputs == 2 { &G2 } else { &G4 }
}

/// Elements of a tile with so many outputs a side.
pub(super) fn planes(outputs: usize) -> usize {
    matrix(outputs).len().pow(2)
}

/// G g Gᵀ of a 3×3 kernel, row by row; what tiles of two outputs leave is 0.
pub(super) fn transform(outputs: usize, kernel: &[f32]) -> [f64; 36] {
    let g = matrix(outputs);
    let mut out = [0.0; 36];
    for (i, row) in g.iter().enumerate() {
        let mut along = [0.0; 3];
        for (x, sum) in along.iter_mut().enumerate() {
            for y in 0..3 {
                *sum += row[y] * f64::from(kernel[3 * y + x]);
            }
        }
        for (j, row) in g.iter().enumerate() {
            out[i * g.len() + j] = row[0] * along[0] + row[1] * along[1] + row[2] * along[2];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shaders' two transforms and the products between them make of a tile of one dimension: a filter of three taps.
    fn filtered(outputs: usize, kernel: [f64; 3], d: &[f64]) -> Vec<f64> {
        let (b, a): (Vec<Vec<f64>>, Vec<Vec<f64>>) = if outputs == 2 {
            (
                vec![vec![1., 0., -1., 0.], vec![0., 1., 1., 0.], vec![0., -1., 1., 0.], vec![0., -1., 0., 1.]],
                vec![vec![1., 1., 1., 0.], vec![0., 1., -1., 1.]],
            )
        } else {
            let side = |p: f64, q: f64| vec![0., -p * q * q, -q * q, p, 1., 0.];
            let powers = |k: i32| [0., NEAR, -NEAR, FAR, -FAR].map(|p: f64| p.powi(k)).into_iter().chain([f64::from(k == 3)]);
            (
                vec![
                    vec![1., 0., -2.5, 0., 1., 0.],
                    side(NEAR, FAR),
                    side(-NEAR, FAR),
                    side(FAR, NEAR),
                    side(-FAR, NEAR),
                    vec![0., 1., 0., -2.5, 0., 1.],
                ],
                (0..4).map(|k| powers(k).collect()).collect(),
            )
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let products: Vec<f64> = b.iter().zip(matrix(outputs)).map(|(b, g)| dot(b, d) * dot(g, &kernel)).collect();
        a.iter().map(|a| dot(a, &products)).collect()
    }

    #[test]
    fn products_of_transforms_are_filters() {
        let (kernel, d) = ([0.5, -2.0, 3.0], [1.0, -4.0, 0.25, 7.0, -3.0, 2.0]);
        for outputs in [2, 4] {
            for (x, y) in filtered(outputs, kernel, &d[..outputs + 2]).into_iter().enumerate() {
                let expected: f64 = (0..3).map(|k| kernel[k] * d[x + k]).sum();
                assert!((y - expected).abs() < 1e-12, "F({outputs}, 3), output {x}: {y}, expected {expected}");
            }
        }
    }

    #[test]
    fn kernels_are_transformed_along_both_axes() {
        let kernel: Vec<f32> = [1., 2., -1.].iter().flat_map(|y| [3., -0.5, 2.].map(|x: f32| x * y)).collect();
        for outputs in [2, 4] {
            let g = matrix(outputs);
            let along = |taps: [f64; 3]| g.iter().map(move |row| (0..3).map(|k| row[k] * taps[k]).sum::<f64>());
            let expected = along([1., 2., -1.]).flat_map(|y| along([3., -0.5, 2.]).map(move |x| x * y));
            for (value, expected) in transform(outputs, &kernel).into_iter().zip(expected) {
                assert!((value - expected).abs() < 1e-12, "{value}, expected {expected}");
            }
            assert!(transform(outputs, &kernel)[planes(outputs)..].iter().all(|&x| x == 0.0));
        }
    }
}
