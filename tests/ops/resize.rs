//! `Resize` to the nearest neighbour.

use macula::ops::Resize;
use macula::{DType, Tensor};

use crate::support::{case, random, to_dtype};

fn scales(values: &[f32]) -> Tensor {
    Tensor::vector(values.to_vec())
}

#[test]
fn whole_factors() {
    for factors in [[1., 1., 2., 2.], [1., 1., 3., 2.], [2., 3., 1., 5.], [1., 1., 1., 4.], [1., 1., 1., 1.]] {
        case(Resize).runtime(random(1, [2, 3, 5, 7], -4.0..4.0)).absent().constant(scales(&factors)).check();
    }
    case(Resize).runtime(random(2, [3, 2, 9, 4], -4.0..4.0)).absent().constant(scales(&[1., 1., 2., 2.])).check();
    case(Resize).runtime(random(3, [65], -4.0..4.0)).absent().constant(scales(&[7.])).check();
}

#[test]
fn sizes_and_other_types() {
    let sizes = || Tensor::vector(vec![2i64, 3, 10, 28]);
    case(Resize).runtime(random(4, [2, 3, 5, 7], -4.0..4.0)).absent().absent().constant(sizes()).check();
    let integers = to_dtype(&random(5, [2, 3, 5, 7], -100.0..100.0), DType::I32);
    case(Resize).runtime(integers).absent().absent().constant(sizes()).check();
}

#[test]
fn other_factors_are_refused() {
    let x = || random(6, [1, 2, 3, 4], -4.0..4.0);
    case(Resize).runtime(x()).absent().constant(scales(&[1., 1., 0.5, 2.])).fails_with("not a whole number of times larger");
    case(Resize).runtime(x()).absent().fails_with("takes one of inputs 2");
}
