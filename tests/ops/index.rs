//! Gathers and scatters by elements and by tuples.

use macula::ops::{GatherElements, GatherNd, ScatterElements, ScatterNd, ScatterReduction, TensorScatter};
use macula::{DType, Tensor};

use crate::support::{Case, case, every_type, integers, random, to_dtype, to_f16};

const REDUCTIONS: [ScatterReduction; 5] =
    [ScatterReduction::None, ScatterReduction::Add, ScatterReduction::Mul, ScatterReduction::Min, ScatterReduction::Max];

/// Indices of `shape` from −extent to extent − 1, many of them several times.
fn indices(seed: u64, shape: &[usize], extent: usize) -> Tensor {
    let n = extent as f32;
    Tensor::new(shape, random(seed, shape, -n..n - 1e-3).to_f64().iter().map(|x| x.floor() as i64).collect()).unwrap()
}

#[test]
fn elements_are_gathered() {
    for (axis, shape) in [(0, [7, 2, 5]), (1, [3, 8, 5]), (-1, [2, 4, 65])] {
        let extent = [3, 4, 5][if axis < 0 { 2 } else { axis as usize }];
        let x = || random(1, [3, 4, 5], -9.0..9.0);
        let at = indices(2, &shape, extent);
        case(GatherElements { axis }).runtime(x()).runtime(at.clone()).check();
        case(GatherElements { axis }).runtime(x()).constant(at.clone()).check();
        case(GatherElements { axis }).runtime(x()).runtime(to_dtype(&at, DType::I32)).check();
    }
    for x in every_type(3, [2, 3, 4]) {
        case(GatherElements { axis: 1 }).runtime(x).runtime(indices(4, &[2, 9, 4], 3)).check();
    }
    let x = || random(1, [3, 4], 0.0..1.0);
    case(GatherElements { axis: 0 }).runtime(x()).runtime(indices(1, &[3, 5], 3)).fails_with("exceed data [3,4]");
    case(GatherElements { axis: 0 }).runtime(x()).constant(Tensor::full([1, 1], 3i64)).fails_with("index 3 at [0, 0] is outside axis 0");
}

#[test]
fn tuples_gather_slices() {
    for (batch_dims, data, at) in [
        (0, &[3, 4, 5, 8][..], &[6, 1][..]),
        (0, &[3, 4, 5, 7], &[2, 3, 2]),
        (0, &[3, 4], &[65, 2]),
        (1, &[2, 5, 4], &[2, 7, 1]),
        (2, &[2, 3, 5], &[2, 3, 1]),
    ] {
        // Within the smallest extent, so that they fit whichever axes they index.
        let at = indices(5, at, 3);
        case(GatherNd { batch_dims }).runtime(random(6, data, -9.0..9.0)).runtime(at.clone()).check();
        case(GatherNd { batch_dims }).runtime(random(6, data, -9.0..9.0)).constant(at).check();
    }
    for x in every_type(7, [3, 3, 4]) {
        case(GatherNd { batch_dims: 0 }).runtime(x).runtime(indices(8, &[5, 2], 3)).check();
    }
    let wrong = case(GatherNd { batch_dims: 1 }).runtime(random(6, [2, 3], 0.0..1.0)).runtime(indices(5, &[3, 1], 2));
    wrong.fails_with("cannot index [2,3] with batch_dims 1");
}

fn scattered(op: impl Into<macula::ops::Op>, x: Tensor, at: Tensor, updates: Tensor) -> [Case; 2] {
    let op = op.into();
    [case(op.clone()).runtime(x.clone()).runtime(at.clone()).runtime(updates.clone()), case(op).runtime(x).constant(at).runtime(updates)]
}

#[test]
fn elements_are_scattered() {
    for reduction in REDUCTIONS {
        for (axis, shape) in [(0, [7, 2, 5]), (1, [3, 9, 4]), (-1, [2, 4, 3])] {
            let extent = [3, 4, 5][if axis < 0 { 2 } else { axis as usize }];
            let (x, updates) = (random(9, [3, 4, 5], -2.0..2.0), random(10, shape, -2.0..2.0));
            let op = ScatterElements { axis, reduction };
            for case in scattered(op, x.clone(), indices(11, &shape, extent), updates.clone()) {
                case.check();
            }
            for case in scattered(op, to_f16(&x), indices(11, &shape, extent), to_f16(&updates)) {
                case.check();
            }
        }
    }
}

#[test]
fn slices_are_scattered() {
    for reduction in REDUCTIONS {
        for (data, at, updates) in
            [(&[3, 4, 5][..], &[7, 1][..], &[7, 4, 5][..]), (&[3, 4, 5], &[2, 5, 2], &[2, 5, 5]), (&[3, 4, 5], &[65, 3], &[65])]
        {
            let op = ScatterNd { reduction };
            for case in scattered(op, random(12, data, -2.0..2.0), indices(13, at, 3), random(14, updates, -1.2..1.2)) {
                case.check();
            }
        }
    }
}

#[test]
fn every_type_is_scattered() {
    for x in every_type(15, [4, 3]) {
        let updates = || x.clone().reshape([2, 6]).unwrap();
        for reduction in REDUCTIONS {
            let narrow = matches!(x.dtype(), DType::I8 | DType::I16 | DType::U8 | DType::U16 | DType::Bool);
            // Two of the eight updates share an element.
            let at = Tensor::new([2, 6], vec![3i64, 2, 1, -1, 1, 0, 5, 4, 3, 2, 1, 0]).unwrap();
            let op = ScatterElements { axis: 1, reduction };
            let data = x.clone().reshape([2, 6]).unwrap();
            for case in scattered(op, data, at, updates()) {
                if narrow && reduction != ScatterReduction::None { case.check_on_cpu() } else { case.check() }
            }
        }
    }
    for reduction in [ScatterReduction::Min, ScatterReduction::Max] {
        let (x, at) = (Tensor::vector(vec![1f32, f32::NAN, 3.0]), integers(&[0, 1, 2, 2]));
        let updates = Tensor::vector(vec![f32::NAN, 1.0, f32::NAN, 5.0]);
        for case in scattered(ScatterElements { axis: 0, reduction }, x, at, updates) {
            case.check();
        }
    }
}

#[test]
fn what_cannot_be_scattered() {
    let x = || random(16, [3, 4], 0.0..1.0);
    let elements = ScatterElements { axis: 0, reduction: ScatterReduction::None };
    let [one, _] = scattered(elements, x(), indices(1, &[2, 4], 3), random(1, [2, 3], 0.0..1.0));
    one.fails_with("updates are f32[2,3], expected f32[2,4]");
    let [_, constant] = scattered(elements, x(), Tensor::full([1, 1], -4i64), random(1, [1, 1], 0.0..1.0));
    constant.fails_with("index -4 at [0, 0] is outside axis 0");
    let [runtime, _] = scattered(ScatterNd::default(), x(), Tensor::full([1, 1], 3i64), random(1, [1, 4], 0.0..1.0));
    runtime.fails_with("index 3 at [0, 0] is outside an axis of extent 3");
    let [one, _] = scattered(ScatterNd::default(), x(), Tensor::full([1, 3], 0i64), random(1, [1], 0.0..1.0));
    one.fails_with("cannot index [3,4]");
}

#[test]
fn caches_take_steps() {
    for (shape, steps, axis) in [([3, 2, 7, 5], 3, -2), ([3, 7, 2, 4], 7, 1)] {
        let mut dims = shape;
        dims[if axis < 0 { 2 } else { 1 }] = steps;
        let (cache, update) = (|| random(17, shape, -9.0..9.0), || random(18, dims, -9.0..9.0));
        let op = |circular| TensorScatter { axis, circular };
        case(op(false)).runtime(cache()).runtime(update()).check();
        case(op(true)).runtime(cache()).runtime(update()).runtime(integers(&[6, 0, 12])).check();
        case(op(true)).runtime(cache()).runtime(update()).constant(integers(&[1, 5, 2])).check();
        case(op(false)).runtime(cache()).runtime(update()).constant(integers(&[0, 5, 0])).fails_with("write index 5 is outside");
    }
    for x in every_type(19, [2, 3, 4]) {
        let op = TensorScatter { axis: 1, circular: false };
        case(op).runtime(x.clone()).runtime(x.reshape([2, 1, 12]).unwrap().reshape([2, 3, 4]).unwrap()).runtime(integers(&[0, 0])).check();
    }
}
