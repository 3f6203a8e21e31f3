use macula::ops::{AveragePool, GlobalLpPool, GlobalPool, LpPool, MaxPool, MaxUnpool, Padding, PoolKind, Spatial, Window};
use macula::{DType, DeviceKind, GraphBuilder, Tensor};

use crate::support::{case, gpu, random, to_dtype, to_f16};

/// A window from `[kernel, stride, dilation, before, after]` for each spatial axis.
fn window<const R: usize>(axes: [[usize; 5]; R], ceil_mode: bool) -> Window {
    let pick = |which: usize| Spatial::from_slice(&axes.map(|axis| axis[which])).unwrap();
    let padding = Padding::Explicit { before: pick(3), after: pick(4) };
    Window { kernel_size: pick(0), stride: pick(1), dilation: pick(2), padding, ceil_mode }
}

fn same<const R: usize>(kernel: [usize; R], stride: usize, padding: Padding) -> Window {
    Window { padding, ..window(kernel.map(|k| [k, stride, 1, 0, 0]), false) }
}

fn max(window: Window) -> MaxPool {
    MaxPool { window, column_major: false }
}

fn average(window: Window, count_include_pad: bool) -> AveragePool {
    AveragePool { window, count_include_pad }
}

/// Input shapes and windows: every attribute asymmetric somewhere, every extent different.
fn windows() -> Vec<(Vec<usize>, Window)> {
    vec![
        (vec![2, 3, 17], window([[3, 2, 1, 1, 0]], false)),
        (vec![3, 2, 16], window([[4, 3, 2, 1, 3]], true)),
        (vec![2, 3, 7, 9], window([[2, 2, 1, 0, 0], [2, 2, 1, 0, 0]], false)),
        (vec![2, 3, 7, 9], window([[2, 2, 1, 0, 0], [2, 2, 1, 0, 0]], true)),
        (vec![2, 5, 11, 8], window([[3, 2, 1, 1, 1], [3, 2, 1, 1, 1]], true)),
        (vec![3, 2, 9, 13], window([[3, 1, 2, 2, 1], [2, 3, 3, 0, 2]], false)),
        (vec![1, 4, 10, 6], window([[5, 3, 1, 2, 0], [1, 1, 1, 0, 0]], true)),
        (vec![2, 3, 5, 7], window([[5, 1, 1, 0, 0], [7, 1, 1, 0, 0]], false)),
        (vec![2, 3, 1, 2], window([[4, 5, 1, 3, 3], [3, 2, 1, 2, 2]], true)),
        (vec![1, 2, 1, 3], window([[2, 1, 2, 1, 1], [2, 1, 1, 1, 1]], false)),
        (vec![2, 3, 7, 10], same([3, 2], 2, Padding::SameUpper)),
        (vec![2, 3, 6, 11], same([3, 4], 2, Padding::SameUpper)),
        (vec![2, 3, 6, 11], same([3, 4], 2, Padding::SameLower)),
        (vec![2, 3, 6, 11], same([2, 3], 3, Padding::Valid)),
        (vec![2, 3, 4, 6, 5], window([[2, 1, 1, 1, 0], [3, 2, 1, 0, 1], [2, 2, 2, 1, 1]], false)),
        (vec![1, 2, 5, 4, 7], window([[3, 2, 1, 1, 1], [2, 3, 1, 0, 1], [3, 2, 1, 1, 0]], true)),
    ]
}

#[test]
fn max_pool() {
    for (seed, (shape, w)) in windows().into_iter().enumerate() {
        case(max(w)).runtime(random(seed as u64, shape, -9.0..-1.0)).check();
    }
}

#[test]
fn max_pool_of_other_types() {
    for (seed, (shape, w)) in windows().into_iter().enumerate() {
        let x = random(seed as u64, shape, -120.0..-1.0);
        case(max(w)).runtime(to_dtype(&x, DType::I8)).check();
        case(max(w)).runtime(to_f16(&x)).check();
        case(max(w)).runtime(to_dtype(&x, DType::F64)).check_on_cpu();
    }
    let w = window([[3, 2, 1, 1, 1], [2, 1, 2, 1, 0]], true);
    case(max(w)).runtime(to_dtype(&random(3, [2, 3, 8, 13], 0.0..255.0), DType::U8)).check();
}

#[test]
fn max_pool_indices() {
    for column_major in [false, true] {
        for (seed, (shape, window)) in windows().into_iter().enumerate() {
            // Few distinct values: the first of equals counts.
            let x = to_dtype(&random(seed as u64, shape, -4.0..4.0), DType::I8);
            case(MaxPool { window, column_major }).runtime(x.clone()).outputs(2).check();
            case(MaxPool { window, column_major }).runtime(to_dtype(&x, DType::F32)).outputs(2).check();
        }
    }
}

#[test]
fn max_pool_passes_nan_and_infinities() {
    let mut x = random(4, [2, 3, 9, 7], -4.0..4.0);
    for (i, v) in x.data_mut::<f32>().unwrap().iter_mut().enumerate() {
        match i % 41 {
            3 => *v = f32::NAN,
            17 => *v = f32::INFINITY,
            18..30 => *v = f32::NEG_INFINITY,
            _ => {}
        }
    }
    let w = window([[2, 2, 1, 1, 0], [3, 2, 1, 1, 1]], true);
    case(max(w)).runtime(x.clone()).check();
    case(max(w)).runtime(x.clone()).outputs(2).check();
    case(GlobalPool { kind: PoolKind::Max }).runtime(x.clone()).check();
    case(average(w, false)).runtime(x).check();
}

#[test]
fn max_pool_of_many_elements() {
    // More than one workgroup, 4096 columns, and outputs at and around a multiple of the workgroup's size.
    case(max(window([[3, 2, 1, 1, 1], [3, 2, 1, 1, 1]], false))).runtime(random(5, [1, 2, 33, 4096], -1.0..1.0)).check();
    for width in [63, 64, 65] {
        case(max(window([[1, 1, 1, 0, 0], [2, 1, 1, 1, 0]], false))).runtime(random(6, [1, 1, 1, width], -1.0..1.0)).check();
    }
}

/// Small windows: rows that begin anywhere in a vector and end before one, on the input and on the output.
#[test]
fn pools_by_strips() {
    let mut seed = 40;
    for (width, stride, left, kernel) in
        (4..=11).flat_map(|w| [(w, 1, 0, 2), (w, 1, 1, 3), (w, 2, 0, 2), (w, 2, 1, 3), (2 * w, 2, 2, 3), (w, 1, 0, 1)])
    {
        let after = seed % kernel;
        let rows = [1 + seed % 3, stride, 1, seed % (1 + seed % 3), 0];
        let w = window([rows, [kernel, stride, 1, left, after]], seed % 2 == 0);
        let mut x = random(seed as u64, [2, 3, 3 + seed % 5, width], -9.0..-1.0);
        seed += 1;
        case(average(w, seed % 3 == 0)).runtime(x.clone()).check();
        for (i, v) in x.data_mut::<f32>().unwrap().iter_mut().enumerate() {
            match i % 61 {
                3 => *v = f32::NAN,
                17..30 => *v = f32::NEG_INFINITY,
                _ => {}
            }
        }
        case(max(w)).runtime(x).check();
    }
}

#[test]
fn average_pool() {
    for count_include_pad in [false, true] {
        for (seed, (shape, w)) in windows().into_iter().enumerate() {
            let x = random(seed as u64, shape, -4.0..4.0);
            case(average(w, count_include_pad)).runtime(to_f16(&x)).check();
            case(average(w, count_include_pad)).runtime(x).check();
        }
    }
}

#[test]
fn average_pool_of_a_constant_is_that_constant() {
    for (shape, w) in windows() {
        // Windows of padding only, the 10th, have no average.
        if shape != [1, 2, 1, 3] {
            let x = Tensor::full(shape, 0.75f32);
            let op = macula::ops::Op::from(average(w, false));
            assert!(op.operator().reference(&[Some(&x)], 1).unwrap()[0].to_f64().iter().all(|&v| v == 0.75), "{w:?}");
            case(op).runtime(x).check();
        }
    }
}

#[test]
fn lp_pool() {
    for p in [1, 2, 3, 4, 7] {
        for (seed, (shape, window)) in windows().into_iter().enumerate() {
            let x = random(seed as u64, shape, -3.0..4.0);
            case(LpPool { window, p }).runtime(to_f16(&x)).check();
            case(LpPool { window, p }).runtime(to_dtype(&x, DType::F64)).check_on_cpu();
            case(LpPool { window, p }).runtime(x).check();
        }
    }
    let w = window([[3, 2, 1, 1, 0], [2, 1, 1, 0, 1]], false);
    for p in [1, 2, 3] {
        let mut x = random(17, [1, 2, 9, 8], -1.0..1.0);
        let values = x.data_mut::<f32>().unwrap();
        (values[3], values[40], values[77]) = (f32::NAN, f32::NEG_INFINITY, f32::INFINITY);
        values[80..130].fill(0.0);
        case(LpPool { window: w, p }).runtime(x).check();
    }
    case(LpPool { window: w, p: 0 }).runtime(random(18, [1, 2, 9, 8], 0.0..1.0)).fails_with("must be at least 1, got 0");
}

#[test]
fn global_lp_pool() {
    for p in 1..=5 {
        for (seed, shape) in
            [vec![2, 3, 17], vec![3, 5, 7, 8], vec![1, 1, 1, 1], vec![2, 1, 2, 3, 5, 2], vec![1, 2, 90, 95]].into_iter().enumerate()
        {
            let x = random(seed as u64, shape, -4.0..3.0);
            case(GlobalLpPool { p }).runtime(to_f16(&x)).check();
            case(GlobalLpPool { p }).runtime(x).check();
        }
    }
    case(GlobalLpPool { p: 2 }).runtime(random(1, [2, 3], 0.0..1.0)).fails_with("at least 3 axes [N, C, …], got [2,3]");
    case(GlobalLpPool { p: 0 }).runtime(random(1, [2, 3, 4], 0.0..1.0)).fails_with("must be at least 1, got 0");
}

/// What a pool without overlap took in, zero but for the maxima.
#[test]
fn max_unpool() {
    for (shape, axes) in [
        (vec![2, 3, 9], vec![[3, 3, 1, 0, 0]]),
        (vec![2, 3, 6, 10], vec![[2, 2, 1, 0, 0], [2, 2, 1, 0, 0]]),
        (vec![3, 2, 8, 9], vec![[3, 2, 1, 1, 0], [3, 3, 1, 0, 0]]),
        (vec![1, 2, 4, 6, 5], vec![[2, 2, 1, 0, 0], [3, 3, 1, 0, 0], [2, 1, 1, 0, 0]]),
    ] {
        let pick = |which: usize| Spatial::from_slice(&axes.iter().map(|a| a[which]).collect::<Vec<_>>()).unwrap();
        let padding = Padding::Explicit { before: pick(3), after: pick(4) };
        let window = Window { kernel_size: pick(0), stride: pick(1), dilation: pick(2), padding, ceil_mode: false };
        let pool = macula::ops::Op::from(max(window));
        let both = pool.operator().reference(&[Some(&random(19, shape.clone(), -4.0..4.0))], 2).unwrap();
        let op = MaxUnpool { kernel_size: pick(0), stride: pick(1), before: pick(3), after: pick(4) };
        case(op).runtime(both[0].clone()).runtime(both[1].clone()).check();
        case(op).runtime(to_f16(&both[0])).runtime(both[1].clone()).absent().check();
        for delta in [-1, 0, 2] {
            let extents = shape.iter().enumerate().map(|(axis, &e)| e as i64 + if axis < 2 { 0 } else { delta }).collect();
            case(op).runtime(both[0].clone()).runtime(both[1].clone()).constant(Tensor::vector::<i64>(extents)).check();
        }
    }
}

#[test]
fn max_unpool_leaves_out_what_is_out_of_range() {
    let op = MaxUnpool { kernel_size: [2].into(), stride: [2].into(), before: [0].into(), after: [0].into() };
    let x = || Tensor::new([1, 2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let indices = Tensor::new([1, 2, 3], vec![-1i64, 12, 5, i64::MAX, i64::MIN, 11]).unwrap();
    case(op).runtime(x()).runtime(indices.clone()).check();
    case(op).runtime(x()).runtime(Tensor::full([1, 2, 2], 0i64)).fails_with("`I` has shape [1,2,2], expected [1,2,3] as `X`");
    let wrong = case(op).runtime(x()).runtime(indices.clone()).constant(Tensor::vector(vec![1i64, 3, 7]));
    wrong.fails_with("`output_shape` is [1, 3, 7], expected 1 and 2 and 1 extents");
    let padded = MaxUnpool { before: [9].into(), ..op };
    case(padded).runtime(x()).runtime(indices).fails_with("unpools to no extent from 1 to 2^30");
}

#[test]
fn average_pool_of_large_windows() {
    let w = window([[200, 1, 1, 0, 0], [180, 1, 1, 0, 0]], false);
    case(average(w, false)).runtime(random(7, [2, 3, 201, 180], 100.0..101.0)).check();
}

/// The longest loop that Mesa's software drivers run to its end has 65,535 iterations; beyond, the CPU takes over there.
#[test]
fn loops_of_many_iterations() {
    let w = window([[1, 1, 1, 0, 0], [64_900, 1, 1, 0, 0]], false);
    case(average(w, false)).runtime(random(8, [1, 2, 1, 64_901], 1.0..2.0)).check();
    case(max(w)).runtime(random(8, [1, 2, 1, 64_901], 1.0..2.0)).check();
    let w = window([[300, 1, 1, 0, 0], [260, 1, 1, 0, 0]], false);
    let large = case(average(w, false)).runtime(random(8, [1, 2, 300, 260], 1.0..2.0));
    if gpu().info().kind == DeviceKind::SoftwareGpu {
        large.check_on_cpu()
    } else {
        large.check()
    }
    for kind in [PoolKind::Average, PoolKind::Max] {
        case(GlobalPool { kind }).runtime(random(9, [1, 1, 1025, 1024], 1.0..2.0)).check();
    }
}

#[test]
fn global_pools() {
    for kind in [PoolKind::Average, PoolKind::Max] {
        let op = GlobalPool { kind };
        // Maps for one, eight and sixty-four invocations; one map, many maps; 1-D to 3-D, and beyond.
        for (seed, shape) in [
            vec![2, 3, 17],
            vec![3, 5, 7, 8],
            vec![1, 1, 1, 1],
            vec![2, 33, 7, 7],
            vec![2, 31, 1, 5],
            vec![5, 13, 9, 8],
            vec![1, 2, 181, 190],
            vec![3, 2, 2, 3, 5],
            vec![3, 1, 2, 3, 5, 2],
        ]
        .into_iter()
        .enumerate()
        {
            let x = random(seed as u64, shape, -4.0..3.0);
            case(op).runtime(to_f16(&x)).check();
            case(op).runtime(x).check();
        }
        // Negative only, and large against their spread.
        case(op).runtime(random(11, [2, 3, 40, 45], -9.0..-8.0)).check();
        case(op).runtime(random(12, [2, 3, 256, 257], 1e4..1.0001e4)).check();
        case(op).runtime(to_dtype(&random(13, [2, 3, 4, 5], -1.0..1.0), DType::F64)).check_on_cpu();
    }
}

/// In whatever order a map is summed, it is the same for every map, wherever in a vector it begins.
#[test]
fn equal_maps_have_equal_averages() {
    for (height, width) in [(13, 13), (7, 9), (4, 5)] {
        let map = random(3, [height, width], 1e8..6e9);
        let maps = map.data::<f32>().unwrap().repeat(70);
        let x = Tensor::new([2, 35, height, width], maps).unwrap();
        let mut b = GraphBuilder::new("equal maps");
        let value = b.input("x", DType::F32, [2, 35, height, width]);
        let y = b.node("y", GlobalPool { kind: PoolKind::Average }, &[value]).unwrap();
        b.output("y", y);
        let outputs = gpu().compile(b.finish().unwrap()).unwrap().run(&[("x", x.view())]).unwrap();
        let averages = outputs[0].data::<f32>().unwrap();
        assert!(averages.iter().all(|average| *average == averages[0]), "{height}×{width}: {averages:?}");
    }
}

#[test]
fn global_max_does_not_see_shifts() {
    let x = random(14, [2, 3, 7, 11], -4.0..4.0);
    let shifted: Vec<f32> = x.data::<f32>().unwrap().chunks(77).flat_map(|map| map.iter().cycle().skip(23).take(77)).copied().collect();
    let op = macula::ops::Op::from(GlobalPool { kind: PoolKind::Max });
    let pool = |x: &Tensor| op.operator().reference(&[Some(x)], 1).unwrap().remove(0);
    assert_eq!(pool(&x), pool(&Tensor::new([2, 3, 7, 11], shifted).unwrap()));
}

#[test]
fn shape_rules() {
    let x = random(15, [1, 2, 5, 4], 0.0..1.0);
    let w = window([[6, 1, 1, 0, 0], [2, 1, 1, 0, 0]], false);
    case(max(w)).runtime(x.clone()).fails_with("spans 6 on axis 2, more than the input's 5 with padding 0 + 0");
    case(average(w, true)).runtime(x.clone()).fails_with("spans 6 on axis 2");
    case(max(window([[2, 1, 1, 0, 0]], false))).runtime(x.clone()).fails_with("so the input needs 3 axes");
    case(max(window([[2, 1, 1, 0, 0], [2, 0, 1, 0, 0]], false))).runtime(x.clone()).fails_with("stride [1, 0]");
    case(average(window([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], false), true))
        .runtime(to_dtype(&x, DType::U8))
        .fails_with("input 0 (`X`) is u8, expected f32, f16, f64");
    case(max(w)).runtime(to_dtype(&x, DType::I32)).fails_with("is i32");
    case(GlobalPool { kind: PoolKind::Max }).runtime(random(16, [2, 3], 0.0..1.0)).fails_with("at least 3 axes [N, C, …], got [2,3]");
    case(GlobalPool { kind: PoolKind::Average }).runtime(Tensor::full([2, 3, 0], 0f32)).fails_with("axis 2 of the input [2,3,0] is empty");
}
