use macula::Tensor;
use macula::ops::Det;

use crate::support::{case, random, to_f16};

#[test]
fn determinants_of_batches() {
    for shape in [&[3, 3][..], &[2, 3, 5, 5], &[4, 1, 1]] {
        case(Det).runtime(random(1, shape, -2.0..2.0)).check();
    }
    case(Det).runtime(to_f16(&random(2, [3, 4, 4], -2.0..2.0))).check();
    case(Det).runtime(Tensor::full([2, 3, 3], f32::NAN)).check();
    case(Det).runtime(Tensor::full([67, 2, 2], 1f32)).check();
    case(Det).runtime(random(3, [3, 4], -2.0..2.0)).fails_with("not a batch of square matrices");
}
