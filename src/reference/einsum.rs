//! Einstein's summation convention.

use super::cast::{from_integers, integers};
use super::rounded;
use crate::ops::einsum::{Label, Terms};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y[output labels] = Σ over the other labels of Π x_t[labels of t]`, integers modulo 2 to the power of their width.
pub(crate) fn einsum(terms: &Terms, inputs: &[&Tensor]) -> Tensor {
    let summed: Vec<Label> = terms.extents.keys().filter(|label| !terms.output.contains(label)).copied().collect();
    let labels = [terms.output.clone(), summed.clone()].concat();
    // How far one step along each label goes in each input: on a diagonal along all its axes at once.
    let step = |tensor: &Tensor, own: &[Label], label: &Label| {
        let axes = own.iter().zip(tensor.shape().iter().zip(tensor.shape().strides()));
        axes.filter(|(l, (extent, _))| *l == label && **extent != 1).map(|(_, (_, stride))| stride).sum::<usize>()
    };
    let steps: Vec<Vec<usize>> =
        inputs.iter().zip(&terms.inputs).map(|(tensor, own)| labels.iter().map(|label| step(tensor, own, label)).collect()).collect();
    let (output, inner) = (terms.shape(&terms.output), terms.shape(&summed));
    let positions = |y: usize, k: usize| {
        let at = [output.coordinates(y), inner.coordinates(k)].concat();
        steps.iter().map(|steps| at.iter().zip(steps).map(|(i, step)| i * step).sum::<usize>()).collect::<Vec<_>>()
    };
    if let Some(values) = inputs.iter().map(|tensor| integers(tensor)).collect::<Option<Vec<_>>>() {
        let term = |at: Vec<usize>| values.iter().zip(at).fold(1i128, |product, (values, at)| product.wrapping_mul(values[at]));
        let y = sums(&output, &inner, |y, k| term(positions(y, k)), i128::wrapping_add);
        return from_integers(inputs[0].dtype(), &output, y);
    }
    let values: Vec<Vec<f64>> = inputs.iter().map(|tensor| tensor.to_f64()).collect();
    let term = |at: Vec<usize>| values.iter().zip(at).map(|(values, at)| values[at]).product::<f64>();
    let y = sums(&output, &inner, |y, k| term(positions(y, k)), |a, b| a + b);
    rounded(inputs[0], output, y)
}

fn sums<T: Default>(output: &Shape, inner: &Shape, term: impl Fn(usize, usize) -> T, add: impl Fn(T, T) -> T) -> Vec<T> {
    (0..output.elements()).map(|y| (0..inner.elements()).map(|k| term(y, k)).fold(T::default(), &add)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Einsum, Operator};

    fn run(equation: &str, inputs: &[&Tensor]) -> Tensor {
        let inputs: Vec<_> = inputs.iter().map(|&t| Some(t)).collect();
        Einsum { equation: equation.into() }.reference(&inputs, 1).unwrap().remove(0)
    }

    /// By hand, on [1 2; 3 4] and [5 6; 7 8].
    #[test]
    fn equations_by_hand() {
        let of = |shape: &[usize], values: &[f64]| Tensor::new(shape, values.to_vec()).unwrap();
        let (a, b) = (of(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), of(&[2, 2], &[5.0, 6.0, 7.0, 8.0]));
        assert_eq!(run("ij,jk", &[&a, &b]), of(&[2, 2], &[19.0, 22.0, 43.0, 50.0]));
        assert_eq!(run("ij , jk -> ki", &[&a, &b]), of(&[2, 2], &[19.0, 43.0, 22.0, 50.0]));
        assert_eq!(run("ba", &[&a]), of(&[2, 2], &[1.0, 3.0, 2.0, 4.0]));
        assert_eq!(run("ii", &[&a]), of(&[], &[5.0]));
        assert_eq!(run("ii->i", &[&a]), of(&[2], &[1.0, 4.0]));
        assert_eq!(run("...i->...", &[&a]), of(&[2], &[3.0, 7.0]));
        assert_eq!(run("ij,ij->", &[&a, &b]), of(&[], &[70.0]));
        assert_eq!(run("ij,kl->", &[&a, &b]), of(&[], &[260.0]));
        assert_eq!(run("i...,j->j...", &[&a, &of(&[1], &[2.0])]), of(&[1, 2], &[8.0, 12.0]));
        assert_eq!(run("i,i,i->i", &[&of(&[2], &[2.0, 3.0]), &of(&[1], &[5.0]), &of(&[2], &[7.0, 1.0])]), of(&[2], &[70.0, 15.0]));
    }

    #[test]
    fn integers_wrap() {
        let a = Tensor::vector(vec![200u8, 3]);
        assert_eq!(run("i,i->", &[&a, &a]), Tensor::scalar((40_009 % 256) as u8));
    }
}
