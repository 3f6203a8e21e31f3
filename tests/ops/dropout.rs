use macula::Tensor;
use macula::ops::Dropout;

use crate::support::{case, random, to_f16};

#[test]
fn nothing_is_dropped() {
    let x = random(1, [2, 3, 5], -1.0..1.0);
    for typed_mask in [false, true] {
        let op = Dropout { typed_mask };
        case(op).runtime(x.clone()).check();
        case(op).runtime(x.clone()).outputs(2).check();
        case(op).runtime(to_f16(&x)).runtime(Tensor::scalar(0.3f32)).constant(Tensor::scalar(false)).outputs(2).check();
        case(op).runtime(x.clone()).runtime(Tensor::scalar(0f32)).runtime(Tensor::scalar(true)).outputs(2).check();
    }
}

#[test]
fn dropping_at_random_is_refused() {
    let x = || random(2, [2, 3], -1.0..1.0);
    let training = case(Dropout::default()).runtime(x()).runtime(Tensor::scalar(0.25f32)).runtime(Tensor::scalar(true));
    training.fails_with("training with ratio [0.25], which drops at random, is not supported");
    case(Dropout::default()).runtime(x()).absent().constant(Tensor::scalar(true)).fails_with("training with ratio [0.5]");
    case(Dropout::default()).runtime(Tensor::full([2], 1i32)).fails_with("input 0 (`data`) is i32");
}
