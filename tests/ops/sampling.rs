//! Maps read at positions between their elements, boxes, columns.

use macula::Tensor;
use macula::ops::{AffineGrid, Col2Im, GridPadding, GridSample, Interpolation, NonMaxSuppression, RoiAlign, RoiPool};

use crate::support::{case, integers, random, to_f16};

#[test]
fn grids_in_every_mode() {
    for mode in [Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic] {
        for padding in [GridPadding::Zeros, GridPadding::Border, GridPadding::Reflection] {
            for align_corners in [false, true] {
                let op = GridSample { mode, padding, align_corners };
                let grid = |seed, shape: &[usize]| random(seed, shape, -1.8..1.8);
                case(op).runtime(random(1, [2, 3, 5, 7], -4.0..4.0)).runtime(grid(2, &[2, 4, 9, 2])).check();
                case(op).runtime(random(1, [2, 3, 4, 5, 6], -4.0..4.0)).runtime(grid(3, &[2, 3, 2, 5, 3])).check();
                case(op).runtime(random(1, [3, 2, 9], -4.0..4.0)).runtime(grid(4, &[3, 65, 1])).check();
                case(op).runtime(random(1, [1, 2, 1, 1], -4.0..4.0)).runtime(grid(5, &[1, 3, 4, 2])).check();
            }
        }
    }
}

#[test]
fn grids_of_other_types_and_ranks() {
    let op = GridSample::default();
    // Positions that f16 holds exactly: multiples of 1/16.
    let grid = Tensor::new([1, 3, 5, 2], (0..30).map(|i| (i % 31) as f32 / 16.0 - 1.0).collect()).unwrap();
    case(op).runtime(to_f16(&random(6, [1, 2, 4, 8], -4.0..4.0))).runtime(to_f16(&grid)).check();
    case(op).runtime(random(6, [1, 2, 3, 2, 3, 2], -4.0..4.0)).runtime(random(7, [1, 2, 2, 2, 2, 4], -1.2..1.2)).check_on_cpu();
    case(op).runtime(random(6, [1, 2, 3, 2], -4.0..4.0)).runtime(random(7, [2, 2, 2, 2], -1.2..1.2)).fails_with("does not sample");
    let outside = Tensor::new([1, 1, 2, 2], vec![f32::NAN, 0.0, 1e30, 0.0]).unwrap();
    for padding in [GridPadding::Zeros, GridPadding::Border] {
        case(GridSample { padding, ..op }).runtime(random(8, [1, 2, 3, 5], -4.0..4.0)).runtime(outside.clone()).check();
    }
}

#[test]
fn affine_grids() {
    for align_corners in [false, true] {
        let op = AffineGrid { align_corners };
        case(op).runtime(random(9, [2, 2, 3], -1.0..1.0)).constant(integers(&[2, 3, 5, 7])).check();
        case(op).runtime(random(9, [2, 3, 4], -1.0..1.0)).constant(integers(&[2, 1, 3, 5, 1])).check();
        case(op).runtime(random(9, [2, 3, 4], -1.0..1.0)).constant(integers(&[2, 1, 3, 5])).fails_with("makes no grid of size");
    }
}

#[test]
fn regions_are_pooled() {
    let boxes = || Tensor::new([3, 4], vec![0.3f32, 0.2, 6.1, 8.7, -3.0, -2.0, 14.0, 4.4, 5.2, 5.3, 5.3, 5.9]).unwrap();
    for mode in [RoiPool::Average, RoiPool::Max] {
        for half_pixel in [false, true] {
            for sampling_ratio in [0, 1, 3] {
                let op = RoiAlign { mode, output: [3, 2], sampling_ratio, spatial_scale: 0.9, half_pixel };
                let x = || random(10, [2, 3, 9, 11], -4.0..4.0);
                case(op).runtime(x()).runtime(boxes()).runtime(integers(&[1, 0, 1])).check();
                case(op).runtime(x()).constant(boxes()).constant(integers(&[0, 1, 1])).check();
            }
        }
    }
    let op = RoiAlign { mode: RoiPool::Average, output: [2, 2], sampling_ratio: 2, spatial_scale: 1.0, half_pixel: true };
    case(op).runtime(to_f16(&random(10, [2, 3, 9, 11], -4.0..4.0))).runtime(to_f16(&boxes())).runtime(integers(&[1, 0, 1])).check();
    let x = || random(10, [2, 3, 9, 11], -4.0..4.0);
    case(op).runtime(x()).runtime(boxes()).runtime(integers(&[1, 2, 1])).fails_with("batch index 2 is outside a batch of 2");
    case(op).runtime(x()).runtime(boxes()).runtime(integers(&[1, 1])).fails_with("3 indices");
}

#[test]
fn overlapping_boxes() {
    let (boxes, scores) = (random(11, [2, 9, 4], 0.0..3.0), random(12, [2, 3, 9], 0.0..1.0));
    for center_point_box in [false, true] {
        let op = NonMaxSuppression { center_point_box };
        let tensors = [boxes.clone(), scores.clone(), integers(&[4]), Tensor::scalar(0.2f32), Tensor::scalar(0.1f32)];
        let expected = macula::ops::Op::from(op).operator().reference(&tensors.iter().map(Some).collect::<Vec<_>>(), 1).unwrap();
        assert!(expected[0].len() > 6 && expected[0].len() < 3 * 2 * 3 * 9, "{expected:?}");
        for device in [crate::support::gpu(), &macula::Device::cpu()] {
            let mut b = macula::GraphBuilder::new("boxes");
            let inputs: Vec<_> = (0..).zip(&tensors).map(|(i, t)| b.input(format!("in{i}"), t.dtype(), t.shape().to_vec())).collect();
            let y = b.node("y", op, &inputs).unwrap();
            b.output("y", y);
            let session = device.compile(b.finish().unwrap()).unwrap();
            let names: Vec<_> = (0..tensors.len()).map(|i| format!("in{i}")).collect();
            let given: Vec<_> = names.iter().map(String::as_str).zip(tensors.iter().map(Tensor::view)).collect();
            assert_eq!(session.run(&given).unwrap()[0], expected[0]);
        }
    }
    case(NonMaxSuppression::default()).runtime(boxes).runtime(random(12, [2, 3, 8], 0.0..1.0)).fails_with("must be [N, B, 4]");
}

#[test]
fn columns_of_images() {
    let run = |op: Col2Im, input: &[usize], image: &[i64], block: &[i64]| {
        case(op).runtime(random(13, input, -4.0..4.0)).constant(integers(image)).constant(integers(block))
    };
    run(Col2Im::default(), &[2, 18, 12], &[5, 6], &[3, 3]).check();
    run(Col2Im { stride: Some([2, 3].into()), ..Col2Im::default() }, &[1, 8, 6], &[6, 5], &[2, 2]).check();
    run(Col2Im { dilation: Some([1, 2].into()), ..Col2Im::default() }, &[2, 6, 12], &[5, 7], &[3, 2]).fails_with("must be [N, C·6, 15]");
    run(Col2Im { dilation: Some([1, 2].into()), ..Col2Im::default() }, &[2, 6, 15], &[5, 7], &[3, 2]).check();
    let padding = Some([[1, 0].into(), [2, 1].into()]);
    run(Col2Im { padding, ..Col2Im::default() }, &[1, 4, 40], &[6, 5], &[2, 2]).check();
    run(Col2Im::default(), &[2, 4, 6], &[7], &[2]).check();
    run(Col2Im::default(), &[1, 16, 24], &[3, 4, 5], &[2, 2, 2]).check();
    let input = to_f16(&random(13, [1, 4, 16], -4.0..4.0));
    case(Col2Im::default()).runtime(input).constant(integers(&[5, 5])).constant(integers(&[2, 2])).check();
}
